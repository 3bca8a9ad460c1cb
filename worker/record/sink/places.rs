//! How far each sink has come, and what brokers refused for good: `sinks.db` beside the store.
//!
//! A database of its own, for the store has one writer, which must not wait for sinks: each sink's thread has a connection of its own
//! here. A row is settled first and its position stored after that, so a crash may tell some rows twice and leaves none out; a sink that
//! can look at what it told last avoids that too (`Sink::connect`). Positions of another store, which the token tells, are void.

use super::{Position, Row};
use crate::record::sqlite::beside;
use crate::record::time::{rfc3339, wall_us};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use touchline_common::ipc::messages::data::PerStream;

/// Refused rows that are kept of each sink; the oldest go first.
const REFUSED: i64 = 10_000;
/// How long another sink's thread may take for its transaction.
const BUSY: Duration = Duration::from_secs(2);

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions(
    sink TEXT PRIMARY KEY, matches INTEGER NOT NULL, bulk INTEGER NOT NULL, mark TEXT NOT NULL,
    refused INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused(
    id INTEGER PRIMARY KEY, sink TEXT NOT NULL, lane TEXT NOT NULL, seq INTEGER NOT NULL, at TEXT NOT NULL,
    error TEXT NOT NULL, row TEXT NOT NULL, UNIQUE (sink, seq));
";

/// A row that is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) row: Row,
    pub(super) error: String,
}

#[derive(Debug)]
pub(super) struct Places {
    connection: Connection,
    sink: &'static str,
}

/// The file beside the store.
pub(super) fn path(store: &Path) -> PathBuf {
    store.parent().unwrap_or(Path::new(".")).join("sinks.db")
}

impl Places {
    /// Those of a sink, for the store with this token.
    pub(super) fn open(store: &Path, token: u64, sink: &'static str) -> rusqlite::Result<Places> {
        let path = path(store);
        let mut connection = Connection::open(&path)?;
        // Readable by the group, as the store.
        let mode = fs::Permissions::from_mode(0o660);
        let _ = fs::set_permissions(&path, mode.clone());
        connection.busy_timeout(BUSY)?;
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")?;
        let _ = fs::set_permissions(beside(&path, "-wal"), mode);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(TABLES)?;
        let token = i64::try_from(token).unwrap_or(i64::MAX);
        let held: Option<i64> = transaction
            .query_row("SELECT value FROM meta WHERE key = 'token'", [], |row| row.get(0))
            .optional()?;
        if held != Some(token) {
            transaction.execute("DELETE FROM positions", [])?;
            transaction.execute("DELETE FROM refused", [])?;
            transaction.execute("INSERT OR REPLACE INTO meta VALUES ('token', ?1)", [token])?;
        }
        transaction.commit()?;
        Ok(Places { connection, sink })
    }

    /// Where the sink is, and how many rows were ever refused; `None`: it has never been anywhere.
    pub(super) fn load(&self) -> rusqlite::Result<Option<(Position, u64)>> {
        let sql = "SELECT matches, bulk, mark, refused FROM positions WHERE sink = ?1";
        self.connection
            .query_row(sql, [self.sink], |row| {
                let seq = PerStream { matches: row.get(0)?, bulk: row.get(1)? };
                Ok((Position { seq, mark: row.get(2)? }, row.get::<_, i64>(3)?.unsigned_abs()))
            })
            .optional()
    }

    /// Stores where it is, and sets rows aside; one that is aside already is counted once. How many rows were ever refused.
    pub(super) fn save(&mut self, position: &Position, refused: &[Refused]) -> rusqlite::Result<u64> {
        let sink = self.sink;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut aside = 0;
        for Refused { row, error } in refused {
            aside += transaction
                .prepare_cached(
                    "INSERT OR IGNORE INTO refused(sink, lane, seq, at, error, row) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![sink, row.lane.as_str(), row.seq, rfc3339(wall_us()), error, row.json])?;
        }
        if aside > 0 {
            transaction.execute(
                "DELETE FROM refused WHERE sink = ?1 AND id <=
                    (SELECT id FROM refused WHERE sink = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                params![sink, REFUSED],
            )?;
        }
        let total: i64 = transaction
            .prepare_cached(
                "INSERT INTO positions VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (sink) DO UPDATE SET
                    matches = ?2, bulk = ?3, mark = ?4, refused = refused + ?5 RETURNING refused",
            )?
            .query_row(
                params![sink, position.seq.matches, position.seq.bulk, position.mark, aside as i64],
                |row| row.get(0),
            )?;
        transaction.commit()?;
        Ok(total.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchline_common::config::SinkLane;

    fn row(seq: i64) -> Row {
        Row {
            seq,
            feed: "inplay".into(),
            id: "M1".into(),
            kind: "goal".into(),
            lane: SinkLane::Priority,
            json: "{}".into(),
        }
    }

    #[test]
    fn a_position_is_found_again_under_its_store_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("touchline.db");
        let mut places = Places::open(&store, 7, "redis").unwrap();
        assert_eq!(places.load().unwrap(), None);
        let position = Position { seq: PerStream { matches: 5, bulk: 9 }, mark: "m".into() };
        assert_eq!(places.save(&position, &[]).unwrap(), 0);
        let other = Places::open(&store, 7, "ndjson").unwrap();
        assert_eq!(other.load().unwrap(), None, "each sink has its own");
        drop((places, other));
        let places = Places::open(&store, 7, "redis").unwrap();
        assert_eq!(places.load().unwrap(), Some((position, 0)));
        assert_eq!(Places::open(&store, 8, "redis").unwrap().load().unwrap(), None, "another store");
    }

    #[test]
    fn refused_rows_are_set_aside_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("touchline.db");
        let mut places = Places::open(&store, 7, "redis").unwrap();
        let refused = |seq| Refused { row: row(seq), error: "too large".into() };
        assert_eq!(places.save(&Position::default(), &[refused(3), refused(4)]).unwrap(), 2);
        assert_eq!(places.save(&Position::default(), &[refused(4)]).unwrap(), 2, "told again");
        let (rows, error): (i64, String) = places
            .connection
            .query_row("SELECT count(*), max(error) FROM refused WHERE lane = 'priority'", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!((rows, error.as_str()), (2, "too large"));
    }
}
