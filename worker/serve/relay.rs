//! Where what is published here goes beside our own clients, and what must have it before a publisher is told `ok`.

use super::publish::{Outcome, PublicationId, Published};

/// Other gateways, if this one has any.
#[derive(Debug, Default)]
pub(super) enum Relay {
    /// It is alone: what it has is accepted.
    #[default]
    Alone,
}

/// What became of messages that were handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HandedOn {
    Now(Outcome),
    /// [`Gateway::published`](super::run::Gateway::published) is called once it is known.
    #[expect(dead_code, reason = "for a relay that has to ask")]
    Later,
}

impl Relay {
    pub(super) fn hand_on(&mut self, _id: PublicationId, _messages: &[Published]) -> HandedOn {
        match self {
            Relay::Alone => HandedOn::Now(Outcome::Accepted),
        }
    }
}
