//! From the channel to the loop: HELLO, WELCOME, the configuration resolved, READY.

use super::scanner::{Parts, Scanner};
use super::upstream::{Plan, TlsPlan, Trust};
use crate::feed::diffusion::{AfterResume, Login, SessionConfig};
use crate::tree::{Limits, Trees};
use crate::wire::diffusion::tunnel::{Form, TunnelConfig};
use crate::wire::websocket::{self, Compress};
use jiff::tz::TimeZone;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use touchline_common::config::{Config, FeedConfig, Payload, Protocol, Strategy};
use touchline_common::failpoint::{self, Point};
use touchline_common::ipc::messages::Hello;
use touchline_common::ipc::messages::worker::{FromWorker, ToWorker};
use touchline_common::ipc::{Channel, ChannelError, PROTO, ReadOutcome};
use touchline_common::logging::{self, LogHandle, Target, Who};
use touchline_common::model::{FeedId, Generation, SlotId};
use touchline_common::sys::signals::Signals;

/// The longest message from the coordinator, bytes: its configuration and the log's file are small.
const IN_LIMIT: u32 = 4 * 1024 * 1024;
/// Bytes that may wait for the coordinator; it reads them within a turn unless it is stopped.
const OUT_LIMIT: usize = 16 * 1024 * 1024;
/// How long the coordinator may take to answer.
const WELCOME_DEADLINE: Duration = Duration::from_secs(10);
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

    fn coordinator(error: impl fmt::Display) -> ScanError {
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
    let mut control: Control =
        Channel::new(channel, IN_LIMIT, OUT_LIMIT).map_err(ScanError::system("opening the channel"))?;
    let welcome = greet(&mut control).inspect_err(|error| tell_unwelcome(slot, error))?;
    let log = logging::init(
        Who::Worker(slot),
        &welcome.config.log.level,
        welcome.config.log.format,
        Target::Stderr,
    )
    .map_err(|error| ScanError::Config { why: format!("log: {error}") })?;
    if let Some(file) = welcome.log_file {
        log.set_file(file);
    }
    let ran =
        scan(control, signals, log.clone(), &welcome.config, welcome.feed, welcome.slot, welcome.generation);
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

struct Greeted {
    config: Config,
    feed: FeedId,
    slot: SlotId,
    generation: Generation,
    log_file: Option<OwnedFd>,
}

/// HELLO, and what comes back; the log's file may come before the welcome.
fn greet(control: &mut Control) -> Result<Greeted, ScanError> {
    let hello = Hello {
        proto_min: PROTO,
        proto_max: PROTO,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
    };
    control.send(&FromWorker::Hello(hello), 0).map_err(ScanError::coordinator)?;
    control.flush().map_err(ScanError::coordinator)?;
    failpoint::hit(Point::HelloSent);
    let deadline = Instant::now() + WELCOME_DEADLINE;
    let mut log_file = None;
    loop {
        match next_message(control, deadline)? {
            (ToWorker::LogFile, file) => log_file = file,
            (ToWorker::Welcome { welcome, feed, slot, generation }, _) => {
                let config = Config::from_child_json(&welcome.config)
                    .map_err(|error| ScanError::Config { why: error.to_string() })?;
                return Ok(Greeted { config, feed, slot, generation, log_file });
            }
            (other, _) => return Err(ScanError::coordinator(format!("{other:?} before its welcome"))),
        }
    }
}

fn next_message(control: &mut Control, deadline: Instant) -> Result<(ToWorker, Option<OwnedFd>), ScanError> {
    loop {
        if let Some((message, _, fd)) = control.next().map_err(ScanError::coordinator)? {
            return Ok((message, fd));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ScanError::coordinator(format!("no welcome within {WELCOME_DEADLINE:?}")));
        }
        wait_readable(control, left)?;
        if control.read().map_err(ScanError::coordinator)? == ReadOutcome::Closed {
            return Err(ScanError::coordinator("it closed the channel before its welcome"));
        }
    }
}

fn wait_readable(control: &Control, left: Duration) -> Result<(), ScanError> {
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(control.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(_) | Err(nix::Error::EINTR) => Ok(()),
        Err(errno) => {
            Err(ScanError::System { operation: "waiting for the coordinator", source: errno.into() })
        }
    }
}

fn scan(
    mut control: Control,
    signals: Signals,
    log: LogHandle,
    config: &Config,
    feed_id: FeedId,
    slot: SlotId,
    generation: Generation,
) -> Result<(), ScanError> {
    let wrong = |why: String| ScanError::Config { why };
    let feed = config
        .feed
        .get(usize::from(feed_id.0))
        .ok_or_else(|| wrong(format!("there is no feed number {feed_id}")))?;
    let zone = TimeZone::get(&feed.feed_timezone)
        .map_err(|error| wrong(format!("feed_timezone of {}: {error}", feed.name)))?;
    let trees = trees(config, feed, zone)?;
    let parts = Parts {
        signals,
        log,
        feed: feed_id,
        feed_name: feed.name.clone(),
        slot,
        generation,
        trees,
        plan: plan(config, feed)?,
        list_topic: feed.list_topic.clone(),
        time_topic: feed.time_topic.clone(),
        match_id: feed.match_id.clone(),
        match_topics: feed.match_topics.clone(),
        capacity: feed.worker_capacity() as usize,
        dump_every: match feed.strategy {
            Strategy::Dumps => Some(feed.dump_every.get()),
            Strategy::Balanced | Strategy::Multiplex => None,
        },
        stale_after: feed.stale_after.get(),
        publish_deadline: config.limits.publish_deadline.get(),
    };
    control.send(&FromWorker::Ready, 0).map_err(|error: ChannelError| ScanError::coordinator(error))?;
    failpoint::hit(Point::ReadySent);
    Scanner::new(control, parts).map_err(ScanError::system("making the loop"))?.run()
}

pub(super) fn trees(config: &Config, feed: &FeedConfig, zone: TimeZone) -> Result<Trees, ScanError> {
    let wrong =
        |error: &dyn fmt::Display| ScanError::Config { why: format!("mapping of {}: {error}", feed.name) };
    let over = (!feed.mapping.is_empty()).then(|| {
        std::fs::read_to_string(&feed.mapping).map_err(|error| wrong(&format!("{}: {error}", feed.mapping)))
    });
    let over = over.transpose()?;
    Trees::new(feed.payload, over.as_deref(), limits(config), zone).map_err(|error| wrong(&error))
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
    let (ping_interval, idle_limit) = match feed.protocol {
        Protocol::V4 => (defaults.ping_interval, defaults.idle_limit),
        // Nobody pings in the text form: the server's clock is its heartbeat, about each 55 s unless it says otherwise.
        Protocol::Zap => (None, ZAP_IDLE_LIMIT),
    };
    SessionConfig {
        login,
        login_topics: feed.login_topics.clone(),
        ping_interval,
        idle_limit,
        subscribes_per_s: feed.subscribes_per_s.get(),
        max_subscriptions: feed.max_subscriptions as usize,
        max_aliases: max_aliases(config, feed),
        frame_limit: u32::try_from(config.limits.frame.get()).unwrap_or(u32::MAX),
        body_limit: config.limits.inflated.len(),
        body_ratio: config.limits.inflate_ratio as usize,
        after_resume: if feed.resubscribe { AfterResume::Resubscribe } else { AfterResume::Keep },
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
        form: match feed.protocol {
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
    let most = match feed.payload {
        Payload::Inplay => topics,
        Payload::TopicTree | Payload::Raw => topics.saturating_mul(feed.max_subscriptions as usize),
    };
    most.saturating_add(OWN_TOPICS).saturating_mul(2).min(ALIASES_MAX)
}

#[cfg(test)]
mod tests;
