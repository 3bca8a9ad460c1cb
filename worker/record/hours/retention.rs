//! Whole files go, oldest first: those that are too old, then what is too much. Never the current one nor one that is being closed, and
//! none for its age that a sink has not read.
//!
//! Ages are taken from the files' names: what a disk keeps across runs has no other clock.

use super::{Closer, HOUR_US, Limits, file_name, hour_of_seq, list, remove, unread};
use crate::record::sqlite::{bytes, open_to_read};
use hashbrown::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

const PASS: Duration = Duration::from_secs(60);

/// When it was last looked at, and what was found out.
#[derive(Debug, Default)]
pub(super) struct Retention {
    passed: Option<Instant>,
    /// Hours older than odds are kept, but not chat, and with chat in them.
    chatty: HashSet<i64>,
}

impl Retention {
    pub(super) fn is_due(&self) -> bool {
        self.passed.is_none_or(|passed| passed.elapsed() >= PASS)
    }

    /// Returns how many rows went that a sink had not read.
    pub(super) fn pass(
        &mut self,
        folder: &Path,
        current: i64,
        closer: &Closer,
        limits: &Limits,
        now: i64,
    ) -> u64 {
        self.passed = Some(Instant::now());
        let hours = match list(folder) {
            Ok(hours) => hours,
            Err(error) => {
                log::warn!(error:% = error; "hour.retention_failed");
                return 0;
            }
        };
        let mut lost = 0;
        let sized = hours.into_iter().map(|hour| (hour, bytes(&folder.join(file_name(hour)))));
        let sized: Vec<(i64, u64)> = sized.collect();
        let mut left: u64 = sized.iter().map(|(_, bytes)| bytes).sum();
        for (hour, bytes) in sized {
            let path = folder.join(file_name(hour));
            if hour >= current || closer.has(&path) {
                continue;
            }
            let is_read = hour < hour_of_seq(limits.read);
            let why = if is_read && self.is_old(hour, &path, limits, now) {
                "age"
            } else if left > limits.bytes {
                "size"
            } else {
                continue;
            };
            let unread = if is_read { 0 } else { unread(&path, limits.read) };
            let file = path.to_string_lossy();
            match remove(&path) {
                Ok(()) => {
                    left -= bytes;
                    lost += unread;
                    self.chatty.remove(&hour);
                    match why {
                        "age" => {
                            log::info!(file:% = file, bytes = bytes, unread = unread, why = why; "hour.deleted");
                        }
                        _ => {
                            log::warn!(file:% = file, bytes = bytes, unread = unread, why = why; "hour.deleted");
                        }
                    }
                }
                Err(error) => log::warn!(file:% = file, error:% = error; "hour.not_deleted"),
            }
        }
        lost
    }

    fn is_old(&mut self, hour: i64, path: &Path, limits: &Limits, now: i64) -> bool {
        let age = now.saturating_sub((hour + 1).saturating_mul(HOUR_US));
        if age < limits.odds_us.min(limits.chat_us) {
            return false;
        }
        if age >= limits.odds_us.max(limits.chat_us) {
            return true;
        }
        // One of the two is to stay, if there is any of it.
        let kept = if age < limits.odds_us { "odds" } else { "chat" };
        if !self.chatty.contains(&hour) && has_rows(path, kept) {
            self.chatty.insert(hour);
        }
        !self.chatty.contains(&hour)
    }
}

/// Whether a table has rows; of a file that cannot be read no rows are read.
fn has_rows(path: &Path, table: &str) -> bool {
    let sql = format!("SELECT EXISTS(SELECT 1 FROM {table})");
    open_to_read(path).and_then(|file| file.query_row(&sql, [], |row| row.get(0))).unwrap_or(false)
}
