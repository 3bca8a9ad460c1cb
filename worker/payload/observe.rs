//! What a message let be seen, lent to the caller without copying: texts are borrowed from the tree or the message's body.

use super::MatchSlot;
use touchline_common::ipc::messages::data::MatchBase;
use touchline_common::model::{
    Change, ChatLine, Clock, Handle, Incidents, MarketValue, OddsChange, RegisterChange, SelectionValue,
};

/// When a message was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Wall clock, microseconds since 1970 UTC. Orders nothing.
    pub wall_us: i64,
    /// A monotonic clock, nanoseconds since any fixed moment; only differences count.
    pub mono_ns: u64,
}

/// Gives integer handles to markets and selections. A payload asks once for each and keeps what it got until the market or selection
/// goes, gets another name, or [`super::Payload::forget_handles`] is called. Handle 0: none can be given.
pub trait Names {
    fn name_market(&mut self, slot: MatchSlot, key: &[u8], name: &[u8]) -> Handle;
    fn name_selection(&mut self, slot: MatchSlot, market: Handle, key: &[u8], name: &[u8]) -> Handle;
}

/// Takes what messages did. Called while a message is applied; calls of one message are for one read.
pub trait Sink: Names {
    /// All values of a match that travel in the match stream: after a load, or when what its registers mean changed.
    fn base(&mut self, slot: MatchSlot, base: MatchBase<'_>);
    /// All markets and selections that a match shows; a market that is not among them is closed.
    fn odds_base(
        &mut self,
        slot: MatchSlot,
        markets: &[MarketValue],
        selections: &[SelectionValue<'_>],
        received: Received,
    );
    /// A delta changed registers, the comment or a statistic.
    fn observed(&mut self, slot: MatchSlot, seen: &Seen<'_>);
    /// What a source states of single happenings; behind the base or observation of the same read.
    fn incidents(&mut self, _slot: MatchSlot, _stated: Incidents, _received: Received) {}
    /// A delta changed markets or selections; in the order of its attributes.
    fn odds(&mut self, slot: MatchSlot, changes: &[OddsChange<'_>], received: Received);
    /// What was said and given in a room; in the order of the message.
    fn chat(&mut self, _slot: MatchSlot, _lines: &[ChatLine<'_>], _received: Received) {}
    /// A message of the match is about to be applied: what goes wrong from now on is about it.
    fn approached(&mut self, _slot: MatchSlot) {}
    /// A message was applied to a match, whether or not anything changed: once, even if it changed several of its nodes.
    fn touched(&mut self, slot: MatchSlot);
}

#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Registers that changed, in the order of `Register`.
    pub registers: &'a [RegisterChange],
    /// Other values, in the order of the delta's attributes.
    pub changes: &'a [Change<'a>],
    /// The displayed clock, if the match has one.
    pub clock: Option<Clock>,
    pub received: Received,
}

/// An empty vector with the room of another, whose elements may borrow from elsewhere.
pub(super) fn recycle<A, B>(mut old: Vec<A>) -> Vec<B> {
    old.clear();
    // Collected in place where both types have one layout, as those do that differ in a lifetime only.
    old.into_iter().filter_map(|_| None).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_kept() {
        let text = "x".to_owned();
        let mut old: Vec<OddsChange<'_>> = Vec::with_capacity(40);
        old.push(OddsChange::Price { selection: Handle(1), price: None, text: text.as_str().into() });
        let new: Vec<OddsChange<'static>> = recycle(old);
        assert_eq!((new.len(), new.capacity()), (0, 40));
    }
}
