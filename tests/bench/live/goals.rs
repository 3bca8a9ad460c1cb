//! The store, read while the daemon runs: when each goal's row is there.

use super::ledger::Ledger;
use super::pulse::number_of;
use crate::error::{BenchError, While};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often it looks: so much later than it is a row is found at most.
const LOOK: Duration = Duration::from_millis(1);

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
    pub fn watch(store: &Path, ledger: &Arc<Ledger>) -> Result<Goals, BenchError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(store, flags).during("opening the store")?;
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
            ledger.committed(number, home);
        }
    }
    Ok(until)
}
