//! The state machine of one connection: handshake, messages, pings, subscriptions, end.
//!
//! The scan loop reads into [`Session::spare`], says so with [`Session::filled`], takes events until there is none
//! or it has had enough, calls [`Session::timer`] at [`Session::deadline`] or more often, and writes
//! [`Session::output`]. A message that cannot be used is counted and skipped; only a broken stream, a refusal, the
//! server's word or silence ends a session, and then [`Event::Lost`] is told once, as the last event.

mod messages;

use super::config::{Protocol, SessionConfig};
use super::counters::Counters;
use super::lost::LostReason;
use super::subscriptions::{SubscribeError, Subscriptions};
use crate::feed::{Event, SessionKind};
use crate::wire::diffusion::{
    self, AliasTable, ConnectRequest, ConnectResponse, Credentials, Frame, FrameBuffer, ResponseCode,
    TopicRef, TopicSlot,
};
use std::io;
use std::time::Instant;

/// Where a session stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The handshake is under way.
    Shaking {
        /// When it must be done.
        until: Instant,
    },
    /// Messages flow.
    Open,
    /// It is over.
    Closed {
        /// Why.
        why: LostReason,
    },
}

/// What moves a session from state to state.
#[derive(Debug)]
enum Input {
    Accepted,
    Ended(LostReason),
}

/// What one step over the buffer found; without a borrow, so that steps can be repeated.
#[derive(Clone, Copy)]
enum Step {
    Skip,
    Wait,
    Opened(SessionKind),
    Load(Frame, TopicAt),
    Delta(Frame, TopicAt),
    Removed,
    Queue(u64),
    Lost,
}

/// Where the name of a message's topic is.
#[derive(Clone, Copy)]
enum TopicAt {
    /// In the message itself.
    Message,
    /// In the table of aliases.
    Alias(TopicSlot),
}

/// One connection's session.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    state: State,
    /// Whether [`Event::Lost`] was told.
    told: bool,
    /// The stream is over; what is buffered still counts.
    ended: Option<LostReason>,
    buffer: FrameBuffer,
    aliases: AliasTable,
    subscriptions: Subscriptions,
    out: Vec<u8>,
    sent: usize,
    client_id: Vec<u8>,
    removed: Vec<u8>,
    counters: Counters,
    started: Instant,
    heard: Instant,
    pinged: Instant,
}

impl Session {
    /// A session on a connection that stands since `now`. The handshake's request is in [`Session::output`].
    pub fn new(config: SessionConfig, now: Instant) -> Session {
        let until = now.checked_add(config.handshake_deadline).unwrap_or(now);
        let mut session = Session {
            state: State::Shaking { until },
            told: false,
            ended: None,
            buffer: FrameBuffer::new(config.frame_limit),
            aliases: AliasTable::new(config.max_aliases),
            subscriptions: Subscriptions::new(
                config.max_subscriptions,
                config.topics_per_message,
                config.subscribes_per_s,
                now,
            ),
            out: Vec::new(),
            sent: 0,
            client_id: Vec::new(),
            removed: Vec::new(),
            counters: Counters::default(),
            started: now,
            heard: now,
            pinged: now,
            config,
        };
        session.request();
        session
    }

    fn request(&mut self) {
        let topics = self.config.login_topics.join(",");
        let written = match self.config.protocol {
            Protocol::V4 => ConnectRequest {
                credentials: self.config.login.as_ref().map(|login| Credentials {
                    username: login.username.as_bytes(),
                    password: login.password.as_bytes(),
                }),
                topics: topics.as_bytes(),
                client_id: self.config.client_id.as_deref(),
                ..ConnectRequest::new(self.config.client_type, 0)
            }
            .encode(&mut self.out),
        };
        if let Err(error) = written {
            self.transition(Input::Ended(LostReason::Handshake(error)));
        }
    }

    /// The only place where the state changes.
    fn transition(&mut self, input: Input) {
        self.state = match (&self.state, input) {
            (State::Shaking { .. }, Input::Accepted) => State::Open,
            (State::Shaking { .. } | State::Open, Input::Ended(why)) => State::Closed { why },
            (State::Open | State::Closed { .. }, Input::Accepted)
            | (State::Closed { .. }, Input::Ended(_)) => {
                return;
            }
        };
    }

    /// What the session met so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What the server calls the session; empty before it is open.
    pub fn client_id(&self) -> &[u8] {
        &self.client_id
    }

    /// Subscriptions that count against the cap: sent or waiting.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.held()
    }

    /// Subscriptions of them that wait to be sent.
    pub fn subscriptions_waiting(&self) -> usize {
        self.subscriptions.waiting()
    }

    /// Bytes that were read and not taken yet.
    pub fn unread(&self) -> usize {
        self.buffer.unread().len()
    }

    /// Where the session stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Room to read into. Empty only while messages wait to be taken, see [`FrameBuffer::spare`].
    pub fn spare(&mut self) -> &mut [u8] {
        self.buffer.spare()
    }

    /// `count` bytes were read into [`Session::spare`].
    pub fn filled(&mut self, count: usize, now: Instant) {
        self.buffer.filled(count);
        self.counters.bytes += count as u64;
        self.heard = self.heard.max(now);
    }

    /// The stream ended, or the socket failed with this kind of error. What was read before is still told.
    pub fn disconnected(&mut self, error: Option<io::ErrorKind>) {
        self.ended.get_or_insert(match error {
            None => LostReason::EndOfStream,
            Some(kind) => LostReason::Socket(kind),
        });
    }

    /// The stream broke for a reason of its own. What was read before is still told.
    pub fn broken(&mut self, why: LostReason) {
        self.ended.get_or_insert(why);
    }

    /// Ends the session: a close request is put out, then [`Event::Lost`] is told. The caller sends and closes.
    pub fn close(&mut self) {
        if self.state == State::Open {
            diffusion::close(&mut self.out);
        }
        self.transition(Input::Ended(LostReason::Asked));
    }

    /// Asks for a topic; again, if it was asked for: the server then sends a fresh load. It goes out once the session
    /// is open and the rate allows it, with the next [`Session::timer`] at the latest.
    ///
    /// # Errors
    /// [`SubscribeError`]: nothing has changed then.
    pub fn subscribe(&mut self, topic: &[u8]) -> Result<(), SubscribeError> {
        self.check_alive()?;
        self.subscriptions.subscribe(topic)
    }

    /// Names a topic that the session to be resumed already has: asked for only if the server opens a fresh one.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn keep_subscribed(&mut self, topic: &[u8]) -> Result<(), SubscribeError> {
        self.check_alive()?;
        match self.state {
            State::Shaking { .. } => self.subscriptions.keep(topic),
            State::Open | State::Closed { .. } => self.subscriptions.subscribe(topic),
        }
    }

    fn check_alive(&self) -> Result<(), SubscribeError> {
        match self.state {
            State::Closed { .. } => Err(SubscribeError::Closed),
            State::Shaking { .. } | State::Open => Ok(()),
        }
    }

    /// Gives a topic up. The server does not answer; messages on their way still come.
    pub fn unsubscribe(&mut self, topic: &[u8]) {
        match self.state {
            State::Closed { .. } => {}
            State::Shaking { .. } | State::Open => self.subscriptions.unsubscribe(topic, &mut self.out),
        }
    }

    /// Does what is due: deadlines, pings, subscriptions. What ends the session is told by [`Session::next_event`].
    pub fn timer(&mut self, now: Instant) {
        match self.state {
            State::Shaking { until } if now >= until => {
                let after = self.config.handshake_deadline;
                self.transition(Input::Ended(LostReason::HandshakeDeadline { after }));
            }
            State::Open if now.saturating_duration_since(self.heard) >= self.config.idle_limit => {
                let after = self.config.idle_limit;
                self.transition(Input::Ended(LostReason::Silent { after }));
            }
            State::Open => {
                self.ping(now);
                self.subscriptions.send(now, &mut self.out);
                self.check_output();
            }
            State::Shaking { .. } | State::Closed { .. } => {}
        }
    }

    fn ping(&mut self, now: Instant) {
        let Some(interval) = self.config.ping_interval else { return };
        if now.saturating_duration_since(self.pinged) < interval {
            return;
        }
        self.pinged = now;
        let passed =
            u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX);
        let wall = self.config.wall_ms.saturating_add(passed);
        // Cannot fail: digits are no separators.
        let _ = diffusion::ping_server(&mut self.out, wall.to_string().as_bytes(), 0);
    }

    /// When [`Session::timer`] has something to do next.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Shaking { until } => Some(until),
            State::Open => {
                let ping = self.config.ping_interval.and_then(|interval| self.pinged.checked_add(interval));
                let idle = self.heard.checked_add(self.config.idle_limit);
                [ping, idle, self.subscriptions.next_send()].into_iter().flatten().min()
            }
            State::Closed { .. } => None,
        }
    }

    /// What is to be sent.
    pub fn output(&self) -> &[u8] {
        self.out.get(self.sent..).unwrap_or_default()
    }

    /// The first `count` bytes of [`Session::output`] were sent.
    pub fn output_sent(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count).min(self.out.len());
        if self.sent == self.out.len() {
            self.out.clear();
            self.out.shrink_to(diffusion::READ);
            self.sent = 0;
        } else if self.sent >= diffusion::READ {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
    }

    fn check_output(&mut self) {
        let limit = self.config.out_limit;
        if self.output().len() > limit {
            self.transition(Input::Ended(LostReason::OutputFull { limit }));
        }
    }

    /// The next event in what was read; none if more must be read, or after the last.
    pub fn next_event(&mut self, now: Instant) -> Option<Event<'_>> {
        let step = loop {
            let step = self.step(now);
            if !matches!(step, Step::Skip) {
                break step;
            }
        };
        match step {
            Step::Skip | Step::Wait => None,
            Step::Opened(session) => Some(Event::Opened { client_id: &self.client_id, session }),
            Step::Load(frame, at) => {
                Some(Event::Load { topic: self.topic_name(frame, at), body: self.buffer.body(frame) })
            }
            Step::Delta(frame, at) => {
                Some(Event::Delta { topic: self.topic_name(frame, at), body: self.buffer.body(frame) })
            }
            Step::Removed => Some(Event::TopicRemoved { topic: &self.removed }),
            Step::Queue(depth) => Some(Event::ServerQueue(depth)),
            Step::Lost => self.why().map(|why| Event::Lost { why }),
        }
    }

    #[inline]
    fn topic_name(&self, frame: Frame, at: TopicAt) -> &[u8] {
        match at {
            TopicAt::Alias(slot) => self.aliases.name(slot).unwrap_or_default(),
            TopicAt::Message => match TopicRef::parse(self.buffer.first_header(frame)) {
                TopicRef::Named { name, alias: _ } => name,
                TopicRef::Alias(_) => &[],
            },
        }
    }

    fn why(&self) -> Option<LostReason> {
        match &self.state {
            State::Closed { why } => Some(why.clone()),
            State::Shaking { .. } | State::Open => None,
        }
    }

    #[inline]
    fn step(&mut self, now: Instant) -> Step {
        match self.state {
            State::Open => self.next_frame(),
            State::Shaking { .. } => self.shake(now),
            State::Closed { .. } => self.tell_lost(),
        }
    }

    fn tell_lost(&mut self) -> Step {
        if self.told {
            return Step::Wait;
        }
        self.told = true;
        Step::Lost
    }

    fn end(&mut self, why: LostReason) -> Step {
        self.transition(Input::Ended(why));
        Step::Skip
    }

    /// Nothing more can be read from what is there.
    fn wait(&mut self) -> Step {
        match self.ended.take() {
            Some(why) => self.end(why),
            None => Step::Wait,
        }
    }

    fn shake(&mut self, now: Instant) -> Step {
        let (code, used) = match ConnectResponse::parse(self.buffer.unread()) {
            Ok(None) => return self.wait(),
            Err(error) => return self.end(LostReason::Handshake(error)),
            Ok(Some((ConnectResponse::Refused { code, .. }, _))) => {
                return self.end(LostReason::Refused(code));
            }
            Ok(Some((ConnectResponse::Accepted { version, .. }, _))) if version != diffusion::VERSION => {
                return self.end(LostReason::Version { version });
            }
            Ok(Some((ConnectResponse::Accepted { code, client_id, .. }, used))) => {
                self.client_id = client_id.to_vec();
                (code, used)
            }
        };
        self.buffer.skip(used);
        self.transition(Input::Accepted);
        let kind = self.session_kind(code);
        match kind {
            SessionKind::Fresh => self.subscriptions.opened_fresh(),
            SessionKind::Resumed => self.subscriptions.opened_resumed(&mut self.out),
        }
        self.pinged = now;
        self.subscriptions.send(now, &mut self.out);
        Step::Opened(kind)
    }

    /// A server may say that a session goes on and mean another one: the id decides too.
    fn session_kind(&self, code: ResponseCode) -> SessionKind {
        let same = self.config.client_id.as_deref() == Some(&*self.client_id);
        if same && code != ResponseCode::Ok { SessionKind::Resumed } else { SessionKind::Fresh }
    }

    #[inline]
    fn next_frame(&mut self) -> Step {
        match self.buffer.advance() {
            Ok(Some(frame)) => self.take(frame),
            Ok(None) => self.wait(),
            Err(error) => self.end(LostReason::Wire(error)),
        }
    }
}
