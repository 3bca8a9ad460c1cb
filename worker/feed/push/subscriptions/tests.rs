use super::*;

const BOUNDS: Bounds = Bounds { deltas: 10, bytes: 1_000 };

fn settings() -> Settings {
    Settings {
        limit: 5,
        topics_per_s: 20.0,
        messages_per_s: 10.0,
        batches: Batches { ask: 2, resume: 2, leave: 2 },
        leaves: Leaves::Yes,
        rule: None,
        bounds: BOUNDS,
    }
}

fn names(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

#[test]
fn messages_are_full_and_in_order_and_wait_for_their_tokens() {
    let now = Instant::now();
    let mut subscriptions = Subscriptions::new(settings(), HashMap::default(), now);
    for topic in ["a", "b", "c"] {
        subscriptions.follow(topic).unwrap();
    }
    assert_eq!(subscriptions.next_request(1, now), Some(Request::Ask(names(&["a", "b"]))));
    assert_eq!(subscriptions.next_request(2, now), None, "one message each 100 ms");
    assert_eq!((subscriptions.held(), subscriptions.waiting()), (3, 1));
    let until = subscriptions.deadline().unwrap();
    assert!(until > now && until < now + Duration::from_millis(101));
    assert_eq!(subscriptions.next_request(2, until), Some(Request::Ask(names(&["c"]))));
    assert_eq!(subscriptions.of_message(2), names(&["c"]));
}

#[test]
fn bounds_and_names_are_checked() {
    let now = Instant::now();
    let mut subscriptions = Subscriptions::new(settings(), HashMap::default(), now);
    for topic in ["a", "b", "c", "d", "e"] {
        subscriptions.follow(topic).unwrap();
    }
    assert_eq!(subscriptions.follow("f"), Err(FollowError::Full { limit: 5 }));
    assert_eq!(subscriptions.follow("a"), Ok(()));
    subscriptions.unfollow("a");
    for bad in ["", "a\nb", &"x".repeat(TOPIC_MAX + 1)] {
        assert!(matches!(subscriptions.follow(bad), Err(FollowError::Name { .. })), "{bad:?}");
    }
}

#[test]
fn what_is_given_up_goes_first_and_what_was_never_sent_needs_nothing() {
    let now = Instant::now();
    let mut subscriptions = Subscriptions::new(settings(), HashMap::default(), now);
    subscriptions.follow("a").unwrap();
    subscriptions.follow("b").unwrap();
    assert!(subscriptions.next_request(1, now).is_some());
    subscriptions.follow("c").unwrap();
    subscriptions.follow("d").unwrap();
    subscriptions.unfollow("c");
    subscriptions.unfollow("a");
    let later = now + Duration::from_secs(1);
    assert_eq!(subscriptions.next_request(2, later), Some(Request::Leave(names(&["a"]))));
    let later = later + Duration::from_secs(1);
    assert_eq!(subscriptions.next_request(3, later), Some(Request::Ask(names(&["d"]))));
}

#[test]
fn what_is_not_answered_is_asked_for_again_ever_more_seldom() {
    let mut now = Instant::now();
    let mut subscriptions = Subscriptions::new(settings(), HashMap::default(), now);
    subscriptions.follow("a").unwrap();
    let mut waits = Vec::new();
    for number in 0..6 {
        let asked = loop {
            match subscriptions.next_request(number * 10, now) {
                Some(Request::Ask(_)) => break now,
                Some(Request::Leave(_) | Request::Resume(_)) | None => {
                    now = subscriptions.deadline().unwrap().max(now);
                }
            }
        };
        now = subscriptions.deadline().unwrap();
        waits.push((now - asked).as_secs());
    }
    let within = |n: usize, most: u64| (most..=most + most / 2).contains(&waits[n]);
    assert!(within(0, 5) && within(1, 10) && within(2, 20) && within(3, 40) && within(4, 60), "{waits:?}");
    assert_eq!(subscriptions.unanswered(), 1);
}

#[test]
fn a_topic_waits_in_one_place_however_often_it_is_asked_for() {
    let now = Instant::now();
    let mut subscriptions = Subscriptions::new(settings(), HashMap::default(), now);
    subscriptions.follow("a").unwrap();
    assert!(subscriptions.next_request(1, now).is_some());
    subscriptions.loaded("a");
    subscriptions.follow("a").unwrap();
    subscriptions.follow("a").unwrap();
    subscriptions.renew("a", now);
    let mut requests = Vec::new();
    for second in 1..10 {
        requests.extend(subscriptions.next_request(2, now + Duration::from_secs(second)));
        subscriptions.loaded("a");
    }
    assert_eq!(requests, [Request::Leave(names(&["a"])), Request::Ask(names(&["a"]))]);
    for wait in [0, 500, 1_000, 2_000] {
        let now = now + Duration::from_secs(20);
        subscriptions.renew("a", now);
        let until = now + Duration::from_millis(wait);
        let early = until.checked_sub(Duration::from_millis(1)).filter(|early| *early >= now);
        assert_eq!(early.and_then(|early| subscriptions.next_request(3, early)), None, "{wait}");
        assert_eq!(subscriptions.next_request(3, until), Some(Request::Leave(names(&["a"]))), "{wait}");
        assert_eq!(
            subscriptions.next_request(3, until + Duration::from_millis(200)),
            Some(Request::Ask(names(&["a"])))
        );
        subscriptions.loaded("a");
    }
}
