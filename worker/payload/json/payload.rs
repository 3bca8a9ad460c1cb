//! [`JsonDocs`] as the scanning loop knows it.

use super::held::{Match, Reporting, Topic, view};
use super::list::List;
use super::odds::Memory;
use super::ops::DeltaForm;
use super::write::{Items, canonical};
use super::{Brought, JsonDocs, Place};
use crate::payload::observe::{Names, Received, Sink};
use crate::payload::{Differing, MatchSlot, Payload, Result, TreeError};
use std::borrow::Cow;
use touchline_common::config::Template;
use touchline_common::ipc::messages::data::Section;
use touchline_common::ipc::messages::worker::ListChange;
use touchline_common::model::Listing;

impl Payload for JsonDocs {
    fn add_match(&mut self, topics: &[String], listing: Listing) -> Result<MatchSlot> {
        for (place, topic) in topics.iter().enumerate() {
            let twice = topics.iter().take(place).any(|other| other == topic);
            if twice || self.topics.contains_key(topic.as_str()) || self.is_list(topic.as_bytes()) {
                return Err(TreeError::TopicTaken { topic: topic.clone() });
            }
        }
        if self.topics.len() + topics.len() > self.limits.topics || topics.len() > usize::from(u16::MAX) {
            return Err(TreeError::Topics { limit: self.limits.topics });
        }
        let entry = self.matches.vacant_entry();
        let slot = entry.key() as u32;
        for (place, topic) in topics.iter().enumerate() {
            self.topics.insert(topic.as_str().into(), Place { slot, topic: place as u16 });
        }
        let topics = topics.iter().map(|topic| Topic::new(topic, &self.sources, self.naming)).collect();
        entry.insert(Match { topics, listing, ..Match::default() });
        Ok(MatchSlot(slot))
    }

    fn remove_match(&mut self, slot: MatchSlot) {
        self.clean(slot.0);
        let Some(held) = self.matches.try_remove(slot.0 as usize) else { return };
        for topic in &held.topics {
            self.topics.remove(topic.name.as_str());
        }
    }

    /// Which member of an entry is its id is said by its source, not by `id`.
    fn add_list(&mut self, topic: &str, _id: Template, topics: &[Template]) -> Result<()> {
        if self.list.is_some() || self.topics.contains_key(topic) {
            return Err(TreeError::TopicTaken { topic: topic.to_owned() });
        }
        self.list = Some(List::new(topic, topics));
        Ok(())
    }

    fn remove_list(&mut self, topic: &str) {
        if self.is_list(topic.as_bytes()) {
            self.list = None;
        }
    }

    fn drain_lists(&mut self, out: &mut Vec<ListChange>) {
        if let Some(list) = &mut self.list {
            list.drain(out);
        }
    }

    fn take_passed_over(&mut self) -> u64 {
        std::mem::take(&mut self.passed_over)
    }

    fn set_listing(&mut self, slot: MatchSlot, listing: Listing, received: Received, sink: &mut dyn Sink) {
        let Some(held) = self.matches.get_mut(slot.0 as usize).filter(|held| held.listing != listing) else {
            return;
        };
        held.listing = listing;
        let reporting = held.reporting;
        self.changed(slot.0, received);
        if reporting == Reporting::All {
            self.report_changes(slot.0, received, sink);
        }
    }

    fn load(&mut self, topic: &[u8], body: &[u8], received: Received, sink: &mut dyn Sink) -> Result<()> {
        if self.is_list(topic) {
            return self.take_list(topic, body, Brought::Load);
        }
        self.take(topic, body, Brought::Load, received, sink)
    }

    fn audit(
        &mut self,
        topic: &[u8],
        body: &[u8],
        received: Received,
        sink: &mut dyn Sink,
    ) -> Result<Option<Differing>> {
        if self.is_list(topic) {
            return self.take_list(topic, body, Brought::Audit).map(|()| None);
        }
        let before = self.place(topic).and_then(|place| {
            let held = self.matches.get_mut(place.slot as usize)?;
            held.topics.get_mut(usize::from(place.topic))?.tree.clone()
        });
        self.take(topic, body, Brought::Audit, received, sink)?;
        let held = self
            .place(topic)
            .and_then(|place| self.matches.get(place.slot as usize)?.topics.get(usize::from(place.topic)));
        let Some((before, held)) = before.zip(held) else { return Ok(None) };
        // What deltas made has its items and members where they came in, a load has them as the server likes.
        let items = match held.source.and_then(|source| self.sources.get(source)).map(|source| &source.delta)
        {
            Some(DeltaForm::Keyed(_)) => Items::InAnyOrder,
            Some(DeltaForm::Replace | DeltaForm::Merge | DeltaForm::DeepMerge(_) | DeltaForm::Patch)
            | None => Items::InOrder,
        };
        let Some(now) = &held.tree else { return Ok(None) };
        let is_same =
            before.root() == now.root() || canonical(before.root(), items) == canonical(now.root(), items);
        Ok(Some(match is_same {
            true => Differing::default(),
            false => Differing { nodes: 1, first: String::from_utf8_lossy(topic).into_owned() },
        }))
    }

    fn delta(&mut self, topic: &[u8], body: &[u8], received: Received, sink: &mut dyn Sink) -> Result<()> {
        if self.is_list(topic) {
            return self.take_list(topic, body, Brought::Delta);
        }
        self.take(topic, body, Brought::Delta, received, sink)
    }

    fn topic_removed(
        &mut self,
        topic: &[u8],
        received: Received,
        sink: &mut dyn Sink,
    ) -> Result<Option<MatchSlot>> {
        if self.is_list(topic) {
            self.list.iter_mut().for_each(List::lost);
            return Ok(None);
        }
        let place = self.place(topic).ok_or_else(|| TreeError::not_held(topic))?;
        let slot = MatchSlot(place.slot);
        sink.approached(slot);
        sink.touched(slot);
        let Some(held) = self.matches.get_mut(place.slot as usize) else { return Ok(None) };
        if let Some(topic) = held.topics.get_mut(usize::from(place.topic)) {
            topic.tree = None;
        }
        if held.is_live(&self.sources) {
            let reporting = held.reporting;
            self.changed(place.slot, received);
            if reporting == Reporting::All {
                self.report_changes(place.slot, received, sink);
            }
            return Ok(None);
        }
        held.reporting = Reporting::Awaited;
        self.clean(place.slot);
        Ok(Some(slot))
    }

    fn connection_lost(&mut self) {
        for (_, held) in &mut self.matches {
            held.reporting = Reporting::Awaited;
        }
    }

    fn await_load(&mut self, slot: MatchSlot) {
        if let Some(held) = self.matches.get_mut(slot.0 as usize) {
            held.reporting = Reporting::Awaited;
        }
    }

    fn is_loaded(&self, subscription: &[u8]) -> bool {
        let Some(place) = self.place(subscription) else { return self.is_list(subscription) };
        let topic = self.matches.get(place.slot as usize);
        let topic = topic.and_then(|held| held.topics.get(usize::from(place.topic)));
        topic.is_some_and(|topic| topic.tree.is_some())
    }

    fn is_live(&self, slot: MatchSlot) -> bool {
        self.matches.get(slot.0 as usize).is_some_and(|held| held.is_live(&self.sources))
    }

    fn owner(&self, topic: &[u8]) -> Option<MatchSlot> {
        self.place(topic).map(|place| MatchSlot(place.slot))
    }

    fn received(&self, slot: MatchSlot) -> Option<Received> {
        self.matches.get(slot.0 as usize).map(|held| held.received)
    }

    fn report(&mut self, slot: MatchSlot, now: Received, sink: &mut dyn Sink) {
        if self.is_live(slot) {
            self.report_base(slot.0, Memory::GoesOn, now, sink);
        }
    }

    fn forget_handles(&mut self, slot: MatchSlot) {
        if let Some(held) = self.matches.get_mut(slot.0 as usize) {
            held.reported.markets.forget_handles();
        }
    }

    /// A server of answers has no clock that is followed.
    fn server_time(&mut self, _body: &[u8], _received: Received) -> bool {
        false
    }

    fn name(&mut self, slot: MatchSlot) -> Option<String> {
        let held = self.matches.get(slot.0 as usize)?;
        view(&held.topics, &held.listing, &self.sources, &self.periods).name().map(Cow::into_owned)
    }

    fn oldest_dirty(&self) -> Option<(MatchSlot, u64)> {
        self.dirty.first().map(|(since, slot)| (MatchSlot(*slot), *since))
    }

    fn render(&mut self, slot: MatchSlot, names: &mut dyn Names, out: &mut Vec<Section<'static>>) {
        self.clean(slot.0);
        self.render_changes(slot.0, names, out);
    }

    fn render_whole(&mut self, slot: MatchSlot, names: &mut dyn Names, out: &mut Vec<Section<'static>>) {
        if let Some(held) = self.matches.get_mut(slot.0 as usize) {
            (held.head_hash, held.tail_hash) = (None, None);
            held.reported.markets.forget_published();
        }
        self.render(slot, names, out);
    }
}
