//! Ids that come back after their match has ended: other teams, the same teams, unknown ones.

use super::*;

const FINISHED: (Register, i64) = (Register::Phase, Phase::FINISHED.0);
const NEW: [(Register, i64); 3] = [(HOME, 0), (AWAY, 0), (Register::Phase, 1)];

fn teams(home: &str, away: &str) -> Option<Teams> {
    Some((home.to_owned(), away.to_owned()))
}

/// Old A v Old B at 2-0, which has ended as its feed said, and left.
fn ended() -> Rig {
    let mut rig = Rig::new("soccer", Scoring::Goals);
    rig.teams = teams("Old A", "Old B");
    rig.base(1, W1, &START);
    rig.obs(1, &[(HOME, 1)]).obs(1, &[(HOME, 2)]).obs(1, &[FINISHED]);
    rig.give(&Input::End { epoch: Epoch(1), why: EndReason::Ended, at: 20 });
    rig.give(&Input::Ended { epoch: Epoch(1), at: 21 });
    rig
}

fn is_another(rig: &Rig, before: usize) {
    let new = &rig.all[before..];
    assert!(new.iter().all(|event| event.retracts.is_none()), "{new:?}");
    let ids: HashSet<EventId> = rig.all.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), rig.all.len(), "each id once");
    assert!(rig.all.windows(2).all(|two| two[0].order < two[1].order));
    assert_eq!(rig.of(EventType::MatchListed).len(), 2);
}

#[test]
fn other_teams_under_an_id_that_has_ended_are_another_match() {
    for source in [W1, W2] {
        let mut rig = ended();
        let before = rig.all.len();
        rig.teams = teams("New C", "New D");
        rig.base(2, source, &NEW);
        assert_eq!(rig.kinds(), ["match_listed", "match_started"]);
        assert_eq!(rig.switched, Some(Epoch(2)));
        rig.obs(2, &[(HOME, 1)]).wait(SETTLE).obs(2, &[FINISHED]);
        rig.give(&Input::End { epoch: Epoch(2), why: EndReason::Ended, at: 90 });
        is_another(&rig, before);
        assert_eq!((rig.of(EventType::Goal).len(), rig.of(EventType::MatchEnded).len()), (3, 2));
        assert_eq!(rig.ledger.scope.instance(), 1);
        assert!(rig.gaps.is_empty());
    }
}

#[test]
fn another_match_is_another_after_a_restart_too() {
    let mut rig = ended();
    rig.restart(Owner::Dead);
    let before = rig.all.len();
    rig.teams = teams("New C", "New D");
    rig.base(2, W1, &NEW).obs(2, &[(HOME, 1)]);
    rig.restart(Owner::Alive);
    assert_eq!(rig.ledger.scope.instance(), 1);
    rig.attach(W1).obs(2, &[(HOME, 2)]);
    assert_eq!(rig.kinds(), ["goal"]);
    is_another(&rig, before);
}

#[test]
fn a_match_that_is_over_and_still_followed_may_be_replaced() {
    let mut rig = Rig::new("soccer", Scoring::Goals);
    rig.teams = teams("Old A", "Old B");
    rig.base(1, W1, &START).obs(1, &[(HOME, 1), FINISHED]);
    rig.give(&Input::End { epoch: Epoch(1), why: EndReason::ConnectionLost, at: 9 });
    let before = rig.all.len();
    rig.teams = teams("New C", "New D");
    rig.base(1, W1, &NEW);
    assert_eq!(rig.kinds(), ["gap_end", "match_listed", "match_started"]);
    is_another(&rig, before);
}

#[test]
fn the_same_teams_again_take_the_end_back_and_go_on() {
    let mut rig = ended();
    let end = rig.of(EventType::MatchEnded)[0].id;
    rig.teams = teams(" old a", "OLD B ");
    rig.base(2, W1, &[(HOME, 2), (AWAY, 0), (Register::Phase, 1)]);
    assert!(rig.last.is_empty(), "a phase below the last known one is not believed at once");
    rig.wait(SETTLE);
    assert!(rig.last.iter().any(|event| event.retracts == Some(end)), "{:?}", rig.last);
    rig.obs(2, &[(HOME, 3)]);
    assert_eq!(rig.kinds(), ["goal"]);
    rig.give(&Input::End { epoch: Epoch(2), why: EndReason::Ended, at: 90 });
    let ends = rig.live().into_iter().filter(|event| event.kind == EventType::MatchEnded).count();
    assert_eq!((ends, rig.ledger.scope.instance()), (1, 0));
    assert_eq!(rig.of(EventType::MatchListed).len(), 1);
}

#[test]
fn a_match_without_a_phase_that_comes_back_takes_its_end_back() {
    let mut rig = Rig::new("chess", Scoring::Text);
    rig.base(1, W1, &[]);
    for epoch in [1, 2] {
        rig.give(&Input::End { epoch: Epoch(epoch), why: EndReason::Ended, at: 20 });
        assert_eq!(rig.kinds(), ["match_ended"]);
        let end = rig.last[0].id;
        rig.base(epoch + 1, W1, &[]);
        assert_eq!(rig.last.first().and_then(|event| event.retracts), Some(end));
    }
    let ids: HashSet<EventId> = rig.all.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), rig.all.len(), "each id once");
}

#[test]
fn where_names_are_not_known_it_is_the_same_match() {
    let mut rig = ended();
    rig.teams = None;
    rig.base(2, W1, &NEW).wait(SETTLE);
    assert_eq!((rig.of(EventType::MatchListed).len(), rig.ledger.scope.instance()), (1, 0));
    // What was known stays known.
    rig.give(&Input::End { epoch: Epoch(2), why: EndReason::Ended, at: 90 });
    rig.teams = teams("New C", "New D");
    rig.base(3, W1, &NEW);
    assert_eq!(rig.kinds(), ["match_listed", "match_started"]);
}

#[test]
fn other_names_in_a_match_that_goes_on_are_corrections() {
    let mut rig = Rig::new("soccer", Scoring::Goals);
    rig.teams = teams("A", "B");
    rig.base(1, W1, &START);
    rig.teams = teams("A United", "B");
    rig.base(1, W1, &START);
    assert!(rig.last.is_empty());
    assert_eq!(rig.ledger.teams, teams("A United", "B"));
}

#[test]
fn the_saved_text_states_the_instance_where_it_is_not_the_first() {
    let mut rig = ended();
    assert!(!rig.ledger.save().unwrap().text.contains("instance"));
    rig.teams = teams("New C", "New D");
    rig.base(2, W1, &NEW);
    let text = rig.ledger.save().unwrap().text;
    assert!(text.ends_with(r#""ended":false,"instance":1,"teams":["New C","New D"]}"#), "{text}");
}

#[test]
fn what_is_assigned_before_the_end_of_the_one_before_is_seen_begins_with_that_end() {
    let mut rig = Rig::new("soccer", Scoring::Goals);
    rig.teams = teams("Old A", "Old B");
    rig.base(1, W1, &START).obs(1, &[(HOME, 1)]);
    rig.teams = teams("New C", "New D");
    // The new one's worker is quicker than the old one's.
    rig.switch(2, Owner::Dead).base(2, W2, &NEW).obs(2, &[(AWAY, 1)]);
    assert!(rig.last.is_empty(), "the old one goes on until its end");
    let before = rig.all.len();
    rig.give(&Input::End { epoch: Epoch(1), why: EndReason::Ended, at: 20 });
    assert_eq!(rig.kinds(), ["period_end", "match_ended", "match_listed", "match_started"]);
    assert_eq!((rig.ledger.epoch(), rig.switched), (Some(Epoch(2)), Some(Epoch(2))));
    rig.give(&Input::Ended { epoch: Epoch(1), at: 30 });
    assert!(rig.last.is_empty() && !rig.ledger.is_ended(), "that was the old one");
    rig.obs(2, &[(AWAY, 2)]);
    assert_eq!(rig.kinds(), ["goal"]);
    is_another(&rig, before);
}

#[test]
fn a_match_that_ends_while_it_moves_has_ended_for_both_workers() {
    let mut rig = Rig::soccer();
    rig.base(2, W2, &START).switch(2, Owner::Alive);
    rig.obs(1, &[(HOME, 1)]);
    rig.give(&Input::End { epoch: Epoch(1), why: EndReason::Ended, at: 20 });
    assert_eq!(rig.kinds(), ["period_end", "match_ended"]);
    rig.give(&Input::End { epoch: Epoch(2), why: EndReason::Moved, at: 21 });
    rig.give(&Input::Ended { epoch: Epoch(2), at: 22 });
    assert!(rig.last.is_empty() && rig.ledger.is_ended() && rig.gaps.is_empty());
}
