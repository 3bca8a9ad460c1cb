//! An event before the store gives it its place: plain data, made by the ledger only.

use super::identity::EventId;
use serde::{Deserialize, Serialize};
pub use touchline_common::config::Lane;
use touchline_common::model::{Epoch, Side};

macro_rules! event_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What happened. The texts are part of ids and never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum EventType { $($(#[$doc])* $name,)* }

        impl EventType {
            pub const ALL: &[EventType] = &[$(EventType::$name,)*];

            /// As the column `type` writes it.
            pub fn as_str(self) -> &'static str {
                match self { $(EventType::$name => $text,)* }
            }
        }
    };
}

impl EventType {
    pub(super) fn changes_score(self) -> bool {
        use EventType::{Game, Goal, Point, ScoreChange, Set};
        matches!(self, Goal | ScoreChange | Set | Game | Point)
    }
}

event_types! {
    /// A match's registers are known for the first time.
    MatchListed = "match_listed",
    MatchStarted = "match_started",
    PeriodStart = "period_start",
    PeriodEnd = "period_end",
    MatchEnded = "match_ended",
    Goal = "goal",
    ScoreChange = "score_change",
    Point = "point",
    Game = "game",
    Set = "set",
    /// One card; its colour is in the payload.
    Card = "card",
    Corner = "corner",
    Penalty = "penalty",
    Substitution = "substitution",
    Wicket = "wicket",
    Suspended = "suspended",
    Resumed = "resumed",
    StatChange = "stat_change",
    Comment = "comment",
    /// A register moved by more than is reported step by step.
    Mismatch = "mismatch",
    /// From here the match is not followed.
    GapStart = "gap_start",
    /// From here it is followed again.
    GapEnd = "gap_end",
    Retract = "retract",
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    Yellow,
    Red,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing.
    None,
    /// A counter's value after the step.
    Count {
        n: i64,
    },
    Card {
        color: Color,
        n: i64,
    },
    /// Points or runs: from, to.
    Change {
        /// The side's value before.
        from: i64,
        /// The side's value after.
        to: i64,
    },
    /// The `index`-th period.
    Period {
        /// From 1.
        period: i64,
    },
    /// A set, by both sides' count; a game or point, by its set.
    Place {
        /// The set, from 1; 0 for a set itself.
        set: u8,
        /// The game in it, from 0; absent unless a tennis point.
        game: Option<i64>,
        index: i64,
        /// The points after it, home first; a tennis point only.
        points: Option<(u16, u16)>,
    },
    Comment {
        text: String,
    },
    Stat {
        /// Its key in the document's `stats`.
        key: String,
        text: String,
    },
    Retracted {
        kind: EventType,
        /// The value that no longer stands.
        n: i64,
    },
    Jump {
        register: String,
        /// Before.
        from: i64,
        /// After.
        to: i64,
    },
    /// Why a match is not followed.
    Gap {
        reason: &'static str,
    },
}

/// One event, complete but for `seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    pub id: EventId,
    /// 0, or which revision of that id it is.
    pub revision: u32,
    pub retracts: Option<EventId>,
    pub kind: EventType,
    /// Its lane, before the configuration moves types.
    pub lane: Lane,
    pub side: Option<Side>,
    /// The displayed clock, seconds.
    pub clock: Option<u32>,
    pub period: Option<&'static str>,
    /// When the worker read it, microseconds since 1970 UTC.
    pub at: i64,
    /// The feed's own time of it, likewise.
    pub feed_at: Option<i64>,
    pub epoch: Epoch,
    pub version: u64,
    pub order: i64,
    /// The score after it.
    pub score: Option<(i64, i64)>,
    /// Whether the feed reported it after what comes later in the match.
    pub late: bool,
    /// Whether it was found after a gap.
    pub recovered: bool,
    pub payload: Payload,
}
