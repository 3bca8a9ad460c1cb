//! A match that is subscribed again to see whether deltas of it are missing.

use super::*;
use touchline_common::ipc::messages::worker::Finding;

/// What the load says after `p1` went to 3/1 and the score to 1-0.
const CHANGED: &str = "F|EV;IT=e;ID=1;NA=A v B;CL=1;SS=1-0;|TG;IT=tg;|TE;IT=t1;NA=A;|TE;IT=t2;NA=B;\
                       |MA;IT=m1;ID=10;NA=M;|PA;IT=p1;ID=11;NA=A;OD=3/1;|PA;IT=p2;ID=12;NA=B;OD=2/1;|";

impl Stage {
    fn audit(&mut self, id: &str) {
        self.heard.clear();
        self.tell(&ToWorker::Audit { id: id.into() });
    }

    fn finding(&mut self) -> Finding {
        self.until("what was found", |stage| {
            stage.heard.iter().find_map(|message| match message {
                FromWorker::Audited { finding, .. } => Some(*finding),
                _ => None,
            })
        })
    }

    fn until_asked_again(&mut self, topic: &str, times: usize) {
        self.until("it is subscribed again", |stage| {
            let asked = stage.server().asked.iter().filter(|asked| *asked == topic).count();
            (asked == times).then_some(())
        });
    }

    /// Two deltas of the live match `m`, in its document.
    fn change(&mut self) {
        self.server().delta("6V1/p1", "U|OD=3/1;|");
        self.server().delta("6V1/e", "U|SS=1-0;|");
        self.until("both observations", |stage| (stage.observations() >= 2).then_some(()));
        self.until("its document", |stage| stage.publications("m").checked_sub(2));
    }
}

#[test]
fn a_load_that_says_what_is_held_is_sent_to_the_coordinator_and_to_no_one_else() {
    let mut stage = Stage::up(&Wish::default());
    stage.live("m", 5, "6V1");
    stage.change();
    let before = (stage.bases(), stage.observations(), stage.publications("m"));
    stage.audit("m");
    stage.until_asked_again("6V1", 2);
    // What comes before the load is in it.
    stage.server().delta("6V1/p2", "U|OD=5/2;|");
    stage.server().load("6V1", &CHANGED.replace("OD=2/1;", "OD=5/2;"));
    assert_eq!(stage.finding(), Finding::Whole { deltas: 3 });
    stage.server().delta("6V1/p2", "U|OD=5/1;|");
    stage.until("what comes after", |stage| stage.publications("m").checked_sub(before.2 + 2));
    assert_eq!((stage.bases(), stage.observations()), (before.0, before.1 + 2));
    assert!(stage.server().left.is_empty());
    let report = stage.report(1);
    assert_eq!((report.asked, report.loaded, report.live), (1, 1, 1));
}

#[test]
fn what_was_missing_is_true_from_then_on() {
    let mut stage = Stage::up(&Wish::default());
    stage.live("m", 5, "6V1");
    let bases = stage.bases();
    stage.audit("m");
    stage.until_asked_again("6V1", 2);
    stage.server().load("6V1", CHANGED);
    assert_eq!(stage.finding(), Finding::Missed { nodes: 2 });
    stage.until("its document", |stage| stage.publications("m").checked_sub(2));
    assert_eq!(stage.bases(), bases + 1);
    let registers = stage.matches().filter_map(|(_, body)| match body {
        MatchBody::Base(base) => Some(base.registers.clone()),
        _ => None,
    });
    assert_eq!(registers.last().unwrap().get(&Register::Score(Side::Home)), Some(&1));
}

#[test]
fn a_match_of_several_topics_is_compared_when_all_are_here() {
    let mut stage = Stage::up(&Wish::default());
    stage.assign("m", 5, &["6V1", "more"]);
    stage.until_asked("more");
    let more = "F|XX;IT=x;A=1;|";
    stage.server().load("6V1", LOAD);
    stage.server().load("more", more);
    stage.until("both loads", |stage| Some(stage.report(1)).filter(|report| report.loaded == 2));
    stage.audit("m");
    stage.until_asked_again("more", 2);
    stage.server().load("6V1", CHANGED);
    stage.until("the first load", |stage| stage.bases().checked_sub(3));
    assert!(!stage.heard.iter().any(|message| matches!(message, FromWorker::Audited { .. })));
    stage.server().load("more", more);
    assert_eq!(stage.finding(), Finding::Missed { nodes: 2 });
}

#[test]
fn without_a_load_before_or_now_there_is_an_answer_all_the_same() {
    let mut stage = Stage::up(&Wish::default());
    stage.assign("m", 5, &["6V1"]);
    stage.until_asked("6V1");
    stage.audit("m");
    assert_eq!(stage.finding(), Finding::Void, "it is not live");
    stage.server().load("6V1", LOAD);
    stage.until_state("m", MatchState::Live);
    stage.audit("m");
    stage.until_asked_again("6V1", 2);
    stage.server().remove("6V1");
    assert_eq!(stage.finding(), Finding::Void, "it is gone");
    stage.server().load("6V1", LOAD);
    stage.until_state("m", MatchState::Live);
    stage.audit("m");
    stage.until_asked_again("6V1", 3);
    stage.server = None;
    assert_eq!(stage.finding(), Finding::Void, "the connection is lost");
}

#[test]
fn what_was_lost_between_two_connections_is_no_sign() {
    let mut stage = Stage::up(&Wish::default());
    stage.live("m", 5, "6V1");
    stage.resume = Resume::Known;
    stage.server = None;
    stage.heard.clear();
    stage.until("a session that goes on", |stage| {
        stage.server.as_ref().filter(|server| server.open).map(|_| ())
    });
    stage.until_state("m", MatchState::Live);
    stage.audit("m");
    stage.until_asked_again("6V1", 1);
    stage.server().load("6V1", CHANGED);
    assert_eq!(stage.finding(), Finding::Void);
    stage.audit("m");
    stage.until_asked_again("6V1", 2);
    stage.server().load("6V1", LOAD);
    assert_eq!(stage.finding(), Finding::Missed { nodes: 2 }, "from there on it is");
}

#[test]
fn all_are_asked_for_anew_in_the_order_in_which_they_came() {
    let mut stage = Stage::up(&Wish::default());
    for (n, id) in ["a", "b", "c"].iter().enumerate() {
        stage.live(id, n as u64, &format!("6V{id}"));
    }
    stage.tell(&ToWorker::Release { id: "a".into(), epoch: Epoch(0), why: ReleaseReason::Moved });
    // It takes the place that is free now, and is the newest all the same.
    stage.live("d", 9, "6Vd");
    stage.server = None;
    stage.until("all are asked for", |stage| {
        let server = stage.server.as_ref().filter(|server| server.asked.len() == 3)?;
        (server.asked == ["6Vb", "6Vc", "6Vd"]).then_some(())
    });
}

#[test]
fn a_branch_is_compared_topic_by_topic_when_its_load_is_complete() {
    let mut stage = Stage::up(&Wish { payload: Payload::TopicTree, ..Wish::default() });
    let branch = "sportsbook/football/7//";
    stage.assign("7", 1, &[branch]);
    stage.until_asked(branch);
    let topics = [("period", "H1"), ("home/goals", ""), ("away/goals", "g\u{2}5\u{2}")];
    let load = |stage: &mut Stage, of: &[(&str, &str)]| {
        for (topic, body) in of {
            stage.server().load(&format!("sportsbook/football/7/stats/{topic}"), body);
        }
    };
    load(&mut stage, &topics);
    stage.until_state("7", MatchState::Live);
    stage.server().delta("sportsbook/football/7/stats/period", "HT");
    stage.until("the change", |stage| stage.observations().checked_sub(1));
    stage.audit("7");
    stage.until_asked_again(branch, 2);
    load(&mut stage, &[("period", "HT"), ("home/goals", ""), ("away/goals", "g\u{2}5\u{2}")]);
    assert_eq!(stage.finding(), Finding::Whole { deltas: 1 });
    stage.audit("7");
    stage.until_asked_again(branch, 3);
    load(&mut stage, &[("period", "H2"), ("home/goals", "g\u{2}50\u{2}"), ("away/goals", "g\u{2}5\u{2}")]);
    assert_eq!(stage.finding(), Finding::Missed { nodes: 2 });
}

#[test]
fn a_match_whose_deltas_become_rare_is_audited_once_for_each_fall() {
    let mut stage = Stage::up(&Wish::default());
    for (n, id) in ["a", "b"].iter().enumerate() {
        stage.live(id, n as u64, &format!("6V{id}"));
    }
    // Long ago both had many a second; the second still has.
    let now = Instant::now();
    let slots: Vec<_> =
        ["a", "b"].iter().map(|id| stage.scanner.matches.slot(&(*id).into()).unwrap()).collect();
    let look = |stage: &mut Stage, second: u64, more: [u64; 2]| {
        for (slot, more) in slots.iter().zip(more) {
            stage.scanner.matches.get_mut(*slot).unwrap().deltas += more;
        }
        stage.scanner.meter.rates_at = now;
        stage.scanner.look_at_rates(now + Duration::from_secs(1));
        stage.scanner.meter.next_report = now + Duration::from_secs(1_000 + second);
    };
    for second in 0..60 {
        look(&mut stage, second, [8, 8]);
    }
    for second in 60..90 {
        look(&mut stage, second, [0, 8]);
    }
    stage.until_asked_again("6Va", 2);
    assert_eq!(stage.server().asked.iter().filter(|asked| *asked == "6Vb").count(), 1);
    stage.heard.clear();
    stage.server().load("6Va", CHANGED);
    assert_eq!(stage.finding(), Finding::Missed { nodes: 2 });
    for second in 90..300 {
        look(&mut stage, second, [0, 8]);
    }
    for second in 300..500 {
        look(&mut stage, second, [8, 8]);
    }
    for second in 500..530 {
        look(&mut stage, second, [0, 8]);
    }
    stage.until_asked_again("6Va", 3);
    stage.heard.clear();
    let bases = stage.bases();
    stage.server().load("6Va", CHANGED);
    assert!(matches!(stage.finding(), Finding::Whole { .. }));
    assert_eq!(stage.bases(), bases, "nothing that differs, nothing to publish");
}

#[test]
fn a_resync_of_a_healthy_match_leaves_no_trace_and_of_another_one_repairs_it() {
    let mut stage = Stage::up(&Wish::default());
    stage.live("m", 5, "6V1");
    stage.change();
    let before = (stage.bases(), stage.observations(), stage.publications("m"));
    let resync = |stage: &mut Stage, times: usize, load: &str| {
        stage.heard.clear();
        stage.tell(&ToWorker::Resync { id: "m".into() });
        stage.until_asked_again("6V1", times);
        stage.server().load("6V1", load);
        stage.finding()
    };
    assert_eq!(resync(&mut stage, 2, CHANGED), Finding::Whole { deltas: 2 });
    assert_eq!((stage.bases(), stage.observations(), stage.publications("m")), before);
    let other = CHANGED.replace("SS=1-0;", "SS=2-0;");
    assert_eq!(resync(&mut stage, 3, &other), Finding::Missed { nodes: 1 });
    stage.until("its document", |stage| stage.publications("m").checked_sub(before.2 + 1));
    assert_eq!(stage.bases(), before.0 + 1);
}

#[test]
fn a_resync_of_what_holds_nothing_yet_takes_a_load() {
    let mut stage = Stage::up(&Wish::default());
    stage.assign("m", 5, &["6V1"]);
    stage.until_asked("6V1");
    stage.tell(&ToWorker::Resync { id: "m".into() });
    stage.until_asked_again("6V1", 2);
    stage.server().load("6V1", LOAD);
    stage.until_state("m", MatchState::Live);
}

#[test]
fn matches_are_compared_with_fresh_loads_once_a_period_and_not_all_at_once() {
    let reconcile_every = Duration::from_secs(1_000);
    let mut stage = Stage::up(&Wish { reconcile_every, ..Wish::default() });
    for (n, id) in ["a", "b"].iter().enumerate() {
        stage.live(id, n as u64, &format!("6V{id}"));
    }
    let asked = |stage: &mut Stage| stage.server().asked.len();
    let now = Instant::now();
    stage.scanner.reconcile(now + reconcile_every / 2);
    stage.pump();
    assert_eq!(asked(&mut stage), 2, "nothing is due");
    stage.scanner.reconcile(now + reconcile_every);
    stage.until_asked_again("6Va", 2);
    assert_eq!(asked(&mut stage), 3, "one of two in a second of a thousand");
    stage.heard.clear();
    stage.server().load("6Va", CHANGED);
    assert_eq!(stage.finding(), Finding::Missed { nodes: 2 });
    stage.scanner.reconcile(Instant::now() + reconcile_every);
    stage.until_asked_again("6Vb", 2);
}

#[test]
fn an_audit_asks_for_nothing_more() {
    let mut stage = Stage::up(&Wish::default());
    stage.live("m", 5, "6V1");
    let asked_at = stage.scanner.meter.asked_at;
    stage.audit("m");
    stage.until_asked_again("6V1", 2);
    assert_eq!(stage.scanner.meter.asked_at, asked_at);
}
