//! A worker that is killed, and one that is stopped: how long until the last of its matches is followed again.

use super::cpu::monotonic;
use super::pulse::{Plan, number_of};
use super::run::Run;
use super::steady::{RATE, SETUP, plan};
use crate::effort::Effort;
use crate::error::{BenchError, While};
use crate::report::{Figure, Limit, Measured};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::time::{Duration, Instant};

const KILLS: usize = 3;
const STOPS: usize = 2;
/// Between two deaths: everything is followed and placed again.
const SETTLE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(20);
const SLOW: u64 = 4;

/// The row.
///
/// # Errors
/// [`BenchError`].
pub fn recovery_row(effort: Effort) -> Result<Measured, BenchError> {
    // The server looks at its connections each millisecond, so that it adds little time of its own.
    let run = Run::start(Plan { service: Duration::from_millis(1), ..plan() }, SETUP)?;
    run.pulse.beat(RATE / SLOW);
    let times = |signal, count: usize| {
        (0..count).map(|_| lose_a_worker(&run, signal)).collect::<Result<Vec<f64>, BenchError>>()
    };
    let killed = times(Signal::SIGKILL, effort.rounds(KILLS))?;
    let stopped = times(Signal::SIGSTOP, effort.rounds(STOPS))?;
    let figures = vec![
        Figure::new("kill -9: all its matches are followed again", "ms", Limit::AtMost(50.0), killed),
        Figure::new("SIGSTOP: all its matches are followed again", "ms", Limit::AtMost(2_500.0), stopped),
    ];
    let notes = vec![format!(
        "the worker with the most matches of {}, {} diffs/s; the server's own time is in it: it answers a handshake and a subscription within 1 ms each",
        run.pids.workers.len(),
        RATE / SLOW,
    )];
    Ok(Measured { figures, notes })
}

fn lose_a_worker(run: &Run, signal: Signal) -> Result<f64, BenchError> {
    std::thread::sleep(SETTLE);
    let pids = run.site.pids()?;
    let worker = pids.workers.iter().max_by_key(|worker| worker.matches);
    let worker = worker.ok_or_else(|| BenchError::new("looking for a worker", "there is none"))?;
    let matches = run.site.ask("matches")?;
    let lost: Vec<(usize, u64)> = matches
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| one.get("worker").and_then(Value::as_u64) == Some(worker.number))
        .filter_map(|one| number_of(one.get("match")?.as_str()?))
        .map(|number| (number, run.ledger.epoch(number).0))
        .collect();
    if lost.is_empty() {
        return Err(BenchError::new("looking for a worker", "the one with the most matches has none"));
    }
    let began = monotonic();
    kill(Pid::from_raw(worker.pid as i32), signal).during("sending a signal")?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let again = |(number, epoch): &(usize, u64)| {
            let (now, at) = run.ledger.epoch(*number);
            (now > *epoch).then_some(at)
        };
        let times: Vec<u64> = lost.iter().filter_map(again).collect();
        if times.len() == lost.len() {
            let last = times.into_iter().max().unwrap_or(began);
            return Ok(last.saturating_sub(began) as f64 / 1e6);
        }
        if Instant::now() > deadline {
            let why = format!("{} of {} are followed again after {PATIENCE:?}", times.len(), lost.len());
            return Err(BenchError::new("waiting for a worker's matches", why));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
