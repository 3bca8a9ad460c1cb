//! The rows that need the whole daemon.

use super::arrivals;
use super::cpu::{private_dirty, used};
use super::goals::Goals;
use super::ledger::{Ledger, Samples};
use super::pulse::{Plan, Pulse};
use super::side::Side;
use super::site::{Pids, Setup, Site};
use crate::error::BenchError;
use crate::payload::Shape;
use crate::report::{Figure, Limit, Measured, percentile};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

const MATCHES: usize = 250;
const RATE: u64 = 20_000;
const WARM: Duration = Duration::from_secs(2);
const MEASURE: Duration = Duration::from_secs(8);
const LIVE: Duration = Duration::from_secs(30);
const CONNECTIONS: usize = 6;
pub(super) const SETUP: Setup = Setup { cap: 50, workers: 8, feed: "" };

pub(super) fn plan() -> Plan {
    Plan {
        matches: MATCHES,
        shape: Shape::of_bytes(30_000),
        rate: RATE,
        at_once: 1,
        service: Duration::from_millis(5),
    }
}

/// From the server's write to the section at the recorder, a write for each diff.
///
/// # Errors
/// [`BenchError`].
pub fn latency_row() -> Result<Measured, BenchError> {
    let limits = [Limit::AtMost(80.0), Limit::AtMost(400.0), Limit::AtMost(5_000.0)];
    sections(plan(), limits)
}

/// The same with a hundred diffs each millisecond.
///
/// # Errors
/// [`BenchError`].
pub fn ticks_row() -> Result<Measured, BenchError> {
    let plan = Plan { rate: 100_000, at_once: 100, ..plan() };
    sections(plan, [Limit::None, Limit::AtMost(2_000.0), Limit::None])
}

fn sections(plan: Plan, [p50, p99, p999]: [Limit; 3]) -> Result<Measured, BenchError> {
    let run = Run::start(plan, SETUP)?;
    let (mut samples, usage) = run.measure()?;
    let us = |samples: &mut [u64], share| percentile(samples, share) / 1e3;
    let found = &mut samples.sections;
    let figures = vec![
        Figure::one("write to section at the recorder, p50", "us", p50, us(found, 0.5)),
        Figure::one("the same, p99", "us", p99, us(found, 0.99)),
        Figure::one("the same, p99.9", "us", p999, us(found, 0.999)),
        Figure::one("the server's own lateness, p50", "us", Limit::None, us(&mut samples.lateness, 0.5)),
        Figure::one("the same, p99", "us", Limit::None, us(&mut samples.lateness, 0.99)),
    ];
    let mut notes = vec![format!(
        "{} diffs measured ({:.0}/s written), {} never seen; the hop of the audit tap is in it",
        samples.sections.len(),
        usage.rate,
        run.ledger.unseen(),
    )];
    notes.push(usage.text());
    if samples.sections.is_empty() {
        notes.push(format!("NO section arrived; the recorder says {}", run.site.recorder()?));
    }
    Ok(Measured { figures, notes })
}

/// From the server's write of a goal to its committed row.
///
/// # Errors
/// [`BenchError`].
pub fn event_row() -> Result<Measured, BenchError> {
    let run = Run::start(plan(), SETUP)?;
    let goals = Goals::watch(&run.site.path("touchline.db"), &run.ledger)?;
    let (mut samples, usage) = run.measure()?;
    drop(goals);
    if samples.events.is_empty() {
        return Err(BenchError::new("measuring", "no goal was found in the store"));
    }
    let ms = |samples: &mut [u64], share| percentile(samples, share) / 1e6;
    let figures = vec![
        Figure::one(
            "a goal's write to its committed row, p50",
            "ms",
            Limit::None,
            ms(&mut samples.events, 0.5),
        ),
        Figure::one("the same, p99", "ms", Limit::AtMost(25.0), ms(&mut samples.events, 0.99)),
        Figure::one("the same, the latest", "ms", Limit::None, ms(&mut samples.events, 1.0)),
    ];
    let notes = vec![
        format!(
            "{} goals among {:.0} diffs/s; the store is looked at each millisecond",
            samples.events.len(),
            usage.rate
        ),
        usage.text(),
    ];
    Ok(Measured { figures, notes })
}

/// The workers' processor time beside that of a program that only reads and frames.
///
/// # Errors
/// [`BenchError`].
pub fn cpu_row() -> Result<Measured, BenchError> {
    let run = Run::start(Plan { service: Duration::from_millis(20), ..plan() }, SETUP)?;
    let mut figures = Vec::new();
    let mut notes = Vec::new();
    for (processes, limit) in [(1, Limit::AtMost(1.6)), (CONNECTIONS, Limit::None)] {
        let sides = (0..processes)
            .map(|place| {
                let each = CONNECTIONS / processes;
                Side::start(run.pulse.address, plan(), place * each, (place + 1) * each, CONNECTIONS)
            })
            .collect::<Result<Vec<Side>, BenchError>>()?;
        let pids: Vec<u32> = sides.iter().map(Side::pid).collect();
        std::thread::sleep(Duration::from_secs(1));
        run.pulse.beat(true);
        std::thread::sleep(WARM);
        let before = (used(run.workers())?, used(pids.iter().copied())?, Instant::now());
        std::thread::sleep(MEASURE);
        let passed = before.2.elapsed().as_secs_f64();
        let workers = (used(run.workers())? - before.0).as_secs_f64();
        let side = (used(pids.iter().copied())? - before.1).as_secs_f64();
        run.pulse.beat(false);
        let what = if processes == 1 { "one process, 6 connections" } else { "6 processes" };
        figures.push(Figure::one(format!("workers / read and frame in {what}"), "x", limit, workers / side));
        notes.push(format!(
            "beside {what}: workers {:.1} % of a core, the other {:.1} %",
            100.0 * workers / passed,
            100.0 * side / passed
        ));
    }
    Ok(Measured { figures, notes })
}

/// Ten thousand matches.
///
/// # Errors
/// [`BenchError`].
pub fn many_row() -> Result<Measured, BenchError> {
    let plan = Plan {
        matches: 10_000,
        shape: Shape::of_bytes(32_000),
        rate: 10_000,
        at_once: 1,
        service: Duration::from_millis(20),
    };
    // One connection holds the list beside its matches.
    let setup = Setup { cap: 51, workers: 200, feed: "" };
    let began = Instant::now();
    let run = Run::start_within(plan, setup, Duration::from_secs(120))?;
    let live = began.elapsed();
    let each = run.pulse.load_bytes() as f64 / plan.matches as f64;
    let list = super::pulse::list(plan).len() as f64;
    let mut memory = Vec::new();
    let mut shares = Vec::new();
    for worker in &run.pids.workers {
        // A worker has at most one subscription that is no match: the list.
        let lists = worker.subscriptions.saturating_sub(worker.matches) as f64;
        let loads = each * worker.matches as f64 + list * lists;
        let held = private_dirty(worker.pid)? as f64;
        memory.push(held / 1e6);
        shares.push(held / (1_048_576.0 + 2.5 * loads));
    }
    let worst = shares.iter().copied().fold(0.0, f64::max);
    let (_, usage) = run.measure()?;
    let figures = vec![
        Figure::one("until all are live", "s", Limit::AtMost(15.0), live.as_secs_f64()),
        Figure::one(
            "a worker's memory / (1 MiB + 2.5 x its loads), the worst",
            "x",
            Limit::AtMost(1.0),
            worst,
        ),
        Figure::new("the same, the median worker", "x", Limit::None, shares),
        Figure::new("the median worker's memory", "MB", Limit::None, memory),
        Figure::one("all processes at 10,000 diffs/s", "cores", Limit::AtMost(1.0), usage.all()),
        Figure::one("coordinator", "% core", Limit::AtMost(0.5), 100.0 * usage.coordinator),
    ];
    let notes = vec![format!("{} workers, loads of {each:.0} bytes", run.pids.workers.len()), usage.text()];
    Ok(Measured { figures, notes })
}

/// The server, the daemon, and the stamps.
pub(super) struct Run {
    // The daemon goes before its server.
    pub(super) site: Site,
    pub(super) pulse: Pulse,
    ledger: Arc<Ledger>,
    pub(super) pids: Pids,
}

/// What the daemon used, in cores.
pub(super) struct Usage {
    pub(super) workers: f64,
    others: f64,
    coordinator: f64,
    /// Diffs written per second.
    pub(super) rate: f64,
}

impl Usage {
    pub(super) fn all(&self) -> f64 {
        self.workers + self.others + self.coordinator
    }

    fn text(&self) -> String {
        format!(
            "of a core: workers {:.1} %, recorder {:.1} %, coordinator {:.2} %",
            100.0 * self.workers,
            100.0 * self.others,
            100.0 * self.coordinator
        )
    }
}

impl Run {
    pub(super) fn start(plan: Plan, setup: Setup) -> Result<Run, BenchError> {
        Run::start_within(plan, setup, LIVE)
    }

    fn start_within(plan: Plan, setup: Setup, patience: Duration) -> Result<Run, BenchError> {
        let ledger = Arc::new(Ledger::new(plan.matches));
        let pulse = Pulse::start(plan, &ledger)?;
        let folder = Site::folder()?;
        arrivals::listen(&folder.path().join("audit.sock"), &ledger)?;
        let site = Site::start(folder, pulse.address, setup)?;
        site.wait_live(plan.matches, patience)?;
        let pids = site.pids()?;
        Ok(Run { site, pulse, ledger, pids })
    }

    /// The processes that workers run in, each once.
    pub(super) fn workers(&self) -> impl Iterator<Item = u32> {
        let pids: BTreeSet<u32> = self.pids.workers.iter().map(|worker| worker.pid).collect();
        pids.into_iter()
    }

    /// Lets diffs flow for a while; what was found and used meanwhile.
    pub(super) fn measure(&self) -> Result<(Samples, Usage), BenchError> {
        self.pulse.beat(true);
        std::thread::sleep(WARM);
        let look = || -> Result<[Duration; 3], BenchError> {
            let others = self.pids.others.iter().copied();
            Ok([used(self.workers())?, used(others)?, used([self.pids.coordinator])?])
        };
        let (began, sent, before) = (Instant::now(), self.pulse.sent(), look()?);
        self.ledger.record(true);
        std::thread::sleep(MEASURE);
        self.ledger.record(false);
        let (passed, after) = (began.elapsed().as_secs_f64(), look()?);
        let rate = (self.pulse.sent() - sent) as f64 / passed;
        self.pulse.beat(false);
        std::thread::sleep(Duration::from_millis(500));
        let [workers, others, coordinator] = [0, 1, 2].map(|at: usize| {
            let difference =
                after.get(at).zip(before.get(at)).map(|(after, before)| after.saturating_sub(*before));
            difference.unwrap_or_default().as_secs_f64() / passed
        });
        Ok((self.ledger.take(), Usage { workers, others, coordinator, rate }))
    }
}
