//! `touchline demo`: a simulated push server and the whole daemon on loopback, and the proof that what came out is true.
//!
//! The simulator runs on threads here, the daemon as a process of its own, exactly as `touchline run` starts it. Every document
//! that the recorder's document feed delivers is compared with the truth at its change number; at the end the documents, the
//! events and the odds are compared as a whole. `rooms` is the same for a server of rooms, `poll` for an HTTP API, `push` for a push server of JSON. Nothing here is used by the daemon.

pub mod poll;
mod progress;
pub mod push;
pub mod rooms;
mod sink;
mod subject;
mod table;
mod verdict;

use crate::cli::{DemoOptions, DemoSink, Keep, OutputFormat};
use nix::sys::signal::Signal;
use progress::Progress;
use serde_json::json;
use sink::Redis;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use subject::Subject;
use touchline_common::sys::signals::Signals;
use touchline_simulator::{Auditor, Options, Protocol, Simulator};
use verdict::{Machine, Verdict};

/// How long the daemon may take until every match is live.
const START_DEADLINE: Duration = Duration::from_secs(30);
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How long the documents may take to equal the truth once nothing changes any more.
const SETTLE_DEADLINE: Duration = Duration::from_secs(5);

/// The file with the certificate of the server's authority, in the demo's folder.
const AUTHORITY: &str = "ca.pem";

/// Why a demo could not be held, as a sentence: what another error becomes, for `map_err`.
fn because<E: fmt::Display>(what: &'static str) -> impl Fn(E) -> String + Copy {
    move |error| format!("{what}: {error}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All that was published is true, or it was ended by hand before anything was compared.
    Good,
    /// Something is not as it should be; what, was printed.
    Bad,
}

/// Holds the demo.
///
/// # Errors
/// A sentence when something could not be started or asked.
pub fn demo(options: &DemoOptions) -> Result<Outcome, String> {
    let mut signals = signals(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGWINCH])?;
    let folder = Folder::make(options)?;
    let outcome = hold(options, &folder, &mut signals);
    // What went wrong stands in the log that is there.
    folder.finish(*outcome.as_ref().unwrap_or(&Outcome::Bad));
    outcome
}

fn signals(wanted: &[Signal]) -> Result<Signals, String> {
    Signals::open(wanted).map_err(because("blocking signals"))
}

fn hold(options: &DemoOptions, folder: &Folder, signals: &mut Signals) -> Result<Outcome, String> {
    let machine = Machine::now();
    let ca_file = options.server.transport.has_tls().then(|| folder.path.join(AUTHORITY));
    let server = Options { ca_file, ..options.server.clone() };
    let simulator = Simulator::start(&server).map_err(because("the simulated server"))?;
    let auditor = Auditor::start(&folder.path.join("audit.sock"), simulator.truth())
        .map_err(because("listening for the document feed"))?;
    let redis = match options.sink {
        Some(DemoSink::Redis) => Some(Redis::start(&folder.path)?),
        None => None,
    };
    let configuration = subject::configuration(&folder.path, simulator.address(), options)
        + &redis.as_ref().map(Redis::configuration).unwrap_or_default();
    let mut subject = Subject::start(&folder.path, &configuration, Some(auditor.socket()))?;
    let mut progress = Progress::new(options.output);
    progress.started(&subject.page(), &folder.path, simulator.address(), options);
    if let Some(redis) = &redis {
        progress.sink(&redis.url());
    }

    let ready = subject.wait_ready(START_DEADLINE, signals)?;
    if ready == Waited::Interrupted {
        return interrupted(subject, simulator, &auditor, &mut progress);
    }
    let watched = watch(options, signals, &mut progress, &mut |progress| {
        progress.report(subject.look()?, &auditor.report(), &simulator.report());
        Ok(())
    })?;
    if watched == Waited::Interrupted {
        return interrupted(subject, simulator, &auditor, &mut progress);
    }
    simulator.pause();
    let verdict = Verdict::reach(&subject, redis.as_ref(), &auditor, &simulator, SETTLE_DEADLINE)?;
    let exit = subject.stop()?;
    let server = simulator.stop();
    Ok(verdict.report(&mut progress, &server, exit, options, machine))
}

/// Reports each second until the demo's time is over, or it is ended by hand.
fn watch<S>(
    options: &DemoOptions<S>,
    signals: &mut Signals,
    progress: &mut Progress,
    report: &mut dyn FnMut(&mut Progress) -> Result<(), String>,
) -> Result<Waited, String> {
    let end = options.duration.map(|duration| Instant::now() + duration);
    let mut next = Instant::now() + REPORT_EVERY;
    loop {
        match wait(end.map_or(next, |end| end.min(next)), signals) {
            Waited::Interrupted => return Ok(Waited::Interrupted),
            Waited::Resized => {
                progress.resized();
                continue;
            }
            Waited::Time => {}
        }
        report(progress)?;
        next = Instant::now() + REPORT_EVERY;
        // With an end of its own it goes on: the exit code still says whether all was true.
        if end.is_none() && progress.is_closed() {
            return Ok(Waited::Interrupted);
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            return Ok(Waited::Time);
        }
    }
}

/// Ended by hand: everything is stopped in order, nothing is compared.
fn interrupted(
    subject: Subject,
    simulator: touchline_simulator::server::Handle,
    auditor: &Auditor,
    progress: &mut Progress,
) -> Result<Outcome, String> {
    // Ctrl-C reaches the daemon, too: then it may not answer any more.
    progress.interrupted(subject.look().ok(), &auditor.report(), &simulator.report());
    subject.stop()?;
    simulator.stop();
    Ok(Outcome::Good)
}

/// Runs the simulated server alone until a signal.
///
/// # Errors
/// A sentence.
pub fn simulate(server: &Options, output: OutputFormat) -> Result<Outcome, String> {
    let mut signals = signals(&[Signal::SIGINT, Signal::SIGTERM])?;
    let simulator = Simulator::start(server).map_err(because("the simulated server"))?;
    let mut progress = Progress::new(output);
    let url = format!("{}://{}", server.transport.scheme(), simulator.address());
    let truth = simulator.truth_address().map(|truth| format!("http://{truth}"));
    match output {
        OutputFormat::Json => {
            let protocol = match server.protocol {
                Protocol::V4 => "v4",
                Protocol::Zap => "zap",
            };
            let line = json!({"server": url, "protocol": protocol, "seed": server.seed,
                "ca_file": server.ca_file, "truth": truth});
            progress.line(&line.to_string());
        }
        OutputFormat::Text => started(server, &url, truth.as_deref(), &mut progress),
    }
    while wait(Instant::now() + Duration::from_secs(5), &mut signals) != Waited::Interrupted {
        progress.server(&simulator.report());
        if progress.is_closed() {
            break;
        }
    }
    progress.server(&simulator.stop());
    Ok(Outcome::Good)
}

/// How to reach the simulated server, for people.
fn started(server: &Options, url: &str, truth: Option<&str>, progress: &mut Progress) {
    progress.line(&format!("push server at {url}{} seed={}", spoken(server.protocol), server.seed));
    match &server.ca_file {
        Some(path) => progress.line(&format!("CA certificate in {}", path.display())),
        None if server.transport.has_tls() => progress.line(
            "no client trusts its certificate: use --ca-file FILE and name that file in the feed's ca_file, or set insecure = true there",
        ),
        None => {}
    }
    if let Some(truth) = truth {
        progress.line(&format!("ground truth at {truth}"));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    /// The time is over, or what was waited for is there.
    Time,
    /// The terminal has another size.
    Resized,
    /// A signal asks us to end.
    Interrupted,
}

fn wait(until: Instant, signals: &mut Signals) -> Waited {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    loop {
        match signals.take() {
            Some((Signal::SIGWINCH, _)) => return Waited::Resized,
            Some(_) => return Waited::Interrupted,
            None => {}
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Waited::Time;
        }
        let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        // An interrupted poll is looked at again; its error changes nothing.
        let _ = poll(&mut polled, timeout);
    }
}

/// The demo's folder: temporary unless one was named or it is to stay. It stays, too, when something was wrong.
struct Folder {
    path: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Folder {
    fn make<S>(options: &DemoOptions<S>) -> Result<Folder, String> {
        let failed = because("making the demo's folder");
        if let Some(path) = &options.dir {
            std::fs::create_dir_all(path).map_err(failed)?;
            let path = path.canonicalize().map_err(failed)?;
            return Ok(Folder { path, temporary: None });
        }
        let temporary = tempfile::Builder::new().prefix("touchline-demo-").tempdir().map_err(failed)?;
        let path = temporary.path().to_owned();
        Ok(match options.keep {
            Keep::Yes => Folder { path: temporary.keep(), temporary: None },
            Keep::No => Folder { path, temporary: Some(temporary) },
        })
    }

    fn finish(self, outcome: Outcome) {
        if let (Outcome::Bad, Some(temporary)) = (outcome, self.temporary) {
            let _ = temporary.keep();
        }
    }
}

/// What is printed of the protocol beside the address: nothing of the usual one.
fn spoken(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::V4 => "",
        Protocol::Zap => " (zap)",
    }
}
