//! What a session gives: borrowed from its buffer, in the protocol's own terms.

use super::{LostReason, Skip};
use crate::feed::{Event, SessionKind};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent<'a> {
    /// The handshake is done; subscriptions go out from now on.
    Opened {
        /// What the server calls the session; gives it back when reconnecting.
        client_id: &'a [u8],
        session: SessionKind,
    },
    Load {
        topic: &'a [u8],
        body: &'a [u8],
    },
    Delta {
        topic: &'a [u8],
        body: &'a [u8],
    },
    /// The server removed a topic. The subscription stands: should the topic come again, a load follows.
    TopicRemoved {
        topic: &'a [u8],
    },
    /// The server reports something else of a topic, in a way of its own: a refusal, most likely.
    TopicStatus {
        topic: &'a [u8],
        status: &'a [u8],
    },
    /// A message was skipped; it is counted already.
    Skipped {
        why: Skip,
    },
    ServerQueue(u64),
    /// The connection is over; the last event of a session.
    Lost {
        why: LostReason,
    },
}

impl<'a> SessionEvent<'a> {
    /// The same in terms that every kind of feed has; the end of a session is the connection's to judge.
    #[inline]
    pub(super) fn neutral(self) -> Option<Event<'a>> {
        Some(match self {
            SessionEvent::Opened { client_id, session } => Event::Opened { client_id, session },
            SessionEvent::Load { topic, body } => Event::Snapshot { topic, body },
            SessionEvent::Delta { topic, body } => Event::Delta { topic, body },
            SessionEvent::TopicRemoved { topic } => Event::Removed { topic },
            SessionEvent::TopicStatus { topic, status } => Event::Status { topic, status },
            SessionEvent::Skipped { why } => Event::Skipped(why.to_string()),
            SessionEvent::ServerQueue(depth) => Event::QueueDepth(depth),
            SessionEvent::Lost { .. } => return None,
        })
    }
}
