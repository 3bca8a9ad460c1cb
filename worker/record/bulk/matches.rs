//! The matches that the thread knows, by small integers: their keys, the keys of their markets and selections, their ledgers.
//!
//! A selection has one number for (match, market key, selection key), whichever worker names it, so that two workers' handles meet
//! the same last known value. A match stays until it is over, no channel follows it, and [`GRACE`] is past: what the match stream
//! says may come before what the bulk stream still brings. What comes under its id after its end begins anew: it may be another match,
//! whose markets have the same keys, other names and other values.

use super::ledger::{EMPTY, Ledger, Place, TextId};
use crate::record::hours::SelectionRow;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use slab::Slab;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};
use touchline_common::model::{Epoch, MatchKey};

/// How long a match that is over and not followed stays.
pub(super) const GRACE: Duration = Duration::from_secs(60);
/// Texts after which those that no ledger holds go.
const MANY_TEXTS: usize = 200_000;

/// A key for programs, a name for people, and the number in the current hour file; 0: it does not stand there.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) key: Box<str>,
    pub(super) name: Box<str>,
    /// Of a selection: its market.
    market: Option<Place>,
    pub(super) in_file: i64,
}

#[derive(Debug)]
pub(super) struct Match {
    pub(super) key: MatchKey,
    pub(super) ledger: Ledger,
    parts: Vec<Part>,
    by_key: HashMap<(Option<Place>, Box<str>), Place, FixedState>,
    pub(super) channels: usize,
    /// Since when it is over.
    pub(super) over: Option<Instant>,
}

impl Match {
    /// The place of the selection with this key in `market`, or of the market with this key.
    pub(super) fn place(&mut self, market: Option<Place>, key: &str, name: &str) -> Place {
        let full = (market, Box::from(key));
        if let Some(known) = self.by_key.get(&full) {
            return *known;
        }
        let place = self.ledger.add(market);
        self.by_key.insert(full, place);
        self.parts.push(Part { key: key.into(), name: name.into(), market, in_file: 0 });
        place
    }

    /// The market or selection at `place`, as an hour file names it.
    pub(super) fn named<'n>(&'n self, place: Place, feed: &'n str) -> Option<SelectionRow<'n>> {
        let part = |place: Place| self.parts.get(place.0 as usize);
        let names = |part: &'n Part| (&*part.key, &*part.name);
        let own = part(place)?;
        let (market, selection) = match own.market {
            None => (own, None),
            Some(market) => (part(market)?, Some(names(own))),
        };
        Some(SelectionRow { feed, id: self.key.id.as_str(), market: names(market), selection })
    }

    /// Whether it has ended and nothing follows it. What no epoch owned yet may wait for that.
    fn is_left(&self) -> bool {
        self.channels == 0 && self.over.is_some() && self.ledger.owner().is_some()
    }

    /// The market or selection at `place`.
    pub(super) fn part(&mut self, place: Place) -> Option<&mut Part> {
        self.parts.get_mut(place.0 as usize)
    }
}

impl Part {
    pub(super) fn is_market(&self) -> bool {
        self.market.is_none()
    }
}

#[derive(Debug, Default)]
pub(super) struct Matches {
    pub(super) slab: Slab<Match>,
    by_key: HashMap<MatchKey, usize, FixedState>,
}

impl Matches {
    pub(super) fn find(&self, key: &MatchKey) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// The place of a match that a worker follows under `epoch`: a new one where the match that is known has ended under a lower one.
    pub(super) fn followed(&mut self, key: &MatchKey, epoch: Epoch, settle: Duration) -> usize {
        let known = self.find(key).and_then(|place| self.slab.get_mut(place));
        let is_another = |one: &&mut Match| one.is_left() && one.ledger.owner() < Some(epoch);
        if let Some(left) = known.filter(is_another) {
            // Rows that wait name it by its place, so it goes as any other.
            left.ledger.believe_no_more();
            self.by_key.remove(key);
        }
        self.place(key, settle)
    }

    /// The place of a match, which is made where there is none.
    pub(super) fn place(&mut self, key: &MatchKey, settle: Duration) -> usize {
        if let Some(place) = self.find(key) {
            return place;
        }
        let place = self.slab.insert(Match {
            key: key.clone(),
            ledger: Ledger::new(settle),
            parts: Vec::new(),
            by_key: HashMap::default(),
            channels: 0,
            over: None,
        });
        self.by_key.insert(key.clone(), place);
        place
    }

    /// Removes what is over. Only when no row waits that names it.
    pub(super) fn sweep(&mut self, now: Instant) {
        let by_key = &mut self.by_key;
        self.slab.retain(|place, one| {
            let gone = one.channels == 0
                && one.over.is_some_and(|since| now.saturating_duration_since(since) >= GRACE);
            // Another may stand under its key by now.
            if gone && by_key.get(&one.key) == Some(&place) {
                by_key.remove(&one.key);
            }
            !gone
        });
    }

    /// Nothing stands in the current hour file.
    pub(super) fn new_file(&mut self) {
        for (_, one) in &mut self.slab {
            one.parts.iter_mut().for_each(|part| part.in_file = 0);
        }
    }
}

#[derive(Debug)]
struct Text {
    text: Box<str>,
    in_file: i64,
}

/// Texts of odds, each once.
#[derive(Debug)]
pub(super) struct Texts {
    slab: Slab<Text>,
    table: HashTable<u32>,
    hasher: FixedState,
}

impl Default for Texts {
    fn default() -> Self {
        let mut texts = Texts { slab: Slab::new(), table: HashTable::new(), hasher: FixedState::default() };
        let empty = texts.id("");
        debug_assert_eq!(empty, EMPTY);
        texts
    }
}

impl Texts {
    /// The number of `text`.
    pub(super) fn id(&mut self, text: &str) -> TextId {
        let hash = self.hasher.hash_one(text);
        let slab = &self.slab;
        let same = |id: &u32| slab.get(*id as usize).is_some_and(|known| *known.text == *text);
        if let Some(id) = self.table.find(hash, same) {
            return TextId(*id);
        }
        let id = u32::try_from(self.slab.insert(Text { text: text.into(), in_file: 0 })).unwrap_or(u32::MAX);
        let (slab, hasher) = (&self.slab, &self.hasher);
        let rehash = |id: &u32| slab.get(*id as usize).map_or(0, |known| hasher.hash_one(&*known.text));
        self.table.insert_unique(hash, id, rehash);
        TextId(id)
    }

    /// The text, and its number in the current hour file (0: it does not stand there).
    pub(super) fn get(&mut self, id: TextId) -> Option<(&str, &mut i64)> {
        self.slab.get_mut(id.0 as usize).map(|text| (&*text.text, &mut text.in_file))
    }

    /// Nothing stands in the current hour file.
    pub(super) fn new_file(&mut self) {
        self.slab.iter_mut().for_each(|(_, text)| text.in_file = 0);
    }

    /// Where there are many, those go that no ledger holds. Only when no row waits that names one.
    pub(super) fn sweep(&mut self, matches: &Matches) {
        if self.slab.len() < MANY_TEXTS {
            return;
        }
        let mut used = vec![false; self.slab.capacity()];
        let held = matches.slab.iter().flat_map(|(_, one)| one.ledger.texts());
        for id in held.chain([EMPTY]) {
            if let Some(used) = used.get_mut(id.0 as usize) {
                *used = true;
            }
        }
        let is_used = |id: usize| used.get(id).copied().unwrap_or(false);
        self.table.retain(|id| is_used(*id as usize));
        self.slab.retain(|id, _| is_used(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_texts_go_but_those_in_use() {
        let mut texts = Texts::default();
        let one = texts.id("5/4");
        for n in 0..MANY_TEXTS {
            texts.id(&format!("{n}/7"));
        }
        assert_eq!(texts.id("5/4"), one);
        texts.sweep(&Matches::default());
        assert_eq!(texts.slab.len(), 1);
        assert_eq!(texts.id(""), EMPTY);
        assert_eq!(texts.slab.len(), 1);
    }
}
