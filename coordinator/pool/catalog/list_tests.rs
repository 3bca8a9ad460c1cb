use super::*;
use proptest::prelude::*;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn id(n: usize) -> MatchId {
    format!("m{n}").into()
}

fn present(n: usize) -> ListChange {
    ListChange::Present { id: id(n), listing: Listing::default() }
}

fn gone(n: usize) -> ListChange {
    ListChange::Gone { id: id(n) }
}

fn load(of: impl IntoIterator<Item = usize>) -> Vec<ListChange> {
    let mut changes = vec![ListChange::LoadBegin];
    changes.extend(of.into_iter().map(present));
    changes.push(ListChange::LoadEnd);
    changes
}

#[derive(Default)]
struct Bed(MatchList);

impl Bed {
    fn at(&mut self, now: Duration, changes: Vec<ListChange>) -> Vec<ListEvent> {
        let mut out = Vec::new();
        self.0.apply(changes, now, &Timing::default(), &mut out);
        out
    }
    fn tick(&mut self, now: Duration) -> Vec<ListEvent> {
        let mut out = Vec::new();
        self.0.tick(now, &Timing::default(), &mut out);
        out
    }
    fn of(count: usize) -> Bed {
        let mut bed = Bed::default();
        assert_eq!(bed.at(s(0), load(0..count)).len(), count + 1);
        bed
    }
}

#[test]
fn a_deletion_counts_after_five_seconds() {
    let mut bed = Bed::of(20);
    assert_eq!(bed.at(s(1), vec![gone(3)]), vec![]);
    assert_eq!(bed.tick(s(5)), vec![]);
    assert_eq!(bed.tick(s(6)), vec![ListEvent::Gone(id(3))]);
    assert_eq!(bed.tick(s(60)), vec![]);
}

#[test]
fn a_delete_and_insert_within_five_seconds_is_a_move() {
    let mut bed = Bed::of(20);
    bed.at(s(1), vec![gone(3)]);
    assert_eq!(bed.at(s(5), vec![present(3)]), vec![]);
    assert_eq!(bed.tick(s(60)), vec![]);
}

#[test]
fn a_short_load_is_confirmed_by_a_second_one() {
    let mut bed = Bed::of(20);
    assert_eq!(bed.at(s(1), load(0..9)), vec![ListEvent::Loaded, ListEvent::Confirm { gone: 11, of: 20 }]);
    assert_eq!(bed.tick(s(20)), vec![], "nothing counts until then");
    let second = bed.at(s(21), load(0..9));
    assert_eq!(second.iter().filter(|step| matches!(step, ListEvent::Gone(_))).count(), 11);
    assert_eq!(bed.0.len(), 9);
}

#[test]
fn a_second_load_may_deny_it() {
    let mut bed = Bed::of(20);
    bed.at(s(1), load(0..2));
    assert_eq!(bed.at(s(2), load(0..20)), vec![ListEvent::Loaded]);
    assert_eq!(bed.tick(s(60)), vec![]);
    assert_eq!(bed.0.len(), 20);
}

#[test]
fn a_flood_of_deletions_by_deltas_is_confirmed_however_it_is_cut() {
    let mut bed = Bed::of(20);
    let mut asked = 0;
    for n in 0..15 {
        asked += bed
            .at(s(1), vec![gone(n)])
            .iter()
            .filter(|step| matches!(step, ListEvent::Confirm { .. }))
            .count();
    }
    assert_eq!(asked, 1);
    assert_eq!(bed.tick(s(10)), vec![]);
    assert_eq!(bed.tick(s(31)), vec![ListEvent::Confirm { gone: 15, of: 20 }], "asked again after 30 s");
    let second = bed.at(s(32), load(15..20));
    assert_eq!(second.iter().filter(|step| matches!(step, ListEvent::Gone(_))).count(), 15);
}

#[test]
fn five_or_half_are_believed() {
    let mut small = Bed::of(6);
    small.at(s(1), load([0]));
    assert_eq!(small.tick(s(6)).len(), 5);
    let mut large = Bed::of(20);
    large.at(s(1), load(10..20));
    assert_eq!(large.tick(s(6)).len(), 10);
}

#[test]
fn a_gap_and_a_torn_load_delete_nothing() {
    let mut bed = Bed::of(20);
    bed.at(s(1), vec![gone(3), ListChange::Lost]);
    bed.at(s(2), vec![ListChange::LoadBegin, present(0), ListChange::Lost]);
    assert_eq!(bed.tick(s(100)), vec![]);
    bed.at(s(101), load((0..20).filter(|n| *n != 3)));
    assert_eq!(bed.tick(s(106)), vec![ListEvent::Gone(id(3))], "the next load decides");
}

#[test]
fn what_changed_is_reported_once() {
    let mut bed = Bed::of(1);
    let listing = Listing { in_play: true, ..Listing::default() };
    let change = ListChange::Present { id: id(0), listing: listing.clone() };
    assert_eq!(bed.at(s(1), vec![change.clone()]), vec![ListEvent::Changed(id(0), listing)]);
    assert_eq!(bed.at(s(1), vec![change]), vec![]);
}

#[test]
fn what_is_above_the_limit_is_counted_and_said_once_until_there_is_room() {
    let mut bed = Bed::of(LISTED_MAX);
    let counts = |bed: &Bed| (bed.0.len(), bed.0.left_out());
    let above = |n: usize| present(LISTED_MAX + n);
    assert_eq!(bed.at(s(1), vec![above(0), above(1)]), vec![ListEvent::OverLimit { left_out: 2 }]);
    assert_eq!(bed.at(s(2), vec![above(0)]), vec![]);
    assert_eq!(bed.at(s(3), load(0..LISTED_MAX + 3)), vec![ListEvent::Loaded]);
    assert_eq!(counts(&bed), (LISTED_MAX, 3));
    bed.at(s(4), vec![gone(0), gone(LISTED_MAX)]);
    assert_eq!(bed.tick(s(9)), vec![ListEvent::Gone(id(0))]);
    assert_eq!(counts(&bed), (LISTED_MAX - 1, 2));
    let appeared = ListEvent::Appeared(id(LISTED_MAX + 1), Listing::default());
    assert_eq!(bed.at(s(10), vec![above(1)]), vec![appeared]);
    assert_eq!(counts(&bed), (LISTED_MAX, 1));
    assert_eq!(bed.at(s(11), load(1..LISTED_MAX)), vec![ListEvent::Loaded]);
    assert_eq!(counts(&bed), (LISTED_MAX, 0));
    let again = bed.at(s(12), vec![above(7)]);
    assert_eq!(again, vec![ListEvent::OverLimit { left_out: 1 }], "it was whole meanwhile");
}

proptest! {
    /// Whatever comes: the steps alone give the list that the rules hold.
    #[test]
    fn the_steps_add_up(script in prop::collection::vec((0u8..7, 0usize..30, 0u64..4), 0..200)) {
        let mut bed = Bed::default();
        let mut model = BTreeSet::new();
        let mut now = s(0);
        for (kind, n, wait) in script {
            now += s(wait);
            let steps = match kind {
                0 => bed.at(now, vec![gone(n)]),
                1 | 2 => bed.at(now, vec![present(n)]),
                3 => bed.at(now, load(0..n)),
                4 => bed.at(now, vec![ListChange::Lost]),
                5 => bed.at(now, vec![ListChange::LoadBegin, present(n)]),
                _ => bed.tick(now),
            };
            for step in steps {
                match step {
                    ListEvent::Appeared(id, _) => prop_assert!(model.insert(id)),
                    ListEvent::Changed(id, _) => prop_assert!(model.contains(&id)),
                    ListEvent::Gone(id) => prop_assert!(model.remove(&id)),
                    ListEvent::Loaded | ListEvent::Confirm { .. } | ListEvent::OverLimit { .. } => {}
                }
            }
            prop_assert!(bed.0.known.keys().eq(model.iter()));
        }
    }
}
