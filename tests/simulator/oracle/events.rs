//! The recorder's events against what happened, match by match.
//!
//! Outside gaps the events of registers, and those of flips, must be the same sequences: type, side and what of the
//! payload names the happening. Across gaps the path is lost: there only the live (not retracted) counts are compared.
//! A retraction of what happened before the first load may be told or not; such rows are passed over.

use crate::model::ledger::{Counter, Happening, Ledger, What};
use crate::model::world::World;
use crate::truth::tell::{self, Told};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use touchline_common::model::Side;

/// Differences that are told; the others are only counted.
const TOLD: usize = 40;
/// Seconds by which a displayed clock may differ.
const CLOCK: i64 = 2;

/// The recorder's events against what happened.
#[derive(Clone, Debug, Default)]
pub struct EventsReport {
    /// Matches compared.
    pub matches: usize,
    /// Events of registers that agreed.
    pub registers: u64,
    /// Events of flips that agreed.
    pub flips: u64,
    /// Flips that were not compared, because the oldest are not kept.
    pub flips_dropped: u64,
    /// Matches with a gap, of which only the net result is compared.
    pub with_gaps: usize,
    /// What does not agree, a line each; bounded.
    pub differences: Vec<String>,
    /// How many differences there are in all.
    pub different: u64,
    /// How many of them are too much: told twice, or never happened.
    pub doubled: u64,
}

impl EventsReport {
    /// Whether all is as it should be.
    pub fn is_equal(&self) -> bool {
        self.different == 0
    }

    fn doubles(&mut self, text: impl FnOnce() -> String) {
        self.doubled += 1;
        self.differs(text);
    }

    fn differs(&mut self, text: impl FnOnce() -> String) {
        self.different += 1;
        if self.differences.len() < TOLD {
            self.differences.push(text());
        }
    }
}

/// The rows of one match.
#[derive(Default)]
struct Rows<'a> {
    registers: Vec<&'a Value>,
    flips: Vec<&'a Value>,
    ids: HashMap<&'a str, &'a Value>,
    gaps: bool,
}

pub(super) fn compare<'a>(world: &World, rows: impl IntoIterator<Item = &'a Value>) -> EventsReport {
    let mut report = EventsReport::default();
    let by_match = sorted(rows, &mut report);
    for (id, _) in
        by_match.iter().filter(|(id, _)| world.find(id).is_none() && !world.gone.contains_key(**id))
    {
        report.doubles(|| format!("{id}: events of a match that never was"));
    }
    let live = world.matches.iter().map(|(_, m)| (&m.ident, &m.ledger));
    let gone = world.gone.values().map(|gone| (&gone.ident, &gone.ledger));
    for (ident, ledger) in live.chain(gone).filter(|(_, ledger)| ledger.begun) {
        report.matches += 1;
        let empty = Rows::default();
        let rows = by_match.get(ident.id.as_str()).unwrap_or(&empty);
        if rows.gaps {
            report.with_gaps += 1;
            net(&ident.id, ledger, rows, &mut report);
            continue;
        }
        let tell = |happening: &Happening| tell::told(ident, ledger, happening);
        let agreed =
            sequence(&ident.id, &mut ledger.registers.iter().map(tell), &rows.registers, rows, &mut report);
        report.registers += agreed;
        // Where the oldest flips are not kept, the newest are compared.
        let skip =
            if ledger.flips_dropped > 0 { rows.flips.len().saturating_sub(ledger.flips.len()) } else { 0 };
        report.flips_dropped += ledger.flips_dropped;
        let kept = rows.flips.get(skip..).unwrap_or_default();
        report.flips += sequence(&ident.id, &mut ledger.flips.iter().map(tell), kept, rows, &mut report);
    }
    report
}

fn sorted<'a>(
    rows: impl IntoIterator<Item = &'a Value>,
    report: &mut EventsReport,
) -> BTreeMap<&'a str, Rows<'a>> {
    let mut all: BTreeMap<&str, Rows<'_>> = BTreeMap::new();
    for row in rows {
        let rows = all.entry(text(row, "match")).or_default();
        if row.get("recovered").and_then(Value::as_bool) == Some(true) {
            rows.gaps = true;
        }
        // A revision tells details of what was told before; it is no new happening.
        if row.get("revision").and_then(Value::as_i64).unwrap_or(0) > 0 {
            continue;
        }
        let id = text(row, "id");
        if !id.is_empty() && rows.ids.insert(id, row).is_some() {
            report.doubles(|| format!("{}: id {id} is there twice", text(row, "match")));
        }
        match text(row, "type") {
            "gap_start" | "gap_end" => rows.gaps = true,
            "odds_change" | "market_open" | "market_close" | "comment" | "stat_change" => {
                rows.flips.push(row);
            }
            "suspended" | "resumed" if row.pointer("/payload/market").is_some() => rows.flips.push(row),
            _ => rows.registers.push(row),
        }
    }
    all
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or("")
}

/// Compares in step; stops at the first difference, for everything after it would differ too.
fn sequence(
    id: &str,
    expected: &mut dyn Iterator<Item = Told>,
    rows: &[&Value],
    all: &Rows<'_>,
    report: &mut EventsReport,
) -> u64 {
    let mut agreed = 0;
    let unknown =
        |row: &&Value| text(row, "type") == "retract" && !all.ids.contains_key(text(row, "retracts"));
    let mut rows = rows.iter().copied().filter(|row| !unknown(row));
    loop {
        match (expected.next(), rows.next()) {
            (None, None) => return agreed,
            (Some(told), None) => {
                let more = expected.count();
                report.differs(|| format!("{id}: missing: {told} (and {more} after it)"));
                return agreed;
            }
            (None, Some(row)) => {
                let more = rows.count();
                report.doubles(|| format!("{id}: did not happen: {} (and {more} after it)", shown(row)));
                return agreed;
            }
            (Some(told), Some(row)) => {
                if let Some(why) = different(&told, row, all) {
                    report.differs(|| {
                        format!("{id}: after {agreed} that agree, expected {told}, got {}: {why}", shown(row))
                    });
                    return agreed;
                }
                agreed += 1;
            }
        }
    }
}

/// Why a row is not what happened; none if it is.
fn different(told: &Told, row: &Value, all: &Rows<'_>) -> Option<&'static str> {
    if text(row, "type") != told.kind {
        return Some("type");
    }
    let side = told.side.map_or("", Side::as_str);
    if told.side_matters() && text(row, "side") != side {
        return Some("side");
    }
    for (key, value) in &told.payload {
        match row.get("payload").and_then(|payload| payload.get(key)) {
            Some(got) if got != value => return Some("payload"),
            None if told.needs(key) => return Some("payload"),
            Some(_) | None => {}
        }
    }
    if let (Some(after), Some(side)) = (told.score, told.side)
        && let Some(got) =
            row.pointer("/score").and_then(|score| score.get(side.as_str())).and_then(Value::as_i64)
        && got != i64::from(after)
    {
        return Some("score");
    }
    if let Some(target) = &told.target {
        let row = all.ids.get(text(row, "retracts"))?;
        if text(row, "type") != target.kind || text(row, "side") != target.side.map_or("", Side::as_str) {
            return Some("what it takes back");
        }
    }
    let minute = row.get("minute").and_then(Value::as_i64);
    let second = row.get("second").and_then(Value::as_i64);
    match (told.clock, minute) {
        (Some(clock), Some(minute)) => {
            let shown = minute * 60 + second.unwrap_or(0);
            ((shown - i64::from(clock)).abs() > CLOCK).then_some("clock")
        }
        (None, Some(_)) => Some("clock"),
        (Some(_) | None, None) => None,
    }
}

/// What stands in the end: each counter's live happenings, by side.
fn net(id: &str, ledger: &Ledger, rows: &Rows<'_>, report: &mut EventsReport) {
    let mut expected: BTreeMap<(String, &str), i64> = BTreeMap::new();
    for happening in &ledger.registers {
        match &happening.what {
            What::Count { counter, side, .. } if *counter != Counter::Score => {
                *expected.entry((name(*counter), side.as_str())).or_default() += 1;
            }
            What::Set { side, .. } => *expected.entry(("set".to_owned(), side.as_str())).or_default() += 1,
            What::Game { side, .. } => *expected.entry(("game".to_owned(), side.as_str())).or_default() += 1,
            What::Ended => *expected.entry(("match_ended".to_owned(), "")).or_default() += 1,
            What::Retract { n } => {
                if let Some(What::Count { counter, side, .. }) =
                    ledger.register(*n).map(|target| &target.what)
                    && *counter != Counter::Score
                {
                    *expected.entry((name(*counter), side.as_str())).or_default() -= 1;
                }
            }
            What::Listed
            | What::Started
            | What::PeriodStart(_)
            | What::PeriodEnd(_)
            | What::Count { .. }
            | What::Point { .. }
            | What::Suspended(_)
            | What::Odds { .. }
            | What::SelectionSuspended { .. }
            | What::MarketSuspended { .. }
            | What::MarketOpen { .. }
            | What::MarketClose { .. }
            | What::Comment(_)
            | What::Stat { .. } => {}
        }
    }
    let retracted: HashSet<&str> = rows.registers.iter().map(|row| text(row, "retracts")).collect();
    let mut got: BTreeMap<(String, &str), i64> = BTreeMap::new();
    for row in rows.registers.iter().filter(|row| !retracted.contains(text(row, "id"))) {
        let kind = match text(row, "type") {
            "card" => {
                format!("{} card", row.pointer("/payload/color").and_then(Value::as_str).unwrap_or("?"))
            }
            kind @ ("goal" | "corner" | "penalty" | "substitution" | "wicket" | "set" | "game"
            | "match_ended") => kind.to_owned(),
            _ => continue,
        };
        *got.entry((kind, text(row, "side"))).or_default() += 1;
    }
    let keys: HashSet<_> = expected.keys().chain(got.keys()).cloned().collect();
    for key in keys {
        let (expected, got) = (expected.get(&key).copied().unwrap_or(0), got.get(&key).copied().unwrap_or(0));
        if expected == got {
            report.registers += u64::try_from(got).unwrap_or(0);
        } else {
            let told =
                || format!("{id}: across gaps, live {} {}: expected {expected}, got {got}", key.0, key.1);
            if got > expected {
                report.doubles(told);
            } else {
                report.differs(told);
            }
        }
    }
}

fn name(counter: Counter) -> String {
    match counter {
        Counter::YellowCard => "yellow card".to_owned(),
        Counter::RedCard => "red card".to_owned(),
        Counter::Goal
        | Counter::Corner
        | Counter::Penalty
        | Counter::Substitution
        | Counter::Wicket
        | Counter::Score => counter.event().to_owned(),
    }
}

fn shown(row: &Value) -> String {
    let part =
        |key: &str| row.get(key).filter(|value| !value.is_null()).map(|value| format!(" {key}={value}"));
    let parts = ["side", "minute", "second", "payload", "score"].into_iter().filter_map(part);
    format!(
        "{} seq={}{}",
        text(row, "type"),
        row.get("seq").unwrap_or(&Value::Null),
        parts.collect::<String>()
    )
}
