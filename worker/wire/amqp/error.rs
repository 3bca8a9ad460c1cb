//! What can be wrong with the bytes of a broker.

use std::fmt;

/// Why the frames cannot be read any further: close the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AmqpError {
    /// What came is no frame.
    NotAmqp {
        /// Its first byte.
        first: u8,
    },
    /// The broker speaks another version, and says so in place of frames.
    Version { theirs: [u8; 4] },
    /// A frame is longer than is allowed.
    TooLong {
        /// What it claims, in bytes.
        length: usize,
        limit: usize,
    },
    /// A frame does not end with its mark.
    End { byte: u8 },
    /// A method or a header ends before its last field.
    Cut,
    /// It goes on behind its last field.
    Trailing { bytes: usize },
    /// A text that is no UTF-8.
    Utf8,
    /// The header of a content announces properties that the protocol does not have.
    Properties { flags: u16 },
}

impl fmt::Display for AmqpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AmqpError::NotAmqp { first } => write!(
                f,
                "what the broker sent is no AMQP frame, it begins with '{}'; check the scheme (amqp or amqps) and the port",
                first.escape_ascii()
            ),
            AmqpError::Version { theirs: [_, major, minor, revision] } => write!(
                f,
                "the broker speaks AMQP {major}-{minor}-{revision}, not 0-9-1; enable that version on it"
            ),
            AmqpError::TooLong { length, limit } => {
                write!(f, "an AMQP frame claims {length} bytes, the limit is {limit}")
            }
            AmqpError::End { byte } => write!(f, "an AMQP frame ends with {byte:#04x} in place of its mark"),
            AmqpError::Cut => f.write_str("an AMQP method or header ends before its last field"),
            AmqpError::Trailing { bytes } => {
                write!(f, "{bytes} bytes follow the last field of an AMQP method or header")
            }
            AmqpError::Utf8 => f.write_str("a text of an AMQP method is not UTF-8"),
            AmqpError::Properties { flags } => {
                write!(f, "the header of an AMQP content has unknown properties: {flags:#06x}")
            }
        }
    }
}

impl std::error::Error for AmqpError {}
