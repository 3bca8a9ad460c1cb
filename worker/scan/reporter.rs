//! From what a payload sees to what is sent to the recorder.
//!
//! Each delta's observations go out under the handle of its match, those of odds in the bulk stream; the outboxes decide what
//! happens when the recorder does not take them.

use super::data_link::DataLink;
use super::match_table::MatchTable;
use crate::payload::{MatchSlot, Names, Received, Seen, Sink};
use std::borrow::Cow;
use std::time::Instant;
use touchline_common::ipc::CodecError;
use touchline_common::ipc::messages::data::{BulkBody, EndReason, MatchBase, MatchBody};
use touchline_common::model::{
    ChatLine, Handle, Incidents, MarketValue, OddsChange, RoundEnd, SelectionValue,
};

/// Reports to the recorder what happens to `matches`.
pub struct Reporter<'a> {
    pub matches: &'a mut MatchTable,
    /// The way to the recorder.
    pub link: &'a mut DataLink,
    pub now: Instant,
}

impl Names for Reporter<'_> {
    fn name_market(&mut self, slot: MatchSlot, key: &[u8], name: &[u8]) -> Handle {
        let Some(of) = self.handle(slot) else { return Handle(0) };
        self.link.names().add(of, of, key, name)
    }

    fn name_selection(&mut self, slot: MatchSlot, market: Handle, key: &[u8], name: &[u8]) -> Handle {
        let Some(of) = self.handle(slot) else { return Handle(0) };
        self.link.names().add(of, market, key, name)
    }
}

impl Sink for Reporter<'_> {
    fn base(&mut self, slot: MatchSlot, base: MatchBase<'_>) {
        if let Some(handle) = self.handle(slot) {
            check(self.link.base(handle, base));
        }
    }

    fn odds_base(
        &mut self,
        slot: MatchSlot,
        markets: &[MarketValue],
        selections: &[SelectionValue<'_>],
        received: Received,
    ) {
        let (markets, selections) = (Cow::Borrowed(markets), Cow::Borrowed(selections));
        let count = markets.len() + selections.len();
        let body = BulkBody::Base { markets, selections, left_out: 0, at: received.wall_us };
        self.send_odds(slot, body, count, received);
    }

    fn observed(&mut self, slot: MatchSlot, seen: &Seen<'_>) {
        let at = seen.received.wall_us;
        let (registers, changes) = (Cow::Borrowed(seen.registers), Cow::Borrowed(seen.changes));
        self.send(slot, MatchBody::Obs { registers, changes, clock: seen.clock, at }, at);
    }

    fn incidents(&mut self, slot: MatchSlot, stated: Incidents, received: Received) {
        let at = received.wall_us;
        self.send(slot, MatchBody::Incidents { stated, at }, at);
    }

    fn odds(&mut self, slot: MatchSlot, changes: &[OddsChange<'_>], received: Received) {
        let body = BulkBody::Obs { changes: Cow::Borrowed(changes), at: received.wall_us };
        self.send_odds(slot, body, changes.len(), received);
    }

    fn chat(&mut self, slot: MatchSlot, lines: &[ChatLine<'_>], received: Received) {
        if let Some(handle) = self.handle(slot) {
            check(self.link.observe_chat(handle, lines, received.wall_us));
        }
    }

    fn approached(&mut self, slot: MatchSlot) {
        self.matches.at(slot);
    }

    fn touched(&mut self, slot: MatchSlot) {
        if let Some(followed) = self.matches.get_mut(slot) {
            followed.touched_at = self.now;
            followed.deltas += 1;
        }
    }
}

impl Reporter<'_> {
    /// None where no handle was left for the match: nothing is reported of it.
    fn handle(&self, slot: MatchSlot) -> Option<Handle> {
        self.matches.get(slot).map(|followed| followed.handle).filter(|handle| *handle != Handle(0))
    }

    fn send(&mut self, slot: MatchSlot, body: MatchBody<'_>, at: i64) {
        if let Some(handle) = self.handle(slot) {
            check(self.link.observe(handle, body, at));
        }
    }

    fn send_odds(&mut self, slot: MatchSlot, body: BulkBody<'_>, changes: usize, received: Received) {
        if let Some(handle) = self.handle(slot) {
            check(self.link.observe_odds(handle, body, changes, received.wall_us));
        }
    }

    /// A source of the match was asked once over.
    pub fn round_ended(&mut self, slot: MatchSlot, round: RoundEnd, at: i64) {
        self.send(slot, MatchBody::Round { round, at }, at);
    }

    /// The connection to the server is lost: a gap begins, which the next base ends.
    pub fn connection_lost(&mut self, slot: MatchSlot, at: i64) {
        self.send(slot, MatchBody::End { why: EndReason::ConnectionLost, lost: None, at }, at);
    }

    /// Nothing more comes of what a handle stands for.
    pub fn end(&mut self, handle: Handle, why: EndReason, at: i64) {
        if handle != Handle(0) {
            check(self.link.end(handle, why, at));
        }
    }
}

/// What cannot be encoded cannot be sent: it is a fault of ours.
pub fn check(queued: Result<(), CodecError>) {
    if let Err(error) = queued {
        log::error!(error:% = error; "worker.not_reported");
    }
}
