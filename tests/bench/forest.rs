//! A forest as a worker has it, and who listens to it.

use crate::error::{BenchError, While};
use jiff::tz::TimeZone;
use std::borrow::Cow;
use touchline_common::ipc::encode_frame;
use touchline_common::ipc::messages::Message;
use touchline_common::ipc::messages::data::{BulkBody, BulkFrame, MatchBase, MatchBody, MatchFrame};
use touchline_common::model::{Handle, Listing, MarketValue, OddsChange, SelectionValue};
use touchline_worker::payload::{Forest, Limits, Mapping, MatchSlot, Names, Payload, Received, Seen, Sink};

/// An empty forest with the built-in mapping.
///
/// # Errors
/// When the built-in mapping is unreadable.
pub fn empty() -> Result<Forest, BenchError> {
    let mapping = Mapping::builtin().during("the built-in mapping")?;
    Ok(Forest::new(mapping, Limits::default(), TimeZone::UTC))
}

/// A match of one topic.
///
/// # Errors
/// When the forest refuses it.
pub fn follow(forest: &mut Forest, topic: &str) -> Result<MatchSlot, BenchError> {
    forest.add_match(&[topic.to_owned()], Listing::default()).during("adding a match")
}

/// What happens to what is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// It is counted.
    Counted,
    /// It is written as the recorder gets it.
    Encoded,
}

/// Listens as a worker does, but sends nothing.
#[derive(Debug)]
pub struct Listener {
    telling: Telling,
    names: u32,
    out: Vec<u8>,
    /// Observations so far.
    pub observed: u64,
}

impl Listener {
    /// A listener.
    pub fn new(telling: Telling) -> Listener {
        Listener { telling, names: 0, out: Vec::new(), observed: 0 }
    }

    fn take(&mut self, message: &impl Message) {
        self.observed += 1;
        match self.telling {
            Telling::Counted => _ = std::hint::black_box(message),
            Telling::Encoded => {
                if self.out.len() > 64 * 1024 {
                    self.out.clear();
                }
                // It fits: an observation is some hundred bytes.
                let _ = encode_frame(message, 0, 0, &mut self.out);
            }
        }
    }

    fn name(&mut self) -> Handle {
        self.names += 1;
        Handle(self.names)
    }
}

impl Names for Listener {
    fn name_market(&mut self, _: MatchSlot, _: &[u8], _: &[u8]) -> Handle {
        self.name()
    }

    fn name_selection(&mut self, _: MatchSlot, _: Handle, _: &[u8], _: &[u8]) -> Handle {
        self.name()
    }
}

impl Sink for Listener {
    fn base(&mut self, _: MatchSlot, base: MatchBase<'_>) {
        std::hint::black_box(base);
    }

    fn odds_base(
        &mut self,
        _: MatchSlot,
        markets: &[MarketValue],
        selections: &[SelectionValue<'_>],
        _: Received,
    ) {
        std::hint::black_box((markets, selections));
    }

    fn observed(&mut self, slot: MatchSlot, seen: &Seen<'_>) {
        let (registers, changes) = (Cow::Borrowed(seen.registers), Cow::Borrowed(seen.changes));
        let body = MatchBody::Obs { registers, changes, clock: seen.clock, at: seen.received.wall_us };
        self.take(&MatchFrame { n: 0, handle: Handle(slot.0 + 1), body });
    }

    fn odds(&mut self, slot: MatchSlot, changes: &[OddsChange<'_>], received: Received) {
        let body = BulkBody::Obs { changes: Cow::Borrowed(changes), at: received.wall_us };
        self.take(&BulkFrame { n: 0, handle: Handle(slot.0 + 1), body });
    }

    fn touched(&mut self, _: MatchSlot) {}
}
