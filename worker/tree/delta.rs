//! A change to a node: update, insert, delete; which trees it goes to and what of it is told.
//!
//! A path is split at `/`: its last part is the node, the one before it the parent. If an insert's or delete's path
//! of two parts or more begins with a topic that is held, it goes to that tree only; else to every tree that has the
//! node. Of two trees of one match the first that has a node tells its flips.

use super::forest::{Applied, Forest, MatchSlot};
use super::key::Key;
use super::mapping::{Class, Role};
use super::observe::{FlipAt, Received, Seen, Sink, Span};
use super::reading::Reading;
use super::store::{Finger, NIL, NodeId, TreeId};
use super::{TreeError, class, registers, text};
use touchline_common::model::{Price, RegisterChange};

/// One delta as its parts.
#[derive(Clone, Copy)]
pub(super) struct Delta<'a> {
    path: &'a [u8],
    body: &'a [u8],
    /// Where the node's text lies in the body.
    node: Span,
    received: Received,
}

impl Delta<'_> {
    fn named(&self) -> String {
        String::from_utf8_lossy(self.path).into_owned()
    }

    fn target(&self) -> &[u8] {
        let from = memchr::memrchr(b'/', self.path).map_or(0, |at| at + 1);
        self.path.get(from..).unwrap_or_default()
    }

    fn parent(&self) -> Option<&[u8]> {
        let before = self.path.get(..memchr::memrchr(b'/', self.path)?)?;
        let from = memchr::memrchr(b'/', before).map_or(0, |at| at + 1);
        before.get(from..)
    }

    fn root(&self) -> Option<&[u8]> {
        self.path.get(..memchr::memchr(b'/', self.path)?)
    }

    fn text(&self) -> &[u8] {
        self.body.get(self.node.0 as usize..self.node.1 as usize).unwrap_or_default()
    }
}

/// What a changed attribute asks for beyond a new rendering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Registers,
}

impl Forest {
    /// Applies a change. A body that begins with `F` is taken as a load.
    ///
    /// # Errors
    /// A target or parent that is not there, an unknown operation, a limit: nothing changed.
    pub fn delta(
        &mut self,
        topic: &[u8],
        body: &[u8],
        received: Received,
        sink: &mut impl Sink,
    ) -> Result<Applied, TreeError> {
        let end = memchr::memchr(b'|', body.get(2..).unwrap_or_default()).map_or(body.len(), |at| at + 2);
        let node = (2.min(end) as u32, end as u32);
        let delta = Delta { path: topic, body, node, received };
        let ignored = usize::from(body.get(end..).unwrap_or_default().iter().any(|&b| b != b'|'));
        let nodes = match body {
            [b'F', b'|', ..] | b"EMPTY" => return self.load(topic, body, received, sink),
            [b'U', b'|', ..] => self.update_all(&delta, sink)?,
            [b'I', b'|', ..] => self.insert_all(&delta, sink)?,
            [b'D', b'|', ..] | [b'D'] => self.delete_all(&delta, sink)?,
            _ => return Err(TreeError::UnknownOperation { topic: delta.named() }),
        };
        Ok(Applied { nodes, ignored })
    }

    /// The nodes with this id that a path's deltas go to, in the scratch list.
    fn targets(&mut self, delta: &Delta<'_>, it: &[u8]) -> Result<Vec<NodeId>, TreeError> {
        let mut found = std::mem::take(&mut self.scratch.found);
        found.clear();
        let root = delta.root();
        match root.and_then(|root| self.topics.get(root)) {
            Some(&tree) => found.extend(self.store.find_in(tree, it)),
            None => self.store.find_all(it, &mut found),
        }
        if !found.is_empty() {
            return Ok(found);
        }
        self.scratch.found = found;
        let first = root.unwrap_or(delta.path);
        if root.is_some() && !self.topics.contains_key(first) && !self.store.knows(first) {
            return Err(TreeError::TopicNotHeld { topic: String::from_utf8_lossy(first).into_owned() });
        }
        Err(TreeError::MissingTarget { path: delta.named() })
    }

    // --- update ---

    fn update_all(&mut self, delta: &Delta<'_>, sink: &mut impl Sink) -> Result<usize, TreeError> {
        let found = self.targets(delta, delta.target())?;
        let mut result = Ok(found.len());
        for &id in &found {
            if let Err(error) = self.update(id, delta, sink) {
                result = Err(error);
            }
        }
        self.scratch.found = found;
        result
    }

    fn update(&mut self, id: NodeId, delta: &Delta<'_>, sink: &mut impl Sink) -> Result<(), TreeError> {
        let (class, tree) = {
            let node = self.store.node(id);
            (node.class, node.tree)
        };
        let (owner, bytes) = self.store.tree(tree).map_or((NIL, 0), |tree| (tree.owner, tree.bytes));
        if bytes + delta.text().len() > self.limits.bytes {
            return Err(TreeError::Bytes { limit: self.limits.bytes });
        }
        // An artificial root has no text to change.
        if class == Class::Root {
            self.touch(owner, sink);
            return Ok(());
        }
        let tells = owner != NIL && self.is_first(owner, tree, id);
        let mut flips = std::mem::take(&mut self.scratch.flips);
        let (mut changed, mut told) = (false, Told::Nothing);
        let mut at = delta.node.0 as usize;
        for token in delta.text().split(|&b| b == b';') {
            let start = at;
            at += token.len() + 1;
            // A first word without `=` is the node's type, said again.
            let Some(equals) = token.iter().position(|&b| b == b'=') else {
                continue;
            };
            let (name, value) =
                (token.get(..equals).unwrap_or_default(), token.get(equals + 1..).unwrap_or_default());
            let span = ((start + equals + 1) as u32, (start + token.len()) as u32);
            let key = Key::of(name);
            let text = self.store.text(id);
            let held = text::find_name(text, name);
            let old = held.and_then(|(from, to)| text.get(from..to));
            if old == Some(value) {
                continue;
            }
            changed = true;
            let role = self.mapping.role(class, key);
            if role == Some(Role::Topic) {
                self.rename(owner, id, held, value, delta.received);
                continue;
            }
            if let Some(role) = role
                && owner != NIL
            {
                let change = Change { id, class, role, old: old.unwrap_or_default(), new: value, span };
                let (moved, flip) = self.judge(&change, owner);
                if let Some((old, new)) = moved {
                    self.store.price_moved(id, old, new);
                }
                flips.extend(flip.filter(|_| tells));
                if role.moves_registers() && (class == Class::Event || class == Class::Team)
                    || class == Class::Sport && role == Role::Id
                {
                    told = Told::Registers;
                }
            }
            self.store.set(id, held, name, value);
        }
        if owner == NIL {
            if changed {
                self.list_node_changed(tree, id);
            }
        } else {
            if changed {
                self.node_changed(owner, id, delta.received);
            }
            if changed && class == Class::Event {
                self.forget_clock(owner);
            }
            self.tell(owner, delta, &mut flips, told, sink);
        }
        self.scratch.flips = flips;
        self.touch(owner, sink);
        Ok(())
    }

    /// A node gets another topic id.
    fn rename(
        &mut self,
        owner: u32,
        id: NodeId,
        held: Option<(usize, usize)>,
        value: &[u8],
        received: Received,
    ) {
        if owner != NIL {
            self.retire_market(owner, id);
            self.head_changed(owner, received);
        }
        self.store.leave(id);
        let name = self.mapping.topic_name().to_vec();
        self.store.set(id, held, &name, value);
        self.store.find_it_again(id, &self.mapping);
        self.store.enter(id, value);
    }

    /// What a change of one attribute lets be told: the price's step and the flip.
    fn judge(
        &self,
        change: &Change<'_>,
        owner: u32,
    ) -> (Option<(Option<Price>, Option<Price>)>, Option<FlipAt>) {
        let Change { id, class, role, old, new, span } = *change;
        let was_suspended = text::suspended(Some(old));
        let suspended = text::suspended(Some(new));
        match (class, role) {
            (Class::Selection, Role::Odds) => {
                let price = |text| std::str::from_utf8(text).ok().and_then(Price::from_fraction);
                let (old, odds) = (price(old), price(new));
                let market = self.market_told(id).filter(|_| old != odds);
                let flip = market.map(|market| FlipAt::Odds { market, selection: id, odds, text: span });
                (Some((old, odds)), flip)
            }
            (Class::Selection, Role::Suspended) => {
                let market = self.market_told(id).filter(|_| suspended != was_suspended);
                (None, market.map(|market| FlipAt::SelectionSuspended { market, selection: id, suspended }))
            }
            (Class::Market, Role::Suspended) => {
                let market = self.market_told(id).filter(|_| suspended != was_suspended);
                (None, market.map(|market| FlipAt::MarketSuspended { market, suspended }))
            }
            (Class::Event, Role::Comment) if !new.is_empty() => (None, Some(FlipAt::Comment { text: span })),
            (Class::Team, role) => (None, self.judge_stat(id, role, new, span, owner)),
            _ => (None, None),
        }
    }

    fn judge_stat(&self, team: NodeId, role: Role, new: &[u8], text: Span, owner: u32) -> Option<FlipAt> {
        if !Role::STATS.contains(&role) || new.is_empty() {
            return None;
        }
        let side = class::side_of(self.store.attribute(team, self.mapping.key(Class::Team, Role::Order))?)?;
        let held = self.matches.get(owner as usize)?;
        let reading = Reading::of(&self.store, &self.mapping, held);
        let key = reading.statistic_key(self.store.node(team).tree, role)?;
        if registers::of_statistic(&key, side).is_some() && text::whole(new, 15).is_some() {
            return None;
        }
        Some(FlipAt::Stat { key: key.into(), side, text })
    }

    /// The market at or above a node, if it has an id by which it can be told.
    fn market_told(&self, id: NodeId) -> Option<NodeId> {
        let market = self.store.market_of(id);
        (market != NIL && self.store.node(market).indexed).then_some(market)
    }

    /// Whether no earlier tree of the match has a node of this id.
    pub(super) fn is_first(&self, owner: u32, tree: TreeId, id: NodeId) -> bool {
        let Some(held) = self.matches.get(owner as usize) else { return true };
        if held.trees.len() < 2 {
            return true;
        }
        let it = self.store.it(id);
        held.trees
            .iter()
            .take_while(|other| **other != tree)
            .all(|other| self.store.find_in(*other, it).is_none())
    }

    // --- insert ---

    fn insert_all(&mut self, delta: &Delta<'_>, sink: &mut impl Sink) -> Result<usize, TreeError> {
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

    fn insert(&mut self, parent: NodeId, delta: &Delta<'_>, sink: &mut impl Sink) -> Result<(), TreeError> {
        let tree = self.store.node(parent).tree;
        let owner = self.store.tree(tree).map_or(NIL, |tree| tree.owner);
        let held = self.store.find_in(tree, delta.target());
        self.check_insert(tree, parent, held, delta)?;
        let text = self.inserted_text(delta);
        let mut flips = std::mem::take(&mut self.scratch.flips);
        let (id, told) = match held {
            Some(id) => self.insert_again(id, parent, text, owner, delta, &mut flips),
            None => {
                let id = self.store.make(tree, text, &self.mapping);
                self.place(id, parent);
                self.store.enter(id, delta.target());
                if self.store.node(id).class != Class::Selection {
                    self.store.outline_changed(tree);
                }
                (id, self.structure_tells(id))
            }
        };
        if owner == NIL {
            self.list_inserted(tree, id);
        } else if self.matches.get(owner as usize).is_some_and(|held| !held.live) {
            self.match_loaded(owner, delta.received, sink);
        } else {
            self.mark_structure(owner, id, delta.received);
            if held.is_none() && self.store.node(id).class == Class::Market && self.is_first(owner, tree, id)
            {
                let name = text::find(delta.text(), self.mapping.key(Class::Market, Role::Name));
                let from = delta.node.0 as usize;
                let name = name.map_or((0, 0), |(start, end)| ((from + start) as u32, (from + end) as u32));
                flips.push(FlipAt::MarketOpen { market: id, name });
            }
            self.tell(owner, delta, &mut flips, told, sink);
        }
        flips.clear();
        self.scratch.flips = flips;
        self.touch(owner, sink);
        Ok(())
    }

    fn check_insert(
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
    fn inserted_text(&self, delta: &Delta<'_>) -> Vec<u8> {
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
    fn insert_again(
        &mut self,
        id: NodeId,
        parent: NodeId,
        text: Vec<u8>,
        owner: u32,
        delta: &Delta<'_>,
        flips: &mut Vec<FlipAt>,
    ) -> (NodeId, Told) {
        let (tree, old_class) = {
            let node = self.store.node(id);
            (node.tree, node.class)
        };
        let class = self.mapping.class(Key::of(text::type_word(&text)));
        if owner != NIL {
            // Where it stood until now.
            self.mark_structure(owner, id, delta.received);
        }
        let before = self.structure_tells(id);
        if class == old_class && owner != NIL {
            self.judge_replacement(id, &text, owner, delta, flips);
        } else if class != old_class {
            if owner != NIL {
                self.retire_markets(owner, id);
            }
            self.store.drop_side(id);
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
        (id, if before == Told::Nothing { self.structure_tells(id) } else { before })
    }

    fn judge_replacement(
        &mut self,
        id: NodeId,
        text: &[u8],
        owner: u32,
        delta: &Delta<'_>,
        flips: &mut Vec<FlipAt>,
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
        let tells = self.is_first(owner, tree, id);
        let mut judged = Vec::new();
        for role in WATCHED {
            let key = self.mapping.key(class, role);
            let old = self.store.attribute(id, key).unwrap_or_default();
            let place = text::find(text, key);
            let new = place.and_then(|(start, end)| text.get(start..end)).unwrap_or_default();
            if old == new {
                continue;
            }
            // The text differs from the body's at most in its topic id; so the place is looked up in the body.
            let span = text::find(delta.text(), key).unwrap_or_default();
            let at = delta.node.0 as usize;
            let span = ((at + span.0) as u32, (at + span.1) as u32);
            let (moved, flip) = self.judge(&Change { id, class, role, old, new, span }, owner);
            judged.extend(flip.filter(|_| tells).map(|flip| (span.0, flip)));
            if let Some((old, new)) = moved {
                self.store.price_moved(id, old, new);
            }
        }
        judged.sort_by_key(|(at, _)| *at);
        flips.extend(judged.into_iter().map(|(_, flip)| flip));
    }

    /// Links a node below `parent` at the place its order attribute names among its like; without one, last.
    fn place(&mut self, id: NodeId, parent: NodeId) {
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

    fn same_kind(&self, mut id: NodeId, kind: Key) -> NodeId {
        while id != NIL && self.store.node(id).kind != kind {
            id = self.store.node(id).next;
        }
        id
    }

    fn forget_finger(&mut self, tree: TreeId) {
        if let Some(tree) = self.store.tree_mut(tree) {
            tree.finger = Finger::default();
        }
    }

    fn is_above(&self, id: NodeId, mut below: NodeId) -> bool {
        while below != NIL && below != id {
            below = self.store.node(below).parent;
        }
        below == id
    }

    fn depth(&self, mut id: NodeId) -> usize {
        let mut depth = 0;
        while self.store.node(id).parent != NIL {
            id = self.store.node(id).parent;
            depth += 1;
        }
        depth
    }

    /// Levels of a subtree, its top counted.
    fn height(&self, top: NodeId) -> usize {
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

    // --- delete ---

    fn delete_all(&mut self, delta: &Delta<'_>, sink: &mut impl Sink) -> Result<usize, TreeError> {
        let found = self.targets(delta, delta.target())?;
        for &id in &found {
            self.delete(id, delta, sink);
        }
        let count = found.len();
        self.scratch.found = found;
        Ok(count)
    }

    fn delete(&mut self, id: NodeId, delta: &Delta<'_>, sink: &mut impl Sink) {
        let (tree, class, leaf) = {
            let node = self.store.node(id);
            (node.tree, node.class, node.first == NIL)
        };
        let Some(held) = self.store.tree(tree) else { return };
        let owner = held.owner;
        if held.root == id {
            let topic = held.topic.clone();
            // It is held, so there is no error to tell.
            let _ = self.topic_removed(topic.as_bytes(), delta.received, sink);
            return;
        }
        if owner == NIL {
            self.list_deleted(tree, id);
        }
        let mut flips = std::mem::take(&mut self.scratch.flips);
        if owner != NIL {
            self.mark_structure(owner, id, delta.received);
            self.close_markets(owner, tree, id, &mut flips);
            self.retire_markets(owner, id);
        }
        self.store.unlink(id);
        self.forget_finger(tree);
        if class != Class::Selection || !leaf {
            self.store.outline_changed(tree);
        }
        if owner != NIL {
            self.show_shadowed(owner, tree, id, delta.received);
            let told = self.structure_tells(id);
            self.tell(owner, delta, &mut flips, told, sink);
        }
        self.store.free_subtree(id);
        flips.clear();
        self.scratch.flips = flips;
        self.touch(owner, sink);
    }

    fn close_markets(&self, owner: u32, tree: TreeId, top: NodeId, flips: &mut Vec<FlipAt>) {
        let mut id = top;
        while id != NIL {
            let node = self.store.node(id);
            if node.class == Class::Market && node.indexed && self.is_first(owner, tree, id) {
                flips.push(FlipAt::MarketClose { market: id });
            }
            id = self.store.after(top, id);
        }
    }

    /// Markets of later trees that stood behind those below `top` are shown from now on.
    fn show_shadowed(&mut self, owner: u32, tree: TreeId, top: NodeId, received: Received) {
        let Some(held) = self.matches.get(owner as usize).filter(|held| held.trees.len() > 1) else { return };
        let later: Vec<TreeId> =
            held.trees.iter().copied().skip_while(|other| *other != tree).skip(1).collect();
        let mut id = top;
        while id != NIL {
            if self.store.node(id).class == Class::Market {
                for &other in &later {
                    if let Some(shown) = self.store.find_in(other, self.store.it(id)) {
                        self.node_changed(owner, shown, received);
                    }
                }
            }
            id = self.store.after(top, id);
        }
    }

    // --- what follows ---

    /// Whether registers may change when a node and what is below it comes, goes or moves.
    fn structure_tells(&self, top: NodeId) -> Told {
        let mut id = top;
        while id != NIL {
            match self.store.node(id).class {
                Class::Sport | Class::Event | Class::Team => return Told::Registers,
                Class::Competition
                | Class::TeamGroup
                | Class::MarketGroup
                | Class::Market
                | Class::Column
                | Class::Selection
                | Class::Scores
                | Class::ScoreColumn
                | Class::ScoreLine
                | Class::StatGroup
                | Class::StatLine
                | Class::Other
                | Class::Root => {}
            }
            id = self.store.after(top, id);
        }
        Told::Nothing
    }

    /// Marks what shows a node that comes, moves or goes with all below it.
    fn mark_structure(&mut self, owner: u32, id: NodeId, received: Received) {
        self.node_changed(owner, id, received);
        if self.store.node(id).class == Class::Selection && self.store.node(id).first == NIL {
            return;
        }
        self.head_changed(owner, received);
        self.markets_below_changed(owner, id, received);
        self.hide_shadowed(owner, id, received);
    }

    /// A market that comes in an earlier tree takes over what was published of the same one in a later tree.
    fn hide_shadowed(&mut self, owner: u32, id: NodeId, received: Received) {
        let tree = self.store.node(id).tree;
        let Some(held) = self.matches.get(owner as usize).filter(|held| held.trees.len() > 1) else { return };
        if self.store.node(id).class != Class::Market {
            return;
        }
        let later: Vec<TreeId> =
            held.trees.iter().copied().skip_while(|other| *other != tree).skip(1).collect();
        for other in later {
            if let Some(hidden) = self.store.find_in(other, self.store.it(id)) {
                self.retire_markets(owner, hidden);
                self.markets_below_changed(owner, hidden, received);
            }
        }
    }

    fn touch(&self, owner: u32, sink: &mut impl Sink) {
        if owner != NIL {
            sink.touched(MatchSlot(owner));
        }
    }

    /// Tells flips and what registers changed, if anything did.
    fn tell(
        &mut self,
        owner: u32,
        delta: &Delta<'_>,
        flips: &mut Vec<FlipAt>,
        told: Told,
        sink: &mut impl Sink,
    ) {
        self.scratch.changes.clear();
        if told == Told::Registers {
            self.forget_clock(owner);
            self.refresh_match(owner);
            if self.tell_if_facts_changed(owner, delta.received, sink) {
                flips.clear();
                return;
            }
            self.compare_registers(owner);
        }
        if flips.is_empty() && self.scratch.changes.is_empty() {
            return;
        }
        self.read_clock(owner);
        if let Some(held) = self.matches.get(owner as usize).filter(|held| held.live) {
            let clock = held.clock.and_then(|clock| clock.shown(delta.received.wall_us));
            let seen = Seen {
                store: &self.store,
                body: delta.body,
                registers: &self.scratch.changes,
                flips,
                clock,
                received: delta.received,
            };
            sink.observed(MatchSlot(owner), &seen);
        }
        flips.clear();
    }

    fn forget_clock(&mut self, owner: u32) {
        if let Some(held) = self.matches.get_mut(owner as usize) {
            held.clock = None;
        }
    }

    /// Reads a match's clock anew if its event node changed since.
    fn read_clock(&mut self, owner: u32) {
        if self.matches.get(owner as usize).is_none_or(|held| held.clock.is_some()) {
            return;
        }
        self.refresh_match(owner);
        if let Some(held) = self.matches.get_mut(owner as usize) {
            held.clock = Some(Reading::of(&self.store, &self.mapping, held).clock(&self.zone));
        }
    }

    /// A new base if sport or scoring are others than those told.
    pub(super) fn tell_if_facts_changed(
        &mut self,
        slot: u32,
        received: Received,
        sink: &mut impl Sink,
    ) -> bool {
        self.refresh_match(slot);
        let Some(held) = self.matches.get(slot as usize).filter(|held| held.live) else { return false };
        if Reading::of(&self.store, &self.mapping, held).facts() == held.facts {
            return false;
        }
        self.tell_base(slot, received, sink);
        true
    }

    /// Fills `scratch.changes` with the registers that differ from those told. What became unknown moves nothing.
    fn compare_registers(&mut self, owner: u32) {
        let Some(held) = self.matches.get_mut(owner as usize) else { return };
        let mut now = std::mem::take(&mut self.scratch.registers);
        registers::read(&Reading::of(&self.store, &self.mapping, held), &mut now);
        for &(register, value) in &now {
            match held.told.binary_search_by_key(&register, |(register, _)| *register) {
                Ok(place) => {
                    if let Some(told) = held.told.get_mut(place).filter(|told| told.1 != value) {
                        told.1 = value;
                        self.scratch.changes.push(RegisterChange { register, value });
                    }
                }
                Err(place) => {
                    held.told.insert(place, (register, value));
                    self.scratch.changes.push(RegisterChange { register, value });
                }
            }
        }
        self.scratch.registers = now;
    }
}

/// A change of one attribute of a node of a match.
#[derive(Clone, Copy)]
struct Change<'a> {
    id: NodeId,
    class: Class,
    role: Role,
    old: &'a [u8],
    new: &'a [u8],
    span: Span,
}
