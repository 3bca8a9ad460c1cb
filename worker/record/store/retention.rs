//! What is too old or too much goes, seldom and in bounded pieces, between two commits.
//!
//! Ages are taken from the rows' own times: what a disk keeps across runs has no other clock.

use super::Shared;
use super::write::{FORGET_PARTS, add_to_meta};
use crate::record::config::RecordConfig;
use crate::record::queue;
use crate::record::time::{micros, rfc3339};
use rusqlite::{Connection, params};
use std::time::{Duration, Instant};
use touchline_common::config::Dur;

const PIECE: i64 = 2_000;
const ROUND: Duration = Duration::from_secs(60);
const PAGES: i64 = 500;
/// Ledgers that are looked at in one piece.
const LEDGERS: usize = 500;

/// A ledger stays as long as an event of its match: what comes back under that id must give no id twice.
const FORGET_LEDGER: &str = "
DELETE FROM ledgers WHERE feed = ?1 AND match = ?2
    AND NOT EXISTS (SELECT 1 FROM documents d WHERE d.feed = ?1 AND d.match = ?2)
    AND NOT EXISTS (SELECT 1 FROM events e WHERE e.match = ?2 AND e.feed = ?1)";

/// With a ledger go its parts. Whether it went.
fn forget_ledger(connection: &Connection, feed: &str, id: &str) -> rusqlite::Result<bool> {
    let is_gone = connection.prepare_cached(FORGET_LEDGER)?.execute([feed, id])? > 0;
    if is_gone {
        connection.prepare_cached(FORGET_PARTS)?.execute([feed, id])?;
    }
    Ok(is_gone)
}

#[derive(PartialEq, Eq)]
enum Left {
    More,
    Nothing,
}

#[derive(Debug, Default)]
pub(super) struct Retention {
    rested_since: Option<Instant>,
    /// The ledger that was looked at last, feed and id.
    ledgers_after: (String, String),
    /// Matches that were removed, feed and id.
    pub(super) forgotten: Vec<(String, String)>,
}

impl Retention {
    /// Whether a round is under way or due.
    pub(super) fn is_at_work(&self) -> bool {
        self.rested_since.is_none_or(|since| since.elapsed() >= ROUND)
    }

    /// One piece of the first that there is to do; a failure is logged and tried again in the next round.
    pub(super) fn step(&mut self, connection: &Connection, config: &RecordConfig, shared: &Shared, now: i64) {
        self.rested_since = None;
        let left = self.piece(connection, config, shared, now).unwrap_or_else(|error| {
            log::warn!(error:% = error; "store.retention_failed");
            Left::Nothing
        });
        if left == Left::Nothing {
            self.rested_since = Some(Instant::now());
        }
    }

    fn piece(
        &mut self,
        connection: &Connection,
        config: &RecordConfig,
        shared: &Shared,
        now: i64,
    ) -> rusqlite::Result<Left> {
        let before = |age: Dur| now.saturating_sub(micros(age.get()));
        let store = &config.store;
        if events(connection, shared, &rfc3339(before(store.keep_events)))? == Left::More
            || self.matches(connection, now, before(store.keep_matches))? == Left::More
        {
            return Ok(Left::More);
        }
        self.ledgers(connection)?;
        size(connection, shared, store.max_size.get())
    }

    /// Ledgers that outlived their documents go with the last event. A few in each piece, round and round.
    fn ledgers(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let (feed, id) = &self.ledgers_after;
        let mut statement = connection.prepare_cached(
            "SELECT feed, match FROM ledgers WHERE (feed, match) > (?1, ?2) ORDER BY feed, match LIMIT ?3",
        )?;
        let next =
            statement.query_map(params![feed, id, LEDGERS as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let next: Vec<(String, String)> = next.collect::<rusqlite::Result<_>>()?;
        let transaction = connection.unchecked_transaction()?;
        let mut gone = Vec::new();
        for (feed, id) in &next {
            if forget_ledger(&transaction, feed, id)? {
                gone.push((feed.clone(), id.clone()));
            }
        }
        transaction.commit()?;
        // What is held of one knows which of its parts the store has.
        self.forgotten.extend(gone);
        self.ledgers_after = next.into_iter().nth(LEDGERS - 1).unwrap_or_default();
        Ok(())
    }

    /// Documents of matches that are not updated any more, and ledgers without events.
    fn matches(&mut self, connection: &Connection, now: i64, before: i64) -> rusqlite::Result<Left> {
        let mut statement = connection.prepare_cached(
            "SELECT feed, match FROM documents WHERE state <> 'live' AND updated_at < ?1 LIMIT 50",
        )?;
        let old = statement.query_map([before], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let old: Vec<(String, String)> = old.collect::<rusqlite::Result<_>>()?;
        let transaction = connection.unchecked_transaction()?;
        for (feed, id) in &old {
            for table in ["sections", "documents"] {
                transaction.execute(
                    &format!("DELETE FROM {table} WHERE feed = ?1 AND match = ?2"),
                    params![feed, id],
                )?;
            }
            forget_ledger(&transaction, feed, id)?;
            transaction.execute(
                "UPDATE gaps SET ended_at = ?3 WHERE feed = ?1 AND match = ?2 AND ended_at IS NULL",
                params![feed, id, rfc3339(now)],
            )?;
        }
        transaction.commit()?;
        let left = if old.len() == 50 { Left::More } else { Left::Nothing };
        self.forgotten.extend(old);
        Ok(left)
    }
}

/// Events that are too old, but for those that a sink has yet to read.
fn events(connection: &Connection, shared: &Shared, before: &str) -> rusqlite::Result<Left> {
    let transaction = connection.unchecked_transaction()?;
    let gone = transaction
        .prepare_cached(
            "DELETE FROM events WHERE at < ?1 AND seq IN (SELECT seq FROM events WHERE seq <= ?3 ORDER BY seq LIMIT ?2)",
        )?
        .execute(params![before, PIECE, shared.readers.low_water()])?;
    transaction.execute(
        "DELETE FROM gaps WHERE id IN (SELECT id FROM gaps WHERE ended_at < ?1 LIMIT ?2)",
        params![before, PIECE],
    )?;
    forget(&transaction, shared, gone)?;
    transaction.commit()?;
    Ok(if gone as i64 == PIECE { Left::More } else { Left::Nothing })
}

fn forget(connection: &Connection, shared: &Shared, gone: usize) -> rusqlite::Result<()> {
    if gone > 0 {
        add_to_meta(connection, "events", -(gone as i64))?;
        let mut stats = queue::lock(&shared.stats);
        stats.events = stats.events.saturating_sub(gone as u64);
    }
    Ok(())
}

/// Holds the store to its size: the oldest events go first, also those that a sink has yet to read.
fn size(connection: &Connection, shared: &Shared, max: u64) -> rusqlite::Result<Left> {
    connection.execute_batch(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let (pages, free, bytes) = (pragma("page_count")?, pragma("freelist_count")?, pragma("page_size")?);
    let used = u64::try_from((pages - free).saturating_mul(bytes)).unwrap_or(0);
    if used <= max {
        return Ok(if free > PAGES { Left::More } else { Left::Nothing });
    }
    let transaction = connection.unchecked_transaction()?;
    let unread: u64 = transaction
        .prepare_cached("SELECT count(*) FROM (SELECT seq FROM events ORDER BY seq LIMIT ?1) WHERE seq > ?2")?
        .query_row([PIECE, shared.readers.low_water()], |row| row.get::<_, i64>(0))?
        .unsigned_abs();
    let gone = transaction
        .prepare_cached("DELETE FROM events WHERE seq IN (SELECT seq FROM events ORDER BY seq LIMIT ?1)")?
        .execute([PIECE])?;
    forget(&transaction, shared, gone)?;
    transaction.commit()?;
    if gone == 0 {
        return Ok(Left::Nothing);
    }
    shared.readers.lose(unread);
    log::warn!(rows = gone, unread = unread, used = used, max = max; "store.trimmed");
    Ok(Left::More)
}
