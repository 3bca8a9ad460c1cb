//! The beginning of a channel to the coordinator: HELLO, and what comes back up to WELCOME.
//!
//! [`Handshake::advance`] never waits, so that a process that runs several workers can welcome one while the others scan;
//! [`Handshake::wait`] waits for it, where there is nothing else to do. The log's file, the
//! crash marker's page, and channels of further workers of the process, may come before the welcome. Called by `start` and `shared_process`.

use super::coordinator::Control;
use super::error::ScanError;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use touchline_common::config::Config;
use touchline_common::failpoint::{self, Point};
use touchline_common::ipc::messages::Hello;
use touchline_common::ipc::messages::worker::{FromWorker, ToWorker};
use touchline_common::ipc::{Channel, PROTO, ReadOutcome};
use touchline_common::model::{FeedId, Generation, SlotId};
use touchline_common::sys::crash_marker::CrashMarker;

/// The longest message from the coordinator, bytes: its configuration and the log's file are small.
const IN_LIMIT: u32 = 4 * 1024 * 1024;
/// Bytes that may wait for the coordinator; it reads them within a turn unless it is stopped.
const OUT_LIMIT: usize = 16 * 1024 * 1024;
const DEADLINE: Duration = Duration::from_secs(10);

/// A channel to the coordinator, and what came over it before the welcome.
pub struct Handshake {
    pub control: Control,
    deadline: Instant,
    pub log_file: Option<OwnedFd>,
    pub crash_marker: Option<CrashMarker>,
    /// Channels of further workers that this process is to run.
    pub joining: Vec<OwnedFd>,
}

/// What a worker is welcomed to.
pub struct Welcome {
    pub config: Config,
    pub feed: FeedId,
    pub slot: SlotId,
    pub generation: Generation,
}

impl Handshake {
    /// Sends HELLO over `channel`.
    ///
    /// # Errors
    /// [`ScanError`]: the channel cannot be used.
    pub fn begin(channel: OwnedFd) -> Result<Handshake, ScanError> {
        let mut control: Control = Channel::new(channel, IN_LIMIT, OUT_LIMIT)
            .map_err(ScanError::system("opening the channel to the coordinator"))?;
        let hello = Hello {
            proto_min: PROTO,
            proto_max: PROTO,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
        };
        control.send(&FromWorker::Hello(hello), 0).map_err(ScanError::coordinator)?;
        control.flush().map_err(ScanError::coordinator)?;
        failpoint::hit(Point::HelloSent);
        let deadline = Instant::now() + DEADLINE;
        Ok(Handshake { control, deadline, log_file: None, crash_marker: None, joining: Vec::new() })
    }

    /// Waits for the welcome.
    ///
    /// # Errors
    /// [`ScanError`]: the coordinator is gone, late, or sends what cannot be understood.
    pub fn wait(mut self) -> Result<(Handshake, Welcome), ScanError> {
        loop {
            if let Some(welcome) = self.advance()? {
                return Ok((self, welcome));
            }
            self.wait_readable()?;
        }
    }

    /// Takes what has come; the welcome, once it is here.
    pub fn advance(&mut self) -> Result<Option<Welcome>, ScanError> {
        let read = self.control.read().map_err(ScanError::coordinator)?;
        while let Some((message, _, fd)) = self.control.next().map_err(ScanError::coordinator)? {
            match message {
                ToWorker::LogFile => self.log_file = fd,
                ToWorker::CrashMarker => {
                    let opened = fd.map(|fd| CrashMarker::open(&fd)).transpose();
                    self.crash_marker = opened.map_err(ScanError::system("opening its crash marker"))?;
                }
                ToWorker::AddWorker => self.joining.extend(fd),
                ToWorker::Welcome { welcome, feed, slot, generation } => {
                    let config = Config::from_child_json(&welcome.config).map_err(ScanError::config)?;
                    return Ok(Some(Welcome { config, feed, slot, generation }));
                }
                ToWorker::Data
                | ToWorker::FollowList
                | ToWorker::UnfollowList
                | ToWorker::Assign { .. }
                | ToWorker::Listed { .. }
                | ToWorker::Renew { .. }
                | ToWorker::Release { .. }
                | ToWorker::Resync { .. }
                | ToWorker::Audit { .. }
                | ToWorker::PermitConnect
                | ToWorker::Ping
                | ToWorker::LogFilter { .. }
                | ToWorker::Details
                | ToWorker::Stop { .. } => {
                    return Err(ScanError::coordinator(format!("{message:?} before its welcome")));
                }
            }
        }
        if read == ReadOutcome::Closed {
            return Err(ScanError::coordinator("it closed the channel before its welcome"));
        }
        if Instant::now() >= self.deadline {
            return Err(ScanError::coordinator(format!("no welcome within {DEADLINE:?}")));
        }
        Ok(None)
    }

    /// When the welcome must have come.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    fn wait_readable(&self) -> Result<(), ScanError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.control.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(errno) => {
                Err(ScanError::System { operation: "waiting for the coordinator", source: errno.into() })
            }
        }
    }
}
