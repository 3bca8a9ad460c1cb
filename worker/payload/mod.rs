//! How a match is held and read: snapshots and deltas in; observations, dirty sections and the match list out.
//!
//! Pure: no clock, no socket. The scanning loop knows [`Payload`] and nothing behind it; a further one is one arm in [`hold`] and
//! its own folder. `inplay` keeps object trees, `topics` branches of topics, `json` JSON answers; what they share stands beside them. Nothing a server sends
//! may panic here: what is wrong is a [`TreeError`], which the caller counts, and leaves what is held as it was.

mod clock;
mod error;
pub mod inplay;
pub mod json;
mod json_text;
mod key;
pub mod observe;
mod period;
mod place;
pub mod room;
pub(crate) mod rules;
mod server_time;
mod sport;
mod text;
mod topics;

pub use error::{Result, TreeError};
pub use inplay::{Forest, Mapping, session_error};
pub use json::JsonDocs;
pub use observe::{Names, Received, Seen, Sink};
pub use period::MappingError;
pub use server_time::heartbeat;

use foldhash::quality::FixedState;
use jiff::tz::TimeZone;
use json_text::Json;
use std::hash::BuildHasher;
use topics::{Branches, Table};
use touchline_common::config::{Payload as Form, Template};
use touchline_common::ipc::messages::data::{Section, SectionKey};
use touchline_common::ipc::messages::worker::ListChange;
use touchline_common::model::Listing;

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

/// What a fresh load differs in from what was held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differing {
    /// So many nodes; of a branch, whose topics are one value each, whether this one does.
    pub nodes: usize,
    /// The first of them as the feed addresses it: the topic, and behind a slash the node's own topic id. Empty if there is none.
    pub first: String,
}

impl Differing {
    fn add(&mut self, path: impl FnOnce() -> String) {
        if self.nodes == 0 {
            self.first = path();
        }
        self.nodes += 1;
    }
}

pub type Trees = Box<dyn Payload>;

/// Holds none yet. `over` is the text of a mapping file to lay over the payload's table; a raw payload has no table.
///
/// # Errors
/// What is wrong with `over`.
pub fn hold(
    form: Form,
    over: Option<&str>,
    limits: Limits,
    zone: TimeZone,
) -> std::result::Result<Trees, MappingError> {
    let topics = |table| Box::new(Branches::new(table, limits, zone.clone()));
    Ok(match form {
        Form::Inplay => {
            let mapping = over.map_or_else(Mapping::builtin, Mapping::overlaid)?;
            Box::new(Forest::new(mapping, limits, zone))
        }
        Form::TopicTree => topics(Some(over.map_or_else(Table::builtin, Table::overlaid)?)),
        Form::Raw => topics(None),
    })
}

/// Whether `over` can be laid over the payload's table, as [`hold`] does it.
///
/// # Errors
/// What is wrong with it, with line and column where they are known.
pub fn check(form: Form, over: &str) -> std::result::Result<(), MappingError> {
    let checked = match form {
        Form::Inplay => Mapping::overlaid(over).map(drop),
        Form::TopicTree => Table::overlaid(over).map(drop),
        Form::Raw => Ok(()),
    };
    checked.map_err(|error| place::placed(error, over))
}

/// How the matches of one connection are held. What only some forms have does nothing by default.
pub trait Payload {
    /// Takes a match with its subscriptions, the first of which wins; `listing` fills what they lack.
    ///
    /// # Errors
    /// [`TreeError::TopicTaken`], [`TreeError::Topics`]: nothing was added.
    fn add_match(&mut self, topics: &[String], listing: Listing) -> Result<MatchSlot>;

    fn remove_match(&mut self, slot: MatchSlot);

    /// Takes a match list: `id` makes a match's id of an event node, `topics` name the attributes that its `Listing` carries.
    ///
    /// # Errors
    /// As [`Payload::add_match`]; [`TreeError::NoList`] for a form in which there is none.
    fn add_list(&mut self, topic: &str, _id: Template, _topics: &[Template]) -> Result<()> {
        Err(TreeError::NoList { topic: topic.to_owned() })
    }

    fn remove_list(&mut self, _topic: &str) {}

    fn drain_lists(&mut self, _out: &mut Vec<ListChange>) {}

    /// How many parts of bodies were passed over since the last call, such as entries of a list without an id.
    fn take_passed_over(&mut self) -> u64 {
        0
    }

    fn set_listing(&mut self, slot: MatchSlot, listing: Listing, received: Received, sink: &mut dyn Sink);

    /// Takes the whole of a topic.
    ///
    /// # Errors
    /// What is wrong with it; what is held is as it was.
    fn load(&mut self, topic: &[u8], body: &[u8], received: Received, sink: &mut dyn Sink) -> Result<()>;

    /// As [`Payload::load`], for a topic that was subscribed again: also gives what it differs in from what was held; none if there was
    /// nothing to compare.
    fn audit(
        &mut self,
        topic: &[u8],
        body: &[u8],
        received: Received,
        sink: &mut dyn Sink,
    ) -> Result<Option<Differing>>;

    /// Takes a change of a topic.
    fn delta(&mut self, topic: &[u8], body: &[u8], received: Received, sink: &mut dyn Sink) -> Result<()>;

    /// Deltas of these topics come soon. Changes nothing, and what is not expected is applied all the same.
    fn expect(&self, _topics: &mut dyn Iterator<Item = &[u8]>) {}

    /// The server ended a topic. The match of which that may have been the last.
    ///
    /// # Errors
    /// [`TreeError::TopicNotHeld`].
    fn topic_removed(
        &mut self,
        topic: &[u8],
        received: Received,
        sink: &mut dyn Sink,
    ) -> Result<Option<MatchSlot>>;

    /// The connection is lost; with the next one everything is loaded again.
    fn connection_lost(&mut self) {}

    /// A match's subscriptions are asked for anew: what comes next is its load again.
    fn await_load(&mut self, _slot: MatchSlot) {}

    /// Whether a match's load is still coming in though each of its subscriptions has brought something.
    fn is_settling(&self, _slot: MatchSlot) -> bool {
        false
    }

    /// Reports what waited for loads that belong together, once they are complete.
    fn settle(&mut self, _now: Received, _sink: &mut dyn Sink) {}

    /// When [`Payload::settle`] has something to do, by the clock of `Received::mono_ns`.
    fn settles_at(&self) -> Option<u64> {
        None
    }

    /// Appends the matches whose load has become complete later than its last message said.
    fn drain_complete(&mut self, _out: &mut Vec<MatchSlot>) {}

    /// The subscription that brings a topic; `None` if no match has it.
    fn subscription<'a>(&'a self, topic: &'a [u8]) -> Option<&'a [u8]> {
        Some(topic)
    }

    /// Whether a subscription still has what it brought, after one of its topics ended.
    fn is_loaded(&self, subscription: &[u8]) -> bool;

    /// Whether a load with content is held for one of the match's topics.
    fn is_live(&self, slot: MatchSlot) -> bool;

    fn owner(&self, topic: &[u8]) -> Option<MatchSlot>;

    /// The read that brought the newest change of a match.
    fn received(&self, slot: MatchSlot) -> Option<Received>;

    fn report(&mut self, slot: MatchSlot, now: Received, sink: &mut dyn Sink);

    /// A match has another handle, so its markets and selections need others, too.
    fn forget_handles(&mut self, _slot: MatchSlot) {}

    fn server_time(&mut self, body: &[u8], received: Received) -> bool;

    /// The match's name, if it has one.
    fn name(&mut self, slot: MatchSlot) -> Option<String>;

    /// The match that has waited longest and the `mono_ns` of the read since which it waits.
    fn oldest_dirty(&self) -> Option<(MatchSlot, u64)>;

    /// Appends the sections of a match that differ from what was last published, and calls it clean.
    fn render(&mut self, slot: MatchSlot, names: &mut dyn Names, out: &mut Vec<Section<'static>>);

    /// Appends every section of a match, whatever was published before, and calls it clean.
    fn render_whole(&mut self, slot: MatchSlot, names: &mut dyn Names, out: &mut Vec<Section<'static>>);
}

/// Room that a rendering keeps for the next, bytes.
const KEEP: usize = 256 << 10;

/// A section's 64 bits: two that differ are the same to us once in 2^64.
fn digest(text: &[u8]) -> u64 {
    FixedState::default().hash_one(text)
}

/// The section in `text`, which is emptied, if it is another than the last one.
fn if_changed(key: SectionKey, last: &mut Option<u64>, text: &mut Json) -> Option<Section<'static>> {
    let hash = digest(text.as_bytes());
    let changed = last.replace(hash) != Some(hash);
    let section = changed.then(|| Section { key, body: Some(text.to_text().into()) });
    text.truncate(0);
    section
}
