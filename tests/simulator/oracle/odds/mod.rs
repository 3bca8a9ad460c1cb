//! The recorder's rows of odds against what happened, market by market and selection by selection.
//!
//! Each change is there once and in order. Only in front of a row marked `recovered` values may miss or repeat: there the
//! place in the truth may jump, forward or back, to any with that value; every such place is followed up until a later row
//! rules it out. After the last row nothing may miss. Rows are taken one by one and not kept.
//! Two things leave no row: what disappears in a gap of its match, with all it went through inside that gap, and what happens in a
//! gap in which the match itself ends.

mod report;
#[cfg(test)]
mod tests;
mod track;

pub use report::OddsReport;

use super::events;
use crate::model::odds::State;
use crate::model::world::World;
use crate::truth::expected;
use std::collections::HashMap;
use track::Track;

/// Of which type a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    OddsChange,
    Suspended,
    Resumed,
    MarketOpen,
    MarketClose,
    /// What was known when an hour began or a recorder started.
    Base,
}

impl Kind {
    pub(super) fn parse(text: &str) -> Option<Kind> {
        Some(match text {
            "odds_change" => Kind::OddsChange,
            "suspended" => Kind::Suspended,
            "resumed" => Kind::Resumed,
            "market_open" => Kind::MarketOpen,
            "market_close" => Kind::MarketClose,
            "base" => Kind::Base,
            _ => return None,
        })
    }
}

/// A row of the view `history`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) seq: i64,
    /// Its match.
    pub(super) id: &'a str,
    pub(super) market: &'a str,
    pub(super) selection: Option<&'a str>,
    pub(super) kind: Kind,
    pub(super) odds: Option<f64>,
    pub(super) odds_text: Option<&'a str>,
    pub(super) suspended: Option<bool>,
    pub(super) recovered: bool,
}

/// What happened to a market, or to a selection if it names one.
#[derive(Clone, Debug)]
pub(super) struct Course {
    pub(super) market: String,
    pub(super) selection: Option<String>,
    pub(super) states: Vec<State>,
    /// Whether older states are not kept.
    pub(super) is_cut: bool,
}

/// The courses of a match.
#[derive(Clone, Debug)]
pub(super) struct MatchTruth {
    pub(super) id: String,
    /// Whether a load of it was ever sent: rows of others are not judged.
    pub(super) begun: bool,
    /// Whether the match has ended.
    pub(super) over: bool,
    pub(super) courses: Vec<Course>,
    pub(super) states_dropped: u64,
}

/// What happened to the odds of all matches.
pub(super) fn truth_of(world: &World) -> Vec<MatchTruth> {
    let of_match = |(ident, ledger): (&_, &crate::model::ledger::Ledger)| {
        let course = |(number, sequence): (&u32, &crate::model::odds::Sequence)| {
            let (market, selection) = expected::keys(ident, *number, &sequence.subject);
            let states = sequence.states.iter().copied().collect();
            Course { market, selection, states, is_cut: sequence.dropped > 0 }
        };
        MatchTruth {
            id: ident.id.clone(),
            begun: ledger.begun,
            over: world.gone.contains_key(ident.id.as_str()),
            courses: ledger.odds.sequences.iter().map(course).collect(),
            states_dropped: ledger.odds.sequences.values().map(|sequence| sequence.dropped).sum(),
        }
    };
    events::all(world).map(of_match).collect()
}

/// Takes the rows of all matches in the order of `seq`, and says in the end whether they are true.
#[derive(Debug)]
pub(super) struct Judge {
    matches: HashMap<String, Judged>,
    report: OddsReport,
}

#[derive(Debug)]
struct Judged {
    begun: bool,
    over: bool,
    /// From when and until when it was not followed, in seconds since 1970.
    gaps: Vec<(i64, i64)>,
    tracks: Vec<Track>,
    /// By the key of the market, or of the selection.
    by_key: HashMap<String, usize>,
    selections_of: HashMap<String, Vec<usize>>,
    /// How often all that there is was stated: at the first load, and after each start of the recorder, which knows no value from
    /// before.
    statements: u64,
    /// Whether the newest row was part of such a statement.
    states: bool,
    /// The newest row that stands for values left out.
    recovered: i64,
}

impl Judge {
    pub(super) fn new(truth: Vec<MatchTruth>) -> Judge {
        let mut judge = Judge { matches: HashMap::new(), report: OddsReport::default() };
        for MatchTruth { id, begun, over, courses, states_dropped } in truth {
            judge.report.states_dropped += states_dropped;
            let mut by_key = HashMap::with_capacity(courses.len());
            let mut selections_of: HashMap<String, Vec<usize>> = HashMap::new();
            for (place, course) in courses.iter().enumerate() {
                by_key.insert(course.selection.as_ref().unwrap_or(&course.market).clone(), place);
                if course.selection.is_some() {
                    selections_of.entry(course.market.clone()).or_default().push(place);
                }
            }
            let tracks = courses.into_iter().map(Track::new).collect();
            let (gaps, statements, states, recovered) = (Vec::new(), 0, false, 0);
            let judged =
                Judged { begun, over, gaps, tracks, by_key, selections_of, statements, states, recovered };
            judge.matches.insert(id, judged);
        }
        judge
    }

    /// A match was not followed between two seconds. All gaps come before the first row.
    pub(super) fn gap(&mut self, id: &str, from: i64, to: i64) {
        if let Some(judged) = self.matches.get_mut(id) {
            judged.gaps.push((from, to));
        }
    }

    /// Takes the next row.
    pub(super) fn row(&mut self, row: &Row<'_>) {
        self.report.rows += 1;
        self.report.recovered += u64::from(row.recovered);
        let Some(judged) = self.matches.get_mut(row.id) else {
            return self.report.doubles(|| format!("row {}: match {} never was", row.seq, row.id));
        };
        if !judged.begun {
            return;
        }
        let place = judged.by_key.get(row.selection.unwrap_or(row.market));
        let track = place.and_then(|place| judged.tracks.get_mut(*place));
        let Some(track) = track.filter(|track| track.is_of(row)) else {
            return self.report.doubles(|| {
                format!(
                    "row {}: {} {} {} never was",
                    row.seq,
                    row.id,
                    row.market,
                    row.selection.unwrap_or_default()
                )
            });
        };
        let is_stated = row.kind == Kind::Base && row.recovered;
        if is_stated && (!judged.states || track.is_in(judged.statements)) {
            judged.statements += 1;
        }
        judged.states = is_stated;
        if row.recovered {
            judged.recovered = row.seq;
        }
        let before = track.is_wrong();
        track.row(row, &judged.gaps, judged.statements);
        if let Some(wrong) = track.wrong().filter(|_| !before) {
            self.report.wrong(row.id, track, wrong);
        }
        let closed_at = track.newest_at();
        if row.kind == Kind::MarketClose {
            for place in judged.selections_of.get(row.market).into_iter().flatten() {
                let Some(track) = judged.tracks.get_mut(*place).filter(|track| !track.is_wrong()) else {
                    continue;
                };
                track.market_closed(row, closed_at, &judged.gaps);
                if let Some(wrong) = track.wrong() {
                    self.report.wrong(row.id, track, wrong);
                }
            }
        }
    }

    /// Something could not be read.
    pub(super) fn unreadable(&mut self, error: &super::hours::HoursError) {
        self.report.differs(|| error.to_string());
    }

    /// After the last row.
    pub(super) fn finish(mut self) -> OddsReport {
        for (id, judged) in &mut self.matches {
            self.report.matches += usize::from(!judged.tracks.is_empty());
            for track in &mut judged.tracks {
                let before = track.is_wrong();
                track.finish(&judged.gaps, judged.over, judged.statements, judged.recovered);
                self.report.add(track);
                if let Some(wrong) = track.wrong().filter(|_| !before) {
                    self.report.wrong(id, track, wrong);
                }
            }
        }
        self.report
    }
}
