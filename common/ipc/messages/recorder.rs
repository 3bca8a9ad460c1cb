//! Coordinator and recorder.

use super::{Hello, Message, Welcome};
use crate::model::{Epoch, Generation, Listing, MatchKey, SlotId};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToRecorder {
    /// The answer to `Hello`.
    Welcome(Welcome),
    /// This frame carries the recorder's end of a worker's data channel.
    Attach { slot: SlotId, generation: Generation },
    Switch {
        key: MatchKey,
        epoch: Epoch,
        /// Whether a worker still writes under the old one.
        owner: Owner,
    },
    /// A worker has given no sign of life for a while: what it owns is not followed, and is adopted from it at once.
    Silent {
        slot: SlotId,
        generation: Generation,
        /// How long ago the last sign was, milliseconds.
        ms: u32,
    },
    /// That worker speaks again; what the server sent it meanwhile, it reads now.
    Back { slot: SlotId, generation: Generation },
    /// A match waits for a place; this is all that is known of it.
    Waiting { key: MatchKey, listing: Listing },
    /// A match is over and no worker follows it any more, if one ever did: what was assigned of it up to this epoch. What was assigned
    /// later goes on.
    Ended { key: MatchKey, epoch: Epoch },
    /// This frame carries an operator's socket, whose request is to be answered with stored data.
    Query {
        /// The verb: `match`, `events`, `odds`, `gaps`, `sink`.
        verb: String,
        args: String,
    },
    /// Answer with `Pong`.
    Ping,
    LogFilter {
        /// As `RUST_LOG` writes it.
        filter: String,
    },
    /// This frame carries the new log file; write there from now on.
    LogFile,
    /// Files that sinks write were moved: open them anew.
    ReopenSinks,
    /// Report version and update time of each document with [`FromRecorder::Documents`].
    Documents,
    /// Read the data channels to their end, commit, close, leave with code 0 within this time.
    Stop {
        /// Milliseconds.
        deadline_ms: u32,
    },
    /// This frame carries the recorder's end of the gateway's document feed: all documents are sent, then what changes.
    Reader,
}

impl Message for ToRecorder {
    const KIND: u16 = 0x0201;
}

/// Whether the epoch that a switch replaces can still write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owner {
    /// Its worker lives: it is believed until the candidate is nowhere behind.
    Alive,
    /// Its worker is dead, or there was none.
    Dead,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromRecorder {
    /// The first message.
    Hello(Hello),
    Ready {
        /// The highest epoch that the store has seen; new ones must be above it.
        highest_epoch: Epoch,
        token: u64,
    },
    /// After `Ready`: matches that are not over as far as the store knows. Those that ended meanwhile are to be reported.
    Held {
        /// Which; as many messages as it takes.
        keys: Vec<MatchKey>,
    },
    Switched {
        key: MatchKey,
        epoch: Epoch,
    },
    /// Each second and on change.
    Stats(RecorderStats),
    /// Documents held, in answer to `Documents`; the last message of an answer has `more` false.
    Documents {
        /// Match, version, time of rendering in microseconds since 1970 UTC.
        documents: Vec<(MatchKey, u64, i64)>,
        more: bool,
    },
    /// The answer to `Ping`.
    Pong,
    /// Leaving on its own account: not a crash.
    Leaving {
        why: String,
    },
}

impl Message for FromRecorder {
    const KIND: u16 = 0x0202;
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecorderStats {
    pub documents: u64,
    pub events: u64,
    pub bulk: u64,
    /// Prices left out of the bulk stream by the workers, since a newer one came before there was room.
    pub odds_conflated: u64,
    pub queue: u64,
    /// Observations that workers declared lost.
    pub dropped: u64,
    /// Documents published (versions given) since its start.
    pub published: u64,
    /// Frames refused because of a lower epoch.
    pub refused: u64,
    pub gaps: u64,
    pub gaps_open: u64,
    /// Bytes of the store's files.
    pub store_bytes: u64,
    /// What is wrong with the store (full, read-only, locked), empty when all is well.
    pub trouble: String,
    /// Rows that were deleted before each sink had read them, since the recorder's start.
    pub unread_lost: u64,
    pub sinks: Vec<SinkStats>,
}

/// A sink: where it stands, and what became of its rows since the recorder's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkStats {
    pub name: String,
    pub kind: String,
    /// `connecting`, `delivering`, `backing off`, `stopped`.
    pub state: String,
    /// Rows that are committed and not settled; of the bulk stream those of the current hour at least.
    pub lag_rows: u64,
    /// Since when the oldest of them waits, milliseconds.
    pub lag_ms: u64,
    pub delivered: u64,
    /// Rows that the broker refused for good, ever.
    pub refused: u64,
    /// The last error, empty if there was none.
    pub error: String,
    /// Until the next attempt, milliseconds, where one is waited for.
    pub retry_ms: Option<u64>,
    /// Why `health` is to name it, empty if it is well.
    pub trouble: String,
}
