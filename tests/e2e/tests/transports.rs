//! The whole program over every transport and both protocols: the same result as over plain TCP.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use serde_json::json;
use std::thread;
use std::time::Duration;
use touchline_e2e::{BACK, Site, wire};
use touchline_harness::{process, wait};
use touchline_simulator::server::Reset;
use touchline_simulator::{Options, OverCap, Protocol, Simulator, Transport};

const CAP: &str = "max_subscriptions = 5";
/// How long learning may take; a load that does not come shows after some seconds.
const LEARNED: Duration = Duration::from_secs(90);
const MATCHES: usize = 12;

fn over(transport: Transport, protocol: Protocol) -> Options {
    Options { matches: MATCHES, rate: 400.0, cap: Some(5), transport, protocol, ..Options::default() }
}

/// All live, all true, no connection above the cap, nothing that the server could not read.
fn assert_true_over(transport: Transport, protocol: Protocol) {
    let site = Site::live(&over(transport, protocol), CAP);
    site.wait_for_rows(100);
    site.assert_documents_are_true();
    let events = site.assert_events_are_true();
    let report = site.simulator.report();
    assert_eq!((events.with_gaps, report.over_cap, report.denied, report.bad), (0, 0, 0, 0), "{report:?}");
    assert!(report.most_subscriptions <= 5 && report.loads > MATCHES as u64, "{report:?}");
}

#[test]
fn over_tls() {
    assert_true_over(Transport::Dpts, Protocol::V4);
}

#[test]
fn over_a_websocket() {
    assert_true_over(Transport::Ws, Protocol::V4);
}

#[test]
fn over_a_websocket_in_tls() {
    assert_true_over(Transport::Wss, Protocol::V4);
}

#[test]
fn in_the_text_form() {
    assert_true_over(Transport::Ws, Protocol::Zap);
}

#[test]
fn in_the_text_form_in_tls() {
    assert_true_over(Transport::Wss, Protocol::Zap);
}

#[test]
fn a_reset_costs_a_gap_and_no_wrong_document() {
    for (transport, protocol) in [(Transport::Ws, Protocol::V4), (Transport::Wss, Protocol::Zap)] {
        let site = Site::live(&over(transport, protocol), CAP);
        site.wait_for_rows(100);
        site.simulator.reset_connections(Reset::One(1));
        site.wait_for_server("a connection broken", |report| report.resets == 1);
        site.wait_for_gaps_to_end(1, MATCHES);
        site.wait_for_rows(100);
        site.assert_documents_are_true();
        site.assert_events_are_true();
    }
}

#[test]
fn a_session_goes_on_over_a_websocket() {
    let keep_alive = Duration::from_secs(30);
    let options = Options { keep_alive, rate: 2_000.0, ..over(Transport::Wss, Protocol::V4) };
    let site = Site::live(&options, &format!("{CAP}\nresubscribe = true"));
    let workers = site.reset_all();
    site.wait_for_server("every session resumed", |report| report.resumed >= workers);
    site.wait_for_gaps_to_end(MATCHES, MATCHES);
    assert_eq!(site.simulator.report().refused, 0);
    site.assert_documents_are_true();
    site.assert_events_are_true();
}

#[test]
fn a_session_that_is_gone_is_replaced_over_a_websocket() {
    let site = Site::live(&over(Transport::Ws, Protocol::V4), CAP);
    let workers = site.reset_all();
    site.wait_for_gaps_to_end(MATCHES, MATCHES);
    site.wait_for_server("one refusal each, then a new session", |report| report.refused == workers);
    assert_eq!(site.simulator.report().resumed, 0);
    site.assert_documents_are_true();
    site.assert_events_are_true();
}

/// Where a server grants less than is configured, it is found out here, too: by a status, and by loads that do not come.
#[test]
fn a_smaller_cap_is_learned_over_websockets() {
    for (transport, protocol, over_cap) in [
        (Transport::Ws, Protocol::Zap, OverCap::Error),
        (Transport::Wss, Protocol::V4, OverCap::NoLoad),
        (Transport::Dpts, Protocol::V4, OverCap::Close),
    ] {
        let site = Site::start(&Options { over_cap, ..over(transport, protocol) }, "max_subscriptions = 9");
        wait::until("all matches live", LEARNED, || {
            (site.count("/matches/live") == MATCHES as u64).then_some(())
        });
        assert!(site.simulator.report().denied > 0);
        site.assert_documents_are_true();
        // A reset throws away loads that the server has sent, and its truth begins with those.
        if over_cap != OverCap::Close {
            site.assert_events_are_true();
        }
    }
}

#[test]
fn a_login_is_refused_in_the_text_form_and_not_retried_at_once() {
    let login = Some("reader:right".parse().unwrap());
    let site = Site::start(&Options { login, ..over(Transport::Ws, Protocol::Zap) }, CAP);
    site.daemon.wait_for_log("worker.login_refused", Duration::from_secs(15));
    site.wait_for_server("a refusal", |report| report.refused == 1);
    assert_eq!(site.count("/matches/live"), 0);
}

/// The server lets in, and then says on the topic of the session that its token is no longer good.
#[test]
fn a_stale_session_is_a_refused_login_and_not_retried_at_once() {
    let session = Some("fresh".to_owned());
    let site = Site::start(&Options { session, ..over(Transport::Ws, Protocol::Zap) }, CAP);
    site.daemon.wait_for_log("worker.login_refused", Duration::from_secs(15));
    wait::until("the feed shown as down", BACK, || {
        (site.ask("status", json!({}))["feeds"][0]["state"] == "down").then_some(())
    });
    thread::sleep(Duration::from_secs(3));
    let log = site.daemon.log();
    let refused: Vec<&str> = log.lines().filter(|line| line.contains("worker.login_refused")).collect();
    assert_eq!(refused.len(), 1, "{log}");
    for part in ["feed=inplay", "RT=2", "renew `login_topics`", "`login_topics[1]`"] {
        assert!(refused[0].contains(part), "{part}: {}", refused[0]);
    }
    assert!(!log.contains("S_1"), "the token is shown: {log}");
    let report = site.simulator.report();
    assert_eq!((report.stale, report.loads), (1, 1), "the clock's, and no second attempt: {log}");
    let probed = process::run(site.path(), &["probe", "inplay", "--config", "touchline.toml"]);
    let printed = String::from_utf8(probed.stdout).unwrap();
    assert_eq!(probed.status.code(), Some(1), "{printed}");
    let last = printed.lines().rev().find(|line| line.contains("session")).unwrap();
    assert!(last.contains("refuses the session") && printed.contains("`login_topics`"), "{printed}");
}

#[test]
fn a_good_session_is_accepted() {
    let session = Some("1".to_owned());
    let site = Site::live(&Options { session, ..over(Transport::Ws, Protocol::Zap) }, CAP);
    assert_eq!(site.simulator.report().stale, 0);
    site.assert_documents_are_true();
}

/// A server with a certificate of an unknown authority, beside one that is in order.
#[test]
fn a_wrong_certificate_is_named_with_its_feed_and_harms_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let [trusted, other] = ["trusted.pem", "other.pem"].map(|name| folder.path().join(name));
    let with = |ca_file| Options { ca_file: Some(ca_file), ..over(Transport::Wss, Protocol::V4) };
    // It is only there to have an authority of its own.
    drop(Simulator::start(&with(trusted.clone())).unwrap());
    let shown = Simulator::start(&with(other)).unwrap();
    let second = format!(
        "{CAP}\n[[feed]]\nname = \"bad\"\nkind = \"diffusion\"\nurl = \"wss://{}\"\n{}list_topic = \"L\"",
        shown.address(),
        wire(&with(trusted))
    );
    let site = Site::live(&over(Transport::Dpts, Protocol::V4), &second);
    // The coordinator logs the same of the worker, and either may be the first.
    site.daemon.wait_for_log("worker.connection_lost feed=bad", Duration::from_secs(15));
    let log = site.daemon.log();
    let printed = log.lines().find(|line| line.contains("worker.connection_lost feed=bad")).unwrap();
    let what = "not signed by an authority that this system trusts";
    assert!(printed.contains(what) && printed.contains("`ca_file`"), "{printed}");
    wait::until("the bad feed shown as not up", BACK, || {
        let status = site.ask("status", json!({}));
        let bad = status["feeds"].as_array()?.iter().find(|feed| feed["name"] == "bad")?;
        (bad["state"] != "up").then_some(())
    });
    assert_eq!((site.count("/matches/live"), site.count("/workers/restarts")), (MATCHES as u64, 0), "{log}");
    site.wait_for_rows(100);
    site.assert_documents_are_true();
    site.assert_events_are_true();
    let refused = shown.stop();
    assert_eq!((refused.loads, refused.most_subscriptions), (0, 0), "nothing was sent to it");
}
