//! Tests of the whole forest: real recordings, the rules one by one, random edits.

mod audit;
mod documents;
mod hostile;
mod model;
mod recordings;
mod rules;

use crate::payload::{Base, Forest, Limits, Mapping, MatchSlot, Received, Seen, Sink};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use touchline_common::model::{Listing, Observation, Section, SectionKey};

/// Keeps what it is told.
#[derive(Default)]
pub(super) struct Log {
    pub(super) bases: Vec<(MatchSlot, Base)>,
    pub(super) seen: Vec<(MatchSlot, Observation)>,
    pub(super) touched: Vec<MatchSlot>,
}

impl Sink for Log {
    fn base(&mut self, slot: MatchSlot, base: Base, _received: Received) {
        self.bases.push((slot, base));
    }
    fn observed(&mut self, slot: MatchSlot, seen: &Seen<'_>) {
        self.seen.push((slot, seen.to_observation()));
    }
    fn touched(&mut self, slot: MatchSlot) {
        self.touched.push(slot);
    }
}

pub(super) fn at(second: i64) -> Received {
    Received { wall_us: second * 1_000_000, mono_ns: 0 }
}

pub(super) fn forest() -> Forest {
    Forest::new(Mapping::builtin().unwrap(), Limits::default(), TimeZone::get("Europe/London").unwrap())
}

/// One match of one topic, as a document that is kept up by sections.
pub(super) struct Single {
    pub(super) forest: Forest,
    pub(super) slot: MatchSlot,
    pub(super) log: Log,
    pub(super) topic: String,
    document: Document,
}

/// A document put together from sections, as the recorder does it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Document {
    head: Value,
    markets: BTreeMap<String, Value>,
}

impl Document {
    pub(super) fn apply(&mut self, sections: Vec<Section>) {
        for section in sections {
            let value = section.body.map(|text| serde_json::from_str::<Value>(&text).expect("valid JSON"));
            match (section.key, value) {
                (SectionKey::Head, value) => self.head = value.unwrap_or_default(),
                (SectionKey::Market(key), Some(value)) => _ = self.markets.insert(key, value),
                (SectionKey::Market(key), None) => {
                    self.markets.remove(&key).expect("only what was published can go");
                }
            }
        }
    }

    pub(super) fn to_value(&self) -> Value {
        let mut whole = self.head.clone();
        if let Some(whole) = whole.as_object_mut() {
            whole.insert("markets".to_owned(), json!(self.markets));
        }
        whole
    }
}

impl Single {
    pub(super) fn new(topic: &str) -> Self {
        Self::with(topic, Listing::default(), forest())
    }

    pub(super) fn with(topic: &str, listing: Listing, mut forest: Forest) -> Self {
        let slot = forest.add_match(&[topic.to_owned()], listing).unwrap();
        Self { forest, slot, log: Log::default(), topic: topic.to_owned(), document: Document::default() }
    }

    pub(super) fn loaded(body: &str) -> Self {
        let mut single = Self::new("T");
        single.load(body);
        single
    }

    pub(super) fn load(&mut self, body: &str) {
        let topic = self.topic.clone();
        self.forest.load(topic.as_bytes(), body.as_bytes(), at(0), &mut self.log).unwrap();
    }

    pub(super) fn delta(
        &mut self,
        path: &str,
        body: &str,
    ) -> Result<crate::payload::Applied, crate::payload::TreeError> {
        self.forest.delta(path.as_bytes(), body.as_bytes(), at(0), &mut self.log)
    }

    pub(super) fn document(&mut self) -> Value {
        let mut sections = Vec::new();
        self.forest.render(self.slot, &mut sections);
        self.document.apply(sections);
        self.document.to_value()
    }

    /// The document from nothing but a whole rendering.
    pub(super) fn whole(&mut self) -> Value {
        let mut sections = Vec::new();
        self.forest.render_whole(self.slot, &mut sections);
        let mut document = Document::default();
        document.apply(sections);
        document.to_value()
    }
}
