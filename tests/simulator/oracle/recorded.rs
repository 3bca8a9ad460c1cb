//! The recorder's events, read one by one and kept as text by match, until they are compared.
//!
//! Of commentary the truth keeps the newest only, so no more is kept here; every id is remembered, as a hash. So what a
//! comparison needs is bounded by what the truth keeps, but for eight bytes an event. Filled by the demo and the chaos runner.

use super::events::{self, EventsReport};
use super::{Oracle, Upheaval};
use foldhash::fast::FixedState;
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::BuildHasher;

/// Events that were read.
#[derive(Debug)]
pub struct Recorded {
    /// So many of a match's comments and statistics are kept.
    commentary: usize,
    matches: BTreeMap<String, Lines>,
    ids: HashSet<u64>,
    doubled: EventsReport,
}

/// The events of one match as text, each with its `seq`.
#[derive(Debug, Default)]
struct Lines {
    registers: Vec<(u64, Box<str>)>,
    commentary: VecDeque<(u64, Box<str>)>,
}

/// What of an event is looked at when it is read.
#[derive(Deserialize)]
struct Head<'a> {
    seq: u64,
    #[serde(borrow)]
    r#match: Cow<'a, str>,
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(default)]
    revision: i64,
}

impl Oracle {
    /// Nothing read yet.
    pub fn recorded(&self) -> Recorded {
        // As many again: what was recorded and what happened need not begin at the same.
        let commentary = self.truth.with(events::commentary_kept).saturating_mul(2);
        Recorded {
            commentary,
            matches: BTreeMap::new(),
            ids: HashSet::new(),
            doubled: EventsReport::default(),
        }
    }

    /// Holds what was read against what happened; `upheavals` as for [`Oracle::compare_events_across`].
    pub fn compare_recorded(&self, upheavals: &[Upheaval], recorded: Recorded) -> EventsReport {
        let mut report = recorded.doubled;
        let mut matches = recorded.matches;
        self.truth.with(|world| {
            let rows = |id: &str| matches.remove(id).unwrap_or_default().rows();
            report.add(events::compare_each(world, rows, upheavals));
            let never = matches.keys().filter(|id| !events::is_known(world, id));
            never.for_each(|id| report.doubles(|| format!("{id}: events of a match that never was")));
        });
        report
    }
}

impl Recorded {
    /// Takes the next event, a JSON object; its `seq`.
    ///
    /// # Errors
    /// When it is none.
    pub fn push(&mut self, line: &[u8]) -> serde_json::Result<u64> {
        let head: Head<'_> = serde_json::from_slice(line)?;
        let is_commentary = events::is_commentary(&head.r#type);
        let hash = FixedState::default().hash_one(head.id.as_bytes());
        if head.revision == 0 && !head.id.is_empty() && !self.ids.insert(hash) {
            let (id, of) = (&head.id, &head.r#match);
            self.doubled.doubles(|| format!("{of}: id {id} is there twice"));
            return Ok(head.seq);
        }
        let text = std::str::from_utf8(line).unwrap_or_default();
        let lines = self.matches.entry(head.r#match.into_owned()).or_default();
        if !is_commentary {
            lines.registers.push((head.seq, text.into()));
            return Ok(head.seq);
        }
        if lines.commentary.len() >= self.commentary {
            lines.commentary.pop_front();
        }
        lines.commentary.push_back((head.seq, text.into()));
        Ok(head.seq)
    }
}

impl Lines {
    /// The events in their order.
    fn rows(self) -> Vec<Value> {
        let mut all: Vec<(u64, Box<str>)> = self.registers.into_iter().chain(self.commentary).collect();
        all.sort_unstable_by_key(|(seq, _)| *seq);
        all.iter().filter_map(|(_, text)| serde_json::from_str(text).ok()).collect()
    }
}
