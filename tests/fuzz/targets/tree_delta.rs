//! Deltas of any bytes on a small match: limits hold, and what was published piece by piece is what a rendering of the
//! whole gives.
//!
//! The input is lines of `PATH BODY`, cut at the first blank; the path's topic is put before it.

#![no_main]

use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use touchline_common::ipc::messages::data::{MatchBase, Section, SectionKey};
use touchline_common::model::{Handle, Listing, MarketValue, OddsChange, SelectionValue};
use touchline_worker::payload::{Forest, Limits, Mapping, MatchSlot, Names, Payload, Received, Seen, Sink};

const NODES: usize = 60;
const LOAD: &[u8] = b"F|EV;IT=e;ID=1;NA=A v B;CL=1;TM=45;TS=0;TT=1;TU=20190517140307;SS=0-0;|TG;IT=tg;|TE;IT=t1;NA=A;|TE;IT=t2;NA=B;|MA;IT=m1;ID=10;NA=M;|PA;IT=p1;ID=11;NA=A;OD=1/2;|PA;IT=p2;ID=12;NA=B;OD=2/1;|MA;IT=m2;ID=20;NA=N;|PA;IT=p3;ID=21;OD=5/4;|";

/// Gives handles, and sees that nothing empty is reported.
#[derive(Default)]
struct Keeper(u32);

impl Keeper {
    fn name(&mut self) -> Handle {
        self.0 += 1;
        Handle(self.0)
    }
}

impl Names for Keeper {
    fn name_market(&mut self, _: MatchSlot, _: &[u8], _: &[u8]) -> Handle {
        self.name()
    }
    fn name_selection(&mut self, _: MatchSlot, _: Handle, _: &[u8], _: &[u8]) -> Handle {
        self.name()
    }
}

impl Sink for Keeper {
    fn base(&mut self, _: MatchSlot, _: MatchBase<'_>) {}
    fn odds_base(&mut self, _: MatchSlot, _: &[MarketValue], _: &[SelectionValue<'_>], _: Received) {}
    fn observed(&mut self, _: MatchSlot, seen: &Seen<'_>) {
        assert!(!seen.registers.is_empty() || !seen.changes.is_empty());
    }
    fn odds(&mut self, _: MatchSlot, changes: &[OddsChange<'_>], _: Received) {
        assert!(!changes.is_empty());
    }
    fn touched(&mut self, _: MatchSlot) {}
}

fuzz_target!(|input: &[u8]| {
    let limits = Limits { nodes: NODES, bytes: 8192, depth: 6, topics: 4 };
    let mut forest = Forest::new(Mapping::builtin().unwrap(), limits, TimeZone::UTC);
    let slot = forest.add_match(&["t".to_owned()], Listing::default()).unwrap();
    forest.add_list("list", "{ID}".parse().unwrap(), &["6V{ID}".parse().unwrap()]).unwrap();
    let mut keeper = Keeper::default();
    for topic in ["t", "list"] {
        forest.load(topic.as_bytes(), LOAD, Received::default(), &mut keeper).unwrap();
    }
    let mut document = BTreeMap::new();
    publish(&mut forest, slot, &mut keeper, &mut document);
    let mut changes = Vec::new();
    for (at, line) in input.split(|b| *b == b'\n').enumerate().take(200) {
        let (path, body) = line.split_at(line.iter().position(|b| *b == b' ').unwrap_or(line.len()));
        let body = body.get(1..).unwrap_or_default();
        for topic in ["t", "list"] {
            let path = if path.is_empty() {
                topic.as_bytes().to_vec()
            } else {
                [topic.as_bytes(), b"/", path].concat()
            };
            let _ = forest.delta(&path, body, Received::default(), &mut keeper);
        }
        assert!(forest.nodes("t").unwrap_or(0) <= NODES);
        if at % 3 == 0 {
            publish(&mut forest, slot, &mut keeper, &mut document);
            forest.drain_lists(&mut changes);
        }
    }
    publish(&mut forest, slot, &mut keeper, &mut document);
    if forest.is_live(slot) {
        let mut whole = Vec::new();
        forest.render_whole(slot, &mut keeper, &mut whole);
        let mut fresh = BTreeMap::new();
        apply(whole, &mut fresh);
        assert_eq!(document, fresh);
    }
});

type Document = BTreeMap<SectionKey, String>;

fn publish(forest: &mut Forest, slot: MatchSlot, keeper: &mut Keeper, document: &mut Document) {
    let mut sections = Vec::new();
    forest.render(slot, keeper, &mut sections);
    apply(sections, document);
}

fn apply(sections: Vec<Section<'_>>, document: &mut Document) {
    for Section { key, body } in sections {
        match body {
            Some(body) => {
                let value: serde_json::Value = serde_json::from_str(&body).unwrap();
                assert!(value.is_object(), "{value}");
                document.insert(key, body.into_owned());
            }
            None => drop(document.remove(&key)),
        }
    }
}
