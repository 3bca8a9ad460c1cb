//! The rows of the hour files as operators and clients see them, in order across the files.
//!
//! Each file is opened for its part of an answer only. One that cannot be read is left out, with a line in the log; retention may
//! delete one meanwhile.

use super::schema::{SCHEMA, TYPE, WITH_FEED_AT, WITH_RESULT};
use super::{file_name, hour_of_seq, list};
use crate::record::sqlite::{Filter, Rows, open_to_read};
use rusqlite::Connection;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// The oldest schema that is read.
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
    pub fn odds(&self, filter: &Filter, limit: usize) -> io::Result<Rows> {
        self.rows(filter, limit, odds)
    }

    /// As [`Reader::odds`], of what is said in rooms.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn chat(&self, filter: &Filter, limit: usize) -> io::Result<Rows> {
        self.rows(filter, limit, chat)
    }

    fn rows(
        &self,
        filter: &Filter,
        limit: usize,
        read: fn(&Connection, &Filter, usize) -> rusqlite::Result<Rows>,
    ) -> io::Result<Rows> {
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
            match open(&path).and_then(|file| read(&file, filter, left)) {
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

    /// Gives what was said in rooms and has an id, the newest first, until `take` wants no more; from the two newest files alone.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn newest_chat(&self, take: &mut dyn FnMut(&Said<'_>) -> ControlFlow<()>) -> io::Result<()> {
        for hour in list(&self.0)?.into_iter().rev().take(2) {
            let path = self.0.join(file_name(hour));
            match open(&path).and_then(|file| said(&file, take)) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break,
                Err(error) => {
                    log::warn!(file:% = path.to_string_lossy(), error:% = error; "hour.not_read");
                }
            }
        }
        Ok(())
    }
}

/// What names a line of chat, and when it was read.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Wall clock, microseconds since 1970 UTC.
    pub at: i64,
    pub feed: &'a str,
    pub id_of_match: &'a str,
    pub kind: &'a str,
    pub id: &'a str,
}

fn said(
    file: &Connection,
    take: &mut dyn FnMut(&Said<'_>) -> ControlFlow<()>,
) -> rusqlite::Result<ControlFlow<()>> {
    let sql = "SELECT at, feed, match, type, id FROM chat WHERE id <> '' ORDER BY seq DESC";
    let mut statement = file.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let text = |column| row.get_ref(column).map(|value| value.as_str().unwrap_or_default());
        let (feed, id_of_match, kind, id) = (text(1)?, text(2)?, text(3)?, text(4)?);
        let said = Said { at: row.get(0)?, feed, id_of_match, kind, id };
        if take(&said).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// A connection that reads an hour's file.
///
/// # Errors
/// As SQLite; a file of another schema.
pub(in crate::record) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let file = open_to_read(path)?;
    let version = version(&file)?;
    if !(OLDEST..=SCHEMA).contains(&version) {
        let text = format!("its schema is {version}, this program knows {SCHEMA}");
        return Err(rusqlite::Error::ToSqlConversionFailure(text.into()));
    }
    Ok(file)
}

/// Rows of odds of one file, in the order of the question.
fn odds(file: &Connection, filter: &Filter, limit: usize) -> rusqlite::Result<Rows> {
    let object = odds_object(file)?;
    filter.read(file, limit, |wanted| {
        let only = |of| format!("AND o.selection IN (SELECT id FROM selections WHERE {of})");
        let only = wanted.of().map(only).unwrap_or_default();
        let (types, direction) = (wanted.and_type(TYPE), wanted.direction);
        format!(
            "SELECT o.seq, {object} {ODDS} WHERE o.seq > ?1 {only} {types} ORDER BY o.seq {direction} LIMIT ?2"
        )
    })
}

/// Rows of rooms of one file, in the order of the question.
fn chat(file: &Connection, filter: &Filter, limit: usize) -> rusqlite::Result<Rows> {
    let object = chat_object(file)?;
    filter.read(file, limit, |wanted| {
        let of = wanted.of().map(|of| format!("AND {of}")).unwrap_or_default();
        let (types, direction) = (wanted.and_type("type"), wanted.direction);
        format!(
            "SELECT c.seq, {object} FROM chat c WHERE c.seq > ?1 {of} {types} ORDER BY c.seq {direction} LIMIT ?2"
        )
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
    let won = if version(file)? >= WITH_RESULT { "o.won" } else { "NULL" };
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
///
/// # Errors
/// As SQLite.
pub(in crate::record) fn chat_object(file: &Connection) -> rusqlite::Result<String> {
    // Files of the schemas before hold no row of a room.
    let feed_at = if version(file)? >= WITH_FEED_AT { "c.feed_at" } else { "NULL" };
    Ok(format!(
        "json_object('seq', c.seq, 'match', c.match, 'feed', c.feed, 'type', c.type, 'lane', 'chat', 'id', c.id,
        'user', c.user, 'text', c.text, 'amount', c.amount,
        'at', strftime('%Y-%m-%dT%H:%M:%S', c.at / 1000000, 'unixepoch') || printf('.%06dZ', c.at % 1000000),
        'feed_at', strftime('%Y-%m-%dT%H:%M:%S', {feed_at} / 1000000, 'unixepoch') || printf('.%06dZ', {feed_at} % 1000000))"
    ))
}

fn version(file: &Connection) -> rusqlite::Result<i64> {
    file.query_row("PRAGMA user_version", [], |row| row.get(0))
}
