//! One client: its socket and the WebSocket over it, how far it is, what it follows, and what waits for it.

use super::options::Frames;
use super::script::{Number, Slot};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use mio::net::TcpStream;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Instant;
use touchline_worker::wire::websocket::{
    Arrived, CloseCode, Deflate, Limits, Opcode, Reader, Role, ServerRequest, Writer,
};

/// Bytes already sent that may stay at the front of the queue before it is moved up.
const SENT_KEPT: usize = 1 << 20;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The request of a WebSocket is to come.
    Upgrade,
    /// The login is to come.
    Login,
    Open,
    /// It has been told to go; what waits is still sent.
    Leaving,
    /// All is sent, and nothing more will be: the client ends it.
    Shut,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client closed, or it died.
    Left,
    /// It sent what cannot be understood.
    Bad,
    Silent,
    /// It does not read fast enough.
    Slow,
    /// It was asked for.
    Reset,
}

/// How a subscription is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Whole,
    Thin,
    Nothing,
}

/// What a subscription is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Topic(Slot),
    List,
    /// The recorded stream.
    Recording,
}

#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) subject: Subject,
    /// The number of the newest change that was sent, or given up; of a recording how many lines.
    pub(super) sent: Number,
    pub(super) service: Service,
    /// A delta that comes behind the next one.
    pub(super) held: Option<String>,
}

pub(super) struct Connection {
    stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) id: u64,
    pub(super) stage: Stage,
    /// When it came, then when it logged in, then when it was told to go.
    pub(super) since: Instant,
    /// When it last said something.
    pub(super) heard: Instant,
    pub(super) heartbeat_at: Instant,
    pub(super) subscriptions: BTreeMap<String, Subscription>,
    /// The most it ever had.
    pub(super) most: usize,
    /// When topics were asked for, within the last second.
    pub(super) asked: VecDeque<Instant>,
    /// Parts of the next message.
    pub(super) parts: Vec<String>,
    frames: Frames,
    /// The compression of frames, once that is agreed upon.
    pub(super) agreed: Option<Deflate>,
    reader: Reader,
    writer: Writer,
    out: Vec<u8>,
    sent: usize,
    /// The kernel took no more; wait until it says so.
    blocked: bool,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, peer: SocketAddr, id: u64, frames: Frames, now: Instant) -> Self {
        Self {
            stream,
            peer,
            id,
            stage: Stage::Upgrade,
            since: now,
            heard: now,
            heartbeat_at: now,
            subscriptions: BTreeMap::new(),
            most: 0,
            asked: VecDeque::new(),
            parts: Vec::new(),
            frames,
            agreed: None,
            reader: Reader::new(Role::Server, Limits::default()),
            writer: Writer::new(Role::Server, None, usize::MAX),
            out: Vec::new(),
            sent: 0,
            blocked: false,
        }
    }

    pub(super) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Bytes that wait.
    pub(super) fn queue(&self) -> usize {
        self.out.len().saturating_sub(self.sent)
    }

    /// Reads all there is; messages are appended to `messages`.
    ///
    /// # Errors
    /// Why it ends.
    pub(super) fn read(&mut self, messages: &mut Vec<Vec<u8>>) -> Result<(), End> {
        let mut bytes = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(End::Left),
                Ok(count) => {
                    self.reader.feed(bytes.get(..count).unwrap_or_default());
                    self.understand(messages)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(End::Left),
            }
        }
    }

    fn understand(&mut self, messages: &mut Vec<Vec<u8>>) -> Result<(), End> {
        if self.stage == Stage::Upgrade {
            let parsed = ServerRequest::parse(self.reader.unread()).map_err(|_| End::Bad)?;
            let Some((request, used)) = parsed else { return Ok(()) };
            self.reader.skip(used);
            let wanted = match self.frames {
                Frames::Compressed => Some(Deflate::default()),
                Frames::Text | Frames::Gzip | Frames::Zlib => None,
            };
            self.agreed = request.accept(None, wanted.as_ref(), &mut self.out);
            self.reader.agreed(self.agreed);
            self.writer = Writer::new(Role::Server, self.agreed, 0);
            self.stage = Stage::Login;
        }
        loop {
            match self.reader.advance().map_err(|_| End::Bad)? {
                None => return Ok(()),
                Some(Arrived::Text | Arrived::Binary) => messages.push(self.reader.payload().to_vec()),
                Some(Arrived::Ping) => {
                    let payload = self.reader.payload().to_vec();
                    self.writer.pong(&payload, &mut self.out);
                    self.heard = Instant::now();
                }
                Some(Arrived::Pong) => self.heard = Instant::now(),
                Some(Arrived::Close(_)) => return Err(End::Left),
            }
        }
    }

    /// Appends a message to what waits.
    pub(super) fn send(&mut self, message: &str) {
        match self.frames {
            Frames::Text | Frames::Compressed => self.writer.text(message.as_bytes(), &mut self.out),
            Frames::Gzip => {
                self.send_binary(GzEncoder::new(Vec::new(), Compression::fast()), message, GzEncoder::finish);
            }
            Frames::Zlib => {
                let encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                self.send_binary(encoder, message, ZlibEncoder::finish);
            }
        }
    }

    /// In memory an encoder does not fail; if it did, an empty message would show.
    fn send_binary<E: Write>(
        &mut self,
        mut encoder: E,
        message: &str,
        finish: impl FnOnce(E) -> io::Result<Vec<u8>>,
    ) {
        let written = encoder.write_all(message.as_bytes());
        let packed = written.and_then(|()| finish(encoder)).unwrap_or_default();
        self.writer.message(Opcode::Binary, &packed, usize::MAX, &mut self.out);
    }

    /// Says that it ends, and why; nothing follows.
    pub(super) fn close(&mut self, code: u16) {
        match self.stage {
            Stage::Upgrade | Stage::Login | Stage::Open => {
                self.writer.close(CloseCode(code), "", &mut self.out);
                self.stage = Stage::Leaving;
                self.since = Instant::now();
            }
            Stage::Leaving | Stage::Shut => {}
        }
    }

    /// Ends our direction, if it was told to go and all is sent. To end both would reset the connection where the client has just said
    /// something, and the close code would be lost.
    pub(super) fn shut(&mut self) {
        if self.stage == Stage::Leaving && self.queue() == 0 {
            self.stage = Stage::Shut;
            if let Err(error) = self.stream.shutdown(Shutdown::Write) {
                log::debug!("simulator.shut {error}");
            }
        }
    }

    /// The kernel takes bytes again.
    pub(super) fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Hands to the kernel what it takes; how many bytes it took.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) fn flush(&mut self) -> Result<u64, End> {
        let mut taken = 0;
        while !self.blocked {
            let waiting = self.out.get(self.sent..).unwrap_or_default();
            if waiting.is_empty() {
                break;
            }
            match self.stream.write(waiting) {
                Ok(count) => {
                    self.sent += count;
                    taken += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.blocked = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
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

    /// The end, by a reset: what the kernel still holds is lost.
    pub(super) fn reset(&mut self) {
        let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        let linger = nix::sys::socket::sockopt::Linger;
        if let Err(error) = nix::sys::socket::setsockopt(&self.stream, linger, &at_once) {
            log::debug!("simulator.reset {error}");
        }
    }
}

/// Whether an accept has nothing more.
pub(super) fn is_over(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}
