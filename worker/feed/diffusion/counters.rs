//! What a session met, in numbers since its start, and why it skipped what it could not use.

use crate::wire::diffusion::{BodyError, FragmentError, MessageType};
use std::fmt;

/// Each counts messages, unless stated otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub messages: u64,
    /// Bytes that arrived.
    pub bytes: u64,
    pub loads: u64,
    pub deltas: u64,
    pub removed: u64,
    pub acks: u64,
    pub echoes: u64,
    pub decoded: u64,
    /// Pieces of messages that were kept until the others came, or completed a message.
    pub pieces: u64,
    /// Messages put together from pieces.
    pub assembled: u64,
    /// Skipped: the alias is not known.
    pub unknown_alias: u64,
    /// Skipped: the type is not known.
    pub unknown_type: u64,
    /// Skipped: a type that a server does not send, or that answers nothing we asked.
    pub unexpected: u64,
    /// Skipped: the body is encrypted, which we never offer to take.
    pub encrypted: u64,
    /// Skipped: the body cannot be decoded, or would be too long.
    pub undecodable: u64,
    /// Pieces that were skipped, and messages in pieces that were given up.
    pub fragments: u64,
    /// A header is missing or makes no sense: skipped, or taken without what the header was for.
    pub malformed: u64,
    /// Aliases that were not kept.
    pub alias_refused: u64,
}

impl Counters {
    /// All that was skipped or not right.
    pub fn errors(&self) -> u64 {
        self.unknown_alias
            + self.unknown_type
            + self.unexpected
            + self.encrypted
            + self.undecodable
            + self.fragments
            + self.malformed
            + self.alias_refused
    }

    pub(super) fn skipped(&mut self, why: &Skip) {
        let counter = match why {
            Skip::UnknownAlias => &mut self.unknown_alias,
            Skip::UnknownType(_) => &mut self.unknown_type,
            Skip::Unexpected(_) => &mut self.unexpected,
            Skip::Body(BodyError::Encrypted) => &mut self.encrypted,
            Skip::Body(
                BodyError::Unknown { .. }
                | BodyError::TooLong { .. }
                | BodyError::TooDense { .. }
                | BodyError::Zlib
                | BodyError::CutOff
                | BodyError::Trailing { .. }
                | BodyError::Base64,
            ) => &mut self.undecodable,
            Skip::Fragment(_) => &mut self.fragments,
            Skip::NoTopic(_) | Skip::NoStatus | Skip::NoQueue | Skip::NoCorrelation | Skip::Echo => {
                &mut self.malformed
            }
        };
        *counter += 1;
    }
}

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
