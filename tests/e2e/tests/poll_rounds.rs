//! What a round of a source tells, and how many requests a quota of the day leaves all workers together.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use nix::sys::signal::Signal;
use serde_json::Value;
use std::time::{Duration, Instant};
use touchline_e2e::poll::{PollSite, catalogues};
use touchline_harness::fixture::run_command;
use touchline_harness::process::{self, Running};
use touchline_harness::wait;
use touchline_simulator::api::{Api, ApiOptions, Behaviour};

const BACK: Duration = Duration::from_secs(60);
/// One batch each 30 s.
const PER_DAY: u64 = 288_000;
const BATCH: u64 = 100;
/// Nothing more is asked for so long: a part of the time to the next batch.
const STILL: Duration = Duration::from_secs(6);

fn documents(documents: usize) -> Api {
    Api::start_paused(&ApiOptions { matches: 0, documents, rate: 20.0, ..ApiOptions::default() }).unwrap()
}

/// The payloads of the ends of rounds of a source.
fn rounds(site: &PollSite, of: &str) -> Vec<Value> {
    let events = site.events().into_iter();
    let of_it = events.filter(|event| event["type"] == "round_end" && event["match"] == of);
    of_it.map(|event| event["payload"].clone()).collect()
}

#[test]
fn each_round_of_a_document_ends_with_what_came_of_it() {
    let api = documents(2);
    let feed = catalogues(&api, 2, "500ms", "");
    let site = PollSite::of(api, &feed, |_| {});
    site.wait_live(2);
    let wait_for = |what: &str, is: &dyn Fn(&Value) -> bool| {
        wait::until(what, BACK, || rounds(&site, "course-1").into_iter().rev().find(|round| is(round)))
    };
    let same = wait_for("a round without a change", &|round| round["ok"] == 1 && round["changed"] == 0);
    assert_eq!(same["failed"], 0);
    site.api.resume();
    let other = wait_for("a round with one", &|round| round["changed"] == 1);
    assert_eq!((&other["ok"], &other["failed"]), (&1.into(), &0.into()));
    site.api.behave("/catalogue/1", Behaviour::Slow(Duration::from_millis(300)));
    wait_for("a slow round", &|round| round["ok"] == 1 && round["took_ms"].as_u64() >= Some(300));
    site.api.behave("/catalogue/1", Behaviour::Status(500));
    let failed = wait_for("a failed round", &|round| round["failed"] == 1);
    assert_eq!((&failed["ok"], &failed["changed"]), (&0.into(), &0.into()));
    let healthy = rounds(&site, "course-0");
    assert!(healthy.len() > 2 && healthy.iter().all(|round| round["failed"] == 0), "{healthy:?}");
}

fn left(site: &PollSite) -> u64 {
    site.status("/feeds/0/quota/left").as_ref().and_then(Value::as_u64).unwrap()
}

/// Never more was asked than was taken from the quota.
fn assert_within(site: &PollSite) {
    let (asked, spent) = (site.api.requests(), PER_DAY - left(site));
    assert!(asked <= spent, "{asked} requests, {spent} of the quota");
}

#[test]
fn a_quota_is_spread_over_the_day_is_one_for_all_workers_and_a_restart_forgets_nothing() {
    let api = documents(20);
    let feed = catalogues(&api, 20, "100ms", &format!("quota_per_day = {PER_DAY}\nmax_subscriptions = 10"));
    let mut site = PollSite::of(api, &feed, |_| {});
    let began = Instant::now();
    wait::until("the first batch", BACK, || (site.api.requests() >= BATCH).then_some(()));
    let still = Instant::now() + STILL;
    while Instant::now() < still {
        // Two workers are wanted for 20 sources: the second one's batch is a part of the same quota.
        assert_eq!(site.api.requests(), BATCH, "what is asked in a moment is not asked in 30 s");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(left(&site), PER_DAY - BATCH);
    let shown = process::run(site.path(), &["status", "--config", "touchline.toml"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let line = format!("{} of {PER_DAY} requests left today", PER_DAY - BATCH);
    assert!(shown.contains(&line), "{line}: {shown}");
    wait::until("the second batch", BACK, || (site.api.requests() >= 2 * BATCH).then_some(()));
    assert!(began.elapsed() > Duration::from_secs(25), "after {:?}", began.elapsed());
    assert_within(&site);
    let before = left(&site);
    site.daemon.signal(Signal::SIGTERM);
    assert!(site.daemon.wait_for_end(BACK).success());
    site.daemon = Running::command(site.path(), run_command(process::program()));
    let asked = site.api.requests();
    wait::until("a request after the restart", BACK, || (site.api.requests() > asked).then_some(()));
    assert!(left(&site) < before, "{} after {before}", left(&site));
    assert_within(&site);
}
