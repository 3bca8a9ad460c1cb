//! What a sink's thread does next. Pure: times and outcomes in, steps out.
//!
//! `Connecting` → `Delivering` → (a failure) `BackingOff` → `Connecting` …; a stop ends all of them. The match stream always goes first:
//! what waits in the bulk stream delays it by one batch at most. A failure ends when something was delivered again or the connection has
//! stood for [`STANDS`]: a server that lets in and refuses every row is tried less and less often. Called by `thread` alone.

use super::Position;
use super::lag::Lag;
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::data::{PerStream, Stream};

/// The first wait after a failure; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(250);
/// A connection on which so long nothing failed is a good one, though nothing was there to deliver.
const STANDS: Duration = Duration::from_secs(5);
/// How often documents that changed are looked for: each look goes through the list of all.
const DOCUMENTS: Duration = Duration::from_millis(250);
/// How long the store is left alone that could not be read.
const UNREADABLE: Duration = Duration::from_secs(2);
/// The least time between two log lines about a sink that is down,
const LOG_DOWN: Duration = Duration::from_secs(10);
/// and between two about one that stays so.
const LOG_STILL_DOWN: Duration = Duration::from_secs(60);

/// Times of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The longest wait before another attempt.
    pub retry_max: Duration,
    /// A sink that is down for longer is a reason of `health`,
    pub down_after: Duration,
    /// and so is one that is further behind.
    pub lag_after: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Delivering { since: Instant },
    BackingOff { until: Instant },
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    /// Rows of this stream are to be read from the position on.
    Deliver(Stream),
    Documents,
    /// There is nothing to do until rows come.
    Idle,
    Wait(Duration),
    Stop,
}

/// What is worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    Up,
    Down { error: String, retry: Duration },
}

#[derive(Debug)]
struct Failing {
    since: Instant,
    attempts: u32,
    /// Whether the log has it.
    is_logged: bool,
}

#[derive(Debug)]
pub(super) struct Driver {
    timing: Timing,
    /// Which streams it takes rows of.
    takes: PerStream<bool>,
    /// When to look for documents; `None`: it takes none.
    documents_at: Option<Instant>,
    state: State,
    position: Position,
    lag: PerStream<Lag>,
    /// Until when the store is not asked for rows that it could not give.
    unreadable: PerStream<Option<Instant>>,
    failing: Option<Failing>,
    /// The newest error, kept for whoever asks later.
    error: String,
    was_up: bool,
    logged_down: Option<Instant>,
    delivered: u64,
    refused: u64,
}

impl Driver {
    /// Not connected yet. `documents`: when to look for them first, if the sink takes them.
    pub(super) fn new(
        timing: Timing,
        takes: PerStream<bool>,
        documents: Option<Instant>,
        position: Position,
    ) -> Driver {
        Driver {
            timing,
            takes,
            documents_at: documents,
            state: State::Connecting,
            position,
            lag: PerStream::default(),
            unreadable: PerStream::default(),
            failing: None,
            error: String::new(),
            was_up: false,
            logged_down: None,
            delivered: 0,
            refused: 0,
        }
    }

    /// These are the newest committed rows.
    pub(super) fn see(&mut self, now: Instant, newest: PerStream<i64>) {
        for stream in [Stream::Match, Stream::Bulk] {
            let (newest, position) = (*newest.get(stream), self.position.seq.of(stream));
            if *self.takes.get(stream) {
                self.lag.of(stream).see(now, newest, *position);
            } else {
                // Should it take them one day, it begins with that day.
                *position = newest;
            }
        }
    }

    pub(super) fn next(&mut self, now: Instant) -> (Step, Option<News>) {
        match self.state {
            State::Stopped => (Step::Stop, None),
            State::BackingOff { until } if now < until => (Step::Wait(until - now), None),
            State::BackingOff { .. } | State::Connecting => {
                self.state = State::Connecting;
                (Step::Connect, None)
            }
            State::Delivering { since } => {
                let news = if now >= since + STANDS { self.is_well() } else { None };
                (self.work(now), news)
            }
        }
    }

    fn work(&mut self, now: Instant) -> Step {
        let waits = |stream: Stream| {
            let is_unreadable = self.unreadable.get(stream).is_some_and(|until| now < until);
            self.lag.get(stream).waits() && !is_unreadable
        };
        let (matches, bulk) = (waits(Stream::Match), waits(Stream::Bulk));
        if matches {
            return Step::Deliver(Stream::Match);
        }
        if self.documents_at.is_some_and(|at| now >= at) {
            self.documents_at = Some(now + DOCUMENTS);
            return Step::Documents;
        }
        if bulk { Step::Deliver(Stream::Bulk) } else { Step::Idle }
    }

    /// More documents wait than were sent at once.
    pub(super) fn more_documents(&mut self, now: Instant) {
        self.documents_at = self.documents_at.map(|_| now);
    }

    /// The store did not give a stream's rows; it is asked again after a while, and the other stream goes on.
    pub(super) fn unreadable(&mut self, now: Instant, stream: Stream, error: String) {
        *self.unreadable.of(stream) = Some(now + UNREADABLE);
        self.error = error;
    }

    /// There is a connection, on which it goes on from there.
    pub(super) fn connected(&mut self, now: Instant, position: Position) -> Option<News> {
        self.position = position;
        self.state = State::Delivering { since: now };
        self.more_documents(now);
        let first = !std::mem::replace(&mut self.was_up, true) && self.failing.is_none();
        first.then_some(News::Up)
    }

    /// Rows of a stream up to `seq` are read and settled, so many of them delivered and refused; rows of other lanes are neither.
    pub(super) fn settled(
        &mut self,
        stream: Stream,
        seq: i64,
        (delivered, refused): (u64, u64),
        mark: Option<String>,
    ) -> Option<News> {
        let position = self.position.seq.of(stream);
        *position = seq.max(*position);
        self.lag.of(stream).settle(*position);
        self.set_mark(mark);
        self.delivered += delivered;
        if delivered + refused > 0 { self.is_well() } else { None }
    }

    /// Something was delivered, or could have been.
    pub(super) fn is_well(&mut self) -> Option<News> {
        let failing = self.failing.take()?;
        self.was_up = true;
        failing.is_logged.then_some(News::Up)
    }

    /// It could not connect or deliver.
    pub(super) fn failed(&mut self, now: Instant, error: String) -> Option<News> {
        if self.state == State::Stopped {
            return None;
        }
        let failing = self.failing.get_or_insert(Failing { since: now, attempts: 0, is_logged: false });
        let wait = FIRST.saturating_mul(1 << failing.attempts.min(16)).min(self.timing.retry_max);
        failing.attempts = failing.attempts.saturating_add(1);
        self.state = State::BackingOff { until: now + wait };
        let pause = if failing.is_logged { LOG_STILL_DOWN } else { LOG_DOWN };
        let is_due = self.logged_down.is_none_or(|at| now >= at + pause);
        if is_due {
            failing.is_logged = true;
            self.logged_down = Some(now);
        }
        self.error.clone_from(&error);
        is_due.then_some(News::Down { error, retry: wait })
    }

    /// Tells rows of a stream again from there, or leaves some out; never beyond `newest`.
    pub(super) fn rewind(&mut self, stream: Stream, since: i64, newest: i64) {
        *self.position.seq.of(stream) = since.min(newest);
        *self.lag.of(stream) = Lag::default();
        *self.unreadable.of(stream) = None;
    }

    /// This is where it was left.
    pub(super) fn take_up(&mut self, position: Position) {
        self.position = position;
    }

    /// The mark that belongs to its position, if it is another now.
    pub(super) fn set_mark(&mut self, mark: Option<String>) {
        if let Some(mark) = mark {
            self.position.mark = mark;
        }
    }

    /// The newest row of the match stream that it knows of.
    pub(super) fn seen(&self) -> i64 {
        self.lag.matches.newest()
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// So many rows were ever refused for good.
    pub(super) fn count_refused(&mut self, total: u64) {
        self.refused = total;
    }

    pub(super) fn stop(&mut self) {
        self.state = State::Stopped;
    }

    pub(super) fn position(&self) -> &Position {
        &self.position
    }

    pub(super) fn show(&self, now: Instant) -> Shown {
        let since = |at: Option<Instant>| at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let lag = since(self.lag.matches.since()).max(since(self.lag.bulk.since()));
        let down = since(self.failing.as_ref().map(|failing| failing.since));
        let trouble = if down >= self.timing.down_after && self.failing.is_some() {
            format!("down for {} s: {}", down.as_secs(), self.error)
        } else if lag >= self.timing.lag_after {
            format!("{} s behind", lag.as_secs())
        } else {
            String::new()
        };
        let (state, retry) = match self.state {
            State::Connecting => ("connecting", None),
            State::Delivering { .. } => ("delivering", None),
            State::BackingOff { until } => ("backing off", Some(until.saturating_duration_since(now))),
            State::Stopped => ("stopped", None),
        };
        Shown {
            state,
            lag_rows: self.lag.matches.rows().saturating_add(self.lag.bulk.rows()),
            lag,
            delivered: self.delivered,
            refused: self.refused,
            error: self.error.clone(),
            retry,
            trouble,
        }
    }
}

/// A sink as `status` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) state: &'static str,
    pub(super) lag_rows: u64,
    pub(super) lag: Duration,
    pub(super) delivered: u64,
    pub(super) refused: u64,
    pub(super) error: String,
    pub(super) retry: Option<Duration>,
    pub(super) trouble: String,
}
