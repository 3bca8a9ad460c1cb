//! When nobody followed a match: what is said of it, and what is told after it.

use super::*;

const START: [(Register, i64); 3] = [(HOME, 0), (AWAY, 0), (Register::Phase, 1)];

fn silent(rig: &mut Rig, since: i64) -> &mut Rig {
    rig.give(&Input::Silent { source: W1, since })
}

fn gap(rig: &Rig) -> (i64, &'static str, i64) {
    let [GapStep::Open { at, reason, .. }, GapStep::Close { at: to }] = rig.gaps[..] else {
        panic!("{:?}", rig.gaps)
    };
    (at, reason, to)
}

#[test]
fn what_a_silent_owner_missed_is_a_gap_from_its_last_sign_to_the_next_load() {
    let mut rig = Rig::soccer();
    rig.odds(1, "2/1");
    rig.pass(Duration::from_millis(300));
    let sign = rig.wall;
    rig.pass(Duration::from_secs(2));
    silent(&mut rig, sign);
    assert_eq!(rig.kinds(), ["gap_start"], "said at once, whoever takes over");
    rig.base(2, W2, &[(HOME, 1), (AWAY, 0), (Register::Phase, 1)]);
    assert!(rig.last.is_empty(), "nobody has asked for it yet");
    let load = rig.wall;
    rig.odds(2, "5/1").pass(Duration::from_millis(1)).switch(2, Owner::Alive);
    assert_eq!(rig.kinds(), ["goal", "gap_end", "odds_change"], "at once: nothing more comes from the owner");
    assert!(rig.last[0].recovered && !rig.last[2].recovered);
    assert_eq!(gap(&rig), (sign, "worker_silent", load));
    rig.odds(1, "3/1");
    assert_eq!((rig.refused, rig.last.len()), (1, 0), "it comes too late");
}

#[test]
fn a_silent_owner_that_goes_on_lost_nothing() {
    let mut rig = Rig::soccer();
    rig.pass(Duration::from_secs(2));
    silent(&mut rig, 6);
    rig.odds(1, "2/1");
    assert_eq!(rig.kinds(), ["gap_end", "odds_change"]);
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
    rig.odds(1, "2/1");
    assert_eq!(rig.kinds(), ["odds_change"], "told, but it was told before");
    rig.pass(Duration::from_secs(3)).base(2, W2, &START).switch(2, Owner::Alive);
    assert_eq!(rig.switched, Some(Epoch(2)));
}

#[test]
fn an_owner_that_says_nothing_of_what_the_candidate_tells_stood_still() {
    let mut rig = Rig::soccer();
    rig.odds(1, "2/1");
    let word = rig.wall + 2;
    rig.pass(Duration::from_millis(900)).base(2, W2, &START).switch(2, Owner::Alive);
    let load = rig.wall;
    rig.pass(Duration::from_millis(10)).odds(2, "7/1");
    rig.wait(SETTLE);
    assert_eq!(rig.kinds(), ["gap_start", "gap_end", "odds_change"]);
    assert_eq!(gap(&rig), (word, "worker_silent", load));
}

#[test]
fn a_candidate_in_which_a_living_owner_is_never_found_takes_over_with_a_gap() {
    let mut rig = Rig::soccer();
    rig.pass(Duration::from_secs(1)).base(2, W2, &START).switch(2, Owner::Alive);
    let load = rig.wall;
    // The owner is so far behind that nothing of what it tells is still known of the candidate.
    for n in 0..10 {
        assert_eq!(rig.ledger.epoch(), Some(Epoch(1)), "after {n} s");
        rig.odds(1, &format!("{n}/7")).odds(2, &format!("{n}/5")).wait(Duration::from_secs(1));
    }
    let last_word = rig.wall - 1_000_000 + 2;
    assert_eq!(rig.ledger.epoch(), Some(Epoch(2)));
    assert_eq!(gap(&rig), (load, "moved", last_word), "what its predecessor had still to tell is lost");
    rig.odds(2, "9/4");
    assert_eq!(rig.kinds(), ["odds_change"]);
}

#[test]
fn a_candidate_that_is_behind_a_living_owner_has_time_to_come_up_with_it() {
    let mut rig = Rig::soccer();
    rig.pass(Duration::from_secs(1)).base(2, W2, &START).switch(2, Owner::Alive);
    for n in 0..15 {
        rig.odds(1, &format!("{n}/7")).wait(Duration::from_secs(1));
    }
    assert_eq!(rig.ledger.epoch(), Some(Epoch(1)), "it would tell again what the owner told");
    rig.odds(2, "9/4");
    assert_eq!(rig.ledger.epoch(), Some(Epoch(2)));
    assert_eq!(gap(&rig).1, "moved");
    let mut never = Rig::soccer();
    never.pass(Duration::from_secs(1)).base(2, W2, &START).switch(2, Owner::Alive);
    for n in 0..20 {
        assert_eq!(never.ledger.epoch(), Some(Epoch(1)), "after {n} s");
        never.odds(1, &format!("{n}/7")).wait(Duration::from_secs(1));
    }
    assert_eq!(never.ledger.epoch(), Some(Epoch(2)), "but no more than that");
}

#[test]
fn a_quiet_match_moves_without_a_gap() {
    let mut rig = Rig::soccer();
    rig.odds(1, "2/1").pass(Duration::from_secs(60)).base(2, W2, &START).switch(2, Owner::Alive);
    rig.wait(SETTLE);
    assert_eq!(rig.switched, Some(Epoch(2)));
    assert!(rig.gaps.is_empty(), "{:?}", rig.gaps);
}

#[test]
fn silence_says_nothing_while_something_is_on_its_way() {
    let mut rig = Rig::soccer();
    rig.odds(1, "2/1").pass(Duration::from_secs(1)).base(2, W2, &START).switch(2, Owner::Alive);
    let load = rig.wall;
    assert_eq!(rig.ledger.awaited(), Some([(W1, load), (W2, 7)]));
    for _ in 0..4 {
        rig.pass(SETTLE).give(&Input::Tick { at: load, said: Said::NotAll });
        assert_eq!(rig.ledger.epoch(), Some(Epoch(1)), "the owner may have seen what came before the load");
        assert!(rig.ledger.deadline() > Some(rig.now), "no time is lost with asking");
    }
    rig.odds(1, "3/1");
    assert_eq!(rig.kinds(), ["odds_change"]);
    rig.wait(SETTLE);
    assert_eq!(rig.ledger.epoch(), Some(Epoch(2)));
    assert!(rig.gaps.is_empty(), "{:?}", rig.gaps);
}

#[test]
fn a_candidate_in_which_a_dead_owner_is_found_has_no_gap_to_tell() {
    let mut rig = Rig::soccer();
    rig.pass(Duration::from_secs(1)).base(2, W2, &START);
    for text in ["2/1", "3/1", "4/1"] {
        rig.odds(1, text).odds(2, text);
    }
    rig.odds(2, "5/1").gone(W1);
    assert_eq!(
        (rig.kinds(), rig.gaps.len()),
        (vec!["odds_change"], 0),
        "what the dead one did not tell any more"
    );
    assert_eq!(odds_text(&rig.last[0]), "5/1");
}

#[test]
fn a_recorder_killed_right_after_a_start_says_no_gap_where_there_was_none() {
    let mut rig = Rig::soccer();
    rig.restart(Owner::Alive);
    // The coordinator never heard that the epoch was adopted: it takes the owner for one that is gone.
    rig.switch(7, Owner::Dead).attach(W1).base(7, W1, &START);
    assert_eq!(rig.ledger.epoch(), Some(Epoch(7)));
    assert!(rig.gaps.is_empty(), "{:?}", rig.gaps);
    let mut gone = Rig::soccer();
    gone.restart(Owner::Alive);
    gone.ledger.known_until(40);
    gone.pass(Duration::from_secs(1)).switch(7, Owner::Dead).base(7, W2, &START);
    assert_eq!(gap(&gone), (40, "worker_died", 1_000_008));
}

#[test]
fn a_match_that_ended_in_a_gap_is_told_to_have_ended() {
    let mut rig = Rig::soccer();
    rig.gone(W1).give(&Input::Ended { at: 90 });
    assert_eq!(rig.kinds(), ["period_end", "match_ended", "gap_end"]);
    assert!(rig.last[..2].iter().all(|event| event.recovered));
    rig.give(&Input::Ended { at: 91 });
    assert!(rig.last.is_empty());
    let mut seen = Rig::soccer();
    seen.give(&Input::End { epoch: Epoch(1), why: EndReason::Ended, at: 6 }).give(&Input::Ended { at: 90 });
    assert!(seen.of(EventType::MatchEnded).is_empty(), "its worker saw no end: it was taken from the list");
    let mut early = Rig::new("soccer", Scoring::Goals);
    early.base(1, W1, &[(HOME, 0), (AWAY, 0), (Register::Phase, 0)]).gone(W1).give(&Input::Ended { at: 90 });
    assert!(early.of(EventType::MatchEnded).is_empty(), "it never began, as far as is known");
}
