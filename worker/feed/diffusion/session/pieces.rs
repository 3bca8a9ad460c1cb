//! Messages in pieces, and the memory that large messages leave behind.

use super::{Origin, Session, Step};
use crate::feed::diffusion::skip::Skip;
use crate::wire::diffusion::{FragmentError, Frame, Whole};

/// Memory for decoded bodies that is kept from one to the next, in bytes.
const KEPT: usize = 256 * 1024;

impl Session {
    /// A piece of a message. What is open too long counts from the read that brought its first piece.
    pub(super) fn piece(&mut self, frame: Frame) -> Step {
        let message = self.buffer.message(frame);
        match self.fragments.take(&message, self.received_at) {
            Ok(None) => Step::Next,
            Err(error) => self.skip(Skip::Fragment(error)),
            Ok(Some(whole)) => {
                self.whole = whole;
                self.content(self.whole.kind, Origin::Whole)
            }
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
