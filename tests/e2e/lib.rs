//! What the end-to-end tests share: a folder with a simulated server and the real daemon in it.
//!
//! The tests themselves stand in `tests/`, a file per subject. Each starts its own site, on free ports, and leaves nothing behind.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use touchline_common::control::ControlError;
use touchline_harness::control::Control;
use touchline_harness::process::{self, Reaper, Running};
use touchline_harness::wait;
use touchline_simulator::server::Handle;
use touchline_simulator::{Auditor, EventsReport, OddsReport, Options, Protocol, Simulator};

/// How long a site may take until every match is live.
pub const LIVE: Duration = Duration::from_secs(30);
/// How long one answer may take.
pub const ANSWER: Duration = Duration::from_secs(10);

/// A simulated server and a daemon that follows it.
pub struct Site {
    // The order is the order of the end: the daemon goes before its server, and the reaper looks last.
    /// The daemon.
    pub daemon: Running,
    /// The server.
    pub simulator: Handle,
    /// Every document that was published, held against the truth.
    pub auditor: Auditor,
    folder: TempDir,
    _reaper: Reaper,
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
        write_config_for(folder.path(), simulator.address(), &options, &format!("{extra}\n\n[pool]\n{pool}"));
        Site::audited(simulator, folder, reaper)
    }

    /// As [`Site::start`]; `feed` writes all of the feed's configuration but its name and address, with the folder and the
    /// server before it.
    pub fn configured(options: &Options, feed: impl FnOnce(&Path, &Handle) -> String) -> Site {
        let reaper = Reaper::new();
        let folder = tempfile::tempdir().expect("a folder");
        let simulator = Simulator::start(options).expect("the simulated server");
        let at = Value::from(folder.path().display().to_string());
        let head = format!("[daemon]\nrun_dir = {at}\nstate_dir = {at}\n\n[[feed]]\nname = \"inplay\"\n");
        let text =
            format!("{head}url = \"dpt://{}\"\n{}\n", simulator.address(), feed(folder.path(), &simulator));
        std::fs::write(folder.path().join("touchline.toml"), text).expect("writing the configuration");
        Site::audited(simulator, folder, reaper)
    }

    /// A daemon with the folder's configuration, whose recorder tells what it publishes.
    fn audited(simulator: Handle, folder: TempDir, reaper: Reaper) -> Site {
        let auditor = Auditor::start(&folder.path().join("audit.sock"), simulator.truth())
            .expect("listening for the document feed");
        let mut command = Command::new(process::program());
        command.args(["run", "--config", "touchline.toml"]).env(Auditor::VARIABLE, auditor.socket());
        let daemon = Running::command(folder.path(), command);
        Site { daemon, simulator, auditor, folder, _reaper: reaper }
    }

    /// As [`Site::start`], and every match is live.
    pub fn live(options: &Options, extra: &str) -> Site {
        let site = Site::start(options, extra);
        site.wait_live(options.matches as u64);
        site
    }

    /// The folder with configuration, socket, store and log.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.path().join("control.sock")
    }

    fn control(&self) -> Control {
        Control::new(self.socket(), ANSWER)
    }

    /// Asks the daemon.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn request(&self, verb: &str, args: Value) -> Result<Value, ControlError> {
        self.control().request(verb, args)
    }

    /// Asks the daemon, which must answer.
    ///
    /// # Panics
    /// When it does not.
    pub fn ask(&self, verb: &str, args: Value) -> Value {
        self.control().ask(verb, args)
    }

    /// Rows committed, of both streams.
    ///
    /// # Panics
    /// When the daemon does not answer.
    pub fn recorded(&self) -> u64 {
        self.count("/recorder/events") + self.count("/recorder/bulk")
    }

    /// A number of `status`, by its path.
    pub fn count(&self, path: &str) -> u64 {
        self.control().status(path).and_then(|value| value.as_u64()).unwrap_or(0)
    }

    /// Waits until `matches` of them are live.
    pub fn wait_live(&self, matches: u64) {
        wait::until(&format!("{matches} live matches"), LIVE, || {
            (self.count("/matches/live") == matches).then_some(())
        });
    }

    /// Pids of the workers, by slot.
    pub fn worker_pids(&self) -> Vec<u32> {
        let workers = self.ask("workers", json!({}));
        let pids = workers.as_array().into_iter().flatten().filter_map(|worker| worker.get("pid")?.as_u64());
        pids.map(|pid| pid as u32).collect()
    }

    /// The recorder that is ready, if one is.
    pub fn recorder_pid(&self) -> Option<u32> {
        let ready =
            self.ask("status", json!({})).pointer("/recorder/state").is_some_and(|state| state == "ready");
        let mut children = process::children(self.daemon.pid()).into_iter();
        children.find(|pid| process::is_recorder(*pid)).filter(|_| ready)
    }

    /// The committed events are what happened, each id once, once nothing is left to commit. Pauses the server.
    ///
    /// # Panics
    /// When they are not within the deadline.
    pub fn assert_events_are_true(&self) -> EventsReport {
        self.simulator.pause();
        let oracle = touchline_simulator::Oracle::new(self.simulator.truth());
        let until = Instant::now() + Duration::from_secs(15);
        loop {
            let report = oracle.compare_events(&self.events());
            if report.is_equal() && report.registers > 0 {
                return report;
            }
            assert!(Instant::now() < until, "{report:#?}");
            // Values that settle need 2 s.
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// The rows of odds are what happened, once nothing is left to commit. Pauses the server.
    ///
    /// # Panics
    /// When they are not within the deadline.
    pub fn assert_odds_are_true(&self) -> OddsReport {
        self.simulator.pause();
        let oracle = touchline_simulator::Oracle::new(self.simulator.truth());
        let until = Instant::now() + Duration::from_secs(15);
        loop {
            let report = oracle.compare_odds(self.path());
            if report.is_equal() && report.rows > 0 {
                return report;
            }
            assert!(Instant::now() < until, "{report:#?}");
            // What differs after an adoption needs 2 s to settle.
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Every committed event, in their order.
    pub fn events(&self) -> Vec<Value> {
        self.control().events()
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
        let oracle = touchline_simulator::Oracle::new(self.simulator.truth());
        let mut last = None;
        let equal = || {
            let ids = self.simulator.truth().matches();
            let documents = ids.into_iter().filter_map(|id| {
                let document = self.request("match", json!({ "match": id })).ok()?;
                Some((id, document))
            });
            let report = oracle.compare_final(documents.collect::<Vec<_>>());
            let equal = report.is_equal();
            last = Some(report);
            equal.then_some(())
        };
        let settled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait::until("documents that equal the truth", Duration::from_secs(5), equal);
        }));
        assert!(settled.is_ok(), "{last:#?}");
    }
}

/// Starts `touchline run` in a folder that has its configuration.
pub fn run(folder: &Path) -> Running {
    Running::start(folder, &["run", "--config", "touchline.toml"])
}

/// Writes a configuration for one feed at `server`, which speaks as servers do by default.
pub fn write_config(folder: &Path, server: SocketAddr, extra: &str) {
    write_config_for(folder, server, &Options::default(), extra);
}

/// Writes a configuration for one feed at `server`, which was started with `options`.
fn write_config_for(folder: &Path, server: SocketAddr, options: &Options, extra: &str) {
    let at = Value::from(folder.display().to_string());
    let (scheme, wire) = (options.transport.scheme(), wire(options));
    let text = format!(
        "[daemon]\nrun_dir = {at}\nstate_dir = {at}\n\n[[feed]]\nname = \"inplay\"\nkind = \"diffusion\"\n\
         url = \"{scheme}://{server}\"\n{wire}list_topic = \"OVInPlay_1_3\"\nmatch_id = \"{{ID}}\"\nmatch_topics = [\"6V{{ID}}\"]\n{extra}\n"
    );
    std::fs::write(folder.join("touchline.toml"), text).expect("writing the configuration");
}

/// How a server of these options is spoken to, apart from its address.
pub fn wire(options: &Options) -> String {
    let mut text = String::new();
    if let Some(path) = options.ca_file.as_ref().filter(|_| options.transport.has_tls()) {
        text.push_str(&format!("ca_file = {}\n", Value::from(path.display().to_string())));
    }
    match options.protocol {
        Protocol::V4 => {}
        Protocol::Zap => text
            .push_str("protocol = \"zap\"\nlogin_topics = [\"__time\", \"S_1\"]\ntime_topic = \"__time\"\n"),
    }
    text
}
