//! The answers to requests that lead to no session.

use crate::serve::http::{Answer, Body, ContentType, Status};

/// Why a request leads to no session; numbers and words are those of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Transport,
    Unknown,
    Method,
    Bad,
    Version,
    /// A method that no session takes.
    Unusable,
    /// Too many sessions.
    Full,
}

impl Refusal {
    pub(super) fn answer(self) -> Answer {
        match self {
            Refusal::Transport => refused(Status::Bad, 0, "Transport unknown"),
            Refusal::Unknown => refused(Status::Bad, 1, "Session ID unknown"),
            Refusal::Method => refused(Status::Bad, 2, "Bad handshake method"),
            Refusal::Bad => refused(Status::Bad, 3, "Bad request"),
            Refusal::Version => refused(Status::Bad, 5, "Unsupported protocol version"),
            Refusal::Unusable => Answer::text(Status::Failed, ""),
            Refusal::Full => refused(Status::Unavailable, 3, "Too many sessions"),
        }
    }
}

fn refused(status: Status, code: u32, message: &str) -> Answer {
    let text = format!(r#"{{"code":{code},"message":"{message}"}}"#);
    Answer { status, content: ContentType::Json, body: Body::Text(text) }
}

/// The answer to whom the application does not admit.
pub(in crate::serve) fn forbidden() -> Answer {
    refused(Status::Forbidden, 4, "Forbidden")
}
