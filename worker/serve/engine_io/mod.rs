//! Engine.IO 4 without I/O: sessions over polling and WebSocket, from requests, messages and times to answers and frames.
//!
//! A session is reached by its `sid`, whichever connections its requests come by. What is due (a ping, the end of one that does not answer) is
//! done before anything else, so that an expired session is gone for a request that comes at that very millisecond. What waits for a session is
//! bounded. Callers: `socket_io`, and through it the loop, which owns the sockets.

mod packet;
mod refusal;
mod session;
#[cfg(test)]
pub(super) mod tests;

pub(super) use packet::Frame;
pub(super) use refusal::forbidden;
pub(super) use session::Sent;

use super::client::ClientId;
use super::http::{Answer, Body, ContentType, Method, Request, Status};
use super::rooms::{Delivery, SessionId};
use crate::wire::websocket::CloseCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hashbrown::HashMap;
use packet::Packet;
use refusal::Refusal;
use ring::rand::{SecureRandom, SystemRandom};
use session::{Heartbeat, Probe, Queue, Session, Transport, packets};
use slab::Slab;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub ping_interval: Duration,
    pub ping_timeout: Duration,
    /// How long a WebSocket is tried before the session stays with polling.
    pub upgrade_timeout: Duration,
    /// Bytes of a body and of a message.
    pub max_payload: usize,
    /// Sessions at most.
    pub sessions: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            max_payload: 1_000_000,
            sessions: 20_000,
        }
    }
}

/// What came of a client: a message of Engine.IO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    Text(String),
    Binary(Vec<u8>),
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    ByClient,
    /// Its connection ended.
    Gone,
    /// No answer to a ping.
    Silent,
    Protocol,
    TooSlow,
    /// It says too much.
    TooMany,
    Leaving,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Output {
    Answer(ClientId, Answer),
    /// The request waits until there is an answer.
    Hold(ClientId, SessionId),
    /// Opens the WebSocket that the request asks for.
    Accept(ClientId, SessionId),
    /// Written to a WebSocket before what waits for its session.
    Write(ClientId, Frame),
    /// Frames wait for this WebSocket.
    Ready(ClientId),
    Shut(ClientId, Closed),
    /// Received then, and answered with now.
    Written(Vec<Instant>),
    Opened(SessionId),
    Received(SessionId, Payload),
    Closed(SessionId, Closed),
}

impl Closed {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Closed::ByClient => "closed by the client",
            Closed::Gone => "the connection ended",
            Closed::Silent => "no answer to a ping",
            Closed::Protocol => "against the protocol",
            Closed::TooSlow => "too slow: what waits for you is at its bound",
            Closed::TooMany => "too many messages",
            Closed::Leaving => "the gateway is leaving",
        }
    }

    pub(super) fn code(self) -> CloseCode {
        match self {
            Closed::ByClient | Closed::Gone => CloseCode::NORMAL,
            Closed::Silent | Closed::TooMany => CloseCode::POLICY,
            Closed::Protocol => CloseCode::PROTOCOL,
            Closed::TooSlow => CloseCode::TRY_LATER,
            Closed::Leaving => CloseCode::RESTARTING,
        }
    }
}

/// 20 characters that nobody can guess; `None`: the kernel has no random bytes.
pub(super) fn random_id() -> Option<Arc<str>> {
    let mut bytes = [0; 15];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(Arc::from(URL_SAFE_NO_PAD.encode(bytes)))
}

#[derive(Debug)]
pub(super) struct Engine {
    settings: Settings,
    sessions: Slab<Session>,
    births: u64,
    by_sid: HashMap<Arc<str>, SessionId>,
    /// When each session is to be looked at.
    deadlines: BTreeSet<(Instant, SessionId)>,
}

impl Engine {
    pub(super) fn new(settings: Settings) -> Engine {
        Engine {
            settings,
            sessions: Slab::new(),
            births: 0,
            by_sid: HashMap::new(),
            deadlines: BTreeSet::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn ids(&self) -> Vec<SessionId> {
        self.sessions.iter().map(|(_, session)| session.id).collect()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// A request with its body; it is answered, held, or opens a WebSocket.
    pub(super) fn request(
        &mut self,
        client: ClientId,
        request: &Request,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        self.expire(now, out);
        if let Err(refusal) = self.take(client, request, now, out) {
            out.push(Output::Answer(client, refusal.answer()));
        }
    }

    fn take(
        &mut self,
        client: ClientId,
        request: &Request,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let is_polling = match request.parameter("transport") {
            Some("polling") => true,
            Some("websocket") => false,
            Some(_) | None => return Err(Refusal::Transport),
        };
        let Some(sid) = request.parameter("sid") else {
            return self.open(client, request, is_polling, now, out);
        };
        let id = *self.by_sid.get(sid).ok_or(Refusal::Unknown)?;
        let settings = self.settings;
        let session = self.get_mut(id).ok_or(Refusal::Unknown)?;
        match (&mut session.transport, is_polling) {
            (Transport::Polling { held }, false) if request.asks_for_websocket() => {
                let (held, until) = (held.take(), now + settings.upgrade_timeout);
                session.transport =
                    Transport::Upgrading { held, socket: client, probe: Probe::Awaited, until };
                out.push(Output::Accept(client, id));
                self.schedule(id);
                Ok(())
            }
            (Transport::Polling { .. } | Transport::Upgrading { .. }, true) => match request.method {
                Method::Get => match session.poll(client, &settings, out) {
                    Ok(()) => Ok(()),
                    Err(closed) => {
                        self.close(id, closed, out);
                        Err(Refusal::Bad)
                    }
                },
                Method::Post => self.post(client, id, request, now, out),
                Method::Head | Method::Options | Method::Other => Err(Refusal::Unusable),
            },
            // One whose transport is another lives on.
            (Transport::Polling { .. } | Transport::Upgrading { .. } | Transport::WebSocket { .. }, _) => {
                Err(Refusal::Bad)
            }
        }
    }

    fn open(
        &mut self,
        client: ClientId,
        request: &Request,
        is_polling: bool,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        match (request.method, is_polling || request.asks_for_websocket()) {
            (Method::Get, true) => {}
            (Method::Get, false) => return Err(Refusal::Bad),
            (Method::Post | Method::Head | Method::Options | Method::Other, _) => {
                return Err(Refusal::Method);
            }
        }
        if request.parameter("EIO") != Some("4") {
            return Err(Refusal::Version);
        }
        if self.sessions.len() >= self.settings.sessions {
            return Err(Refusal::Full);
        }
        let sid = random_id().ok_or(Refusal::Full)?;
        let entry = self.sessions.vacant_entry();
        self.births += 1;
        let id = SessionId { slot: entry.key(), birth: self.births };
        let ping_at = now + self.settings.ping_interval;
        let transport = match is_polling {
            true => Transport::Polling { held: None },
            false => Transport::WebSocket { socket: client },
        };
        entry.insert(Session {
            id,
            sid: Arc::clone(&sid),
            transport,
            heartbeat: Heartbeat::Resting { ping_at },
            queue: Queue::default(),
            scheduled: ping_at,
        });
        self.deadlines.insert((ping_at, id));
        self.by_sid.insert(Arc::clone(&sid), id);
        let Settings { ping_interval, ping_timeout, max_payload, .. } = self.settings;
        let upgrades = if is_polling { r#""websocket""# } else { "" };
        let (interval, timeout) = (ping_interval.as_millis(), ping_timeout.as_millis());
        let hello = format!(
            r#"0{{"sid":"{sid}","upgrades":[{upgrades}],"pingInterval":{interval},"pingTimeout":{timeout},"maxPayload":{max_payload}}}"#
        );
        if is_polling {
            out.push(Output::Answer(client, packets(hello)));
        } else {
            out.push(Output::Accept(client, id));
            out.push(Output::Write(client, Frame::text(&hello)));
        }
        out.push(Output::Opened(id));
        Ok(())
    }

    fn post(
        &mut self,
        client: ClientId,
        id: SessionId,
        request: &Request,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let is_bytes =
            request.header("content-type").is_some_and(|kind| kind.starts_with("application/octet-stream"));
        let packets = match Packet::read_body(&request.body) {
            Ok(packets) if !is_bytes => packets,
            Ok(_) | Err(_) => {
                self.close(id, Closed::Protocol, out);
                return Err(Refusal::Bad);
            }
        };
        for packet in packets {
            match self.packet(id, packet, now, out) {
                Ok(()) => {}
                Err(Closed::ByClient) => {
                    if let Some(session) = self.get_mut(id) {
                        session.release("6", out);
                    }
                    self.close(id, Closed::ByClient, out);
                    break;
                }
                Err(closed) => {
                    self.close(id, closed, out);
                    return Err(Refusal::Bad);
                }
            }
        }
        // What browsers show as it is, and do not offer to save.
        let body = Body::Fixed("ok");
        out.push(Output::Answer(client, Answer { status: Status::Ok, content: ContentType::Taken, body }));
        Ok(())
    }

    /// A message of a WebSocket that a session was told of.
    pub(super) fn message(
        &mut self,
        client: ClientId,
        id: SessionId,
        message: Payload,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        self.expire(now, out);
        let Some(session) = self.get_mut(id) else { return };
        let state = match &session.transport {
            Transport::Upgrading { socket, probe, .. } if *socket == client => Some(*probe),
            Transport::WebSocket { socket } if *socket == client => None,
            Transport::Upgrading { .. } | Transport::WebSocket { .. } | Transport::Polling { .. } => return,
        };
        if let Some(probe) = state {
            return self.upgrade(client, id, probe, &message, out);
        }
        let packet = match message {
            Payload::Binary(bytes) => Ok(Packet::Binary(bytes)),
            Payload::Text(text) => Packet::read(&text),
        };
        let taken = match packet {
            Ok(packet) => self.packet(id, packet, now, out),
            Err(_) => Err(Closed::Protocol),
        };
        if let Err(closed) = taken {
            self.close(id, closed, out);
        }
    }

    fn upgrade(
        &mut self,
        client: ClientId,
        id: SessionId,
        probe: Probe,
        message: &Payload,
        out: &mut Vec<Output>,
    ) {
        let Some(session) = self.get_mut(id) else { return };
        match (probe, message) {
            (Probe::Awaited, Payload::Text(text)) if text == "2probe" => {
                out.push(Output::Write(client, Frame::text("3probe")));
                session.release("6", out);
                if let Transport::Upgrading { probe, .. } = &mut session.transport {
                    *probe = Probe::Answered;
                }
            }
            (Probe::Answered, Payload::Text(text)) if text == "5" => session.upgraded(client, out),
            (Probe::Awaited | Probe::Answered, _) => {
                session.stay_polling();
                out.push(Output::Shut(client, Closed::Protocol));
            }
        }
        self.schedule(id);
    }

    /// # Errors
    /// Why the session is to be closed.
    fn packet(
        &mut self,
        id: SessionId,
        packet: Packet,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<(), Closed> {
        let ping_at = now + self.settings.ping_interval;
        match packet {
            Packet::Text(text) => out.push(Output::Received(id, Payload::Text(text))),
            Packet::Binary(bytes) => out.push(Output::Received(id, Payload::Binary(bytes))),
            Packet::Pong => {
                if let Some(session) = self.get_mut(id) {
                    session.heartbeat = Heartbeat::Resting { ping_at };
                }
                self.schedule(id);
            }
            Packet::Close => return Err(Closed::ByClient),
            // The server asks, and only it does.
            Packet::Ping { .. } => return Err(Closed::Protocol),
            Packet::Open | Packet::Upgrade | Packet::Noop => {}
        }
        Ok(())
    }

    /// A connection ended on which a request was held, or which was a session's WebSocket.
    pub(super) fn gone(&mut self, client: ClientId, id: SessionId, out: &mut Vec<Output>) {
        let Some(session) = self.get_mut(id) else { return };
        match &mut session.transport {
            Transport::Polling { held } if *held == Some(client) => {
                *held = None;
                self.close(id, Closed::Gone, out);
            }
            Transport::Upgrading { held, .. } if *held == Some(client) => {
                *held = None;
                self.close(id, Closed::Gone, out);
            }
            Transport::Upgrading { socket, .. } if *socket == client => {
                session.stay_polling();
                self.schedule(id);
            }
            Transport::WebSocket { socket } if *socket == client => self.close(id, Closed::Gone, out),
            Transport::Polling { .. } | Transport::Upgrading { .. } | Transport::WebSocket { .. } => {}
        }
    }

    /// Sends a packet and what belongs to it; one that has no room is not sent, and the session is the caller's to close.
    pub(super) fn send(
        &mut self,
        id: SessionId,
        frames: &[Frame],
        delivery: Delivery,
        out: &mut Vec<Output>,
    ) -> Sent {
        let settings = self.settings;
        let Some(session) = self.get_mut(id) else { return Sent::LeftOut };
        session.send(frames, delivery, &settings, out)
    }

    /// Bytes that wait for a session.
    pub(super) fn waiting(&self, id: SessionId) -> usize {
        self.get(id).map_or(0, |session| session.queue.bytes())
    }

    /// What waits for the WebSocket of a session, as far as `most` bytes are not passed by more than a frame.
    pub(super) fn take_frames(&mut self, client: ClientId, id: SessionId, most: usize) -> Vec<Frame> {
        let Some(session) = self.get_mut(id) else { return Vec::new() };
        match &session.transport {
            Transport::WebSocket { socket } if *socket == client => session.queue.take(most),
            Transport::WebSocket { .. } | Transport::Polling { .. } | Transport::Upgrading { .. } => {
                Vec::new()
            }
        }
    }

    /// Ends a session: its request is answered, its WebSocket shut.
    pub(super) fn close(&mut self, id: SessionId, why: Closed, out: &mut Vec<Output>) {
        if self.get(id).is_none() {
            return;
        }
        let Some(mut session) = self.sessions.try_remove(id.slot) else { return };
        self.by_sid.remove(&session.sid);
        self.deadlines.remove(&(session.scheduled, id));
        session.release("1", out);
        match &session.transport {
            Transport::Upgrading { socket, .. } | Transport::WebSocket { socket } => {
                out.push(Output::Shut(*socket, why));
            }
            Transport::Polling { .. } => {}
        }
        out.push(Output::Closed(id, why));
    }

    /// Does what is due.
    pub(super) fn expire(&mut self, now: Instant, out: &mut Vec<Output>) {
        while let Some((at, id)) = self.deadlines.first().copied()
            && at <= now
        {
            let settings = self.settings;
            let Some(session) = self.get_mut(id) else {
                self.deadlines.remove(&(at, id));
                continue;
            };
            match (&session.transport, session.heartbeat) {
                (Transport::Upgrading { socket, until, .. }, _) if *until <= now => {
                    out.push(Output::Shut(*socket, Closed::Silent));
                    session.stay_polling();
                }
                (_, Heartbeat::Resting { ping_at }) if ping_at <= now => {
                    // From when it was due; unless this process slept so long that nobody could answer.
                    let due = ping_at + settings.ping_timeout;
                    let close_at = if now > due { now + settings.ping_timeout } else { due };
                    session.heartbeat = Heartbeat::Pinged { close_at };
                    let _ = session.send(&[Frame::text("2")], Delivery::Ordered, &settings, out);
                }
                (_, Heartbeat::Pinged { close_at }) if close_at <= now => {
                    self.close(id, Closed::Silent, out);
                    continue;
                }
                (_, Heartbeat::Resting { .. } | Heartbeat::Pinged { .. }) => {}
            }
            self.schedule(id);
        }
    }

    fn schedule(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id.slot).filter(|session| session.id == id) else { return };
        let at = session.deadline();
        if at != session.scheduled {
            self.deadlines.remove(&(session.scheduled, id));
            session.scheduled = at;
            self.deadlines.insert((at, id));
        }
    }

    fn get(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(id.slot).filter(|session| session.id == id)
    }

    fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(id.slot).filter(|session| session.id == id)
    }
}
