//! What the recorder's loop and the two threads that commit say to each other: one for the match stream (`store`), one for the bulk
//! stream (`bulk`).
//!
//! Jobs go to a thread in order; replies come after the commit that they follow from. What only one of the streams has is its own kind
//! of job, `J`. [`Newest`] is for readers that wait for rows.

use super::RecordError;
use super::ledger::Source;
use super::queue::{Cost, Queue, lock};
use super::readers::Readers;
use mio::Waker;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use touchline_common::ipc::Header;
use touchline_common::ipc::frame::HEADER_LEN;
use touchline_common::ipc::messages::recorder::RecorderStats;
use touchline_common::model::{Epoch, MatchKey};

/// The first and the longest wait after the disk refused a batch.
pub const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// Attempts at the last batch.
pub const LAST_ATTEMPTS: u32 = 5;
/// What a job costs beside its bytes.
const SMALL: usize = 64;

/// Starts one of the two threads, which wakes the loop when it has a reply.
///
/// # Errors
/// [`RecordError::Kernel`].
pub(super) fn start(
    name: &'static str,
    waker: &Arc<Waker>,
    run: impl FnOnce(&dyn Fn()) + Send + 'static,
) -> Result<JoinHandle<()>, RecordError> {
    let waker = Arc::clone(waker);
    let wake = move || {
        if let Err(error) = waker.wake() {
            log::error!(error:% = error; "store.wake_failed");
        }
    };
    let started = std::thread::Builder::new().name(name.into()).spawn(move || run(&wake));
    started.map_err(|source| RecordError::Kernel { operation: "start a thread of the store", source })
}

#[derive(Debug)]
pub enum Job<J> {
    /// A data channel opened: answer with its position. What this worker named before is void.
    Open {
        token: usize,
        source: Source,
    },
    /// Frames of the stream, and names, in order.
    Frames {
        source: Source,
        token: usize,
        chunk: Chunk,
        /// When they came, wall clock in microseconds.
        came: i64,
    },
    Gone(Gone),
    /// A match is over and nothing follows it under this epoch or a lower one; what its worker sent before still counts.
    Ended {
        key: MatchKey,
        epoch: Epoch,
    },
    Own(J),
    Stop,
}

/// A data channel is at its end. Times are the wall clock's, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Gone {
    pub source: Source,
    /// When that was seen.
    pub at: i64,
    /// When the channel came.
    pub attached: i64,
    /// When bytes last came.
    pub last_frame_at: i64,
    /// Since when it may have heard lines that never came.
    pub unheard: Option<i64>,
}

/// Something for the loop. Sent only after the commit that it follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Opened {
        token: usize,
        resume_after: u64,
    },
    Acked {
        source: Source,
        n: u64,
    },
    /// A channel sent what cannot be understood; nothing of it is taken any more.
    Broken {
        token: usize,
        what: String,
    },
    /// An epoch owns the match; of the match stream, as the next two.
    Adopted {
        key: MatchKey,
        epoch: Epoch,
    },
    /// A match is over as it was assigned up to this epoch; under a higher one it is assigned anew.
    Ended {
        key: MatchKey,
        epoch: Epoch,
    },
    /// A worker is to answer with this token once it has reported all that it received.
    Mark {
        source: Source,
        token: u64,
    },
    /// A file that the thread writes is not at its place any more.
    Moved {
        path: PathBuf,
    },
    Stopped,
}

impl Reply {
    /// Whether the loop is to be woken for it. An acknowledgement goes out when the loop next turns: a worker's window is wider than what
    /// comes until it looks at the clock.
    pub(super) fn is_urgent(&self) -> bool {
        !matches!(self, Reply::Acked { .. })
    }
}

/// What a stream's thread is asked alone.
pub trait OwnJob: Cost {
    /// Whether frames are worked on as they come; else together, when the stream's next commit is due.
    const FRAMES_ARE_URGENT: bool;
}

impl<J: OwnJob> Cost for Job<J> {
    fn cost(&self) -> usize {
        SMALL
            + match self {
                Job::Frames { chunk, .. } => chunk.bytes.len(),
                Job::Own(job) => job.cost(),
                Job::Open { .. } | Job::Gone(_) | Job::Ended { .. } | Job::Stop => 0,
            }
    }

    fn is_urgent(&self) -> bool {
        match self {
            // A worker reports nothing before its position is known.
            Job::Open { .. } | Job::Stop => true,
            Job::Own(job) => job.is_urgent(),
            Job::Frames { .. } | Job::Gone(_) | Job::Ended { .. } => J::FRAMES_ARE_URGENT,
        }
    }
}

/// Frames of a stream on their way to its thread.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Whole frames as they came: names and frames of the stream.
    pub bytes: Vec<u8>,
    /// For each frame of the match stream the version that its document had when it came.
    pub versions: Vec<u64>,
}

impl Chunk {
    pub(super) fn push(&mut self, header: &Header, body: &[u8]) {
        self.bytes.extend_from_slice(&header.to_bytes());
        self.bytes.extend_from_slice(body);
    }

    /// The frames; after an error there are no more.
    pub(super) fn frames(&self) -> impl Iterator<Item = Result<(Header, &[u8]), String>> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let frame = (!rest.is_empty()).then(|| split(rest))?;
            rest = frame.as_ref().map_or(&[], |(_, _, rest)| rest);
            Some(frame.map(|(header, body, _)| (header, body)))
        })
    }
}

/// The first frame of `bytes`, and what follows it.
fn split(bytes: &[u8]) -> Result<(Header, &[u8], &[u8]), String> {
    let cut = || "a frame is cut off".to_owned();
    let (head, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or_else(cut)?;
    let header = Header::parse(head, u32::MAX).map_err(|error| error.to_string())?;
    let (body, rest) = rest.split_at_checked(header.length as usize).ok_or_else(cut)?;
    Ok((header, body, rest))
}

/// What others may know of a thread at any time.
#[derive(Debug)]
pub struct Shared<J> {
    pub queue: Queue<Job<J>, Reply>,
    /// Of the counters those that the thread has.
    pub stats: Mutex<RecorderStats>,
    pub newest: Newest,
    /// Sinks, and what they have read of the stream's rows.
    pub readers: Readers,
    /// Held by whoever writes to the match stream's store.
    pub gate: Mutex<()>,
}

impl<J: OwnJob> Shared<J> {
    /// Of a thread whose queue is full at `limit` bytes and whose newest row is `seq`.
    pub fn new(limit: usize, stats: RecorderStats, seq: i64) -> Shared<J> {
        Shared {
            queue: Queue::new(limit),
            stats: Mutex::new(stats),
            newest: Newest {
                state: Mutex::new(NewestState { seq, closing: false }),
                newer: Condvar::new(),
                closed: Condvar::new(),
            },
            readers: Readers::default(),
            gate: Mutex::new(()),
        }
    }
}

/// The newest committed `seq` of a stream.
#[derive(Debug)]
pub struct Newest {
    state: Mutex<NewestState>,
    newer: Condvar,
    /// Apart, so that no commit wakes who waits for the end alone.
    closed: Condvar,
}

#[derive(Debug)]
struct NewestState {
    seq: i64,
    closing: bool,
}

impl Newest {
    pub(super) fn get(&self) -> i64 {
        lock(&self.state).seq
    }

    pub(super) fn set(&self, seq: i64) {
        lock(&self.state).seq = seq;
        self.newer.notify_all();
    }

    /// Waits for a `seq` above `after`, at most `patience`; the newest one.
    pub fn wait_beyond(&self, after: i64, patience: Duration) -> i64 {
        let until = Instant::now() + patience;
        let mut state = lock(&self.state);
        while state.seq <= after && !state.closing {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.newer.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.seq
    }

    /// Followers are to end.
    pub fn close(&self) {
        lock(&self.state).closing = true;
        self.newer.notify_all();
        self.closed.notify_all();
    }

    pub fn is_closing(&self) -> bool {
        lock(&self.state).closing
    }

    /// Lets `time` pass, or less when followers are to end; whether they are.
    pub(super) fn closes_within(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = lock(&self.state);
        while !state.closing {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.closed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.closing
    }
}
