//! What a worker saw of a match, as it travels to the recorder: facts, registers, its listing.

use super::{Register, Scoring};
use serde::{Deserialize, Serialize};

/// What stays the same through a match and the ledger needs to read its registers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The sport's name in documents and events (`soccer`), if the feed's number is a known one.
    pub sport: Option<String>,
    pub scoring: Scoring,
}

/// The feed's displayed clock when an observation was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Seconds of play, advanced to the moment of the read if the clock was running.
    pub seconds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterChange {
    pub register: Register,
    /// The value now. Unknown values are never sent.
    pub value: i64,
}

/// A source of a document was asked once over, all its pages: what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundEnd {
    /// Answers of use.
    pub ok: u32,
    pub failed: u32,
    /// Documents that are others than before.
    pub changed: u32,
    /// From its first request to its end, the wait for a place in the window included, milliseconds.
    pub took_ms: u64,
}

/// What the match list knows of a match. It fills what the match's own topics lack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Listing {
    pub name: Option<String>,
    pub sport_id: Option<String>,
    /// The sport's name in documents and events, if the number is a known one.
    pub sport: Option<String>,
    pub competition: Option<String>,
    pub score: Option<String>,
    pub period: Option<String>,
    pub in_play: bool,
    /// When it is to begin, seconds since 1970 UTC.
    pub starts_at: Option<i64>,
    /// The attributes of the list's event node that `match_topics` templates name, as (`ID`, value) or (`CL.ID`, value).
    pub attributes: Vec<(String, String)>,
}
