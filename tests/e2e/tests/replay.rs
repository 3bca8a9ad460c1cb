//! A match again: from the store without a daemon, and from recorded bytes through the code that read them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use touchline_e2e::{BACK, Site};
use touchline_harness::{process, wait};
use touchline_simulator::{Options, Reset};

const LEAVE: Duration = Duration::from_secs(25);

fn options() -> Options {
    Options { matches: 6, rate: 300.0, speed: 60.0, ..Options::default() }
}

fn replay(site: &Site, args: &[&str]) -> Vec<Value> {
    let output = process::run(site.path(), &[&["replay", "--json"][..], args].concat());
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The match with the most events.
fn busiest(events: &[Value]) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for event in events {
        *counts.entry(event["match"].as_str().unwrap()).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).unwrap().0.to_owned()
}

#[test]
fn a_match_is_gone_through_step_by_step_also_without_the_daemon() {
    let mut site = Site::live(&options(), "max_subscriptions = 50");
    site.wait_for_rows(600);
    site.assert_documents_are_true();
    site.assert_events_are_true();
    let id = busiest(&site.events());
    let document = site.document(&id).unwrap();
    let with_daemon = replay(&site, &["--match", &id]);
    site.stop(LEAVE);
    let mut steps = replay(&site, &["--match", &format!("inplay/{id}")]);
    assert!(steps.len() >= with_daemon.len());
    let state = steps.pop().unwrap()["state"].clone();
    let at = |step: &Value| step["row"]["at"].as_str().unwrap().to_owned();
    assert!(steps.iter().map(at).is_sorted(), "one time axis");
    for stream in ["match", "odds"] {
        let count = steps.iter().filter(|step| step["stream"] == stream).count();
        assert!(count > 5, "{stream}: {count}");
    }
    for side in ["home", "away"] {
        let known = document["score"].get(side).filter(|_| !state["score"].is_null());
        assert!(known.is_none_or(|known| *known == state["score"][side]), "{state} {document}");
    }
    let mut prices = 0;
    for (key, market) in document["markets"].as_object().unwrap() {
        for (selection, value) in market["selections"].as_object().unwrap() {
            if let Some(odds) = value.get("odds") {
                assert_eq!(
                    &state["markets"][key]["selections"][selection]["odds"], odds,
                    "{key} {selection}"
                );
                prices += 1;
            }
        }
    }
    assert!(prices > 0, "{document}");
    // A moment in the midst of it is the state that the steps had there.
    let middle = &steps[steps.len() / 2];
    let then = replay(&site, &["--match", &id, "--at", &at(middle)]);
    assert_eq!(then.len(), 1);
    let last = steps.iter().rev().find(|step| at(step) == at(middle)).unwrap();
    for key in ["score", "minute", "period", "at"] {
        assert_eq!(then[0]["state"][key], last["state"][key], "{key}");
    }
    let output = process::run(site.path(), &["replay", "--match", "nobody"]);
    assert_eq!(output.status.code(), Some(1));
    let text = process::run(site.path(), &["replay", "--match", &id, "--at", "200"]);
    assert!(String::from_utf8(text.stdout).unwrap().starts_with("at 2"));
}

/// What an event says, without what counts the frames of a run or belongs to a store.
fn said(event: &Value) -> Value {
    let mut said = json!({});
    for key in
        ["type", "lane", "side", "minute", "second", "period", "score", "recovered", "payload", "order"]
    {
        said[key] = event[key].clone();
    }
    // Others have the number of their frame in their id.
    let counted = ["goal", "card", "corner", "period_start", "period_end", "match_listed", "match_started"];
    if counted.iter().any(|kind| event["type"] == *kind) {
        said["id"] = event["id"].clone();
    }
    said
}

fn by_match<'e>(events: impl Iterator<Item = &'e Value>) -> BTreeMap<String, Vec<Value>> {
    let mut matches: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in events {
        matches.entry(event["match"].as_str().unwrap().to_owned()).or_default().push(said(event));
    }
    matches
}

/// A document without what the recorder adds.
fn content(mut document: Value) -> Value {
    let members = document.as_object_mut().unwrap();
    for key in ["epoch", "version", "received_at", "updated_at", "stale", "source"] {
        members.remove(key);
    }
    document
}

fn recordings(site: &Site) -> Vec<String> {
    let files = std::fs::read_dir(site.file("raw")).unwrap();
    files.map(|entry| entry.unwrap().path().display().to_string()).collect()
}

/// Stops a daemon whose server is paused, replays what its worker recorded, and compares with what it gave.
fn compare(mut site: Site) {
    site.assert_last_documents_are_true();
    site.assert_events_are_true();
    let events = site.events();
    let ids = site.simulator.truth().matches();
    let documents: Vec<Value> = ids.iter().map(|id| content(site.document(id).unwrap())).collect();
    site.stop(LEAVE);
    let files = recordings(&site);
    let args: Vec<&str> = ["--raw"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let replayed = replay(&site, &args);
    let summary = &replayed.last().unwrap()["summary"];
    for (key, none) in [("skipped_bytes", json!(0)), ("dropped_bytes", json!(0)), ("faults", json!([]))] {
        assert_eq!(summary[key], none, "{summary}");
    }
    eprintln!("{summary}");
    let given = by_match(events.iter());
    let again = by_match(replayed.iter().filter_map(|line| line.get("event")));
    assert_eq!(again.keys().collect::<Vec<_>>(), given.keys().collect::<Vec<_>>());
    for (id, events) in &given {
        assert_eq!(&again[id], events, "{id}");
    }
    for document in &documents {
        let mut again = replayed.iter().filter_map(|line| line.get("document"));
        let again = again.find(|again| again["match"] == document["match"]);
        assert_eq!(again, Some(document));
    }
}

fn goals<'e>(events: impl Iterator<Item = &'e Value>) -> BTreeSet<String> {
    let goals = events.filter(|event| event["type"] == "goal");
    goals.map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

const RECORDED: &str = "max_subscriptions = 50\n[store]\nrecord_raw = true";

#[test]
fn recorded_bytes_give_the_same_documents_and_events() {
    let site = Site::live(&options(), RECORDED);
    site.wait_for_rows(600);
    let id = site.simulator.truth().matches().into_iter().next().unwrap();
    site.ask("resync", json!({ "match": id }));
    wait::until("it is compared", BACK, || (site.count("/feeds/0/audits") >= 1).then_some(()));
    site.wait_for_rows(300);
    compare(site);
}

#[test]
fn a_recording_may_have_several_connections() {
    let mut site = Site::live(&options(), RECORDED);
    site.wait_for_rows(300);
    let gaps = site.gaps().len();
    site.simulator.reset_connections(Reset::All);
    site.wait_for_gaps_to_end(gaps + 1, options().matches);
    site.wait_for_rows(300);
    // Gaps begin where the recorder had its last word, so only what happened is compared.
    site.assert_last_documents_are_true();
    site.assert_events_are_true();
    let given = goals(site.events().iter());
    site.stop(LEAVE);
    let files = recordings(&site);
    let args: Vec<&str> = ["--raw"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let replayed = replay(&site, &args);
    assert_eq!(goals(replayed.iter().filter_map(|line| line.get("event"))), given);
}
