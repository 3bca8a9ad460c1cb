//! Locks on files, which the kernel lets go when their process ends, however it ends.

use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub struct FileLock(#[allow(dead_code)] Flock<File>);

/// Why a lock was not had.
#[derive(Debug)]
pub enum LockError {
    Held {
        /// Its pid as it wrote it into the file, if it did.
        pid: Option<u32>,
    },
    /// The file cannot be opened or locked.
    File { source: io::Error },
}

impl std::fmt::Display for LockError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LockError::Held { pid: Some(pid) } => write!(f, "process {pid} holds it"),
            LockError::Held { pid: None } => write!(f, "another process holds it"),
            LockError::File { source } => write!(f, "{source}"),
        }
    }
}

impl std::error::Error for LockError {}

impl FileLock {
    /// Takes the lock at `path`, writes our pid into it, and waits at most `patience` for a holder to end.
    pub fn take(path: &Path, patience: Duration) -> Result<FileLock, LockError> {
        let until = Instant::now() + patience;
        let mut file = open(path).map_err(|source| LockError::File { source })?;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(mut held) => {
                    // It is held without the pid, too: a full disk is no reason not to run.
                    let _ = write_pid(&mut held);
                    return Ok(FileLock(held));
                }
                Err((mut back, nix::Error::EWOULDBLOCK)) => {
                    if Instant::now() >= until {
                        return Err(LockError::Held { pid: read_pid(&mut back) });
                    }
                    file = back;
                    // flock has no timeout, and a blocking one in a thread could never be given up.
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err((_, errno)) => return Err(LockError::File { source: errno.into() }),
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_learns_who_holds_it_and_gets_it_after_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = FileLock::take(&path, Duration::ZERO).unwrap();
        match FileLock::take(&path, Duration::ZERO) {
            Err(LockError::Held { pid }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(first);
        FileLock::take(&path, Duration::ZERO).unwrap();
    }
}
