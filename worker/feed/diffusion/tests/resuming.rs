//! Going on with an earlier session.

use super::*;
use crate::feed::diffusion::resume::Resumable;

const GOES_ON: &[u8] = b"\x23\x04\x69\x04client-1\x00";

fn asked(topics: &[&str]) -> Vec<(MessageType, String)> {
    topics.iter().map(|topic| (MessageType::Subscribe, (*topic).to_owned())).collect()
}

fn left(topics: &[&str]) -> Vec<(MessageType, String)> {
    topics.iter().map(|topic| (MessageType::Unsubscribe, (*topic).to_owned())).collect()
}

/// A lost session with loads of `kept` and `left`, one of `bare` asked for without a load, and `gone` given up.
fn lost() -> Bench {
    let mut bench = Bench::open(quiet());
    for topic in ["kept", "left", "bare", "gone"] {
        bench.session.subscribe(topic.as_bytes()).unwrap();
    }
    bench.pass(Duration::ZERO);
    bench.receive(&[load("kept", "k", "1"), load("left", "l", "2")].concat());
    bench.session.unsubscribe(b"gone");
    bench.session.disconnected(LostReason::EndOfStream);
    bench.events();
    bench
}

/// On the next connection, with what is wanted now.
fn asks_again(config: SessionConfig) -> Bench {
    let mut bench = lost().again(config);
    bench.output();
    for topic in ["kept", "bare", "new"] {
        bench.session.keep_subscribed(topic.as_bytes()).unwrap();
    }
    assert!(bench.session.output().is_empty());
    bench
}

#[test]
fn a_session_is_resumed_only_under_its_own_id() {
    for (answer, reported) in [
        (GOES_ON, "opened client-1 Resumed"),
        (b"\x23\x04\x69\x04client-2\x00", "opened client-2 Fresh"),
        (b"\x23\x04\x64\x04client-1\x00", "opened client-1 Fresh"),
    ] {
        let mut bench = lost().again(quiet());
        bench.receive(answer);
        assert_eq!(bench.reported, [reported]);
    }
}

#[test]
fn what_the_session_has_is_not_asked_for_again_and_what_nobody_wants_is_given_up() {
    let mut bench = asks_again(quiet());
    assert_eq!((bench.session.subscriptions(), bench.session.subscriptions_waiting()), (3, 3));
    bench.receive(GOES_ON);
    let mut sent = bench.sent();
    sent.sort_by_key(|(kind, topic)| (kind.byte(), topic.clone()));
    // What was asked for without a load is asked for again: the server may never have read it.
    assert_eq!(sent, [asked(&["bare", "new"]), left(&["gone", "left"])].concat());
    assert!(bench.session.is_loaded(b"kept") && !bench.session.is_loaded(b"bare"));
    assert_eq!((bench.session.subscriptions(), bench.session.subscriptions_waiting()), (3, 0));
    bench.receive(&[delta("k", "3"), load("kept", "k", "4"), delta("l", "late")].concat());
    assert_eq!(bench.reported, ["opened client-1 Resumed", "delta kept 3", "load kept 4", "delta left late"]);
}

#[test]
fn where_loads_are_wanted_everything_is_asked_for_again() {
    let mut bench = asks_again(SessionConfig { after_resume: AfterResume::Resubscribe, ..quiet() });
    bench.receive(GOES_ON);
    let sent = bench.sent();
    for topic in ["kept", "bare", "new"] {
        assert!(sent.contains(&asked(&[topic])[0]), "{sent:?}");
        assert!(!bench.session.is_loaded(topic.as_bytes()));
    }
    bench.receive(&load("kept", "k", "4"));
    assert!(bench.session.is_loaded(b"kept"));
}

#[test]
fn a_fresh_session_is_asked_for_everything_in_order_and_forgets_the_aliases() {
    let mut bench = asks_again(quiet());
    bench.receive(ACCEPTED);
    assert_eq!(bench.sent(), asked(&["kept", "bare", "new"]));
    bench.receive(&delta("k", "3"));
    assert_eq!(bench.reported, ["opened client-1 Fresh"]);
    assert_eq!(bench.skipped, [Skip::UnknownAlias]);
}

#[test]
fn wishes_change_while_the_server_thinks() {
    let mut bench = asks_again(quiet());
    bench.session.unsubscribe(b"kept");
    bench.session.unsubscribe(b"new");
    bench.session.subscribe(b"left").unwrap();
    assert_eq!(bench.session.subscriptions(), 2);
    bench.receive(GOES_ON);
    let mut sent = bench.sent();
    sent.sort_by_key(|(kind, topic)| (kind.byte(), topic.clone()));
    assert_eq!(sent, [asked(&["bare", "left"]), left(&["gone", "kept"])].concat());
}

#[test]
fn what_will_be_given_up_does_not_count_against_the_cap() {
    let mut bench = lost().again(SessionConfig { max_subscriptions: 2, ..quiet() });
    bench.session.keep_subscribed(b"kept").unwrap();
    bench.session.keep_subscribed(b"new").unwrap();
    assert_eq!(bench.session.keep_subscribed(b"left"), Err(FollowError::Full { limit: 2 }));
    assert_eq!(bench.session.subscribe(b"bare"), Err(FollowError::Full { limit: 2 }));
    assert_eq!(bench.session.subscriptions(), 2);
}

#[test]
fn a_load_that_was_lost_on_the_way_shows_by_its_alias_and_everything_is_asked_for_again() {
    let mut bench = asks_again(quiet());
    bench.receive(GOES_ON);
    bench.output();
    bench.receive(&[delta("x", "3"), delta("y", "4")].concat());
    assert_eq!(bench.session.subscriptions_waiting(), 0, "all were asked for before");
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.sent(), asked(&["kept", "bare", "new"]), "once, in the order in which they were asked for");
    bench.receive(&delta("z", "5")).pass(Duration::from_secs(1));
    assert!(bench.sent().is_empty());
}

#[test]
fn a_removed_topic_is_not_kept() {
    let mut bench = lost();
    bench = bench.again(quiet());
    bench.session.keep_subscribed(b"kept").unwrap();
    bench.receive(GOES_ON);
    bench.receive(&bytes(|out| diffusion::topic_status(out, TopicRef::Alias(b"k"), b"R").unwrap()));
    assert!(!bench.session.is_loaded(b"kept"));
    let mut bench = bench.again(quiet());
    bench.output();
    bench.session.keep_subscribed(b"kept").unwrap();
    bench.receive(GOES_ON);
    assert!(bench.sent().contains(&asked(&["kept"])[0]));
}

#[test]
fn an_earlier_session_is_asked_for_once_and_not_for_ever() {
    let why = LostReason::EndOfStream;
    let mut resumable = Resumable::default();
    let bench = lost();
    let now = bench.now;
    resumable.keep(bench.session, &why, now);
    let earlier = resumable.take(now + KEEP - Duration::from_nanos(1)).unwrap();
    assert!(resumable.take(now).is_none());
    resumable.keep(Session::new(quiet(), Some(earlier), now), &why, now);
    assert!(resumable.take(now).is_none(), "lost before the answer");
    resumable.keep(lost().session, &why, now);
    assert!(resumable.take(now + KEEP).is_none(), "too late");
}

#[test]
fn after_the_servers_own_end_the_session_is_never_asked_for() {
    let refused = LostReason::SessionRefused { topic: 1, code: "2".to_owned() };
    for why in [LostReason::Aborted, LostReason::ClosedByServer, LostReason::Asked, refused] {
        let bench = lost();
        let mut resumable = Resumable::default();
        resumable.keep(bench.session, &why, bench.now);
        assert!(resumable.take(bench.now).is_none(), "{why}");
    }
}

#[test]
fn a_refused_session_tells_nothing_more_but_its_end() {
    let mut bench = Bench::open(quiet());
    let loads = [load("S_1", "s", "F|ER;RT=2;|"), load("other", "o", "x"), delta("o", "y")].concat();
    let spare = bench.session.spare();
    spare[..loads.len()].copy_from_slice(&loads);
    bench.session.filled(loads.len(), bench.now);
    let _ = bench.session.look_ahead();
    assert!(matches!(bench.session.next_event(bench.now), Some(Event::Snapshot { topic: b"S_1", .. })));
    bench.session.end(LostReason::SessionRefused { topic: 0, code: "2".to_owned() });
    bench.events();
    assert_eq!(bench.reported.len(), 1, "{:?}", bench.reported);
    assert!(bench.reported[0].starts_with("lost: the server refuses the session"), "{:?}", bench.reported);
}

#[test]
fn a_refusal_of_credentials_that_were_never_sent_is_skipped() {
    let mut bench = Bench::open(quiet());
    bench.receive(&bytes(|out| diffusion::credentials_rejected(out, b"guest", b"").unwrap()));
    assert_eq!(bench.skipped, [Skip::Unexpected(MessageType::CredentialsRejected)]);
    assert!(bench.reported.is_empty() && bench.output().is_empty());
}
