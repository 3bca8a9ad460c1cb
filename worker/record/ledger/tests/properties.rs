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
    rig.ledger.known.registers.iter().filter_map(named).collect()
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
            Register::Substitutions(side),
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
            let before = rig.all.len();
            rig.obs(1, &[(register, value)]);
            prop_assert_eq!(rig.all.len(), before, "a copy is no event");
        }
        prop_assert_eq!(counted(&rig), expected(&rig));
        let ids: HashSet<_> = rig.all.iter().map(|event| event.id).collect();
        prop_assert_eq!(ids.len(), rig.all.len(), "each id once");
    }

    #[test]
    fn faults_lose_and_double_nothing(acts in acts()) {
        let mut rig = from_nothing();
        // The truth, of which a worker's load shows everything.
        let mut truth: Registers = rig.ledger.known.registers.clone();
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
        prop_assert_eq!(&rig.ledger.known.registers, &truth);
        prop_assert_eq!(counted(&rig), expected(&rig));
        let ids: HashSet<_> = rig.all.iter().map(|event| event.id).collect();
        prop_assert_eq!(ids.len(), rig.all.len(), "each id once");
        prop_assert!(!rig.ledger.gap.open);
    }

    #[test]
    fn a_crash_between_commits_gives_each_id_once(
        changes in prop::collection::vec((registers(), 0i64..6), 1..40),
        committed in 0usize..40,
    ) {
        // What was recorded after the last commit dies with its ledger; the worker sends it again under the old numbers.
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
        let ids = |rig: &Rig| rig.all.iter().map(|event| (event.id, event.order)).collect::<Vec<_>>();
        prop_assert_eq!(ids(&rig), ids(&crashed));
    }

    #[test]
    fn any_values_of_any_sport_never_panic(
        scoring in prop_oneof![Just(Scoring::Goals), Just(Scoring::Points), Just(Scoring::Tennis), Just(Scoring::Sets), Just(Scoring::Cricket), Just(Scoring::Text), Just(Scoring::Frames)],
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
        for event in &rig.all {
            *times.entry(event.id).or_default() += 1;
        }
        prop_assert!(times.values().all(|times| *times == 1), "an id came twice");
    }
}

/// A server's truth and two workers that read it at their own pace.
#[derive(Clone)]
struct Pair {
    rig: Rig,
    /// What changed, delta by delta.
    truth: Vec<Vec<(Register, i64)>>,
    start: Registers,
    /// So much of it has happened.
    happened: usize,
    workers: [Reader; 2],
    epoch: u64,
}

#[derive(Clone, Copy)]
struct Reader {
    source: Source,
    epoch: Option<u64>,
    /// So much of the truth has it read.
    read: usize,
}

#[derive(Clone, Copy, Debug)]
enum Turn {
    Happen,
    Read(usize),
    /// A worker is given the match.
    Load(usize),
    Switch(usize),
    Mark,
    Die(usize),
    Disconnect(usize),
    Silent(usize),
    Restart,
    Wait,
}

impl Pair {
    fn new(truth: Vec<Vec<(Register, i64)>>) -> Pair {
        let rig = from_nothing();
        let start = rig.ledger.known.registers.clone();
        let reader = |source, epoch| Reader { source, epoch, read: 0 };
        Pair { rig, truth, start, happened: 0, workers: [reader(W1, Some(1)), reader(W2, None)], epoch: 1 }
    }

    fn registers(&self, read: usize) -> Vec<(Register, i64)> {
        let mut registers = self.start.clone();
        registers.extend(self.truth[..read].iter().flatten().copied());
        registers.into_iter().collect()
    }

    fn owns(&self, worker: usize) -> bool {
        self.rig.ledger.source() == Some(self.workers[worker].source)
    }

    fn read(&mut self, worker: usize) {
        let Reader { epoch, read, .. } = self.workers[worker];
        if let Some(epoch) = epoch.filter(|_| read < self.happened) {
            self.workers[worker].read += 1;
            self.rig.obs(epoch, &self.truth[read]);
        }
    }

    fn read_all(&mut self) {
        for worker in [0, 1] {
            while self.workers[worker].read < self.happened && self.workers[worker].epoch.is_some() {
                self.read(worker);
            }
        }
    }

    fn load(&mut self, worker: usize) {
        self.epoch += 1;
        let (epoch, source) = (self.epoch, self.workers[worker].source);
        self.workers[worker] = Reader { source, epoch: Some(epoch), read: self.happened };
        let all = self.registers(self.happened);
        self.rig.base(epoch, source, &all);
    }

    fn turn(&mut self, turn: Turn) {
        self.rig.pass(Duration::from_millis(10));
        match turn {
            Turn::Happen => self.happened = (self.happened + 1).min(self.truth.len()),
            Turn::Read(worker) => self.read(worker),
            Turn::Load(worker) if !self.owns(worker) => self.load(worker),
            Turn::Load(_) => {}
            Turn::Switch(worker) => {
                if let Some(epoch) =
                    self.workers[worker].epoch.filter(|epoch| Some(Epoch(*epoch)) > self.rig.ledger.epoch())
                {
                    self.rig.switch(epoch, Owner::Alive);
                }
            }
            // A worker answers once it has read all that there is.
            Turn::Mark => {
                for (source, token) in std::mem::take(&mut self.rig.asked) {
                    let worker = usize::from(source.slot == W2.slot);
                    while self.workers[worker].read < self.happened && self.workers[worker].epoch.is_some() {
                        self.read(worker);
                    }
                    self.rig.give(&Input::Marked { source, token });
                }
            }
            Turn::Die(worker) => {
                let source = self.workers[worker].source;
                self.rig.gone(source);
                self.workers[worker].source.generation.0 += 1;
                self.workers[worker].epoch = None;
            }
            Turn::Disconnect(worker) => {
                if let Some(epoch) = self.workers[worker].epoch {
                    let at = self.rig.wall;
                    self.rig.give(&Input::End { epoch: Epoch(epoch), why: EndReason::ConnectionLost, at });
                    self.load(worker);
                }
            }
            Turn::Silent(worker) => {
                let (source, since) = (self.workers[worker].source, self.rig.wall);
                self.rig.give(&Input::Silent { source, since });
            }
            Turn::Restart => {
                self.rig.restart(Owner::Alive);
                for worker in 0..2 {
                    if self.workers[worker].epoch.is_some() {
                        let source = self.workers[worker].source;
                        self.rig.attach(source);
                        // Under a new epoch, with what it has read.
                        self.epoch += 1;
                        self.workers[worker].epoch = Some(self.epoch);
                        let all = self.registers(self.workers[worker].read);
                        self.rig.base(self.epoch, source, &all);
                    }
                }
            }
            Turn::Wait => _ = self.rig.wait(SETTLE),
        }
    }

    /// A worker follows the match, reads all, and everything has settled.
    fn finish(&mut self) {
        self.happened = self.truth.len();
        if !(0..2).any(|worker| self.owns(worker) && self.workers[worker].epoch.is_some()) {
            self.load(1);
            let epoch = self.epoch;
            self.rig.switch(epoch, Owner::Dead).wait(Duration::from_secs(1));
        }
        self.read_all();
        for worker in [0, 1] {
            let source = self.workers[worker].source;
            let at = self.rig.wall;
            self.rig.give(&Input::Back { source, at });
        }
        self.rig.wait(SETTLE);
    }
}

fn turns(faults: bool) -> impl Strategy<Value = Vec<Turn>> {
    let faults = u32::from(faults);
    let turn = prop_oneof![
        8 => Just(Turn::Happen),
        8 => (0usize..2).prop_map(Turn::Read),
        1 => (0usize..2).prop_map(Turn::Load),
        2 => (0usize..2).prop_map(Turn::Switch),
        2 => Just(Turn::Mark),
        1 => Just(Turn::Wait),
        faults => (0usize..2).prop_map(Turn::Die),
        faults => (0usize..2).prop_map(Turn::Disconnect),
        faults => (0usize..2).prop_map(Turn::Silent),
        faults => Just(Turn::Restart),
    ];
    prop::collection::vec(turn, 0..120)
}

/// An event without when, and without what a gap leaves open.
fn shown(event: &NewEvent) -> String {
    format!("{:?} {:?} {:?}", event.kind, event.side, event.payload)
}

/// What is reported of `truth` by one worker that never fails.
fn events_of(truth: &[Vec<(Register, i64)>]) -> Vec<NewEvent> {
    let mut rig = from_nothing();
    truth.iter().for_each(|delta| _ = rig.obs(1, delta));
    rig.all
}

fn live_of(all: &[NewEvent]) -> Vec<String> {
    let gone: HashSet<EventId> = all.iter().filter_map(|event| event.retracts).collect();
    let counts = |event: &&NewEvent| {
        event.retracts.is_none()
            && !gone.contains(&event.id)
            && !matches!(event.kind, EventType::GapStart | EventType::GapEnd)
    };
    let mut live: Vec<String> = all.iter().filter(counts).map(shown).collect();
    live.sort();
    live
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn moves_lose_and_double_nothing_at_any_pace(
        truth in prop::collection::vec((registers(), 0i64..4).prop_map(|change| vec![change]), 0..30),
        turns in turns(false),
    ) {
        let mut pair = Pair::new(truth);
        // A move is within its ten seconds here.
        turns.into_iter().filter(|turn| !matches!(turn, Turn::Wait)).for_each(|turn| pair.turn(turn));
        pair.finish();
        let events: Vec<String> = events_of(&pair.truth).iter().map(shown).collect();
        let recorded: Vec<String> = pair.rig.all.iter().map(shown).collect();
        prop_assert_eq!(recorded, events, "no gap, so the same sequence");
    }

    #[test]
    fn after_any_faults_the_live_events_are_the_truths(
        truth in prop::collection::vec((registers(), 0i64..4).prop_map(|change| vec![change]), 0..30),
        turns in turns(true),
    ) {
        let mut pair = Pair::new(truth);
        turns.into_iter().for_each(|turn| pair.turn(turn));
        pair.finish();
        let all = &pair.rig.all;
        prop_assert_eq!(live_of(all), live_of(&events_of(&pair.truth)));
        let ids: HashSet<_> = all.iter().map(|event| event.id).collect();
        prop_assert_eq!(ids.len(), all.len(), "each id once");
        prop_assert!(all.windows(2).all(|two| two[0].order < two[1].order));
        prop_assert!(!pair.rig.ledger.gap.open);
    }

    #[test]
    fn outside_gaps_the_sequence_is_the_truths(
        changes in prop::collection::vec((registers(), 0i64..4), 0..30),
        turns in turns(true),
    ) {
        // With each change the substitutions rise, so that no state comes twice and equality is the same place.
        let rises = |n| (Register::Substitutions(Side::Home), n as i64 + 1);
        let truth = changes.iter().enumerate().map(|(n, change)| vec![*change, rises(n)]).collect();
        let mut pair = Pair::new(truth);
        for turn in turns {
            // A value that stood for `settle` is believed: so far behind is no worker here.
            if matches!(turn, Turn::Wait) {
                pair.read_all();
            }
            pair.turn(turn);
        }
        pair.finish();
        let truth: Vec<String> = events_of(&pair.truth).iter().map(shown).collect();
        let all = &pair.rig.all;
        let in_gaps = |event: &NewEvent| matches!(event.kind, EventType::GapStart | EventType::GapEnd);
        let stretches: Vec<&[NewEvent]> = all.split(in_gaps).step_by(2).collect();
        let (mut from, last) = (0, stretches.len() - 1);
        for (place, stretch) in stretches.into_iter().enumerate() {
            let stretch: Vec<String> = stretch.iter().map(shown).collect();
            let rest = &truth[from..];
            let found = match place {
                0 => rest.starts_with(&stretch).then_some(0),
                _ if place == last => rest.ends_with(&stretch).then(|| rest.len() - stretch.len()),
                _ if stretch.is_empty() => Some(0),
                _ => rest.windows(stretch.len()).position(|part| part == stretch),
            };
            prop_assert!(found.is_some(), "{stretch:?} in {rest:?}");
            prop_assert!(place < last || last > 0 || stretch.len() == truth.len(), "no gap, nothing is missing");
            from += found.unwrap_or_default() + stretch.len();
        }
    }
}
