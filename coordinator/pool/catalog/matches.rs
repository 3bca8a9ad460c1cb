//! A match as the pool sees it: what the list knows, the topics it needs, where it has its seats.
//!
//! Invariant: a match is waiting, assigned or in quarantine, exactly one; a candidate's epoch is above its owner's.

use crate::pool::catalog::needs::WaitKey;
use std::time::Duration;
use touchline_common::ipc::messages::recorder::Owner;
use touchline_common::ipc::messages::worker::MatchState;
use touchline_common::model::{Epoch, Generation, Listing, SlotId};

#[derive(Debug)]
pub(in crate::pool) struct Match {
    pub(in crate::pool) listing: Listing,
    pub(in crate::pool) need: Need,
    pub(in crate::pool) assignment: Assignment,
    /// It left the list; when its silence is looked at next.
    pub(in crate::pool) delisted: Option<Duration>,
    /// Its topics were removed though it is listed.
    pub(in crate::pool) removed: Option<Removed>,
    pub(in crate::pool) crashes: Vec<Crash>,
    /// When it last went from one worker to another.
    pub(in crate::pool) moved_at: Option<Duration>,
    /// It had a load at some time of this run.
    pub(in crate::pool) has_appeared: bool,
    pub(in crate::pool) recorder: Recorded,
    pub(in crate::pool) wait: Wait,
}

/// What the recorder has of a match, and is still to get.
#[derive(Debug)]
pub(in crate::pool) struct Recorded {
    /// It has what there is to know of the match while no worker follows it.
    pub(in crate::pool) reported: bool,
    /// It was assigned at some time, so that the recorder has a ledger of it.
    pub(in crate::pool) has_ledger: bool,
    /// The owner needs a new epoch, since the recorder started anew or knows a higher one.
    pub(in crate::pool) needs_epoch: bool,
    /// Whether the recorder may take the owner for the one that it knows: alive once it has adopted one of the seat's epochs, dead
    /// as long as the epoch that it knows may be that of a worker that is gone.
    pub(in crate::pool) predecessor: Owner,
}

/// A match's turn while it waits.
#[derive(Debug)]
pub(in crate::pool) struct Wait {
    pub(in crate::pool) key: WaitKey,
    /// Where it was in the last run, or is to go.
    pub(in crate::pool) hint: Option<SlotId>,
    /// A worker that still has it, where the feed allows no second subscription: it waits until that one has released it.
    pub(in crate::pool) held_by: Option<Holder>,
    pub(in crate::pool) logged: bool,
    /// The worker that let it go for a planned move, where the feed allows no second subscription.
    pub(in crate::pool) moved_from: Option<SlotId>,
}

impl Match {
    /// A match that waits. `hint`: the worker that had it in the last run.
    pub(in crate::pool) fn new(listing: Listing, need: Need, hint: Option<SlotId>) -> Match {
        Match {
            listing,
            need,
            assignment: Assignment::Waiting,
            delisted: None,
            removed: None,
            crashes: Vec::new(),
            moved_at: None,
            has_appeared: false,
            recorder: Recorded {
                reported: false,
                has_ledger: hint.is_some(),
                needs_epoch: false,
                predecessor: Owner::Dead,
            },
            wait: Wait { key: [0, 0], hint, held_by: None, logged: false, moved_from: None },
        }
    }

    pub(in crate::pool) fn wait(&mut self, key: WaitKey) {
        self.assignment = Assignment::Waiting;
        self.wait.key = key;
        self.recorder.reported = false;
        self.recorder.needs_epoch = false;
        self.removed = None;
    }

    pub(in crate::pool) fn seats(&self) -> impl Iterator<Item = &Seat> {
        self.owner().into_iter().chain(self.candidate())
    }

    pub(in crate::pool) fn owner(&self) -> Option<&Seat> {
        match &self.assignment {
            Assignment::Assigned { owner, .. } => Some(owner),
            Assignment::Waiting | Assignment::Quarantined => None,
        }
    }

    pub(in crate::pool) fn candidate(&self) -> Option<&Seat> {
        match &self.assignment {
            Assignment::Assigned { candidate, .. } => candidate.as_ref(),
            Assignment::Waiting | Assignment::Quarantined => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Need {
    Topics(Vec<String>),
    /// It cannot be placed; why, for people.
    Impossible(String),
}

impl Need {
    pub(in crate::pool) fn count(&self) -> u32 {
        match self {
            Need::Topics(topics) => u32::try_from(topics.len()).unwrap_or(u32::MAX),
            Need::Impossible(_) => 0,
        }
    }
}

/// A listed match whose topics were removed is asked for again after [`Removed::FIRST`], and then twice as long each time.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool) struct Removed {
    pub(in crate::pool) ask_at: Duration,
    wait: Duration,
}

impl Removed {
    const FIRST: Duration = Duration::from_secs(5);
    const LAST: Duration = Duration::from_secs(60);

    pub(in crate::pool) fn at(now: Duration) -> Removed {
        Removed { ask_at: now + Removed::FIRST, wait: Removed::FIRST }
    }

    pub(in crate::pool) fn asked(&mut self, now: Duration) {
        self.wait = (self.wait * 2).min(Removed::LAST);
        self.ask_at = now + self.wait;
    }
}

#[derive(Clone, Copy, Debug)]
pub(in crate::pool) struct Crash {
    pub(in crate::pool) slot: SlotId,
    pub(in crate::pool) generation: Generation,
    /// The process: workers that share one crash together, once.
    pub(in crate::pool) pid: Option<u32>,
    pub(in crate::pool) at: Duration,
}

impl Crash {
    pub(in crate::pool) fn is_another(&self, other: &Crash) -> bool {
        match (self.pid, other.pid) {
            (Some(one), Some(two)) => one != two,
            _ => (self.slot, self.generation) != (other.slot, other.generation),
        }
    }
}

#[derive(Clone, Debug)]
pub(in crate::pool) enum Assignment {
    Waiting,
    Assigned { owner: Seat, candidate: Option<Seat> },
    Quarantined,
}

/// A match's place at the worker that its slot has now: when that is lost, so are its seats.
#[derive(Clone, Debug)]
pub(in crate::pool) struct Seat {
    pub(in crate::pool) slot: SlotId,
    /// Subscriptions that it takes there.
    pub(in crate::pool) topics: u32,
    pub(in crate::pool) epoch: Epoch,
    /// The epoch of `Assign`; reports under it and later ones, up to `epoch`, are about this seat.
    pub(in crate::pool) first_epoch: Epoch,
    pub(in crate::pool) state: MatchState,
    pub(in crate::pool) asked_at: Duration,
    pub(in crate::pool) had_load: bool,
    /// Of a candidate.
    pub(in crate::pool) switch: Switch,
    /// Of a candidate.
    pub(in crate::pool) cause: Cause,
}

impl Seat {
    #[cfg(test)]
    pub(in crate::pool) fn for_test(slot: SlotId) -> Seat {
        Seat {
            slot,
            topics: 1,
            epoch: Epoch(1),
            first_epoch: Epoch(1),
            state: MatchState::Live,
            asked_at: Duration::ZERO,
            had_load: true,
            switch: Switch::Sent,
            cause: Cause::Follows,
        }
    }

    /// Whether a report of this worker under this epoch is about this seat.
    pub(in crate::pool) fn covers(&self, slot: SlotId, epoch: Epoch) -> bool {
        self.slot == slot && self.first_epoch <= epoch && epoch <= self.epoch
    }

    pub(in crate::pool) fn has_load(&self) -> bool {
        match self.state {
            MatchState::Live | MatchState::Stale => true,
            MatchState::Subscribing | MatchState::Removed | MatchState::Refused => false,
        }
    }
}

/// Why a match has a second seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Cause {
    /// A move that was asked for, or one of a rebalance: a line of its own in the log.
    Planned,
    /// Its worker is drained, silent or above its cap, which the log tells once for all of its matches.
    Follows,
}

/// A worker that was asked to let a match go, and by which of its commands.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool) struct Holder {
    pub(in crate::pool) slot: SlotId,
    pub(in crate::pool) generation: Generation,
    pub(in crate::pool) command: u64,
}

/// Whether the recorder was sent that the seat's epoch is to own the match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Switch {
    NotSent,
    Sent,
}
