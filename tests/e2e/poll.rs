//! A simulated HTTP API and a daemon that polls it.

use crate::{ANSWER, BACK};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use touchline_harness::fixture::{Fixture, quoted, run_command};
use touchline_harness::process::{self, Reaper};
use touchline_harness::wait;
use touchline_simulator::Auditor;
use touchline_simulator::api::{Api, ApiJudge, ApiOptions, ApiReport, Asked};

/// How long matches may take until all are live.
const LIVE: Duration = Duration::from_secs(30);
/// How long documents and events may take to equal the truth: after a handover a lower score is believed after 2 s.
const TRUE: Duration = Duration::from_secs(20);

/// What each match's own answer says.
const READING: &str = "home = \"/homeTeam/name\"\naway = \"/awayTeam/name\"\nstate = \"/status\"\n\
    clock = { minute = \"/currentMatchMinute\" }\nsport = \"soccer\"\n\
    score = { home = \"/homeScore/current\", away = \"/awayScore/current\" }\n\
    stats = { corners = { home = \"/matchStatistics/[period=ALL]/groups/*/statisticsItems/[key=cornerKicks]/homeValue\", \
    away = \"/matchStatistics/[period=ALL]/groups/*/statisticsItems/[key=cornerKicks]/awayValue\" } }\n\
    events = \"/liveEvents\"\n\
    event = { id = \"/id\", type = \"/type\", side = \"/team\", minute = \"/time\", details = { player = \"/player/name\" } }\n";

/// A server and a daemon.
pub struct PollSite {
    // The order is the order of the end: the daemon goes before its server, and the reaper looks last.
    fixture: Fixture,
    pub api: Api,
    /// Every document that was published, compared with the truth.
    pub auditor: Auditor<ApiJudge>,
    _reaper: Reaper,
}

impl Deref for PollSite {
    type Target = Fixture;

    fn deref(&self) -> &Fixture {
        &self.fixture
    }
}

impl DerefMut for PollSite {
    fn deref_mut(&mut self) -> &mut Fixture {
        &mut self.fixture
    }
}

impl PollSite {
    /// Starts both. The server stands still until it is resumed, so that each match is followed from 0-0 on; `feed` writes the feed.
    ///
    /// # Panics
    /// When one of them does not start.
    pub fn start(options: &ApiOptions, feed: impl FnOnce(&Api) -> String) -> PollSite {
        let api = Api::start_paused(options).expect("the simulated server");
        let feed = feed(&api);
        PollSite::of(api, &feed, |_| {})
    }

    /// As [`PollSite::start`] with a server that runs; `prepare` adds to the daemon's command.
    ///
    /// # Panics
    /// When the daemon does not start.
    pub fn of(api: Api, feed: &str, prepare: impl FnOnce(&mut Command)) -> PollSite {
        let reaper = Reaper::new();
        let folder = tempfile::tempdir().expect("a folder");
        let run = quoted(folder.path());
        let text = format!("[daemon]\nrun_dir = {run}\nstate_dir = {run}\n\n{feed}\n");
        std::fs::write(folder.path().join("touchline.toml"), text).expect("writing the configuration");
        let auditor = Auditor::judged(&folder.path().join("audit.sock"), api.judge())
            .expect("listening for the document feed");
        let mut command = run_command(process::program());
        command.env(Auditor::VARIABLE, auditor.socket());
        prepare(&mut command);
        let fixture = Fixture::start(folder, command, ANSWER);
        PollSite { fixture, api, auditor, _reaper: reaper }
    }

    /// Waits until exactly so many matches are live.
    pub fn wait_live(&self, matches: usize) {
        self.wait_for_status(&format!("{matches} live matches"), LIVE, |status| {
            status.pointer("/matches/live").is_some_and(|live| *live == matches as u64)
        });
    }

    /// Waits until there were so many more requests.
    pub fn wait_for_requests(&self, more: u64) {
        let before = self.api.requests();
        wait::until("requests", BACK, || (self.api.requests() >= before + more).then_some(()));
    }

    /// What was asked of a path.
    pub fn asked(&self, path: &str) -> Asked {
        self.api.asked().get(path).copied().unwrap_or_default()
    }

    /// Pids of the workers, by slot.
    pub fn worker_pids(&self) -> Vec<u32> {
        self.workers().unwrap_or_default().into_iter().map(|(_, pid)| pid).collect()
    }

    /// The state of a match.
    pub fn state(&self, id: &str) -> Option<String> {
        let matches = self.ask("matches", json!({}));
        let found = matches.as_array()?.iter().find(|one| one.get("match").is_some_and(|of| of == id))?;
        found.get("state")?.as_str().map(str::to_owned)
    }

    /// The event queue's file.
    pub fn store(&self) -> PathBuf {
        self.path().join("touchline.db")
    }

    /// Documents, cards, substitutions and goals are as the server has them, and no published document ever said what was not so. Stops
    /// the server's changes.
    ///
    /// # Panics
    /// When they are not within the deadline.
    pub fn assert_all_is_true(&self) {
        self.api.pause();
        let published = self.auditor.oracle().report().clone();
        assert!(published.is_equal() && published.compared > 0, "{published:#?}");
        let until = Instant::now() + TRUE;
        loop {
            let found = self.compare();
            if found.iter().all(|(_, report)| report.is_equal() && report.unknown == 0) {
                return;
            }
            assert!(Instant::now() < until, "not true after {TRUE:?}: {found:#?}\n{}", self.daemon.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn compare(&self) -> [(&'static str, ApiReport); 3] {
        let ids = self.api.listed().into_iter();
        let documents: BTreeMap<String, Value> =
            ids.filter_map(|id| self.document(&id).map(|document| (id, document))).collect();
        let store = self.store();
        let judge = self.auditor.oracle();
        [
            ("documents", judge.documents(&documents)),
            ("cards and substitutions", judge.events(&store).expect("the store")),
            ("goals", judge.goals(&store).expect("the store")),
        ]
    }
}

/// A feed of the server's matches, asked for by its list each half second; `more` are further lines of the feed.
pub fn matches(api: &Api, more: &str) -> String {
    format!(
        "[[feed]]\nname = \"scores\"\nkind = \"poll\"\ninterval = \"500ms\"\n{more}\n\
         [[feed.source]]\nname = \"in-play\"\nurl = \"http://{0}/matches\"\nlist = \"/matches\"\n\
         page = {{ by = \"number\", param = \"page\", size = 100 }}\ntitle = \"/title\"\nstate = \"/status\"\n\n\
         [[feed.source]]\nname = \"match\"\nurl = \"http://{0}/matches/{{ID}}\"\n{READING}",
        api.address
    )
}

/// A feed of fixed documents, one source each, asked for each `every`; `more` are further lines of the feed.
pub fn catalogues(api: &Api, documents: usize, every: &str, more: &str) -> String {
    let feed = format!("[[feed]]\nname = \"catalogues\"\nkind = \"poll\"\ninterval = \"{every}\"\n{more}\n");
    let source = |n: usize| {
        format!(
            "[[feed.source]]\nname = \"course-{n}\"\nurl = \"http://{}/catalogue/{n}\"\ntitle = \"/title\"\n\n",
            api.address
        )
    };
    feed + &(0..documents).map(source).collect::<String>()
}
