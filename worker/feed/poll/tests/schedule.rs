//! The schedule, request by request.

use super::plan::*;
use crate::feed::FollowError;
use crate::feed::poll::{Plan, Schedule, SourcePlan, Told, Wanted};
use crate::net::http::{Answer, HttpError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::config::Role;

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
        std::iter::from_fn(|| self.schedule.next_told()).collect()
    }

    fn body(&mut self, wanted: &Wanted, body: &str) -> Vec<Told> {
        self.answer(wanted, status(200, body, &[]))
    }

    fn told(&mut self) -> Vec<Told> {
        std::iter::from_fn(|| self.schedule.next_told()).collect()
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
