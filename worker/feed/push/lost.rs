//! Why a connection ended, or never came to be open, and what that means for the next attempt.

use super::skip::shown;
use crate::feed::Cause;
use crate::net::{Broken, End, Stage};
use crate::wire::websocket::{CloseCode, UpgradeError, WebSocketError};
use std::fmt;
use std::io;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostReason {
    /// We ended it.
    Asked,
    /// It was not open in time.
    Deadline {
        after: Duration,
        waited_for: WaitedFor,
    },
    /// The server's answer to the login, in its words.
    LoginRefused {
        why: String,
    },
    /// The server closed with a code that the configuration calls a refusal, before it served anything.
    CloseRefuses {
        code: CloseCode,
        reason: String,
    },
    Closed {
        code: Option<CloseCode>,
        reason: String,
    },
    Upgrade(UpgradeError),
    WebSocket(WebSocketError),
    /// No sign of life came for the idle limit.
    Silent {
        after: Duration,
    },
    EndOfStream,
    Socket(io::ErrorKind),
    Tls(String),
    /// The server takes no bytes and more than so many wait for it.
    OutputFull {
        limit: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitedFor {
    Upgrade,
    Greeting,
    Login,
}

impl LostReason {
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::LoginRefused { .. }
            | Self::CloseRefuses { .. }
            | Self::Upgrade(UpgradeError::Status { code: 401 | 403, .. }) => Cause::Login,
            Self::Tls(_) => Cause::Tls,
            Self::Closed { .. } | Self::Upgrade(_) | Self::WebSocket(_) => Cause::WebSocket,
            Self::Asked
            | Self::Deadline { .. }
            | Self::Silent { .. }
            | Self::EndOfStream
            | Self::Socket(_)
            | Self::OutputFull { .. } => Cause::Connection,
        }
    }

    /// What it means for the next attempt. `why` is the reason in words.
    pub(super) fn end<'a>(&self, why: &'a str) -> End<'a> {
        match (self.cause(), self) {
            // It may come after the login was let in, which would disprove a refusal of that.
            (_, Self::CloseRefuses { .. }) => End::SessionRefused(why),
            (Cause::Login, _) => End::LoginRefused(why),
            (Cause::Connection | Cause::Tls | Cause::WebSocket, _) => End::Broken,
        }
    }

    /// What may be wrong, and what to look at.
    pub(super) fn hint(&self, stage: Stage) -> &'static str {
        match (self, stage) {
            (Self::LoginRefused { .. }, _) => "; check `username`, its password and `login` of the feed",
            (Self::CloseRefuses { .. }, _) => "; check the login, and what it may follow",
            (Self::Deadline { waited_for: WaitedFor::Upgrade, .. }, _) => {
                "; check the port and the scheme in `url`, or whether the server is overloaded"
            }
            (Self::Deadline { waited_for: WaitedFor::Greeting | WaitedFor::Login, .. }, _) => {
                "; check `greeting` and `accepted` under `login`: the server's message may be another one"
            }
            (Self::EndOfStream | Self::Socket(_), Stage::Connecting) => {
                " before it was open; check the port and the scheme in `url`, and whether the server lets this address in"
            }
            (Self::EndOfStream | Self::Socket(_) | Self::Closed { .. }, Stage::Open) => {
                " before anything was served; check `subscribe`, and whether `max_subscriptions`, `batch` or `messages_per_s` is more than the server allows"
            }
            (
                Self::Asked
                | Self::Closed { .. }
                | Self::Upgrade(_)
                | Self::WebSocket(_)
                | Self::Silent { .. }
                | Self::EndOfStream
                | Self::Socket(_)
                | Self::Tls(_)
                | Self::OutputFull { .. },
                _,
            ) => "",
        }
    }
}

impl fmt::Display for LostReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("closed by us"),
            Self::Deadline { after, waited_for } => {
                let what = match waited_for {
                    WaitedFor::Upgrade => "the answer to the WebSocket request",
                    WaitedFor::Greeting => "the server's greeting",
                    WaitedFor::Login => "the answer to the login",
                };
                write!(f, "{what} did not come within {after:?}")
            }
            Self::LoginRefused { why } if why.is_empty() => f.write_str("the server refuses the login"),
            Self::LoginRefused { why } => write!(f, "the server refuses the login: {}", shown(why)),
            Self::CloseRefuses { code, reason } => {
                write!(f, "the server refuses the session, it closes with {code}{}", Because(reason))
            }
            Self::Closed { code: Some(code), reason } => {
                write!(f, "the server closed with {code}{}", Because(reason))
            }
            Self::Closed { code: None, reason } => write!(f, "the server closed{}", Because(reason)),
            Self::Upgrade(error) => error.fmt(f),
            Self::WebSocket(error) => error.fmt(f),
            Self::Silent { after } => write!(f, "no sign of life for {after:?}"),
            Self::EndOfStream => f.write_str("the stream ended"),
            Self::Socket(kind) => write!(f, "the socket failed: {kind}"),
            Self::Tls(why) => f.write_str(why),
            Self::OutputFull { limit } => {
                write!(f, "the server takes no bytes, more than {limit} wait to be sent")
            }
        }
    }
}

struct Because<'a>(&'a str);

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", shown(self.0)) }
    }
}

impl std::error::Error for LostReason {}

impl From<Broken> for LostReason {
    fn from(broken: Broken) -> LostReason {
        match broken {
            Broken::Socket(kind) => Self::Socket(kind),
            Broken::Tls(why) => Self::Tls(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_have_a_meaning_for_the_next_attempt() {
        let closed = |code| LostReason::Closed { code: Some(CloseCode(code)), reason: "x\n".to_owned() };
        for code in [1001, 1012, 1013, 4000] {
            assert_eq!(closed(code).end("w"), End::Broken);
        }
        assert_eq!(closed(1012).to_string(), "the server closed with 1012 (restarting): x\\n");
        let refuses = LostReason::CloseRefuses { code: CloseCode(1008), reason: String::new() };
        assert_eq!((refuses.end("w"), refuses.cause()), (End::SessionRefused("w"), Cause::Login));
        assert_eq!(LostReason::LoginRefused { why: "no".to_owned() }.end("w"), End::LoginRefused("w"));
        assert!(closed(4000).hint(Stage::Open).contains("max_subscriptions"));
        assert_eq!(closed(4000).hint(Stage::Serving), "");
    }
}
