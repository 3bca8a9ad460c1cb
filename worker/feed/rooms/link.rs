//! The connection of one room: a socket, and packets over it, with a WebSocket between where the server speaks that.
//!
//! The socket is read into a buffer that all rooms share; [`Link::next`] takes packets out of that, a WebSocket's piece by piece, so
//! that its own buffer stays small. What does not make a whole packet stays in the decoder, which holds nothing at rest.

use super::lost::Lost;
use super::plan::{Limits, Server, Upgrade};
use crate::net::{Broken, Got, Readiness, Rest, Socket};
use crate::wire::rooms::{Decoder, JoinAuth, Operation, Packet, write_heartbeat, write_join};
use crate::wire::websocket::{
    Arrived, ClientRequest, CloseCode, Key, Offer, Opcode, Reader, Role, Writer, printable,
};
use std::os::fd::AsFd;

/// So much of what was read a WebSocket is given at a time.
const PIECE: usize = 4 * 1024;
/// While so much waits to be sent, pings are not answered.
const PONG_ROOM: usize = 4 * 1024;
/// Of a reason that the server states, bytes.
const QUOTED: usize = 120;
/// Packets in a row that cannot be read and end the connection.
pub const BAD: u32 = 2;

#[derive(Debug)]
pub(super) struct Link {
    socket: Socket,
    framing: Framing,
    decoder: Decoder,
    out: Vec<u8>,
    sent: usize,
    queue: Queue,
    /// What the room is joined with, until it is.
    auth: Option<Box<JoinAuth>>,
    /// Packets in a row that could not be read.
    bad: u32,
    /// Its number among all connections.
    pub(super) number: u64,
    /// Whether it was read from.
    reads: Reads,
    /// Why it takes no bytes any more: what came before that is still to be read.
    failed: Option<Broken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    None,
    Some,
}

#[derive(Debug)]
enum Framing {
    Stream,
    WebSocket(Box<WebSocket>),
}

#[derive(Debug)]
struct WebSocket {
    reader: Reader,
    writer: Writer,
    state: Opening,
}

#[derive(Debug)]
enum Opening {
    /// The answer to our request is to come.
    Asked {
        key: Key,
        host: String,
        upgrade: Box<Upgrade>,
    },
    Open,
}

/// What the socket's receive queue holds, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    /// Nothing; the next event announces more.
    Drained,
    Unread,
    /// Something may be there, and behind it the end: no event will announce that again, so a short read proves nothing.
    Ending,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// The WebSocket is open: the room can be joined.
    Opened,
    Packet(Operation),
    /// A packet that cannot be read, and why.
    Bad(String),
}

enum Fed {
    Bytes,
    Opened,
    Nothing,
}

impl Link {
    /// Over a connected socket; the WebSocket's request is the first thing to be sent. `random` is to be beyond prediction.
    pub(super) fn new(
        socket: Socket,
        server: &Server,
        limits: &Limits,
        auth: Box<JoinAuth>,
        random: u128,
        number: u64,
    ) -> Result<Link, Lost> {
        let mut out = Vec::new();
        let framing = match &server.upgrade {
            None => Framing::Stream,
            Some(upgrade) => {
                let key = Key::new(random.to_ne_bytes());
                request(&server.authority, upgrade).encode(&key, &mut out).map_err(Lost::Upgrade)?;
                let (host, upgrade) = (server.authority.clone(), Box::new(upgrade.clone()));
                Framing::WebSocket(Box::new(WebSocket {
                    reader: Reader::small(Role::Client, limits.messages),
                    writer: Writer::new(Role::Client, None, usize::MAX),
                    state: Opening::Asked { key, host, upgrade },
                }))
            }
        };
        // Whatever is in the socket by now is read first: what the poll reported while it was being connected was not kept.
        let queue = Queue::Ending;
        let (decoder, auth) = (Decoder::new(limits.packets), Some(auth));
        Ok(Link {
            socket,
            framing,
            decoder,
            out,
            sent: 0,
            queue,
            auth,
            bad: 0,
            number,
            reads: Reads::None,
            failed: None,
        })
    }

    /// Whether the room can be joined at once.
    pub(super) fn is_open(&self) -> bool {
        match &self.framing {
            Framing::Stream => true,
            Framing::WebSocket(websocket) => matches!(websocket.state, Opening::Open),
        }
    }

    /// The join goes out, once.
    pub(super) fn join(&mut self, room: &str) {
        if let Some(auth) = self.auth.take() {
            self.send(|out| write_join(out, room, &auth));
        }
    }

    pub(super) fn heartbeat(&mut self) {
        self.send(write_heartbeat);
    }

    fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        match &mut self.framing {
            Framing::Stream => write(&mut self.out),
            Framing::WebSocket(websocket) => {
                let mut packet = Vec::new();
                write(&mut packet);
                websocket.writer.message(Opcode::Binary, &packet, usize::MAX, &mut self.out);
            }
        }
    }

    pub(super) fn note(&mut self, readiness: Readiness) {
        self.queue = match (readiness, self.queue) {
            (Readiness::End, _) | (Readiness::Bytes, Queue::Ending) => Queue::Ending,
            (Readiness::Bytes, Queue::Drained | Queue::Unread) => Queue::Unread,
        };
    }

    /// Whether the socket has nothing to read.
    pub(super) fn is_drained(&self) -> bool {
        self.queue == Queue::Drained
    }

    /// Whether nothing was asked here before.
    pub(super) fn is_first_read(&mut self) -> bool {
        std::mem::replace(&mut self.reads, Reads::Some) == Reads::None
    }

    /// One read of the socket; how many bytes are in `room` now.
    pub(super) fn read(&mut self, room: &mut [u8]) -> Result<usize, Lost> {
        match self.socket.read(room)? {
            Got::Bytes(count, rest) => {
                if rest == Rest::None && self.queue == Queue::Unread {
                    self.queue = Queue::Drained;
                }
                Ok(count)
            }
            Got::Nothing => {
                self.queue = Queue::Drained;
                self.failed.take().map_or(Ok(0), |broken| Err(broken.into()))
            }
            Got::End => Err(Lost::EndOfStream),
        }
    }

    /// The next of what was read into `bytes`, of which `taken` are taken; the body of a packet is in `body` then. None once all is taken.
    pub(super) fn next(
        &mut self,
        bytes: &[u8],
        taken: &mut usize,
        body: &mut Vec<u8>,
    ) -> Result<Option<Came>, Lost> {
        loop {
            match self.decoder.next() {
                Some(Ok(Packet { operation, body: read })) => {
                    self.bad = 0;
                    body.clear();
                    body.extend_from_slice(read);
                    return Ok(Some(Came::Packet(operation)));
                }
                Some(Err(error)) => {
                    self.bad += 1;
                    let why = error.to_string();
                    let is_over = error.is_fatal() || self.bad >= BAD;
                    return if is_over { Err(Lost::Packet(why)) } else { Ok(Some(Came::Bad(why))) };
                }
                None => {}
            }
            match self.feed(bytes, taken)? {
                Fed::Bytes => {}
                Fed::Opened => return Ok(Some(Came::Opened)),
                Fed::Nothing => return Ok(None),
            }
        }
    }

    /// Gives the decoder more.
    fn feed(&mut self, bytes: &[u8], taken: &mut usize) -> Result<Fed, Lost> {
        let rest = bytes.get(*taken..).unwrap_or_default();
        let Framing::WebSocket(websocket) = &mut self.framing else {
            if rest.is_empty() {
                return Ok(Fed::Nothing);
            }
            self.decoder.push(rest);
            *taken = bytes.len();
            return Ok(Fed::Bytes);
        };
        if let Some(fed) = websocket.take(&mut self.decoder, &mut self.out, self.sent)? {
            return Ok(fed);
        }
        let piece = rest.get(..rest.len().min(PIECE)).unwrap_or_default();
        if piece.is_empty() {
            return Ok(Fed::Nothing);
        }
        websocket.reader.feed(piece);
        *taken += piece.len();
        Ok(Fed::Bytes)
    }

    /// Whether [`Link::flush`] may have something to do.
    pub(super) fn has_output(&self) -> bool {
        match &self.socket {
            Socket::Plain(_) => self.unsent() > 0,
            Socket::Tls(_) => true,
        }
    }

    /// It takes no bytes any more; once all that came is read, a read says so.
    pub(super) fn fail(&mut self, broken: Broken) {
        (self.queue, self.failed) = (Queue::Ending, Some(broken));
        (self.out, self.sent) = (Vec::new(), 0);
    }

    /// Bytes that wait for the socket.
    pub(super) fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Writes what is to be sent, as far as the socket takes it.
    pub(super) fn flush(&mut self) -> Result<(), Broken> {
        if self.failed.is_some() {
            return Ok(());
        }
        self.socket.flush()?;
        while self.unsent() > 0 {
            match self.socket.write(self.out.get(self.sent..).unwrap_or_default())? {
                0 => return Ok(()),
                count => self.sent = (self.sent + count).min(self.out.len()),
            }
        }
        (self.out, self.sent) = (Vec::new(), 0);
        Ok(())
    }

    /// Gives back memory that a burst took.
    pub(super) fn rest(&mut self) {
        match &mut self.framing {
            Framing::Stream => {}
            Framing::WebSocket(websocket) => websocket.reader.rest(),
        }
    }

    /// Bytes in the kernel and in the decoder.
    pub(super) fn receive_queue(&self) -> u64 {
        let kernel = touchline_common::sys::queue::readable_bytes(self.socket.as_fd()).unwrap_or(0);
        kernel + self.decoder.buffered() as u64
    }

    /// Closes it in the WebSocket's and in TLS's own way, as far as that goes at once.
    pub(super) fn close(mut self, code: CloseCode) {
        if let Framing::WebSocket(websocket) = &mut self.framing
            && matches!(websocket.state, Opening::Open)
        {
            websocket.writer.close(code, "", &mut self.out);
        }
        if self.flush().is_ok() {
            self.socket.farewell();
        }
    }
}

impl WebSocket {
    /// Takes the next of what came; none if that is not whole.
    fn take(&mut self, decoder: &mut Decoder, out: &mut Vec<u8>, sent: usize) -> Result<Option<Fed>, Lost> {
        if let Opening::Asked { key, host, upgrade } = &self.state {
            let answer = request(host, upgrade).read_answer(key, self.reader.unread());
            let Some((_, used)) = answer.map_err(Lost::Upgrade)? else { return Ok(None) };
            self.reader.skip(used);
            self.state = Opening::Open;
            return Ok(Some(Fed::Opened));
        }
        loop {
            let Some(arrived) = self.reader.advance().map_err(Lost::WebSocket)? else { return Ok(None) };
            match arrived {
                Arrived::Text | Arrived::Binary => {
                    decoder.push_message(self.reader.payload());
                    return Ok(Some(Fed::Bytes));
                }
                Arrived::Ping if out.len() - sent <= PONG_ROOM => {
                    self.writer.pong(self.reader.payload(), out);
                }
                Arrived::Ping | Arrived::Pong => {}
                Arrived::Close(code) => {
                    let reason = printable(self.reader.payload(), QUOTED);
                    return Err(Lost::Closed { code, reason });
                }
            }
        }
    }
}

/// Nothing is offered to be compressed: bodies are already, and a window for each room would be most of what it takes.
fn request<'a>(host: &'a str, upgrade: &'a Upgrade) -> ClientRequest<'a> {
    let Upgrade { target, headers } = upgrade;
    ClientRequest { host, target, protocol: None, offer: Offer::Nothing, headers }
}
