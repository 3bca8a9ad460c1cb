//! Identities as newtypes, so that a slot is never taken for an epoch.

use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id! {
    /// A feed by its place in the configuration, from 0.
    FeedId(u16)
}
number_id! {
    /// A place for a scanning worker, from 1; a worker that dies is followed by another in the same slot.
    SlotId(u16)
}
number_id! {
    /// How often a slot has been started, from 1. Together with the slot it names one process.
    Generation(u32)
}
number_id! {
    /// Rises with each assignment of any match in the pool. Whoever writes with a lower one is refused.
    Epoch(u64)
}

number_id! {
    /// Stands for a match as it was assigned, a market or a selection on a worker's data channel, from 1. None is used twice in a
    /// generation of the worker; 0 stands for none.
    Handle(u32)
}

/// What a feed calls a match; unique in its feed, opaque to us.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(from = "String")]
pub struct MatchId(Arc<str>);

/// As a string, without a copy: every observation and every rendering names its match.
impl Serialize for MatchId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl MatchId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for MatchId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for MatchId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for MatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A match in the whole pool: its feed and its id there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MatchKey {
    pub feed: FeedId,
    pub id: MatchId,
}
