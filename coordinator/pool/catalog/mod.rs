//! What there is to follow: the matches with all that the pool knows of each, those that ended, and those that only the store holds.
//!
//! Invariant: a match's state is in its [`matches::Match`] alone. What else is looked up by it (who waits, who moves) is an index that the
//! table keeps; removing a match removes it everywhere.

pub(super) mod ended;
mod filter;
mod follow;
pub(super) mod list;
pub(super) mod matches;
pub(super) mod needs;
pub(super) mod orphans;
pub(super) mod table;

use ended::Ended;
use orphans::Doubt;
use std::collections::BTreeMap;
use table::MatchTable;
use touchline_common::model::MatchKey;

#[derive(Debug, Default)]
pub(super) struct Catalog {
    pub(super) matches: MatchTable,
    pub(super) ended: Ended,
    /// Matches that the store holds for alive and that are none.
    pub(super) orphans: BTreeMap<MatchKey, Doubt>,
}
