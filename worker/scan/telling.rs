//! From what the forest sees to what the recorder is told.
//!
//! Every diff's observation goes out under the epoch of its match; a load's registers go out as `Base`. The outbox decides what
//! happens when the recorder does not take them.

use super::book::Book;
use super::data_link::DataLink;
use crate::payload::{Base, MatchSlot, Received, Seen, Sink};
use std::time::Instant;
use touchline_common::ipc::messages::Message;
use touchline_common::ipc::messages::data::{EndReason, ObsRef, ToRecorderData};

/// Tells the recorder, in the name of the matches in `book`.
pub struct Telling<'a> {
    /// Whose name and epoch.
    pub book: &'a mut Book,
    /// To whom.
    pub link: &'a mut DataLink,
    /// The time of the read.
    pub now: Instant,
}

impl Sink for Telling<'_> {
    fn base(&mut self, slot: MatchSlot, base: Base, received: Received) {
        self.tell_base(slot, base, received.wall_us);
    }

    fn observed(&mut self, slot: MatchSlot, seen: &Seen<'_>) {
        let Some(followed) = self.book.get(slot) else { return };
        let received_at = seen.received().wall_us;
        let message = ObsRef {
            key: &followed.key,
            epoch: followed.epoch,
            registers: seen.registers(),
            flips: seen.flips(),
            clock: seen.clock(),
            received_at,
        };
        observe(self.link, slot, &message, received_at);
    }

    fn approached(&mut self, slot: MatchSlot) {
        self.book.at(slot);
    }

    fn touched(&mut self, slot: MatchSlot) {
        if let Some(followed) = self.book.get_mut(slot) {
            followed.touched_at = self.now;
            followed.deltas += 1;
        }
    }
}

impl Telling<'_> {
    /// Tells all registers of a match.
    pub fn tell_base(&mut self, slot: MatchSlot, base: Base, received_at: i64) {
        let Some(followed) = self.book.get(slot) else { return };
        let message = ToRecorderData::Base {
            n: 0,
            key: followed.key.clone(),
            epoch: followed.epoch,
            facts: base.facts,
            registers: base.registers,
            clock: base.clock,
            received_at,
        };
        observe(self.link, slot, &message, received_at);
    }

    /// Tells that observations of a match were dropped.
    pub fn tell_lost(&mut self, slot: MatchSlot, count: u64, since: i64) {
        let Some(followed) = self.book.get(slot) else { return };
        let message =
            ToRecorderData::Lost { n: 0, key: followed.key.clone(), epoch: followed.epoch, count, since };
        observe(self.link, slot, &message, since);
    }

    /// Tells that nothing more comes of a match for now, or for good.
    pub fn tell_end(&mut self, slot: MatchSlot, why: EndReason, at: i64) {
        let Some(followed) = self.book.get(slot) else { return };
        let message = ToRecorderData::End { n: 0, key: followed.key.clone(), epoch: followed.epoch, why, at };
        observe(self.link, slot, &message, at);
    }

    /// As [`Telling::tell_end`], for a match that is followed no more: what was dropped of it is said before, and neither
    /// is lost to a full outbox.
    pub fn tell_last(&mut self, slot: MatchSlot, why: EndReason, at: i64) {
        let dropped = self.link.outbox().forget(slot.0);
        let Some(followed) = self.book.get(slot) else { return };
        let (key, epoch) = (followed.key.clone(), followed.epoch);
        if let Some(dropped) = dropped {
            let (count, since) = (dropped.count, dropped.since);
            self.observe_last(&ToRecorderData::Lost { n: 0, key: key.clone(), epoch, count, since });
        }
        self.observe_last(&ToRecorderData::End { n: 0, key, epoch, why, at });
    }

    fn observe_last(&mut self, message: &ToRecorderData) {
        if let Err(error) = self.link.observe_last(message) {
            log::error!(error:% = error; "worker.not_told");
        }
    }
}

fn observe(link: &mut DataLink, slot: MatchSlot, message: &impl Message, at: i64) {
    if let Err(error) = link.observe(slot.0, message, at) {
        log::error!(error:% = error; "worker.not_told");
    }
}
