//! What the coordinator, the recorder and the server may rely on.

use super::{LOAD, PATIENCE, Stage, Wish};
use crate::coalesce::Coalescing;
use crate::net::Readiness;
use crate::scan::tests::Sent;
use crate::scan::worker::Ending;
use crate::scan::worker::FIRST_SOURCE;
use crate::wire::diffusion::{self, TopicRef};
use mio::Token;
use nix::sys::signal::{Signal, raise};
use std::net::Shutdown;
use std::time::{Duration, Instant};
use touchline_common::config::{Coalesce, Payload};
use touchline_common::ipc::messages::data::{
    BulkBody, BulkFrame, EndReason, FromRecorderData, MatchBody, MatchFrame,
};
use touchline_common::ipc::messages::worker::{
    ConnectionState, FromWorker, ListChange, MatchState, ReleaseReason, ToWorker,
};
use touchline_common::model::{Epoch, Register, Side};

/// Ends in the match stream: of which match, under which epoch, why.
fn ends(stage: &Stage) -> Vec<(String, u64, EndReason)> {
    let end = |sent: &Sent| match sent {
        Sent::Match(MatchFrame { handle, body: MatchBody::End { why, .. }, .. }) => {
            let (key, epoch) = stage.recorder.as_ref().unwrap().of(*handle).unwrap();
            Some((key.id.as_str().to_owned(), epoch.0, *why))
        }
        _ => None,
    };
    stage.sent.iter().filter_map(end).collect()
}

#[test]
fn an_assignment_over_the_cap_is_refused_whole_and_counted() {
    let mut stage = Stage::up(&Wish { cap: 3, ..Wish::default() });
    stage.assign("a", 1, &["A1", "A2"]);
    stage.assign("b", 2, &["B1", "B2"]);
    stage.assign("c", 3, &["C1"]);
    stage.until_asked("C1");
    let report = stage.report(3);
    assert_eq!((report.matches, report.subscriptions, report.errors), (2, 3, 1));
    assert_eq!(stage.server().asked, ["A1", "A2", "C1"], "not half of a match");
}

#[test]
fn a_release_of_an_older_epoch_is_ignored() {
    let mut stage = Stage::up(&Wish::default());
    stage.live("m", 5, "6V1");
    stage.tell(&ToWorker::Release { id: "m".into(), epoch: Epoch(4), why: ReleaseReason::Moved });
    let report = stage.report(2);
    assert_eq!((report.matches, report.live), (1, 1));
    assert!(stage.server().left.is_empty() && ends(&stage).is_empty());

    stage.tell(&ToWorker::Release { id: "m".into(), epoch: Epoch(5), why: ReleaseReason::Moved });
    assert_eq!(stage.report(3).matches, 0);
    stage.until("the end", |stage| (!ends(stage).is_empty()).then_some(()));
    assert_eq!(ends(&stage), [("m".to_owned(), 5, EndReason::Moved)]);
    stage.until("it is unsubscribed", |stage| (stage.server().left == ["6V1"]).then_some(()));
}

#[test]
fn a_match_that_the_server_removes_is_reported_and_lives_again_with_its_load() {
    let mut stage = Stage::up(&Wish::default());
    stage.live("m", 5, "6V1");
    stage.server().remove("6V1");
    stage.until_state("m", MatchState::Removed);
    let report = stage.report(1);
    assert_eq!((report.matches, report.live, report.loaded), (1, 0, 0));
    stage.server().load("6V1", LOAD);
    stage.until_state("m", MatchState::Live);
}

#[test]
fn what_nobody_asked_for_is_counted_as_an_error_and_as_nothing_else() {
    let mut stage = Stage::up(&Wish::default());
    stage.live("m", 5, "6V1");
    let before = stage.report(1).errors;
    for n in 0..10 {
        stage.server().load(&format!("stranger{n}"), LOAD);
        stage.server().remove(&format!("stranger{n}"));
    }
    stage.server().load("6V1", "nothing that is a load");
    let report = stage
        .until("the errors", |stage| Some(stage.report(1)).filter(|report| report.errors == before + 21));
    assert_eq!((report.acknowledged, report.loaded, report.live), (1, 1, 1));
}

#[test]
fn a_lost_connection_is_said_to_all_and_everything_is_asked_for_again() {
    let mut stage = Stage::up(&Wish::default());
    stage.tell(&ToWorker::FollowList);
    stage.until_asked("L");
    stage.live("m", 5, "6V1");
    stage.assign("n", 6, &["6V2"]);
    stage.until_asked("6V2");

    // Last bytes and the end together: one event tells of both, and the short read must not hide the end.
    let began = Instant::now();
    stage.server().delta("6V1/p1", "U|OD=3/1;|");
    stage.server().stream.shutdown(Shutdown::Both).unwrap();
    stage.server = None;
    stage.until("the end of the match", |stage| (!ends(stage).is_empty()).then_some(()));
    assert!(began.elapsed() < Duration::from_millis(800), "the end was seen by chance, not by its event");
    assert_eq!(ends(&stage), [("m".to_owned(), 5, EndReason::ConnectionLost)], "n had nothing to end");
    stage.until("the list is lost", |stage| {
        stage.heard.contains(&FromWorker::List(vec![ListChange::Lost])).then_some(())
    });
    stage.until_state("m", MatchState::Subscribing);
    let down = |message: &FromWorker| matches!(message, FromWorker::Connection { state: ConnectionState::Down, detail, .. } if !detail.is_empty());
    assert!(stage.heard.iter().any(down));

    // A new epoch meanwhile must not end the gap: nothing is followed.
    let before = stage.bases();
    stage.tell(&ToWorker::Renew { id: "m".into(), epoch: Epoch(9) });
    for topic in ["L", "6V1", "6V2"] {
        stage.until("all is asked for again", |stage| {
            stage.server.as_ref().is_some_and(|server| server.asks(topic)).then_some(())
        });
    }
    assert_eq!(stage.bases(), before);
    stage.server().load("6V1", LOAD);
    stage.until_state("m", MatchState::Live);
    stage.until("the base that ends the gap", |stage| (stage.bases() > before).then_some(()));
}

#[test]
fn a_list_that_another_has_now_is_let_go_and_may_come_back() {
    let mut stage = Stage::up(&Wish::default());
    stage.tell(&ToWorker::FollowList);
    stage.until_asked("L");
    stage.tell(&ToWorker::UnfollowList);
    stage.until("nothing held", |stage| {
        let report = stage.report(2);
        (report.commands_seen == 2 && report.subscriptions == 0).then_some(())
    });
    stage.server().load("L", LOAD);
    stage.live("m", 5, "6V1");
    assert!(!stage.heard.iter().any(|message| matches!(message, FromWorker::List(_))), "{:?}", stage.heard);
    stage.tell(&ToWorker::FollowList);
    stage.until("the list's subscription", |stage| {
        (stage.heard.iter().any(|message| matches!(message, FromWorker::Load(report) if report.commands_seen == 4 && report.subscriptions == 2))).then_some(())
    });
}

#[test]
fn a_stop_hands_over_everything_before_the_end() {
    let mut stage = Stage::up(&Wish::default());
    stage.live("m", 5, "6V1");
    stage.acknowledges = false;
    stage.server().delta("6V1/p1", "U|OD=3/1;|");
    stage.until("the observation", |stage| (stage.observations() > 0).then_some(()));
    stage.tell(&ToWorker::Stop { deadline_ms: 60_000 });
    stage.until("the last words", |stage| (!ends(stage).is_empty()).then_some(()));
    assert_eq!(ends(&stage), [("m".to_owned(), 5, EndReason::Leaving)]);
    assert_eq!(stage.publications("m"), 2, "the change is in the document, too");

    // What comes now is not read, and the loop waits all the same.
    stage.server().delta("6V1/p1", "U|OD=4/1;|");
    stage.scanner.source.note(Token(FIRST_SOURCE), Readiness::Bytes);
    for _ in 0..20 {
        stage.pump();
    }
    assert_eq!(stage.ended, None, "the recorder has committed nothing yet");
    assert!(stage.scanner.wait() > Duration::ZERO, "it spins");

    stage.acknowledges = true;
    let ended = stage.until("the end", |stage| stage.ended.clone());
    assert_eq!(ended, Ending::Asked);
    stage.scanner.leave(&ended).unwrap();
}

#[test]
fn a_stop_ends_at_its_deadline_when_the_recorder_commits_nothing() {
    let mut stage = Stage::up(&Wish::default());
    stage.live("m", 5, "6V1");
    stage.acknowledges = false;
    let began = Instant::now();
    stage.tell(&ToWorker::Stop { deadline_ms: 150 });
    stage.until("the end", |stage| stage.ended.clone());
    assert!(began.elapsed() >= Duration::from_millis(150) && began.elapsed() < PATIENCE);
}

#[test]
fn a_signal_to_this_worker_alone_is_said_before_it_leaves() {
    let mut stage = Stage::up(&Wish::default());
    stage.live("m", 5, "6V1");
    raise(Signal::SIGTERM).unwrap();
    let ended = stage.until("the end", |stage| stage.ended.clone());
    assert_eq!(ended, Ending::Asked);
    let why = stage.heard.iter().find_map(|message| match message {
        FromWorker::Leaving { why } => Some(why.clone()),
        _ => None,
    });
    assert_eq!(why, Some(format!("SIGTERM from process {}", std::process::id())));
    assert_eq!(ends(&stage), [("m".to_owned(), 5, EndReason::Leaving)]);
    stage.scanner.leave(&ended).unwrap();
}

#[test]
fn the_coordinators_end_is_this_workers_end() {
    let mut stage = Stage::up(&Wish::default());
    let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
    stage.coordinator = touchline_common::ipc::Channel::new(near.into(), 1 << 20, 1 << 20).unwrap();
    let ended = stage.until("the end", |stage| stage.ended.clone());
    assert_eq!(ended, Ending::Orphaned);
    assert_eq!(stage.scanner.leave(&ended).unwrap_err().code(), 3);
}

/// Whether a change is rendered in a turn that could not read all there is.
fn rendered_undrained(publish_deadline: Duration) -> bool {
    let mut stage = Stage::up(&Wish { publish_deadline, ..Wish::default() });
    stage.live("m", 5, "6V1");
    stage.server().delta("6V1/p1", "U|OD=3/1;|");
    // Without a whole turn in between, which would read it drained and render it.
    touchline_harness::wait::until("the change", PATIENCE, || {
        stage.scanner.source.note(Token(FIRST_SOURCE), Readiness::Bytes);
        stage.scanner.read();
        stage.scanner.parts.trees.oldest_dirty()
    });
    assert_eq!(stage.scanner.link.unsent(), 0);
    stage.scanner.render_overdue();
    stage.scanner.link.unsent() > 0
}

#[test]
fn what_is_dirty_waits_for_the_rest_of_the_queue_until_it_is_overdue() {
    assert!(!rendered_undrained(Duration::from_secs(60)));
    assert!(rendered_undrained(Duration::ZERO));
}

#[test]
fn a_turn_that_read_something_is_followed_by_a_pause_unless_something_is_left_to_do() {
    let mut stage = Stage::up(&Wish::default());
    stage.live("m", 5, "6V1");
    let now = Instant::now();
    let fixed = Coalesce::For("50ms".parse().unwrap());
    let mut pause = |has_read: bool, unread: bool, report: Duration| {
        let scanner = &mut stage.scanner;
        scanner.coalescing = Coalescing::new(fixed, now);
        scanner.meter.next_report = Instant::now() + report;
        scanner.turn.has_read = has_read;
        scanner.coordinator.unread = unread;
        scanner.pause(now)
    };
    let second = Duration::from_secs(1);
    assert_eq!(pause(true, false, second), Duration::from_millis(50));
    assert_eq!(
        pause(false, false, second),
        Duration::ZERO,
        "what comes after a quiet time is dealt with at once"
    );
    assert_eq!(pause(true, true, second), Duration::ZERO);
    assert!(
        pause(true, false, Duration::from_millis(20)) <= Duration::from_millis(20),
        "the report is due before"
    );
}

#[test]
fn the_servers_clock_says_how_long_silence_may_be_and_login_topics_are_no_errors() {
    let login_topics = &["__time", "S_1"];
    let mut stage = Stage::up(&Wish { time_topic: "__time", login_topics, ..Wish::default() });
    stage.server().load("S_1", "F|IN;IT=S_1;|");
    stage.server().load("__time", "F|IN;TI=20251116152627721;UF=40;|");
    let until = Instant::now() + Duration::from_secs(59);
    stage.until("the rhythm counts", |stage| stage.scanner.source.deadline().filter(|at| *at > until));
    stage.live("m", 1, "6V1");
    let report = stage.report(1);
    assert_eq!((report.live, report.errors), (1, 0));
}

#[test]
fn what_a_branch_brings_is_its_matchs_and_one_subscription() {
    let mut stage = Stage::up(&Wish { payload: Payload::TopicTree, ..Wish::default() });
    let branch = "sportsbook/football/7//";
    stage.assign("7", 1, &[branch]);
    stage.until_asked(branch);
    for (topic, body) in
        [("stats/period", "H1"), ("stats/home/goals", ""), ("stats/away/goals", "g\u{2}5\u{2}")]
    {
        stage.server().load(&format!("sportsbook/football/7/{topic}"), body);
    }
    stage.server().load("sportsbook/football/8/stats/period", "H1");
    stage.until_state("7", MatchState::Live);
    stage.until("its document", |stage| stage.publications("7").checked_sub(1));
    assert_eq!(stage.bases(), 1, "its loads are one");
    let report = stage.report(1);
    assert_eq!((report.subscriptions, report.asked), (1, 1));
    stage.until("the subscription is loaded", |stage| {
        let reported = stage.heard.iter().rev().find_map(|message| match message {
            FromWorker::Load(report) => Some((report.acknowledged, report.loaded, report.errors)),
            _ => None,
        });
        (reported == Some((1, 1, 1))).then_some(())
    });
    stage.server().delta("sportsbook/football/7/stats/home/goals", "g\u{2}61\u{2}A. Player");
    let goal = stage.until("the goal", |stage| {
        stage.matches().find_map(|(_, body)| match body {
            MatchBody::Obs { registers, .. } => Some(registers.clone()),
            _ => None,
        })
    });
    assert_eq!(goal.len(), 1);
    assert_eq!((goal[0].register, goal[0].value), (Register::Score(Side::Home), 1));
    for topic in ["stats/period", "stats/home/goals", "stats/away/goals"] {
        stage.server().remove(&format!("sportsbook/football/7/{topic}"));
    }
    stage.until_state("7", MatchState::Removed);
}

#[test]
fn a_match_that_is_assigned_anew_goes_on_under_another_handle_with_everything_named_again() {
    let mut stage = Stage::up(&Wish::default());
    stage.live("m", 5, "6V1");
    stage.until("its document", |stage| stage.publications("m").checked_sub(1));
    stage.sent.clear();
    stage.tell(&ToWorker::Renew { id: "m".into(), epoch: Epoch(9) });
    stage.until("the old handle's end", |stage| (!ends(stage).is_empty()).then_some(()));
    assert_eq!(ends(&stage), [("m".to_owned(), 5, EndReason::Moved)]);
    stage.until("its document", |stage| stage.publications("m").checked_sub(1));
    stage.server().delta("6V1/p1", "U|OD=3/1;|");
    stage.until("the observation", |stage| (stage.observations() > 0).then_some(()));
    let under = |handle| stage.recorder.as_ref().unwrap().of(handle).unwrap().1.0;
    let bulk = stage.sent.iter().filter_map(|sent| match sent {
        Sent::Bulk(BulkFrame { handle, body, .. }) => Some((
            under(*handle),
            match body {
                BulkBody::Base { .. } => "base",
                BulkBody::Obs { .. } => "obs",
                BulkBody::Chat { .. } => "chat",
                BulkBody::End { .. } => "end",
            },
        )),
        _ => None,
    });
    assert_eq!(bulk.collect::<Vec<_>>(), [(9, "base"), (5, "end"), (9, "obs")]);
    let names = stage.sent.iter().filter(|sent| matches!(sent, Sent::Name(_))).count();
    assert_eq!(names, 4, "the match, its market and both selections");
}

#[test]
fn a_mark_stands_behind_all_that_the_server_had_sent() {
    let mut stage = Stage::up(&Wish::default());
    stage.live("m", 5, "6V1");
    let mut length = 0;
    stage.server().send(|out| {
        for n in 1..=50 {
            let topic = TopicRef::Named { name: b"6V1/e", alias: None };
            diffusion::delta(out, topic, format!("U|SS={n}-0;|").as_bytes()).unwrap();
        }
        length = out.len() as u64;
    });
    // What a network still carries is in no queue of ours.
    let end = Instant::now() + PATIENCE;
    while stage.scanner.source.receive_queue() < length {
        assert!(Instant::now() < end, "not in time");
        std::thread::sleep(Duration::from_millis(1));
    }
    stage.recorder.as_mut().unwrap().send(&FromRecorderData::Mark { token: 7 });
    let marked = |stage: &mut Stage| {
        stage.matches().position(|(_, body)| matches!(body, MatchBody::Mark { token: 7 }))
    };
    let at = stage.until("the mark", marked);
    let before = stage.matches().take(at).filter(|(_, body)| matches!(body, MatchBody::Obs { .. })).count();
    assert_eq!(before, 50);
}

#[test]
fn a_connection_that_brings_nothing_is_quiet_after_the_time_of_a_stale_match() {
    let mut stage = Stage::up(&Wish::default());
    stage.live("m", 5, "6V1");
    let heard_at = stage.scanner.meter.heard_at;
    assert_eq!(stage.scanner.quiet_s(heard_at + Duration::from_secs(59)), 0);
    assert_eq!(stage.scanner.quiet_s(heard_at + Duration::from_secs(61)), 61);
    stage.tell(&ToWorker::Release { id: "m".into(), epoch: Epoch(5), why: ReleaseReason::Ended });
    stage.report(2);
    assert_eq!(stage.scanner.quiet_s(heard_at + Duration::from_secs(90)), 0, "nothing is followed");
}
