//! What each message does to an open session.

use super::{BodyAt, Content, Origin, Session, Step, TopicAt, topic, topic_header};
use crate::feed::diffusion::LostReason;
use crate::feed::diffusion::skip::Skip;
use crate::wire::diffusion::{self, Encoding, Frame, Message, MessageType, Part, TopicRef, TopicStatus};

impl Session {
    #[inline]
    pub(super) fn take(&mut self, frame: Frame) -> Step {
        let (kind, part) = frame.kind();
        if part == Part::Fragment {
            return self.piece(frame);
        }
        match kind {
            MessageType::Delta
            | MessageType::DeltaAck
            | MessageType::TopicLoad
            | MessageType::TopicLoadAck => self.content(kind, Origin::Frame(frame)),
            MessageType::TopicStatus => self.status(frame),
            MessageType::PingClient => self.echo(frame),
            MessageType::PingServer => self.server_queue(frame),
            MessageType::Close => self.end_step(LostReason::ClosedByServer),
            MessageType::Abort => self.end_step(LostReason::Aborted),
            MessageType::CancelFragments => self.cancelled(frame),
            MessageType::Unknown(byte) => self.skip(Skip::UnknownType(byte)),
            MessageType::Subscribe
            | MessageType::Unsubscribe
            | MessageType::Credentials
            | MessageType::CredentialsRejected
            | MessageType::Ack
            | MessageType::Fetch
            | MessageType::FetchReply
            | MessageType::Command
            | MessageType::CommandTopicLoad
            | MessageType::CommandTopicNotification => self.skip(Skip::Unexpected(kind)),
        }
    }

    /// A load or a delta. It is acknowledged whether it can be used or not: it was received.
    #[inline]
    pub(super) fn content(&mut self, kind: MessageType, origin: Origin) -> Step {
        if matches!(kind, MessageType::DeltaAck | MessageType::TopicLoadAck) {
            self.acknowledge(origin);
        }
        let is_load = matches!(kind, MessageType::TopicLoad | MessageType::TopicLoadAck);
        if is_load {
            self.learn_alias(origin);
        }
        let content = match self.usable(kind, origin) {
            Ok(content) => content,
            Err(skip) => return skip,
        };
        if !is_load {
            return Step::Delta(content);
        }
        let name = topic(&self.buffer, &self.aliases, &self.whole, origin, content.topic);
        self.subscriptions.loaded(name);
        Step::Load(content)
    }

    fn acknowledge(&mut self, origin: Origin) {
        let id = match origin {
            Origin::Frame(frame) => self.buffer.message(frame).ack_id(),
            Origin::Whole => self.whole.ack.as_deref(),
        };
        let is_sent = id.is_some_and(|id| !id.is_empty() && diffusion::ack(&mut self.out, id).is_ok());
        self.errors += u64::from(!is_sent);
        self.check_output();
    }

    fn learn_alias(&mut self, origin: Origin) {
        let header = topic_header(&self.buffer, &self.whole, origin);
        if let TopicRef::Named { name, alias: Some(alias) } = TopicRef::parse(header)
            && !self.aliases.learn(name, alias)
        {
            self.errors += 1;
        }
    }

    #[inline]
    fn usable(&mut self, kind: MessageType, origin: Origin) -> Result<Content, Step> {
        let topic = self.topic_at(kind, origin)?;
        let encoding = match origin {
            Origin::Frame(frame) => frame.encoding(),
            Origin::Whole => self.whole.encoding,
        };
        let body = if encoding.is_plain() { BodyAt::Message } else { self.decode(encoding, origin)? };
        Ok(Content { origin, topic, body })
    }

    #[inline]
    fn topic_at(&mut self, kind: MessageType, origin: Origin) -> Result<TopicAt, Step> {
        match TopicRef::parse(topic_header(&self.buffer, &self.whole, origin)) {
            TopicRef::Named { name, alias: _ } if !name.is_empty() => Ok(TopicAt::Message),
            TopicRef::Alias(alias) => match self.aliases.resolve(alias) {
                Some(slot) => Ok(TopicAt::Alias(slot)),
                None => Err(self.unknown_alias()),
            },
            TopicRef::Named { .. } => Err(self.skip(Skip::NoTopic(kind))),
        }
    }

    /// In a session that went on it may be the alias of a load that was on its way when the connection broke: everything
    /// is asked for again, once.
    #[cold]
    fn unknown_alias(&mut self) -> Step {
        if std::mem::take(&mut self.may_lack_loads) {
            self.subscriptions.ask_again();
        }
        self.skip(Skip::UnknownAlias)
    }

    #[cold]
    fn decode(&mut self, encoding: Encoding, origin: Origin) -> Result<BodyAt, Step> {
        let body = match origin {
            Origin::Frame(frame) => self.buffer.body(frame),
            Origin::Whole => &self.whole.body,
        };
        self.decoded.clear();
        match self.decoder.decode(encoding, body, &mut self.decoded) {
            Ok(()) => Ok(BodyAt::Decoded),
            Err(error) => Err(self.skip(Skip::Body(error))),
        }
    }

    fn status(&mut self, frame: Frame) -> Step {
        let Some(status) = self.buffer.message(frame).status() else {
            return self.skip(Skip::NoStatus);
        };
        let is_removed = status == TopicStatus::Removed;
        let at = match self.topic_at(MessageType::TopicStatus, Origin::Frame(frame)) {
            Ok(at) => at,
            Err(skip) => return skip,
        };
        if !is_removed {
            self.errors += 1;
            return Step::Status(frame, at);
        }
        let mut name = std::mem::take(&mut self.removed);
        name.clear();
        name.extend_from_slice(self.topic(Origin::Frame(frame), at));
        self.removed = name;
        self.aliases.forget_name(&self.removed);
        self.subscriptions.unloaded(&self.removed);
        Step::Removed
    }

    /// The server pings: its headers go back as they came.
    fn echo(&mut self, frame: Frame) -> Step {
        let message = self.buffer.message(frame);
        let echo = Message { body: &[], ..message };
        if diffusion::message(&mut self.out, &echo).is_err() {
            return self.skip(Skip::Echo);
        }
        self.check_output();
        Step::Next
    }

    fn server_queue(&mut self, frame: Frame) -> Step {
        match self.buffer.message(frame).ping().and_then(|ping| ping.queue) {
            Some(depth) => Step::Queue(depth),
            None => self.skip(Skip::NoQueue),
        }
    }
}
