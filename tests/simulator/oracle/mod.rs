//! The oracle: every delivered document is compared with the truth at the number of its newest change; at the end all
//! documents with the truth, and the recorder's events and odds with what happened.
//!
//! It digests what is delivered itself, section by section, and knows nothing of how it was rendered. A change counts as
//! delivered when a document came that has its number: of changes that were conflated only the newest is.

mod chat;
mod differ;
mod events;
mod feed;
mod hours;
mod odds;
mod published;
mod read;
mod recorded;
mod rooms;
mod segments;
mod settled;
#[cfg(test)]
mod tests;

pub use chat::{ChatReport, Names, compare_chat, settled_chat};
pub use events::EventsReport;
pub use feed::{Auditor, DocumentJudge};
pub use odds::OddsReport;
pub use recorded::Recorded;
pub use rooms::settled_rooms;

pub(crate) use differ::difference;

use crate::model::history::Known;
use crate::truth::Truth;
use published::Published;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// A section of a document: its name (empty: the head, `tail`, `market:KEY`) and its JSON, none if it is gone.
pub type Section = (String, Option<String>);

/// Mismatches that are explained; the others are only counted.
const EXPLAINED: usize = 10;

/// What one published rendering was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A state the match really was in, under that number.
    True,
    /// No such state was ever sent under that number, or a section is no JSON object.
    False,
    /// The number is no longer, or not yet, known; nothing was checked.
    Unknown,
    /// Nothing to check: no number in it (only the list's knowledge), or not a match of this server.
    Unnumbered,
}

/// What was checked in all.
#[derive(Clone, Debug, Default)]
pub struct OracleReport {
    /// Renderings compared with the truth.
    pub checked: u64,
    /// How many of them never were true, or could not be read.
    pub mismatches: u64,
    /// Renderings whose number was not known.
    pub unknown: u64,
    /// Renderings without a number.
    pub unnumbered: u64,
    /// Changes of the matches since the first document of each that was delivered,
    pub changes: u64,
    /// and how many of them had a document of their own.
    pub delivered: u64,
    /// The first mismatches, each a few lines for a person.
    pub explained: Vec<String>,
}

impl OracleReport {
    /// The share of changes that were delivered, if there were any.
    pub fn delivered_share(&self) -> Option<f64> {
        (self.changes > 0).then(|| self.delivered as f64 / self.changes as f64)
    }
}

/// The documents at the end against the truth.
#[derive(Clone, Debug, Default)]
pub struct FinalReport {
    /// Documents compared.
    pub compared: usize,
    /// Live matches without a document.
    pub missing: Vec<String>,
    /// Documents of matches that never were.
    pub extra: Vec<String>,
    /// Documents that differ, each with the first differences.
    pub different: Vec<String>,
}

impl FinalReport {
    /// Whether all is as it should be.
    pub fn is_equal(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty() && self.different.is_empty()
    }
}

/// A time in which processes or connections were lost, and all they had just been sent with them; both ends are in it, in seconds since
/// 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upheaval {
    /// Its first second.
    pub from: i64,
    /// Its last.
    pub to: i64,
}

/// Holds what is published against a server's truth.
pub struct Oracle {
    truth: Truth,
    published: HashMap<String, Published>,
    report: OracleReport,
}

impl Oracle {
    /// An oracle that knows this truth.
    pub fn new(truth: Truth) -> Self {
        Self { truth, published: HashMap::new(), report: OracleReport::default() }
    }

    /// One delivered state of a match, in the order of delivery: sections by their names (see [`Section`]). The first of each match has
    /// to be `whole`.
    pub fn delivered(&mut self, id: &str, sections: &[Section], whole: bool) -> Verdict {
        if !self.published.contains_key(id) {
            self.published.insert(id.to_owned(), Published::default());
        }
        let Some(published) = self.published.get_mut(id) else { return Verdict::Unnumbered };
        if whole {
            published.clear();
        }
        let readable = sections.iter().all(|(name, body)| published.apply(name, body.as_deref()).is_some());
        let Some(number) = published.number() else {
            self.report.unnumbered += 1;
            return Verdict::Unnumbered;
        };
        let digest = published.digest();
        let known = if readable { self.truth.knows(id, number, digest) } else { Some(Known::False) };
        match known {
            None => {
                self.report.unnumbered += 1;
                Verdict::Unnumbered
            }
            Some(Known::Unknown) => {
                self.report.unknown += 1;
                Verdict::Unknown
            }
            Some(Known::True) => {
                self.report.checked += 1;
                let changes = published.reach(number);
                self.report.changes += changes;
                self.report.delivered += u64::from(changes > 0);
                Verdict::True
            }
            Some(Known::False) => {
                self.report.checked += 1;
                self.report.mismatches += 1;
                if self.report.explained.len() < EXPLAINED {
                    let explanation = self.explain(id, number, sections);
                    self.report.explained.push(explanation);
                }
                Verdict::False
            }
        }
    }

    /// What was checked so far.
    pub fn report(&self) -> &OracleReport {
        &self.report
    }

    /// Holds the documents of all live matches against the truth now. Pause the server first.
    pub fn compare_final(&self, documents: impl IntoIterator<Item = (String, Value)>) -> FinalReport {
        let mut report = FinalReport::default();
        let mut missing: std::collections::BTreeSet<String> = self.truth.matches().into_iter().collect();
        for (id, document) in documents {
            missing.remove(&id);
            let Some(truth) = self.truth.document(&id) else {
                if !self.truth.is_gone(&id) {
                    report.extra.push(id);
                }
                continue;
            };
            report.compared += 1;
            let different = difference(&truth, &differ::stripped(&document));
            if !different.is_empty() {
                report.different.push(format!("{id}: {different}"));
            }
        }
        report.missing = missing.into_iter().collect();
        report
    }

    /// Holds the odds in the hour files of a store, which is in `folder`, against what happened, row by row. What cannot be read is a
    /// difference.
    pub fn compare_odds(&self, folder: &Path) -> OddsReport {
        // A copy, so that the server goes on meanwhile.
        let mut judge = odds::Judge::new(self.truth.with(odds::truth_of));
        match hours::gaps(folder) {
            Ok(gaps) => gaps.into_iter().for_each(|(id, from, to)| judge.gap(&id, from, to)),
            Err(error) => judge.unreadable(&error),
        }
        if let Err(error) = hours::read(folder, &mut |row| judge.row(row)) {
            judge.unreadable(&error);
        }
        judge.finish()
    }

    /// Holds the recorder's events (JSON objects, in the order of `seq`) against what happened.
    pub fn compare_events<'a>(&self, rows: impl IntoIterator<Item = &'a Value>) -> EventsReport {
        self.compare_events_across(&[], rows)
    }

    /// As [`Oracle::compare_events`]. What happens counts from the first load that is *sent*: one that is lost with the process that took
    /// it leaves no gap, for the match was not known yet. So where a match's first load and its first event lie in one upheaval, what
    /// happened between them may be missing.
    pub fn compare_events_across<'a>(
        &self,
        upheavals: &[Upheaval],
        rows: impl IntoIterator<Item = &'a Value>,
    ) -> EventsReport {
        self.truth.with(|world| events::compare(world, rows, upheavals))
    }
}

impl DocumentJudge for Oracle {
    fn delivered(&mut self, id: &str, sections: &[Section], whole: bool) {
        Oracle::delivered(self, id, sections, whole);
    }

    fn unreadable(&mut self, error: &str) {
        self.report.mismatches += 1;
        self.report.explained.push(format!("a message of the document feed: {error}"));
    }
}
