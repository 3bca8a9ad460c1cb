//! The schedule, request by request.

use super::plan::*;
use crate::feed::FollowError;
use crate::feed::poll::{Plan, Schedule, SourcePlan, Told, Wanted};
use crate::net::http::{Answer, HttpError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::config::{Play, Role};
use touchline_common::model::RoundEnd;

struct World {
    schedule: Schedule,
    now: Instant,
}

impl World {
    fn new(sources: Vec<SourcePlan>) -> World {
        World::of(plan(sources))
    }

    fn of(plan: Plan) -> World {
        World { schedule: Schedule::new(Arc::new(plan), 1), now: Instant::now() }
    }

    fn follow(&mut self, topic: &str) {
        self.schedule.follow(topic, self.now).unwrap();
    }

    fn wanted(&mut self) -> Option<Wanted> {
        self.schedule.next_request(self.now)
    }

    fn urls(&mut self) -> Vec<Wanted> {
        std::iter::from_fn(|| self.wanted()).collect()
    }

    /// The next request, whenever it is due.
    fn later(&mut self) -> Wanted {
        loop {
            if let Some(wanted) = self.wanted() {
                return wanted;
            }
            self.now = self.now.max(self.schedule.deadline().unwrap());
        }
    }

    fn answer(&mut self, wanted: &Wanted, answer: Answer) -> Vec<Told> {
        self.schedule.answered(wanted.number, answer, self.now);
        self.told()
    }

    fn body(&mut self, wanted: &Wanted, body: &str) -> Vec<Told> {
        self.answer(wanted, status(200, body, &[]))
    }

    /// What is new, the ends of rounds apart.
    fn told(&mut self) -> Vec<Told> {
        let all = std::iter::from_fn(|| self.schedule.next_told());
        all.filter(|told| !matches!(told, Told::Round { .. })).collect()
    }

    fn rounds(&mut self) -> Vec<RoundEnd> {
        let round = |told| if let Told::Round { round, .. } = told { Some(round) } else { None };
        std::iter::from_fn(|| self.schedule.next_told()).filter_map(round).collect()
    }
}

fn status(status: u16, body: &str, headers: &[(&str, &str)]) -> Answer {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Answer { status, body: body.into(), headers, first_byte: Duration::ZERO, took: Duration::ZERO }
}

fn snapshot(topic: &str, body: &str) -> Told {
    Told::Snapshot { topic: topic.to_owned(), body: body.into() }
}

fn delta(topic: &str, body: &str) -> Told {
    Told::Delta { topic: topic.to_owned(), body: body.into() }
}

fn unchanged(topic: &str) -> Told {
    Told::Unchanged { topic: topic.to_owned() }
}

#[test]
fn a_document_is_given_once_and_when_it_changes() {
    let mut world = World::new(vec![document("a", "http://h/a")]);
    world.follow("a");
    let first = world.wanted().unwrap();
    assert_eq!(first.url, "http://h/a");
    assert_eq!(world.wanted(), None, "one request at a time");
    let tagged = status(200, "{\"x\":1}", &[("etag", "\"t\"")]);
    assert_eq!(world.answer(&first, tagged), [snapshot("a", "{\"x\":1}")]);
    assert!(world.schedule.is_loaded("a"));
    let start = world.now;
    let second = world.later();
    assert_eq!(world.now - start, 5 * SECOND);
    assert_eq!(second.validators.tag.as_deref(), Some("\"t\""));
    assert_eq!(world.answer(&second, status(304, "", &[])), [unchanged("a")]);
    let third = world.later();
    assert_eq!(world.body(&third, "{\"x\":1}"), [unchanged("a")]);
    let fourth = world.later();
    assert_eq!(world.body(&fourth, "{\"x\":2}"), [delta("a", "{\"x\":2}")]);
    // Nobody waits for an answer any more that was given already.
    assert_eq!(world.body(&fourth, "{\"x\":3}"), []);
}

#[test]
fn what_could_not_be_used_is_followed_by_a_snapshot() {
    let mut world = World::new(vec![document("a", "http://h/a")]);
    world.follow("a");
    let first = world.wanted().unwrap();
    let tagged = status(200, "[[garbage", &[("etag", "\"t\"")]);
    assert_eq!(world.answer(&first, tagged), [snapshot("a", "[[garbage")]);
    world.schedule.unusable("a");
    assert!(!world.schedule.is_loaded("a"));
    let second = world.later();
    assert_eq!(second.validators.tag, None, "the whole of it is wanted");
    assert_eq!(world.body(&second, "1"), [snapshot("a", "1")]);
    let third = world.later();
    assert_eq!(world.body(&third, "2"), [delta("a", "2")]);
}

#[test]
fn an_interval_counts_from_the_start_of_a_request_and_never_overlaps() {
    let mut world = World::new(vec![document("a", "http://h/a")]);
    world.follow("a");
    let slow = world.wanted().unwrap();
    world.now += 17 * SECOND;
    assert_eq!(world.wanted(), None);
    world.body(&slow, "1");
    let quick = world.wanted().unwrap();
    world.now += 2 * SECOND;
    world.body(&quick, "1");
    let answered = world.now;
    world.later();
    assert_eq!(world.now - answered, 3 * SECOND);
}

#[test]
fn who_follows_again_gets_a_snapshot_although_nothing_changed() {
    let mut world = World::new(vec![document("a", "http://h/a")]);
    world.follow("a");
    let first = world.wanted().unwrap();
    world.answer(&first, status(200, "1", &[("etag", "t")]));
    world.follow("a");
    let again = world.wanted().unwrap();
    assert_eq!(again.validators.tag, None);
    assert_eq!(world.body(&again, "1"), [snapshot("a", "1")]);
    // While a conditional request is under way, its answer does not do.
    let asked = world.later();
    world.follow("a");
    assert_eq!(world.answer(&asked, status(304, "", &[])), []);
    let whole = world.wanted().unwrap();
    assert_eq!(world.body(&whole, "1"), [snapshot("a", "1")]);
}

#[test]
fn a_failing_source_is_said_once_waits_longer_and_is_said_to_answer_again() {
    let mut world = World::new(vec![document("a", "http://h/a")]);
    world.follow("a");
    let mut waits = Vec::new();
    for n in 0..6 {
        let wanted = world.later();
        let failed = world.now;
        world.schedule.failed(wanted.number, &HttpError::Connect, world.now);
        let told = world.told();
        assert_eq!(told.len(), usize::from(n == 0), "{told:?}");
        waits.push(world.schedule.deadline().unwrap() - failed);
    }
    assert!(waits[0] >= 2 * SECOND && waits.is_sorted(), "{waits:?}");
    let wanted = world.later();
    let told = world.body(&wanted, "1");
    assert!(
        matches!(&told[..], [Told::Snapshot { .. }, Told::Health(what)] if what.contains("again")),
        "{told:?}"
    );
}

#[test]
fn a_server_that_says_when_is_left_alone_by_all_of_that_source_and_by_no_other() {
    let sources = vec![per_match("a", 5 * SECOND), per_match("b", 5 * SECOND)];
    let mut world = World::new(sources);
    for topic in ["a/1", "a/2", "b/1"] {
        world.follow(topic);
    }
    let first = world.wanted().unwrap();
    world.answer(&first, status(429, "", &[("retry-after", "100")]));
    let until = world.now + 100 * SECOND;
    let mut other = 0;
    loop {
        let wanted = world.later();
        if wanted.url.ends_with("/a") {
            break;
        }
        other += 1;
        world.body(&wanted, "1");
    }
    assert!(world.now >= until && other >= 19, "{other}");
}

#[test]
fn what_is_gone_is_removed_and_given_anew_when_it_comes_back() {
    let mut world = World::new(vec![per_match("a", SECOND)]);
    world.follow("a/1");
    let wanted = world.wanted().unwrap();
    world.body(&wanted, "1");
    let wanted = world.later();
    let told = world.answer(&wanted, status(404, "", &[]));
    assert_eq!(told[0], Told::Removed { topic: "a/1".to_owned() });
    assert!(!world.schedule.is_loaded("a/1"));
    let wanted = world.later();
    assert_eq!(world.body(&wanted, "1")[0], snapshot("a/1", "1"));
}

#[test]
fn the_list_is_given_whole_and_a_changed_entry_has_its_match_asked_for_at_once() {
    let mut world = World::new(vec![list("l"), per_match("a", 60 * SECOND)]);
    for topic in ["list", "a/1", "a/2"] {
        world.follow(topic);
    }
    let first = world.wanted().unwrap();
    let told = world.body(&first, r#"{"m":[{"id":1,"s":0},{"id":"2"}]}"#);
    assert_eq!(told, [snapshot("list", r#"{"l":[{"id":1,"s":0},{"id":"2"}]}"#)]);
    // The first requests of the matches are spread.
    for _ in 0..2 {
        let wanted = world.later();
        world.body(&wanted, "1");
    }
    let again = world.later();
    assert_eq!(again.url, "http://h/list");
    assert_eq!(world.body(&again, r#"{"m":[{"id":1,"s":0},{"id":"2"}]}"#), [unchanged("list")]);
    let third = world.later();
    assert_eq!(world.body(&third, r#"{"m":[{"id":1,"s":1},{"id":"2"}]}"#).len(), 1);
    let urls: Vec<_> = world.urls().into_iter().map(|wanted| wanted.url).collect();
    assert_eq!(urls, ["http://h/1/a"]);
}

#[test]
fn a_broken_list_gives_nothing_and_a_list_of_two_sources_waits_for_both() {
    let mut world = World::new(vec![list("l"), list("k"), per_match("a", SECOND)]);
    world.follow("list");
    let both = world.urls();
    assert_eq!(both.len(), 2);
    assert!(matches!(&world.body(&both[0], r#"{"m":{}}"#)[..], [Told::Health(_)]));
    assert_eq!(world.body(&both[1], r#"{"m":[]}"#), [unchanged("list")]);
    let told = loop {
        let wanted = world.later();
        let told = world.body(&wanted, r#"{"m":[{"id":1}]}"#);
        if !matches!(told[0], Told::Unchanged { .. }) {
            break told;
        }
    };
    assert!(matches!(&told[0], Told::Snapshot { topic, .. } if topic == "list"));
}

#[test]
fn a_chain_is_asked_one_after_the_other_with_what_the_one_before_said() {
    let token =
        SourcePlan { needed: vec!["/v".to_owned()], ..source("t", Role::Step, "http://h/t", 60 * SECOND) };
    let needs = after_first(source("a", Role::PerMatch, "http://h/{ID}?k={t:/v}", 5 * SECOND));
    let mut world = World::new(vec![token, needs]);
    world.follow("a/1");
    world.follow("a/2");
    let first = world.urls();
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!(world.body(&first[0], r#"{"v":"x/y"}"#), [], "a step is no topic");
    world.now += 5 * SECOND;
    let urls: Vec<_> = world.urls().into_iter().map(|wanted| wanted.url).collect();
    assert_eq!(urls, ["http://h/1?k=x%2Fy", "http://h/2?k=x%2Fy"]);
    world.schedule.unfollow("a/1");
    world.schedule.unfollow("a/2");
    assert_eq!(world.schedule.take_given_up().len(), 2);
    assert_eq!(world.schedule.deadline(), None, "the step is not asked for nobody");
}

#[test]
fn sources_of_one_match_that_wait_for_each_other_are_never_asked_at_once() {
    let first = SourcePlan { needed: vec!["/v".to_owned()], ..per_match("p", 5 * SECOND) };
    let second = after_first(source("q", Role::PerMatch, "http://h/{ID}/q/{p:/v}", 5 * SECOND));
    let mut world = World::new(vec![first, second]);
    for topic in ["q/1", "p/1", "p/2"] {
        world.follow(topic);
    }
    world.now += 5 * SECOND;
    let asked = world.urls();
    let mut urls: Vec<_> = asked.iter().map(|wanted| wanted.url.as_str()).collect();
    urls.sort_unstable();
    assert_eq!(urls, ["http://h/1/p", "http://h/2/p"]);
    let p = asked.iter().find(|wanted| wanted.url == "http://h/1/p").unwrap();
    world.body(p, r#"{"v":7}"#);
    let q = world.wanted().unwrap();
    assert_eq!(q.url, "http://h/1/q/7");
    world.now += 20 * SECOND;
    assert!(world.urls().is_empty(), "p of match 1 waits for q, p of match 2 for its answer");
    world.body(&q, "1");
    assert_eq!(world.wanted().unwrap().url, "http://h/1/p");
}

#[test]
fn what_nobody_has_or_is_too_many_is_refused() {
    let mut world = World::of(Plan { topics_max: 1, ..plan(vec![per_match("a", SECOND)]) });
    for topic in ["b/1", "a", "a/", "list", ""] {
        let refused = world.schedule.follow(topic, world.now);
        assert!(matches!(refused, Err(FollowError::Name { .. })), "{topic}");
    }
    world.follow("a/1");
    assert_eq!(world.schedule.follow("a/2", world.now), Err(FollowError::Full { limit: 1 }));
    world.schedule.unfollow("a/1");
    world.follow("a/2");
}

#[test]
fn where_the_pool_has_a_quota_no_more_is_asked_than_permits_allow() {
    let sources = (0..5).map(|n| document(&format!("d{n}"), &format!("http://h/{n}"))).collect();
    let mut world = World::of(Plan { batch: 3, ..plan(sources) });
    for n in 0..5 {
        world.follow(&format!("d{n}"));
    }
    world.now += 5 * SECOND;
    assert!(!world.schedule.needs_permit(world.now));
    assert_eq!(world.urls().len(), 3);
    assert!(world.schedule.needs_permit(world.now) && !world.schedule.needs_permit(world.now));
    let again = world.schedule.deadline().unwrap();
    assert!(again >= world.now + 30 * SECOND, "it does not spin while it waits for the permit");
    world.now = again;
    assert_eq!(world.urls().len(), 0);
    assert!(world.schedule.needs_permit(world.now));
    world.schedule.permit();
    assert_eq!(world.urls().len(), 2, "those that were not asked yet; the others are under way");
    assert!(!world.schedule.needs_permit(world.now));
}

#[test]
fn a_match_in_play_is_asked_for_more_often_than_a_scheduled_one() {
    let source = SourcePlan { every_scheduled: 60 * SECOND, ..per_match("a", 5 * SECOND) };
    let mut world = World::new(vec![list("l"), source]);
    world.schedule.set_play("a/1", Play::InPlay, world.now);
    world.follow("a/1");
    world.follow("a/2");
    let mut asked = [0, 0];
    let until = world.now + 60 * SECOND;
    while world.now < until {
        let wanted = world.later();
        asked[usize::from(wanted.url == "http://h/2/a")] += 1;
        world.body(&wanted, "1");
    }
    assert!(asked[0] >= 12 && asked[1] == 1, "{asked:?}");
    // Once it begins, the wait of a scheduled one is over; once the other ends, it is asked less often.
    world.schedule.set_play("a/2", Play::InPlay, world.now);
    world.schedule.set_play("a/1", Play::Scheduled, world.now);
    let mut asked = [0, 0];
    let until = world.now + 50 * SECOND;
    while world.now < until {
        let wanted = world.later();
        asked[usize::from(wanted.url == "http://h/2/a")] += 1;
        world.body(&wanted, "1");
    }
    assert!(asked[0] <= 2 && asked[1] >= 10, "{asked:?}");
}

#[test]
fn where_not_all_can_be_asked_those_in_play_are_first() {
    let mut world = World::of(Plan { batch: 2, ..plan(vec![per_match("a", 5 * SECOND)]) });
    for n in 0..6 {
        let topic = format!("a/{n}");
        if n >= 4 {
            world.schedule.set_play(&topic, Play::InPlay, world.now);
        }
        world.follow(&topic);
    }
    world.now += 5 * SECOND;
    let mut first: Vec<_> = world.urls().into_iter().map(|wanted| wanted.url).collect();
    first.sort_unstable();
    assert_eq!(first, ["http://h/4/a", "http://h/5/a"]);
}

#[test]
fn what_is_up_slow_and_failing_is_counted_and_the_longest_failing_named() {
    let sources = ["a", "b", "c", "d"].map(|name| document(name, &format!("http://h/{name}")));
    let mut world = World::new(sources.to_vec());
    for topic in ["a", "b", "c", "d"] {
        world.follow(topic);
    }
    let counts = |world: &World| {
        let report = world.schedule.sources(world.now);
        (report.up, report.slow, report.failing, report.overdue)
    };
    world.now += 5 * SECOND;
    assert_eq!(counts(&world), (0, 0, 0, 0), "nothing is known yet");
    let all = world.urls();
    let of = |name: &str| all.iter().find(|wanted| wanted.url.ends_with(name)).unwrap();
    world.body(of("a"), "1");
    world.answer(of("b"), status(500, "", &[]));
    world.now += 6 * SECOND;
    world.body(of("c"), "1");
    assert_eq!(counts(&world), (1, 2, 1, 0), "c took 6 s of 5, and d is not answered yet");
    world.now += 60 * SECOND;
    let report = world.schedule.sources(world.now);
    let worst = report.worst.unwrap();
    assert_eq!((worst.name.as_str(), worst.why.as_str()), ("source b", "status 500"));
    assert_eq!((report.overdue, worst.failing_ms, worst.next_ms), (1, 66_000, 0));
}

#[test]
fn each_round_of_a_document_ends_with_what_came_of_it() {
    let mut world = World::new(vec![document("a", "http://h/a"), per_match("b", SECOND)]);
    world.follow("a");
    world.follow("b/1");
    let mut rounds = Vec::new();
    for (code, body) in [(200, "1"), (200, "1"), (200, "2"), (500, ""), (404, "")] {
        let wanted = loop {
            let wanted = world.later();
            if wanted.url == "http://h/a" {
                break wanted;
            }
            world.body(&wanted, "1");
        };
        world.now += Duration::from_millis(250);
        world.schedule.answered(wanted.number, status(code, body, &[]), world.now);
        rounds.extend(
            world.rounds().into_iter().map(|round| (round.ok, round.failed, round.changed, round.took_ms)),
        );
    }
    assert_eq!(rounds, [(1, 0, 1, 250), (1, 0, 0, 250), (1, 0, 1, 250), (0, 1, 0, 250), (0, 1, 0, 250)]);
}

#[test]
fn a_list_that_shrinks_is_given_whole_and_again_to_whoever_doubts_it() {
    let mut world = World::new(vec![list("l")]);
    world.follow("list");
    let long = r#"{"m":[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5},{"id":6},{"id":7}]}"#;
    let wanted = world.wanted().unwrap();
    world.body(&wanted, long);
    let wanted = world.later();
    let short = snapshot("list", r#"{"l":[{"id":1}]}"#);
    assert_eq!(
        world.body(&wanted, r#"{"m":[{"id":1}]}"#),
        std::slice::from_ref(&short),
        "a load, which the pool has confirmed"
    );
    // The pool asks for a second load: at once, and whole although nothing changed.
    world.follow("list");
    let wanted = world.wanted().unwrap();
    assert_eq!(world.body(&wanted, r#"{"m":[{"id":1}]}"#), [short]);
}

#[test]
fn first_requests_are_spread_evenly_over_the_interval() {
    let sources = (0..100).map(|n| document(&format!("d{n}"), &format!("http://h/{n}"))).collect();
    let mut world = World::new(sources);
    for n in 0..100 {
        world.follow(&format!("d{n}"));
    }
    let start = world.now;
    let mut in_each_second = [0; 5];
    for _ in 0..100 {
        let wanted = world.later();
        in_each_second[(world.now - start).as_secs() as usize] += 1;
        world.body(&wanted, "1");
    }
    assert!(in_each_second.iter().all(|count| (18..=22).contains(count)), "{in_each_second:?}");
}

#[test]
fn an_answer_that_comes_after_a_newer_request_is_nobodys() {
    let mut world = World::new(vec![document("a", "http://h/a")]);
    world.follow("a");
    let old = world.wanted().unwrap();
    world.schedule.unfollow("a");
    world.follow("a");
    world.now += 5 * SECOND;
    let new = world.wanted().unwrap();
    assert_eq!(world.body(&new, "2"), [snapshot("a", "2")]);
    assert_eq!(world.body(&old, "1"), []);
}

#[test]
fn what_a_socket_pushes_is_not_asked_for_until_it_is_down() {
    let mut world = World::new(vec![per_match("a", 5 * SECOND)]);
    world.follow("a/1");
    world.follow("a/2");
    world.now += 5 * SECOND;
    let asked = world.urls();
    assert_eq!(asked.len(), 2);
    world.schedule.push("a/1", b"{}".to_vec());
    world.schedule.push_delta("a/1", b"{\"x\":1}".to_vec());
    assert_eq!(world.told(), [snapshot("a/1", "{}"), delta("a/1", "{\"x\":1}")]);
    assert!(world.schedule.is_loaded("a/1"));
    assert_eq!(world.schedule.take_given_up().len(), 1, "its request is given up");
    let old = asked.iter().find(|wanted| wanted.url == "http://h/1/a").unwrap();
    assert_eq!(world.body(old, "{}"), [], "and its answer of no use");
    world.body(asked.iter().find(|wanted| wanted.url == "http://h/2/a").unwrap(), "1");
    world.schedule.changed("a/1", world.now);
    for _ in 0..5 {
        let wanted = world.later();
        assert_eq!(wanted.url, "http://h/2/a");
        world.body(&wanted, "1");
    }
    world.schedule.push_ended("closed", world.now);
    assert!(matches!(&world.told()[..], [Told::Health(why)] if why.contains("closed")));
    let wanted = loop {
        let wanted = world.later();
        if wanted.url == "http://h/1/a" {
            break wanted;
        }
        world.body(&wanted, "1");
    };
    assert_eq!(world.body(&wanted, "{}").len(), 1, "whatever was pushed before, an answer is given");
    // Who follows it again while it is pushed asks for it.
    world.schedule.push("a/2", b"{}".to_vec());
    world.follow("a/2");
    world.now += 5 * SECOND;
    world.told();
    let wanted = world.urls().into_iter().find(|wanted| wanted.url == "http://h/2/a").unwrap();
    assert_eq!(world.body(&wanted, "{}"), [snapshot("a/2", "{}")]);
    world.schedule.push_removed("a/2", world.now);
    assert_eq!(world.told(), [Told::Removed { topic: "a/2".to_owned() }]);
}
