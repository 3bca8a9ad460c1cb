//! 100,000 diffs/s in ticks of a millisecond: what a diff costs, what is sustained, and how late it is at half of that.

use super::pulse::{Pace, Plan};
use super::run::{Bare, Reader, Run, Span};
use super::site::{Documents, Setup};
use super::steady::{CONNECTIONS, SETUP, plan};
use crate::effort::Effort;
use crate::error::BenchError;
use crate::report::{Figure, Limit, Measured, percentile};
use std::time::Duration;

const OFFERED: u64 = 100_000;
const ROUNDS: usize = 3;
const SPAN: Span = Span { warm: Duration::from_secs(1), measure: Duration::from_millis(2_500) };
/// Until everything that was written is dealt with.
const PATIENCE: Duration = Duration::from_secs(15);

/// The row.
///
/// # Errors
/// [`BenchError`].
pub fn ticks_row(effort: Effort) -> Result<Measured, BenchError> {
    let plan = Plan { pace: Pace::Ticks, ..plan() };
    let (mut cost, mut bare_cost, mut sustained) = (Vec::new(), Vec::new(), Vec::new());
    let (mut half, mut bare_half) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..effort.rounds(ROUNDS) {
        let run = Run::start(plan, Setup { documents: Documents::Unread, ..SETUP })?;
        let usage =
            run.measurable().measure_to_the_end(&run.pulse, OFFERED, SPAN.warm + SPAN.measure, PATIENCE)?;
        cost.push(usage.each_us());
        drop(run);
        let run = Run::start(plan, SETUP)?;
        let (samples, usage) = run.measure(OFFERED, SPAN)?;
        let rate = usage.rate * (samples.sections.len() as f64 / samples.written as f64).min(1.0);
        sustained.push(rate);
        drop(run);
        let run = Run::start(plan, SETUP)?;
        let rate = (rate / 2.0) as u64 / 1_000 * 1_000;
        let (mut samples, _) = run.measure(rate.max(1_000), SPAN)?;
        drop(run);
        let bare = Bare::start(plan, CONNECTIONS, Reader::Sink)?;
        let (mut bare_samples, _) = bare.measure(rate.max(1_000), SPAN)?;
        for (at, share) in [(0_usize, 0.5), (1, 0.99)] {
            let ours = percentile(&mut samples.sections, share) / 1e6;
            let theirs = percentile(&mut bare_samples.sections, share) / 1e6;
            half.get_mut(at).into_iter().for_each(|values| values.push(ours));
            bare_half.get_mut(at).into_iter().for_each(|values| values.push(theirs));
        }
        let bare = Bare::start(plan, CONNECTIONS, Reader::Sink)?;
        let usage =
            bare.measurable().measure_to_the_end(&bare.pulse, OFFERED, SPAN.warm + SPAN.measure, PATIENCE)?;
        bare_cost.push(usage.each_us());
    }
    let ([p50, p99], [bare50, bare99]) = (half, bare_half);
    let figures = vec![
        Figure::ratio("workers and recorder / skeleton, for a diff", Limit::None, &cost, &bare_cost),
        Figure::ratio("write to section / skeleton at half of it, p99", Limit::None, &p99, &bare99),
        Figure::new("workers and recorder, for a diff", "us", Limit::AtMost(5.0), cost),
        Figure::new("skeleton, for a diff", "us", Limit::None, bare_cost),
        Figure::new("sustained of what is offered", "1/s", Limit::None, sustained),
        Figure::new("write to section at half of it, p50", "ms", Limit::None, p50),
        Figure::new("write to section at half of it, p99", "ms", Limit::AtMost(5.0), p99),
        Figure::new("skeleton at the same rate, p50", "ms", Limit::None, bare50),
        Figure::new("skeleton at the same rate, p99", "ms", Limit::None, bare99),
    ];
    let notes = vec![
        "a connection's diffs of a tick are one write; the cost is all processor time until everything was dealt with, without a reader of documents".to_owned(),
    ];
    Ok(Measured { figures, notes })
}
