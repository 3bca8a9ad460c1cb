//! An event before the store gives it its place: plain data, made by the ledger only.

use super::identity::EventId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZero;
pub use touchline_common::config::Lane;
use touchline_common::model::{Epoch, RoundEnd, Side};

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
    AddedTime = "added_time",
    Timeout = "timeout",
    MatchEnded = "match_ended",
    Goal = "goal",
    ScoreChange = "score_change",
    Point = "point",
    Game = "game",
    Set = "set",
    /// One card; its colour is in the payload.
    Card = "card",
    Corner = "corner",
    Shot = "shot",
    Foul = "foul",
    ThrowIn = "throw_in",
    Penalty = "penalty",
    PenaltyShootout = "penalty_shootout",
    Substitution = "substitution",
    Var = "var",
    Wicket = "wicket",
    Suspended = "suspended",
    Resumed = "resumed",
    StatChange = "stat_change",
    Comment = "comment",
    /// A register moved by more than is reported step by step, or differs from what incidents state.
    Mismatch = "mismatch",
    /// From here the match is not followed.
    GapStart = "gap_start",
    /// From here it is followed again.
    GapEnd = "gap_end",
    Retract = "retract",
    /// A source was asked once over.
    RoundEnd = "round_end",
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    Yellow,
    Red,
}

/// Details of an event; as JSON it is the column `payload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Payload {
    /// Nothing.
    None {},
    /// A counter's value after the step.
    Count {
        n: i64,
    },
    Card {
        color: Color,
        n: i64,
    },
    /// Points or runs of a side.
    Change {
        /// The side's value before.
        from: i64,
        /// The side's value after.
        to: i64,
        by: i64,
    },
    /// The `index`-th period.
    Period {
        /// From 1.
        period: i64,
    },
    /// A set, by both sides' count; a game or point, by its set.
    Place {
        /// The set, from 1; none for a set itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        set: Option<NonZero<u8>>,
        /// The game in it, from 0; a tennis point only.
        #[serde(skip_serializing_if = "Option::is_none")]
        game: Option<i64>,
        index: i64,
        /// The points after it, such as `40-A`; a tennis point only.
        #[serde(skip_serializing_if = "Option::is_none")]
        points: Option<String>,
    },
    Comment {
        text: String,
    },
    Stat {
        /// Its key in the document's `stats`.
        key: String,
        #[serde(rename = "value")]
        text: String,
    },
    Retracted {
        #[serde(rename = "type")]
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
    /// A register, and how many of its steps incidents state.
    Differs {
        register: String,
        value: i64,
        incidents: i64,
        /// Whether that is over: they are equal again.
        healed: bool,
    },
    /// What a source says of a happening beside its place and side, such as the player.
    Incident(BTreeMap<String, String>),
    /// A register's event, and what an incident says beside it.
    Detailed {
        #[serde(skip_serializing_if = "Option::is_none")]
        color: Option<Color>,
        #[serde(skip_serializing_if = "Option::is_none")]
        n: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        period: Option<i64>,
        #[serde(flatten)]
        details: BTreeMap<String, String>,
    },
    /// Why a match is not followed.
    Gap {
        reason: &'static str,
    },
    Round(RoundEnd),
}

/// What registers state of their events; no detail takes its place.
const STEP_MEMBERS: [&str; 3] = ["n", "color", "period"];

impl Payload {
    /// A register's event with more details.
    pub(super) fn detailed(step: Payload, mut details: BTreeMap<String, String>) -> Payload {
        details.retain(|key, _| !STEP_MEMBERS.contains(&key.as_str()));
        let (color, n, period) = match step {
            Payload::Count { n } => (None, Some(n), None),
            Payload::Card { color, n } => (Some(color), Some(n), None),
            Payload::Period { period } => (None, None, Some(period)),
            Payload::None {} => (None, None, None),
            Payload::Change { .. }
            | Payload::Place { .. }
            | Payload::Comment { .. }
            | Payload::Stat { .. }
            | Payload::Retracted { .. }
            | Payload::Jump { .. }
            | Payload::Differs { .. }
            | Payload::Incident(_)
            | Payload::Detailed { .. }
            | Payload::Gap { .. }
            | Payload::Round(_) => return step,
        };
        if details.is_empty() { step } else { Payload::Detailed { color, n, period, details } }
    }
}

/// One event, complete but for `seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    pub id: EventId,
    /// 0, and one higher each time that the same happening is told otherwise.
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
    /// The source's own time of it, microseconds since 1970 UTC.
    pub feed_at: Option<i64>,
    pub epoch: Epoch,
    pub version: u64,
    pub order: i64,
    /// The score after it.
    pub score: Option<(i64, i64)>,
    /// Whether something that comes after it in the match was told before it.
    pub late: bool,
    /// Whether it was found after a gap.
    pub recovered: bool,
    pub payload: Payload,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_as_documented() {
        let point = |set, game| Payload::Place {
            set: NonZero::new(set),
            game,
            index: 7,
            points: game.map(|_| "40-A".into()),
        };
        for (payload, text) in [
            (Payload::None {}, "{}"),
            (Payload::Card { color: Color::Red, n: 2 }, r#"{"color":"red","n":2}"#),
            (Payload::Change { from: 3, to: 5, by: 2 }, r#"{"from":3,"to":5,"by":2}"#),
            (point(0, None), r#"{"index":7}"#),
            (point(2, Some(0)), r#"{"set":2,"game":0,"index":7,"points":"40-A"}"#),
            (
                Payload::Stat { key: "shots".into(), text: "\"7\"".into() },
                r#"{"key":"shots","value":"\"7\""}"#,
            ),
            (Payload::Retracted { kind: EventType::MatchEnded, n: 0 }, r#"{"type":"match_ended","n":0}"#),
            (Payload::Gap { reason: "moved" }, r#"{"reason":"moved"}"#),
            (
                Payload::Round(RoundEnd { ok: 1, failed: 0, changed: 1, took_ms: 85 }),
                r#"{"ok":1,"failed":0,"changed":1,"took_ms":85}"#,
            ),
            (
                Payload::detailed(
                    Payload::Card { color: Color::Red, n: 2 },
                    ["color", "player"].map(|key| (key.to_owned(), "Bold".to_owned())).into(),
                ),
                r#"{"color":"red","n":2,"player":"Bold"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&payload).unwrap(), text);
        }
    }
}
