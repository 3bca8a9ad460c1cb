//! The ledger against its rules: golden ids and texts, steps, retractions, last known values.
#![allow(clippy::wildcard_enum_match_arm)]

mod gaps;
mod handover;
mod incidents;
mod instances;
mod properties;

use super::*;
use std::collections::HashSet;
use std::time::Instant;
use touchline_common::ipc::messages::data::Extent;
use touchline_common::model::{Phase, Scoring, Side};

const SETTLE: Duration = Duration::from_secs(2);
const W1: Source = Source { slot: SlotId(1), generation: Generation(1) };
const W2: Source = Source { slot: SlotId(2), generation: Generation(1) };
const HOME: Register = Register::Score(Side::Home);
const AWAY: Register = Register::Score(Side::Away);
const START: [(Register, i64); 3] = [(HOME, 0), (AWAY, 0), (Register::Phase, 1)];

fn stat(text: &str) -> Change<'_> {
    Change::Stat { key: "shots".into(), side: Some(Side::Home), text: text.into() }
}

fn viewers(text: &str) -> Change<'_> {
    Change::Stat { key: "viewers".into(), side: None, text: text.into() }
}

fn comment(text: &str) -> Change<'_> {
    Change::Comment { text: text.into() }
}

/// A ledger with a clock and everything that it reported.
#[derive(Clone)]
struct Rig {
    ledger: Ledger,
    facts: Facts,
    /// As the next load names them.
    teams: Option<Teams>,
    now: Instant,
    /// The wall clock, microseconds.
    wall: i64,
    n: u64,
    all: Vec<NewEvent>,
    last: Vec<NewEvent>,
    refused: u32,
    switched: Option<Epoch>,
    gaps: Vec<GapStep>,
    next_mark: u64,
    /// Questions that were not answered.
    asked: Vec<(Source, u64)>,
    /// What is committed of it: its text, and its parts.
    text: String,
    parts: BTreeMap<String, String>,
}

impl Rig {
    fn new(sport: &str, scoring: Scoring) -> Rig {
        let mut rig = Rig {
            ledger: Ledger::new("inplay", "M1", SETTLE),
            facts: Facts { sport: Some(sport.into()), scoring },
            teams: None,
            now: Instant::now(),
            wall: 5,
            n: 0,
            all: Vec::new(),
            last: Vec::new(),
            refused: 0,
            switched: None,
            gaps: Vec::new(),
            next_mark: 0,
            asked: Vec::new(),
            text: String::new(),
            parts: BTreeMap::new(),
        };
        rig.commit();
        rig
    }

    fn soccer() -> Rig {
        let mut rig = Rig::new("soccer", Scoring::Goals);
        rig.base(1, W1, &START);
        rig
    }

    fn give(&mut self, input: &Input<'_>) -> &mut Rig {
        let mut out = Outcome { next_mark: self.next_mark, ..Outcome::default() };
        self.ledger.advance(input, self.now, &mut out);
        self.refused += u32::from(out.refused);
        self.switched = out.switched.or(self.switched);
        self.gaps.extend(out.gaps);
        self.all.extend(out.events.iter().cloned());
        self.last = out.events;
        if out.changed {
            self.commit();
        }
        if !out.marks.is_empty() {
            self.asked.extend(out.marks.iter().map(|source| (*source, self.next_mark)));
            self.next_mark += 1;
        }
        self
    }

    fn base(&mut self, epoch: u64, source: Source, registers: &[(Register, i64)]) -> &mut Rig {
        self.load(epoch, source, registers, &[])
    }

    fn load(
        &mut self,
        epoch: u64,
        source: Source,
        registers: &[(Register, i64)],
        values: &[Change<'_>],
    ) -> &mut Rig {
        self.n += 1;
        // Another's load is read after what was reported before it.
        self.wall += if self.ledger.epoch().is_some() { 3 } else { 0 };
        let registers: Registers = registers.iter().copied().collect();
        let (facts, teams, n, epoch, at) =
            (self.facts.clone(), self.teams.clone(), self.n, Epoch(epoch), self.wall);
        let (facts, teams, registers) = (&facts, teams.as_ref(), &registers);
        let clock = Some(Clock { seconds: 61 });
        let report = Report { n, epoch, clock, at, version: 3 };
        self.give(&Input::Base { report, source, facts, teams, registers, values })
    }

    fn obs(&mut self, epoch: u64, changes: &[(Register, i64)]) -> &mut Rig {
        self.observe(epoch, changes, &[])
    }

    fn texts(&mut self, epoch: u64, changes: &[Change<'_>]) -> &mut Rig {
        self.observe(epoch, &[], changes)
    }

    fn observe(&mut self, epoch: u64, registers: &[(Register, i64)], changes: &[Change<'_>]) -> &mut Rig {
        self.n += 1;
        let change =
            |(register, value): &(Register, i64)| RegisterChange { register: *register, value: *value };
        let registers: Vec<RegisterChange> = registers.iter().map(change).collect();
        let (n, epoch, at, registers) = (self.n, Epoch(epoch), self.wall + 2, &registers);
        let clock = Some(Clock { seconds: 125 });
        self.give(&Input::Obs { report: Report { n, epoch, clock, at, version: 4 }, registers, changes })
    }

    /// All that were asked answer.
    fn marks(&mut self) -> &mut Rig {
        for (source, token) in std::mem::take(&mut self.asked) {
            self.give(&Input::Marked { source, token });
        }
        self
    }

    fn wait(&mut self, time: Duration) -> &mut Rig {
        self.pass(time);
        self.give(&Input::Tick { at: self.wall })
    }

    /// Time passes, and no ledger is looked at.
    fn pass(&mut self, time: Duration) -> &mut Rig {
        self.now += time;
        self.wall += time.as_micros() as i64;
        self
    }

    fn switch(&mut self, epoch: u64, owner: Owner) -> &mut Rig {
        self.give(&Input::Switch { epoch: Epoch(epoch), owner })
    }

    fn gone(&mut self, source: Source) -> &mut Rig {
        let at = self.wall + 3;
        self.give(&Input::Gone { source, at, sign: LastSign::Received(at), unheard: None })
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.last.iter().map(|event| event.kind.as_str()).collect()
    }

    fn of(&self, kind: EventType) -> Vec<&NewEvent> {
        self.all.iter().filter(|event| event.kind == kind).collect()
    }

    /// Events that were not taken back.
    fn live(&self) -> Vec<&NewEvent> {
        let gone: HashSet<EventId> = self.all.iter().filter_map(|event| event.retracts).collect();
        self.all.iter().filter(|event| event.retracts.is_none() && !gone.contains(&event.id)).collect()
    }

    fn gap(&self) -> (i64, &'static str, i64) {
        let [GapStep::Open { at, reason, .. }, GapStep::Close { at: to }] = self.gaps[..] else {
            panic!("{:?}", self.gaps)
        };
        (at, reason, to)
    }

    /// Writes what changed, as the store does.
    fn commit(&mut self) {
        let Saved { text, extent, parts } = self.ledger.save().unwrap();
        self.text = text;
        if extent == Extent::Whole {
            self.parts.clear();
        }
        for (name, body) in parts {
            match body {
                Some(body) => _ = self.parts.insert(name, body),
                None => assert!(self.parts.remove(&name).is_some(), "{name} was not there"),
            }
        }
        self.ledger.committed();
    }

    /// Goes on from what is committed, as a start of the recorder does.
    fn restart(&mut self, worker: Owner) {
        let fresh = Ledger::new("inplay", "M1", SETTLE);
        let parts: Vec<(String, String)> = self.parts.clone().into_iter().collect();
        self.ledger = fresh.restored(&self.text, &parts, self.ledger.order(), worker).unwrap();
        self.asked.clear();
    }

    fn attach(&mut self, source: Source) -> &mut Rig {
        self.give(&Input::Attached { source })
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
        scope.uncounted(12, 345, 1),
        scope.retract(scope.counter(EventType::Goal, "", Side::Home, 1, 0)),
    ];
    let shown: Vec<String> = ids.iter().map(ToString::to_string).collect();
    assert_eq!(shown, GOLDEN_IDS, "ids stand in stores and may never change");
    let first = scope.clone().of_instance(0);
    assert_eq!(first.counter(EventType::Goal, "", Side::Home, 1, 0), ids[0]);
    let mut next = scope;
    next.next_instance();
    let others = [
        next.counter(EventType::Goal, "", Side::Home, 1, 0),
        next.phase(EventType::PeriodStart, 0, 2, 0),
        next.tennis_point(2, 7, 3),
        next.uncounted(12, 345, 1),
        next.retract(ids[0]),
    ];
    let all: HashSet<EventId> = ids.into_iter().chain(others).collect();
    assert_eq!(all.len(), ids.len() + others.len());
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
    assert_eq!(rig.ledger.save().unwrap().text, GOLDEN_LEDGER, "a changed form needs a new version");
    let before = rig.ledger.clone();
    rig.restart(Owner::Alive);
    assert!(rig.ledger.is_detached());
    assert_eq!(rig.ledger.known.registers, before.known.registers);
    rig.obs(1, &[(HOME, 1)]);
    assert_eq!(rig.kinds(), ["goal"]);
    assert_ne!(rig.of(EventType::Goal)[0].id, rig.last[0].id, "k survives");
}

#[test]
fn the_first_form_is_migrated() {
    let migrated = Ledger::migrate(GOLDEN_LEDGER_V1, 6_291_456).unwrap();
    assert_eq!(migrated, GOLDEN_LEDGER);
    let fresh = Ledger::new("inplay", "M1", SETTLE);
    let ledger = fresh.restored(&migrated, &[], 7_340_032, Owner::Dead).unwrap();
    assert_eq!((ledger.order(), ledger.epoch()), (7_340_032, Some(Epoch(1))), "the newest event counts");
    assert!(Ledger::migrate("{}", 1).is_err());
}

const GOLDEN_LEDGER_V1: &str = r#"{"facts":{"sport":"soccer","scoring":"Goals"},"owner":[1,1,1],"registers":[[{"Score":"home"},0],[{"Score":"away"},1],["Phase",2]],"taken":[[["goal",0,"home",0,1],1]],"taken_floor":0,"marks":[],"phases":[[1,"match_started",0],[2,"period_end",1]],"points":[],"gaps":0,"gap_open":false,"ended":false,"repeats":3}"#;

const GOLDEN_LEDGER: &str = r#"{"facts":{"sport":"soccer","scoring":"Goals"},"owner":[1,1,1],"registers":[[{"Score":"home"},0],[{"Score":"away"},1],["Phase",2]],"taken":[[["goal",0,"home",0,1],1]],"taken_floor":0,"marks":[],"phases":[[1,"match_started",0],[2,"period_end",1]],"points":[],"order":6291456,"gaps":0,"gap_open":false,"ended":false}"#;

#[test]
fn the_first_load_reports_no_goals() {
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
    assert!(rig.all.windows(2).all(|pair| pair[0].order + ORDER_STEP == pair[1].order));
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
fn tennis_has_games_sets_and_points() {
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
    assert_eq!(
        rig.last[0].payload,
        Payload::Place { set: std::num::NonZero::new(1), game: None, index: 1, points: None }
    );
    rig.obs(1, &[points(0, 15)]);
    let Payload::Place { game, index, .. } = rig.last[0].payload else { panic!("{:?}", rig.last) };
    assert_eq!((game, index), (Some(1), 1));
    rig.obs(1, &[(set(Side::Home), 6), (HOME, 1)]);
    assert_eq!(rig.kinds(), ["game", "game", "game", "game", "game", "set"]);
    rig.obs(1, &[(Register::Set { set: 2, side: Side::Away }, 1)]);
    assert_eq!(rig.kinds(), ["game"], "a new set begins at nothing");
    let ids: HashSet<_> = rig.all.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), rig.all.len());
}

#[test]
fn frames_legs_and_maps_are_sets() {
    let mut rig = Rig::new("snooker", Scoring::Frames);
    rig.base(1, W1, &[(HOME, 4), (AWAY, 3), (Register::Phase, 1)]);
    rig.obs(1, &[(HOME, 5)]);
    assert_eq!(rig.kinds(), ["set"]);
    assert_eq!((rig.last[0].side, rig.last[0].score), (Some(Side::Home), Some((5, 3))));
    assert_eq!(rig.last[0].period, None, "the frames stand for periods");
    let index = |rig: &Rig| match rig.last[0].payload {
        Payload::Place { index, .. } => index,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(index(&rig), 8);
    let id = rig.last[0].id;
    rig.obs(1, &[(AWAY, 5)]);
    assert_eq!((rig.kinds(), index(&rig)), (vec!["set", "set"], 9));
    rig.obs(1, &[(HOME, 4)]);
    assert_eq!((rig.kinds(), rig.last[0].retracts), (vec!["retract"], Some(id)));
}

#[test]
fn points_of_basketball_are_one_event_each_change() {
    let mut rig = Rig::new("basketball", Scoring::Points);
    rig.base(1, W1, &[(HOME, 10), (AWAY, 8), (Register::Phase, 1)]);
    rig.obs(1, &[(HOME, 13)]);
    assert_eq!(rig.kinds(), ["score_change"]);
    assert_eq!(rig.last[0].payload, Payload::Change { from: 10, to: 13, by: 3 });
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
fn forgotten_steps_never_give_an_id_twice() {
    let mut rig = Rig::new("basketball", Scoring::Points);
    rig.base(1, W1, &[(HOME, 0), (AWAY, 0), (Register::Phase, 1)]);
    for round in 0..3 {
        for value in 1..1_200 {
            rig.obs(1, &[(HOME, value)]).obs(1, &[(HOME, 0)]);
        }
        assert!(rig.ledger.steps.taken.len() <= MAX_MEMORY, "round {round}");
    }
    let ids: HashSet<_> = rig.all.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), rig.all.len());
}

#[test]
fn a_statistic_of_the_whole_has_no_side_and_none_is_taken_for_another() {
    let mut rig = Rig::new("soccer", Scoring::Goals);
    rig.load(1, W1, &START, &[viewers("100"), stat("3")]);
    rig.texts(1, &[viewers("100"), viewers("120"), stat("4")]);
    assert_eq!(rig.kinds(), ["stat_change", "stat_change"]);
    assert_eq!(rig.last.iter().map(|event| event.side).collect::<Vec<_>>(), [None, Some(Side::Home)]);
    let of_home = Change::Stat { key: "viewers".into(), side: Some(Side::Home), text: "120".into() };
    rig.texts(1, &[of_home, viewers("120")]);
    assert_eq!(rig.kinds(), ["stat_change"], "the same key with a side is another value");
    rig.load(1, W1, &START, &[viewers("130"), stat("4")]);
    assert_eq!(rig.kinds(), ["stat_change"], "a load compares it as any other");
    assert_eq!(rig.last[0].side, None);
    let ids: HashSet<_> = rig.all.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), rig.all.len());
}

#[test]
fn a_value_that_equals_the_last_known_one_is_no_event() {
    let mut rig = Rig::new("soccer", Scoring::Goals);
    rig.load(1, W1, &START, &[stat("3"), comment("Kick-off")]);
    assert_eq!(rig.kinds(), ["match_listed", "match_started"], "what stands at first is where it begins");
    rig.observe(1, &[(HOME, 0)], &[stat("3"), comment("Kick-off")]);
    assert!(rig.last.is_empty());
    rig.observe(1, &[(HOME, 1)], &[stat("4"), comment("Goal")]);
    assert_eq!(rig.kinds(), ["goal", "stat_change", "comment"]);
    assert_eq!(rig.last[1].payload, Payload::Stat { key: "shots".into(), text: "4".into() });
    assert_eq!(rig.last[1].side, Some(Side::Home));
    rig.load(1, W1, &[(HOME, 1)], &[stat("4"), comment("Goal")]);
    assert!(rig.last.is_empty());
    rig.texts(1, &[stat("3")]);
    assert_eq!(rig.kinds(), ["stat_change"], "it goes back and forth");
    let ids: HashSet<_> = rig.all.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), rig.all.len());
}

#[test]
fn a_comment_that_was_taken_away_is_an_event_when_it_comes_again() {
    let mut rig = Rig::new("soccer", Scoring::Goals);
    rig.load(1, W1, &START, &[comment("Offside")]);
    rig.texts(1, &[comment("")]);
    assert!(rig.last.is_empty());
    rig.texts(1, &[comment("Offside")]);
    assert_eq!(rig.kinds(), ["comment"]);
    // A candidate that is behind it reports it once more.
    rig.load(2, W2, &START, &[]).gone(W1).texts(2, &[comment("Offside")]);
    assert!(rig.last.is_empty());
    // What is there again after a gap had been taken away in it.
    rig.texts(2, &[comment("")]);
    rig.load(3, W1, &START, &[comment("Offside")]).gone(W2).wait(SETTLE);
    assert_eq!(rig.kinds(), ["comment"]);
    assert!(rig.last[0].recovered);
}

#[test]
fn a_ledger_is_saved_for_registers_alone() {
    let mut rig = Rig::soccer();
    let mut out = Outcome::default();
    let changes = [stat("4")];
    let (epoch, now) = (Epoch(1), rig.now);
    let obs = |registers| Input::Obs {
        report: Report { n: 9, ..Report::unstated(epoch, 9) },
        registers,
        changes: &changes,
    };
    rig.ledger.advance(&obs(&[]), now, &mut out);
    assert_eq!((out.events.len(), out.changed), (1, false), "its order stands in the events");
    rig.ledger.advance(&obs(&[RegisterChange { register: HOME, value: 1 }]), now, &mut out);
    assert!(out.changed);
}

#[test]
fn the_end_of_a_round_is_an_event_of_its_owner_after_the_first_load() {
    let round = RoundEnd { ok: 1, failed: 0, changed: 1, took_ms: 85 };
    let mut rig = Rig::new("soccer", Scoring::Goals);
    let report = |epoch: u64, n: u64| Report { n, epoch: Epoch(epoch), clock: None, at: 9, version: 1 };
    rig.give(&Input::Round { report: report(1, 1), round });
    assert_eq!((rig.kinds(), rig.refused), (Vec::<&str>::new(), 1));
    rig.base(1, W1, &START);
    for n in 2..4 {
        rig.give(&Input::Round { report: report(1, n), round });
        assert_eq!((rig.kinds(), &rig.last[0].payload), (vec!["round_end"], &Payload::Round(round)));
    }
    let ids: HashSet<_> = rig.all.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), rig.all.len(), "each is one of its own");
    rig.give(&Input::Round { report: report(2, 4), round });
    assert_eq!(rig.refused, 2);
}
