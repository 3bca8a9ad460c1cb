//! What can happen to a database's files under its writer: moved, replaced or deleted; a log that readers keep from being emptied; a
//! disk that fills.
//!
//! A writer goes on in a file that has no name any more, and all that it commits is gone with its end: so it is looked at each second.
//! Callers: the threads of both streams.

use super::sqlite::beside;
use nix::sys::statvfs::statvfs;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes of a log beyond which something keeps it from being emptied: the store's is copied from three quarters of that on,
const LOG_MAX: u64 = 32 * 1024 * 1024;
/// if it is that long at so many looks, a second apart: a short question may be in it at one.
const LOOKS: u32 = 3;
/// Free bytes below which a disk will soon be full.
const FREE_MIN: u64 = 512 * 1024 * 1024;
const MB: u64 = 1_000_000;

/// A database's files as they were when it was opened, and what was found of them since.
#[derive(Debug)]
pub(super) struct Files {
    database: PathBuf,
    /// Device and inode.
    opened: Vec<(PathBuf, (u64, u64))>,
    /// At how many looks the log was too long.
    too_long: u32,
    /// Bytes of it that were last reported.
    reported: u64,
    is_low: bool,
}

impl Files {
    /// Of a database that is open for writing.
    pub(super) fn of(database: &Path) -> Files {
        let both = [database.to_owned(), beside(database, "-wal")];
        let opened = both.into_iter().filter_map(|file| {
            let id = identity(&file).ok()?;
            Some((file, id))
        });
        Files {
            opened: opened.collect(),
            database: database.to_owned(),
            too_long: 0,
            reported: 0,
            is_low: false,
        }
    }

    /// A file that is not at its place any more.
    pub(super) fn moved(&self) -> Option<&Path> {
        let is_moved = |(file, id): &&(PathBuf, (u64, u64))| match identity(file) {
            Ok(found) => found != *id,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        self.opened.iter().find(is_moved).map(|(file, _)| file.as_path())
    }

    /// What an operator should mend, if anything; the log says it once, and again for each doubling.
    pub(super) fn trouble(&mut self) -> Option<String> {
        let log = beside(&self.database, "-wal");
        let bytes = fs::metadata(&log).map_or(0, |found| found.len());
        if bytes <= LOG_MAX {
            (self.too_long, self.reported) = (0, 0);
            return None;
        }
        self.too_long = self.too_long.saturating_add(1);
        if self.too_long < LOOKS {
            return None;
        }
        if bytes >= self.reported.saturating_mul(2) {
            self.reported = bytes;
            log::warn!(file:% = log.display(), mb = bytes / MB; "store.log_pinned");
        }
        let name = log.display();
        Some(format!(
            "{name} has {} MB: a reader keeps it from being emptied; end it (an open sqlite3 shell, a backup)",
            bytes / MB
        ))
    }

    /// Says in the log that the disk is nearly full, once until there is room again.
    pub(super) fn look_at_disk(&mut self) {
        let folder = self.database.parent().unwrap_or(Path::new("."));
        let Ok(disk) = statvfs(folder) else { return };
        let free = disk.blocks_available().saturating_mul(disk.fragment_size());
        let was_low = std::mem::replace(&mut self.is_low, free < FREE_MIN);
        if self.is_low && !was_low {
            log::warn!(folder:% = folder.display(), free_mb = free / MB; "store.disk_low");
        }
    }
}

fn identity(file: &Path) -> io::Result<(u64, u64)> {
    let found = fs::metadata(file)?;
    Ok((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_moved_replaced_or_deleted_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("store.db");
        let log = beside(&database, "-wal");
        let fresh = || {
            fs::write(&database, "a").unwrap();
            fs::write(&log, "b").unwrap();
            let files = Files::of(&database);
            assert_eq!(files.moved(), None);
            files
        };
        let files = fresh();
        fs::rename(&database, folder.path().join("elsewhere")).unwrap();
        assert_eq!(files.moved(), Some(&*database));
        let files = fresh();
        fs::copy(&database, folder.path().join("copy")).unwrap();
        fs::rename(folder.path().join("copy"), &database).unwrap();
        assert_eq!(files.moved(), Some(&*database));
        let files = fresh();
        fs::remove_file(&log).unwrap();
        assert_eq!(files.moved(), Some(&*log));
    }

    #[test]
    fn a_log_that_grows_is_a_reason_until_it_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("store.db");
        let log = fs::File::create(beside(&database, "-wal")).unwrap();
        let mut files = Files::of(&database);
        log.set_len(LOG_MAX).unwrap();
        assert_eq!(files.trouble(), None);
        log.set_len(LOG_MAX + 1).unwrap();
        assert_eq!((files.trouble(), files.trouble()), (None, None), "a reader may be in it for a moment");
        assert!(files.trouble().is_some_and(|reason| reason.contains("33 MB")));
        assert_eq!(files.reported, LOG_MAX + 1);
        log.set_len(LOG_MAX + 2).unwrap();
        assert!(files.trouble().is_some());
        assert_eq!(files.reported, LOG_MAX + 1, "not said again");
        log.set_len(0).unwrap();
        assert_eq!((files.trouble(), files.reported), (None, 0));
    }
}
