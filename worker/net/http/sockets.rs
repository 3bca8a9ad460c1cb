//! What libcurl's callbacks say: which of its sockets to watch for what, and when it wants to be called.
//!
//! libcurl expects to be told as long as a socket is ready, so its sockets are in a poll of that kind, which stands in mio's as one
//! source. The callbacks act at once: libcurl says REMOVE before it closes a socket, and its number may be used again right after.

use curl::multi::{Events, Multi, Socket, SocketEvents};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use touchline_common::sys::level_poll::{LevelPoll, Ready, Watched};

#[derive(Debug)]
pub(super) struct Sockets {
    token: Token,
    poll: Arc<LevelPoll>,
    timer: Arc<Mutex<Timer>>,
    state: State,
    ready: Vec<(RawFd, Ready)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not in mio's poll.
    Unregistered,
    Quiet,
    /// Something is ready.
    Noted,
}

/// When libcurl wants to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    Never,
    /// At once: in this turn, if one is under way.
    Soon,
    At(Instant),
}

impl Sockets {
    /// Takes the callbacks of `multi`.
    ///
    /// # Errors
    /// The kernel has no poll, or libcurl does not take the callbacks.
    pub(super) fn new(token: Token, multi: &mut Multi) -> io::Result<Sockets> {
        let poll = Arc::new(LevelPoll::new()?);
        let timer = Arc::new(Mutex::new(Timer::Never));
        let watched = Arc::clone(&poll);
        multi.socket_function(move |socket, events, _| watch(&watched, socket, &events))?;
        let told = Arc::clone(&timer);
        multi.timer_function(move |after| {
            *lock(&told) = match after {
                None => Timer::Never,
                Some(Duration::ZERO) => Timer::Soon,
                // As libcurl counts from when it calls, so do we: the turn's time is earlier, and would be too early.
                Some(after) => Instant::now().checked_add(after).map_or(Timer::Never, Timer::At),
            };
            true
        })?;
        Ok(Sockets { token, poll, timer, state: State::Unregistered, ready: Vec::new() })
    }

    pub(super) fn note(&mut self, token: Token) {
        if token == self.token && self.state == State::Quiet {
            self.state = State::Noted;
        }
    }

    pub(super) fn timer(&self) -> Timer {
        *lock(&self.timer)
    }

    /// The next turn is to come at once.
    pub(super) fn wake(&self) {
        *lock(&self.timer) = Timer::Soon;
    }

    /// Whether libcurl is to be called now, which is for the caller to do: it says then when it wants to be called again.
    pub(super) fn take_due(&self, now: Instant) -> bool {
        let mut timer = lock(&self.timer);
        let is_due = match *timer {
            Timer::Never => false,
            Timer::Soon => true,
            Timer::At(due) => now >= due,
        };
        if is_due {
            *timer = Timer::Never;
        }
        is_due
    }

    /// Tells libcurl what is ready.
    ///
    /// # Errors
    /// Of the kernel: mio's poll or ours takes no more.
    pub(super) fn act(&mut self, multi: &Multi, registry: &Registry) -> io::Result<()> {
        match self.state {
            State::Unregistered => {
                let fd = self.poll.as_raw_fd();
                registry.register(&mut SourceFd(&fd), self.token, Interest::READABLE)?;
            }
            State::Noted => {}
            State::Quiet => return Ok(()),
        }
        self.state = State::Quiet;
        self.ready.clear();
        self.poll.look(&mut self.ready)?;
        for (socket, ready) in &self.ready {
            let mut events = Events::new();
            events.input(ready.read).output(ready.write).error(ready.broken);
            // Of a socket that an earlier one of this round made it close libcurl says so; that is no failure.
            let _ = multi.action(*socket, &events);
        }
        if self.ready.is_empty() {
            return Ok(());
        }
        // What is ready still, or again, is announced anew.
        let fd = self.poll.as_raw_fd();
        registry.reregister(&mut SourceFd(&fd), self.token, Interest::READABLE)
    }
}

/// A socket that cannot be watched stalls, and its request fails by its time limit.
fn watch(poll: &LevelPoll, socket: Socket, events: &SocketEvents) {
    if events.remove() {
        let _ = poll.forget(socket);
        return;
    }
    let what = match (events.input(), events.output()) {
        (true, true) => Watched::Both,
        (true, false) => Watched::Read,
        (false, true) => Watched::Write,
        (false, false) => Watched::Nothing,
    };
    let _ = poll.watch(socket, what);
}

/// No callback leaves it half changed.
fn lock(timer: &Mutex<Timer>) -> MutexGuard<'_, Timer> {
    timer.lock().unwrap_or_else(PoisonError::into_inner)
}
