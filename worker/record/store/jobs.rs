//! What the loop gives the match stream's thread, and what that answers.

use super::Snapshot;
use crate::record::ledger::Source;
use crate::record::link::Chunk;
use crate::record::queue::Cost;
use touchline_common::ipc::messages::recorder::Owner;
use touchline_common::model::{Epoch, MatchKey};

/// Bytes that may wait.
pub const LIMIT: usize = 64 * 1024 * 1024;
/// What a job costs beside its bytes.
const SMALL: usize = 64;

#[derive(Debug)]
pub enum Job {
    /// A data channel opened: answer with its position.
    Open {
        token: usize,
        source: Source,
    },
    /// Frames of the match stream, and names, in order.
    Frames {
        source: Source,
        token: usize,
        chunk: Chunk,
        /// When they came, wall clock in microseconds.
        came: i64,
    },
    Gone {
        source: Source,
        /// When that was seen, wall clock in microseconds.
        at: i64,
        /// When the channel came, likewise.
        attached: i64,
        /// When bytes last came.
        last_frame_at: i64,
    },
    /// A worker gives no sign of life.
    Silent {
        source: Source,
        /// How long ago the last sign was.
        ms: u32,
    },
    /// It does again.
    Back {
        source: Source,
    },
    Switch {
        key: MatchKey,
        epoch: Epoch,
        owner: Owner,
    },
    Ended {
        key: MatchKey,
    },
    Snapshot(Box<Snapshot>),
    Stop,
}

/// Something for the loop. Sent only after the commit that it follows from.
#[derive(Debug)]
pub enum Reply {
    Opened {
        token: usize,
        resume_after: u64,
    },
    Acked {
        source: Source,
        n: u64,
    },
    Adopted {
        key: MatchKey,
        epoch: Epoch,
    },
    /// A channel sent what cannot be understood; nothing of it is taken any more.
    Broken {
        token: usize,
        what: String,
    },
    Ended {
        key: MatchKey,
    },
    /// A worker is to answer with this token once it has reported all that it received.
    Mark {
        source: Source,
        token: u64,
    },
    Stopped,
}

impl Cost for Job {
    fn cost(&self) -> usize {
        match self {
            Job::Frames { chunk, .. } => SMALL + chunk.bytes.len(),
            Job::Snapshot(snapshot) => {
                let texts = snapshot.sections.iter();
                SMALL + texts.map(|(_, text)| text.as_ref().map_or(0, |text| text.len())).sum::<usize>()
            }
            Job::Open { .. }
            | Job::Gone { .. }
            | Job::Silent { .. }
            | Job::Back { .. }
            | Job::Switch { .. }
            | Job::Ended { .. }
            | Job::Stop => SMALL,
        }
    }
}
