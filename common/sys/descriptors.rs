//! Which descriptors a process holds and which it passes on.

use nix::errno::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Closes every descriptor from 3 up. What a stranger left open in our parent must not reach a child: a leaked end
/// of a channel hides the death of the process at its other end.
///
/// Only for the first lines of a child's `main`.
///
/// # Errors
/// As `close_range(2)`.
pub fn close_inherited() -> io::Result<()> {
    close_range(0)
}

/// Marks every descriptor from 3 up close-on-exec, whoever opened it.
///
/// # Errors
/// As `close_range(2)`.
pub fn mark_close_on_exec() -> io::Result<()> {
    close_range(libc::CLOSE_RANGE_CLOEXEC)
}

#[allow(unsafe_code)]
fn close_range(flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: with CLOEXEC nothing is closed; without it the only caller is the start of a child, before anything
    // in this process has opened a descriptor that it would still use.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3 as libc::c_uint, libc::c_uint::MAX, flags) };
    Errno::result(done)?;
    Ok(())
}

/// Takes the descriptor on standard input as our own and puts `/dev/null` in its place.
///
/// # Errors
/// When standard input is closed, or `/dev/null` does not open.
pub fn take_stdin() -> io::Result<OwnedFd> {
    let taken = io::stdin().as_fd().try_clone_to_owned()?;
    let null = File::open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    Ok(taken)
}
