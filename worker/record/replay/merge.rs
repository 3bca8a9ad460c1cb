//! Two streams of rows as one, by time.
//!
//! Invariant: each stream keeps its own order, whatever its times say; at equal times the match stream comes first.

use super::ReplayError;
use serde_json::Value;
use std::iter::Peekable;

/// Which stream a row is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Match,
    Odds,
}

impl Stream {
    pub const fn as_str(self) -> &'static str {
        match self {
            Stream::Match => "match",
            Stream::Odds => "odds",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub stream: Stream,
    /// Microseconds since 1970 UTC.
    pub at: i64,
    /// As `events` shows it.
    pub row: Value,
}

impl Step {
    pub(super) fn read(stream: Stream, line: &str) -> Result<Step, ReplayError> {
        let wrong = |what: String| ReplayError::Row { what };
        let row: Value = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        let at = row.get("at").and_then(Value::as_str).unwrap_or_default();
        let at = at.parse::<jiff::Timestamp>().map_err(|_| wrong(format!("its time is {at:?}")))?;
        Ok(Step { stream, at: at.as_microsecond(), row })
    }
}

/// Both streams.
pub struct Merge<M: Iterator, O: Iterator> {
    matches: Peekable<M>,
    odds: Peekable<O>,
}

impl<M, O> Merge<M, O>
where
    M: Iterator<Item = Result<Step, ReplayError>>,
    O: Iterator<Item = Result<Step, ReplayError>>,
{
    pub fn new(matches: M, odds: O) -> Merge<M, O> {
        Merge { matches: matches.peekable(), odds: odds.peekable() }
    }
}

impl<M, O> Iterator for Merge<M, O>
where
    M: Iterator<Item = Result<Step, ReplayError>>,
    O: Iterator<Item = Result<Step, ReplayError>>,
{
    type Item = Result<Step, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        match (self.matches.peek(), self.odds.peek()) {
            (Some(Ok(event)), Some(Ok(row))) if row.at < event.at => self.odds.next(),
            // What cannot be read is reported at once.
            (Some(Ok(_)), Some(Err(_))) | (None, _) => self.odds.next(),
            (Some(_), _) => self.matches.next(),
        }
    }
}
