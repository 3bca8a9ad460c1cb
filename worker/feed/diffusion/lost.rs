//! Why a session ended.

use crate::wire::diffusion::tunnel::TunnelError;
use crate::wire::diffusion::{HandshakeError, ResponseCode, WireError};
use crate::wire::websocket::UpgradeError;
use std::fmt;
use std::io;
use std::time::Duration;

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostReason {
    /// [`super::Session::close`] was called.
    Asked,
    /// The handshake was not done in time.
    HandshakeDeadline {
        /// The time it had.
        after: Duration,
    },
    /// The handshake cannot be understood, or ours cannot be written.
    Handshake(HandshakeError),
    /// The server answers with another version of the protocol.
    Version {
        /// Its version.
        version: u8,
    },
    /// The server refuses the connection.
    Refused(ResponseCode),
    /// The server let us in and then refused the session on a topic that the login asked for.
    SessionRefused {
        /// Which of the login's topics, from 0. Its name may be a secret.
        topic: usize,
        /// The server's word for why.
        said: String,
    },
    /// The stream of messages is broken.
    Wire(WireError),
    /// The server asked to close.
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
    /// The socket failed.
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
    /// Whether the server refuses who we are: trying again soon changes nothing, and may lock the account.
    pub fn is_login(&self) -> bool {
        match self {
            LostReason::Refused(code) => {
                matches!(code, ResponseCode::AuthenticationFailed | ResponseCode::Rejected)
            }
            LostReason::SessionRefused { .. } => true,
            LostReason::Tunnel(TunnelError::Upgrade(UpgradeError::Status { code, .. })) => {
                matches!(code, 401 | 403)
            }
            LostReason::Asked
            | LostReason::HandshakeDeadline { .. }
            | LostReason::Handshake(_)
            | LostReason::Version { .. }
            | LostReason::Wire(_)
            | LostReason::ClosedByServer
            | LostReason::Aborted
            | LostReason::Silent { .. }
            | LostReason::EndOfStream
            | LostReason::Socket(_)
            | LostReason::Tls(_)
            | LostReason::Tunnel(_)
            | LostReason::OutputFull { .. } => false,
        }
    }

    /// Whether the same session may be asked for again, by its client id.
    pub fn is_resumable(&self) -> bool {
        match self {
            LostReason::Silent { .. }
            | LostReason::EndOfStream
            | LostReason::Socket(_)
            | LostReason::Tunnel(TunnelError::Closed { .. })
            | LostReason::HandshakeDeadline { .. }
            | LostReason::OutputFull { .. } => true,
            LostReason::Asked
            | LostReason::Handshake(_)
            | LostReason::Version { .. }
            | LostReason::Refused(_)
            | LostReason::SessionRefused { .. }
            | LostReason::Wire(_)
            | LostReason::Tls(_)
            | LostReason::Tunnel(_)
            | LostReason::ClosedByServer
            | LostReason::Aborted => false,
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
            LostReason::Refused(code) if self.is_login() => write!(
                f,
                "the server refuses the login: {code}; check `username`, the password in `password_env` or `password_file`, and `login_topics` of the feed"
            ),
            LostReason::Refused(code) => write!(f, "the server refuses the connection: {code}"),
            LostReason::SessionRefused { topic, said } => write!(
                f,
                "the server refuses the session: it answers `login_topics[{topic}]` with an error (RT={said}), so the token in it is no longer good; renew `login_topics` of the feed and start anew"
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
