//! What can be wrong with a load or a delta. The caller counts these; no error harms what is already held.

use super::json::{DeltaError, JsonError};
use std::fmt;

/// What applying a message leads to.
pub type Result<T> = std::result::Result<T, TreeError>;

/// Why a message changed nothing (or, for [`TreeError::Nodes`] and [`TreeError::Bytes`], could not be held).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeError {
    /// No match of this connection has the topic.
    TopicNotHeld {
        /// The topic, or the first part of the path.
        topic: String,
    },
    /// A match that is to be added names a topic which another holds already.
    TopicTaken { topic: String },
    /// More topics than the limit.
    Topics { limit: usize },
    /// A match list was asked for where the payload has none.
    NoList { topic: String },
    /// The body of a load does not begin with `F|`.
    NotALoad { topic: String },
    /// A delta's operation is not one of `F`, `U`, `I`, `D`.
    UnknownOperation { topic: String },
    /// An insert has no node in its body, or its path no parent.
    IncompleteInsert { path: String },
    /// The node that a path names is not there.
    MissingTarget { path: String },
    /// The parent under which an insert would go is not there.
    MissingParent { path: String },
    /// An insert would put a node below itself.
    Cycle { path: String },
    /// More nodes in one match than the limit.
    Nodes { limit: usize },
    /// More bytes in one match than the limit.
    Bytes { limit: usize },
    /// A node would stand deeper than the limit.
    Depth { limit: usize },
    /// A room's command is no JSON object with a name.
    Command { topic: String, why: String },
    /// The answer of a ranking has no rooms where they are to be.
    Ranking { why: String },
    /// A body is no JSON, or passes a limit.
    Json { topic: String, error: JsonError },
    /// A delta cannot be applied to what is held.
    Delta { topic: String, error: DeltaError },
    /// A list's body is no object of arrays.
    NotAList { topic: String },
    /// A pointer that everything depends on leads nowhere.
    PointsNowhere {
        source: String,
        /// The setting.
        key: &'static str,
        pointer: String,
    },
}

impl TreeError {
    pub(super) fn not_held(topic: &[u8]) -> TreeError {
        TreeError::TopicNotHeld { topic: String::from_utf8_lossy(topic).into_owned() }
    }

    pub(super) fn json(topic: &[u8], error: JsonError) -> TreeError {
        TreeError::Json { topic: String::from_utf8_lossy(topic).into_owned(), error }
    }

    pub(super) fn delta(topic: &[u8], error: DeltaError) -> TreeError {
        TreeError::Delta { topic: String::from_utf8_lossy(topic).into_owned(), error }
    }
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopicNotHeld { topic } => {
                write!(f, "message for topic {topic:?}, which no match here has: skipped")
            }
            Self::TopicTaken { topic } => {
                write!(f, "topic {topic:?} belongs to another match already: check match_topics")
            }
            Self::Topics { limit } => {
                write!(f, "more than {limit} topics on one connection or of one match: raise limits.topics")
            }
            Self::NoList { topic } => {
                write!(
                    f,
                    "no match list can be read from {topic:?}: name the matches, or set payload to inplay"
                )
            }
            Self::NotALoad { topic } => write!(
                f,
                "load of topic {topic:?} does not begin with F|: skipped; check `payload` and the feed's topics"
            ),
            Self::UnknownOperation { topic } => {
                write!(f, "delta for {topic:?} is none of F, U, I, D: skipped")
            }
            Self::IncompleteInsert { path } => {
                write!(f, "insert {path:?} names no parent or holds no node: skipped")
            }
            Self::MissingTarget { path } => write!(f, "delta for {path:?}, which is not there: skipped"),
            Self::MissingParent { path } => {
                write!(f, "insert {path:?} under a parent that is not there: skipped")
            }
            Self::Cycle { path } => write!(f, "insert {path:?} would put a node below itself: skipped"),
            Self::Nodes { limit } => write!(f, "more than {limit} nodes in one match: raise limits.nodes"),
            Self::Bytes { limit } => write!(f, "more than {limit} bytes of nodes in one match: skipped"),
            Self::Depth { limit } => write!(f, "a node deeper than {limit}: raise limits.depth"),
            Self::Command { topic, why } => {
                write!(f, "command of room {topic:?} cannot be read: {why}: skipped")
            }
            Self::Ranking { why } => write!(f, "the ranking's answer {why}; the rooms stay as they are"),
            Self::Json { topic, error } => write!(f, "body of {topic:?}: {error}: skipped"),
            Self::Delta { topic, error } => write!(f, "delta for {topic:?}: {error}: skipped"),
            Self::NotAList { topic } => {
                write!(f, "the list {topic:?} is no object of arrays of entries: skipped; check `list`")
            }
            Self::PointsNowhere { source, key, pointer } => write!(
                f,
                "`{key}` = {pointer:?} of source {source:?} leads nowhere, or to what is none, in each entry: skipped"
            ),
        }
    }
}

impl std::error::Error for TreeError {}
