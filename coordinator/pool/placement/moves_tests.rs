//! Drains, moves, rebalances and another number of workers, each in its plainest case.

use super::*;

fn of(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("m{n:02}")).collect()
}

/// A bed with so many live matches, and one worker more than they need, if there is one.
fn placed(config: Settings, count: usize) -> (Bed, Vec<String>) {
    let mut bed = Bed::new(config);
    let ids = of(count);
    bed.load_list(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    bed.pass(ms(1_000), &[]);
    for id in &ids {
        bed.live(id);
    }
    (bed, ids)
}

fn ask(bed: &mut Bed, number: u64, command: Command) {
    let (request, timeout) = (RequestId(number), ms(60_000));
    bed.give(Input::Command { request, command, timeout });
}

fn answer(bed: &Bed, number: u64) -> Option<Answer> {
    bed.log.iter().find_map(|action| match action {
        Action::Answer { request, answer } if request.0 == number => Some(answer.clone()),
        _ => None,
    })
}

/// Every candidate gets its load and takes over.
fn take_over(bed: &mut Bed) {
    let ids: Vec<String> =
        bed.pool.catalog.matches.marked(Mark::Moving).iter().map(|key| key.id.to_string()).collect();
    for id in ids {
        bed.live(&id);
        let Assignment::Assigned { candidate: Some(seat), .. } =
            &bed.pool.catalog.matches.get(&key(&id)).unwrap().assignment
        else {
            panic!("{id} has no candidate")
        };
        let generation = bed.pool.children.recorder.life.generation;
        let message = FromRecorder::Switched { key: key(&id), epoch: seat.epoch };
        bed.give(Input::Recorder { generation, message });
    }
}

fn processes(bed: &Bed) -> usize {
    bed.pool.children.slots.iter().filter(|slot| slot.life.has_process()).count()
}

#[test]
fn a_drain_of_a_full_pool_starts_one_worker_more_and_ends_with_as_many_as_before() {
    let (mut bed, ids) = placed(config(2), 9);
    assert_eq!(processes(&bed), 2);
    ask(&mut bed, 7, Command::Drain { slot: SlotId(1) });
    bed.pass(ms(500), &[]);
    assert_eq!(processes(&bed), 3, "one may be too many while another is drained");
    assert_eq!(answer(&bed, 7), None);
    take_over(&mut bed);
    bed.pass(ms(500), &[]);
    assert!(matches!(answer(&bed, 7), Some(Answer::Done { .. })), "{:?}", answer(&bed, 7));
    assert!(bed.sent_to(1).iter().any(|message| matches!(message, ToWorker::Stop { .. })));
    bed.exit(1, Exit::Code(0));
    bed.pass(ms(5_000), &[]);
    assert_eq!(processes(&bed), 2);
    assert!(ids.iter().all(|id| bed.owner(id).0 != 1));
    assert_eq!(bed.logged("match.waiting"), 0);
}

#[test]
fn a_drain_that_is_late_names_what_is_left_and_one_of_nobody_is_refused() {
    let (mut bed, _) = placed(config(2), 9);
    ask(&mut bed, 7, Command::Drain { slot: SlotId(2) });
    bed.pass(ms(61_000), &[]);
    let Some(Answer::Partial { missing }) = answer(&bed, 7) else { panic!("{:?}", answer(&bed, 7)) };
    assert!(missing.contains("worker 2 still has") && missing.contains("m0"), "{missing}");
    ask(&mut bed, 8, Command::Drain { slot: SlotId(40) });
    assert!(matches!(answer(&bed, 8), Some(Answer::Failed { .. })));
}

#[test]
fn a_match_moves_where_an_operator_wants_it_and_only_where_it_fits() {
    let (mut bed, ids) = placed(config(8), 8);
    let id = ids.iter().find(|id| bed.owner(id).0 == 1).unwrap().clone();
    let to = |slot| Command::Move { key: key(&id), slot: SlotId(slot) };
    ask(&mut bed, 1, to(2));
    assert!(bed.pool.catalog.matches.marked(Mark::Moving).contains(&key(&id)), "{:?}", answer(&bed, 1));
    ask(&mut bed, 2, to(2));
    assert!(matches!(answer(&bed, 2), Some(Answer::Failed { .. })), "one move at a time");
    take_over(&mut bed);
    bed.pass(ms(500), &[]);
    assert!(matches!(answer(&bed, 1), Some(Answer::Done { .. })), "{:?}", answer(&bed, 1));
    assert_eq!(bed.owner(&id).0, 2);
    // Worker 2 is full now.
    let other = ids.iter().find(|id| bed.owner(id).0 == 1).unwrap().clone();
    ask(&mut bed, 3, Command::Move { key: key(&other), slot: SlotId(2) });
    let Some(Answer::Failed { error }) = answer(&bed, 3) else { panic!("{:?}", answer(&bed, 3)) };
    assert!(error.contains("no room: 5 of 5"), "{error}");
    ask(&mut bed, 4, Command::Move { key: key(&other), slot: SlotId(7) });
    assert!(matches!(answer(&bed, 4), Some(Answer::Failed { .. })), "nobody is there");
}

#[test]
fn a_move_to_a_worker_that_dies_changes_nothing_and_says_so() {
    let (mut bed, ids) = placed(config(8), 8);
    let id = ids.iter().find(|id| bed.owner(id).0 == 1).unwrap().clone();
    let before = bed.owner(&id);
    ask(&mut bed, 1, Command::Move { key: key(&id), slot: SlotId(2) });
    bed.exit(2, KILLED);
    bed.pass(ms(500), &[]);
    assert_eq!(bed.owner(&id), before);
    assert!(matches!(answer(&bed, 1), Some(Answer::Failed { .. })), "{:?}", answer(&bed, 1));
}

#[test]
fn where_a_second_subscription_is_forbidden_the_plan_announces_the_gap_and_the_match_is_let_go_first() {
    let mut forbidding = config(8);
    forbidding.feeds[0].break_before_make = true;
    forbidding.pool.rebalance = true;
    let (mut bed, ids) = placed(forbidding, 9);
    ask(&mut bed, 9, Command::Scale { min: Some(3), max: None });
    bed.pass(ms(1_000), &[]);
    let plan = bed.pool.rebalance_plan();
    assert!(!plan.moves.is_empty() && plan.moves.iter().all(|one| one.gap), "{plan:?}");
    bed.pass(Duration::from_secs(100), &[]);
    assert_eq!(bed.logged("match.moving"), 0, "no gap that nobody asked for");
    let id = ids.iter().find(|id| bed.owner(id).0 == 1).unwrap().clone();
    let (_, epoch) = bed.owner(&id);
    bed.log.clear();
    ask(&mut bed, 1, Command::Move { key: key(&id), slot: SlotId(3) });
    assert!(bed.sent_to(1).iter().any(|m| matches!(m, ToWorker::Release { epoch: of, .. } if of.0 == epoch)));
    assert!(!bed.sent_to(3).iter().any(|m| matches!(m, ToWorker::Assign { .. })), "the first has it still");
    bed.pass(ms(500), &[]);
    assert_eq!(bed.owner(&id).0, 3);
    bed.live(&id);
    bed.pass(ms(500), &[]);
    assert!(matches!(answer(&bed, 1), Some(Answer::Done { .. })), "{:?}", answer(&bed, 1));
}

#[test]
fn a_drain_lets_go_first_only_where_it_must_and_only_when_there_is_room() {
    let mut forbidding = config(2);
    forbidding.feeds[0].break_before_make = true;
    let (mut bed, ids) = placed(forbidding, 9);
    bed.mute = true;
    ask(&mut bed, 1, Command::Drain { slot: SlotId(1) });
    bed.pass(ms(2_000), &[3]);
    assert_eq!(processes(&bed), 3);
    let released =
        |bed: &Bed| bed.sent_to(1).iter().filter(|m| matches!(m, ToWorker::Release { .. })).count();
    assert_eq!(released(&bed), 0, "nobody has room for them yet");
    let generation = bed.seen[&SlotId(3)].0;
    bed.give(Input::Worker { slot: SlotId(3), generation, message: FromWorker::Ready });
    bed.pass(ms(2_000), &[]);
    assert!(released(&bed) >= 4, "{}", released(&bed));
    assert_eq!(bed.logged("match.moving"), 0);
    assert!(matches!(answer(&bed, 1), Some(Answer::Done { .. })), "{:?}", answer(&bed, 1));
    assert!(ids.iter().all(|id| bed.view(id).worker.is_some_and(|worker| worker != 1)));
}

#[test]
fn uneven_workers_are_evened_out_some_at_a_time_and_moved_matches_rest() {
    let mut even = config(8);
    even.pool.rebalance = true;
    even.timing.placement.rebalance_moves = 2;
    even.feeds[0].cap = 20;
    let (mut bed, ids) = placed(even, 19);
    assert_eq!(processes(&bed), 1);
    ask(&mut bed, 1, Command::Scale { min: Some(2), max: None });
    bed.pass(ms(55_000), &[]);
    assert_eq!(bed.logged("match.moving"), 0, "the second worker is young");
    bed.pass(ms(20_000), &[]);
    assert_eq!(bed.logged("match.moving"), 2, "so many at a time");
    for _ in 0..10 {
        take_over(&mut bed);
        bed.pass(ms(10_000), &[]);
    }
    let at = |slot| ids.iter().filter(|id| bed.owner(id).0 == slot).count();
    let (first, second) = (at(1), at(2));
    assert!(first.abs_diff(second) <= 3 && first + second == 19, "{first} and {second}");
    let moves = bed.logged("match.moving");
    assert!(moves <= 10, "{moves} moves for nine matches");
    assert_eq!(bed.pool.rebalance_plan().moves, []);
}

#[test]
fn a_rebalance_that_was_asked_for_goes_on_until_all_is_even_and_a_plan_changes_nothing() {
    let mut uneven = config(8);
    uneven.feeds[0].cap = 20;
    uneven.timing.placement.rebalance_moves = 4;
    let (mut bed, _) = placed(uneven, 19);
    ask(&mut bed, 1, Command::Scale { min: Some(2), max: None });
    bed.pass(ms(1_000), &[]);
    bed.log.clear();
    let plan = bed.pool.rebalance_plan();
    assert_eq!((plan.moves.len(), plan.feeds[0].most, plan.feeds[0].least), (10, 20, 0), "{plan:?}");
    bed.pass(ms(30_000), &[]);
    assert_eq!(bed.logged("match.moving"), 0);
    ask(&mut bed, 2, Command::Rebalance);
    for _ in 0..4 {
        take_over(&mut bed);
        bed.pass(ms(10_000), &[]);
    }
    let Some(Answer::Done { message }) = answer(&bed, 2) else { panic!("{:?}", answer(&bed, 2)) };
    assert!(message.contains("even"), "{message}");
    assert!((8..=10).contains(&bed.logged("match.moved")), "{}", bed.logged("match.moved"));
}

#[test]
fn an_underused_worker_is_drained_when_the_others_have_had_room_for_long() {
    let mut loose = config(8);
    loose.pool.rebalance = true;
    let (mut bed, ids) = placed(loose, 9);
    assert_eq!(processes(&bed), 2);
    bed.pass(Duration::from_secs(700), &[]);
    assert_eq!(bed.logged("worker.draining"), 0, "they are needed");
    for id in &ids[2..] {
        bed.list(vec![ListChange::Gone { id: id.as_str().into() }]);
        bed.state(id, MatchState::Removed);
    }
    // Seven of nine at once must be confirmed.
    bed.load_list(&[&ids[0], &ids[1]]);
    bed.load_list(&[&ids[0], &ids[1]]);
    assert_eq!(bed.pool.count().listed, 2);
    for _ in 0..59 {
        bed.pass(ms(10_000), &[]);
        take_over(&mut bed);
    }
    assert_eq!(bed.logged("worker.draining"), 0);
    bed.pass(Duration::from_secs(30), &[]);
    assert_eq!(bed.logged("worker.draining"), 1);
    take_over(&mut bed);
    bed.pass(ms(1_000), &[]);
    assert_eq!(bed.logged("match.waiting"), 0);
    assert_eq!(bed.pool.count().live, 2);
}

#[test]
fn fewer_workers_than_there_are_is_reached_by_draining_what_fits_elsewhere() {
    let mut many = config(8);
    many.pool.min_workers = 4;
    let (mut bed, _) = placed(many, 9);
    assert_eq!(processes(&bed), 4);
    ask(&mut bed, 1, Command::Scale { min: Some(5), max: Some(4) });
    assert!(matches!(answer(&bed, 1), Some(Answer::Failed { .. })));
    ask(&mut bed, 2, Command::Scale { min: Some(1), max: Some(1) });
    assert!(matches!(answer(&bed, 2), Some(Answer::Done { .. })));
    for _ in 0..6 {
        bed.pass(ms(1_000), &[]);
        take_over(&mut bed);
        bed.pass(ms(1_000), &[]);
        let leaving =
            bed.pool.children.slots.iter().find(|slot| slot.life.is_stopping()).map(|slot| slot.id.0);
        if let Some(slot) = leaving {
            bed.exit(slot, Exit::Code(0));
        }
    }
    assert_eq!(processes(&bed), 2, "nine matches and the list do not fit into one");
    assert_eq!((bed.pool.count().live, bed.logged("match.waiting")), (9, 0));
}

#[test]
fn the_end_of_a_channel_is_no_reason_for_a_signal_when_the_child_was_asked_to_leave() {
    let (mut bed, _) = placed(config(8), 2);
    ask(&mut bed, 1, Command::Stop { urgency: Urgency::Drain });
    let closed = |child, generation| Input::ChannelClosed { child, generation, why: "it closed it".into() };
    let worker = bed.seen[&SlotId(1)].0;
    bed.give(closed(Child::Worker(SlotId(1)), worker));
    bed.exit(1, Exit::Code(0));
    let generation = bed.pool.children.recorder.life.generation;
    bed.give(closed(Child::RECORDER, generation));
    assert!(bed.pool.children.recorder.life.is_stopping(), "{:?}", bed.pool.children.recorder.life.state);
    let kills = |bed: &Bed| bed.log.iter().filter(|action| matches!(action, Action::Kill { .. })).count();
    bed.pass(ms(4_000), &[]);
    assert_eq!(kills(&bed), 0);
    bed.pass(ms(2_000), &[]);
    assert_eq!(kills(&bed), 1, "its deadline holds all the same");
}
