//! The oracle: every published document is held against the truth at the number of its newest change; at the end all
//! documents against the truth, and the recorder's events against what happened.
//!
//! It digests what is published itself, section by section, and knows nothing of how it was rendered.

mod differ;
mod events;
mod hours;
mod odds;
mod read;
mod recorded;
mod segments;
mod tap;
#[cfg(test)]
mod tests;

pub use events::EventsReport;
pub use odds::OddsReport;
pub use recorded::Recorded;
pub use tap::Auditor;

pub(crate) use differ::difference;

use crate::model::Digest;
use crate::model::history::Known;
use crate::truth::Truth;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use touchline_common::ipc::messages::data::Extent;
use touchline_common::model::{Section, SectionKey};

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
    /// Renderings held against the truth.
    pub checked: u64,
    /// How many of them never were true, or could not be read.
    pub mismatches: u64,
    /// Renderings whose number was not known.
    pub unknown: u64,
    /// Renderings without a number.
    pub unnumbered: u64,
    /// The first mismatches, each a few lines for a person.
    pub explained: Vec<String>,
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

/// What is known of what was published of one match.
#[derive(Debug, Default)]
struct Published {
    head: u64,
    number: Option<u64>,
    /// What each market adds to the digest of the document.
    markets: HashMap<String, u64>,
    sum: u64,
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

    /// One rendering of a match, in the order of publication. The first of each match, and of each worker that takes
    /// it over, has to be [`Extent::Whole`].
    pub fn published(&mut self, id: &str, sections: &[Section], extent: Extent) -> Verdict {
        if !self.published.contains_key(id) {
            self.published.insert(id.to_owned(), Published::default());
        }
        let Some(published) = self.published.get_mut(id) else { return Verdict::Unnumbered };
        if extent == Extent::Whole {
            *published = Published::default();
        }
        let readable = sections.iter().all(|section| published.apply(section).is_some());
        let Some(number) = published.number else {
            self.report.unnumbered += 1;
            return Verdict::Unnumbered;
        };
        let digest = Digest(published.head.wrapping_add(published.sum));
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
                Verdict::True
            }
            Some(Known::False) => {
                self.report.checked += 1;
                self.report.mismatches += 1;
                if self.report.explained.len() < EXPLAINED {
                    let told = self.explain(id, number, sections);
                    self.report.explained.push(told);
                }
                Verdict::False
            }
        }
    }

    /// Something was published that cannot be read.
    fn unreadable(&mut self, error: &str) {
        self.report.mismatches += 1;
        self.report.explained.push(format!("a record of the audit tap: {error}"));
    }

    /// What was checked so far.
    pub fn report(&self) -> &OracleReport {
        &self.report
    }

    /// Where what was published just now differs from the truth of now: exact once the server is paused, else the
    /// truth may have gone on.
    fn explain(&self, id: &str, number: u64, sections: &[Section]) -> String {
        let Some(truth) = self.truth.document(id) else {
            return format!("{id} at change {number}: the match is gone");
        };
        let newest = truth.pointer("/extra/ZC").and_then(Value::as_str).unwrap_or("?").to_owned();
        let mut head = truth.clone();
        let markets = head.as_object_mut().and_then(|head| head.remove("markets")).unwrap_or_default();
        let mut told = Vec::new();
        for section in sections {
            let (expected, name) = match &section.key {
                SectionKey::Head => (Some(&head), "head"),
                SectionKey::Market(key) => (markets.get(key), key.as_str()),
            };
            let got =
                section.body.as_deref().map(|body| serde_json::from_str::<Value>(body).unwrap_or_default());
            let wrapped = serde_json::json!({"markets": {"it": got.clone().unwrap_or_default()}});
            let stripped = differ::stripped(&wrapped);
            let got = match &section.key {
                SectionKey::Head => got.unwrap_or_default(),
                SectionKey::Market(_) => stripped.pointer("/markets/it").cloned().unwrap_or_default(),
            };
            let different = difference(expected.unwrap_or(&Value::Null), &got);
            if !different.is_empty() {
                told.push(format!("{name}: {different}"));
            }
        }
        told.extend(self.others(id, sections, &markets));
        format!("{id} at change {number} (the truth is at {newest} now): {}", told.join(" | "))
    }

    /// Markets, not among these sections, that were published otherwise than they now are.
    fn others(&self, id: &str, sections: &[Section], markets: &Value) -> Vec<String> {
        let (Some(published), Some(markets)) = (self.published.get(id), markets.as_object()) else {
            return Vec::new();
        };
        let said =
            |key: &str| sections.iter().any(|section| section.key == SectionKey::Market(key.to_owned()));
        let share = |key: &str, market: &Value| Digest::member(key, Digest::of(market));
        let wrong = markets
            .iter()
            .filter(|(key, market)| !said(key) && published.markets.get(*key) != Some(&share(key, market)))
            .map(|(key, _)| format!("{key}: not published as it is"));
        let left = published
            .markets
            .keys()
            .filter(|key| !said(key) && !markets.contains_key(*key))
            .map(|key| format!("{key}: published, not there"));
        wrong.chain(left).take(4).collect()
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

impl Published {
    fn apply(&mut self, section: &Section) -> Option<()> {
        match (&section.key, section.body.as_deref()) {
            (SectionKey::Head, Some(body)) => {
                let (digest, number) = read::head(body)?;
                self.head = digest.0;
                self.number = number;
            }
            (SectionKey::Head, None) => *self = Self::default(),
            (SectionKey::Market(key), Some(body)) => {
                let share = Digest::member(key, read::market(body)?);
                let before = self.markets.insert(key.clone(), share).unwrap_or(0);
                self.sum = self.sum.wrapping_sub(before).wrapping_add(share);
            }
            (SectionKey::Market(key), None) => {
                self.sum = self.sum.wrapping_sub(self.markets.remove(key).unwrap_or(0));
            }
        }
        Some(())
    }
}
