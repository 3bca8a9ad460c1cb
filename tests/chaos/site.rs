//! The server, the daemon and the oracle, and what can be asked of them.

use super::Options;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use touchline_common::control::{ControlError, Stream};
use touchline_harness::control::Control;
pub(crate) use touchline_harness::process::is_alive;
use touchline_harness::process::{self, Running};
use touchline_simulator::server::Handle;
use touchline_simulator::{Auditor, Burst, Simulator};

/// How long one answer may take. A stopped process holds it up for seconds.
const ANSWER: Duration = Duration::from_secs(20);
/// How long everything may take to be live again: a child that dies often waits up to 30 s for its next start.
pub(crate) const SETTLE: Duration = Duration::from_secs(60);

/// Changes of odds that the server remembers, over all matches: those before them are not compared.
const CHANGES: usize = 4_000_000;

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
    pub(crate) daemon: Running,
    pub(crate) simulator: Handle,
    pub(crate) auditor: Auditor,
    /// Descriptors of this coordinator when it was live, those of its children apart.
    own_descriptors: usize,
    folder: TempDir,
}

impl Site {
    /// Starts everything in `folder` and waits until it is live.
    pub(crate) fn start(options: &Options, folder: TempDir) -> Site {
        nix::sys::prctl::set_child_subreaper(true).expect("becoming a subreaper");
        let simulator = Simulator::start(&touchline_simulator::Options {
            matches: options.matches,
            rate: options.rate,
            burst: Some(Burst {
                factor: 5.0,
                len: Duration::from_millis(200),
                every: Duration::from_secs(3),
            }),
            cap: Some(options.cap),
            seed: options.seed,
            churn: options.matches as f64 / 5.0,
            changes: CHANGES,
            ..touchline_simulator::Options::default()
        })
        .expect("the simulated server");
        let auditor = Auditor::start(&folder.path().join("audit.sock"), simulator.truth())
            .expect("listening for the document feed");
        let at = Value::from(folder.path().display().to_string());
        // The server's manners are named: resets that come by chance are to teach no lower cap.
        let text = format!(
            "[daemon]\nrun_dir = {at}\nstate_dir = {at}\n[pool]\nspare_workers = 1\n[[feed]]\nname = \"inplay\"\nkind = \"diffusion\"\n\
             url = \"dpt://{}\"\nlist_topic = \"OVInPlay_1_3\"\nmatch_id = \"{{ID}}\"\nmatch_topics = [\"6V{{ID}}\"]\nmax_subscriptions = {}\n\
             over_cap = \"close\"\n{}",
            simulator.address(),
            options.cap,
            strategy(options.connections)
        );
        std::fs::write(folder.path().join("touchline.toml"), text).expect("writing the configuration");
        let daemon = launch(folder.path());
        let mut site = Site { daemon, simulator, auditor, own_descriptors: 0, folder };
        site.settle();
        site.own_descriptors = site.count_own_descriptors();
        site
    }

    /// Starts the daemon again after it was killed, as a supervisor does.
    pub(crate) fn restart(&mut self) {
        self.daemon = launch(self.folder.path());
        self.settle();
        self.own_descriptors = self.count_own_descriptors();
    }

    /// Waits until every match that the server has is live and every process is there.
    pub(crate) fn settle(&self) {
        let until = Instant::now() + SETTLE;
        while !self.is_settled() {
            if Instant::now() >= until {
                let stands = self.request("status", json!({}));
                let stands = stands.map_or_else(|error| error.to_string(), |status| format!("{status:#}"));
                panic!("not every match is live again after {SETTLE:?}: {stands}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn is_settled(&self) -> bool {
        let Ok(status) = self.request("status", json!({})) else { return false };
        let Some(seats) = self.seats() else { return false };
        let text = |path: &str| status.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let starting = status.pointer("/workers/starting").and_then(Value::as_u64);
        let matches = self.simulator.truth().matches();
        let is_live = |id: &String| seats.get(id).is_some_and(Seat::is_live);
        !matches.is_empty()
            && matches.iter().all(is_live)
            && starting == Some(0)
            && text("/recorder/state") == "ready"
            && ["ready", "degraded"].contains(&text("/state"))
    }

    /// Whether all of `before` that the server still has are live.
    pub(crate) fn are_live(&self, before: &BTreeMap<String, Seat>, now: &BTreeMap<String, Seat>) -> bool {
        let matches: BTreeSet<String> = self.simulator.truth().matches().into_iter().collect();
        before.keys().filter(|id| matches.contains(*id)).all(|id| now.get(id).is_some_and(Seat::is_live))
    }

    /// Keeps the folder beyond the end, and says where it is.
    pub(crate) fn keep(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    pub(crate) fn request(&self, verb: &str, args: Value) -> Result<Value, ControlError> {
        self.control().request(verb, args)
    }

    pub(crate) fn ask(&self, verb: &str, args: Value) -> Value {
        self.control().ask(verb, args)
    }

    /// Every committed event, in their order.
    pub(crate) fn events(&self) -> Stream {
        self.control().event_stream()
    }

    /// The folder of the store.
    pub(crate) fn store(&self) -> &Path {
        self.folder.path()
    }

    fn control(&self) -> Control {
        Control::new(self.folder.path().join("control.sock"), ANSWER)
    }

    /// Every listed match.
    pub(crate) fn seats(&self) -> Option<BTreeMap<String, Seat>> {
        // Ages and versions are not needed: nobody is asked, so a busy process holds up no measurement.
        let views = self.request("matches", json!({ "timeout_ms": 0 })).ok()?;
        let seat = |view: &Value| {
            let state = view.get("state")?.as_str()?.to_owned();
            let worker = view.get("worker").and_then(Value::as_u64);
            (state != "ended").then_some((view.get("match")?.as_str()?.to_owned(), Seat { worker, state }))
        };
        Some(views.as_array()?.iter().filter_map(seat).collect())
    }

    /// Slots and pids of the workers that are there.
    pub(crate) fn workers(&self) -> Option<Vec<(u64, u32)>> {
        let workers = self.request("workers", json!({})).ok()?;
        let pair =
            |worker: &Value| Some((worker.get("worker")?.as_u64()?, worker.get("pid")?.as_u64()? as u32));
        Some(workers.as_array()?.iter().filter_map(pair).collect())
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

    /// The recorder that is ready, if one is.
    pub(crate) fn recorder(&self) -> Option<u32> {
        let ready = self.status("/recorder/state").is_some_and(|state| state == "ready");
        process::children(self.daemon.pid())
            .into_iter()
            .find(|pid| process::is_recorder(*pid))
            .filter(|_| ready)
    }

    /// A part of `status`.
    pub(crate) fn status(&self, path: &str) -> Option<Value> {
        self.control().status(path)
    }

    /// Descriptors of the coordinator that nobody can explain: more than when it was first live, though each child's are counted out.
    pub(crate) fn leaked_descriptors(&self) -> usize {
        // Our own last question may still be open there.
        let until = Instant::now() + Duration::from_secs(3);
        loop {
            let leaked = self.count_own_descriptors().saturating_sub(self.own_descriptors);
            if leaked == 0 || Instant::now() >= until {
                return leaked;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Each process costs a descriptor, and each worker, of which it may have several, and the recorder a channel.
    fn count_own_descriptors(&self) -> usize {
        let pid = self.daemon.pid();
        let processes = process::children(pid);
        let recorders = processes.iter().filter(|pid| process::is_recorder(**pid)).count();
        let channels = self.workers().map_or(0, |workers| workers.len()) + recorders;
        // Our own question may still be open there.
        let looks = (0..10).map(|_| {
            std::thread::sleep(Duration::from_millis(5));
            process::descriptors(pid).len()
        });
        looks.min().unwrap_or(0).saturating_sub(processes.len() + channels)
    }
}

/// A folder for all of a site, which goes with it unless it is kept.
pub(crate) fn make_folder() -> TempDir {
    tempfile::Builder::new().prefix("touchline-chaos-").tempdir().expect("a folder")
}

fn strategy(connections: usize) -> String {
    match connections {
        1 => String::new(),
        more => format!("strategy = \"multiplex\"\nconnections_per_process = {more}\n"),
    }
}

/// Sends a signal; to a process that is gone already nothing is sent.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid as i32), signal);
}

fn launch(folder: &Path) -> Running {
    let mut command = Command::new(process::program());
    command.args(["run", "--config", "touchline.toml"]).env(Auditor::VARIABLE, folder.join("audit.sock"));
    Running::command(folder, command)
}
