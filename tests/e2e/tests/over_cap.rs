//! A server that grants less than is configured, in each of its ways: everything is followed all the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use std::time::{Duration, Instant};
use touchline_e2e::Site;
use touchline_harness::wait;
use touchline_simulator::{Options, OverCap};

/// How long learning may take; a load that does not come shows after some seconds.
const LEARNED: Duration = Duration::from_secs(90);

fn all_is_followed(over_cap: OverCap) {
    let options = Options { matches: 8, rate: 400.0, cap: Some(5), over_cap, ..Options::default() };
    let site = Site::start(&options, "max_subscriptions = 9");
    let begun = Instant::now();
    wait::until("all matches live", LEARNED, || (site.count("/matches/live") == 8).then_some(()));
    eprintln!("{over_cap:?}: live after {:?}, {:?}", begun.elapsed(), site.simulator.report().denied);
    site.assert_documents_are_true();
    // A reset throws away loads that the server has sent, and its truth begins with those.
    if over_cap != OverCap::Close {
        site.assert_events_are_true();
    }
}

#[test]
fn where_it_closes() {
    all_is_followed(OverCap::Close);
}

#[test]
fn where_it_says_an_error() {
    all_is_followed(OverCap::Error);
}

#[test]
fn where_it_ignores() {
    all_is_followed(OverCap::Ignore);
}

#[test]
fn where_it_sends_no_load() {
    all_is_followed(OverCap::NoLoad);
}
