//! The connection: a WebSocket that is opened again and again, with waits in between, and messages over it.
//!
//! A connection that brings nothing is asked for a sign of life, and given up if there is none. It needs no permit of the coordinator:
//! there is one for each worker, and the jitter of its waits keeps those apart.

use super::SocketPlan;
use crate::net::{Broken, Connector, Due, End, Got, Progress, Readiness, Reconnect, Rest, Socket};
use crate::wire::websocket::{
    Arrived, ClientRequest, CloseCode, Key, Offer, Reader, Role, Writer, printable,
};
use mio::{Registry, Token, Waker};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A sign of life is asked for after this time without one.
const PING_AFTER: Duration = Duration::from_secs(30);
/// Without one for so long it is given up; also the handshake's limit.
const SILENT_MAX: Duration = Duration::from_secs(60);
/// Bytes that may wait to be sent.
const OUT_MAX: usize = 4 * 1024 * 1024;
/// Of a reason that the server states, bytes.
const QUOTED: usize = 120;
/// The server closes for this reason what has no key, or one without access.
const POLICY: CloseCode = CloseCode(1008);

#[derive(Debug)]
pub(super) struct Line {
    plan: Arc<SocketPlan>,
    connector: Connector,
    reconnect: Reconnect,
    wire: Option<Wire>,
}

#[derive(Debug)]
struct Wire {
    socket: Socket,
    reader: Reader,
    writer: Writer,
    opening: Opening,
    out: Vec<u8>,
    sent: usize,
    unread: Unread,
    heard_at: Instant,
    /// When [`Came::Alive`] was last given, or it was connected.
    alive_at: Instant,
    ping: Ping,
}

#[derive(Debug)]
enum Opening {
    /// The answer to our request is to come.
    Asked(Key),
    Open,
}

/// What the socket's receive queue holds, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unread {
    Nothing,
    Some,
    /// Something may be there, and behind it the end: a short read proves nothing.
    Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ping {
    NotSent,
    Sent,
}

/// What came of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Came {
    Opened,
    /// It brought something, as it does at least once a minute; reported at most once in half of that.
    Alive,
    Message(Vec<u8>),
    /// It is over, or came not to be; the next attempt comes by itself.
    Lost(String),
}

#[derive(Debug)]
struct Lost {
    why: String,
    refused: Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    No,
    /// The key, or what it may read.
    Key,
}

impl Line {
    pub(super) fn new(plan: Arc<SocketPlan>, token: Token, waker: Arc<Waker>, now: Instant) -> Line {
        let connector = Connector::new(plan.authority.clone(), plan.tls.clone(), token, waker);
        Line { plan, connector, reconnect: Reconnect::new(now), wire: None }
    }

    pub(super) fn note(&mut self, readiness: Readiness) {
        if let Some(wire) = &mut self.wire {
            wire.unread = match (readiness, wire.unread) {
                (Readiness::End, _) | (Readiness::Bytes, Unread::Ending) => Unread::Ending,
                (Readiness::Bytes, Unread::Nothing | Unread::Some) => Unread::Some,
            };
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let wire = self.wire.as_ref().map(|wire| match wire.ping {
            Ping::NotSent => wire.heard_at + PING_AFTER,
            Ping::Sent => wire.heard_at + SILENT_MAX,
        });
        [wire, self.connector.deadline(), self.reconnect.deadline()].into_iter().flatten().min()
    }

    /// Does what is due.
    pub(super) fn advance(&mut self, registry: &Registry, now: Instant) -> Option<Came> {
        self.reconnect.stands(now);
        if let Some(wire) = &mut self.wire {
            let lost = wire.keep_alive(now).err()?;
            return Some(self.lost(&lost, now));
        }
        let progress = if self.connector.is_idle() {
            match self.reconnect.due(now) {
                Due::Attempt(attempt) => self.connector.start(attempt, registry, now),
                Due::Permit => {
                    self.reconnect.permit(now);
                    return None;
                }
                Due::Nothing => return None,
            }
        } else {
            self.connector.advance(registry, now)
        };
        match progress {
            Progress::Pending => None,
            Progress::Connected(socket) => {
                let lost = self.connected(socket, now).err()?;
                Some(self.lost(&lost, now))
            }
            Progress::Failed(why) => {
                self.reconnect.failed(random(), now);
                Some(Came::Lost(why))
            }
        }
    }

    fn connected(&mut self, socket: Socket, now: Instant) -> Result<(), Lost> {
        let random = (u128::from(random()) << 64) | u128::from(random());
        let (key, mut out) = (Key::new(random.to_ne_bytes()), Vec::new());
        self.request().encode(&key, &mut out).map_err(|error| Lost::of(error.to_string()))?;
        self.wire = Some(Wire {
            socket,
            reader: Reader::new(Role::Client, self.plan.limits),
            writer: Writer::new(Role::Client, None, usize::MAX),
            opening: Opening::Asked(key),
            out,
            sent: 0,
            // Whatever is in the socket by now is read first: what the poll reported meanwhile was not kept.
            unread: Unread::Ending,
            heard_at: now,
            alive_at: now,
            ping: Ping::NotSent,
        });
        Ok(())
    }

    fn request(&self) -> ClientRequest<'_> {
        let SocketPlan { authority, target, headers, .. } = &*self.plan;
        ClientRequest { host: authority, target, protocol: None, offer: Offer::Nothing, headers }
    }

    /// Whether the socket has nothing to read.
    pub(super) fn is_drained(&self) -> bool {
        self.wire.as_ref().is_none_or(|wire| wire.unread == Unread::Nothing)
    }

    /// One read of the socket: how many bytes, and what came in them.
    pub(super) fn read(&mut self, now: Instant) -> (usize, Vec<Came>) {
        let mut came = Vec::new();
        let count = match self.take(now, &mut came) {
            Ok(count) => count,
            Err(lost) => {
                came.push(self.lost(&lost, now));
                0
            }
        };
        (count, came)
    }

    fn take(&mut self, now: Instant, came: &mut Vec<Came>) -> Result<usize, Lost> {
        let Some(wire) = self.wire.as_mut().filter(|wire| wire.unread != Unread::Nothing) else {
            return Ok(0);
        };
        let count = wire.fill(now)?;
        if let Opening::Asked(key) = &wire.opening {
            let key = key.clone();
            let unread = self.wire.as_ref().map(|wire| wire.reader.unread()).unwrap_or_default();
            let answer = self.request().read_answer(&key, unread);
            let answer = answer.map_err(|error| Lost::of(error.to_string()))?;
            let (Some((_, used)), Some(wire)) = (answer, &mut self.wire) else { return Ok(count) };
            wire.reader.skip(used);
            wire.opening = Opening::Open;
            self.reconnect.opened(now);
            came.push(Came::Opened);
        }
        let Some(wire) = &mut self.wire else { return Ok(count) };
        if count > 0 && now.saturating_duration_since(wire.alive_at) >= PING_AFTER {
            wire.alive_at = now;
            came.push(Came::Alive);
        }
        while let Some(message) = wire.next()? {
            self.reconnect.served();
            came.push(Came::Message(message));
        }
        Ok(count)
    }

    /// Sends a text, once the connection is open.
    pub(super) fn send(&mut self, text: &str) {
        if let Some(wire) = self.wire.as_mut().filter(|wire| matches!(wire.opening, Opening::Open)) {
            wire.writer.text(text.as_bytes(), &mut wire.out);
        }
    }

    /// Writes what is to be sent, as far as the socket takes it.
    pub(super) fn flush(&mut self, now: Instant) -> Option<Came> {
        let lost = self.wire.as_mut()?.flush().err()?;
        Some(self.lost(&lost, now))
    }

    /// Closes it in the WebSocket's and in TLS's own way, as far as that goes at once.
    pub(super) fn close(&mut self) {
        let Some(mut wire) = self.wire.take() else { return };
        if matches!(wire.opening, Opening::Open) {
            wire.writer.close(CloseCode::NORMAL, "", &mut wire.out);
        }
        if wire.flush().is_ok() {
            wire.socket.farewell();
        }
    }

    fn lost(&mut self, lost: &Lost, now: Instant) -> Came {
        self.wire = None;
        let end = match lost.refused {
            Refused::No => End::Broken,
            Refused::Key => End::SessionRefused(&lost.why),
        };
        let retry = self.reconnect.ended(end, random(), now);
        Came::Lost(format!("{}; next attempt in {} ms", lost.why, retry.after.as_millis()))
    }
}

impl Wire {
    /// Asks for a sign of life where there was none for long.
    fn keep_alive(&mut self, now: Instant) -> Result<(), Lost> {
        let silent = now.saturating_duration_since(self.heard_at);
        if silent >= SILENT_MAX {
            return Err(Lost::of(format!("nothing came for {SILENT_MAX:?}")));
        }
        if silent >= PING_AFTER && self.ping == Ping::NotSent {
            self.ping = Ping::Sent;
            if matches!(self.opening, Opening::Open) {
                self.writer.ping(b"", &mut self.out);
            }
        }
        Ok(())
    }

    fn fill(&mut self, now: Instant) -> Result<usize, Lost> {
        match self.socket.read(self.reader.spare())? {
            Got::Bytes(count, rest) => {
                if rest == Rest::None && self.unread == Unread::Some {
                    self.unread = Unread::Nothing;
                }
                self.reader.filled(count);
                (self.heard_at, self.ping) = (now, Ping::NotSent);
                Ok(count)
            }
            Got::Nothing => {
                self.unread = Unread::Nothing;
                Ok(0)
            }
            Got::End => Err(Lost::of("the server closed the connection".to_owned())),
        }
    }

    /// The next whole message in what was read.
    fn next(&mut self) -> Result<Option<Vec<u8>>, Lost> {
        while let Some(arrived) = self.reader.advance().map_err(|error| Lost::of(error.to_string()))? {
            match arrived {
                Arrived::Text | Arrived::Binary => return Ok(Some(self.reader.payload().to_vec())),
                Arrived::Ping if self.out.len() - self.sent <= OUT_MAX => {
                    self.writer.pong(self.reader.payload(), &mut self.out);
                }
                Arrived::Ping | Arrived::Pong => {}
                Arrived::Close(code) => {
                    let reason = printable(self.reader.payload(), QUOTED);
                    let code_text = code.map(|code| format!(": {code}")).unwrap_or_default();
                    let why = format!("the server closed the WebSocket{code_text} '{reason}'");
                    let refused = if code == Some(POLICY) { Refused::Key } else { Refused::No };
                    return Err(Lost { why, refused });
                }
            }
        }
        Ok(None)
    }

    fn flush(&mut self) -> Result<(), Lost> {
        self.socket.flush()?;
        while self.out.len() > self.sent {
            match self.socket.write(self.out.get(self.sent..).unwrap_or_default())? {
                0 if self.out.len() - self.sent > OUT_MAX => {
                    return Err(Lost::of("the server takes no bytes".to_owned()));
                }
                0 => return Ok(()),
                count => self.sent = (self.sent + count).min(self.out.len()),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(())
    }
}

impl Lost {
    fn of(why: String) -> Lost {
        Lost { why, refused: Refused::No }
    }
}

impl From<Broken> for Lost {
    fn from(broken: Broken) -> Lost {
        Lost::of(match broken {
            Broken::Socket(kind) => format!("the socket failed: {kind}"),
            Broken::Tls(why) => why,
        })
    }
}

fn random() -> u64 {
    RandomState::new().hash_one(())
}
