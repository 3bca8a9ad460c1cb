//! From the start of a pool to its end: readiness, workers that are emptied or retired, the order of the end.

use super::*;

#[test]
fn readiness_follows_the_contract() {
    let mut bed = Bed::new(config(8));
    let wait = |request| Input::Command {
        request: RequestId(request),
        command: Command::WaitReady,
        timeout: Duration::from_secs(60),
    };
    bed.give(wait(1));
    bed.pass(Duration::from_secs(29), &[]);
    assert_eq!(bed.pool.state(), DaemonState::Starting);
    bed.pass(Duration::from_secs(2), &[]);
    assert_eq!(bed.pool.state(), DaemonState::Degraded);
    let partial = bed.log.iter().find_map(|action| match action {
        Action::Answer { request: RequestId(1), answer } => Some(answer.clone()),
        _ => None,
    });
    assert!(
        matches!(&partial, Some(Answer::Partial { missing }) if missing.contains("inplay")),
        "{partial:?}"
    );
    bed.load_list(&[]);
    bed.give(wait(2));
    assert!(bed.log.iter().any(|action| matches!(
        action,
        Action::Answer { request: RequestId(2), answer: Answer::Done { .. } }
    )));
    assert_eq!(bed.pool.state(), DaemonState::Ready);
}

#[test]
fn a_cold_start_goes_on_where_the_last_run_ended() {
    let mut first = Bed::new(config(8));
    first.load_list(&["a", "b", "c", "d", "e", "f"]);
    let saved = first.pool.saved_state();
    assert_eq!(SavedStateV3::from_json(&saved.to_json().unwrap()).unwrap(), saved);
    let mut second = Bed::after(config(8), Some(&saved));
    assert_eq!(second.logged("worker.spawned"), 2, "as many as were needed");
    second.load_list(&["a", "b", "c", "d", "e", "g"]);
    for id in ["a", "b", "c", "d", "e"] {
        assert_eq!(second.owner(id).0, first.owner(id).0, "{id}");
        assert!(second.owner(id).1 > saved.highest_epoch);
    }
    assert_eq!(second.pool.workers()[0].generation, 2, "a generation is never used twice");
    let is_ended = |action: &Action| match action {
        Action::ToRecorder { message: ToRecorder::Ended { key: of, .. }, .. } => *of == key("f"),
        _ => false,
    };
    assert!(!second.log.iter().any(is_ended));
    second.pass(ms(10_500), &[]);
    second.load_list(&["a", "b", "c", "d", "e", "g"]);
    second.pass(ms(500), &[]);
    assert!(second.log.iter().any(is_ended));
}

#[test]
fn drained_workers_hand_over_before_they_leave() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a"]);
    bed.live("a");
    let (request, timeout) = (RequestId(5), ms(5_000));
    bed.give(Input::Command { request, command: Command::Drain { slot: SlotId(1) }, timeout });
    bed.pass(ms(500), &[]);
    assert_eq!(bed.owner("a").0, 1);
    bed.live("a");
    let (_, epoch, _) = bed.switches().pop().unwrap();
    let generation = bed.pool.children.recorder.life.generation;
    let message = FromRecorder::Switched { key: key("a"), epoch: Epoch(epoch) };
    bed.give(Input::Recorder { generation, message });
    assert_eq!(bed.owner("a").0, 2);
    bed.pass(ms(500), &[]);
    assert!(bed.sent_to(1).iter().any(|message| matches!(message, ToWorker::Stop { .. })));
    bed.exit(1, Exit::Code(0));
    bed.pass(ms(500), &[]);
    assert!(bed.log.iter().any(|action| matches!(
        action,
        Action::Answer { request: RequestId(5), answer: Answer::Done { .. } }
    )));
    assert_eq!(bed.logged("worker.died"), 0);
}

#[test]
fn idle_workers_are_retired_but_not_all() {
    let mut bed = Bed::new(config(8));
    let ids: Vec<String> = (0..14).map(|n| format!("m{n}")).collect();
    bed.load_list(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    bed.pass(ms(1_000), &[]);
    assert_eq!(bed.pool.workers().len(), 3);
    for id in &ids {
        bed.state(id, MatchState::Removed);
    }
    bed.load_list(&[]);
    bed.load_list(&[]);
    assert_eq!(bed.pool.count().listed, 0, "a second load confirmed it");
    bed.log.clear();
    bed.pass(Duration::from_secs(590), &[]);
    assert_eq!(bed.logged("worker.draining"), 0);
    bed.pass(Duration::from_secs(100), &[]);
    assert_eq!(bed.logged("worker.draining"), 1, "one at a time");
    bed.exit(3, Exit::Code(0));
    bed.pass(Duration::from_secs(100), &[]);
    assert_eq!(bed.logged("worker.draining"), 2);
    bed.exit(2, Exit::Code(0));
    bed.pass(Duration::from_secs(1_000), &[]);
    assert_eq!(bed.logged("worker.draining"), 2, "the last one stays");
}

#[test]
fn the_end_comes_in_order_and_a_second_request_makes_it_urgent() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a"]);
    let timeout = Duration::from_secs(60);
    let stop = |request, urgency| Input::Command {
        request: RequestId(request),
        command: Command::Stop { urgency },
        timeout,
    };
    bed.give(stop(1, Urgency::Drain));
    assert_eq!(bed.pool.state(), DaemonState::Draining);
    assert!(bed.sent_to(1).contains(&&ToWorker::Stop { deadline_ms: 20_000 }));
    bed.log.clear();
    bed.give(stop(2, Urgency::Now));
    bed.give(stop(3, Urgency::Drain));
    let kill = |signal| Action::Kill { child: Child::Worker(SlotId(1)), generation: Generation(1), signal };
    assert!(bed.log.contains(&kill(Signal::Term)));
    bed.pass(ms(2_000), &[]);
    assert!(bed.log.contains(&kill(Signal::Kill)));
    assert_eq!(bed.pool.state(), DaemonState::Stopping);
    bed.exit(1, KILLED);
    assert!(bed.log.iter().any(|action| matches!(
        action,
        Action::ToRecorder { message: ToRecorder::Stop { deadline_ms: 2_000 }, .. }
    )));
    assert!(!bed.log.contains(&Action::Finished));
    let (child, generation) = (Child::RECORDER, Generation(1));
    bed.give(Input::Exited { child, generation, exit: Exit::Code(0), usage: None, at: Work::None });
    assert_eq!(bed.log.last(), Some(&Action::Finished));
    assert_eq!(bed.log.iter().filter(|action| matches!(action, Action::Answer { .. })).count(), 3);
    assert_eq!(bed.logged("worker.spawned"), 0);
}
