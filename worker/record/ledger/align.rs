//! Two workers follow one match for a while: where does the one stand in what the other tells?
//!
//! Both read the same changes in the same order, each at its own pace, so what the candidate told since its load is a
//! piece of what the owner told, is telling or will tell. Counters could be merged without knowing which piece, flips
//! cannot: a change of a price is told by whoever owns the match when it comes, so that each is told once. Pure;
//! observations are compared by hashes, and the owner's last few are always remembered.

use foldhash::fast::FixedState;
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash, Hasher};
use touchline_common::model::{Flip, Observation};

/// The owner's observations that are remembered while nobody else follows the match.
const REMEMBERED: usize = 16;
/// The same while a candidate is there, and the candidate's.
pub(super) const OVERLAP: usize = 512;
/// So many must agree before a place is believed while more is to be expected.
const AGREEING: usize = 3;

/// Hashes of observations in the order in which they were told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trail(VecDeque<u64>);

/// Where the owner stands in what the candidate told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has told so many of the candidate's observations: those after them are news.
    After(usize),
    /// It has told all of them and more.
    Beyond,
    /// That cannot be said.
    Unknown,
}

impl Trail {
    /// One more was told.
    pub(super) fn push(&mut self, observation: u64, candidate: Known) {
        let most = match candidate {
            Known::None => REMEMBERED,
            Known::Some => OVERLAP,
        };
        while self.0.len() >= most {
            self.0.pop_front();
        }
        self.0.push_back(observation);
    }

    /// What was told before has nothing to do with what comes.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Where this one, the owner, stands in what the candidate told, while both go on. Every place at which the two
    /// overlap without a contradiction is looked at; only a long overlap without a rival is an answer.
    pub(super) fn place(&self, candidate: &VecDeque<u64>) -> Place {
        let mut found = Place::Unknown;
        let mut rivals = 0;
        for ends in 1..self.0.len().saturating_add(candidate.len()) {
            let Some(length) = self.agrees(candidate, ends).filter(|length| *length > 1) else { continue };
            rivals += 1;
            if length >= AGREEING {
                found = if ends > candidate.len() { Place::Beyond } else { Place::After(ends) };
            }
        }
        if rivals > 1 { Place::Unknown } else { found }
    }

    /// The same when the owner has told nothing for a while: what is on its way has arrived, so that they are most
    /// likely at the same place. Else it stands still, and all that it never told is news.
    pub(super) fn resting(&self, candidate: &VecDeque<u64>) -> usize {
        let told = candidate.len();
        (1..=told).rev().find(|ends| self.agrees(candidate, *ends).is_some()).unwrap_or(0)
    }

    /// How many agree if the owner's last is the candidate's number `ends`, counted from one. Beyond the candidate's
    /// last the owner is ahead. `None`: they contradict each other or do not overlap.
    fn agrees(&self, candidate: &VecDeque<u64>, ends: usize) -> Option<usize> {
        let (owner, told) = (self.0.len(), candidate.len());
        let (ahead, common) = (ends.saturating_sub(told), ends.min(told));
        let length = owner.checked_sub(ahead)?.min(common);
        let ours = self.0.iter().rev().skip(ahead).take(length);
        let theirs = candidate.iter().rev().skip(told - common).take(length);
        (length > 0 && ours.eq(theirs)).then_some(length)
    }
}

/// Whether a candidate is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// None.
    None,
    /// One.
    Some,
}

/// What an observation says, without when. `None`: nothing that another worker would say, too.
pub(super) fn fingerprint(observation: &Observation) -> Option<u64> {
    if observation.registers.is_empty() && observation.flips.is_empty() {
        return None;
    }
    let mut hasher = FixedState::default().build_hasher();
    for change in &observation.registers {
        change.register.hash(&mut hasher);
        change.value.hash(&mut hasher);
    }
    for flip in &observation.flips {
        hash_flip(flip, &mut hasher);
    }
    Some(hasher.finish())
}

fn hash_flip(flip: &Flip, to: &mut impl Hasher) {
    std::mem::discriminant(flip).hash(to);
    match flip {
        Flip::Odds { market, selection, odds: _, text } => (market, selection, text).hash(to),
        Flip::SelectionSuspended { market, selection, suspended } => (market, selection, suspended).hash(to),
        Flip::MarketSuspended { market, suspended } => (market, suspended).hash(to),
        Flip::MarketOpen { market, name } => (market, name).hash(to),
        Flip::MarketClose { market } => market.hash(to),
        Flip::Comment { text } => text.hash(to),
        Flip::Stat { key, side, text } => (key, side.as_str(), text).hash(to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trail(told: &[u64]) -> Trail {
        let mut trail = Trail::default();
        told.iter().for_each(|one| trail.push(*one, Known::Some));
        trail
    }

    fn place(owner: &[u64], candidate: &[u64]) -> Place {
        trail(owner).place(&candidate.iter().copied().collect())
    }

    #[test]
    fn the_owner_is_found_where_it_stands() {
        assert_eq!(place(&[1, 2, 3, 4, 5], &[3, 4, 5]), Place::After(3));
        assert_eq!(place(&[1, 2, 3, 4, 5], &[3, 4, 5, 6, 7]), Place::After(3), "6 and 7 are news");
        assert_eq!(place(&[1, 2, 3, 4, 5, 6, 7], &[3, 4, 5]), Place::Beyond);
        assert_eq!(place(&[3, 4, 5], &[1, 2, 3, 4, 5, 6]), Place::After(5));
    }

    #[test]
    fn too_little_or_twofold_agreement_is_none() {
        assert_eq!(place(&[1, 2, 3, 4], &[3, 4, 5]), Place::Unknown, "two may be chance");
        assert_eq!(place(&[1, 2, 1, 2, 1, 2], &[1, 2, 1, 2]), Place::Unknown, "which of them?");
        assert_eq!(place(&[1, 2, 3], &[4, 5, 6]), Place::Unknown);
        assert_eq!(place(&[], &[4, 5, 6]), Place::Unknown);
        assert_eq!(place(&[1, 2, 3], &[]), Place::Unknown);
    }

    #[test]
    fn an_owner_at_rest_is_where_the_candidate_is_or_stands_still() {
        let resting = |owner: &[u64], told: &[u64]| trail(owner).resting(&told.iter().copied().collect());
        assert_eq!(resting(&[9, 1], &[1]), 1);
        assert_eq!(resting(&[9, 1], &[1, 2]), 1, "2 is on its way from the owner");
        assert_eq!(resting(&[9], &[1, 2]), 0, "it stood still before the load");
        assert_eq!(resting(&[9], &[]), 0);
        assert_eq!(resting(&[1, 2, 1, 2], &[1, 2]), 2);
    }

    proptest! {
        /// Whatever is answered about two windows of one sequence is true, if it does not repeat itself.
        #[test]
        fn what_is_answered_is_true(from in 0u64..60, upto in 0u64..60, base in 0u64..60, told in 0u64..60) {
            let owner: Vec<u64> = (from.min(upto)..upto).collect();
            let candidate: Vec<u64> = (base..base + told).collect();
            match place(&owner, &candidate) {
                Place::After(ends) => prop_assert_eq!(base + ends as u64, upto),
                Place::Beyond => prop_assert!(upto > base + told),
                Place::Unknown => {
                    let common = upto.min(base + told).saturating_sub(from.max(base));
                    prop_assert!(common < AGREEING as u64);
                }
            }
        }
    }
}
