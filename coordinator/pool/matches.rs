//! A match as the pool sees it: what the list knows, the topics it needs, where it has its seats.
//!
//! Invariant: a match is waiting, placed or in quarantine, exactly one; a candidate's epoch is above its owner's.

use super::placement::WaitKey;
use std::time::Duration;
use touchline_common::ipc::messages::recorder::Owner;
use touchline_common::ipc::messages::worker::MatchState;
use touchline_common::model::{Epoch, Generation, Listing, MatchKey, SlotId};

#[derive(Debug)]
pub(super) struct Match {
    pub(super) listing: Listing,
    pub(super) need: Need,
    pub(super) place: Place,
    /// The list deleted it.
    pub(super) delisted: Option<Delisted>,
    pub(super) crashes: Vec<Crash>,
    /// The recorder knows that it waits.
    pub(super) told_waiting: bool,
    /// The log knows that it waits.
    pub(super) noticed: bool,
    /// It had a seat at some time, so that the recorder has a ledger of it.
    pub(super) was_placed: bool,
    /// Whether the recorder may take the owner for the one that it knows: alive once it has adopted one of the seat's epochs, dead
    /// as long as the epoch that it knows may be that of a worker that is gone.
    pub(super) predecessor: Owner,
    /// Where it was in the last run.
    pub(super) hint: Option<SlotId>,
    /// When it last went from one worker to another.
    pub(super) moved_at: Option<Duration>,
    /// A worker that still has it, where the feed suffers no second subscription: it waits until that one has let go.
    pub(super) held_by: Option<Holder>,
    /// Where it stands in the line while it waits.
    pub(super) wait_key: WaitKey,
}

/// What a match needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// These topics.
    Topics(Vec<String>),
    /// It cannot be placed; why, for people.
    Impossible(String),
}

impl Need {
    pub(super) fn count(&self) -> u32 {
        match self {
            Need::Topics(topics) => u32::try_from(topics.len()).unwrap_or(u32::MAX),
            Need::Impossible(_) => 0,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Delisted {
    /// When its silence is looked at next.
    pub(super) check_at: Duration,
}

/// A crash that the match was present in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crash {
    pub(super) slot: SlotId,
    pub(super) generation: Generation,
    /// The process: workers that share one crash together, once.
    pub(super) pid: Option<u32>,
    pub(super) at: Duration,
}

impl Crash {
    /// Whether another process crashed then.
    pub(super) fn is_another(&self, other: &Crash) -> bool {
        match (self.pid, other.pid) {
            (Some(one), Some(two)) => one != two,
            (Some(_) | None, None) | (None, Some(_)) => {
                (self.slot, self.generation) != (other.slot, other.generation)
            }
        }
    }
}

/// Where a match is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Waiting,
    Placed { owner: Seat, candidate: Option<Seat> },
    Quarantined,
}

/// A match at a worker.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) slot: SlotId,
    pub(super) generation: Generation,
    pub(super) epoch: Epoch,
    /// The epoch of `Assign`; reports under it and later ones, up to `epoch`, are about this seat.
    pub(super) first_epoch: Epoch,
    pub(super) state: MatchState,
    pub(super) asked_at: Duration,
    /// It was live here at some time.
    pub(super) had_load: bool,
    pub(super) switch: Switch,
}

impl Seat {
    pub(super) fn covers(&self, slot: SlotId, generation: Generation, epoch: Epoch) -> bool {
        (self.slot, self.generation) == (slot, generation) && self.first_epoch <= epoch && epoch <= self.epoch
    }

    pub(super) fn has_load(&self) -> bool {
        match self.state {
            MatchState::Live | MatchState::Stale => true,
            MatchState::Subscribing | MatchState::Removed => false,
        }
    }
}

/// A worker that was told to let a match go, and by which of its commands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub(super) slot: SlotId,
    pub(super) generation: Generation,
    pub(super) command: u64,
}

/// Whether the recorder was told that the seat's epoch is to own the match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    NotSent,
    Sent,
}

/// A match whose end the worker has not seen yet.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) key: MatchKey,
    pub(super) slot: SlotId,
    pub(super) generation: Generation,
    pub(super) command: u64,
}

/// A match that is over, for `matches --state ended`.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) key: MatchKey,
    pub(super) name: Option<String>,
    pub(super) why: &'static str,
}
