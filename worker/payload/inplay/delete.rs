//! Deletes: a node and all below it go; the markets among them are reported as closed.

use super::delta::{Delta, Reports};
use super::dirty::Parts;
use super::forest::Forest;
use super::mapping::Class;
use super::store::{NIL, NodeId, TreeId};
use crate::payload::TreeError;
use crate::payload::observe::{Received, Sink};
use touchline_common::model::{Handle, OddsChange};

impl Forest {
    pub(super) fn delete_all(&mut self, delta: &Delta<'_>, sink: &mut dyn Sink) -> Result<usize, TreeError> {
        let found = self.targets(delta, delta.target())?;
        for &id in &found {
            self.delete(id, delta, sink);
        }
        let count = found.len();
        self.scratch.found = found;
        Ok(count)
    }

    pub(super) fn delete(&mut self, id: NodeId, delta: &Delta<'_>, sink: &mut dyn Sink) {
        let (tree, class, leaf) = {
            let node = self.store.node(id);
            (node.tree, node.class, node.first == NIL)
        };
        let Some(held) = self.store.tree(tree) else { return };
        let owner = held.owner;
        self.approach(owner, sink);
        if held.root == id {
            let topic = held.topic.clone();
            // It is held, so there is no error to tell.
            let _ = self.topic_removed(topic.as_bytes(), delta.received, sink);
            return;
        }
        if owner == NIL {
            self.list_deleted(tree, id);
        }
        let mut reports = std::mem::take(&mut self.scratch.reports).again();
        if owner != NIL {
            self.mark_structure(owner, id, delta.received);
            self.close_markets(owner, tree, id, &mut reports);
            self.retire_markets(owner, id);
        }
        self.store.unlink(id);
        self.forget_finger(tree);
        if class != Class::Selection || !leaf {
            self.store.outline_changed(tree);
        }
        if owner != NIL {
            reports.all_odds = self.show_shadowed(owner, tree, id, delta.received);
            reports.registers = self.moves_registers(id);
        }
        self.store.free_subtree(id);
        if owner != NIL {
            self.report_seen(owner, delta, reports, sink);
        }
        self.touch(owner, sink);
    }

    fn close_markets(&self, owner: u32, tree: TreeId, top: NodeId, reports: &mut Reports<'_>) {
        let mut id = top;
        while id != NIL {
            let node = self.store.node(id);
            // Of one without a handle nothing was ever reported.
            if node.class == Class::Market && node.handle != Handle(0) && self.is_first(owner, tree, id) {
                reports.odds.push(OddsChange::MarketClose { market: node.handle });
            }
            id = self.store.after(top, id);
        }
    }

    /// Markets of later trees that stood behind those below `top` are shown from now on; whether there are any.
    fn show_shadowed(&mut self, owner: u32, tree: TreeId, top: NodeId, received: Received) -> bool {
        let Some(held) = self.matches.get(owner as usize).filter(|held| held.trees.len() > 1) else {
            return false;
        };
        let later: Vec<TreeId> =
            held.trees.iter().copied().skip_while(|other| *other != tree).skip(1).collect();
        let mut shows = false;
        let mut id = top;
        while id != NIL {
            if self.store.node(id).class == Class::Market {
                for &other in &later {
                    if let Some(shown) = self.store.find_in(other, self.store.it(id)) {
                        self.node_changed(owner, shown, Parts::NODES, received);
                        shows = true;
                    }
                }
            }
            id = self.store.after(top, id);
        }
        shows
    }
}
