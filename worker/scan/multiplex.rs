//! Strategy `multiplex`: several workers in one process, which takes turns with them in one loop.
//!
//! Each is a whole [`Scanner`] with a channel, a connection and trees of its own, so placement, caps and moves are what
//! they are elsewhere; what is shared is the process: its signals, its death. Every connection's receive queue
//! is taken before any is rendered. The coordinator sends further workers aboard over a channel of one that is here already;
//! one that ends says `Left`, and the process ends with its last. Called by `start`.

use super::greeting::{Greeted, Greeting};
use super::scanner::{Ending, Scanner};
use super::start::{Control, ScanError, parts, ready};
use super::turn::Queues;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::signal::Signal;
use slab::Slab;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};
use touchline_common::failpoint::{self, Point};
use touchline_common::ipc::messages::worker::FromWorker;
use touchline_common::logging::{LogHandle, Who};
use touchline_common::sys::signals::Signals;

/// Above every worker's place.
const SIGNALS: Token = Token(usize::MAX - 1);
const GREETING: Token = Token(usize::MAX - 2);
/// What one poll says at once: the process watches its workers, each of them a handful of descriptors.
const EVENTS: usize = 64;

/// See the module's header.
pub struct Multiplex {
    /// Watches the polls of the workers: an epoll descriptor is readable when something in it is ready.
    poll: Poll,
    signals: Signals,
    log: LogHandle,
    berths: Slab<Berth>,
    greetings: Vec<Greeting>,
    /// Channels that came over others, not greeted yet.
    boarding: Vec<OwnedFd>,
    /// How the first that failed did.
    outcome: Result<(), ScanError>,
}

/// The place of one worker.
struct Berth {
    scanner: Scanner,
    due: Due,
}

/// Whether a worker has a turn now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Now,
    Later,
}

impl Multiplex {
    /// A process without workers.
    ///
    /// # Errors
    /// [`ScanError`]: the kernel gives no poll.
    pub fn new(signals: Signals, log: LogHandle) -> Result<Multiplex, ScanError> {
        let poll = Poll::new().map_err(ScanError::system("making the process's poll"))?;
        watch_fd(&poll, signals.as_raw_fd(), SIGNALS)?;
        Ok(Multiplex {
            poll,
            signals,
            log,
            berths: Slab::new(),
            greetings: Vec::new(),
            boarding: Vec::new(),
            outcome: Ok(()),
        })
    }

    /// Takes a worker aboard that has its welcome.
    ///
    /// # Errors
    /// [`ScanError`]: it cannot work, and the coordinator was told so.
    pub fn take_aboard(&mut self, mut greeted: Greeted) -> Result<(), ScanError> {
        self.log.set_who(Who::Worker(greeted.slot));
        self.boarding.append(&mut greeted.boarding);
        if let Some(file) = greeted.log_file.take() {
            self.log.set_file(file);
        }
        match parts(&mut greeted, None, self.log.clone()) {
            Ok(parts) => self.insert(ready(greeted.control, parts)?),
            Err(error) => {
                say_left(&mut greeted.control, error.code());
                Err(error)
            }
        }
    }

    /// Scans until the last worker has ended.
    ///
    /// # Errors
    /// The first [`ScanError`] of any of them, or of the process.
    pub fn run(mut self) -> Result<(), ScanError> {
        let mut events = Events::with_capacity(EVENTS);
        while !(self.berths.is_empty() && self.greetings.is_empty()) {
            failpoint::hit(Point::WorkerTurn);
            self.wait(&mut events)?;
            self.take_signals();
            self.turn(&mut events)?;
            self.let_go();
            self.greet();
        }
        self.outcome
    }

    /// Waits until one of them has something to do, and notes which.
    fn wait(&mut self, events: &mut Events) -> Result<(), ScanError> {
        let before = Instant::now();
        let greeted = self.greetings.iter().map(|one| one.deadline().saturating_duration_since(before));
        let due = self.berths.iter().map(|(_, berth)| berth.scanner.wait());
        let wait = due.chain(greeted).min().unwrap_or_default();
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(ScanError::System { operation: "waiting for events", source: error });
            }
            Ok(()) | Err(_) => {}
        }
        let waited = before.elapsed();
        for (_, berth) in &mut self.berths {
            // Who works is no faster for a neighbour that does not: all are as busy as the process.
            berth.scanner.meter.waited(waited);
            berth.due = if berth.scanner.wait().is_zero() { Due::Now } else { Due::Later };
        }
        for event in &*events {
            if let Some(berth) = self.berths.get_mut(event.token().0) {
                berth.due = Due::Now;
            }
        }
        Ok(())
    }

    fn take_signals(&mut self) {
        while let Some((signal, from)) = self.signals.take() {
            if signal == Signal::SIGTERM {
                for (_, berth) in &mut self.berths {
                    self.log.set_who(Who::Worker(berth.scanner.slot()));
                    berth.scanner.terminated(from);
                    berth.due = Due::Now;
                }
            }
        }
    }

    /// A turn of each that has something to do: first all take what came, then they render.
    fn turn(&mut self, events: &mut Events) -> Result<(), ScanError> {
        let Multiplex { berths, log, boarding, .. } = self;
        for (_, berth) in berths.iter_mut().filter(|(_, berth)| berth.due == Due::Now) {
            log.set_who(Who::Worker(berth.scanner.slot()));
            berth.scanner.collect(events, Duration::ZERO)?;
            berth.scanner.take();
        }
        let is_filled = berths.iter().any(|(_, berth)| !berth.scanner.is_drained());
        let queues = if is_filled { Queues::Filled } else { Queues::Drained };
        for (_, berth) in berths.iter_mut().filter(|(_, berth)| berth.due == Due::Now) {
            log.set_who(Who::Worker(berth.scanner.slot()));
            berth.scanner.give(queues);
            boarding.append(&mut berth.scanner.boarding);
        }
        Ok(())
    }

    /// Those whose loop is over go, the others stay.
    fn let_go(&mut self) {
        let is_over = |(key, berth): (usize, &mut Berth)| Some((key, berth.scanner.is_over()?));
        let over: Vec<(usize, Ending)> = self.berths.iter_mut().filter_map(is_over).collect();
        for (key, ending) in over {
            let Some(Berth { mut scanner, .. }) = self.berths.try_remove(key) else { continue };
            self.log.set_who(Who::Worker(scanner.slot()));
            say_left(&mut scanner.control, ending.code());
            if let Err(error) = scanner.leave(&ending) {
                self.failed(error);
            }
        }
    }

    /// Greets for those that were sent aboard; who has its welcome scans from now on.
    fn greet(&mut self) {
        for channel in std::mem::take(&mut self.boarding) {
            let greeting = Greeting::begin(channel)
                .and_then(|one| watch_fd(&self.poll, one.as_raw_fd(), GREETING).map(|()| one));
            match greeting {
                Ok(greeting) => self.greetings.push(greeting),
                Err(error) => self.failed(error),
            }
        }
        for mut greeting in std::mem::take(&mut self.greetings) {
            match greeting.advance() {
                Ok(None) => self.greetings.push(greeting),
                Ok(Some(welcomed)) => {
                    // From here on its own poll watches it.
                    let _ = self.poll.registry().deregister(&mut SourceFd(&greeting.as_raw_fd()));
                    if let Err(error) = self.take_aboard(greeting.end(welcomed)) {
                        self.failed(error);
                    }
                }
                Err(error) => self.failed(error),
            }
        }
    }

    fn insert(&mut self, scanner: Scanner) -> Result<(), ScanError> {
        let entry = self.berths.vacant_entry();
        // It is closed with its scanner, which takes it out of this poll.
        watch_fd(&self.poll, scanner.poll.as_raw_fd(), Token(entry.key()))?;
        entry.insert(Berth { scanner, due: Due::Now });
        Ok(())
    }

    /// One worker failed: the others go on, and the process says so at its end.
    fn failed(&mut self, error: ScanError) {
        log::error!(error:% = error; "worker.failed");
        if self.outcome.is_ok() {
            self.outcome = Err(error);
        }
    }
}

/// Tells the coordinator that this worker ends although its process does not.
fn say_left(control: &mut Control, code: u8) {
    // If it cannot be told, it sees a channel that ends, and then ends the process.
    let _ = control.send(&FromWorker::Left { code }, 0);
    let _ = control.flush();
}

fn watch_fd(poll: &Poll, fd: RawFd, token: Token) -> Result<(), ScanError> {
    poll.registry()
        .register(&mut SourceFd(&fd), token, Interest::READABLE)
        .map_err(ScanError::system("watching a worker"))
}
