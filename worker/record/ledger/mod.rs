//! The ledger of a match: what its registers are, what was taken back, who may write. Pure: input and a time in,
//! events out.
//!
//! Invariants: the same value twice is no step; each id is told live at most once; nothing is written by an epoch
//! below the owner's. Held by the store's thread, which commits a ledger together with the events it gave.
//! `steps` turns registers into events, `switch` says whose registers count, `takeover` when another's do, `saved` is the durable form.

mod align;
mod candidate;
pub mod event;
pub mod identity;
mod saved;
mod steps;
mod switch;
mod takeover;
#[cfg(test)]
mod tests;

pub use event::{Color, EventType, Lane, NewEvent, Payload};
pub use identity::{EventId, Scope};
pub use saved::LEDGER_VERSION;
pub use steps::Step;

use align::Trail;
use candidate::Candidate;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use switch::Wanted;
use touchline_common::ipc::messages::data::EndReason;
use touchline_common::ipc::messages::recorder::Owner;
use touchline_common::model::{Clock, Epoch, Facts, Generation, Observation, Register, Registers, SlotId};

/// The distance of two events' places in a match, so that others find room between them.
pub const ORDER_STEP: i64 = 1 << 20;
/// The most steps that one change of a counter is told as; a longer jump is one `mismatch`.
pub const MAX_STEPS: u64 = 64;
/// Entries of each per-match memory of steps; what falls out costs precision, never uniqueness.
const MAX_MEMORY: usize = 1_000;
/// How long a switch between two that live waits until the one is found in what the other tells.
const ALIGN_DEADLINE: Duration = Duration::from_secs(10);
/// How long a worker said to be dead may take until the end of its channel is read.
const OWNER_DRAIN: Duration = Duration::from_secs(1);

/// Which process writes: a slot in one of its generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// The worker's slot.
    pub slot: SlotId,
    /// The slot's generation.
    pub generation: Generation,
}

/// The last that is known of a worker, wall clock in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastSign {
    /// It told what it saw as it saw it, and something came at this time, for whatever match.
    Heard(i64),
    /// There was no recorder for a while: it had told what it saw until then, and took the rest along.
    Behind(i64),
}

/// What a ledger is told.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// All registers, under an epoch.
    Base {
        /// Its number on the channel.
        n: u64,
        /// The epoch.
        epoch: Epoch,
        /// Who says so.
        source: Source,
        /// What the registers mean.
        facts: &'a Facts,
        /// All that are known.
        registers: &'a Registers,
        /// The displayed clock.
        clock: Option<Clock>,
        /// Wall clock of the read, microseconds.
        at: i64,
        /// The document's version now.
        version: u64,
    },
    /// What one diff changed.
    Obs {
        /// Its number on the channel.
        n: u64,
        /// The epoch.
        epoch: Epoch,
        /// What changed.
        observation: &'a Observation,
        /// The document's version now.
        version: u64,
    },
    /// Observations were dropped by their worker.
    Lost {
        /// The epoch.
        epoch: Epoch,
        /// How many.
        count: u64,
        /// Wall clock of the first, microseconds.
        since: i64,
    },
    /// The epoch's worker stops sending.
    End {
        /// The epoch.
        epoch: Epoch,
        /// Why.
        why: EndReason,
        /// Wall clock, microseconds.
        at: i64,
    },
    /// This epoch is to own the match.
    Switch {
        /// The epoch.
        epoch: Epoch,
        /// Whether the owner that it replaces lives.
        owner: Owner,
        /// Wall clock, microseconds.
        at: i64,
    },
    /// A worker's channel is at its end.
    Gone {
        /// Whose.
        source: Source,
        /// Wall clock, microseconds.
        at: i64,
        /// What is known of its worker's last time.
        sign: LastSign,
    },
    /// A worker gives no sign of life.
    Silent {
        /// Who.
        source: Source,
        /// Wall clock of the last sign, microseconds.
        since: i64,
    },
    /// It does again, and goes on where it stopped.
    Back {
        /// Who.
        source: Source,
        /// Wall clock, microseconds.
        at: i64,
    },
    /// A worker's channel is open.
    Attached {
        /// Whose.
        source: Source,
        /// Wall clock, microseconds.
        at: i64,
    },
    /// A restored owner did not come back.
    Missing {
        /// Wall clock from which on nothing is known, microseconds.
        at: i64,
    },
    /// Nobody follows the match any more.
    Ended {
        /// Wall clock, microseconds.
        at: i64,
    },
    /// Time has passed.
    Tick {
        /// Wall clock, microseconds.
        at: i64,
        /// Whether what is [awaited](Ledger::awaited) was said.
        said: Said,
    },
}

/// Whether those who follow a match have said all that they are known to have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// They have: where nothing came of the match, nothing happened.
    All,
    /// Something may be on its way still.
    NotAll,
}

/// What follows from an input.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What happened, in order.
    pub events: Vec<NewEvent>,
    /// Rows of gaps to be opened or closed, in order.
    pub gaps: Vec<GapStep>,
    /// The epoch that owns the match, when that was asked for or has changed.
    pub switched: Option<Epoch>,
    /// Whether a higher epoch made the input void.
    pub refused: bool,
    /// Observations that are lost.
    pub lost: u64,
    /// What of the ledger must be saved.
    pub changed: Changed,
}

/// How much of a ledger changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    /// Nothing that is saved.
    #[default]
    Nothing,
    /// The last place in the match only.
    Order,
    /// Anything.
    State,
}

/// A gap begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GapStep {
    /// From here the match is not followed.
    Open {
        /// Whose it was.
        slot: SlotId,
        /// Wall clock, microseconds.
        at: i64,
        /// One of a few words.
        reason: &'static str,
    },
    /// It is followed again, or over.
    Close {
        /// Wall clock, microseconds.
        at: i64,
    },
}

/// What the owner's worker does, as far as is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwnerState {
    /// It writes.
    Alive,
    /// It gives no sign of life, and has not since that time. It may go on where it stopped.
    Silent { since: i64 },
    /// Its connection to the server broke; the next base comes from a new one.
    Away,
    /// Restored from the store: its worker may open its channel again.
    Detached,
    /// It will never write again.
    Dead,
}

/// Who may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Writer {
    epoch: Epoch,
    source: Source,
    state: OwnerState,
}

/// A happening of a phase that is live, by the phase's value that it reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PhaseMark {
    to: i64,
    kind: EventType,
    index: i64,
}

/// Registers that a new connection shows lower than the ledger: believed once they stood.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lower {
    values: Registers,
    since: Instant,
    n: u64,
}

/// Everything that is known of a match's happenings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    scope: Scope,
    settle: Duration,
    facts: Facts,
    owner: Option<Writer>,
    registers: Registers,
    /// How often a step was taken back; what is absent was taken back `taken_floor` times.
    taken: BTreeMap<Step, u32>,
    taken_floor: u32,
    /// Live steps whose identity is not their value alone: indexes in racket sports, values of points and runs.
    marks: BTreeMap<Register, Vec<i64>>,
    phases: Vec<PhaseMark>,
    /// Tennis points told, by set and game.
    points: BTreeMap<(u8, i64), u32>,
    order: i64,
    gaps: u32,
    gap_open: bool,
    ended: bool,
    candidate: Option<Box<Candidate>>,
    wanted: Option<Wanted>,
    lower: Option<Lower>,
    /// What the owner told last, to find it in what a candidate tells.
    trail: Trail,
    /// So many of the last in `trail` were told by an earlier owner, and the owner, who was behind it, has still to tell them again. A
    /// restored ledger has no trail.
    repeats: usize,
    /// When the owner last told something.
    heard: Option<Instant>,
    /// The same by the wall clock, microseconds; of a restored ledger: until when its recorder lived.
    known_at: i64,
}

impl Ledger {
    /// The ledger of a match that nothing is known of. `settle`: how long a lower value must stand.
    pub fn new(feed: &str, id: &str, settle: Duration) -> Ledger {
        Ledger {
            scope: Scope::new(feed, id),
            settle,
            facts: Facts::default(),
            owner: None,
            registers: Registers::new(),
            taken: BTreeMap::new(),
            taken_floor: 0,
            marks: BTreeMap::new(),
            phases: Vec::new(),
            points: BTreeMap::new(),
            order: 0,
            gaps: 0,
            gap_open: false,
            ended: false,
            candidate: None,
            wanted: None,
            lower: None,
            trail: Trail::default(),
            repeats: 0,
            heard: None,
            known_at: 0,
        }
    }

    /// Takes one input; `now` is a monotonic time, and only `settle` is measured by it. What follows is added to `out`.
    pub fn advance(&mut self, input: &Input<'_>, now: Instant, out: &mut Outcome) {
        let before = (self.order, out.changed);
        switch::advance(self, input, now, out);
        if out.changed == Changed::Nothing && self.order != before.0 {
            out.changed = Changed::Order;
        }
    }

    /// The epoch that owns the match.
    pub fn epoch(&self) -> Option<Epoch> {
        self.owner.map(|owner| owner.epoch)
    }

    /// The sport's name, if known.
    pub fn sport(&self) -> Option<&str> {
        self.facts.sport.as_deref()
    }

    /// The place of the newest event.
    pub fn order(&self) -> i64 {
        self.order
    }

    /// The values that stand.
    pub fn registers(&self) -> &Registers {
        &self.registers
    }

    /// Whether the match is over.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether its gap is open.
    pub fn in_gap(&self) -> bool {
        self.gap_open
    }

    /// Whether its owner was restored and has not been heard yet.
    pub fn is_detached(&self) -> bool {
        self.owner.is_some_and(|owner| owner.state == OwnerState::Detached)
    }

    /// Until when owner and candidate must have told what they saw before their silence says anything, by the wall clock in
    /// microseconds: each what the other has seen already.
    pub fn awaited(&self) -> Option<[(Source, i64); 2]> {
        let (owner, candidate) = (self.owner?, self.candidate.as_ref()?);
        Some([(owner.source, candidate.loaded_at), (candidate.source, self.known_at)])
    }

    /// Whether `source` owns it or wants to.
    pub fn concerns(&self, source: Source) -> bool {
        self.owner.is_some_and(|owner| owner.source == source)
            || self.candidate.as_ref().is_some_and(|candidate| candidate.source == source)
    }

    /// Who owns it.
    pub fn source(&self) -> Option<Source> {
        self.owner.map(|owner| owner.source)
    }
}
