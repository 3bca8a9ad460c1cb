//! A connected socket, the WebSocket over it, and the session on that.
//!
//! The socket is read only once all messages that came were taken, so nothing that came is overtaken by the end of the stream. Caller:
//! `connection`.

use super::lost::LostReason;
use super::plan::Plan;
use super::session::{Form, Outgoing, Session};
use crate::net::{Broken, Got, Readiness, Rest, Socket};
use crate::wire::websocket::{
    Arrived, ClientRequest, CloseCode, Key, Offer, Reader, Role, Writer, printable,
};
use std::os::fd::AsFd;
use std::time::Instant;

/// Of a reason that the server states, bytes.
const QUOTED: usize = 120;
/// While so much waits to be sent, pings are not answered.
const PONG_ROOM: usize = 64 * 1024;
/// Messages that are longer are compressed, where that was agreed upon.
const COMPRESS_FROM: usize = 256;

#[derive(Debug)]
pub(super) struct Link {
    pub(super) session: Session,
    socket: Socket,
    reader: Reader,
    writer: Writer,
    opening: Opening,
    out: Vec<u8>,
    sent: usize,
    out_limit: usize,
    queue: Queue,
    messages: Messages,
}

#[derive(Debug)]
enum Opening {
    /// The answer to our request is to come.
    Asked(Key),
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

/// Whether the reader may hold a whole message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Messages {
    None,
    Some,
}

impl Link {
    /// The request goes out first. `random` is to be beyond prediction.
    pub(super) fn new(mut session: Session, socket: Socket, plan: &Plan, random: u128) -> Link {
        let key = Key::new(random.to_ne_bytes());
        let mut out = Vec::new();
        if let Err(error) = request(plan).encode(&key, &mut out) {
            session.end(LostReason::Upgrade(error));
        }
        Link {
            session,
            socket,
            reader: Reader::new(Role::Client, plan.limits),
            writer: Writer::new(Role::Client, None, usize::MAX),
            opening: Opening::Asked(key),
            out,
            sent: 0,
            out_limit: plan.out_limit,
            // What the poll reported while it was being connected was not kept.
            queue: Queue::Ending,
            messages: Messages::None,
        }
    }

    pub(super) fn note(&mut self, readiness: Readiness) {
        self.queue = match (readiness, self.queue) {
            (Readiness::End, _) | (Readiness::Bytes, Queue::Ending) => Queue::Ending,
            (Readiness::Bytes, Queue::Drained | Queue::Unread) => Queue::Unread,
        };
    }

    pub(super) fn is_drained(&self) -> bool {
        self.queue == Queue::Drained && self.messages == Messages::None && !self.session.has_steps()
    }

    /// One read of the socket, if all messages were taken; how many bytes.
    pub(super) fn read(&mut self) -> usize {
        if self.messages == Messages::Some || self.session.why().is_some() {
            return 0;
        }
        match self.socket.read(self.reader.spare()) {
            Ok(Got::Bytes(count, rest)) => {
                if rest == Rest::None && self.queue == Queue::Unread {
                    self.queue = Queue::Drained;
                }
                self.reader.filled(count);
                self.messages = Messages::Some;
                count
            }
            Ok(Got::Nothing) => {
                self.queue = Queue::Drained;
                0
            }
            Ok(Got::End) => {
                self.queue = Queue::Drained;
                self.session.end(LostReason::EndOfStream);
                0
            }
            Err(broken) => {
                self.queue = Queue::Drained;
                self.session.end(broken.into());
                0
            }
        }
    }

    /// Gives the session the next message; whether there was one. To be called once the steps of the last are taken.
    pub(super) fn next_message(&mut self, plan: &Plan, now: Instant) -> bool {
        if self.messages == Messages::None || self.session.why().is_some() {
            return false;
        }
        match self.take(plan, now) {
            Ok(true) => true,
            Ok(false) => {
                self.messages = Messages::None;
                false
            }
            Err(why) => {
                if let LostReason::WebSocket(error) = &why {
                    self.writer.close(error.close_code(), "", &mut self.out);
                    let _ = self.write();
                }
                self.session.end(why);
                false
            }
        }
    }

    fn take(&mut self, plan: &Plan, now: Instant) -> Result<bool, LostReason> {
        if let Opening::Asked(key) = &self.opening {
            let answer = request(plan).read_answer(key, self.reader.unread());
            let Some((deflate, used)) = answer.map_err(LostReason::Upgrade)? else { return Ok(false) };
            self.reader.skip(used);
            self.writer = Writer::new(Role::Client, deflate, COMPRESS_FROM);
            self.reader.agreed(deflate);
            self.opening = Opening::Open;
            self.session.connected(now);
            return Ok(true);
        }
        loop {
            let Some(arrived) = self.reader.advance().map_err(LostReason::WebSocket)? else {
                return Ok(false);
            };
            match arrived {
                Arrived::Text => {
                    self.session.take(self.reader.payload(), Form::Text, now);
                    return Ok(true);
                }
                Arrived::Binary => {
                    self.session.take(self.reader.payload(), Form::Binary, now);
                    return Ok(true);
                }
                Arrived::Ping => {
                    self.session.frame_came(now);
                    if self.unsent() <= PONG_ROOM {
                        self.writer.pong(self.reader.payload(), &mut self.out);
                    }
                }
                Arrived::Pong => self.session.frame_came(now),
                Arrived::Close(code) => {
                    let reason = printable(self.reader.payload(), QUOTED);
                    return Err(LostReason::Closed { code, reason });
                }
            }
        }
    }

    fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Writes what the session has to send, as far as the socket takes it.
    pub(super) fn flush(&mut self) {
        if matches!(self.opening, Opening::Open) {
            while let Some(outgoing) = self.session.next_outgoing() {
                match outgoing {
                    Outgoing::Text(text) => self.writer.text(text.as_bytes(), &mut self.out),
                    Outgoing::Ping => self.writer.ping(b"", &mut self.out),
                }
            }
        }
        if let Err(broken) = self.write() {
            self.session.end(broken.into());
        } else if self.unsent() > self.out_limit {
            self.session.end(LostReason::OutputFull { limit: self.out_limit });
        }
        if self.session.why().is_some() {
            // The next turn comes at once and gives the event.
            self.queue = Queue::Unread;
        }
    }

    fn write(&mut self) -> Result<(), Broken> {
        self.socket.flush()?;
        while self.unsent() > 0 {
            match self.socket.write(self.out.get(self.sent..).unwrap_or_default())? {
                0 => return Ok(()),
                count => self.sent = (self.sent + count).min(self.out.len()),
            }
        }
        self.out.clear();
        self.out.shrink_to(PONG_ROOM);
        self.sent = 0;
        Ok(())
    }

    /// What an upgrade that is not done was waiting for.
    pub(super) fn stage(&self) -> &'static str {
        if self.socket.is_handshaking() { " (the TLS handshake)" } else { "" }
    }

    /// Bytes that came and are not applied: in the kernel and in the reader.
    pub(super) fn receive_queue(&self) -> u64 {
        let kernel = touchline_common::sys::queue::readable_bytes(self.socket.as_fd()).unwrap_or(0);
        kernel + (self.reader.unread().len() + self.reader.held().len()) as u64
    }

    /// Says goodbye, as far as that goes at once.
    pub(super) fn close(&mut self) {
        if matches!(self.opening, Opening::Open) {
            self.writer.close(CloseCode::NORMAL, "", &mut self.out);
            let _ = self.write();
        }
        self.session.end(LostReason::Asked);
        self.queue = Queue::Unread;
    }

    /// The session is over, and the socket is closed.
    pub(super) fn into_session(mut self) -> Session {
        self.socket.farewell();
        self.session
    }
}

fn request(plan: &Plan) -> ClientRequest<'_> {
    ClientRequest {
        host: &plan.authority,
        target: &plan.target,
        protocol: None,
        offer: Offer::Deflate,
        headers: &plan.headers,
    }
}
