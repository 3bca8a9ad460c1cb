//! Between the loop and the store's thread: work one way, answers the other.
//!
//! The loop never waits here. Work is bounded by [`LIMIT`]; at the bound the loop stops reading its data channels
//! (the workers then hold what is theirs) and is woken once half of it is gone.

use super::Snapshot;
use crate::record::ledger::{LastSign, Source};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use touchline_common::ipc::messages::data::ToRecorderData;
use touchline_common::ipc::messages::recorder::Owner;
use touchline_common::model::{Epoch, MatchKey};

/// Jobs that may wait.
pub const LIMIT: usize = 65_536;

/// Something for the store's thread.
#[derive(Debug)]
pub enum Job {
    /// A data channel opened: answer with its position.
    Open {
        /// The channel.
        token: usize,
        /// Who writes on it.
        source: Source,
    },
    /// `Base`, `Obs`, `Lost` or `End`.
    Frame {
        /// Who wrote it.
        source: Source,
        /// What.
        frame: ToRecorderData,
        /// The document's version at its arrival.
        version: u64,
    },
    /// A data channel is at its end.
    Gone {
        /// Who wrote on it.
        source: Source,
        /// When that was seen, wall clock in microseconds.
        at: i64,
        /// The last that is known of its worker.
        sign: LastSign,
    },
    /// A worker gives no sign of life.
    Silent {
        /// Who.
        source: Source,
        /// How long ago the last sign was.
        ms: u32,
    },
    /// It does again.
    Back {
        /// Who.
        source: Source,
    },
    /// The coordinator's wish.
    Switch {
        /// The match.
        key: MatchKey,
        /// The epoch that is to own it.
        epoch: Epoch,
        /// Whether the one it replaces lives.
        owner: Owner,
    },
    /// A worker answered a question.
    Marked {
        /// Who.
        source: Source,
        /// The question's token.
        token: u64,
    },
    /// A match is over.
    Ended {
        /// The match.
        key: MatchKey,
    },
    /// A document to be saved.
    Snapshot(Box<Snapshot>),
    /// Commit everything and end.
    Stop,
}

/// Something for the loop. Sent only after the commit that it follows from.
#[derive(Debug)]
pub enum Reply {
    /// A channel's position.
    Opened {
        /// The channel.
        token: usize,
        /// The highest committed number of its generation.
        resume_after: u64,
    },
    /// Everything up to this number is committed.
    Acked {
        /// Of whom.
        source: Source,
        /// The number.
        n: u64,
    },
    /// An epoch owns a match.
    Adopted {
        /// The match.
        key: MatchKey,
        /// The epoch.
        epoch: Epoch,
    },
    /// An epoch was refused.
    Refused {
        /// Who wrote under it.
        source: Source,
        /// The match.
        key: MatchKey,
        /// The epoch.
        epoch: Epoch,
    },
    /// A match is over.
    Ended {
        /// The match.
        key: MatchKey,
    },
    /// A worker is to answer with this token once it has reported all that it received.
    Mark {
        /// Who.
        source: Source,
        /// The token.
        token: u64,
    },
    /// Everything is committed.
    Stopped,
}

/// What waits for the store's thread, and whether that waits for it.
#[derive(Debug, Default)]
struct Waiting {
    jobs: Vec<Job>,
    /// Else a wake-up, which is a call of the kernel, is spared.
    sleeps: bool,
}

/// The two directions.
#[derive(Debug, Default)]
pub struct Queue {
    jobs: Mutex<Waiting>,
    arrived: Condvar,
    /// Jobs that wait or are being worked on.
    held: AtomicUsize,
    replies: Mutex<Vec<Reply>>,
}

impl Queue {
    /// Adds work and empties `jobs`.
    pub fn push(&self, jobs: &mut Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        self.held.fetch_add(jobs.len(), Ordering::AcqRel);
        let mut waiting = lock(&self.jobs);
        waiting.jobs.append(jobs);
        let sleeps = waiting.sleeps;
        drop(waiting);
        if sleeps {
            self.arrived.notify_one();
        }
    }

    /// Jobs that wait or are being worked on.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }

    /// Whether more than `LIMIT` jobs are held.
    pub fn is_full(&self) -> bool {
        self.held() >= LIMIT
    }

    /// The store's thread: moves what waits to `into`; waits until `until` for the first, and for no more after that.
    pub fn take(&self, into: &mut Vec<Job>, until: Instant) {
        let mut waiting = lock(&self.jobs);
        while waiting.jobs.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            waiting.sleeps = true;
            waiting = self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
            waiting.sleeps = false;
        }
        into.append(&mut waiting.jobs);
    }

    /// The store's thread: `jobs` are done; whether the loop must be woken because there is room again.
    pub fn done(&self, jobs: usize) -> bool {
        let before = self.held.fetch_sub(jobs, Ordering::AcqRel);
        before > LIMIT / 2 && before - jobs <= LIMIT / 2
    }

    /// The store's thread: hands answers over.
    pub fn answer(&self, replies: &mut Vec<Reply>) {
        lock(&self.replies).append(replies);
    }

    /// Whether answers wait.
    pub fn has_answers(&self) -> bool {
        !lock(&self.replies).is_empty()
    }

    /// The loop: takes the answers.
    pub fn answers(&self, into: &mut Vec<Reply>) {
        into.append(&mut lock(&self.replies));
    }
}

/// A lock whose holder panicked is still good: nothing here is left half done.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
