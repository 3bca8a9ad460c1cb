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
use touchline_common::model::{Handle, MarketValue, OddsChange, SelectionValue};

/// Reports to the recorder what happens to `matches`.
pub struct Reporter<'a> {
    pub matches: &'a mut MatchTable,
    /// The way to the recorder.
    pub link: &'a mut DataLink,
    pub now: Instant,
}

impl Names for Reporter<'_> {
    fn name_market(&mut self, slot: MatchSlot, key: &[u8], name: &[u8]) -> Handle {
        let of = self.handle(slot);
        self.link.names().add(of, of, key, name)
    }

    fn name_selection(&mut self, slot: MatchSlot, market: Handle, key: &[u8], name: &[u8]) -> Handle {
        let of = self.handle(slot);
        self.link.names().add(of, market, key, name)
    }
}

impl Sink for Reporter<'_> {
    fn base(&mut self, slot: MatchSlot, base: MatchBase<'_>) {
        let handle = self.handle(slot);
        if handle != Handle(0) {
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
        let handle = self.handle(slot);
        if handle == Handle(0) {
            return;
        }
        let at = seen.received.wall_us;
        let (registers, changes) = (Cow::Borrowed(seen.registers), Cow::Borrowed(seen.changes));
        let body = MatchBody::Obs { registers, changes, clock: seen.clock, at };
        check(self.link.observe(handle, body, at));
    }

    fn odds(&mut self, slot: MatchSlot, changes: &[OddsChange<'_>], received: Received) {
        let body = BulkBody::Obs { changes: Cow::Borrowed(changes), at: received.wall_us };
        self.send_odds(slot, body, changes.len(), received);
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
    fn handle(&self, slot: MatchSlot) -> Handle {
        self.matches.get(slot).map_or(Handle(0), |followed| followed.handle)
    }

    fn send_odds(&mut self, slot: MatchSlot, body: BulkBody<'_>, changes: usize, received: Received) {
        let handle = self.handle(slot);
        if handle != Handle(0) {
            check(self.link.observe_odds(handle, body, changes, received.wall_us));
        }
    }

    /// The connection to the server is lost: a gap begins, which the next base ends.
    pub fn connection_lost(&mut self, slot: MatchSlot, at: i64) {
        let handle = self.handle(slot);
        if handle != Handle(0) {
            let body = MatchBody::End { why: EndReason::ConnectionLost, lost: None, at };
            check(self.link.observe(handle, body, at));
        }
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
        log::error!(error:% = error; "worker.not_told");
    }
}
