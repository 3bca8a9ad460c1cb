//! Why a session ended, and what follows from it.

use crate::feed::Cause;
use crate::net::{End, Stage};
use crate::wire::diffusion::tunnel::TunnelError;
use crate::wire::diffusion::{HandshakeError, ResponseCode, WireError};
use crate::wire::websocket::UpgradeError;
use std::fmt;
use std::io;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostReason {
    /// [`super::Session::close`] was called.
    Asked,
    /// The handshake was not done in time.
    HandshakeDeadline {
        after: Duration,
    },
    /// The handshake cannot be understood, or ours cannot be written.
    Handshake(HandshakeError),
    Version {
        version: u8,
    },
    Refused(ResponseCode),
    /// The server let us in and then refused the session on a topic that the login asked for.
    SessionRefused {
        /// Which of the login's topics, from 0. Its name may be a secret.
        topic: usize,
        /// The server's error code.
        code: String,
    },
    Wire(WireError),
    ClosedByServer,
    /// The server ended the session for good.
    Aborted,
    /// Nothing came for the idle limit.
    Silent {
        /// The limit.
        after: Duration,
    },
    /// The stream ended without a word.
    EndOfStream,
    Socket(io::ErrorKind),
    /// TLS failed: what is wrong, and what to do.
    Tls(String),
    /// The WebSocket ended, or never came to be.
    Tunnel(TunnelError),
    /// The server takes no bytes and too many wait for it.
    OutputFull {
        /// The limit in bytes.
        limit: usize,
    },
}

impl LostReason {
    /// Of which sort it is, for whoever knows no Diffusion.
    pub(super) fn cause(&self) -> Cause {
        match self {
            LostReason::Refused(ResponseCode::AuthenticationFailed | ResponseCode::Rejected)
            | LostReason::SessionRefused { .. }
            | LostReason::Tunnel(TunnelError::Upgrade(UpgradeError::Status { code: 401 | 403, .. })) => {
                Cause::Login
            }
            LostReason::Tls(_) => Cause::Tls,
            LostReason::Tunnel(_) => Cause::WebSocket,
            LostReason::Asked
            | LostReason::HandshakeDeadline { .. }
            | LostReason::Handshake(_)
            | LostReason::Version { .. }
            | LostReason::Refused(_)
            | LostReason::Wire(_)
            | LostReason::ClosedByServer
            | LostReason::Aborted
            | LostReason::Silent { .. }
            | LostReason::EndOfStream
            | LostReason::Socket(_)
            | LostReason::OutputFull { .. } => Cause::Connection,
        }
    }

    /// What it means for the next attempt. `why` is the reason in words; `resuming`: whether an earlier session had been asked for.
    pub(super) fn end<'a>(&self, why: &'a str, resuming: bool) -> End<'a> {
        match (self.cause(), self) {
            (_, LostReason::SessionRefused { .. }) => End::SessionRefused(why),
            (Cause::Login, _) => End::LoginRefused(why),
            (_, LostReason::Refused(_)) if resuming => End::ResumeRefused,
            (Cause::Connection | Cause::Tls | Cause::WebSocket, _) => End::Broken,
        }
    }

    /// Whether the same session may be asked for again, by its client id.
    pub(super) fn is_resumable(&self) -> bool {
        match self {
            LostReason::HandshakeDeadline { .. }
            | LostReason::Silent { .. }
            | LostReason::EndOfStream
            | LostReason::Socket(_)
            | LostReason::Tunnel(TunnelError::Closed { .. })
            | LostReason::OutputFull { .. } => true,
            LostReason::Asked
            | LostReason::Handshake(_)
            | LostReason::Version { .. }
            | LostReason::Refused(_)
            | LostReason::SessionRefused { .. }
            | LostReason::Wire(_)
            | LostReason::ClosedByServer
            | LostReason::Aborted
            | LostReason::Tls(_)
            | LostReason::Tunnel(_) => false,
        }
    }

    /// Where the reason is no more than that it ended: what that may mean, and what to look at.
    pub(super) fn hint(&self, stage: Stage) -> &'static str {
        let is_bare = matches!(self, LostReason::EndOfStream | LostReason::Socket(_));
        let is_closed = matches!(self, LostReason::ClosedByServer | LostReason::Aborted);
        match stage {
            _ if matches!(self, LostReason::HandshakeDeadline { .. }) => {
                "; check the port and the scheme in `url`, or whether the server is overloaded"
            }
            Stage::Connecting if is_bare => {
                " before the handshake was done; check the port and the scheme in `url`, and whether the server lets this address in"
            }
            Stage::Open if is_bare || is_closed => {
                " before anything was served; check the topics in `list_topic` and `match_topics`, and whether `max_subscriptions` is more than the server allows"
            }
            Stage::Connecting | Stage::Open | Stage::Serving => "",
        }
    }
}

impl fmt::Display for LostReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LostReason::Asked => f.write_str("closed by us"),
            LostReason::HandshakeDeadline { after } => {
                write!(f, "the server did not finish the handshake within {after:?}")
            }
            LostReason::Handshake(error) => error.fmt(f),
            LostReason::Version { version } => {
                write!(
                    f,
                    "the server answers with version {version} of the protocol, only 4 is spoken: it must take classic clients"
                )
            }
            LostReason::Refused(code) if self.cause() == Cause::Login => write!(
                f,
                "the server refuses the login: {code}; check `username`, the password in `password_env` or `password_file`, and `login_topics` of the feed"
            ),
            LostReason::Refused(code) => write!(f, "the server refuses the connection: {code}"),
            LostReason::SessionRefused { topic, code } => write!(
                f,
                "the server refuses the session: it answers `login_topics[{topic}]` with an error (RT={code}), so the token in it is no longer good; renew `login_topics` of the feed and start anew"
            ),
            LostReason::Wire(error) => error.fmt(f),
            LostReason::ClosedByServer => f.write_str("the server closed the connection; its log says why"),
            LostReason::Aborted => {
                f.write_str("the server aborted the session; its log says why (banned, or too slow a reader)")
            }
            LostReason::Silent { after } => write!(f, "nothing came for {after:?}, nor an answer to a probe"),
            LostReason::EndOfStream => f.write_str("the stream ended"),
            LostReason::Socket(kind) => write!(f, "the socket failed: {kind}"),
            LostReason::Tls(why) => f.write_str(why),
            LostReason::Tunnel(error) => error.fmt(f),
            LostReason::OutputFull { limit } => {
                write!(f, "the server takes no bytes, more than {limit} wait to be sent")
            }
        }
    }
}

impl std::error::Error for LostReason {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_without_a_reason_says_where_it_came_and_what_to_look_at() {
        let end = LostReason::EndOfStream;
        assert!(end.hint(Stage::Connecting).contains("before the handshake was done; check the port"));
        assert!(end.hint(Stage::Open).contains("before anything was served; check the topics"));
        assert_eq!(end.hint(Stage::Serving), "");
        let refused = LostReason::SessionRefused { topic: 0, code: "2".to_owned() };
        assert_eq!(refused.hint(Stage::Open), "", "the reason is enough");
        assert_eq!(LostReason::Aborted.hint(Stage::Connecting), "");
    }

    #[test]
    fn only_what_was_to_go_on_is_asked_for_afresh_at_once() {
        let unknown = LostReason::Refused(ResponseCode::UnknownSession);
        assert_eq!(unknown.end("", true), End::ResumeRefused);
        assert_eq!(unknown.end("", false), End::Broken, "no endless loop");
        let wrong = LostReason::Refused(ResponseCode::AuthenticationFailed);
        assert_eq!(wrong.end("w", true), End::LoginRefused("w"));
        assert!(wrong.to_string().contains("username") && wrong.to_string().contains("password_env"));
    }
}
