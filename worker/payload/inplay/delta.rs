//! A change to a node: update, insert, delete; which trees it goes to and what of it is reported.
//!
//! A path is split at `/`: its last part is the node, the one before it the parent. If an insert's or delete's path
//! of two parts or more begins with a topic that is held, it goes to that tree only; else to every tree that has the
//! node. Of two trees of one match the first that has a node reports its changes.

use super::class::{Moves, Parts, of_side};
use super::forest::{Forest, Scratch};
use super::json_text::lossy;
use super::mapping::Class;
use super::reading::{Label, Reading, Statistic};
use super::store::{NIL, NodeId, TreeId};
use super::{registers, text};
use crate::payload::MatchSlot;
use crate::payload::observe::{Received, Seen, Sink, recycle};
use crate::payload::rules::report_registers;
use crate::payload::{Result, TreeError};
use touchline_common::model::{Change, OddsChange, Register, Side};

#[derive(Clone, Copy)]
pub(super) struct Delta<'a> {
    path: &'a [u8],
    /// Where the last `/` of the path is.
    slash: Option<usize>,
    /// The node's text.
    pub(super) text: &'a [u8],
    pub(super) received: Received,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Update,
    Insert,
    Delete,
}

impl<'a> Delta<'a> {
    pub(super) fn new(path: &'a [u8], text: &'a [u8], received: Received) -> Self {
        Self { path, slash: memchr::memrchr(b'/', path), text, received }
    }

    pub(super) fn named(&self) -> String {
        String::from_utf8_lossy(self.path).into_owned()
    }

    pub(super) fn target(&self) -> &'a [u8] {
        self.path.get(self.slash.map_or(0, |at| at + 1)..).unwrap_or_default()
    }

    fn parent(&self) -> Option<&'a [u8]> {
        let before = self.path.get(..self.slash?)?;
        let from = memchr::memrchr(b'/', before).map_or(0, |at| at + 1);
        before.get(from..)
    }

    fn root(&self) -> Option<&'a [u8]> {
        self.path.get(..memchr::memchr(b'/', self.path.get(..=self.slash?)?)?)
    }
}

/// What a delta let be seen of a match so far.
#[derive(Default)]
pub(super) struct Reports<'a> {
    pub(super) odds: Vec<OddsChange<'a>>,
    pub(super) values: Vec<Value<'a>>,
    pub(super) registers: Moves,
    /// The time beside the clock may be another.
    pub(super) time: bool,
    /// Which markets are shown changed, or what they are called: all odds are to be reported.
    pub(super) all_odds: bool,
}

/// A changed value of the match stream. Key and value of a statistic are looked up when it is reported: another node may state it, too.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Comment(&'a [u8]),
    Stat { label: Label, side: Side },
}

impl Reports<'_> {
    /// None yet, in the room that others took.
    pub(super) fn again<'a>(self) -> Reports<'a> {
        let (odds, values) = (recycle(self.odds), recycle(self.values));
        Reports { odds, values, ..Reports::default() }
    }

    fn need_statistics(&self) -> bool {
        let is_stat = |value: &Value<'_>| matches!(value, Value::Stat { .. });
        self.registers == Moves::All || self.values.iter().any(is_stat)
    }

    /// Nodes came, went or moved.
    pub(super) fn restructured(&mut self, moves: Moves) {
        self.registers = self.registers.max(moves);
        self.time |= moves != Moves::None;
    }
}

impl Forest {
    /// Applies a change to every node that it goes to.
    pub(super) fn apply(
        &mut self,
        operation: Operation,
        delta: &Delta<'_>,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        let found = self.targets(operation, delta)?;
        let mut touched = std::mem::take(&mut self.scratch.touched);
        let mut result = Ok(());
        for &id in &found {
            let owner = self.store.owner_of(self.store.node(id).tree);
            self.approach(owner, sink);
            let applied = match operation {
                Operation::Update => self.update(id, delta, sink),
                Operation::Insert => self.insert(id, delta, sink),
                Operation::Delete => self.delete(id, delta, sink),
            };
            match applied {
                // Of two nodes of one match: it is one change all the same.
                Ok(()) if touched.contains(&owner) => {}
                Ok(()) => {
                    self.touch(owner, sink);
                    touched.push(owner);
                }
                Err(error) => result = Err(error),
            }
        }
        touched.clear();
        (self.scratch.found, self.scratch.touched) = (found, touched);
        result
    }

    /// The nodes that a change goes to (of an insert the parents), in the scratch list.
    fn targets(&mut self, operation: Operation, delta: &Delta<'_>) -> Result<Vec<NodeId>> {
        let it = match operation {
            Operation::Update | Operation::Delete => delta.target(),
            Operation::Insert => {
                let is_complete = !text::type_word(delta.text).is_empty() && !delta.target().is_empty();
                let parent = delta.parent().filter(|_| is_complete);
                parent.ok_or_else(|| TreeError::IncompleteInsert { path: delta.named() })?
            }
        };
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
        if let Some(first) = root.filter(|root| !self.topics.contains_key(*root) && !self.store.knows(root)) {
            return Err(TreeError::not_held(first));
        }
        let path = delta.named();
        Err(match operation {
            Operation::Insert => TreeError::MissingParent { path },
            Operation::Update | Operation::Delete => TreeError::MissingTarget { path },
        })
    }

    /// What shows a node and what is below it, and whether registers are read from it.
    fn structure(&self, top: NodeId) -> (Parts, bool) {
        let mut parts = Parts::NONE;
        for id in self.store.subtree(top) {
            let class = self.store.node(id).class;
            if class.moves_registers() {
                return (Parts::ALL, true);
            }
            parts = parts | class.rule().shown;
        }
        (parts, false)
    }

    /// Which registers may change when a node and what is below it comes, goes or moves.
    pub(super) fn moves(&self, top: NodeId) -> Moves {
        if self.structure(top).1 { Moves::All } else { Moves::None }
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
        let node = self.store.node(id);
        if node.class != Class::Market {
            return false;
        }
        let mut hides = false;
        for other in self.trees_behind(owner, node.tree) {
            if let Some(hidden) = self.store.find_in(other, self.store.it(id)) {
                self.retire_markets(owner, hidden);
                self.markets_below_changed(owner, hidden, received);
                hides = true;
            }
        }
        hides
    }

    /// The trees of a match that are looked at only for what `tree` and those before it lack.
    pub(super) fn trees_behind(&self, owner: u32, tree: TreeId) -> Vec<TreeId> {
        let trees = self.matches.get(owner as usize).map(|held| &*held.trees).unwrap_or_default();
        trees.iter().copied().skip_while(|other| *other != tree).skip(1).collect()
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
            if reports.time {
                self.read_time(owner, delta.received);
            }
            self.report_values(owner, &reports, delta.received, sink);
            if reports.all_odds {
                self.report_odds(owner, delta.received, sink);
            } else if !reports.odds.is_empty() {
                sink.odds(slot, &reports.odds, delta.received);
            }
        }
        self.scratch.reports = reports.again();
    }

    /// Reports the values of the match stream that changed, or a new base.
    fn report_values(&mut self, owner: u32, reports: &Reports<'_>, received: Received, sink: &mut dyn Sink) {
        if reports.registers == Moves::None && reports.values.is_empty() {
            return;
        }
        self.refresh_match(owner);
        let Some(held) = self.matches.get_mut(owner as usize) else { return };
        // Taken out, since what is read below borrows the match.
        let mut reported = std::mem::take(&mut held.reported);
        let is_same = self.report_changes(owner, reports, &mut reported, received, sink);
        if let Some(held) = self.matches.get_mut(owner as usize) {
            held.reported = reported;
        }
        if !is_same {
            self.report_anew(owner, received, sink);
        }
    }

    /// Reports the registers that differ from those `reported`, and other values that changed; `false` and nothing if sport or scoring
    /// are others than those reported. A match is read once for all of it.
    fn report_changes(
        &mut self,
        owner: u32,
        reports: &Reports<'_>,
        reported: &mut Vec<(Register, i64)>,
        received: Received,
        sink: &mut dyn Sink,
    ) -> bool {
        let wall = self.server_wall(received);
        let Some(held) = self.matches.get(owner as usize) else { return true };
        let reading = Reading::of(&self.store, &self.mapping, held);
        if reports.registers != Moves::None && reading.facts() != held.facts {
            return false;
        }
        let statistics = if reports.need_statistics() { reading.statistics() } else { Vec::new() };
        let Scratch { registers, changes: moved, values, .. } = &mut self.scratch;
        match reports.registers {
            Moves::All => registers::read(&reading, &statistics, registers),
            Moves::Event => registers::read_event(&reading, registers),
            Moves::None => registers.clear(),
        }
        report_registers(reported, registers, moved);
        let mut changes = recycle(std::mem::take(values));
        changes.extend(reports.values.iter().filter_map(|value| resolve(&reading, &statistics, value)));
        if !changes.is_empty() || !moved.is_empty() {
            let clock = reading.clock(&self.zone).shown(wall);
            sink.observed(MatchSlot(owner), &Seen { registers: moved, changes: &changes, clock, received });
        }
        *values = recycle(changes);
        true
    }

    /// A new base if sport or scoring are others than those reported.
    pub(super) fn report_if_facts_changed(&mut self, slot: u32, received: Received, sink: &mut dyn Sink) {
        self.refresh_match(slot);
        let Some(held) = self.matches.get(slot as usize).filter(|held| held.live) else { return };
        if Reading::of(&self.store, &self.mapping, held).facts() != held.facts {
            self.report_anew(slot, received, sink);
        }
    }

    /// Sport or scoring are others: a new base.
    fn report_anew(&mut self, slot: u32, received: Received, sink: &mut dyn Sink) {
        // What the sport is decides what is read, and so what `extra` shows.
        self.parts_changed(slot, Parts::ALL, received);
        self.report_base(slot, received, sink);
    }
}

/// A changed value as it is reported; none if it is a register, or nothing says what it counts.
fn resolve<'a>(reading: &Reading<'a>, statistics: &[Statistic<'a>], value: &Value<'a>) -> Option<Change<'a>> {
    match *value {
        Value::Comment(text) => Some(Change::Comment { text: lossy(text) }),
        Value::Stat { label, side } => {
            let key = reading.key_of(label)?;
            let (_, values) = statistics.iter().find(|(held, _)| *held == key)?;
            let text = of_side(*values, side)?;
            (!registers::is_register(&key, side, text)).then(|| Change::Stat {
                key,
                side: Some(side),
                text: lossy(text),
            })
        }
    }
}
