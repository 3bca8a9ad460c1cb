//! Why a connection to a room ended, or never came to be, and what that says of the room.

use super::room::{End, JOIN_DEADLINE, State};
use crate::net::Broken;
use crate::wire::websocket::{CloseCode, UpgradeError, WebSocketError};
use std::fmt;
use std::io;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// No socket came to be connected.
    NotConnected(String),
    /// What the room is to be joined with cannot be read.
    Auth(String),
    /// The join was answered with a code.
    Refused {
        code: i64,
    },
    JoinUnanswered,
    Silent {
        after: Duration,
    },
    EndOfStream,
    Socket(io::ErrorKind),
    Tls(String),
    Upgrade(UpgradeError),
    WebSocket(WebSocketError),
    Closed {
        code: Option<CloseCode>,
        reason: String,
    },
    /// A packet cannot be read, and nothing after it either; or two in a row.
    Packet(String),
    /// The server takes no bytes: the last heartbeat still waits when the next is due.
    OutputFull,
    /// It is to be joined afresh.
    Renewed,
}

/// Whether the worker has rooms that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    Served,
    NotServed,
}

impl Lost {
    /// What it means for a room in `state`. A connection that is closed before the join is answered is a refusal of the room if
    /// other rooms are served; if none is, the server has another trouble.
    pub(super) fn end(&self, state: State, others: Others) -> End {
        let is_joining = matches!(state, State::Joining { .. });
        match self {
            Lost::Refused { .. } => End::Refused,
            Lost::EndOfStream
            | Lost::Socket(_)
            | Lost::Closed { .. }
            | Lost::Upgrade(UpgradeError::Status { .. })
                if is_joining && others == Others::Served =>
            {
                End::Refused
            }
            Lost::EndOfStream
            | Lost::Socket(_)
            | Lost::Closed { .. }
            | Lost::Upgrade(_)
            | Lost::NotConnected(_)
            | Lost::Auth(_)
            | Lost::JoinUnanswered
            | Lost::Silent { .. }
            | Lost::Tls(_)
            | Lost::WebSocket(_)
            | Lost::Packet(_)
            | Lost::OutputFull
            | Lost::Renewed => End::Broken,
        }
    }
}

impl Lost {
    /// Whether the server sent what cannot be read.
    pub(super) fn is_bad_input(&self) -> bool {
        matches!(self, Lost::Packet(_) | Lost::WebSocket(_) | Lost::Upgrade(_))
    }

    /// Whether the connection was dead for some time by then, so that what was sent meanwhile is lost.
    pub(super) fn is_seen_late(&self) -> bool {
        match self {
            Lost::Silent { .. } | Lost::OutputFull => true,
            Lost::Socket(kind) => *kind == io::ErrorKind::TimedOut,
            Lost::NotConnected(_)
            | Lost::Auth(_)
            | Lost::Refused { .. }
            | Lost::JoinUnanswered
            | Lost::EndOfStream
            | Lost::Tls(_)
            | Lost::Upgrade(_)
            | Lost::WebSocket(_)
            | Lost::Closed { .. }
            | Lost::Packet(_)
            | Lost::Renewed => false,
        }
    }

    /// What a WebSocket is closed with.
    pub(super) fn close_code(&self) -> CloseCode {
        match self {
            Lost::WebSocket(error) => error.close_code(),
            Lost::Packet(_) => CloseCode::INVALID,
            Lost::NotConnected(_)
            | Lost::Auth(_)
            | Lost::Refused { .. }
            | Lost::JoinUnanswered
            | Lost::Silent { .. }
            | Lost::EndOfStream
            | Lost::Socket(_)
            | Lost::Tls(_)
            | Lost::Upgrade(_)
            | Lost::Closed { .. }
            | Lost::OutputFull
            | Lost::Renewed => CloseCode::NORMAL,
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::NotConnected(why) | Lost::Auth(why) | Lost::Tls(why) => f.write_str(why),
            Lost::Refused { code } => write!(
                f,
                "the server refuses the join with code {code}; check the room's id, and what `auth_file` has"
            ),
            Lost::JoinUnanswered => write!(f, "the join was not answered within {JOIN_DEADLINE:?}"),
            Lost::Silent { after } => {
                write!(f, "nothing came for {after:?}, not even an answer to a heartbeat")
            }
            Lost::EndOfStream => f.write_str("the server closed the connection"),
            Lost::Socket(kind) => write!(f, "the socket failed: {kind}"),
            Lost::Upgrade(error) => error.fmt(f),
            Lost::WebSocket(error) => error.fmt(f),
            Lost::Closed { code: None, reason } => write!(f, "the server closed the WebSocket '{reason}'"),
            Lost::Closed { code: Some(code), reason } => {
                write!(f, "the server closed the WebSocket: {code} '{reason}'")
            }
            Lost::Packet(why) => write!(f, "a packet that cannot be read: {why}"),
            Lost::OutputFull => f.write_str("the server takes no bytes, the last heartbeat still waits"),
            Lost::Renewed => f.write_str("it is joined afresh"),
        }
    }
}

impl From<Broken> for Lost {
    fn from(broken: Broken) -> Lost {
        match broken {
            Broken::Socket(kind) => Lost::Socket(kind),
            Broken::Tls(why) => Lost::Tls(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_close_before_the_answer_is_a_refusal_only_while_others_are_served() {
        let joining = State::Joining { until: Instant::now() };
        let end = |lost: Lost, state, others| lost.end(state, others);
        assert_eq!(end(Lost::EndOfStream, joining, Others::Served), End::Refused);
        assert_eq!(end(Lost::EndOfStream, joining, Others::NotServed), End::Broken);
        assert_eq!(end(Lost::EndOfStream, State::Connecting, Others::Served), End::Broken);
        assert_eq!(end(Lost::Refused { code: -101 }, joining, Others::NotServed), End::Refused);
        assert_eq!(end(Lost::JoinUnanswered, joining, Others::Served), End::Broken);
    }
}
