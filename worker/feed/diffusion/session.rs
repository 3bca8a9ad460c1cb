//! The state machine of one connection: handshake, messages, pings, subscriptions, end.
//!
//! The scan loop reads into [`Session::spare`], reports it with [`Session::filled`], takes events until there is none
//! or it has had enough, calls [`Session::timer`] at [`Session::deadline`] or more often, and writes
//! [`Session::output`]. A message that cannot be used is counted and skipped; only a broken stream, a refusal, the
//! server's own end or silence ends a session, and then [`SessionEvent::Lost`] is given once, as the last event.

mod ahead;
mod messages;
mod opening;
mod pieces;
mod times;

use super::config::{AfterResume, SessionConfig};
use super::counters::{Counters, Skip};
use super::event::SessionEvent;
use super::lost::LostReason;
use super::resume::ResumeState;
use super::subscriptions::Subscriptions;
use crate::feed::{FollowError, SessionKind};
use crate::wire::diffusion::{
    self, AliasTable, BodyDecoder, FragmentError, Fragments, Frame, FrameBuffer, MessageType, Part, TopicRef,
    TopicSlot, TopicStatus, Whole,
};
use ahead::Ahead;
use std::io;
use std::time::Instant;

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

#[derive(Debug)]
enum Input {
    Accepted,
    Ended(LostReason),
}

/// What one step over the buffer found; without a borrow, so that steps can be repeated.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// Nothing for the caller.
    Next,
    Skipped(Skip),
    Wait,
    Opened(SessionKind),
    Load(Frame, TopicAt, BodyAt),
    Delta(Frame, TopicAt, BodyAt),
    Removed,
    Status(Frame, TopicAt),
    Queue(u64),
    Lost,
}

#[derive(Clone, Copy)]
pub(super) enum TopicAt {
    Message,
    Alias(TopicSlot),
    Whole,
}

#[derive(Clone, Copy)]
pub(super) enum BodyAt {
    Message,
    Decoded,
    Whole,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Beginning {
    Fresh,
    Resuming(Vec<u8>),
}

#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    state: State,
    /// Whether [`SessionEvent::Lost`] was given.
    lost_given: bool,
    /// The stream is over; what is buffered still counts.
    ended: Option<LostReason>,
    buffer: FrameBuffer,
    ahead: Ahead,
    aliases: AliasTable,
    subscriptions: Subscriptions,
    out: Vec<u8>,
    sent: usize,
    client_id: Vec<u8>,
    removed: Vec<u8>,
    beginning: Beginning,
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
    counters: Counters,
    started: Instant,
    received_at: Instant,
    pinged: Instant,
    /// Since when an answer to a probe is waited for.
    probed: Option<Instant>,
}

impl Session {
    /// A new session on a connection that stands since `now`. The handshake's request is in [`Session::output`].
    pub fn new(config: SessionConfig, now: Instant) -> Session {
        Session::begin(config, None, now)
    }

    /// As [`Session::new`], but the server is asked to go on with an earlier session. Whether it does is shown by
    /// [`SessionEvent::Opened`].
    pub fn resume(config: SessionConfig, earlier: ResumeState, now: Instant) -> Session {
        Session::begin(config, Some(earlier), now)
    }

    fn begin(config: SessionConfig, earlier: Option<ResumeState>, now: Instant) -> Session {
        let until = now.checked_add(config.handshake_deadline).unwrap_or(now);
        let mut session = Session {
            state: State::Shaking { until },
            lost_given: false,
            ended: None,
            buffer: FrameBuffer::new(config.frame_limit),
            ahead: Ahead::default(),
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
            beginning: Beginning::Fresh,
            may_lack_loads: false,
            decoder: BodyDecoder::new(config.body_limit, config.body_ratio),
            decoded: Vec::new(),
            fragments: Fragments::new(config.body_limit),
            too_old: 0,
            whole: Whole::default(),
            counters: Counters::default(),
            started: now,
            received_at: now,
            pinged: now,
            probed: None,
            config,
        };
        if let Some(earlier) = earlier {
            session.beginning = Beginning::Resuming(earlier.client_id);
            session.aliases = earlier.aliases;
            session.subscriptions.resume(earlier.topics);
        }
        session.request();
        session
    }

    /// What may go on of this session once its connection is lost: nothing, if it was never open.
    pub fn into_resume_state(self) -> Option<ResumeState> {
        (!self.client_id.is_empty()).then(|| ResumeState {
            client_id: self.client_id,
            aliases: self.aliases,
            topics: self.subscriptions.into_resume_state(),
        })
    }

    pub fn is_resuming(&self) -> bool {
        self.beginning != Beginning::Fresh
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

    pub fn subscriptions_waiting(&self) -> usize {
        self.subscriptions.waiting()
    }

    /// Bytes that were read and not taken yet.
    pub fn unread(&self) -> usize {
        let framed = self.ahead.first().map_or(0, |frame| self.buffer.taken_since(frame));
        self.buffer.unread().len() + framed
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// Room to read into. Empty only while messages wait to be taken, see [`FrameBuffer::spare`].
    pub fn spare(&mut self) -> &mut [u8] {
        // Frames are places in the buffer, which may move now.
        if let Some(frame) = self.ahead.first() {
            self.buffer.step_back(frame);
            self.ahead = Ahead::default();
        }
        self.buffer.spare()
    }

    /// `count` bytes were read into [`Session::spare`].
    pub fn filled(&mut self, count: usize, now: Instant) {
        self.buffer.filled(count);
        self.counters.bytes += count as u64;
        self.received_at = self.received_at.max(now);
        self.probed = None;
    }

    /// The stream ended, or the socket failed with this kind of error. What was read before is still given.
    pub fn disconnected(&mut self, error: Option<io::ErrorKind>) {
        self.ended.get_or_insert(match error {
            None => LostReason::EndOfStream,
            Some(kind) => LostReason::Socket(kind),
        });
    }

    /// The stream broke for a reason of its own. What was read before is still given.
    pub fn broken(&mut self, why: LostReason) {
        self.ended.get_or_insert(why);
    }

    /// Ends the session: a close request is put out, then [`SessionEvent::Lost`] is given. The caller sends and closes.
    pub fn close(&mut self) {
        if self.state == State::Open {
            diffusion::close(&mut self.out);
        }
        self.transition(Input::Ended(LostReason::Asked));
    }

    /// A topic that the login asked for shows that the server refuses the session: nothing that follows is given.
    pub fn refused(&mut self, why: LostReason) {
        self.transition(Input::Ended(why));
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
            self.transition(Input::Ended(LostReason::OutputFull { limit }));
        }
    }

    /// Frames some more messages if all that were framed are taken; whether there are several now, whose topics
    /// [`Session::upcoming`] gives. Optional: for callers that prepare for many messages at once.
    #[inline]
    pub fn look_ahead(&mut self) -> bool {
        if self.state != State::Open || self.ahead.first().is_some() {
            return false;
        }
        self.ahead.fill(&mut self.buffer);
        self.ahead.len() > 1
    }

    /// The topics of the deltas that were framed and not taken yet; those that stand behind an alias are left out.
    pub fn upcoming(&self) -> impl Iterator<Item = &[u8]> {
        self.ahead.rest().iter().filter_map(|frame| match frame.kind() {
            (MessageType::Delta, Part::Whole) => match TopicRef::parse(self.buffer.first_header(*frame)) {
                TopicRef::Named { name, alias: _ } => Some(name),
                TopicRef::Alias(_) => None,
            },
            _ => None,
        })
    }

    /// The next event in what was read; none if more must be read, or after the last.
    #[inline]
    pub fn next_event(&mut self, now: Instant) -> Option<SessionEvent<'_>> {
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
    pub(super) fn event(&self, step: Step) -> Option<SessionEvent<'_>> {
        match step {
            Step::Next | Step::Wait => None,
            Step::Load(frame, at, body) => {
                Some(SessionEvent::Load { topic: self.topic_name(frame, at), body: self.body(frame, body) })
            }
            Step::Delta(frame, at, body) => {
                Some(SessionEvent::Delta { topic: self.topic_name(frame, at), body: self.body(frame, body) })
            }
            Step::Opened(session) => Some(SessionEvent::Opened { client_id: &self.client_id, session }),
            Step::Removed => Some(SessionEvent::TopicRemoved { topic: &self.removed }),
            Step::Status(frame, at) => match self.buffer.message(frame).status() {
                Some(TopicStatus::Other(status)) => {
                    Some(SessionEvent::TopicStatus { topic: self.topic_name(frame, at), status })
                }
                Some(TopicStatus::Removed) | None => None,
            },
            Step::Queue(depth) => Some(SessionEvent::ServerQueue(depth)),
            Step::Skipped(why) => Some(SessionEvent::Skipped { why }),
            Step::Lost => self.why().map(|why| SessionEvent::Lost { why }),
        }
    }

    #[inline]
    fn topic_name(&self, frame: Frame, at: TopicAt) -> &[u8] {
        name_of(&self.buffer, &self.aliases, &self.whole, frame, at)
    }

    #[inline]
    fn body(&self, frame: Frame, at: BodyAt) -> &[u8] {
        match at {
            BodyAt::Message => self.buffer.body(frame),
            BodyAt::Decoded => &self.decoded,
            BodyAt::Whole => &self.whole.body,
        }
    }

    /// Why it is over, once it is.
    pub(super) fn why(&self) -> Option<LostReason> {
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
            State::Closed { .. } => self.give_lost(),
        }
    }

    fn give_lost(&mut self) -> Step {
        if self.lost_given {
            return Step::Wait;
        }
        self.lost_given = true;
        Step::Lost
    }

    fn end(&mut self, why: LostReason) -> Step {
        self.transition(Input::Ended(why));
        Step::Next
    }

    fn skip(&mut self, why: Skip) -> Step {
        self.counters.skipped(&why);
        Step::Skipped(why)
    }

    /// Nothing more can be read from what is there.
    fn wait(&mut self) -> Step {
        if self.too_old > 0 {
            self.too_old -= 1;
            return Step::Skipped(Skip::Fragment(FragmentError::Old));
        }
        match self.ended.take() {
            Some(why) => self.end(why),
            None => Step::Wait,
        }
    }

    #[inline]
    fn next_frame(&mut self) -> Step {
        if let Some(frame) = self.ahead.take() {
            return self.take(frame);
        }
        match self.buffer.advance() {
            Ok(Some(frame)) => self.take(frame),
            Ok(None) => self.wait(),
            Err(error) => self.end(LostReason::Wire(error)),
        }
    }
}

#[inline]
fn name_of<'a>(
    buffer: &'a FrameBuffer,
    aliases: &'a AliasTable,
    whole: &'a Whole,
    frame: Frame,
    at: TopicAt,
) -> &'a [u8] {
    let header = match at {
        TopicAt::Alias(slot) => return aliases.name(slot).unwrap_or_default(),
        TopicAt::Message => buffer.first_header(frame),
        TopicAt::Whole => &whole.topic,
    };
    match TopicRef::parse(header) {
        TopicRef::Named { name, alias: _ } => name,
        TopicRef::Alias(_) => &[],
    }
}
