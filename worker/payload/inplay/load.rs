//! A topic's whole tree from the body of a load.
//!
//! The body is copied once and cut at `|`; two vectorised scans find the cuts and the topic ids. What a load cannot
//! be (no `F`, more than the limits) leaves the tree as it was. Depth needs no check: by the rules of nesting a load
//! is never deeper than nine.

use super::class::Parts;
use super::forest::Forest;
use super::key::Key;
use super::mapping::Class;
use super::mapping::Mapping;
use super::reading::Reading;
use super::registers;
use super::store::{NIL, NodeId, Store, TreeId};
use crate::payload::observe::{Received, Sink};
use crate::payload::{MatchSlot, Payload, Result, TreeError};
use touchline_common::ipc::messages::data::MatchBase;

impl Forest {
    /// Puts what `body` holds in the place of a tree; handles and what was published stay with what is called the same.
    ///
    /// # Errors
    /// [`TreeError::NotALoad`], [`TreeError::Nodes`], [`TreeError::Bytes`]: the tree is as it was.
    pub(super) fn replace_tree(&mut self, tree: TreeId, body: &[u8]) -> Result<()> {
        let topic = || self.store.tree(tree).map(|tree| tree.topic.to_string()).unwrap_or_default();
        let from = first_node(body).ok_or_else(|| TreeError::NotALoad { topic: topic() })?;
        let most = memchr::memchr_iter(b'|', body.get(from..).unwrap_or_default()).count() + 1;
        self.check_limits(tree, most, body.len())?;
        let kept = self.keep_handles(tree);
        self.store.clear_tree(tree);
        fill(&mut self.store, &self.mapping, tree, body, from, most);
        self.restore_handles(tree, kept);
        Ok(())
    }

    /// A topic is gone, and its tree with it.
    pub(super) fn end_topic(&mut self, tree: TreeId, received: Received, sink: &mut dyn Sink) {
        let owner = self.store.owner_of(tree);
        self.retire_markets(owner, self.store.root_of(tree));
        self.store.clear_tree(tree);
        if owner == NIL {
            self.list_lost(tree);
        } else {
            self.match_loaded(owner, received, sink);
        }
    }

    fn check_limits(&self, tree: TreeId, nodes: usize, bytes: usize) -> Result<()> {
        let others = self.nodes_beside(tree);
        // The body ends with a cut, so the last piece is usually empty.
        if nodes.saturating_sub(1) + others > self.limits.nodes {
            return Err(TreeError::Nodes { limit: self.limits.nodes });
        }
        if bytes > self.limits.bytes.min(u32::MAX as usize) {
            return Err(TreeError::Bytes { limit: self.limits.bytes });
        }
        Ok(())
    }

    /// Nodes in the other trees of the same match.
    pub(super) fn nodes_beside(&self, tree: TreeId) -> usize {
        let Some(held) = self.matches.get(self.store.owner_of(tree) as usize) else { return 0 };
        let others = held.trees.iter().filter(|other| **other != tree);
        others.filter_map(|other| self.store.tree(*other)).map(|tree| tree.nodes).sum()
    }

    /// After a load (or the end) of one of its topics everything of a match is to be rendered and reported anew.
    pub(super) fn match_loaded(&mut self, slot: u32, received: Received, sink: &mut dyn Sink) {
        if self.match_renewed(slot, received) {
            self.report(MatchSlot(slot), received, sink);
        }
    }

    /// Everything of a match is to be rendered anew; whether there is anything.
    pub(super) fn match_renewed(&mut self, slot: u32, received: Received) -> bool {
        let Some(held) = self.matches.get_mut(slot as usize) else { return false };
        let loaded = |tree: &TreeId| self.store.tree(*tree).is_some_and(|tree| tree.nodes > 0);
        held.live = held.trees.iter().any(loaded);
        if !held.live {
            self.clean(slot);
            return false;
        }
        self.read_time(slot, received);
        for market in self.markets_of(slot) {
            self.market_changed(slot, market, received);
        }
        self.parts_changed(slot, Parts::ALL, received);
        true
    }

    /// The markets of all trees of a match. The outlines must be fresh.
    pub(super) fn markets_of(&self, slot: u32) -> Vec<NodeId> {
        let trees = self.matches.get(slot as usize).map(|held| &*held.trees).unwrap_or_default();
        trees.iter().flat_map(|tree| self.store.outlined(*tree, Class::Market)).collect()
    }

    pub(super) fn report_base(&mut self, slot: u32, received: Received, sink: &mut dyn Sink) {
        self.refresh_match(slot);
        let Some(held) = self.matches.get(slot as usize) else { return };
        let reading = Reading::of(&self.store, &self.mapping, held);
        let (statistics, mut registers) = (reading.statistics(), Vec::new());
        registers::read(&reading, &statistics, &mut registers);
        let facts = reading.facts();
        let base = MatchBase {
            facts: facts.clone(),
            teams: reading.teams(),
            registers: registers.iter().copied().collect(),
            values: reading.changes(&statistics),
            clock: reading.clock(&self.zone).shown(self.server_wall(received)),
            lost: None,
            at: received.wall_us,
        };
        sink.base(MatchSlot(slot), base);
        if let Some(held) = self.matches.get_mut(slot as usize) {
            (held.reported, held.facts) = (registers, facts);
        }
    }

    /// Makes the outlines of a match's trees good again.
    pub(super) fn refresh_match(&mut self, slot: u32) {
        let Some(held) = self.matches.get(slot as usize) else { return };
        for &tree in &held.trees {
            self.store.refresh_outline(tree);
        }
    }

    /// Remembers what was published of the markets at and below `top`, which are about to go.
    pub(super) fn retire_markets(&mut self, slot: u32, top: NodeId) {
        for market in self.store.markets_below(top) {
            self.retire_market(slot, market);
        }
    }

    /// Remembers what was published of a market.
    pub(super) fn retire_market(&mut self, slot: u32, id: NodeId) {
        let node = self.store.node_mut(id);
        if node.published().is_some()
            && let Some(held) = self.matches.get_mut(slot as usize)
        {
            node.memory = 0;
            held.gone.push(node.handle);
        }
    }
}

/// Where the nodes of a load begin; `None` if it is none.
pub(super) fn first_node(body: &[u8]) -> Option<usize> {
    match body {
        b"EMPTY" | b"" => Some(body.len()),
        [b'F', b'|', ..] => Some(2),
        b"F" => Some(1),
        _ => None,
    }
}

/// Cuts the nodes of `body` from byte `from` on into an empty tree.
fn fill(store: &mut Store, mapping: &Mapping, tree: TreeId, body: &[u8], from: usize, most: usize) {
    let topic = store.tree(tree).map(|tree| tree.topic.clone()).unwrap_or_default();
    store.set_buffer(tree, body, most);
    let needle = [&b";"[..], &mapping.topic_name, b"="].concat();
    let finder = memchr::memmem::Finder::new(&needle);
    let mut ids = finder.find_iter(body).peekable();
    let mut open: Vec<(Class, NodeId)> = vec![(Class::Root, store.root_of(tree))];
    let mut outline = Vec::new();
    let rest = body.get(from..).unwrap_or_default();
    let mut start = from;
    for cut in memchr::memchr_iter(b'|', rest).map(|at| at + from).chain([body.len()]) {
        let (segment, at) = (body.get(start..cut).unwrap_or_default(), start);
        start = cut + 1;
        if segment.is_empty() {
            continue;
        }
        while ids.next_if(|&found| found < at).is_some() {}
        let it = ids.next_if(|&found| found < cut).map(|found| found - at + needle.len());
        let (it_at, it_text) =
            it.and_then(|from| Some((from, until_end(segment.get(from..)?)))).unwrap_or_default();
        let kind = Key::of(super::text::type_word(segment));
        let class = mapping.class(kind);
        let id = store.cut(tree, kind, class, (at as u32, cut as u32), (it_at as u32, it_text.len() as u32));
        if class != Class::Selection {
            outline.push(id);
        }
        let is_first = || store.tree(tree).is_some_and(|tree| tree.nodes == 1);
        if it_text == topic.as_bytes() && is_first() {
            store.replace_root(tree, id);
            open = vec![(class, id)];
        } else {
            let parent = parent_of(&mut open, class);
            store.link(id, parent, NIL);
            if class.rule().parents.is_some() {
                open.push((class, id));
            }
        }
        store.enter(id, it_text);
    }
    if let Some(tree) = store.tree_mut(tree) {
        outline.shrink_to_fit();
        tree.outline = outline;
    }
}

#[inline]
fn until_end(text: &[u8]) -> &[u8] {
    text.get(..memchr::memchr(b';', text).unwrap_or(text.len())).unwrap_or_default()
}

/// The nearest open node under which such a node may stand, else the root; what is below it is closed. A kind without
/// a rule goes under what is open last, closes nothing and is never open itself.
#[inline]
fn parent_of(open: &mut Vec<(Class, NodeId)>, class: Class) -> NodeId {
    if let Some(allowed) = class.rule().parents {
        let place = open.iter().rposition(|(held, _)| allowed.contains(held)).unwrap_or(0);
        open.truncate(place + 1);
    }
    open.last().map_or(NIL, |(_, id)| *id)
}
