//! The recorder's document feed: what a reader (the gateway, the demo's oracle) is sent of every document.
//!
//! A reader's queue is a set of what changed, taken match by match: each message is a state that the document had, the newest at
//! the time it was taken; states between two messages are left out.

use super::Message;
use crate::model::{Epoch, MatchKey};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The environment variable that names the Unix socket of a reader to the recorder.
pub const VARIABLE: &str = "TOUCHLINE_FEED";

/// A document as it changed since the reader's last message of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedDocument<'a> {
    pub key: MatchKey,
    pub epoch: Epoch,
    pub version: u64,
    /// `match`, or `list` while the match waits for a worker.
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    /// Whether `sections` are all that the document has.
    pub whole: bool,
    /// Nothing was received for `stale_after`.
    pub stale: bool,
    /// Wall clock of the read that brought the newest change, microseconds since 1970 UTC.
    pub received_at: i64,
    /// Wall clock of the rendering, microseconds since 1970 UTC.
    pub updated_at: i64,
    /// Names as in the store (`` the head, `tail`, `market:KEY`) and JSON objects; `None` where the section is gone.
    #[serde(borrow)]
    pub sections: Vec<(Cow<'a, str>, Option<Cow<'a, str>>)>,
}

/// The document was the last of its match, which is over. Sent to the gateway only, after what had not been sent of the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedEnded {
    pub key: MatchKey,
    pub epoch: Epoch,
    /// Of the document as of a match that is over.
    pub version: u64,
    /// Wall clock of its end, microseconds since 1970 UTC.
    pub updated_at: i64,
}

impl Message for FeedEnded {
    const KIND: u16 = 0x0402;
}

impl Message for FeedDocument<'_> {
    const KIND: u16 = 0x0401;
}
