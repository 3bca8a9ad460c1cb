//! A match that ends every worker that has it: after the second it is in quarantine, it alone, and the others are followed on.

use super::ground::{Ground, Plan, send};
use super::{Case, Verdict};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use touchline_common::control::views::counted;
use touchline_harness::wait;

/// Two workers that hang until the coordinator ends them, and back-off between them.
const COMES: Duration = Duration::from_secs(40);

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("quarantine/assign.received", || poisoned("assign.received=panic")),
        Case::new("quarantine/move.prepared", || poisoned("move.prepared=panic")),
        Case::new("quarantine/hangs", || poisoned("move.prepared=spin")),
    ]
}

fn poisoned(fault: &str) -> Verdict {
    let points = format!("{fault},match={{match}},when={{when}}");
    let mut ground = Ground::live(Plan { points, ..Plan::default() });
    let culprit = ground.culprit();
    let pulse = ground.pulse();
    ground.now();
    let began = Instant::now();
    // A kill from outside blames no match; the match goes to another worker, and then the next.
    send(worker_of(&ground, &culprit), Signal::SIGKILL);
    let held = wait::until("the culprit in quarantine", COMES, || {
        Some(quarantined(&ground)).filter(|held| held.contains(&culprit))
    });
    let took = began.elapsed();
    assert_eq!(held, [culprit.as_str()], "its worker noted what it was at: {}", ground.daemon.log());
    wait::until("every other match live", COMES, || (ground.live_matches() == 11).then_some(()));
    assert_is_reported(&ground, held.len());
    // It stays there, and no other worker dies of it.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(quarantined(&ground), held, "{}", ground.daemon.log());
    assert_eq!(crashes(&ground), 2, "{}", ground.daemon.log());
    ground.no_more();
    for id in &held {
        let output = ground.operate(&["release", id]);
        assert!(output.status.success(), "{output:?}");
    }
    let again = ground.operate(&["release", &culprit]);
    assert_eq!(again.status.code(), Some(1), "it is out: {again:?}");
    ground.settle();
    let slowest = pulse.stop();
    ground.conclude(format!("{} in quarantine after {} ms, {slowest}", held.len(), took.as_millis()))
}

/// All that an operator may look at says that these are in quarantine.
fn assert_is_reported(ground: &Ground, held: usize) {
    let status = ground.ask("status", json!({}));
    assert_eq!(status.pointer("/matches/quarantined"), Some(&Value::from(held)), "{status}");
    let health = ground.ask("health", json!({}));
    assert_eq!(health.get("healthy"), Some(&Value::from(false)), "{health}");
    let reason = format!("{} in quarantine", counted(held, "match is", "matches are"));
    assert!(health.to_string().contains(&reason), "{health}");
    let output = ground.operate(&["matches", "--state", "quarantined"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains(&ground.culprit()), "{output:?}");
}

fn matches(ground: &Ground) -> Vec<Value> {
    ground.ask("matches", json!({})).as_array().cloned().unwrap_or_default()
}

fn text<'a>(view: &'a Value, key: &str) -> &'a str {
    view.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn quarantined(ground: &Ground) -> Vec<String> {
    let held = matches(ground).into_iter().filter(|view| text(view, "state") == "quarantined");
    held.map(|view| text(&view, "match").to_owned()).collect()
}

/// The pid of the worker that has a match.
fn worker_of(ground: &Ground, id: &str) -> u32 {
    let views = matches(ground);
    let view = views.iter().find(|view| text(view, "match") == id).expect("the match");
    let slot = view.get("worker").and_then(Value::as_u64).expect("its worker");
    ground.workers().into_iter().find(|(of, _)| *of == slot).expect("that worker").1
}

/// Deaths by SIGABRT, of a panic or because they hung.
fn crashes(ground: &Ground) -> usize {
    let status = ground.ask("status", json!({}));
    let deaths = status.get("deaths").and_then(Value::as_array).cloned().unwrap_or_default();
    deaths.iter().filter(|death| death.get("signal").and_then(Value::as_i64) == Some(6)).count()
}
