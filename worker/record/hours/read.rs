//! The rows of the hour files as operators and clients see them, in order across the files.
//!
//! Each file is opened for its part of an answer only. One that cannot be read is left out, with a line in the log; retention may
//! delete one meanwhile.

use super::schema::{SCHEMA, TYPES};
use super::{file_name, hour_of_seq, list};
use crate::record::time::rfc3339;
use rusqlite::{Connection, OpenFlags, Row, params};
use serde::Serialize;
use serde_json::value::RawValue;
use std::path::{Path, PathBuf};
use std::time::Duration;
use touchline_common::model::Price;

#[derive(Clone, Debug, Default)]
pub struct OddsFilter {
    /// Only those above this `seq`; without it the newest.
    pub since: Option<i64>,
    pub feed: Option<String>,
    pub id: Option<String>,
    pub market: Option<String>,
}

#[derive(Serialize)]
struct Odds<'a> {
    seq: i64,
    r#match: &'a str,
    feed: &'a str,
    r#type: &'a str,
    lane: &'static str,
    market: &'a str,
    market_name: &'a str,
    selection: Option<&'a str>,
    selection_name: Option<&'a str>,
    odds: Option<&'a RawValue>,
    odds_text: Option<&'a str>,
    suspended: Option<bool>,
    /// Not in the bulk stream yet.
    won: Option<bool>,
    at: &'a str,
    recovered: bool,
}

/// A connection for reading only.
pub fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    Ok(connection)
}

#[derive(Debug)]
pub struct Reader(PathBuf);

impl Reader {
    /// Of `folder`.
    pub fn new(folder: PathBuf) -> Reader {
        Reader(folder)
    }

    /// Row objects, ascending, and the `seq` of the last: those after `since` from the oldest on, or the newest.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn odds(&self, filter: &OddsFilter, limit: usize) -> std::io::Result<(Vec<String>, Option<i64>)> {
        let mut hours = list(&self.0)?;
        match filter.since {
            Some(since) => hours.retain(|hour| *hour >= hour_of_seq(since)),
            None => hours.reverse(),
        }
        let mut lines: Vec<String> = Vec::new();
        let mut last = None;
        for hour in hours {
            let left = limit.saturating_sub(lines.len());
            if left == 0 {
                break;
            }
            let path = self.0.join(file_name(hour));
            match open(&path).and_then(|file| rows(&file, filter, left)) {
                Ok((more, newest)) => {
                    last = last.max(newest);
                    lines.extend(more);
                }
                // Deleted since the list was made.
                Err(_) if !path.exists() => {}
                Err(error) => {
                    log::warn!(file:% = path.to_string_lossy(), error:% = error; "hour.not_read");
                }
            }
        }
        if filter.since.is_none() {
            lines.reverse();
        }
        Ok((lines, last))
    }
}

/// Rows of one file, in the order of the question.
fn rows(
    file: &Connection,
    filter: &OddsFilter,
    limit: usize,
) -> rusqlite::Result<(Vec<String>, Option<i64>)> {
    let version: i64 = file.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version != SCHEMA {
        let text = format!("its schema is {version}, this program knows {SCHEMA}");
        return Err(rusqlite::Error::ToSqlConversionFailure(text.into()));
    }
    let order = if filter.since.is_some() { "ASC" } else { "DESC" };
    let of_some = [&filter.feed, &filter.id, &filter.market].iter().any(|value| value.is_some());
    let only = if of_some {
        "AND o.selection IN (SELECT id FROM selections WHERE (?2 IS NULL OR feed = ?2) AND (?3 IS NULL OR match = ?3)
            AND (?4 IS NULL OR market = ?4))"
    } else {
        "AND ?2 IS NULL AND ?3 IS NULL AND ?4 IS NULL"
    };
    let sql = format!(
        "SELECT o.seq, s.match, s.feed, o.type, s.market, s.market_name, s.selection, s.selection_name, o.price, t.text,
            o.suspended, o.at, o.recovered
        FROM odds o JOIN selections s ON s.id = o.selection LEFT JOIN texts t ON t.id = o.text
        WHERE o.seq > ?1 {only} ORDER BY o.seq {order} LIMIT ?5"
    );
    let mut statement = file.prepare(&sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let since = filter.since.unwrap_or(-1);
    let mut rows = statement.query(params![since, filter.feed, filter.id, filter.market, limit])?;
    let (mut lines, mut last) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        last = last.max(Some(row.get(0)?));
        lines.push(line(row)?);
    }
    Ok((lines, last))
}

fn line(row: &Row<'_>) -> rusqlite::Result<String> {
    let json = |error: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
    let optional = |column: usize| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str_or_null()?);
    let text = |column: usize| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str()?);
    let price = row.get::<_, Option<i64>>(8)?.map(|price| RawValue::from_string(Price(price).to_string()));
    let price = price.transpose().map_err(json)?;
    let kind: i64 = row.get(3)?;
    let at = rfc3339(row.get(11)?);
    let odds = Odds {
        seq: row.get(0)?,
        r#match: text(1)?,
        feed: text(2)?,
        r#type: usize::try_from(kind).ok().and_then(|kind| TYPES.get(kind).copied()).unwrap_or("base"),
        lane: "odds",
        market: text(4)?,
        market_name: text(5)?,
        selection: optional(6)?,
        selection_name: optional(7)?,
        odds: price.as_deref(),
        odds_text: optional(9)?,
        suspended: row.get(10)?,
        won: None,
        at: &at,
        recovered: row.get(12)?,
    };
    serde_json::to_string(&odds).map_err(json)
}
