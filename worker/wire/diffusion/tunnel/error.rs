//! Why a tunnel ended.

use crate::wire::diffusion::HandshakeError;
use crate::wire::websocket::{CloseCode, UpgradeError, WebSocketError};
use std::fmt;

/// Why a tunnel ended. What came before is still to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TunnelError {
    /// There is no WebSocket.
    Upgrade(UpgradeError),
    WebSocket(WebSocketError),
    Closed {
        /// Why, if it says so.
        code: Option<CloseCode>,
        /// The same in words, printable; may be empty.
        reason: String,
    },
    /// The first text is no handshake.
    Handshake {
        start: String,
    },
    /// A connect request that cannot be read.
    Request(HandshakeError),
    /// Bytes where texts belong.
    Binary,
}

impl fmt::Display for TunnelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TunnelError::Upgrade(error) => error.fmt(f),
            TunnelError::WebSocket(error) => error.fmt(f),
            TunnelError::Closed { code, reason } => {
                f.write_str("the other side closed the WebSocket")?;
                if let Some(code) = code {
                    write!(f, " with {code}")?;
                }
                if !reason.is_empty() {
                    write!(f, ": {reason}")?;
                }
                Ok(())
            }
            TunnelError::Handshake { start } => {
                write!(f, "the first text on the WebSocket is no handshake but begins with '{start}'; check `protocol` and the path in `url`")
            }
            TunnelError::Request(error) => error.fmt(f),
            TunnelError::Binary => {
                f.write_str("the other side sends binary messages, as later versions of the protocol do; only texts are understood")
            }
        }
    }
}

impl std::error::Error for TunnelError {}

impl From<WebSocketError> for TunnelError {
    fn from(error: WebSocketError) -> TunnelError {
        TunnelError::WebSocket(error)
    }
}

impl From<UpgradeError> for TunnelError {
    fn from(error: UpgradeError) -> TunnelError {
        TunnelError::Upgrade(error)
    }
}

impl From<HandshakeError> for TunnelError {
    fn from(error: HandshakeError) -> TunnelError {
        TunnelError::Request(error)
    }
}
