//! Many sources: what fails or is slow costs that source alone, is not hammered, and keeps no processor busy.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use touchline_e2e::poll::{PollSite, catalogues};
use touchline_harness::{process, wait};
use touchline_simulator::api::{Api, ApiOptions, Behaviour};

const BACK: Duration = Duration::from_secs(30);
/// How long requests are counted.
const COUNTED: Duration = Duration::from_secs(6);
/// How often each source is asked.
const EVERY: Duration = Duration::from_millis(500);

fn documents(documents: usize) -> ApiOptions {
    ApiOptions { matches: 0, documents, rate: 0.0, ..ApiOptions::default() }
}

fn path(n: usize) -> String {
    format!("/catalogue/{n}")
}

/// Requests of each of these sources while they are counted.
fn requests(api: &Api, sources: &[usize]) -> Vec<u64> {
    let count = || {
        let asked = api.asked();
        sources.iter().map(|n| asked.get(&path(*n)).map_or(0, |asked| asked.requests)).collect::<Vec<u64>>()
    };
    let (before, until) = (count(), Instant::now() + COUNTED);
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    count().iter().zip(before).map(|(now, before)| now - before).collect()
}

/// Each was asked nearly as often as it should be.
fn assert_fresh(sources: &[usize], requests: &[u64]) {
    let due = (COUNTED.as_secs_f64() / EVERY.as_secs_f64()) as u64;
    for (source, requests) in sources.iter().zip(requests) {
        assert!(*requests >= due * 3 / 4 && *requests <= due + 2, "source {source}: {requests} of {due}");
    }
}

#[test]
fn each_way_to_fail_costs_that_source_alone_and_none_is_hammered() {
    let second = Duration::from_secs(1);
    let bad = [
        Behaviour::Dead,
        Behaviour::Slow(Duration::from_secs(3_600)),
        Behaviour::Trickle(1, second),
        Behaviour::Status(500),
        Behaviour::TooMany(second * 60),
        Behaviour::Html,
        Behaviour::Cut,
        Behaviour::Circle,
        Behaviour::ToFile,
        Behaviour::Status(403),
        Behaviour::Large(20_000_000),
        Behaviour::Garbage,
        Behaviour::Deep(1_000_000),
    ];
    let api = Api::start(&documents(20)).unwrap();
    let broken: Vec<usize> = (0..bad.len()).collect();
    let good: Vec<usize> = (bad.len()..20).collect();
    for (n, behaviour) in bad.into_iter().enumerate() {
        // A path that others begin with is theirs, too: each good one is set by itself.
        api.behave(&path(n), behaviour);
    }
    good.iter().for_each(|n| api.behave(&path(*n), Behaviour::Prompt));
    let feed = catalogues(&api, 20, "500ms", "per_host = 12").replace(
        "title = \"/title\"\n\n[[feed.source]]",
        "title = \"/title\"\nidle = \"2s\"\n\n[[feed.source]]",
    );
    let site = PollSite::of(api, &feed, |_| {});
    site.wait_for_status("the good ones", BACK, |status| status["matches"]["live"] == good.len());
    assert_fresh(&good, &requests(&site.api, &good));
    let began = Instant::now();
    let of_broken = requests(&site.api, &broken);
    assert!(began.elapsed() < COUNTED * 2, "counting is in time");
    for (n, requests) in of_broken.iter().enumerate() {
        let most = match n {
            // A circle is followed a bounded number of times.
            7 => 40,
            // What is no JSON is an answer all the same.
            11 | 12 => 14,
            // Doubled waits from a half second on.
            _ => 8,
        };
        assert!(*requests <= most, "source {n}: {requests} requests");
    }
    assert!(site.asked(&path(4)).requests <= 1, "429 with a time is heeded: {:?}", site.asked(&path(4)));
    assert!(site.asked(&path(9)).requests <= 1, "a refused key is not tried again soon");
    let live: BTreeSet<usize> =
        (0..20).filter(|n| site.state(&format!("course-{n}")).as_deref() == Some("live")).collect();
    assert_eq!(live, good.iter().copied().collect());
    for n in good {
        assert_eq!(site.asked(&path(n)).most, 1, "requests of source {n} at once");
    }
}

#[test]
fn a_source_that_fails_for_a_while_is_stale_and_comes_back() {
    let api = Api::start(&documents(3)).unwrap();
    let feed = catalogues(&api, 3, "500ms", "stale_after = \"1s\"");
    let site = PollSite::of(api, &feed, |_| {});
    site.wait_live(3);
    site.api.behave(&path(1), Behaviour::Status(503));
    wait::until("a stale source", BACK, || {
        (site.state("course-1").as_deref() == Some("stale")).then_some(())
    });
    assert_eq!(site.state("course-0").as_deref(), Some("live"));
    site.api.behave(&path(1), Behaviour::Prompt);
    site.wait_live(3);
}

#[test]
fn a_source_whose_first_answers_are_of_no_use_is_live_with_the_first_that_is() {
    let api = Api::start(&documents(2)).unwrap();
    api.behave(&path(1), Behaviour::Garbage);
    let feed = catalogues(&api, 2, "500ms", "");
    let site = PollSite::of(api, &feed, |_| {});
    site.wait_live(1);
    wait::until("a second answer", BACK, || (site.asked(&path(1)).requests >= 2).then_some(()));
    site.api.behave(&path(1), Behaviour::Prompt);
    site.wait_live(2);
}

#[test]
fn a_slow_host_cannot_take_the_places_of_others() {
    let slow = Api::start(&documents(10)).unwrap();
    slow.behave("/", Behaviour::Slow(Duration::from_secs(3_600)));
    let api = Api::start(&documents(10)).unwrap();
    // The port is a part of a host's name.
    let others = catalogues(&slow, 10, "500ms", "").replace("course-", "slow-");
    let (_, others) = others.split_once("[[feed.source]]").unwrap();
    let feed = catalogues(&api, 10, "500ms", "window = 6\nper_host = 4");
    let site = PollSite::of(api, &format!("{feed}[[feed.source]]{others}"), |_| {});
    site.wait_live(10);
    let good: Vec<usize> = (0..10).collect();
    assert_fresh(&good, &requests(&site.api, &good));
    assert_eq!(slow.requests(), 4, "its places, each held by one request");
}

#[test]
fn more_dead_sources_than_the_window_has_places_hold_up_nobody() {
    let api = Api::start(&documents(15)).unwrap();
    let (dead, good): (Vec<usize>, Vec<usize>) = (0..15).partition(|n| *n < 5);
    dead.iter().for_each(|n| api.behave(&path(*n), Behaviour::Dead));
    // A path that others begin with is theirs, too.
    good.iter().for_each(|n| api.behave(&path(*n), Behaviour::Prompt));
    let feed = catalogues(&api, 15, "500ms", "window = 2\nper_host = 20");
    let site = PollSite::of(api, &feed, |_| {});
    site.wait_live(good.len());
    assert_fresh(&good, &requests(&site.api, &good));
    for n in dead {
        // They are given up after 30 s without a byte.
        assert!(site.asked(&path(n)).requests <= 2, "the dead are under way all the time");
    }
}

#[test]
fn while_all_that_was_asked_is_slow_the_loop_sleeps() {
    let api = Api::start(&documents(20)).unwrap();
    api.behave("/", Behaviour::Slow(Duration::from_secs(3_600)));
    let feed = catalogues(&api, 20, "500ms", "per_host = 20");
    let site = PollSite::of(api, &feed, |_| {});
    wait::until("all requests", BACK, || (site.api.requests() == 20).then_some(()));
    let pid = site.worker_pids()[0];
    let (turns, time) = (switches(pid), ticks(pid));
    let until = Instant::now() + COUNTED;
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let (turns, time) = (switches(pid) - turns, ticks(pid) - time);
    // Heartbeats and reports; a loop that spins has many thousands.
    assert!(turns < 150, "{turns} turns in {COUNTED:?}");
    assert!(time < 30, "{time} hundredths of a second of processor time in {COUNTED:?}");
    assert_eq!(site.api.requests(), 20);
}

/// How often a process waited.
fn switches(pid: u32) -> u64 {
    let of = |name: &str| process::status_field(pid, name).unwrap().parse::<u64>().unwrap();
    of("voluntary_ctxt_switches:") + of("nonvoluntary_ctxt_switches:")
}

/// Its processor time, in hundredths of a second.
fn ticks(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = text.rsplit_once(')').unwrap();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    [11, 12].iter().map(|at| fields[*at].parse::<u64>().unwrap()).sum()
}

#[test]
fn a_url_is_filled_from_the_answer_of_another_source_and_follows_it() {
    let api = Api::start_paused(&ApiOptions { rate: 40.0, ..documents(41) }).unwrap();
    let feed = catalogues(&api, 1, "500ms", "")
        + &format!(
            "[[feed.source]]\nname = \"second\"\nurl = \"http://{}/catalogue/{{course-0:/places}}\"\n\
             after = \"course-0\"\ntitle = \"/title\"\n",
            api.address
        );
    let site = PollSite::of(api, &feed, |_| {});
    let is_named = || {
        let places = site.api.fixed(0)?["places"].as_u64()?;
        (site.document("second")?["name"] == format!("Course {places}")).then_some(())
    };
    wait::until("the second answer", BACK, is_named);
    let before = site.api.fixed(0).unwrap();
    site.api.resume();
    wait::until("another first answer", BACK, || (site.api.fixed(0).unwrap() != before).then_some(()));
    site.api.pause();
    wait::until("the second answer that belongs to it", BACK, is_named);
}
