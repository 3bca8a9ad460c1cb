//! When a match was not followed: what is reported of it, and what after it.

use super::*;

fn silent(rig: &mut Rig, since: i64) -> &mut Rig {
    rig.give(&Input::Silent { source: W1, since })
}

#[test]
fn a_silent_owner_leaves_a_gap_from_its_last_sign_to_the_next_load() {
    let mut rig = Rig::soccer();
    rig.pass(Duration::from_millis(300));
    let sign = rig.wall;
    rig.pass(Duration::from_secs(2));
    silent(&mut rig, sign);
    assert_eq!(rig.kinds(), ["gap_start"], "at once, whoever replaces it");
    rig.base(2, W2, &[(HOME, 1), (AWAY, 0), (Register::Phase, 1)]);
    assert!(rig.last.is_empty(), "it is not asked for yet");
    let load = rig.wall;
    rig.switch(2, Owner::Alive);
    assert_eq!(rig.kinds(), ["goal", "gap_end"]);
    assert!(rig.last[0].recovered);
    assert_eq!(rig.gap(), (sign, "worker_silent", load));
}

#[test]
fn a_silent_owner_that_goes_on_lost_nothing() {
    let mut rig = Rig::soccer();
    rig.pass(Duration::from_secs(2));
    silent(&mut rig, 6);
    rig.obs(1, &[(HOME, 1)]);
    assert_eq!(rig.kinds(), ["gap_end", "goal"]);
    assert!(!rig.last[1].recovered);
    let mut quiet = Rig::soccer();
    quiet.pass(Duration::from_secs(2));
    silent(&mut quiet, 6);
    quiet.give(&Input::Back { source: W1, at: quiet.wall });
    assert_eq!(quiet.kinds(), ["gap_end"], "also where nothing happens");
    quiet.base(2, W2, &START).switch(2, Owner::Alive);
    assert_eq!(quiet.ledger.epoch(), Some(Epoch(1)), "a living owner is asked again");
}

#[test]
fn what_was_on_its_way_from_a_silent_owner_is_no_sign_of_life() {
    let mut rig = Rig::soccer();
    let since = rig.wall + 1_000_000;
    silent(&mut rig, since);
    rig.obs(1, &[(HOME, 1)]);
    assert_eq!(rig.kinds(), ["goal"], "recorded, but it is from before");
    rig.pass(Duration::from_secs(3)).base(2, W2, &START).switch(2, Owner::Alive);
    assert_eq!(rig.switched, Some(Epoch(2)));
}

#[test]
fn what_a_worker_dropped_is_a_gap_until_its_next_load() {
    let mut rig = Rig::soccer();
    rig.give(&Input::Lost { epoch: Epoch(1), count: 3, since: 6 });
    assert_eq!(rig.kinds(), ["gap_start"]);
    rig.load(1, W1, &[(HOME, 1), (AWAY, 0), (Register::Phase, 1)], &[stat("3")]);
    assert_eq!(rig.kinds(), ["goal", "gap_end"]);
    assert_eq!(rig.gap(), (6, "overflow", 8));
    rig.give(&Input::Lost { epoch: Epoch(2), count: 3, since: 6 });
    assert!(rig.last.is_empty(), "what another dropped is no gap");
}

#[test]
fn what_an_old_owner_dropped_is_a_gap_that_is_over() {
    let mut rig = Rig::soccer();
    rig.gone(W1).load(2, W2, &START, &[]);
    assert_eq!(rig.kinds(), ["gap_end"]);
    let lost = Input::Lost { epoch: Epoch(1), count: 3, since: 6 };
    rig.give(&lost);
    assert_eq!(rig.kinds(), ["gap_start", "gap_end"]);
    rig.gone(W2);
    assert_eq!(rig.kinds(), ["gap_start"]);
    rig.give(&lost);
    assert!(rig.last.is_empty(), "it stays open until the match is followed again");
}

#[test]
fn texts_that_changed_in_a_gap_are_recovered() {
    let mut rig = Rig::soccer();
    rig.texts(1, &[stat("1"), comment("a")]).gone(W1).load(2, W2, &START, &[stat("2"), comment("a")]);
    assert_eq!(rig.kinds(), ["gap_end"]);
    rig.wait(SETTLE);
    assert_eq!(rig.kinds(), ["stat_change"]);
    assert!(rig.last[0].recovered);
}

#[test]
fn a_connection_that_comes_back_may_be_behind() {
    let mut rig = Rig::soccer();
    rig.obs(1, &[(HOME, 2)]);
    rig.give(&Input::End { epoch: Epoch(1), why: EndReason::ConnectionLost, at: 9 });
    rig.base(1, W1, &[(HOME, 1), (AWAY, 0), (Register::Phase, 1)]);
    assert!(rig.last.is_empty());
    rig.obs(1, &[(HOME, 2)]);
    assert_eq!(rig.kinds(), ["gap_end"]);
}

#[test]
fn what_waits_to_be_believed_outlives_the_recorder() {
    let mut rig = Rig::soccer();
    rig.obs(1, &[(HOME, 2), (Register::Suspended, 1)]);
    rig.give(&Input::End { epoch: Epoch(1), why: EndReason::ConnectionLost, at: 9 });
    rig.base(1, W1, &[(HOME, 1), (AWAY, 0), (Register::Phase, 1), (Register::Suspended, 0)]);
    assert!(rig.last.is_empty());
    rig.restart(Owner::Alive);
    let mut out = Outcome::default();
    rig.ledger.restored_at(20, &mut out);
    let kinds: Vec<_> =
        out.events.iter().map(|event| (event.kind.as_str(), event.recovered, event.at)).collect();
    assert_eq!(kinds, [("resumed", true, 20)]);
    // The next value is a change again, which the one before the gap would have hidden.
    rig.attach(W1).obs(1, &[(Register::Suspended, 1)]);
    assert_eq!(rig.kinds(), ["suspended"]);
    // A lower counter waits on.
    rig.now = Instant::now();
    rig.wait(SETTLE * 2);
    assert_eq!(rig.kinds(), ["retract", "gap_end"]);
    // What was believed does not wait after the next start.
    rig.restart(Owner::Alive);
    let mut out = Outcome::default();
    rig.ledger.restored_at(30, &mut out);
    assert!(out.events.is_empty());
}

#[test]
fn an_end_leaves_no_gap_open() {
    let mut rig = Rig::soccer();
    rig.give(&Input::End { epoch: Epoch(1), why: EndReason::Ended, at: 6 });
    rig.gone(W1);
    assert!(rig.gaps.is_empty() && rig.ledger.is_ended());
    rig.base(2, W2, &[(HOME, 1), (AWAY, 0), (Register::Phase, 1)]);
    assert_eq!(rig.switched, Some(Epoch(2)), "a match that comes back has no owner to wait for");
}

#[test]
fn the_end_of_a_match_in_a_gap_is_reported() {
    let mut rig = Rig::soccer();
    rig.gone(W1).give(&Input::Ended { epoch: Epoch(1), at: 90 });
    assert_eq!(rig.kinds(), ["period_end", "match_ended", "gap_end"]);
    assert!(rig.last[..2].iter().all(|event| event.recovered));
    rig.give(&Input::Ended { epoch: Epoch(1), at: 91 });
    assert!(rig.last.is_empty());
    let mut early = Rig::new("soccer", Scoring::Goals);
    early.base(1, W1, &[(HOME, 0), (AWAY, 0), (Register::Phase, 0)]);
    early.gone(W1).give(&Input::Ended { epoch: Epoch(1), at: 90 });
    assert_eq!(early.kinds(), ["match_ended", "gap_end"], "it never began, as far as is known");
}

#[test]
fn a_worker_that_lives_reports_the_end_behind_what_it_still_holds() {
    let ended = Input::Ended { epoch: Epoch(1), at: 90 };
    let mut rig = Rig::soccer();
    rig.give(&ended);
    assert!(rig.last.is_empty());
    rig.obs(1, &[(HOME, 1)]);
    assert_eq!(rig.kinds(), ["goal"]);
    rig.give(&Input::End { epoch: Epoch(1), why: EndReason::Ended, at: 6 });
    assert_eq!(rig.kinds(), ["period_end", "match_ended"]);
    rig.wait(Duration::from_secs(10));
    assert!(rig.last.is_empty());
    // One that does not is not waited for; one that dies neither.
    let mut mute = Rig::soccer();
    mute.give(&ended).wait(Duration::from_secs(5));
    assert_eq!(mute.kinds(), ["period_end", "match_ended"]);
    let mut dead = Rig::soccer();
    dead.give(&ended).gone(W1);
    assert_eq!(dead.kinds(), ["gap_start", "period_end", "match_ended", "gap_end"]);
    // A recorder that starts learns of the end before its workers are back.
    let mut restarted = Rig::soccer();
    restarted.restart(Owner::Alive);
    restarted.give(&ended).attach(W1).obs(1, &[(HOME, 1)]);
    assert_eq!(restarted.kinds(), ["goal"]);
}

#[test]
fn what_takes_over_from_a_match_that_is_to_end_is_not_ended_with_it() {
    let mut rig = Rig::soccer();
    rig.restart(Owner::Alive);
    rig.give(&Input::Ended { epoch: Epoch(1), at: 90 });
    // Its worker does not come back; another has what came under the id since.
    rig.base(2, W2, &START).switch(2, Owner::Dead);
    assert_eq!(rig.ledger.epoch(), Some(Epoch(2)));
    assert_eq!(rig.of(EventType::MatchEnded).len(), 1);
    rig.wait(Duration::from_secs(10));
    assert!(!rig.ledger.is_ended() && rig.of(EventType::MatchEnded).len() == 1, "{:?}", rig.kinds());
    // A second, higher end is what counts.
    let mut twice = Rig::soccer();
    twice.give(&Input::Ended { epoch: Epoch(1), at: 90 }).base(2, W2, &START);
    twice.give(&Input::Ended { epoch: Epoch(2), at: 91 }).wait(Duration::from_secs(5));
    assert!(twice.ledger.is_ended());
    assert_eq!(twice.ledger.epoch(), Some(Epoch(1)), "the candidate has ended, too");
}

#[test]
fn a_match_ends_once_however_it_leaves() {
    let end = |rig: &mut Rig| {
        rig.give(&Input::End { epoch: Epoch(1), why: EndReason::Ended, at: 6 });
        rig.give(&Input::Ended { epoch: Epoch(1), at: 90 });
    };
    let mut taken_off = Rig::soccer();
    end(&mut taken_off);
    assert_eq!(taken_off.of(EventType::MatchEnded).len(), 1, "its feed said nothing of its end");
    assert!(!taken_off.of(EventType::MatchEnded)[0].recovered, "it was followed until then");
    let mut played = Rig::soccer();
    played.obs(1, &[(Register::Phase, Phase::FINISHED.0)]);
    end(&mut played);
    assert_eq!(played.of(EventType::MatchEnded).len(), 1, "the feed said it");
    let mut unknown = Rig::new("chess", Scoring::Text);
    unknown.base(1, W1, &[]);
    end(&mut unknown);
    assert_eq!(unknown.of(EventType::MatchEnded).len(), 1, "no phase was ever known");
    let mut over = Rig::new("soccer", Scoring::Goals);
    over.base(1, W1, &[(HOME, 1), (AWAY, 0), (Register::Phase, Phase::FINISHED.0)]);
    end(&mut over);
    assert_eq!(over.of(EventType::MatchEnded).len(), 1, "it was over when it was first seen");
    let mut early = Rig::new("soccer", Scoring::Goals);
    early.base(1, W1, &[(HOME, 0), (AWAY, 0), (Register::Phase, 0)]);
    end(&mut early);
    assert_eq!(early.of(EventType::MatchEnded).len(), 1, "it was taken off before it began");
    let mut unseen = Rig::new("soccer", Scoring::Goals);
    unseen.switch(1, Owner::Dead).give(&Input::Ended { epoch: Epoch(1), at: 90 });
    assert_eq!(unseen.kinds(), ["match_listed", "match_ended"], "no worker ever had a load of it");
    assert!(unseen.last.iter().all(|event| event.recovered));
    unseen.give(&Input::Ended { epoch: Epoch(1), at: 91 });
    assert!(unseen.last.is_empty());
    // It comes back, and is followed now.
    unseen.base(2, W1, &START);
    assert_eq!(unseen.kinds(), ["retract", "match_started"]);
    assert_eq!(unseen.of(EventType::MatchListed).len(), 1);
}
