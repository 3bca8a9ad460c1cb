//! The arena: the nodes of all topics of one connection, their text, and the index from topic id to node.
//!
//! A node's attributes are not parsed: it is a stretch of its load's body, scanned when read. A changed value of the
//! same length is written in place, any other makes the node own its text, once; so nothing grows with the number of
//! updates. Invariants: links are consistent both ways; `index` holds at most one node per (topic id, tree), the
//! first one that came; a freed node is in no list and in no index.

use super::index::Index;
use super::key::Key;
use super::mapping::{Class, Mapping};
use super::text;
use foldhash::fast::RandomState;
use slab::Slab;
use std::hash::BuildHasher;
use touchline_common::model::Handle;

pub(super) type NodeId = u32;
pub(super) type TreeId = u32;
/// Nodes that [`Store::read_ahead`] reads at once: more than a processor waits for at a time.
pub(super) const AHEAD: usize = 32;
/// [`Node::step`] of a node that remembers nothing.
pub(super) const NOTHING: i8 = i8::MIN;
/// No node.
pub(super) const NIL: u32 = u32::MAX;

/// One node, one line of the cache: there are a thousand of them to a match.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Node {
    pub(super) kind: Key,
    pub(super) class: Class,
    pub(super) indexed: bool,
    pub(super) tree: TreeId,
    pub(super) parent: NodeId,
    pub(super) first: NodeId,
    pub(super) last: NodeId,
    pub(super) prev: NodeId,
    pub(super) next: NodeId,
    /// Where its text begins and ends in the tree's buffer, unless `own` is set.
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) own: u32,
    /// Where the topic id begins in the text, and its length.
    pub(super) it_at: u32,
    pub(super) it_len: u32,
    /// The integer that stands for a market or a selection towards the recorder; 0 while it needs none.
    pub(super) handle: Handle,
    /// What a market or a selection remembers (see `memory`).
    pub(super) memory: u64,
    /// The sign of a selection's last change of price; [`NOTHING`] while the node remembers nothing.
    pub(super) step: i8,
    pub(super) dirty: bool,
}

const _: () = assert!(size_of::<Node>() == 64);

static NO_NODE: Node = Node {
    kind: Key::EMPTY,
    class: Class::Root,
    indexed: false,
    tree: NIL,
    parent: NIL,
    first: NIL,
    last: NIL,
    prev: NIL,
    next: NIL,
    start: 0,
    end: 0,
    own: NIL,
    it_at: 0,
    it_len: 0,
    handle: Handle(0),
    memory: 0,
    step: NOTHING,
    dirty: false,
};

#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) topic: Box<str>,
    /// The match it belongs to, `NIL` for a list.
    pub(super) owner: u32,
    /// A node of the load; or one that stands for the topic and has no text.
    pub(super) root: NodeId,
    pub(super) buffer: Vec<u8>,
    /// Nodes, without an artificial root.
    pub(super) nodes: usize,
    /// Bytes of the buffer and of the texts that nodes own.
    pub(super) bytes: usize,
    /// All nodes but selections, in pre-order; rebuilt when `outline_stale`.
    pub(super) outline: Vec<NodeId>,
    pub(super) outline_stale: bool,
    /// Where the last insert went, so that a run of inserts walks no siblings.
    pub(super) finger: Finger,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Finger {
    pub(super) parent: NodeId,
    pub(super) kind: Option<Key>,
    pub(super) place: u32,
    pub(super) node: NodeId,
}

#[derive(Debug)]
pub(super) struct Store {
    pub(super) nodes: Vec<Node>,
    /// Places in `nodes` that are free.
    free: Vec<NodeId>,
    pub(super) trees: Slab<Tree>,
    pub(super) owned: Slab<Vec<u8>>,
    index: Index,
    hasher: RandomState,
    /// Takes what is written to no node; never read.
    nowhere: Node,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            trees: Slab::new(),
            owned: Slab::new(),
            index: Index::default(),
            hasher: RandomState::default(),
            nowhere: NO_NODE.clone(),
        }
    }

    #[inline]
    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id as usize).unwrap_or(&NO_NODE)
    }

    #[inline]
    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(id as usize).unwrap_or(&mut self.nowhere)
    }

    pub(super) fn tree(&self, id: TreeId) -> Option<&Tree> {
        self.trees.get(id as usize)
    }

    pub(super) fn tree_mut(&mut self, id: TreeId) -> Option<&mut Tree> {
        self.trees.get_mut(id as usize)
    }

    /// The match that a tree belongs to, `NIL` for a list.
    #[inline]
    pub(super) fn owner_of(&self, id: TreeId) -> u32 {
        self.tree(id).map_or(NIL, |tree| tree.owner)
    }

    pub(super) fn root_of(&self, id: TreeId) -> NodeId {
        self.tree(id).map_or(NIL, |tree| tree.root)
    }

    /// A node's text: its type word and `KEY=VALUE;` for each attribute.
    #[inline]
    pub(super) fn text(&self, id: NodeId) -> &[u8] {
        self.text_of(self.node(id))
    }

    #[inline]
    pub(super) fn text_of(&self, node: &Node) -> &[u8] {
        if node.own != NIL {
            return self.owned.get(node.own as usize).map(Vec::as_slice).unwrap_or_default();
        }
        let buffer = self.tree(node.tree).map(|tree| &*tree.buffer).unwrap_or_default();
        buffer.get(node.start as usize..node.end as usize).unwrap_or_default()
    }

    /// A node's topic id; the topic itself for an artificial root; empty if it has none.
    #[inline]
    pub(super) fn it(&self, id: NodeId) -> &[u8] {
        let node = self.node(id);
        if node.class == Class::Root {
            return self.tree(node.tree).map(|tree| tree.topic.as_bytes()).unwrap_or_default();
        }
        let from = node.it_at as usize;
        self.text_of(node).get(from..from + node.it_len as usize).unwrap_or_default()
    }

    #[inline]
    pub(super) fn attribute(&self, id: NodeId, key: Key) -> Option<&[u8]> {
        let text = self.text(id);
        let (start, end) = text::find(text, key)?;
        text.get(start..end)
    }

    /// A hash of what a market or a selection is called, within what is already hashed of the market's name.
    pub(super) fn identity(&self, within: u64, it: &[u8], name: &[u8]) -> u64 {
        self.hasher.hash_one((within, it, name))
    }

    // --- the index ---

    #[inline]
    fn hash(&self, it: &[u8]) -> u32 {
        // The upper bits of a product depend on all of what went into it.
        (self.hasher.hash_one(it).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
    }

    /// Every node with this topic id, one per tree at most, into `found`.
    #[inline]
    pub(super) fn find_all(&self, it: &[u8], found: &mut Vec<NodeId>) {
        found.clear();
        found.extend(self.index.candidates(self.hash(it)).filter(|id| self.it(*id) == it));
    }

    pub(super) fn find_in(&self, tree: TreeId, it: &[u8]) -> Option<NodeId> {
        let mut candidates = self.index.candidates(self.hash(it));
        candidates.find(|id| self.node(*id).tree == tree && self.it(*id) == it)
    }

    /// Whether any tree has a node with this topic id.
    pub(super) fn knows(&self, it: &[u8]) -> bool {
        self.index.candidates(self.hash(it)).any(|id| self.it(id) == it)
    }

    /// Reads what a change of the nodes with these topic ids will read, so that it is in the cache by then. Each step is
    /// done for all of them before the next: the processor then waits for many lines of memory at once instead of for one
    /// after the other, which is most of what a change costs when there are many nodes.
    pub(super) fn read_ahead<'t>(&self, its: impl Iterator<Item = &'t [u8]>) {
        let mut hashes = [0; AHEAD];
        let mut count = 0;
        for (place, it) in hashes.iter_mut().zip(its) {
            *place = self.hash(it);
            count += 1;
        }
        let hashes = hashes.get(..count).unwrap_or_default();
        let mut ids = [NIL; AHEAD];
        for (id, hash) in ids.iter_mut().zip(hashes) {
            *id = self.index.candidates(*hash).next().unwrap_or(NIL);
        }
        let ids = ids.get(..count).unwrap_or_default();
        let mut nodes = [&NO_NODE; AHEAD];
        let mut read = 0_u32;
        for (node, id) in nodes.iter_mut().zip(ids) {
            *node = self.node(*id);
            read ^= node.parent;
        }
        for node in nodes.iter().take(count) {
            let text = self.text_of(node);
            let ends = [text.first(), text.get(text.len() / 2), text.last()];
            read ^= ends.into_iter().flatten().fold(0, |sum, byte| sum ^ u32::from(*byte));
            read ^= self.node(node.parent).it_at;
        }
        std::hint::black_box(read);
    }

    /// Makes the node addressable by its id `it`; not if that is empty or its tree has it already.
    #[inline]
    pub(super) fn enter(&mut self, id: NodeId, it: &[u8]) {
        let hash = self.hash(it);
        let tree = self.node(id).tree;
        let same = |id: NodeId| self.node(id).tree == tree && self.it(id) == it;
        if !it.is_empty() && !self.index.candidates(hash).any(same) {
            self.index.insert(hash, id);
            self.node_mut(id).indexed = true;
        }
    }

    pub(super) fn leave(&mut self, id: NodeId) {
        if self.node(id).indexed {
            let hash = self.hash(self.it(id));
            self.index.remove(hash, id);
            self.node_mut(id).indexed = false;
        }
    }

    // --- making and freeing ---

    pub(super) fn add_tree(&mut self, topic: &str, owner: u32) -> TreeId {
        let tree = self.trees.insert(Tree { topic: topic.into(), owner, ..Tree::default() }) as TreeId;
        self.add_root(tree);
        tree
    }

    /// Frees the nodes and the text of a tree; an empty artificial root remains.
    pub(super) fn clear_tree(&mut self, id: TreeId) {
        self.free_subtree(self.root_of(id));
        if let Some(tree) = self.tree_mut(id) {
            let topic = std::mem::take(&mut tree.topic);
            *tree = Tree { topic, owner: tree.owner, ..Tree::default() };
            self.add_root(id);
        }
    }

    fn add_root(&mut self, id: TreeId) {
        let root = self.alloc(Node { class: Class::Root, tree: id, ..NO_NODE.clone() });
        let Some(tree) = self.tree_mut(id) else { return };
        tree.root = root;
        let topic = tree.topic.clone();
        self.enter(root, topic.as_bytes());
    }

    /// Lets a node of the load stand for the topic, in the place of the artificial root.
    pub(super) fn replace_root(&mut self, tree: TreeId, id: NodeId) {
        let Some(held) = self.tree_mut(tree) else { return };
        let old = std::mem::replace(&mut held.root, id);
        self.free_one(old);
    }

    pub(super) fn remove_tree(&mut self, id: TreeId) {
        self.free_subtree(self.root_of(id));
        self.trees.try_remove(id as usize);
    }

    /// Takes the text of a load, with room for its nodes, so that neither arena nor index grows by steps.
    pub(super) fn set_buffer(&mut self, id: TreeId, body: &[u8], nodes: usize) {
        self.index.reserve(nodes);
        self.nodes.reserve(nodes.saturating_sub(self.free.len()));
        if let Some(tree) = self.tree_mut(id) {
            tree.buffer = body.to_vec();
            tree.bytes = body.len();
        }
    }

    /// A node over `start..end` of the tree's buffer, in no list yet.
    pub(super) fn cut(
        &mut self,
        tree: TreeId,
        kind: Key,
        class: Class,
        span: (u32, u32),
        it: (u32, u32),
    ) -> NodeId {
        if let Some(tree) = self.tree_mut(tree) {
            tree.nodes += 1;
        }
        let (start, end) = span;
        self.alloc(Node { kind, class, tree, start, end, it_at: it.0, it_len: it.1, ..NO_NODE.clone() })
    }

    /// A node with a text of its own, in no list yet.
    pub(super) fn make(&mut self, tree: TreeId, text: Vec<u8>, mapping: &Mapping) -> NodeId {
        if let Some(tree) = self.tree_mut(tree) {
            tree.nodes += 1;
        }
        let id = self.alloc(Node { tree, ..NO_NODE.clone() });
        self.replace_text(id, text, mapping);
        id
    }

    fn alloc(&mut self, node: Node) -> NodeId {
        let id = self.free.pop().unwrap_or(self.nodes.len() as NodeId);
        match self.nodes.get_mut(id as usize) {
            Some(place) => *place = node,
            None => self.nodes.push(node),
        }
        id
    }

    /// Unlinks nothing: frees the node and all below it, so that the next load takes their places in order.
    pub(super) fn free_subtree(&mut self, top: NodeId) {
        let all: Vec<NodeId> = self.subtree(top).collect();
        for id in all.into_iter().rev() {
            self.free_one(id);
        }
    }

    fn free_one(&mut self, id: NodeId) {
        self.leave(id);
        let node = self.node(id);
        let (own, tree, counted) = (node.own, node.tree, usize::from(node.class != Class::Root));
        let freed = self.owned.try_remove(own as usize).map_or(0, |text| text.len());
        if let Some(tree) = self.tree_mut(tree) {
            tree.bytes = tree.bytes.saturating_sub(freed);
            tree.nodes = tree.nodes.saturating_sub(counted);
        }
        *self.node_mut(id) = NO_NODE.clone();
        self.free.push(id);
    }

    /// Bytes that the store holds, for those who measure.
    pub(super) fn footprint(&self) -> usize {
        let trees: usize =
            self.trees.iter().map(|(_, t)| t.buffer.capacity() + 4 * t.outline.capacity() + 160).sum();
        let owned: usize = self.owned.iter().map(|(_, text)| text.capacity()).sum();
        trees
            + owned
            + self.owned.capacity() * size_of::<Option<Vec<u8>>>()
            + self.nodes.capacity() * size_of::<Node>()
            + self.free.capacity() * size_of::<NodeId>()
            + self.index.bytes()
    }
}
