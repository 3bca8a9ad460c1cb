//! Rows of the store as the JSON that operators and clients see.

use crate::record::sqlite::{Filter, Rows};
use rusqlite::{Connection, params};

/// A row of `events` as an object.
pub(in crate::record) const EVENT: &str = r#"rtrim(json_object('seq', seq, 'id', id, 'revision', revision, 'retracts', retracts, 'match', match,
    'feed', feed, 'sport', sport, 'type', type, 'lane', lane, 'side', side, 'minute', minute, 'second', second,
    'period', period, 'at', at, 'feed_at', feed_at, 'epoch', epoch, 'version', version, 'order', "order"), '}')
    || ',"score":' || coalesce(score, 'null') || ',"late":' || iif(late, 'true', 'false')
    || ',"recovered":' || iif(recovered, 'true', 'false') || ',"payload":' || coalesce(payload, 'null') || '}'"#;

/// Event objects, ascending, and the `seq` of the last.
pub(super) fn events(connection: &Connection, filter: &Filter, limit: usize) -> rusqlite::Result<Rows> {
    let (mut lines, last) = filter.read(connection, limit, |wanted| {
        let of = wanted.of().map(|of| format!("AND {of}")).unwrap_or_default();
        let (types, direction) = (wanted.and_type("type"), wanted.direction);
        format!(
            "SELECT seq, {EVENT} FROM events WHERE seq > ?1 {of} {types} ORDER BY seq {direction} LIMIT ?2"
        )
    })?;
    if filter.since.is_none() {
        lines.reverse();
    }
    Ok((lines, last))
}

/// Event objects of a match, as far as they were not taken back, in the order in which they were seen.
pub(in crate::record) fn timeline(
    connection: &Connection,
    feed: &str,
    id: &str,
    limit: usize,
) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached(&format!(
        r#"SELECT {EVENT} FROM timeline WHERE feed = ?1 AND match = ?2 ORDER BY at, "order", seq LIMIT ?3"#
    ))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statement.query_map(params![feed, id, limit], |row| row.get(0))?.collect()
}

/// Gaps, the newest last.
pub(super) fn gaps(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT json_object('id', id, 'feed', feed, 'match', match, 'worker', worker, 'started_at', started_at,
            'ended_at', ended_at, 'reason', reason)
        FROM (SELECT * FROM gaps ORDER BY id DESC LIMIT ?1) ORDER BY id",
    )?;
    statement.query_map([limit as i64], |row| row.get(0))?.collect()
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
