//! What both tables of names share: their errors, one laid over another, and the periods that a feed's texts stand for.

use std::fmt;
use toml::{Table, Value};
pub(in crate::payload) use touchline_common::config::Status;
use touchline_common::model::Phase;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingError {
    /// Where: `event.score`, `period 3`, or the line and column of a syntax error.
    pub at: String,
    pub what: String,
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mapping, at {}: {}", self.at, self.what)
    }
}

impl std::error::Error for MappingError {}

#[derive(Clone, Debug)]
pub(in crate::payload) struct Period {
    names: Vec<String>,
    sports: Vec<String>,
    phase: Phase,
    status: Status,
}

/// A table with another laid over it: sections are extended, of lists the entries above come first.
pub(in crate::payload) fn laid_over(base: &Table, over: Table) -> Table {
    let mut merged = base.clone();
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

pub(in crate::payload) fn parse(text: &str) -> Result<Table, MappingError> {
    text.parse::<Table>().map_err(|error| {
        let line = error.span().map_or(0, |span| {
            text.get(..span.start).map_or(0, |before| before.bytes().filter(|&b| b == b'\n').count()) + 1
        });
        wrong(format!("line {line}"), error.message())
    })
}

pub(in crate::payload) fn wrong(at: impl Into<String>, what: impl Into<String>) -> MappingError {
    MappingError { at: at.into(), what: what.into() }
}

/// Phase and status of a period's text in a sport: the first row that fits.
pub(in crate::payload) fn period_of(
    periods: &[Period],
    text: &[u8],
    sport: Option<&str>,
) -> Option<(Phase, Status)> {
    let fits = |p: &&Period| {
        p.names.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(text))
            && (p.sports.is_empty() || p.sports.iter().any(|s| Some(s.as_str()) == sport))
    };
    periods.iter().find(fits).map(|p| (p.phase, p.status))
}

pub(in crate::payload) fn compile_period(row: &Value, place: usize) -> Result<Period, MappingError> {
    let at = format!("period {place}");
    let Value::Table(row) = row else { return Err(wrong(at, "expected a table")) };
    if let Some(name) = row.keys().find(|k| !["names", "sports", "phase", "status"].contains(&k.as_str())) {
        return Err(wrong(at, format!("unknown {name:?}; known: names, sports, phase, status")));
    }
    let texts = |name: &str| -> Result<Vec<String>, MappingError> {
        let Some(value) = row.get(name) else { return Ok(Vec::new()) };
        let list = value.as_array().map(|list| list.iter().map(|v| v.as_str().map(str::to_owned)).collect());
        list.flatten().ok_or_else(|| wrong(format!("{at}.{name}"), "expected a list of texts"))
    };
    let text = |name: &str| {
        let value = row.get(name).and_then(Value::as_str);
        value.ok_or_else(|| wrong(format!("{at}.{name}"), "missing, or not text"))
    };
    let names = texts("names")?;
    if names.is_empty() {
        return Err(wrong(format!("{at}.names"), "expected at least one text"));
    }
    let phase = phase(text("phase")?).ok_or_else(|| {
        let known = "`not started`, `playing N`, `after N` (N from 1 to 255), `finished`, `abandoned`";
        wrong(format!("{at}.phase"), format!("expected {known}"))
    })?;
    let status = status(text("status")?).ok_or_else(|| {
        wrong(format!("{at}.status"), "expected not_started, in_play, break, finished or abandoned")
    })?;
    Ok(Period { names, sports: texts("sports")?, phase, status })
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

fn status(text: &str) -> Option<Status> {
    let known = [Status::NotStarted, Status::InPlay, Status::Break, Status::Finished, Status::Abandoned];
    known.into_iter().find(|status| status.as_str() == text)
}
