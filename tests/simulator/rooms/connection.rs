//! One client: its socket, the WebSocket over it where there is one, how far it is, and what waits for it.

use crate::server::socket::{Got, Socket};
use mio::net::TcpStream;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Instant;
use touchline_worker::wire::rooms::{BodyForm, Decoder, Limits, Operation};
use touchline_worker::wire::websocket::{
    Arrived, Limits as FrameLimits, Opcode, Reader, Role, ServerRequest, Writer,
};

/// What a client may send at once.
const LIMITS: Limits = Limits { packet: 64 * 1024, inflated: 64 * 1024, ratio: 200, depth: 1 };
/// Bytes already sent that may stay at the front of the queue before it is moved up.
const SENT_KEPT: usize = 1 << 20;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The request of a WebSocket is to come.
    Upgrade,
    /// The join is to come.
    Join,
    /// Its join is never answered.
    Ignored,
    /// It gets what is said in this room.
    Joined(u64),
    /// It ends when all that waits is sent.
    Leaving,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client closed, or it died.
    Left,
    /// It sent what cannot be read.
    Bad,
    /// It has been told why.
    Refused,
    /// It did not join in time, or its heartbeat is missing.
    Silent,
    /// It does not read fast enough.
    Slow,
    /// Its address has too many connections.
    Capped,
    /// It was asked for.
    Reset,
}

/// How packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    WebSocket,
}

impl Transport {
    pub(super) fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::WebSocket => "ws",
        }
    }
}

/// What a client said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Join(Vec<u8>),
    Heartbeat(Vec<u8>),
    /// What only a server sends, or what nobody asks for.
    Other,
}

struct WebSocket {
    reader: Reader,
    writer: Writer,
}

pub(super) struct Connection {
    socket: Socket,
    pub(super) peer: SocketAddr,
    pub(super) id: u64,
    pub(super) state: State,
    /// How it wants its batches.
    pub(super) form: BodyForm,
    /// When it joined, or connected.
    pub(super) since: Instant,
    /// When its last packet came.
    pub(super) heard: Instant,
    decoder: Decoder,
    websocket: Option<Box<WebSocket>>,
    out: Vec<u8>,
    sent: usize,
    /// The kernel took no more; wait until it says so.
    blocked: bool,
}

impl Connection {
    pub(super) fn new(socket: Socket, peer: SocketAddr, id: u64, transport: Transport, now: Instant) -> Self {
        let websocket = match transport {
            Transport::Tcp => None,
            Transport::WebSocket => Some(Box::new(WebSocket {
                reader: Reader::new(Role::Server, FrameLimits::default()),
                writer: Writer::new(Role::Server, None, usize::MAX),
            })),
        };
        let state = if websocket.is_some() { State::Upgrade } else { State::Join };
        Self {
            socket,
            peer,
            id,
            state,
            form: BodyForm::Plain,
            since: now,
            heard: now,
            decoder: Decoder::new(LIMITS),
            websocket,
            out: Vec::new(),
            sent: 0,
            blocked: false,
        }
    }

    pub(super) fn stream(&mut self) -> &mut TcpStream {
        self.socket.stream()
    }

    pub(super) fn transport(&self) -> Transport {
        if self.websocket.is_some() { Transport::WebSocket } else { Transport::Tcp }
    }

    /// Bytes that wait.
    pub(super) fn queue(&self) -> usize {
        self.out.len().saturating_sub(self.sent)
    }

    /// The room it is in.
    pub(super) fn room(&self) -> Option<u64> {
        match self.state {
            State::Joined(room) => Some(room),
            State::Upgrade | State::Join | State::Ignored | State::Leaving => None,
        }
    }

    /// Reads all there is; what was said is appended to `said`.
    pub(super) fn read(&mut self, said: &mut Vec<Said>) -> Result<(), End> {
        let mut bytes = [0; 16 * 1024];
        loop {
            let count = match self.socket.read(&mut bytes) {
                Ok(Got::Bytes(count)) => count,
                Ok(Got::Nothing) => return Ok(()),
                Ok(Got::End) | Err(_) => return Err(End::Left),
            };
            let read = bytes.get(..count).unwrap_or_default();
            if self.websocket.is_some() {
                self.understand_frames(read, said)?;
            } else {
                self.decoder.push(read);
                self.understand(said)?;
            }
        }
    }

    fn understand_frames(&mut self, read: &[u8], said: &mut Vec<Said>) -> Result<(), End> {
        let Some(websocket) = &mut self.websocket else { return Ok(()) };
        websocket.reader.feed(read);
        if self.state == State::Upgrade {
            let parsed = ServerRequest::parse(websocket.reader.unread()).map_err(|_| End::Bad)?;
            let Some((request, used)) = parsed else { return Ok(()) };
            websocket.reader.skip(used);
            request.accept(None, None, &mut self.out);
            self.state = State::Join;
        }
        loop {
            let Some(websocket) = &mut self.websocket else { return Ok(()) };
            match websocket.reader.advance().map_err(|_| End::Bad)? {
                None => return Ok(()),
                Some(Arrived::Text | Arrived::Binary) => {
                    self.decoder.push_message(websocket.reader.payload());
                    self.understand(said)?;
                }
                Some(Arrived::Ping) => {
                    let payload = websocket.reader.payload().to_vec();
                    websocket.writer.pong(&payload, &mut self.out);
                }
                Some(Arrived::Pong) => {}
                Some(Arrived::Close(_)) => return Err(End::Left),
            }
        }
    }

    fn understand(&mut self, said: &mut Vec<Said>) -> Result<(), End> {
        while let Some(packet) = self.decoder.next() {
            let packet = packet.map_err(|_| End::Bad)?;
            said.push(match packet.operation {
                Operation::Join => Said::Join(packet.body.to_vec()),
                Operation::Heartbeat => Said::Heartbeat(packet.body.to_vec()),
                Operation::HeartbeatReply
                | Operation::Message
                | Operation::JoinReply
                | Operation::Other(_) => Said::Other,
            });
        }
        Ok(())
    }

    /// Appends packets to what waits: one message of a WebSocket.
    pub(super) fn send(&mut self, packets: &[u8]) {
        match &mut self.websocket {
            Some(websocket) => {
                websocket.writer.message(Opcode::Binary, packets, usize::MAX, &mut self.out);
            }
            None => self.out.extend_from_slice(packets),
        }
    }

    /// The kernel takes bytes again.
    pub(super) fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Hands to the kernel what it takes, at most `piece` bytes at a time; how many it took.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) fn flush(&mut self, piece: usize) -> Result<u64, End> {
        let mut taken = 0;
        while !self.blocked {
            match self.write(piece, &mut taken) {
                Ok(0) => break,
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.blocked = true,
                Err(_) => return Err(End::Left),
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        } else if self.sent > SENT_KEPT {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        Ok(taken)
    }

    /// One write; nothing once all is with the kernel.
    fn write(&mut self, piece: usize, taken: &mut u64) -> io::Result<usize> {
        self.socket.send(taken)?;
        let waiting = self.out.get(self.sent..).unwrap_or_default();
        if waiting.is_empty() {
            return Ok(0);
        }
        self.socket.write(waiting.get(..piece.max(1)).unwrap_or(waiting), taken)
    }

    /// The end, by a reset: what the kernel still holds is lost.
    pub(super) fn reset(&mut self) {
        reset(self.socket.stream());
    }
}

/// Makes the close of a socket a reset.
pub(super) fn reset(stream: &TcpStream) {
    let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    if let Err(error) = nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::Linger, &at_once) {
        log::debug!("simulator.reset {error}");
    }
}

/// Whether an accept has nothing more.
pub(super) fn is_over(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}
