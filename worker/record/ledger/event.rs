//! An event before the store gives it its place: plain data, made by the ledger only.

use super::identity::EventId;
use serde::{Deserialize, Serialize};
use touchline_common::model::{Epoch, Side};

macro_rules! event_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What happened. The texts are part of ids and never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum EventType { $($(#[$doc])* $name,)* }

        impl EventType {
            /// Every type that the ledger makes.
            pub const ALL: &[EventType] = &[$(EventType::$name,)*];

            /// As the column `type` writes it.
            pub fn as_str(self) -> &'static str {
                match self { $(EventType::$name => $text,)* }
            }
        }
    };
}

impl EventType {
    /// Whether it comes with another score.
    pub(super) fn changes_score(self) -> bool {
        use EventType::{Game, Goal, Point, ScoreChange, Set};
        matches!(self, Goal | ScoreChange | Set | Game | Point)
    }
}

event_types! {
    /// A match's registers are known for the first time.
    MatchListed = "match_listed",
    /// It began.
    MatchStarted = "match_started",
    /// A period began.
    PeriodStart = "period_start",
    /// A period ended.
    PeriodEnd = "period_end",
    /// It is over.
    MatchEnded = "match_ended",
    /// One goal.
    Goal = "goal",
    /// Points or runs.
    ScoreChange = "score_change",
    /// One point of a game or a set.
    Point = "point",
    /// One game of a set.
    Game = "game",
    /// One set.
    Set = "set",
    /// One card; its colour is in the payload.
    Card = "card",
    /// One corner.
    Corner = "corner",
    /// One penalty.
    Penalty = "penalty",
    /// One substitution.
    Substitution = "substitution",
    /// One wicket.
    Wicket = "wicket",
    /// The whole match was suspended.
    Suspended = "suspended",
    /// The whole match was resumed.
    Resumed = "resumed",
    /// A statistic changed.
    StatChange = "stat_change",
    /// The feed's comment changed.
    Comment = "comment",
    /// A register moved by more than is reported step by step.
    Mismatch = "mismatch",
    /// From here the match is not followed.
    GapStart = "gap_start",
    /// From here it is followed again.
    GapEnd = "gap_end",
    /// An event is taken back.
    Retract = "retract",
}

/// Which lane of the match stream an event stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Goals, penalties, red cards, periods, start and end, suspensions of the match, retractions.
    Priority,
    /// The rest.
    Normal,
}

impl Lane {
    /// As the column `lane` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Lane::Priority => "priority",
            Lane::Normal => "normal",
        }
    }
}

/// A card's colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// A caution.
    Yellow,
    /// A dismissal.
    Red,
}

/// What an event holds beyond its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing.
    None,
    /// A counter's value after the step.
    Count {
        /// The side's count.
        n: i64,
    },
    /// A card and the side's count of that colour.
    Card {
        /// Its colour.
        color: Color,
        /// The side's count.
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
        /// Which one in its set or game.
        index: i64,
        /// The points after it, home first; a tennis point only.
        points: Option<(u16, u16)>,
    },
    /// The feed's comment.
    Comment {
        /// Its text.
        text: String,
    },
    /// A statistic.
    Stat {
        /// Its key in the document's `stats`.
        key: String,
        /// As the feed wrote it.
        text: String,
    },
    /// What was taken back.
    Retracted {
        /// Its type.
        kind: EventType,
        /// The value that no longer stands.
        n: i64,
    },
    /// A register's jump.
    Jump {
        /// Which register, for people.
        register: String,
        /// Before.
        from: i64,
        /// After.
        to: i64,
    },
    /// Why a match is not followed.
    Gap {
        /// One of a few words.
        reason: &'static str,
    },
}

/// One event, complete but for `seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Its name.
    pub id: EventId,
    /// 0, or which revision of that id it is.
    pub revision: u32,
    /// The id that it takes back.
    pub retracts: Option<EventId>,
    /// What happened.
    pub kind: EventType,
    /// Its lane, before the configuration moves types.
    pub lane: Lane,
    /// Whose.
    pub side: Option<Side>,
    /// The displayed clock, seconds.
    pub clock: Option<u32>,
    /// The period, for people.
    pub period: Option<&'static str>,
    /// When the worker read it, microseconds since 1970 UTC.
    pub at: i64,
    /// The feed's own time of it, likewise.
    pub feed_at: Option<i64>,
    /// The epoch that reported it.
    pub epoch: Epoch,
    /// The document's version then.
    pub version: u64,
    /// Its place in the match.
    pub order: i64,
    /// The score after it.
    pub score: Option<(i64, i64)>,
    /// Whether the feed reported it after what comes later in the match.
    pub late: bool,
    /// Whether it was found after a gap.
    pub recovered: bool,
    /// More of it.
    pub payload: Payload,
}
