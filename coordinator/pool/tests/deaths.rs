//! What dies and comes back: workers, the recorder, and matches that are to blame.

use super::*;

#[test]
fn a_dead_workers_matches_are_placed_in_the_same_step_under_new_epochs() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a", "b", "c", "d"]);
    bed.list(vec![
        ListChange::Present { id: "e".into(), listing: Listing::default() },
        ListChange::Present { id: "f".into(), listing: Listing::default() },
    ]);
    bed.pass(ms(1_000), &[]);
    let before = bed.pool.placement.epochs.highest();
    bed.log.clear();
    bed.exit(1, KILLED);
    let moved = bed.switches();
    assert!(
        !moved.is_empty() && moved.iter().all(|(_, epoch, owner)| *epoch > before.0 && *owner == Owner::Dead)
    );
    assert_eq!(bed.logged("list.followed"), 1, "the list is followed again at once");
    assert_eq!(bed.pool.count().waiting + bed.pool.count().subscribing, 6);
    bed.pass(ms(2_000), &[]);
    assert_eq!(bed.pool.count().waiting, 0);
    assert_eq!(bed.pool.count().ended, 0, "a gap of the list ends nothing");
}

#[test]
fn a_match_in_two_crashes_is_quarantined_until_released_but_kills_from_outside_blame_nobody() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a"]);
    for _ in 0..3 {
        let (slot, _) = bed.owner("a");
        bed.exit(slot, KILLED);
        bed.pass(ms(3_000), &[]);
    }
    for _ in 0..2 {
        let (slot, _) = bed.owner("a");
        bed.exit(slot, SEGV);
        bed.pass(ms(10_000), &[]);
    }
    assert_eq!(bed.view("a").state, MatchViewState::Quarantined);
    assert!(!bed.pool.health().healthy);
    let (request, timeout) = (RequestId(1), ms(1_000));
    bed.give(Input::Command { request, command: Command::Release { key: key("a") }, timeout });
    bed.pass(ms(40_000), &[]);
    assert_eq!(bed.view("a").state, MatchViewState::Subscribing);
}

#[test]
fn a_recorder_that_starts_anew_gives_every_match_a_new_epoch_without_a_new_subscription() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a", "b"]);
    bed.live("a");
    let before = bed.owner("a");
    let (child, generation) = (Child::RECORDER, bed.pool.children.recorder.life.generation);
    let message = FromRecorder::Switched { key: key("a"), epoch: Epoch(before.1) };
    bed.give(Input::Recorder { generation, message });
    bed.log.clear();
    bed.give(Input::Exited { child, generation, exit: KILLED, usage: None, at: Work::None });
    bed.pass(ms(3_000), &[]);
    let after = bed.owner("a");
    assert!(after.0 == before.0 && after.1 > before.1);
    // By what it committed the worker of `a` owns it; of `b` it may know a worker that is gone.
    let mut switches: Vec<_> = bed.switches().into_iter().map(|(key, _, owner)| (key, owner)).collect();
    switches.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(switches, [("a".to_owned(), Owner::Alive), ("b".to_owned(), Owner::Dead)]);
    let sent = bed.sent_to(1);
    assert_eq!(sent.iter().filter(|message| matches!(message, ToWorker::Renew { .. })).count(), 2);
    assert!(!sent.iter().any(|message| matches!(message, ToWorker::Assign { .. })));
    assert!(bed.log.iter().any(|action| matches!(action, Action::ConnectData { slot: SlotId(1), .. })));
    assert_eq!(bed.view("a").state, MatchViewState::Live);
}

#[test]
fn a_switch_to_a_candidate_that_is_no_more_renews_the_owner() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a"]);
    let (slot, epoch) = bed.owner("a");
    let generation = bed.pool.children.recorder.life.generation;
    let message = FromRecorder::Switched { key: key("a"), epoch: Epoch(epoch + 7) };
    bed.give(Input::Recorder { generation, message });
    assert!(bed.owner("a").0 == slot && bed.owner("a").1 > epoch + 7);
}

#[test]
fn exit_code_2_stops_all_starts_of_the_feed() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a"]);
    bed.exit(1, Exit::Code(2));
    bed.pass(Duration::from_secs(400), &[]);
    assert_eq!(bed.logged("worker.spawned"), 1);
    assert_eq!(bed.pool.workers()[0].state, "parked");
    assert!(bed.pool.health().reasons.iter().any(|reason| reason.contains("exit 2")));
}
