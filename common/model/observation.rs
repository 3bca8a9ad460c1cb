//! What a worker saw of a match, as it travels to the recorder: facts, registers, flips.

use super::{Price, Register, Scoring, Side};
use serde::{Deserialize, Serialize};

/// What stays the same through a match and the ledger needs to read its registers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The sport's name in documents and events (`soccer`), if the feed's number is a known one.
    pub sport: Option<String>,
    /// What a step of the score means in this sport.
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

/// Something that goes back and forth, so that only the change itself can be reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flip {
    /// A selection's price changed. `None` is no price.
    Odds {
        market: String,
        selection: String,
        /// Decimal odds, stake included.
        odds: Option<Price>,
        /// As the feed wrote it.
        text: String,
    },
    /// A selection was suspended (`true`) or resumed.
    SelectionSuspended {
        market: String,
        selection: String,
        suspended: bool,
    },
    /// A market was suspended (`true`) or resumed.
    MarketSuspended {
        market: String,
        suspended: bool,
    },
    MarketOpen {
        market: String,
        /// Its name, empty if it has none.
        name: String,
    },
    MarketClose {
        market: String,
    },
    /// The feed's comment changed to this text, which is not empty.
    Comment {
        text: String,
    },
    /// A statistic that is no register changed.
    Stat {
        /// Its key in the document's `stats`.
        key: String,
        side: Side,
        /// As the feed wrote it.
        text: String,
    },
}

/// What one diff changed in one match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Registers, in the order of [`Register`].
    pub registers: Vec<RegisterChange>,
    /// Flips, in the order of the diff's attributes.
    pub flips: Vec<Flip>,
    /// The displayed clock, if the match has one.
    pub clock: Option<Clock>,
    /// Wall clock of the read, microseconds since 1970 UTC. Orders nothing.
    pub received_at: i64,
}

/// What the match list knows of a match. It fills what the match's own topics lack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    pub name: Option<String>,
    /// The feed's number of the sport.
    pub sport_id: Option<String>,
    pub competition: Option<String>,
    pub score: Option<String>,
    pub period: Option<String>,
    /// Whether the list shows it in play.
    pub in_play: bool,
    /// When it is to begin, seconds since 1970 UTC.
    pub starts_at: Option<i64>,
    /// The attributes of the list's event node that `match_topics` templates name, as (`ID`, value) or (`CL.ID`, value).
    pub attributes: Vec<(String, String)>,
}
