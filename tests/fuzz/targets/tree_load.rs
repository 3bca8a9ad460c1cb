//! Loads of any bytes, of matches and of the list: limits hold, what is rendered is JSON, and the same load again
//! changes nothing.

#![no_main]

use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use touchline_common::ipc::messages::data::{MatchBase, Section};
use touchline_common::model::{Handle, Listing, MarketValue, OddsChange, SelectionValue};
use touchline_worker::payload::{Forest, Limits, Mapping, MatchSlot, Names, Payload, Received, Seen, Sink};

const NODES: usize = 40;

/// Gives handles and discards what is reported.
#[derive(Default)]
struct Deaf(u32);

impl Deaf {
    fn name(&mut self) -> Handle {
        self.0 += 1;
        Handle(self.0)
    }
}

impl Names for Deaf {
    fn name_market(&mut self, _: MatchSlot, _: &[u8], _: &[u8]) -> Handle {
        self.name()
    }
    fn name_selection(&mut self, _: MatchSlot, _: Handle, _: &[u8], _: &[u8]) -> Handle {
        self.name()
    }
}

impl Sink for Deaf {
    fn base(&mut self, _: MatchSlot, _: MatchBase<'_>) {}
    fn odds_base(&mut self, _: MatchSlot, _: &[MarketValue], _: &[SelectionValue<'_>], _: Received) {}
    fn observed(&mut self, _: MatchSlot, _: &Seen<'_>) {}
    fn odds(&mut self, _: MatchSlot, _: &[OddsChange<'_>], _: Received) {}
    fn touched(&mut self, _: MatchSlot) {}
}

fuzz_target!(|body: &[u8]| {
    let limits = Limits { nodes: NODES, bytes: 4096, depth: 6, topics: 4 };
    let mut forest = Forest::new(Mapping::builtin().unwrap(), limits, TimeZone::UTC);
    let topics = ["a".to_owned(), "b".to_owned()];
    let slot = forest.add_match(&topics, Listing::default()).unwrap();
    forest.add_list("list", "{ID}".parse().unwrap(), &["6V{ID}".parse().unwrap()]).unwrap();
    let (mut changes, mut deaf) = (Vec::new(), Deaf::default());
    let (first, second) = body.split_at(body.len() / 2);
    for (topic, body) in [("a", body), ("b", second), ("list", body), ("a", first)] {
        let _ = forest.load(topic.as_bytes(), body, Received::default(), &mut deaf);
        assert!(["a", "b"].iter().filter_map(|topic| forest.nodes(topic)).sum::<usize>() <= NODES);
        forest.drain_lists(&mut changes);
        check(&rendered(&mut forest, slot, &mut deaf));
    }
    let loaded = forest.load(b"a", first, Received::default(), &mut deaf).is_ok();
    let again = rendered(&mut forest, slot, &mut deaf);
    assert!(!loaded || again.is_empty(), "the same load changed {again:?}");
    let _ = forest.server_time(body, Received::default());
    forest.remove_match(slot);
    assert!(forest.load(b"a", body, Received::default(), &mut deaf).is_err());
});

fn rendered(forest: &mut Forest, slot: MatchSlot, deaf: &mut Deaf) -> Vec<Section<'static>> {
    let mut sections = Vec::new();
    forest.render(slot, deaf, &mut sections);
    sections
}

fn check(sections: &[Section<'_>]) {
    for body in sections.iter().filter_map(|section| section.body.as_ref()) {
        let value: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(value.is_object(), "{value}");
    }
}
