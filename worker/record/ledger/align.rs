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

/// The owner's observations that are remembered while nobody else follows the match: 4 KiB. So far may a candidate be behind
/// when its load comes.
pub(super) const REMEMBERED: usize = 512;
/// The same while a candidate is there, and the candidate's: 128 KiB each. At a thousand changes a second the two may read 16 seconds apart.
pub(super) const OVERLAP: usize = 16_384;
/// So many must agree before a place is believed while more is to be expected.
pub(super) const AGREEING: usize = 3;

/// Hashes of observations in the order in which they were told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trail(VecDeque<u64>);

/// Where the owner stands in what the candidate told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has told so many of the candidate's observations: those after them are news.
    After(usize),
    /// It has told all of them and so many more, which the candidate will tell next.
    Beyond(usize),
    /// That cannot be said.
    Unknown,
}

/// A way in which the two fit together: everything that both tell is the same.
#[derive(Clone, Copy, Debug)]
struct Fit {
    place: Place,
    /// So many observations do both tell.
    length: usize,
}

impl Trail {
    /// The last few of what was told.
    pub(super) fn of<'a>(told: impl DoubleEndedIterator<Item = &'a u64>) -> Trail {
        let mut last: VecDeque<u64> = told.rev().take(REMEMBERED).copied().collect();
        last.make_contiguous().reverse();
        Trail(last)
    }

    /// One more was told.
    pub(super) fn push(&mut self, observation: u64, candidate: Known) {
        let most = match candidate {
            Known::None => REMEMBERED,
            Known::Some => OVERLAP,
        };
        if self.0.len() > most {
            self.0.drain(..self.0.len() - most);
            self.0.shrink_to(most);
        }
        if self.0.len() == most {
            self.0.pop_front();
        }
        self.0.push_back(observation);
    }

    /// What was told before has nothing to do with what comes.
    pub(super) fn clear(&mut self) {
        self.0 = VecDeque::new();
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many of the last `count` come after `observation`, which is one of them. Where fewer are remembered, it is taken for
    /// the first.
    pub(super) fn after(&self, observation: u64, count: usize) -> Option<usize> {
        let Some(before) = self.0.len().checked_sub(count) else { return count.checked_sub(1) };
        let place = self.0.iter().skip(before).position(|told| *told == observation)?;
        count.checked_sub(place + 1)
    }

    /// Where this one, the owner, stands in what the candidate told, while both go on: only a long fit without a rival
    /// is an answer. Linear in what both told, whatever that is.
    pub(super) fn place(&self, candidate: &VecDeque<u64>) -> Place {
        let fits: Vec<Fit> = self.fits(candidate).into_iter().filter(|fit| fit.length > 1).collect();
        match fits[..] {
            [Fit { place, length }] if length >= AGREEING => place,
            _ => Place::Unknown,
        }
    }

    /// The same when the owner has told nothing for a while: what is on its way has arrived, so that they are most
    /// likely at the same place. Else it stands still, and all that it never told is news.
    pub(super) fn resting(&self, candidate: &VecDeque<u64>) -> usize {
        let told = |fit: &Fit| match fit.place {
            Place::After(told) => Some(told),
            Place::Beyond(_) | Place::Unknown => None,
        };
        self.fits(candidate).iter().filter_map(told).max().unwrap_or(0)
    }

    /// Every way in which the two fit together.
    fn fits(&self, candidate: &VecDeque<u64>) -> Vec<Fit> {
        let owner: Vec<u64> = self.0.iter().copied().collect();
        let candidate: Vec<u64> = candidate.iter().copied().collect();
        let (ours, theirs) = (owner.len(), candidate.len());
        let mut fits = Vec::new();
        for (begin, length) in beginnings(&candidate, &owner).into_iter().enumerate() {
            // The candidate's first is the owner's number `begin`, counted from nought.
            if begin + length == ours && length > 0 {
                fits.push(Fit { place: Place::After(length), length });
            } else if length == theirs && length > 0 {
                fits.push(Fit { place: Place::Beyond(ours - begin - theirs), length });
            }
        }
        // Both first at one place were looked at above.
        for (begin, length) in beginnings(&owner, &candidate).into_iter().enumerate().skip(1) {
            if length == ours && length > 0 {
                fits.push(Fit { place: Place::After(begin + ours), length });
            } else if begin + length == theirs && length > 0 {
                fits.push(Fit { place: Place::Beyond(ours - length), length });
            }
        }
        fits
    }
}

/// How much of `pattern`'s beginning stands at each place of `text`: the Z algorithm over the two in a row.
fn beginnings(pattern: &[u64], text: &[u64]) -> Vec<usize> {
    let all: Vec<u64> = pattern.iter().chain(text).copied().collect();
    let mut same = vec![0; all.len()];
    // The stretch `left..right` is the one farthest to the right that is known to be the beginning again.
    let (mut left, mut right) = (0, 0_usize);
    for at in 1..all.len() {
        let known = same.get(at - left).copied().unwrap_or(0).min(right.saturating_sub(at));
        let (a, b) = (all.get(known..).unwrap_or_default(), all.get(at + known..).unwrap_or_default());
        let more = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let length = known + more;
        if let Some(place) = same.get_mut(at) {
            *place = length;
        }
        if at + length > right {
            (left, right) = (at, at + length);
        }
    }
    same.into_iter().skip(pattern.len()).map(|length| length.min(pattern.len())).collect()
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
        assert_eq!(place(&[1, 2, 3, 4, 5, 6, 7], &[3, 4, 5]), Place::Beyond(2));
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

    /// What the fits are by the definition: for each place of the owner's last, whether all that both tell agrees.
    fn plain_fits(owner: &[u64], candidate: &[u64]) -> Vec<(usize, usize)> {
        let (ours, theirs) = (owner.len(), candidate.len());
        let fit = |ends: usize| {
            let (ahead, common) = (ends.saturating_sub(theirs), ends.min(theirs));
            let length = ours.checked_sub(ahead)?.min(common);
            let told = &owner[ours - ahead - length..ours - ahead];
            (length > 0 && told == &candidate[common - length..common]).then_some((ends, length))
        };
        (1..ours + theirs).filter_map(fit).collect()
    }

    #[test]
    fn what_repeats_itself_is_looked_at_in_linear_time() {
        let all_the_same = vec![7; OVERLAP];
        let began = std::time::Instant::now();
        assert_eq!(place(&all_the_same, &all_the_same), Place::Unknown);
        // A comparison at each place would be some 10^8 steps.
        assert!(began.elapsed() < std::time::Duration::from_millis(250), "{:?}", began.elapsed());
    }

    proptest! {
        /// Few different values, so that much fits more than once.
        #[test]
        fn every_fit_is_found(
            owner in prop::collection::vec(0u64..3, 0..40),
            candidate in prop::collection::vec(0u64..3, 0..40),
        ) {
            let ends = |fit: &Fit| match fit.place {
                Place::After(told) => told,
                Place::Beyond(more) => candidate.len() + more,
                Place::Unknown => unreachable!("a fit is a place"),
            };
            let found = trail(&owner).fits(&candidate.iter().copied().collect());
            let mut found: Vec<_> = found.iter().map(|fit| (ends(fit), fit.length)).collect();
            found.sort_unstable();
            prop_assert_eq!(found, plain_fits(&owner, &candidate));
        }

        /// Whatever is answered about two windows of one sequence is true, if it does not repeat itself.
        #[test]
        fn what_is_answered_is_true(from in 0u64..60, upto in 0u64..60, base in 0u64..60, told in 0u64..60) {
            let owner: Vec<u64> = (from.min(upto)..upto).collect();
            let candidate: Vec<u64> = (base..base + told).collect();
            match place(&owner, &candidate) {
                Place::After(ends) => prop_assert_eq!(base + ends as u64, upto),
                Place::Beyond(more) => prop_assert_eq!(base + told + more as u64, upto),
                Place::Unknown => {
                    let common = upto.min(base + told).saturating_sub(from.max(base));
                    prop_assert!(common < AGREEING as u64);
                }
            }
        }
    }
}
