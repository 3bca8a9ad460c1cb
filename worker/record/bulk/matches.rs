//! The matches that the thread knows, by small integers: their keys, the keys of their markets and selections, their ledgers.
//!
//! A selection has one number for (match, market key, selection key), whichever worker names it, so that two workers' handles meet
//! the same last known value. A match stays until it is over, no channel follows it, and [`GRACE`] is past: what the match stream
//! says may come before what the bulk stream still brings.

use super::ledger::{EMPTY, Ledger, Place, TextId};
use crate::record::hours::SelectionRow;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use slab::Slab;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};
use touchline_common::model::MatchKey;

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
    pub(super) market: u32,
    pub(super) in_file: i64,
}

#[derive(Debug)]
pub(super) struct Match {
    pub(super) key: MatchKey,
    pub(super) ledger: Ledger,
    pub(super) markets: Vec<Part>,
    pub(super) selections: Vec<Part>,
    market_of_key: HashMap<Box<str>, u32, FixedState>,
    selection_of_key: HashMap<(u32, Box<str>), u32, FixedState>,
    pub(super) channels: usize,
    /// Since when it is over.
    pub(super) over: Option<Instant>,
}

impl Match {
    pub(super) fn market(&mut self, key: &str, name: &str) -> u32 {
        if let Some(known) = self.market_of_key.get(key) {
            return *known;
        }
        let market = self.ledger.add_market();
        self.market_of_key.insert(key.into(), market);
        self.markets.push(Part { key: key.into(), name: name.into(), market, in_file: 0 });
        market
    }

    /// The number of the selection with this key in `market`.
    pub(super) fn selection(&mut self, market: u32, key: &str, name: &str) -> u32 {
        let full = (market, Box::from(key));
        if let Some(known) = self.selection_of_key.get(&full) {
            return *known;
        }
        let selection = self.ledger.add_selection(market);
        self.selection_of_key.insert(full, selection);
        self.selections.push(Part { key: key.into(), name: name.into(), market, in_file: 0 });
        selection
    }

    /// The market or selection at `place`, as an hour file names it.
    pub(super) fn named<'n>(&'n self, place: Place, feed: &'n str) -> Option<SelectionRow<'n>> {
        let (market, selection) = match place {
            Place::Market(market) => (market, None),
            Place::Selection(number) => {
                let part = self.selections.get(number as usize)?;
                (part.market, Some((&*part.key, &*part.name)))
            }
        };
        let market = self.markets.get(market as usize).map(|part| (&*part.key, &*part.name))?;
        Some(SelectionRow { feed, id: self.key.id.as_str(), market, selection })
    }

    /// The market or selection at `place`.
    pub(super) fn part(&mut self, place: Place) -> Option<&mut Part> {
        match place {
            Place::Market(market) => self.markets.get_mut(market as usize),
            Place::Selection(selection) => self.selections.get_mut(selection as usize),
        }
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

    /// The place of a match, which is made where there is none.
    pub(super) fn place(&mut self, key: &MatchKey, settle: Duration) -> usize {
        if let Some(place) = self.find(key) {
            return place;
        }
        let place = self.slab.insert(Match {
            key: key.clone(),
            ledger: Ledger::new(settle),
            markets: Vec::new(),
            selections: Vec::new(),
            market_of_key: HashMap::default(),
            selection_of_key: HashMap::default(),
            channels: 0,
            over: None,
        });
        self.by_key.insert(key.clone(), place);
        place
    }

    /// Removes what is over. Only when no row waits that names it.
    pub(super) fn sweep(&mut self, now: Instant) {
        let by_key = &mut self.by_key;
        self.slab.retain(|_, one| {
            let gone = one.channels == 0
                && one.over.is_some_and(|since| now.saturating_duration_since(since) >= GRACE);
            if gone {
                by_key.remove(&one.key);
            }
            !gone
        });
    }

    /// Nothing stands in the current hour file.
    pub(super) fn new_file(&mut self) {
        for (_, one) in &mut self.slab {
            one.markets.iter_mut().chain(&mut one.selections).for_each(|part| part.in_file = 0);
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
