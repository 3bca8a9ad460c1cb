//! A ledger as the store keeps it: JSON, one explicit type per version, each with a golden text; what there is many of in parts of its
//! own, of which those are written that changed.
//!
//! What does not outlive its process is left out: candidate and wishes. Statistics and the comment are left out, too: their next load
//! says where they begin, and a row is written for registers alone.

use super::event::EventType;
use super::incidents::IncidentsV2;
use super::steps::Step;
use super::values::Waiting;
use super::{Gap, Ledger, OwnerState, PhaseMark, Source, Steps, Teams, Writer};
use serde::{Deserialize, Serialize};
use touchline_common::ipc::messages::data::Extent;
use touchline_common::ipc::messages::recorder::Owner;
use touchline_common::model::{Epoch, Facts, Generation, Register, SlotId};

/// The version of what [`Ledger::save`] writes.
pub const LEDGER_VERSION: i64 = 4;
/// The oldest that [`Ledger::restored`] reads.
pub const OLDEST_LEDGER_VERSION: i64 = 2;

/// The name of a part, and its text; `None`: it is no more.
pub type Part = (String, Option<String>);

/// What a commit writes of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    pub text: String,
    /// Whether the store's other parts go, or stay.
    pub extent: Extent,
    /// Those that have changed since the last [`Ledger::committed`].
    pub parts: Vec<Part>,
}

/// The fourth form. The third had all incidents in it; the second knew none; the first, of stores of schema 1, had its `order` in a
/// column beside it.
#[derive(Serialize, Deserialize)]
struct LedgerV4 {
    facts: Facts,
    owner: Option<(u64, u16, u32)>,
    registers: Vec<(Register, i64)>,
    taken: Vec<(Step, u32)>,
    taken_floor: u32,
    marks: Vec<(Register, Vec<i64>)>,
    phases: Vec<(i64, EventType, i64)>,
    points: Vec<(u8, i64, u32)>,
    /// As of this writing; events that changed nothing else may have come since.
    #[serde(default)]
    order: i64,
    gaps: u32,
    gap_open: bool,
    ended: bool,
    /// How many matches had this id before.
    #[serde(default, skip_serializing_if = "is_first")]
    instance: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    teams: Option<Teams>,
    /// Registers that wait to be believed, and the number of the load that showed them: it is committed and does not come again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waiting: Option<(u64, Vec<(Register, i64)>)>,
    /// Once a source has stated some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    incidents: Option<IncidentsV2>,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_first(instance: &u32) -> bool {
    *instance == 0
}

impl Ledger {
    /// The ledger for a commit.
    ///
    /// # Errors
    /// None in practice: the types have no map keys or floats that JSON lacks.
    pub fn save(&self) -> Result<Saved, serde_json::Error> {
        let steps = &self.steps;
        let none = || Ok((Extent::Changes, Vec::new()));
        let (extent, parts) = self.incidents.as_ref().map_or_else(none, |incidents| incidents.parts())?;
        let text = serde_json::to_string(&LedgerV4 {
            facts: self.facts.clone(),
            owner: self.owner.map(|o| (o.epoch.0, o.source.slot.0, o.source.generation.0)),
            registers: self.known.registers.iter().map(|(register, value)| (*register, *value)).collect(),
            taken: steps.taken.iter().map(|(step, k)| (*step, *k)).collect(),
            taken_floor: steps.taken_floor,
            marks: steps.marks.iter().map(|(register, marks)| (*register, marks.clone())).collect(),
            phases: steps.phases.iter().map(|mark| (mark.to, mark.kind, mark.index)).collect(),
            points: steps.points.iter().map(|((set, game), points)| (*set, *game, *points)).collect(),
            order: self.order,
            gaps: self.gap.count,
            gap_open: self.gap.open,
            ended: self.ended,
            instance: self.scope.instance(),
            teams: self.teams.clone(),
            waiting: self.waiting.as_ref().and_then(Waiting::saved),
            incidents: self.incidents.as_ref().map(|incidents| incidents.saved()),
        })?;
        Ok(Saved { text, extent, parts })
    }

    /// What [`Ledger::save`] gave is committed, and nothing came in between.
    pub fn committed(&mut self) {
        if let Some(incidents) = &mut self.incidents {
            incidents.committed();
        }
    }

    /// The text of the first form, with the `order` beside it, as [`Ledger::save`] writes it.
    ///
    /// # Errors
    /// When the text is no ledger of the first form.
    pub fn migrate(text: &str, order: i64) -> Result<String, serde_json::Error> {
        let old: LedgerV4 = serde_json::from_str(text)?;
        serde_json::to_string(&LedgerV4 { order, ..old })
    }

    /// The ledger that [`Ledger::save`] wrote as `text` and `parts`, over one that knows nothing yet. `order`: the place of the newest
    /// event that the store has of the match; `worker`: whether its owner may still live.
    ///
    /// # Errors
    /// When the text is no ledger of a version that is known, or a part is none.
    pub fn restored(
        mut self,
        text: &str,
        parts: &[(String, String)],
        order: i64,
        worker: Owner,
    ) -> Result<Ledger, serde_json::Error> {
        let saved: LedgerV4 = serde_json::from_str(text)?;
        self.facts = saved.facts;
        let state = match worker {
            Owner::Alive => OwnerState::Detached,
            Owner::Dead => OwnerState::Dead,
        };
        self.owner = saved.owner.map(|(epoch, slot, generation)| {
            let source = Source { slot: SlotId(slot), generation: Generation(generation) };
            Writer { epoch: Epoch(epoch), source, state }
        });
        self.known.registers = saved.registers.into_iter().collect();
        let phase = |(to, kind, index)| PhaseMark { to, kind, index };
        self.steps = Steps {
            taken: saved.taken.into_iter().collect(),
            taken_floor: saved.taken_floor,
            marks: saved.marks.into_iter().collect(),
            phases: saved.phases.into_iter().map(phase).collect(),
            points: saved.points.into_iter().map(|(set, game, points)| ((set, game), points)).collect(),
        };
        self.order = saved.order.max(order);
        self.gap = Gap { count: saved.gaps, open: saved.gap_open, since: 0 };
        self.ended = saved.ended;
        self.scope = self.scope.of_instance(saved.instance);
        self.teams = saved.teams;
        self.waiting = saved.waiting.map(|(n, registers)| Waiting::restored(n, registers));
        if let Some(incidents) = saved.incidents {
            self.restore_incidents(incidents, parts)?;
        }
        Ok(self)
    }
}
