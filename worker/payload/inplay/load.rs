//! A topic's whole tree from the body of a load.
//!
//! The body is copied once and cut at `|`; two vectorised scans find the cuts and the topic ids. What a load cannot
//! be (no `F`, more than the limits) leaves the tree as it was. Depth needs no check: by the rules of nesting a load
//! is never deeper than nine.

use super::dirty::Parts;
use super::forest::Forest;
use super::key::Key;
use super::mapping::Class;
use super::mapping::Mapping;
use super::memory::MarketState;
use super::reading::Reading;
use super::registers;
use super::store::{NIL, NodeId, Store, TreeId};
use crate::payload::TreeError;
use crate::payload::observe::{Received, Sink};
use crate::payload::{Applied, MatchSlot};
use touchline_common::ipc::messages::data::MatchBase;

impl Forest {
    /// Replaces a topic's tree by what `body` holds. A body `EMPTY` or without nodes is a known topic without content.
    ///
    /// # Errors
    /// [`TreeError::TopicNotHeld`], [`TreeError::NotALoad`], [`TreeError::Nodes`], [`TreeError::Bytes`]: the tree is
    /// as it was.
    pub fn load(
        &mut self,
        topic: &[u8],
        body: &[u8],
        received: Received,
        sink: &mut dyn Sink,
    ) -> Result<Applied, TreeError> {
        let named = || String::from_utf8_lossy(topic).into_owned();
        let tree = *self.topics.get(topic).ok_or_else(|| TreeError::TopicNotHeld { topic: named() })?;
        let from = first_node(body).ok_or_else(|| TreeError::NotALoad { topic: named() })?;
        let most = memchr::memchr_iter(b'|', body.get(from..).unwrap_or_default()).count() + 1;
        let owner = self.store.tree(tree).map_or(NIL, |tree| tree.owner);
        self.approach(owner, sink);
        self.check_limits(tree, most, body.len())?;
        let kept = self.keep_handles(tree);
        self.store.clear_tree(tree);
        let applied = fill(&mut self.store, &self.mapping, tree, body, from, most);
        self.restore_handles(owner, tree, kept);
        if owner == NIL {
            self.list_loaded(tree);
        } else {
            self.match_loaded(owner, received, sink);
        }
        Ok(applied)
    }

    /// The server ended a topic: its tree is gone. Without any topic left the match is no longer live.
    pub fn topic_removed(
        &mut self,
        topic: &[u8],
        received: Received,
        sink: &mut dyn Sink,
    ) -> Result<Option<MatchSlot>, TreeError> {
        let Some(tree) = self.topics.get(topic).copied() else {
            return Err(TreeError::TopicNotHeld { topic: String::from_utf8_lossy(topic).into_owned() });
        };
        let owner = self.store.tree(tree).map_or(NIL, |tree| tree.owner);
        self.approach(owner, sink);
        self.retire_markets_of(owner, tree);
        self.store.clear_tree(tree);
        if owner == NIL {
            self.list_lost(tree);
            return Ok(None);
        }
        self.match_loaded(owner, received, sink);
        Ok(Some(MatchSlot(owner)))
    }

    fn check_limits(&self, tree: TreeId, nodes: usize, bytes: usize) -> Result<(), TreeError> {
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
        let owner = self.store.tree(tree).map_or(NIL, |tree| tree.owner);
        let Some(held) = self.matches.get(owner as usize) else { return 0 };
        let others = held.trees.iter().filter(|other| **other != tree);
        others.filter_map(|other| self.store.tree(*other)).map(|tree| tree.nodes).sum()
    }

    /// After a load (or the end) of one of its topics everything of a match is to be rendered and reported anew.
    pub(super) fn match_loaded(&mut self, slot: u32, received: Received, sink: &mut dyn Sink) {
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        let trees = held.trees.clone();
        let loaded = |tree: &TreeId| self.store.tree(*tree).is_some_and(|tree| tree.nodes > 0);
        held.live = trees.iter().any(loaded);
        held.clock = None;
        sink.touched(MatchSlot(slot));
        if !held.live {
            self.clean(slot);
            return;
        }
        for tree in trees {
            self.store.refresh_outline(tree);
            let outline =
                self.store.tree_mut(tree).map(|tree| std::mem::take(&mut tree.outline)).unwrap_or_default();
            for &id in &outline {
                if self.store.node(id).class == Class::Market {
                    self.market_changed(slot, id, received);
                }
            }
            if let Some(tree) = self.store.tree_mut(tree) {
                tree.outline = outline;
            }
        }
        self.parts_changed(slot, Parts::ALL, received);
        self.report_all(slot, received, sink);
    }

    /// Reports all values of a match, whatever was reported before.
    pub(super) fn report_all(&mut self, slot: u32, received: Received, sink: &mut dyn Sink) {
        self.report_base(slot, received, sink);
        self.report_odds(slot, received, sink);
    }

    pub(super) fn report_base(&mut self, slot: u32, received: Received, sink: &mut dyn Sink) {
        self.refresh_match(slot);
        let Some(held) = self.matches.get(slot as usize) else { return };
        let reading = Reading::of(&self.store, &self.mapping, held);
        let mut registers = Vec::new();
        registers::read(&reading, &mut registers);
        let facts = reading.facts();
        let base = MatchBase {
            facts: facts.clone(),
            teams: reading.teams(),
            registers: registers.iter().copied().collect(),
            values: reading.changes(),
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

    /// Remembers what was published of a tree's markets, which are about to go.
    fn retire_markets_of(&mut self, owner: u32, tree: TreeId) {
        let root = self.store.tree(tree).map_or(NIL, |tree| tree.root);
        if owner != NIL {
            self.retire_markets(owner, root);
        }
    }

    /// Remembers what was published of the markets at and below `top`, which are about to go.
    pub(super) fn retire_markets(&mut self, slot: u32, top: NodeId) {
        let mut id = top;
        while id != NIL {
            self.retire_market(slot, id);
            id = self.store.after(top, id);
        }
    }

    /// Remembers what was published of a node, if it is a market.
    pub(super) fn retire_market(&mut self, slot: u32, id: NodeId) {
        let Some(state) = self.store.market_state(id) else { return };
        if state.hash.is_none() {
            return;
        }
        if let Some(held) = self.matches.get_mut(slot as usize) {
            held.gone.push(self.store.node(id).handle);
        }
        self.store.set_market_state(id, MarketState { hash: None, ..state });
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
fn fill(
    store: &mut Store,
    mapping: &Mapping,
    tree: TreeId,
    body: &[u8],
    from: usize,
    most: usize,
) -> Applied {
    let mut applied = Applied::default();
    let topic = store.tree(tree).map(|tree| tree.topic.clone()).unwrap_or_default();
    store.set_buffer(tree, body);
    store.reserve(most);
    let mut needle = vec![b';'];
    needle.extend_from_slice(mapping.topic_name());
    needle.push(b'=');
    let finder = memchr::memmem::Finder::new(&needle);
    let mut ids = finder.find_iter(body).peekable();
    let root = store.tree(tree).map_or(NIL, |tree| tree.root);
    let mut open: Vec<(Class, NodeId)> = vec![(Class::Root, root)];
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
        applied.nodes += 1;
        if class != Class::Selection {
            outline.push(id);
        }
        if applied.nodes == 1 && it_text == topic.as_bytes() {
            store.replace_root(tree, id);
            open = vec![(class, id)];
        } else {
            let parent = parent_of(&mut open, class);
            store.link(id, parent, NIL);
            if class.parents().is_some() {
                open.push((class, id));
            }
        }
        if !it_text.is_empty() && !store.enter(id, it_text) {
            applied.ignored += 1;
        }
    }
    if let Some(tree) = store.tree_mut(tree) {
        outline.shrink_to_fit();
        tree.outline = outline;
    }
    applied
}

#[inline]
fn until_end(text: &[u8]) -> &[u8] {
    text.get(..memchr::memchr(b';', text).unwrap_or(text.len())).unwrap_or_default()
}

/// The nearest open node under which such a node may stand, else the root; what is below it is closed. A kind without
/// a rule goes under what is open last, closes nothing and is never open itself.
#[inline]
fn parent_of(open: &mut Vec<(Class, NodeId)>, class: Class) -> NodeId {
    if let Some(allowed) = class.parents() {
        let place = open.iter().rposition(|(held, _)| allowed.contains(held)).unwrap_or(0);
        open.truncate(place + 1);
    }
    open.last().map_or(NIL, |(_, id)| *id)
}
