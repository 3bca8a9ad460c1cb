//! What each message does to an open session.

use super::{BodyAt, Session, Step, TopicAt, name_of};
use crate::feed::diffusion::LostReason;
use crate::feed::diffusion::counters::Skip;
use crate::wire::diffusion::{self, Frame, Message, MessageType, Part, TopicRef, TopicStatus};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ack {
    Wanted,
    NotWanted,
}

impl Session {
    #[inline]
    pub(super) fn take(&mut self, frame: Frame) -> Step {
        self.counters.messages += 1;
        let (kind, part) = frame.kind();
        if part == Part::Fragment {
            return self.piece(frame);
        }
        match kind {
            MessageType::Delta => self.delta(frame, Ack::NotWanted),
            MessageType::DeltaAck => self.delta(frame, Ack::Wanted),
            MessageType::TopicLoad => self.load(frame, Ack::NotWanted),
            MessageType::TopicLoadAck => self.load(frame, Ack::Wanted),
            MessageType::TopicStatus => self.status(frame),
            MessageType::PingClient => self.echo(frame),
            MessageType::PingServer => self.server_queue(frame),
            MessageType::Close => self.end(LostReason::ClosedByServer),
            MessageType::Abort => self.end(LostReason::Aborted),
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

    #[inline]
    fn delta(&mut self, frame: Frame, ack: Ack) -> Step {
        self.acknowledge(frame, ack);
        match self.usable(frame) {
            Ok((at, body)) => self.give_delta(frame, at, body),
            Err(skip) => skip,
        }
    }

    #[inline]
    pub(super) fn give_delta(&mut self, frame: Frame, at: TopicAt, body: BodyAt) -> Step {
        self.counters.deltas += 1;
        Step::Delta(frame, at, body)
    }

    fn load(&mut self, frame: Frame, ack: Ack) -> Step {
        self.acknowledge(frame, ack);
        if let TopicRef::Named { name, alias: Some(alias) } = TopicRef::parse(self.buffer.first_header(frame))
            && !self.aliases.learn(name, alias)
        {
            self.counters.alias_refused += 1;
        }
        match self.usable(frame) {
            Ok((at, body)) => self.give_load(frame, at, body),
            Err(skip) => skip,
        }
    }

    pub(super) fn give_load(&mut self, frame: Frame, at: TopicAt, body: BodyAt) -> Step {
        self.counters.loads += 1;
        self.subscriptions.loaded(name_of(&self.buffer, &self.aliases, &self.whole, frame, at));
        Step::Load(frame, at, body)
    }

    #[inline]
    fn usable(&mut self, frame: Frame) -> Result<(TopicAt, BodyAt), Step> {
        let at = self.topic_at(frame)?;
        if frame.encoding().is_plain() {
            return Ok((at, BodyAt::Message));
        }
        Ok((at, self.decoded_body(frame)?))
    }

    #[inline]
    fn topic_at(&mut self, frame: Frame) -> Result<TopicAt, Step> {
        match TopicRef::parse(self.buffer.first_header(frame)) {
            TopicRef::Named { name, alias: _ } if !name.is_empty() => Ok(TopicAt::Message),
            TopicRef::Alias(alias) => match self.aliases.resolve(alias) {
                Some(slot) => Ok(TopicAt::Alias(slot)),
                None => Err(self.unknown_alias()),
            },
            TopicRef::Named { .. } => Err(self.skip(Skip::NoTopic(frame.kind().0))),
        }
    }

    /// In a session that went on it may be the alias of a load that was on its way when the connection broke: everything
    /// is asked for again, once.
    #[cold]
    pub(super) fn unknown_alias(&mut self) -> Step {
        if std::mem::take(&mut self.may_lack_loads) {
            self.subscriptions.ask_again();
        }
        self.skip(Skip::UnknownAlias)
    }

    /// Acknowledges what asks for it, whether it can be used or not: it was received.
    #[inline]
    fn acknowledge(&mut self, frame: Frame, ack: Ack) {
        match ack {
            Ack::Wanted => self.send_ack(frame),
            Ack::NotWanted => {}
        }
    }

    fn send_ack(&mut self, frame: Frame) {
        let sent = match self.buffer.message(frame).ack_id() {
            Some(id) if !id.is_empty() => diffusion::ack(&mut self.out, id).is_ok(),
            Some(_) | None => false,
        };
        self.count_ack(sent);
    }

    pub(super) fn count_ack(&mut self, sent: bool) {
        if sent {
            self.counters.acks += 1;
        } else {
            self.counters.malformed += 1;
        }
        self.check_output();
    }

    fn status(&mut self, frame: Frame) -> Step {
        let Some(status) = self.buffer.message(frame).status() else {
            return self.skip(Skip::NoStatus);
        };
        let removed = match status {
            TopicStatus::Removed => true,
            TopicStatus::Other(_) => false,
        };
        let at = match self.topic_at(frame) {
            Ok(at) => at,
            Err(skip) => return skip,
        };
        if !removed {
            self.counters.unexpected += 1;
            return Step::Status(frame, at);
        }
        let mut name = std::mem::take(&mut self.removed);
        name.clear();
        name.extend_from_slice(self.topic_name(frame, at));
        self.removed = name;
        self.aliases.forget_name(&self.removed);
        self.subscriptions.unloaded(&self.removed);
        self.counters.removed += 1;
        Step::Removed
    }

    /// The server pings: its headers go back as they came.
    fn echo(&mut self, frame: Frame) -> Step {
        let message = self.buffer.message(frame);
        let echo = Message { body: &[], ..message };
        if diffusion::message(&mut self.out, &echo).is_err() {
            return self.skip(Skip::Echo);
        }
        self.counters.echoes += 1;
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
