//! Answers as text for people, or as the JSON that the daemon wrote.
//!
//! Invariant: a member that an answer lacks is shown as `-` or as its default, never a failure: daemon and command line may be of
//! different versions.

mod chat;
mod document;
mod events;
mod follow;
mod line;
mod lists;
mod replay;
mod status;

pub(super) use chat::{is_line as is_chat, line as chat_line};
pub(super) use document::document;
pub(super) use events::{events, follow_odds, odds};
pub(super) use line::line as event_line;
pub(super) use lists::{gaps, matches, plan, workers};
pub(super) use replay::{Wanted, replay};
pub(super) use status::status;

use super::Code;
use super::ask::Daemon;
use super::options::OutputFormat;
use super::output::{Failure, Outcome, Printer, clean};
use super::table::micros;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::Instant;
use touchline_common::control::ControlError;

pub(super) type Show = fn(&Value, &mut Printer<'_>) -> Result<(), Failure>;

pub(super) fn answer(
    daemon: &Daemon,
    verb: &str,
    args: Map<String, Value>,
    format: OutputFormat,
    show: Show,
    out: &mut Printer<'_>,
) -> Outcome {
    match format {
        OutputFormat::Json => out.json(&daemon.ask_raw(verb, args)?)?,
        OutputFormat::Text => show(&daemon.ask(verb, args)?, out)?,
    }
    Ok(Code::Done)
}

/// Prints `value` to programs, `text` to people.
pub(super) fn print(
    value: &Value,
    format: OutputFormat,
    text: &str,
    out: &mut Printer<'_>,
) -> Result<(), Failure> {
    match format {
        OutputFormat::Json => out.json(value),
        OutputFormat::Text => out.line(text),
    }
}

pub(super) fn done(value: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    match value {
        Value::Null | Value::Bool(_) => out.line("done"),
        Value::String(text) => out.line(clean(text)),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => out.json(value),
    }
}

/// `health`: the exit code reports it, too.
pub(super) fn health(daemon: &Daemon, format: OutputFormat, out: &mut Printer<'_>) -> Outcome {
    let health = daemon.ask("health", Map::new())?;
    let healthy = health.get("healthy").and_then(Value::as_bool).unwrap_or(false);
    match format {
        OutputFormat::Json => out.json(&health)?,
        OutputFormat::Text if healthy => out.line("healthy")?,
        OutputFormat::Text => {
            for reason in reasons(&health) {
                out.line(clean(reason))?;
            }
        }
    }
    Ok(if healthy { Code::Done } else { Code::Failed })
}

/// The reasons in an answer of `health`.
pub(super) fn reasons(health: &Value) -> Vec<&str> {
    health.get("reasons").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// `ping`, with the time it took.
pub(super) fn ping(daemon: &Daemon, format: OutputFormat, out: &mut Printer<'_>) -> Outcome {
    let start = Instant::now();
    let answer = daemon.ask("ping", Map::new())?;
    let took = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    print(&answer, format, &format!("pong in {}", micros(took)), out)?;
    Ok(Code::Done)
}

pub(super) fn read<'v, T: Deserialize<'v>>(answer: &'v Value) -> Result<T, ControlError> {
    T::deserialize(answer).map_err(|error| ControlError::BadAnswer(error.to_string()))
}

/// The text member `key`, `-` without one.
fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or("-")
}

fn owned(value: &Value, key: &str) -> String {
    text(value, key).to_owned()
}

/// Any plain member as text, `-` without one.
fn plain(value: &Value, key: &str) -> String {
    match value.get(key) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_))) => {
            other.to_string()
        }
    }
}

/// Both sides of a score or a statistic: `3-1`.
fn pair(sides: &Value) -> String {
    format!("{}-{}", plain(sides, "home"), plain(sides, "away"))
}

/// The number `key`.
fn number(value: &Value, key: &str) -> Option<f64> {
    value.get(key).and_then(Value::as_f64)
}

/// The elements of an array, none of anything else.
fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
