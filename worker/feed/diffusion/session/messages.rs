//! What each message does to an open session.

use super::{Session, Step, TopicAt};
use crate::feed::diffusion::LostReason;
use crate::wire::diffusion::{self, Frame, Message, MessageType, Part, TopicRef, TopicStatus};

/// Whether a message asks to be acknowledged.
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
            return count(&mut self.counters.fragments);
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
            MessageType::CancelFragments => count(&mut self.counters.fragments),
            MessageType::Unknown(_) => count(&mut self.counters.unknown_type),
            MessageType::Subscribe
            | MessageType::Unsubscribe
            | MessageType::Credentials
            | MessageType::CredentialsRejected
            | MessageType::Ack
            | MessageType::Fetch
            | MessageType::FetchReply
            | MessageType::Command
            | MessageType::CommandTopicLoad
            | MessageType::CommandTopicNotification => count(&mut self.counters.unexpected),
        }
    }

    #[inline]
    fn delta(&mut self, frame: Frame, ack: Ack) -> Step {
        self.acknowledge(frame, ack);
        match self.usable(frame) {
            Ok(at) => {
                self.counters.deltas += 1;
                Step::Delta(frame, at)
            }
            Err(skip) => skip,
        }
    }

    fn load(&mut self, frame: Frame, ack: Ack) -> Step {
        self.acknowledge(frame, ack);
        if let TopicRef::Named { name, alias: Some(alias) } = TopicRef::parse(self.buffer.first_header(frame))
            && self.aliases.learn(name, alias).is_err()
        {
            self.counters.alias_refused += 1;
        }
        match self.usable(frame) {
            Ok(at) => {
                self.counters.loads += 1;
                Step::Load(frame, at)
            }
            Err(skip) => skip,
        }
    }

    #[inline]
    fn usable(&mut self, frame: Frame) -> Result<TopicAt, Step> {
        let at = self.topic_at(frame)?;
        if !frame.encoding().is_plain() {
            return Err(count(&mut self.counters.encoded));
        }
        Ok(at)
    }

    #[inline]
    fn topic_at(&mut self, frame: Frame) -> Result<TopicAt, Step> {
        match TopicRef::parse(self.buffer.first_header(frame)) {
            TopicRef::Named { name, alias: _ } if !name.is_empty() => Ok(TopicAt::Message),
            TopicRef::Alias(alias) => match self.aliases.resolve(alias) {
                Some(slot) => Ok(TopicAt::Alias(slot)),
                None => Err(count(&mut self.counters.unknown_alias)),
            },
            TopicRef::Named { .. } => Err(count(&mut self.counters.malformed)),
        }
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
        if sent {
            self.counters.acks += 1;
        } else {
            self.counters.malformed += 1;
        }
        self.check_output();
    }

    fn status(&mut self, frame: Frame) -> Step {
        let Some(status) = self.buffer.message(frame).status() else {
            return count(&mut self.counters.malformed);
        };
        match status {
            TopicStatus::Removed => {}
            TopicStatus::Other(_) => return count(&mut self.counters.unexpected),
        }
        let at = match self.topic_at(frame) {
            Ok(at) => at,
            Err(skip) => return skip,
        };
        let mut name = std::mem::take(&mut self.removed);
        name.clear();
        name.extend_from_slice(self.topic_name(frame, at));
        self.removed = name;
        self.aliases.forget_name(&self.removed);
        self.counters.removed += 1;
        Step::Removed
    }

    /// The server pings: its headers go back as they came.
    fn echo(&mut self, frame: Frame) -> Step {
        let message = self.buffer.message(frame);
        let echo = Message { body: &[], ..message };
        if diffusion::message(&mut self.out, &echo).is_err() {
            return count(&mut self.counters.malformed);
        }
        self.counters.echoes += 1;
        self.check_output();
        Step::Skip
    }

    fn server_queue(&mut self, frame: Frame) -> Step {
        match self.buffer.message(frame).ping().and_then(|ping| ping.queue) {
            Some(depth) => Step::Queue(depth),
            None => count(&mut self.counters.malformed),
        }
    }
}

fn count(counter: &mut u64) -> Step {
    *counter += 1;
    Step::Skip
}
