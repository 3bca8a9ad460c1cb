//! The clients' sockets, each with its state machine, by slots that are used again; a client's id is not.

use super::access::Access;
use super::client::{Client, ClientId, Fate};
use super::frame::Framing;
use super::http::{Clock, Side};
use super::items::ItemKey;
use super::rooms::SessionId;
use jiff::Timestamp;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use nix::sys::socket::{setsockopt, sockopt};
use slab::Slab;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::time::Instant;

/// Bytes that the kernel holds for a client that does not read; it doubles them.
const SEND_BUFFER: usize = 64 * 1024;
/// Connections taken in one turn.
const ACCEPTS: usize = 64;
/// Reads of one connection in one turn.
const READS: usize = 4;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ClientId,
    pub(super) client: Client,
    pub(super) peer: IpAddr,
    socket: TcpStream,
    /// The address that it is counted for, once it is known.
    counted: Option<IpAddr>,
    /// For whose watchers it is to be taken out at its end.
    pub(super) watches: Option<ItemKey>,
    /// Whose request it holds, or whose WebSocket it is.
    pub(super) session: Option<SessionId>,
    pub(super) side: Side,
    readable: bool,
    writable: bool,
    /// Whether the other side was told that nothing more comes.
    shut: bool,
}

#[derive(Debug)]
pub(super) struct Connections {
    all: Slab<Connection>,
    births: u64,
    most: usize,
    /// Tokens of the poll are slots from here on.
    first_token: usize,
}

/// What became of an attempt to take connections.
#[derive(Debug)]
pub(super) enum Accepted {
    Drained,
    /// There may be more, unannounced.
    More,
    Failed(io::Error),
}

/// How many there are, by what they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub requests: u64,
    pub event_streams: u64,
    pub websockets: u64,
    /// Of sessions.
    pub sockets: u64,
}

impl Connections {
    pub(super) fn new(most: usize, first_token: usize) -> Connections {
        Connections { all: Slab::new(), births: 0, most, first_token }
    }

    /// Takes connections that wait; those above a bound are closed, and counted.
    pub(super) fn accept(
        &mut self,
        (listener, side): (&TcpListener, Side),
        registry: &Registry,
        access: &mut Access,
        refused: &mut u64,
        now: Instant,
    ) -> Accepted {
        for _ in 0..ACCEPTS {
            let (socket, peer) = match listener.accept() {
                Ok((socket, peer)) => (socket, peer.ip().to_canonical()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Accepted::Drained,
                Err(error) if is_of_one(&error) => continue,
                Err(error) => return Accepted::Failed(error),
            };
            let counted = (!access.is_proxy(peer)).then_some(peer);
            if self.all.len() >= self.most || counted.is_some_and(|address| !access.enter(address)) {
                if self.all.len() >= self.most {
                    log::debug!(connections = self.all.len(); "gateway.full");
                }
                *refused += 1;
                continue;
            }
            if let Err(error) = self.insert(socket, side, (peer, counted), registry, now) {
                counted.into_iter().for_each(|address| access.leave(address));
                return Accepted::Failed(error);
            }
        }
        Accepted::More
    }

    fn insert(
        &mut self,
        mut socket: TcpStream,
        side: Side,
        (peer, counted): (IpAddr, Option<IpAddr>),
        registry: &Registry,
        now: Instant,
    ) -> io::Result<()> {
        // Without them it works as well, a little slower or with more memory.
        let _ = socket.set_nodelay(true);
        let _ = setsockopt(&socket, sockopt::SndBuf, &SEND_BUFFER);
        let entry = self.all.vacant_entry();
        let token = Token(self.first_token + entry.key());
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        self.births += 1;
        let id = ClientId { slot: entry.key(), birth: self.births };
        let client = Client::new(side, Clock { at: now, time: Timestamp::now() });
        entry.insert(Connection {
            id,
            client,
            peer,
            socket,
            counted,
            watches: None,
            session: None,
            side,
            readable: true,
            writable: true,
            shut: false,
        });
        Ok(())
    }

    pub(super) fn slot_of(&self, token: Token) -> Option<usize> {
        token.0.checked_sub(self.first_token)
    }

    pub(super) fn at(&mut self, slot: usize) -> Option<&mut Connection> {
        self.all.get_mut(slot)
    }

    pub(super) fn get(&mut self, id: ClientId) -> Option<&mut Connection> {
        self.all.get_mut(id.slot).filter(|connection| connection.id == id)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn slots(&self) -> Vec<usize> {
        self.all.iter().map(|(slot, _)| slot).collect()
    }

    pub(super) fn remove(&mut self, slot: usize, registry: &Registry, access: &mut Access) {
        if let Some(mut connection) = self.all.try_remove(slot) {
            // It is closed with this; an error changes nothing.
            let _ = registry.deregister(&mut connection.socket);
            connection.counted.into_iter().for_each(|address| access.leave(address));
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (_, connection) in &self.all {
            match connection.client.watching().map(|watching| watching.framing) {
                None if connection.client.is_socket() => counts.sockets += 1,
                None => counts.requests += 1,
                Some(Framing::EventStream) => counts.event_streams += 1,
                Some(Framing::WebSocket) => counts.websockets += 1,
            }
        }
        counts
    }

    /// Whether bytes wait for some client.
    pub(super) fn has_unsent(&self) -> bool {
        self.all.iter().any(|(_, connection)| !connection.client.out.is_empty())
    }
}

impl Counts {
    pub(super) fn streams(self) -> u64 {
        self.event_streams + self.websockets + self.sockets
    }

    pub(super) fn all(self) -> u64 {
        self.requests + self.streams()
    }
}

/// Errors of a connection that was given up before it was taken.
fn is_of_one(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted)
}

impl Connection {
    pub(super) fn ready(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable;
    }

    /// Whether there may be bytes to read that no event will announce.
    pub(super) fn is_unread(&self) -> bool {
        self.readable && self.client.takes_bytes()
    }

    /// Counts it for the client that a proxy speaks for; whether that may have one more.
    pub(super) fn count_for(&mut self, address: IpAddr, access: &mut Access) -> bool {
        if self.counted == Some(address) {
            return true;
        }
        self.counted.take().into_iter().for_each(|before| access.leave(before));
        let may = access.enter(address);
        if may {
            self.counted = Some(address);
        }
        may
    }

    /// Reads what is there, within a bound.
    pub(super) fn read(&mut self, scratch: &mut [u8], now: Instant) -> Fate {
        for _ in 0..READS {
            if !self.is_unread() {
                break;
            }
            match self.socket.read(scratch) {
                Ok(0) => {
                    self.readable = false;
                    return self.client.peer_ended();
                }
                Ok(count) => self.client.received(scratch.get(..count).unwrap_or_default(), now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Fate::Over,
            }
        }
        Fate::Open
    }

    /// Writes what waits, as far as the socket takes it; counts the bytes.
    pub(super) fn write(&mut self, sent: &mut u64, now: Instant) -> Fate {
        while self.writable && !self.client.out.is_empty() {
            let written = self.socket.write_vectored(&self.client.out.slices());
            match written {
                Ok(0) => return Fate::Over,
                Ok(count) => {
                    *sent += count as u64;
                    self.client.wrote(count, now);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Fate::Over,
            }
        }
        // Closed at once, with bytes of the client unread, what was just written could be lost on its way.
        if self.client.is_done() && !std::mem::replace(&mut self.shut, true) {
            let _ = self.socket.shutdown(Shutdown::Write);
        }
        self.client.fate()
    }
}
