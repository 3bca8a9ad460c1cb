//! What is true: how many changes there have been, which topics there are, and what each of them says at any of its numbers.
//!
//! Locked for a tick of the loop and for each question. Callers: the loop, the judge, the page over HTTP.

use super::dialect::{Dialect, Topic};
use super::options::PushOptions;
use super::script::{Number, Script, Slot};
use serde_json::Value;
use std::collections::HashMap;

#[derive(Debug)]
pub(super) struct World {
    pub(super) dialect: Dialect,
    pub(super) script: Script,
    /// All changes so far.
    pub(super) changes: u64,
    /// The number of the list topic.
    pub(super) listed: Number,
    /// The topics by their places,
    topics: Vec<String>,
    /// and the places of all that there ever were.
    places: HashMap<String, Slot>,
    generations: Vec<u32>,
}

impl World {
    pub(super) fn new(options: &PushOptions) -> World {
        let dialect = options.dialect;
        let topics: Vec<String> = (0..options.topics).map(|slot| dialect.id(slot, 0)).collect();
        World {
            dialect,
            script: Script { seed: options.seed, topics: options.topics, cells: dialect.cells() },
            changes: 0,
            listed: 0,
            places: topics.iter().enumerate().map(|(slot, id)| (id.clone(), slot)).collect(),
            generations: vec![0; topics.len()],
            topics,
        }
    }

    /// The topics that there are.
    pub(super) fn topics(&self) -> &[String] {
        &self.topics
    }

    /// The place of a topic that there is.
    pub(super) fn slot(&self, id: &str) -> Option<Slot> {
        self.places.get(id).copied().filter(|slot| self.topics.get(*slot).is_some_and(|now| now == id))
    }

    /// The topic at a place.
    pub(super) fn topic(&self, slot: Slot) -> Option<Topic<'_>> {
        self.topics.get(slot).map(|id| Topic { id, slot, script: &self.script })
    }

    /// The number of the newest change of a place.
    pub(super) fn number(&self, slot: Slot) -> Number {
        self.script.number(slot, self.changes)
    }

    /// What a topic says after its change `number`, even if it is no more; none if that is yet to come, or there never was such a topic.
    pub(super) fn document_at(&self, id: &str, number: Number) -> Option<Value> {
        let (id, slot) = self.places.get_key_value(id)?;
        if number > self.number(*slot) {
            return None;
        }
        Some(self.dialect.document(Topic { id, slot: *slot, script: &self.script }, number))
    }

    /// Another topic comes to the place of this one; its id.
    pub(super) fn replace(&mut self, slot: Slot) -> Option<String> {
        let generation = self.generations.get_mut(slot)?;
        *generation += 1;
        let id = self.dialect.id(slot, *generation);
        self.topics.get_mut(slot)?.clone_from(&id);
        self.places.insert(id.clone(), slot);
        self.listed += 1;
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_is_replaced_is_no_more_and_stays_known() {
        let options = PushOptions { dialect: Dialect::Scores, topics: 3, ..PushOptions::default() };
        let mut world = World::new(&options);
        world.changes = 10;
        let old = world.topics()[1].clone();
        let new = world.replace(1).unwrap();
        assert_eq!((world.slot(&old), world.slot(&new), world.listed), (None, Some(1), 1));
        assert!(world.document_at(&old, 3).is_some() && world.document_at(&new, 3).is_some());
        assert_eq!(world.document_at(&old, 4), None, "it is yet to come");
        assert_eq!(world.document_at("game-77", 0), None);
    }
}
