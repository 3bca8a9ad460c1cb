//! What gets no answer is asked for again.

use super::*;
use crate::feed::diffusion::subscriptions::{FIRST_WAIT, LAST_WAIT};

fn patient() -> SessionConfig {
    let idle_limit = Duration::from_secs(1_000_000);
    SessionConfig { idle_limit, max_subscriptions: 1_000, ..quiet() }
}

/// A session that asks for these, and has sent all that it may at once.
fn asking(config: SessionConfig, names: &[&str]) -> Bench {
    let mut bench = Bench::open(config);
    for name in names {
        bench.session.subscribe(name.as_bytes()).unwrap();
    }
    bench.pass(Duration::ZERO);
    bench
}

/// Goes on to the next time at which something is due, and does it; how long that was.
fn next(bench: &mut Bench) -> Duration {
    let due = bench.session.deadline().unwrap();
    let passed = due.saturating_duration_since(bench.now);
    bench.pass(passed);
    passed
}

fn names(sent: Vec<(MessageType, String)>) -> Vec<String> {
    assert!(sent.iter().all(|(kind, _)| *kind == MessageType::Subscribe), "{sent:?}");
    sent.into_iter().map(|(_, name)| name).collect()
}

#[test]
fn it_is_asked_for_again_with_a_wait_that_doubles_up_to_a_bound() {
    let mut bench = asking(patient(), &["a"]);
    assert_eq!(names(bench.sent()), ["a"]);
    assert_eq!(bench.session.subscriptions_unanswered(), 0, "it may still come");
    let mut wait = FIRST_WAIT;
    for _ in 0..12 {
        let passed = next(&mut bench);
        assert!(passed >= wait && passed <= wait + wait / 2, "{passed:?} instead of {wait:?} and a part");
        assert_eq!(names(bench.sent()), ["a"]);
        assert_eq!(bench.session.subscriptions_unanswered(), 1);
        assert_eq!((bench.session.subscriptions(), bench.session.subscriptions_waiting()), (1, 0));
        wait = (wait * 2).min(LAST_WAIT);
    }
    bench.receive(&load("a", "1", "x"));
    assert_eq!(bench.session.subscriptions_unanswered(), 0);
    bench.pass(LAST_WAIT * 10);
    assert!(bench.sent().is_empty(), "it was answered");
}

#[test]
fn they_do_not_all_come_at_once() {
    let all = topics(50);
    let mut bench = asking(patient(), &all.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(bench.sent().len(), 50);
    bench.pass(FIRST_WAIT + FIRST_WAIT / 4);
    let first = bench.sent().len();
    assert!((5..=45).contains(&first), "{first} of 50 in the first half of the random part");
    bench.pass(FIRST_WAIT / 4);
    assert_eq!(first + bench.sent().len(), 50);
}

#[test]
fn repeats_keep_to_the_rate_and_come_after_what_was_never_sent() {
    let mut bench = Bench::open(SessionConfig { subscribes_per_s: 10.0, ..patient() });
    for topic in topics(200) {
        bench.session.subscribe(topic.as_bytes()).unwrap();
    }
    let start = bench.now;
    let mut sent = Vec::new();
    while bench.now < start + Duration::from_secs(60) {
        bench.session.timer(bench.now);
        sent.extend(names(bench.sent()));
        let passed = bench.now.duration_since(start).as_secs_f64();
        assert!(sent.len() as f64 <= 1.0 + 10.0 * passed + 1e-6, "{} after {passed} s", sent.len());
        bench.now = bench.session.deadline().unwrap().max(bench.now);
    }
    assert_eq!(sent[..200], topics(200), "each once, before any is repeated");
    assert!(sent.len() > 300, "{} were sent", sent.len());
}

#[test]
fn what_is_given_up_or_answered_by_its_removal_is_not_asked_for_again() {
    let mut bench = asking(patient(), &["a", "b"]);
    bench.session.unsubscribe(b"a");
    bench.receive(&load("b", "1", "x"));
    bench.receive(&bytes(|out| diffusion::topic_status(out, TopicRef::Alias(b"1"), b"R").unwrap()));
    bench.output();
    bench.pass(LAST_WAIT * 10);
    assert!(bench.sent().is_empty() && bench.session.subscriptions_unanswered() == 0);
}

#[test]
fn a_refusal_is_no_answer() {
    let mut bench = asking(patient(), &["a"]);
    bench.output();
    let topic = TopicRef::Named { name: b"a", alias: None };
    bench.receive(&bytes(|out| diffusion::topic_status(out, topic, b"cap").unwrap()));
    next(&mut bench);
    assert_eq!(names(bench.sent()), ["a"]);
}

#[test]
fn a_topic_below_it_answers_a_branch() {
    for (branch, topic, is_answered) in [
        ("x/7//", "x/7", true),
        ("x/7//", "x/7/score/home", true),
        ("x/7/", "x/7/score", true),
        ("x/7/", "x/7", false),
        ("x/7//", "x/71", false),
    ] {
        let mut bench = asking(patient(), &[branch]);
        bench.output();
        bench.receive(&load(topic, "1", "v")).pass(LAST_WAIT);
        assert_eq!(bench.sent().is_empty(), is_answered, "{topic} of {branch}");
    }
}

#[test]
fn a_load_that_the_login_brings_answers_what_is_still_to_be_sent() {
    let mut bench = Bench::open(patient());
    bench.session.subscribe(b"__time").unwrap();
    bench.receive(&load("__time", "1", "v")).pass(Duration::ZERO);
    assert_eq!(names(bench.sent()), ["__time"]);
    bench.pass(LAST_WAIT);
    assert!(bench.sent().is_empty());
}

#[test]
fn asked_for_anew_it_goes_on_with_its_wait_and_is_sent_once() {
    let mut bench = asking(patient(), &["a"]);
    next(&mut bench);
    bench.output();
    bench.session.subscribe(b"a").unwrap();
    bench.pass(Duration::ZERO);
    assert_eq!(names(bench.sent()), ["a"]);
    bench.pass(FIRST_WAIT * 4 - Duration::from_millis(1));
    assert!(bench.sent().is_empty(), "it was asked for three times");
    next(&mut bench);
    assert_eq!(names(bench.sent()), ["a"]);
}

#[test]
fn a_server_that_comes_back_is_asked_as_if_for_the_first_time() {
    let mut bench = asking(patient(), &["a"]);
    for _ in 0..4 {
        next(&mut bench);
    }
    bench.session.disconnected(LostReason::EndOfStream);
    bench.events();
    let mut bench = bench.again(patient());
    bench.output();
    bench.session.keep_subscribed(b"a").unwrap();
    bench.receive(ACCEPTED);
    assert_eq!(names(bench.sent()), ["a"]);
    let passed = next(&mut bench);
    assert!(passed <= FIRST_WAIT + FIRST_WAIT / 2, "{passed:?}");
    assert_eq!(names(bench.sent()), ["a"]);
}
