//! A forest as a worker has it, and who listens to it.

use crate::error::{BenchError, While};
use jiff::tz::TimeZone;
use touchline_common::ipc::encode_frame;
use touchline_common::ipc::messages::data::ObsRef;
use touchline_common::model::{Epoch, FeedId, Listing, MatchKey};
use touchline_worker::payload::{Base, Forest, Limits, Mapping, MatchSlot, Received, Seen, Sink};

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
    key: MatchKey,
    out: Vec<u8>,
    /// Observations so far.
    pub observed: u64,
}

impl Listener {
    /// A listener.
    pub fn new(telling: Telling) -> Listener {
        let key = MatchKey { feed: FeedId(0), id: "00000000C1A_1_3".into() };
        Listener { telling, key, out: Vec::new(), observed: 0 }
    }
}

impl Sink for Listener {
    fn base(&mut self, _: MatchSlot, base: Base, _: Received) {
        std::hint::black_box(base);
    }

    fn observed(&mut self, _: MatchSlot, seen: &Seen<'_>) {
        self.observed += 1;
        match self.telling {
            Telling::Counted => drop(std::hint::black_box(seen.flips().len())),
            Telling::Encoded => {
                let told = ObsRef {
                    key: &self.key,
                    epoch: Epoch(1),
                    registers: seen.registers(),
                    flips: seen.flips(),
                    clock: seen.clock(),
                    received_at: seen.received().wall_us,
                };
                if self.out.len() > 64 * 1024 {
                    self.out.clear();
                }
                // It fits: an observation is some hundred bytes.
                let _ = encode_frame(&told, 0, 0, &mut self.out);
            }
        }
    }

    fn touched(&mut self, _: MatchSlot) {}
}
