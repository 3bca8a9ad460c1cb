//! Reads what the odds and the lines of rooms are compared from: the views `history` and `comments` of the hour files, in their order,
//! and the gaps in the store.
//!
//! Everything is opened read-only, row by row, so it works beside a running recorder and however much there is.

use super::odds::{Kind, Row};
use rusqlite::{Connection, OpenFlags, Row as Record};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a file may be locked by who writes it.
const LOCKED: Duration = Duration::from_secs(5);

/// Why the rows could not be read.
#[derive(Debug)]
pub(super) enum HoursError {
    /// The folder or one of its entries.
    Folder(PathBuf, std::io::Error),
    /// There is no file in the folder.
    Empty(PathBuf),
    /// A database.
    Database(PathBuf, rusqlite::Error),
    /// A row that the view must not have.
    Row { file: PathBuf, seq: i64, what: String },
}

impl fmt::Display for HoursError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HoursError::Folder(path, error) => write!(f, "reading folder {}: {error}", path.display()),
            HoursError::Empty(path) => write!(f, "there are no hour files in {}", path.display()),
            HoursError::Database(path, error) => write!(f, "reading {}: {error}", path.display()),
            HoursError::Row { file, seq, what } => write!(f, "row {seq} of {}: {what}", file.display()),
        }
    }
}

/// Gives every row of odds in every hour file of the store in `folder` to `take`.
pub(super) fn read(folder: &Path, take: &mut dyn FnMut(&Row<'_>)) -> Result<(), HoursError> {
    let mut last = 0;
    files(folder)?.iter().try_for_each(|file| read_file(file, &mut last, take))
}

/// A line of a room as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChatRow {
    pub(super) room: String,
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) user: String,
    pub(super) text: String,
    pub(super) amount: Option<i64>,
}

/// Gives every line of a room in every hour file of the store in `folder` to `take`.
pub(super) fn read_chat(folder: &Path, feed: &str, take: &mut dyn FnMut(&ChatRow)) -> Result<(), HoursError> {
    for file in files(folder)? {
        let failed = |error| HoursError::Database(file.clone(), error);
        let database = open(&file).map_err(failed)?;
        let asked = "SELECT match, id, type, user, text, amount FROM comments WHERE feed = ?1 ORDER BY seq";
        let mut statement = database.prepare(asked).map_err(failed)?;
        let mut records = statement.query([feed]).map_err(failed)?;
        while let Some(record) = records.next().map_err(failed)? {
            take(&chat_row(record).map_err(failed)?);
        }
    }
    Ok(())
}

fn chat_row(record: &Record<'_>) -> rusqlite::Result<ChatRow> {
    let text = |column: usize| record.get::<_, Option<String>>(column).map(Option::unwrap_or_default);
    Ok(ChatRow {
        room: text(0)?,
        id: text(1)?,
        kind: text(2)?,
        user: text(3)?,
        text: text(4)?,
        amount: record.get(5)?,
    })
}

/// The hour files of the store in `folder`, in the order of their hours.
fn files(folder: &Path) -> Result<Vec<PathBuf>, HoursError> {
    let hours = folder.join("hours");
    let failed = |error| HoursError::Folder(hours.clone(), error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&hours).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "db") {
            files.push(path);
        }
    }
    // The names are times: their order is that of the hours.
    files.sort_unstable();
    if files.is_empty() {
        return Err(HoursError::Empty(hours));
    }
    Ok(files)
}

fn read_file(file: &Path, last: &mut i64, take: &mut dyn FnMut(&Row<'_>)) -> Result<(), HoursError> {
    let failed = |error| HoursError::Database(file.to_owned(), error);
    let database = open(file).map_err(failed)?;
    let mut statement = database
        .prepare(
            "SELECT seq, match, market, selection, type, odds, odds_text, suspended, recovered FROM history ORDER BY seq",
        )
        .map_err(failed)?;
    let mut records = statement.query([]).map_err(failed)?;
    while let Some(record) = records.next().map_err(failed)? {
        let seq = record.get(0).map_err(failed)?;
        let wrong = |what: String| HoursError::Row { file: file.to_owned(), seq, what };
        if seq <= *last {
            return Err(wrong(format!("its number does not rise: {last} stands before it")));
        }
        *last = seq;
        let kind: String = record.get(4).map_err(failed)?;
        let kind = Kind::parse(&kind).ok_or_else(|| wrong(format!("unknown type {kind:?}")))?;
        take(&row(record, seq, kind).map_err(failed)?);
    }
    Ok(())
}

fn row<'a>(record: &'a Record<'_>, seq: i64, kind: Kind) -> rusqlite::Result<Row<'a>> {
    let text = |column: usize| {
        let value = record.get_ref(column)?;
        value.as_str_or_null().map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(column, value.data_type(), Box::new(error))
        })
    };
    Ok(Row {
        seq,
        id: text(1)?.unwrap_or_default(),
        market: text(2)?.unwrap_or_default(),
        selection: text(3)?,
        kind,
        odds: record.get(5)?,
        odds_text: text(6)?,
        suspended: record.get(7)?,
        recovered: record.get(8)?,
    })
}

/// The gaps of the store in `folder`: the match, from when and until when, in seconds since 1970.
pub(super) fn gaps(folder: &Path) -> Result<Vec<(String, i64, i64)>, HoursError> {
    let gaps = gap_times(folder)?.into_iter();
    Ok(gaps.map(|gap| (gap.id, gap.from.div_euclid(1_000_000), gap.to.div_euclid(1_000_000))).collect())
}

/// A gap of a match; times in microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GapTimes {
    pub(super) feed: String,
    pub(super) id: String,
    pub(super) from: i64,
    /// The end of time while it is open.
    pub(super) to: i64,
}

/// The gaps of the store in `folder`.
pub(super) fn gap_times(folder: &Path) -> Result<Vec<GapTimes>, HoursError> {
    let file = folder.join("touchline.db");
    let failed = |error| HoursError::Database(file.clone(), error);
    let database = open(&file).map_err(failed)?;
    let asked = "SELECT feed, match, started_at, ended_at FROM gaps";
    let mut statement = database.prepare(asked).map_err(failed)?;
    let micros = |text: &str| text.parse().map_or(0, jiff::Timestamp::as_microsecond);
    let gaps = statement.query_map([], |record| {
        let (from, to): (String, Option<String>) = (record.get(2)?, record.get(3)?);
        let to = to.map_or(i64::MAX, |to| micros(&to));
        Ok(GapTimes { feed: record.get(0)?, id: record.get(1)?, from: micros(&from), to })
    });
    gaps.map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
}

fn open(file: &Path) -> rusqlite::Result<Connection> {
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    database.busy_timeout(LOCKED)?;
    Ok(database)
}
