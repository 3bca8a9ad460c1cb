//! A WebSocket beside polling, with real processes: while it tells a match that is not asked for, while it is down it is, and what is
//! published is true throughout.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::{Duration, Instant};
use touchline_e2e::poll::{PollSite, matches};
use touchline_harness::wait;
use touchline_simulator::api::{Api, ApiOptions};

const BACK: Duration = Duration::from_secs(60);
/// How long requests are counted: several times `full_every`, and as many changes of each match.
const COUNTED: Duration = Duration::from_secs(3);
const MATCHES: usize = 6;

fn with_socket(api: &Api) -> String {
    let more = "full_every = \"1s\"\nend_linger = \"2s\"";
    let socket = format!("[feed.socket]\nurl = \"ws://{}/socket\"\nsource = \"match\"\n", api.address);
    matches(api, more) + &socket
}

/// Requests for matches so far; the list is asked for all the time.
fn asked(site: &PollSite) -> u64 {
    let asked = site.api.asked();
    asked.iter().filter(|(path, _)| path.starts_with("/matches/")).map(|(_, asked)| asked.requests).sum()
}

fn wait_pushed(site: &PollSite) {
    wait::until("all matches over the socket", BACK, || (site.api.pushed() == MATCHES).then_some(()));
}

/// Requests for matches while they are counted.
fn counted(site: &PollSite) -> u64 {
    // What was under way when the socket came is over.
    let mut before = asked(site);
    wait::until("a moment without requests", BACK, || {
        let now = asked(site);
        std::thread::sleep(Duration::from_millis(300));
        before = asked(site);
        (before == now).then_some(())
    });
    let until = Instant::now() + COUNTED;
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    asked(site) - before
}

#[test]
fn while_the_socket_tells_matches_they_are_not_polled_and_while_it_is_down_they_are() {
    let options = ApiOptions { matches: MATCHES, rate: 60.0, ..ApiOptions::default() };
    let site = PollSite::start(&options, with_socket);
    site.wait_live(MATCHES);
    wait_pushed(&site);
    site.api.resume();
    let published = site.auditor.oracle().report().compared;
    assert_eq!(counted(&site), 0, "requests for matches that the socket tells");
    let published = site.auditor.oracle().report().compared - published;
    assert!(published > 20, "{published} documents over the socket");
    site.assert_all_is_true();
    site.api.resume();
    for _ in 0..2 {
        let before = asked(&site);
        site.api.close_sockets();
        wait::until("all polled", BACK, || (asked(&site) >= before + 3 * MATCHES as u64).then_some(()));
        site.api.open_sockets();
        wait_pushed(&site);
        assert_eq!(counted(&site), 0, "requests for matches once the socket is back");
    }
    site.assert_all_is_true();
}

#[test]
fn a_match_that_the_socket_calls_deleted_is_asked_for_and_ends() {
    let options = ApiOptions { matches: MATCHES, rate: 0.0, ..ApiOptions::default() };
    let site = PollSite::start(&options, with_socket);
    site.wait_live(MATCHES);
    wait_pushed(&site);
    let first = site.api.listed().remove(0);
    let path = format!("/matches/{first}");
    let before = site.asked(&path).requests;
    site.api.churn();
    wait::until("a request for it", BACK, || (site.asked(&path).requests > before).then_some(()));
    wait::until("its end", BACK, || {
        site.events()
            .iter()
            .any(|event| event["match"] == first && event["type"] == "match_ended")
            .then_some(())
    });
    assert_eq!(site.document(&first).unwrap()["status"], "finished");
    wait_pushed(&site);
}
