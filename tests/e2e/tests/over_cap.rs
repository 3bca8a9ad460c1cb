//! A server that grants less than is configured, in each of its ways: everything is followed all the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use serde_json::{Value, json};
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
fn a_server_that_closes() {
    all_is_followed(OverCap::Close);
}

#[test]
fn a_server_that_sends_an_error() {
    all_is_followed(OverCap::Error);
}

#[test]
fn a_server_that_ignores() {
    all_is_followed(OverCap::Ignore);
}

#[test]
fn a_server_that_sends_no_load() {
    all_is_followed(OverCap::NoLoad);
}

/// How long a thinned site may take until its cap is known: each match must have changed a few times before its load says anything.
const KNOWN: Duration = Duration::from_secs(30);
/// A living owner that is thinned sends other values than its successor, which waits for it for up to 10 s.
const MOVED: Duration = Duration::from_secs(30);

fn thinning(cap: usize) -> Options {
    Options { matches: 250, rate: 2_000.0, cap: Some(cap), over_cap: OverCap::Thin, ..Options::default() }
}

fn learned(site: &Site) -> Value {
    site.ask("status", json!({}))["feeds"][0]["learned_cap"].clone()
}

/// The most subscriptions of one worker.
fn most(site: &Site) -> u64 {
    let workers = site.ask("workers", json!({}));
    workers.as_array().unwrap().iter().filter_map(|worker| worker["subscriptions"].as_u64()).max().unwrap()
}

fn without_matches(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.contains(" match.")).collect();
    lines.join("\n")
}

#[test]
fn a_server_that_thins_serves_every_match_in_full_in_the_end() {
    let begun = Instant::now();
    let site = Site::start(&thinning(37), "max_subscriptions = 50");
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait::until("every match live and the cap learned", KNOWN, || {
            (site.count("/matches/live") == 250 && learned(&site) == json!(37)).then_some(())
        });
        eprintln!("learned after {:?}", begun.elapsed());
        wait::until("no connection above it", MOVED, || (most(&site) <= 37).then_some(()));
        eprintln!("moved after {:?}", begun.elapsed());
        // No connection is above it from now on.
        let until = Instant::now() + Duration::from_secs(10);
        wait::until("ten seconds more", Duration::from_secs(20), || {
            let most = most(&site);
            assert!(most <= 37, "a worker holds {most}");
            (Instant::now() >= until).then_some(())
        });
        assert_eq!((site.count("/matches/live"), learned(&site)), (250, json!(37)));
        site.assert_last_documents_are_true();
    }));
    let status = site.ask("status", json!({}))["feeds"].clone();
    assert!(found.is_ok(), "{status}\n{}", without_matches(&site.daemon.log()));
}

#[test]
fn without_thinning_no_cap_is_learned_and_no_match_moves() {
    let site = Site::live(&thinning(50), "max_subscriptions = 50\n[log]\nlevel = \"debug\"");
    wait::until("an audit", KNOWN, || (site.count("/feeds/0/audits") >= 3).then_some(()));
    let until = Instant::now() + Duration::from_secs(20);
    wait::until("twenty seconds more", Duration::from_secs(30), || (Instant::now() >= until).then_some(()));
    let feed = site.ask("status", json!({}))["feeds"][0].clone();
    assert_eq!((&feed["learned_cap"], &feed["audits_missed"]), (&Value::Null, &json!(0)), "{feed}");
    assert!(feed["audits"].as_u64().unwrap() <= 20, "{feed}");
    let log = site.daemon.log();
    for event in ["match.moving", "match.missed", "feed.cap_suspected", "feed.cap_learned"] {
        assert!(!log.contains(event), "{event}: {}", without_matches(&log));
    }
    site.assert_documents_are_true();
    site.assert_events_are_true();
}

#[test]
fn a_match_that_is_thinned_below_the_cap_is_subscribed_again_and_true() {
    let options = Options { matches: 8, rate: 160.0, ..Options::default() };
    let site = Site::live(&options, "max_subscriptions = 50\n[log]\nlevel = \"debug\"");
    let id = site.simulator.truth().matches().into_iter().next().unwrap();
    // What falls must have been somewhere.
    let before = site.recorded();
    let until = Instant::now() + Duration::from_secs(35);
    wait::until("a past", Duration::from_secs(60), || {
        (Instant::now() >= until && site.recorded() > before).then_some(())
    });
    assert!(!site.daemon.log().contains("match.missed"), "{}", site.daemon.log());
    site.simulator.thin_out(&id);
    let thinned = Instant::now();
    let missed = |line: &&str| line.contains("match.missed") && line.contains(&id);
    wait::until("its fresh load", Duration::from_secs(60), || {
        site.daemon.log().lines().find(missed).map(|line| eprintln!("{:?}: {line}", thinned.elapsed()))
    });
    site.assert_last_documents_are_true();
    assert_eq!(learned(&site), Value::Null);
    assert!(site.count("/feeds/0/audits_missed") >= 1);
    let log = site.daemon.log();
    assert!(!log.contains("match.moving") && !log.contains("feed.cap_suspected"), "{log}");
}
