//! Incidents through identity, order and lanes: the pure ledger in memory, one thread, its own time.
//!
//! One in eight comes a little late, one in 64 behind the window that waits for it, one in ten twice; every other has an
//! id of its source. A run counts only if each happening became one event. Over many matches 250 take turns, as live ones
//! do; in one match there are at most as many as a ledger keeps.

use crate::effort::Effort;
use crate::error::{BenchError, While};
use crate::report::{Figure, Limit, Measured};
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use touchline_common::model::{Epoch, Facts, Generation, Register, Registers, Scoring, Side, SlotId};
use touchline_worker::record::ledger::incidents::{
    Bounds, Incident, Listing, Ordering, StatedClock, Statement,
};
use touchline_worker::record::ledger::{EventType, Input, Lane, Ledger, Outcome, Report, Source};

const RUNS: usize = 3;
/// Over many matches.
const COUNTS: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// In one match.
const IN_ONE: [usize; 3] = [1_000, 10_000, BOUNDS.most];
/// Matches that take turns,
const LIVE: usize = 250;
/// with so many incidents each.
const OF_A_MATCH: usize = 100;
/// The fewest incidents that are timed at once: a smaller run is repeated.
const TIMED: usize = 100_000;
const PER_S: f64 = 300e3;
/// What counts as flat: caches and the depth of maps have a part, a scan of what is known would make it 20.
const FLAT: Limit = Limit::AtMost(2.0);
const BOUNDS: Bounds = Bounds::DEFAULT;
const WINDOW: Ordering = Ordering::ByClock { held: BOUNDS.held, wait: BOUNDS.wait };
const SETTLE: Duration = Duration::from_secs(2);
/// How much later a few come: within the window, and behind it.
const LATE: usize = 5;
const TOO_LATE: usize = 40;
const KINDS: [EventType; 8] = [
    EventType::Goal,
    EventType::Foul,
    EventType::Shot,
    EventType::ThrowIn,
    EventType::Corner,
    EventType::Shot,
    EventType::Foul,
    EventType::Card,
];

/// The row.
///
/// # Errors
/// [`BenchError`]: an incident was lost or told twice.
pub fn measure(effort: Effort) -> Result<Measured, BenchError> {
    let one: Vec<Vec<Incident>> = IN_ONE.iter().map(|count| stated(*count)).collect();
    let each = stated(OF_A_MATCH);
    let (mut many, mut alone) = (vec![Vec::new(); COUNTS.len()], vec![Vec::new(); IN_ONE.len()]);
    // In turn, so that whatever else runs on the machine hurts all alike.
    for _ in 0..effort.rounds(RUNS) {
        for (count, costs) in COUNTS.iter().zip(&mut many) {
            costs.push(repeated(*count, || over_many(*count, &each))?);
        }
        for ((count, incidents), costs) in IN_ONE.iter().zip(&one).zip(&mut alone) {
            costs.push(repeated(*count, || in_matches(1, *count, incidents))?);
        }
    }
    Ok(Measured { figures: figures(&many, &alone), notes: notes() })
}

fn figures(many: &[Vec<f64>], alone: &[Vec<f64>]) -> Vec<Figure> {
    let mut figures = Vec::new();
    if let ([first, .., last], [first_alone, .., last_alone]) = (many, alone) {
        let rates: Vec<f64> = last.iter().map(|cost| 1e9 / cost).collect();
        let asked = vec![PER_S; rates.len()];
        figures = vec![
            Figure::ratio("300,000 a second / incidents", Limit::AtMost(1.0), &asked, &rates),
            Figure::ratio("over many matches, one of 1,000,000 / one of 1,000", FLAT, last, first),
            Figure::ratio("in one match, one of 20,000 / one of 1,000", FLAT, last_alone, first_alone),
            Figure::new("incidents", "1/s", Limit::None, rates),
        ];
    }
    let costs = |over: &str, counts: &[usize], costs: &[Vec<f64>]| -> Vec<Figure> {
        let one = |(count, costs): (&usize, &Vec<f64>)| {
            Figure::new(format!("one of {count} {over}"), "ns", Limit::None, costs.clone())
        };
        counts.iter().zip(costs).map(one).collect()
    };
    figures.extend(costs("over many matches", &COUNTS, many));
    figures.extend(costs("in one match", &IN_ONE, alone));
    figures
}

fn notes() -> Vec<String> {
    let matches = format!(
        "many matches: {OF_A_MATCH} incidents each, {LIVE} of them take turns; a match keeps at most {}",
        BOUNDS.most
    );
    vec![
        matches,
        "the ledger alone, the thread's own time: decoding, rows and commits are not in it; a copy is not counted as an incident".into(),
    ]
}

/// Nanoseconds for one incident; `run` gives the time of one run of `count`.
fn repeated(count: usize, run: impl Fn() -> Result<Duration, BenchError>) -> Result<f64, BenchError> {
    let times = TIMED.div_ceil(count);
    let mut all = Duration::ZERO;
    for _ in 0..times {
        all += run()?;
    }
    Ok(all.as_secs_f64() * 1e9 / (times * count) as f64)
}

fn over_many(count: usize, incidents: &[Incident]) -> Result<Duration, BenchError> {
    let (mut left, mut all) = (count.div_ceil(OF_A_MATCH), Duration::ZERO);
    while left > 0 {
        let matches = left.min(LIVE);
        all += in_matches(matches, OF_A_MATCH, incidents)?;
        left -= matches;
    }
    Ok(all)
}

/// So many incidents in each of so many matches, again and again; how many happenings that were.
///
/// # Errors
/// [`BenchError`]: an incident was lost or told twice.
pub fn again(matches: usize, count: usize, times: usize) -> Result<usize, BenchError> {
    let incidents = stated(count);
    (0..times).try_for_each(|_| in_matches(matches, count, &incidents).map(|_| ()))?;
    Ok(times * matches * count)
}

/// The same incidents in each of so many matches, in turn; `count` of them are happenings.
fn in_matches(matches: usize, count: usize, incidents: &[Incident]) -> Result<Duration, BenchError> {
    let now = Instant::now();
    let mut out = Outcome::default();
    let mut ledgers: Vec<Ledger> = (0..matches).map(|number| followed(number, now, &mut out)).collect();
    out.events.clear();
    let mut lanes = Lanes::default();
    let began = thread_time()?;
    for incident in incidents {
        for ledger in &mut ledgers {
            let statement = Statement {
                listing: Listing::Single,
                ordering: WINDOW,
                most: BOUNDS.most,
                incidents: std::slice::from_ref(incident),
                deleted: &[],
                unknown: 0,
            };
            ledger.advance(&Input::Incidents { report: report(), statement }, now, &mut out);
            lanes.take(&mut out);
        }
    }
    for ledger in &mut ledgers {
        ledger.advance(&Input::Tick { at: 3 }, now + Duration::from_secs(3), &mut out);
        lanes.take(&mut out);
    }
    let took = thread_time()?.saturating_sub(began);
    // Goals behind a late one are revised, so the rows are more.
    if lanes.happened == matches * count && out.lost == 0 {
        return Ok(took);
    }
    let what = format!("{} of {} in {matches} matches, {} lost", lanes.happened, matches * count, out.lost);
    Err(BenchError::new("telling each happening once", what))
}

/// A match that a worker follows; its registers tell nothing of what is stated.
fn followed(number: usize, now: Instant, out: &mut Outcome) -> Ledger {
    let mut ledger = Ledger::new("bench", &format!("{number}"), SETTLE);
    let facts = Facts { sport: Some("soccer".to_owned()), scoring: Scoring::Goals };
    let registers = Registers::from([(Register::Phase, 1)]);
    let source = Source { slot: SlotId(1), generation: Generation(1) };
    let base = Input::Base {
        report: report(),
        source,
        facts: &facts,
        teams: None,
        registers: &registers,
        values: &[],
    };
    ledger.advance(&base, now, out);
    ledger
}

fn report() -> Report {
    Report { n: 1, epoch: Epoch(1), clock: None, at: 2, version: 1 }
}

/// The events by lane, as the store counts them.
#[derive(Debug, Default)]
struct Lanes {
    happened: usize,
    priority: usize,
    normal: usize,
}

impl Lanes {
    fn take(&mut self, out: &mut Outcome) {
        for event in out.events.drain(..) {
            match event.lane {
                Lane::Priority => self.priority += 1,
                Lane::Normal => self.normal += 1,
            }
            if event.kind == EventType::Retract {
                self.happened = self.happened.saturating_sub(1);
            } else {
                self.happened += usize::from(event.revision == 0);
            }
            std::hint::black_box(event);
        }
        std::hint::black_box((self.priority, self.normal));
    }
}

/// So many happenings of a match as they come: some late, some twice.
fn stated(count: usize) -> Vec<Incident> {
    let place = |n: usize| match n {
        n if n % 64 == 63 => n + TOO_LATE,
        n if n % 8 == 7 => n + LATE,
        n => n,
    };
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|n| place(*n));
    let copies = |n: usize| if n % 10 == 9 { 2 } else { 1 };
    order.into_iter().flat_map(|n| std::iter::repeat_n(incident(n), copies(n))).collect()
}

fn incident(n: usize) -> Incident {
    // One in 32 is a goal, so that what follows from the order of goals is derived as often as in a match.
    let kind =
        KINDS.get(n % KINDS.len()).copied().filter(|kind| *kind != EventType::Goal || n.is_multiple_of(32));
    Incident {
        kind: kind.unwrap_or(EventType::ThrowIn),
        source_id: n.is_multiple_of(2).then(|| format!("id-{n}")),
        side: Some(if n.is_multiple_of(3) { Side::Home } else { Side::Away }),
        period: Some(1),
        clock: Some(StatedClock(u32::try_from(n).unwrap_or(u32::MAX))),
        feed_at: None,
        details: BTreeMap::from([("player".to_owned(), format!("Player {}", n % 22))]),
    }
}

fn thread_time() -> Result<Duration, BenchError> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).during("the thread's clock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_happening_is_one_event() {
        let incidents = stated(500);
        assert!(incidents.len() > 500, "some come twice");
        in_matches(3, 500, &incidents).unwrap();
    }
}
