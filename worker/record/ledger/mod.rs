//! The ledger of a match: its last known values, and the events that follow from what is reported. Pure: input and a time in,
//! events out.
//!
//! One rule: a value that equals the last known one is no event. Invariants: each id is live at most once; nothing is
//! written by an epoch other than the owner's. Held by the store's thread, which commits a ledger together with its events.
//! `advance` has the transitions, `handover` says who owns the match, `instance` tells another match under the same id, `values`
//! compares, `steps` turns registers into events, `saved` is the durable form.

mod advance;
pub mod event;
mod handover;
pub mod identity;
pub mod incidents;
mod instance;
mod saved;
mod steps;
#[cfg(test)]
mod tests;
mod values;

pub use event::{Color, EventType, NewEvent, Payload};
pub use identity::{EventId, Scope};
pub use saved::{LEDGER_VERSION, OLDEST_LEDGER_VERSION, Saved};
pub use steps::Step;
pub use touchline_common::config::Lane;

use handover::{Candidate, Wanted};
use incidents::{Incidents, Statement};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::data::EndReason;
use touchline_common::ipc::messages::recorder::Owner;
use touchline_common::model::{
    Change, Clock, Epoch, Facts, Generation, Register, RegisterChange, Registers, RoundEnd, SlotId,
};
use values::{Values, Waiting};

/// The distance of two events' places in a match, so that others find room between them.
pub const ORDER_STEP: i64 = 1 << 20;
/// The most steps that one change of a counter is reported as; a longer jump is one `mismatch`.
pub const MAX_STEPS: u64 = 64;
/// Entries of each per-match memory of steps; what falls out costs precision, never uniqueness.
const MAX_MEMORY: usize = 1_000;

/// Which process writes: a slot in one of its generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    pub slot: SlotId,
    pub generation: Generation,
}

/// The last that is known of a worker, wall clock in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastSign {
    /// It reported without delay, and something came at this time, for whatever match.
    Received(i64),
    /// It was behind, as after a time without a recorder: it had reported what it saw until then.
    Behind(i64),
}

/// Names of the home and the away team.
pub type Teams = (String, String);

/// What comes with everything that a worker reports of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub n: u64,
    pub epoch: Epoch,
    pub clock: Option<Clock>,
    /// Wall clock of the read, microseconds.
    pub at: i64,
    /// The document's version at that time.
    pub version: u64,
}

impl Report {
    /// Of what no message states.
    fn unstated(epoch: Epoch, at: i64) -> Report {
        Report { n: 0, epoch, clock: None, at, version: 0 }
    }
}

#[derive(Clone, Debug)]
pub enum Input<'a> {
    Base {
        report: Report,
        source: Source,
        facts: &'a Facts,
        /// Where both names are known.
        teams: Option<&'a Teams>,
        registers: &'a Registers,
        values: &'a [Change<'a>],
    },
    Obs {
        report: Report,
        registers: &'a [RegisterChange],
        changes: &'a [Change<'a>],
    },
    /// What a source states of single happenings.
    Incidents {
        report: Report,
        statement: Statement<'a>,
    },
    /// A source of the match was asked once over.
    Round {
        report: Report,
        round: RoundEnd,
    },
    /// Observations were dropped by their worker. A `Base` or `End` follows.
    Lost {
        epoch: Epoch,
        count: u64,
        /// Wall clock of the first, microseconds.
        since: i64,
    },
    /// The epoch's worker stops sending.
    End {
        epoch: Epoch,
        why: EndReason,
        /// Wall clock, microseconds.
        at: i64,
    },
    Switch {
        epoch: Epoch,
        owner: Owner,
    },
    /// A worker has reported all that the server had sent when it was asked with this token, or a later one.
    Marked {
        source: Source,
        token: u64,
    },
    /// A worker's channel is at its end.
    Gone {
        source: Source,
        /// Wall clock, microseconds.
        at: i64,
        /// What is known of its worker's last time.
        sign: LastSign,
        /// Since when it may have taken lines of chat along, which wait longer than what the ledger is told.
        unheard: Option<i64>,
    },
    /// A worker gives no sign of life.
    Silent {
        source: Source,
        /// Wall clock of the last sign, microseconds.
        since: i64,
    },
    /// It does again, and goes on where it stopped.
    Back {
        source: Source,
        /// Wall clock, microseconds.
        at: i64,
    },
    /// A worker's channel is open.
    Attached {
        source: Source,
    },
    /// A restored owner did not come back.
    Missing {
        /// Wall clock from which on nothing is known, microseconds.
        at: i64,
    },
    /// The match is over as it was assigned up to this epoch.
    Ended {
        epoch: Epoch,
        /// Wall clock, microseconds.
        at: i64,
    },
    Tick {
        /// Wall clock, microseconds.
        at: i64,
    },
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What happened, in order.
    pub events: Vec<NewEvent>,
    /// Rows of gaps to be opened or closed, in order.
    pub gaps: Vec<GapStep>,
    /// The epoch that owns the match, when that was asked for or has changed.
    pub switched: Option<Epoch>,
    /// The match has ended under this epoch and all below, before anything was adopted.
    pub ended: Option<Epoch>,
    /// Whether a higher epoch made the input void; expected after a switch.
    pub refused: bool,
    pub lost: u64,
    /// Whether the ledger must be saved.
    pub changed: bool,
    /// Given: the token of the next question.
    pub next_mark: u64,
    pub marks: Vec<Source>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GapStep {
    /// From here the match is not followed.
    Open {
        slot: SlotId,
        /// Wall clock, microseconds.
        at: i64,
        reason: &'static str,
    },
    /// It is followed again, or over.
    Close {
        /// Wall clock, microseconds.
        at: i64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwnerState {
    Alive,
    /// It gives no sign of life, and has not since that time. It may go on where it stopped.
    Silent {
        since: i64,
    },
    /// Its connection to the server broke; the next base comes from a new one.
    Away,
    /// Restored from the store: its worker may open its channel again.
    Detached,
    /// It will never write again.
    Dead,
}

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

/// An end that a living worker has until `until` to report, behind what it still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Concluding {
    /// Up to which the match has ended.
    epoch: Epoch,
    at: i64,
    until: Instant,
}

/// Everything that is known of a match's happenings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    scope: Scope,
    settle: Duration,
    facts: Facts,
    /// As last known.
    teams: Option<Teams>,
    owner: Option<Writer>,
    known: Values,
    /// What a new owner reports otherwise and is not believed yet.
    waiting: Option<Waiting>,
    /// The coordinator has no such match any more; its worker is to report the end.
    concluding: Option<Concluding>,
    steps: Steps,
    /// Of sources that state happenings; from the first statement on.
    incidents: Option<Box<Incidents>>,
    order: i64,
    gap: Gap,
    ended: bool,
    candidate: Option<Box<Candidate>>,
    wanted: Option<Wanted>,
    /// Wall clock of the owner's newest report, microseconds; of a restored ledger: until when its recorder lived.
    known_at: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Steps {
    /// How often a step was taken back; what is absent was taken back `taken_floor` times.
    taken: BTreeMap<Step, u32>,
    taken_floor: u32,
    /// Live steps whose identity is not their value alone: indexes in racket sports, values of points and runs.
    marks: BTreeMap<Register, Vec<i64>>,
    phases: Vec<PhaseMark>,
    /// Tennis points reported, by set and game.
    points: BTreeMap<(u8, i64), u32>,
}

/// The times in which the match was not followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Gap {
    count: u32,
    open: bool,
    /// When the last began, wall clock in microseconds; not saved.
    since: i64,
}

impl Ledger {
    /// The ledger of a match that nothing is known of. `settle`: how long a lower value must stand.
    pub fn new(feed: &str, id: &str, settle: Duration) -> Ledger {
        Ledger {
            scope: Scope::new(feed, id),
            settle,
            facts: Facts::default(),
            teams: None,
            owner: None,
            known: Values::default(),
            waiting: None,
            concluding: None,
            steps: Steps::default(),
            incidents: None,
            order: 0,
            gap: Gap::default(),
            ended: false,
            candidate: None,
            wanted: None,
            known_at: 0,
        }
    }

    pub fn epoch(&self) -> Option<Epoch> {
        self.owner.map(|owner| owner.epoch)
    }

    /// Whether its worker is to report the end of a match that the coordinator has no more.
    pub fn is_concluding(&self) -> bool {
        self.concluding.is_some()
    }

    /// The sport's name, if known.
    pub fn sport(&self) -> Option<&str> {
        self.facts.sport.as_deref()
    }

    pub fn order(&self) -> i64 {
        self.order
    }

    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether its owner was restored and its channel is not open yet.
    pub fn is_detached(&self) -> bool {
        self.owner.is_some_and(|owner| owner.state == OwnerState::Detached)
    }

    /// Whether `source` owns it or wants to.
    pub fn concerns(&self, source: Source) -> bool {
        self.owner.is_some_and(|owner| owner.source == source)
            || self.candidate.as_ref().is_some_and(|candidate| candidate.source == source)
    }

    pub fn source(&self) -> Option<Source> {
        self.owner.map(|owner| owner.source)
    }
}
