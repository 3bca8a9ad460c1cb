//! Which matches and blocks wait to be rendered, oldest first.
//!
//! A match enters the list at its first change after a rendering and leaves it when rendered; the list is linked
//! through the matches, so that leaving costs nothing wherever it stands.

use super::forest::Forest;
use super::mapping::{Class, Role};
use super::store::{NIL, NodeId};
use crate::payload::MatchSlot;
use crate::payload::observe::Received;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts(u8);

impl Parts {
    pub(super) const NONE: Parts = Parts(0);
    pub(super) const HEAD: Parts = Parts(1);
    /// The event's attributes that no rule uses.
    pub(super) const EXTRA: Parts = Parts(2);
    pub(super) const STATS: Parts = Parts(4);
    /// The order of the markets, and the nodes that no rule uses.
    pub(super) const NODES: Parts = Parts(8);
    pub(super) const TAIL: Parts = Parts(2 | 4 | 8);
    pub(super) const ALL: Parts = Parts(1 | 2 | 4 | 8);

    /// Whether any of `other` is in it.
    pub(super) fn has(self, other: Parts) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn showing(class: Class, role: Option<Role>) -> Parts {
        match (class, role) {
            (Class::Market | Class::Selection, _) => Parts::NONE,
            (Class::Event, None) => Parts::EXTRA,
            (Class::Event, Some(role)) if role.in_extra() => Parts::EXTRA,
            (Class::Event | Class::Team, Some(role)) if Role::STATS.contains(&role) => Parts::STATS,
            (Class::Event | Class::ScoreColumn | Class::ScoreLine, Some(_)) => Parts::HEAD,
            (Class::Team, Some(_)) => Parts::HEAD | Parts::STATS,
            (Class::MarketGroup | Class::Column | Class::TeamGroup | Class::Scores, Some(_)) => Parts::NONE,
            (Class::Sport | Class::Competition, _) => Parts::HEAD | Parts::NODES,
            (
                Class::Team
                | Class::ScoreColumn
                | Class::ScoreLine
                | Class::MarketGroup
                | Class::Column
                | Class::TeamGroup
                | Class::Scores
                | Class::StatGroup
                | Class::StatLine
                | Class::Other
                | Class::Root,
                _,
            ) => Parts::NODES,
        }
    }
}

impl std::ops::BitOr for Parts {
    type Output = Parts;

    fn bitor(self, other: Parts) -> Parts {
        Parts(self.0 | other.0)
    }
}

impl Forest {
    /// The live match that has waited longest and the `mono_ns` of the read since which it waits.
    pub fn oldest_dirty(&self) -> Option<(MatchSlot, u64)> {
        let held = self.matches.get(self.dirty_first as usize)?;
        Some((MatchSlot(self.dirty_first), held.dirty_since?))
    }

    /// All that wait, oldest first.
    pub fn dirty(&self) -> impl Iterator<Item = (MatchSlot, u64)> {
        let mut at = self.dirty_first;
        std::iter::from_fn(move || {
            let held = self.matches.get(at as usize)?;
            let item = (MatchSlot(at), held.dirty_since?);
            at = held.dirty_next;
            Some(item)
        })
    }

    /// Parts of a match's head and tail are to be rendered again.
    #[inline]
    pub(super) fn parts_changed(&mut self, slot: u32, parts: Parts, received: Received) {
        if parts != Parts::NONE
            && let Some(held) = self.matches.get_mut(slot as usize)
        {
            held.parts = held.parts | parts;
            self.match_changed(slot, received);
        }
    }

    /// A market is to be rendered again.
    pub(super) fn market_changed(&mut self, slot: u32, market: NodeId, received: Received) {
        if self.store.mark_market(market)
            && let Some(held) = self.matches.get_mut(slot as usize)
        {
            // Markets that come and go between two renderings leave their ids behind.
            if held.dirty_markets.len() >= 1_024 && held.dirty_markets.len() == held.dirty_markets.capacity()
            {
                held.dirty_markets.retain(|id| self.store.market_state(*id).is_some_and(|state| state.dirty));
                held.dirty_markets.sort_unstable();
                held.dirty_markets.dedup();
            }
            held.dirty_markets.push(market);
        }
        self.match_changed(slot, received);
    }

    /// Marks what shows a node whose attributes changed: its market, and `parts` of head and tail.
    #[inline]
    pub(super) fn node_changed(&mut self, slot: u32, id: NodeId, parts: Parts, received: Received) {
        let market = self.store.market_of(id);
        if market != NIL {
            self.market_changed(slot, market, received);
        }
        self.parts_changed(slot, parts, received);
        if self.store.node(id).class == Class::MarketGroup {
            self.markets_below_changed(slot, id, received);
        }
    }

    /// Marks every market below `top` (or at it).
    pub(super) fn markets_below_changed(&mut self, slot: u32, top: NodeId, received: Received) {
        let mut id = top;
        while id != NIL {
            if self.store.node(id).class == Class::Market {
                self.market_changed(slot, id, received);
            }
            id = self.store.after(top, id);
        }
    }

    fn match_changed(&mut self, slot: u32, received: Received) {
        let last = self.dirty_last;
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        held.received = received;
        if held.dirty_since.is_some() || !held.live {
            return;
        }
        held.dirty_since = Some(received.mono_ns);
        (held.dirty_prev, held.dirty_next) = (last, NIL);
        match self.matches.get_mut(last as usize) {
            Some(before) => before.dirty_next = slot,
            None => self.dirty_first = slot,
        }
        self.dirty_last = slot;
    }

    /// Takes a match from the list; its blocks are not looked at.
    pub(super) fn clean(&mut self, slot: u32) {
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        if held.dirty_since.take().is_none() {
            return;
        }
        let (prev, next) = (held.dirty_prev, held.dirty_next);
        match self.matches.get_mut(prev as usize) {
            Some(before) => before.dirty_next = next,
            None => self.dirty_first = next,
        }
        match self.matches.get_mut(next as usize) {
            Some(after) => after.dirty_prev = prev,
            None => self.dirty_last = prev,
        }
    }
}
