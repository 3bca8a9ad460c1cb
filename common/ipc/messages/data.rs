//! Worker to recorder: two streams of observations, names for what they speak of, and renderings.
//!
//! Each kind of frame has a type of its own in its header, so that the recorder's loop can pass a stream's frames on without
//! decoding them. `Match` and `Bulk` frames carry `n`, dense from 1 per generation and stream; the recorder's `Ack` follows the
//! commit, and the worker sends again what is above `resume_after`. `Name` and `Publish` carry none: names are never dropped, and
//! renderings are made anew. A name goes out before the first frame that uses its handle; after `Opened` all live names go first.

use super::Message;
use crate::ipc::frame::HEADER_LEN;
use crate::model::{
    Change, ChatLine, Clock, Epoch, Facts, Generation, Handle, Incidents, MarketValue, MatchKey, OddsChange,
    RegisterChange, Registers, RoundEnd, SelectionValue, SlotId,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// One of the two queues that lead from a worker to the sinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stream {
    /// Registers, incidents, statistics, comments, start and end, gaps.
    Match,
    /// Prices, suspensions of markets and selections, markets opened and closed; what is said and given in rooms.
    Bulk,
}

/// Something of each stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerStream<T> {
    pub matches: T,
    pub bulk: T,
}

impl<T> PerStream<T> {
    pub fn get(&self, stream: Stream) -> &T {
        match stream {
            Stream::Match => &self.matches,
            Stream::Bulk => &self.bulk,
        }
    }

    pub fn of(&mut self, stream: Stream) -> &mut T {
        match stream {
            Stream::Match => &mut self.matches,
            Stream::Bulk => &mut self.bulk,
        }
    }
}

/// The first message on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    pub proto_min: u16,
    pub proto_max: u16,
    pub slot: SlotId,
    pub generation: Generation,
}

impl Message for Open {
    const KIND: u16 = 0x0311;
}

/// What a handle stands for from now on. It is sent once per channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name<'a> {
    pub handle: Handle,
    #[serde(borrow)]
    pub named: Named<'a>,
}

impl Message for Name<'_> {
    const KIND: u16 = 0x0312;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Named<'a> {
    Match {
        key: MatchKey,
        epoch: Epoch,
    },
    Market {
        of: Handle,
        #[serde(borrow)]
        key: Cow<'a, str>,
        /// Its name for people, empty if it has none.
        #[serde(borrow)]
        name: Cow<'a, str>,
    },
    Selection {
        of: Handle,
        #[serde(borrow)]
        key: Cow<'a, str>,
        /// Its name for people, empty if it has none.
        #[serde(borrow)]
        name: Cow<'a, str>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchFrame<'a> {
    /// Its number; 0 until it is sent.
    pub n: u64,
    /// The match; 0 for what is about none.
    pub handle: Handle,
    #[serde(borrow)]
    pub body: MatchBody<'a>,
}

impl Message for MatchFrame<'_> {
    const KIND: u16 = 0x0313;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MatchBody<'a> {
    /// All values of a match: after a load, after an overflow, after a new epoch.
    Base(#[serde(borrow)] MatchBase<'a>),
    Obs {
        /// Registers, in the order of [`Register`](crate::model::Register).
        registers: Cow<'a, [RegisterChange]>,
        /// Other values, in the order of the delta's attributes.
        #[serde(borrow)]
        changes: Cow<'a, [Change<'a>]>,
        /// The displayed clock, if the match has one.
        clock: Option<Clock>,
        /// Wall clock of the read, microseconds since 1970 UTC.
        at: i64,
    },
    /// Nothing more of this handle comes; only after [`EndReason::ConnectionLost`], which is sent in this stream alone, it goes on
    /// with the next `Base`. A match that is assigned anew to the same worker gets a new handle, whose `Base` comes before this.
    End {
        why: EndReason,
        /// What was dropped of it and is no longer reported.
        lost: Option<Lost>,
        /// Wall clock, microseconds since 1970 UTC.
        at: i64,
    },
    /// The answer to [`FromRecorderData::Mark`]: all that the server had sent is reported before this.
    Mark { token: u64 },
    /// What a source states of single happenings.
    Incidents {
        stated: Incidents,
        /// Wall clock of the read, microseconds since 1970 UTC.
        at: i64,
    },
    /// A source was asked once over; the last variant, so that those before keep their tags.
    Round {
        round: RoundEnd,
        /// Wall clock of the read, microseconds since 1970 UTC.
        at: i64,
    },
}

/// Why a worker stops sending a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    Ended,
    Moved,
    /// The connection to the server broke; a gap begins and ends with the next `Base`.
    ConnectionLost,
    Leaving,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchBase<'a> {
    pub facts: Facts,
    /// Home and away, where both names are known.
    pub teams: Option<(String, String)>,
    pub registers: Registers,
    #[serde(borrow)]
    pub values: Vec<Change<'a>>,
    pub clock: Option<Clock>,
    /// What was dropped since the last word of it.
    pub lost: Option<Lost>,
    /// Wall clock of the read, microseconds since 1970 UTC.
    pub at: i64,
}

/// Observations that the worker dropped because the recorder did not take them: a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    pub count: u64,
    /// Wall clock of the first of them, microseconds since 1970 UTC.
    pub since: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkFrame<'a> {
    /// Its number; 0 until it is sent.
    pub n: u64,
    pub handle: Handle,
    #[serde(borrow)]
    pub body: BulkBody<'a>,
}

impl Message for BulkFrame<'_> {
    const KIND: u16 = 0x0314;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BulkBody<'a> {
    /// All markets and selections of a match; a market that is not among them is closed.
    Base {
        markets: Cow<'a, [MarketValue]>,
        #[serde(borrow)]
        selections: Cow<'a, [SelectionValue<'a>]>,
        /// Changes that were left out since the last word of it, counted as `odds_conflated`.
        left_out: u64,
        /// Wall clock of the read, microseconds since 1970 UTC.
        at: i64,
    },
    Obs {
        /// The changes, in the order of the delta's attributes.
        #[serde(borrow)]
        changes: Cow<'a, [OddsChange<'a>]>,
        /// Wall clock of the read, microseconds since 1970 UTC.
        at: i64,
    },
    /// Nothing more of this handle comes.
    End {
        why: EndReason,
        /// Wall clock, microseconds since 1970 UTC.
        at: i64,
    },
    /// What was said and given in a room, in the order of the message; the last variant, so that those before keep their tags.
    Chat {
        #[serde(borrow)]
        lines: Cow<'a, [ChatLine<'a>]>,
        /// Wall clock of the read, microseconds since 1970 UTC.
        at: i64,
    },
}

/// One rendering of a match, applied as a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish<'a> {
    pub handle: Handle,
    /// Whether `sections` are the whole document or what changed in it.
    pub extent: Extent,
    #[serde(borrow)]
    pub sections: Vec<Section<'a>>,
    pub stamp: Stamp,
}

/// How old a document is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Whether it is stale: nothing received for `stale_after`.
    pub stale: bool,
    /// Wall clock of the read that brought the newest change, microseconds since 1970 UTC.
    pub received_at: i64,
    /// Wall clock of the rendering, microseconds since 1970 UTC.
    pub updated_at: i64,
}

impl Message for Publish<'_> {
    const KIND: u16 = 0x0315;
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
pub struct Section<'a> {
    pub key: SectionKey,
    /// A JSON object; `None` when the part is gone.
    #[serde(borrow)]
    pub body: Option<Cow<'a, str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SectionKey {
    /// What changes with the play: names, status, period, clock, score. A JSON object without `match`, `feed`, `source`, `epoch`,
    /// `version`, `received_at`, `updated_at`, `stale`, `markets`, which the recorder adds.
    Head,
    /// The rest but the markets: statistics, the order of the markets, `extra`. A JSON object whose members are none of the head's.
    Tail,
    /// A market: the value under its key in `markets`.
    Market(Handle),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromRecorderData {
    /// The answer to [`Open`].
    Opened {
        proto: u16,
        /// The recorder's run: its start, microseconds since 1970 UTC.
        run: u64,
        /// The highest `n` of this generation that is committed.
        resume_after: PerStream<u64>,
    },
    Ack {
        stream: Stream,
        n: u64,
    },
    /// Answer with [`MatchBody::Mark`] once the receive queue is drained.
    Mark {
        token: u64,
    },
    /// What was sent of a match as assigned was refused: a higher epoch owns it.
    Refused {
        handle: Handle,
    },
}

impl Message for FromRecorderData {
    const KIND: u16 = 0x0316;
}

/// Puts the number `n` into an encoded [`MatchFrame`] or [`BulkFrame`].
///
/// A frame is encoded when something is seen, and numbered when it is sent: what is dropped in between leaves no hole.
pub fn stamp_number(frame: &mut [u8], n: u64) {
    if let Some(place) = frame.get_mut(HEADER_LEN..HEADER_LEN + 8) {
        place.copy_from_slice(&n.to_le_bytes());
    }
}

/// Number and handle of the body of a [`MatchFrame`] or [`BulkFrame`], without decoding it; `None` if it is too short to have them.
pub fn number_and_handle(body: &[u8]) -> Option<(u64, Handle)> {
    let (n, rest) = body.split_first_chunk::<8>()?;
    let (handle, _) = rest.split_first_chunk::<4>()?;
    Some((u64::from_le_bytes(*n), Handle(u32::from_le_bytes(*handle))))
}

/// Whether the body of a [`MatchFrame`] or [`BulkFrame`] is the last of its match in that stream, without decoding it.
pub fn is_end(body: &[u8]) -> bool {
    // The variant's tag, of four bytes, follows number and handle; the reason's tag follows that.
    const END: [u8; 4] = 2u32.to_le_bytes();
    const CONNECTION_LOST: [u8; 4] = 2u32.to_le_bytes();
    body.get(12..16) == Some(&END[..]) && body.get(16..20) != Some(&CONNECTION_LOST[..])
}

/// When the lines were read that the body of a [`BulkFrame`] holds, wall clock in microseconds, without decoding it; `None` if it holds
/// something else.
pub fn said_at(body: &[u8]) -> Option<i64> {
    // The variant's tag follows number and handle; the time is the last field.
    const CHAT: [u8; 4] = 3u32.to_le_bytes();
    let at = body.last_chunk::<8>().filter(|_| body.get(12..16) == Some(&CHAT[..]))?;
    Some(i64::from_le_bytes(*at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::{FrameReader, Header, decode_borrowed, encode_frame};
    use crate::model::{ChatKind, Price, Register, Side};

    #[test]
    fn numbers_stand_at_one_place_and_texts_are_borrowed() {
        let registers = [RegisterChange { register: Register::Score(Side::Home), value: 2 }];
        let changes = [Change::Comment { text: "goal".into() }];
        let seen = MatchFrame {
            n: 0,
            handle: Handle(7),
            body: MatchBody::Obs {
                registers: Cow::Borrowed(&registers),
                changes: Cow::Borrowed(&changes),
                clock: None,
                at: 5,
            },
        };
        let price = Price::from_text("5/4");
        let changes = [OddsChange::Price { selection: Handle(3), price, text: "5/4".into() }];
        let odds = BulkFrame {
            n: 0,
            handle: Handle(7),
            body: BulkBody::Obs { changes: Cow::Borrowed(&changes), at: 5 },
        };
        let (mut a, mut b) = (Vec::new(), Vec::new());
        encode_frame(&seen, 0, 0, &mut a).unwrap();
        encode_frame(&odds, 0, 0, &mut b).unwrap();
        stamp_number(&mut a, 0x0102_0304);
        stamp_number(&mut b, u64::MAX);
        let mut reader = FrameReader::new(1 << 20);
        reader.extend(&a);
        let (header, body) = reader.next_frame().unwrap().unwrap();
        assert_eq!(number_and_handle(body), Some((0x0102_0304, Handle(7))));
        let back: MatchFrame<'_> = decode_borrowed(&header, body).unwrap();
        let MatchBody::Obs { changes, .. } = &back.body else { panic!("{back:?}") };
        assert!(matches!(&changes[..], [Change::Comment { text: Cow::Borrowed("goal") }]), "{changes:?}");
        reader.extend(&b);
        let (header, body) = reader.next_frame().unwrap().unwrap();
        assert_eq!(number_and_handle(body), Some((u64::MAX, Handle(7))));
        let back: BulkFrame<'_> = decode_borrowed(&header, body).unwrap();
        assert_eq!(back, BulkFrame { n: u64::MAX, ..odds.clone() });
    }

    #[test]
    fn ends_are_known_without_decoding() {
        let body = |message: &dyn Fn(&mut Vec<u8>)| {
            let mut frame = Vec::new();
            message(&mut frame);
            frame.split_off(HEADER_LEN)
        };
        let (n, handle, why, at) = (1, Handle(9), EndReason::Ended, 1);
        let of_match = |body| MatchFrame { n, handle, body };
        let of_bulk = |body| BulkFrame { n, handle, body };
        let encoded = |frame: &MatchFrame<'_>| body(&|out| encode_frame(frame, 0, 0, out).unwrap());
        let encoded_bulk = |frame: &BulkFrame<'_>| body(&|out| encode_frame(frame, 0, 0, out).unwrap());
        assert!(is_end(&encoded(&of_match(MatchBody::End { why, lost: None, at }))));
        let lost = EndReason::ConnectionLost;
        assert!(
            !is_end(&encoded(&of_match(MatchBody::End { why: lost, lost: None, at }))),
            "its handle goes on"
        );
        assert!(is_end(&encoded_bulk(&of_bulk(BulkBody::End { why, at }))));
        let (registers, changes) = (Cow::Borrowed(&[][..]), Cow::Borrowed(&[][..]));
        assert!(!is_end(&encoded(&of_match(MatchBody::Obs { registers, changes, clock: None, at }))));
        assert!(!is_end(&encoded(&of_match(MatchBody::Mark { token: 2 }))));
        let stated = Incidents { deleted: vec!["7".into()], ..Incidents::default() };
        let incidents = encoded(&of_match(MatchBody::Incidents { stated, at }));
        assert!(!is_end(&incidents));
        assert_eq!(incidents.get(12..16), Some(&4u32.to_le_bytes()[..]), "tags stay");
        // Its numbers stand where the reason of an end does.
        let round = encoded(&of_match(MatchBody::Round { round: RoundEnd::default(), at }));
        assert!(!is_end(&round));
        assert_eq!(round.get(12..16), Some(&5u32.to_le_bytes()[..]), "tags stay");
        assert!(!is_end(&encoded_bulk(&of_bulk(BulkBody::Obs { changes: Cow::Borrowed(&[]), at }))));
        // Two lines: the number of them stands where the reason of an end does.
        let line = |id| ChatLine {
            kind: ChatKind::Comment,
            id: Cow::Borrowed(id),
            user: Cow::Borrowed("ann"),
            text: Cow::Borrowed("hello"),
            amount: None,
            feed_at: Some(3),
        };
        let lines = [line("a"), line("b")];
        let chat = of_bulk(BulkBody::Chat { lines: Cow::Borrowed(&lines), at });
        let bytes = encoded_bulk(&chat);
        assert!(!is_end(&bytes));
        assert_eq!(said_at(&bytes), Some(at));
        assert_eq!(said_at(&encoded_bulk(&of_bulk(BulkBody::End { why, at }))), None);
        assert_eq!(bytes.get(12..16), Some(&3u32.to_le_bytes()[..]), "tags stay");
        let length = u32::try_from(bytes.len()).unwrap();
        let header = Header { kind: BulkFrame::KIND, flags: 0, request: 0, length };
        let back: BulkFrame<'_> = decode_borrowed(&header, &bytes).unwrap();
        assert_eq!(back, chat);
        let BulkBody::Chat { lines, .. } = &back.body else { panic!("{back:?}") };
        assert!(lines.iter().all(|line| matches!(line.text, Cow::Borrowed(_))), "{lines:?}");
    }
}
