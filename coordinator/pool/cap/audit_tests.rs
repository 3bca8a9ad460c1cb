//! What findings prove, and what they do not.

use super::*;
use touchline_common::model::FeedId;

const HERE: SlotId = SlotId(1);
const THERE: SlotId = SlotId(2);
const WHOLE: Finding = Finding::Whole { deltas: 30 };
const MISSED: Finding = Finding::Missed { nodes: 7 };
const QUIET: Finding = Finding::Whole { deltas: 4 };

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn key(n: u32) -> MatchKey {
    MatchKey { feed: FeedId(0), id: format!("m{n:02}").as_str().into() }
}

/// With the list, one subscription more than matches.
fn connection(matches: u32) -> Connection {
    let matches: Vec<_> = (0..matches).map(|n| (key(n), 1)).collect();
    Connection { slot: HERE, held: matches.len() as u32 + 1, matches }
}

/// Looks at a connection of so many matches, of which `of` is found. Gives the conclusion and the number of audits.
fn look(
    auditor: &mut Auditor,
    matches: u32,
    purpose: Purpose,
    of: impl Fn(u32) -> Finding,
) -> (Conclusion, usize) {
    let mut keys = auditor.look(connection(matches), purpose, s(0));
    let mut asked = 0;
    loop {
        asked += keys.len();
        for key in keys {
            let n = key.id.as_str()[1..].parse().unwrap();
            auditor.found(&key, HERE, of(n));
        }
        match auditor.conclude(s(1)).unwrap() {
            Conclusion::AuditAlso { keys: more, .. } => keys = more,
            conclusion @ (Conclusion::Looked(_)
            | Conclusion::Surplus { .. }
            | Conclusion::Probed { .. }
            | Conclusion::Unproven) => return (conclusion, asked),
        }
    }
}

fn surplus(auditor: &mut Auditor, matches: u32, of: impl Fn(u32) -> Finding) -> (Option<u32>, usize) {
    match look(auditor, matches, Purpose::Surplus, of) {
        (Conclusion::Surplus { granted, .. }, asked) => (Some(granted), asked),
        (conclusion, asked) => {
            assert!(matches!(conclusion, Conclusion::Looked(_)), "{conclusion:?}");
            (None, asked)
        }
    }
}

#[test]
fn the_newest_three_that_miss_nothing_prove_all_that_is_held() {
    let mut auditor = Auditor::default();
    assert_eq!(surplus(&mut auditor, 49, |_| WHOLE), (None, 3));
    assert_eq!((auditor.proven(), auditor.counts()), (50, Counts { audits: 3, missed: 0 }));
    assert!(auditor.may_look(s(1)));
}

#[test]
fn where_some_miss_deltas_and_others_do_not_the_cap_is_what_was_served() {
    let mut auditor = Auditor::default();
    assert_eq!(surplus(&mut auditor, 49, |n| if n < 36 { WHOLE } else { MISSED }), (Some(37), 49));
    assert!(auditor.is_surplus(&key(36)) && !auditor.is_surplus(&key(35)));
    assert_eq!((auditor.proven(), auditor.may_look(s(1_000))), (37, false));
    let few = |n: u32| {
        if n.is_multiple_of(3) {
            QUIET
        } else if n < 36 {
            WHOLE
        } else {
            MISSED
        }
    };
    assert_eq!(surplus(&mut Auditor::default(), 49, few).0, Some(38), "what is quiet is as the next older");
    let not_the_newest = |n| if (20..33).contains(&n) { MISSED } else { WHOLE };
    assert_eq!(surplus(&mut Auditor::default(), 49, not_the_newest), (None, 3));
}

#[test]
fn where_all_miss_deltas_or_none_changed_there_is_no_cap() {
    let mut auditor = Auditor::default();
    assert_eq!(surplus(&mut auditor, 49, |_| MISSED), (None, 49));
    assert_eq!((auditor.proven(), auditor.may_look(s(1))), (50, true), "nothing more is asked of it");
    let mut auditor = Auditor::default();
    assert_eq!(surplus(&mut auditor, 49, |_| QUIET), (None, 3));
    assert_eq!(auditor.proven(), 0);
    assert!(!auditor.may_look(s(20)) && auditor.may_look(s(21)));
}

#[test]
fn what_is_not_found_in_time_is_unknown() {
    let mut auditor = Auditor::default();
    assert_eq!(auditor.look(connection(9), Purpose::Surplus, s(0)), [key(8), key(7), key(6)]);
    auditor.found(&key(8), THERE, WHOLE);
    assert_eq!(auditor.conclude(s(74)), None);
    let summary = Summary { slot: HERE, held: 10, audited: 3, missed: 0 };
    assert_eq!(auditor.conclude(s(75)), Some(Conclusion::Looked(summary)));
    assert_eq!((auditor.proven(), auditor.counts().audits), (0, 1));
}

fn moved() -> Auditor {
    let mut auditor = Auditor::default();
    surplus(&mut auditor, 9, |n| if n < 7 { WHOLE } else { MISSED });
    let (origin, keys) = auditor.unverified().unwrap();
    assert_eq!((origin, keys), (HERE, vec![key(7), key(8)]));
    auditor
}

#[test]
fn what_moved_is_verified_once() {
    let mut auditor = moved();
    assert!(!auditor.verify(&key(7), s(2), s(6)) && auditor.verify(&key(7), s(2), s(7)));
    assert!(!auditor.verify(&key(7), s(2), s(8)) && auditor.verify(&key(8), s(2), s(8)));
    auditor.found(&key(7), HERE, MISSED);
    auditor.found(&key(7), THERE, WHOLE);
    assert_eq!(auditor.conclude(s(9)), None);
    assert!(auditor.is_surplus(&key(8)));
    auditor.found(&key(8), THERE, QUIET);
    assert_eq!((auditor.conclude(s(9)), auditor.may_look(s(9)), auditor.proven()), (None, true, 8));
}

#[test]
fn what_still_misses_deltas_ends_the_audits() {
    let mut auditor = moved();
    assert!(auditor.verify(&key(7), s(2), s(9)));
    auditor.found(&key(7), THERE, MISSED);
    assert_eq!(auditor.conclude(s(9)), Some(Conclusion::Unproven));
    assert!(auditor.is_off() && !auditor.may_look(s(100_000)) && auditor.conclude(s(100_000)).is_none());
}

#[test]
fn what_does_not_move_in_time_is_left() {
    let mut auditor = moved();
    assert!(auditor.conclude(s(75)).is_none() && auditor.unverified().is_some());
    assert!(auditor.conclude(s(76)).is_none() && auditor.unverified().is_none());
}

#[test]
fn one_match_more_is_judged_by_itself_and_those_next_to_it() {
    for (newest, others, expected) in [
        (WHOLE, MISSED, Probed::Served),
        (MISSED, WHOLE, Probed::Thinned),
        (MISSED, MISSED, Probed::Unlike),
        (QUIET, WHOLE, Probed::Unknown),
    ] {
        let mut auditor = Auditor::default();
        let of = |n| if n == 37 { newest } else { others };
        let (conclusion, asked) = look(&mut auditor, 38, Purpose::Probe, of);
        assert!(
            matches!(conclusion, Conclusion::Probed { outcome, .. } if outcome == expected),
            "{conclusion:?}"
        );
        assert_eq!((asked, auditor.proven()), (3, if expected == Probed::Served { 39 } else { 0 }));
    }
}

#[test]
fn a_process_that_is_gone_ends_its_look_and_its_refresh() {
    let mut auditor = Auditor::default();
    auditor.look(connection(9), Purpose::Surplus, s(0));
    auditor.refresh_later(HERE);
    auditor.gone(THERE);
    assert!(!auditor.may_look(s(0)) && auditor.to_refresh().next() == Some(HERE));
    auditor.gone(HERE);
    assert!(auditor.may_look(s(0)) && auditor.to_refresh().next().is_none());
}
