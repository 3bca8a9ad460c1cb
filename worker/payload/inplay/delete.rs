//! Deletes: a node and all below it go; the markets among them are reported as closed.

use super::class::Parts;
use super::delta::{Delta, Reports};
use super::forest::Forest;
use super::mapping::Class;
use super::store::{NIL, NodeId, TreeId};
use crate::payload::Result;
use crate::payload::observe::{Received, Sink};
use touchline_common::model::{Handle, OddsChange};

impl Forest {
    pub(super) fn delete(&mut self, id: NodeId, delta: &Delta<'_>, sink: &mut dyn Sink) -> Result<()> {
        let node = self.store.node(id);
        let (tree, is_outlined) = (node.tree, node.class != Class::Selection || node.first != NIL);
        let owner = self.store.owner_of(tree);
        if self.store.root_of(tree) == id {
            self.end_topic(tree, delta.received, sink);
            return Ok(());
        }
        let mut reports = std::mem::take(&mut self.scratch.reports).again();
        if owner == NIL {
            self.list_deleted(tree, id);
        } else {
            self.mark_structure(owner, id, delta.received);
            self.close_markets(owner, tree, id, &mut reports);
            self.retire_markets(owner, id);
        }
        self.store.unlink(id);
        if is_outlined {
            self.store.outline_changed(tree);
        }
        if owner != NIL {
            reports.all_odds = self.show_shadowed(owner, tree, id, delta.received);
            reports.restructured(self.moves(id));
        }
        self.store.free_subtree(id);
        if owner != NIL {
            self.report_seen(owner, delta, reports, sink);
        }
        Ok(())
    }

    fn close_markets(&self, owner: u32, tree: TreeId, top: NodeId, reports: &mut Reports<'_>) {
        for id in self.store.markets_below(top) {
            let market = self.store.node(id).handle;
            // Of one without a handle nothing was ever reported.
            if market != Handle(0) && self.is_first(owner, tree, id) {
                reports.odds.push(OddsChange::MarketClose { market });
            }
        }
    }

    /// Markets of later trees that stood behind those below `top` are shown from now on; whether there are any.
    fn show_shadowed(&mut self, owner: u32, tree: TreeId, top: NodeId, received: Received) -> bool {
        let later = self.trees_behind(owner, tree);
        let mut shows = false;
        for id in self.store.markets_below(top) {
            for &other in &later {
                if let Some(shown) = self.store.find_in(other, self.store.it(id)) {
                    self.node_changed(owner, shown, Parts::NODES, received);
                    shows = true;
                }
            }
        }
        shows
    }
}
