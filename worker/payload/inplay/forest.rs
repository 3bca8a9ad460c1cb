//! All trees of one connection and the matches they belong to.
//!
//! A topic belongs to one match or is a match list. What a load does is in `load`, what a change in `delta`, rendering in `render`,
//! what is to be rendered in `dirty`. Callers: the scanning worker, benchmarks.

use super::class::Parts;
use super::clock::Stated;
use super::delta::{Delta, Operation, Reports};
use super::list::List;
use super::mapping::{Mapping, Role};
use super::store::{NIL, NodeId, Store, TreeId};
use super::{reading::Reading, render, server_time};
use crate::payload::observe::{Names, Received, Sink};
use crate::payload::{Differing, Limits, MatchSlot, Payload, Result, TreeError};
use foldhash::fast::RandomState;
use jiff::tz::TimeZone;
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use touchline_common::config::Template;
use touchline_common::ipc::messages::data::Section;
use touchline_common::ipc::messages::worker::ListChange;
use touchline_common::model::{Change, Facts, Handle, Listing, Register, RegisterChange};

pub struct Forest {
    pub(super) store: Store,
    pub(super) mapping: Mapping,
    pub(super) limits: Limits,
    pub(super) zone: TimeZone,
    /// How far the server's clock is ahead of our wall clock, microseconds, as it last stated it.
    pub(super) server_ahead: i64,
    pub(super) topics: HashMap<Box<[u8]>, TreeId, RandomState>,
    pub(super) matches: Slab<Match>,
    pub(super) lists: Vec<List>,
    /// Live matches that wait to be rendered, the one first that has waited longest.
    pub(super) dirty: VecDeque<u32>,
    pub(super) scratch: Scratch,
}

#[derive(Default)]
pub(super) struct Scratch {
    pub(super) found: Vec<NodeId>,
    /// The matches that a delta has changed so far.
    pub(super) touched: Vec<u32>,
    pub(super) reports: Reports<'static>,
    pub(super) changes: Vec<RegisterChange>,
    pub(super) values: Vec<Change<'static>>,
    pub(super) registers: Vec<(Register, i64)>,
    pub(super) json: super::json_text::Json,
}

/// A match: which trees it has and what was reported and published of it.
#[derive(Default)]
pub(super) struct Match {
    /// Its trees, the first wins.
    pub(super) trees: Vec<TreeId>,
    pub(super) listing: Listing,
    /// The registers as last reported, in the order of `Register`.
    pub(super) reported: Vec<(Register, i64)>,
    pub(super) facts: Facts,
    /// The time beside the clock.
    pub(super) time: Stated,
    pub(super) live: bool,
    /// Parts of head and tail that are to be rendered again.
    pub(super) parts: Parts,
    pub(super) head_hash: Option<u64>,
    pub(super) tail_hash: Option<u64>,
    /// What is kept of the tail's text: statistics and order of the markets, and the nodes of `extra`.
    pub(super) tail_front: Box<[u8]>,
    pub(super) tail_nodes: Box<[u8]>,
    /// Markets whose state says dirty; may hold nodes that are gone or were reused.
    pub(super) dirty_markets: Vec<NodeId>,
    /// Published markets that are gone, which the next rendering says.
    pub(super) gone: Vec<Handle>,
    /// Since when something waits to be rendered.
    pub(super) dirty_since: Option<u64>,
    /// The read that brought the newest change.
    pub(super) received: Received,
}

impl Forest {
    /// An empty forest. `zone` is the zone of times that the feed writes without one.
    pub fn new(mapping: Mapping, limits: Limits, zone: TimeZone) -> Self {
        Self {
            store: Store::new(),
            mapping,
            limits,
            zone,
            server_ahead: 0,
            topics: HashMap::default(),
            matches: Slab::new(),
            lists: Vec::new(),
            dirty: VecDeque::new(),
            scratch: Scratch::default(),
        }
    }

    fn tree_of(&self, topic: &[u8]) -> Result<TreeId> {
        self.topics.get(topic).copied().ok_or_else(|| TreeError::not_held(topic))
    }

    /// Whether these topics may be held beside those that are.
    fn check_topics(&self, topics: &[impl AsRef<str>]) -> Result<()> {
        for (place, topic) in topics.iter().map(AsRef::as_ref).enumerate() {
            let twice = topics.iter().take(place).any(|other| other.as_ref() == topic);
            if twice || self.topics.contains_key(topic.as_bytes()) {
                return Err(TreeError::TopicTaken { topic: topic.to_owned() });
            }
        }
        if self.topics.len() + topics.len() > self.limits.topics {
            return Err(TreeError::Topics { limit: self.limits.topics });
        }
        Ok(())
    }

    fn add_tree(&mut self, topic: &str, owner: u32) -> TreeId {
        let tree = self.store.add_tree(topic, owner);
        self.topics.insert(topic.as_bytes().into(), tree);
        tree
    }

    fn drop_tree(&mut self, tree: TreeId) {
        if let Some(held) = self.store.tree(tree) {
            self.topics.remove(held.topic.as_bytes());
        }
        self.store.remove_tree(tree);
    }

    /// The server's time at a read, microseconds since 1970 UTC.
    pub(super) fn server_wall(&self, received: Received) -> i64 {
        received.wall_us.saturating_add(self.server_ahead)
    }

    /// Decides which instant the time beside a match's clock stands for, if that is another text than before.
    pub(super) fn read_time(&mut self, slot: u32, received: Received) {
        self.refresh_match(slot);
        let near = self.server_wall(received);
        let Some(held) = self.matches.get(slot as usize) else { return };
        let stamp = Reading::of(&self.store, &self.mapping, held).value(Role::At).unwrap_or_default();
        if held.time.says(stamp) {
            return;
        }
        let time = Stated::new(stamp, &self.zone, near);
        if let Some(held) = self.matches.get_mut(slot as usize) {
            held.time = time;
        }
    }

    /// Bytes that the trees take, without what the allocator adds.
    pub fn footprint(&self) -> usize {
        self.store.footprint()
    }

    /// Nodes of one topic, without an artificial root.
    pub fn nodes(&self, topic: &str) -> Option<usize> {
        self.topics.get(topic.as_bytes()).and_then(|tree| self.store.tree(*tree)).map(|tree| tree.nodes)
    }
}

impl Payload for Forest {
    fn add_match(&mut self, topics: &[String], listing: Listing) -> Result<MatchSlot> {
        self.check_topics(topics)?;
        let slot = self.matches.vacant_key();
        let trees = topics.iter().map(|topic| self.add_tree(topic, slot as u32)).collect();
        self.matches.insert(Match { trees, listing, ..Match::default() });
        Ok(MatchSlot(slot as u32))
    }

    fn add_list(&mut self, topic: &str, id: Template, topics: &[Template]) -> Result<()> {
        self.check_topics(&[topic])?;
        let tree = self.add_tree(topic, NIL);
        self.lists.push(List::new(tree, id, topics));
        Ok(())
    }

    fn remove_match(&mut self, slot: MatchSlot) {
        self.clean(slot.0);
        let Some(held) = self.matches.try_remove(slot.0 as usize) else { return };
        for tree in held.trees {
            self.drop_tree(tree);
        }
    }

    fn remove_list(&mut self, topic: &str) {
        if let Ok(tree) = self.tree_of(topic.as_bytes())
            && let Some(place) = self.lists.iter().position(|list| list.tree == tree)
        {
            self.lists.remove(place);
            self.drop_tree(tree);
        }
    }

    fn set_listing(&mut self, slot: MatchSlot, listing: Listing, received: Received, sink: &mut dyn Sink) {
        let Some(held) = self.matches.get_mut(slot.0 as usize).filter(|held| held.listing != listing) else {
            return;
        };
        held.listing = listing;
        self.parts_changed(slot.0, Parts::HEAD, received);
        self.report_if_facts_changed(slot.0, received, sink);
    }

    fn is_live(&self, slot: MatchSlot) -> bool {
        self.matches.get(slot.0 as usize).is_some_and(|held| held.live)
    }

    fn owner(&self, topic: &[u8]) -> Option<MatchSlot> {
        let owner = self.store.owner_of(*self.topics.get(topic)?);
        (owner != NIL).then_some(MatchSlot(owner))
    }

    fn received(&self, slot: MatchSlot) -> Option<Received> {
        self.matches.get(slot.0 as usize).map(|held| held.received)
    }

    fn report(&mut self, slot: MatchSlot, now: Received, sink: &mut dyn Sink) {
        self.report_base(slot.0, now, sink);
        self.report_odds(slot.0, now, sink);
    }

    fn server_time(&mut self, body: &[u8], received: Received) -> bool {
        let stated = server_time::stated(body, &self.zone, self.server_wall(received));
        if let Some(micros) = stated {
            self.server_ahead = micros.saturating_sub(received.wall_us);
        }
        stated.is_some()
    }

    fn name(&mut self, slot: MatchSlot) -> Option<String> {
        self.refresh_match(slot.0);
        let held = self.matches.get(slot.0 as usize)?;
        Reading::of(&self.store, &self.mapping, held).name().map(std::borrow::Cow::into_owned)
    }

    fn render(&mut self, slot: MatchSlot, names: &mut dyn Names, out: &mut Vec<Section<'static>>) {
        render::changes(self, slot.0, names, out);
        self.clean(slot.0);
    }

    fn render_whole(&mut self, slot: MatchSlot, names: &mut dyn Names, out: &mut Vec<Section<'static>>) {
        render::whole(self, slot.0, names, out);
        self.clean(slot.0);
    }

    fn is_loaded(&self, subscription: &[u8]) -> bool {
        let tree = self.topics.get(subscription).and_then(|tree| self.store.tree(*tree));
        tree.is_some_and(|tree| tree.nodes > 0)
    }

    fn drain_lists(&mut self, out: &mut Vec<ListChange>) {
        let mut lists = std::mem::take(&mut self.lists);
        for list in &mut lists {
            self.drain(list, out);
        }
        self.lists = lists;
    }

    fn load(&mut self, topic: &[u8], body: &[u8], received: Received, sink: &mut dyn Sink) -> Result<()> {
        let tree = self.tree_of(topic)?;
        let owner = self.store.owner_of(tree);
        self.approach(owner, sink);
        self.replace_tree(tree, body)?;
        self.touch(owner, sink);
        if owner == NIL {
            self.list_loaded(tree);
        } else {
            self.match_loaded(owner, received, sink);
        }
        Ok(())
    }

    fn audit(
        &mut self,
        topic: &[u8],
        body: &[u8],
        received: Received,
        sink: &mut dyn Sink,
    ) -> Result<Option<Differing>> {
        let tree = self.tree_of(topic)?;
        let owner = self.store.owner_of(tree);
        self.approach(owner, sink);
        let differing = self.differing(tree, topic, body);
        let is_whole = differing.as_ref().is_some_and(|differing| differing.nodes == 0);
        let prices = self.remembered_prices(tree);
        self.replace_tree(tree, body)?;
        self.remember_prices(tree, prices);
        self.touch(owner, sink);
        if owner == NIL {
            self.list_loaded(tree);
        } else if self.match_renewed(owner, received) && (!is_whole || self.is_news(owner)) {
            self.report(MatchSlot(owner), received, sink);
        }
        Ok(differing)
    }

    /// A body that begins with `F` is taken as a load.
    fn delta(&mut self, topic: &[u8], body: &[u8], received: Received, sink: &mut dyn Sink) -> Result<()> {
        let end = memchr::memchr(b'|', body.get(2..).unwrap_or_default()).map_or(body.len(), |at| at + 2);
        let delta = Delta::new(topic, body.get(2..end).unwrap_or_default(), received);
        let operation = match body {
            [b'F', b'|', ..] | b"EMPTY" => return self.load(topic, body, received, sink),
            [b'U', b'|', ..] => Operation::Update,
            [b'I', b'|', ..] => Operation::Insert,
            [b'D', b'|', ..] | [b'D'] => Operation::Delete,
            _ => return Err(TreeError::UnknownOperation { topic: delta.named() }),
        };
        self.apply(operation, &delta, sink)
    }

    fn expect(&self, topics: &mut dyn Iterator<Item = &[u8]>) {
        self.store.read_ahead(topics.map(|topic| {
            let from = memchr::memrchr(b'/', topic).map_or(0, |at| at + 1);
            topic.get(from..).unwrap_or_default()
        }));
    }

    fn topic_removed(
        &mut self,
        topic: &[u8],
        received: Received,
        sink: &mut dyn Sink,
    ) -> Result<Option<MatchSlot>> {
        let tree = self.tree_of(topic)?;
        let owner = self.store.owner_of(tree);
        self.approach(owner, sink);
        self.touch(owner, sink);
        self.end_topic(tree, received, sink);
        Ok(self.owner(topic))
    }

    fn forget_handles(&mut self, slot: MatchSlot) {
        let Some(held) = self.matches.get(slot.0 as usize) else { return };
        for tree in held.trees.clone() {
            self.forget_handles_below(slot.0, self.store.root_of(tree));
        }
        // What was published is not reported as gone: it was under the old handle.
        if let Some(held) = self.matches.get_mut(slot.0 as usize) {
            held.gone.clear();
        }
    }

    fn oldest_dirty(&self) -> Option<(MatchSlot, u64)> {
        let slot = *self.dirty.front()?;
        Some((MatchSlot(slot), self.matches.get(slot as usize)?.dirty_since?))
    }
}
