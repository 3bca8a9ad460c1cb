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
pub(in crate::serve) const ENOUGH: usize = 64 * 1024;
/// Bytes that wait for a client at most before it misses an event.
pub(super) const EVENTS: usize = 256 * 1024;

#[derive(Debug)]
pub(in crate::serve) struct Watching {
    pub key: ItemKey,
    pub framing: Framing,
    progress: Progress,
}

/// How far a client is with one item.
#[derive(Debug)]
pub(in crate::serve) struct Progress {
    /// What it has, once it has read what waits.
    has: Arc<Document>,
    /// States published since that it was not sent.
    left_out: u32,
}

/// Whether a client is sent a state that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Advance {
    Sent,
    /// It has it, or is sent a newer one later.
    No,
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

impl Progress {
    /// Begins with what is known of the client: how far it is then, and the first message.
    pub(in crate::serve) fn begin(known: Known, why: Why) -> (Progress, Option<Message>) {
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
        (Progress { has, left_out: 0 }, first)
    }

    /// Whether it waits for the newest state until there is room.
    pub(in crate::serve) fn is_behind(&self) -> bool {
        self.left_out > 0
    }

    /// A state was published, after `from`, while so many bytes wait for the client.
    pub(in crate::serve) fn advance(
        &mut self,
        waiting: usize,
        from: &Arc<Document>,
        to: &Arc<Document>,
    ) -> Advance {
        if waiting < ENOUGH && Arc::ptr_eq(&self.has, from) {
            self.has = Arc::clone(to);
            return Advance::Sent;
        }
        if !Arc::ptr_eq(&self.has, to) {
            self.left_out = self.left_out.saturating_add(1);
        }
        Advance::No
    }

    /// What waited is read: one patch to the newest state, in place of all that were left out, if there is one.
    pub(in crate::serve) fn catch_up(&mut self, newest: &Arc<Document>) -> Option<Message> {
        if self.left_out == 0 {
            return None;
        }
        // The last of those that were left out is sent now.
        let conflated = self.left_out - 1;
        let patch = newest.patch_from(&self.has);
        self.left_out = 0;
        self.has = Arc::clone(newest);
        (!patch.is_empty()).then(|| Message::patch(newest.revision, conflated, patch))
    }
}

impl Watching {
    /// As [`Progress::begin`].
    pub(in crate::serve) fn begin(
        key: ItemKey,
        framing: Framing,
        known: Known,
        why: Why,
    ) -> (Watching, Option<Message>) {
        let (progress, first) = Progress::begin(known, why);
        (Watching { key, framing, progress }, first)
    }

    pub(in crate::serve) fn is_behind(&self) -> bool {
        self.progress.is_behind()
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
        let framing = self.watching.framing;
        match self.watching.progress.advance(self.out.bytes(), from, to) {
            Advance::Sent => message.into_iter().for_each(|message| self.out.push(message.framed(framing))),
            Advance::No => {}
        }
    }

    /// Whether there was something to catch up with.
    pub(in crate::serve) fn catch_up(&mut self, newest: &Arc<Document>) -> bool {
        if !self.out.is_empty() {
            return false;
        }
        let Some(message) = self.watching.progress.catch_up(newest) else { return false };
        self.out.push(message.framed(self.watching.framing));
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
