//! Markets and selections as the answers state them. Pure; of two with one key the first counts.

use crate::payload::json::find::{self, words};
use crate::payload::json::node::Node;
use crate::payload::json::values;
use crate::payload::json::view::View;
use foldhash::fast::RandomState;
use std::borrow::Cow;
use std::collections::HashSet;
use touchline_common::config::MarketReading;
use touchline_common::model::{Handle, Price, SelectionValue};

/// A market as it is stated.
pub(in crate::payload::json) struct MarketNow<'a> {
    pub(in crate::payload::json) key: Cow<'a, str>,
    pub(in crate::payload::json) name: &'a str,
    pub(in crate::payload::json) suspended: bool,
    pub(in crate::payload::json) reading: &'a MarketReading,
    pub(in crate::payload::json) node: &'a Node,
    pub(in crate::payload::json) selections: Vec<SelectionNow<'a>>,
}

pub(in crate::payload::json) struct SelectionNow<'a> {
    pub(in crate::payload::json) key: Cow<'a, str>,
    pub(in crate::payload::json) name: &'a str,
    pub(in crate::payload::json) price: Option<Price>,
    /// The price as it is written; empty without one.
    pub(in crate::payload::json) text: &'a str,
    pub(in crate::payload::json) won: Option<bool>,
    pub(in crate::payload::json) node: &'a Node,
}

impl<'a> SelectionNow<'a> {
    /// It under a handle.
    pub(super) fn value(&self, selection: Handle) -> SelectionValue<'a> {
        let SelectionNow { price, text, won, .. } = *self;
        SelectionValue { selection, price, text: text.into(), suspended: false, won }
    }
}

/// The markets that a match shows, in order.
pub(in crate::payload::json) fn read<'a>(view: &View<'a>) -> Vec<MarketNow<'a>> {
    let mut seen = HashSet::with_hasher(RandomState::default());
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
    let elements = find::elements(market, &reading.selections);
    let mut seen = HashSet::with_capacity_and_hasher(elements.len(), RandomState::default());
    let selections = elements.into_iter().filter_map(|(key, node)| {
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
