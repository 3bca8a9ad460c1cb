//! What is asked for, and how fast.

use super::*;

fn asked(topics: &[&str]) -> Vec<(MessageType, String)> {
    topics.iter().map(|topic| (MessageType::Subscribe, (*topic).to_owned())).collect()
}

#[test]
fn what_is_wanted_before_the_handshake_goes_out_with_it() {
    let mut bench = Bench::new(quiet());
    bench.output();
    bench.session.subscribe(b"a").unwrap();
    bench.session.subscribe(b"b").unwrap();
    bench.session.subscribe(b"a").unwrap();
    bench.session.unsubscribe(b"b");
    assert!(bench.session.output().is_empty());
    bench.receive(ACCEPTED);
    assert_eq!(bench.sent(), asked(&["a"]));
    assert_eq!((bench.session.subscriptions(), bench.session.subscriptions_waiting()), (1, 0));
}

#[test]
fn the_rate_is_kept_and_a_tenth_of_it_may_go_at_once() {
    let mut bench = Bench::open(SessionConfig { subscribes_per_s: 50.0, max_subscriptions: 1000, ..quiet() });
    for topic in topics(100) {
        bench.session.subscribe(topic.as_bytes()).unwrap();
    }
    let start = bench.now;
    let mut sent = 0;
    while bench.session.subscriptions_waiting() > 0 {
        bench.session.timer(bench.now);
        sent += bench.sent().len();
        let passed = bench.now.duration_since(start).as_secs_f64();
        assert!(sent as f64 <= 5.0 + 50.0 * passed + 1e-6, "{sent} after {passed} s");
        if bench.session.subscriptions_waiting() > 0 {
            bench.now = bench.session.deadline().unwrap();
        }
    }
    let passed = bench.now.duration_since(start).as_secs_f64();
    assert_eq!(sent, 100);
    assert!((1.85..2.05).contains(&passed), "{passed} s for 100 at 50 a second, 5 of them at once");
}

#[test]
fn quiet_times_save_nothing_up() {
    let mut bench = Bench::open(SessionConfig { subscribes_per_s: 50.0, max_subscriptions: 1000, ..quiet() });
    bench.pass(Duration::from_secs(20));
    for topic in topics(100) {
        bench.session.subscribe(topic.as_bytes()).unwrap();
    }
    bench.pass(Duration::ZERO);
    assert_eq!(bench.sent().len(), 5);
}

#[test]
fn every_due_time_sends_something() {
    for rate in [0.3, 1.0, 7.0, 333.0, 5000.0] {
        let idle_limit = Duration::from_secs(1000);
        let mut bench = Bench::open(SessionConfig { subscribes_per_s: rate, idle_limit, ..quiet() });
        for topic in topics(40) {
            bench.session.subscribe(topic.as_bytes()).unwrap();
        }
        bench.session.timer(bench.now);
        let mut turns = 0;
        while bench.session.subscriptions_waiting() > 0 {
            let before = bench.session.subscriptions_waiting();
            bench.now = bench.session.deadline().unwrap();
            bench.session.timer(bench.now);
            turns += 1;
            assert!(
                bench.session.subscriptions_waiting() < before,
                "a wake-up for nothing at {rate} a second"
            );
            assert!(turns <= 40);
        }
    }
}

#[test]
fn the_cap_counts_what_is_held_and_names_are_checked() {
    let mut bench = Bench::open(SessionConfig { max_subscriptions: 2, ..quiet() });
    bench.session.subscribe(b"a").unwrap();
    bench.session.subscribe(b"b").unwrap();
    bench.session.subscribe(b"b").unwrap();
    assert_eq!(bench.session.subscribe(b"c"), Err(FollowError::Full { limit: 2 }));
    bench.session.unsubscribe(b"a");
    bench.session.subscribe(b"c.*[d]/e,f?").unwrap();
    bench.session.unsubscribe(b"b");
    let long = [b'x'; TOPIC_MAX + 1];
    for bad in [&b""[..], b"a!b", b"a\x01b", b"a\nb", b"\x7f", &long] {
        assert_eq!(bench.session.subscribe(bad), Err(FollowError::Name { topic: bad.to_vec() }));
    }
    bench.pass(Duration::ZERO);
    assert_eq!(bench.sent(), asked(&["c.*[d]/e,f?"]));
}

#[test]
fn asking_again_sends_again_and_giving_up_sends_once() {
    let mut bench = Bench::open(quiet());
    bench.session.subscribe(b"a").unwrap();
    bench.pass(Duration::ZERO);
    bench.session.subscribe(b"a").unwrap();
    bench.pass(Duration::ZERO);
    assert_eq!(bench.sent(), asked(&["a", "a"]));
    bench.session.subscribe(b"a").unwrap();
    bench.session.unsubscribe(b"a");
    bench.session.unsubscribe(b"a");
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.sent(), [(MessageType::Unsubscribe, "a".to_owned())]);
    assert_eq!(bench.session.subscriptions(), 0);
}
