//! The server, the daemon and the oracle, and what can be asked of them.

use super::Options;
use super::server::Server;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use tempfile::TempDir;
use touchline_harness::fixture::Fixture;
use touchline_harness::process::Running;
pub(crate) use touchline_harness::process::{is_alive, send};

/// How long one answer may take. A stopped process holds it up for seconds.
const ANSWER: Duration = Duration::from_secs(20);
/// How long everything may take to be live again: a child that dies often waits up to 30 s for its next start.
pub(crate) const SETTLE: Duration = Duration::from_secs(60);

/// Where a match is followed, as the coordinator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) worker: Option<u64>,
    pub(crate) state: String,
}

impl Seat {
    /// Whether one of these workers follows it.
    pub(crate) fn is_of(&self, slots: &BTreeSet<u64>) -> bool {
        self.worker.is_some_and(|worker| slots.contains(&worker))
    }

    /// In quarantine counts, too: an operator has to let it out.
    pub(crate) fn is_live(&self) -> bool {
        ["live", "quarantined"].contains(&self.state.as_str())
    }
}

/// Everything that runs.
pub(crate) struct Site {
    fixture: Fixture,
    pub(crate) server: Server,
    /// Descriptors of this coordinator when it was live, those of its children apart.
    own_descriptors: usize,
}

impl Deref for Site {
    type Target = Fixture;

    fn deref(&self) -> &Fixture {
        &self.fixture
    }
}

impl DerefMut for Site {
    fn deref_mut(&mut self) -> &mut Fixture {
        &mut self.fixture
    }
}

impl Site {
    /// Starts everything in `folder` and waits until it is live.
    pub(crate) fn start(options: &Options, folder: TempDir) -> Site {
        nix::sys::prctl::set_child_subreaper(true).expect("becoming a subreaper");
        let server = Server::start(options, folder.path());
        let config = server.config(options);
        config.write(folder.path());
        let command = server.command(folder.path());
        let fixture = Fixture::start(folder, command, ANSWER);
        let mut site = Site { fixture, server, own_descriptors: 0 };
        site.settle();
        site.own_descriptors = site.fixture.own_descriptors();
        site
    }

    /// Starts the daemon again after it was killed, as a supervisor does.
    pub(crate) fn restart(&mut self) {
        let command = self.server.command(self.path());
        self.daemon = Running::command(self.path(), command);
        self.settle();
        self.own_descriptors = self.fixture.own_descriptors();
    }

    /// Waits until every match that the server has is live and every process is there.
    pub(crate) fn settle(&self) {
        self.wait_for_status("every match live again", SETTLE, |status| self.is_settled(status));
    }

    fn is_settled(&self, status: &Value) -> bool {
        let Some(seats) = self.seats() else { return false };
        let text = |path: &str| status.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let starting = status.pointer("/workers/starting").and_then(Value::as_u64);
        let matches = self.server.matches();
        let is_live = |id: &String| seats.get(id).is_some_and(Seat::is_live);
        !matches.is_empty()
            && matches.iter().all(is_live)
            && starting == Some(0)
            && text("/recorder/state") == "ready"
            && ["ready", "degraded"].contains(&text("/state"))
    }

    /// Whether all of `before` that the server still has are live.
    pub(crate) fn are_live(&self, before: &BTreeMap<String, Seat>, now: &BTreeMap<String, Seat>) -> bool {
        let matches: BTreeSet<String> = self.server.matches().into_iter().collect();
        before.keys().filter(|id| matches.contains(*id)).all(|id| now.get(id).is_some_and(Seat::is_live))
    }

    /// Every listed match.
    pub(crate) fn seats(&self) -> Option<BTreeMap<String, Seat>> {
        // Ages and versions are not needed: no process is asked, so a busy one delays no measurement.
        let views = self.request("matches", json!({ "timeout_ms": 0 })).ok()?;
        let seat = |view: &Value| {
            let state = view.get("state")?.as_str()?.to_owned();
            let worker = view.get("worker").and_then(Value::as_u64);
            (state != "ended").then_some((view.get("match")?.as_str()?.to_owned(), Seat { worker, state }))
        };
        Some(views.as_array()?.iter().filter_map(seat).collect())
    }

    /// Free subscriptions of all workers that are up, but those of one process.
    pub(crate) fn room_beside(&self, slots: &BTreeSet<u64>) -> usize {
        let workers = self.ask("workers", json!({}));
        let count = |worker: &Value, name: &str| worker.get(name).and_then(Value::as_u64).unwrap_or(0);
        let others = workers.as_array().into_iter().flatten().filter(|worker| {
            !slots.contains(&count(worker, "worker")) && worker.get("connection").is_some_and(|is| is == "up")
        });
        let free = others.map(|worker| {
            count(worker, "cap").saturating_sub(count(worker, "subscriptions") + count(worker, "reserved"))
        });
        free.sum::<u64>() as usize
    }

    /// Pids of the workers.
    pub(crate) fn worker_pids(&self) -> BTreeSet<u32> {
        self.workers().into_iter().flatten().map(|(_, pid)| pid).collect()
    }

    /// Descriptors of the coordinator that are more than when it was first live, though each child's are counted out.
    pub(crate) fn leaked_descriptors(&self) -> usize {
        self.fixture.leaked_descriptors(self.own_descriptors)
    }
}

/// A folder for all of a site, which goes with it unless it is kept.
pub(crate) fn make_folder() -> TempDir {
    tempfile::Builder::new().prefix("touchline-chaos-").tempdir().expect("a folder")
}
