//! Ten thousand matches on two hundred workers.

use super::cpu::private_dirty;
use super::pulse::{self, Pace, Plan};
use super::run::{Run, Span};
use super::site::{Documents, Setup};
use crate::error::BenchError;
use crate::payload::Shape;
use crate::report::{Figure, Limit, Measured};
use std::time::{Duration, Instant};
use touchline_harness::process;

const RATE: u64 = 10_000;
const SPAN: Span = Span { warm: Duration::from_secs(2), measure: Duration::from_secs(8) };
const PATIENCE: Duration = Duration::from_secs(120);
const MIB: f64 = 1_048_576.0;

/// The row.
///
/// # Errors
/// [`BenchError`].
pub fn many_row() -> Result<Measured, BenchError> {
    let plan = Plan {
        matches: 10_000,
        shape: Shape::of_bytes(32_000),
        pace: Pace::Each,
        service: Duration::from_millis(20),
    };
    // One connection holds the list beside its matches.
    let setup = Setup { cap: 51, workers: 200, feed: "", more: "", documents: Documents::Unread };
    let began = Instant::now();
    let run = Run::start_program(process::program(), plan, setup, PATIENCE)?;
    let live = began.elapsed();
    let each = run.pulse.load_bytes() as f64 / plan.matches as f64;
    let list = pulse::list(plan).len() as f64;
    let mut memory = Vec::new();
    let mut shares = Vec::new();
    for worker in &run.pids.workers {
        // A worker has at most one subscription that is no match: the list.
        let lists = worker.subscriptions.saturating_sub(worker.matches) as f64;
        let loads = each * worker.matches as f64 + list * lists;
        let held = private_dirty(worker.pid)? as f64;
        memory.push(held / 1e6);
        shares.push(held / (MIB + 2.0 * loads));
    }
    let worst = shares.iter().copied().fold(0.0, f64::max);
    let (_, usage) = run.measure(RATE, SPAN)?;
    let figures = vec![
        Figure::one("a worker's memory / (1 MiB + 2 x its loads), the worst", "x", Limit::AtMost(1.0), worst),
        Figure::new("the same, the median worker", "x", Limit::None, shares),
        Figure::one("until all are live", "s", Limit::AtMost(10.0), live.as_secs_f64()),
        Figure::new("the median worker's memory", "MB", Limit::None, memory),
        Figure::one("all processes at 10,000 diffs/s", "cores", Limit::AtMost(0.6), usage.all()),
        Figure::one("coordinator", "% core", Limit::AtMost(0.5), 100.0 * usage.coordinator),
    ];
    let notes = vec![
        format!("{} workers, loads of {each:.0} bytes, {:.0} diffs/s", run.pids.workers.len(), usage.rate),
        usage.text(),
    ];
    Ok(Measured { figures, notes })
}
