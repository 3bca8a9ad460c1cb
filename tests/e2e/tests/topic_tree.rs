//! Matches that are published as branches of topics, named by a file.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use serde_json::json;
use std::path::Path;
use std::time::Duration;
use touchline_e2e::{LIVE, Site};
use touchline_harness::wait;
use touchline_simulator::server::Handle;
use touchline_simulator::{Options, Payload, Reset};

const MATCHES: usize = 30;

fn options() -> Options {
    // Fast enough that halves begin and end within the test.
    Options {
        payload: Payload::TopicTree,
        matches: MATCHES,
        rate: 400.0,
        speed: 300.0,
        cap: Some(10),
        ..Options::default()
    }
}

/// Names all matches in a file, and how they are published.
fn feed(folder: &Path, simulator: &Handle) -> String {
    name(folder, &simulator.truth().matches());
    let file = serde_json::Value::from(folder.join("matches").display().to_string());
    format!(
        "payload = \"topic-tree\"\nmatches_file = {file}\nmatch_topics = [\"sportsbook/football/{{ID}}//\"]\nmax_subscriptions = 10"
    )
}

/// Writes the file as those do that others read meanwhile.
fn name(folder: &Path, ids: &[String]) {
    let next = folder.join("matches.next");
    std::fs::write(&next, format!("# followed\n{}\n", ids.join("\n"))).unwrap();
    std::fs::rename(next, folder.join("matches")).unwrap();
}

#[test]
fn a_branch_is_one_subscription_and_its_documents_and_events_are_the_truth() {
    let site = Site::configured(&options(), feed);
    site.wait_live(MATCHES as u64);
    wait::until("some goals", LIVE, || {
        let goals = site.events().iter().filter(|event| event["type"] == "goal").count();
        (goals >= 5).then_some(())
    });
    wait::until("many documents", LIVE, || (site.auditor.report().checked > 500).then_some(()));
    site.assert_documents_are_true();
    assert_eq!(site.auditor.report().unknown, 0);
    let events = site.assert_events_are_true();
    assert!(events.registers > 30 && events.commentary > 20, "{events:#?}");
    assert_eq!(events.with_gaps, 0, "{}", site.daemon.log());
    let status = site.ask("status", json!({}));
    assert_eq!(status["feeds"][0]["asked"], MATCHES, "{status}");
    assert_eq!(status["feeds"][0]["acknowledged"], MATCHES, "{status}");
    assert_eq!(site.simulator.report().over_cap, 0);
}

#[test]
fn lost_connections_are_gaps_and_what_was_missed_is_recorded_once() {
    let site = Site::configured(&options(), feed);
    site.wait_live(MATCHES as u64);
    for _ in 0..3 {
        site.simulator.reset_connections(Reset::All);
        wait::until("the loss is noticed", LIVE, || {
            (site.count("/matches/live") < MATCHES as u64).then_some(())
        });
        site.wait_live(MATCHES as u64);
    }
    site.assert_documents_are_true();
    let events = site.assert_events_are_true();
    assert!(events.with_gaps > 0, "{events:#?}");
}

#[test]
fn a_changed_file_changes_what_is_followed() {
    let site = Site::configured(&options(), feed);
    site.wait_live(MATCHES as u64);
    let ids = site.simulator.truth().matches();
    let states = |of: &str| site.ask("matches", json!({ "state": of })).as_array().map_or(0, Vec::len);
    name(site.path(), &ids[..20]);
    wait::until("ten have ended", Duration::from_secs(5), || (states("ended") == 10).then_some(()));
    assert_eq!(states("live"), 20);
    name(site.path(), &ids[5..]);
    wait::until("the others are followed again", LIVE, || {
        (states("live") == 25 && states("ended") == 5).then_some(())
    });
    std::fs::remove_file(site.path().join("matches")).unwrap();
    wait::until("that in the log", Duration::from_secs(5), || {
        site.daemon.log().contains("matches.unreadable").then_some(())
    });
    assert_eq!(states("live"), 25, "and changes nothing");
}
