//! Rows of the store as the JSON that operators and clients see.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, ToSql, params};
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    /// Only those above this `seq`; without it the newest.
    pub(super) since: Option<i64>,
    pub(super) feed: Option<String>,
    pub(super) id: Option<String>,
    pub(super) lane: Option<String>,
}

const COLUMNS: &str = r#"seq, id, revision, retracts, match, feed, sport, type, lane, side, minute, second, period, at,
    feed_at, epoch, version, "order", score, late, recovered, payload"#;

#[derive(Serialize)]
struct Event<'a> {
    seq: i64,
    id: &'a str,
    revision: i64,
    retracts: Option<&'a str>,
    r#match: &'a str,
    feed: &'a str,
    sport: Option<&'a str>,
    r#type: &'a str,
    lane: &'a str,
    side: Option<&'a str>,
    minute: Option<i64>,
    second: Option<i64>,
    period: Option<&'a str>,
    at: &'a str,
    feed_at: Option<&'a str>,
    epoch: i64,
    version: i64,
    order: i64,
    score: Option<&'a RawValue>,
    late: bool,
    recovered: bool,
    payload: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Gap<'a> {
    id: i64,
    feed: &'a str,
    r#match: &'a str,
    worker: Option<i64>,
    started_at: &'a str,
    ended_at: Option<&'a str>,
    reason: &'a str,
}

/// Event objects, ascending, and the `seq` of the last.
pub(super) fn events(
    connection: &Connection,
    filter: &Filter,
    limit: usize,
) -> rusqlite::Result<(Vec<String>, Option<i64>)> {
    let (order, since) = match filter.since {
        Some(since) => ("ASC", since),
        None => ("DESC", -1),
    };
    let mut wanted = String::from("seq > ?1");
    let limit = limit as i64;
    let mut values: Vec<&dyn ToSql> = vec![&since];
    for (column, value) in [("feed", &filter.feed), ("match", &filter.id), ("lane", &filter.lane)] {
        if let Some(value) = value {
            values.push(value);
            wanted.push_str(&format!(" AND {column} = ?{}", values.len()));
        }
    }
    values.push(&limit);
    let sql =
        format!("SELECT {COLUMNS} FROM events WHERE {wanted} ORDER BY seq {order} LIMIT ?{}", values.len());
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(values.as_slice())?;
    let (mut lines, mut last) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        last = last.max(Some(row.get(0)?));
        lines.push(event(row)?);
    }
    if filter.since.is_none() {
        lines.reverse();
    }
    Ok((lines, last))
}

/// Gaps, the newest last.
pub(super) fn gaps(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, feed, match, worker, started_at, ended_at, reason FROM gaps ORDER BY id DESC LIMIT ?1",
    )?;
    let mut rows = statement.query([limit as i64])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        lines.push(to_json(&Gap {
            id: row.get(0)?,
            feed: text(row, 1)?,
            r#match: text(row, 2)?,
            worker: row.get(3)?,
            started_at: text(row, 4)?,
            ended_at: optional(row, 5)?,
            reason: text(row, 6)?,
        })?);
    }
    lines.reverse();
    Ok(lines)
}

/// Feed and document of the stored matches with this id.
pub(super) fn documents(
    connection: &Connection,
    feed: Option<&str>,
    id: &str,
) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare_cached(
        "SELECT feed, document FROM matches WHERE match = ?1 AND (?2 IS NULL OR feed = ?2)",
    )?;
    let rows = statement.query_map(params![id, feed], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn event(row: &Row<'_>) -> rusqlite::Result<String> {
    to_json(&Event {
        seq: row.get(0)?,
        id: text(row, 1)?,
        revision: row.get(2)?,
        retracts: optional(row, 3)?,
        r#match: text(row, 4)?,
        feed: text(row, 5)?,
        sport: optional(row, 6)?,
        r#type: text(row, 7)?,
        lane: text(row, 8)?,
        side: optional(row, 9)?,
        minute: row.get(10)?,
        second: row.get(11)?,
        period: optional(row, 12)?,
        at: text(row, 13)?,
        feed_at: optional(row, 14)?,
        epoch: row.get(15)?,
        version: row.get(16)?,
        order: row.get(17)?,
        score: raw(row, 18)?,
        late: row.get(19)?,
        recovered: row.get(20)?,
        payload: raw(row, 21)?,
    })
}

fn to_json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn optional<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<Option<&'a str>> {
    let value = row.get_ref(column)?;
    if value == ValueRef::Null { Ok(None) } else { Ok(Some(value.as_str()?)) }
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a str> {
    Ok(row.get_ref(column)?.as_str()?)
}

/// Stored JSON goes out as it is, once it is known to be JSON.
fn raw<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<Option<&'a RawValue>> {
    let Some(text) = optional(row, column)? else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}
