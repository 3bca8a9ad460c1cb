//! What each message does to an open session.

use super::{Delivery, Session, Step};
use crate::feed::diffusion::LostReason;
use crate::wire::diffusion::{self, Frame, Message, MessageType, Part, TopicRef, TopicSlot, TopicStatus};

/// Where a message's topic is named.
enum Named {
    /// In the message itself.
    Here,
    /// In the table of aliases.
    There(TopicSlot),
}

impl Session {
    #[inline]
    pub(super) fn take(&mut self, frame: Frame) -> Step {
        self.counters.messages += 1;
        let message = self.buffer.message(frame);
        if message.part == Part::Fragment {
            return count(&mut self.counters.fragments);
        }
        match message.kind {
            MessageType::Delta | MessageType::DeltaAck => self.delta(frame),
            MessageType::TopicLoad | MessageType::TopicLoadAck => self.load(frame),
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
    fn delta(&mut self, frame: Frame) -> Step {
        self.acknowledge(frame);
        match self.delivery(frame) {
            Ok(delivery) => {
                self.counters.deltas += 1;
                Step::Delta(delivery)
            }
            Err(skip) => skip,
        }
    }

    fn load(&mut self, frame: Frame) -> Step {
        self.acknowledge(frame);
        if let Some(TopicRef::Named { name, alias: Some(alias) }) = self.buffer.message(frame).topic()
            && self.aliases.learn(name, alias).is_err()
        {
            self.counters.alias_refused += 1;
        }
        match self.delivery(frame) {
            Ok(delivery) => {
                self.counters.loads += 1;
                Step::Load(delivery)
            }
            Err(skip) => skip,
        }
    }

    #[inline]
    fn delivery(&mut self, frame: Frame) -> Result<Delivery, Step> {
        let slot = match self.named(frame)? {
            Named::Here => None,
            Named::There(slot) => Some(slot),
        };
        if !self.buffer.message(frame).encoding.is_plain() {
            return Err(count(&mut self.counters.encoded));
        }
        Ok(Delivery { frame, slot })
    }

    #[inline]
    fn named(&mut self, frame: Frame) -> Result<Named, Step> {
        match self.buffer.message(frame).topic() {
            Some(TopicRef::Named { name, alias: _ }) if !name.is_empty() => Ok(Named::Here),
            Some(TopicRef::Alias(alias)) => match self.aliases.resolve(alias) {
                Some(slot) => Ok(Named::There(slot)),
                None => Err(count(&mut self.counters.unknown_alias)),
            },
            Some(TopicRef::Named { .. }) | None => Err(count(&mut self.counters.malformed)),
        }
    }

    /// Acknowledges what asks for it, whether it can be used or not: it was received.
    #[inline]
    fn acknowledge(&mut self, frame: Frame) {
        let message = self.buffer.message(frame);
        if !matches!(message.kind, MessageType::TopicLoadAck | MessageType::DeltaAck) {
            return;
        }
        let sent = match message.ack_id() {
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
        let named = match self.named(frame) {
            Ok(named) => named,
            Err(skip) => return skip,
        };
        let name = match named {
            Named::There(slot) => self.aliases.name(slot).unwrap_or_default(),
            Named::Here => topic_name(&self.buffer.message(frame)),
        };
        self.removed.clear();
        self.removed.extend_from_slice(name);
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

pub(super) fn topic_name<'a>(message: &Message<'a>) -> &'a [u8] {
    match message.topic() {
        Some(TopicRef::Named { name, alias: _ }) => name,
        Some(TopicRef::Alias(_)) | None => &[],
    }
}

fn count(counter: &mut u64) -> Step {
    *counter += 1;
    Step::Skip
}
