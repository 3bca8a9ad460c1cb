//! Commands of any bytes in a room, and any ranking: nothing empty is told, and what was published piece by piece is what a rendering of
//! the whole gives.
//!
//! The input is lines, each a command and an answer of the ranking.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use touchline_common::config::Ranking;
use touchline_common::ipc::messages::data::{MatchBase, Section, SectionKey};
use touchline_common::model::{ChatLine, Handle, Listing, MarketValue, OddsChange, SelectionValue};
use touchline_worker::payload::room::{Rooms, UserForm};
use touchline_worker::payload::{Limits, MatchSlot, Names, Payload, Received, Seen, Sink};

const SECOND: u64 = 1_000_000_000;
/// Bytes of a line of the chat, at most.
const LINE: usize = 8192;

struct Keeper;

impl Names for Keeper {
    fn name_market(&mut self, _: MatchSlot, _: &[u8], _: &[u8]) -> Handle {
        panic!("there are no markets");
    }
    fn name_selection(&mut self, _: MatchSlot, _: Handle, _: &[u8], _: &[u8]) -> Handle {
        panic!("there are no selections");
    }
}

impl Sink for Keeper {
    fn base(&mut self, _: MatchSlot, _: MatchBase<'_>) {}
    fn odds_base(&mut self, _: MatchSlot, _: &[MarketValue], _: &[SelectionValue<'_>], _: Received) {}
    fn observed(&mut self, _: MatchSlot, seen: &Seen<'_>) {
        assert!(!seen.registers.is_empty() || !seen.changes.is_empty());
    }
    fn odds(&mut self, _: MatchSlot, _: &[OddsChange<'_>], _: Received) {
        panic!("there are no odds");
    }
    fn chat(&mut self, _: MatchSlot, lines: &[ChatLine<'_>], _: Received) {
        assert!(!lines.is_empty());
        assert!(lines.iter().all(|line| line.id.len() + line.user.len() + line.text.len() <= LINE));
    }
    fn touched(&mut self, _: MatchSlot) {}
}

fuzz_target!(|input: &[u8]| {
    let users = UserForm::Hash([1; 32]);
    let mut rooms = Rooms::new(Limits::default(), users, Ranking::default());
    let slot = rooms.add_match(&["1".to_owned()], Listing::default()).unwrap();
    rooms.add_list("ranking", "{ID}".parse().unwrap(), &[]).unwrap();
    let mut received = Received::default();
    rooms.load(b"1", b"", received, &mut Keeper).unwrap();
    let (mut document, mut changes) = (BTreeMap::new(), Vec::new());
    for (at, line) in input.split(|b| *b == b'\n').enumerate().take(200) {
        let _ = rooms.delta(b"1", line, received, &mut Keeper);
        let _ = rooms.load(b"ranking", line, received, &mut Keeper);
        if at % 3 == 0 {
            received.mono_ns += SECOND / 2;
            rooms.settle(received, &mut Keeper);
            publish(&mut rooms, slot, &mut document);
            rooms.drain_lists(&mut changes);
        }
    }
    received.mono_ns += 100 * SECOND;
    rooms.settle(received, &mut Keeper);
    assert_eq!(rooms.settles_at(), None);
    publish(&mut rooms, slot, &mut document);
    let mut whole = Vec::new();
    rooms.render_whole(slot, &mut Keeper, &mut whole);
    let mut fresh = BTreeMap::new();
    apply(whole, &mut fresh);
    assert_eq!(document, fresh);
});

type Document = BTreeMap<SectionKey, String>;

fn publish(rooms: &mut Rooms, slot: MatchSlot, document: &mut Document) {
    let mut sections = Vec::new();
    rooms.render(slot, &mut Keeper, &mut sections);
    apply(sections, document);
}

fn apply(sections: Vec<Section<'_>>, document: &mut Document) {
    for Section { key, body } in sections {
        let body = body.unwrap();
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(value.is_object(), "{value}");
        document.insert(key, body.into_owned());
    }
}
