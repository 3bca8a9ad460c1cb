//! The recorder's events against what happened, match by match.
//!
//! Outside gaps the events of registers, and those of commentary (comments and statistics), must be the same sequences: type,
//! side and what of the payload names the happening (`segments`). Across gaps the path is lost: there the live (not retracted)
//! counts are compared, and commentary may be missing. A retraction of what happened before the first load may be there or
//! not; such rows are passed over. Prices are judged by `odds`: a row of one here is an event that never happened.

use super::Upheaval;
use super::segments::{Of, Segment, Segments, lay};
use crate::model::ledger::{Counter, Happening, Ledger, What};
use crate::model::state::Ident;
use crate::model::world::World;
use crate::truth::expected::{Expected, expected};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use touchline_common::model::Side;

/// Differences that are described; the others are only counted.
const DESCRIBED: usize = 40;
/// Seconds by which a displayed clock may differ.
const CLOCK: i64 = 2;

/// The recorder's events against what happened.
#[derive(Clone, Debug, Default)]
pub struct EventsReport {
    /// Matches compared.
    pub matches: usize,
    /// Events of registers that agreed.
    pub registers: u64,
    /// Comments and statistics that agreed.
    pub commentary: u64,
    /// Those that were not compared, because the oldest are not kept.
    pub commentary_dropped: u64,
    /// Matches with a gap, in which only the net result is compared.
    pub with_gaps: usize,
    /// Matches whose end was not seen.
    pub ended_unseen: usize,
    /// Matches whose first load was lost with the process that took it, and what happened before the next one with it.
    pub first_loads_lost: usize,
    /// What does not agree, a line each; bounded.
    pub differences: Vec<String>,
    /// How many differences there are in all.
    pub different: u64,
    /// How many of them are too much: there twice, or never happened.
    pub doubled: u64,
}

impl EventsReport {
    /// Whether all is as it should be.
    pub fn is_equal(&self) -> bool {
        self.different == 0
    }

    /// Adds what was found of other matches.
    pub(super) fn add(&mut self, other: EventsReport) {
        self.matches += other.matches;
        self.registers += other.registers;
        self.commentary += other.commentary;
        self.commentary_dropped += other.commentary_dropped;
        self.with_gaps += other.with_gaps;
        self.ended_unseen += other.ended_unseen;
        self.first_loads_lost += other.first_loads_lost;
        self.different += other.different;
        self.doubled += other.doubled;
        let room = DESCRIBED.saturating_sub(self.differences.len());
        self.differences.extend(other.differences.into_iter().take(room));
    }

    pub(super) fn doubles(&mut self, text: impl FnOnce() -> String) {
        self.doubled += 1;
        self.differs(text);
    }

    fn differs(&mut self, text: impl FnOnce() -> String) {
        self.different += 1;
        if self.differences.len() < DESCRIBED {
            self.differences.push(text());
        }
    }
}

/// The rows of one match.
#[derive(Default)]
struct Rows<'a> {
    registers: Vec<&'a Value>,
    commentary: Vec<&'a Value>,
    ids: HashMap<&'a str, &'a Value>,
    gaps: bool,
    /// All of them, gaps among them, in their order.
    all: Vec<&'a Value>,
}

impl<'a> Rows<'a> {
    /// Of a match that left without a word of its end since its first load: it has ended all the same.
    fn without_end(&self) -> Rows<'a> {
        let stays = |row: &&&Value| text(row, "type") != "match_ended";
        Rows {
            registers: self.registers.iter().filter(stays).copied().collect(),
            commentary: self.commentary.clone(),
            ids: self.ids.clone(),
            gaps: self.gaps,
            all: self.all.iter().filter(stays).copied().collect(),
        }
    }
}

pub(super) fn compare<'a>(
    world: &World,
    rows: impl IntoIterator<Item = &'a Value>,
    upheavals: &[Upheaval],
) -> EventsReport {
    let mut report = EventsReport::default();
    let by_match = sorted(rows, &mut report);
    for (id, _) in by_match.iter().filter(|(id, _)| !is_known(world, id)) {
        report.doubles(|| format!("{id}: events of a match that never was"));
    }
    for (ident, ledger) in begun(world) {
        let empty = Rows::default();
        let rows = by_match.get(ident.id.as_str()).unwrap_or(&empty);
        report.add(across(world, (ident, ledger), rows, upheavals));
    }
    report
}

/// As [`compare`], with the rows of each match when its turn comes.
pub(super) fn compare_each(
    world: &World,
    mut rows_of: impl FnMut(&str) -> Vec<Value>,
    upheavals: &[Upheaval],
) -> EventsReport {
    let mut report = EventsReport::default();
    for (ident, ledger) in begun(world) {
        let values = rows_of(&ident.id);
        let rows = sorted(&values, &mut report).remove(ident.id.as_str()).unwrap_or_default();
        report.add(across(world, (ident, ledger), &rows, upheavals));
    }
    report
}

/// Every match whose first load was sent.
fn begun(world: &World) -> impl Iterator<Item = (&Ident, &Ledger)> {
    all(world).filter(|(_, ledger)| ledger.begun)
}

/// How many comments and statistics of a match are kept.
pub(super) fn commentary_kept(world: &World) -> usize {
    all(world).map(|(_, ledger)| ledger.commentary_kept()).max().unwrap_or(0)
}

/// Whether there is or was such a match.
pub(super) fn is_known(world: &World, id: &str) -> bool {
    world.find(id).is_some() || world.gone.contains_key(id)
}

pub(super) fn all(world: &World) -> impl Iterator<Item = (&Ident, &Ledger)> {
    let live = world.matches.iter().map(|(_, m)| (&m.ident, &m.ledger));
    live.chain(world.gone.values().map(|gone| (&gone.ident, &gone.ledger)))
}

/// A match whose first load an upheaval took along is compared from the next one on.
fn across(
    world: &World,
    (ident, ledger): (&Ident, &Ledger),
    rows: &Rows<'_>,
    upheavals: &[Upheaval],
) -> EventsReport {
    let over = world.gone.contains_key(ident.id.as_str());
    let has_end = ledger.registers.iter().any(|happening| matches!(happening.what, What::Ended));
    let without_end;
    let rows = if over && !has_end {
        without_end = rows.without_end();
        &without_end
    } else {
        rows
    };
    let found = compare_match(ident, ledger, rows, over, None);
    let Some(unseen_start) = unseen_start(ledger, rows, upheavals).filter(|_| !found.is_equal()) else {
        return found;
    };
    let again = compare_match(ident, ledger, rows, over, Some(unseen_start));
    if again.is_equal() { EventsReport { first_loads_lost: 1, ..again } } else { found }
}

/// One match, which is `over` or not. Between the two seconds of `unseen_start` no process followed it.
fn compare_match(
    ident: &Ident,
    ledger: &Ledger,
    rows: &Rows<'_>,
    over: bool,
    unseen_start: Option<(i64, i64)>,
) -> EventsReport {
    let mut report = EventsReport { matches: 1, ..EventsReport::default() };
    if rows.gaps || unseen_start.is_some() {
        report.with_gaps += usize::from(rows.gaps);
        let followed_from = unseen_start.map_or(i64::MIN, |(_, to)| to);
        net(&ident.id, ledger, rows, (followed_from, unseen_since(rows).filter(|_| over)), &mut report);
        report.registers += stretches(Of::Registers, ident, ledger, rows, unseen_start, &mut report);
        report.commentary += stretches(Of::Commentary, ident, ledger, rows, unseen_start, &mut report);
        return report;
    }
    let expected_of = |happening: &Happening| expected(ledger, happening);
    let agreed = sequence(
        &ident.id,
        &mut ledger.registers.iter().map(expected_of),
        &rows.registers,
        rows,
        &mut report,
    );
    report.registers += agreed;
    // Where the oldest are not kept, the newest are compared.
    let skip = if ledger.commentary_dropped > 0 {
        rows.commentary.len().saturating_sub(ledger.commentary.len())
    } else {
        0
    };
    report.commentary_dropped += ledger.commentary_dropped;
    let kept = rows.commentary.get(skip..).unwrap_or_default();
    report.commentary +=
        sequence(&ident.id, &mut ledger.commentary.iter().map(expected_of), kept, rows, &mut report);
    report
}

/// From the first load that was sent of a match to the first event of it, where one upheaval has both.
fn unseen_start(ledger: &Ledger, rows: &Rows<'_>, upheavals: &[Upheaval]) -> Option<(i64, i64)> {
    let (sent, first) = (ledger.registers.first()?.at, seconds(rows.all.first()?));
    let has_both =
        |one: &Upheaval| (one.from..=one.to).contains(&sent) && (one.from..=one.to).contains(&first);
    upheavals.iter().any(has_both).then_some((sent, first))
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
        // A revision changes details of an event; it is no new happening.
        if row.get("revision").and_then(Value::as_i64).unwrap_or(0) > 0 {
            continue;
        }
        let id = text(row, "id");
        if !id.is_empty() && rows.ids.insert(id, row).is_some() {
            report.doubles(|| format!("{}: id {id} is there twice", text(row, "match")));
        }
        rows.all.push(row);
        match kind(row) {
            Kind::GapStart | Kind::GapEnd => rows.gaps = true,
            Kind::Commentary => rows.commentary.push(row),
            Kind::Register => rows.registers.push(row),
        }
    }
    all
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    GapStart,
    GapEnd,
    Commentary,
    Register,
}

fn kind(row: &Value) -> Kind {
    match text(row, "type") {
        "gap_start" => Kind::GapStart,
        "gap_end" => Kind::GapEnd,
        kind if is_commentary(kind) => Kind::Commentary,
        _ => Kind::Register,
    }
}

/// Whether events of this type are commentary: comments and statistics, which no register stands for.
pub(super) fn is_commentary(kind: &str) -> bool {
    matches!(kind, "comment" | "stat_change")
}

/// When a row was read, in seconds since 1970.
pub(super) fn seconds(row: &Value) -> i64 {
    text(row, "at").parse().map_or(0, jiff::Timestamp::as_second)
}

/// When the gap began with which a match's rows end: its end was not seen, unless nothing happened after that gap.
fn unseen_since(rows: &Rows<'_>) -> Option<i64> {
    rows.all.last().filter(|row| matches!(kind(row), Kind::GapStart | Kind::GapEnd))?;
    let start = rows.all.iter().rev().find(|row| kind(row) == Kind::GapStart)?;
    Some(seconds(start))
}

/// Holds the stretches between gaps against what happened; how many agree.
fn stretches(
    of: Of,
    ident: &Ident,
    ledger: &Ledger,
    rows: &Rows<'_>,
    unseen_start: Option<(i64, i64)>,
    report: &mut EventsReport,
) -> u64 {
    let happened: Vec<&Happening> = match of {
        Of::Registers => {
            ledger.registers.iter().filter(|one| !takes_back_unseen(one, ledger, unseen_start)).collect()
        }
        Of::Commentary => ledger.commentary.iter().collect(),
    };
    let wanted = if of == Of::Registers { Kind::Register } else { Kind::Commentary };
    // The oldest are not kept: rows of their time are passed over.
    let dropped = of == Of::Commentary && ledger.commentary_dropped > 0;
    let kept_from = happened.first().filter(|_| dropped).map(|first| first.at + 3);
    if dropped {
        report.commentary_dropped += ledger.commentary_dropped;
    }
    let mut segments = Segments::new(of);
    if let Some((from, to)) = kept_from.map(|from| (i64::MIN / 2, from)).or(unseen_start) {
        segments.gap_starts(from);
        segments.gap_ends(to);
    }
    let unknown =
        |row: &Value| text(row, "type") == "retract" && !rows.ids.contains_key(text(row, "retracts"));
    let kept = |row: &Value| kept_from.is_none_or(|from| seconds(row) > from);
    for row in rows.all.iter().copied() {
        let recovered = row.get("recovered").and_then(Value::as_bool) == Some(true);
        match kind(row) {
            Kind::GapStart => segments.gap_starts(seconds(row)),
            Kind::GapEnd => segments.gap_ends(seconds(row)),
            kind if kind == wanted && kept(row) && !unknown(row) => {
                segments.row(row, seconds(row), recovered);
            }
            Kind::Commentary | Kind::Register => {}
        }
    }
    let segments = segments.finish();
    let times: Vec<i64> = happened.iter().map(|one| one.at).collect();
    let mut same = |n: usize, row: &Value| {
        happened.get(n).is_some_and(|one| different(&expected(ledger, one), row, rows).is_none())
    };
    match lay(&segments, &times, &mut same) {
        Ok(agreed) => agreed as u64,
        Err(wrong) => {
            let expected = happened.get(wrong.happened).map_or("nothing more".to_owned(), |one| {
                format!("{} (at {})", expected(ledger, one), one.at)
            });
            let (n, place) = wrong.row;
            let row = segments.get(n).and_then(|segment: &Segment<'_>| segment.rows.get(place));
            let got =
                row.map_or("nothing more".to_owned(), |row| format!("{} (at {})", shown(row), seconds(row)));
            let missed = segments.get(n).map(|segment| segment.missed.clone()).unwrap_or_default();
            report.differs(|| {
                format!("{}: outside gaps, after {place} that agree, expected {expected}, got {got}; stretch {n}, missed {missed:?}", ident.id)
            });
            0
        }
    }
}

/// What was not seen was taken back later: that is no event.
fn takes_back_unseen(one: &Happening, ledger: &Ledger, unseen_start: Option<(i64, i64)>) -> bool {
    let (What::Retract { n }, Some((_, followed_from))) = (&one.what, unseen_start) else { return false };
    ledger.register(*n).is_some_and(|target| target.at <= followed_from)
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or("")
}

/// Compares in step; stops at the first difference, for everything after it would differ too.
fn sequence(
    id: &str,
    happened: &mut dyn Iterator<Item = Expected>,
    rows: &[&Value],
    all: &Rows<'_>,
    report: &mut EventsReport,
) -> u64 {
    let mut agreed = 0;
    let unknown =
        |row: &&Value| text(row, "type") == "retract" && !all.ids.contains_key(text(row, "retracts"));
    let mut rows = rows.iter().copied().filter(|row| !unknown(row));
    loop {
        match (happened.next(), rows.next()) {
            (None, None) => return agreed,
            (Some(expected), None) => {
                let more = happened.count();
                report.differs(|| format!("{id}: missing: {expected} (and {more} after it)"));
                return agreed;
            }
            (None, Some(row)) => {
                let more = rows.count();
                report.doubles(|| format!("{id}: did not happen: {} (and {more} after it)", shown(row)));
                return agreed;
            }
            (Some(expected), Some(row)) => {
                if let Some(why) = different(&expected, row, all) {
                    report.differs(|| {
                        format!(
                            "{id}: after {agreed} that agree, expected {expected}, got {}: {why}",
                            shown(row)
                        )
                    });
                    return agreed;
                }
                agreed += 1;
            }
        }
    }
}

/// Why a row is not what happened; none if it is.
fn different(expected: &Expected, row: &Value, all: &Rows<'_>) -> Option<&'static str> {
    if text(row, "type") != expected.kind {
        return Some("type");
    }
    let side = expected.side.map_or("", Side::as_str);
    if expected.side_matters() && text(row, "side") != side {
        return Some("side");
    }
    for (key, value) in &expected.payload {
        match row.get("payload").and_then(|payload| payload.get(key)) {
            Some(got) if got != value => return Some("payload"),
            None if expected.needs(key) => return Some("payload"),
            Some(_) | None => {}
        }
    }
    if let (Some(after), Some(side)) = (expected.score, expected.side)
        && let Some(got) =
            row.pointer("/score").and_then(|score| score.get(side.as_str())).and_then(Value::as_i64)
        && got != i64::from(after)
    {
        return Some("score");
    }
    if let Some(target) = &expected.target {
        let row = all.ids.get(text(row, "retracts"))?;
        if text(row, "type") != target.kind || text(row, "side") != target.side.map_or("", Side::as_str) {
            return Some("what it takes back");
        }
    }
    let minute = row.get("minute").and_then(Value::as_i64);
    let second = row.get("second").and_then(Value::as_i64);
    match (expected.clock, minute) {
        (Some(clock), Some(minute)) => {
            let shown = minute * 60 + second.unwrap_or(0);
            ((shown - i64::from(clock)).abs() > CLOCK).then_some("clock")
        }
        (None, Some(_)) => Some("clock"),
        (Some(_) | None, None) => None,
    }
}

/// What stands in the end: each counter's live happenings, by side.
/// What happened before `followed_from`, when the match was not followed yet, or since `unseen`, when it was not any more, may be missing.
fn net(
    id: &str,
    ledger: &Ledger,
    rows: &Rows<'_>,
    (followed_from, unseen): (i64, Option<i64>),
    report: &mut EventsReport,
) {
    let all = counts(ledger, i64::MIN, i64::MAX);
    let until = unseen.map_or(i64::MAX, |since| since - 2);
    let is_whole = followed_from == i64::MIN && unseen.is_none();
    let seen = (!is_whole).then(|| counts(ledger, followed_from.saturating_add(2), until));
    report.ended_unseen += usize::from(unseen.is_some());
    let got = live_counts(rows);
    let regained = regained(ledger);
    let keys: HashSet<_> = all.keys().chain(got.keys()).cloned().collect();
    for key in keys {
        let of = |counts: &BTreeMap<(String, &str), i64>| counts.get(&key).copied().unwrap_or(0);
        let (expected, got) = (of(&all), of(&got));
        let known = seen.as_ref().map_or(expected, of);
        // A fall below the first load and the rise after it may both lie in a gap.
        let least = expected.min(known) - of(&regained);
        if (least..=expected.max(known)).contains(&got) {
            report.registers += u64::try_from(got).unwrap_or(0);
        } else {
            let difference =
                || format!("{id}: across gaps, live {} {}: expected {expected}, got {got}", key.0, key.1);
            if got > expected {
                report.doubles(difference);
            } else {
                report.differs(difference);
            }
        }
    }
}

/// How many only made good for a fall below the first load, of each counter and side.
fn regained(ledger: &Ledger) -> BTreeMap<(String, &'static str), i64> {
    let mut all: BTreeMap<(String, &str), i64> = BTreeMap::new();
    for happening in ledger.regained.iter().filter_map(|n| ledger.register(*n)) {
        if let What::Count { counter, side, .. } = &happening.what {
            *all.entry((name(*counter), side.as_str())).or_default() += 1;
        }
    }
    all
}

/// The live happenings after the one second and until the other, of each counter and side.
fn counts(ledger: &Ledger, after: i64, until: i64) -> BTreeMap<(String, &'static str), i64> {
    let mut expected: BTreeMap<(String, &str), i64> = BTreeMap::new();
    let within = |happening: &&Happening| after < happening.at && happening.at <= until;
    for happening in ledger.registers.iter().filter(within) {
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
            | What::Comment(_)
            | What::Stat { .. } => {}
        }
    }
    expected
}

/// The live events, of each counter and side.
fn live_counts<'a>(rows: &Rows<'a>) -> BTreeMap<(String, &'a str), i64> {
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
    got
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
