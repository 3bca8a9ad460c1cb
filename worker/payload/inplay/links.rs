//! The links of the arena: lists of siblings, walks in pre-order, outlines.

use super::mapping::Class;
use super::store::{NIL, NodeId, Store, TreeId};

impl Store {
    /// Puts a node that is in no list below `parent`, before `before`, or last if that is `NIL`.
    pub(super) fn link(&mut self, id: NodeId, parent: NodeId, before: NodeId) {
        let after = if before == NIL { self.node(parent).last } else { self.node(before).prev };
        if let Some(node) = self.node_mut(id) {
            (node.parent, node.prev, node.next) = (parent, after, before);
        }
        match self.node_mut(after) {
            Some(node) => node.next = id,
            None => {
                if let Some(node) = self.node_mut(parent) {
                    node.first = id;
                }
            }
        }
        match self.node_mut(before) {
            Some(node) => node.prev = id,
            None => {
                if let Some(node) = self.node_mut(parent) {
                    node.last = id;
                }
            }
        }
    }

    /// Takes a node out of its parent's list; what is below it stays below it.
    pub(super) fn unlink(&mut self, id: NodeId) {
        let (parent, prev, next) = {
            let node = self.node(id);
            (node.parent, node.prev, node.next)
        };
        match self.node_mut(prev) {
            Some(node) => node.next = next,
            None => {
                if let Some(node) = self.node_mut(parent) {
                    node.first = next;
                }
            }
        }
        match self.node_mut(next) {
            Some(node) => node.prev = prev,
            None => {
                if let Some(node) = self.node_mut(parent) {
                    node.last = prev;
                }
            }
        }
        if let Some(node) = self.node_mut(id) {
            (node.parent, node.prev, node.next) = (NIL, NIL, NIL);
        }
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

    pub(super) fn outline_changed(&mut self, id: TreeId) {
        if let Some(tree) = self.tree_mut(id) {
            tree.outline_stale = true;
        }
    }

    /// Rebuilds the outline if a structural change made it stale.
    pub(super) fn refresh_outline(&mut self, id: TreeId) {
        let Some(tree) = self.tree_mut(id) else { return };
        if !tree.outline_stale {
            return;
        }
        let mut outline = std::mem::take(&mut tree.outline);
        let root = tree.root;
        outline.clear();
        let mut at = root;
        while at != NIL {
            let class = self.node(at).class;
            if class != Class::Selection && class != Class::Root {
                outline.push(at);
            }
            at = self.after(root, at);
        }
        if let Some(tree) = self.tree_mut(id) {
            tree.outline = outline;
            tree.outline_stale = false;
        }
    }

    /// The nearest market at or above a node, `NIL` if there is none.
    #[inline]
    pub(super) fn market_of(&self, mut id: NodeId) -> NodeId {
        while id != NIL {
            let node = self.node(id);
            if node.class == Class::Market {
                return id;
            }
            id = node.parent;
        }
        NIL
    }
}
