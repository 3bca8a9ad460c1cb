//! Makes a child: fork and exec of our own image, its channel as standard input.
//!
//! `/proc/self/exe` stays the running image even after the file is replaced, so a respawned worker is never of
//! another version. No `pre_exec`, for with one std forks for real: its cost grows with our memory, and our loop stands still
//! meanwhile. Called by the main thread only: a child dies with the *thread* that forked it.

use crate::child_args;
use crate::pool::Child;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use touchline_common::failpoint::{self, Point};
use touchline_common::sys::pidfd::PidFd;

/// How long the end of a killed child is waited for, milliseconds.
const END_DEADLINE_MS: u16 = 1_000;

/// A child's process, by what it takes to talk to it, to end it and to see its end.
#[derive(Debug)]
pub struct Spawned {
    /// Its pid, for people; signals go through `pidfd`.
    pub pid: u32,
    /// Readable when it has ended.
    pub pidfd: PidFd,
    pub channel: OwnedFd,
}

/// Where the recorder's standard output goes; no other child has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    #[default]
    Nowhere,
    /// To ours: a sink writes there.
    Ours,
}

/// Why there is no child.
#[derive(Debug)]
pub struct SpawnError {
    pub operation: &'static str,
    pub source: io::Error,
}

impl std::fmt::Display for SpawnError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.operation, self.source)
    }
}

impl std::error::Error for SpawnError {}

/// Two connected ends, close-on-exec and non-blocking.
///
/// # Errors
/// As `socketpair(2)`; no descriptors left is the usual one.
pub fn channel_pair() -> Result<(OwnedFd, OwnedFd), SpawnError> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    failpoint::fails(Point::ChannelPair)
        .and_then(|()| Ok(socketpair(AddressFamily::Unix, SockType::Stream, None, flags)?))
        .map_err(|source| SpawnError { operation: "making a channel", source })
}

/// Starts a child; `feed` is the name of the feed that a worker is for.
///
/// # Errors
/// [`SpawnError`]: nothing was started, or what was started is ended and reaped.
pub fn spawn(child: Child, feed: Option<&str>, recorder_output: Output) -> Result<Spawned, SpawnError> {
    let failed = |operation| move |source| SpawnError { operation, source };
    let (near, far) = channel_pair()?;
    failpoint::fails(Point::SpawnBefore).map_err(failed("starting a child"))?;
    let is_ours = child == Child::RECORDER && recorder_output == Output::Ours;
    let output = if is_ours { Stdio::inherit() } else { Stdio::null() };
    let mut process = Command::new("/proc/self/exe")
        .arg0(child_args::PROGRAM)
        .args(child_args::write(child, feed))
        .env(child_args::PARENT, std::process::id().to_string())
        .stdin(Stdio::from(far))
        .stdout(output)
        .spawn()
        .map_err(failed("starting a child"))?;
    match failpoint::fails(Point::SpawnAfterExec).and_then(|()| PidFd::open(process.id())) {
        Ok(pidfd) => Ok(Spawned { pid: process.id(), pidfd, channel: near }),
        Err(source) => {
            // Without a pidfd its end could not be seen.
            let _ = process.kill();
            let _ = process.wait();
            Err(SpawnError { operation: "watching a child", source })
        }
    }
}

/// Ends a child that cannot be watched and reaps it: better none than one whose end goes unnoticed. A process that has
/// only just begun is gone at once.
pub fn end(pidfd: &PidFd) {
    let ended = pidfd.signal(Signal::SIGKILL).and_then(|()| {
        let mut polled = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, PollTimeout::from(END_DEADLINE_MS))?;
        pidfd.reap()
    });
    if !matches!(ended, Ok(Some(_))) {
        log::error!(ended:? = ended; "child.not_ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::zombie_processes)] // `end` reaps it, by its pidfd.
    fn what_cannot_be_watched_is_ended_and_leaves_no_zombie() {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let pidfd = PidFd::open(child.id()).unwrap();
        end(&pidfd);
        let again = pidfd.reap().unwrap_err();
        assert_eq!(again.raw_os_error(), Some(libc::ECHILD), "it is reaped already");
    }
}
