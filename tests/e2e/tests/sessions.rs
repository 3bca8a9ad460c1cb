//! Sessions that outlive their connection, encoded and cut messages, logins: the whole program against a server that has them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};
use touchline_e2e::{BACK, Site};
use touchline_harness::wait;
use touchline_simulator::server::Reset;
use touchline_simulator::{BodyEncoding, OnResume, Options};

const CAP: &str = "max_subscriptions = 5";

fn small() -> Options {
    Options { matches: 12, rate: 400.0, cap: Some(5), ..Options::default() }
}

fn kept() -> Options {
    Options { keep_alive: Duration::from_secs(30), ..small() }
}

#[test]
fn encoded_and_fragmented_messages_make_the_same_documents() {
    for (encoding, fragment_above) in [
        (BodyEncoding::Zlib, None),
        (BodyEncoding::Base64, None),
        (BodyEncoding::None, Some(2_000)),
        (BodyEncoding::Zlib, Some(50)),
    ] {
        let site = Site::live(&Options { encoding, fragment_above, ..small() }, CAP);
        site.wait_for_rows(100);
        site.assert_documents_are_true();
        let report = site.assert_events_are_true();
        assert_eq!(report.with_gaps, 0, "{encoding:?} {fragment_above:?} {report:#?}");
    }
}

#[test]
fn a_resumed_session_requests_only_what_was_lost() {
    let site = Site::live(&kept(), &format!("{CAP}\n[log]\nlevel = \"debug\""));
    // Nothing is on its way when the connections break, so nothing is lost with them.
    site.simulator.pause();
    thread::sleep(Duration::from_millis(300));
    let loads = site.simulator.report().loads;
    let workers = site.reset_all();
    site.wait_for_server("every session resumed", |report| report.resumed == workers);
    site.simulator.resume();
    site.wait_for_gaps_to_end(12, 12);
    let report = site.simulator.report();
    assert_eq!((report.loads - loads, report.refused), (1, 0), "the list alone: {}", site.daemon.log());
    assert!(site.daemon.log().contains("the session resumes with"), "{}", site.daemon.log());
    site.wait_for_rows(100);
    site.assert_documents_are_true();
    site.assert_events_are_true();
}

#[test]
fn with_resubscribe_everything_is_requested_again_and_nothing_stays_lost() {
    let site = Site::live(&Options { rate: 4_000.0, ..kept() }, &format!("{CAP}\nresubscribe = true"));
    for round in 1..=2 {
        let loads = site.simulator.report().loads;
        let workers = site.worker_pids().len() as u64;
        site.simulator.reset_connections(Reset::All);
        site.wait_for_server("every session resumed", |report| report.resumed >= round * workers);
        site.wait_for_server("a load of everything", |report| report.loads >= loads + 13);
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
    let workers = site.reset_all();
    site.wait_for_server("every session resumed", |report| report.resumed == workers);
    site.wait_for_gaps_to_end(12, 12);
    site.assert_documents_are_true();
    site.assert_events_are_true();
}

#[test]
fn a_session_that_the_server_forgot_is_replaced_at_once() {
    let site = Site::live(&small(), CAP);
    let begun = Instant::now();
    let workers = site.reset_all();
    site.wait_for_gaps_to_end(12, 12);
    eprintln!("live again after {:?}", begun.elapsed());
    site.wait_for_server("one refusal each", |report| report.refused >= workers);
    let report = site.simulator.report();
    assert_eq!((report.refused, report.resumed), (workers, 0), "then a new session");
    site.assert_documents_are_true();
    site.assert_events_are_true();
}

#[test]
fn the_right_login_is_accepted_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "s3cret-word\n").unwrap();
    let login = Some("reader:s3cret-word".parse().unwrap());
    let feed = format!("{CAP}\nusername = \"reader\"\npassword_file = \"{}\"", password.display());
    let site = Site::live(&Options { login, ..small() }, &feed);
    site.ask("log", json!({ "action": "level", "filter": "trace" }));
    let workers = site.reset_all();
    site.wait_for_server("a new session each", |report| report.refused == workers);
    site.wait_live(12);
    assert!(!site.daemon.log().contains("s3cret-word"));
}

#[test]
fn a_wrong_login_is_reported_once_and_not_retried_at_once() {
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
