//! What can happen to a database's files under its writer: moved, replaced or deleted; a log that readers keep from being emptied; a
//! disk that fills.
//!
//! A writer goes on in a file that has no name any more, and all that it commits is gone with its end: so it is looked at each second.
//! Callers: the threads of both streams.

use super::sqlite::beside;
use nix::sys::statvfs::statvfs;
use std::fs::{self, Metadata};
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
    /// The database and its log.
    files: [PathBuf; 2],
    /// Device and inode of each; `None`: it was not there.
    opened: [Option<(u64, u64)>; 2],
    /// At how many looks the log was too long.
    too_long: u32,
    /// Bytes of it that were last reported.
    reported: u64,
    is_low: bool,
}

/// What a look at the files found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// A file that is not at its place any more.
    pub(super) moved: Option<PathBuf>,
    /// Of both.
    pub(super) bytes: u64,
    /// What an operator should mend, if anything.
    pub(super) trouble: Option<String>,
}

impl Files {
    /// Of a database that is open for writing.
    pub(super) fn of(database: &Path) -> Files {
        let files = [database.to_owned(), beside(database, "-wal")];
        let opened = files.each_ref().map(|file| fs::metadata(file).ok().as_ref().map(identity));
        Files { files, opened, too_long: 0, reported: 0, is_low: false }
    }

    /// Looks at each file once. Of a log that is too long the log of the daemon says it once, and again for each doubling.
    pub(super) fn look(&mut self) -> Look {
        let found = self.files.each_ref().map(fs::metadata);
        let is_moved = |(opened, found): (&Option<(u64, u64)>, &io::Result<Metadata>)| match (opened, found) {
            (Some(opened), Ok(found)) => identity(found) != *opened,
            (Some(_), Err(error)) => error.kind() == io::ErrorKind::NotFound,
            (None, _) => false,
        };
        let moved = self.opened.iter().zip(&found).position(is_moved);
        let [_, log] = found.each_ref().map(|found| found.as_ref().map_or(0, Metadata::len));
        Look {
            moved: moved.and_then(|place| self.files.get(place)).cloned(),
            bytes: found.iter().flatten().map(Metadata::len).sum(),
            trouble: self.trouble(log),
        }
    }

    fn trouble(&mut self, bytes: u64) -> Option<String> {
        if bytes <= LOG_MAX {
            (self.too_long, self.reported) = (0, 0);
            return None;
        }
        self.too_long = self.too_long.saturating_add(1);
        if self.too_long < LOOKS {
            return None;
        }
        let [_, log] = &self.files;
        let (name, mb) = (log.display(), bytes / MB);
        if bytes >= self.reported.saturating_mul(2) {
            self.reported = bytes;
            log::warn!(file:% = name, mb = mb; "store.log_pinned");
        }
        Some(format!(
            "{name} has {mb} MB: a reader keeps it from being emptied; end it (an open sqlite3 shell, a backup)"
        ))
    }

    /// Says in the log that the disk is nearly full, once until there is room again.
    pub(super) fn look_at_disk(&mut self) {
        let [database, _] = &self.files;
        let folder = database.parent().unwrap_or(Path::new("."));
        let Ok(disk) = statvfs(folder) else { return };
        let free = disk.blocks_available().saturating_mul(disk.fragment_size());
        let was_low = std::mem::replace(&mut self.is_low, free < FREE_MIN);
        if self.is_low && !was_low {
            log::warn!(folder:% = folder.display(), free_mb = free / MB; "store.disk_low");
        }
    }
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
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
            let mut files = Files::of(&database);
            assert_eq!(files.look(), Look { moved: None, bytes: 2, trouble: None });
            files
        };
        let mut files = fresh();
        fs::rename(&database, folder.path().join("elsewhere")).unwrap();
        assert_eq!(files.look().moved, Some(database.clone()));
        let mut files = fresh();
        fs::copy(&database, folder.path().join("copy")).unwrap();
        fs::rename(folder.path().join("copy"), &database).unwrap();
        assert_eq!(files.look().moved, Some(database.clone()));
        let mut files = fresh();
        fs::remove_file(&log).unwrap();
        assert_eq!(files.look().moved, Some(log));
    }

    #[test]
    fn a_log_that_grows_is_a_reason_until_it_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("store.db");
        let log = fs::File::create(beside(&database, "-wal")).unwrap();
        let mut files = Files::of(&database);
        log.set_len(LOG_MAX).unwrap();
        assert_eq!(files.look().trouble, None);
        log.set_len(LOG_MAX + 1).unwrap();
        assert_eq!(
            (files.look().trouble, files.look().trouble),
            (None, None),
            "a reader may be in it for a moment"
        );
        assert!(files.look().trouble.is_some_and(|reason| reason.contains("33 MB")));
        assert_eq!(files.reported, LOG_MAX + 1);
        log.set_len(LOG_MAX + 2).unwrap();
        assert!(files.look().trouble.is_some());
        assert_eq!(files.reported, LOG_MAX + 1, "not said again");
        log.set_len(0).unwrap();
        assert_eq!((files.look().trouble, files.reported), (None, 0));
    }
}
