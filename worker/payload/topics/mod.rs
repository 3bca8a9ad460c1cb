//! Matches that are published as branches of topics: a value or a list of records each, or anything at all.
//!
//! What `Forest` is for object trees, [`Branches`] is for these: messages in, observations and documents out, pure. The
//! rules are in `docs/documents.md`; which topic says what is in `topics.toml`, and without that table every value is
//! passed on as it is. A subscription brings one load per topic and nothing that says which is the last: what comes
//! until it has been quiet for [`QUIET_NS`] is taken as the match's first load and reported as one.

mod apply;
mod document;
mod reading;
mod selector;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub(super) use table::Table;

use self::apply::Brought;
use self::reading::Reading;
use self::selector::Selector;
use crate::payload::json_text::Json;
use crate::payload::observe::{Names, Received, Sink};
use crate::payload::{
    Differing, KEEP, Limits, MatchSlot, Payload, Result, TreeError, if_changed, server_time,
};
use foldhash::fast::RandomState;
use jiff::tz::TimeZone;
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use touchline_common::ipc::messages::data::{MatchBase, Section, SectionKey};
use touchline_common::model::{Facts, Listing, Register, RegisterChange};

/// Without a load for so long, nanoseconds, the first load of a branch counts as complete.
pub(super) const QUIET_NS: u64 = 100_000_000;
/// A branch whose loads do not end is reported after this long, nanoseconds, whatever comes.
pub(super) const LONGEST_NS: u64 = 2_000_000_000;

pub struct Branches {
    table: Option<Table>,
    limits: Limits,
    zone: TimeZone,
    tops: HashMap<Box<[u8]>, Place, RandomState>,
    /// Bytes of the longest top: no topic is looked up by more of its name.
    longest: usize,
    matches: Slab<Branch>,
    /// Matches that wait to be rendered, by the read since which they do.
    dirty: BTreeSet<(u64, u32)>,
    /// Matches whose first load is coming in, by when it counts as complete.
    settling: BTreeSet<(u64, u32)>,
    /// Matches whose load has become complete; not reported to the caller yet.
    complete: Vec<MatchSlot>,
    scratch: Scratch,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    slot: u32,
    asked: u16,
}

#[derive(Default)]
struct Scratch {
    changes: Vec<RegisterChange>,
    registers: Vec<(Register, i64)>,
    json: Json,
}

/// A match: its values, and what was reported and published of it.
#[derive(Default)]
pub(super) struct Branch {
    /// Its subscriptions; of a topic that two have the first one's counts.
    asked: Vec<Asked>,
    topics: usize,
    /// Their bytes, names included.
    bytes: usize,
    listing: Listing,
    reported: Vec<(Register, i64)>,
    facts: Facts,
    reporting: Reporting,
    /// What is to be rendered again.
    dirty: Dirty,
    head_hash: Option<u64>,
    tail_hash: Option<u64>,
    /// Since when something waits to be rendered.
    dirty_since: Option<u64>,
    received: Received,
}

/// The sections that are to be rendered again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dirty {
    head: bool,
    tail: bool,
}

impl Dirty {
    const HEAD: Dirty = Dirty { head: true, tail: false };
    const TAIL: Dirty = Dirty { head: false, tail: true };
    const BOTH: Dirty = Dirty { head: true, tail: true };
}

struct Asked {
    selector: Selector,
    values: BTreeMap<Box<[u8]>, Box<[u8]>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reporting {
    /// Nothing came since it was asked for.
    #[default]
    Awaited,
    /// Its first load is coming in, since `from`, and counts as complete at `until`.
    Settling {
        from: u64,
        until: u64,
    },
    All,
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
            scratch: Scratch::default(),
        }
    }

    fn asked(&self, place: Place) -> Option<&Asked> {
        self.matches.get(place.slot as usize)?.asked.get(usize::from(place.asked))
    }

    /// Which subscription of which match a topic belongs to, and what it is called there: the longest top wins.
    fn find<'t>(&self, topic: &'t [u8]) -> Option<(Place, &'t [u8])> {
        let at = |top: &[u8]| {
            let place = *self.tops.get(top)?;
            Some((place, self.asked(place)?.selector.key(topic)?))
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

impl Payload for Branches {
    fn add_match(&mut self, topics: &[String], listing: Listing) -> Result<MatchSlot> {
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

    fn remove_match(&mut self, slot: MatchSlot) {
        self.clean(slot.0);
        let Some(held) = self.matches.try_remove(slot.0 as usize) else { return };
        if let Reporting::Settling { until, .. } = held.reporting {
            self.settling.remove(&(until, slot.0));
        }
        for asked in &held.asked {
            self.tops.remove(asked.selector.top());
        }
    }

    fn set_listing(&mut self, slot: MatchSlot, listing: Listing, received: Received, sink: &mut dyn Sink) {
        let Some(held) = self.matches.get_mut(slot.0 as usize).filter(|held| held.listing != listing) else {
            return;
        };
        held.listing = listing;
        let reporting = held.reporting == Reporting::All;
        let facts = Reading::of(self.table.as_ref(), held).facts();
        let others = facts != held.facts;
        self.changed(slot.0, Dirty::HEAD, received);
        if reporting && others {
            self.report(slot, received, sink);
        }
    }

    fn is_live(&self, slot: MatchSlot) -> bool {
        self.matches.get(slot.0 as usize).is_some_and(Branch::is_shown)
    }

    fn drain_complete(&mut self, out: &mut Vec<MatchSlot>) {
        out.append(&mut self.complete);
    }

    fn owner(&self, topic: &[u8]) -> Option<MatchSlot> {
        self.find(topic).map(|(place, _)| MatchSlot(place.slot))
    }

    fn is_settling(&self, slot: MatchSlot) -> bool {
        self.matches.get(slot.0 as usize).is_some_and(|held| held.reporting != Reporting::All)
    }

    fn subscription<'a>(&'a self, topic: &'a [u8]) -> Option<&'a [u8]> {
        let (place, _) = self.find(topic)?;
        Some(self.asked(place)?.selector.text.as_bytes())
    }

    fn is_loaded(&self, subscription: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(subscription) else { return false };
        let place = self.tops.get(Selector::parse(text).top());
        place.and_then(|place| self.asked(*place)).is_some_and(|asked| !asked.values.is_empty())
    }

    fn received(&self, slot: MatchSlot) -> Option<Received> {
        self.matches.get(slot.0 as usize).map(|held| held.received)
    }

    fn report(&mut self, slot: MatchSlot, now: Received, sink: &mut dyn Sink) {
        let Some(held) = self.matches.get_mut(slot.0 as usize) else { return };
        let reading = Reading::of(self.table.as_ref(), held);
        let mut registers = Vec::new();
        reading.registers(&mut registers);
        let [home, away] = reading.sides();
        let facts = reading.facts();
        let base = MatchBase {
            facts: facts.clone(),
            teams: home.zip(away).map(|(home, away)| (home.into_owned(), away.into_owned())),
            registers: registers.iter().copied().collect(),
            values: reading.changes(),
            clock: reading.clock().shown(now.wall_us),
            lost: None,
            at: now.wall_us,
        };
        sink.base(slot, base);
        (held.reported, held.facts) = (registers, facts);
    }

    fn server_time(&mut self, body: &[u8], received: Received) -> bool {
        server_time::stated(body, &self.zone, received.wall_us).is_some()
    }

    fn name(&mut self, slot: MatchSlot) -> Option<String> {
        let held = self.matches.get(slot.0 as usize)?;
        Reading::of(self.table.as_ref(), held).name().map(std::borrow::Cow::into_owned)
    }

    fn oldest_dirty(&self) -> Option<(MatchSlot, u64)> {
        self.dirty.first().map(|(since, slot)| (MatchSlot(*slot), *since))
    }

    fn render(&mut self, slot: MatchSlot, _names: &mut dyn Names, out: &mut Vec<Section<'static>>) {
        let settles = |held: &Branch| matches!(held.reporting, Reporting::Settling { .. });
        if self.matches.get(slot.0 as usize).is_some_and(settles) {
            // It goes on waiting: what is shown of it is shown when its load is complete.
            return;
        }
        self.clean(slot.0);
        let Some(held) = self.matches.get_mut(slot.0 as usize).filter(|held| held.is_shown()) else { return };
        let text = &mut self.scratch.json;
        text.clear(KEEP);
        if std::mem::take(&mut held.dirty.head) {
            document::head(&Reading::of(self.table.as_ref(), held), text);
            out.extend(if_changed(SectionKey::Head, &mut held.head_hash, text));
        }
        if std::mem::take(&mut held.dirty.tail) {
            document::tail(&Reading::of(self.table.as_ref(), held), text);
            out.extend(if_changed(SectionKey::Tail, &mut held.tail_hash, text));
        }
    }

    fn render_whole(&mut self, slot: MatchSlot, names: &mut dyn Names, out: &mut Vec<Section<'static>>) {
        if let Some(held) = self.matches.get_mut(slot.0 as usize) {
            (held.head_hash, held.tail_hash, held.dirty) = (None, None, Dirty::BOTH);
        }
        self.render(slot, names, out);
    }

    fn load(&mut self, topic: &[u8], body: &[u8], received: Received, sink: &mut dyn Sink) -> Result<()> {
        self.value(topic, body, Brought::Load, received, sink)
    }

    fn audit(
        &mut self,
        topic: &[u8],
        body: &[u8],
        received: Received,
        sink: &mut dyn Sink,
    ) -> Result<Option<Differing>> {
        let held = self.find(topic).and_then(|(place, key)| self.asked(place)?.values.get(key));
        let differs = held.map(|held| match **held == *body {
            true => Differing::default(),
            false => Differing { nodes: 1, first: String::from_utf8_lossy(topic).into_owned() },
        });
        self.value(topic, body, Brought::Load, received, sink)?;
        Ok(differs)
    }

    fn delta(&mut self, topic: &[u8], body: &[u8], received: Received, sink: &mut dyn Sink) -> Result<()> {
        self.value(topic, body, Brought::Delta, received, sink)
    }

    fn topic_removed(
        &mut self,
        topic: &[u8],
        received: Received,
        sink: &mut dyn Sink,
    ) -> Result<Option<MatchSlot>> {
        let (place, key) = self.find(topic).ok_or_else(|| TreeError::not_held(topic))?;
        sink.approached(MatchSlot(place.slot));
        sink.touched(MatchSlot(place.slot));
        let Some(held) = self.matches.get_mut(place.slot as usize) else { return Ok(None) };
        if held.unset(usize::from(place.asked), key) {
            self.changed(place.slot, Dirty::BOTH, received);
        }
        if self.matches.get(place.slot as usize).is_some_and(|held| held.topics > 0) {
            return Ok(None);
        }
        self.await_load(MatchSlot(place.slot));
        self.clean(place.slot);
        Ok(Some(MatchSlot(place.slot)))
    }

    fn connection_lost(&mut self) {
        let slots: Vec<usize> = self.matches.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.await_load(MatchSlot(slot as u32));
        }
    }

    fn settle(&mut self, now: Received, sink: &mut dyn Sink) {
        while let Some((until, slot)) = self.settling.first().copied() {
            if until > now.mono_ns {
                return;
            }
            sink.approached(MatchSlot(slot));
            self.complete(slot, sink);
        }
    }

    fn settles_at(&self) -> Option<u64> {
        self.settling.first().map(|(until, _)| *until)
    }

    fn await_load(&mut self, slot: MatchSlot) {
        let Some(held) = self.matches.get_mut(slot.0 as usize) else { return };
        // What waits to be rendered goes on waiting for a load that is complete.
        if let Reporting::Settling { until, .. } = held.reporting {
            self.settling.remove(&(until, slot.0));
        }
        held.reporting = Reporting::Awaited;
    }
}

impl Branch {
    /// Whether it has a document: not while its first load is coming in, when half of it would be shown.
    fn is_shown(&self) -> bool {
        match self.reporting {
            Reporting::Awaited | Reporting::All => self.topics > 0,
            Reporting::Settling { .. } => false,
        }
    }
}
