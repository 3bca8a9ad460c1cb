//! The worker: its parts, and its loop: wait, one turn, again.
//!
//! `turn` writes a turn out; its steps are in `reading` and `rendering`. `commands` is what the coordinator asks, `connection` what
//! the beginning and end of a connection mean, `listing` what the match list brings, `dumps` what is followed at the moment where
//! snapshots are taken in turn, `report` what the coordinator is told, `audits` looks for deltas that a server leaves out.

mod audits;
mod commands;
mod connection;
mod dumps;
mod listing;
mod reading;
mod rendering;
mod report;
#[cfg(test)]
mod tests;
mod turn;

pub use turn::Queues;

use super::coordinator::Control;
use super::error::ScanError;
use super::setup::Parts;
use crate::feed::Source;
use crate::net::{Readiness, Watch};
use crate::payload::Received;
use crate::scan::audit::Audits;
use crate::scan::book::Book;
use crate::scan::data_link::DataLink;
use crate::scan::lag::Lag;
use crate::scan::skipped::Skipped;
use crate::scan::window::Window;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use reading::News;
use report::Meter;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use touchline_common::failpoint::{self, Point};
use touchline_common::ipc::messages::worker::{FromWorker, ListChange};
use touchline_common::model::{Section, SlotId};

pub(super) const CONTROL: Token = Token(0);
pub(super) const SIGNALS: Token = Token(1);
/// A thread beside the loop has something for it; what it is shows in the next turn.
const WAKER: Token = Token(2);
/// The data channel's tokens count up from here, one per channel: a late event of an old one is no event of the new.
const FIRST_DATA: usize = 16;
/// The sockets of the source have the tokens from here on.
pub(super) const FIRST_SOURCE: usize = 1 << 32;
/// Observations that wait for the recorder, bytes: those of a burst of 5 s at ten times 20,000 diffs a second over six workers,
/// beside what the recorder commits meanwhile on a machine of two cores. Taken only while the recorder lags.
const OUTBOX_LIMIT: usize = 24 * 1024 * 1024;

/// Why the loop ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The coordinator asked for it.
    Asked,
    /// A signal to this worker alone.
    Signal,
    /// The coordinator is gone.
    Orphaned,
}

impl Ending {
    /// The exit code of a worker that ends so.
    pub(super) fn code(&self) -> u8 {
        match self {
            Ending::Asked | Ending::Signal => 0,
            Ending::Orphaned => 3,
        }
    }
}

/// Whether the coordinator knows all that the list told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListTold {
    /// It does.
    All,
    /// Changes were dropped because it did not read; a fresh load follows once it does.
    Part,
}

/// A scanning worker.
pub struct Worker {
    pub(super) poll: Poll,
    pub(super) control: Control,
    pub(super) parts: Parts,
    pub(super) source: Source,
    pub(super) link: DataLink,
    pub(super) link_token: Token,
    pub(super) link_watch: Option<Watch>,
    pub(super) control_watch: Watch,
    pub(super) book: Book,
    /// Under strategy `dumps`.
    pub(super) window: Option<Window>,
    pub(super) audits: Audits,
    /// When the rates of matches were last looked at.
    pub(super) rates_at: Instant,
    pub(super) meter: Meter,
    pub(super) skipped: Skipped,
    pub(super) lag: Lag,
    pub(super) sections: Vec<Section>,
    pub(super) list_changes: Vec<ListChange>,
    pub(super) list_told: ListTold,
    pub(super) follows_list: bool,
    /// Reused from turn to turn: what a read brought that the coordinator must know, and readiness asked for in between.
    pub(super) news: Vec<News>,
    pub(super) asked: Option<Events>,
    /// What an event said and a turn has not taken.
    pub(super) control_unread: bool,
    pub(super) data_unread: bool,
    /// The last message to the coordinator found no room; said once.
    pub(super) control_full: bool,
    pub(super) commands_seen: u64,
    pub(super) ending: Option<(Ending, Instant)>,
    /// Channels of further workers that this process is to run.
    pub(super) joining: Vec<OwnedFd>,
    pub(super) next_report: Instant,
    pub(super) report_now: bool,
    started: Instant,
}

impl Worker {
    /// A worker that says that it is ready.
    ///
    /// # Errors
    /// [`ScanError`]: the coordinator is gone, or the kernel gives no poll.
    pub fn ready(mut control: Control, parts: Parts) -> Result<Worker, ScanError> {
        control.send(&FromWorker::Ready, 0).map_err(ScanError::coordinator)?;
        failpoint::hit(Point::ReadySent);
        Worker::new(control, parts).map_err(ScanError::system("making the loop"))
    }

    /// A worker whose connection is tried in its first turn.
    ///
    /// # Errors
    /// When the kernel gives no poll.
    pub fn new(control: Control, mut parts: Parts) -> io::Result<Worker> {
        let poll = Poll::new()?;
        let registry = poll.registry();
        let control_watch = Watch::new(registry, control.as_raw_fd(), CONTROL)?;
        if let Some(signals) = &parts.signals {
            registry.register(&mut SourceFd(&signals.as_raw_fd()), SIGNALS, Interest::READABLE)?;
        }
        let waker = Arc::new(Waker::new(registry, WAKER)?);
        let now = Instant::now();
        let own = usize::from(!parts.list_topic.is_empty()) + usize::from(!parts.time_topic.is_empty());
        let room = parts.max_subscriptions.saturating_sub(own).max(1);
        let book = Book::new(parts.bookmark.take());
        Ok(Worker {
            window: parts.dump_every.map(|every| Window::new(room, every)),
            source: Source::new(parts.plan.clone(), Token(FIRST_SOURCE), waker, now),
            link: DataLink::new(parts.slot, parts.generation, OUTBOX_LIMIT),
            link_token: Token(FIRST_DATA),
            link_watch: None,
            control_watch,
            poll,
            control,
            parts,
            book,
            audits: Audits::default(),
            rates_at: now,
            meter: Meter::new(now),
            skipped: Skipped::default(),
            lag: Lag::default(),
            sections: Vec::new(),
            list_changes: Vec::new(),
            list_told: ListTold::All,
            follows_list: false,
            news: Vec::new(),
            asked: Some(Events::with_capacity(16)),
            control_unread: true,
            data_unread: false,
            control_full: false,
            commands_seen: 0,
            ending: None,
            joining: Vec::new(),
            next_report: now,
            report_now: true,
            started: now,
        })
    }

    /// Scans until the end.
    ///
    /// # Errors
    /// [`ScanError`]: the poll failed, or the coordinator is gone.
    pub fn run(mut self) -> Result<(), ScanError> {
        let mut events = Events::with_capacity(64);
        loop {
            failpoint::hit(Point::WorkerTurn);
            if let Some(ending) = self.step(&mut events, Duration::MAX)? {
                return self.leave(&ending);
            }
        }
    }

    /// Waits, at most `longest`, and does one turn; why the loop is over, once it is.
    pub(super) fn step(
        &mut self,
        events: &mut Events,
        longest: Duration,
    ) -> Result<Option<Ending>, ScanError> {
        let wait = self.wait().min(longest);
        let before = Instant::now();
        self.collect(events, wait)?;
        self.meter.waited(before.elapsed());
        self.turn();
        Ok(self.is_over())
    }

    /// Waits at most so long and remembers what is ready.
    pub(super) fn collect(&mut self, events: &mut Events, wait: Duration) -> Result<(), ScanError> {
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(ScanError::System { operation: "waiting for events", source: error });
            }
            Ok(()) | Err(_) => {}
        }
        self.note(events);
        Ok(())
    }

    /// Why the loop is over, once it is.
    pub(super) fn is_over(&mut self) -> Option<Ending> {
        let (ending, deadline) = self.ending.clone()?;
        (self.is_handed_over() || Instant::now() >= deadline).then_some(ending)
    }

    /// Remembers what is ready; a turn takes it.
    pub(super) fn note(&mut self, events: &Events) {
        for event in events {
            match event.token() {
                CONTROL => {
                    self.control_unread = true;
                    if event.is_read_closed() {
                        self.control.peer_closed();
                    }
                }
                SIGNALS => self.take_signals(),
                token if token.0 >= FIRST_SOURCE => self.source.note(token, Readiness::of(event)),
                token if token == self.link_token => {
                    self.data_unread = true;
                    if event.is_read_closed() {
                        self.link.peer_closed();
                    }
                }
                _ => {}
            }
        }
    }

    /// No longer than until the next thing is due, and not at all while something is left to do.
    pub(super) fn wait(&self) -> Duration {
        if !self.is_drained() || self.control_unread || self.data_unread || self.has_renderable() {
            return Duration::ZERO;
        }
        let due = match &self.ending {
            // The source is not read any more, so its deadlines do not count.
            Some((_, end)) => Some(*end),
            None => {
                let window = self.window.as_ref().filter(|_| self.source.is_connected());
                let slide = window.and_then(Window::deadline);
                [self.source.deadline(), slide].into_iter().flatten().min()
            }
        };
        let settles = self.parts.trees.settles_at().map(|at| self.instant(at));
        let due = [due, settles].into_iter().flatten().fold(self.next_report, Instant::min);
        due.saturating_duration_since(Instant::now())
    }

    /// Whether nothing is left to read: what comes after the end was asked for is not read at all.
    pub(super) fn is_drained(&self) -> bool {
        self.ending.is_some() || self.source.is_drained()
    }

    fn has_renderable(&self) -> bool {
        self.link.takes_renderings() && (self.parts.trees.oldest_dirty().is_some() || self.book.has_due())
    }

    /// Both clocks of a read at `now`.
    pub(super) fn received(&self, now: Instant) -> Received {
        let mono_ns = now.saturating_duration_since(self.started).as_nanos() as u64;
        Received { wall_us: wall_us(), mono_ns }
    }

    /// The moment of a read by the forest's clock.
    pub(super) fn instant(&self, mono_ns: u64) -> Instant {
        self.started + Duration::from_nanos(mono_ns)
    }

    /// The slot that it works in.
    pub(super) fn slot(&self) -> SlotId {
        self.parts.slot
    }

    /// A token for the next data channel.
    pub(super) fn next_link_token(&mut self) -> Token {
        self.link_token = Token(self.link_token.0 + 1);
        self.link_token
    }

    pub(super) fn leave(mut self, ending: &Ending) -> Result<(), ScanError> {
        self.source.close();
        let _ = self.control.flush();
        match ending {
            Ending::Asked | Ending::Signal => Ok(()),
            Ending::Orphaned => Err(ScanError::Coordinator { why: "it is gone".to_owned() }),
        }
    }
}

/// The wall clock, microseconds since 1970 UTC. Orders nothing.
pub(super) fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
