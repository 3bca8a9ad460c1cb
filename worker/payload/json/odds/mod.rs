//! Markets and selections of a match: what of them is another than before.
//!
//! What is held of each are its handle and its last values, by key. A market or selection with another name is another one; a selection
//! that is gone has no price any more.

mod stated;

pub(super) use stated::{MarketNow, SelectionNow, read};

use crate::payload::MatchSlot;
use crate::payload::observe::Names;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::cmp::Ordering;
use touchline_common::model::{Handle, MarketValue, OddsChange, Price, SelectionValue};

/// What was reported and published of a match's markets.
#[derive(Debug, Default)]
pub(super) struct Markets {
    held: HashMap<String, Market, RandomState>,
    /// Counts the updates, so that one knows what it did not see.
    update: u64,
    /// Published ones that are gone; the renderer was not told yet.
    pub(super) gone: Vec<Handle>,
}

#[derive(Debug)]
pub(super) struct Market {
    name: String,
    pub(super) handle: Handle,
    suspended: bool,
    selections: HashMap<String, Selection, RandomState>,
    /// The last update that saw it.
    seen: u64,
    /// The hash of what was published last.
    pub(super) published: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Selection {
    name: String,
    handle: Handle,
    price: Option<Price>,
    text: String,
    won: Option<bool>,
    /// The first price that was seen.
    pub(super) open: Option<Price>,
    /// The sign of the last change from price to price.
    pub(super) step: i8,
    /// The last update that saw it.
    seen: u64,
}

/// What becomes of the first prices and the last moves that are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    Begins,
    GoesOn,
}

impl Markets {
    pub(super) fn get(&self, key: &str) -> Option<&Market> {
        self.held.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Market> {
        self.held.get_mut(key)
    }

    /// Takes the markets as they are now and appends what changed.
    pub(super) fn update<'a>(
        &mut self,
        now: &[MarketNow<'a>],
        memory: Memory,
        slot: MatchSlot,
        names: &mut dyn Names,
        changes: &mut Vec<OddsChange<'a>>,
    ) {
        self.update += 1;
        let Markets { held: all, update, gone } = self;
        for market in now {
            let held = all.entry_ref(&*market.key).or_insert_with(|| Market::new(market));
            if held.name != market.name {
                held.close(gone, changes);
                *held = Market::new(market);
            }
            held.seen = *update;
            held.follow(market, memory, slot, names, changes);
        }
        if all.len() == now.len() {
            return;
        }
        let closed = all.extract_if(|_, market| market.seen != *update);
        let mut closed: Vec<Market> = closed.map(|(_, market)| market).collect();
        closed.sort_unstable_by_key(|market| market.handle);
        closed.iter().for_each(|held| held.close(gone, changes));
    }

    /// Everything that has a handle, in order.
    pub(super) fn values<'a>(&self, now: &[MarketNow<'a>]) -> (Vec<MarketValue>, Vec<SelectionValue<'a>>) {
        let (mut markets, mut selections) = (Vec::new(), Vec::new());
        for market in now {
            let Some(held) = self.held.get(&*market.key).filter(|held| held.handle != Handle(0)) else {
                continue;
            };
            markets.push(MarketValue { market: held.handle, suspended: market.suspended });
            for selection in &market.selections {
                let handle = held.selections.get(&*selection.key).map_or(Handle(0), |held| held.handle);
                selections.extend((handle != Handle(0)).then(|| selection.value(handle)));
            }
        }
        (markets, selections)
    }

    /// All need other handles; what was published under these is gone with them.
    pub(super) fn forget_handles(&mut self) {
        self.gone.clear();
        for market in self.held.values_mut() {
            (market.handle, market.published) = (Handle(0), None);
            market.selections.values_mut().for_each(|selection| selection.handle = Handle(0));
        }
    }

    /// As if nothing had been published.
    pub(super) fn forget_published(&mut self) {
        self.gone.clear();
        self.held.values_mut().for_each(|market| market.published = None);
    }
}

impl Market {
    fn new(now: &MarketNow<'_>) -> Market {
        Market {
            name: now.name.to_owned(),
            handle: Handle(0),
            suspended: now.suspended,
            selections: HashMap::default(),
            seen: 0,
            published: None,
        }
    }

    fn close(&self, gone: &mut Vec<Handle>, changes: &mut Vec<OddsChange<'_>>) {
        if self.handle == Handle(0) {
            return;
        }
        changes.push(OddsChange::MarketClose { market: self.handle });
        if self.published.is_some() {
            gone.push(self.handle);
        }
    }

    pub(super) fn selection(&self, key: &str) -> Option<&Selection> {
        self.selections.get(key)
    }

    fn follow<'a>(
        &mut self,
        now: &MarketNow<'a>,
        memory: Memory,
        slot: MatchSlot,
        names: &mut dyn Names,
        changes: &mut Vec<OddsChange<'a>>,
    ) {
        let suspended = now.suspended;
        if self.handle == Handle(0) {
            self.handle = names.name_market(slot, now.key.as_bytes(), now.name.as_bytes());
            let market = self.handle;
            changes.extend(
                named(market).map(|market| OddsChange::MarketOpen(MarketValue { market, suspended })),
            );
        } else if self.suspended != suspended {
            changes.push(OddsChange::MarketSuspended { market: self.handle, suspended });
        }
        self.suspended = suspended;
        let Market { selections, seen, handle, .. } = self;
        for selection in &now.selections {
            let held = selections.entry_ref(&*selection.key).or_insert_with(|| Selection::new(selection));
            if held.name != selection.name {
                *held = Selection::new(selection);
            }
            held.seen = *seen;
            if held.handle == Handle(0) {
                held.name(selection, *handle, slot, names, changes);
            } else {
                held.report(selection, changes);
            }
            held.follow(selection, memory);
        }
        if selections.len() == now.selections.len() {
            return;
        }
        let gone = selections.extract_if(|_, held| held.seen != *seen).map(|(_, held)| held);
        let priced = gone.filter(|held| !held.text.is_empty());
        let mut gone: Vec<Handle> = priced.filter_map(|held| named(held.handle)).collect();
        gone.sort_unstable();
        let unpriced = |selection| OddsChange::Price { selection, price: None, text: "".into() };
        changes.extend(gone.into_iter().map(unpriced));
    }
}

impl Selection {
    fn new(now: &SelectionNow<'_>) -> Selection {
        Selection {
            name: now.name.to_owned(),
            handle: Handle(0),
            price: now.price,
            text: now.text.to_owned(),
            won: now.won,
            open: now.price,
            step: 0,
            seen: 0,
        }
    }

    fn name<'a>(
        &mut self,
        now: &SelectionNow<'a>,
        market: Handle,
        slot: MatchSlot,
        names: &mut dyn Names,
        changes: &mut Vec<OddsChange<'a>>,
    ) {
        let Some(market) = named(market) else { return };
        self.handle = names.name_selection(slot, market, now.key.as_bytes(), now.name.as_bytes());
        changes.extend(named(self.handle).map(|handle| OddsChange::Selection(now.value(handle))));
    }

    fn report<'a>(&self, now: &SelectionNow<'a>, changes: &mut Vec<OddsChange<'a>>) {
        let (selection, price, won) = (self.handle, now.price, now.won);
        if self.text != now.text || self.price != price {
            changes.push(OddsChange::Price { selection, price, text: now.text.into() });
        }
        if self.won != won {
            changes.push(OddsChange::SelectionWon { selection, won });
        }
    }

    fn follow(&mut self, now: &SelectionNow<'_>, memory: Memory) {
        if let (Some(before), Some(price)) = (self.price, now.price) {
            self.step = match price.cmp(&before) {
                Ordering::Less => -1,
                Ordering::Equal => self.step,
                Ordering::Greater => 1,
            };
        }
        self.open = self.open.or(now.price);
        if memory == Memory::Begins {
            (self.open, self.step) = (now.price, 0);
        }
        (self.price, self.won) = (now.price, now.won);
        if self.text != now.text {
            self.text = now.text.to_owned();
        }
    }
}

/// A handle that stands for something.
fn named(handle: Handle) -> Option<Handle> {
    (handle != Handle(0)).then_some(handle)
}
