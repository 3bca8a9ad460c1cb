//! One session: its link, while it has one, what it still has to read, what waits for it, what it subscribed.

use super::form::{Frames, Takes};
use super::link::{AT_ONCE, Link};
use mio::net::TcpStream;
use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Instant;
use touchline_worker::wire::diffusion::FrameBuffer;

/// The largest message a client may send, in bytes.
const CLIENT_MESSAGE: u32 = 1_000_000;
/// Bytes already sent that may stay at the front of the queue before it is moved up.
const SENT_KEPT: usize = 1 << 20;

/// What is subscribed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Topic {
    List,
    Time,
    /// A match, by its place.
    Match(usize),
    /// A name that no topic has.
    Unknown(Vec<u8>),
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Handshake,
    Open,
    /// Open, but its session is not good: it is read and gets nothing.
    Stale,
    /// Its connection broke; the session is kept until then.
    Kept(Instant),
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The connection broke.
    Left,
    /// The client sent a close.
    Closed,
    /// It may not connect, or what it wants to go on with is not there.
    Refused,
    /// It did not come back in time.
    Expired,
    /// It subscribed to more than it may: reset.
    OverCap,
    /// It does not read fast enough.
    Slow,
    /// It sent what cannot be read.
    Bad,
    /// It no longer answers.
    Silent,
    /// It was asked for.
    Reset,
}

/// A client.
pub(super) struct Connection {
    /// None while the session waits for its client to come back.
    link: Option<Link>,
    pub(super) peer: SocketAddr,
    pub(super) client: String,
    pub(super) state: State,
    pub(super) takes: Takes,
    pub(super) input: FrameBuffer,
    pub(super) subscribed: HashSet<Topic>,
    /// What it got in part, above its cap.
    pub(super) partly: HashSet<Topic>,
    pub(super) most: usize,
    pub(super) read_at: Instant,
    pub(super) pinged: bool,
    out: Vec<u8>,
    sent: usize,
    /// Bytes that ever left the front of `out`, and where each waiting message ends, counted from the first byte ever.
    gone: u64,
    ends: VecDeque<u64>,
    /// Where the last message that was sent whole ended.
    whole: u64,
    /// The kernel took no more; wait until it says so.
    blocked: bool,
}

impl Connection {
    pub(super) fn new(link: Link, peer: SocketAddr, client: String, now: Instant) -> Self {
        Self {
            link: Some(link),
            peer,
            client,
            state: State::Handshake,
            takes: Takes::Plain,
            input: FrameBuffer::new(CLIENT_MESSAGE),
            subscribed: HashSet::new(),
            partly: HashSet::new(),
            most: 0,
            read_at: now,
            pinged: false,
            out: Vec::new(),
            sent: 0,
            gone: 0,
            ends: VecDeque::new(),
            whole: 0,
            blocked: false,
        }
    }

    /// Bytes that wait.
    pub(super) fn queue(&self) -> usize {
        self.out.len() - self.sent + self.link.as_ref().map_or(0, Link::waiting)
    }

    /// Whether something waits for the kernel.
    pub(super) fn has_to_send(&self) -> bool {
        self.out.len() > self.sent || self.link.as_ref().is_some_and(Link::has_to_send)
    }

    /// Messages that wait, the one that is being sent among them.
    pub(super) fn depth(&self) -> usize {
        self.ends.len()
    }

    /// Queues one message, which `write` appends.
    pub(super) fn send<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        write(&mut self.out)?;
        self.ends.push_back(self.gone + self.out.len() as u64);
        Ok(())
    }

    /// Queues a message that was written for many.
    pub(super) fn push(&mut self, frames: &Frames) {
        let before = self.gone + self.out.len() as u64;
        self.out.extend_from_slice(&frames.bytes);
        self.ends.extend(frames.ends.iter().map(|end| before + *end as u64));
    }

    /// The kernel takes bytes again.
    pub(super) fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Reads once. Whether there may be more.
    ///
    /// # Errors
    /// [`End::Left`], [`End::Bad`].
    pub(super) fn read(&mut self) -> Result<bool, End> {
        match &mut self.link {
            Some(link) => link.read(&mut self.input),
            None => Ok(false),
        }
    }

    /// Hands as much as possible to the kernel. Returns how many bytes it took.
    pub(super) fn flush(&mut self) -> io::Result<u64> {
        let mut taken = 0;
        while !self.blocked && self.has_to_send() {
            match self.hand_over(&mut taken) {
                // A tunnel takes nothing before it was asked.
                Ok(Handed::Nothing) => break,
                Ok(Handed::Some) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.blocked = true,
                Err(error) => return Err(error),
            }
        }
        let sent = self.gone + self.sent as u64;
        while let Some(end) = self.ends.front().copied().filter(|end| *end <= sent) {
            self.ends.pop_front();
            self.whole = end;
        }
        if self.sent == self.out.len() {
            self.gone = sent;
            self.out.clear();
            self.sent = 0;
            // Room that a burst of loads needed is given back.
            self.out.shrink_to(SENT_KEPT);
        } else if self.sent > SENT_KEPT {
            self.gone = sent;
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        Ok(taken)
    }

    /// What waits in the link first, then what waits here.
    fn hand_over(&mut self, taken: &mut u64) -> io::Result<Handed> {
        let Some(link) = &mut self.link else { return Ok(Handed::Nothing) };
        link.send(taken)?;
        let mut waiting = self.out.get(self.sent..).unwrap_or_default();
        if link.wants_whole() && waiting.len() > AT_ONCE {
            let enough = self.gone + (self.sent + AT_ONCE) as u64;
            let end = self.ends.get(self.ends.partition_point(|end| *end < enough));
            let end = end.and_then(|end| usize::try_from(end - self.gone).ok());
            waiting = end.and_then(|end| self.out.get(self.sent..end)).unwrap_or(waiting);
        }
        if waiting.is_empty() {
            return Ok(Handed::Nothing);
        }
        let count = link.write(waiting, taken)?;
        self.sent += count;
        link.send(taken)?;
        Ok(if count > 0 { Handed::Some } else { Handed::Nothing })
    }

    /// Lets go of the link and keeps the session: what was handed to it is lost, as is the message of which a
    /// part was. What waits behind it is kept, and so is what comes until then.
    pub(super) fn keep(&mut self, until: Instant) -> Option<Link> {
        self.state = State::Kept(until);
        if self.gone + self.sent as u64 != self.whole
            && let Some(end) = self.ends.pop_front()
        {
            self.sent = usize::try_from(end - self.gone).unwrap_or(usize::MAX).min(self.out.len());
            self.whole = end;
        }
        self.link.take()
    }

    /// Goes on with the link, the input and the abilities of `new`: the answer first, then what waits.
    pub(super) fn go_on(&mut self, new: Self, answer: &[u8], now: Instant) {
        let waiting = self.out.split_off(self.sent);
        self.gone += self.sent as u64;
        self.whole = self.gone;
        self.sent = 0;
        self.out.clear();
        self.out.extend_from_slice(answer);
        self.out.extend_from_slice(&waiting);
        let longer = answer.len() as u64;
        for end in &mut self.ends {
            *end += longer;
        }
        self.ends.push_front(self.gone + longer);
        self.link = new.link;
        self.peer = new.peer;
        self.input = new.input;
        self.takes = new.takes;
        self.state = State::Open;
        self.read_at = now;
        self.pinged = false;
        self.blocked = false;
    }

    /// The link, while there is one.
    pub(super) fn link(&mut self) -> Option<&mut Link> {
        self.link.as_mut()
    }
}

/// Whether something was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handed {
    Some,
    Nothing,
}

/// Ends a connection; over the cap as a real server does, and where it was asked for, with a reset.
pub(super) fn hang_up(link: &mut Link, end: End) {
    if !matches!(end, End::OverCap | End::Reset) {
        return link.farewell();
    }
    let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    let stream: &TcpStream = link.stream();
    if let Err(error) = nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::Linger, &at_once) {
        log::warn!("simulator.reset: {error}");
    }
}
