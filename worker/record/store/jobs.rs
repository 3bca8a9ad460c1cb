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
    /// Frames of the match stream, and names, in order.
    Frames {
        /// Who wrote them,
        source: Source,
        /// on which channel.
        token: usize,
        /// The frames.
        chunk: Chunk,
        /// When they came, wall clock in microseconds.
        came: i64,
    },
    /// A data channel is at its end.
    Gone {
        /// Who wrote on it.
        source: Source,
        /// When that was seen, wall clock in microseconds.
        at: i64,
        /// When the channel came, likewise.
        attached: i64,
        /// When bytes last came.
        heard: i64,
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
    /// A channel sent what cannot be understood; nothing of it is taken any more.
    Broken {
        /// The channel.
        token: usize,
        /// What was wrong.
        what: String,
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
