//! Updates: attributes of a node change; which of the changes are told.

use super::delta::{Delta, Told};
use super::forest::Forest;
use super::key::Key;
use super::mapping::{Class, Role};
use super::reading::Reading;
use super::store::{NIL, NodeId, TreeId};
use super::{class, registers, text};
use crate::payload::TreeError;
use crate::payload::observe::{FlipAt, Received, Sink, Span};
use touchline_common::model::Price;

impl Forest {
    pub(super) fn update_all(&mut self, delta: &Delta<'_>, sink: &mut impl Sink) -> Result<usize, TreeError> {
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

    pub(super) fn update(
        &mut self,
        id: NodeId,
        delta: &Delta<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), TreeError> {
        let (class, tree) = {
            let node = self.store.node(id);
            (node.class, node.tree)
        };
        let (owner, bytes) = self.store.tree(tree).map_or((NIL, 0), |tree| (tree.owner, tree.bytes));
        self.approach(owner, sink);
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
    pub(super) fn rename(
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
    pub(super) fn judge(&self, change: &Change<'_>, owner: u32) -> (Option<PriceStep>, Option<FlipAt>) {
        let Change { id, class, role, old, new, span } = *change;
        let was_suspended = text::suspended(Some(old));
        let suspended = text::suspended(Some(new));
        match (class, role) {
            (Class::Selection, Role::Odds) => {
                let (old, odds) = (Price::from_fraction(old), Price::from_fraction(new));
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

    pub(super) fn judge_stat(
        &self,
        team: NodeId,
        role: Role,
        new: &[u8],
        text: Span,
        owner: u32,
    ) -> Option<FlipAt> {
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
    pub(super) fn market_told(&self, id: NodeId) -> Option<NodeId> {
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
}

/// A price as it was and as it is; `None` is no price.
pub(super) type PriceStep = (Option<Price>, Option<Price>);

/// A change of one attribute of a node of a match.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) id: NodeId,
    pub(super) class: Class,
    pub(super) role: Role,
    pub(super) old: &'a [u8],
    pub(super) new: &'a [u8],
    pub(super) span: Span,
}
