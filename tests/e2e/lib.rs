//! What the end-to-end tests share: a folder with a simulated server and the real daemon in it.
//!
//! The tests themselves stand in `tests/`, a file per subject. Each starts its own site, on free ports, and leaves nothing behind.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

pub mod brokers;
pub mod https;
pub mod poll;
pub mod push;
pub mod rooms;
pub mod served;

use serde_json::Value;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use touchline_harness::fixture::{Config, Fixture, INPLAY, quoted, run_command};
use touchline_harness::process::{self, Reaper, Running};
use touchline_harness::wait;
use touchline_simulator::server::{Handle, Report, Reset};
use touchline_simulator::{Auditor, EventsReport, OddsReport, Options, Oracle, Protocol, Simulator};

/// How long a site may take until every match is live.
pub const LIVE: Duration = Duration::from_secs(30);
/// How long one answer may take.
pub const ANSWER: Duration = Duration::from_secs(10);
/// How long connections, sessions and rows may take to come again.
pub const BACK: Duration = Duration::from_secs(20);
/// How long rows may take to be committed: values settle 2 s after a new connection.
const COMMITTED: Duration = Duration::from_secs(15);

/// A simulated server and a daemon that follows it.
pub struct Site {
    // The order is the order of the end: the daemon goes before its server, and the reaper looks last.
    fixture: Fixture,
    /// The server.
    pub simulator: Handle,
    /// Every document that was published, compared with the truth.
    pub auditor: Auditor,
    _reaper: Reaper,
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
    /// Starts both; `extra` is appended to the feed's part of the configuration.
    pub fn start(options: &Options, extra: &str) -> Site {
        Site::start_with_pool(options, extra, "")
    }

    /// As [`Site::start`]; `pool` is the pool's part of the configuration.
    pub fn start_with_pool(options: &Options, extra: &str, pool: &str) -> Site {
        let reaper = Reaper::new();
        let folder = tempfile::tempdir().expect("a folder");
        let authority = options.transport.has_tls().then(|| folder.path().join("ca.pem"));
        let options = Options { ca_file: options.ca_file.clone().or(authority), ..options.clone() };
        let simulator = Simulator::start(&options).expect("the simulated server");
        let config = config(simulator.address(), &options, extra);
        Config { sections: format!("[pool]\n{pool}"), ..config }.write(folder.path());
        Site::audited(simulator, folder, reaper)
    }

    /// As [`Site::start`]; `feed` writes all of the feed's configuration but its name and address, with the folder and the
    /// server before it.
    pub fn configured(options: &Options, feed: impl FnOnce(&Path, &Handle) -> String) -> Site {
        let reaper = Reaper::new();
        let folder = tempfile::tempdir().expect("a folder");
        let simulator = Simulator::start(options).expect("the simulated server");
        let config = Config {
            url: format!("dpt://{}", simulator.address()),
            feed: feed(folder.path(), &simulator),
            ..Config::default()
        };
        config.write(folder.path());
        Site::audited(simulator, folder, reaper)
    }

    /// A daemon with the folder's configuration, whose recorder reports what it publishes.
    fn audited(simulator: Handle, folder: TempDir, reaper: Reaper) -> Site {
        let auditor = Auditor::start(&folder.path().join("audit.sock"), simulator.truth())
            .expect("listening for the document feed");
        let mut command = run_command(process::program());
        command.env(Auditor::VARIABLE, auditor.socket());
        let fixture = Fixture::start(folder, command, ANSWER);
        Site { fixture, simulator, auditor, _reaper: reaper }
    }

    /// As [`Site::start`], and every match is live.
    pub fn live(options: &Options, extra: &str) -> Site {
        let site = Site::start(options, extra);
        site.wait_live(options.matches as u64);
        site
    }

    /// Rows committed, of both streams.
    ///
    /// # Panics
    /// When the daemon does not answer.
    pub fn recorded(&self) -> u64 {
        self.count("/recorder/events") + self.count("/recorder/bulk")
    }

    /// Waits until `matches` of them are live.
    pub fn wait_live(&self, matches: u64) {
        self.wait_for_status(&format!("{matches} live matches"), LIVE, |status| {
            status.pointer("/matches/live").is_some_and(|live| *live == matches)
        });
    }

    /// Waits until the server reports it.
    pub fn wait_for_server(&self, what: &str, is: impl Fn(&Report) -> bool) {
        wait::until(what, BACK, || is(&self.simulator.report()).then_some(()));
    }

    /// Waits until so many more rows are committed.
    pub fn wait_for_rows(&self, more: u64) {
        let before = self.recorded();
        wait::until("committed rows", BACK, || (self.recorded() > before + more).then_some(()));
    }

    /// Resets every connection; how many there were.
    pub fn reset_all(&self) -> u64 {
        let workers = self.worker_pids().len() as u64;
        self.simulator.reset_connections(Reset::All);
        self.wait_for_server("all connections reset", |report| report.resets >= workers);
        workers
    }

    /// Waits until there have been `least` gaps, all are ended, and `matches` are live.
    pub fn wait_for_gaps_to_end(&self, least: usize, matches: usize) {
        wait::until("gaps that ended", BACK, || {
            let gaps = self.gaps();
            let ended = |gap: &Value| !gap["ended_at"].is_null();
            (gaps.len() >= least && gaps.iter().all(ended)).then_some(())
        });
        self.wait_live(matches as u64);
    }

    /// Pids of the workers, by slot.
    pub fn worker_pids(&self) -> Vec<u32> {
        self.workers().expect("the workers").into_iter().map(|(_, pid)| pid).collect()
    }

    /// The committed events are what happened, each id once, and so are the rows of odds, once nothing is left to commit. Pauses the
    /// server.
    ///
    /// # Panics
    /// When they are not within the deadline.
    pub fn assert_events_are_true(&self) -> EventsReport {
        self.simulator.pause();
        let report = self.oracle().settled_events(COMMITTED, || self.events());
        assert!(report.is_equal() && report.registers > 0, "{report:#?}");
        // A test may keep its store elsewhere.
        if self.file("hours").exists() {
            self.assert_odds_are_true();
        }
        report
    }

    /// The rows of odds are what happened, once nothing is left to commit. Pauses the server.
    ///
    /// # Panics
    /// When they are not within the deadline.
    pub fn assert_odds_are_true(&self) -> OddsReport {
        self.simulator.pause();
        let report = self.oracle().settled_odds(COMMITTED, self.path());
        assert!(report.is_equal() && (report.rows > 0 || report.matches == 0), "{report:#?}");
        report
    }

    /// Every document equals the truth, once nothing changes any more, and none was ever published that never was true.
    ///
    /// # Panics
    /// When they do not within the deadline.
    pub fn assert_documents_are_true(&self) {
        self.assert_last_documents_are_true();
        let published = self.auditor.report();
        assert_eq!(published.mismatches, 0, "{published:#?}");
        assert!(published.checked > 0, "{published:#?}");
    }

    /// As [`Site::assert_documents_are_true`], where the server kept changes back, so that others could not but be published before.
    ///
    /// # Panics
    /// When they do not within the deadline.
    pub fn assert_last_documents_are_true(&self) {
        self.simulator.pause();
        let report = self.oracle().settled_documents(Duration::from_secs(5), |id| self.document(id));
        assert!(report.is_equal(), "{report:#?}");
    }

    fn oracle(&self) -> Oracle {
        Oracle::new(self.simulator.truth())
    }
}

/// Starts `touchline run` in a folder that has its configuration.
pub fn run(folder: &Path) -> Running {
    Running::command(folder, run_command(process::program()))
}

/// Writes a configuration for one feed at `server`, which speaks as servers do by default.
pub fn write_config(folder: &Path, server: SocketAddr, extra: &str) {
    config(server, &Options::default(), extra).write(folder);
}

/// The configuration for one feed at `server`, which was started with `options`.
fn config(server: SocketAddr, options: &Options, extra: &str) -> Config {
    let (url, wire) = (format!("{}://{server}", options.transport.scheme()), wire(options));
    Config { url, feed: format!("{wire}{INPLAY}{extra}"), ..Config::default() }
}

/// How a server of these options is spoken to, apart from its address.
pub fn wire(options: &Options) -> String {
    let mut text = String::new();
    if let Some(path) = options.ca_file.as_ref().filter(|_| options.transport.has_tls()) {
        text.push_str(&format!("ca_file = {}\n", quoted(path)));
    }
    match options.protocol {
        Protocol::V4 => {}
        Protocol::Zap => text
            .push_str("protocol = \"zap\"\nlogin_topics = [\"__time\", \"S_1\"]\ntime_topic = \"__time\"\n"),
    }
    text
}
