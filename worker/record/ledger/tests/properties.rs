//! The ledger's rules under random changes, faults and moves.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};

fn registers() -> impl Strategy<Value = Register> {
    let side = prop_oneof![Just(Side::Home), Just(Side::Away)];
    prop_oneof![
        side.clone().prop_map(Register::Score),
        side.clone().prop_map(Register::Corners),
        side.clone().prop_map(Register::YellowCards),
        side.prop_map(Register::RedCards),
    ]
}

/// What the live events say each register is.
fn counted(rig: &Rig) -> BTreeMap<(EventType, Option<bool>, Side), i64> {
    let mut counts = BTreeMap::new();
    for event in rig.live() {
        let red = match event.payload {
            Payload::Card { color, .. } => Some(color == Color::Red),
            _ => None,
        };
        if let Some(side) = event.side {
            *counts.entry((event.kind, red, side)).or_insert(0) += 1;
        }
    }
    counts
}

fn expected(rig: &Rig) -> BTreeMap<(EventType, Option<bool>, Side), i64> {
    let named = |(register, value): (&Register, &i64)| {
        let key = match register {
            Register::Score(side) => (EventType::Goal, None, *side),
            Register::Corners(side) => (EventType::Corner, None, *side),
            Register::YellowCards(side) => (EventType::Card, Some(false), *side),
            Register::RedCards(side) => (EventType::Card, Some(true), *side),
            _ => return None,
        };
        (*value > 0).then_some((key, *value))
    };
    rig.ledger.registers().iter().filter_map(named).collect()
}

/// A match of which everything stood at nothing when it was first seen.
fn from_nothing() -> Rig {
    let mut rig = Rig::new("soccer", Scoring::Goals);
    let mut all = vec![(Register::Phase, 1)];
    for side in Side::BOTH {
        let counters = [
            Register::Score(side),
            Register::Corners(side),
            Register::YellowCards(side),
            Register::RedCards(side),
        ];
        all.extend(counters.map(|register| (register, 0)));
    }
    rig.base(1, W1, &all);
    rig
}

#[derive(Clone, Debug)]
enum Act {
    Obs(Vec<(Register, i64)>),
    Copy,
    Lose,
    Die,
    Restart,
    Wait,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let change = prop::collection::vec((registers(), 0i64..6), 1..4).prop_map(Act::Obs);
    let act = prop_oneof![
        6 => change,
        1 => Just(Act::Copy),
        1 => Just(Act::Lose),
        1 => Just(Act::Die),
        1 => Just(Act::Restart),
        1 => Just(Act::Wait),
    ];
    prop::collection::vec(act, 0..40)
}

proptest! {
    #[test]
    fn walks_end_where_the_registers_do(changes in prop::collection::vec((registers(), 0i64..8), 0..60)) {
        let mut rig = from_nothing();
        for (register, value) in changes {
            rig.obs(1, &[(register, value)]);
            let told = rig.told.len();
            rig.obs(1, &[(register, value)]);
            prop_assert_eq!(rig.told.len(), told, "a copy is no event");
        }
        prop_assert_eq!(counted(&rig), expected(&rig));
        let ids: HashSet<_> = rig.told.iter().map(|event| event.id).collect();
        prop_assert_eq!(ids.len(), rig.told.len(), "each id once");
    }

    #[test]
    fn faults_lose_and_double_nothing(acts in acts()) {
        let mut rig = from_nothing();
        // The truth, of which a worker's load shows everything.
        let mut truth: Registers = rig.ledger.registers().clone();
        let (mut epoch, mut worker) = (1, W1);
        for act in acts {
            match act {
                Act::Obs(changes) => {
                    truth.extend(changes.iter().copied());
                    rig.obs(epoch, &changes);
                }
                Act::Copy => {
                    let all: Vec<_> = truth.iter().map(|(register, value)| (*register, *value)).collect();
                    rig.base(epoch, worker, &all);
                }
                Act::Lose => {
                    rig.give(&Input::End { epoch: Epoch(epoch), why: EndReason::ConnectionLost, at: 1 });
                    let all: Vec<_> = truth.iter().map(|(register, value)| (*register, *value)).collect();
                    rig.base(epoch, worker, &all);
                }
                Act::Die => {
                    rig.gone(worker);
                    epoch += 1;
                    worker.generation.0 += 1;
                    let all: Vec<_> = truth.iter().map(|(register, value)| (*register, *value)).collect();
                    rig.base(epoch, worker, &all);
                }
                Act::Restart => {
                    rig.restart(Owner::Alive);
                    rig.attach(worker);
                    epoch += 1;
                    let all: Vec<_> = truth.iter().map(|(register, value)| (*register, *value)).collect();
                    rig.base(epoch, worker, &all);
                }
                Act::Wait => {
                    rig.wait(SETTLE);
                }
            }
        }
        rig.wait(SETTLE);
        prop_assert_eq!(rig.ledger.registers(), &truth);
        prop_assert_eq!(counted(&rig), expected(&rig));
        let ids: HashSet<_> = rig.told.iter().map(|event| event.id).collect();
        prop_assert_eq!(ids.len(), rig.told.len(), "each id once");
        prop_assert!(!rig.ledger.in_gap());
    }

    #[test]
    fn a_move_tells_each_flip_once_whoever_is_ahead(
        flips in prop::collection::vec(any::<u8>(), 0..40),
        base in 0usize..40,
        order in prop::collection::vec(any::<bool>(), 0..60),
    ) {
        let (texts, rig) = flips_across_a_move(&flips, base.min(flips.len()), &order);
        let told: Vec<String> = rig.of(EventType::OddsChange).iter().map(|event| odds_text(event)).collect();
        prop_assert_eq!(told, texts);
        prop_assert_eq!(rig.ledger.epoch(), Some(Epoch(2)));
        prop_assert!(!rig.ledger.in_gap());
    }

    #[test]
    fn a_crash_between_commits_gives_each_id_once(
        changes in prop::collection::vec((registers(), 0i64..6), 1..40),
        committed in 0usize..40,
    ) {
        // What was told after the last commit dies with its ledger; the worker sends it again under the old numbers.
        let committed = committed.min(changes.len());
        let mut rig = from_nothing();
        for change in &changes[..committed] {
            rig.obs(1, &[*change]);
        }
        let mut crashed = rig.clone();
        for change in &changes[committed..] {
            rig.obs(1, &[*change]);
        }
        crashed.restart(Owner::Alive);
        for change in &changes[committed..] {
            crashed.obs(1, &[*change]);
        }
        let ids = |rig: &Rig| rig.told.iter().map(|event| (event.id, event.order)).collect::<Vec<_>>();
        prop_assert_eq!(ids(&rig), ids(&crashed));
    }

    #[test]
    fn any_values_of_any_sport_never_panic(
        scoring in prop_oneof![Just(Scoring::Goals), Just(Scoring::Points), Just(Scoring::Tennis), Just(Scoring::Sets), Just(Scoring::Cricket), Just(Scoring::Text)],
        values in prop::collection::vec((0usize..11, any::<u8>(), prop_oneof![any::<i64>(), -3i64..200]), 0..40),
    ) {
        let mut rig = Rig::new("x", scoring);
        rig.base(1, W1, &[]);
        for (which, set, value) in values {
            let side = if set % 2 == 0 { Side::Home } else { Side::Away };
            let register = [
                Register::Set { set, side }, Register::Score(side), Register::Points, Register::Wickets(side),
                Register::YellowCards(side), Register::RedCards(side), Register::Corners(side),
                Register::Penalties(side), Register::Substitutions(side), Register::Phase, Register::Suspended,
            ][which];
            rig.obs(1, &[(register, value)]);
        }
        let mut times: HashMap<EventId, usize> = HashMap::new();
        for event in &rig.told {
            *times.entry(event.id).or_default() += 1;
        }
        prop_assert!(times.values().all(|times| *times == 1), "an id came twice");
    }
}
