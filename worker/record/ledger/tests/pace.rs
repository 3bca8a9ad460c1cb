//! Two workers that read one match seconds apart: nothing is told twice, and what is lost is said.

use super::*;
use crate::record::ledger::candidate::HELD;
use proptest::prelude::*;

/// Every so many changes of a price there is a goal.
const GOAL: usize = 50;

/// The changes of a match are numbered from 1; both workers read all of them, each at its own pace.
struct Race {
    rig: Rig,
    /// How many the owner has read,
    owner: usize,
    /// and the candidate.
    candidate: usize,
}

impl Race {
    /// The candidate's load shows what stands after so many changes; the owner has read fewer, as many or more.
    fn new(owner: usize, load: usize) -> Race {
        let mut race = Race { rig: Rig::soccer(), owner: 0, candidate: load };
        race.owner_reads(owner);
        let goals = (load / GOAL) as i64;
        race.rig.base(2, W2, &[(HOME, goals), (AWAY, 0), (Register::Phase, 1)]).switch(2, Owner::Alive);
        race
    }

    fn owner_reads(&mut self, changes: usize) {
        for _ in 0..changes {
            self.owner += 1;
            change(&mut self.rig, 1, self.owner);
        }
    }

    fn candidate_reads(&mut self, changes: usize) {
        for _ in 0..changes {
            self.candidate += 1;
            change(&mut self.rig, 2, self.candidate);
        }
    }

    /// The candidate read 1,500 changes later than the owner until it took over.
    fn taken_over_from_behind() -> Race {
        let mut race = Race::new(0, 0);
        race.owner_reads(1_500);
        race.read_both(9);
        assert!(!race.is_taken_over(), "the owner tells sooner");
        race.read_both(3);
        assert!(race.is_taken_over());
        race
    }

    /// Both read as fast as each other for so many seconds.
    fn read_both(&mut self, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.owner_reads(50);
            self.candidate_reads(50);
            self.rig.pass(Duration::from_millis(100));
        }
    }

    fn is_taken_over(&self) -> bool {
        self.rig.ledger.epoch() == Some(Epoch(2))
    }

    /// The numbers of the changes that were told, in order.
    fn told(&self) -> Vec<usize> {
        let mut goals = 0;
        let number = |event: &NewEvent| match event.kind {
            EventType::OddsChange => odds_text(event).parse().ok(),
            EventType::Goal => {
                goals += GOAL;
                Some(goals)
            }
            _ => None,
        };
        self.rig.told.iter().filter_map(number).collect()
    }
}

/// All changes up to this one.
fn all(upto: usize) -> Vec<usize> {
    (1..=upto).collect()
}

fn change(rig: &mut Rig, epoch: u64, n: usize) {
    if n.is_multiple_of(GOAL) {
        rig.obs(epoch, &[(HOME, (n / GOAL) as i64)]);
    } else {
        rig.odds(epoch, &n.to_string());
    }
}

#[test]
fn an_owner_far_behind_is_waited_for() {
    let mut race = Race::new(10, 1_000);
    race.candidate_reads(3_000);
    race.owner_reads(900);
    assert!(!race.is_taken_over());
    race.owner_reads(500);
    assert!(race.is_taken_over(), "it is found in what the candidate told");
    race.candidate_reads(10);
    assert_eq!(race.told(), all(4_010));
    assert!(race.rig.gaps.is_empty(), "{:?}", race.rig.gaps);
}

#[test]
fn what_a_candidate_far_behind_tells_again_is_not_told_again() {
    let mut race = Race::taken_over_from_behind();
    let owners = race.told();
    assert_eq!(owners, all(owners.len()));
    race.candidate_reads(owners.len() - race.candidate);
    assert_eq!(race.told(), owners, "all of it was told before");
    assert_eq!(race.rig.ledger.registers()[&HOME], (owners.len() / GOAL) as i64);
    race.candidate_reads(200);
    assert_eq!(race.told(), all(owners.len() + 200));
    assert!(race.rig.gaps.is_empty(), "{:?}", race.rig.gaps);
}

#[test]
fn what_was_told_before_is_known_after_a_start_of_the_recorder_too() {
    let mut race = Race::taken_over_from_behind();
    let owners = race.told();
    race.candidate_reads(100);
    race.rig.restart(Owner::Alive);
    race.rig.attach(W2);
    race.candidate_reads(owners.len() - race.candidate + 10);
    assert_eq!(race.told(), all(owners.len() + 10));
    assert!(race.rig.gaps.is_empty(), "{:?}", race.rig.gaps);
}

#[test]
fn an_owner_that_is_behind_is_so_under_a_new_epoch_too() {
    let mut race = Race::taken_over_from_behind();
    let owners = race.told();
    let goals = (race.candidate / GOAL) as i64;
    race.rig.base(7, W2, &[(HOME, goals), (AWAY, 0), (Register::Phase, 1)]);
    assert_eq!(race.rig.ledger.epoch(), Some(Epoch(7)));
    for n in race.candidate + 1..owners.len() + 10 {
        change(&mut race.rig, 7, n);
    }
    assert_eq!(race.told(), all(owners.len() + 9));
    assert!(race.rig.of(EventType::Retract).is_empty() && race.rig.gaps.is_empty());
}

#[test]
fn a_dead_owner_that_was_ahead_leaves_no_gap_and_nothing_to_be_told_twice() {
    let mut race = Race::new(0, 0);
    race.owner_reads(700);
    race.candidate_reads(200);
    race.rig.gone(W1);
    assert!(race.is_taken_over());
    race.candidate_reads(600);
    assert_eq!(race.told(), all(800));
    assert!(race.rig.gaps.is_empty(), "{:?}", race.rig.gaps);
}

#[test]
fn a_dead_owner_that_was_ahead_of_the_load_is_come_up_with_first() {
    let mut race = Race::new(300, 100);
    // Read before the owner read the last of it, and told after it.
    race.rig.pass(Duration::from_millis(300));
    race.owner_reads(20);
    race.rig.gone(W1);
    assert!(!race.is_taken_over(), "it would tell again what was told");
    assert!(race.rig.ledger.deadline().is_some(), "it is looked at again");
    race.candidate_reads(250);
    assert!(race.is_taken_over());
    assert_eq!(race.told(), all(350));
    assert!(race.rig.gaps.is_empty(), "{:?}", race.rig.gaps);
}

#[test]
fn a_dead_owner_is_not_waited_for_in_vain() {
    let dead = || {
        let mut race = Race::new(300, 300);
        race.rig.pass(Duration::from_millis(300));
        race.owner_reads(1);
        race.rig.gone(W1);
        assert!(!race.is_taken_over(), "what it told last may be told again");
        race
    };
    let mut said = dead();
    said.rig.wait(Duration::from_millis(20));
    assert!(said.is_taken_over(), "the load shows that already: its worker told of later times");
    let mut never = dead();
    for _ in 0..9 {
        never.rig.pass(Duration::from_secs(1)).give(&Input::Tick { at: 0, said: Said::NotAll });
        assert!(!never.is_taken_over());
        assert!(never.rig.ledger.deadline() > Some(never.rig.now));
    }
    never.rig.pass(Duration::from_secs(1)).give(&Input::Tick { at: 0, said: Said::NotAll });
    assert!(never.is_taken_over(), "ten seconds, and no more");
}

#[test]
fn what_is_too_much_to_be_held_of_a_candidate_far_ahead_is_a_gap() {
    let mut race = Race::new(100, 200);
    race.candidate_reads(HELD + 2_000);
    race.owner_reads(101);
    race.read_both(9);
    assert!(!race.is_taken_over(), "the owner may come up with what is held");
    race.read_both(2);
    assert!(race.is_taken_over());
    race.candidate_reads(10);
    let told = race.told();
    let next = told.windows(2).position(|pair| pair[1] != pair[0] + 1).unwrap() + 1;
    assert_eq!(told[..next], all(next), "the owner's");
    let first = told[next];
    let goals_caught_up_with = told[next..].iter().take_while(|n| n.is_multiple_of(GOAL)).count();
    let after = &told[next + goals_caught_up_with..];
    assert!(first.is_multiple_of(GOAL) && after[0] > next, "{first}, {after:?}");
    assert_eq!(after, Vec::from_iter(after[0]..=race.candidate), "the candidate's");
    assert!(matches!(race.rig.gaps[..], [GapStep::Open { reason: "moved", .. }, GapStep::Close { .. }]));
}

#[test]
fn an_owner_that_does_not_say_what_its_predecessor_did_has_a_gap() {
    let mut race = Race::taken_over_from_behind();
    race.candidate_reads(10);
    race.rig.pass(Duration::from_secs(1));
    race.rig.odds(2, "never told");
    assert_eq!(race.rig.kinds(), ["gap_start", "gap_end", "odds_change"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever the pace, however far apart: each change once and in order, if there is no gap; else never one again.
    #[test]
    fn no_pace_tells_anything_twice(
        owner in 0usize..500,
        load in 0usize..500,
        reads in prop::collection::vec((any::<bool>(), 0usize..400, 0u64..3), 0..30),
        dies in any::<bool>(),
    ) {
        let mut race = Race::new(owner, load);
        for (candidate, changes, seconds) in reads {
            if candidate { race.candidate_reads(changes) } else { race.owner_reads(changes) }
            race.read_both(seconds);
        }
        if dies {
            // Of one that says too little to be found nobody knows whether it is behind.
            race.owner_reads(3);
            race.candidate_reads(3);
            race.rig.gone(W1);
        }
        // In the end both have read everything; a dead one tells nothing more.
        let last = race.owner.max(race.candidate) + 100;
        if !dies {
            race.owner_reads(last - race.owner);
        }
        race.candidate_reads(last - race.candidate);
        race.rig.wait(SETTLE);
        prop_assert!(race.is_taken_over());
        let told = race.told();
        let twice = told.windows(2).position(|pair| pair[1] <= pair[0]);
        if race.rig.gaps.is_empty() {
            prop_assert_eq!(told, all(last));
        } else {
            prop_assert!(twice.is_none(), "{:?} {:?}", twice.map(|at| &told[at..at + 2]), race.rig.gaps);
        }
    }
}
