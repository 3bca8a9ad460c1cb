//! What a source gives, whatever kind of feed it is of.

use crate::net::Refusal;
use std::fmt;
use std::time::Duration;
use touchline_common::model::RoundEnd;

/// What happened; borrowed from the source's buffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    Connection(ConnectionEvent),
    Snapshot {
        topic: &'a [u8],
        body: &'a [u8],
    },
    Delta {
        topic: &'a [u8],
        body: &'a [u8],
    },
    /// What is held of a topic was confirmed: the server has nothing else.
    Unchanged {
        topic: &'a [u8],
    },
    /// All of a topic was asked for once, and this came of it.
    RoundEnd {
        topic: &'a [u8],
        round: RoundEnd,
    },
    /// The server removed a topic. It is followed all the same: should it come again, a snapshot follows.
    Removed {
        topic: &'a [u8],
    },
    /// The server reports something else of a topic, in a way of its own: a refusal, most likely.
    Status {
        topic: &'a [u8],
        status: &'a [u8],
    },
    /// This topic alone is not followed at the moment, and why; it is followed again by itself, which a snapshot shows.
    Interrupted {
        topic: &'a [u8],
        why: String,
        /// How long nothing had come when that was noticed; zero where its end was seen.
        unheard: Duration,
    },
    /// The server refuses this topic again and again: it is asked for again after a long time only.
    Refused {
        topic: &'a [u8],
        why: String,
        retry: Duration,
    },
    /// A message was skipped, and why; it is counted already.
    Skipped(String),
    /// How many messages the server holds for this connection.
    QueueDepth(u64),
}

/// Takes what was received: the number of its connection, the topic whose own that is, the bytes as the session reads them.
pub type TakeReceived<'a> = dyn FnMut(u64, Option<&str>, &[u8]) + 'a;

/// What becomes of a connection, from one attempt to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// The next attempt to connect is due: the coordinator is to be asked, the answer goes to [`super::Source::permit`].
    PermitNeeded,
    /// A socket is connected: what is followed can be asked for.
    Connected,
    /// No socket came to be connected; the next attempt comes by itself.
    ConnectFailed(Loss),
    /// The server lets us in; what is asked for goes out from now on.
    Opened { client_id: Vec<u8>, session: SessionKind },
    /// What is asked for is served, or the connection stands for long enough: it counts as up.
    Up,
    /// A connection is over, and everything that was asked on it; the next attempt comes by itself.
    Lost(Loss),
}

/// Whether a server knows a session from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// A new one: nothing is followed.
    Fresh,
    /// An earlier one goes on with what was followed; messages of the time between may be lost.
    Resumed,
}

/// A connection that ended, or never came to be. Displayed, it has what to do and when the next attempt is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The server, `host:port`.
    pub server: String,
    pub why: String,
    /// What it may mean, and what to look at; may be empty.
    pub hint: String,
    pub cause: Cause,
    pub refusal: Refusal,
    pub asked: u32,
    /// When the next attempt comes.
    pub retry: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Connection,
    Tls,
    WebSocket,
    Login,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loss { server, why, hint, retry, .. } = self;
        write!(f, "{server}: {why}{hint}; next attempt in {} ms", retry.as_millis())
    }
}
