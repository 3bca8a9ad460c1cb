//! One client's connection as a state machine without a socket: bytes and times in, requests and bytes out.
//!
//! It reads one request at a time, and none while an answer waits to be written, so that whoever asks without reading costs its bounds and
//! no more. Once it watches an item ([`watch`]) it is sent what changes. Callers: the loop, which owns the socket.

mod outbox;
mod socket;
#[cfg(test)]
mod tests;
mod watch;

pub(super) use outbox::Outbox;
pub(super) use watch::{Advance, Delivered, Delivery, ENOUGH, Progress, Watching};

use super::frame::{Framing, Message, heartbeat};
use super::http::{
    self, Answer, BadRequest, BodyLength, BodyReader, Clock, For, HEAD_LIMIT, Request, Side, Status,
};
use crate::wire::websocket::{Arrived, CloseCode, Limits, Reader, Role, Writer};
use socket::Socket;
use std::time::{Duration, Instant};

/// Names a connection for as long as the gateway lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ClientId {
    pub slot: usize,
    /// Counts the connections: a slot is used again.
    pub birth: u64,
}

/// How long a head may take from its first byte.
const HEAD: Duration = Duration::from_secs(10);
/// How long a body may take from there on.
const BODY: Duration = Duration::from_secs(20);
/// How long a connection may say nothing between two requests.
const IDLE: Duration = Duration::from_secs(60);
/// How long an answer may take, and how long a client may take to read what waits for it without reading any of it.
const ANSWER: Duration = Duration::from_secs(20);
const STALLED: Duration = Duration::from_secs(60);
/// How long a client that is sent away may take to read the rest.
const GOODBYE: Duration = Duration::from_secs(5);
/// Without news a stream of events shows by then that it is alive; a WebSocket is pinged as often, whatever else it is sent,
const HEARTBEAT: Duration = Duration::from_secs(15);
/// and must have answered by then.
const SILENT: Duration = Duration::from_secs(60);
/// Bytes that are read ahead of what is answered.
const INBOX: usize = 2 * HEAD_LIMIT;
/// Requests are read only while fewer bytes wait to be written.
const ANSWERED: usize = 64 * 1024;
/// Messages that a client may send in a second: it has nothing to say.
const MESSAGES: u32 = 50;
const MESSAGE: usize = 4 * 1024;

#[derive(Debug)]
enum State {
    /// Reads a head, whose first byte came then, if one came.
    Reading {
        began: Option<Instant>,
    },
    /// Its answer is worked out elsewhere.
    Waiting {
        to: Box<For>,
    },
    /// Its answer comes once there is something to say.
    Held {
        to: Box<For>,
    },
    /// A session's WebSocket.
    Socket(Box<Socket>),
    Streaming(Box<Stream>),
    /// What comes is dropped; what waits is written, then the other side is to close.
    Closing,
}

#[derive(Debug)]
struct Stream {
    watching: Watching,
    /// Of a WebSocket; `None` while nothing of a frame has come, since its buffers are large.
    reader: Option<Reader>,
    /// The last message of a stream of events, or the last ping of a WebSocket.
    sent_at: Instant,
    heard_at: Instant,
    messages: Messages,
}

/// What a client sent in a second.
#[derive(Debug)]
struct Messages {
    since: Instant,
    count: u32,
}

#[derive(Debug)]
pub(super) struct Client {
    side: Side,
    clock: Clock,
    state: State,
    inbox: Vec<u8>,
    /// A request whose body is not whole yet.
    begun: Option<Box<Begun>>,
    pub(super) out: Outbox,
    /// When it is given up on, unless something happens.
    deadline: Instant,
    /// Whether the other side will send no more.
    ended: bool,
}

/// A request whose head is taken from what came.
#[derive(Debug)]
struct Begun {
    request: Request,
    body: BodyReader,
}

/// Whether a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    /// To be closed now.
    Over,
}

impl Client {
    /// A connection that came when this clock was read.
    pub(super) fn new(side: Side, clock: Clock) -> Client {
        Client {
            side,
            clock,
            begun: None,
            state: State::Reading { began: None },
            inbox: Vec::new(),
            out: Outbox::default(),
            deadline: clock.at + HEAD,
            ended: false,
        }
    }

    /// Whether it is of use to read from its socket now.
    pub(super) fn takes_bytes(&self) -> bool {
        match &self.state {
            State::Reading { .. } | State::Waiting { .. } | State::Held { .. } => self.inbox.len() < INBOX,
            State::Socket(_) => self.out.bytes() < ANSWERED,
            // A client that closes its end is noticed by reading.
            State::Streaming(_) | State::Closing => true,
        }
    }

    pub(super) fn received(&mut self, bytes: &[u8], now: Instant) {
        match &mut self.state {
            State::Reading { began } => {
                if began.is_none() {
                    *began = Some(now);
                    self.deadline = now + HEAD;
                }
                self.inbox.extend_from_slice(bytes);
            }
            State::Waiting { .. } | State::Held { .. } => self.inbox.extend_from_slice(bytes),
            State::Socket(socket) => socket.received(bytes),
            State::Streaming(stream) => {
                stream.heard_at = now;
                if stream.watching.framing == Framing::WebSocket {
                    let limits = Limits { frame: MESSAGE, inflated: MESSAGE, ratio: 1 };
                    stream.reader.get_or_insert_with(|| Reader::small(Role::Server, limits)).feed(bytes);
                }
            }
            State::Closing => {}
        }
    }

    /// The other side will send no more. What it asked before is answered; a stream of events needs nobody who speaks.
    pub(super) fn peer_ended(&mut self) -> Fate {
        self.ended = true;
        match &self.state {
            State::Reading { .. } if self.inbox.is_empty() && self.begun.is_none() && self.out.is_empty() => {
                Fate::Over
            }
            State::Streaming(_) | State::Held { .. } | State::Socket(_) => Fate::Over,
            State::Closing => self.fate(),
            State::Reading { .. } | State::Waiting { .. } => Fate::Open,
        }
    }

    /// The next request, if one is whole and those before are answered.
    pub(super) fn next(&mut self, now: Instant) -> Option<Request> {
        match &mut self.state {
            State::Reading { .. } if self.out.bytes() < ANSWERED => {}
            State::Streaming(_) => {
                self.read_frames(now);
                return None;
            }
            State::Reading { .. }
            | State::Waiting { .. }
            | State::Held { .. }
            | State::Socket(_)
            | State::Closing => return None,
        }
        match self.read_request(now) {
            Ok(Some(request)) => {
                if self.inbox.is_empty() {
                    self.inbox = Vec::new();
                }
                self.state = State::Waiting { to: Box::new(For::nothing()) };
                self.deadline = now + ANSWER;
                Some(request)
            }
            Ok(None) => {
                if self.ended && self.out.is_empty() {
                    self.state = State::Closing;
                }
                None
            }
            Err(error) => {
                let status = match error {
                    BadRequest::Malformed { .. } => Status::Bad,
                    BadRequest::TooLong => Status::HeadTooLong,
                    BadRequest::Body | BadRequest::BodyTooLong { .. } => Status::TooLong,
                };
                self.refuse(&Answer::refused(status, error.to_string()), now);
                None
            }
        }
    }

    /// Takes a request with its body from what came.
    fn read_request(&mut self, now: Instant) -> Result<Option<Request>, BadRequest> {
        let mut begun = match self.begun.take() {
            Some(begun) => begun,
            None => match self.read_head(now)? {
                Some(begun) => Box::new(begun),
                None => return Ok(None),
            },
        };
        let taken = begun.body.take(&self.inbox)?;
        self.inbox.drain(..taken);
        if begun.body.is_whole() {
            let Begun { request, body } = *begun;
            return Ok(Some(Request { body: body.into_body(), ..request }));
        }
        self.begun = Some(begun);
        Ok(None)
    }

    fn read_head(&mut self, now: Instant) -> Result<Option<Begun>, BadRequest> {
        let Some((request, size)) = http::parse(&self.inbox)? else { return Ok(None) };
        let most = match (request.length, http::body_limit(self.side, &request)) {
            (BodyLength::None, _) => 0,
            (BodyLength::Known(_) | BodyLength::Chunked, Some(most)) => most,
            (BodyLength::Known(_) | BodyLength::Chunked, None) => return Err(BadRequest::Body),
        };
        let body = BodyReader::new(request.length, most)?;
        self.inbox.drain(..size);
        if !body.is_whole() {
            self.deadline = now + BODY;
            if request.expects_continue() && self.inbox.is_empty() {
                self.out.push_own(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec());
            }
        }
        Ok(Some(Begun { request, body }))
    }

    /// Whether what came and is not whole yet takes more memory than every connection may.
    pub(super) fn holds_much(&self) -> bool {
        match &self.state {
            State::Socket(socket) => socket.capacity() > INBOX,
            State::Streaming(stream) => stream.reader.as_ref().map_or(0, Reader::capacity) > INBOX,
            State::Reading { .. } | State::Waiting { .. } | State::Held { .. } | State::Closing => {
                self.inbox.len() + self.begun.as_ref().map_or(0, |begun| begun.body.len()) > INBOX
            }
        }
    }

    /// Too many others hold much.
    pub(super) fn give_way(&mut self, now: Instant) {
        let why = "too many large messages at once: try again";
        match &self.state {
            State::Reading { .. } => self.refuse(&Answer::refused(Status::Unavailable, why), now),
            State::Waiting { .. }
            | State::Held { .. }
            | State::Socket(_)
            | State::Streaming(_)
            | State::Closing => self.dismiss(CloseCode::TRY_LATER, why, now),
        }
    }

    /// The answer to the request comes once there is something to say, at the latest after `most`.
    pub(super) fn hold(&mut self, most: Duration, now: Instant) {
        if let State::Waiting { to } = &mut self.state {
            let to = std::mem::replace(to.as_mut(), For::nothing());
            self.state = State::Held { to: Box::new(to) };
            self.deadline = now + most;
        }
    }

    /// What the answer to the request depends on; it may come later.
    pub(super) fn awaits(&mut self, to: For) {
        self.state = State::Waiting { to: Box::new(to) };
    }

    /// Answers the request that was handed out.
    pub(super) fn answer(&mut self, answer: &Answer, now: Instant) {
        let (State::Waiting { to } | State::Held { to }) = &self.state else { return };
        let mut bytes = Vec::new();
        answer.write(to, &self.date(now), &mut bytes);
        let keeps = to.keep_alive && !self.ended;
        self.out.push_own(bytes);
        if keeps {
            let began = (!self.inbox.is_empty()).then_some(now);
            self.state = State::Reading { began };
            self.deadline = now + if began.is_some() { HEAD } else { IDLE };
        } else {
            self.close(now);
        }
    }

    /// The value of a `Date` header.
    pub(super) fn date(&self, now: Instant) -> String {
        self.clock.date(now)
    }

    /// Answers what is no request, and closes.
    fn refuse(&mut self, answer: &Answer, now: Instant) {
        let mut bytes = Vec::new();
        answer.write(&For::nothing(), &self.date(now), &mut bytes);
        self.out.push_own(bytes);
        self.close(now);
    }

    /// Begins a stream; `head` is the answer to the request.
    pub(super) fn stream(&mut self, head: Vec<u8>, watching: Watching, now: Instant) {
        self.out.push_own(head);
        let messages = Messages { since: now, count: 0 };
        let mut stream = Stream { watching, reader: None, sent_at: now, heard_at: now, messages };
        let early = std::mem::take(&mut self.inbox);
        if !early.is_empty() && stream.watching.framing == Framing::WebSocket {
            let limits = Limits { frame: MESSAGE, inflated: MESSAGE, ratio: 1 };
            stream.reader.get_or_insert_with(|| Reader::small(Role::Server, limits)).feed(&early);
        }
        self.state = State::Streaming(Box::new(stream));
        self.deadline = now + STALLED;
    }

    pub(super) fn watching(&self) -> Option<&Watching> {
        if let State::Streaming(stream) = &self.state { Some(&stream.watching) } else { None }
    }

    /// Its stream, with where its bytes go.
    pub(super) fn delivery(&mut self, now: Instant) -> Option<Delivery<'_>> {
        let State::Streaming(stream) = &mut self.state else { return None };
        if stream.watching.framing == Framing::EventStream {
            stream.sent_at = now;
        }
        Some(Delivery { watching: &mut stream.watching, out: &mut self.out })
    }

    /// A stream ends here: its client is told why, and closed.
    pub(super) fn dismiss(&mut self, code: CloseCode, why: &str, now: Instant) {
        if let State::Streaming(stream) = &self.state {
            match stream.watching.framing {
                Framing::EventStream => {
                    self.out.push(Message::goodbye(why).framed(Framing::EventStream));
                }
                Framing::WebSocket => self.push_close(code, why),
            }
        } else if let State::Socket(_) = &self.state {
            self.push_close(code, why);
        }
        self.close(now);
    }

    fn push_close(&mut self, code: CloseCode, why: &str) {
        let mut bytes = Vec::new();
        Writer::new(Role::Server, None, usize::MAX).close(code, why, &mut bytes);
        self.out.push_own(bytes);
    }

    fn close(&mut self, now: Instant) {
        self.state = State::Closing;
        self.inbox = Vec::new();
        self.begun = None;
        self.deadline = now + GOODBYE;
    }

    /// So much was written to its socket.
    pub(super) fn wrote(&mut self, count: usize, now: Instant) {
        self.out.wrote(count);
        if let State::Socket(_) = &self.state {
            self.deadline = now + STALLED;
        }
        if let State::Streaming(stream) = &mut self.state {
            self.deadline = now + STALLED;
            if !self.out.is_empty() {
                // A client with a backlog that it reads is alive, wherever in it the ping is.
                stream.heard_at = now;
            }
        }
    }

    pub(super) fn fate(&self) -> Fate {
        match &self.state {
            State::Closing if self.out.is_empty() && self.ended => Fate::Over,
            State::Reading { .. }
            | State::Waiting { .. }
            | State::Held { .. }
            | State::Socket(_)
            | State::Streaming(_)
            | State::Closing => Fate::Open,
        }
    }

    /// Whether everything is written to a client that is sent away; then it is waited for to close its end, not for long.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Closing) && self.out.is_empty()
    }

    /// What waits for time to pass.
    pub(super) fn tick(&mut self, now: Instant) -> Fate {
        if let State::Streaming(stream) = &mut self.state {
            let framing = stream.watching.framing;
            if self.out.is_empty() {
                // It reads all that it is sent.
                self.deadline = now + STALLED;
            }
            if self.out.bytes() < ENOUGH && now >= stream.sent_at + HEARTBEAT {
                stream.sent_at = now;
                self.out.push(heartbeat(framing));
            }
            if framing == Framing::WebSocket && now >= stream.heard_at + SILENT {
                self.dismiss(CloseCode::POLICY, "no answer to pings", now);
                return Fate::Open;
            }
        }
        if let State::Socket(_) = &self.state
            && self.out.is_empty()
        {
            // Whether it is alive its session knows.
            self.deadline = now + STALLED;
        }
        if now < self.deadline {
            return self.fate();
        }
        match &self.state {
            // Half a request gets an answer, silence none.
            State::Reading { began: Some(_) } => {
                self.refuse(&Answer::refused(Status::Late, "the request took too long"), now);
                Fate::Open
            }
            State::Waiting { .. } | State::Held { .. } => {
                self.refuse(&Answer::refused(Status::Unavailable, "no answer in time"), now);
                Fate::Open
            }
            State::Reading { began: None } | State::Socket(_) | State::Streaming(_) | State::Closing => {
                Fate::Over
            }
        }
    }

    fn read_frames(&mut self, now: Instant) {
        loop {
            let State::Streaming(stream) = &mut self.state else { return };
            let Some(reader) = &mut stream.reader else { return };
            match reader.advance() {
                Ok(None) => {
                    if reader.is_idle() {
                        stream.reader = None;
                    } else {
                        reader.rest();
                    }
                    return;
                }
                Ok(Some(Arrived::Close(code))) => {
                    return self.dismiss(code.unwrap_or(CloseCode::NORMAL), "", now);
                }
                Ok(Some(arrived)) => {
                    if arrived == Arrived::Ping {
                        let mut bytes = Vec::new();
                        Writer::new(Role::Server, None, usize::MAX).pong(reader.payload(), &mut bytes);
                        self.out.push_own(bytes);
                    }
                    if stream.messages.is_too_many(now) {
                        return self.dismiss(CloseCode::POLICY, "too many messages", now);
                    }
                }
                Err(error) => return self.dismiss(error.close_code(), &error.to_string(), now),
            }
        }
    }
}

impl Messages {
    fn is_too_many(&mut self, now: Instant) -> bool {
        if now >= self.since + Duration::from_secs(1) {
            *self = Messages { since: now, count: 0 };
        }
        self.count += 1;
        self.count > MESSAGES
    }
}
