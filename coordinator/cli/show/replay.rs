//! `replay --match`: what the store holds of a match, step by step, and what was known then.
//!
//! Needs no daemon: the store is read where the configuration has it. For people a line a step, as `events` writes it, and the state at the end;
//! for programs an object a step, with the state but its markets, and the whole state at the end.

use super::super::Code;
use super::super::options::OutputFormat;
use super::super::output::{Failure, Outcome, Printer, clean};
use super::{line, pair, text};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use touchline_worker::record::replay::{self, Market, Selection, State, Step, Until};

/// What is asked for.
pub(crate) struct Wanted<'a> {
    pub(crate) named: &'a str,
    pub(crate) until: Until,
    /// How many times faster than it was; none: as fast as possible.
    pub(crate) speed: Option<f64>,
}

pub(crate) fn replay(
    store: &Path,
    wanted: &Wanted<'_>,
    format: OutputFormat,
    out: &mut Printer<'_>,
) -> Outcome {
    let failed = |error: replay::ReplayError| Failure::new(Code::Failed, error.to_string());
    let mut state = State::default();
    let mut last = None;
    for step in replay::open(store, wanted.named).map_err(failed)? {
        let step = step.map_err(failed)?;
        if wanted.until.is_before(&step) {
            break;
        }
        state.apply(&step);
        // Where a moment is asked for, the way to it is not shown.
        if wanted.until == Until::End {
            pause(last.replace(step.at), &step, wanted.speed, out)?;
            print(&step, &state, format, out)?;
        }
    }
    match format {
        OutputFormat::Json => out.json(&json!({ "state": state }))?,
        OutputFormat::Text => summary(&state).iter().try_for_each(|line| out.line(clean(line)))?,
    }
    Ok(Code::Done)
}

/// Waits as long as it was from one step to the next, at this speed.
fn pause(last: Option<i64>, step: &Step, speed: Option<f64>, out: &mut Printer<'_>) -> Result<(), Failure> {
    let (Some(last), Some(speed)) = (last, speed) else { return Ok(()) };
    let passed = u64::try_from(step.at.saturating_sub(last)).unwrap_or(0);
    if passed > 0 {
        out.flush()?;
        let seconds = passed as f64 / 1e6 / speed;
        std::thread::sleep(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    }
    Ok(())
}

fn print(step: &Step, state: &State, format: OutputFormat, out: &mut Printer<'_>) -> Result<(), Failure> {
    match format {
        OutputFormat::Json => {
            let stream = step.stream.as_str();
            out.json(&json!({ "stream": stream, "row": step.row, "state": state.head() }))
        }
        OutputFormat::Text => out.line(line::line(&step.row, text(&step.row, "match"))),
    }
}

fn summary(state: &State) -> Vec<String> {
    let Some(at) = &state.at else { return vec!["nothing had happened".to_owned()] };
    let mut words = vec![format!("at {at}:")];
    if let Some(minute) = state.minute {
        words.push(format!("{minute}:{:02}", state.second.unwrap_or(0)));
    }
    words.extend(state.period.as_deref().map(|period| period.replace('_', " ")));
    words.extend(state.score.as_ref().map(pair));
    words.push(standing(state).to_owned());
    let mut lines = vec![words.join(" ")];
    lines.extend(state.markets.iter().map(|(key, market)| prices(key, market)));
    lines
}

fn standing(state: &State) -> &'static str {
    match state {
        State { ended: true, .. } => "(ended)",
        State { followed: false, .. } => "(not followed)",
        State { suspended: true, .. } => "(suspended)",
        State { started: true, .. } => "(in play)",
        State { .. } => "(not started)",
    }
}

fn prices(key: &str, market: &Market) -> String {
    let selections: Vec<String> = market.selections.iter().map(|(key, value)| price(key, value)).collect();
    let suspended = if market.suspended == Some(true) { " (suspended)" } else { "" };
    format!("  {}{suspended}: {}", market.name.as_deref().unwrap_or(key), selections.join(", "))
}

fn price(key: &str, selection: &Selection) -> String {
    let name = selection.name.as_deref().unwrap_or(key);
    let odds = selection.odds.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    match (selection.won, selection.suspended) {
        (Some(true), _) => format!("{name} {odds} (won)"),
        (Some(false), _) => format!("{name} {odds} (lost)"),
        (None, Some(true)) => format!("{name} {odds} (suspended)"),
        (None, Some(false) | None) => format!("{name} {odds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_in_words() {
        let mut state = State::default();
        assert_eq!(summary(&state), ["nothing had happened"]);
        state.at = Some("2026-01-02T15:04:05.000000Z".to_owned());
        (state.minute, state.second) = (Some(45), Some(3));
        state.period = Some("period_1".to_owned());
        state.score = Some(json!({ "home": 1, "away": 0 }));
        (state.started, state.followed) = (true, true);
        let mut market = Market { name: Some("Result".to_owned()), ..Market::default() };
        for (key, odds, suspended) in [("a", Some(2.25), false), ("b", None, true)] {
            let odds = odds.and_then(serde_json::Number::from_f64);
            let selection = Selection { odds, suspended: Some(suspended), ..Selection::default() };
            market.selections.insert(key.to_owned(), selection);
        }
        state.markets.insert("m".to_owned(), market);
        assert_eq!(
            summary(&state),
            [
                "at 2026-01-02T15:04:05.000000Z: 45:03 period 1 1-0 (in play)",
                "  Result: a 2.25, b - (suspended)"
            ]
        );
    }
}
