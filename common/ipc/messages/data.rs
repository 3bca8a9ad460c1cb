//! Worker and recorder: observations and sections.
//!
//! `Base`, `Obs`, `Lost` and `End` carry `n`, dense from 1 per generation; the recorder's `Ack` follows the commit. The worker
//! keeps what is unacknowledged and sends again above `resume_after`. `Publish` carries no `n`: sections are
//! rendered anew, not sent again.

use super::Message;
use crate::model::{Clock, Epoch, Facts, Generation, MatchKey, Observation, Registers, Section, SlotId};
use serde::{Deserialize, Serialize};

/// Worker to recorder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToRecorderData {
    /// The first message on a channel.
    Open {
        /// The lowest version spoken.
        proto_min: u16,
        /// The highest version spoken.
        proto_max: u16,
        /// The worker.
        slot: SlotId,
        /// Its generation.
        generation: Generation,
    },
    /// All registers of a match: after a load, after an overflow, after a new epoch.
    Base {
        /// Its number.
        n: u64,
        /// The match.
        key: MatchKey,
        /// The epoch it is followed under.
        epoch: Epoch,
        /// What its registers mean.
        facts: Facts,
        /// All that are known.
        registers: Registers,
        /// The displayed clock.
        clock: Option<Clock>,
        /// Wall clock of the read, microseconds since 1970 UTC.
        received_at: i64,
    },
    /// What one diff changed.
    Obs {
        /// Its number.
        n: u64,
        /// The match.
        key: MatchKey,
        /// The epoch it is followed under.
        epoch: Epoch,
        /// What changed.
        observation: Observation,
    },
    /// Observations of a match were dropped here because the recorder did not take them: a gap. A `Base` follows.
    Lost {
        /// Its number.
        n: u64,
        /// The match.
        key: MatchKey,
        /// The epoch it is followed under.
        epoch: Epoch,
        /// How many.
        count: u64,
        /// Wall clock of the first of them, microseconds since 1970 UTC.
        since: i64,
    },
    /// The sections of one rendering, applied as a unit.
    Publish(Publish),
    /// The match is over for this worker.
    End {
        /// Its number.
        n: u64,
        /// The match.
        key: MatchKey,
        /// The epoch it was followed under.
        epoch: Epoch,
        /// Why.
        why: EndReason,
        /// Wall clock, microseconds since 1970 UTC.
        at: i64,
    },
}

impl Message for ToRecorderData {
    const KIND: u16 = 0x0301;
}

/// Why a worker stops sending a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// The match is over.
    Ended,
    /// Another worker owns it.
    Moved,
    /// The connection to the server broke; a gap begins and ends with the next `Base`.
    ConnectionLost,
    /// The worker leaves.
    Leaving,
}

/// One rendering of a match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// The match.
    pub key: MatchKey,
    /// The epoch it is followed under.
    pub epoch: Epoch,
    /// Whether `sections` are the whole document or what changed in it.
    pub extent: Extent,
    /// The sections.
    pub sections: Vec<Section>,
    /// Whether the document is stale: nothing received for `stale_after`.
    pub stale: bool,
    /// Wall clock of the read that brought the newest change, microseconds since 1970 UTC.
    pub received_at: i64,
    /// Wall clock of the rendering, microseconds since 1970 UTC.
    pub updated_at: i64,
}

/// How much of a document a [`Publish`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extent {
    /// Everything: what is not among the sections is gone.
    Whole,
    /// What changed since this worker's last `Publish` of the match.
    Changes,
}

/// Recorder to worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromRecorderData {
    /// The answer to `Open`.
    Opened {
        /// The version to speak.
        proto: u16,
        /// The recorder's run: its start, microseconds since 1970 UTC.
        run: u64,
        /// The highest `n` of this generation that is committed.
        resume_after: u64,
    },
    /// Everything up to this number is committed.
    Ack {
        /// The number.
        n: u64,
    },
    /// What was sent of a match under this epoch was refused: a higher one owns it.
    Refused {
        /// The match.
        key: MatchKey,
        /// The epoch that was refused.
        epoch: Epoch,
    },
}

impl Message for FromRecorderData {
    const KIND: u16 = 0x0302;
}
