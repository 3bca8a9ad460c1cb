//! Signals as a descriptor in the loop: no handlers, no races with them.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// The signals of this process, to be read when the descriptor is ready.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks `wanted` in this thread, and so in every thread started later, and reads them from now on. Call it before any thread starts.
    ///
    /// # Errors
    /// As `signalfd(2)`.
    pub fn open(wanted: &[Signal]) -> io::Result<Signals> {
        let set: SigSet = wanted.iter().copied().collect();
        set.thread_block()?;
        Ok(Signals(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// Blocks and reads every signal that a process of the daemon has an opinion on; [`Signals::open`] says when to call it.
    ///
    /// # Errors
    /// As `signalfd(2)`.
    pub fn open_all() -> io::Result<Signals> {
        Signals::open(&[
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
            Signal::SIGQUIT,
            Signal::SIGUSR1,
            Signal::SIGUSR2,
            Signal::SIGPIPE,
        ])
    }

    /// The next signal that came and who sent it (a pid, 0 for the kernel); `None` when there is none.
    pub fn take(&mut self) -> Option<(Signal, u32)> {
        let info = self.0.read_signal().ok().flatten()?;
        let signal = Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()?;
        Some((signal, info.ssi_pid))
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
