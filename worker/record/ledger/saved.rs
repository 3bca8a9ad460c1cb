//! A ledger as the store keeps it: JSON, one explicit type per version, with a golden text.
//!
//! What does not outlive its process is left out: candidate, wishes, values that wait to be believed.

use super::event::EventType;
use super::steps::Step;
use super::{Ledger, PhaseMark, Source};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use touchline_common::ipc::messages::recorder::Owner;
use touchline_common::model::{Epoch, Facts, Generation, Register, SlotId};

/// The first form.
#[derive(Serialize, Deserialize)]
struct LedgerV1 {
    facts: Facts,
    owner: Option<(u64, u16, u32)>,
    registers: Vec<(Register, i64)>,
    taken: Vec<(Step, u32)>,
    taken_floor: u32,
    marks: Vec<(Register, Vec<i64>)>,
    phases: Vec<(i64, EventType, i64)>,
    points: Vec<(u8, i64, u32)>,
    gaps: u32,
    gap_open: bool,
    ended: bool,
    /// Absent in most, and in what an older program wrote.
    #[serde(default, skip_serializing_if = "is_zero")]
    repeats: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde calls it.
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The version of what [`Ledger::save`] writes.
pub const LEDGER_VERSION: i64 = 1;

impl Ledger {
    /// The ledger as text; `order` is kept beside it.
    ///
    /// # Errors
    /// None in practice: the type has no map keys or floats that JSON lacks.
    pub fn save(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&LedgerV1 {
            facts: self.facts.clone(),
            owner: self.owner.map(|o| (o.epoch.0, o.source.slot.0, o.source.generation.0)),
            registers: self.registers.iter().map(|(register, value)| (*register, *value)).collect(),
            taken: self.taken.iter().map(|(step, k)| (*step, *k)).collect(),
            taken_floor: self.taken_floor,
            marks: self.marks.iter().map(|(register, marks)| (*register, marks.clone())).collect(),
            phases: self.phases.iter().map(|mark| (mark.to, mark.kind, mark.index)).collect(),
            points: self.points.iter().map(|((set, game), told)| (*set, *game, *told)).collect(),
            gaps: self.gaps,
            gap_open: self.gap_open,
            ended: self.ended,
            repeats: self.repeats,
        })
    }

    /// The ledger that [`Ledger::save`] wrote, of match `id` in `feed`; `worker`: whether its owner may still live.
    ///
    /// # Errors
    /// When the text is no ledger of this version.
    pub fn restore(
        (feed, id): (&str, &str),
        settle: Duration,
        order: i64,
        text: &str,
        worker: Owner,
    ) -> Result<Ledger, serde_json::Error> {
        let saved: LedgerV1 = serde_json::from_str(text)?;
        let mut ledger = Ledger::new(feed, id, settle);
        ledger.facts = saved.facts;
        if let Some((epoch, slot, generation)) = saved.owner {
            let source = Source { slot: SlotId(slot), generation: Generation(generation) };
            ledger.restore_owner(Epoch(epoch), source, worker);
        }
        ledger.registers = saved.registers.into_iter().collect();
        ledger.taken = saved.taken.into_iter().collect();
        ledger.taken_floor = saved.taken_floor;
        ledger.marks = saved.marks.into_iter().collect();
        let phase = |(to, kind, index)| PhaseMark { to, kind, index };
        ledger.phases = saved.phases.into_iter().map(phase).collect();
        ledger.points = saved.points.into_iter().map(|(set, game, told)| ((set, game), told)).collect();
        ledger.order = order;
        ledger.gaps = saved.gaps;
        ledger.gap_open = saved.gap_open;
        ledger.ended = saved.ended;
        ledger.repeats = saved.repeats;
        Ok(ledger)
    }
}
