//! The daemon under test: its configuration, its process, and the questions that any operator could ask it.

use super::{AUTHORITY, Waited, because, wait};
use crate::cli::DemoOptions;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use touchline_common::control::views::{DaemonState, StatusView, WorkerView};
use touchline_common::control::{Client, ControlError, Stream};
use touchline_common::sys::signals::Signals;
use touchline_simulator::{Auditor, Protocol};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the daemon may take to end.
const END: Duration = Duration::from_secs(40);

pub struct Subject {
    process: Child,
    socket: PathBuf,
    log: PathBuf,
    /// Where the gateway listens.
    page: SocketAddr,
}

pub struct Look {
    pub status: StatusView,
    pub workers: Vec<WorkerView>,
}

impl Subject {
    /// Writes the configuration into `folder` and starts `touchline run` with it; its recorder tells `audit_socket`, if there is one,
    /// what it publishes.
    pub fn start(folder: &Path, configuration: &str, audit_socket: Option<&Path>) -> Result<Subject, String> {
        let config = folder.join("touchline.toml");
        let page = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|port| port.local_addr());
        let page = page.map_err(because("finding a free port for the page"))?;
        let configuration = format!("{configuration}\n[gateway]\nlisten = \"{page}\"\n");
        fs::write(&config, configuration).map_err(because("writing the demo's configuration"))?;
        let log = folder.join("touchline.log");
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(because("opening the demo's log"))?;
        let process = Command::new("/proc/self/exe")
            .args(["run", "--config"])
            .arg(&config)
            .envs(audit_socket.map(|socket| (Auditor::VARIABLE, socket)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(because("starting the daemon"))?;
        Ok(Subject { process, socket: folder.join("control.sock"), log, page })
    }

    /// Waits until the first list is placed and every match of it is live.
    pub fn wait_ready(&mut self, patience: Duration, signals: &mut Signals) -> Result<Waited, String> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.process.try_wait().map_err(because("waiting for the daemon"))? {
                let log = self.log.display();
                return Err(because("the daemon")(format!(
                    "it exited during its start ({status}); its log: {log}"
                )));
            }
            // Another one may answer there.
            let is_ours = |status: &StatusView| status.pid == self.process.id();
            if self.status().is_ok_and(|status| is_ours(&status) && is_live(&status)) {
                return Ok(Waited::Time);
            }
            if Instant::now() >= deadline {
                let error =
                    format!("some matches are not live after {patience:?}; its log: {}", self.log.display());
                return Err(because("the daemon")(error));
            }
            if wait(Instant::now() + Duration::from_millis(50), signals) == Waited::Interrupted {
                return Ok(Waited::Interrupted);
            }
        }
    }

    pub fn look(&self) -> Result<Look, String> {
        Ok(Look { status: self.status()?, workers: self.ask("workers")? })
    }

    pub fn status(&self) -> Result<StatusView, String> {
        self.ask("status")
    }

    /// The document of a match, if it has one.
    pub fn document(&self, id: &str) -> Result<Option<Value>, String> {
        match self.request("match", &[("match", id.into())]) {
            Ok(document) => Ok(Some(document)),
            Err(ControlError::Refused { .. }) => Ok(None),
            Err(error) => Err(because("asking for a document")(error)),
        }
    }

    /// Every event that is committed after `since`, in their order.
    pub fn events(&self, since: u64) -> Result<Stream, String> {
        let asked = Client::connect(&self.socket)
            .and_then(|client| client.stream("events", arguments(&[("since", since.into())]), ANSWER));
        asked.map(|(_, stream)| stream).map_err(because("asking for the events"))
    }

    fn ask<T: DeserializeOwned>(&self, verb: &str) -> Result<T, String> {
        let answer = self.request(verb, &[]).and_then(|answer| {
            serde_json::from_value(answer).map_err(|error| ControlError::BadAnswer(error.to_string()))
        });
        answer.map_err(|error| {
            format!("asking the daemon for {verb}: {error}; its log: {}", self.log.display())
        })
    }

    fn request(&self, verb: &str, args: &[(&str, Value)]) -> Result<Value, ControlError> {
        Client::connect(&self.socket)?.request(verb, arguments(args), ANSWER)
    }

    /// Asks it to stop and waits for its exit code.
    pub fn stop(mut self) -> Result<Option<i32>, String> {
        // Ctrl-C reaches it, too: then it may not answer any more, and its end is all that counts.
        let _ = self.request("stop", &[]);
        let deadline = Instant::now() + END;
        loop {
            match self.process.try_wait() {
                Ok(Some(status)) => return Ok(status.code()),
                Ok(None) if Instant::now() >= deadline => {
                    let error = format!("process {} is still running after {END:?}", self.process.id());
                    return Err(because("stopping the daemon")(error));
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => return Err(because("waiting for the daemon")(error)),
            }
        }
    }

    /// The folder of its store.
    pub fn folder(&self) -> &Path {
        self.socket.parent().unwrap_or(Path::new("."))
    }

    /// The address of the live page.
    pub fn page(&self) -> String {
        format!("http://{}/", self.page)
    }

    pub fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Subject {
    /// A demo that fails half-way leaves no daemon behind.
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

fn arguments(args: &[(&str, Value)]) -> Map<String, Value> {
    args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn is_live(status: &StatusView) -> bool {
    let matches = status.matches;
    status.state == DaemonState::Ready && matches.listed > 0 && matches.live == matches.listed
}

/// What a demo's daemon is configured with for matches.
pub fn configuration(folder: &Path, server: SocketAddr, options: &DemoOptions) -> String {
    let simulated = &options.server;
    let (scheme, cap) = (simulated.transport.scheme(), options.cap());
    let mut text = format!(
        "{}[[feed]]\nname = \"demo\"\nkind = \"diffusion\"\nurl = \"{scheme}://{server}\"\n\
         list_topic = \"OVInPlay_1_3\"\nmatch_id = \"{{ID}}\"\nmatch_topics = [\"6V{{ID}}\"]\n\
         max_subscriptions = {cap}\n",
        head(folder)
    );
    if simulated.transport.has_tls() {
        let authority = folder.join(AUTHORITY).display().to_string();
        text.push_str(&format!("ca_file = {}\n", toml_text(&authority)));
    }
    match simulated.protocol {
        Protocol::V4 => {}
        // Its clients name the server's clock in the login, and a token of the session.
        Protocol::Zap => text.push_str(
            "protocol = \"zap\"\nlogin_topics = [\"__time\", \"S_demo\"]\ntime_topic = \"__time\"\n",
        ),
    }
    text
}

/// Where the configuration of any demo begins.
pub fn head(folder: &Path) -> String {
    let folder = toml_text(&folder.display().to_string());
    format!("# Written by `touchline demo`.\n[daemon]\nrun_dir = {folder}\nstate_dir = {folder}\n\n")
}

fn toml_text(text: &str) -> String {
    // A TOML basic string takes the same escapes as JSON.
    Value::from(text).to_string()
}
