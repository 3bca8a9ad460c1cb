//! Matches that are published as branches of topics: a value or a list of records each, or anything at all.
//!
//! What `Forest` is for object trees, [`Branches`] is for these: messages in, observations and documents out, pure. The
//! rules are in `docs/documents.md`; which topic says what is in `topics.toml`, and without that table every value is
//! passed on as it is. A subscription brings one load per topic and nothing that says which is the last: what comes
//! until it has been quiet for [`QUIET_NS`] is taken as the match's first load and told as one.

mod apply;
mod document;
mod reading;
mod selector;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub(super) use apply::Brought;
pub(super) use table::Table;

use self::reading::Reading;
use self::selector::Selector;
use crate::payload::inplay::json::Json;
use crate::payload::inplay::render::KEEP;
use crate::payload::inplay::server_time;
use crate::payload::inplay::store::Store;
use crate::payload::observe::{Base, FlipAt, Received, Sink};
use crate::payload::{Limits, MatchSlot, TreeError};
use foldhash::fast::RandomState;
use foldhash::quality::FixedState;
use jiff::tz::TimeZone;
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher;
use touchline_common::model::{Facts, Listing, Register, RegisterChange, Section, SectionKey};

/// Without a load for so long, nanoseconds, the first load of a branch counts as complete.
pub(super) const QUIET_NS: u64 = 100_000_000;
/// A branch whose loads do not end is told after this long, nanoseconds, whatever comes.
pub(super) const LONGEST_NS: u64 = 2_000_000_000;

/// The branches of one connection.
pub struct Branches {
    table: Option<Table>,
    limits: Limits,
    zone: TimeZone,
    /// Subscriptions by the topic at their top.
    tops: HashMap<Box<[u8]>, Place, RandomState>,
    /// Bytes of the longest top: no topic is looked up by more of its name.
    longest: usize,
    matches: Slab<Branch>,
    /// Matches that wait to be rendered, by the read since which they do.
    dirty: BTreeSet<(u64, u32)>,
    /// Matches whose first load is coming in, by when it counts as complete.
    settling: BTreeSet<(u64, u32)>,
    /// Matches whose load has become complete; the caller has not heard of it yet.
    complete: Vec<MatchSlot>,
    scratch: Scratch,
}

/// A subscription of a match.
#[derive(Clone, Copy, Debug)]
struct Place {
    slot: u32,
    asked: u16,
}

/// What is reused from message to message.
#[derive(Default)]
struct Scratch {
    flips: Vec<FlipAt>,
    /// The texts of `flips`, which name stretches of it.
    texts: Vec<u8>,
    changes: Vec<RegisterChange>,
    registers: Vec<(Register, i64)>,
    json: Json,
    /// Flips may name nodes; these here never do.
    no_nodes: Option<Store>,
}

/// A match: its values, and what was told and published of it.
#[derive(Default)]
pub(super) struct Branch {
    /// Its subscriptions; of a topic that two have the first one's counts.
    asked: Vec<Asked>,
    /// Values held.
    topics: usize,
    /// Their bytes, names included.
    bytes: usize,
    listing: Listing,
    told: Vec<(Register, i64)>,
    facts: Facts,
    telling: Telling,
    head_hash: Option<u64>,
    /// Since when something waits to be rendered.
    dirty_since: Option<u64>,
    received: Received,
}

/// One subscription and what it brought.
struct Asked {
    selector: Selector,
    values: BTreeMap<Box<[u8]>, Box<[u8]>>,
}

/// Whether changes of a match are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Telling {
    /// Nothing came since it was asked for.
    #[default]
    Awaited,
    /// Its first load is coming in, since `from`, and counts as complete at `until`.
    Settling { from: u64, until: u64 },
    /// Every change.
    Told,
}

impl Branches {
    /// No branches yet; without a table nothing is read from the values.
    pub(super) fn new(table: Option<Table>, limits: Limits, zone: TimeZone) -> Branches {
        Branches {
            table,
            limits,
            zone,
            tops: HashMap::default(),
            longest: 0,
            matches: Slab::new(),
            dirty: BTreeSet::new(),
            settling: BTreeSet::new(),
            complete: Vec::new(),
            scratch: Scratch { no_nodes: Some(Store::new()), ..Scratch::default() },
        }
    }

    /// Takes a match with its subscriptions.
    ///
    /// # Errors
    /// [`TreeError::TopicTaken`], [`TreeError::Topics`]: nothing was added.
    pub(super) fn add_match(&mut self, topics: &[String], listing: Listing) -> Result<MatchSlot, TreeError> {
        let selectors: Vec<Selector> = topics.iter().map(|topic| Selector::parse(topic)).collect();
        for (place, selector) in selectors.iter().enumerate() {
            let twice = selectors.iter().take(place).any(|other| other.top() == selector.top());
            if twice || self.tops.contains_key(selector.top()) {
                return Err(TreeError::TopicTaken { topic: selector.text.to_string() });
            }
        }
        if self.tops.len() + topics.len() > self.limits.topics || topics.len() > usize::from(u16::MAX) {
            return Err(TreeError::Topics { limit: self.limits.topics });
        }
        let entry = self.matches.vacant_entry();
        let slot = entry.key() as u32;
        for (asked, selector) in selectors.iter().enumerate() {
            self.longest = self.longest.max(selector.top().len());
            self.tops.insert(selector.top().into(), Place { slot, asked: asked as u16 });
        }
        let asked = |selector| Asked { selector, values: BTreeMap::new() };
        let asked = selectors.into_iter().map(asked).collect();
        entry.insert(Branch { asked, listing, ..Branch::default() });
        Ok(MatchSlot(slot))
    }

    pub(super) fn remove_match(&mut self, slot: MatchSlot) {
        self.clean(slot.0);
        let Some(held) = self.matches.try_remove(slot.0 as usize) else { return };
        if let Telling::Settling { until, .. } = held.telling {
            self.settling.remove(&(until, slot.0));
        }
        for asked in &held.asked {
            self.tops.remove(asked.selector.top());
        }
    }

    pub(super) fn set_listing(
        &mut self,
        slot: MatchSlot,
        listing: Listing,
        received: Received,
        sink: &mut impl Sink,
    ) {
        let Some(held) = self.matches.get_mut(slot.0 as usize).filter(|held| held.listing != listing) else {
            return;
        };
        held.listing = listing;
        let told = held.telling == Telling::Told;
        let facts = Reading::of(self.table.as_ref(), held).facts();
        let others = facts != held.facts;
        self.changed(slot.0, received);
        if told && others {
            self.tell_base(slot.0, received, sink);
        }
    }

    /// Whether a load is held that counts as complete.
    pub(super) fn is_live(&self, slot: MatchSlot) -> bool {
        self.matches.get(slot.0 as usize).is_some_and(Branch::is_shown)
    }

    /// Appends the matches whose load has become complete since the last call.
    pub(super) fn drain_complete(&mut self, out: &mut Vec<MatchSlot>) {
        out.append(&mut self.complete);
    }

    /// The match that a topic belongs to.
    pub(super) fn owner(&self, topic: &[u8]) -> Option<MatchSlot> {
        self.find(topic).map(|(place, _)| MatchSlot(place.slot))
    }

    /// The value that is held of a topic.
    pub(super) fn value_of(&self, topic: &[u8]) -> Option<&[u8]> {
        let (place, key) = self.find(topic)?;
        let asked = self.matches.get(place.slot as usize)?.asked.get(usize::from(place.asked))?;
        asked.values.get(key).map(AsRef::as_ref)
    }

    /// Whether a match's load is asked for or coming in.
    pub(super) fn is_settling(&self, slot: MatchSlot) -> bool {
        self.matches.get(slot.0 as usize).is_some_and(|held| held.telling != Telling::Told)
    }

    /// The subscription that brings a topic, as it was asked for.
    pub(super) fn subscription(&self, topic: &[u8]) -> Option<&[u8]> {
        let (place, _) = self.find(topic)?;
        let asked = self.matches.get(place.slot as usize)?.asked.get(usize::from(place.asked))?;
        Some(asked.selector.text.as_bytes())
    }

    /// Whether a subscription has brought a value that still stands.
    pub(super) fn is_loaded(&self, subscription: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(subscription) else { return false };
        let place = self.tops.get(Selector::parse(text).top());
        let asked = place
            .and_then(|place| self.matches.get(place.slot as usize)?.asked.get(usize::from(place.asked)));
        asked.is_some_and(|asked| !asked.values.is_empty())
    }

    pub(super) fn received(&self, slot: MatchSlot) -> Option<Received> {
        self.matches.get(slot.0 as usize).map(|held| held.received)
    }

    pub(super) fn base(&self, slot: MatchSlot, now: Received) -> Option<Base> {
        let held = self.matches.get(slot.0 as usize)?;
        let reading = Reading::of(self.table.as_ref(), held);
        let mut values = Vec::new();
        reading.registers(&mut values);
        Some(Base {
            facts: reading.facts(),
            registers: values.into_iter().collect(),
            clock: reading.clock().shown(now.wall_us),
        })
    }

    pub(super) fn server_time(&self, body: &[u8]) -> bool {
        server_time::stated(body, &self.zone).is_some()
    }

    pub(super) fn name(&self, slot: MatchSlot) -> Option<String> {
        let held = self.matches.get(slot.0 as usize)?;
        Reading::of(self.table.as_ref(), held).name().map(std::borrow::Cow::into_owned)
    }

    /// The match that has waited longest and the `mono_ns` of the read since which it waits.
    pub(super) fn oldest_dirty(&self) -> Option<(MatchSlot, u64)> {
        self.dirty.first().map(|(since, slot)| (MatchSlot(*slot), *since))
    }

    /// Appends the document if it differs from what was last published, and calls the match clean.
    pub(super) fn render(&mut self, slot: MatchSlot, out: &mut Vec<Section>) {
        let settles = |held: &Branch| matches!(held.telling, Telling::Settling { .. });
        if self.matches.get(slot.0 as usize).is_some_and(settles) {
            // It goes on waiting: what is shown of it is shown when its load is complete.
            return;
        }
        self.clean(slot.0);
        let Some(held) = self.matches.get_mut(slot.0 as usize).filter(|held| held.is_shown()) else { return };
        let mut text = std::mem::take(&mut self.scratch.json);
        text.clear(KEEP);
        document::render(&Reading::of(self.table.as_ref(), held), &mut text);
        let hash = FixedState::default().hash_one(text.as_bytes());
        if held.head_hash.replace(hash) != Some(hash) {
            out.push(Section { key: SectionKey::Head, body: Some(text.to_text()) });
        }
        self.scratch.json = text;
    }

    /// Appends the document, whatever was published before.
    pub(super) fn render_whole(&mut self, slot: MatchSlot, out: &mut Vec<Section>) {
        if let Some(held) = self.matches.get_mut(slot.0 as usize) {
            held.head_hash = None;
        }
        self.render(slot, out);
    }

    /// Which subscription of which match a topic belongs to, and what it is called there: the longest top wins.
    fn find<'t>(&self, topic: &'t [u8]) -> Option<(Place, &'t [u8])> {
        let at = |top: &[u8]| {
            let place = *self.tops.get(top)?;
            let asked = self.matches.get(place.slot as usize)?.asked.get(usize::from(place.asked))?;
            Some((place, asked.selector.key(topic)?))
        };
        if topic.len() <= self.longest
            && let Some(found) = at(topic)
        {
            return Some(found);
        }
        let within = topic.get(..=self.longest).unwrap_or(topic);
        memchr::memrchr_iter(b'/', within).find_map(|end| at(topic.get(..end)?))
    }

    fn clean(&mut self, slot: u32) {
        if let Some(held) = self.matches.get_mut(slot as usize)
            && let Some(since) = held.dirty_since.take()
        {
            self.dirty.remove(&(since, slot));
        }
    }
}

impl Branch {
    /// Whether it has a document: not while its first load is coming in, when half of it would be shown.
    fn is_shown(&self) -> bool {
        match self.telling {
            Telling::Awaited | Telling::Told => self.topics > 0,
            Telling::Settling { .. } => false,
        }
    }
}
