//! The worker: its parts, and its loop: wait, one turn, again.
//!
//! `turn` writes a turn out; its steps are in `reading` and `rendering`. `commands` is what the coordinator asks, `connection` what
//! the beginning and end of a connection mean, `listing` what the match list brings, `dumps` what is followed at the moment where
//! snapshots are taken in turn, `report` the load report, `audits` looks for deltas that a server leaves out.

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

use super::clock::Clock;
use super::coordinator::{Control, CoordinatorLink};
use super::error::ScanError;
use super::setup::Parts;
use crate::coalesce::Coalescing;
use crate::feed::Source;
use crate::net::Readiness;
use crate::scan::audit::Audits;
use crate::scan::data_link::DataLink;
use crate::scan::match_table::MatchTable;
use crate::scan::window::Window;
use listing::MatchList;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use reading::TopicChange;
use report::Meter;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::failpoint::{self, Point};
use touchline_common::ipc::messages::data::Section;
use touchline_common::ipc::messages::worker::FromWorker;
use touchline_common::model::SlotId;

const CONTROL: Token = Token(0);
const SIGNALS: Token = Token(1);
/// A thread beside the loop has something for it; what it is shows in the next turn.
const WAKER: Token = Token(2);
pub(super) const FIRST_SOURCE: usize = 1 << 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By the coordinator or a signal.
    Asked,
    Orphaned,
}

impl Ending {
    pub(super) fn code(&self) -> u8 {
        match self {
            Ending::Asked => 0,
            Ending::Orphaned => 3,
        }
    }
}

pub struct Worker {
    poll: Poll,
    parts: Parts,
    clock: Clock,
    source: Source,
    coordinator: CoordinatorLink,
    link: DataLink,
    matches: MatchTable,
    list: MatchList,
    /// Under strategy `dumps`.
    window: Option<Window>,
    audits: Audits,
    meter: Meter,
    coalescing: Coalescing,
    turn: TurnState,
}

/// What one turn leaves to the next, and memory that all of them use.
#[derive(Default)]
struct TurnState {
    /// Why the loop is to end, and when at the latest.
    ending: Option<(Ending, Instant)>,
    /// What a read brought that the coordinator must know.
    topic_changes: Vec<TopicChange>,
    /// Readiness that is asked for between two renderings; none before it is, and while it is noted.
    ready: Option<Events>,
    sections: Vec<Section<'static>>,
    /// The newest question for a mark, if it is not answered yet.
    mark: Option<u64>,
    /// Channels of further workers that this process is to run.
    new_workers: Vec<OwnedFd>,
    /// Whether its read brought something.
    has_read: bool,
}

impl Worker {
    /// A worker that has sent READY.
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
        let coordinator = CoordinatorLink::new(control, registry, CONTROL)?;
        if let Some(signals) = &parts.signals {
            registry.register(&mut SourceFd(&signals.as_raw_fd()), SIGNALS, Interest::READABLE)?;
        }
        let waker = Arc::new(Waker::new(registry, WAKER)?);
        let now = Instant::now();
        let mut source = Source::new(parts.plan.clone(), Token(FIRST_SOURCE), waker, now);
        if parts.raw.is_some() {
            source.keep_received();
        }
        Ok(Worker {
            clock: Clock::new(now),
            source,
            coordinator,
            link: DataLink::new(parts.slot, parts.generation, parts.outbox),
            matches: MatchTable::new(parts.crash_marker.take()),
            list: MatchList::default(),
            window: parts.window.take(),
            audits: Audits::default(),
            meter: Meter::new(now),
            coalescing: Coalescing::new(parts.coalesce, now),
            turn: TurnState::default(),
            poll,
            parts,
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
        let before = Instant::now();
        let pause = self.pause(before).min(longest);
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
        let wait = self.wait().min(longest.saturating_sub(pause));
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
        let (ending, deadline) = self.turn.ending.clone()?;
        (self.is_handed_over() || Instant::now() >= deadline).then_some(ending)
    }

    /// Remembers what is ready; a turn takes it.
    pub(super) fn note(&mut self, events: &Events) {
        for event in events {
            match event.token() {
                CONTROL => self.coordinator.note(event),
                SIGNALS => self.take_signals(),
                token if token.0 >= FIRST_SOURCE => self.source.note(token, Readiness::of(event)),
                token if self.link.port.is(token) => {
                    self.link.port.unread = true;
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
        let unread = self.coordinator.unread || self.link.port.unread;
        if unread || self.turn.mark.is_some() || !self.is_drained() || self.has_renderable() {
            return Duration::ZERO;
        }
        let due = match &self.turn.ending {
            // The source is not read any more, so its deadlines do not count.
            Some((_, end)) => Some(*end),
            None => {
                let window = self.window.as_ref().filter(|_| self.source.is_connected());
                let slide = window.and_then(Window::deadline);
                [self.source.deadline(), slide].into_iter().flatten().min()
            }
        };
        let settles = self.parts.trees.settles_at().map(|at| self.clock.instant(at));
        let due = [due, settles].into_iter().flatten().fold(self.meter.next_report, Instant::min);
        due.saturating_duration_since(Instant::now())
    }

    /// How long the loop pauses before it reads again, so that several messages share a wake-up; never beyond what is due.
    pub(super) fn pause(&mut self, now: Instant) -> Duration {
        if !std::mem::take(&mut self.turn.has_read) {
            return Duration::ZERO;
        }
        let wait = self.wait();
        if wait.is_zero() {
            return Duration::ZERO;
        }
        self.coalescing.after(now).min(wait)
    }

    /// Whether nothing is left to read: what comes after the end was asked for is not read at all.
    pub(super) fn is_drained(&self) -> bool {
        self.turn.ending.is_some() || self.source.is_drained()
    }

    fn has_renderable(&self) -> bool {
        self.link.takes_renderings() && (self.parts.trees.oldest_dirty().is_some() || self.matches.has_due())
    }

    pub(super) fn slot(&self) -> SlotId {
        self.parts.slot
    }

    /// What a poll watches to know when something in this worker's own poll is ready.
    pub(super) fn poll_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }

    /// The process waited for so long, on behalf of this worker too.
    pub(super) fn waited(&mut self, time: Duration) {
        self.meter.waited(time);
    }

    /// Channels of further workers that this process is to run.
    pub(super) fn take_new_workers(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.turn.new_workers)
    }

    pub(super) fn leave_process(mut self, ending: &Ending) -> Result<(), ScanError> {
        // If that does not arrive, the coordinator sees a channel that ends, and then ends the process.
        self.coordinator.send(&FromWorker::Left { code: ending.code() }, 0);
        self.leave(ending)
    }

    /// Ends: closes the connection and sends what waits, as far as that goes at once.
    pub(super) fn leave(mut self, ending: &Ending) -> Result<(), ScanError> {
        self.source.close();
        let _ = self.coordinator.flush(self.poll.registry());
        match ending {
            Ending::Asked => Ok(()),
            Ending::Orphaned => Err(ScanError::Coordinator { why: "it is gone".to_owned() }),
        }
    }
}
