//! What can be wrong with a WebSocket, and what the other side gets to know of it.

use super::head::HEAD_LIMIT;
use std::fmt;

/// Why a connection is closed, in a number (RFC 6455, 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(pub u16);

impl CloseCode {
    pub const NORMAL: CloseCode = CloseCode(1000);
    pub const PROTOCOL: CloseCode = CloseCode(1002);
    /// Data of a kind that cannot be used.
    pub const UNSUPPORTED: CloseCode = CloseCode(1003);
    /// Text that is no UTF-8, or data that cannot be inflated.
    pub const INVALID: CloseCode = CloseCode(1007);
    pub const TOO_LARGE: CloseCode = CloseCode(1009);
    /// What came, or how much of it, is against a rule that is not the protocol's.
    pub const POLICY: CloseCode = CloseCode(1008);
    pub const RESTARTING: CloseCode = CloseCode(1012);
    pub const TRY_LATER: CloseCode = CloseCode(1013);

    /// Whether it may stand in a close frame; 1005, 1006 and 1015 only say that there was none.
    pub(super) const fn may_travel(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            1000 => "normal",
            1001 => "going away",
            1002 => "protocol error",
            1003 => "data it cannot use",
            1007 => "data it cannot read",
            1008 => "against its policy",
            1009 => "a message too large for it",
            1010 => "an extension is missing",
            1011 => "an error of its own",
            1012 => "restarting",
            1013 => "try again later",
            _ => "a code without a common meaning",
        };
        write!(f, "{} ({text})", self.0)
    }
}

/// Why the frames cannot be read any further. Close the connection with [`WebSocketError::close_code`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebSocketError {
    /// Reserved bits that nothing agreed upon gives a meaning.
    Reserved {
        /// The frame's first byte.
        byte: u8,
    },
    /// A frame of a kind that does not exist.
    Opcode {
        bits: u8,
    },
    Masked,
    /// A client did not mask its frame.
    Unmasked,
    /// A length that could have been written shorter, or is beyond 63 bits.
    Length,
    /// A ping, pong or close in several frames, or longer than 125 bytes.
    Control,
    /// A frame that goes on with nothing.
    Continuation,
    /// A message begins before the one before has ended.
    Interleaved,
    /// A frame is longer than is allowed.
    Frame {
        /// What it claims, in bytes.
        length: u64,
        limit: usize,
    },
    /// A message is longer than is allowed.
    Message {
        /// What is allowed, in bytes.
        limit: usize,
    },
    /// A compressed message inflates to more than is allowed.
    Inflated {
        /// What is allowed, in bytes.
        limit: usize,
    },
    /// A compressed message inflates to more times its size than is allowed.
    Ratio {
        limit: usize,
    },
    /// Compressed data that cannot be inflated.
    Deflate,
    /// A text that is no UTF-8.
    Utf8,
    /// A close frame with half a code, or with one that must not travel.
    CloseCode,
}

impl WebSocketError {
    pub const fn close_code(&self) -> CloseCode {
        match self {
            WebSocketError::Reserved { .. }
            | WebSocketError::Opcode { .. }
            | WebSocketError::Masked
            | WebSocketError::Unmasked
            | WebSocketError::Length
            | WebSocketError::Control
            | WebSocketError::Continuation
            | WebSocketError::Interleaved
            | WebSocketError::CloseCode => CloseCode::PROTOCOL,
            WebSocketError::Deflate | WebSocketError::Utf8 => CloseCode::INVALID,
            WebSocketError::Frame { .. }
            | WebSocketError::Message { .. }
            | WebSocketError::Inflated { .. }
            | WebSocketError::Ratio { .. } => CloseCode::TOO_LARGE,
        }
    }
}

impl fmt::Display for WebSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            WebSocketError::Reserved { byte } => {
                return write!(
                    f,
                    "a WebSocket frame begins with {byte:#04x}, whose reserved bits nobody agreed upon"
                );
            }
            WebSocketError::Opcode { bits } => {
                return write!(f, "there is no WebSocket frame of kind {bits}");
            }
            WebSocketError::Masked => "the server masks its WebSocket frames, which only clients may",
            WebSocketError::Unmasked => "the client does not mask its WebSocket frames",
            WebSocketError::Length => "the length of a WebSocket frame is not in its shortest form",
            WebSocketError::Control => {
                "a WebSocket ping, pong or close is longer than 125 bytes or in several frames"
            }
            WebSocketError::Continuation => "a WebSocket frame goes on with a message that was not begun",
            WebSocketError::Interleaved => "a WebSocket message begins before the one before has ended",
            WebSocketError::Frame { length, limit } => {
                write!(f, "a WebSocket frame claims {length} bytes, the limit is {limit}")?;
                "; raise limits.frame if that is right"
            }
            WebSocketError::Message { limit } => {
                write!(f, "a WebSocket message has more than {limit} bytes")?;
                "; raise limits.frame if that is right"
            }
            WebSocketError::Inflated { limit } => {
                write!(f, "a WebSocket message inflates to more than {limit} bytes")?;
                "; raise limits.inflated if that is right"
            }
            WebSocketError::Ratio { limit } => {
                write!(f, "a WebSocket message inflates to more than {limit} times its size")?;
                "; raise limits.inflate_ratio if that is right"
            }
            WebSocketError::Deflate => "a compressed WebSocket message cannot be inflated",
            WebSocketError::Utf8 => "a WebSocket text is not UTF-8",
            WebSocketError::CloseCode => "a WebSocket close carries a code that must not travel",
        };
        f.write_str(text)
    }
}

impl std::error::Error for WebSocketError {}

/// Why the opening handshake failed. Close the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpgradeError {
    /// There is no end of the headers within [`HEAD_LIMIT`].
    TooLong,
    /// What came is no HTTP.
    NotHttp { start: String },
    /// A line of the headers is none.
    Header {
        /// The line's beginning, as printable text.
        line: String,
    },
    /// The server answers in plain HTTP.
    Status {
        code: u16,
        /// The whole first line, as printable text.
        line: String,
        /// Where it sends us, if it does.
        location: Option<String>,
    },
    /// A header that the upgrade needs is missing or says something else.
    Missing { header: &'static str },
    /// The answer does not prove that it is one to our request.
    Accept,
    /// The server chose a subprotocol that was not offered.
    Protocol { given: String },
    /// The server chose an extension, or a parameter of it, that was not offered.
    Extension { given: String },
    /// A header of ours contains what would change the request.
    Ours { header: String },
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpgradeError::TooLong => {
                write!(f, "the answer to the WebSocket request has more than {HEAD_LIMIT} bytes of headers")
            }
            UpgradeError::NotHttp { start } => write!(
                f,
                "the answer to the WebSocket request is not HTTP but begins with '{start}'; check the scheme and the port in `url`"
            ),
            UpgradeError::Header { line } => write!(f, "the other side sent a broken HTTP header: '{line}'"),
            UpgradeError::Status { code, line, location } => {
                write!(f, "the server answers '{line}' instead of opening a WebSocket; ")?;
                match (code, location) {
                    (300..=399, Some(location)) => write!(f, "it points to '{location}': if that is right, put it into `url`"),
                    (401 | 403 | 407, _) => f.write_str("check `username`, the password and `headers`"),
                    (404 | 405 | 410, _) => f.write_str("check the path in `url`"),
                    (429 | 503, _) => f.write_str("it is asked too often, or overloaded"),
                    (500..=599, _) => f.write_str("it has a fault of its own"),
                    (_, _) => f.write_str("check host, port and path in `url`: this may be a web server, not a push server"),
                }
            }
            UpgradeError::Missing { header } => {
                write!(f, "the WebSocket handshake has no usable header {header}")
            }
            UpgradeError::Accept => f.write_str(
                "the server's Sec-WebSocket-Accept does not belong to our request; something between answers in its place",
            ),
            UpgradeError::Protocol { given } => {
                write!(f, "the server chose the subprotocol '{given}', which was not offered; check `protocol`")
            }
            UpgradeError::Extension { given } => {
                write!(f, "the server chose the WebSocket extension '{given}', which was not offered")
            }
            UpgradeError::Ours { header } => {
                write!(f, "the header '{header}' cannot be sent; check `headers` and the path in `url`")
            }
        }
    }
}

impl std::error::Error for UpgradeError {}

/// At most `most` bytes of what was sent, printable.
pub(crate) fn printable(bytes: &[u8], most: usize) -> String {
    let cut = bytes.get(..most).unwrap_or(bytes);
    let mut text = String::from_utf8_lossy(cut).chars().flat_map(char::escape_debug).collect::<String>();
    if cut.len() < bytes.len() {
        text.push('…');
    }
    text
}
