//! The processes that the coordinator has.
//!
//! A process runs one child, or under strategy `multiplex` several workers of one feed: then what ends the process ends all
//! of them. A process stays here until it is reaped: its pid must not be forgotten before. Called by `children`, which
//! knows what runs in each.

use super::spawn;
use crate::pool::{Exit, Signal, Usage};
use crate::sources::{Source, Sources};
use mio::{Interest, Token};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};
use touchline_common::model::FeedId;
use touchline_common::sys::pidfd::PidFd;

/// A process that has been busier than this
const BUSY: f32 = 0.8;
/// for so long takes no further workers: they would wait for its loop.
const BUSY_FOR: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    Alone,
    /// With workers of the same feed, `most` in one process.
    Shared {
        feed: FeedId,
        /// At most so many.
        most: usize,
    },
}

#[derive(Debug)]
struct SharedProcess {
    pidfd: PidFd,
    token: Token,
    sharing: Sharing,
    busy_since: Option<Instant>,
}

/// Every process that is not reaped, by its pid.
#[derive(Debug, Default)]
pub struct Processes {
    by_pid: BTreeMap<u32, SharedProcess>,
}

impl Processes {
    /// Watches a new process.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`; the process is ended and reaped then.
    pub fn insert(
        &mut self,
        pid: u32,
        pidfd: PidFd,
        sharing: Sharing,
        sources: &mut Sources,
    ) -> io::Result<()> {
        let watched = sources.watch(pidfd.as_raw_fd(), Source::Process(pid), Interest::READABLE);
        let token = watched.inspect_err(|_| spawn::end(&pidfd))?;
        let process = SharedProcess { pidfd, token, sharing, busy_since: None };
        self.by_pid.insert(pid, process);
        Ok(())
    }

    /// Processes for workers of this feed that are not too busy to take one more.
    pub fn open_to(&self, feed: FeedId) -> impl Iterator<Item = u32> + '_ {
        let takes = move |process: &SharedProcess| {
            matches!(process.sharing, Sharing::Shared { feed: of, .. } if of == feed)
                && process.busy_since.is_none_or(|since| since.elapsed() < BUSY_FOR)
        };
        self.by_pid.iter().filter(move |(_, process)| takes(process)).map(|(pid, _)| *pid)
    }

    /// How busy the process says it is, 0 to 1.
    pub fn note_busy(&mut self, pid: u32, busy: f32) {
        if let Some(process) = self.by_pid.get_mut(&pid) {
            process.busy_since =
                if busy > BUSY { process.busy_since.or_else(|| Some(Instant::now())) } else { None };
        }
    }

    /// Sends a signal to a process that is there.
    ///
    /// # Errors
    /// As `pidfd_send_signal(2)`.
    pub fn signal(&mut self, pid: u32, signal: Signal) -> io::Result<()> {
        use nix::sys::signal::Signal as Kernel;
        let Some(process) = self.by_pid.get_mut(&pid) else { return Ok(()) };
        // It may end: nobody else is to join it.
        process.sharing = Sharing::Alone;
        process.pidfd.signal(match signal {
            Signal::Term => Kernel::SIGTERM,
            Signal::Abort => Kernel::SIGABRT,
            Signal::Kill => Kernel::SIGKILL,
        })
    }

    /// Reaps a process if it has ended: then it is no more among these.
    ///
    /// # Errors
    /// As `waitid(2)`.
    pub fn reap(&mut self, pid: u32, sources: &mut Sources) -> io::Result<Option<(Exit, Usage)>> {
        let Some(process) = self.by_pid.get(&pid) else { return Ok(None) };
        let Some(ended) = process.pidfd.reap()? else { return Ok(None) };
        if let Some(process) = self.by_pid.remove(&pid) {
            sources.forget(process.pidfd.as_raw_fd(), process.token);
        }
        Ok(Some(ended))
    }
}
