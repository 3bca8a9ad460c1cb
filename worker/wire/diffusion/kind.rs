//! The type and encoding bytes of a message.
//!
//! An unknown byte is a value of its own and is written again as it was read; the one exception is 2a, an older
//! number of [`MessageType::CancelFragments`], which is written as 30.

use super::bytes::named_bytes;
use std::fmt;

/// The bit of the type byte that says: only a part of a message.
const FRAGMENT_BIT: u8 = 0x40;
const CANCEL_OLD: u8 = 0x2a;

named_bytes! {
    MessageType {
        /// A topic's whole value. Headers: topic.
        TopicLoad = 0x14, "topic load";
        /// A change of a topic, or a message to it. Headers: topic or alias.
        Delta = 0x15, "delta";
        /// Client to server. Headers: selectors.
        Subscribe = 0x16, "subscribe";
        /// Client to server. Headers: selectors.
        Unsubscribe = 0x17, "unsubscribe";
        /// Asked by the client, answered with the server's queue for it. Headers: timestamp, queue size.
        PingServer = 0x18, "ping of the server";
        /// Asked by the server, echoed unchanged. Headers: timestamp.
        PingClient = 0x19, "ping of the client";
        /// Client to server, in the session. Headers: user name, password.
        Credentials = 0x1a, "credentials";
        /// The server refuses them. Headers: user name, password.
        CredentialsRejected = 0x1b, "rejected credentials";
        /// The server ends the session for good. No headers, no separator.
        Abort = 0x1c, "abort notification";
        /// Either side ends the connection. No headers, no separator.
        Close = 0x1d, "close request";
        /// A load that wants an [`MessageType::Ack`]. Headers: topic, ack id.
        TopicLoadAck = 0x1e, "topic load with acknowledgement";
        /// A delta that wants an [`MessageType::Ack`]. Headers: topic or alias, ack id.
        DeltaAck = 0x1f, "delta with acknowledgement";
        /// Headers: ack id.
        Ack = 0x20, "acknowledgement";
        /// Asks once for the value of topics. Headers: selector.
        Fetch = 0x21, "fetch";
        /// One answer per topic. Headers: topic.
        FetchReply = 0x22, "fetch reply";
        /// Headers: topic, status.
        TopicStatus = 0x23, "topic status";
        /// Headers: topic, command; its parameters follow.
        Command = 0x24, "command";
        /// The load of a topic that takes commands. Headers: topic, category, topic type.
        CommandTopicLoad = 0x28, "command topic load";
        /// Headers: topic, notification type.
        CommandTopicNotification = 0x29, "command topic notification";
        /// The rest of a fragmented message will not come. Headers: correlation id.
        CancelFragments = 0x30, "cancel of fragments";
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Whole,
    /// One of several pieces; its headers are topic, correlation, part.
    Fragment,
}

impl MessageType {
    /// What the type byte says. An unknown byte with the fragment bit is unknown as a whole.
    #[inline]
    pub const fn from_type_byte(byte: u8) -> (MessageType, Part) {
        match (MessageType::from_byte(byte), MessageType::from_byte(byte & !FRAGMENT_BIT)) {
            (MessageType::Unknown(CANCEL_OLD), _) => (MessageType::CancelFragments, Part::Whole),
            (MessageType::Unknown(_), MessageType::Unknown(CANCEL_OLD)) => {
                (MessageType::CancelFragments, Part::Fragment)
            }
            (kind, MessageType::Unknown(_)) => (kind, Part::Whole),
            (MessageType::Unknown(_), kind) => (kind, Part::Fragment),
            (kind, _) => (kind, Part::Whole),
        }
    }

    /// The type byte of a message or of a fragment of one.
    pub const fn type_byte(self, part: Part) -> u8 {
        match part {
            Part::Whole => self.byte(),
            Part::Fragment => self.byte() | FRAGMENT_BIT,
        }
    }

    /// Whether messages of this type end after the encoding byte, without headers and separator.
    pub const fn is_bare(self) -> bool {
        matches!(self, MessageType::Abort | MessageType::Close)
    }

    /// Whether the first header names a topic.
    pub const fn has_topic(self) -> bool {
        matches!(
            self,
            MessageType::TopicLoad
                | MessageType::Delta
                | MessageType::TopicLoadAck
                | MessageType::DeltaAck
                | MessageType::FetchReply
                | MessageType::TopicStatus
                | MessageType::Command
                | MessageType::CommandTopicLoad
                | MessageType::CommandTopicNotification
        )
    }
}

named_bytes! {
    /// How a body is written; headers are always plain.
    Encoding {
        Plain = 0x00, "plain";
        /// Plain here; the sender asks the next hop to encrypt.
        EncryptionRequested = 0x01, "plain, to be encrypted";
        /// Plain here; the sender asks the next hop to compress.
        CompressionRequested = 0x02, "plain, to be compressed";
        /// Plain here; the sender asks the next hop for base64.
        Base64Requested = 0x03, "plain, to be written in base64";
        /// Encrypted in a way that is not public.
        Encrypted = 0x11, "encrypted";
        /// zlib (RFC 1950).
        Compressed = 0x12, "zlib";
        Base64 = 0x13, "base64";
    }
}

impl Encoding {
    #[inline]
    pub const fn is_plain(self) -> bool {
        match self {
            Encoding::Plain
            | Encoding::EncryptionRequested
            | Encoding::CompressionRequested
            | Encoding::Base64Requested => true,
            Encoding::Encrypted | Encoding::Compressed | Encoding::Base64 | Encoding::Unknown(_) => false,
        }
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.write_str(text),
            None => write!(f, "message of unknown type {:#04x}", self.byte()),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.write_str(text),
            None => write!(f, "unknown encoding {:#04x}", self.byte()),
        }
    }
}
