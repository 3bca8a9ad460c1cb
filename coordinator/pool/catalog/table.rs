//! The table of matches and its indices.
//!
//! Invariant: each index agrees with the [`Match`], since a match is changed through [`Edit`] only, which updates them when it is dropped.

use super::matches::{Assignment, Match, Need};
use crate::pool::catalog::needs::WaitKey;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use touchline_common::model::{FeedId, MatchKey};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::pool) enum Mark {
    /// It waits or is in quarantine, and the recorder does not know.
    Unreported,
    /// It is assigned and needs a new epoch, since the recorder started anew.
    NeedsEpoch,
    Moving,
    Delisted,
    /// Its topics were removed though it is listed.
    Removed,
    Quarantined,
}

const MARKS: [Mark; 6] =
    [Mark::Unreported, Mark::NeedsEpoch, Mark::Moving, Mark::Delisted, Mark::Removed, Mark::Quarantined];

static NONE: BTreeSet<MatchKey> = BTreeSet::new();

#[derive(Debug, Default)]
pub(in crate::pool) struct MatchTable {
    matches: BTreeMap<MatchKey, Match>,
    index: Index,
}

#[derive(Debug, Default, PartialEq)]
struct Index {
    /// Every match that waits and can be placed, in the order of placing.
    waiting: BTreeSet<(FeedId, WaitKey, MatchKey)>,
    waiting_topics: BTreeMap<FeedId, u32>,
    marked: BTreeMap<Mark, BTreeSet<MatchKey>>,
}

#[derive(Debug)]
pub(in crate::pool) struct Edit<'t> {
    index: &'t mut Index,
    key: &'t MatchKey,
    a_match: &'t mut Match,
    before: Entry,
}

#[derive(Debug, PartialEq)]
struct Entry {
    waits: Option<(WaitKey, u32)>,
    marks: [bool; MARKS.len()],
}

impl MatchTable {
    pub(in crate::pool) fn get(&self, key: &MatchKey) -> Option<&Match> {
        self.matches.get(key)
    }

    pub(in crate::pool) fn contains(&self, key: &MatchKey) -> bool {
        self.matches.contains_key(key)
    }

    pub(in crate::pool) fn iter(&self) -> impl Iterator<Item = (&MatchKey, &Match)> {
        self.matches.iter()
    }

    pub(in crate::pool) fn keys_of(&self, feed: FeedId) -> impl Iterator<Item = &MatchKey> {
        self.matches.keys().filter(move |key| key.feed == feed)
    }

    pub(in crate::pool) fn insert(&mut self, key: MatchKey, a_match: Match) {
        let before = self.matches.get(&key).map_or(Entry::NONE, Entry::of);
        self.index.update(&key, &before, &Entry::of(&a_match));
        self.matches.insert(key, a_match);
    }

    pub(in crate::pool) fn remove(&mut self, key: &MatchKey) -> Option<Match> {
        let a_match = self.matches.remove(key)?;
        self.index.update(key, &Entry::of(&a_match), &Entry::NONE);
        Some(a_match)
    }

    pub(in crate::pool) fn edit<'t>(&'t mut self, key: &'t MatchKey) -> Option<Edit<'t>> {
        let a_match = self.matches.get_mut(key)?;
        let before = Entry::of(a_match);
        Some(Edit { index: &mut self.index, key, a_match, before })
    }

    pub(in crate::pool) fn edit_all(&mut self, mut change: impl FnMut(&mut Match)) {
        for (key, a_match) in &mut self.matches {
            let before = Entry::of(a_match);
            change(a_match);
            self.index.update(key, &before, &Entry::of(a_match));
        }
    }

    pub(in crate::pool) fn marked(&self, mark: Mark) -> &BTreeSet<MatchKey> {
        self.index.marked.get(&mark).unwrap_or(&NONE)
    }

    pub(in crate::pool) fn waiting(&self) -> usize {
        self.index.waiting.len()
    }

    /// Those of one feed, in the order of placing.
    pub(in crate::pool) fn waiting_of(&self, feed: FeedId) -> impl Iterator<Item = &MatchKey> {
        let first = (feed, [i64::MIN; 2], MatchKey { feed, id: "".into() });
        self.index.waiting.range(first..).take_while(move |(of, ..)| *of == feed).map(|(.., key)| key)
    }

    pub(in crate::pool) fn waiting_topics(&self, feed: FeedId) -> u32 {
        self.index.waiting_topics.get(&feed).copied().unwrap_or(0)
    }
}

impl Entry {
    const NONE: Entry = Entry { waits: None, marks: [false; MARKS.len()] };

    fn of(a_match: &Match) -> Entry {
        let waits = match (&a_match.assignment, &a_match.need) {
            (Assignment::Waiting, Need::Topics(_)) => Some((a_match.wait.key, a_match.need.count())),
            (Assignment::Waiting, Need::Impossible(_))
            | (Assignment::Assigned { .. } | Assignment::Quarantined, _) => None,
        };
        let assigned = matches!(a_match.assignment, Assignment::Assigned { .. });
        let marks = MARKS.map(|mark| match mark {
            Mark::Unreported => !assigned && !a_match.recorder.reported,
            Mark::NeedsEpoch => assigned && a_match.recorder.needs_epoch,
            Mark::Moving => {
                matches!(a_match.assignment, Assignment::Assigned { candidate: Some(_), .. })
            }
            Mark::Delisted => a_match.delisted.is_some(),
            Mark::Removed => assigned && a_match.removed.is_some(),
            Mark::Quarantined => matches!(a_match.assignment, Assignment::Quarantined),
        });
        Entry { waits, marks }
    }
}

impl Index {
    fn update(&mut self, key: &MatchKey, before: &Entry, after: &Entry) {
        if before.waits != after.waits {
            if let Some((wait_key, topics)) = before.waits {
                self.waiting.remove(&(key.feed, wait_key, key.clone()));
                let sum = self.waiting_topics.entry(key.feed).or_default();
                *sum = sum.saturating_sub(topics);
            }
            if let Some((wait_key, topics)) = after.waits {
                self.waiting.insert((key.feed, wait_key, key.clone()));
                *self.waiting_topics.entry(key.feed).or_default() += topics;
            }
        }
        for (mark, (before, after)) in MARKS.iter().zip(before.marks.iter().zip(after.marks)) {
            match (*before, after) {
                (false, true) => {
                    self.marked.entry(*mark).or_default().insert(key.clone());
                }
                (true, false) => {
                    self.marked.entry(*mark).or_default().remove(key);
                }
                (true, true) | (false, false) => {}
            }
        }
    }
}

impl Deref for Edit<'_> {
    type Target = Match;

    fn deref(&self) -> &Match {
        self.a_match
    }
}

impl DerefMut for Edit<'_> {
    fn deref_mut(&mut self) -> &mut Match {
        self.a_match
    }
}

impl Drop for Edit<'_> {
    fn drop(&mut self) {
        self.index.update(self.key, &self.before, &Entry::of(self.a_match));
    }
}

#[cfg(test)]
mod tests {
    use super::super::matches::{Removed, Seat};
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;
    use touchline_common::model::{Listing, SlotId};

    fn key(n: u8) -> MatchKey {
        MatchKey { feed: FeedId(u16::from(n % 2)), id: n.to_string().as_str().into() }
    }

    fn change(a_match: &mut Match, to: u8) {
        let seat = || Seat::for_test(SlotId(1));
        match to {
            0 => a_match.wait([1, 2]),
            1 => a_match.assignment = Assignment::Assigned { owner: seat(), candidate: None },
            2 => a_match.assignment = Assignment::Assigned { owner: seat(), candidate: Some(seat()) },
            3 => a_match.assignment = Assignment::Quarantined,
            4 => a_match.recorder.reported = !a_match.recorder.reported,
            5 => a_match.recorder.needs_epoch = !a_match.recorder.needs_epoch,
            6 => a_match.delisted = Some(Duration::ZERO),
            7 => a_match.removed = Some(Removed::at(Duration::ZERO)),
            8 => (a_match.delisted, a_match.removed) = (None, None),
            9 => a_match.need = Need::Impossible("no".into()),
            _ => a_match.need = Need::Topics(vec!["a".into(), "b".into()]),
        }
    }

    proptest! {
        #[test]
        fn the_indices_are_what_the_matches_say(steps in prop::collection::vec((0u8..6, 0u8..14), 0..200)) {
            let mut table = MatchTable::default();
            for (n, step) in steps {
                let key = key(n);
                match step {
                    11 => { table.remove(&key); }
                    12 => table.insert(key, Match::new(Listing::default(), Need::Topics(vec!["a".into()]), None)),
                    13 => table.edit_all(|a_match| change(a_match, n)),
                    to => if let Some(mut a_match) = table.edit(&key) { change(&mut a_match, to) },
                }
                let mut anew = MatchTable::default();
                for (key, a_match) in table.iter() {
                    anew.index.update(key, &Entry::NONE, &Entry::of(a_match));
                }
                for mark in MARKS {
                    prop_assert_eq!(table.marked(mark), anew.marked(mark));
                }
                prop_assert_eq!(&table.index.waiting, &anew.index.waiting);
                for feed in [FeedId(0), FeedId(1)] {
                    prop_assert_eq!(table.waiting_topics(feed), anew.waiting_topics(feed));
                    prop_assert_eq!(table.waiting_of(feed).count() as u32 > 0, table.waiting_topics(feed) > 0);
                }
            }
        }
    }
}
