//! What the loop asks of the match stream's thread alone.

use super::Snapshot;
use crate::record::ledger::Source;
use crate::record::queue::Cost;
use crate::record::thread::OwnJob;
use touchline_common::ipc::messages::recorder::Owner;
use touchline_common::model::{Epoch, MatchKey};

#[derive(Debug)]
pub enum MatchJob {
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
    Snapshot(Box<Snapshot>),
}

impl Cost for MatchJob {
    fn cost(&self) -> usize {
        match self {
            MatchJob::Snapshot(snapshot) => {
                let texts = snapshot.sections.iter();
                texts.map(|(_, text)| text.as_ref().map_or(0, |text| text.len())).sum()
            }
            MatchJob::Silent { .. } | MatchJob::Back { .. } | MatchJob::Switch { .. } => 0,
        }
    }

    /// A document is saved with what is committed next, or when the thread next looks at the clock.
    fn is_urgent(&self) -> bool {
        !matches!(self, MatchJob::Snapshot(_))
    }
}

impl OwnJob for MatchJob {
    const FRAMES_ARE_URGENT: bool = true;
}
