//! Sections from dirty blocks: rendered, compared by hash with what was published, handed out if they differ.
//!
//! The bytes are not kept: a block remembers 64 bits. A hash is of the whole section's text, so two documents that
//! differ are the same to us once in 2^64.

use super::class::Parts;
use super::forest::{Forest, Match};
use super::json_text::{Extra, Json};
use super::store::NodeId;
use super::{head, market, tail};
use crate::payload::observe::Names;
use crate::payload::{KEEP, digest, if_changed};
use touchline_common::ipc::messages::data::{Section, SectionKey};
use touchline_common::model::Handle;

/// What changed since the last rendering; what is gone first.
pub(super) fn changes(
    forest: &mut Forest,
    slot: u32,
    names: &mut dyn Names,
    out: &mut Vec<Section<'static>>,
) {
    let Some(held) = live(forest, slot) else { return };
    let markets = std::mem::take(&mut held.dirty_markets);
    let parts = std::mem::replace(&mut held.parts, Parts::NONE);
    let waits = |forest: &Forest, id: NodeId| {
        let node = forest.store.node(id);
        node.dirty && forest.store.owner_of(node.tree) == slot
    };
    for &id in &markets {
        if waits(forest, id) && !forest.is_shown(id) {
            forest.retire_market(slot, id);
            forest.store.node_mut(id).dirty = false;
        }
    }
    if let Some(held) = forest.matches.get_mut(slot as usize) {
        held.gone.sort_unstable();
        out.extend(held.gone.drain(..).map(|market| Section { key: SectionKey::Market(market), body: None }));
    }
    let mut text = std::mem::take(&mut forest.scratch.json);
    let mut extra = Extra::default();
    if parts != Parts::NONE {
        forest.refresh_match(slot);
        text.truncate(0);
    }
    if parts.has(Parts::HEAD) {
        head::render(forest, slot, &mut text);
        let held = forest.matches.get_mut(slot as usize);
        out.extend(held.and_then(|held| if_changed(SectionKey::Head, &mut held.head_hash, &mut text)));
    }
    if parts.has(Parts::TAIL) {
        tail::render(forest, slot, parts, &mut extra, &mut text);
        let held = forest.matches.get_mut(slot as usize);
        out.extend(held.and_then(|held| if_changed(SectionKey::Tail, &mut held.tail_hash, &mut text)));
    }
    for &id in &markets {
        if waits(forest, id) {
            render_market(forest, slot, id, names, &mut extra, &mut text, out);
        }
    }
    if let Some(held) = forest.matches.get_mut(slot as usize) {
        held.dirty_markets = markets;
        held.dirty_markets.clear();
    }
    text.clear(KEEP);
    forest.scratch.json = text;
}

/// Everything, as if nothing had been published.
pub(super) fn whole(forest: &mut Forest, slot: u32, names: &mut dyn Names, out: &mut Vec<Section<'static>>) {
    let Some(held) = live(forest, slot) else { return };
    held.parts = Parts::ALL;
    (held.head_hash, held.tail_hash) = (None, None);
    held.gone.clear();
    forest.refresh_match(slot);
    for id in forest.markets_of(slot) {
        forest.store.node_mut(id).memory = 0;
        if forest.store.mark_market(id)
            && let Some(held) = forest.matches.get_mut(slot as usize)
        {
            held.dirty_markets.push(id);
        }
    }
    changes(forest, slot, names, out);
}

fn live(forest: &mut Forest, slot: u32) -> Option<&mut Match> {
    forest.matches.get_mut(slot as usize).filter(|held| held.live)
}

fn render_market(
    forest: &mut Forest,
    slot: u32,
    id: NodeId,
    names: &mut dyn Names,
    extra: &mut Extra,
    text: &mut Json,
    out: &mut Vec<Section<'static>>,
) {
    let handle = forest.handle(slot, id, names);
    text.truncate(0);
    market::render(&forest.store, &forest.mapping, id, extra, text);
    let hash = digest(text.as_bytes());
    let node = forest.store.node_mut(id);
    node.dirty = false;
    // Without a handle there is no saying which market it is.
    if handle != Handle(0) && std::mem::replace(&mut node.memory, hash) != hash {
        out.push(Section { key: SectionKey::Market(handle), body: Some(text.to_text().into()) });
    }
}
