//! A match step by step, out of what the store holds of it: its timeline and its rows of odds on one time axis, and what was known after each.
//!
//! Reads only, so it works beside a daemon and without one. `merge` orders the two streams, `state` follows what is known; both are pure. At
//! equal `at` the match stream comes first. Called by the program's `replay --match`.

mod merge;
mod state;
#[cfg(test)]
mod tests;

pub use merge::{Merge, Step, Stream};
pub use state::{Market, Selection, State};

use super::hours;
use super::hours::read::Reader;
use super::query::rows;
use super::sqlite::{Filter, open_to_read};
use rusqlite::{Connection, params};
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};

/// Events of a match at most: far beyond what any match has.
const MOST_EVENTS: usize = 1_000_000;
/// Rows of odds that are read at once.
const PAGE: usize = 1_000;

#[derive(Debug)]
pub enum ReplayError {
    Store {
        path: PathBuf,
        what: String,
    },
    Unknown {
        id: String,
    },
    /// More than one feed has the match.
    Ambiguous {
        id: String,
        feeds: Vec<String>,
    },
    /// A row that is no JSON object with a time.
    Row {
        what: String,
    },
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::Store { path, what } => {
                write!(f, "the store {} cannot be read: {what}", path.display())
            }
            ReplayError::Unknown { id } => {
                write!(f, "no match {id} is in the store: see its view `timeline`")
            }
            ReplayError::Ambiguous { id, feeds } => {
                let named: Vec<String> = feeds.iter().map(|feed| format!("{feed}/{id}")).collect();
                write!(f, "more than one feed has {id}: say {}", named.join(" or "))
            }
            ReplayError::Row { what } => write!(f, "a row of the store is unreadable: {what}"),
        }
    }
}

impl std::error::Error for ReplayError {}

/// Where a replay is to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The end.
    End,
    /// This time, microseconds since 1970 UTC; what happened at it included.
    Time(i64),
    /// The end of this minute of play: before the first event of a later one.
    Minute(i64),
}

impl Until {
    /// A minute of play, or a time as RFC 3339.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Until, String> {
        if let Ok(minute) = text.parse::<u16>() {
            return Ok(Until::Minute(minute.into()));
        }
        let time = text.parse::<jiff::Timestamp>();
        time.map(|time| Until::Time(time.as_microsecond()))
            .map_err(|_| "expected a minute such as 45, or a time such as 2026-01-02T15:04:05Z".to_owned())
    }

    /// Whether a step comes after it.
    pub fn is_before(self, step: &Step) -> bool {
        match self {
            Until::End => false,
            Until::Time(time) => step.at > time,
            Until::Minute(minute) => {
                step.stream == Stream::Match && step.row.get("minute").and_then(Value::as_i64) > Some(minute)
            }
        }
    }
}

type Rows = Box<dyn Iterator<Item = Result<Step, ReplayError>>>;

/// What happened in a match, in order.
pub type History = Merge<Rows, Rows>;

/// Opens the history of a match, `FEED/ID` or `ID`, in the store at `path`.
///
/// # Errors
/// [`ReplayError`]: the store cannot be read, or has no such match, or several.
pub fn open(path: &Path, named: &str) -> Result<History, ReplayError> {
    let unread =
        |error: rusqlite::Error| ReplayError::Store { path: path.to_owned(), what: error.to_string() };
    let store = open_to_read(path).map_err(unread)?;
    let (feed, id) = find(&store, named, unread)?;
    let events = rows::timeline(&store, &feed, &id, MOST_EVENTS).map_err(unread)?;
    let events = events.into_iter().map(|line| Step::read(Stream::Match, &line));
    let odds = Pages::new(hours::folder(path), feed, id);
    Ok(Merge::new(Box::new(events), Box::new(odds)))
}

fn find(
    store: &Connection,
    named: &str,
    unread: impl Fn(rusqlite::Error) -> ReplayError,
) -> Result<(String, String), ReplayError> {
    // An id may have a slash itself.
    let split = named.split_once('/');
    for (feed, id) in [(None, named)].into_iter().chain(split.map(|(feed, id)| (Some(feed), id))) {
        let mut feeds = feeds(store, feed, id).map_err(&unread)?;
        match feeds.pop() {
            None => {}
            Some(feed) if feeds.is_empty() => return Ok((feed, id.to_owned())),
            Some(feed) => {
                feeds.push(feed);
                return Err(ReplayError::Ambiguous { id: id.to_owned(), feeds });
            }
        }
    }
    Err(ReplayError::Unknown { id: named.to_owned() })
}

/// The feeds that have events of a match; `feed`: only that one.
fn feeds(store: &Connection, feed: Option<&str>, id: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = store.prepare(
        "SELECT DISTINCT feed FROM events WHERE match = ?1 AND (?2 IS NULL OR feed = ?2) ORDER BY feed",
    )?;
    statement.query_map(params![id, feed], |row| row.get(0))?.collect()
}

/// The rows of odds of a match, page by page.
struct Pages {
    reader: Reader,
    folder: PathBuf,
    feed: String,
    id: String,
    since: i64,
    page: std::vec::IntoIter<String>,
    /// Whether there may be rows behind this page.
    more: bool,
}

impl Pages {
    fn new(folder: PathBuf, feed: String, id: String) -> Pages {
        let reader = Reader::new(folder.clone());
        Pages { reader, folder, feed, id, since: 0, page: Vec::new().into_iter(), more: true }
    }

    fn turn(&mut self) -> Result<(), ReplayError> {
        let filter = Filter {
            since: Some(self.since),
            feed: Some(self.feed.clone()),
            id: Some(self.id.clone()),
            ..Filter::default()
        };
        let unread =
            |error: std::io::Error| ReplayError::Store { path: self.folder.clone(), what: error.to_string() };
        let (lines, last) = self.reader.odds(&filter, PAGE).map_err(unread)?;
        self.more = lines.len() >= PAGE;
        self.since = last.unwrap_or(self.since).max(self.since);
        self.page = lines.into_iter();
        Ok(())
    }
}

impl Iterator for Pages {
    type Item = Result<Step, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(line) = self.page.next() {
                return Some(Step::read(Stream::Odds, &line));
            }
            if !std::mem::take(&mut self.more) {
                return None;
            }
            if let Err(error) = self.turn() {
                return Some(Err(error));
            }
        }
    }
}
