//! Polled matches: what is published is true at each change and in the end, whatever breaks, and nothing is asked for twice at once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use nix::sys::signal::Signal;
use std::path::Path;
use std::time::Duration;
use touchline_e2e::poll::{PollSite, matches};
use touchline_harness::{process, wait};
use touchline_simulator::api::{Api, ApiOptions, Behaviour};

/// How long processes may take to come again, and lists to be confirmed.
const BACK: Duration = Duration::from_secs(30);

fn some(matches: usize, rate: f64) -> ApiOptions {
    ApiOptions { matches, rate, ..ApiOptions::default() }
}

#[test]
fn documents_events_and_goals_of_three_workers_are_true_and_nothing_is_asked_for_twice_at_once() {
    let more = "max_subscriptions = 8\nfull_every = \"1s\"";
    let site = PollSite::start(&some(20, 100.0), |api| matches(api, more));
    site.wait_live(20);
    assert!(site.worker_pids().len() >= 3, "20 matches and the list at 8 a worker");
    site.api.resume();
    site.wait_for_requests(500);
    site.assert_all_is_true();
    let published = site.auditor.oracle().report().clone();
    assert!(published.is_equal() && published.compared > 200, "{published:#?}");
    let path = format!("/matches/{}", site.api.listed().remove(0));
    wait::until("an answer that is not sent again", BACK, || (site.asked(&path).unchanged > 0).then_some(()));
    for (path, asked) in site.api.asked() {
        assert_eq!(asked.most, 1, "requests of {path} at once");
    }
}

#[test]
fn a_corrected_card_is_a_revision_and_a_vanished_one_a_retraction() {
    let site = PollSite::start(&some(4, 40.0), |api| matches(api, "full_every = \"1s\""));
    site.wait_live(4);
    site.api.resume();
    wait::until("revisions and retractions", Duration::from_secs(60), || {
        let events = site.events();
        let of = |kind: &str| events.iter().any(|event| event["type"] == kind && event["revision"] != 0);
        let is_retracted = events.iter().any(|event| event["type"] == "retract");
        ((of("card") || of("substitution")) && is_retracted).then_some(())
    });
    site.assert_all_is_true();
}

#[test]
fn killed_workers_and_recorders_lose_nothing_in_the_end() {
    let more = "max_subscriptions = 5\nfull_every = \"2s\"";
    let site = PollSite::start(&some(8, 40.0), |api| matches(api, more));
    site.wait_live(8);
    site.api.resume();
    for _ in 0..2 {
        site.wait_for_requests(100);
        let pid = site.worker_pids()[0];
        process::send(pid, Signal::SIGKILL);
        wait::until("another worker", BACK, || (!site.worker_pids().contains(&pid)).then_some(()));
        site.wait_live(8);
        let recorder = wait::until("a recorder", BACK, || site.ready_recorder());
        process::send(recorder, Signal::SIGKILL);
        wait::until("another recorder", BACK, || site.ready_recorder().filter(|pid| *pid != recorder));
        site.wait_live(8);
    }
    site.wait_for_requests(100);
    site.assert_all_is_true();
    let gaps = site.gaps();
    assert!(!gaps.is_empty() && gaps.iter().all(|gap| !gap["ended_at"].is_null()), "{gaps:#?}");
}

#[test]
fn a_list_that_empties_is_confirmed_before_its_matches_end_though_their_addresses_answer() {
    let more = "full_every = \"1s\"\nend_linger = \"1s\"";
    let site = PollSite::start(&some(12, 0.0), |api| matches(api, more));
    site.wait_live(12);
    let before = site.asked("/matches").requests;
    site.api.empty_list();
    site.daemon.wait_for_log("list.suspect", BACK);
    site.wait_for_status("the end of all", BACK, |status| status["matches"]["listed"] == 0);
    assert!(site.asked("/matches").requests >= before + 2, "it was asked for again");
    let ended = site.events().iter().filter(|event| event["type"] == "match_ended").count();
    assert_eq!(ended, 12);
    site.api.fill_list();
    site.wait_live(12);
}

#[test]
fn a_list_that_fails_ends_nothing() {
    let site = PollSite::start(&some(8, 0.0), |api| matches(api, "end_linger = \"1s\"\nfull_every = \"1s\""));
    site.wait_live(8);
    for behaviour in [Behaviour::Status(500), Behaviour::Html, Behaviour::Cut, Behaviour::Status(404)] {
        // Only the list's own pages. An answer in between ends the back-off.
        for behaviour in [behaviour, Behaviour::Prompt] {
            site.api.behave("/matches?", behaviour);
            let before = site.asked("/matches").requests;
            wait::until("a list", BACK, || (site.asked("/matches").requests > before).then_some(()));
        }
    }
    let id = site.api.listed().remove(0);
    let before = site.asked(&format!("/matches/{id}")).requests;
    wait::until("a match that is still asked for", BACK, || {
        (site.asked(&format!("/matches/{id}")).requests > before + 1).then_some(())
    });
    assert_eq!(site.count("/matches/listed"), 8);
}

#[test]
fn matches_that_end_and_appear_have_one_end_each() {
    let options = ApiOptions { churn: 60.0, ..some(10, 40.0) };
    let site = PollSite::start(&options, |api| matches(api, "full_every = \"1s\"\nend_linger = \"3s\""));
    site.wait_live(10);
    site.api.resume();
    wait::until("ends", Duration::from_secs(60), || (site.count("/matches/ended") >= 5).then_some(()));
    site.api.pause();
    site.wait_live(10);
    let count = |id: &str, kind: &str| {
        site.events().iter().filter(|event| event["match"] == id && event["type"] == kind).count()
    };
    for n in 0..3 {
        let id = (100_001 + n).to_string();
        wait::until("a match_ended", BACK, || (count(&id, "match_ended") > 0).then_some(()));
        assert_eq!(count(&id, "match_ended"), 1, "{id}");
        let document = site.document(&id).unwrap();
        assert_eq!(document["status"], "finished", "it was asked for once more: {document}");
    }
}

#[test]
fn a_probe_shows_each_request_and_names_the_pointers_that_lead_nowhere() {
    let api = Api::start(&some(3, 0.0)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let probe = |feed: &str| {
        std::fs::write(folder.path().join("touchline.toml"), feed).unwrap();
        let probed = process::run(folder.path(), &["probe", "scores", "--config", "touchline.toml"]);
        (probed.status.code(), String::from_utf8(probed.stdout).unwrap())
    };
    let feed = matches(&api, "");
    let (code, printed) = probe(&feed);
    assert_eq!(code, Some(0), "{printed}");
    for part in
        ["in-play: http://", "match: http://", "status 200", "the first after", "list = 3 items", "3 matches"]
    {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    let (code, printed) = probe(&feed.replace("/awayTeam/name", "/awayTeam/nam"));
    assert_eq!(code, Some(4), "{printed}");
    assert!(printed.contains("away = \"/awayTeam/nam\""), "{printed}");
    let (code, printed) = probe(&feed.replace("/matches/{ID}", "/match/{ID}"));
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("status 404") && printed.contains("check the url"), "{printed}");
}

/// A shipped example of configuration.
fn example(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/examples/poll");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn the_example_of_a_sports_api_runs() {
    let api = Api::start_paused(&some(6, 20.0)).unwrap();
    let feed = example("sports.toml");
    let url = "https://api.example.org/v2/football";
    assert!(feed.contains(url), "{feed}");
    let feed = feed.replace(url, &format!("http://{}", api.address));
    let site = PollSite::of(api, &feed, |command| {
        command.env("SCORES_API_KEY", "of the test");
    });
    site.wait_live(6);
    site.api.resume();
    site.wait_for_requests(30);
    site.assert_all_is_true();
}

#[test]
fn the_example_of_catalogues_runs() {
    let api = Api::start(&ApiOptions { documents: 3, ..some(0, 0.0) }).unwrap();
    let mut feed = example("catalogues.toml");
    for (n, url) in [
        "https://catalogue.example.org/engineering/courses.json",
        "https://catalogue.example.net/api/courses?faculty=medicine",
        "https://law.example.com/export/courses.json",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(feed.contains(url), "{feed}");
        feed = feed.replace(url, &format!("http://{}/catalogue/{n}", api.address));
    }
    let site = PollSite::of(api, &feed, |_| {});
    site.wait_live(3);
    for (name, place) in [("engineering", 0), ("medicine", 1), ("law", 2)] {
        let document = site.document(name).unwrap();
        let truth = site.api.fixed(place).unwrap();
        assert_eq!(document["extra"][name]["change"], truth["change"], "{document}");
    }
}
