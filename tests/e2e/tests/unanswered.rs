//! A server that is there and does not answer, or sends nothing more: that is told, and asked for again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::json;
use touchline_e2e::{LIVE, Site};
use touchline_harness::wait;
use touchline_simulator::Options;

fn reasons(site: &Site) -> String {
    site.ask("health", json!({})).to_string()
}

#[test]
fn what_is_not_answered_at_first_is_asked_for_again_until_it_is() {
    // The first question and the second for each.
    let options = Options { matches: 3, rate: 60.0, unanswered: 6, ..Options::default() };
    let site = Site::start(&options, "max_subscriptions = 50\nover_cap = \"close\"");
    site.wait_for_status("three without an answer", LIVE, |status| {
        let feed = &status["feeds"][0];
        feed["never_answered"] == 3 && feed["state"] == "degraded" && feed["asked"] == 4
    });
    let said = reasons(&site);
    assert!(said.contains("feed inplay") && said.contains("worker 1") && said.contains("not answered"), "{said}");
    site.wait_live(3);
    site.wait_for_status("all is well", LIVE, |status| {
        status["feeds"][0]["never_answered"] == 0 && status["feeds"][0]["state"] == "up"
    });
    assert_eq!(site.ask("health", json!({}))["healthy"], true);
    // The list's, which may be taken anew, and one of each match.
    assert!(site.simulator.report().loads <= 6, "{:?}", site.simulator.report());
    site.assert_documents_are_true();
}

#[test]
fn a_connection_that_brings_nothing_is_told_by_its_worker_until_it_does() {
    let options = Options { matches: 3, rate: 60.0, ..Options::default() };
    let site = Site::live(&options, "max_subscriptions = 50\nstale_after = \"2s\"");
    site.simulator.pause();
    site.wait_for_status("a feed that brings nothing", LIVE, |status| {
        let feed = &status["feeds"][0];
        feed["state"] == "degraded" && feed["why"].as_str().is_some_and(|why| why.contains("nothing came"))
    });
    // A fresh load that an audit takes interrupts the silence.
    let wanted = ["\"healthy\":false", "feed inplay: nothing came", "worker 1"];
    wait::until("health that says so", LIVE, || {
        let said = reasons(&site);
        wanted.iter().all(|part| said.contains(part)).then_some(())
    });
    site.wait_for_status("all of its matches stale", LIVE, |status| status["matches"]["stale"] == 3);
    site.simulator.resume();
    site.wait_for_status("all is well", LIVE, |status| status["feeds"][0]["state"] == "up");
    assert_eq!(site.ask("health", json!({}))["healthy"], true);
}
