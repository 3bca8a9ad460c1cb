//! A descriptor for a process: readable when it has ended, and a signal through it can never hit a stranger.

use nix::errno::Errno;
use nix::sys::signal::Signal;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// One process, by descriptor.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Opens the process `pid`, which must be a child that is not reaped yet: otherwise it could be anybody.
    ///
    /// # Errors
    /// As `pidfd_open(2)`.
    #[allow(unsafe_code)]
    pub fn open(pid: u32) -> io::Result<PidFd> {
        // SAFETY: the call takes two integers and touches no memory of ours.
        let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, libc::PIDFD_NONBLOCK) };
        let raw = RawFd::try_from(Errno::result(raw)?).map_err(io::Error::other)?;
        // SAFETY: the kernel has just made this descriptor for us; it is close-on-exec by definition.
        Ok(PidFd(unsafe { OwnedFd::from_raw_fd(raw) }))
    }

    /// Sends `signal`. A process that has ended already is no error.
    ///
    /// # Errors
    /// As `pidfd_send_signal(2)`.
    #[allow(unsafe_code)]
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let none: *const libc::siginfo_t = std::ptr::null();
        // SAFETY: the descriptor is ours and open; a null siginfo is allowed and means plain `kill` semantics.
        let sent = unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), signal as libc::c_int, none, 0)
        };
        match Errno::result(sent) {
            Ok(_) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for PidFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::process::Command;

    #[test]
    fn a_killed_child_makes_it_readable_and_a_late_signal_is_harmless() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let fd = PidFd::open(child.id()).unwrap();
        fd.signal(Signal::SIGKILL).unwrap();
        let mut polled = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut polled, PollTimeout::from(5_000u16)).unwrap(), 1);
        child.wait().unwrap();
        fd.signal(Signal::SIGKILL).unwrap();
    }
}
