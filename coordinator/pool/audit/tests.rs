//! What answers to audits prove, and what they do not.

use super::round::PROOF;
use super::*;
use touchline_common::model::FeedId;

const HERE: (SlotId, Generation) = (SlotId(1), Generation(1));
const THERE: (SlotId, Generation) = (SlotId(2), Generation(1));
const WHOLE: Finding = Finding::Whole { deltas: 30 };
const MISSED: Finding = Finding::Missed { nodes: 7 };
const QUIET: Finding = Finding::Whole { deltas: 0 };

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn key(n: u32) -> MatchKey {
    MatchKey { feed: FeedId(0), id: format!("m{n:02}").as_str().into() }
}

fn connection(matches: u32) -> Connection {
    let (slot, generation) = HERE;
    let matches: Vec<_> = (0..matches).map(|n| (key(n), 1)).collect();
    // The list, too.
    Connection { slot, generation, held: matches.len() as u32 + 1, matches }
}

/// Answers what is asked, also again; `of`: what is found of each match.
fn answer(
    auditor: &mut Auditor,
    mut keys: Vec<MatchKey>,
    mut at: Duration,
    mut of: impl FnMut(u32) -> Finding,
) -> Step {
    loop {
        for asked in keys {
            let n = asked.id.as_str()[1..].parse().unwrap();
            assert_eq!(auditor.found(&asked, HERE, 0, of(n), at), None);
        }
        let step = loop {
            match auditor.settle(at) {
                Some(step) => break step,
                None => at += s(1),
            }
        };
        match step {
            Step::Ask { keys: more, .. } => keys = more,
            Step::Looked(_) | Step::Suspect { .. } | Step::Tried { .. } => return step,
        }
    }
}

fn look(auditor: &mut Auditor, matches: u32, now: Duration, of: impl FnMut(u32) -> Finding) -> Step {
    assert!(auditor.may_begin(now));
    let keys = auditor.begin(connection(matches), Asks::Newest, now);
    answer(auditor, keys, now, of)
}

/// Of 49 matches the last 13 are thinned. Suspected at 15 s.
fn suspected() -> Auditor {
    let mut auditor = Auditor::new();
    let step = look(&mut auditor, 49, s(10), |n| if n >= 36 { MISSED } else { WHOLE });
    let look = Look { slot: HERE.0, held: 50, audited: 49, missed: 13 };
    assert_eq!(step, Step::Suspect { look, granted: 37, missing: 13 });
    auditor
}

#[test]
fn three_that_miss_nothing_prove_the_whole_connection() {
    let mut auditor = Auditor::new();
    let step = look(&mut auditor, 49, s(10), |_| WHOLE);
    assert_eq!(step, Step::Looked(Look { slot: HERE.0, held: 50, audited: 3, missed: 0 }));
    assert_eq!(auditor.proven(), 50);
}

#[test]
fn what_does_not_change_proves_nothing_and_is_asked_later_and_later() {
    let mut auditor = Auditor::new();
    look(&mut auditor, 49, s(10), |n| if n == 47 { WHOLE } else { QUIET });
    assert_eq!(auditor.proven(), 49, "all but the newest");
    let mut at = s(10);
    let mut waits = Vec::new();
    for _ in 0..9 {
        let before = at;
        while !auditor.may_begin(at) {
            at += s(1);
        }
        waits.push((at - before).as_secs());
        look(&mut auditor, 49, at, |_| Finding::Void);
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
    let few = Finding::Whole { deltas: PROOF - 1 };
    look(&mut auditor, 49, at + s(600), |_| few);
    assert_eq!(auditor.proven(), 49, "few may be all by chance");
}

#[test]
fn the_surplus_is_tried_elsewhere_and_proves_the_cap_where_fewer_are_held() {
    let mut auditor = suspected();
    assert_eq!(auditor.witnesses(), [key(46), key(47), key(48)]);
    assert_eq!((auditor.cap_of(HERE.0), auditor.cap_of(THERE.0)), (Some(47), None));
    assert_eq!((auditor.most_with(&key(46)), auditor.most_with(&key(45))), (Some(37), None));
    assert_eq!(auditor.suspected(), Some(HERE.0));
    assert!(!auditor.is_due(&key(46), s(16), s(18)) && auditor.is_due(&key(46), s(16), s(19)));
    assert!(!auditor.is_due(&key(46), s(16), s(21)), "it was asked");
    assert!(!auditor.is_due(&key(3), s(16), s(21)), "it is none");
    assert_eq!(auditor.found(&key(46), THERE, 38, WHOLE, s(15)), None, "too many are held there");
    assert_eq!(auditor.found(&key(46), HERE, 37, WHOLE, s(15)), None, "that is where it is thinned");
    assert_eq!(auditor.found(&key(45), THERE, 37, WHOLE, s(15)), None, "nobody was sent to prove it");
    assert_eq!(auditor.found(&key(46), THERE, 37, QUIET, s(15)), None);
    assert_eq!(auditor.found(&key(46), THERE, 37, WHOLE, s(16)), Some(37));
    assert_eq!((auditor.suspected(), auditor.proven()), (None, 37));
}

#[test]
fn what_misses_deltas_elsewhere_too_is_no_sign_for_a_while() {
    let mut auditor = suspected();
    assert_eq!(auditor.found(&key(46), THERE, 4, MISSED, s(16)), None);
    assert_eq!(auditor.found(&key(47), THERE, 4, MISSED, s(16)), None);
    assert_eq!(auditor.suspected(), Some(HERE.0));
    assert_eq!(auditor.found(&key(48), THERE, 4, MISSED, s(16)), None);
    assert_eq!(auditor.suspected(), None);
    assert!(!auditor.may_begin(s(615)) && auditor.may_begin(s(616)));
}

#[test]
fn witnesses_that_find_no_place_are_not_waited_for() {
    let mut auditor = suspected();
    assert_eq!((auditor.settle(s(74)), auditor.suspected()), (None, Some(HERE.0)));
    assert_eq!((auditor.settle(s(75)), auditor.suspected()), (None, None));
    assert!(!auditor.may_begin(s(674)) && auditor.may_begin(s(675)));
}

#[test]
fn where_all_miss_deltas_there_is_nothing_to_compare_with() {
    let mut auditor = Auditor::new();
    let step = look(&mut auditor, 9, s(10), |n| if n == 1 { QUIET } else { MISSED });
    assert_eq!(step, Step::Looked(Look { slot: HERE.0, held: 10, audited: 9, missed: 8 }));
    assert!(!auditor.may_begin(s(609)) && auditor.may_begin(s(610)));
    look(&mut auditor, 9, s(610), |_| MISSED);
    assert!(!auditor.may_begin(s(1_809)) && auditor.may_begin(s(1_810)), "later each time");
}

#[test]
fn what_did_not_change_is_taken_for_what_its_elder_is() {
    let mut auditor = Auditor::new();
    let of = |n: u32| match n {
        0 | 20 | 37 | 40 => QUIET,
        48 => Finding::Void,
        n if n >= 36 => MISSED,
        _ => WHOLE,
    };
    let Step::Suspect { look: found, granted, missing } = look(&mut auditor, 49, s(10), of) else {
        panic!("nothing is suspected")
    };
    assert_eq!((found.missed, granted, missing), (10, 37, 13));
    assert_eq!(auditor.witnesses(), [key(45), key(46), key(47)]);
}

/// How often each match was asked.
#[derive(Default)]
struct Asked(BTreeMap<u32, u32>);

impl Asked {
    fn again(&mut self, n: u32) -> u32 {
        let times = self.0.entry(n).or_default();
        *times += 1;
        *times
    }
}

#[test]
fn what_missed_deltas_must_miss_them_again() {
    let (mut auditor, mut asked) = (Auditor::new(), Asked::default());
    let step = look(&mut auditor, 49, s(10), |n| match asked.again(n) {
        1 if n >= 36 => MISSED,
        _ => WHOLE,
    });
    assert_eq!(step, Step::Looked(Look { slot: HERE.0, held: 50, audited: 49, missed: 0 }));
    assert_eq!(auditor.proven(), 50, "what they missed they missed before");
    assert_eq!(asked.0.values().filter(|times| **times == 2).count(), 13);
}

#[test]
fn what_did_not_change_between_two_looks_is_taken_for_what_most_are() {
    let (mut auditor, mut asked) = (Auditor::new(), Asked::default());
    let step = look(&mut auditor, 49, s(10), |n| match (asked.again(n), n) {
        (1, 36..) => MISSED,
        (_, 37 | 40 | 45) => MISSED,
        (_, 36 | 48) => WHOLE,
        (2.., _) => QUIET,
        _ => WHOLE,
    });
    let look_of = |missed| Look { slot: HERE.0, held: 50, audited: 49, missed };
    assert_eq!(step, Step::Suspect { look: look_of(11), granted: 39, missing: 11 });
    let (mut auditor, mut asked) = (Auditor::new(), Asked::default());
    let step = look(&mut auditor, 49, s(10), |n| match (asked.again(n), n) {
        (1, 36..) => MISSED,
        (2.., 40) => MISSED,
        (2.., 41 | 42) => WHOLE,
        (2.., _) => QUIET,
        _ => WHOLE,
    });
    assert_eq!(step, Step::Suspect { look: look_of(1), granted: 49, missing: 1 });
}

#[test]
fn matches_of_which_none_changes_are_asked_again_three_times() {
    let (mut auditor, mut asked) = (Auditor::new(), Asked::default());
    let step = look(&mut auditor, 49, s(10), |n| match asked.again(n) {
        1 if n >= 36 => MISSED,
        1 => WHOLE,
        _ => QUIET,
    });
    assert!(matches!(step, Step::Looked(_)));
    assert_eq!((asked.0[&48], asked.0[&3], auditor.suspected()), (4, 1, None));
}

#[test]
fn connections_that_were_above_the_cap_are_looked_at_when_they_no_longer_are() {
    let mut auditor = Auditor::new();
    auditor.doubt(HERE.0, HERE.1);
    auditor.doubt(THERE.0, THERE.1);
    assert!(auditor.doubts(HERE.0, HERE.1) && !auditor.doubts(HERE.0, Generation(2)));
    look(&mut auditor, 36, s(10), |_| WHOLE);
    auditor.gone(THERE.0, THERE.1, s(11));
    assert!(!auditor.doubts(HERE.0, HERE.1) && !auditor.doubts(THERE.0, THERE.1));
}

#[test]
fn what_is_no_sign_does_not_make_others_one() {
    let mut auditor = suspected();
    for n in 46..49 {
        auditor.found(&key(n), THERE, 4, MISSED, s(16));
    }
    auditor.rest(s(20));
    let step = look(&mut auditor, 49, s(20), |n| if n >= 46 { MISSED } else { WHOLE });
    assert_eq!(step, Step::Looked(Look { slot: HERE.0, held: 50, audited: 3, missed: 0 }));
}

#[test]
fn who_does_not_answer_proves_nothing() {
    let mut auditor = Auditor::new();
    auditor.begin(connection(9), Asks::Newest, s(10));
    assert_eq!(auditor.found(&key(8), HERE, 10, WHOLE, s(11)), None);
    assert_eq!(auditor.settle(s(84)), None);
    assert!(matches!(auditor.settle(s(85)), Some(Step::Looked(Look { missed: 0, .. }))));
    assert_eq!(auditor.proven(), 10, "but who did does");
}

#[test]
fn a_worker_that_found_something_has_its_connection_looked_at() {
    let mut auditor = Auditor::new();
    look(&mut auditor, 49, s(10), |_| WHOLE);
    assert_eq!(auditor.found(&key(5), HERE, 50, WHOLE, s(100)), None);
    assert_eq!(auditor.proven(), 50);
    assert_eq!(auditor.found(&key(5), HERE, 50, MISSED, s(100)), None);
    assert_eq!((auditor.proven(), auditor.hint().map(|hint| hint.slot)), (0, Some(HERE.0)));
    assert!(!auditor.may_begin(s(109)));
    let keys = auditor.begin(connection(49), Asks::Newest, s(110));
    assert_eq!(keys, [key(5), key(46), key(47), key(48)]);
    answer(&mut auditor, keys, s(110), |_| WHOLE);
    auditor.found(&key(5), HERE, 50, MISSED, s(159));
    assert_eq!(auditor.proven(), 50, "once a minute");
}

#[test]
fn one_match_more_is_held_against_the_oldest() {
    let outcome = |of: fn(u32) -> Finding| {
        let mut auditor = Auditor::new();
        let keys = auditor.begin(connection(38), Asks::Trial, s(10));
        assert_eq!(keys, [key(0), key(1), key(37)]);
        let step = answer(&mut auditor, keys, s(10), of);
        let Step::Tried { outcome, .. } = step else { panic!("{step:?}") };
        (outcome, auditor.proven())
    };
    assert_eq!(outcome(|_| WHOLE), (Tried::Served, 39));
    assert_eq!(outcome(|n| if n == 37 { MISSED } else { WHOLE }), (Tried::Thinned, 0));
    assert_eq!(outcome(|n| if n == 0 { QUIET } else { MISSED }), (Tried::Unlike, 0));
    assert_eq!(outcome(|n| if n == 37 { QUIET } else { WHOLE }), (Tried::Unknown, 0));
}

#[test]
fn what_was_thought_of_a_process_ends_with_it() {
    let mut auditor = suspected();
    auditor.gone(HERE.0, Generation(2), s(20));
    auditor.gone(THERE.0, THERE.1, s(20));
    assert_eq!(auditor.suspected(), Some(HERE.0));
    auditor.gone(HERE.0, HERE.1, s(20));
    assert_eq!(auditor.suspected(), None);
    auditor.begin(connection(9), Asks::Newest, s(30));
    auditor.gone(HERE.0, HERE.1, s(31));
    assert_eq!(auditor.settle(s(32)), None);
    auditor.found(&key(5), HERE, 50, MISSED, s(40));
    auditor.gone(HERE.0, HERE.1, s(41));
    assert!(auditor.hint().is_none());
}
