//! The state machine of one connection: handshake, messages, pings, subscriptions, end.
//!
//! The scan loop reads into [`Session::spare`], reports it with [`Session::filled`], takes events until there is none
//! or it has had enough, calls [`Session::timer`] at [`Session::deadline`] or more often, and writes
//! [`Session::output`]. A message that cannot be used is counted and skipped; only a broken stream, a refusal, the
//! server's own end or silence ends a session: then no more events are given, and [`Session::state`] says why.

mod messages;
mod opening;
mod pieces;
mod times;

use super::config::{AfterResume, SessionConfig};
use super::lost::LostReason;
use super::resume::{ResumeState, ResumeTopics};
use super::skip::Skip;
use super::subscriptions::Subscriptions;
use crate::feed::{ConnectionEvent, Event, FollowError, SessionKind};
use crate::wire::diffusion::{
    self, AliasTable, BodyDecoder, FragmentError, Fragments, Frame, FrameBuffer, MessageType, Part, TopicRef,
    TopicSlot, TopicStatus, Whole,
};
use std::collections::VecDeque;
use std::time::Instant;

/// Messages framed ahead at once.
const AHEAD_MAX: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Shaking {
        /// When it must be done.
        until: Instant,
    },
    Open,
    Closed {
        why: LostReason,
    },
}

/// What one step over the buffer found; without a borrow, so that steps can be repeated.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// Nothing for the caller.
    Next,
    Skipped(Skip),
    Wait,
    Opened(SessionKind),
    Load(Content),
    Delta(Content),
    Removed,
    Status(Frame, TopicAt),
    Queue(u64),
}

/// A load or a delta that can be used.
#[derive(Clone, Copy)]
pub(super) struct Content {
    origin: Origin,
    topic: TopicAt,
    body: BodyAt,
}

/// Where a message is.
#[derive(Clone, Copy)]
enum Origin {
    Frame(Frame),
    /// It came in pieces: the last one that was put together.
    Whole,
}

#[derive(Clone, Copy)]
pub(super) enum TopicAt {
    Message,
    Alias(TopicSlot),
}

#[derive(Clone, Copy)]
enum BodyAt {
    Message,
    Decoded,
}

#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    state: State,
    /// The stream is over; what is buffered still counts.
    ended: Option<LostReason>,
    buffer: FrameBuffer,
    /// Messages that are framed and not taken, so that a caller can prepare for many of them at once: places in the buffer, good until it
    /// is read into.
    ahead: VecDeque<Frame>,
    aliases: AliasTable,
    subscriptions: Subscriptions,
    out: Vec<u8>,
    sent: usize,
    client_id: Vec<u8>,
    removed: Vec<u8>,
    /// The client id of the earlier session that the server was asked to go on with.
    resuming: Option<Vec<u8>>,
    /// A load may have been lost before the session went on; looked for until it shows.
    may_lack_loads: bool,
    decoder: BodyDecoder,
    /// The last body that was decoded; its memory is used again.
    decoded: Vec<u8>,
    fragments: Fragments<Instant>,
    /// Messages in pieces that were given up for their age, and not given as skipped yet.
    too_old: u64,
    /// The last message that was put together.
    whole: Whole,
    /// What was skipped or not right, messages and aliases.
    errors: u64,
    started: Instant,
    received_at: Instant,
    pinged: Instant,
    /// Since when an answer to a probe is waited for.
    probed: Option<Instant>,
}

impl Session {
    /// A session on a connection that stands since `now`. The handshake's request is in [`Session::output`]; it asks the server to go on
    /// with the `earlier` session, if there is one. Whether it does is shown by [`ConnectionEvent::Opened`].
    pub fn new(config: SessionConfig, earlier: Option<ResumeState>, now: Instant) -> Session {
        let until = now.checked_add(config.handshake_deadline).unwrap_or(now);
        let (resuming, aliases, topics) = match earlier {
            Some(earlier) => (Some(earlier.client_id), earlier.aliases, earlier.topics),
            None => (None, AliasTable::new(config.max_aliases), ResumeTopics::default()),
        };
        let mut session = Session {
            state: State::Shaking { until },
            ended: None,
            buffer: FrameBuffer::new(config.frame_limit),
            ahead: VecDeque::new(),
            aliases,
            subscriptions: Subscriptions::new(config.max_subscriptions, config.subscribes_per_s, topics, now),
            out: Vec::new(),
            sent: 0,
            client_id: Vec::new(),
            removed: Vec::new(),
            resuming,
            may_lack_loads: false,
            decoder: BodyDecoder::new(config.body_limit, config.body_ratio),
            decoded: Vec::new(),
            fragments: Fragments::new(config.body_limit),
            too_old: 0,
            whole: Whole::default(),
            errors: 0,
            started: now,
            received_at: now,
            pinged: now,
            probed: None,
            config,
        };
        session.request();
        session
    }

    /// What may go on of this session once its connection is lost: nothing, if it was never open.
    pub fn into_resume_state(self) -> Option<ResumeState> {
        (!self.client_id.is_empty()).then(|| ResumeState {
            client_id: self.client_id,
            aliases: self.aliases,
            topics: self.subscriptions.into_resume_topics(),
        })
    }

    pub fn is_resuming(&self) -> bool {
        self.resuming.is_some()
    }

    /// What was skipped or not right.
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// Subscriptions that count against the cap: sent or waiting.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.held()
    }

    pub fn subscriptions_waiting(&self) -> usize {
        self.subscriptions.waiting()
    }

    /// Subscriptions that were sent more than once, and never answered.
    pub fn subscriptions_unanswered(&self) -> usize {
        self.subscriptions.unanswered()
    }

    /// Bytes that were read and not taken yet.
    pub fn unread(&self) -> usize {
        let framed = self.ahead.front().map_or(0, |frame| self.buffer.taken_since(*frame));
        self.buffer.unread().len() + framed
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// Why it is over, once it is.
    #[inline]
    pub(super) fn why(&self) -> Option<&LostReason> {
        match &self.state {
            State::Closed { why } => Some(why),
            State::Shaking { .. } | State::Open => None,
        }
    }

    /// Room to read into. Empty only while messages wait to be taken, see [`FrameBuffer::spare`].
    pub fn spare(&mut self) -> &mut [u8] {
        // What was framed ahead is read again: the buffer may move now.
        if let Some(frame) = self.ahead.front() {
            self.buffer.step_back(*frame);
            self.ahead.clear();
        }
        self.buffer.spare()
    }

    /// `count` bytes were read into [`Session::spare`].
    pub fn filled(&mut self, count: usize, now: Instant) {
        self.buffer.filled(count);
        self.received_at = self.received_at.max(now);
        self.probed = None;
    }

    /// The stream is over. What was read before is still given.
    pub fn disconnected(&mut self, why: LostReason) {
        self.ended.get_or_insert(why);
    }

    /// Ends the session; a close request is put out. The caller sends and closes.
    pub fn close(&mut self) {
        if self.state == State::Open {
            diffusion::close(&mut self.out);
        }
        self.end(LostReason::Asked);
    }

    /// Ends the session, unless it is over: nothing that follows is given.
    pub(super) fn end(&mut self, why: LostReason) {
        match self.state {
            State::Shaking { .. } | State::Open => self.state = State::Closed { why },
            State::Closed { .. } => {}
        }
    }

    /// Asks for a topic; again, if it was asked for: the server then sends a fresh load. It goes out once the session
    /// is open and the rate allows it, with the next [`Session::timer`] at the latest.
    ///
    /// # Errors
    /// [`FollowError`]: nothing has changed then.
    pub fn subscribe(&mut self, topic: &[u8]) -> Result<(), FollowError> {
        self.check_alive()?;
        self.subscriptions.subscribe(topic)
    }

    /// Asks for a topic unless the session to be resumed has it already, which its load proved. If the server goes on
    /// with that session, such a topic is not asked for again, and [`Session::is_loaded`] holds for it; what is
    /// subscribed there and was named by neither this nor [`Session::subscribe`] is given up.
    pub fn keep_subscribed(&mut self, topic: &[u8]) -> Result<(), FollowError> {
        self.check_alive()?;
        match self.config.after_resume {
            AfterResume::Keep => self.subscriptions.keep(topic),
            AfterResume::Resubscribe => self.subscriptions.subscribe(topic),
        }
    }

    /// Whether a load of the topic came in this session, before its connection was lost or since.
    pub fn is_loaded(&self, topic: &[u8]) -> bool {
        self.subscriptions.is_loaded(topic)
    }

    pub(super) fn is_subscribed(&self, topic: &[u8]) -> bool {
        self.subscriptions.is_wanted(topic)
    }

    fn check_alive(&self) -> Result<(), FollowError> {
        match self.state {
            State::Closed { .. } => Err(FollowError::Closed),
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
            self.end(LostReason::OutputFull { limit });
        }
    }

    /// Frames some more messages if all that were framed are taken. If there are several now: the topics of the deltas among them; those
    /// that stand behind an alias are left out. Optional: for callers that prepare for many messages at once.
    #[inline]
    pub fn look_ahead(&mut self) -> Option<impl Iterator<Item = &[u8]>> {
        if self.state != State::Open || !self.ahead.is_empty() {
            return None;
        }
        // What cannot be framed is met again when it is taken.
        while self.ahead.len() < AHEAD_MAX
            && let Ok(Some(frame)) = self.buffer.advance()
        {
            self.ahead.push_back(frame);
        }
        let topic = |frame: &Frame| match frame.kind() {
            (MessageType::Delta, Part::Whole) => match TopicRef::parse(self.buffer.first_header(*frame)) {
                TopicRef::Named { name, alias: _ } => Some(name),
                TopicRef::Alias(_) => None,
            },
            _ => None,
        };
        (self.ahead.len() > 1).then(|| self.ahead.iter().filter_map(topic))
    }

    /// The next event in what was read; none if more must be read, or after the last.
    #[inline]
    pub fn next_event(&mut self, now: Instant) -> Option<Event<'_>> {
        let step = self.next_step(now)?;
        self.event(step)
    }

    /// As [`Session::next_event`], without a borrow: what it is shows with [`Session::event`], until the next step.
    #[inline]
    pub(super) fn next_step(&mut self, now: Instant) -> Option<Step> {
        loop {
            let step = self.step(now);
            if !matches!(step, Step::Next) {
                return (!matches!(step, Step::Wait)).then_some(step);
            }
        }
    }

    #[inline]
    pub(super) fn event(&self, step: Step) -> Option<Event<'_>> {
        Some(match step {
            Step::Next | Step::Wait => return None,
            Step::Load(content) => {
                Event::Snapshot { topic: self.topic_of(content), body: self.body_of(content) }
            }
            Step::Delta(content) => {
                Event::Delta { topic: self.topic_of(content), body: self.body_of(content) }
            }
            Step::Opened(session) => {
                let client_id = self.client_id.clone();
                Event::Connection(ConnectionEvent::Opened { client_id, session })
            }
            Step::Removed => Event::Removed { topic: &self.removed },
            Step::Status(frame, at) => match self.buffer.message(frame).status()? {
                TopicStatus::Other(status) => {
                    Event::Status { topic: self.topic(Origin::Frame(frame), at), status }
                }
                TopicStatus::Removed => return None,
            },
            Step::Queue(depth) => Event::QueueDepth(depth),
            Step::Skipped(why) => Event::Skipped(why.to_string()),
        })
    }

    #[inline]
    pub(super) fn topic_of(&self, content: Content) -> &[u8] {
        self.topic(content.origin, content.topic)
    }

    #[inline]
    fn topic(&self, origin: Origin, at: TopicAt) -> &[u8] {
        topic(&self.buffer, &self.aliases, &self.whole, origin, at)
    }

    #[inline]
    pub(super) fn body_of(&self, content: Content) -> &[u8] {
        match (content.body, content.origin) {
            (BodyAt::Decoded, _) => &self.decoded,
            (BodyAt::Message, Origin::Frame(frame)) => self.buffer.body(frame),
            (BodyAt::Message, Origin::Whole) => &self.whole.body,
        }
    }

    #[inline]
    fn step(&mut self, now: Instant) -> Step {
        match self.state {
            State::Open => self.next_frame(),
            State::Shaking { .. } => self.shake(now),
            State::Closed { .. } => Step::Wait,
        }
    }

    fn end_step(&mut self, why: LostReason) -> Step {
        self.end(why);
        Step::Next
    }

    fn skip(&mut self, why: Skip) -> Step {
        self.errors += 1;
        Step::Skipped(why)
    }

    /// Nothing more can be read from what is there.
    fn wait(&mut self) -> Step {
        if self.too_old > 0 {
            self.too_old -= 1;
            return Step::Skipped(Skip::Fragment(FragmentError::Old));
        }
        match self.ended.take() {
            Some(why) => self.end_step(why),
            None => Step::Wait,
        }
    }

    #[inline]
    fn next_frame(&mut self) -> Step {
        if let Some(frame) = self.ahead.pop_front() {
            return self.take(frame);
        }
        match self.buffer.advance() {
            Ok(Some(frame)) => self.take(frame),
            Ok(None) => self.wait(),
            Err(error) => self.end_step(LostReason::Wire(error)),
        }
    }
}

#[inline]
fn topic<'a>(
    buffer: &'a FrameBuffer,
    aliases: &'a AliasTable,
    whole: &'a Whole,
    origin: Origin,
    at: TopicAt,
) -> &'a [u8] {
    match at {
        TopicAt::Alias(slot) => aliases.name(slot).unwrap_or_default(),
        TopicAt::Message => match TopicRef::parse(topic_header(buffer, whole, origin)) {
            TopicRef::Named { name, alias: _ } => name,
            TopicRef::Alias(_) => &[],
        },
    }
}

#[inline]
fn topic_header<'a>(buffer: &'a FrameBuffer, whole: &'a Whole, origin: Origin) -> &'a [u8] {
    match origin {
        Origin::Frame(frame) => buffer.first_header(frame),
        Origin::Whole => &whole.topic,
    }
}
