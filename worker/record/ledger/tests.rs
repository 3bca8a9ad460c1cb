//! The ledger against its rules: golden ids, copies, retractions, gaps, switches, and random walks.
#![allow(clippy::wildcard_enum_match_arm)]

mod gaps;
mod pace;
mod properties;

use super::*;
use std::collections::HashSet;
use touchline_common::model::{Flip, Phase, RegisterChange, Scoring, Side};

const SETTLE: Duration = Duration::from_secs(2);
const W1: Source = Source { slot: SlotId(1), generation: Generation(1) };
const W2: Source = Source { slot: SlotId(2), generation: Generation(1) };
const HOME: Register = Register::Score(Side::Home);
const AWAY: Register = Register::Score(Side::Away);

/// A ledger with a clock and everything that it told.
#[derive(Clone)]
struct Rig {
    ledger: Ledger,
    facts: Facts,
    now: Instant,
    /// The wall clock, microseconds.
    wall: i64,
    n: u64,
    told: Vec<NewEvent>,
    last: Vec<NewEvent>,
    refused: u32,
    switched: Option<Epoch>,
    gaps: Vec<GapStep>,
}

impl Rig {
    fn new(sport: &str, scoring: Scoring) -> Rig {
        Rig {
            ledger: Ledger::new("inplay", "M1", SETTLE),
            facts: Facts { sport: Some(sport.into()), scoring },
            now: Instant::now(),
            wall: 5,
            n: 0,
            told: Vec::new(),
            last: Vec::new(),
            refused: 0,
            switched: None,
            gaps: Vec::new(),
        }
    }

    fn soccer() -> Rig {
        let mut rig = Rig::new("soccer", Scoring::Goals);
        rig.base(1, W1, &[(HOME, 0), (AWAY, 0), (Register::Phase, 1)]);
        rig
    }

    fn give(&mut self, input: &Input<'_>) -> &mut Rig {
        let mut out = Outcome::default();
        self.ledger.advance(input, self.now, &mut out);
        self.refused += u32::from(out.refused);
        self.switched = out.switched.or(self.switched);
        self.gaps.extend(out.gaps);
        self.told.extend(out.events.iter().cloned());
        self.last = out.events;
        self
    }

    fn base(&mut self, epoch: u64, source: Source, registers: &[(Register, i64)]) -> &mut Rig {
        self.n += 1;
        // Another's load is read after what was told before it.
        self.wall += if self.ledger.epoch().is_some() { 3 } else { 0 };
        let registers: Registers = registers.iter().copied().collect();
        let (facts, n) = (self.facts.clone(), self.n);
        let clock = Some(Clock { seconds: 61 });
        self.give(&Input::Base {
            n,
            epoch: Epoch(epoch),
            source,
            facts: &facts,
            registers: &registers,
            clock,
            at: self.wall,
            version: 3,
        })
    }

    fn obs(&mut self, epoch: u64, changes: &[(Register, i64)]) -> &mut Rig {
        self.n += 1;
        let registers =
            changes.iter().map(|(register, value)| RegisterChange { register: *register, value: *value });
        let observation = Observation {
            registers: registers.collect(),
            flips: Vec::new(),
            clock: Some(Clock { seconds: 125 }),
            received_at: self.wall + 2,
        };
        let n = self.n;
        self.give(&Input::Obs { n, epoch: Epoch(epoch), observation: &observation, version: 4 })
    }

    fn odds(&mut self, epoch: u64, text: &str) -> &mut Rig {
        self.n += 1;
        let flip = Flip::Odds { market: "M".into(), selection: "S".into(), odds: None, text: text.into() };
        let observation =
            Observation { registers: Vec::new(), flips: vec![flip], clock: None, received_at: self.wall + 2 };
        let n = self.n;
        self.give(&Input::Obs { n, epoch: Epoch(epoch), observation: &observation, version: 4 })
    }

    fn wait(&mut self, time: Duration) -> &mut Rig {
        self.pass(time);
        self.give(&Input::Tick { at: self.wall, said: Said::All })
    }

    /// Time passes, and nobody looks.
    fn pass(&mut self, time: Duration) -> &mut Rig {
        self.now += time;
        self.wall += time.as_micros() as i64;
        self
    }

    fn switch(&mut self, epoch: u64, owner: Owner) -> &mut Rig {
        self.give(&Input::Switch { epoch: Epoch(epoch), owner, at: 8 })
    }

    fn gone(&mut self, source: Source) -> &mut Rig {
        let at = self.wall + 3;
        self.give(&Input::Gone { source, at, sign: LastSign::Heard(at) })
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.last.iter().map(|event| event.kind.as_str()).collect()
    }

    fn of(&self, kind: EventType) -> Vec<&NewEvent> {
        self.told.iter().filter(|event| event.kind == kind).collect()
    }

    /// Events that were told and not taken back.
    fn live(&self) -> Vec<&NewEvent> {
        let gone: HashSet<EventId> = self.told.iter().filter_map(|event| event.retracts).collect();
        self.told.iter().filter(|event| event.retracts.is_none() && !gone.contains(&event.id)).collect()
    }

    /// Saves and restores, as a start of the recorder does.
    fn restart(&mut self, worker: Owner) {
        let text = self.ledger.save().unwrap();
        let order = self.ledger.order();
        self.ledger = Ledger::restore(("inplay", "M1"), SETTLE, order, &text, worker).unwrap();
    }

    fn attach(&mut self, source: Source) -> &mut Rig {
        self.give(&Input::Attached { source, at: 8 })
    }
}

#[test]
fn golden_ids() {
    let scope = Scope::new("inplay", "90000012C1A");
    let ids = [
        scope.counter(EventType::Goal, "", Side::Home, 1, 0),
        scope.counter(EventType::Goal, "", Side::Home, 1, 1),
        scope.counter(EventType::Card, "red", Side::Away, 2, 0),
        scope.counter(EventType::ScoreChange, "", Side::Away, 54, 0),
        scope.phase(EventType::PeriodStart, 0, 2, 0),
        scope.phase(EventType::Game, 2, 7, 0),
        scope.tennis_point(2, 7, 3),
        scope.flip(12, 345, 1),
        scope.retract(scope.counter(EventType::Goal, "", Side::Home, 1, 0)),
    ];
    let shown: Vec<String> = ids.iter().map(ToString::to_string).collect();
    assert_eq!(shown, GOLDEN_IDS, "ids stand in stores and may never change");
}

const GOLDEN_IDS: [&str; 9] = [
    "kypddmiigeljkvsuxf5y",
    "6icysarxldgzyx3acpss",
    "aukxqzyunomsvuwf2ptq",
    "n6eo6gixfdxphabu3mki",
    "afo27nwno2alp7f7btrn",
    "ncns4n2lkeevviocbyqw",
    "shmipibwxxp7eifqdhmo",
    "zzlo333fahqaaaableab",
    "nsur5d2lcuybkp7kgbbe",
];

#[test]
fn golden_ledger() {
    let mut rig = Rig::soccer();
    rig.obs(1, &[(HOME, 1)]).obs(1, &[(HOME, 0)]).obs(1, &[(AWAY, 1), (Register::Phase, 2)]);
    assert_eq!(rig.ledger.save().unwrap(), GOLDEN_LEDGER, "a changed form needs a new version");
    let before = rig.ledger.clone();
    rig.restart(Owner::Alive);
    assert!(rig.ledger.is_detached());
    assert_eq!(rig.ledger.registers(), before.registers());
    rig.obs(1, &[(HOME, 1)]);
    assert_eq!(rig.kinds(), ["goal"]);
    assert_ne!(rig.of(EventType::Goal)[0].id, rig.last[0].id, "k survives");
}

const GOLDEN_LEDGER: &str = r#"{"facts":{"sport":"soccer","scoring":"Goals"},"owner":[1,1,1],"registers":[[{"Score":"home"},0],[{"Score":"away"},1],["Phase",2]],"taken":[[["goal",0,"home",0,1],1]],"taken_floor":0,"marks":[],"phases":[[1,"match_started",0],[2,"period_end",1]],"points":[],"gaps":0,"gap_open":false,"ended":false}"#;

#[test]
fn the_first_load_tells_no_goals() {
    let mut rig = Rig::new("soccer", Scoring::Goals);
    rig.base(1, W1, &[(HOME, 2), (AWAY, 1), (Register::Phase, 3)]);
    assert_eq!(rig.kinds(), ["match_listed", "match_started"]);
    assert_eq!(rig.switched, Some(Epoch(1)));
    let mut early = Rig::new("soccer", Scoring::Goals);
    early.base(1, W1, &[(HOME, 0), (AWAY, 0), (Register::Phase, 0)]);
    assert_eq!(early.kinds(), ["match_listed"]);
    early.obs(1, &[(Register::Phase, 1)]);
    assert_eq!(early.kinds(), ["match_started", "period_start"]);
}

#[test]
fn a_goal_taken_back_and_given_again_is_another_goal() {
    let mut rig = Rig::soccer();
    rig.obs(1, &[(HOME, 1)]).obs(1, &[(HOME, 0)]).obs(1, &[(HOME, 1)]);
    let goals = rig.of(EventType::Goal);
    let retracts = rig.of(EventType::Retract);
    assert_eq!((goals.len(), retracts.len()), (2, 1));
    assert_eq!(retracts[0].retracts, Some(goals[0].id));
    assert_ne!(goals[0].id, goals[1].id);
    assert_eq!(goals[1].score, Some((1, 0)));
    assert_eq!((goals[0].clock, goals[0].at, goals[0].version), (Some(125), 7, 4));
    assert!(rig.told.windows(2).all(|pair| pair[0].order + ORDER_STEP == pair[1].order));
}

#[test]
fn a_gap_gives_the_ids_of_what_it_hid() {
    let mut seen = Rig::soccer();
    seen.obs(1, &[(HOME, 1)]).obs(1, &[(AWAY, 1)]);
    let mut hidden = Rig::soccer();
    hidden.give(&Input::End { epoch: Epoch(1), why: EndReason::ConnectionLost, at: 6 });
    assert_eq!(hidden.kinds(), ["gap_start"]);
    hidden.base(1, W1, &[(HOME, 1), (AWAY, 1), (Register::Phase, 1)]);
    assert_eq!(hidden.kinds(), ["goal", "goal", "gap_end"]);
    let ids = |rig: &Rig| rig.of(EventType::Goal).iter().map(|event| event.id).collect::<Vec<_>>();
    assert_eq!(ids(&seen), ids(&hidden));
    let goals = hidden.of(EventType::Goal);
    assert!(goals.iter().all(|goal| goal.recovered && goal.clock.is_none()));
    assert_eq!((goals[0].side, goals[0].score), (Some(Side::Home), None));
    assert_eq!((goals[1].side, goals[1].score), (Some(Side::Away), Some((1, 1))));
    assert!(matches!(hidden.gaps[..], [GapStep::Open { at: 6, .. }, GapStep::Close { at: 8 }]));
}

#[test]
fn one_read_with_two_goals_gives_two() {
    let mut rig = Rig::soccer();
    rig.obs(1, &[(HOME, 1), (AWAY, 1)]);
    assert_eq!(rig.kinds(), ["goal", "goal"]);
    assert_eq!(rig.last[0].score, Some((1, 0)));
    assert_eq!(rig.last[1].score, Some((1, 1)));
}

#[test]
fn phases_step_and_unwind() {
    let mut rig = Rig::soccer();
    rig.obs(1, &[(Register::Phase, 2)]);
    assert_eq!(rig.kinds(), ["period_end"]);
    rig.obs(1, &[(Register::Phase, 3)]);
    assert_eq!(rig.kinds(), ["period_start"]);
    let start = rig.last[0].id;
    rig.obs(1, &[(Register::Phase, 2)]);
    assert_eq!(rig.last[0].retracts, Some(start));
    rig.obs(1, &[(Register::Phase, 3)]);
    assert_ne!(rig.last[0].id, start);
    rig.obs(1, &[(Register::Phase, Phase::FINISHED.0)]);
    assert_eq!(rig.kinds(), ["period_end", "match_ended"]);
    let mut skipped = Rig::soccer();
    skipped.obs(1, &[(Register::Phase, 5)]);
    assert_eq!(skipped.kinds(), ["period_end", "period_start"]);
    assert_eq!(skipped.last[1].payload, Payload::Period { period: 3 });
}

#[test]
fn tennis_tells_games_sets_and_points() {
    let set = |side| Register::Set { set: 1, side };
    let points = |home, away| (Register::Points, Register::pack_points(home, away));
    let mut rig = Rig::new("tennis", Scoring::Tennis);
    let zero = [
        (set(Side::Home), 0),
        (set(Side::Away), 0),
        (HOME, 0),
        (AWAY, 0),
        points(0, 0),
        (Register::Phase, 1),
    ];
    rig.base(1, W1, &zero);
    rig.obs(1, &[points(15, 0)])
        .obs(1, &[points(15, 15)])
        .obs(1, &[points(40, 40)])
        .obs(1, &[points(50, 40)]);
    rig.obs(1, &[points(40, 40)]);
    let sides: Vec<_> = rig.of(EventType::Point).iter().map(|event| event.side).collect();
    assert_eq!(sides, [Some(Side::Home), Some(Side::Away), None, Some(Side::Home), Some(Side::Away)]);
    rig.obs(1, &[(set(Side::Home), 1), points(0, 0)]);
    assert_eq!(rig.kinds(), ["game"]);
    assert_eq!(rig.last[0].payload, Payload::Place { set: 1, game: None, index: 1, points: None });
    rig.obs(1, &[points(0, 15)]);
    let Payload::Place { game, index, .. } = rig.last[0].payload else { panic!("{:?}", rig.last) };
    assert_eq!((game, index), (Some(1), 1));
    rig.obs(1, &[(set(Side::Home), 6), (HOME, 1)]);
    assert_eq!(rig.kinds(), ["game", "game", "game", "game", "game", "set"]);
    rig.obs(1, &[(Register::Set { set: 2, side: Side::Away }, 1)]);
    assert_eq!(rig.kinds(), ["game"], "a new set begins at nothing");
    let ids: HashSet<_> = rig.told.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), rig.told.len());
}

#[test]
fn points_of_basketball_are_one_event_each_change() {
    let mut rig = Rig::new("basketball", Scoring::Points);
    rig.base(1, W1, &[(HOME, 10), (AWAY, 8), (Register::Phase, 1)]);
    rig.obs(1, &[(HOME, 13)]);
    assert_eq!(rig.kinds(), ["score_change"]);
    assert_eq!(rig.last[0].payload, Payload::Change { from: 10, to: 13 });
    let id = rig.last[0].id;
    rig.obs(1, &[(HOME, 12)]);
    assert_eq!((rig.kinds(), rig.last[0].retracts), (vec!["retract"], Some(id)));
    rig.obs(1, &[(HOME, 13)]);
    assert_ne!(rig.last[0].id, id);
}

#[test]
fn a_jump_is_a_mismatch_not_a_flood() {
    let mut rig = Rig::soccer();
    rig.obs(1, &[(HOME, 99_999)]);
    assert_eq!(rig.kinds(), ["mismatch"]);
    rig.obs(1, &[(HOME, i64::MIN)]);
    assert!(rig.last.is_empty(), "no register goes below nothing");
    rig.obs(1, &[(HOME, 2)]).obs(1, &[(HOME, 3)]);
    assert_eq!(rig.kinds(), ["goal"]);
}

#[test]
fn a_living_owner_is_believed_until_it_is_found_in_what_the_candidate_tells() {
    let mut rig = Rig::soccer();
    rig.obs(1, &[(HOME, 1)]);
    rig.base(2, W2, &[(HOME, 0), (AWAY, 0), (Register::Phase, 1)]);
    assert!(rig.last.is_empty());
    rig.switch(2, Owner::Alive);
    assert_eq!(rig.switched, Some(Epoch(1)), "behind: nothing changes");
    rig.obs(1, &[(AWAY, 1)]).obs(2, &[(HOME, 1)]).obs(2, &[(AWAY, 1)]);
    rig.obs(1, &[(AWAY, 2)]);
    assert_eq!((rig.kinds(), rig.switched), (vec!["goal"], Some(Epoch(1))));
    rig.obs(2, &[(AWAY, 2)]);
    assert_eq!(rig.switched, Some(Epoch(2)));
    assert!(rig.last.is_empty(), "nothing happened, and a planned move is no gap: {:?}", rig.last);
    rig.obs(1, &[(HOME, 2)]);
    assert_eq!((rig.refused, rig.last.len()), (1, 0));
    rig.obs(2, &[(HOME, 2)]);
    assert_eq!(rig.kinds(), ["goal"]);
    assert!(!rig.last[0].recovered);
}

#[test]
fn a_candidate_that_is_ahead_tells_what_its_predecessor_did_not() {
    let mut rig = Rig::soccer();
    rig.base(2, W2, &[(HOME, 0), (AWAY, 0), (Register::Phase, 1)]).switch(2, Owner::Alive);
    for change in [(HOME, 1), (HOME, 2), (AWAY, 1), (AWAY, 2)] {
        rig.obs(2, &[change]);
    }
    assert!(rig.last.is_empty());
    rig.obs(1, &[(HOME, 1)]).obs(1, &[(HOME, 2)]);
    assert_eq!(rig.ledger.epoch(), Some(Epoch(1)));
    rig.obs(1, &[(AWAY, 1)]);
    assert_eq!(rig.kinds(), ["goal", "goal"], "the owner's third and the candidate's fourth");
    assert_eq!((rig.ledger.epoch(), rig.of(EventType::Goal).len()), (Some(Epoch(2)), 4));
    assert!(rig.gaps.is_empty());
}

fn odds_text(event: &NewEvent) -> String {
    match &event.payload {
        Payload::Flip(Flip::Odds { text, .. }) => text.clone(),
        other => panic!("{other:?}"),
    }
}

/// One sequence of flips, told by two workers at their own pace.
fn flips_across_a_move(flips: &[u8], base: usize, order: &[bool]) -> (Vec<String>, Rig) {
    let mut rig = Rig::soccer();
    let texts: Vec<String> = flips.iter().enumerate().map(|(n, flip)| format!("{flip}/{}", n + 2)).collect();
    let (mut owner, mut candidate, mut begun) = (0, base, false);
    for theirs in order.iter().copied().chain(std::iter::repeat_n([true, false], texts.len() + 1).flatten()) {
        if theirs && !begun {
            rig.base(2, W2, &[(HOME, 0), (AWAY, 0), (Register::Phase, 1)]).switch(2, Owner::Alive);
            begun = true;
        } else if theirs && candidate < texts.len() {
            rig.odds(2, &texts[candidate]);
            candidate += 1;
        } else if !theirs && owner < texts.len() {
            rig.odds(1, &texts[owner]);
            owner += 1;
        }
    }
    rig.wait(SETTLE);
    (texts, rig)
}

#[test]
fn a_candidate_that_stays_behind_is_believed_after_settle() {
    let mut rig = Rig::soccer();
    rig.obs(1, &[(HOME, 1)]);
    rig.base(2, W2, &[(HOME, 0), (AWAY, 0), (Register::Phase, 1)]).switch(2, Owner::Alive);
    assert!(rig.ledger.deadline().is_some());
    rig.wait(SETTLE - Duration::from_millis(1));
    assert_eq!(rig.ledger.epoch(), Some(Epoch(1)));
    rig.wait(Duration::from_millis(1));
    assert_eq!(rig.ledger.epoch(), Some(Epoch(2)));
    assert_eq!(rig.kinds(), ["retract"]);
}

#[test]
fn a_dead_owner_is_replaced_at_once() {
    let mut rig = Rig::soccer();
    rig.obs(1, &[(HOME, 2)]);
    rig.gone(W1);
    assert_eq!(rig.kinds(), ["gap_start"]);
    rig.base(2, W2, &[(HOME, 1), (AWAY, 1), (Register::Phase, 1)]);
    assert_eq!(rig.kinds(), ["goal", "gap_end"]);
    assert!(rig.last[0].recovered);
    assert_eq!(rig.ledger.registers()[&HOME], 2, "lower is not yet believed");
    rig.wait(SETTLE);
    assert_eq!(rig.kinds(), ["retract"]);
    assert_eq!(rig.ledger.registers()[&HOME], 1);
    assert_eq!(rig.ledger.deadline(), None);
}

#[test]
fn a_lower_value_that_catches_up_is_forgotten() {
    let mut rig = Rig::soccer();
    rig.obs(1, &[(HOME, 2)]);
    rig.gone(W1).base(2, W2, &[(HOME, 1), (AWAY, 0), (Register::Phase, 1)]);
    rig.obs(2, &[(HOME, 2)]);
    assert!(rig.last.is_empty());
    rig.wait(SETTLE * 2);
    assert!(rig.last.is_empty());
    rig.obs(2, &[(HOME, 1)]);
    assert_eq!(rig.kinds(), ["retract"], "a fall that is seen is believed at once");
}

#[test]
fn a_dead_candidate_changes_nothing() {
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
fn a_candidate_takes_over_when_its_owner_dies() {
    let mut rig = Rig::soccer();
    rig.pass(Duration::from_millis(500)).base(2, W2, &[(HOME, 1), (AWAY, 0), (Register::Phase, 1)]);
    rig.pass(Duration::from_millis(200)).gone(W1);
    assert_eq!(rig.kinds(), ["gap_start", "goal", "gap_end"]);
    assert_eq!(rig.switched, Some(Epoch(2)));
    assert!(matches!(rig.gaps[..], [GapStep::Open { at: 5, .. }, GapStep::Close { at: 500_008 }]));
}

#[test]
fn what_a_dead_owner_took_along_is_lost_before_its_candidate_too() {
    let mut rig = Rig::soccer();
    rig.pass(Duration::from_secs(20)).base(2, W2, &[(HOME, 2), (AWAY, 0), (Register::Phase, 1)]);
    let sign = LastSign::Behind(7_000_000);
    rig.give(&Input::Gone { source: W1, at: rig.wall, sign });
    assert_eq!(rig.kinds(), ["gap_start", "goal", "goal", "gap_end"]);
    assert!(matches!(rig.gaps[..], [GapStep::Open { at: 7_000_000, .. }, GapStep::Close { at: 20_000_008 }]));
}

#[test]
fn lower_epochs_are_refused() {
    let mut rig = Rig::soccer();
    rig.gone(W1).base(5, W2, &[(HOME, 0), (AWAY, 0)]);
    rig.base(4, W1, &[(HOME, 4)]).obs(4, &[(HOME, 5)]).switch(4, Owner::Alive);
    assert_eq!(rig.refused, 3);
    assert_eq!(rig.ledger.registers()[&HOME], 0);
}

#[test]
fn a_worker_renews_its_own_epoch_without_a_switch() {
    let mut rig = Rig::soccer();
    rig.restart(Owner::Alive);
    rig.attach(W2);
    assert!(rig.ledger.is_detached());
    rig.attach(W1).give(&Input::Missing { at: 1 });
    rig.obs(1, &[(HOME, 1)]);
    assert_eq!(rig.kinds(), ["goal"], "what the worker held is no gap");
    rig.base(7, W1, &[(HOME, 1), (AWAY, 0), (Register::Phase, 1)]);
    assert_eq!(rig.ledger.epoch(), Some(Epoch(7)));
    assert!(rig.last.is_empty() && rig.gaps.is_empty());
}

#[test]
fn an_owner_with_a_new_epoch_is_not_refused_for_a_candidate_that_is_above_it() {
    let mut rig = Rig::soccer();
    rig.restart(Owner::Alive);
    rig.attach(W1);
    // Both were given epochs after the start; the candidate's load came first.
    rig.base(9, W2, &[(HOME, 0), (AWAY, 0), (Register::Phase, 1)]);
    rig.base(7, W1, &[(HOME, 0), (AWAY, 0), (Register::Phase, 1)]);
    assert_eq!((rig.refused, rig.ledger.epoch()), (0, Some(Epoch(7))));
    rig.obs(7, &[(HOME, 1)]);
    assert_eq!(rig.kinds(), ["goal"]);
    // The candidate is still one, and takes over where the owner stands.
    rig.obs(9, &[(HOME, 1)]);
    assert!(rig.last.is_empty());
    rig.switch(9, Owner::Alive);
    for (register, value) in [(AWAY, 1), (HOME, 2)] {
        assert_eq!(rig.ledger.epoch(), Some(Epoch(7)));
        rig.obs(7, &[(register, value)]).obs(9, &[(register, value)]);
    }
    assert_eq!(rig.ledger.epoch(), Some(Epoch(9)));
    assert_eq!((rig.of(EventType::Goal).len(), rig.gaps.len(), rig.refused), (3, 0, 0));
}

#[test]
fn both_dead_the_load_meets_the_ledger() {
    let mut rig = Rig::soccer();
    rig.restart(Owner::Dead);
    let mut out = Outcome::default();
    rig.ledger.restored_without_worker(4, &mut out);
    assert!(matches!(out.gaps[..], [GapStep::Open { at: 4, .. }]));
    rig.base(9, W2, &[(HOME, 1), (AWAY, 0), (Register::Phase, 2)]);
    assert_eq!(rig.kinds(), ["goal", "period_end", "gap_end"]);
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
fn forgotten_steps_never_give_an_id_twice() {
    let mut rig = Rig::new("basketball", Scoring::Points);
    rig.base(1, W1, &[(HOME, 0), (AWAY, 0), (Register::Phase, 1)]);
    for round in 0..3 {
        for value in 1..1_200 {
            rig.obs(1, &[(HOME, value)]).obs(1, &[(HOME, 0)]);
        }
        assert!(rig.ledger.taken.len() <= MAX_MEMORY, "round {round}");
    }
    let ids: HashSet<_> = rig.told.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), rig.told.len());
}
