//! Markets and selections: as the answers state them, and what of them is another than before.
//!
//! What is held of each are its handle and its last values, by key. A market or selection with another name is another one. Of two with
//! one key the first counts; a selection that is gone has no price any more.

use super::find::{self, words};
use super::node::Node;
use super::values;
use super::view::View;
use crate::payload::MatchSlot;
use crate::payload::observe::Names;
use std::collections::{HashMap, HashSet};
use touchline_common::config::MarketReading;
use touchline_common::model::{Handle, MarketValue, OddsChange, Price, SelectionValue};

/// A market as it is stated.
pub(super) struct MarketNow<'a> {
    pub(super) key: String,
    pub(super) name: &'a str,
    pub(super) suspended: bool,
    pub(super) reading: &'a MarketReading,
    pub(super) node: &'a Node,
    pub(super) selections: Vec<SelectionNow<'a>>,
}

pub(super) struct SelectionNow<'a> {
    pub(super) key: String,
    pub(super) name: &'a str,
    pub(super) price: Option<Price>,
    /// The price as it is written; empty without one.
    pub(super) text: &'a str,
    pub(super) won: Option<bool>,
    pub(super) node: &'a Node,
}

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

/// The markets that a match shows, in order.
pub(super) fn read<'a>(view: &View<'a>) -> Vec<MarketNow<'a>> {
    let mut seen = HashSet::new();
    let mut markets = Vec::new();
    for answer in &view.answers {
        let Some(reading) = &answer.reading.markets else { continue };
        for (key, node) in find::elements(answer.body, &reading.list) {
            let Some(key) = find::identity(node, &reading.id, key).filter(|key| seen.insert(key.clone()))
            else {
                continue;
            };
            markets.push(MarketNow {
                key,
                name: words(node, reading.name.as_ref()).unwrap_or_default(),
                suspended: find::scalar(node, reading.suspended.as_ref()).is_some_and(values::is_true),
                reading,
                node,
                selections: selections(node, reading),
            });
        }
    }
    markets
}

fn selections<'a>(market: &'a Node, reading: &'a MarketReading) -> Vec<SelectionNow<'a>> {
    let mut seen = HashSet::new();
    let elements = find::elements(market, &reading.selections).into_iter();
    let selections = elements.filter_map(|(key, node)| {
        let key = find::identity(node, &reading.selection_id, key).filter(|key| seen.insert(key.clone()))?;
        let decimal = words(node, reading.price.as_ref());
        let shown = words(node, reading.price_text.as_ref());
        let price = decimal.and_then(values::decimal_price);
        Some(SelectionNow {
            key,
            name: words(node, reading.selection_name.as_ref()).unwrap_or_default(),
            price: price.or_else(|| Price::from_text(shown?)),
            text: shown.or(decimal).unwrap_or_default(),
            won: find::scalar(node, reading.won.as_ref()).and_then(values::won),
            node,
        })
    });
    selections.collect()
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
            let same = |held: &Market| held.name == market.name && held.handle != Handle(0);
            let held = match before.remove(&market.key) {
                Some(held) if same(&held) => held,
                other => {
                    other.into_iter().for_each(|held| self.close(held, changes));
                    open(market, slot, names, changes)
                }
            };
            let held = follow(held, market, memory, slot, names, changes);
            self.held.insert(market.key.clone(), held);
        }
        let mut closed: Vec<Market> = before.into_values().collect();
        closed.sort_unstable_by_key(|market| market.handle);
        closed.into_iter().for_each(|held| self.close(held, changes));
    }

    fn close(&mut self, market: Market, changes: &mut Vec<OddsChange<'_>>) {
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
                selections.extend((handle != Handle(0)).then(|| value(selection, handle)));
            }
        }
        (markets, selections)
    }

    /// All need other handles; what was published under these is gone with them.
    pub(super) fn forget_handles(&mut self) {
        self.gone.clear();
        for market in self.held.values_mut() {
            (market.handle, market.published) = (Handle(0), None);
        }
    }

    /// As if nothing had been published.
    pub(super) fn forget_published(&mut self) {
        self.gone.clear();
        self.held.values_mut().for_each(|market| market.published = None);
    }
}

impl Market {
    pub(super) fn selection(&self, key: &str) -> Option<&Selection> {
        self.selections.get(key)
    }
}

fn open(
    market: &MarketNow<'_>,
    slot: MatchSlot,
    names: &mut dyn Names,
    changes: &mut Vec<OddsChange<'_>>,
) -> Market {
    let handle = names.name_market(slot, market.key.as_bytes(), market.name.as_bytes());
    if handle != Handle(0) {
        changes.push(OddsChange::MarketOpen(MarketValue { market: handle, suspended: market.suspended }));
    }
    Market {
        name: market.name.to_owned(),
        handle,
        suspended: market.suspended,
        selections: HashMap::new(),
        published: None,
    }
}

/// A market as it is now, with what of it changed.
fn follow<'a>(
    mut held: Market,
    now: &MarketNow<'a>,
    memory: Memory,
    slot: MatchSlot,
    names: &mut dyn Names,
    changes: &mut Vec<OddsChange<'a>>,
) -> Market {
    if held.suspended != now.suspended {
        held.suspended = now.suspended;
        if held.handle != Handle(0) {
            changes.push(OddsChange::MarketSuspended { market: held.handle, suspended: now.suspended });
        }
    }
    let mut before = std::mem::take(&mut held.selections);
    for selection in &now.selections {
        let same = |known: &Selection| known.name == selection.name && known.handle != Handle(0);
        let mut known = match before.remove(&selection.key) {
            Some(known) if same(&known) => known,
            Some(_) | None => name_selection(selection, held.handle, slot, names, changes),
        };
        known.follow(selection, changes);
        if memory == Memory::Begins {
            (known.open, known.step) = (selection.price, 0);
        }
        held.selections.insert(selection.key.clone(), known);
    }
    let mut gone: Vec<Handle> =
        before.into_values().filter(|known| !known.text.is_empty()).map(|known| known.handle).collect();
    gone.retain(|handle| *handle != Handle(0));
    gone.sort_unstable();
    changes.extend(gone.into_iter().map(|selection| OddsChange::Price {
        selection,
        price: None,
        text: "".into(),
    }));
    held
}

fn name_selection<'a>(
    now: &SelectionNow<'a>,
    market: Handle,
    slot: MatchSlot,
    names: &mut dyn Names,
    changes: &mut Vec<OddsChange<'a>>,
) -> Selection {
    let handle = match market {
        Handle(0) => Handle(0),
        market => names.name_selection(slot, market, now.key.as_bytes(), now.name.as_bytes()),
    };
    if handle != Handle(0) {
        changes.push(OddsChange::Selection(value(now, handle)));
    }
    Selection {
        name: now.name.to_owned(),
        handle,
        price: now.price,
        text: now.text.to_owned(),
        won: now.won,
        open: now.price,
        step: 0,
    }
}

fn value<'a>(now: &SelectionNow<'a>, selection: Handle) -> SelectionValue<'a> {
    let SelectionNow { price, text, won, .. } = now;
    SelectionValue { selection, price: *price, text: (*text).into(), suspended: false, won: *won }
}

impl Selection {
    fn follow<'a>(&mut self, now: &SelectionNow<'a>, changes: &mut Vec<OddsChange<'a>>) {
        let is_known = self.handle != Handle(0);
        if self.text != now.text || self.price != now.price {
            if let (Some(before), Some(now)) = (self.price, now.price) {
                self.step = match now.cmp(&before) {
                    std::cmp::Ordering::Less => -1,
                    std::cmp::Ordering::Equal => self.step,
                    std::cmp::Ordering::Greater => 1,
                };
            }
            self.price = now.price;
            self.text = now.text.to_owned();
            self.open = self.open.or(now.price);
            let (selection, text) = (self.handle, now.text.into());
            changes.extend(is_known.then_some(OddsChange::Price { selection, price: now.price, text }));
        }
        if self.won != now.won {
            self.won = now.won;
            let (selection, won) = (self.handle, now.won);
            changes.extend(is_known.then_some(OddsChange::SelectionWon { selection, won }));
        }
    }
}
