//! The recorder: the one process that owns everything that leaves the workers.
//!
//! `ledger` is pure: observations in, events out. `store` is the thread that runs the ledgers and owns SQLite, `bulk` the one of the
//! bulk stream with its `hours` files. The mio loop (`run`) reads the channels (`links`), holds the `documents`, feeds their readers
//! (`feed`) and never waits for a disk; `thread` is what it and the two threads say to each other; `query` answers operators from
//! committed rows, `replay` goes through those of one match, `sink` sends them on.

pub mod bulk;
pub mod config;
mod control;
pub mod documents;
mod error;
mod feed;
mod files;
pub mod hours;
pub mod ledger;
mod link;
mod links;
pub mod query;
pub mod queue;
mod readers;
pub mod replay;
mod run;
pub mod sink;
pub mod sqlite;
pub mod store;
#[cfg(test)]
mod tests;
pub mod thread;
mod time;
mod waiting;

pub use error::RecordError;

use config::RecordConfig;
use control::ControlChannel;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use run::{CONTROL, Recorder};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::config::Config;
use touchline_common::failpoint::{self, Point};
use touchline_common::ipc::messages::recorder::{FromRecorder, ToRecorder};
use touchline_common::ipc::messages::{Hello, Welcome};
use touchline_common::ipc::{Channel, PROTO, ReadOutcome};
use touchline_common::logging::{self, LogHandle, Target, Who};
use touchline_common::sys::signals::Signals;
use touchline_common::sys::watchdog::{self, Watchdog};

/// The longest message of the coordinator, bytes; the configuration is one.
const CONTROL_LIMIT: u32 = 4 * 1024 * 1024;
/// Bytes that may wait for a coordinator that does not read; beyond it messages wait one by one.
const CONTROL_OUT: usize = 1024 * 1024;
/// How long the coordinator may take to answer the hello.
const WELCOME: Duration = Duration::from_secs(10);
/// How long the last log lines may take to be written.
const LOG_FLUSH: Duration = Duration::from_secs(1);

/// The recorder's whole life as a process: from the hello on `channel`, the socket to the coordinator, to the last commit.
///
/// # Errors
/// [`RecordError`] when it cannot start or the channel is broken; asked to stop or at the end of the channel it
/// returns `Ok`.
pub fn run(channel: OwnedFd) -> Result<(), RecordError> {
    // Before any thread. The coordinator ends it, by a message or by its own end; a terminal's interrupt, which goes to the
    // whole group, must not cut the last commit off.
    let _signals =
        Signals::open_all().map_err(|source| RecordError::Kernel { operation: "block signals", source })?;
    let mut begun = None;
    let begin_logging = |config: &Config| {
        let log = &config.log;
        begun = logging::init(Who::Recorder, &log.level, log.format, Target::Stderr).ok();
        begun.clone()
    };
    let ran = live(channel, begin_logging, watch);
    if let Err(error) = &ran {
        if begun.is_none() {
            // Without a welcome there is no word on the log yet: it goes to standard error, as it does by default.
            let log = touchline_common::config::LogConfig::default();
            begun = logging::init(Who::Recorder, &log.level, log.format, Target::Stderr).ok();
        }
        log::error!(error:% = error; "recorder.failed");
    }
    if let Some(log) = begun {
        log.flush(LOG_FLUSH);
    }
    ran
}

/// Without a watchdog the coordinator still sees a loop that hangs, a little later.
fn watch() -> Option<Watchdog> {
    let armed = Watchdog::arm("recorder", watchdog::PERIOD);
    armed.inspect_err(|error| log::warn!(error:% = error; "recorder.unwatched")).ok()
}

fn live(
    channel: OwnedFd,
    begin_logging: impl FnOnce(&Config) -> Option<LogHandle>,
    watch: impl FnOnce() -> Option<Watchdog>,
) -> Result<(), RecordError> {
    let kernel = |operation| move |source| RecordError::Kernel { operation, source };
    let mut control =
        ControlChannel::new(channel, CONTROL_LIMIT, CONTROL_OUT).map_err(kernel("use its channel"))?;
    let poll = Poll::new().map_err(kernel("make a poller"))?;
    let raw = control.as_raw_fd();
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut SourceFd(&raw), CONTROL, interest).map_err(kernel("poll its channel"))?;
    let Some(greeted) = greet(&mut control, poll)? else { return Ok(()) };
    let config = Config::from_child_json(&greeted.welcome.config)
        .map_err(|error| RecordError::Config { what: error.to_string() })?;
    let logs = begin_logging(&config);
    if let (Some(logs), Some(file)) = (&logs, greeted.log_file) {
        logs.set_file(file);
    }
    let config = Arc::new(RecordConfig::new(&config));
    let parent = parent();
    let opened = store::open(&config, &parent).and_then(|opened| {
        let bulk = bulk::Bulk::open(&opened.config, &parent)?;
        Ok((opened, bulk))
    });
    let (store, bulk) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let _ = control.send(&FromRecorder::Leaving { why: error.to_string() }, 0);
            let _ = control.flush();
            return Err(error);
        }
    };
    let recorder = Recorder::start(greeted.poll, control, store, bulk, logs)?;
    // Only now: the store may take its time to open.
    recorder.turn_until_done(watch().as_ref())
}

struct Greeted {
    poll: Poll,
    welcome: Welcome,
    log_file: Option<OwnedFd>,
}

/// Sends the hello and waits for the welcome, before which the log's file may come; `None` when the coordinator is gone.
fn greet(
    control: &mut Channel<ToRecorder, FromRecorder>,
    mut poll: Poll,
) -> Result<Option<Greeted>, RecordError> {
    let hello = Hello {
        proto_min: PROTO,
        proto_max: PROTO,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
    };
    let unusable = |what: String| RecordError::Control { what };
    control.send(&FromRecorder::Hello(hello), 0).map_err(|error| unusable(error.to_string()))?;
    failpoint::hit(Point::RecordHello);
    let until = Instant::now() + WELCOME;
    let mut events = Events::with_capacity(4);
    let mut log_file = None;
    loop {
        // A coordinator that is gone is seen by reading.
        let _ = control.flush();
        let outcome = control.read().map_err(|error| unusable(error.to_string()))?;
        while let Some((message, _, file)) = control.next().map_err(|error| unusable(error.to_string()))? {
            if message == ToRecorder::LogFile {
                log_file = file;
                continue;
            }
            let ToRecorder::Welcome(welcome) = message else {
                return Err(unusable(format!("{message:?} instead of a welcome")));
            };
            if welcome.proto != PROTO {
                return Err(unusable(format!("it wants version {}", welcome.proto)));
            }
            return Ok(Some(Greeted { poll, welcome, log_file }));
        }
        if outcome == ReadOutcome::Closed {
            return Ok(None);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(unusable("no welcome came".into()));
        }
        match poll.poll(&mut events, Some(left)) {
            Err(source) if source.kind() != std::io::ErrorKind::Interrupted => {
                return Err(RecordError::Kernel { operation: "poll", source });
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// The coordinator's process by its pid and start, so that an upgrade in place keeps it and another start does not.
fn parent() -> String {
    let pid = std::os::unix::process::parent_id();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in the second field may hold anything but ends with the last parenthesis; the start is field 22.
    let start = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19));
    format!("{pid}-{}", start.unwrap_or("?"))
}
