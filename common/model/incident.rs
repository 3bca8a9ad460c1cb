//! What a source states of single happenings, as it travels to the recorder, which tells the new from the known.
//!
//! Plain data; `docs/documents.md`, 'Incidents', has the rules. A payload that states incidents begins with an empty
//! statement right after each base, and states its list again after a base that ends a gap.

use super::Side;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One happening. What is absent is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedIncident {
    /// Its type as events write it, such as `goal`; one of another type is counted and skipped.
    pub kind: String,
    /// The source's own id.
    pub source_id: Option<String>,
    pub side: Option<Side>,
    /// From 1.
    pub period: Option<u8>,
    /// Seconds of play.
    pub clock: Option<u32>,
    /// The source's own time of it, microseconds since 1970 UTC.
    pub feed_at: Option<i64>,
    /// Player and the like; of a card its `color`, `yellow` or `red`.
    pub details: BTreeMap<String, String>,
}

/// What a list states of those that it does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IncidentListing {
    /// Nothing: these are single incidents.
    #[default]
    Single,
    /// They are no more.
    Whole,
    /// Those between two that it names are no more.
    Window,
}

/// How a source's incidents are put in order; the same for all of a match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IncidentOrder {
    /// As they come, in a list the oldest first.
    #[default]
    AsSent,
    ByClock,
}

/// What a source states at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incidents {
    pub listing: IncidentListing,
    pub order: IncidentOrder,
    /// In a list the oldest first.
    pub incidents: Vec<StatedIncident>,
    /// The source's ids of those that are no more.
    pub deleted: Vec<String>,
}
