//! A change to a node: update, insert, delete; which trees it goes to and what of it is told.
//!
//! A path is split at `/`: its last part is the node, the one before it the parent. If an insert's or delete's path
//! of two parts or more begins with a topic that is held, it goes to that tree only; else to every tree that has the
//! node. Of two trees of one match the first that has a node tells its flips.

use super::forest::Forest;
use super::mapping::Class;
use super::reading::Reading;
use super::registers;
use super::store::{NIL, NodeId, TreeId};
use crate::payload::TreeError;
use crate::payload::observe::{FlipAt, Received, Seen, Sink, Span};
use crate::payload::{Applied, MatchSlot};
use touchline_common::model::RegisterChange;

/// One delta as its parts.
#[derive(Clone, Copy)]
pub(super) struct Delta<'a> {
    pub(super) path: &'a [u8],
    /// Where the last `/` of the path is.
    pub(super) slash: Option<usize>,
    pub(super) body: &'a [u8],
    /// Where the node's text lies in the body.
    pub(super) node: Span,
    pub(super) received: Received,
}

impl Delta<'_> {
    pub(super) fn named(&self) -> String {
        String::from_utf8_lossy(self.path).into_owned()
    }

    pub(super) fn target(&self) -> &[u8] {
        self.path.get(self.slash.map_or(0, |at| at + 1)..).unwrap_or_default()
    }

    pub(super) fn parent(&self) -> Option<&[u8]> {
        let before = self.path.get(..self.slash?)?;
        let from = memchr::memrchr(b'/', before).map_or(0, |at| at + 1);
        before.get(from..)
    }

    pub(super) fn root(&self) -> Option<&[u8]> {
        self.path.get(..memchr::memchr(b'/', self.path.get(..=self.slash?)?)?)
    }

    pub(super) fn text(&self) -> &[u8] {
        self.body.get(self.node.0 as usize..self.node.1 as usize).unwrap_or_default()
    }
}

/// What a changed attribute asks for beyond a new rendering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
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
        let delta = Delta { path: topic, slash: memchr::memrchr(b'/', topic), body, node, received };
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

    /// Deltas of these topics follow: what they will touch is read now, for many of them at once. Changes nothing, and
    /// what is not expected is applied all the same.
    pub fn expect<'t>(&self, topics: impl Iterator<Item = &'t [u8]>) {
        self.store.read_ahead(topics.map(|topic| {
            let from = memchr::memrchr(b'/', topic).map_or(0, |at| at + 1);
            topic.get(from..).unwrap_or_default()
        }));
    }

    /// The nodes with this id that a path's deltas go to, in the scratch list.
    pub(super) fn targets(&mut self, delta: &Delta<'_>, it: &[u8]) -> Result<Vec<NodeId>, TreeError> {
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

    /// Whether registers may change when a node and what is below it comes, goes or moves.
    pub(super) fn structure_tells(&self, top: NodeId) -> Told {
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
    pub(super) fn mark_structure(&mut self, owner: u32, id: NodeId, received: Received) {
        self.node_changed(owner, id, received);
        if self.store.node(id).class == Class::Selection && self.store.node(id).first == NIL {
            return;
        }
        self.head_changed(owner, received);
        self.markets_below_changed(owner, id, received);
        self.hide_shadowed(owner, id, received);
    }

    /// A market that comes in an earlier tree takes over what was published of the same one in a later tree.
    pub(super) fn hide_shadowed(&mut self, owner: u32, id: NodeId, received: Received) {
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

    pub(super) fn approach(&self, owner: u32, sink: &mut impl Sink) {
        if owner != NIL {
            sink.approached(MatchSlot(owner));
        }
    }

    pub(super) fn touch(&self, owner: u32, sink: &mut impl Sink) {
        if owner != NIL {
            sink.touched(MatchSlot(owner));
        }
    }

    /// Tells flips and what registers changed, if anything did.
    pub(super) fn tell(
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
            let clock = held.clock.and_then(|clock| clock.shown(self.server_wall(delta.received)));
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

    pub(super) fn forget_clock(&mut self, owner: u32) {
        if let Some(held) = self.matches.get_mut(owner as usize) {
            held.clock = None;
        }
    }

    /// Reads a match's clock anew if its event node changed since.
    pub(super) fn read_clock(&mut self, owner: u32) {
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
    pub(super) fn compare_registers(&mut self, owner: u32) {
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
