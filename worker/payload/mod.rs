//! How a match is held and read: snapshots and deltas in; observations, dirty sections and the match list out.
//!
//! Pure: no clock, no socket. The scanning loop knows [`Trees`] and nothing behind it; a further payload is one variant here
//! and its own folder. `inplay` keeps object trees, `topics` branches of topics. Nothing a server sends may panic here: what
//! is wrong is a [`TreeError`], which the caller counts, and leaves what is held as it was.

mod error;
pub mod inplay;
pub mod observe;
mod topics;

pub use error::TreeError;
pub use inplay::{Forest, Mapping, MappingError, heartbeat, session_error};
pub use observe::{Base, FlipRef, Received, Seen, Sink};

use jiff::tz::TimeZone;
use topics::{Branches, Brought, Table};
use touchline_common::config::{Payload, Template};
use touchline_common::ipc::messages::worker::ListChange;
use touchline_common::model::{Listing, Section};

/// A match of this connection. A slot is free again after `remove_match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatchSlot(pub u32);

/// The bounds of what is held.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nodes of one match (of one list), at most.
    pub nodes: usize,
    /// Bytes of one topic's nodes, at most: its load and what updates made longer.
    pub bytes: usize,
    /// How deep a node may stand below its topic's root.
    pub depth: usize,
    /// Topics of the connection, at most.
    pub topics: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { nodes: 100_000, bytes: 64 << 20, depth: 32, topics: 1_000 }
    }
}

/// What a message did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Nodes loaded, changed, inserted or deleted.
    pub nodes: usize,
    /// Parts of the body that were passed over: an unaddressable duplicate, a second node in a delta.
    pub ignored: usize,
}

/// The matches of one connection.
pub enum Trees {
    /// Object trees in topics' bodies.
    Objects(Box<Forest>),
    /// Branches of topics, one value each.
    Topics(Box<Branches>),
}

impl Trees {
    /// None yet. `over` is the text of a mapping file to lay over the payload's table; a raw payload has no table.
    ///
    /// # Errors
    /// What is wrong with `over`.
    pub fn new(
        payload: Payload,
        over: Option<&str>,
        limits: Limits,
        zone: TimeZone,
    ) -> Result<Trees, MappingError> {
        let topics = |table| Trees::Topics(Box::new(Branches::new(table, limits, zone.clone())));
        Ok(match payload {
            Payload::Inplay => {
                let builtin = Mapping::builtin()?;
                let mapping = over.map_or_else(|| Ok(builtin.clone()), |text| builtin.overlay(text))?;
                Trees::Objects(Box::new(Forest::new(mapping, limits, zone)))
            }
            Payload::TopicTree => topics(Some(over.map_or_else(Table::builtin, Table::overlaid)?)),
            Payload::Raw => topics(None),
        })
    }

    /// Takes a match with its subscriptions, the first of which wins; `listing` fills what they lack.
    ///
    /// # Errors
    /// [`TreeError::TopicTaken`], [`TreeError::Topics`]: nothing was added.
    pub fn add_match(&mut self, topics: &[String], listing: Listing) -> Result<MatchSlot, TreeError> {
        match self {
            Trees::Objects(forest) => forest.add_match(topics, listing),
            Trees::Topics(branches) => branches.add_match(topics, listing),
        }
    }

    /// Forgets a match.
    pub fn remove_match(&mut self, slot: MatchSlot) {
        match self {
            Trees::Objects(forest) => forest.remove_match(slot),
            Trees::Topics(branches) => branches.remove_match(slot),
        }
    }

    /// Takes a match list: see [`Forest::add_list`].
    ///
    /// # Errors
    /// As there; [`TreeError::NoList`] for a payload in which there is none.
    pub fn add_list(&mut self, topic: &str, id: Template, topics: &[Template]) -> Result<(), TreeError> {
        match self {
            Trees::Objects(forest) => forest.add_list(topic, id, topics),
            Trees::Topics(_) => Err(TreeError::NoList { topic: topic.to_owned() }),
        }
    }

    /// Forgets a list.
    pub fn remove_list(&mut self, topic: &str) {
        match self {
            Trees::Objects(forest) => forest.remove_list(topic),
            Trees::Topics(_) => {}
        }
    }

    /// Appends what changed in the match list.
    pub fn drain_lists(&mut self, out: &mut Vec<ListChange>) {
        match self {
            Trees::Objects(forest) => forest.drain_lists(out),
            Trees::Topics(_) => {}
        }
    }

    /// The list knows more of a match.
    pub fn set_listing(
        &mut self,
        slot: MatchSlot,
        listing: Listing,
        received: Received,
        sink: &mut impl Sink,
    ) {
        match self {
            Trees::Objects(forest) => forest.set_listing(slot, listing, received, sink),
            Trees::Topics(branches) => branches.set_listing(slot, listing, received, sink),
        }
    }

    /// Takes the whole of a topic.
    ///
    /// # Errors
    /// What is wrong with it; what is held is as it was.
    #[inline]
    pub fn load(
        &mut self,
        topic: &[u8],
        body: &[u8],
        received: Received,
        sink: &mut impl Sink,
    ) -> Result<Applied, TreeError> {
        match self {
            Trees::Objects(forest) => forest.load(topic, body, received, sink),
            Trees::Topics(branches) => branches.value(topic, body, Brought::Load, received, sink),
        }
    }

    /// As [`Trees::load`], for a topic that was subscribed again: also gives in how many nodes what was held differs, see
    /// [`Forest::audit`]; of a branch, whose topics are one value each, whether this one does.
    ///
    /// # Errors
    /// As [`Trees::load`].
    pub fn audit(
        &mut self,
        topic: &[u8],
        body: &[u8],
        received: Received,
        sink: &mut impl Sink,
    ) -> Result<(Applied, Option<usize>), TreeError> {
        match self {
            Trees::Objects(forest) => forest.audit(topic, body, received, sink),
            Trees::Topics(branches) => {
                let differs = branches.value_of(topic).map(|held| usize::from(held != body));
                let applied = branches.value(topic, body, Brought::Load, received, sink)?;
                Ok((applied, differs))
            }
        }
    }

    /// Whether a match's load is still coming in though each of its subscriptions has brought something.
    pub fn is_settling(&self, slot: MatchSlot) -> bool {
        match self {
            Trees::Objects(_) => false,
            Trees::Topics(branches) => branches.is_settling(slot),
        }
    }

    /// Deltas of these topics come soon: see [`Forest::expect`].
    #[inline]
    pub fn expect<'t>(&self, topics: impl Iterator<Item = &'t [u8]>) {
        match self {
            Trees::Objects(forest) => forest.expect(topics),
            Trees::Topics(_) => {}
        }
    }

    /// Takes a change of a topic.
    ///
    /// # Errors
    /// As [`Trees::load`].
    #[inline]
    pub fn delta(
        &mut self,
        topic: &[u8],
        body: &[u8],
        received: Received,
        sink: &mut impl Sink,
    ) -> Result<Applied, TreeError> {
        match self {
            Trees::Objects(forest) => forest.delta(topic, body, received, sink),
            Trees::Topics(branches) => branches.value(topic, body, Brought::Delta, received, sink),
        }
    }

    /// The server ended a topic. The match of which that may have been the last.
    ///
    /// # Errors
    /// [`TreeError::TopicNotHeld`].
    pub fn topic_removed(
        &mut self,
        topic: &[u8],
        received: Received,
        sink: &mut impl Sink,
    ) -> Result<Option<MatchSlot>, TreeError> {
        match self {
            Trees::Objects(forest) => forest.topic_removed(topic, received, sink),
            Trees::Topics(branches) => branches.topic_removed(topic, received, sink),
        }
    }

    /// The connection is lost; with the next one everything is loaded again.
    pub fn connection_lost(&mut self) {
        match self {
            Trees::Objects(_) => {}
            Trees::Topics(branches) => branches.connection_lost(),
        }
    }

    /// A match's subscriptions are asked for anew: what comes next is its load again.
    pub fn await_load(&mut self, slot: MatchSlot) {
        match self {
            Trees::Objects(_) => {}
            Trees::Topics(branches) => branches.await_load(slot.0),
        }
    }

    /// Tells what waited for loads that belong together, once they are complete.
    pub fn settle(&mut self, now: Received, sink: &mut impl Sink) {
        match self {
            Trees::Objects(_) => {}
            Trees::Topics(branches) => branches.settle(now, sink),
        }
    }

    /// When [`Trees::settle`] has something to do, by the clock of `Received::mono_ns`.
    pub fn settles_at(&self) -> Option<u64> {
        match self {
            Trees::Objects(_) => None,
            Trees::Topics(branches) => branches.settles_at(),
        }
    }

    /// The subscription that brings a topic; `None` if no match has it.
    pub fn subscription<'a>(&'a self, topic: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Trees::Objects(_) => Some(topic),
            Trees::Topics(branches) => branches.subscription(topic),
        }
    }

    /// Whether a subscription still has what it brought, after one of its topics ended.
    pub fn is_loaded(&self, subscription: &[u8]) -> bool {
        match self {
            Trees::Objects(forest) => {
                std::str::from_utf8(subscription).is_ok_and(|topic| forest.is_loaded(topic))
            }
            Trees::Topics(branches) => branches.is_loaded(subscription),
        }
    }

    /// Appends the matches whose load has become complete later than its last message said.
    pub fn drain_complete(&mut self, out: &mut Vec<MatchSlot>) {
        match self {
            Trees::Objects(_) => {}
            Trees::Topics(branches) => branches.drain_complete(out),
        }
    }

    /// Whether a load with content is held for one of the match's topics.
    pub fn is_live(&self, slot: MatchSlot) -> bool {
        match self {
            Trees::Objects(forest) => forest.is_live(slot),
            Trees::Topics(branches) => branches.is_live(slot),
        }
    }

    /// The match that a topic belongs to.
    pub fn owner(&self, topic: &[u8]) -> Option<MatchSlot> {
        match self {
            Trees::Objects(forest) => forest.owner(std::str::from_utf8(topic).ok()?),
            Trees::Topics(branches) => branches.owner(topic),
        }
    }

    /// The read that brought the newest change of a match.
    pub fn received(&self, slot: MatchSlot) -> Option<Received> {
        match self {
            Trees::Objects(forest) => forest.received(slot),
            Trees::Topics(branches) => branches.received(slot),
        }
    }

    /// All registers of a match as it stands.
    pub fn base(&mut self, slot: MatchSlot, now: Received) -> Option<Base> {
        match self {
            Trees::Objects(forest) => forest.base(slot, now),
            Trees::Topics(branches) => branches.base(slot, now),
        }
    }

    /// The server states its time. Whether it did.
    pub fn server_time(&mut self, body: &[u8], received: Received) -> bool {
        match self {
            Trees::Objects(forest) => forest.server_time(body, received),
            Trees::Topics(branches) => branches.server_time(body),
        }
    }

    /// The match's name, if it has one.
    pub fn name(&mut self, slot: MatchSlot) -> Option<String> {
        match self {
            Trees::Objects(forest) => forest.name(slot),
            Trees::Topics(branches) => branches.name(slot),
        }
    }

    /// The match that has waited longest and the `mono_ns` of the read since which it waits.
    #[inline]
    pub fn oldest_dirty(&self) -> Option<(MatchSlot, u64)> {
        match self {
            Trees::Objects(forest) => forest.oldest_dirty(),
            Trees::Topics(branches) => branches.oldest_dirty(),
        }
    }

    /// Appends the sections of a match that differ from what was last published, and calls it clean.
    #[inline]
    pub fn render(&mut self, slot: MatchSlot, out: &mut Vec<Section>) {
        match self {
            Trees::Objects(forest) => forest.render(slot, out),
            Trees::Topics(branches) => branches.render(slot, out),
        }
    }

    /// Appends every section of a match, whatever was published before, and calls it clean.
    pub fn render_whole(&mut self, slot: MatchSlot, out: &mut Vec<Section>) {
        match self {
            Trees::Objects(forest) => forest.render_whole(slot, out),
            Trees::Topics(branches) => branches.render_whole(slot, out),
        }
    }
}
