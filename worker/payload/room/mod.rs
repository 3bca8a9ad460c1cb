//! Live rooms: JSON commands in, lines of the chat, statistics and documents out, pure.
//!
//! A match is a room, its one topic the room's id. A load is the answer to a join, a delta a command or, in four bytes, the
//! popularity. The rules are in `docs/documents.md`. No command is built as a value: a comment is read where it lies, once. What is
//! held of a room is bounded whatever comes, and what says only that counts rose waits, so that a busy room is not rendered for each line.

mod apply;
mod command;
mod document;
mod held;
mod kind;
mod line;
mod ranking;
#[cfg(test)]
mod tests;
mod users;
mod value;

pub use users::UserForm;

use self::held::{Dirty, Followed, Room};
use self::ranking::List;
use self::users::People;
use crate::payload::json_text::Json;
use crate::payload::observe::{Names, Received, Sink};
use crate::payload::{Differing, KEEP, Limits, MatchSlot, Payload, Result, TreeError, if_changed};
use foldhash::fast::RandomState;
use slab::Slab;
use std::collections::{BTreeSet, HashMap};
use touchline_common::config::{Ranking, Template};
use touchline_common::ipc::messages::data::{MatchBase, Section, SectionKey};
use touchline_common::ipc::messages::worker::ListChange;
use touchline_common::model::{Facts, Listing};

pub struct Rooms {
    limits: Limits,
    people: People,
    ranking: Ranking,
    list: Option<List>,
    topics: HashMap<Box<str>, u32, RandomState>,
    rooms: Slab<Room>,
    /// Rooms that wait to be rendered, by the read since which they do.
    dirty: BTreeSet<(u64, u32)>,
    /// Rooms of which something waits to be told or shown, by when that is due.
    due: BTreeSet<(u64, u32)>,
    json: Json,
}

impl Rooms {
    /// No rooms yet. Of `limits` the number of topics counts; a room has no nodes.
    pub fn new(limits: Limits, users: UserForm, ranking: Ranking) -> Rooms {
        Rooms {
            limits,
            people: users.into(),
            ranking,
            list: None,
            topics: HashMap::default(),
            rooms: Slab::new(),
            dirty: BTreeSet::new(),
            due: BTreeSet::new(),
            json: Json::default(),
        }
    }

    fn find(&self, topic: &[u8]) -> Result<MatchSlot> {
        self.owner(topic).ok_or_else(|| TreeError::not_held(topic))
    }

    fn room(&mut self, slot: MatchSlot) -> Option<&mut Room> {
        self.rooms.get_mut(slot.0 as usize)
    }

    fn list_of(&mut self, topic: &[u8]) -> Option<&mut List> {
        self.list.as_mut().filter(|list| list.topic.as_bytes() == topic)
    }

    /// Sections are to be rendered again.
    fn changed(&mut self, slot: MatchSlot, dirty: Dirty, received: Received) {
        let Some(room) = self.rooms.get_mut(slot.0 as usize) else { return };
        room.dirty.head |= dirty.head;
        room.dirty.tail |= dirty.tail;
        room.received = received;
        if room.dirty_since.is_none() && room.is_shown() {
            room.dirty_since = Some(received.mono_ns);
            self.dirty.insert((received.mono_ns, slot.0));
        }
    }

    fn clean(&mut self, slot: MatchSlot) {
        if let Some(since) = self.room(slot).and_then(|room| room.dirty_since.take()) {
            self.dirty.remove(&(since, slot.0));
        }
    }

    /// Enters when something of a room is due.
    fn schedule(&mut self, slot: MatchSlot) {
        let Some(room) = self.rooms.get_mut(slot.0 as usize) else { return };
        let next = room.next_due();
        let before = std::mem::replace(&mut room.due, next);
        if before != next {
            before.into_iter().for_each(|at| _ = self.due.remove(&(at, slot.0)));
            self.due.extend(next.map(|at| (at, slot.0)));
        }
    }
}

impl Payload for Rooms {
    fn add_match(&mut self, topics: &[String], listing: Listing) -> Result<MatchSlot> {
        let [topic] = topics else { return Err(TreeError::Topics { limit: 1 }) };
        let is_list = self.list.as_ref().is_some_and(|list| list.topic == *topic);
        if is_list || self.topics.contains_key(topic.as_str()) {
            return Err(TreeError::TopicTaken { topic: topic.clone() });
        }
        if self.topics.len() >= self.limits.topics {
            return Err(TreeError::Topics { limit: self.limits.topics });
        }
        let slot = self.rooms.insert(Room::new(topic, listing)) as u32;
        self.topics.insert(topic.as_str().into(), slot);
        Ok(MatchSlot(slot))
    }

    fn remove_match(&mut self, slot: MatchSlot) {
        self.clean(slot);
        let Some(room) = self.rooms.try_remove(slot.0 as usize) else { return };
        if let Some(at) = room.due {
            self.due.remove(&(at, slot.0));
        }
        self.topics.remove(&room.topic);
    }

    /// The list is the ranking; what its rooms are called is in the settings.
    fn add_list(&mut self, topic: &str, _id: Template, _topics: &[Template]) -> Result<()> {
        if self.list.is_some() || self.topics.contains_key(topic) {
            return Err(TreeError::TopicTaken { topic: topic.to_owned() });
        }
        self.list = Some(List::new(topic));
        Ok(())
    }

    fn remove_list(&mut self, topic: &str) {
        self.list.take_if(|list| list.topic == topic);
    }

    fn drain_lists(&mut self, out: &mut Vec<ListChange>) {
        if let Some(list) = &mut self.list {
            list.drain(out);
        }
    }

    fn set_listing(&mut self, slot: MatchSlot, listing: Listing, received: Received, sink: &mut dyn Sink) {
        let Some(room) = self.room(slot).filter(|room| room.listing != listing) else { return };
        let before = room.state();
        room.listing = listing;
        self.changed(slot, Dirty::HEAD, received);
        self.report_state(slot, before, received, sink);
    }

    fn load(&mut self, topic: &[u8], body: &[u8], received: Received, sink: &mut dyn Sink) -> Result<()> {
        let Rooms { list, ranking, .. } = self;
        if let Some(list) = list.as_mut().filter(|list| list.topic.as_bytes() == topic) {
            return list.load(ranking, body).map_err(|why| TreeError::Ranking { why });
        }
        let slot = self.find(topic)?;
        sink.approached(slot);
        sink.touched(slot);
        if let Some(room) = self.room(slot) {
            room.followed = Followed::Joined;
            room.begins();
        }
        self.changed(slot, Dirty::BOTH, received);
        self.report(slot, received, sink);
        Ok(())
    }

    /// Nothing is held that a join's answer could differ from.
    fn audit(
        &mut self,
        topic: &[u8],
        body: &[u8],
        received: Received,
        sink: &mut dyn Sink,
    ) -> Result<Option<Differing>> {
        self.load(topic, body, received, sink).map(|()| None)
    }

    fn delta(&mut self, topic: &[u8], body: &[u8], received: Received, sink: &mut dyn Sink) -> Result<()> {
        let slot = self.find(topic)?;
        sink.approached(slot);
        self.apply(slot, body, received, sink)
    }

    fn topic_removed(
        &mut self,
        topic: &[u8],
        _received: Received,
        sink: &mut dyn Sink,
    ) -> Result<Option<MatchSlot>> {
        if let Some(list) = self.list_of(topic) {
            list.lost();
            return Ok(None);
        }
        let slot = self.find(topic)?;
        sink.approached(slot);
        sink.touched(slot);
        self.clean(slot);
        if let Some(room) = self.room(slot) {
            room.lose();
            room.followed = Followed::New;
        }
        Ok(Some(slot))
    }

    fn connection_lost(&mut self) {
        self.rooms.iter_mut().for_each(|(_, room)| room.lose());
    }

    fn await_load(&mut self, slot: MatchSlot) {
        if let Some(room) = self.room(slot) {
            room.lose();
        }
    }

    fn settle(&mut self, now: Received, sink: &mut dyn Sink) {
        while let Some((at, slot)) = self.due.first().copied() {
            if at > now.mono_ns {
                return;
            }
            self.due.remove(&(at, slot));
            self.tell_due(MatchSlot(slot), now, sink);
        }
    }

    fn settles_at(&self) -> Option<u64> {
        self.due.first().map(|(at, _)| *at)
    }

    fn is_loaded(&self, subscription: &[u8]) -> bool {
        if let Some(list) = self.list.as_ref().filter(|list| list.topic.as_bytes() == subscription) {
            return list.is_loaded();
        }
        self.owner(subscription).is_some_and(|slot| self.is_live(slot))
    }

    fn is_live(&self, slot: MatchSlot) -> bool {
        self.rooms.get(slot.0 as usize).is_some_and(Room::is_shown)
    }

    fn owner(&self, topic: &[u8]) -> Option<MatchSlot> {
        let topic = std::str::from_utf8(topic).ok()?;
        self.topics.get(topic).copied().map(MatchSlot)
    }

    fn received(&self, slot: MatchSlot) -> Option<Received> {
        self.rooms.get(slot.0 as usize).map(|room| room.received)
    }

    fn report(&mut self, slot: MatchSlot, now: Received, sink: &mut dyn Sink) {
        let Some(room) = self.room(slot) else { return };
        let base = MatchBase {
            facts: Facts::default(),
            teams: None,
            registers: room.registers(),
            values: room.changes(),
            clock: None,
            lost: None,
            at: now.wall_us,
        };
        sink.base(slot, base);
    }

    /// A room states no time of its own.
    fn server_time(&mut self, _body: &[u8], _received: Received) -> bool {
        false
    }

    fn name(&mut self, slot: MatchSlot) -> Option<String> {
        self.room(slot).map(|room| room.name().to_owned())
    }

    fn oldest_dirty(&self) -> Option<(MatchSlot, u64)> {
        self.dirty.first().map(|(since, slot)| (MatchSlot(*slot), *since))
    }

    fn render(&mut self, slot: MatchSlot, _names: &mut dyn Names, out: &mut Vec<Section<'static>>) {
        self.clean(slot);
        let Some(room) = self.rooms.get_mut(slot.0 as usize).filter(|room| room.is_shown()) else { return };
        let text = &mut self.json;
        text.clear(KEEP);
        if std::mem::take(&mut room.dirty.head) {
            document::head(room, text);
            out.extend(if_changed(SectionKey::Head, &mut room.head_hash, text));
        }
        if std::mem::take(&mut room.dirty.tail) {
            document::tail(room, text);
            out.extend(if_changed(SectionKey::Tail, &mut room.tail_hash, text));
        }
    }

    fn render_whole(&mut self, slot: MatchSlot, names: &mut dyn Names, out: &mut Vec<Section<'static>>) {
        if let Some(room) = self.room(slot) {
            (room.head_hash, room.tail_hash, room.dirty) = (None, None, Dirty::BOTH);
        }
        self.render(slot, names, out);
    }
}
