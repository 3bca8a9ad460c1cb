//! Inserts: a new node at its place, or one that is there already replaced and moved.

use super::delta::{Delta, Reports};
use super::forest::Forest;
use super::key::Key;
use super::mapping::{Class, Role};
use super::store::{Finger, NIL, NodeId, TreeId};
use super::text;
use super::update::Step;
use crate::payload::TreeError;
use crate::payload::observe::Sink;
use touchline_common::model::{Handle, MarketValue, OddsChange};

impl Forest {
    pub(super) fn insert_all(&mut self, delta: &Delta<'_>, sink: &mut dyn Sink) -> Result<usize, TreeError> {
        let incomplete = || TreeError::IncompleteInsert { path: delta.named() };
        let parent = delta.parent().ok_or_else(incomplete)?;
        if text::type_word(delta.text()).is_empty() || delta.target().is_empty() {
            return Err(incomplete());
        }
        let found = match self.targets(delta, parent) {
            Err(TreeError::MissingTarget { path }) => return Err(TreeError::MissingParent { path }),
            other => other?,
        };
        let mut result = Ok(found.len());
        for &parent in &found {
            if let Err(error) = self.insert(parent, delta, sink) {
                result = Err(error);
            }
        }
        self.scratch.found = found;
        result
    }

    pub(super) fn insert(
        &mut self,
        parent: NodeId,
        delta: &Delta<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), TreeError> {
        let tree = self.store.node(parent).tree;
        let owner = self.store.tree(tree).map_or(NIL, |tree| tree.owner);
        self.approach(owner, sink);
        let held = self.store.find_in(tree, delta.target());
        self.check_insert(tree, parent, held, delta)?;
        let text = self.inserted_text(delta);
        let mut reports = std::mem::take(&mut self.scratch.reports).again();
        let id = match held {
            Some(id) => self.insert_again(id, parent, text, delta, &mut reports, sink),
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
        reports.registers |= self.moves_registers(id);
        if owner == NIL {
            self.list_inserted(tree, id);
        } else if self.matches.get(owner as usize).is_some_and(|held| !held.live) {
            self.match_loaded(owner, delta.received, sink);
        } else {
            reports.all_odds |= self.mark_structure(owner, id, delta.received);
            if held.is_none() && self.is_first(owner, tree, id) {
                self.report_new(owner, id, &mut reports, sink);
            }
            self.report_seen(owner, delta, reports, sink);
        }
        self.touch(owner, sink);
        Ok(())
    }

    /// A market is open now, or a selection has its first price.
    fn report_new(&mut self, owner: u32, id: NodeId, reports: &mut Reports<'_>, sink: &mut dyn Sink) {
        let class = self.store.node(id).class;
        if class == Class::Selection && self.selection_handle(owner, id, sink) != Handle(0) {
            self.state_selection(id, reports);
        }
        if class != Class::Market {
            return;
        }
        let market = self.market_handle(owner, id, sink);
        if market != Handle(0) {
            let key = self.mapping.key(Class::Market, Role::Suspended);
            let suspended = text::suspended(self.store.attribute(id, key));
            reports.odds.push(OddsChange::MarketOpen(MarketValue { market, suspended }));
        }
    }

    pub(super) fn check_insert(
        &self,
        tree: TreeId,
        parent: NodeId,
        held: Option<NodeId>,
        delta: &Delta<'_>,
    ) -> Result<(), TreeError> {
        let (nodes, bytes) = self.store.tree(tree).map_or((0, 0), |tree| (tree.nodes, tree.bytes));
        let mut below = 1;
        if let Some(id) = held {
            if self.is_above(id, parent) {
                return Err(TreeError::Cycle { path: delta.named() });
            }
            if self.store.node(id).parent != parent {
                below = self.height(id);
            }
        } else if nodes + 1 + self.nodes_beside(tree) > self.limits.nodes {
            return Err(TreeError::Nodes { limit: self.limits.nodes });
        }
        if bytes + delta.text().len() + delta.target().len() + 8 > self.limits.bytes {
            return Err(TreeError::Bytes { limit: self.limits.bytes });
        }
        if self.depth(parent) + below > self.limits.depth {
            return Err(TreeError::Depth { limit: self.limits.depth });
        }
        Ok(())
    }

    /// The new node's text, with the path's last part as its topic id whatever the body says.
    pub(super) fn inserted_text(&self, delta: &Delta<'_>) -> Vec<u8> {
        let mut text = delta.text().to_vec();
        if text.last() != Some(&b';') {
            text.push(b';');
        }
        let it = delta.target();
        match text::find(&text, self.mapping.topic()) {
            Some((start, end)) => {
                if text.get(start..end) != Some(it) {
                    text.splice(start..end, it.iter().copied());
                }
            }
            None => {
                text.extend_from_slice(self.mapping.topic_name());
                text.push(b'=');
                text.extend_from_slice(it);
                text.push(b';');
            }
        }
        text
    }

    /// An insert of what is there already: its attributes are replaced, what is below it stays, it moves.
    pub(super) fn insert_again<'a>(
        &mut self,
        id: NodeId,
        parent: NodeId,
        text: Vec<u8>,
        delta: &Delta<'a>,
        reports: &mut Reports<'a>,
        sink: &mut dyn Sink,
    ) -> NodeId {
        let (tree, old_class) = {
            let node = self.store.node(id);
            (node.tree, node.class)
        };
        let owner = self.store.tree(tree).map_or(NIL, |tree| tree.owner);
        let class = self.mapping.class(Key::of(text::type_word(&text)));
        if owner != NIL {
            // Where it stood until now.
            self.mark_structure(owner, id, delta.received);
        }
        reports.registers = self.moves_registers(id);
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
            self.store.forget_memory(id);
        }
        if class != Class::Selection || old_class != Class::Selection || self.store.node(id).first != NIL {
            self.store.outline_changed(tree);
        }
        self.store.replace_text(id, text, &self.mapping);
        if self.store.tree(tree).is_some_and(|tree| tree.root != id) {
            self.store.unlink(id);
            self.forget_finger(tree);
            self.place(id, parent);
        }
        id
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
        const WATCHED: [Role; 11] = [
            Role::Odds,
            Role::Suspended,
            Role::Comment,
            Role::Stat1,
            Role::Stat2,
            Role::Stat3,
            Role::Stat4,
            Role::Stat5,
            Role::Stat6,
            Role::Stat7,
            Role::Stat8,
        ];
        let class = self.store.node(id).class;
        let tree = self.store.node(id).tree;
        let reporting = self.is_first(owner, tree, id);
        let mut steps = Vec::new();
        for role in WATCHED {
            let key = self.mapping.key(class, role);
            let old = self.store.attribute(id, key).unwrap_or_default();
            // The text differs from the body's at most in its topic id, so the value is taken from the body.
            let place = text::find(delta.text(), key).filter(|_| text::find(text, key).is_some());
            let new = place.and_then(|(start, end)| delta.text().get(start..end)).unwrap_or_default();
            if old == new {
                continue;
            }
            let step = self.step_of(id, role, old, new);
            if let Step::Price { old, new, .. } = step {
                self.store.price_moved(id, old, new);
            }
            steps.push((place, step));
        }
        steps.sort_by_key(|(place, _)| *place);
        for (_, step) in steps.into_iter().filter(|_| reporting) {
            self.note(owner, id, step, reports, sink);
        }
    }

    /// Links a node below `parent` at the place its order attribute names among its like; without one, last.
    pub(super) fn place(&mut self, id: NodeId, parent: NodeId) {
        let (kind, class, tree) = {
            let node = self.store.node(id);
            (node.kind, node.class, node.tree)
        };
        let order = self.store.attribute(id, self.mapping.key(class, Role::Order));
        let order = order.and_then(|text| text::whole(text, 9)).map(|n| n as u32);
        let Some(order) = order else {
            self.store.link(id, parent, NIL);
            return;
        };
        let finger = self.store.tree(tree).map(|tree| tree.finger).unwrap_or_default();
        let near = finger.kind == Some(kind) && finger.parent == parent && finger.place <= order;
        let (mut at, mut place) =
            if near { (finger.node, finger.place) } else { (self.store.node(parent).first, 0) };
        if !near {
            at = self.same_kind(at, kind);
        }
        while at != NIL && place < order {
            at = self.same_kind(self.store.node(at).next, kind);
            place += 1;
        }
        self.store.link(id, parent, at);
        if let Some(tree) = self.store.tree_mut(tree) {
            tree.finger = Finger { parent, kind: Some(kind), place, node: id };
        }
    }

    pub(super) fn same_kind(&self, mut id: NodeId, kind: Key) -> NodeId {
        while id != NIL && self.store.node(id).kind != kind {
            id = self.store.node(id).next;
        }
        id
    }

    pub(super) fn forget_finger(&mut self, tree: TreeId) {
        if let Some(tree) = self.store.tree_mut(tree) {
            tree.finger = Finger::default();
        }
    }

    pub(super) fn is_above(&self, id: NodeId, mut below: NodeId) -> bool {
        while below != NIL && below != id {
            below = self.store.node(below).parent;
        }
        below == id
    }

    pub(super) fn depth(&self, mut id: NodeId) -> usize {
        let mut depth = 0;
        while self.store.node(id).parent != NIL {
            id = self.store.node(id).parent;
            depth += 1;
        }
        depth
    }

    pub(super) fn height(&self, top: NodeId) -> usize {
        let (mut id, mut level, mut most) = (top, 1, 1);
        loop {
            most = most.max(level);
            let node = self.store.node(id);
            if node.first != NIL {
                (id, level) = (node.first, level + 1);
                continue;
            }
            while id != top && self.store.node(id).next == NIL {
                (id, level) = (self.store.node(id).parent, level - 1);
            }
            if id == top {
                return most;
            }
            id = self.store.node(id).next;
        }
    }
}
