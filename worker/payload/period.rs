//! What both tables of names share: their errors, one laid over another, and the periods that a feed's texts stand for.

use super::place::line_and_column;
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt;
use toml::{Table, Value};
pub(super) use touchline_common::config::Status;
use touchline_common::model::Phase;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingError {
    /// Where: `event.score`, `period 3`, or the line and column of a syntax error.
    pub at: String,
    /// The other of two places that contradict each other: a file may hold either, over what is built in.
    pub(super) other: Option<String>,
    pub what: String,
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mapping, at {}: {}", self.at, self.what)
    }
}

impl std::error::Error for MappingError {}

/// How far a match is.
pub(super) struct Progress<'a> {
    /// As documents write it.
    pub(super) period: Option<Cow<'a, str>>,
    pub(super) phase: Option<Phase>,
    pub(super) status: Status,
    /// `None`: nothing says so or not.
    pub(super) suspended: Option<bool>,
}

#[derive(Clone, Debug)]
pub(super) struct Period {
    names: Vec<String>,
    sports: Vec<String>,
    phase: Phase,
    status: Status,
}

/// A period as a file states it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    names: Vec<String>,
    #[serde(default)]
    sports: Vec<String>,
    phase: String,
    status: Status,
}

/// A table with another laid over it: sections are extended, of lists the entries above come first.
pub(super) fn laid_over(mut merged: Table, over: Table) -> Table {
    for (name, over) in over {
        match (merged.get_mut(&name), over) {
            (Some(Value::Table(base)), Value::Table(over)) => base.extend(over),
            (Some(Value::Array(base)), Value::Array(mut over)) => {
                over.append(base);
                *base = over;
            }
            (_, over) => {
                merged.insert(name, over);
            }
        }
    }
    merged
}

pub(super) fn parse(text: &str) -> Result<Table, MappingError> {
    text.parse::<Table>().map_err(|error| {
        let place = error.span().and_then(|span| line_and_column(text, span.start));
        let (line, column) = place.unwrap_or((1, 1));
        wrong(format!("line {line}, column {column}"), error.message())
    })
}

pub(super) fn wrong(at: impl Into<String>, what: impl Into<String>) -> MappingError {
    MappingError { at: at.into(), other: None, what: what.into() }
}

/// Two places that contradict each other.
pub(super) fn clash(at: String, other: String, what: &str) -> MappingError {
    let what = format!("{what}: {other} and {at}");
    MappingError { at, other: Some(other), what }
}

/// Phase and status of a period's text in a sport: the first row that fits.
pub(super) fn period_of(periods: &[Period], text: &[u8], sport: Option<&str>) -> Option<(Phase, Status)> {
    let fits = |p: &&Period| {
        p.names.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(text))
            && (p.sports.is_empty() || p.sports.iter().any(|s| Some(s.as_str()) == sport))
    };
    periods.iter().find(fits).map(|p| (p.phase, p.status))
}

pub(super) fn compile_periods(rows: &[Value]) -> Result<Vec<Period>, MappingError> {
    rows.iter()
        .enumerate()
        .map(|(place, row)| compile_period(row, &format!("period {}", place + 1)))
        .collect()
}

fn compile_period(row: &Value, at: &str) -> Result<Period, MappingError> {
    let row = row.clone().try_into();
    let row: Row = row.map_err(|error: toml::de::Error| wrong(at, error.message()))?;
    if row.names.is_empty() {
        return Err(wrong(format!("{at}.names"), "expected at least one text"));
    }
    if matches!(row.status, Status::Suspended | Status::Unknown) {
        let known = "not_started, in_play, break, finished or abandoned";
        return Err(wrong(format!("{at}.status"), format!("expected {known}")));
    }
    let phase = phase(&row.phase).ok_or_else(|| {
        let known = "`not started`, `playing N`, `after N` (N from 1 to 255), `finished`, `abandoned`";
        wrong(format!("{at}.phase"), format!("expected {known}"))
    })?;
    Ok(Period { names: row.names, sports: row.sports, phase, status: row.status })
}

fn phase(text: &str) -> Option<Phase> {
    let number = |text: &str| text.parse::<u8>().ok().filter(|n| *n > 0);
    match text.split_once(' ') {
        Some(("playing", n)) => number(n).map(Phase::playing),
        Some(("after", n)) => number(n).map(Phase::after),
        Some(("not", "started")) => Some(Phase::NOT_STARTED),
        None if text == "finished" => Some(Phase::FINISHED),
        None if text == "abandoned" => Some(Phase::ABANDONED),
        Some(_) | None => None,
    }
}
