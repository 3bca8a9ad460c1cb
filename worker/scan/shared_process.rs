//! Strategy `multiplex`: several workers in one process, which takes turns with them in one loop.
//!
//! Each is a whole [`Worker`] with a channel, a connection and trees of its own, so placement, caps and moves are what
//! they are elsewhere; what is shared is the process: its signals, its death. Every connection's receive queue
//! is taken before any is rendered. The coordinator adds further workers over a channel of one that is here already;
//! one that ends reports `Left`, and the process ends with its last. Called by `start`.

use super::coordinator::Control;
use super::error::ScanError;
use super::handshake::{Handshake, Welcome};
use super::setup::parts;
use super::worker::{Ending, Queues, Worker};
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
const HANDSHAKE: Token = Token(usize::MAX - 2);
/// Events of one poll at once: the process watches its workers, each of them a handful of descriptors.
const EVENTS: usize = 64;

pub struct SharedProcess {
    /// Watches the polls of the workers: an epoll descriptor is readable when something in it is ready.
    poll: Poll,
    signals: Signals,
    log: LogHandle,
    members: Slab<Member>,
    handshakes: Vec<Handshake>,
    /// Channels that came over others, not welcomed yet.
    joining: Vec<OwnedFd>,
    /// How the first that failed did.
    outcome: Result<(), ScanError>,
}

struct Member {
    worker: Worker,
    due: Due,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Now,
    Later,
}

impl SharedProcess {
    /// A process without workers.
    ///
    /// # Errors
    /// [`ScanError`]: the kernel gives no poll.
    pub fn new(signals: Signals, log: LogHandle) -> Result<SharedProcess, ScanError> {
        let poll = Poll::new().map_err(ScanError::system("making the process's poll"))?;
        watch_fd(&poll, signals.as_raw_fd(), SIGNALS)?;
        Ok(SharedProcess {
            poll,
            signals,
            log,
            members: Slab::new(),
            handshakes: Vec::new(),
            joining: Vec::new(),
            outcome: Ok(()),
        })
    }

    /// Runs a worker, too, that has its welcome.
    ///
    /// # Errors
    /// [`ScanError`]: it cannot work, and the coordinator knows.
    pub fn add_worker(&mut self, mut handshake: Handshake, welcome: &Welcome) -> Result<(), ScanError> {
        self.log.set_who(Who::Worker(welcome.slot));
        self.joining.append(&mut handshake.joining);
        if let Some(file) = handshake.log_file.take() {
            self.log.set_file(file);
        }
        match parts(&mut handshake, welcome, None, self.log.clone()) {
            Ok(parts) => self.insert(Worker::ready(handshake.control, parts)?),
            Err(error) => {
                report_left(&mut handshake.control, error.code());
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
        while !(self.members.is_empty() && self.handshakes.is_empty()) {
            failpoint::hit(Point::WorkerTurn);
            self.wait(&mut events)?;
            self.take_signals();
            self.turn(&mut events)?;
            self.remove_workers();
            self.shake_hands();
        }
        self.outcome
    }

    /// Waits until one of them has something to do, and notes which.
    fn wait(&mut self, events: &mut Events) -> Result<(), ScanError> {
        let before = Instant::now();
        let pause = self.pause(before);
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
        let welcomed =
            self.handshakes.iter().map(|one| one.deadline().saturating_duration_since(Instant::now()));
        let due = self.members.iter().map(|(_, member)| member.worker.wait());
        let wait = due.chain(welcomed).min().unwrap_or_default();
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(ScanError::System { operation: "waiting for events", source: error });
            }
            Ok(()) | Err(_) => {}
        }
        let waited = before.elapsed();
        for (_, member) in &mut self.members {
            // A worker with much to do is no faster for a neighbour that has nothing: all are as busy as the process.
            member.worker.waited(waited);
            member.due = if member.worker.wait().is_zero() { Due::Now } else { Due::Later };
        }
        for event in &*events {
            if let Some(member) = self.members.get_mut(event.token().0) {
                member.due = Due::Now;
            }
        }
        Ok(())
    }

    /// How long the process pauses before it reads again: the shortest pause of those that read something, and none while another has
    /// something left to do.
    fn pause(&mut self, now: Instant) -> Duration {
        if !self.handshakes.is_empty()
            || self.members.iter().any(|(_, member)| member.worker.wait().is_zero())
        {
            return Duration::ZERO;
        }
        let pauses = self.members.iter_mut().map(|(_, member)| member.worker.pause(now));
        pauses.filter(|pause| !pause.is_zero()).min().unwrap_or_default()
    }

    fn take_signals(&mut self) {
        while let Some((signal, from)) = self.signals.take() {
            if signal == Signal::SIGTERM {
                for (_, member) in &mut self.members {
                    self.log.set_who(Who::Worker(member.worker.slot()));
                    member.worker.terminated(from);
                    member.due = Due::Now;
                }
            }
        }
    }

    /// A turn of each that has something to do: first all take what came, then they render.
    fn turn(&mut self, events: &mut Events) -> Result<(), ScanError> {
        let SharedProcess { members, log, joining, .. } = self;
        for (_, member) in members.iter_mut().filter(|(_, member)| member.due == Due::Now) {
            log.set_who(Who::Worker(member.worker.slot()));
            member.worker.collect(events, Duration::ZERO)?;
            member.worker.take();
        }
        let is_filled = members.iter().any(|(_, member)| !member.worker.is_drained());
        let queues = if is_filled { Queues::Filled } else { Queues::Drained };
        for (_, member) in members.iter_mut().filter(|(_, member)| member.due == Due::Now) {
            log.set_who(Who::Worker(member.worker.slot()));
            member.worker.give(queues);
            joining.append(&mut member.worker.take_new_workers());
        }
        Ok(())
    }

    /// Those whose loop is over go, the others stay.
    fn remove_workers(&mut self) {
        let is_over = |(key, member): (usize, &mut Member)| Some((key, member.worker.is_over()?));
        let over: Vec<(usize, Ending)> = self.members.iter_mut().filter_map(is_over).collect();
        for (key, ending) in over {
            let Some(Member { worker, .. }) = self.members.try_remove(key) else { continue };
            self.log.set_who(Who::Worker(worker.slot()));
            if let Err(error) = worker.leave_process(&ending) {
                self.failed(error);
            }
        }
    }

    /// Greets for those that were added; one that has its welcome scans from now on.
    fn shake_hands(&mut self) {
        for channel in std::mem::take(&mut self.joining) {
            let handshake = Handshake::begin(channel)
                .and_then(|one| watch_fd(&self.poll, one.control.as_raw_fd(), HANDSHAKE).map(|()| one));
            match handshake {
                Ok(handshake) => self.handshakes.push(handshake),
                Err(error) => self.failed(error),
            }
        }
        for mut handshake in std::mem::take(&mut self.handshakes) {
            match handshake.advance() {
                Ok(None) => self.handshakes.push(handshake),
                Ok(Some(welcome)) => {
                    // From here on its own poll watches it.
                    let _ = self.poll.registry().deregister(&mut SourceFd(&handshake.control.as_raw_fd()));
                    if let Err(error) = self.add_worker(handshake, &welcome) {
                        self.failed(error);
                    }
                }
                Err(error) => self.failed(error),
            }
        }
    }

    fn insert(&mut self, worker: Worker) -> Result<(), ScanError> {
        let entry = self.members.vacant_entry();
        // It is closed with its worker, which takes it out of this poll.
        watch_fd(&self.poll, worker.poll_fd(), Token(entry.key()))?;
        entry.insert(Member { worker, due: Due::Now });
        Ok(())
    }

    /// One worker failed: the others go on, and the process reports it at its end.
    fn failed(&mut self, error: ScanError) {
        log::error!(error:% = error; "worker.failed");
        if self.outcome.is_ok() {
            self.outcome = Err(error);
        }
    }
}

/// Reports to the coordinator that this worker ends although its process does not.
fn report_left(control: &mut Control, code: u8) {
    // If that does not arrive, it sees a channel that ends, and then ends the process.
    let _ = control.send(&FromWorker::Left { code }, 0);
    let _ = control.flush();
}

fn watch_fd(poll: &Poll, fd: RawFd, token: Token) -> Result<(), ScanError> {
    poll.registry()
        .register(&mut SourceFd(&fd), token, Interest::READABLE)
        .map_err(ScanError::system("watching a worker"))
}
