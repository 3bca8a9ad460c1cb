//! Log lines that never hurt: one `write` a line, at most 4096 bytes, through a bounded queue and one writing thread.
//!
//! Invariants: whoever logs never waits for a disk or a pipe; when the queue is full the line is dropped and counted,
//! and a line says so later; a closed pipe is no panic; no text from a feed can begin a line of its own (`line`).
//! The record's message is the event's name, its key-values follow: `log::info!(feed = f, match_id = m; "match.live")`;
//! the key `match_id` is written as `match`. Names are listed in `docs/log-events.md`.

mod line;
mod queue;

#[cfg(test)]
mod tests;

use crate::model::SlotId;
use env_filter::Filter;
use log::{Log, Metadata, Record};
use queue::Queue;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub use line::MAX_LINE;
pub use queue::MAX_WAITING;

/// How long a panic waits for its own line to be written.
const PANIC_FLUSH: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Time, level, who, name, `key=value`.
    #[default]
    Line,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// `coord`
    Coordinator,
    /// `w3`
    Worker(SlotId),
    /// `rec`
    Recorder,
    /// `gw`
    Gateway,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator => f.write_str("coord"),
            Self::Worker(slot) => write!(f, "w{slot}"),
            Self::Recorder => f.write_str("rec"),
            Self::Gateway => f.write_str("gw"),
        }
    }
}

#[derive(Debug)]
pub enum Target {
    /// Descriptor 2, whatever it is. Its flags are never changed: they are shared with the other processes.
    Stderr,
    File(OwnedFd),
}

/// Begins logging in this process and lets a panic write one line.
///
/// # Errors
/// A bad filter, no thread for writing, or logging that has begun already.
pub fn init(who: Who, filter: &str, format: LogFormat, target: Target) -> Result<LogHandle, LogError> {
    let (logger, handle) = build(who, filter, format, target)?;
    log::set_boxed_logger(Box::new(logger)).map_err(|_| LogError::Again)?;
    log::set_max_level(handle.shared.max_level());
    let for_panic = handle.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("no text");
        log::error!(at = at.as_str(), text = text; "process.panic");
        for_panic.flush(PANIC_FLUSH);
    }));
    Ok(handle)
}

/// Whether `filter` can be used.
///
/// # Errors
/// What is wrong with it.
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    parse_filter(filter).map(|_| ())
}

/// Opens a log file for appending, mode 0640, to be written by this process and those that it is passed to.
///
/// # Errors
/// Those of opening.
pub fn open_file(path: &Path) -> std::io::Result<OwnedFd> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    Ok(file.into())
}

/// What can be changed while the process runs. Cheap to clone.
#[derive(Clone)]
pub struct LogHandle {
    shared: Arc<Shared>,
}

impl LogHandle {
    /// Logs from now on by `filter`, written as `RUST_LOG` is.
    ///
    /// # Errors
    /// What is wrong with it; then nothing changes.
    pub fn set_filter(&self, filter: &str) -> Result<(), LogError> {
        let parsed = parse_filter(filter)?;
        *self.shared.filter.write().unwrap_or_else(PoisonError::into_inner) = parsed;
        log::set_max_level(self.shared.max_level());
        Ok(())
    }

    /// Writes to `file` from the next line on; the old one is closed.
    pub fn set_file(&self, file: OwnedFd) {
        self.shared.queue.set_out(Target::File(file));
    }

    /// What this process writes from now on is written as `who`: a process that runs several workers writes for each in turn.
    pub fn set_who(&self, who: Who) {
        let mut speaks = self.shared.who.write().unwrap_or_else(PoisonError::into_inner);
        *speaks = who;
    }

    /// Waits until everything logged so far is written, at most `deadline`. Gives whether it is.
    pub fn flush(&self, deadline: Duration) -> bool {
        self.shared.queue.flush(deadline)
    }

    /// Lines dropped so far, because the queue was full or they could not be written.
    pub fn dropped(&self) -> u64 {
        self.shared.queue.dropped()
    }
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogHandle").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

struct Shared {
    filter: RwLock<Filter>,
    who: Arc<RwLock<Who>>,
    queue: Arc<Queue>,
}

impl Shared {
    fn max_level(&self) -> log::LevelFilter {
        self.filter.read().unwrap_or_else(PoisonError::into_inner).filter()
    }
}

/// An `env_logger` that writes into the queue, behind a filter that can be changed: its own is fixed once built.
struct Logger {
    lines: env_logger::Logger,
    shared: Arc<Shared>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.shared.filter.read().unwrap_or_else(PoisonError::into_inner).enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.shared.filter.read().unwrap_or_else(PoisonError::into_inner).matches(record) {
            self.lines.log(record);
        }
    }

    fn flush(&self) {
        self.shared.queue.flush(PANIC_FLUSH);
    }
}

fn build(who: Who, filter: &str, format: LogFormat, target: Target) -> Result<(Logger, LogHandle), LogError> {
    let filter = RwLock::new(parse_filter(filter)?);
    let queue = Queue::start(who, format, target).map_err(LogError::Thread)?;
    let who = Arc::new(RwLock::new(who));
    let speaks = Arc::clone(&who);
    let lines = env_logger::Builder::new()
        .filter_level(log::LevelFilter::Trace)
        .write_style(env_logger::WriteStyle::Never)
        .format(move |out, record| {
            let who = *speaks.read().unwrap_or_else(PoisonError::into_inner);
            line::write(out, jiff::Timestamp::now(), who, format, record)
        })
        .target(env_logger::Target::Pipe(Box::new(queue::Entrance(Arc::clone(&queue)))))
        .build();
    let shared = Arc::new(Shared { filter, who, queue });
    Ok((Logger { lines, shared: Arc::clone(&shared) }, LogHandle { shared }))
}

fn parse_filter(filter: &str) -> Result<Filter, LogError> {
    if let Some(word) = misspelt_level(filter) {
        let expected = "expected error, warn, info, debug, trace, off or MODULE=LEVEL";
        return Err(LogError::Filter(format!("`{}` is not a level, {expected}", word.escape_debug())));
    }
    let mut builder = env_filter::Builder::new();
    builder.try_parse(filter).map_err(|error| LogError::Filter(error.to_string()))?;
    Ok(builder.build())
}

/// A word alone that is neither a level nor a module of ours: the filter's own grammar takes any such word for a module,
/// so that a slip of the pen would silence everything.
fn misspelt_level(filter: &str) -> Option<&str> {
    let directives = filter.split('/').next().unwrap_or_default();
    let mut words = directives.split(',').map(str::trim).filter(|word| !word.contains('='));
    words.find(|word| word.parse::<log::LevelFilter>().is_err() && !word.starts_with("touchline"))
}

/// Why there is no log.
#[derive(Debug)]
pub enum LogError {
    /// The filter cannot be read.
    Filter(String),
    /// The writing thread cannot be started.
    Thread(std::io::Error),
    /// Logging has begun already in this process.
    Again,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(why) => f.write_str(why),
            Self::Thread(error) => write!(f, "the log's thread cannot be started: {error}"),
            Self::Again => f.write_str("logging has begun already in this process"),
        }
    }
}

impl std::error::Error for LogError {}
