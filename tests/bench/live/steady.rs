//! Three rows of the same load, 250 matches and 20,000 diffs/s, a write each: latency, events, processor time.
//!
//! Rounds of four runs each: the daemon with a reader of what it publishes (latency), the daemon as users have it
//! (events, processor time), the skeleton, the skeleton with a reader behind its sink. What reading costs the recorder
//! is the difference of the first two; what its hop adds to the time, that of the last two.

use super::pulse::{Pace, Plan};
use super::run::{Bare, Reader, Run, Span, Usage};
use super::site::{Documents, Setup};
use super::store::Goals;
use crate::effort::Effort;
use crate::error::BenchError;
use crate::payload::Shape;
use crate::report::{Figure, Limit, Measured, percentile};
use std::sync::OnceLock;
use std::time::Duration;

/// Matches of the live rows.
pub const MATCHES: usize = 250;
/// Diffs a second.
pub const RATE: u64 = 20_000;
const ROUNDS: usize = 3;
/// Nanoseconds.
const US: f64 = 1e3;
/// Nanoseconds.
const MS: f64 = 1e6;
const SPAN: Span = Span { warm: Duration::from_millis(1_500), measure: Duration::from_secs(4) };
/// As many as the daemon has with [`SETUP`]: 250 matches and the list.
pub const CONNECTIONS: usize = 6;

/// The daemon of the live rows.
pub const SETUP: Setup = Setup { cap: 50, workers: 8, feed: "", more: "", documents: Documents::Read };

/// The load of the live rows.
pub fn plan() -> Plan {
    Plan {
        matches: MATCHES,
        shape: Shape::of_bytes(30_000),
        pace: Pace::Each,
        service: Duration::from_millis(5),
    }
}

/// How late things were.
#[derive(Clone, Copy, Debug)]
struct Lateness {
    p50: f64,
    p99: f64,
    p999: f64,
    last: f64,
}

impl Lateness {
    /// `unit`: nanoseconds of a unit.
    fn of(samples: &mut [u64], unit: f64) -> Lateness {
        let [p50, p99, p999, last] = [0.5, 0.99, 0.999, 1.0].map(|share| percentile(samples, share) / unit);
        Lateness { p50, p99, p999, last }
    }
}

/// One round.
struct Round {
    /// Microseconds, as all of sections.
    sections: Lateness,
    server: Lateness,
    unseen: u64,
    /// What the recorder said of itself when no section arrived.
    complaint: Option<String>,
    read: Usage,
    /// Milliseconds, as all of goals.
    goals: Lateness,
    count: usize,
    plain: Usage,
    bare_sections: Lateness,
    /// With a reader behind the sink.
    behind_sections: Lateness,
    bare_goals: Lateness,
    bare: Usage,
}

/// The rounds, measured when the first of the rows is.
fn rounds(effort: Effort) -> Result<&'static [Round], BenchError> {
    static MEASURED: OnceLock<Result<Vec<Round>, BenchError>> = OnceLock::new();
    let measured = MEASURED.get_or_init(|| (0..effort.rounds(ROUNDS)).map(|_| round()).collect());
    measured.as_deref().map_err(|error| BenchError::new("measuring the daemon and the skeleton", error))
}

fn round() -> Result<Round, BenchError> {
    let run = Run::start(plan(), SETUP)?;
    let (mut samples, read) = run.measure(RATE, SPAN)?;
    let unseen = run.ledger.unseen();
    let complaint = if samples.sections.is_empty() { Some(run.site.recorder()?) } else { None };
    drop(run);
    let run = Run::start(plan(), Setup { documents: Documents::Unread, ..SETUP })?;
    let goals = Goals::watch(run.site.folder(), &run.ledger)?;
    let (mut with_goals, plain) = run.measure(RATE, SPAN)?;
    drop(goals);
    drop(run);
    if with_goals.events.is_empty() {
        return Err(BenchError::new("measuring", "no goal was found in the store"));
    }
    let (mut bare_samples, bare) = Bare::start(plan(), CONNECTIONS, Reader::Sink)?.measure(RATE, SPAN)?;
    let (mut behind, _) = Bare::start(plan(), CONNECTIONS, Reader::BehindSink)?.measure(RATE, SPAN)?;
    Ok(Round {
        sections: Lateness::of(&mut samples.sections, US),
        server: Lateness::of(&mut samples.lateness, US),
        unseen,
        complaint,
        read,
        count: with_goals.events.len(),
        goals: Lateness::of(&mut with_goals.events, MS),
        plain,
        bare_sections: Lateness::of(&mut bare_samples.sections, US),
        behind_sections: Lateness::of(&mut behind.sections, US),
        bare_goals: Lateness::of(&mut bare_samples.events, MS),
        bare,
    })
}

fn each(rounds: &[Round], take: impl Fn(&Round) -> f64) -> Vec<f64> {
    rounds.iter().map(take).collect()
}

/// From the server's write to the section at the recorder's reader.
///
/// # Errors
/// [`BenchError`].
pub fn latency_row(effort: Effort) -> Result<Measured, BenchError> {
    let rounds = rounds(effort)?;
    if let Some(complaint) = rounds.iter().find_map(|round| round.complaint.as_deref()) {
        return Err(BenchError::new("no section arrived; the recorder says", complaint));
    }
    let ours = |take: fn(&Lateness) -> f64| each(rounds, |round| take(&round.sections));
    let bare = |take: fn(&Lateness) -> f64| each(rounds, |round| take(&round.bare_sections));
    let (p50, p99, p999) =
        (|late: &Lateness| late.p50, |late: &Lateness| late.p99, |late: &Lateness| late.p999);
    let behind = |take: fn(&Lateness) -> f64| each(rounds, |round| take(&round.behind_sections));
    let extra = each(rounds, |round| 100.0 * (round.read.recorder - round.plain.recorder));
    let extra_each =
        each(rounds, |round| (round.read.recorder - round.plain.recorder) * 1e6 / round.read.rate);
    let figures = vec![
        Figure::ratio("write to section / skeleton, p50", Limit::AtMost(2.0), &ours(p50), &bare(p50)),
        Figure::ratio("write to section / skeleton, p99", Limit::AtMost(3.0), &ours(p99), &bare(p99)),
        Figure::ratio("the same / skeleton with a reader's hop, p50", Limit::None, &ours(p50), &behind(p50)),
        Figure::ratio("the same / skeleton with a reader's hop, p99", Limit::None, &ours(p99), &behind(p99)),
        Figure::new("write to section at the recorder, p50", "us", Limit::None, ours(p50)),
        Figure::new("write to section at the recorder, p99", "us", Limit::None, ours(p99)),
        Figure::new("write to section at the recorder, p99.9", "us", Limit::None, ours(p999)),
        Figure::new("skeleton, p50", "us", Limit::None, bare(p50)),
        Figure::new("skeleton, p99", "us", Limit::None, bare(p99)),
        Figure::new("skeleton, p99.9", "us", Limit::None, bare(p999)),
        Figure::new("skeleton with a reader's hop, p50", "us", Limit::None, behind(p50)),
        Figure::new("skeleton with a reader's hop, p99", "us", Limit::None, behind(p99)),
        Figure::new("the document feed's own cost to the recorder", "% core", Limit::None, extra),
        Figure::new("the document feed's own cost for a diff", "us", Limit::None, extra_each),
        Figure::new(
            "the server's own lateness, p50",
            "us",
            Limit::None,
            each(rounds, |round| round.server.p50),
        ),
        Figure::new(
            "the server's own lateness, p99",
            "us",
            Limit::None,
            each(rounds, |round| round.server.p99),
        ),
    ];
    let unseen: u64 = rounds.iter().map(|round| round.unseen).sum();
    let mut notes = vec![format!(
        "{unseen} diffs never seen in {} runs; the hop from the recorder to the reader of its documents is in the daemon's time, none is in the skeleton's",
        rounds.len()
    )];
    notes.extend(rounds.first().map(|round| format!("with a reader of documents, {}", round.read.text())));
    Ok(Measured { figures, notes })
}

/// From the server's write of a goal to its committed row.
///
/// # Errors
/// [`BenchError`].
pub fn event_row(effort: Effort) -> Result<Measured, BenchError> {
    let rounds = rounds(effort)?;
    let ours = |take: fn(&Lateness) -> f64| each(rounds, |round| take(&round.goals));
    let bare = |take: fn(&Lateness) -> f64| each(rounds, |round| take(&round.bare_goals));
    let (p50, p99) = (|late: &Lateness| late.p50, |late: &Lateness| late.p99);
    let figures = vec![
        Figure::ratio(
            "committed row / frame at the skeleton's sink, p50",
            Limit::None,
            &ours(p50),
            &bare(p50),
        ),
        Figure::new("a goal's write to its committed row, p50", "ms", Limit::AtMost(2.0), ours(p50)),
        Figure::new("a goal's write to its committed row, p99", "ms", Limit::AtMost(10.0), ours(p99)),
        Figure::new(
            "a goal's write to its committed row, the latest",
            "ms",
            Limit::None,
            ours(|late| late.last),
        ),
        Figure::new("skeleton: a goal's write to its frame at the sink, p50", "ms", Limit::None, bare(p50)),
        Figure::new("skeleton: a goal's write to its frame at the sink, p99", "ms", Limit::None, bare(p99)),
    ];
    let count: usize = rounds.iter().map(|round| round.count).sum();
    let notes = vec![format!(
        "{count} goals among {RATE} diffs/s, without a reader of documents; the store is looked at twice a millisecond"
    )];
    Ok(Measured { figures, notes })
}

/// Processor time beside the skeleton's.
///
/// # Errors
/// [`BenchError`].
pub fn cpu_row(effort: Effort) -> Result<Measured, BenchError> {
    let rounds = rounds(effort)?;
    let plain = |take: fn(&Usage) -> f64| each(rounds, |round| take(&round.plain));
    let bare = |take: fn(&Usage) -> f64| each(rounds, |round| take(&round.bare));
    let figures = vec![
        Figure::ratio(
            "workers and recorder / skeleton",
            Limit::AtMost(1.25),
            &plain(Usage::each_us),
            &bare(Usage::each_us),
        ),
        Figure::ratio(
            "workers / the skeleton's",
            Limit::None,
            &plain(|used| used.workers),
            &bare(|used| used.workers),
        ),
        Figure::ratio(
            "recorder / the skeleton's sink",
            Limit::None,
            &plain(|used| used.recorder),
            &bare(|used| used.recorder),
        ),
        Figure::new("workers and recorder, for a diff", "us", Limit::None, plain(Usage::each_us)),
        Figure::new("skeleton, for a diff", "us", Limit::None, bare(Usage::each_us)),
        Figure::new("workers", "% core", Limit::None, plain(|used| 100.0 * used.workers)),
        Figure::new("recorder", "% core", Limit::None, plain(|used| 100.0 * used.recorder)),
        Figure::new("coordinator", "% core", Limit::None, plain(|used| 100.0 * used.coordinator)),
        Figure::new("skeleton's workers", "% core", Limit::None, bare(|used| 100.0 * used.workers)),
        Figure::new("skeleton's sink", "% core", Limit::None, bare(|used| 100.0 * used.recorder)),
    ];
    let notes = rounds.first().map(|round| {
        format!(
            "without a reader of documents; {:.0} diffs/s written to the daemon, {:.0} to the skeleton",
            round.plain.rate, round.bare.rate
        )
    });
    Ok(Measured { figures, notes: notes.into_iter().collect() })
}
