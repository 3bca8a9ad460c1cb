//! Markets and selections of a match: what of them is another than before.
//!
//! What is held of each are its handle and its last values, by key. A market or selection with another name is another one; a selection
//! that is gone has no price any more.

mod stated;

pub(super) use stated::{MarketNow, SelectionNow, read};

use crate::payload::MatchSlot;
use crate::payload::observe::Names;
use std::cmp::Ordering;
use std::collections::HashMap;
use touchline_common::model::{Handle, MarketValue, OddsChange, Price, SelectionValue};

/// What was reported and published of a match's markets.
#[derive(Debug, Default)]
pub(super) struct Markets {
    held: HashMap<String, Market>,
    /// Published ones that are gone; the renderer was not told yet.
    pub(super) gone: Vec<Handle>,
}

#[derive(Debug)]
pub(super) struct Market {
    name: String,
    pub(super) handle: Handle,
    suspended: bool,
    selections: HashMap<String, Selection>,
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
        let mut before = std::mem::take(&mut self.held);
        for market in now {
            let mut held = match before.remove(&market.key) {
                Some(held) if held.name == market.name => held,
                other => {
                    other.into_iter().for_each(|held| self.close(&held, changes));
                    Market::new(market)
                }
            };
            held.follow(market, memory, slot, names, changes);
            self.held.insert(market.key.clone(), held);
        }
        let mut closed: Vec<Market> = before.into_values().collect();
        closed.sort_unstable_by_key(|market| market.handle);
        closed.iter().for_each(|held| self.close(held, changes));
    }

    fn close(&mut self, market: &Market, changes: &mut Vec<OddsChange<'_>>) {
        if market.handle == Handle(0) {
            return;
        }
        changes.push(OddsChange::MarketClose { market: market.handle });
        if market.published.is_some() {
            self.gone.push(market.handle);
        }
    }

    /// Everything that has a handle, in order.
    pub(super) fn values<'a>(&self, now: &[MarketNow<'a>]) -> (Vec<MarketValue>, Vec<SelectionValue<'a>>) {
        let (mut markets, mut selections) = (Vec::new(), Vec::new());
        for market in now {
            let Some(held) = self.held.get(&market.key).filter(|held| held.handle != Handle(0)) else {
                continue;
            };
            markets.push(MarketValue { market: held.handle, suspended: market.suspended });
            for selection in &market.selections {
                let handle = held.selections.get(&selection.key).map_or(Handle(0), |held| held.handle);
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
            selections: HashMap::new(),
            published: None,
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
        let mut before = std::mem::take(&mut self.selections);
        for selection in &now.selections {
            let held = before.remove(&selection.key).filter(|held| held.name == selection.name);
            let mut held = held.unwrap_or_else(|| Selection::new(selection));
            if held.handle == Handle(0) {
                held.name(selection, self.handle, slot, names, changes);
            } else {
                held.report(selection, changes);
            }
            held.follow(selection, memory);
            self.selections.insert(selection.key.clone(), held);
        }
        let priced = before.into_values().filter(|held| !held.text.is_empty());
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
