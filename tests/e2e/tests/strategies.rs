//! Other ways to follow more matches than one connection may hold: going round with loads.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use serde_json::json;
use std::time::Duration;
use touchline_e2e::Site;
use touchline_harness::wait;
use touchline_simulator::Options;

#[test]
fn one_connection_goes_round_six_times_as_many_matches_as_it_may_hold() {
    let options = Options { matches: 120, rate: 500.0, cap: Some(20), ..Options::default() };
    let site = Site::live(
        &options,
        "max_subscriptions = 20\nstrategy = \"dumps\"\ndump_every = \"100ms\"\nsubscribes_per_s = 1000",
    );
    let round = wait::until("a whole round", Duration::from_secs(20), || {
        site.ask("status", json!({}))["feeds"][0]["round_ms"].as_u64()
    });
    assert!(round < 5_000, "{round} ms");
    let workers = site.ask("workers", json!({}));
    assert_eq!(workers.as_array().unwrap().len(), 1, "one is enough: {workers}");
    assert!(workers[0]["asked"].as_u64().unwrap() <= 20, "{workers}");
    assert_eq!(site.count("/workers/restarts"), 0);
    site.assert_documents_are_true();
    assert_eq!(site.ask("gaps", json!({})), json!([]), "{}", site.daemon.log());
    let report = site.simulator.report();
    assert_eq!(report.over_cap, 0, "never more than it may hold");
}
