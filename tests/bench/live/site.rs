//! The daemon that is measured, in a folder of its own.

use super::feed;
use super::ledger::Ledger;
use super::pulse::LIST;
use crate::error::{BenchError, While};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Map, Value};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use touchline_common::control::Client;
use touchline_harness::process;

const ANSWER: Duration = Duration::from_secs(10);
const END: Duration = Duration::from_secs(30);

/// How the daemon is configured.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Subscriptions per connection.
    pub cap: usize,
    /// Workers at most.
    pub workers: usize,
    /// More lines of the feed's part.
    pub feed: &'static str,
    /// More lines at the end: sections of their own.
    pub more: &'static str,
    /// Whether what it publishes is read.
    pub documents: Documents,
}

/// Whether what the recorder publishes is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Documents {
    /// It is, which costs the recorder something.
    Read,
    /// As users have it.
    Unread,
}

/// A running daemon. Dropping it ends it.
pub struct Site {
    child: Child,
    folder: TempDir,
}

/// A scanning worker.
#[derive(Clone, Copy, Debug)]
pub struct Worker {
    /// Its number.
    pub number: u64,
    /// Its pid.
    pub pid: u32,
    /// Its matches.
    pub matches: u64,
    /// Its subscriptions: one more than its matches if it holds the list.
    pub subscriptions: u64,
}

/// The processes of a daemon.
#[derive(Clone, Debug)]
pub struct Pids {
    /// The scanning workers.
    pub workers: Vec<Worker>,
    /// The parent of all.
    pub coordinator: u32,
    /// The others: the recorder.
    pub others: Vec<u32>,
}

impl Site {
    /// Starts a daemon in a folder of its own.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(
        program: &Path,
        server: SocketAddr,
        setup: Setup,
        ledger: &Arc<Ledger>,
    ) -> Result<Site, BenchError> {
        let Setup { cap, workers, feed, more, documents } = setup;
        let sections = format!(
            "[pool]\nmax_workers = {workers}\n\
             [[feed]]\nname = \"bench\"\nkind = \"diffusion\"\nurl = \"dpt://{server}\"\nlist_topic = \"{LIST}\"\n\
             match_id = \"{{ID}}\"\nmatch_topics = [\"6V{{ID}}\"]\nmax_subscriptions = {cap}\nmax_connections = {workers}\n{feed}\n{more}\n",
        );
        Site::configured(program, &sections, |command, path| match documents {
            Documents::Read => feed::attach(command, path, ledger),
            Documents::Unread => Ok(()),
        })
    }

    /// Starts a daemon in a folder of its own with these sections of its configuration; `prepare` adds to its command, given the folder.
    ///
    /// # Errors
    /// When it does not start.
    pub fn configured(
        program: &Path,
        sections: &str,
        prepare: impl FnOnce(&mut Command, &Path) -> Result<(), BenchError>,
    ) -> Result<Site, BenchError> {
        let folder =
            tempfile::Builder::new().prefix("touchline-bench-").tempdir().during("making a folder")?;
        let path = folder.path();
        let config = path.join("touchline.toml");
        let text = format!(
            "[daemon]\nrun_dir = \"{0}\"\nstate_dir = \"{0}\"\n[log]\nlevel = \"warn\"\n{sections}",
            path.display(),
        );
        fs::write(&config, text).during("writing the configuration")?;
        let log = File::create(path.join("log")).during("making the log")?;
        let mut command = Command::new(program);
        command
            .arg("run")
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        prepare(&mut command, path)?;
        let child = command.spawn().during("starting the daemon")?;
        Ok(Site { child, folder })
    }

    /// Its folder, which holds its store.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in its folder.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Asks it.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask(&self, verb: &str) -> Result<Value, BenchError> {
        Client::connect(&self.path("control.sock"))
            .and_then(|mut client| client.request(verb, Map::new(), ANSWER))
            .during(verb)
    }

    /// Waits until so many matches are live; how long it took since it was called.
    ///
    /// # Errors
    /// When the time is over.
    pub fn wait_live(&self, matches: usize, patience: Duration) -> Result<Duration, BenchError> {
        let began = Instant::now();
        loop {
            let status = self.ask("status");
            let live = status.as_ref().ok().and_then(|status| status.pointer("/matches/live")?.as_u64());
            if live == Some(matches as u64) {
                return Ok(began.elapsed());
            }
            if began.elapsed() >= patience {
                let log = fs::read_to_string(self.path("log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(3).collect();
                let why =
                    format!("{live:?} of {matches} are live after {patience:?}; its log ends: {last:?}");
                return Err(BenchError::new("waiting for the matches", why));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it says of its recorder.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn recorder(&self) -> Result<String, BenchError> {
        let status = self.ask("status")?;
        Ok(status.get("recorder").map(Value::to_string).unwrap_or_default())
    }

    /// Its processes.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn pids(&self) -> Result<Pids, BenchError> {
        let answer = self.ask("workers")?;
        let number = |worker: &Value, name: &str| worker.get(name).and_then(Value::as_u64);
        let workers: Vec<Worker> = answer
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|worker| {
                Some(Worker {
                    number: number(worker, "worker")?,
                    pid: u32::try_from(number(worker, "pid")?).ok()?,
                    matches: number(worker, "matches")?,
                    subscriptions: number(worker, "subscriptions")?,
                })
            })
            .collect();
        if workers.is_empty() {
            return Err(BenchError::new("asking for the workers", "there are none"));
        }
        let coordinator = self.child.id();
        let others = process::children(coordinator)
            .into_iter()
            .filter(|pid| workers.iter().all(|worker| worker.pid != *pid))
            .collect();
        Ok(Pids { workers, coordinator, others })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let deadline = Instant::now() + END;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
