//! What a client watches, and how it is kept at the newest state without a queue.
//!
//! Who reads gets each change as it is published. Once [`ENOUGH`] bytes wait for a client, states are left out and counted; when it has read what
//! waits it is sent one patch from the state that it has to the newest one. Events are ordered and are not left out: a client for which more
//! than [`EVENTS`] bytes would wait is sent away.

use super::Outbox;
use crate::serve::frame::{Framing, Message, Why};
use crate::serve::items::{Document, ItemKey, Known};
use std::sync::Arc;

/// Bytes that wait for a client before it is sent no further state.
pub(super) const ENOUGH: usize = 64 * 1024;
/// Bytes that wait for a client at most before it misses an event.
pub(super) const EVENTS: usize = 256 * 1024;

#[derive(Debug)]
pub(in crate::serve) struct Watching {
    pub key: ItemKey,
    pub framing: Framing,
    /// What it has, once it has read what waits.
    has: Arc<Document>,
    /// States published since that it was not sent.
    left_out: u32,
}

/// A stream and where its bytes go.
#[derive(Debug)]
pub(in crate::serve) struct Delivery<'c> {
    pub watching: &'c mut Watching,
    pub out: &'c mut Outbox,
}

/// Whether a client takes part any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::serve) enum Delivered {
    Yes,
    /// An event has no room: its client is too slow.
    TooSlow,
}

impl Watching {
    /// Begins with what is known of the client: the first message, and what it has then.
    pub(in crate::serve) fn begin(
        key: ItemKey,
        framing: Framing,
        known: Known,
        why: Why,
    ) -> (Watching, Option<Message>) {
        let (has, first) = match known {
            Known::Resumed { had, published } => {
                let patch = published.patch_from(&had);
                let message = (!patch.is_empty()).then(|| Message::patch(published.revision, 0, patch));
                (published, message)
            }
            Known::Anew { published } => {
                let message = Message::snapshot(published.revision, why, &published.text());
                (published, Some(message))
            }
        };
        (Watching { key, framing, has, left_out: 0 }, first)
    }

    /// Whether it waits for the newest state until there is room.
    pub(in crate::serve) fn is_behind(&self) -> bool {
        self.left_out > 0
    }
}

impl Delivery<'_> {
    /// A state was published; `message` is the patch from `from` to it, shared; `None`: they are the same.
    pub(in crate::serve) fn change(
        &mut self,
        from: &Arc<Document>,
        to: &Arc<Document>,
        message: Option<&Message>,
    ) {
        let watching = &mut *self.watching;
        if self.out.bytes() < ENOUGH && Arc::ptr_eq(&watching.has, from) {
            message.into_iter().for_each(|message| self.out.push(message.framed(watching.framing)));
            watching.has = Arc::clone(to);
        } else if !Arc::ptr_eq(&watching.has, to) {
            watching.left_out = watching.left_out.saturating_add(1);
        }
    }

    /// What waited is written: one patch to the newest state, in place of all that were left out. Whether there is one to write.
    pub(in crate::serve) fn catch_up(&mut self, newest: &Arc<Document>) -> bool {
        let watching = &mut *self.watching;
        if watching.left_out == 0 || !self.out.is_empty() {
            return false;
        }
        // The last of those that were left out is sent now.
        let conflated = watching.left_out - 1;
        let patch = newest.patch_from(&watching.has);
        watching.left_out = 0;
        watching.has = Arc::clone(newest);
        if patch.is_empty() {
            return false;
        }
        self.out.push(Message::patch(newest.revision, conflated, patch).framed(watching.framing));
        true
    }

    pub(in crate::serve) fn event(&mut self, message: &Message) -> Delivered {
        let bytes = message.framed(self.watching.framing);
        if self.out.bytes() + bytes.len() > EVENTS {
            return Delivered::TooSlow;
        }
        self.out.push(bytes);
        Delivered::Yes
    }
}
