//! Changing a node's text: in place where the length allows, else in a text that the node owns.

use super::key::Key;
use super::mapping::Mapping;
use super::store::{NIL, NodeId, Store, TreeId};
use super::text;

impl Store {
    pub(super) fn replace_text(&mut self, id: NodeId, text: Vec<u8>, mapping: &Mapping) {
        let kind = Key::of(text::type_word(&text));
        let (own, tree) = (self.node(id).own, self.node(id).tree);
        let was = self.owned.get(own as usize).map_or(0, Vec::len);
        self.resized(tree, was, text.len());
        let own = match self.owned.get_mut(own as usize) {
            Some(place) => {
                *place = text;
                own
            }
            None => self.owned.insert(text) as u32,
        };
        let node = self.node_mut(id);
        (node.own, node.kind, node.class) = (own, kind, mapping.class(kind));
        self.find_it_again(id, mapping);
    }

    /// Puts `value` in the place of `start..end` of the node's text, which is a value; or appends `name=value;` if
    /// `at` is `None`.
    pub(super) fn set(&mut self, id: NodeId, at: Option<(usize, usize)>, name: &[u8], value: &[u8]) {
        if let Some((start, end)) = at
            && end - start == value.len()
        {
            if let Some(place) = self.text_mut(id).and_then(|text| text.get_mut(start..end)) {
                place.copy_from_slice(value);
            }
            return;
        }
        let was = self.text(id).len();
        let Some(text) = self.own_text(id) else { return };
        match at {
            Some((start, end)) => {
                if start <= end && end <= text.len() {
                    text.splice(start..end, value.iter().copied());
                }
            }
            None => text::append(text, name, value),
        }
        let now = text.len();
        self.moved(id, at, was, now);
    }

    /// Looks up anew where the topic id stands in a node's text.
    pub(super) fn find_it_again(&mut self, id: NodeId, mapping: &Mapping) {
        let (start, end) = text::find(self.text(id), mapping.topic).unwrap_or_default();
        let node = self.node_mut(id);
        (node.it_at, node.it_len) = (start as u32, (end - start) as u32);
    }

    /// Keeps the place of the topic id and the tree's bytes right after a text has changed its length.
    fn moved(&mut self, id: NodeId, at: Option<(usize, usize)>, was: usize, now: usize) {
        self.resized(self.node(id).tree, was, now);
        let Some((start, _)) = at else { return };
        let node = self.node_mut(id);
        if start < node.it_at as usize {
            node.it_at = (node.it_at as usize + now).saturating_sub(was) as u32;
        } else if start == node.it_at as usize {
            node.it_len = (node.it_len as usize + now).saturating_sub(was) as u32;
        }
    }

    /// A text of a tree that took `was` bytes takes `now`.
    pub(super) fn resized(&mut self, tree: TreeId, was: usize, now: usize) {
        if let Some(tree) = self.tree_mut(tree) {
            tree.bytes = (tree.bytes + now).saturating_sub(was);
        }
    }

    fn text_mut(&mut self, id: NodeId) -> Option<&mut [u8]> {
        let node = self.nodes.get(id as usize)?;
        if node.own != NIL {
            return self.owned.get_mut(node.own as usize).map(Vec::as_mut_slice);
        }
        self.trees.get_mut(node.tree as usize)?.buffer.get_mut(node.start as usize..node.end as usize)
    }

    fn own_text(&mut self, id: NodeId) -> Option<&mut Vec<u8>> {
        if self.node(id).own == NIL {
            let text = self.text(id).to_vec();
            self.resized(self.node(id).tree, 0, text.len());
            self.node_mut(id).own = self.owned.insert(text) as u32;
        }
        let own = self.node(id).own;
        self.owned.get_mut(own as usize)
    }
}
