//! The three strategies beside each other: the same server, the same matches, the same diffs.

use super::cpu::private_dirty;
use super::run::{Run, Span};
use super::site::{Setup, Site};
use super::steady::{RATE, SETUP, plan};
use crate::error::BenchError;
use crate::report::{Figure, Limit, Measured, percentile};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SPAN: Span = Span { warm: Duration::from_secs(2), measure: Duration::from_secs(8) };
const LOOK_EVERY: Duration = Duration::from_millis(500);

const STRATEGIES: [(&str, Setup); 3] = [
    ("balanced", SETUP),
    ("multiplex", Setup { feed: "strategy = \"multiplex\"\nconnections_per_process = 8\n", ..SETUP }),
    // One connection goes round all matches as fast as the loads come.
    ("dumps", Setup { feed: "strategy = \"dumps\"\ndump_matches = 250\ndump_every = \"10ms\"\n", ..SETUP }),
];

/// Age of documents, queues, processor time and memory of each.
///
/// # Errors
/// [`BenchError`].
pub fn strategies_row() -> Result<Measured, BenchError> {
    let mut figures = Vec::new();
    let mut notes = Vec::new();
    for (name, setup) in STRATEGIES {
        let run = Run::start(plan(), setup)?;
        run.pulse.most_queued();
        let over = AtomicBool::new(false);
        let (measured, received) = std::thread::scope(|scope| {
            let watching = scope.spawn(|| most_received(&run.site, &over));
            let measured = run.measure(RATE, SPAN);
            over.store(true, Ordering::Relaxed);
            (measured, watching.join())
        });
        let (mut samples, usage) = measured?;
        let received =
            received.map_err(|_| BenchError::new("measuring", "the receive queues were not seen"))?;
        let queued = run.pulse.most_queued() as f64 / 1e3;
        let ages = &mut samples.sections;
        if ages.is_empty() {
            return Err(BenchError::new("measuring", format!("no section arrived under {name}")));
        }
        let mut memory = 0;
        for pid in run.workers() {
            memory += private_dirty(pid)?;
        }
        let processes = run.workers().count();
        let of = |what: &str| format!("{name}: {what}");
        let ms = |ages: &mut [u64], share| percentile(ages, share) / 1e6;
        figures.extend([
            Figure::one(
                of("age of a change when its document has it, p50"),
                "ms",
                Limit::None,
                ms(ages, 0.5),
            ),
            Figure::one(of("the same, p99"), "ms", Limit::None, ms(ages, 0.99)),
            Figure::one(of("the most that waited at the server"), "kB", Limit::None, queued),
            Figure::one(of("the most that waited at a worker"), "kB", Limit::None, received / 1e3),
            Figure::one(of("workers"), "% core", Limit::None, 100.0 * usage.workers),
            Figure::one(of("all processes"), "% core", Limit::None, 100.0 * usage.all()),
            Figure::one(of("memory of the workers"), "MB", Limit::None, memory as f64 / 1e6),
        ]);
        let connections = run.pids.workers.len();
        notes.push(format!(
            "{name}: {connections} connections in {processes} processes, {:.0} diffs/s written to them{}",
            usage.rate,
            round(&run.site)?,
        ));
    }
    Ok(Measured { figures, notes })
}

/// The largest receive queue of any worker, bytes: each reports its own each second.
fn most_received(site: &Site, over: &AtomicBool) -> f64 {
    let mut most = 0.0;
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK_EVERY);
        let workers = site.ask("workers").unwrap_or_default();
        let peaks = workers.as_array().into_iter().flatten();
        let peaks = peaks.filter_map(|worker| worker.get("receive_queue_peak_bytes")?.as_f64());
        most = peaks.fold(most, f64::max);
    }
    most
}

/// How long a full round takes, where there is one.
fn round(site: &Site) -> Result<String, BenchError> {
    let status = site.ask("status")?;
    let round = status.pointer("/feeds/0/round_ms").and_then(Value::as_u64);
    Ok(round.map_or_else(String::new, |ms| format!(", a round of 250 loads takes {ms} ms")))
}
