//! What can be wrong with a packet, and whether the connection can go on.

use super::BodyForm;
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PacketError {
    /// A stream's packet has a length that none can have: nothing says where the next begins.
    Framing { length: u32, limit: usize },
    /// The same in a WebSocket message or in an unpacked body, the rest of which is skipped.
    Length { length: u32, limit: usize },
    /// The head's own length is below 16 or beyond the packet.
    Head { head: u16, length: usize },
    /// A WebSocket message or an unpacked body ends within a packet.
    Cut,
    /// A form of body that is not known.
    Form { form: u16 },
    /// A compressed body is damaged or ends too early.
    Compression { form: BodyForm },
    /// A packet unpacks to more bytes than is allowed.
    Inflated { limit: usize },
    /// A body grows by more than is allowed.
    Ratio { limit: usize },
    /// More compressed bodies within each other than is allowed.
    Depth { limit: u32 },
}

impl PacketError {
    /// Whether the framing is lost, so that the connection cannot go on. Any other error costs its packet alone.
    pub const fn is_fatal(&self) -> bool {
        match self {
            Self::Framing { .. } => true,
            Self::Length { .. }
            | Self::Head { .. }
            | Self::Cut
            | Self::Form { .. }
            | Self::Compression { .. }
            | Self::Inflated { .. }
            | Self::Ratio { .. }
            | Self::Depth { .. } => false,
        }
    }
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Framing { length, limit } => write!(
                f,
                "a packet of {length} bytes, where 16 to {limit} are possible: the stream is out of step, the connection is closed"
            ),
            Self::Length { length, limit } => write!(
                f,
                "a packet of {length} bytes, where 16 to {limit} are possible: it and what follows it in its message are skipped"
            ),
            Self::Head { head, length } => {
                write!(f, "a packet of {length} bytes with a head of {head} bytes: skipped")
            }
            Self::Cut => f.write_str("a message that ends within a packet: that packet is skipped"),
            Self::Form { form } => write!(f, "a body of form {form}, which is not known: skipped"),
            Self::Compression { form } => {
                write!(f, "a body compressed as {form:?} is damaged or incomplete: skipped")
            }
            Self::Inflated { limit } => write!(f, "a packet unpacks to more than {limit} bytes: skipped"),
            Self::Ratio { limit } => {
                write!(f, "a body grows more than {limit}-fold when it is unpacked: skipped")
            }
            Self::Depth { limit } => {
                write!(f, "more than {limit} compressed bodies within each other: skipped")
            }
        }
    }
}

impl std::error::Error for PacketError {}
