//! The state machine of one connection: greeting, login, subscriptions, items, heartbeats, end.
//!
//! Pure: messages and times in, [`Step`]s and messages to send out. A message that cannot be used is counted and left out; only a refusal, a
//! silence, the server's own end or a broken stream ends a session, see [`Session::why`]. The caller takes all steps of a message before it
//! gives the next, since bodies are places in it. Callers: `link`, `connection`.

mod answers;
mod config;
mod items;
mod sending;
mod times;

pub use config::SessionConfig;

use super::dialect::View;
use super::lost::{LostReason, WaitedFor};
use super::search::{Element, Found, Span, elements};
use super::skip::Skip;
use super::subscriptions::{Earlier, Subscriptions};
use super::unpack::unpack;
use crate::feed::{ConnectionEvent, Event, FollowError, SessionKind};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::config::{MessageTemplate, Of};

/// Memory for a message that is kept from one to the next, bytes.
const KEPT: usize = 256 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The WebSocket is not open.
    Upgrading {
        until: Instant,
    },
    Greeted {
        until: Instant,
    },
    LoggingIn {
        until: Instant,
    },
    Open,
    Closed {
        why: LostReason,
    },
}

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Binary,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Outgoing {
    Text(String),
    /// A WebSocket ping.
    Ping,
}

/// Without the text, which may have a password.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Ping => f.write_str("Ping"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Opened(SessionKind),
    Snapshot { topic: Arc<str>, body: Body },
    Delta { topic: Arc<str>, body: Body },
    Removed { topic: Arc<str> },
    Status { topic: Arc<str>, status: String },
    Interrupted { topic: Arc<str>, why: String },
    Skipped(Skip),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// In the message.
    At(Span),
    Held(Vec<u8>),
}

/// Whether anything that was asked for came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    Nothing,
    Something,
}

/// What a session leaves for the one after it.
#[derive(Debug, Default)]
pub struct ResumeState {
    topics: HashMap<Arc<str>, Earlier, RandomState>,
    tokens: BTreeMap<String, String>,
}

#[derive(Debug)]
pub struct Session {
    config: Arc<SessionConfig>,
    state: State,
    subscriptions: Subscriptions,
    kind: SessionKind,
    served: Served,
    /// The tokens of the connection, by their words.
    tokens: BTreeMap<String, String>,
    /// Those of the connection before: topics go on from there, whatever this connection has brought before they are asked for.
    earlier_tokens: BTreeMap<String, String>,
    message: Message,
    steps: VecDeque<Step>,
    given: Option<Step>,
    out: VecDeque<Outgoing>,
    /// Of the message that was last sent.
    number: u64,
    errors: u64,
    alive_at: Instant,
    /// Since when a sign of life is waited for.
    probed: Option<Instant>,
    beat_at: Instant,
}

/// The last message, as far as it was searched.
#[derive(Debug, Default)]
struct Message {
    text: Vec<u8>,
    found: Found,
    item: Found,
    elements: Vec<Element>,
}

impl Message {
    fn view(&self) -> View<'_> {
        View { text: &self.text, message: &self.found, item: &self.item }
    }

    /// Where the text begins behind white space.
    fn start(&self) -> usize {
        self.text.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(self.text.len())
    }

    fn is_array(&self) -> bool {
        self.text.get(self.start()) == Some(&b'[')
    }
}

impl Session {
    /// On a connection that stands since `now`; it goes on with `earlier`, if the configuration says how and all tokens are there.
    pub(super) fn new(config: Arc<SessionConfig>, earlier: ResumeState, now: Instant) -> Session {
        let until = now.checked_add(config.deadline).unwrap_or(now);
        let has_tokens = config.dialect.tokens.iter().all(|(word, _)| earlier.tokens.contains_key(word));
        let is_resumed = !config.resume.is_empty()
            && !earlier.topics.is_empty()
            && (config.dialect.tokens_of == Of::Item || has_tokens);
        let (kind, earlier) = if is_resumed {
            (SessionKind::Resumed, earlier)
        } else {
            (SessionKind::Fresh, ResumeState::default())
        };
        Session {
            state: State::Upgrading { until },
            subscriptions: Subscriptions::new(config.subscriptions.clone(), earlier.topics, now),
            kind,
            served: Served::Nothing,
            earlier_tokens: earlier.tokens.clone(),
            tokens: earlier.tokens,
            message: Message::default(),
            steps: VecDeque::new(),
            given: None,
            out: VecDeque::new(),
            number: 0,
            errors: 0,
            alive_at: now,
            probed: None,
            beat_at: now,
            config,
        }
    }

    /// The WebSocket is open.
    pub(super) fn connected(&mut self, now: Instant) {
        (self.alive_at, self.beat_at) = (now, now);
        if !matches!(self.state, State::Upgrading { .. }) {
            return;
        }
        if self.config.dialect.greeting.is_empty() {
            self.log_in(now);
        } else {
            self.state = State::Greeted { until: now.checked_add(self.config.deadline).unwrap_or(now) };
        }
    }

    /// The one place where a session moves on after a greeting.
    fn log_in(&mut self, now: Instant) {
        let config = Arc::clone(&self.config);
        if config.login.is_empty() {
            return self.open(now);
        }
        self.state = State::LoggingIn { until: now.checked_add(config.deadline).unwrap_or(now) };
        self.send(&config.login, &MessageTemplate::default(), &[], b"");
    }

    fn open(&mut self, now: Instant) {
        self.state = State::Open;
        self.steps.push_back(Step::Opened(self.kind));
        match self.kind {
            SessionKind::Fresh => self.subscriptions.opened_fresh(),
            SessionKind::Resumed => {}
        }
        self.send_requests(now);
    }

    /// A message came.
    pub(super) fn take(&mut self, frame: &[u8], form: Form, now: Instant) {
        self.is_alive(now);
        if let Err(skip) = self.keep_text(frame, form) {
            return self.skip(skip);
        }
        let all = 0..self.message.text.len();
        if self.config.dialect.items.is_some() || !self.message.is_array() {
            return self.take_message(all, now);
        }
        // Several messages in one.
        let mut messages = std::mem::take(&mut self.message.elements);
        messages.clear();
        match elements(&self.message.text, self.message.start()..all.end, &mut messages) {
            Ok(()) if messages.is_empty() => self.take_message(all, now),
            Ok(()) => messages.iter().for_each(|message| self.take_message(message.value.clone(), now)),
            Err(_) => self.skip(Skip::NotJson),
        }
        self.message.elements = messages;
    }

    fn take_message(&mut self, message: Span, now: Instant) {
        let config = Arc::clone(&self.config);
        let Message { text, found, item, .. } = &mut self.message;
        *item = Found::default();
        if config.dialect.search_message(text, message, found).is_err() {
            return self.skip(Skip::NotJson);
        }
        self.reply();
        let view = self.message.view();
        match self.state {
            State::Greeted { .. } if view.any(&config.dialect.greeting) => self.log_in(now),
            State::LoggingIn { .. } => self.login_answer(now),
            State::Open => self.open_message(now),
            State::Upgrading { .. } | State::Greeted { .. } | State::Closed { .. } => {}
        }
    }

    fn keep_text(&mut self, frame: &[u8], form: Form) -> Result<(), Skip> {
        let text = &mut self.message.text;
        match form {
            Form::Text => {
                text.clear();
                text.extend_from_slice(frame);
            }
            Form::Binary => {
                unpack(frame, self.config.packed, self.config.unpack_limit, text).map_err(Skip::Unpack)?;
                std::str::from_utf8(text).map_err(|_| Skip::NotUtf8)?;
            }
        }
        Ok(())
    }

    fn skip(&mut self, skip: Skip) {
        self.errors += 1;
        self.steps.push_back(Step::Skipped(skip));
    }

    /// The next of what the last message, or a timer, brought.
    pub(super) fn next_step(&mut self) -> Option<&Step> {
        self.given = self.steps.pop_front();
        match &self.given {
            Some(Step::Snapshot { .. } | Step::Delta { .. }) => self.served = Served::Something,
            Some(
                Step::Opened(_)
                | Step::Removed { .. }
                | Step::Status { .. }
                | Step::Interrupted { .. }
                | Step::Skipped(_),
            ) => {}
            None => self.give_back_memory(),
        }
        self.given.as_ref()
    }

    fn give_back_memory(&mut self) {
        if self.message.text.capacity() > KEPT || self.message.elements.capacity() > KEPT / 64 {
            self.message = Message::default();
        }
    }

    /// What the step that was last given is.
    pub(super) fn event(&self) -> Option<Event<'_>> {
        Some(match self.given.as_ref()? {
            Step::Opened(session) => {
                Event::Connection(ConnectionEvent::Opened { client_id: Vec::new(), session: *session })
            }
            Step::Snapshot { topic, body } => {
                Event::Snapshot { topic: topic.as_bytes(), body: self.body(body) }
            }
            Step::Delta { topic, body } => Event::Delta { topic: topic.as_bytes(), body: self.body(body) },
            Step::Removed { topic } => Event::Removed { topic: topic.as_bytes() },
            Step::Status { topic, status } => {
                Event::Status { topic: topic.as_bytes(), status: status.as_bytes() }
            }
            Step::Interrupted { topic, why } => {
                Event::Interrupted { topic: topic.as_bytes(), why: why.clone(), unheard: Duration::ZERO }
            }
            Step::Skipped(skip) => Event::Skipped(skip.to_string()),
        })
    }

    fn body<'a>(&'a self, body: &'a Body) -> &'a [u8] {
        match body {
            Body::At(span) => self.message.text.get(span.clone()).unwrap_or_default(),
            Body::Held(body) => body,
        }
    }

    /// The last message, as it was unpacked.
    pub(super) fn message(&self) -> &[u8] {
        &self.message.text
    }

    pub(super) fn has_steps(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Why it is over, once it is.
    pub(super) fn why(&self) -> Option<&LostReason> {
        match &self.state {
            State::Closed { why } => Some(why),
            State::Upgrading { .. } | State::Greeted { .. } | State::LoggingIn { .. } | State::Open => None,
        }
    }

    /// The session is over; steps that wait are still given.
    pub(super) fn end(&mut self, why: LostReason) {
        if self.why().is_none() {
            let why = self.judged(why);
            self.state = State::Closed { why };
        }
    }

    /// Some close codes are a refusal, unless the session served something: then its time may be over, and a new one may be had.
    fn judged(&self, why: LostReason) -> LostReason {
        if let LostReason::Closed { code: Some(code), reason } = &why
            && self.served == Served::Nothing
            && self.config.refusing_codes.contains(&code.0)
        {
            return LostReason::CloseRefuses { code: *code, reason: reason.clone() };
        }
        why
    }

    /// What it waits for before it is open.
    fn waited_for(&self) -> WaitedFor {
        match self.state {
            State::Greeted { .. } => WaitedFor::Greeting,
            State::LoggingIn { .. } => WaitedFor::Login,
            State::Upgrading { .. } | State::Open | State::Closed { .. } => WaitedFor::Upgrade,
        }
    }

    /// As [`Subscriptions::follow`].
    ///
    /// # Errors
    /// [`FollowError`]: nothing has changed then.
    pub(super) fn follow(&mut self, topic: &str) -> Result<(), FollowError> {
        self.check_alive()?;
        self.subscriptions.follow(topic)
    }

    /// As [`Subscriptions::keep`].
    ///
    /// # Errors
    /// [`FollowError`]: nothing has changed then.
    pub(super) fn keep(&mut self, topic: &str) -> Result<(), FollowError> {
        self.check_alive()?;
        self.subscriptions.keep(topic)
    }

    /// A delta of a topic could not be applied: nothing of it is given until its next snapshot.
    pub(super) fn renew(&mut self, topic: &str, now: Instant) {
        let Some(held) = self.subscriptions.get_mut(topic).filter(|held| held.order.is_following()) else {
            return;
        };
        held.order.restart();
        let topic = Arc::clone(&held.name);
        self.subscriptions.renew(&topic, now);
        self.steps.push_back(Step::Interrupted { topic, why: "a delta of it cannot be applied".to_owned() });
    }

    fn check_alive(&self) -> Result<(), FollowError> {
        if self.why().is_some() { Err(FollowError::Closed) } else { Ok(()) }
    }

    pub(super) fn unfollow(&mut self, topic: &str) {
        self.subscriptions.unfollow(topic);
    }

    pub(super) fn is_loaded(&self, topic: &str) -> bool {
        self.subscriptions.is_loaded(topic)
    }

    /// Subscriptions that were sent.
    pub(super) fn asked(&self) -> usize {
        self.subscriptions.held() - self.subscriptions.waiting()
    }

    pub(super) fn unanswered(&self) -> usize {
        self.subscriptions.unanswered()
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors
    }

    /// What the next session may go on with.
    pub(super) fn into_resume_state(self) -> ResumeState {
        if self.config.resume.is_empty() {
            return ResumeState::default();
        }
        let mut topics = self.subscriptions.into_earlier(self.config.dialect.tokens_of);
        if self.config.dialect.tokens_of == Of::Item {
            let words = &self.config.dialect.tokens;
            topics.retain(|_, topic| words.iter().all(|(word, _)| topic.tokens.contains_key(word)));
        }
        ResumeState { topics, tokens: self.tokens }
    }
}
