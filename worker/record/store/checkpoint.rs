//! Copying the log into the store: on a thread and a connection of its own, so that no commit waits for the disk.
//!
//! First what is there is copied beside the commits that go on (`PASSIVE`), which takes most of the time. What came
//! meanwhile is little; it is copied, and the log emptied, while the writer stands at the gate (`TRUNCATE`). A reader
//! that holds on to the log only lets it grow until it is gone.

use super::Shared;
use crate::record::RecordError;
use crate::record::queue;
use crate::record::sqlite::beside;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes of the log that are worth it. The indexes' pages are written again and again, and a log collects them.
const WORTH: u64 = 24 * 1024 * 1024;
const LOOK: Duration = Duration::from_millis(100);
/// How long a reader that is still in the log is left alone: each attempt makes the writer wait for the disk.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a reader may keep the log from being emptied while the writer waits.
const READERS: Duration = Duration::from_millis(1);

/// Starts the thread for the store at `path`; it ends when `shared` is closed.
///
/// # Errors
/// [`RecordError::OpenStore`], [`RecordError::Kernel`].
pub(in crate::record) fn start(path: &Path, shared: &Arc<Shared>) -> Result<JoinHandle<()>, RecordError> {
    let (path, shared) = (path.to_owned(), Arc::clone(shared));
    let connection = open(&path)
        .map_err(|error| RecordError::OpenStore { path: path.clone(), what: error.to_string() })?;
    let run = move || {
        let file = beside(&path, "-wal");
        let mut trouble = String::new();
        let mut wait = LOOK;
        while !shared.newest.closes_within(std::mem::replace(&mut wait, LOOK)) {
            if std::fs::metadata(&file).is_ok_and(|found| found.len() >= WORTH) {
                let (log, failure) = match copy(&connection, &shared) {
                    Ok(log) => (log, String::new()),
                    Err(error) => (Log::InUse, error.to_string()),
                };
                if !failure.is_empty() && failure != trouble {
                    log::error!(error = failure.as_str(); "store.checkpoint_failed");
                }
                trouble = failure;
                match log {
                    Log::Empty => {}
                    Log::InUse => wait = AGAIN,
                }
            }
        }
    };
    let started = std::thread::Builder::new().name("checkpoint".into()).spawn(run);
    started.map_err(|source| RecordError::Kernel { operation: "start the checkpoints' thread", source })
}

/// Takes away a log that the last connections left, if nothing is in it any more.
pub(in crate::record) fn empty_log(path: &Path) -> rusqlite::Result<()> {
    if !beside(path, "-wal").exists() {
        return Ok(());
    }
    let connection = open(path)?;
    checkpoint(&connection, "TRUNCATE").map(drop)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(READERS)?;
    connection.execute_batch("PRAGMA synchronous = NORMAL;")?;
    Ok(connection)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Log {
    Empty,
    InUse,
}

fn copy(connection: &Connection, shared: &Shared) -> rusqlite::Result<Log> {
    checkpoint(connection, "PASSIVE")?;
    let _gate = queue::lock(&shared.gate);
    checkpoint(connection, "TRUNCATE")
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<Log> {
    let busy: i64 = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(0))?;
    Ok(if busy == 0 { Log::Empty } else { Log::InUse })
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchline_common::ipc::messages::recorder::RecorderStats;

    #[test]
    fn the_log_is_emptied_beside_a_writer_once_no_reader_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let writer = Connection::open(&path).unwrap();
        writer
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t(x)")
            .unwrap();
        let shared = Shared::new(1, RecorderStats::default(), 0);
        let connection = open(&path).unwrap();
        let log = || std::fs::metadata(beside(&path, "-wal")).unwrap().len();
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT * FROM t").unwrap();
        writer.execute("INSERT INTO t VALUES (1)", []).unwrap();
        assert_eq!(copy(&connection, &shared).unwrap(), Log::InUse);
        assert!(log() > 0, "the reader is in it");
        reader.execute_batch("COMMIT").unwrap();
        assert_eq!(copy(&connection, &shared).unwrap(), Log::Empty);
        assert_eq!(log(), 0);
        writer.execute("INSERT INTO t VALUES (2)", []).unwrap();
        assert!(log() > 0);
        let count: i64 = reader.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 2);
    }
}
