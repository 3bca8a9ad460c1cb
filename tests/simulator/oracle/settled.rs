//! Comparisons that are repeated until all is equal: rows are still committed, and values settle after a new connection.
//!
//! The server is paused by then. Callers: the end-to-end tests, the chaos runner and its matrix.

use super::{EventsReport, FinalReport, OddsReport, Oracle};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two comparisons.
const PAUSE: Duration = Duration::from_millis(100);

impl Oracle {
    /// The documents of all matches, each as `document` gives it now.
    pub fn settled_documents(
        &self,
        patience: Duration,
        document: impl Fn(&str) -> Option<Value>,
    ) -> FinalReport {
        let compare = || {
            let ids = self.truth.matches().into_iter();
            self.compare_final(ids.filter_map(|id| Some((id.clone(), document(&id)?))))
        };
        settled(patience, compare, FinalReport::is_equal)
    }

    /// The events, of which there must be some.
    pub fn settled_events(&self, patience: Duration, rows: impl Fn() -> Vec<Value>) -> EventsReport {
        let is_good = |report: &EventsReport| report.is_equal() && report.registers > 0;
        settled(patience, || self.compare_events(&rows()), is_good)
    }

    /// The odds in the store in `folder`, of which there must be some if any match has odds.
    pub fn settled_odds(&self, patience: Duration, folder: &Path) -> OddsReport {
        let is_good = |report: &OddsReport| report.is_equal() && (report.rows > 0 || report.matches == 0);
        settled(patience, || self.compare_odds(folder), is_good)
    }
}

pub(super) fn settled<R>(patience: Duration, compare: impl Fn() -> R, is_good: impl Fn(&R) -> bool) -> R {
    let until = Instant::now() + patience;
    loop {
        let report = compare();
        if is_good(&report) || Instant::now() >= until {
            return report;
        }
        std::thread::sleep(PAUSE);
    }
}
