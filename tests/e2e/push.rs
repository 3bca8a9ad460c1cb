//! A simulated JSON push server and a daemon that follows its topics by one of the shipped configurations.

use crate::{ANSWER, BACK};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::Duration;
use touchline_harness::fixture::{Fixture, quoted, run_command};
use touchline_harness::process::{self, Reaper};
use touchline_harness::wait;
use touchline_simulator::push::{
    Dialect, Judgement, OddsJudgement, PushAuditor, PushHandle, PushOptions, PushReport, PushServer,
};

/// How long topics may take until all are live: they are asked for a few at a time, and again after a failure.
pub const LIVE: Duration = Duration::from_secs(60);
/// How long documents and rows may take once nothing changes any more.
const SETTLED: Duration = Duration::from_secs(15);
/// What a login shows.
const SESSION: &str = "good";

/// The shipped configuration for a server of this dialect.
pub fn example(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Exchange => include_str!("../../scripts/examples/push/exchange.toml"),
        Dialect::Books => include_str!("../../scripts/examples/push/books.toml"),
        Dialect::Scores => include_str!("../../scripts/examples/push/scores.toml"),
    }
}

/// A server with what its example needs: logins, and requests of at most as many topics.
pub fn options(dialect: Dialect) -> PushOptions {
    let (token, batch) = match dialect {
        Dialect::Exchange => (Some(SESSION.to_owned()), 50),
        Dialect::Books | Dialect::Scores => (None, 20),
    };
    PushOptions { dialect, topics: 40, rate: 800.0, cap: 15, batch, token, ..PushOptions::default() }
}

/// A push server and a daemon.
pub struct PushSite {
    // The order is the order of the end: the daemon goes before its server, and the reaper looks last.
    fixture: Fixture,
    pub server: PushHandle,
    /// Every document that was published, compared with the truth.
    pub auditor: PushAuditor,
    options: PushOptions,
    _reaper: Reaper,
}

impl Deref for PushSite {
    type Target = Fixture;

    fn deref(&self) -> &Fixture {
        &self.fixture
    }
}

impl DerefMut for PushSite {
    fn deref_mut(&mut self) -> &mut Fixture {
        &mut self.fixture
    }
}

impl PushSite {
    /// Starts both, the daemon with the dialect's example for this server.
    ///
    /// # Panics
    /// When one of them does not start.
    pub fn start(options: &PushOptions) -> PushSite {
        PushSite::start_with(options, |text| text)
    }

    /// As [`PushSite::start`], with the configuration as `change` makes it.
    ///
    /// # Panics
    /// When one of them does not start.
    pub fn start_with(options: &PushOptions, change: impl FnOnce(String) -> String) -> PushSite {
        let reaper = Reaper::new();
        let folder = tempfile::tempdir().expect("a folder");
        let server = PushServer::start(options).expect("the simulated server");
        let text = change(configuration(folder.path(), &server, options));
        std::fs::write(folder.path().join("touchline.toml"), text).expect("writing the configuration");
        let auditor = PushAuditor::start(&folder.path().join("audit.sock"), server.judge())
            .expect("listening for the document feed");
        let mut command = run_command(process::program());
        command.env(PushAuditor::VARIABLE, auditor.socket()).env("EXCHANGE_SESSION", SESSION);
        let fixture = Fixture::start(folder, command, ANSWER);
        PushSite { fixture, server, auditor, options: options.clone(), _reaper: reaper }
    }

    /// As [`PushSite::start`], and every topic is live.
    ///
    /// # Panics
    /// When they are not within the deadline.
    pub fn live(options: &PushOptions) -> PushSite {
        let site = PushSite::start(options);
        site.wait_live(options.topics);
        site
    }

    /// Waits until exactly so many topics are live.
    pub fn wait_live(&self, topics: usize) {
        self.wait_for_status(&format!("{topics} live topics"), LIVE, |status| {
            status.pointer("/matches/live").is_some_and(|live| *live == topics as u64)
        });
    }

    /// Waits until the server reports it.
    pub fn wait_for_server(&self, what: &str, is: impl Fn(&PushReport) -> bool) {
        wait::until(what, BACK, || is(&self.server.report()).then_some(()));
    }

    /// Waits until the server has sent so many more deltas.
    pub fn wait_for_deltas(&self, more: u64) {
        let before = self.server.report().deltas;
        wait::until("deltas", LIVE, || (self.server.report().deltas >= before + more).then_some(()));
    }

    /// Waits until there is a gap, and all are ended; the topics that had one.
    pub fn wait_for_gaps_to_end(&self) -> BTreeSet<String> {
        wait::until("gaps that ended", BACK, || {
            let gaps = self.gaps();
            let ended = !gaps.is_empty() && gaps.iter().all(|gap| !gap["ended_at"].is_null());
            ended.then(|| topics_of(&gaps))
        })
    }

    /// The topics that ever had a gap.
    pub fn topics_with_gaps(&self) -> BTreeSet<String> {
        topics_of(&self.gaps())
    }

    /// Every topic's newest document equals the truth once nothing changes any more, and none was ever published that never was true.
    /// Pauses the server.
    ///
    /// # Panics
    /// When they do not within the deadline.
    pub fn assert_documents_are_true(&self) {
        self.assert_documents_become_true(SETTLED);
        self.assert_published_was_true();
    }

    /// Every topic's newest document equals the truth so long after nothing changes any more. Pauses the server.
    ///
    /// # Panics
    /// When they do not.
    pub fn assert_documents_become_true(&self, patience: Duration) {
        self.server.pause();
        let judge = self.server.judge();
        let mut last = Judgement::default();
        let until = std::time::Instant::now() + patience;
        while std::time::Instant::now() < until {
            last = judge.documents(&self.documents());
            if last.is_equal() && last.compared == self.options.topics as u64 {
                return;
            }
        }
        assert!(last.is_equal() && last.compared == self.options.topics as u64, "{last:#?}");
    }

    /// No document was ever published that never was true.
    ///
    /// # Panics
    /// When one was.
    pub fn assert_published_was_true(&self) {
        let published = self.auditor.report();
        assert!(published.is_equal() && published.compared > 0, "{published:#?}");
    }

    /// The rows of odds equal the truth. Pauses the server.
    ///
    /// # Panics
    /// When they do not within the deadline.
    pub fn assert_odds_are_true(&self) -> OddsJudgement {
        self.server.pause();
        let judge = self.server.judge();
        let mut last = OddsJudgement::default();
        let until = std::time::Instant::now() + SETTLED;
        while std::time::Instant::now() < until {
            last = judge.odds(self.path()).expect("the hour files");
            if last.is_equal() && last.rows > 0 {
                return last;
            }
        }
        assert!(last.is_equal() && last.rows > 0, "{last:#?}");
        last
    }

    /// No connection ever had more than the cap, nothing was asked for too fast or in too large a request, and no connection has a tenth of
    /// the cap more than another one.
    ///
    /// # Panics
    /// When it is not so.
    pub fn assert_caps_are_kept(&self) {
        let report = self.server.report();
        assert!(report.most_subscriptions <= self.options.cap, "{report:#?}");
        let refused = (report.over_cap, report.over_rate, report.over_batch, report.unknown, report.bad);
        assert_eq!(refused, (0, 0, 0, 0, 0), "{report:#?}");
        self.assert_spread();
    }

    /// No connection has a tenth of the cap more than another one.
    ///
    /// # Panics
    /// When one has.
    pub fn assert_spread(&self) {
        let most = self.options.cap.div_ceil(10);
        wait::until("a spread of a tenth of the cap", BACK, || {
            let held: Vec<usize> =
                self.server.report().connections.iter().map(|connection| connection.subscriptions).collect();
            let (least, greatest) = (held.iter().min()?, held.iter().max()?);
            (greatest - least <= most).then_some(())
        });
    }

    fn documents(&self) -> BTreeMap<String, Value> {
        let topics = self.server.topics().into_iter();
        topics.filter_map(|id| self.document(&id).map(|document| (id, document))).collect()
    }
}

fn topics_of(gaps: &[Value]) -> BTreeSet<String> {
    gaps.iter().filter_map(|gap| gap["match"].as_str()).map(str::to_owned).collect()
}

/// The example, with the addresses and the cap of this server.
fn configuration(folder: &Path, server: &PushHandle, options: &PushOptions) -> String {
    let topics = folder.join("topics.txt");
    std::fs::write(&topics, server.topics().join("\n") + "\n").expect("writing the topics");
    let text = example(options.dialect);
    let of = |key: &str| text.lines().find(|line| line.starts_with(key)).expect("a line of the example");
    let feed = text
        .replace(of("url = "), &format!("url = \"ws://{}/\"\nconnects_per_s = 50.0", server.address()))
        .replace(of("max_subscriptions = "), &format!("max_subscriptions = {}", options.cap))
        .replace("https://api.example.org/markets", &format!("http://{}/topics", server.http_address()))
        .replace("\"/etc/touchline/books.txt\"", &quoted(&topics));
    format!("[daemon]\nrun_dir = {0}\nstate_dir = {0}\n{feed}", quoted(folder))
}
