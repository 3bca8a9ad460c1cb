//! A descriptor for a process: readable when it has ended, and a signal through it can never hit a stranger.

use nix::errno::Errno;
use nix::sys::signal::Signal;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

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

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal { number: i32, core: bool },
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit {code}"),
            Exit::Signal { number, core: false } => write!(f, "signal {number}"),
            Exit::Signal { number, core: true } => write!(f, "signal {number} (core)"),
        }
    }
}

/// What a process that ended had used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The most memory it held. The kernel counts what its parent held at the fork in.
    pub peak_rss_bytes: u64,
    /// Processor time, its own and the kernel's for it.
    pub cpu: Duration,
}

impl PidFd {
    /// Reaps the process if it has ended; it must be our child.
    ///
    /// # Errors
    /// As `waitid(2)`.
    #[allow(unsafe_code)]
    pub fn reap(&self) -> io::Result<Option<(Exit, Usage)>> {
        // SAFETY: both are plain numbers and unions of them, for which all zeroes is a value.
        let (mut info, mut usage): (libc::siginfo_t, libc::rusage) = unsafe { std::mem::zeroed() };
        let flags = libc::WEXITED | libc::WNOHANG;
        // SAFETY: the descriptor is ours; both structures outlive the call, which writes them. The C library's `waitid` hides the last one.
        let waited = unsafe {
            libc::syscall(
                libc::SYS_waitid,
                libc::P_PIDFD,
                self.0.as_raw_fd(),
                &raw mut info,
                flags,
                &raw mut usage,
            )
        };
        Errno::result(waited)?;
        // SAFETY: after waitid these fields are set, or zero when no process has ended.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        if pid == 0 {
            return Ok(None);
        }
        let exit = match info.si_code {
            libc::CLD_EXITED => Exit::Code(status),
            code => Exit::Signal { number: status, core: code == libc::CLD_DUMPED },
        };
        let peak_rss_bytes = u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024);
        let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
        Ok(Some((exit, Usage { peak_rss_bytes, cpu })))
    }
}

fn duration(time: libc::timeval) -> Duration {
    let micros = time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_usec);
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
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
        assert_eq!(fd.reap().unwrap(), None, "it runs");
        fd.signal(Signal::SIGKILL).unwrap();
        let mut polled = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut polled, PollTimeout::from(5_000u16)).unwrap(), 1);
        let (exit, usage) = fd.reap().unwrap().unwrap();
        assert_eq!(exit, Exit::Signal { number: 9, core: false });
        assert!(usage.peak_rss_bytes > 0);
        let mut exits = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let fd_of_exit = PidFd::open(exits.id()).unwrap();
        poll(&mut [PollFd::new(fd_of_exit.as_fd(), PollFlags::POLLIN)], PollTimeout::from(5_000u16)).unwrap();
        assert_eq!(fd_of_exit.reap().unwrap().map(|(exit, _)| exit), Some(Exit::Code(7)));
        assert!(exits.wait().is_err() && child.wait().is_err(), "both are reaped");
        fd.signal(Signal::SIGKILL).unwrap();
    }
}
