//! Why a topic cannot be followed.

use std::fmt;

/// The longest name of a topic, in bytes.
pub const TOPIC_MAX: usize = 4096;

/// Why a topic cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowError {
    /// The name is empty or too long, or contains `!` or a control character.
    Name {
        topic: Vec<u8>,
    },
    Full {
        limit: usize,
    },
    Closed,
}

impl fmt::Display for FollowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FollowError::Name { topic } => write!(
                f,
                "'{}' cannot be subscribed: a topic has 1 to {TOPIC_MAX} bytes, no '!' and no control characters",
                topic.get(..topic.len().min(80)).unwrap_or_default().escape_ascii()
            ),
            FollowError::Full { limit } => {
                write!(f, "the connection holds {limit} subscriptions already, no more are allowed")
            }
            FollowError::Closed => f.write_str("the connection is lost, nothing can be subscribed on it"),
        }
    }
}

impl std::error::Error for FollowError {}
