//! Why a session skipped what it could not use.

use crate::wire::diffusion::{BodyError, FragmentError, MessageType};
use std::fmt;

/// Why a message was skipped. The session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Its alias stands for no topic.
    UnknownAlias,
    /// The protocol does not name its type.
    UnknownType(u8),
    /// A server does not send this type, or it answers nothing that was asked.
    Unexpected(MessageType),
    /// Its body cannot be used.
    Body(BodyError),
    /// A piece of a message cannot be used, or a message in pieces was given up.
    Fragment(FragmentError),
    /// It names no topic.
    NoTopic(MessageType),
    /// A topic's status without the status.
    NoStatus,
    /// The answer to our ping has no depth of a queue.
    NoQueue,
    /// A cancellation names nothing.
    NoCorrelation,
    /// A ping of the server that cannot be sent back.
    Echo,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skip::UnknownAlias => f.write_str("a message for an alias that stands for no topic"),
            Skip::UnknownType(byte) => write!(f, "a message of unknown type {byte:#04x}"),
            Skip::Unexpected(kind) => write!(f, "a {kind}, which nothing calls for"),
            Skip::Body(error) => error.fmt(f),
            Skip::Fragment(error) => error.fmt(f),
            Skip::NoTopic(kind) => write!(f, "a {kind} that names no topic"),
            Skip::NoStatus => f.write_str("a topic status without a status"),
            Skip::NoQueue => f.write_str("an answer to a ping without the depth of the queue"),
            Skip::NoCorrelation => f.write_str("a cancel of fragments that names none"),
            Skip::Echo => f.write_str("a ping of the client that cannot be sent back"),
        }
    }
}
