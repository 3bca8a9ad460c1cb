//! Sessions that outlive their connection, encoded and cut messages, logins: the whole program against a server that has them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use serde_json::{Value, json};
use std::thread;
use std::time::{Duration, Instant};
use touchline_e2e::Site;
use touchline_harness::wait;
use touchline_simulator::server::{Report, Reset};
use touchline_simulator::{BodyEncoding, OnResume, Options};

const CAP: &str = "max_subscriptions = 5";
const BACK: Duration = Duration::from_secs(20);

fn small() -> Options {
    Options { matches: 12, rate: 400.0, cap: Some(5), ..Options::default() }
}

fn kept() -> Options {
    Options { keep_alive: Duration::from_secs(30), ..small() }
}

fn gaps(site: &Site) -> Vec<Value> {
    site.ask("gaps", json!({})).as_array().cloned().unwrap()
}

fn wait_for(site: &Site, what: &str, is: impl Fn(&Report) -> bool) {
    wait::until(what, BACK, || is(&site.simulator.report()).then_some(()));
}

/// Every connection breaks; until every match is live again.
fn break_all(site: &Site) -> usize {
    let workers = site.worker_pids().len();
    site.simulator.reset_connections(Reset::All);
    wait_for(site, "all connections broken", |report| report.resets >= workers as u64);
    workers
}

fn wait_for_the_gaps_to_end(site: &Site) {
    wait::until("a gap of each match, ended", BACK, || {
        let gaps = gaps(site);
        (gaps.len() >= 12 && gaps.iter().all(|gap| !gap["ended_at"].is_null())).then_some(())
    });
    site.wait_live(12);
}

#[test]
fn encoded_and_cut_messages_make_the_same_documents() {
    for (encoding, fragment_above) in [
        (BodyEncoding::Zlib, None),
        (BodyEncoding::Base64, None),
        (BodyEncoding::None, Some(2_000)),
        (BodyEncoding::Zlib, Some(50)),
    ] {
        let site = Site::live(&Options { encoding, fragment_above, ..small() }, CAP);
        let before = site.recorded();
        wait::until("events", BACK, || (site.recorded() > before + 100).then_some(()));
        site.assert_documents_are_true();
        let report = site.assert_events_are_true();
        assert_eq!(report.with_gaps, 0, "{encoding:?} {fragment_above:?} {report:#?}");
    }
}

#[test]
fn a_session_goes_on_and_what_was_not_lost_is_not_asked_for_again() {
    let site = Site::live(&kept(), CAP);
    // Nothing is on its way when the connections break, so nothing is lost with them.
    site.simulator.pause();
    thread::sleep(Duration::from_millis(300));
    let loads = site.simulator.report().loads;
    let workers = break_all(&site);
    wait_for(&site, "every session resumed", |report| report.resumed == workers as u64);
    site.simulator.resume();
    wait_for_the_gaps_to_end(&site);
    let report = site.simulator.report();
    assert_eq!((report.loads - loads, report.refused), (1, 0), "the list alone: {}", site.daemon.log());
    assert!(site.daemon.log().contains("the session goes on with"), "{}", site.daemon.log());
    let before = site.recorded();
    wait::until("more events", BACK, || (site.recorded() > before + 100).then_some(()));
    site.assert_documents_are_true();
    site.assert_events_are_true();
}

#[test]
fn where_it_is_configured_everything_is_asked_for_again_and_nothing_stays_lost() {
    let site = Site::live(&Options { rate: 4_000.0, ..kept() }, &format!("{CAP}\nresubscribe = true"));
    for round in 1..=2 {
        let loads = site.simulator.report().loads;
        let workers = site.worker_pids().len() as u64;
        site.simulator.reset_connections(Reset::All);
        wait_for(&site, "every session resumed", |report| report.resumed >= round * workers);
        wait_for(&site, "a load of everything", |report| report.loads >= loads + 13);
        site.wait_live(12);
        thread::sleep(Duration::from_millis(300));
        assert_eq!(site.simulator.report().loads, loads + 13, "and each but once");
    }
    site.assert_documents_are_true();
    site.assert_events_are_true();
}

#[test]
fn loads_that_a_server_sends_by_itself_are_taken() {
    let site = Site::live(&Options { on_resume: OnResume::Reload, rate: 4_000.0, ..kept() }, CAP);
    let workers = break_all(&site);
    wait_for(&site, "every session resumed", |report| report.resumed == workers as u64);
    wait_for_the_gaps_to_end(&site);
    site.assert_documents_are_true();
    site.assert_events_are_true();
}

#[test]
fn a_session_that_the_server_forgot_is_replaced_at_once() {
    let site = Site::live(&small(), CAP);
    let begun = Instant::now();
    let workers = break_all(&site);
    wait_for_the_gaps_to_end(&site);
    eprintln!("live again after {:?}", begun.elapsed());
    wait_for(&site, "one refusal each", |report| report.refused >= workers as u64);
    let report = site.simulator.report();
    assert_eq!((report.refused, report.resumed), (workers as u64, 0), "then a new session");
    site.assert_documents_are_true();
    site.assert_events_are_true();
}

#[test]
fn the_right_login_comes_in_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "s3cret-word\n").unwrap();
    let login = Some("reader:s3cret-word".parse().unwrap());
    let feed = format!("{CAP}\nusername = \"reader\"\npassword_file = \"{}\"", password.display());
    let site = Site::live(&Options { login, ..small() }, &feed);
    site.ask("log", json!({ "action": "level", "filter": "trace" }));
    let workers = break_all(&site);
    wait_for(&site, "a new session each", |report| report.refused == workers as u64);
    site.wait_live(12);
    assert!(!site.daemon.log().contains("s3cret-word"));
}

#[test]
fn a_wrong_login_is_said_once_and_not_hammered() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "wr0ng-word\n").unwrap();
    let login = Some("reader:right".parse().unwrap());
    let feed = format!("{CAP}\nusername = \"reader\"\npassword_file = \"{}\"", password.display());
    let site = Site::start(&Options { login, ..small() }, &feed);
    site.daemon.wait_for_log("worker.login_refused", Duration::from_secs(15));
    thread::sleep(Duration::from_secs(3));
    let log = site.daemon.log();
    let refused: Vec<&str> = log.lines().filter(|line| line.contains("worker.login_refused")).collect();
    assert_eq!(refused.len(), 1, "{log}");
    assert!(refused[0].contains("feed=inplay") && refused[0].contains("password_file"), "{}", refused[0]);
    assert!(!log.contains("wr0ng-word"));
    assert_eq!(site.simulator.report().refused, 1, "{log}");
    wait::until("the feed shown as down", BACK, || {
        (site.ask("status", json!({}))["feeds"][0]["state"] == "down").then_some(())
    });
}

#[test]
fn the_servers_queue_is_shown() {
    let site = Site::live(&small(), CAP);
    wait::until("a queue for each worker", Duration::from_secs(25), || {
        let workers = site.ask("workers", json!({}));
        let busy = workers.as_array()?.iter().filter(|worker| worker["matches"] != 0);
        busy.into_iter().all(|worker| worker["server_queue"].is_u64()).then_some(())
    });
}
