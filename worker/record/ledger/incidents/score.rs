//! The score after each goal, derived from those before it; whatever changes the order of goals changes those behind it.
//!
//! Called when a goal is told, taken back or given to the other side. Costs one step for each goal whose score changes.

use super::{Incidents, Key, Telling, What};
use std::ops::Bound;
use touchline_common::model::Side;

pub(super) type Score = (i64, i64);

impl Incidents {
    /// Derives the score of the goal at `key` from the one before it.
    pub(super) fn rescore(&mut self, key: Key, index: usize) {
        let side = self.slots.get(index).and_then(|slot| slot.incident.side);
        self.set_score(index, after(self.score_before(key), side));
    }

    pub(super) fn set_score(&mut self, index: usize, score: Score) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.score = Some(score);
        }
    }

    /// The goals behind `key` whose score is another now are told again.
    pub(super) fn score_from(&mut self, key: Key, out: &mut Vec<Telling>) {
        let at = self.goals.get(&key).and_then(|index| self.slots.get(*index)).and_then(|slot| slot.score);
        let mut score = at.unwrap_or_else(|| self.score_before(key));
        let later = self.goals.range((Bound::Excluded(key), Bound::Unbounded));
        let later: Vec<usize> = later.map(|(_, index)| *index).collect();
        for index in later {
            let Some(slot) = self.slots.get_mut(index) else { continue };
            score = after(score, slot.incident.side);
            if slot.score == Some(score) {
                return;
            }
            slot.score = Some(score);
            slot.revision = slot.revision.saturating_add(1);
            let revision = slot.revision;
            self.tell(index, What::Revised { revision }, out);
        }
    }

    pub(super) fn score_before(&self, key: Key) -> Score {
        let before = self.goals.range(..key).next_back();
        before.and_then(|(_, index)| self.slots.get(*index)).and_then(|slot| slot.score).unwrap_or_default()
    }
}

fn after((home, away): Score, side: Option<Side>) -> Score {
    match side {
        Some(Side::Home) => (home.saturating_add(1), away),
        Some(Side::Away) => (home, away.saturating_add(1)),
        None => (home, away),
    }
}
