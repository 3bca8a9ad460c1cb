//! A configuration that follows less than the one before: what it leaves out ends, once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use touchline_e2e::{LIVE, Site, run};
use touchline_harness::wait;
use touchline_simulator::Options;

const CAP: &str = "max_subscriptions = 50\nend_linger = \"1s\"";

/// A daemon that has recorded all of its matches, and stopped.
fn stopped() -> Site {
    let options = Options { matches: 24, rate: 200.0, ..Options::default() };
    let mut site = Site::live(&options, CAP);
    site.wait_until_recorded(24, LIVE);
    site.stop(Duration::from_secs(25));
    site
}

/// Of which matches of a feed the events have this type; each once.
fn with(events: &[Value], feed: &str, kind: &str) -> BTreeSet<String> {
    let of = |event: &&Value| event["feed"] == feed && event["type"] == kind;
    let ids: Vec<String> =
        events.iter().filter(of).map(|event| event["match"].as_str().unwrap().to_owned()).collect();
    let each: BTreeSet<String> = ids.iter().cloned().collect();
    assert_eq!(ids.len(), each.len(), "{kind}: {ids:?}");
    each
}

fn retracted(events: &[Value]) -> usize {
    events.iter().filter(|event| event["type"] == "retract").count()
}

#[test]
fn what_a_filter_leaves_out_at_the_next_start_ends_once() {
    let mut site = stopped();
    let address = site.simulator.address();
    touchline_e2e::write_config(site.path(), address, &format!("{CAP}\nonly = {{ sports = [\"soccer\"] }}"));
    site.daemon = run(site.path());
    wait::until("the first matches", LIVE, || (site.count("/matches/live") > 0).then_some(()));
    let of_sport = |events: &[Value]| -> BTreeSet<String> {
        let listed = events.iter().filter(|event| event["type"] == "match_listed");
        let others = listed.filter(|event| event["sport"] != "soccer");
        others.map(|event| event["match"].as_str().unwrap().to_owned()).collect()
    };
    let events = wait::until("the ends of all others", LIVE, || {
        let events = site.events();
        (with(&events, "inplay", "match_ended") == of_sport(&events)).then_some(events)
    });
    let (others, listed) = (of_sport(&events), with(&events, "inplay", "match_listed"));
    assert!(!others.is_empty() && others.len() < listed.len(), "{others:?} of {listed:?}");
    site.wait_live((listed.len() - others.len()) as u64);
    for id in &others {
        // Documents are saved a while after events.
        let document = wait::until("its last document", LIVE, || {
            site.document(id).filter(|document| document["status"] == "finished")
        });
        assert_ne!(document["clock"]["running"], true);
    }
    site.stop(Duration::from_secs(25));
    site.daemon = run(site.path());
    site.wait_live((listed.len() - others.len()) as u64);
    assert_eq!(with(&site.events(), "inplay", "match_ended"), others, "none ends twice");
    assert_eq!(retracted(&site.events()), 0);
}

#[test]
fn what_a_feed_followed_that_is_configured_no_more_ends_once() {
    let mut site = stopped();
    let path = site.file("touchline.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("name = \"inplay\"", "name = \"other\"")).unwrap();
    for start in 1..=2 {
        site.daemon = run(site.path());
        site.wait_live(24);
        let events = wait::until("all ends", LIVE, || {
            let events = site.events();
            (with(&events, "inplay", "match_ended").len() == 24).then_some(events)
        });
        assert_eq!(with(&events, "inplay", "match_listed").len(), 24);
        assert_eq!(with(&events, "other", "match_ended").len(), 0);
        // The log goes on where it was.
        let log = site.daemon.log();
        assert_eq!(log.matches("feed.removed").count(), 1, "start {start}: {log}");
        site.stop(Duration::from_secs(25));
    }
}
