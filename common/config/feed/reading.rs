//! How a JSON answer is read: which pointer leads to what of a match, and what a source's own words stand for.
//!
//! Plain data; each `[[feed.source]]` has these keys beside its own, and `docs/documents.md`, 'JSON sources', the rules. Pointers are judged
//! where they are read, words and names by `values::reading`. The worker's `json` payload is made of it.

use super::{PollSource, Status};
use crate::config::pointer::{Pointer, Pointers, TextOrPointer};
use crate::model::{IncidentListing, IncidentOrder, Side};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Pointers are relative to the answer, in a list to its entry. What is absent is not stated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reading {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Pointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sport: Option<TextOrPointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub competition: Option<TextOrPointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<Pointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub away: Option<Pointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Pointer>,
    /// What the words at `state` stand for, before the built-in table; case does not matter.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub states: BTreeMap<String, Status>,
    /// When it is to begin: seconds or milliseconds since 1970 UTC, or a text of RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Pointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<Pointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockReading>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<SidesReading>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub stats: BTreeMap<String, StatReading>,
    /// The array of happenings, or the object of them by id; with `*` several of those, one behind the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Pointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventReading>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub markets: Option<MarketReading>,
    pub extra: ExtraRule,
}

impl From<&PollSource> for Reading {
    fn from(source: &PollSource) -> Reading {
        let source = source.clone();
        Reading {
            title: source.title,
            sport: source.sport,
            competition: source.competition,
            home: source.home,
            away: source.away,
            state: source.state,
            states: source.states,
            time: source.time,
            period: source.period,
            clock: source.clock,
            score: source.score,
            stats: source.stats,
            events: source.events,
            event: source.event,
            markets: source.markets,
            extra: source.extra,
        }
    }
}

/// The displayed clock. A minute such as `45+2` is their sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClockReading {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minute: Option<Pointer>,
    /// Beside `minute` the second in it, else seconds of play.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second: Option<Pointer>,
}

/// The same of both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SidesReading {
    pub home: Pointer,
    pub away: Pointer,
}

/// A statistic of both sides, or of the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "no statistic, expected a JSON pointer, or `{ home = …, away = … }` with two")]
pub enum StatReading {
    Whole(Pointer),
    Sides(SidesReading),
}

/// A happening; pointers are relative to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventReading {
    /// Without one: its key, if the happenings are an object by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Pointer>,
    /// The first that leads to a word which stands for a type.
    #[serde(rename = "type")]
    pub kind: Pointers,
    /// What their words stand for: a type of event, `yellow_card` or `red_card`. A word that is not here stands for itself where it is
    /// a type; else it is passed over.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<Pointer>,
    /// What their words stand for beside `home` and `away`. A word that begins with `/` is a pointer to it in the answer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sides: BTreeMap<String, Side>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<Pointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minute: Option<Pointer>,
    /// Beside `minute` the second in it, else seconds of play.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second: Option<Pointer>,
    /// The source's own time of it, as `time` of a match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Pointer>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, Pointer>,
    pub listing: Listed,
    pub order: Ordered,
    /// The array of the ids of those that are no more; in the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Pointer>,
}

/// What a list of happenings states of those that it does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listed {
    /// They are no more.
    #[default]
    Whole,
    /// Those between two that it names are no more.
    Window,
    /// Nothing.
    Single,
}

impl From<Listed> for IncidentListing {
    fn from(listed: Listed) -> IncidentListing {
        match listed {
            Listed::Whole => IncidentListing::Whole,
            Listed::Window => IncidentListing::Window,
            Listed::Single => IncidentListing::Single,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ordered {
    /// As they stand, the oldest first.
    #[default]
    AsSent,
    ByClock,
}

impl From<Ordered> for IncidentOrder {
    fn from(ordered: Ordered) -> IncidentOrder {
        match ordered {
            Ordered::AsSent => IncidentOrder::AsSent,
            Ordered::ByClock => IncidentOrder::ByClock,
        }
    }
}

/// Markets and their selections: arrays, or objects by id. Pointers of a market are relative to it, those of a selection to that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MarketReading {
    /// With `*` several lists, one behind the other.
    pub list: Pointer,
    /// All of them, joined with `|`; without any its key, if they are an object by id.
    pub id: Pointers,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Pointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Pointer>,
    pub selections: Pointer,
    /// As `id`.
    pub selection_id: Pointers,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection_name: Option<Pointer>,
    /// Decimal odds, stake included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Pointer>,
    /// The price as it is shown: decimal, a fraction or American.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_text: Option<Pointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub won: Option<Pointer>,
}

/// What becomes of what no pointer leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExtraRule {
    /// It stands under `extra` of the document.
    #[default]
    Keep,
    Drop,
}
