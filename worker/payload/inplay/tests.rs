//! Tests of the whole forest: real recordings, the rules one by one, random edits.

mod audit;
mod documents;
mod hostile;
mod model;
mod recordings;
mod rules;
mod scoreboard;

use super::mapping::Class;
use crate::payload::{Forest, Limits, Mapping, MatchSlot, Names, Payload, Received, Seen, Sink};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use touchline_common::ipc::messages::data::{MatchBase, Section, SectionKey};
use touchline_common::model::{
    Change, Clock, Facts, Handle, Listing, MarketValue, OddsChange, Price, RegisterChange, Registers,
    SelectionValue, Side,
};

/// Keeps what is reported, handles as what they stand for.
#[derive(Default)]
pub(super) struct Log {
    pub(super) bases: Vec<(MatchSlot, Based)>,
    pub(super) odds_bases: Vec<(MatchSlot, Vec<String>)>,
    pub(super) seen: Vec<(MatchSlot, Saw)>,
    pub(super) touched: Vec<MatchSlot>,
    /// What a recorder would know of markets (whether they are suspended) and selections (price and suspension).
    pub(super) markets: BTreeMap<String, bool>,
    pub(super) selections: BTreeMap<String, (String, bool)>,
    /// Key and name of each handle, from 1; a selection behind its market.
    pub(super) names: Vec<(String, String)>,
}

/// All values of the match stream.
#[derive(Debug, PartialEq)]
pub(super) struct Based {
    pub(super) facts: Facts,
    pub(super) teams: Option<(String, String)>,
    pub(super) registers: Registers,
    pub(super) values: Vec<String>,
    pub(super) clock: Option<Clock>,
}

/// What one delta changed, in one of the streams.
#[derive(Debug, PartialEq)]
pub(super) struct Saw {
    pub(super) registers: Vec<RegisterChange>,
    pub(super) changes: Vec<String>,
    pub(super) clock: Option<Clock>,
    pub(super) received_at: i64,
}

impl Log {
    pub(super) fn key(&self, handle: Handle) -> &str {
        &self.names[handle.0 as usize - 1].0
    }

    fn name(&mut self, key: String, name: &[u8]) -> Handle {
        self.names.push((key, String::from_utf8_lossy(name).into_owned()));
        Handle(self.names.len() as u32)
    }

    fn odds_change(&self, change: &OddsChange<'_>) -> String {
        match change {
            OddsChange::Price { selection, price, text } => {
                format!("{} {} {text}", self.key(*selection), shown(*price))
            }
            OddsChange::SelectionSuspended { selection: handle, suspended }
            | OddsChange::MarketSuspended { market: handle, suspended } => {
                format!("{} {}", self.key(*handle), if *suspended { "suspended" } else { "resumed" })
            }
            OddsChange::SelectionWon { selection, won } => format!("{} won {won:?}", self.key(*selection)),
            OddsChange::MarketOpen(MarketValue { market, suspended }) => {
                format!("{} open{}", self.key(*market), if *suspended { " suspended" } else { "" })
            }
            OddsChange::Selection(SelectionValue { selection, price, text, suspended, won: _ }) => {
                let suspended = if *suspended { " suspended" } else { "" };
                format!("{} is {} {text}{suspended}", self.key(*selection), shown(*price))
            }
            OddsChange::MarketClose { market } => format!("{} closed", self.key(*market)),
        }
    }
}

pub(super) fn change(change: &Change<'_>) -> String {
    match change {
        Change::Comment { text } => format!("comment {text}"),
        Change::Stat { key, side, text } => format!("{key} {} {text}", side.map_or("-", Side::as_str)),
    }
}

impl Log {
    /// Takes a change as a recorder does.
    fn know(&mut self, change: &OddsChange<'_>) {
        match change {
            OddsChange::Price { selection, price, .. } => {
                let key = self.key(*selection).to_owned();
                self.selections.entry(key).or_default().0 = shown(*price);
            }
            OddsChange::SelectionSuspended { selection, suspended } => {
                let key = self.key(*selection).to_owned();
                self.selections.entry(key).or_default().1 = *suspended;
            }
            OddsChange::SelectionWon { .. } => {}
            OddsChange::MarketSuspended { market, suspended } => {
                *self.markets.get_mut(&self.names[market.0 as usize - 1].0).unwrap() = *suspended;
            }
            OddsChange::MarketOpen(MarketValue { market, suspended }) => {
                let key = self.key(*market).to_owned();
                assert_eq!(self.markets.insert(key, *suspended), None, "it is open already");
            }
            OddsChange::Selection(SelectionValue { selection, price, suspended, .. }) => {
                let key = self.key(*selection).to_owned();
                self.selections.insert(key, (shown(*price), *suspended));
            }
            OddsChange::MarketClose { market } => {
                let key = self.key(*market).to_owned();
                self.markets.remove(&key).expect("it is not open");
                let of = format!("{key}/");
                while let Some((selection, _)) = self.selections.range(of.clone()..).next() {
                    if !selection.starts_with(&of) {
                        break;
                    }
                    let selection = selection.clone();
                    self.selections.remove(&selection);
                }
            }
        }
    }
}

fn shown(price: Option<Price>) -> String {
    price.map_or("-".to_owned(), |price| price.to_string())
}

impl Names for Log {
    fn name_market(&mut self, _: MatchSlot, key: &[u8], name: &[u8]) -> Handle {
        self.name(String::from_utf8_lossy(key).into_owned(), name)
    }
    fn name_selection(&mut self, _: MatchSlot, market: Handle, key: &[u8], name: &[u8]) -> Handle {
        let key = format!("{}/{}", self.key(market), String::from_utf8_lossy(key));
        self.name(key, name)
    }
}

impl Sink for Log {
    fn base(&mut self, slot: MatchSlot, base: MatchBase<'_>) {
        let values = base.values.iter().map(change).collect();
        let MatchBase { facts, teams, registers, clock, .. } = base;
        self.bases.push((slot, Based { facts, teams, registers, values, clock }));
    }
    fn odds_base(
        &mut self,
        slot: MatchSlot,
        markets: &[MarketValue],
        selections: &[SelectionValue<'_>],
        _: Received,
    ) {
        self.markets =
            markets.iter().map(|value| (self.key(value.market).to_owned(), value.suspended)).collect();
        let known = |value: &SelectionValue<'_>| {
            (self.key(value.selection).to_owned(), (shown(value.price), value.suspended))
        };
        self.selections = selections.iter().map(known).collect();
        let suspended = |suspended| if suspended { " suspended" } else { "" };
        let market =
            |value: &MarketValue| format!("{}{}", self.key(value.market), suspended(value.suspended));
        let selection = |value: &SelectionValue<'_>| {
            format!("{} {}{}", self.key(value.selection), shown(value.price), suspended(value.suspended))
        };
        let all = markets.iter().map(market).chain(selections.iter().map(selection)).collect();
        self.odds_bases.push((slot, all));
    }
    fn observed(&mut self, slot: MatchSlot, seen: &Seen<'_>) {
        self.seen.push((
            slot,
            Saw {
                registers: seen.registers.to_vec(),
                changes: seen.changes.iter().map(change).collect(),
                clock: seen.clock,
                received_at: seen.received.wall_us,
            },
        ));
    }
    fn odds(&mut self, slot: MatchSlot, changes: &[OddsChange<'_>], received: Received) {
        for change in changes {
            self.know(change);
        }
        let changes = changes.iter().map(|change| self.odds_change(change)).collect();
        let received_at = received.wall_us;
        self.seen.push((slot, Saw { registers: Vec::new(), changes, clock: None, received_at }));
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
    tail: Value,
    markets: BTreeMap<Handle, Value>,
}

impl Document {
    pub(super) fn apply(&mut self, sections: Vec<Section<'_>>) {
        for section in sections {
            let value = section.body.map(|text| serde_json::from_str::<Value>(&text).expect("valid JSON"));
            match (section.key, value) {
                (SectionKey::Head, value) => self.head = value.unwrap_or_default(),
                (SectionKey::Tail, value) => self.tail = value.unwrap_or_default(),
                (SectionKey::Market(key), Some(value)) => _ = self.markets.insert(key, value),
                (SectionKey::Market(key), None) => {
                    self.markets.remove(&key).expect("only what was published can go");
                }
            }
        }
    }

    pub(super) fn to_value(&self, log: &Log) -> Value {
        let mut whole = self.head.clone();
        if let (Some(whole), Some(tail)) = (whole.as_object_mut(), self.tail.as_object()) {
            for (key, value) in tail {
                assert_eq!(whole.insert(key.clone(), value.clone()), None, "head and tail have {key}");
            }
            let markets: BTreeMap<&str, &Value> =
                self.markets.iter().map(|(handle, value)| (log.key(*handle), value)).collect();
            assert_eq!(markets.len(), self.markets.len(), "two handles stand for one market");
            whole.insert("markets".to_owned(), json!(markets));
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

    pub(super) fn delta(&mut self, path: &str, body: &str) -> Result<(), crate::payload::TreeError> {
        self.forest.delta(path.as_bytes(), body.as_bytes(), at(0), &mut self.log)
    }

    pub(super) fn document(&mut self) -> Value {
        let mut sections = Vec::new();
        self.forest.render(self.slot, &mut self.log, &mut sections);
        self.document.apply(sections);
        self.document.to_value(&self.log)
    }

    /// The document from nothing but a whole rendering.
    pub(super) fn whole(&mut self) -> Value {
        let mut sections = Vec::new();
        self.forest.render_whole(self.slot, &mut self.log, &mut sections);
        let mut document = Document::default();
        document.apply(sections);
        document.to_value(&self.log)
    }
}

/// The body of a load from which the same tree comes; of an untouched load byte for byte the body that came.
pub(super) fn encode(forest: &Forest, topic: &str) -> Vec<u8> {
    let tree = forest.topics[topic.as_bytes()];
    let mut body = b"F|".to_vec();
    for id in forest.store.nodes_of(tree).filter(|id| forest.store.node(*id).class != Class::Root) {
        body.extend_from_slice(forest.store.text(id));
        body.push(b'|');
    }
    body
}

/// How many nodes no delta reaches although they have an id.
pub(super) fn unaddressable(forest: &Forest, topic: &str) -> usize {
    let nodes = forest.store.nodes_of(forest.topics[topic.as_bytes()]);
    nodes.filter(|id| !forest.store.it(*id).is_empty() && !forest.store.node(*id).indexed).count()
}

/// What is known of the odds is what stands: a fresh report of everything brings nothing new. A selection that is gone may still be known.
pub(super) fn check_odds(forest: &mut Forest, slot: MatchSlot, log: &mut Log) {
    let known = (log.markets.clone(), log.selections.clone());
    let names = log.names.len();
    forest.report(slot, at(0), log);
    log.bases.pop();
    log.odds_bases.pop();
    assert_eq!(log.markets, known.0);
    for (key, value) in &log.selections {
        assert_eq!(known.1.get(key), Some(value), "{key}");
    }
    assert_eq!(log.names.len(), names, "everything has its handle");
}
