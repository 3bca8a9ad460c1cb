//! Sections from dirty blocks: rendered, compared by hash with what was published, handed out if they differ.
//!
//! The bytes are not kept: a block remembers 64 bits. A hash is of the whole section's text, so two documents that
//! differ are the same to us once in 2^64.

use super::forest::{Forest, Match};
use super::json::{Extra, Json, lossy};
use super::memory::MarketState;
use super::store::NodeId;
use super::{head, market};
use foldhash::quality::FixedState;
use std::hash::BuildHasher;
use touchline_common::model::{Section, SectionKey};

/// Room that a rendering keeps for the next.
pub(in crate::payload) const KEEP: usize = 256 << 10;

/// What changed since the last rendering.
pub(in crate::payload) fn changes(forest: &mut Forest, slot: u32, out: &mut Vec<Section>) {
    let Some(held) = live(forest, slot) else { return };
    let markets = std::mem::take(&mut held.dirty_markets);
    let head_dirty = held.head_dirty;
    let mut text = std::mem::take(&mut forest.scratch.json);
    let mut extra = Extra::default();
    if head_dirty {
        forest.refresh_match(slot);
        render_head(forest, slot, &mut extra, &mut text, out);
    }
    let waits = |forest: &Forest, id: NodeId| {
        let owned = forest.store.tree(forest.store.node(id).tree).is_some_and(|tree| tree.owner == slot);
        owned && forest.store.market_state(id).is_some_and(|state| state.dirty)
    };
    // What is hidden from now on goes first, so that whoever hides it takes over what was published.
    for &id in &markets {
        if waits(forest, id) && !forest.is_shown(id) {
            forest.retire_market(slot, id);
            forest.store.set_market_state(id, MarketState::default());
        }
    }
    for &id in &markets {
        if waits(forest, id) {
            render_market(forest, slot, id, &mut extra, &mut text, out);
        }
    }
    forget_gone(forest, slot, out);
    if let Some(held) = forest.matches.get_mut(slot as usize) {
        held.dirty_markets = markets;
        held.dirty_markets.clear();
    }
    text.clear(KEEP);
    forest.scratch.json = text;
}

/// Everything, as if nothing had been published.
pub(in crate::payload) fn whole(forest: &mut Forest, slot: u32, out: &mut Vec<Section>) {
    let Some(held) = live(forest, slot) else { return };
    held.head_dirty = true;
    held.head_hash = None;
    held.gone.clear();
    let trees = held.trees.clone();
    forest.refresh_match(slot);
    for tree in trees {
        let outline = forest.store.tree(tree).map(|tree| tree.outline.clone()).unwrap_or_default();
        for id in outline {
            let Some(state) = forest.store.market_state(id) else { continue };
            forest.store.set_market_state(id, MarketState { hash: None, dirty: true });
            let was_dirty = state.dirty;
            if let Some(held) = forest.matches.get_mut(slot as usize)
                && !was_dirty
            {
                held.dirty_markets.push(id);
            }
        }
    }
    changes(forest, slot, out);
}

fn live(forest: &mut Forest, slot: u32) -> Option<&mut Match> {
    forest.matches.get_mut(slot as usize).filter(|held| held.live)
}

fn render_head(forest: &mut Forest, slot: u32, extra: &mut Extra, text: &mut Json, out: &mut Vec<Section>) {
    text.truncate(0);
    head::render(forest, slot, extra, text);
    let hash = digest(text.as_bytes());
    let Some(held) = forest.matches.get_mut(slot as usize) else { return };
    held.head_dirty = false;
    if held.head_hash.replace(hash) != Some(hash) {
        out.push(Section { key: SectionKey::Head, body: Some(text.to_text()) });
    }
}

fn render_market(
    forest: &mut Forest,
    slot: u32,
    id: NodeId,
    extra: &mut Extra,
    text: &mut Json,
    out: &mut Vec<Section>,
) {
    text.truncate(0);
    market::render(&forest.store, &forest.mapping, id, extra, text);
    let hash = digest(text.as_bytes());
    let Some(held) = forest.matches.get_mut(slot as usize) else { return };
    let mut published = forest.store.market_state(id).and_then(|state| state.hash);
    if published.is_none() && !held.gone.is_empty() {
        published = held.gone.remove(forest.store.it(id));
    }
    if published != Some(hash) {
        let key = lossy(forest.store.it(id)).into_owned();
        out.push(Section { key: SectionKey::Market(key), body: Some(text.to_text()) });
    }
    forest.store.set_market_state(id, MarketState { hash: Some(hash), dirty: false });
}

/// Tells the markets that are gone and did not come back.
fn forget_gone(forest: &mut Forest, slot: u32, out: &mut Vec<Section>) {
    let Some(held) = forest.matches.get_mut(slot as usize) else { return };
    let from = out.len();
    for (key, _) in held.gone.drain() {
        let key = lossy(&key).into_owned();
        out.push(Section { key: SectionKey::Market(key), body: None });
    }
    out.get_mut(from..).unwrap_or_default().sort_unstable_by(|a, b| a.key.cmp(&b.key));
}

#[inline]
fn digest(text: &[u8]) -> u64 {
    FixedState::default().hash_one(text)
}
