//! A session's WebSocket: what comes is read as messages, what is sent comes from the session.

use super::{Client, State};
use crate::serve::engine_io::Payload;
use crate::wire::websocket::{Arrived, CloseCode, Limits, Reader, Role, Writer};
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Socket {
    /// `None` while nothing of a frame has come, since its buffers are large.
    reader: Option<Reader>,
    /// Bytes of a message at most.
    most: usize,
}

impl Socket {
    /// Bytes of memory for what came.
    pub(super) fn capacity(&self) -> usize {
        self.reader.as_ref().map_or(0, Reader::capacity)
    }

    pub(super) fn received(&mut self, bytes: &[u8]) {
        let limits = Limits { frame: self.most, inflated: self.most, ratio: 1 };
        self.reader.get_or_insert_with(|| Reader::small(Role::Server, limits)).feed(bytes);
    }
}

impl Client {
    /// The request opened a session's WebSocket; `head` is the answer.
    pub(in crate::serve) fn open_socket(&mut self, head: Vec<u8>, most: usize, now: Instant) {
        self.out.push_own(head);
        let mut socket = Socket { reader: None, most };
        let early = std::mem::take(&mut self.inbox);
        if !early.is_empty() {
            socket.received(&early);
        }
        self.state = State::Socket(Box::new(socket));
        self.deadline = now + super::STALLED;
    }

    pub(in crate::serve) fn is_socket(&self) -> bool {
        matches!(self.state, State::Socket(_))
    }

    /// Whether a session gives its answer, or what it is sent.
    pub(in crate::serve) fn serves_session(&self) -> bool {
        matches!(self.state, State::Socket(_) | State::Held { .. })
    }

    /// The next message of a session's WebSocket; pings are answered, and a fault closes it.
    pub(in crate::serve) fn next_message(&mut self, now: Instant) -> Option<Payload> {
        loop {
            let State::Socket(socket) = &mut self.state else { return None };
            let reader = socket.reader.as_mut()?;
            match reader.advance() {
                Ok(None) => {
                    if reader.is_idle() {
                        socket.reader = None;
                    } else {
                        reader.rest();
                    }
                    return None;
                }
                Ok(Some(Arrived::Text)) => {
                    // The reader checked that it is UTF-8.
                    let text = String::from_utf8_lossy(reader.payload()).into_owned();
                    return Some(Payload::Text(text));
                }
                Ok(Some(Arrived::Binary)) => return Some(Payload::Binary(reader.payload().to_vec())),
                Ok(Some(Arrived::Ping)) => {
                    let mut bytes = Vec::new();
                    Writer::new(Role::Server, None, usize::MAX).pong(reader.payload(), &mut bytes);
                    self.out.push_own(bytes);
                }
                Ok(Some(Arrived::Pong)) => {}
                Ok(Some(Arrived::Close(code))) => {
                    self.dismiss(code.unwrap_or(CloseCode::NORMAL), "", now);
                }
                Err(error) => self.dismiss(error.close_code(), &error.to_string(), now),
            }
        }
    }
}
