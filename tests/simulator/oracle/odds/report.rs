//! What was found of the odds.

use super::track::{Track, Wrong};

/// Differences that are described; the others are only counted.
const DESCRIBED: usize = 40;

/// The rows of odds against what happened.
#[derive(Clone, Debug, Default)]
pub struct OddsReport {
    /// Rows read.
    pub rows: u64,
    /// How many of them stand for values that were left out.
    pub recovered: u64,
    /// Matches with markets.
    pub matches: usize,
    /// Markets and selections compared.
    pub tracks: usize,
    /// Selections that are there and have no row: their only value came with their first load.
    pub without_rows: usize,
    /// States that were not compared, because the oldest are not kept.
    pub states_dropped: u64,
    /// What does not agree, a line each; bounded.
    pub differences: Vec<String>,
    /// How many differences there are in all.
    pub different: u64,
    /// How many of them are rows of what never happened, or twice of what happened once.
    pub doubled: u64,
}

impl OddsReport {
    /// Whether all is as it should be.
    pub fn is_equal(&self) -> bool {
        self.different == 0
    }

    pub(super) fn doubles(&mut self, text: impl FnOnce() -> String) {
        self.doubled += 1;
        self.differs(text);
    }

    pub(super) fn differs(&mut self, text: impl FnOnce() -> String) {
        self.different += 1;
        if self.differences.len() < DESCRIBED {
            self.differences.push(text());
        }
    }

    pub(super) fn wrong(&mut self, id: &str, track: &Track, wrong: &Wrong) {
        let text = || format!("{id} {}: {wrong}", track.name());
        if wrong.is_doubled() { self.doubles(text) } else { self.differs(text) }
    }

    pub(super) fn add(&mut self, track: &Track) {
        self.tracks += 1;
        self.without_rows += usize::from(track.is_without_rows());
    }
}
