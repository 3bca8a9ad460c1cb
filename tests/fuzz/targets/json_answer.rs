//! Answers of any bytes, of matches, documents and the list: nothing empty is told, the same answer again changes nothing, and what was
//! published piece by piece is what a rendering of the whole gives.
//!
//! The input is lines, each an answer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use touchline_common::config::Config;
use touchline_common::ipc::messages::data::{MatchBase, Section, SectionKey};
use touchline_common::model::{Handle, Incidents, Listing, MarketValue, OddsChange, SelectionValue};
use touchline_worker::payload::json::{JsonDocs, Source};
use touchline_worker::payload::{Limits, MatchSlot, Names, Payload, Received, Seen, Sink};

/// Happenings in one statement at most.
const STATED: usize = 2_000;

const FEED: &str = r#"
[[feed]]
kind = "poll"
[[feed.source]]
name = "list"
url = "http://h/"
list = ""
id = "/i"
title = "/t"
state = "/s"
time = "/b"
[[feed.source]]
name = "a"
url = "http://h/{ID}"
state = "/s"
sport = "/k"
home = "/h"
away = "/a"
period = "/p"
clock = { minute = "/m", second = "/n" }
score = { home = "/x/0", away = "/x/1" }
stats = { corners = { home = "/c/0", away = "/c/1" }, note = "/*/o" }
events = "/e"
event = { id = "/i", type = ["/t", "/u"], types = { c = "yellow_card" }, side = "/s", minute = "/m", deleted = "/d", details = { w = "/w" } }
markets = { list = "/l/*", id = ["/i"], name = "/n", selections = "/s", selection_id = ["/i"], price = "/o", won = "/w" }
[[feed.source]]
name = "b"
url = "http://h/{ID}/b"
extra = "drop"
events = "/e"
event = { type = "/t", listing = "window", order = "by-clock" }
"#;

static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();

/// Gives handles, and looks at what is reported.
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
    fn incidents(&mut self, _: MatchSlot, stated: Incidents, _: Received) {
        assert!(stated.incidents.len() <= STATED && stated.deleted.len() <= STATED);
    }
    fn odds(&mut self, _: MatchSlot, changes: &[OddsChange<'_>], _: Received) {
        assert!(!changes.is_empty());
    }
    fn touched(&mut self, _: MatchSlot) {}
}

type Document = BTreeMap<SectionKey, String>;

fuzz_target!(|input: &[u8]| {
    let sources = SOURCES.get_or_init(|| {
        let config = Config::parse(FEED, "fuzz.toml").unwrap();
        config.feed[0].poll.source.iter().map(Source::from).collect()
    });
    let limits = Limits { nodes: 400, bytes: 16 << 10, depth: 12, topics: 4 };
    let mut docs = JsonDocs::new(sources.clone(), limits).unwrap();
    let topics = ["a/1".to_owned(), "b/1".to_owned()];
    let slot = docs.add_match(&topics, Listing::default()).unwrap();
    docs.add_list("list", "{ID}".parse().unwrap(), &[]).unwrap();
    let (mut keeper, mut changes, mut document) = (Keeper::default(), Vec::new(), Document::new());
    for (at, line) in input.split(|b| *b == b'\n').enumerate().take(50) {
        let topic = topics[at % 2].as_bytes();
        let received = Received::default();
        let _ = match at < 2 {
            true => docs.load(topic, line, received, &mut keeper),
            false => docs.delta(topic, line, received, &mut keeper),
        };
        let listed = [b"{\"list\":[", line, b"]}"].concat();
        let _ = docs.load(b"list", &listed, received, &mut keeper);
        docs.drain_lists(&mut changes);
        publish(&mut docs, slot, &mut keeper, &mut document);
        let again = docs.delta(topic, line, received, &mut keeper);
        let mut sections = Vec::new();
        docs.render(slot, &mut keeper, &mut sections);
        assert!(again.is_err() || sections.is_empty(), "the same answer changed {sections:?}");
    }
    if docs.is_live(slot) {
        let mut fresh = Document::new();
        let mut whole = Vec::new();
        docs.render_whole(slot, &mut keeper, &mut whole);
        apply(whole, &mut fresh);
        assert_eq!(document, fresh);
    }
    docs.remove_match(slot);
    assert!(docs.load(b"a/1", b"{}", Received::default(), &mut keeper).is_err());
});

fn publish(docs: &mut JsonDocs, slot: MatchSlot, keeper: &mut Keeper, document: &mut Document) {
    let mut sections = Vec::new();
    docs.render(slot, keeper, &mut sections);
    apply(sections, document);
}

fn apply(sections: Vec<Section<'_>>, document: &mut Document) {
    for Section { key, body } in sections {
        let Some(body) = body else {
            document.remove(&key);
            continue;
        };
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(value.is_object(), "{value}");
        document.insert(key, body.into_owned());
    }
}
