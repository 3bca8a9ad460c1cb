//! From the channel to the loop: greeted, the configuration resolved, READY.

use super::greeting::{Greeted, Greeting};
use super::multiplex::Multiplex;
use super::scanner::{Parts, Scanner};
use super::upstream::{Plan, TlsPlan, Trust};
use crate::feed::diffusion::{AfterResume, Login, SessionConfig};
use crate::payload::{Limits, Trees};
use crate::wire::diffusion::tunnel::{Form, TunnelConfig};
use crate::wire::websocket::{self, Compress};
use jiff::tz::TimeZone;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use touchline_common::config::{Config, FeedConfig, Payload, Protocol, Strategy};
use touchline_common::failpoint::{self, Point};
use touchline_common::ipc::Channel;
use touchline_common::ipc::messages::worker::{FromWorker, ToWorker};
use touchline_common::logging::{self, LogHandle, Target, Who};
use touchline_common::model::SlotId;
use touchline_common::sys::signals::Signals;

/// How long a server that never pings may be silent before its heartbeat's rhythm is known.
const ZAP_IDLE_LIMIT: Duration = Duration::from_secs(120);
const INSECURE: &str = "`insecure` is set: any certificate is taken, so anybody in between can read and change what comes; \
                        name the authority in `ca_file` instead";
/// Topics that a worker needs beside its matches: the list's and the clock's.
const OWN_TOPICS: usize = 2;

/// Aliases of one connection at most, whatever is configured.
const ALIASES_MAX: usize = 1_000_000;

/// The channel to the coordinator.
pub type Control = Channel<ToWorker, FromWorker>;

/// Why a worker ended unasked. Its exit codes are the supervisor's: 1 failure, 2 configuration, 3 coordinator lost.
#[derive(Debug)]
pub enum ScanError {
    /// The kernel refused something.
    System {
        /// What was tried.
        operation: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// The configuration cannot be used.
    Config {
        /// What of it, and why.
        why: String,
    },
    /// The coordinator is gone, or speaks no language of ours.
    Coordinator {
        /// What happened.
        why: String,
    },
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScanError::System { operation, source } => write!(f, "{operation}: {source}"),
            ScanError::Config { why } => write!(f, "the configuration: {why}"),
            ScanError::Coordinator { why } => write!(f, "the coordinator: {why}"),
        }
    }
}

impl std::error::Error for ScanError {}

impl ScanError {
    /// The process's exit code.
    pub fn code(&self) -> u8 {
        match self {
            ScanError::System { .. } => 1,
            ScanError::Config { .. } => 2,
            ScanError::Coordinator { .. } => 3,
        }
    }

    pub(super) fn system(operation: &'static str) -> impl FnOnce(io::Error) -> ScanError {
        move |source| ScanError::System { operation, source }
    }

    pub(super) fn coordinator(error: impl fmt::Display) -> ScanError {
        ScanError::Coordinator { why: error.to_string() }
    }
}

/// Scans until it is told to stop. `slot` is what its command line says, for the log before the coordinator has spoken.
///
/// # Errors
/// [`ScanError`].
pub fn run(channel: OwnedFd, slot: SlotId) -> Result<(), ScanError> {
    // Before any thread: only the loop is to see signals. A terminal's interrupt goes to the whole group; the coordinator
    // decides what becomes of it.
    let signals = Signals::open_all().map_err(ScanError::system("blocking signals"))?;
    let mut greeted =
        Greeting::begin(channel).and_then(Greeting::wait).inspect_err(|error| tell_unwelcome(slot, error))?;
    let log = logging::init(
        Who::Worker(slot),
        &greeted.config.log.level,
        greeted.config.log.format,
        Target::Stderr,
    )
    .map_err(|error| ScanError::Config { why: format!("log: {error}") })?;
    let log_file = greeted.log_file.take();
    if let Some(file) = log_file {
        log.set_file(file);
    }
    let ran = scan(greeted, signals, log.clone());
    if let Err(error) = &ran {
        log::error!(error:% = error; "worker.failed");
    }
    log.flush(Duration::from_secs(1));
    ran
}

/// Without a welcome there is no word on the log yet: it goes to standard error, as it does by default.
fn tell_unwelcome(slot: SlotId, error: &ScanError) {
    let defaults = touchline_common::config::LogConfig::default();
    if let Ok(log) = logging::init(Who::Worker(slot), &defaults.level, defaults.format, Target::Stderr) {
        log::error!(error:% = error; "worker.failed");
        log.flush(Duration::from_secs(1));
    }
}

/// One worker in this process, or as many as the coordinator sends aboard.
fn scan(mut greeted: Greeted, signals: Signals, log: LogHandle) -> Result<(), ScanError> {
    match feed(&greeted)?.strategy {
        Strategy::Balanced | Strategy::Dumps => {
            let parts = parts(&mut greeted, Some(signals), log)?;
            ready(greeted.control, parts)?.run()
        }
        Strategy::Multiplex => {
            let mut process = Multiplex::new(signals, log)?;
            process.take_aboard(greeted)?;
            process.run()
        }
    }
}

/// What a scanner needs, from the configuration that it was greeted with. Without `signals` somebody else hears those of
/// the process.
pub(super) fn parts(
    greeted: &mut Greeted,
    signals: Option<Signals>,
    log: LogHandle,
) -> Result<Parts, ScanError> {
    let bookmark = greeted.bookmark.take();
    let feed = feed(greeted)?;
    let wrong = |why: String| ScanError::Config { why };
    let zone = TimeZone::get(&feed.feed_timezone)
        .map_err(|error| wrong(format!("feed_timezone of {}: {error}", feed.name)))?;
    Ok(Parts {
        signals,
        bookmark,
        log,
        feed: greeted.feed,
        feed_name: feed.name.clone(),
        slot: greeted.slot,
        generation: greeted.generation,
        trees: trees(&greeted.config, feed, zone)?,
        plan: plan(&greeted.config, feed)?,
        list_topic: feed.diffusion.list_topic.clone(),
        time_topic: feed.diffusion.time_topic.clone(),
        match_id: feed.diffusion.match_id.clone(),
        match_topics: feed.diffusion.match_topics.clone(),
        capacity: feed.worker_capacity() as usize,
        dump_every: match feed.strategy {
            Strategy::Dumps => Some(feed.diffusion.dump_every.get()),
            Strategy::Balanced | Strategy::Multiplex => None,
        },
        stale_after: feed.stale_after.get(),
        publish_deadline: greeted.config.limits.publish_deadline.get(),
    })
}

/// A scanner that has said READY.
pub(super) fn ready(mut control: Control, parts: Parts) -> Result<Scanner, ScanError> {
    control.send(&FromWorker::Ready, 0).map_err(ScanError::coordinator)?;
    failpoint::hit(Point::ReadySent);
    Scanner::new(control, parts).map_err(ScanError::system("making the loop"))
}

fn feed(greeted: &Greeted) -> Result<&FeedConfig, ScanError> {
    let none = || ScanError::Config { why: format!("there is no feed number {}", greeted.feed) };
    greeted.config.feed.get(usize::from(greeted.feed.0)).ok_or_else(none)
}

pub(super) fn trees(config: &Config, feed: &FeedConfig, zone: TimeZone) -> Result<Trees, ScanError> {
    let wrong =
        |error: &dyn fmt::Display| ScanError::Config { why: format!("mapping of {}: {error}", feed.name) };
    let over = (!feed.diffusion.mapping.is_empty()).then(|| {
        std::fs::read_to_string(&feed.diffusion.mapping)
            .map_err(|error| wrong(&format!("{}: {error}", feed.diffusion.mapping)))
    });
    let over = over.transpose()?;
    Trees::new(feed.diffusion.payload, over.as_deref(), limits(config), zone).map_err(|error| wrong(&error))
}

fn limits(config: &Config) -> Limits {
    Limits {
        nodes: config.limits.nodes as usize,
        depth: config.limits.depth as usize,
        topics: config.limits.topics as usize,
        ..Limits::default()
    }
}

pub(super) fn plan(config: &Config, feed: &FeedConfig) -> Result<Plan, ScanError> {
    Ok(Plan {
        authority: feed.url.authority(),
        session: session(config, feed),
        tls: tls(feed)?,
        tunnel: feed.url.transport.is_websocket().then(|| tunnel(config, feed)),
    })
}

fn session(config: &Config, feed: &FeedConfig) -> SessionConfig {
    let login = (!feed.username.is_empty())
        .then(|| Login { username: feed.username.clone(), password: feed.password.expose().to_owned() });
    let defaults = SessionConfig::default();
    let (ping_interval, idle_limit) = match feed.diffusion.protocol {
        Protocol::V4 => (defaults.ping_interval, defaults.idle_limit),
        // Nobody pings in the text form: the server's clock is its heartbeat, about each 55 s unless it says otherwise.
        Protocol::Zap => (None, ZAP_IDLE_LIMIT),
    };
    SessionConfig {
        login,
        login_topics: feed.diffusion.login_topics.clone(),
        ping_interval,
        idle_limit,
        subscribes_per_s: feed.subscribes_per_s.get(),
        max_subscriptions: feed.max_subscriptions as usize,
        max_aliases: max_aliases(config, feed),
        frame_limit: u32::try_from(config.limits.frame.get()).unwrap_or(u32::MAX),
        body_limit: config.limits.inflated.len(),
        body_ratio: config.limits.inflate_ratio as usize,
        after_resume: if feed.diffusion.resubscribe { AfterResume::Resubscribe } else { AfterResume::Keep },
        out_limit: config.limits.out_queue.len(),
        ..defaults
    }
}

fn tls(feed: &FeedConfig) -> Result<Option<TlsPlan>, ScanError> {
    if !feed.url.transport.has_tls() {
        return Ok(None);
    }
    let trust = if feed.insecure {
        log::warn!(feed = feed.name.as_str(), why = INSECURE; "worker.insecure");
        Trust::Anybody
    } else {
        Trust::Authorities { ca_file: feed.ca_file.clone() }
    };
    let wrong = |error| ScanError::Config { why: format!("{error} (feed {})", feed.name) };
    TlsPlan::new(&feed.url.host, &trust).map(Some).map_err(wrong)
}

fn tunnel(config: &Config, feed: &FeedConfig) -> TunnelConfig {
    TunnelConfig {
        form: match feed.diffusion.protocol {
            Protocol::V4 => Form::V4,
            Protocol::Zap => Form::Zap,
        },
        host: feed.url.authority(),
        path: feed.url.path.clone(),
        headers: feed.headers.expose().clone().into_iter().collect(),
        limits: websocket::Limits {
            frame: config.limits.frame.len(),
            message: config.limits.frame.len(),
            inflated: config.limits.inflated.len(),
            ratio: config.limits.inflate_ratio as usize,
        },
        // What we say is short, and a compressor takes more memory than all of it.
        compress: Compress::From(usize::MAX),
    }
}

/// Aliases that a connection may hold: one for each topic, and as many again for those that come while others go. What a
/// subscription to a branch brings is as many topics as one match may have.
fn max_aliases(config: &Config, feed: &FeedConfig) -> usize {
    let topics = config.limits.topics as usize;
    let most = match feed.diffusion.payload {
        Payload::Inplay => topics,
        Payload::TopicTree | Payload::Raw => topics.saturating_mul(feed.max_subscriptions as usize),
    };
    most.saturating_add(OWN_TOPICS).saturating_mul(2).min(ALIASES_MAX)
}

#[cfg(test)]
mod tests;
