//! What deltas made of a match against fresh loads of it: on request, and once a period.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Value, json};
use std::time::Duration;
use touchline_e2e::{BACK, Site};
use touchline_harness::{process, wait};
use touchline_simulator::{Options, OverCap};

/// Above its cap the server keeps nine of ten deltas back; `thin` in the configuration leaves that unlearned.
const THINNED: &str = "max_subscriptions = 50\nover_cap = \"thin\"\nreconcile_every = \"2s\"";

fn missed(site: &Site) -> u64 {
    site.count("/feeds/0/audits_missed")
}

#[test]
fn what_a_server_keeps_back_is_found_repaired_counted_and_logged_each_period() {
    let options =
        Options { matches: 8, rate: 400.0, cap: Some(5), over_cap: OverCap::Thin, ..Options::default() };
    let site = Site::live(&options, THINNED);
    wait::until("differences", Duration::from_secs(60), || (missed(&site) >= 3).then_some(()));
    let log = site.daemon.log();
    let line = log.lines().find(|line| line.contains("match.missed")).unwrap();
    assert!(line.contains(" nodes=") && line.contains(" path=6V"), "{line}");
    assert!(!log.contains("match.moving"), "it is repaired where it is: {log}");
    site.assert_last_documents_are_true();
}

fn lines(site: &Site, args: &[&str]) -> usize {
    let output = process::run(site.path(), args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().count()
}

/// All that is committed of both streams, and the version of each document.
fn recorded(site: &Site, ids: &[String]) -> (usize, usize, Vec<Value>) {
    let odds = lines(site, &["events", "--lane", "odds", "--since", "0", "--format", "json"]);
    let versions = ids.iter().map(|id| site.document(id).unwrap()["version"].clone()).collect();
    (site.events().len(), odds, versions)
}

#[test]
fn a_resync_of_healthy_matches_makes_no_event_no_row_and_no_version() {
    let options = Options { matches: 6, rate: 200.0, ..Options::default() };
    let site = Site::live(&options, "max_subscriptions = 50");
    site.wait_for_rows(200);
    site.assert_documents_are_true();
    site.assert_events_are_true();
    let ids = site.simulator.truth().matches();
    let (before, audits) = (recorded(&site, &ids), site.count("/feeds/0/audits"));
    for id in &ids {
        site.ask("resync", json!({ "match": id }));
    }
    wait::until("all compared", BACK, || {
        (site.count("/feeds/0/audits") >= audits + ids.len() as u64).then_some(())
    });
    assert_eq!(missed(&site), 0, "{}", site.daemon.log());
    assert_eq!(recorded(&site, &ids), before);
    // And everything goes on.
    site.simulator.resume();
    site.wait_for_rows(200);
    site.assert_documents_are_true();
    site.assert_events_are_true();
}

#[test]
fn healthy_matches_are_compared_each_period_and_nothing_follows() {
    let options = Options { matches: 6, rate: 200.0, ..Options::default() };
    let site = Site::live(&options, "max_subscriptions = 50\nreconcile_every = \"1s\"");
    wait::until("each compared some times", Duration::from_secs(60), || {
        (site.count("/feeds/0/audits") >= 30).then_some(())
    });
    assert_eq!(missed(&site), 0, "{}", site.daemon.log());
    site.assert_documents_are_true();
    site.assert_events_are_true();
}
