//! A client's connection as the server has it: its handshake, what it asks for, and what it has not taken yet.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use touchline_worker::wire::diffusion::{
    self, ConnectRequest, ConnectResponse, FrameBuffer, MessageType, ResponseCode,
};

/// A client of the server.
pub struct Connection {
    stream: TcpStream,
    buffer: FrameBuffer,
    shaken: bool,
    /// Bytes that the socket did not take yet.
    pub out: Vec<u8>,
    /// Diffs of this tick.
    pub tick: Vec<u8>,
}

/// What a client asks for.
pub enum Wish {
    /// This topic's load, and diffs from then on.
    Follow(String),
    /// No more of this topic.
    Release(String),
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(stream: TcpStream) -> std::io::Result<Connection> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let buffer = FrameBuffer::new(1 << 20);
        Ok(Connection { stream, buffer, shaken: false, out: Vec::new(), tick: Vec::new() })
    }

    /// Reads what there is; what is asked for. None: it is gone.
    pub fn read(&mut self) -> Option<Vec<Wish>> {
        match self.stream.read(self.buffer.spare()) {
            Ok(0) => return None,
            Ok(count) => self.buffer.filled(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(Vec::new()),
            Err(_) => return None,
        }
        if !self.shaken {
            let Some((_, used)) = ConnectRequest::parse(self.buffer.unread()).ok()? else {
                return Some(Vec::new());
            };
            self.buffer.skip(used);
            let accepted = ConnectResponse::Accepted {
                version: diffusion::VERSION,
                code: ResponseCode::Ok,
                client_id: b"bench",
            };
            accepted.encode(&mut self.out).ok()?;
            self.shaken = true;
        }
        let mut wanted = Vec::new();
        while let Some(message) = self.buffer.next_message().ok()? {
            let wish = if message.kind == MessageType::Subscribe { Wish::Follow } else { Wish::Release };
            if message.kind == MessageType::Subscribe || message.kind == MessageType::Unsubscribe {
                let topics = message.selectors().map(|one| String::from_utf8_lossy(one).into_owned());
                wanted.extend(topics.map(wish));
            }
        }
        Some(wanted)
    }

    /// Writes what this tick has brought.
    pub fn send_tick(&mut self) {
        if !self.tick.is_empty() {
            let mut tick = std::mem::take(&mut self.tick);
            self.send(&tick);
            tick.clear();
            self.tick = tick;
        }
    }

    /// Writes at once what the socket takes; the rest waits, and what comes later waits behind it.
    pub fn send(&mut self, bytes: &[u8]) {
        if self.out.is_empty() {
            let taken = self.stream.write(bytes).unwrap_or(0);
            self.out.extend_from_slice(bytes.get(taken..).unwrap_or_default());
            return;
        }
        self.out.extend_from_slice(bytes);
        let taken = self.stream.write(&self.out).unwrap_or(0);
        self.out.drain(..taken);
    }
}
