//! Updates: attributes of a node change; which of the changes are reported.

use super::class::{Moves, Parts, side_of};
use super::delta::{Delta, Reports, Value};
use super::forest::Forest;
use super::json_text::lossy;
use super::key::Key;
use super::mapping::{Class, Role};
use super::reading::Label;
use super::store::{NIL, Node, NodeId, TreeId};
use super::text;
use crate::payload::observe::Sink;
use crate::payload::{Result, TreeError};
use touchline_common::model::{Handle, OddsChange, Price, SelectionValue};

impl Forest {
    pub(super) fn update(&mut self, id: NodeId, delta: &Delta<'_>, sink: &mut dyn Sink) -> Result<()> {
        let &Node { class, tree, .. } = self.store.node(id);
        let (owner, bytes) = self.store.tree(tree).map_or((NIL, 0), |tree| (tree.owner, tree.bytes));
        if bytes + delta.text.len() > self.limits.bytes {
            return Err(TreeError::Bytes { limit: self.limits.bytes });
        }
        // An artificial root has no text to change.
        if class == Class::Root {
            return Ok(());
        }
        let reporting = owner != NIL && self.is_first(owner, tree, id);
        let mut reports = std::mem::take(&mut self.scratch.reports).again();
        let (mut changed, mut parts, mut renamed) = (false, Parts::NONE, false);
        // A first word without `=` is the node's type, once more.
        for (name, value) in text::pairs(delta.text) {
            let text = self.store.text(id);
            let held = text::find_name(text, name);
            let old = held.and_then(|(from, to)| text.get(from..to));
            if old == Some(value) {
                continue;
            }
            changed = true;
            let role = self.mapping.role(class, Key::of(name));
            if role == Some(Role::Topic) {
                self.rename(owner, id, held, value);
                (parts, reports.all_odds) = (Parts::ALL, true);
                continue;
            }
            parts = parts | Parts::showing(class, role);
            if let Some(role) = role
                && owner != NIL
            {
                let step = self.step_of(id, role, old.unwrap_or_default(), value);
                if let Some(Step::Price { old, new, .. }) = step {
                    self.store.price_moved(id, old, new);
                }
                if let Some(step) = step.filter(|_| reporting) {
                    self.note(owner, id, step, &mut reports, sink);
                }
                reports.registers = reports.registers.max(Moves::by(class, role));
                reports.time |= class == Class::Event && role == Role::At;
                renamed |= role == Role::Name && class.is_odds();
            }
            self.store.set(id, held, name, value);
        }
        if renamed {
            self.renamed(owner, id, reporting, &mut reports, sink);
        }
        if owner == NIL {
            if changed {
                self.list_changed(tree, id);
            }
        } else {
            if changed {
                self.node_changed(owner, id, parts, delta.received);
            }
            self.report_seen(owner, delta, reports, sink);
        }
        Ok(())
    }

    /// A market or selection has another name for people, and with it other handles; what stands under them is reported.
    fn renamed(
        &mut self,
        owner: u32,
        id: NodeId,
        reporting: bool,
        reports: &mut Reports<'_>,
        sink: &mut dyn Sink,
    ) {
        if self.store.node(id).class == Class::Market {
            self.forget_handles_below(owner, id);
            reports.all_odds = true;
            return;
        }
        self.store.node_mut(id).handle = Handle(0);
        if reporting && self.handle(owner, id, sink) != Handle(0) {
            self.state_selection(id, reports);
        }
    }

    /// Reports a selection's price, suspension and result, whatever was reported before.
    pub(super) fn state_selection(&self, id: NodeId, reports: &mut Reports<'_>) {
        let value = self.selection_value(id);
        let text = value.text.into_owned().into();
        reports.odds.push(OddsChange::Selection(SelectionValue { text, ..value }));
    }

    fn rename(&mut self, owner: u32, id: NodeId, held: Option<(usize, usize)>, value: &[u8]) {
        if owner != NIL {
            self.forget_handles_below(owner, id);
        }
        self.store.leave(id);
        self.store.set(id, held, &self.mapping.topic_name, value);
        self.store.find_it_again(id, &self.mapping);
        self.store.enter(id, value);
    }

    pub(super) fn step_of<'a>(&self, id: NodeId, role: Role, old: &[u8], new: &'a [u8]) -> Option<Step<'a>> {
        let suspended = text::suspended(Some(new));
        match (self.store.node(id).class, role) {
            (Class::Selection, Role::Odds) => {
                let (old, price) = (Price::from_text(old), Price::from_text(new));
                Some(Step::Price { old, new: price, text: new })
            }
            (Class::Selection | Class::Market, Role::Suspended) => {
                (suspended != text::suspended(Some(old))).then_some(Step::Suspended(suspended))
            }
            (Class::Selection, Role::Won) => {
                let won = text::won(Some(new));
                (won != text::won(Some(old))).then_some(Step::Won(won))
            }
            (Class::Event, Role::Comment) => Some(Step::Value(Value::Comment(new))),
            (_, role) => self.figure(id, role).map(Step::Value),
        }
    }

    /// The value of a statistic that an attribute states.
    pub(super) fn figure<'a>(&self, id: NodeId, role: Role) -> Option<Value<'a>> {
        let &Node { class, tree, parent, .. } = self.store.node(id);
        let label = match (class, role) {
            (Class::ScoreLine, Role::Value) => Label::Column(parent),
            (Class::Team, role) if Role::STATS.contains(&role) => Label::Event(tree, role),
            _ => return None,
        };
        let order = self.store.attribute(id, self.mapping.key(class, Role::Order));
        Some(Value::Stat { label, side: order.and_then(side_of)? })
    }

    /// Adds a change to what is reported. What can have no handle is in no report.
    pub(super) fn note<'a>(
        &mut self,
        owner: u32,
        id: NodeId,
        step: Step<'a>,
        reports: &mut Reports<'a>,
        sink: &mut dyn Sink,
    ) {
        match step {
            Step::Value(value) => reports.values.push(value),
            Step::Price { old, new: price, text } => {
                let selection = if old == price { Handle(0) } else { self.handle(owner, id, sink) };
                if selection != Handle(0) {
                    reports.odds.push(OddsChange::Price { selection, price, text: lossy(text) });
                }
            }
            Step::Won(won) => {
                let selection = self.handle(owner, id, sink);
                if selection != Handle(0) {
                    reports.odds.push(OddsChange::SelectionWon { selection, won });
                }
            }
            Step::Suspended(suspended) => {
                let handle = self.handle(owner, id, sink);
                if handle != Handle(0) {
                    reports.odds.push(if self.store.node(id).class == Class::Market {
                        OddsChange::MarketSuspended { market: handle, suspended }
                    } else {
                        OddsChange::SelectionSuspended { selection: handle, suspended }
                    });
                }
            }
        }
    }

    /// Whether no earlier tree of the match has a node of this id.
    pub(super) fn is_first(&self, owner: u32, tree: TreeId, id: NodeId) -> bool {
        let Some(held) = self.matches.get(owner as usize).filter(|held| held.trees.len() > 1) else {
            return true;
        };
        let it = self.store.it(id);
        held.trees
            .iter()
            .take_while(|other| **other != tree)
            .all(|other| self.store.find_in(*other, it).is_none())
    }
}

/// What a changed attribute means; prices may be none, and the same in other words.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Price { old: Option<Price>, new: Option<Price>, text: &'a [u8] },
    Suspended(bool),
    Won(Option<bool>),
    Value(Value<'a>),
}
