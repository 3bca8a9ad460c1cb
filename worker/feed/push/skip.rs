//! Why a message, or an item of one, was left out.

use super::unpack::UnpackError;
use std::fmt;

/// As much of a topic is shown, bytes.
const SHOWN: usize = 80;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    Unpack(UnpackError),
    NotUtf8,
    NotJson,
    /// The pointer `items` leads to nothing that has items.
    NoItems,
    NoTopic,
    /// Neither an item nor an answer to anything.
    UnknownKind,
    /// The pointer `body` leads nowhere.
    NoBody {
        topic: String,
    },
    NotAsked {
        topic: String,
    },
    /// More deltas wait for a snapshot than may.
    TooMany {
        topic: String,
    },
    /// A refusal of nothing that is named, in the server's words.
    Refused {
        why: String,
    },
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpack(error) => error.fmt(f),
            Self::NotUtf8 => f.write_str("a message that is no UTF-8"),
            Self::NotJson => f.write_str("a message that is no JSON"),
            Self::NoItems => f.write_str("a message without items; check `items`, or add it to `ignored`"),
            Self::NoTopic => f.write_str("an item without a topic; check `topic`, or add it to `ignored`"),
            Self::UnknownKind => {
                f.write_str("an item of no known kind; check `snapshot` and `delta`, or add it to `ignored`")
            }
            Self::NoBody { topic } => write!(f, "an item of '{}' without a body; check `body`", shown(topic)),
            Self::NotAsked { topic } => write!(f, "an item of '{}', which was not asked for", shown(topic)),
            Self::TooMany { topic } => write!(
                f,
                "more deltas of '{}' than may wait for its snapshot; see `held_deltas`",
                shown(topic)
            ),
            Self::Refused { why } => write!(f, "the server refuses something: {}", shown(why)),
        }
    }
}

/// What a server sent, short and without control characters.
pub(super) fn shown(text: &str) -> String {
    let cut = (0..=SHOWN.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text.get(..cut).unwrap_or_default().escape_debug().to_string()
}
