//! A daemon in a folder of its own: its configuration, its process, and what can be asked of it.
//!
//! The fixtures of the end-to-end tests, of the chaos runner and of its matrix add a simulated server and what they compare; they
//! dereference to this one. Whoever starts the daemon again assigns [`Fixture::daemon`].
#![allow(clippy::expect_used, clippy::panic)]

use super::process::{self, Running};
use super::wait;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use touchline_common::control::{Client, ControlError, Stream};

/// How a simulated server publishes matches as nodes: lines of a feed's section.
pub const INPLAY: &str =
    "kind = \"diffusion\"\nlist_topic = \"OVInPlay_1_3\"\nmatch_id = \"{ID}\"\nmatch_topics = [\"6V{ID}\"]\n";

/// What a daemon with one feed is configured with.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where the feed is.
    pub url: String,
    /// Further lines of the feed's section, and sections that follow it.
    pub feed: String,
    /// Sections before the feed's.
    pub sections: String,
    /// The folder of the state, if it is not that of everything else.
    pub state: Option<PathBuf>,
}

impl Config {
    /// Writes it into the folder of a daemon.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) {
        let Config { url, feed, sections, state } = self;
        let (run, state) = (quoted(folder), quoted(state.as_deref().unwrap_or(folder)));
        let text = format!(
            "[daemon]\nrun_dir = {run}\nstate_dir = {state}\n{sections}\n[[feed]]\nname = \"inplay\"\nurl = \"{url}\"\n{feed}\n"
        );
        std::fs::write(folder.join("touchline.toml"), text).expect("writing the configuration");
    }
}

/// A path as TOML text.
pub fn quoted(path: &Path) -> String {
    Value::from(path.display().to_string()).to_string()
}

/// `program run` with a folder's configuration.
pub fn run_command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.args(["run", "--config", "touchline.toml"]);
    command
}

/// A daemon that runs in its folder. Both end with this.
#[derive(Debug)]
pub struct Fixture {
    /// The process.
    pub daemon: Running,
    answer: Duration,
    folder: TempDir,
}

impl Fixture {
    /// Starts a daemon in a folder that has its configuration; each answer may take `answer`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(folder: TempDir, command: Command, answer: Duration) -> Fixture {
        Fixture { daemon: Running::command(folder.path(), command), answer, folder }
    }

    /// Waits until the status is as it should be.
    ///
    /// # Panics
    /// At the deadline, with the status.
    pub fn wait_for_status(&self, what: &str, patience: Duration, is: impl Fn(&Value) -> bool) {
        let until = Instant::now() + patience;
        loop {
            let status = self.request("status", json!({}));
            if status.as_ref().is_ok_and(&is) {
                return;
            }
            assert!(Instant::now() < until, "waited {patience:?} in vain for {what}: {status:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until so many matches have committed events. The server counts what happens from a match's first load, and a worker that
    /// dies before the recorder has that takes it along.
    ///
    /// # Panics
    /// At the deadline.
    pub fn wait_until_recorded(&self, matches: usize, patience: Duration) {
        wait::until("events of every match", patience, || {
            let events = self.events();
            let ids: HashSet<&Value> = events.iter().filter_map(|event| event.get("match")).collect();
            (ids.len() == matches).then_some(())
        });
    }

    /// Asks it by a signal to leave, which it must do with code 0 and without its socket.
    ///
    /// # Panics
    /// When it does not.
    pub fn stop(&mut self, patience: Duration) {
        self.daemon.signal(nix::sys::signal::Signal::SIGTERM);
        let end = self.daemon.wait_for_end(patience);
        assert!(end.success(), "{end}\n{}", self.daemon.log());
        assert!(!self.socket().exists(), "the socket is removed");
    }

    /// Keeps the folder beyond the end.
    pub fn keep(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    /// The folder with configuration, socket, store and log.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.file("control.sock")
    }

    /// Asks the daemon.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn request(&self, verb: &str, args: Value) -> Result<Value, ControlError> {
        Client::connect(&self.socket())?.request(verb, arguments(args), self.answer)
    }

    /// Asks the daemon, which must answer.
    ///
    /// # Panics
    /// When it does not.
    pub fn ask(&self, verb: &str, args: Value) -> Value {
        self.request(verb, args).unwrap_or_else(|error| panic!("asking for {verb}: {error}"))
    }

    /// A part of `status`, by its path.
    pub fn status(&self, path: &str) -> Option<Value> {
        self.request("status", json!({})).ok()?.pointer(path).cloned()
    }

    /// A number of `status`, by its path.
    pub fn count(&self, path: &str) -> u64 {
        self.status(path).as_ref().and_then(Value::as_u64).unwrap_or(0)
    }

    /// The document of a match, if there is one.
    pub fn document(&self, id: &str) -> Option<Value> {
        self.request("match", json!({ "match": id })).ok()
    }

    /// Every gap, ended or not.
    pub fn gaps(&self) -> Vec<Value> {
        self.ask("gaps", json!({})).as_array().cloned().unwrap_or_default()
    }

    /// Every committed event, line by line.
    ///
    /// # Panics
    /// When they cannot be read.
    pub fn event_stream(&self) -> Stream {
        let client = Client::connect(&self.socket()).expect("the control socket");
        client.stream("events", arguments(json!({ "since": 0 })), self.answer).expect("the events").1
    }

    /// Every committed event, in their order.
    ///
    /// # Panics
    /// When they cannot be read.
    pub fn events(&self) -> Vec<Value> {
        let mut stream = self.event_stream();
        let mut rows = Vec::new();
        while let Some(line) = stream.next_line(Some(self.answer)).expect("the events") {
            rows.push(serde_json::from_slice(&line).expect("an event in JSON"));
        }
        rows
    }

    /// Slots and pids of the workers that have a process; several may share one.
    pub fn workers(&self) -> Option<Vec<(u64, u32)>> {
        let workers = self.request("workers", json!({})).ok()?;
        let number = |worker: &Value, key: &str| worker.get(key)?.as_u64();
        let pair = |worker: &Value| Some((number(worker, "worker")?, number(worker, "pid")? as u32));
        Some(workers.as_array()?.iter().filter_map(pair).collect())
    }

    /// The recorder that is ready, if one is.
    pub fn ready_recorder(&self) -> Option<u32> {
        let ready = self.status("/recorder/state").is_some_and(|state| state == "ready");
        let mut children = process::children(self.daemon.pid()).into_iter();
        children.find(|pid| process::is_recorder(*pid)).filter(|_| ready)
    }

    /// Descriptors of the coordinator without those that its children cost: each process one, each worker and each service a channel.
    pub fn own_descriptors(&self) -> usize {
        let pid = self.daemon.pid();
        let processes = process::children(pid);
        let is_service = |pid: &&u32| process::is_recorder(**pid) || process::is_gateway(**pid);
        let services = processes.iter().filter(is_service).count();
        let channels = self.workers().map_or(0, |workers| workers.len()) + services;
        // The connection of our own question may still be open there.
        let counts = (0..10).map(|_| {
            std::thread::sleep(Duration::from_millis(5));
            process::descriptors(pid).len()
        });
        counts.min().unwrap_or(0).saturating_sub(processes.len() + channels)
    }

    /// How many more of those there are than `before`, once there has been time to close them.
    pub fn leaked_descriptors(&self, before: usize) -> usize {
        let until = Instant::now() + Duration::from_secs(3);
        loop {
            let leaked = self.own_descriptors().saturating_sub(before);
            if leaked == 0 || Instant::now() >= until {
                return leaked;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn arguments(args: Value) -> Map<String, Value> {
    if let Value::Object(map) = args { map } else { Map::new() }
}

/// Waits until none of this process's children is left.
///
/// # Panics
/// At the deadline.
pub fn wait_for_no_children(patience: Duration) {
    wait::until("the end of every child", patience, || {
        process::reap_children();
        process::children(std::process::id()).is_empty().then_some(())
    });
}
