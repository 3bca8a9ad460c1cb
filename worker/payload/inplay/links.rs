//! The links of the arena: lists of siblings, walks in pre-order, outlines.

use super::mapping::Class;
use super::store::{Finger, NIL, NodeId, Store, TreeId};

impl Store {
    /// Puts a node that is in no list below `parent`, before `before`, or last if that is `NIL`.
    pub(super) fn link(&mut self, id: NodeId, parent: NodeId, before: NodeId) {
        let after = if before == NIL { self.node(parent).last } else { self.node(before).prev };
        let node = self.node_mut(id);
        (node.parent, node.prev, node.next) = (parent, after, before);
        *self.link_after(parent, after) = id;
        *self.link_before(parent, before) = id;
    }

    /// Takes a node out of its parent's list; what is below it stays below it.
    pub(super) fn unlink(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        let (tree, parent, prev, next) = (node.tree, node.parent, node.prev, node.next);
        (node.parent, node.prev, node.next) = (NIL, NIL, NIL);
        *self.link_after(parent, prev) = next;
        *self.link_before(parent, next) = prev;
        // Places behind it are others now.
        if let Some(tree) = self.tree_mut(tree) {
            tree.finger = Finger::default();
        }
    }

    /// Where it stands which child of `parent` comes behind `prev`; the first one if that is `NIL`.
    fn link_after(&mut self, parent: NodeId, prev: NodeId) -> &mut NodeId {
        if prev == NIL { &mut self.node_mut(parent).first } else { &mut self.node_mut(prev).next }
    }

    /// Where it stands which child of `parent` comes before `next`; the last one if that is `NIL`.
    fn link_before(&mut self, parent: NodeId, next: NodeId) -> &mut NodeId {
        if next == NIL { &mut self.node_mut(parent).last } else { &mut self.node_mut(next).prev }
    }

    /// The node after `id` in pre-order within the subtree of `top`; `NIL` at the end.
    #[inline]
    pub(super) fn after(&self, top: NodeId, id: NodeId) -> NodeId {
        let first = self.node(id).first;
        if first != NIL { first } else { self.after_subtree(top, id) }
    }

    /// As [`Store::after`], but skipping what is below `id`.
    #[inline]
    pub(super) fn after_subtree(&self, top: NodeId, mut id: NodeId) -> NodeId {
        while id != top && id != NIL {
            let node = self.node(id);
            if node.next != NIL {
                return node.next;
            }
            id = node.parent;
        }
        NIL
    }

    /// A node and all below it, in pre-order.
    #[inline]
    pub(super) fn subtree(&self, top: NodeId) -> impl Iterator<Item = NodeId> {
        chain(top, move |id| self.after(top, id))
    }

    /// All nodes of a tree, in pre-order, its root first.
    pub(super) fn nodes_of(&self, tree: TreeId) -> impl Iterator<Item = NodeId> {
        self.subtree(self.root_of(tree))
    }

    /// A node and all above it, the nearest first.
    #[inline]
    pub(super) fn upwards(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        chain(id, |id| self.node(id).parent)
    }

    /// Whether a node is `top` or below it.
    pub(super) fn is_below(&self, id: NodeId, top: NodeId) -> bool {
        self.upwards(id).any(|above| above == top)
    }

    /// The nodes directly below another, in order.
    pub(super) fn children(&self, parent: NodeId) -> impl Iterator<Item = NodeId> {
        chain(self.node(parent).first, |id| self.node(id).next)
    }

    /// The nearest node of a class at or above another, `NIL` if there is none.
    #[inline]
    pub(super) fn nearest(&self, id: NodeId, class: Class) -> NodeId {
        self.upwards(id).find(|id| self.node(*id).class == class).unwrap_or(NIL)
    }

    /// The nearest market at or above a node, `NIL` if there is none.
    #[inline]
    pub(super) fn market_of(&self, id: NodeId) -> NodeId {
        self.nearest(id, Class::Market)
    }

    /// The markets at and below a node.
    pub(super) fn markets_below(&self, top: NodeId) -> Vec<NodeId> {
        self.subtree(top).filter(|id| self.node(*id).class == Class::Market).collect()
    }

    /// The nodes of a class in a tree, in pre-order. The outline must be fresh, and selections are in none.
    pub(super) fn outlined(&self, tree: TreeId, class: Class) -> impl Iterator<Item = NodeId> {
        let outline = self.tree(tree).map(|tree| &*tree.outline).unwrap_or_default();
        outline.iter().copied().filter(move |id| self.node(*id).class == class)
    }

    pub(super) fn outline_changed(&mut self, id: TreeId) {
        if let Some(tree) = self.tree_mut(id) {
            tree.outline_stale = true;
        }
    }

    /// Rebuilds the outline if a structural change made it stale.
    pub(super) fn refresh_outline(&mut self, id: TreeId) {
        let Some(tree) = self.tree_mut(id).filter(|tree| tree.outline_stale) else { return };
        let mut outline = std::mem::take(&mut tree.outline);
        outline.clear();
        outline.extend(self.nodes_of(id).filter(|id| {
            let class = self.node(*id).class;
            class != Class::Selection && class != Class::Root
        }));
        if let Some(tree) = self.tree_mut(id) {
            tree.outline = outline;
            tree.outline_stale = false;
        }
    }
}

/// The nodes from `first` on that `next` leads to, until `NIL`.
#[inline]
fn chain(first: NodeId, next: impl Fn(NodeId) -> NodeId) -> impl Iterator<Item = NodeId> {
    let some = |id: NodeId| (id != NIL).then_some(id);
    std::iter::successors(some(first), move |id| some(next(*id)))
}
