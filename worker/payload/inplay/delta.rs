//! A change to a node: update, insert, delete; which trees it goes to and what of it is reported.
//!
//! A path is split at `/`: its last part is the node, the one before it the parent. If an insert's or delete's path
//! of two parts or more begins with a topic that is held, it goes to that tree only; else to every tree that has the
//! node. Of two trees of one match the first that has a node reports its changes.

use super::dirty::Parts;
use super::forest::Forest;
use super::json::lossy;
use super::mapping::{Class, Role};
use super::reading::Reading;
use super::registers;
use super::store::{NIL, NodeId, TreeId};
use crate::payload::TreeError;
use crate::payload::observe::{Received, Seen, Sink, recycle};
use crate::payload::{Applied, MatchSlot};
use touchline_common::model::{Change, OddsChange, RegisterChange, Side};

#[derive(Clone, Copy)]
pub(super) struct Delta<'a> {
    pub(super) path: &'a [u8],
    /// Where the last `/` of the path is.
    pub(super) slash: Option<usize>,
    pub(super) body: &'a [u8],
    /// Where the node's text lies in the body.
    pub(super) node: (u32, u32),
    pub(super) received: Received,
}

impl<'a> Delta<'a> {
    pub(super) fn named(&self) -> String {
        String::from_utf8_lossy(self.path).into_owned()
    }

    pub(super) fn target(&self) -> &'a [u8] {
        self.path.get(self.slash.map_or(0, |at| at + 1)..).unwrap_or_default()
    }

    pub(super) fn parent(&self) -> Option<&'a [u8]> {
        let before = self.path.get(..self.slash?)?;
        let from = memchr::memrchr(b'/', before).map_or(0, |at| at + 1);
        before.get(from..)
    }

    pub(super) fn root(&self) -> Option<&'a [u8]> {
        self.path.get(..memchr::memchr(b'/', self.path.get(..=self.slash?)?)?)
    }

    pub(super) fn text(&self) -> &'a [u8] {
        self.body.get(self.node.0 as usize..self.node.1 as usize).unwrap_or_default()
    }
}

/// What a delta let be seen of a match so far.
#[derive(Default)]
pub(super) struct Reports<'a> {
    pub(super) odds: Vec<OddsChange<'a>>,
    pub(super) values: Vec<Value<'a>>,
    pub(super) registers: bool,
    /// Which markets are shown changed, or what they are called: all odds are to be reported.
    pub(super) all_odds: bool,
}

/// A changed value of the match stream. The key of a statistic is looked up when it is reported.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Comment(&'a [u8]),
    Stat { tree: TreeId, role: Role, side: Side, text: &'a [u8] },
}

impl Reports<'_> {
    /// None yet, in the room that others took.
    pub(super) fn again<'a>(self) -> Reports<'a> {
        Reports { odds: recycle(self.odds), values: recycle(self.values), registers: false, all_odds: false }
    }
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
        sink: &mut dyn Sink,
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

    /// What shows a node and what is below it, and whether registers are read from it.
    fn structure(&self, top: NodeId) -> (Parts, bool) {
        let mut parts = Parts::NONE;
        let mut id = top;
        while id != NIL {
            match self.store.node(id).class {
                Class::Sport | Class::Event | Class::Team => return (Parts::ALL, true),
                Class::Competition
                | Class::TeamGroup
                | Class::Scores
                | Class::ScoreColumn
                | Class::ScoreLine
                | Class::Root => parts = Parts::ALL,
                Class::MarketGroup
                | Class::Market
                | Class::Column
                | Class::StatGroup
                | Class::StatLine
                | Class::Other => parts = parts | Parts::NODES,
                Class::Selection => {}
            }
            id = self.store.after(top, id);
        }
        (parts, false)
    }

    /// Whether registers may change when a node and what is below it comes, goes or moves.
    pub(super) fn moves_registers(&self, top: NodeId) -> bool {
        self.structure(top).1
    }

    /// Marks what shows a node that comes, moves or goes with all below it. Whether that hides markets of a later tree.
    pub(super) fn mark_structure(&mut self, owner: u32, id: NodeId, received: Received) -> bool {
        let (parts, _) = self.structure(id);
        self.node_changed(owner, id, parts, received);
        if self.store.node(id).class == Class::Selection && self.store.node(id).first == NIL {
            return false;
        }
        self.markets_below_changed(owner, id, received);
        self.hide_shadowed(owner, id, received)
    }

    /// A market that comes in an earlier tree takes over what was published of the same one in a later tree.
    fn hide_shadowed(&mut self, owner: u32, id: NodeId, received: Received) -> bool {
        let tree = self.store.node(id).tree;
        let Some(held) = self.matches.get(owner as usize).filter(|held| held.trees.len() > 1) else {
            return false;
        };
        if self.store.node(id).class != Class::Market {
            return false;
        }
        let later: Vec<TreeId> =
            held.trees.iter().copied().skip_while(|other| *other != tree).skip(1).collect();
        let mut hides = false;
        for other in later {
            if let Some(hidden) = self.store.find_in(other, self.store.it(id)) {
                self.retire_markets(owner, hidden);
                self.markets_below_changed(owner, hidden, received);
                hides = true;
            }
        }
        hides
    }

    pub(super) fn approach(&self, owner: u32, sink: &mut dyn Sink) {
        if owner != NIL {
            sink.approached(MatchSlot(owner));
        }
    }

    pub(super) fn touch(&self, owner: u32, sink: &mut dyn Sink) {
        if owner != NIL {
            sink.touched(MatchSlot(owner));
        }
    }

    /// Reports what was seen, if anything was.
    pub(super) fn report_seen(
        &mut self,
        owner: u32,
        delta: &Delta<'_>,
        reports: Reports<'_>,
        sink: &mut dyn Sink,
    ) {
        if self.matches.get(owner as usize).is_some_and(|held| held.live) {
            let slot = MatchSlot(owner);
            self.report_values(owner, &reports, delta.received, sink);
            if reports.all_odds {
                self.report_odds(owner, delta.received, sink);
            } else if !reports.odds.is_empty() {
                sink.odds(slot, &reports.odds, delta.received);
            }
        }
        self.scratch.reports = reports.again();
    }

    fn report_values(&mut self, owner: u32, reports: &Reports<'_>, received: Received, sink: &mut dyn Sink) {
        self.scratch.changes.clear();
        if reports.registers {
            self.forget_clock(owner);
            self.refresh_match(owner);
            if self.report_if_facts_changed(owner, received, sink) {
                return;
            }
            self.compare_registers(owner);
        }
        if reports.values.is_empty() && self.scratch.changes.is_empty() {
            return;
        }
        self.read_clock(owner);
        let mut changes = recycle(std::mem::take(&mut self.scratch.values));
        let Some(held) = self.matches.get(owner as usize) else { return };
        if !reports.values.is_empty() {
            let reading = Reading::of(&self.store, &self.mapping, held);
            changes.extend(reports.values.iter().filter_map(|value| resolve(&reading, value)));
        }
        if !changes.is_empty() || !self.scratch.changes.is_empty() {
            let seen = Seen {
                registers: &self.scratch.changes,
                changes: &changes,
                clock: held.clock.and_then(|clock| clock.shown(self.server_wall(received))),
                received,
            };
            sink.observed(MatchSlot(owner), &seen);
        }
        self.scratch.values = recycle(changes);
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

    /// A new base if sport or scoring are others than those reported.
    pub(super) fn report_if_facts_changed(
        &mut self,
        slot: u32,
        received: Received,
        sink: &mut dyn Sink,
    ) -> bool {
        self.refresh_match(slot);
        let Some(held) = self.matches.get(slot as usize).filter(|held| held.live) else { return false };
        if Reading::of(&self.store, &self.mapping, held).facts() == held.facts {
            return false;
        }
        self.report_base(slot, received, sink);
        true
    }

    /// Fills `scratch.changes` with the registers that differ from those reported. What became unknown moves nothing.
    pub(super) fn compare_registers(&mut self, owner: u32) {
        let Some(held) = self.matches.get_mut(owner as usize) else { return };
        let mut now = std::mem::take(&mut self.scratch.registers);
        registers::read(&Reading::of(&self.store, &self.mapping, held), &mut now);
        for &(register, value) in &now {
            match held.reported.binary_search_by_key(&register, |(register, _)| *register) {
                Ok(place) => {
                    if let Some(last) = held.reported.get_mut(place).filter(|last| last.1 != value) {
                        last.1 = value;
                        self.scratch.changes.push(RegisterChange { register, value });
                    }
                }
                Err(place) => {
                    held.reported.insert(place, (register, value));
                    self.scratch.changes.push(RegisterChange { register, value });
                }
            }
        }
        self.scratch.registers = now;
    }
}

/// A changed value as it is reported; none if it is a register, or nothing says what it counts.
fn resolve<'a>(reading: &Reading<'a>, value: &Value<'a>) -> Option<Change<'a>> {
    match *value {
        Value::Comment(text) => Some(Change::Comment { text: lossy(text) }),
        Value::Stat { tree, role, side, text } => {
            let key = reading.statistic_key(tree, role)?;
            (!registers::is_register(&key, side, text)).then(|| Change::Stat { key, side, text: lossy(text) })
        }
    }
}
