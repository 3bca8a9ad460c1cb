//! What is done to an hour file that is over: index, checkpoint, no write-ahead log any more, so that anybody of the group reads it.
//!
//! On a thread and a connection of its own at idle priority: an index over an hour's rows takes seconds. A reader that holds on to
//! the log only delays the last step. What is missing when the process ends is done at the next start.

use super::schema;
use crate::record::queue::lock;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

/// Between two attempts at a file that is in use or that the disk refuses.
const AGAIN: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Work {
    files: Vec<(PathBuf, Option<Connection>)>,
    ending: bool,
}

#[derive(Debug, Default)]
struct Shared {
    work: Mutex<Work>,
    changed: Condvar,
}

/// The thread, from outside; dropped, it ends after the file that it is at.
#[derive(Debug)]
pub struct Closer(Arc<Shared>);

impl Closer {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Closer> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        thread::Builder::new().name("hours".into()).spawn(move || run(&own))?;
        Ok(Closer(shared))
    }

    /// Takes a file, with its last connection if there is one: its end may copy a large log.
    pub(super) fn close(&self, path: PathBuf, connection: Option<Connection>) {
        lock(&self.0.work).files.push((path, connection));
        self.0.changed.notify_all();
    }

    /// Whether a file still waits or is being closed.
    pub(super) fn has(&self, path: &Path) -> bool {
        lock(&self.0.work).files.iter().any(|(waiting, _)| waiting == path)
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        lock(&self.0.work).ending = true;
        self.0.changed.notify_all();
    }
}

fn run(shared: &Shared) {
    if let Err(error) = touchline_common::sys::priority::idle_thread() {
        log::debug!(error:% = error; "hour.not_idle");
    }
    loop {
        let Some((path, connection)) = next(shared) else { return };
        let closed = close(&path, connection);
        let mut work = lock(&shared.work);
        match closed {
            Ok(()) => work.files.retain(|(waiting, _)| *waiting != path),
            Err(error) => {
                let file = path.to_string_lossy();
                log::warn!(file:% = file, error:% = error; "hour.not_closed");
                // The others first.
                work.files.rotate_left(1);
                if !work.ending {
                    drop(shared.changed.wait_timeout(work, AGAIN).unwrap_or_else(PoisonError::into_inner));
                }
            }
        }
    }
}

/// The first file, which stays in the list while it is worked on.
fn next(shared: &Shared) -> Option<(PathBuf, Option<Connection>)> {
    let mut work = lock(&shared.work);
    loop {
        if work.ending {
            return None;
        }
        if let Some((path, connection)) = work.files.first_mut() {
            return Some((path.clone(), connection.take()));
        }
        work = shared.changed.wait(work).unwrap_or_else(PoisonError::into_inner);
    }
}

fn close(path: &Path, connection: Option<Connection>) -> rusqlite::Result<()> {
    let connection = connection.or_else(|| super::open_existing(path).ok().map(|(connection, _)| connection));
    // One that cannot be used can never be closed.
    let Some(connection) = connection else { return Ok(()) };
    finish(&connection)?;
    log::debug!(file:% = path.to_string_lossy(); "hour.closed");
    Ok(())
}

fn finish(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(1))?;
    connection.execute_batch(schema::INDEX)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))
}
