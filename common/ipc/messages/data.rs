//! Worker and recorder: observations and sections.
//!
//! `Base`, `Obs`, `Lost` and `End` carry `n`, dense from 1 per generation; the recorder's `Ack` follows the commit. The worker
//! keeps what is unacknowledged and sends again above `resume_after`. `Publish` carries no `n`: sections are
//! rendered anew, not sent again.

use super::Message;
use crate::model::{
    Clock, Epoch, Facts, Generation, MatchKey, Observation, RegisterChange, Registers, Section, SlotId,
};
use serde::ser::{SerializeStruct, SerializeStructVariant};
use serde::{Deserialize, Serialize, Serializer};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToRecorderData {
    /// The first message on a channel.
    Open { proto_min: u16, proto_max: u16, slot: SlotId, generation: Generation },
    /// All registers of a match: after a load, after an overflow, after a new epoch.
    Base {
        n: u64,
        key: MatchKey,
        /// The epoch it is followed under.
        epoch: Epoch,
        facts: Facts,
        registers: Registers,
        clock: Option<Clock>,
        /// Wall clock of the read, microseconds since 1970 UTC.
        received_at: i64,
    },
    Obs {
        n: u64,
        key: MatchKey,
        /// The epoch it is followed under.
        epoch: Epoch,
        observation: Observation,
    },
    /// Observations of a match were dropped here because the recorder did not take them: a gap. A `Base` follows.
    Lost {
        n: u64,
        key: MatchKey,
        /// The epoch it is followed under.
        epoch: Epoch,
        count: u64,
        /// Wall clock of the first of them, microseconds since 1970 UTC.
        since: i64,
    },
    /// The sections of one rendering, applied as a unit.
    Publish(Publish),
    /// The match is over for this worker.
    End {
        n: u64,
        key: MatchKey,
        /// The epoch it was followed under.
        epoch: Epoch,
        why: EndReason,
        /// Wall clock, microseconds since 1970 UTC.
        at: i64,
    },
}

impl Message for ToRecorderData {
    const KIND: u16 = 0x0301;
}

/// An observation whose parts are lent. It is written as [`ToRecorderData::Obs`] is, with the number 0, and nothing is
/// copied before: there is one for each diff.
#[derive(Clone, Debug)]
pub struct ObsRef<'a, F> {
    pub key: &'a MatchKey,
    /// The epoch it is followed under.
    pub epoch: Epoch,
    /// As in [`Observation`].
    pub registers: &'a [RegisterChange],
    /// Something that is written as the [`Flip`](crate::model::Flip)s are.
    pub flips: F,
    /// As in [`Observation`].
    pub clock: Option<Clock>,
    /// As in [`Observation`].
    pub received_at: i64,
}

impl<F> Message for ObsRef<'_, F>
where
    F: ExactSizeIterator<Item: Serialize> + Clone,
{
    const KIND: u16 = ToRecorderData::KIND;
}

impl<F> Serialize for ObsRef<'_, F>
where
    F: ExactSizeIterator<Item: Serialize> + Clone,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut obs = serializer.serialize_struct_variant("ToRecorderData", 2, "Obs", 4)?;
        obs.serialize_field("n", &0_u64)?;
        obs.serialize_field("key", self.key)?;
        obs.serialize_field("epoch", &self.epoch)?;
        obs.serialize_field("observation", &Seen(self))?;
        obs.end()
    }
}

struct Seen<'a, 'b, F>(&'a ObsRef<'b, F>);

impl<F> Serialize for Seen<'_, '_, F>
where
    F: ExactSizeIterator<Item: Serialize> + Clone,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seen = serializer.serialize_struct("Observation", 4)?;
        seen.serialize_field("registers", self.0.registers)?;
        seen.serialize_field("flips", &Sequence(&self.0.flips))?;
        seen.serialize_field("clock", &self.0.clock)?;
        seen.serialize_field("received_at", &self.0.received_at)?;
        seen.end()
    }
}

struct Sequence<'a, F>(&'a F);

impl<F> Serialize for Sequence<'_, F>
where
    F: ExactSizeIterator<Item: Serialize> + Clone,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

/// Why a worker stops sending a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    Ended,
    /// Another worker owns it.
    Moved,
    /// The connection to the server broke; a gap begins and ends with the next `Base`.
    ConnectionLost,
    Leaving,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    pub key: MatchKey,
    /// The epoch it is followed under.
    pub epoch: Epoch,
    /// Whether `sections` are the whole document or what changed in it.
    pub extent: Extent,
    pub sections: Vec<Section>,
    /// Whether the document is stale: nothing received for `stale_after`.
    pub stale: bool,
    /// Wall clock of the read that brought the newest change, microseconds since 1970 UTC.
    pub received_at: i64,
    /// Wall clock of the rendering, microseconds since 1970 UTC.
    pub updated_at: i64,
}

/// How much of a document a [`Publish`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extent {
    /// Everything: what is not among the sections is gone.
    Whole,
    /// What changed since this worker's last `Publish` of the match.
    Changes,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromRecorderData {
    /// The answer to `Open`.
    Opened {
        proto: u16,
        /// The recorder's run: its start, microseconds since 1970 UTC.
        run: u64,
        /// The highest `n` of this generation that is committed.
        resume_after: u64,
    },
    /// Everything up to this number is committed.
    Ack { n: u64 },
    /// What was sent of a match under this epoch was refused: a higher one owns it.
    Refused { key: MatchKey, epoch: Epoch },
}

impl Message for FromRecorderData {
    const KIND: u16 = 0x0302;
}

/// Puts the number `n` into an encoded [`ToRecorderData`] frame of a kind that carries one.
///
/// A frame is encoded when something is seen, and numbered when it is sent: what is dropped in between leaves no
/// hole. The number stands right behind the header and the variant's tag of four bytes.
pub fn stamp_number(frame: &mut [u8], n: u64) {
    const AT: usize = crate::ipc::frame::HEADER_LEN + 4;
    if let Some(place) = frame.get_mut(AT..AT + 8) {
        place.copy_from_slice(&n.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::{FrameReader, decode, encode_frame};

    #[test]
    fn a_lent_observation_is_written_as_the_message() {
        use crate::model::{Flip, Register, Side};
        let key = MatchKey { feed: crate::model::FeedId(3), id: "m\u{e9}".into() };
        let comment = Flip::Comment { text: "x".to_owned() };
        let odds = Flip::Odds { market: "a".into(), selection: "b".into(), odds: None, text: "1/2".into() };
        for flips in [Vec::new(), vec![comment], vec![odds.clone(), odds]] {
            let observation = Observation {
                registers: vec![RegisterChange { register: Register::Score(Side::Away), value: -3 }],
                flips,
                clock: Some(Clock { seconds: 77 }),
                received_at: 5,
            };
            let lent = ObsRef {
                key: &key,
                epoch: Epoch(9),
                registers: &observation.registers,
                flips: observation.flips.iter(),
                clock: observation.clock,
                received_at: 5,
            };
            let (mut a, mut b) = (Vec::new(), Vec::new());
            encode_frame(&lent, 0, 0, &mut a).unwrap();
            let whole = ToRecorderData::Obs {
                n: 0,
                key: key.clone(),
                epoch: Epoch(9),
                observation: observation.clone(),
            };
            encode_frame(&whole, 0, 0, &mut b).unwrap();
            assert_eq!(a, b);
        }
    }

    #[test]
    fn every_numbered_message_carries_its_number_at_the_same_place() {
        let key = MatchKey { feed: crate::model::FeedId(3), id: "m".into() };
        let epoch = Epoch(9);
        let observation =
            Observation { registers: Vec::new(), flips: Vec::new(), clock: None, received_at: 5 };
        let base = ToRecorderData::Base {
            n: 0,
            key: key.clone(),
            epoch,
            facts: Facts::default(),
            registers: Registers::new(),
            clock: None,
            received_at: 5,
        };
        let obs = ToRecorderData::Obs { n: 0, key: key.clone(), epoch, observation };
        let lost = ToRecorderData::Lost { n: 0, key: key.clone(), epoch, count: 2, since: 1 };
        let end = ToRecorderData::End { n: 0, key, epoch, why: EndReason::Ended, at: 1 };
        for message in [base, obs, lost, end] {
            let mut frame = Vec::new();
            encode_frame(&message, 0, 0, &mut frame).unwrap();
            stamp_number(&mut frame, 0x0102_0304_0506_0708);
            let mut reader = FrameReader::new(1 << 20);
            reader.extend(&frame);
            let (header, body) = reader.next_frame().unwrap().unwrap();
            let n = match decode::<ToRecorderData>(&header, body).unwrap() {
                ToRecorderData::Base { n, .. }
                | ToRecorderData::Obs { n, .. }
                | ToRecorderData::Lost { n, .. }
                | ToRecorderData::End { n, .. } => n,
                ToRecorderData::Open { .. } | ToRecorderData::Publish(_) => panic!("not numbered"),
            };
            assert_eq!(n, 0x0102_0304_0506_0708);
        }
    }
}
