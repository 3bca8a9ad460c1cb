//! Inserts: a new node at its place, or one that is there already replaced and moved.

use super::delta::{Delta, Reports};
use super::forest::Forest;
use super::key::Key;
use super::mapping::{Class, Role};
use super::store::{Finger, NIL, NOTHING, Node, NodeId};
use super::text;
use super::update::Step;
use crate::payload::observe::Sink;
use crate::payload::{Result, TreeError};
use touchline_common::model::{Handle, OddsChange};

impl Forest {
    pub(super) fn insert(&mut self, parent: NodeId, delta: &Delta<'_>, sink: &mut dyn Sink) -> Result<()> {
        let tree = self.store.node(parent).tree;
        let owner = self.store.owner_of(tree);
        let held = self.store.find_in(tree, delta.target());
        self.check_insert(parent, held, delta)?;
        let text = self.inserted_text(delta);
        let mut reports = std::mem::take(&mut self.scratch.reports).again();
        let id = match held {
            Some(id) => {
                self.insert_again(id, parent, text, delta, &mut reports, sink);
                id
            }
            None => {
                let id = self.store.make(tree, text, &self.mapping);
                self.place(id, parent);
                self.store.enter(id, delta.target());
                if self.store.node(id).class != Class::Selection {
                    self.store.outline_changed(tree);
                }
                id
            }
        };
        reports.restructured(self.moves(id));
        if owner == NIL {
            self.list_changed(tree, id);
        } else if self.matches.get(owner as usize).is_some_and(|held| !held.live) {
            self.match_loaded(owner, delta.received, sink);
        } else {
            reports.all_odds |= self.mark_structure(owner, id, delta.received);
            if held.is_none() && self.is_first(owner, tree, id) {
                self.report_new(owner, id, &mut reports, sink);
            }
            self.report_seen(owner, delta, reports, sink);
        }
        Ok(())
    }

    /// A market is open now, a selection has its first price, or statistics their first values.
    fn report_new(&mut self, owner: u32, id: NodeId, reports: &mut Reports<'_>, sink: &mut dyn Sink) {
        let class = self.store.node(id).class;
        if !class.is_odds() {
            for role in [Role::Value].into_iter().chain(Role::STATS) {
                if self.store.attribute(id, self.mapping.key(class, role)).is_some() {
                    reports.values.extend(self.figure(id, role));
                }
            }
            return;
        }
        if self.handle(owner, id, sink) == Handle(0) {
            return;
        }
        if self.store.node(id).class == Class::Selection {
            self.state_selection(id, reports);
        } else {
            reports.odds.push(OddsChange::MarketOpen(self.market_value(id)));
        }
    }

    fn check_insert(&self, parent: NodeId, held: Option<NodeId>, delta: &Delta<'_>) -> Result<()> {
        let tree = self.store.node(parent).tree;
        let (nodes, bytes) = self.store.tree(tree).map_or((0, 0), |tree| (tree.nodes, tree.bytes));
        let mut below = 1;
        if let Some(id) = held {
            if self.store.is_below(parent, id) {
                return Err(TreeError::Cycle { path: delta.named() });
            }
            if self.store.node(id).parent != parent {
                below = self.height(id);
            }
        } else if nodes + 1 + self.nodes_beside(tree) > self.limits.nodes {
            return Err(TreeError::Nodes { limit: self.limits.nodes });
        }
        if bytes + delta.text.len() + delta.target().len() + 8 > self.limits.bytes {
            return Err(TreeError::Bytes { limit: self.limits.bytes });
        }
        if self.store.upwards(parent).skip(1).count() + below > self.limits.depth {
            return Err(TreeError::Depth { limit: self.limits.depth });
        }
        Ok(())
    }

    /// The new node's text, with the path's last part as its topic id whatever the body says.
    fn inserted_text(&self, delta: &Delta<'_>) -> Vec<u8> {
        let mut text = delta.text.to_vec();
        if text.last() != Some(&b';') {
            text.push(b';');
        }
        let it = delta.target();
        match text::find(&text, self.mapping.topic) {
            Some((start, end)) => {
                text.splice(start..end, it.iter().copied());
            }
            None => text::append(&mut text, &self.mapping.topic_name, it),
        }
        text
    }

    /// An insert of what is there already: its attributes are replaced, what is below it stays, it moves.
    fn insert_again<'a>(
        &mut self,
        id: NodeId,
        parent: NodeId,
        text: Vec<u8>,
        delta: &Delta<'a>,
        reports: &mut Reports<'a>,
        sink: &mut dyn Sink,
    ) {
        let &Node { tree, class: old_class, .. } = self.store.node(id);
        let owner = self.store.owner_of(tree);
        let class = self.mapping.class(Key::of(text::type_word(&text)));
        if owner != NIL {
            // Where it stood until now.
            self.mark_structure(owner, id, delta.received);
        }
        reports.restructured(self.moves(id));
        let name = self.mapping.key(class, Role::Name);
        let name_of = |text| text::find(text, name).and_then(|(from, to)| text.get(from..to));
        // Whatever moves may take selections from one market to another.
        let moved = self.store.market_of(self.store.node(id).parent) != self.store.market_of(parent);
        let renamed = moved
            || (class.is_odds() || old_class.is_odds())
                && (class != old_class || name_of(self.store.text(id)) != name_of(&text));
        if class == old_class && owner != NIL {
            self.report_replacement(id, &text, owner, delta, reports, sink);
        }
        if renamed && owner != NIL {
            self.forget_handles_below(owner, id);
            // What was reported above is under a handle of the past.
            reports.all_odds = true;
        }
        if class != old_class {
            let node = self.store.node_mut(id);
            (node.memory, node.step, node.dirty, node.handle) = (0, NOTHING, false, Handle(0));
        }
        if class != Class::Selection || old_class != Class::Selection || self.store.node(id).first != NIL {
            self.store.outline_changed(tree);
        }
        self.store.replace_text(id, text, &self.mapping);
        if self.store.root_of(tree) != id {
            self.store.unlink(id);
            self.place(id, parent);
        }
    }

    fn report_replacement<'a>(
        &mut self,
        id: NodeId,
        text: &[u8],
        owner: u32,
        delta: &Delta<'a>,
        reports: &mut Reports<'a>,
        sink: &mut dyn Sink,
    ) {
        let &Node { class, tree, .. } = self.store.node(id);
        let reporting = self.is_first(owner, tree, id);
        let mut steps = Vec::new();
        let own = [Role::Odds, Role::Suspended, Role::Won, Role::Comment, Role::Value];
        for role in own.into_iter().chain(Role::STATS) {
            let key = self.mapping.key(class, role);
            let old = self.store.attribute(id, key).unwrap_or_default();
            // The text differs from the body's at most in its topic id, so the value is taken from the body.
            let place = text::find(delta.text, key).filter(|_| text::find(text, key).is_some());
            let new = place.and_then(|(start, end)| delta.text.get(start..end)).unwrap_or_default();
            if old == new {
                continue;
            }
            let step = self.step_of(id, role, old, new);
            if let Some(Step::Price { old, new, .. }) = step {
                self.store.price_moved(id, old, new);
            }
            steps.extend(step.map(|step| (place, step)));
        }
        steps.sort_by_key(|(place, _)| *place);
        for (_, step) in steps.into_iter().filter(|_| reporting) {
            self.note(owner, id, step, reports, sink);
        }
    }

    /// Links a node below `parent` at the place its order attribute names among its like; without one, last.
    fn place(&mut self, id: NodeId, parent: NodeId) {
        let &Node { kind, class, tree, .. } = self.store.node(id);
        // A kind that the table does not name is placed as an event is.
        let class = if class == Class::Other { Class::Event } else { class };
        let order = self.store.attribute(id, self.mapping.key(class, Role::Order));
        let order = order.and_then(|text| text::whole(text, 9)).map(|n| n as u32);
        let Some(order) = order else {
            self.store.link(id, parent, NIL);
            return;
        };
        let finger = self.store.tree(tree).map(|tree| tree.finger).unwrap_or_default();
        let near = finger.kind == Some(kind) && finger.parent == parent && finger.place <= order;
        let (mut at, mut place) = if near {
            (finger.node, finger.place)
        } else {
            (self.same_kind(self.store.node(parent).first, kind), 0)
        };
        while at != NIL && place < order {
            at = self.same_kind(self.store.node(at).next, kind);
            place += 1;
        }
        self.store.link(id, parent, at);
        if let Some(tree) = self.store.tree_mut(tree) {
            tree.finger = Finger { parent, kind: Some(kind), place, node: id };
        }
    }

    fn same_kind(&self, mut id: NodeId, kind: Key) -> NodeId {
        while id != NIL && self.store.node(id).kind != kind {
            id = self.store.node(id).next;
        }
        id
    }

    /// Levels of the subtree of `top`, itself included.
    fn height(&self, top: NodeId) -> usize {
        let level = |id| self.store.upwards(id).take_while(|above| *above != top).count() + 1;
        self.store.subtree(top).map(level).max().unwrap_or(0)
    }
}
