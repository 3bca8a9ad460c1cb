//! What a diff let be seen, lent to the caller without copying: it becomes a [`Observation`] only if somebody keeps it.

use super::MatchSlot;
use super::inplay::json::lossy;
use super::inplay::store::{NodeId, Store};
use std::borrow::Cow;
use touchline_common::model::{Clock, Facts, Flip, Observation, Price, RegisterChange, Registers, Side};

/// When a message was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Wall clock, microseconds since 1970 UTC. Orders nothing.
    pub wall_us: i64,
    /// A monotonic clock, nanoseconds since any fixed moment; only differences count.
    pub mono_ns: u64,
}

/// All registers of a match, for `Base`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// Sport and scoring.
    pub facts: Facts,
    /// All that are known.
    pub registers: Registers,
    /// The displayed clock.
    pub clock: Option<Clock>,
}

/// Who is told what a message did. Called while the message is applied; calls of one message are for one read.
pub trait Sink {
    /// A load of one of the match's topics is held, or what its registers mean changed: its registers begin anew.
    fn base(&mut self, slot: MatchSlot, base: Base, received: Received);
    /// A delta changed something that observations tell.
    fn observed(&mut self, slot: MatchSlot, seen: &Seen<'_>);
    /// A message of the match is about to be applied: what goes wrong from now on is about it.
    fn approached(&mut self, _slot: MatchSlot) {}
    /// A message was applied to a tree of the match, whether or not anything changed.
    fn touched(&mut self, slot: MatchSlot);
}

/// What one diff changed in one match.
pub struct Seen<'a> {
    pub(super) store: &'a Store,
    pub(super) body: &'a [u8],
    pub(super) registers: &'a [RegisterChange],
    pub(super) flips: &'a [FlipAt],
    pub(super) clock: Option<Clock>,
    pub(super) received: Received,
}

/// A stretch of the delta's body.
pub(super) type Span = (u32, u32);

/// A flip as nodes of the tree and stretches of the delta's body: resolved to text only when asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FlipAt {
    Odds { market: NodeId, selection: NodeId, odds: Option<Price>, text: Span },
    SelectionSuspended { market: NodeId, selection: NodeId, suspended: bool },
    MarketSuspended { market: NodeId, suspended: bool },
    MarketOpen { market: NodeId, name: Span },
    MarketClose { market: NodeId },
    Comment { text: Span },
    Stat { key: Box<str>, side: Side, text: Span },
}

/// A flip whose texts are lent; the members are those of [`Flip`], in the same order.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs)]
pub enum FlipRef<'a> {
    Odds { market: Cow<'a, str>, selection: Cow<'a, str>, odds: Option<Price>, text: Cow<'a, str> },
    SelectionSuspended { market: Cow<'a, str>, selection: Cow<'a, str>, suspended: bool },
    MarketSuspended { market: Cow<'a, str>, suspended: bool },
    MarketOpen { market: Cow<'a, str>, name: Cow<'a, str> },
    MarketClose { market: Cow<'a, str> },
    Comment { text: Cow<'a, str> },
    Stat { key: Cow<'a, str>, side: Side, text: Cow<'a, str> },
}

impl<'a> Seen<'a> {
    /// Registers that changed, in the order of `Register`.
    pub fn registers(&self) -> &'a [RegisterChange] {
        self.registers
    }

    /// Flips, in the order of the diff's attributes.
    pub fn flips(&self) -> impl ExactSizeIterator<Item = FlipRef<'a>> + Clone + use<'a> {
        let (store, body) = (self.store, self.body);
        self.flips.iter().map(move |flip| resolve(store, body, flip))
    }

    /// The displayed clock, if the match has one.
    pub fn clock(&self) -> Option<Clock> {
        self.clock
    }

    /// The read that brought the diff.
    pub fn received(&self) -> Received {
        self.received
    }

    /// A copy to keep or send.
    pub fn to_observation(&self) -> Observation {
        Observation {
            registers: self.registers.to_vec(),
            flips: self.flips().map(Flip::from).collect(),
            clock: self.clock,
            received_at: self.received.wall_us,
        }
    }
}

fn resolve<'a>(store: &'a Store, body: &'a [u8], flip: &'a FlipAt) -> FlipRef<'a> {
    let text = |&(start, end): &Span| lossy(body.get(start as usize..end as usize).unwrap_or_default());
    let id = |node: &NodeId| lossy(store.it(*node));
    match flip {
        FlipAt::Odds { market, selection, odds, text: at } => {
            FlipRef::Odds { market: id(market), selection: id(selection), odds: *odds, text: text(at) }
        }
        FlipAt::SelectionSuspended { market, selection, suspended } => FlipRef::SelectionSuspended {
            market: id(market),
            selection: id(selection),
            suspended: *suspended,
        },
        FlipAt::MarketSuspended { market, suspended } => {
            FlipRef::MarketSuspended { market: id(market), suspended: *suspended }
        }
        FlipAt::MarketOpen { market, name } => FlipRef::MarketOpen { market: id(market), name: text(name) },
        FlipAt::MarketClose { market } => FlipRef::MarketClose { market: id(market) },
        FlipAt::Comment { text: at } => FlipRef::Comment { text: text(at) },
        FlipAt::Stat { key, side, text: at } => {
            FlipRef::Stat { key: Cow::Borrowed(key), side: *side, text: text(at) }
        }
    }
}

impl From<FlipRef<'_>> for Flip {
    fn from(flip: FlipRef<'_>) -> Self {
        match flip {
            FlipRef::Odds { market, selection, odds, text } => Flip::Odds {
                market: market.into_owned(),
                selection: selection.into_owned(),
                odds,
                text: text.into_owned(),
            },
            FlipRef::SelectionSuspended { market, selection, suspended } => Flip::SelectionSuspended {
                market: market.into_owned(),
                selection: selection.into_owned(),
                suspended,
            },
            FlipRef::MarketSuspended { market, suspended } => {
                Flip::MarketSuspended { market: market.into_owned(), suspended }
            }
            FlipRef::MarketOpen { market, name } => {
                Flip::MarketOpen { market: market.into_owned(), name: name.into_owned() }
            }
            FlipRef::MarketClose { market } => Flip::MarketClose { market: market.into_owned() },
            FlipRef::Comment { text } => Flip::Comment { text: text.into_owned() },
            FlipRef::Stat { key, side, text } => {
                Flip::Stat { key: key.into_owned(), side, text: text.into_owned() }
            }
        }
    }
}
