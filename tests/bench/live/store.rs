//! The store, read while the daemon runs: when each goal's row is there, and how many rows there are.
//!
//! The only place that knows the store's files. Register events are in `touchline.db`; prices are there too, or in a
//! file an hour beside it.

use super::cpu::monotonic;
use super::ledger::Ledger;
use super::pulse::number_of;
use crate::error::{BenchError, While};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often it looks: so much later than it is a row is found at most.
const LOOK: Duration = Duration::from_micros(500);

const STORE: &str = "touchline.db";
/// A folder with a file for each hour.
const HOURS: &str = "hours";

/// Looks for goals on a thread of its own. Dropping it ends it.
pub struct Goals {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Goals {
    /// Begins.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub fn watch(folder: &Path, ledger: &Arc<Ledger>) -> Result<Goals, BenchError> {
        let connection = open(&folder.join(STORE)).during("opening the store")?;
        let stop = Arc::new(AtomicBool::new(false));
        let (ended, ledger) = (Arc::clone(&stop), Arc::clone(ledger));
        let thread = thread::Builder::new().name("goals".to_owned()).spawn(move || {
            let mut seen = newest(&connection).unwrap_or(0);
            while !ended.load(Ordering::Relaxed) {
                // The store may be busy for a moment; the next look finds what this one missed.
                seen = look(&connection, seen, &ledger).unwrap_or(seen);
                thread::sleep(LOOK);
            }
        });
        Ok(Goals { stop, thread: Some(thread.during("watching the store")?) })
    }
}

impl Drop for Goals {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The rows of prices so far.
///
/// # Errors
/// When a file cannot be read.
pub fn price_rows(folder: &Path) -> Result<i64, BenchError> {
    let count = |file: &Path, query: &str| {
        open(file).and_then(|connection| connection.query_row(query, [], |row| row.get::<_, i64>(0)))
    };
    let hours = std::fs::read_dir(folder.join(HOURS)).into_iter().flatten().flatten();
    let files: Vec<PathBuf> = hours
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "db"))
        .collect();
    if files.is_empty() {
        let query = "SELECT count(*) FROM events WHERE type = 'odds_change'";
        return count(&folder.join(STORE), query).during("counting prices");
    }
    files.iter().try_fold(0, |sum, file| {
        let rows = count(file, "SELECT count(*) FROM history WHERE type = 'odds_change'");
        Ok(sum + rows.during("counting prices")?)
    })
}

fn open(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(file, flags)
}

fn newest(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| row.get(0))
}

/// Takes the goals among the rows after `after`; the newest row looked at.
fn look(connection: &Connection, after: i64, ledger: &Ledger) -> rusqlite::Result<i64> {
    let until = newest(connection)?;
    if until <= after {
        return Ok(after);
    }
    let mut rows = connection.prepare_cached(
        "SELECT match, json_extract(score, '$.home') FROM events WHERE seq > ?1 AND seq <= ?2 AND type = 'goal'",
    )?;
    let mut rows = rows.query([after, until])?;
    while let Some(row) = rows.next()? {
        let (id, home): (String, i64) = (row.get(0)?, row.get(1)?);
        if let (Some(number), Ok(home)) = (number_of(&id), u64::try_from(home)) {
            ledger.arrived(number, home, monotonic());
        }
    }
    Ok(until)
}
