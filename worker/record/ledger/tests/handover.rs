//! Who owns a match, sentence by sentence as the design has it.

use super::*;

/// An owner at 1-0 and a candidate that is asked for.
fn moving(registers: &[(Register, i64)]) -> Rig {
    let mut rig = Rig::soccer();
    rig.obs(1, &[(HOME, 1)]).base(2, W2, registers).switch(2, Owner::Alive);
    rig
}

const AHEAD: [(Register, i64); 3] = [(HOME, 1), (AWAY, 0), (Register::Phase, 1)];

#[test]
fn of_a_candidate_nothing_is_written() {
    let mut rig = Rig::soccer();
    rig.base(2, W2, &[(HOME, 1), (AWAY, 0), (Register::Phase, 1)]).observe(2, &[(HOME, 2)], &[stat("9")]);
    assert!(rig.last.is_empty() && rig.gaps.is_empty());
    assert_eq!(rig.ledger.epoch(), Some(Epoch(1)));
    rig.obs(1, &[(HOME, 1)]);
    assert_eq!(rig.kinds(), ["goal"]);
}

#[test]
fn a_living_owner_goes_on_until_all_registers_are_equal_and_both_answered_a_mark() {
    let mut rig = moving(&START);
    assert!(rig.asked.is_empty(), "it is behind");
    rig.obs(1, &[(AWAY, 1)]);
    assert_eq!(rig.kinds(), ["goal"]);
    rig.obs(2, &[(HOME, 1)]).obs(2, &[(AWAY, 1)]);
    assert_eq!(rig.asked, [(W1, 0), (W2, 0)]);
    rig.give(&Input::Marked { source: W1, token: 0 });
    assert_eq!(rig.ledger.epoch(), Some(Epoch(1)), "one answer is not two");
    rig.give(&Input::Marked { source: W2, token: 0 });
    assert_eq!((rig.ledger.epoch(), rig.switched), (Some(Epoch(2)), Some(Epoch(2))));
    assert!(rig.last.is_empty() && rig.gaps.is_empty(), "a planned move is no gap");
    rig.obs(1, &[(HOME, 2)]);
    assert_eq!((rig.refused, rig.last.len()), (1, 0), "the old epoch is refused");
    rig.obs(2, &[(HOME, 2)]);
    assert_eq!(rig.kinds(), ["goal"]);
    assert!(!rig.last[0].recovered);
}

#[test]
fn registers_that_become_unequal_begin_anew() {
    let mut rig = moving(&AHEAD);
    rig.give(&Input::Marked { source: W1, token: 0 });
    rig.obs(1, &[(AWAY, 1)]).give(&Input::Marked { source: W2, token: 0 });
    assert_eq!(rig.ledger.epoch(), Some(Epoch(1)));
    rig.obs(2, &[(AWAY, 1)]).give(&Input::Marked { source: W2, token: 0 });
    assert_eq!(rig.ledger.epoch(), Some(Epoch(1)), "an old answer says nothing");
    rig.marks();
    assert_eq!(rig.ledger.epoch(), Some(Epoch(2)));
}

#[test]
fn a_later_question_answers_an_earlier_one_and_a_lost_one_is_asked_again() {
    let mut rig = moving(&AHEAD);
    rig.give(&Input::Marked { source: W1, token: 7 }).give(&Input::Marked { source: W2, token: 9 });
    assert_eq!(rig.ledger.epoch(), Some(Epoch(2)));
    let mut lost = moving(&AHEAD);
    lost.asked.clear();
    lost.attach(W2);
    assert_eq!(lost.asked.len(), 2, "the question went with the channel");
}

#[test]
fn a_candidate_that_has_its_load_before_it_is_wanted_waits() {
    let mut rig = Rig::soccer();
    rig.base(2, W2, &START);
    assert!(rig.asked.is_empty());
    rig.switch(2, Owner::Alive);
    assert_eq!(rig.asked.len(), 2);
}

#[test]
fn after_ten_seconds_a_candidate_is_adopted_in_any_case_with_a_gap() {
    let mut rig = moving(&[(HOME, 1), (AWAY, 2), (Register::Phase, 1)]);
    rig.wait(Duration::from_millis(9_999));
    assert_eq!(rig.ledger.epoch(), Some(Epoch(1)));
    rig.wait(Duration::from_millis(1));
    assert_eq!(rig.kinds(), ["gap_start", "goal", "goal", "gap_end"]);
    assert_eq!((rig.gap().1, rig.switched), ("moved", Some(Epoch(2))));
    let mut silent = moving(&AHEAD);
    assert_eq!(silent.ledger.deadline(), Some(silent.now + Duration::from_secs(10)));
    silent.wait(Duration::from_secs(6)).switch(2, Owner::Alive).wait(Duration::from_secs(4));
    assert_eq!((silent.ledger.epoch(), silent.gap().1), (Some(Epoch(2)), "moved"), "equal without an answer");
    assert_eq!(silent.ledger.deadline(), None);
}

#[test]
fn what_is_higher_after_a_death_is_recovered_at_once_and_what_is_lower_after_settle() {
    let mut rig = Rig::soccer();
    rig.obs(1, &[(HOME, 2)]).gone(W1);
    assert_eq!(rig.kinds(), ["gap_start"]);
    rig.base(2, W2, &[(HOME, 1), (AWAY, 1), (Register::Phase, 1)]);
    assert_eq!(rig.kinds(), ["goal"]);
    assert!(rig.last[0].recovered && rig.ledger.gap.open, "it may be behind");
    assert_eq!(rig.ledger.known.registers[&HOME], 2);
    rig.wait(SETTLE - Duration::from_millis(1));
    assert!(rig.last.is_empty());
    rig.wait(Duration::from_millis(1));
    assert_eq!(rig.kinds(), ["retract", "gap_end"]);
    assert_eq!(rig.ledger.known.registers[&HOME], 1);
    assert_eq!(rig.ledger.deadline(), None);
}

#[test]
fn a_lower_value_is_believed_only_after_it_stood_unchanged() {
    let mut rig = Rig::soccer();
    rig.obs(1, &[(HOME, 4)]).gone(W1).base(2, W2, &START);
    for value in 1..=3 {
        rig.wait(Duration::from_millis(1_500)).obs(2, &[(HOME, value)]);
        assert!(rig.last.is_empty(), "nothing is reported backwards");
    }
    rig.obs(2, &[(HOME, 4)]);
    assert_eq!(rig.kinds(), ["gap_end"], "it has come up with what was recorded");
    rig.wait(SETTLE * 2);
    assert!(rig.last.is_empty());
    rig.obs(2, &[(HOME, 3)]);
    assert_eq!(rig.kinds(), ["retract"], "a fall that is seen is believed at once");
}

#[test]
fn everything_else_that_differs_is_believed_by_its_next_observation_or_after_settle() {
    let points = |home, away| (Register::Points, Register::pack_points(home, away));
    let mut rig = Rig::new("tennis", Scoring::Tennis);
    let zero = [(HOME, 0), (AWAY, 0), points(0, 0), (Register::Phase, 1), (Register::Suspended, 0)];
    rig.load(1, W1, &zero, &[stat("3"), comment("Play")]);
    rig.observe(1, &[points(15, 0), (Register::Suspended, 1)], &[stat("4"), comment("Rain")]);
    assert_eq!(rig.kinds(), ["point", "suspended", "stat_change", "comment"]);
    // The candidate is behind: it shows what was before.
    rig.load(2, W2, &zero, &[stat("3"), comment("Play")]).gone(W1);
    assert_eq!(rig.switched, Some(Epoch(2)));
    let mut seen = rig.clone();
    seen.observe(2, &[points(15, 0), (Register::Suspended, 1)], &[stat("4"), comment("Rain")]);
    assert!(seen.last.is_empty(), "a copy: {:?}", seen.last);
    seen.wait(SETTLE);
    assert!(seen.last.is_empty());
    seen.observe(2, &[points(30, 0)], &[stat("5")]);
    assert_eq!(seen.kinds(), ["point", "stat_change"]);
    rig.texts(2, &[stat("6")]);
    assert_eq!(rig.kinds(), ["stat_change"]);
    rig.wait(SETTLE);
    assert_eq!(rig.kinds(), ["resumed", "comment"]);
    assert!(rig.last.iter().all(|event| event.recovered));
    let ids: HashSet<_> = rig.all.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), rig.all.len());
}

#[test]
fn a_silent_owner_is_replaced_at_once() {
    let mut rig = Rig::soccer();
    rig.pass(Duration::from_secs(1)).base(2, W2, &AHEAD).switch(2, Owner::Alive);
    assert_eq!(rig.ledger.epoch(), Some(Epoch(1)));
    let since = rig.wall;
    rig.give(&Input::Silent { source: W1, since });
    assert_eq!(rig.kinds(), ["gap_start", "goal", "gap_end"]);
    assert_eq!(rig.switched, Some(Epoch(2)));
    rig.obs(1, &[(HOME, 1)]);
    assert_eq!((rig.refused, rig.last.len()), (1, 0), "it comes too late");
}

#[test]
fn an_owner_without_a_connection_is_replaced_at_once() {
    let mut rig = Rig::soccer();
    rig.base(2, W2, &AHEAD).switch(2, Owner::Alive);
    rig.give(&Input::End { epoch: Epoch(1), why: EndReason::ConnectionLost, at: 9 });
    assert_eq!(rig.kinds(), ["gap_start", "goal", "gap_end"]);
    assert_eq!((rig.ledger.epoch(), rig.gap()), (Some(Epoch(2)), (9, "connection", 9)));
}

#[test]
fn a_candidate_that_dies_changes_nothing() {
    let mut rig = Rig::soccer();
    let before = rig.ledger.clone();
    rig.base(2, W2, &[(HOME, 3), (AWAY, 0)]).gone(W2);
    assert!(rig.last.is_empty());
    assert_eq!(rig.ledger.save().unwrap(), before.save().unwrap());
    rig.obs(1, &[(HOME, 1)]);
    assert_eq!(rig.kinds(), ["goal"]);
    rig.base(2, W2, &[(HOME, 3), (AWAY, 0)]);
    rig.give(&Input::End { epoch: Epoch(2), why: EndReason::ConnectionLost, at: 1 });
    assert!(rig.gaps.is_empty());
}

#[test]
fn if_the_owner_dies_its_candidate_is_adopted() {
    let mut rig = Rig::soccer();
    rig.pass(Duration::from_millis(500)).base(2, W2, &AHEAD).pass(Duration::from_millis(200)).gone(W1);
    assert_eq!(rig.kinds(), ["gap_start", "goal", "gap_end"]);
    assert_eq!((rig.switched, rig.gap()), (Some(Epoch(2)), (5, "worker_died", 500_008)));
}

#[test]
fn an_equal_candidate_from_before_its_owner_died_leaves_no_gap() {
    let mut rig = Rig::soccer();
    rig.pass(Duration::from_millis(500)).base(2, W2, &START).pass(Duration::from_millis(200)).gone(W1);
    assert_eq!(rig.switched, Some(Epoch(2)));
    assert!(rig.gaps.is_empty() && rig.last.is_empty());
    let mut late = Rig::soccer();
    late.pass(Duration::from_millis(500)).base(2, W2, &START).gone(W1);
    assert_eq!(
        late.gap(),
        (500_008 + 3 - 100_000, "worker_died", 500_008),
        "its load came after the last sign"
    );
}

#[test]
fn what_a_worker_took_along_that_was_behind_is_in_its_gap() {
    let mut rig = Rig::soccer();
    rig.pass(Duration::from_secs(20)).base(2, W2, &AHEAD).pass(Duration::from_secs(20));
    rig.give(&Input::Gone { source: W1, at: rig.wall, sign: LastSign::Behind(7_000_000), unheard: None });
    assert_eq!(rig.kinds(), ["gap_start", "goal", "gap_end"]);
    assert_eq!(rig.gap(), (7_000_000, "worker_died", 20_000_008));
}

#[test]
fn the_gap_of_a_worker_that_took_lines_along_begins_with_the_oldest_of_them() {
    let mut rig = Rig::soccer();
    rig.pass(Duration::from_secs(20)).obs(1, &[(HOME, 1)]).pass(Duration::from_secs(1));
    let (at, heard) = (rig.wall, rig.wall - 9_000_000);
    rig.give(&Input::Gone { source: W1, at, sign: LastSign::Received(at), unheard: Some(heard) });
    assert_eq!(rig.kinds(), ["gap_start"]);
    let [GapStep::Open { at: since, .. }] = rig.gaps[..] else { panic!("{:?}", rig.gaps) };
    assert_eq!(since, heard, "though its score was known later");
}

#[test]
fn if_both_die_the_new_load_meets_the_last_known_values() {
    let mut rig = Rig::soccer();
    rig.obs(1, &[(HOME, 1)]).base(2, W2, &AHEAD).gone(W2).gone(W1);
    rig.base(3, W2, &[(HOME, 0), (AWAY, 1), (Register::Phase, 1)]);
    assert_eq!(rig.kinds(), ["goal"]);
    rig.wait(SETTLE);
    assert_eq!(rig.kinds(), ["retract", "gap_end"]);
}

#[test]
fn if_the_coordinator_dies_the_new_load_meets_the_last_known_values() {
    let mut rig = Rig::soccer();
    rig.restart(Owner::Dead);
    let mut out = Outcome::default();
    rig.ledger.restored_at(4, &mut out);
    assert!(matches!(out.gaps[..], [GapStep::Open { at: 4, reason: "restart", .. }]));
    rig.base(9, W2, &[(HOME, 1), (AWAY, 0), (Register::Phase, 2)]);
    assert_eq!(rig.kinds(), ["goal", "period_end", "gap_end"]);
}

#[test]
fn if_the_recorder_dies_its_workers_go_on_under_new_epochs() {
    let mut rig = Rig::soccer();
    rig.restart(Owner::Alive);
    rig.attach(W2);
    assert!(rig.ledger.is_detached());
    rig.attach(W1).give(&Input::Missing { at: 1 });
    rig.obs(1, &[(HOME, 1)]);
    assert_eq!(rig.kinds(), ["goal"], "what the worker held is no gap");
    rig.base(7, W1, &AHEAD);
    assert_eq!((rig.ledger.epoch(), rig.switched), (Some(Epoch(7)), Some(Epoch(7))), "without a switch");
    assert!(rig.last.is_empty() && rig.gaps.is_empty());
    let mut missing = Rig::soccer();
    missing.restart(Owner::Alive);
    missing.give(&Input::Missing { at: 40 });
    assert_eq!(missing.kinds(), ["gap_start"]);
}

#[test]
fn a_restored_owner_whose_worker_is_dead_leaves_a_gap_from_the_recorders_end() {
    let mut rig = Rig::soccer();
    rig.restart(Owner::Alive);
    rig.ledger.restored_at(40, &mut Outcome::default());
    rig.pass(Duration::from_secs(1)).switch(7, Owner::Dead).base(7, W2, &START);
    assert_eq!((rig.ledger.epoch(), rig.gap()), (Some(Epoch(7)), (40, "worker_died", 1_000_008)));
    let mut same = Rig::soccer();
    same.restart(Owner::Alive);
    // The coordinator never knew that the epoch was adopted: it takes the owner for one that is gone.
    same.switch(7, Owner::Dead).attach(W1).base(7, W1, &START);
    assert_eq!(same.ledger.epoch(), Some(Epoch(7)));
    assert!(same.gaps.is_empty());
}

#[test]
fn a_dead_owner_has_a_second_for_its_last_bytes() {
    let mut rig = Rig::soccer();
    rig.base(2, W2, &AHEAD).switch(2, Owner::Dead);
    assert_eq!(rig.ledger.deadline(), Some(rig.now + Duration::from_secs(1)));
    rig.obs(1, &[(HOME, 1)]);
    assert_eq!(rig.kinds(), ["goal"]);
    rig.wait(Duration::from_secs(1));
    assert_eq!(rig.ledger.epoch(), Some(Epoch(2)));
}

#[test]
fn an_owner_with_a_new_epoch_is_not_refused_for_a_candidate_above_it() {
    let mut rig = Rig::soccer();
    rig.restart(Owner::Alive);
    rig.attach(W1);
    // Both were given epochs after the start; the candidate's load came first.
    rig.base(9, W2, &START).base(7, W1, &START);
    assert_eq!((rig.refused, rig.ledger.epoch()), (0, Some(Epoch(7))));
    rig.obs(7, &[(HOME, 1)]).obs(9, &[(HOME, 1)]);
    rig.switch(9, Owner::Alive).marks();
    assert_eq!(rig.ledger.epoch(), Some(Epoch(9)));
    assert_eq!((rig.of(EventType::Goal).len(), rig.gaps.len(), rig.refused), (1, 0, 0));
}

#[test]
fn lower_epochs_are_refused() {
    let mut rig = Rig::soccer();
    rig.gone(W1).base(5, W2, &[(HOME, 0), (AWAY, 0)]);
    rig.base(4, W1, &[(HOME, 4)]).obs(4, &[(HOME, 5)]).switch(4, Owner::Alive);
    assert_eq!(rig.refused, 3);
    assert_eq!(rig.ledger.known.registers[&HOME], 0);
}

#[test]
fn a_register_that_a_new_owner_does_not_know_yet_is_not_taken_back() {
    let corners = |n| (Register::Corners(Side::Home), n);
    let mut rig = Rig::soccer();
    rig.base(2, W2, &START).obs(1, &[corners(1)]).obs(1, &[corners(2)]).gone(W1);
    rig.obs(2, &[corners(1)]);
    assert!(rig.last.is_empty());
    rig.obs(2, &[corners(2)]).obs(2, &[corners(3)]);
    assert_eq!(rig.kinds(), ["corner"]);
}
