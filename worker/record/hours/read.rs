//! The rows of the hour files as operators and clients see them, in order across the files.
//!
//! Each file is opened for its part of an answer only. One that cannot be read is left out, with a line in the log; retention may
//! delete one meanwhile.

use super::schema::{SCHEMA, TYPE};
use super::{file_name, hour_of_seq, list};
use crate::record::sqlite::{Filter, Rows, open_to_read};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// The oldest schema that is read; its rows have no result.
const OLDEST: i64 = 1;

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
    pub fn odds(&self, filter: &Filter, limit: usize) -> std::io::Result<Rows> {
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

/// A connection that reads an hour's file.
///
/// # Errors
/// As SQLite; a file of another schema.
pub(in crate::record) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let file = open_to_read(path)?;
    let version: i64 = file.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if !(OLDEST..=SCHEMA).contains(&version) {
        let text = format!("its schema is {version}, this program knows {SCHEMA}");
        return Err(rusqlite::Error::ToSqlConversionFailure(text.into()));
    }
    Ok(file)
}

/// Rows of one file, in the order of the question.
fn rows(file: &Connection, filter: &Filter, limit: usize) -> rusqlite::Result<Rows> {
    let object = odds_object(file)?;
    filter.read(file, limit, |wanted, direction| {
        let only = if wanted.is_empty() {
            String::new()
        } else {
            format!("AND o.selection IN (SELECT id FROM selections WHERE {wanted})")
        };
        format!("SELECT o.seq, {object} {ODDS} WHERE o.seq > ?1 {only} ORDER BY o.seq {direction} LIMIT ?2")
    })
}

/// The rows `o` of odds, with what they are about.
pub(in crate::record) const ODDS: &str =
    "FROM odds o JOIN selections s ON s.id = o.selection LEFT JOIN texts t ON t.id = o.text";

/// One of them as an object. Files of hours that are over stay as they were written.
///
/// # Errors
/// As SQLite.
pub(in crate::record) fn odds_object(file: &Connection) -> rusqlite::Result<String> {
    let version: i64 = file.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let won = if version > OLDEST { "o.won" } else { "NULL" };
    // Prices have four decimals at most, written as short as they are exact.
    Ok(format!(
        "json_object('seq', o.seq, 'match', s.match, 'feed', s.feed, 'type', {TYPE}, 'lane', 'odds',
            'market', s.market, 'market_name', s.market_name, 'selection', s.selection,
            'selection_name', s.selection_name,
            'odds', json(CASE WHEN o.price IS NOT NULL THEN printf('%.15g', o.price / 10000.0) END),
            'odds_text', t.text,
            'suspended', json(CASE o.suspended WHEN 0 THEN 'false' WHEN 1 THEN 'true' END),
            'won', json(CASE {won} WHEN 0 THEN 'false' WHEN 1 THEN 'true' END),
            'at', strftime('%Y-%m-%dT%H:%M:%S', o.at / 1000000, 'unixepoch') || printf('.%06dZ', o.at % 1000000),
            'recovered', json(iif(o.recovered, 'true', 'false')))"
    ))
}

/// A row `c` of `chat` as an object.
pub(in crate::record) const CHAT_OBJECT: &str =
    "json_object('seq', c.seq, 'match', c.match, 'feed', c.feed, 'type', c.type, 'lane', 'chat', 'id', c.id,
        'user', c.user, 'text', c.text, 'amount', c.amount,
        'at', strftime('%Y-%m-%dT%H:%M:%S', c.at / 1000000, 'unixepoch') || printf('.%06dZ', c.at % 1000000),
        'feed_at', NULL)";
