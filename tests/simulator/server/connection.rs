//! One client: its socket, what it still has to read, what waits for it, what it subscribed.

use mio::net::TcpStream;
use std::collections::HashSet;
use std::io::{self, Read, Write};
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
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client left.
    Left,
    /// It subscribed to more than it may: reset.
    OverCap,
    /// It does not read fast enough.
    Slow,
    /// It said what cannot be understood.
    Bad,
    /// It no longer answers.
    Silent,
    /// It was asked for.
    Reset,
}

/// A client.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) client: String,
    pub(super) state: State,
    pub(super) input: FrameBuffer,
    pub(super) subscribed: HashSet<Topic>,
    pub(super) most: usize,
    pub(super) heard: Instant,
    pub(super) pinged: bool,
    out: Vec<u8>,
    sent: usize,
    /// The kernel took no more; wait until it says so.
    blocked: bool,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, peer: SocketAddr, client: String, now: Instant) -> Self {
        Self {
            stream,
            peer,
            client,
            state: State::Handshake,
            input: FrameBuffer::new(CLIENT_MESSAGE),
            subscribed: HashSet::new(),
            most: 0,
            heard: now,
            pinged: false,
            out: Vec::new(),
            sent: 0,
            blocked: false,
        }
    }

    /// Bytes that wait.
    pub(super) fn queue(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Where messages are appended.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// The kernel takes bytes again.
    pub(super) fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Reads once. Some: whether there may be more; none: the client left.
    pub(super) fn read(&mut self) -> io::Result<Option<bool>> {
        loop {
            match self.stream.read(self.input.spare()) {
                Ok(0) => return Ok(None),
                Ok(count) => {
                    self.input.filled(count);
                    return Ok(Some(true));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Some(false)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Hands as much as possible to the kernel. Returns how many bytes it took.
    pub(super) fn flush(&mut self) -> io::Result<u64> {
        let mut taken = 0;
        while !self.blocked && self.queue() > 0 {
            match self.stream.write(self.out.get(self.sent..).unwrap_or_default()) {
                Ok(count) => {
                    self.sent += count;
                    taken += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.blocked = true,
                Err(error) => return Err(error),
            }
        }
        if self.queue() == 0 {
            self.out.clear();
            self.sent = 0;
            // Room that a burst of loads needed is given back.
            self.out.shrink_to(SENT_KEPT);
        } else if self.sent > SENT_KEPT {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        Ok(taken)
    }

    /// Ends it; over the cap as the real server does, and where it was asked for, with a reset.
    pub(super) fn close(self, end: End) {
        if matches!(end, End::OverCap | End::Reset) {
            let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
            if let Err(error) =
                nix::sys::socket::setsockopt(&self.stream, nix::sys::socket::sockopt::Linger, &at_once)
            {
                log::warn!("simulator.reset {}: {error}", self.peer);
            }
        }
    }
}
