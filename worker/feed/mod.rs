//! The kinds of feed: a session state machine each, over a codec of `wire`.
//!
//! A session takes the bytes that arrived, the time and the scan loop's wishes; it gives [`Event`]s, borrowed from
//! its buffer, and the bytes to send. It has no socket, no clock and no thread. It belongs to one connection: after
//! [`Event::Lost`] it is over, and `backoff` says when the next may be tried. Caller: `scan`.

pub mod backoff;
pub mod diffusion;

/// What a feed tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The handshake is done; subscriptions go out from now on.
    Opened {
        /// What the server calls the session; gives it back when reconnecting.
        client_id: &'a [u8],
        /// Whether an earlier session goes on.
        session: SessionKind,
    },
    /// The whole of a topic.
    Load {
        /// Its name.
        topic: &'a [u8],
        /// Its value.
        body: &'a [u8],
    },
    /// A change of a topic.
    Delta {
        /// Its name.
        topic: &'a [u8],
        /// The change.
        body: &'a [u8],
    },
    /// The server removed a topic. The subscription stands: should the topic come again, a load follows.
    TopicRemoved {
        /// Its name.
        topic: &'a [u8],
    },
    /// The server says something else of a topic, in a way of its own: a refusal, most likely.
    TopicStatus {
        /// Its name.
        topic: &'a [u8],
        /// What it says.
        status: &'a [u8],
    },
    /// The server refuses the login that was sent in the session, which goes on with the earlier one.
    LoginRejected,
    /// A message was skipped; it is counted already.
    Skipped {
        /// Why.
        why: diffusion::Skip,
    },
    /// How many messages the server holds for this connection.
    ServerQueue(u64),
    /// The connection is over; the last event of a session.
    Lost {
        /// Why.
        why: diffusion::LostReason,
    },
}

/// Whether a server knows a session from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// A new one: nothing is subscribed.
    Fresh,
    /// An earlier one goes on, its subscriptions are kept; messages of the time between may be lost.
    Resumed,
}
