//! Matches that change their worker: drained, moved, rebalanced, while the server goes on. None of that may cost a gap,
//! an event or a wrong document.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use touchline_common::control::Client;
use touchline_e2e::{ANSWER, Site};
use touchline_harness::{process, wait};
use touchline_simulator::Options;

fn loaded() -> Options {
    Options { matches: 60, rate: 2_000.0, cap: Some(20), ..Options::default() }
}

const CAP: &str = "max_subscriptions = 20";

/// How long a drain may take, a start of a worker included.
const DRAIN: Duration = Duration::from_secs(40);

fn drain(site: &Site, worker: u64) -> Value {
    let args = json!({ "worker": worker, "timeout_ms": DRAIN.as_millis() as u64 });
    let mut client = Client::connect(&site.socket()).unwrap();
    client
        .request("drain", args.as_object().cloned().unwrap(), DRAIN + ANSWER)
        .unwrap_or_else(|error| panic!("draining worker {worker}: {error}\n{}", tail(site)))
}

/// Slots and pids of the workers that follow matches.
fn workers(site: &Site) -> Vec<(u64, u64)> {
    let workers = site.ask("workers", json!({}));
    let of = |worker: &Value| Some((worker["worker"].as_u64()?, worker["pid"].as_u64()?));
    workers.as_array().unwrap().iter().filter(|w| w["state"] == "ready").filter_map(of).collect()
}

fn owner(site: &Site, id: &str) -> (u64, u64) {
    let matches = site.ask("matches", json!({}));
    let found = matches.as_array().unwrap().iter().find(|one| one["match"] == id).unwrap();
    (found["worker"].as_u64().unwrap(), found["epoch"].as_u64().unwrap())
}

/// The server stops changing; then documents and events must equal the truth, and nothing may have been missed.
fn assert_nothing_was_lost(site: &Site) {
    site.assert_documents_are_true();
    let mut before = None;
    wait::until("the recorder to commit everything", Duration::from_secs(20), || {
        std::thread::sleep(Duration::from_millis(1_200));
        let now = (site.recorded(), site.count("/recorder/queue"));
        (before.replace(now) == Some(now) && now.1 == 0).then_some(())
    });
    assert!(site.gaps().is_empty(), "{}", tail(site));
    let report = site.assert_events_are_true();
    assert_eq!(report.with_gaps, 0, "{report:#?}");
    let odds = site.assert_odds_are_true();
    assert!(odds.rows > 150, "{odds:#?}");
}

fn tail(site: &Site) -> String {
    let log = site.daemon.log();
    let lines: Vec<&str> = log.lines().filter(|line| !line.contains("match.")).collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

#[test]
fn every_worker_in_turn_can_be_drained_under_load_without_a_gap() {
    let site = Site::live(&loaded(), CAP);
    let first = workers(&site);
    assert!(first.len() >= 4, "60 matches and the list at 20 a connection need 4 workers: {first:?}");
    for (worker, _) in &first {
        let answer = drain(&site, *worker);
        assert_eq!(answer, json!(format!("worker {worker} is drained")));
        assert_eq!(site.count("/matches/live"), 60, "{}", tail(&site));
    }
    // The ones that took over give everything away again.
    for (worker, _) in workers(&site) {
        drain(&site, worker);
    }
    let pids: BTreeSet<u64> = first.iter().map(|(_, pid)| *pid).collect();
    wait::until("the end of every drained process", Duration::from_secs(10), || {
        workers(&site).iter().all(|(_, pid)| !pids.contains(pid)).then_some(())
    });
    assert_nothing_was_lost(&site);
    assert_eq!(site.count("/workers/restarts"), 0, "{}", tail(&site));
    let most = site.simulator.report().most_subscriptions;
    assert!(most <= 20, "a connection held {most} subscriptions");
}

#[test]
fn a_full_pool_is_drained_by_one_worker_more_than_it_may_have() {
    let options = Options { matches: 39, ..loaded() };
    let site = Site::start_with_pool(&options, CAP, "max_workers = 2");
    site.wait_live(39);
    let before = workers(&site);
    assert_eq!(before.len(), 2, "{before:?}");
    drain(&site, before[0].0);
    wait::until("two workers again", Duration::from_secs(10), || {
        let now = workers(&site);
        (now.len() == 2 && now.iter().all(|(_, pid)| *pid != before[0].1)).then_some(())
    });
    assert_nothing_was_lost(&site);
}

#[test]
fn a_server_that_allows_one_session_costs_a_reported_gap_that_ends() {
    let options = Options { matches: 20, rate: 500.0, ..loaded() };
    let site = Site::live(&options, "max_subscriptions = 20\nbreak_before_make = true");
    let before = workers(&site);
    drain(&site, before[0].0);
    site.wait_live(20);
    site.assert_documents_are_true();
    let gaps = site.gaps();
    assert!(!gaps.is_empty() && gaps.iter().all(|gap| gap["reason"] == "moved"), "{gaps:?}");
    assert!(gaps.iter().all(|gap| !gap["ended_at"].is_null()), "{gaps:?}");
}

#[test]
fn one_match_can_be_moved_where_there_is_room_and_nowhere_else() {
    let site = Site::live(&loaded(), CAP);
    let id = site.simulator.truth().matches().into_iter().next().unwrap();
    let (from, epoch) = owner(&site, &id);
    let table = site.ask("workers", json!({}));
    let has_room = |w: &&Value| w["worker"] != json!(from) && w["subscriptions"].as_u64() < w["cap"].as_u64();
    let to = table.as_array().unwrap().iter().find(has_room).unwrap()["worker"].as_u64().unwrap();
    let output = process::run(site.path(), &["move", &format!("inplay/{id}"), &to.to_string()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let after = owner(&site, &id);
    assert!(after.0 == to && after.1 > epoch, "{after:?}");
    for (args, code) in [
        (["move", id.as_str(), "99"], 1),
        (["move", "no-such-match", "1"], 1),
        (["move", id.as_str(), "one"], 2),
    ] {
        let output = process::run(site.path(), &args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
    }
    assert_nothing_was_lost(&site);
}

#[test]
fn a_dry_run_changes_nothing_and_a_rebalance_evens_out() {
    let site = Site::start_with_pool(&loaded(), CAP, "rebalance = false");
    site.wait_live(60);
    site.ask("scale", json!({ "min": 6 }));
    wait::until("six workers", Duration::from_secs(15), || (workers(&site).len() == 6).then_some(()));
    let before = site.ask("matches", json!({}));
    let plan = site.ask("rebalance", json!({ "dry_run": true }));
    assert!(plan["moves"].as_array().unwrap().len() > 10, "{plan}");
    assert!(plan["moves"][0]["gap"] == json!(false), "{plan}");
    let text = process::run(site.path(), &["rebalance", "--dry-run"]);
    assert!(String::from_utf8_lossy(&text.stdout).contains("MATCH"), "{text:?}");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(places(&before), places(&site.ask("matches", json!({}))));
    let output = process::run(site.path(), &["rebalance", "--timeout", "55s"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let held: Vec<u64> = site
        .ask("workers", json!({}))
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|worker| worker["subscriptions"].as_u64())
        .collect();
    let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
    assert!((most - least) * 4 * 6 <= 61, "{held:?}");
    assert_nothing_was_lost(&site);
}

fn places(matches: &Value) -> Vec<(String, Value, Value)> {
    let one = |one: &Value| (one["match"].to_string(), one["worker"].clone(), one["epoch"].clone());
    matches.as_array().unwrap().iter().map(one).collect()
}
