//! Messages in pieces, and bodies that must be decoded: everything that is not given straight from the buffer.

use super::{BodyAt, Session, Step, TopicAt};
use crate::feed::diffusion::counters::Skip;
use crate::wire::diffusion::{self, Encoding, FragmentError, Frame, MessageType, TopicRef, Whole};

/// Memory for decoded bodies that is kept from one to the next, in bytes.
const KEPT: usize = 256 * 1024;

impl Session {
    /// A piece of a message. What is open too long counts from the read that brought its first piece.
    pub(super) fn piece(&mut self, frame: Frame) -> Step {
        let message = self.buffer.message(frame);
        match self.fragments.take(&message, self.received_at) {
            Ok(None) => {
                self.counters.pieces += 1;
                Step::Next
            }
            Err(error) => self.skip(Skip::Fragment(error)),
            Ok(Some(whole)) => {
                self.counters.pieces += 1;
                self.counters.assembled += 1;
                self.whole = whole;
                self.assembled(frame)
            }
        }
    }

    fn assembled(&mut self, frame: Frame) -> Step {
        let wants_ack = matches!(self.whole.kind, MessageType::TopicLoadAck | MessageType::DeltaAck);
        if wants_ack {
            let sent = self.whole.ack.as_deref().is_some_and(|id| diffusion::ack(&mut self.out, id).is_ok());
            self.count_ack(sent);
        }
        let is_load = matches!(self.whole.kind, MessageType::TopicLoad | MessageType::TopicLoadAck);
        let topic = TopicRef::parse(&self.whole.topic);
        if let TopicRef::Named { name, alias: Some(alias) } = topic
            && is_load
            && !self.aliases.learn(name, alias)
        {
            self.counters.alias_refused += 1;
        }
        let at = match topic {
            TopicRef::Named { name, .. } if !name.is_empty() => TopicAt::Whole,
            TopicRef::Named { .. } => return self.skip(Skip::NoTopic(self.whole.kind)),
            TopicRef::Alias(alias) => match self.aliases.resolve(alias) {
                Some(slot) => TopicAt::Alias(slot),
                None => return self.unknown_alias(),
            },
        };
        let body = if self.whole.encoding.is_plain() {
            BodyAt::Whole
        } else {
            let whole = std::mem::take(&mut self.whole);
            let decoded = self.decode(whole.encoding, Source::Whole(&whole));
            self.whole = whole;
            match decoded {
                Ok(at) => at,
                Err(skip) => return skip,
            }
        };
        if is_load { self.give_load(frame, at, body) } else { self.give_delta(frame, at, body) }
    }

    /// Decodes the body of a message that is not plain.
    #[cold]
    pub(super) fn decoded_body(&mut self, frame: Frame) -> Result<BodyAt, Step> {
        self.decode(frame.encoding(), Source::Message(frame))
    }

    fn decode(&mut self, encoding: Encoding, source: Source<'_>) -> Result<BodyAt, Step> {
        let body = match source {
            Source::Message(frame) => self.buffer.body(frame),
            Source::Whole(whole) => &whole.body,
        };
        self.decoded.clear();
        match self.decoder.decode(encoding, body, &mut self.decoded) {
            Ok(()) => {
                self.counters.decoded += 1;
                Ok(BodyAt::Decoded)
            }
            Err(error) => Err(self.skip(Skip::Body(error))),
        }
    }

    /// Gives back what a large message needed, once it was given.
    pub(super) fn give_back_memory(&mut self) {
        if self.decoded.capacity() > KEPT {
            self.decoded = Vec::new();
        }
        if self.whole.body.capacity() > KEPT {
            self.whole = Whole::default();
        }
    }

    pub(super) fn cancelled(&mut self, frame: Frame) -> Step {
        let Some(correlation) = self.buffer.message(frame).correlation() else {
            return self.skip(Skip::NoCorrelation);
        };
        match self.fragments.cancel(correlation) {
            Some(()) => Step::Next,
            None => self.skip(Skip::Fragment(FragmentError::Stray)),
        }
    }
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Message(Frame),
    Whole(&'a Whole),
}
