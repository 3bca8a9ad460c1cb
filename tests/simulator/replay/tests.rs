//! Recorded matches end as they ended, and what happens on the way is what happened.

use super::{Recording, read};
use crate::model::document::document;
use crate::model::world::{Setup, Turn, World};
use crate::model::{Change, Moment};
use serde_json::Value;
use std::io::Write;
use touchline_harness::data;

const START: Moment = Moment { micros: 1_558_098_187_000_000, offset: 3_600 };

fn played(recording: Recording) -> (Value, Vec<Value>) {
    let setup = Setup {
        payload: crate::options::Payload::Inplay,
        seed: 1,
        matches: 0,
        bytes: 1_000,
        sparse: false,
        speed: 1.0,
        churn: 0.0,
        history: 100_000,
        changes: 1_000_000,
        list_topic: "L".to_owned(),
    };
    let mut world = World::new(setup, START);
    let last = recording.acts.back().unwrap().0;
    let slot = world.replay(recording, 1.0, START);
    let mut change = Change::default();
    assert_eq!(world.turn(START.after(1_000_000_000), &mut change), None, "it is not followed yet");
    world.follow(slot, START);
    let mut now = START;
    while now.micros <= START.micros + last * 1_000 {
        now = now.after(5_000_000);
        while let Some(turn) = world.turn(now, &mut change) {
            assert_eq!(turn, Turn::Changed(slot));
            change.clear();
        }
    }
    let m = world.matches.get(slot).unwrap();
    let mut anew = m.clone();
    anew.redigest();
    assert_eq!(anew.digest(), m.digest());
    (document(m), crate::truth::expected::events(&world))
}

fn count(events: &[Value], kind: &str) -> usize {
    events.iter().filter(|event| event["type"] == kind).count()
}

#[test]
fn a_match_from_a_list_of_events() {
    let Some(file) = data::path("matches/statsbomb_15986_event.json") else { return };
    let (document, events) = played(read(&file).unwrap().unwrap());
    assert_eq!((&document["home"], &document["away"]), (&"Barcelona".into(), &"Girona".into()));
    assert_eq!((&document["score"]["text"], &document["status"]), (&"2-2".into(), &"finished".into()));
    assert_eq!((count(&events, "goal"), count(&events, "substitution"), count(&events, "card")), (4, 6, 9));
    let minutes: Vec<_> =
        events.iter().filter(|event| event["type"] == "goal").map(|event| &event["minute"]).collect();
    assert_eq!(minutes, [18, 44, 50, 62]);
    assert_eq!(
        (count(&events, "period_start"), count(&events, "period_end"), count(&events, "match_ended")),
        (2, 2, 1)
    );
}

#[test]
fn line_ups_go_along_and_what_is_unknown_is_refused() {
    if let Some(file) = data::path("matches/statsbomb_15986_lineup.json") {
        assert!(read(&file).unwrap().is_none());
    }
    let mut file = std::env::temp_dir();
    file.push(format!("touchline-unknown-{}.json", std::process::id()));
    std::fs::File::create(&file).unwrap().write_all(b"{\"a\":1}").unwrap();
    let error = read(&file).unwrap_err().to_string();
    std::fs::remove_file(&file).unwrap();
    assert!(error.contains("neither"), "{error}");
}

#[test]
fn a_match_from_incidences_by_kind() {
    let Some(file) = data::path("matches/datafactory_events.json") else { return };
    let (document, events) = played(read(&file).unwrap().unwrap());
    assert_eq!((&document["home"], &document["score"]["text"]), (&"Team A".into(), &"4-2".into()));
    assert_eq!((count(&events, "corner"), count(&events, "substitution"), count(&events, "card")), (8, 5, 3));
}

#[test]
fn a_market_from_an_exchange() {
    let Some(file) = data::path("exchange/market-1.200806927.jsonl") else { return };
    let (document, events) = played(read(&file).unwrap().unwrap());
    assert_eq!(document["status"], "finished");
    assert!(count(&events, "odds_change") > 1_000, "{}", count(&events, "odds_change"));
    assert!(count(&events, "suspended") > 0);
}

#[test]
fn a_cricket_match_from_an_exchange() {
    let Some(file) = data::path("exchange/cricket-1.200806927.jsonl") else { return };
    let (document, events) = played(read(&file).unwrap().unwrap());
    assert_eq!((&document["home"], &document["status"]), (&"Netherlands".into(), &"finished".into()));
    assert_eq!(document["score"]["text"], "163/7,111/10");
    let retracted: Vec<_> = events.iter().filter_map(|event| event["retracts"].as_u64()).collect();
    let live =
        |event: &&Value| event["type"] == "wicket" && !retracted.contains(&event["n"].as_u64().unwrap());
    assert_eq!(events.iter().filter(live).count(), 17);
    assert_eq!((count(&events, "period_start"), count(&events, "match_ended")), (2, 1));
}
