//! From a register's old and new value to events; the rules of `docs/documents.md`, 'Events'.

use super::event::{Color, EventType, NewEvent, Payload};
use super::identity::EventId;
use super::values::is_known;
use super::{Lane, Ledger, MAX_MEMORY, MAX_STEPS, ORDER_STEP, PhaseMark, Report};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::num::NonZero;
use touchline_common::model::{Change, Phase, Register, Scoring, Side};

/// A step that can be taken, taken back, and taken again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Step(
    pub EventType,
    /// Cards: 1 yellow, 2 red; else 0.
    pub u8,
    /// Whose, for counters; phases have no side.
    pub Option<Side>,
    /// The set, else 0.
    pub u8,
    /// A side's count or value after; a period; a place in a set.
    pub i64,
);

/// What was seen, and the events that follow from it.
#[derive(Debug)]
pub(super) struct Seen<'o> {
    pub(super) report: Report,
    /// The next place among the events of its message that have no counter.
    pub(super) place: u32,
    pub(super) mode: Mode,
    pub(super) events: &'o mut Vec<NewEvent>,
}

impl<'o> Seen<'o> {
    pub(super) fn new(report: Report, mode: Mode, events: &'o mut Vec<NewEvent>) -> Seen<'o> {
        Seen { report, place: 0, mode, events }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Seen,
    /// It happened in a gap, or stood unconfirmed after a handover.
    Recovered,
}

/// What a change of a register's value is.
#[derive(Clone, Copy)]
enum Rule {
    Phase,
    Points,
    Suspended,
    /// Points or runs of a side: one event, whatever its size.
    Total(Side),
    /// Sets, games, points of a set: each step is named by both sides' sum.
    Indexed {
        kind: EventType,
        set: u8,
        side: Side,
    },
    Counter(Counter),
    /// It is no event.
    None,
}

#[derive(Clone, Copy)]
struct Counter {
    kind: EventType,
    lane: Lane,
    color: Option<Color>,
    side: Side,
}

impl Counter {
    fn step(self, n: i64) -> Step {
        let color = match self.color {
            None => 0,
            Some(Color::Yellow) => 1,
            Some(Color::Red) => 2,
        };
        Step(self.kind, color, Some(self.side), 0, n)
    }
}

const MAX_FALL: i64 = 256;
const PHASES: [EventType; 4] =
    [EventType::MatchStarted, EventType::PeriodStart, EventType::PeriodEnd, EventType::MatchEnded];

impl Ledger {
    pub(super) fn step(&mut self, register: Register, value: i64, seen: &mut Seen<'_>) {
        if !is_known(register, value) {
            return;
        }
        let old = self.known.registers.get(&register).copied().or_else(|| self.implied(register));
        if old == Some(value) {
            self.known.registers.insert(register, value);
            return;
        }
        match (rule(register, self.facts.scoring), old) {
            (Rule::Phase, _) => self.step_phase(old, value, seen),
            (Rule::Points, _) => self.step_points(old, value, seen),
            (_, None) => _ = self.known.registers.insert(register, value),
            (Rule::Suspended, Some(_)) => {
                self.known.registers.insert(register, value);
                self.report_suspension(value != 0, seen);
            }
            (Rule::Total(side), Some(old)) => self.step_total(register, side, (old, value), seen),
            (_, Some(old)) if old.abs_diff(value) > MAX_STEPS => self.jump(register, (old, value), seen),
            (Rule::Indexed { kind, set, side }, Some(old)) => {
                self.step_indexed(register, kind, set, side, (old, value), seen);
            }
            (Rule::Counter(counter), Some(old)) => {
                self.step_counter(register, counter, (old, value), seen);
            }
            (Rule::None, Some(_)) => _ = self.known.registers.insert(register, value),
        }
    }

    /// What a register that was never stated must have been: nothing has happened in a match that has not begun, and
    /// a set that follows a known one begins at nothing.
    pub(super) fn implied(&self, register: Register) -> Option<i64> {
        let begun = self.known.registers.get(&Register::Phase) != Some(&Phase::NOT_STARTED.0);
        match register {
            Register::Phase | Register::Suspended => None,
            Register::Set { set, side } if begun => {
                let before = Register::Set { set: set.checked_sub(1)?, side };
                self.known.registers.contains_key(&before).then_some(0)
            }
            Register::Points => (self.owner.is_some() && !self.known.registers.is_empty()).then_some(0),
            Register::Set { .. }
            | Register::Score(_)
            | Register::Wickets(_)
            | Register::YellowCards(_)
            | Register::RedCards(_)
            | Register::Corners(_)
            | Register::Penalties(_)
            | Register::Substitutions(_) => (!begun).then_some(0),
        }
    }

    fn step_counter(
        &mut self,
        register: Register,
        counter: Counter,
        (old, new): (i64, i64),
        seen: &mut Seen<'_>,
    ) {
        let Counter { lane, color, side, .. } = counter;
        let step = |n| counter.step(n);
        for n in (new.saturating_add(1)..=old).rev() {
            self.known.registers.insert(register, n.saturating_sub(1));
            self.retract(step(n), Some(side), n, seen);
        }
        for n in old.saturating_add(1)..=new {
            self.known.registers.insert(register, n);
            let payload = match color {
                Some(color) => Payload::Card { color, n },
                None => Payload::Count { n },
            };
            self.report(step(n), lane, Some(side), payload, seen);
        }
    }

    /// Points and runs: one event per change, named by the value that it reached.
    fn step_total(&mut self, register: Register, side: Side, (old, new): (i64, i64), seen: &mut Seen<'_>) {
        let step = |value| Step(EventType::ScoreChange, 0, Some(side), 0, value);
        self.known.registers.insert(register, new);
        if new > old {
            remember(self.steps.marks.entry(register).or_default(), new);
            let payload = Payload::Change { from: old, to: new, by: new.saturating_sub(old) };
            return self.report(step(new), Lane::Normal, Some(side), payload, seen);
        }
        // A value that was there at the first load was never reported, but it is taken back all the same.
        let mut gone: Vec<i64> = Vec::new();
        let marks = self.steps.marks.entry(register).or_default();
        while let Some(value) = marks.pop_if(|value| *value > new) {
            gone.push(value);
        }
        if gone.first() != Some(&old) {
            gone.insert(0, old);
        }
        for value in gone {
            self.retract(step(value), Some(side), value, seen);
        }
    }

    /// Sets, games, points of a set: one event per step, named by both sides' sum at that moment.
    #[allow(clippy::too_many_arguments)]
    fn step_indexed(
        &mut self,
        register: Register,
        kind: EventType,
        set: u8,
        side: Side,
        (old, new): (i64, i64),
        seen: &mut Seen<'_>,
    ) {
        let others = self.others(register, side);
        for value in (new.saturating_add(1)..=old).rev() {
            self.known.registers.insert(register, value.saturating_sub(1));
            let index = self.steps.marks.get_mut(&register).and_then(Vec::pop);
            let index = index.unwrap_or_else(|| value.saturating_add(others));
            self.retract(Step(kind, 0, None, set, index), Some(side), index, seen);
        }
        for value in old.saturating_add(1)..=new {
            self.known.registers.insert(register, value);
            let index = value.saturating_add(others);
            remember(self.steps.marks.entry(register).or_default(), index);
            let payload = Payload::Place { set: NonZero::new(set), game: None, index, points: None };
            self.report(Step(kind, 0, None, set, index), Lane::Normal, Some(side), payload, seen);
        }
    }

    /// Tennis: a change of the game's points; back to nothing is the game's end, which the game reports.
    fn step_points(&mut self, old: Option<i64>, new: i64, seen: &mut Seen<'_>) {
        self.known.registers.insert(Register::Points, new);
        if new == 0 || self.facts.scoring != Scoring::Tennis {
            return;
        }
        let place = self.game();
        let (home, away) = Register::unpack_points(new);
        let Some(old) = old.filter(|_| seen.mode == Mode::Seen) else {
            // Points may miss in a gap; those after it keep their numbers where the score shows how many there were.
            let reported = self.steps.points.entry(place).or_default();
            *reported = (*reported).max(points_played(home, away));
            return;
        };
        let (home_before, away_before) = Register::unpack_points(old);
        let side = match (home > home_before || away < away_before, away > away_before || home < home_before)
        {
            (true, false) => Some(Side::Home),
            (false, true) => Some(Side::Away),
            (true, true) | (false, false) => None,
        };
        let reported = self.steps.points.entry(place).or_default();
        *reported = reported.saturating_add(1);
        let i = *reported;
        if self.steps.points.len() > MAX_MEMORY {
            self.steps.points.pop_first();
        }
        let (set, game) = place;
        let id = self.scope.tennis_point(set, game, i);
        let shown = |points: u16| if points == 50 { "A".to_owned() } else { points.to_string() };
        let payload = Payload::Place {
            set: NonZero::new(set),
            game: Some(game),
            index: i64::from(i),
            points: Some(format!("{}-{}", shown(home), shown(away))),
        };
        self.push(id, EventType::Point, Lane::Normal, side, payload, seen);
    }

    fn game(&self) -> (u8, i64) {
        let set =
            self.known.registers.keys().filter_map(|register| {
                if let Register::Set { set, .. } = register { Some(*set) } else { None }
            });
        let Some(set) = set.max() else { return (0, 0) };
        let games = Side::BOTH
            .iter()
            .filter_map(|side| self.known.registers.get(&Register::Set { set, side: *side }));
        (set, games.fold(0i64, |all, one| all.saturating_add(*one)))
    }

    fn step_phase(&mut self, old: Option<i64>, new: i64, seen: &mut Seen<'_>) {
        self.known.registers.insert(Register::Phase, new);
        let over = new >= Phase::FINISHED.0;
        let Some(old) = old else {
            if new > 0 && !over {
                self.mark(1, EventType::MatchStarted, 0, seen);
            }
            return;
        };
        if new < old {
            return self.unwind_phases(new, seen);
        }
        if old == 0 && !over {
            self.mark(1, EventType::MatchStarted, 0, seen);
        }
        let playing = |phase: i64| (phase < Phase::FINISHED.0 && phase % 2 == 1).then_some((phase + 1) / 2);
        if let Some(period) = playing(old) {
            self.mark(2 * period, EventType::PeriodEnd, period, seen);
        }
        if over {
            self.mark(Phase::FINISHED.0, EventType::MatchEnded, 0, seen);
        } else if let Some(period) = playing(new) {
            self.mark(new, EventType::PeriodStart, period, seen);
        } else {
            self.mark(new, EventType::PeriodEnd, new / 2, seen);
        }
    }

    /// Reports a happening of a phase, unless it stands already.
    fn mark(&mut self, to: i64, kind: EventType, index: i64, seen: &mut Seen<'_>) {
        if self.steps.phases.iter().any(|mark| (mark.kind, mark.index) == (kind, index)) {
            return;
        }
        self.steps.phases.push(PhaseMark { to, kind, index });
        let payload = if index == 0 { Payload::None {} } else { Payload::Period { period: index } };
        self.report(Step(kind, 0, None, 0, index), Lane::Priority, None, payload, seen);
    }

    /// Reports that the match is over, whatever was known of its phase. Once.
    pub(super) fn report_end(&mut self, seen: &mut Seen<'_>) {
        if self.has_end() {
            return;
        }
        match self.known.registers.get(&Register::Phase).copied() {
            Some(phase) if phase < Phase::FINISHED.0 => {
                self.step(Register::Phase, Phase::FINISHED.0, seen);
            }
            Some(_) | None => self.mark(Phase::FINISHED.0, EventType::MatchEnded, 0, seen),
        }
    }

    /// Takes the match's end back, if it stands.
    pub(super) fn take_back_end(&mut self, seen: &mut Seen<'_>) {
        let end = self.steps.phases.pop_if(|mark| mark.kind == EventType::MatchEnded);
        if let Some(PhaseMark { kind, index, .. }) = end {
            self.retract(Step(kind, 0, None, 0, index), None, index, seen);
        }
    }

    fn unwind_phases(&mut self, to: i64, seen: &mut Seen<'_>) {
        while let Some(mark) = self.steps.phases.pop_if(|mark| mark.to > to) {
            self.retract(Step(mark.kind, 0, None, 0, mark.index), None, mark.index, seen);
        }
    }

    fn report_suspension(&mut self, suspended: bool, seen: &mut Seen<'_>) {
        let kind = if suspended { EventType::Suspended } else { EventType::Resumed };
        let id = self.next_uncounted(seen);
        self.push(id, kind, Lane::Priority, None, Payload::None {}, seen);
    }

    fn jump(&mut self, register: Register, (from, to): (i64, i64), seen: &mut Seen<'_>) {
        self.known.registers.insert(register, to);
        self.steps.marks.remove(&register);
        // A fall takes back what it jumps over without an event each; taken again, those steps are other happenings.
        for n in to.saturating_add(1)..=from.min(to.saturating_add(MAX_FALL)) {
            if let Some(step) = self.step_of(register, n) {
                let k = self.taken_back(&step).saturating_add(1);
                self.set_taken(step, k);
            }
        }
        self.bound_taken();
        let id = self.next_uncounted(seen);
        let payload = Payload::Jump { register: format!("{register:?}"), from, to };
        self.push(id, EventType::Mismatch, Lane::Normal, None, payload, seen);
    }

    pub(super) fn report_change(&mut self, change: &Change<'_>, seen: &mut Seen<'_>) {
        let (kind, side, payload) = match change {
            Change::Comment { text } => {
                (EventType::Comment, None, Payload::Comment { text: text.clone().into_owned() })
            }
            Change::Stat { key, side, text } => {
                let (key, text) = (key.clone().into_owned(), text.clone().into_owned());
                (EventType::StatChange, *side, Payload::Stat { key, text })
            }
        };
        let id = self.next_uncounted(seen);
        self.push(id, kind, Lane::Normal, side, payload, seen);
    }

    pub(super) fn next_uncounted(&self, seen: &mut Seen<'_>) -> EventId {
        let id = self.scope.uncounted(seen.report.epoch.0, seen.report.n, seen.place);
        seen.place = seen.place.saturating_add(1);
        id
    }

    fn set_taken(&mut self, step: Step, k: u32) {
        self.steps.taken.insert(step, k);
        if let Some(incidents) = &mut self.incidents {
            incidents.step_taken_back(step);
        }
    }

    fn taken_back(&self, step: &Step) -> u32 {
        self.steps.taken.get(step).copied().unwrap_or(self.steps.taken_floor)
    }

    pub(super) fn step_id(&self, step: &Step) -> EventId {
        let k = self.taken_back(step);
        let Step(kind, color, side, set, n) = *step;
        let detail = match color {
            1 => "yellow",
            2 => "red",
            _ => "",
        };
        match side {
            Some(side) => self.scope.counter(kind, detail, side, n, k),
            None => self.scope.phase(kind, set, n, k),
        }
    }

    pub(super) fn report(
        &mut self,
        step: Step,
        lane: Lane,
        side: Option<Side>,
        payload: Payload,
        seen: &mut Seen<'_>,
    ) {
        let id = self.step_id(&step);
        self.push(id, step.0, lane, side, payload, seen);
        if let Some(incidents) = &mut self.incidents {
            incidents.step_told(step, id);
        }
    }

    fn retract(&mut self, step: Step, side: Option<Side>, n: i64, seen: &mut Seen<'_>) {
        let gone = self.step_id(&step);
        let k = self.taken_back(&step).saturating_add(1);
        self.set_taken(step, k);
        self.bound_taken();
        let id = self.scope.retract(gone);
        let payload = Payload::Retracted { kind: step.0, n };
        self.push(id, EventType::Retract, Lane::Priority, side, payload, seen);
        if let Some(event) = seen.events.last_mut() {
            event.retracts = Some(gone);
        }
    }

    fn bound_taken(&mut self) {
        if self.steps.taken.len() > MAX_MEMORY {
            // Above every count that is forgotten, so that no id can come twice.
            let highest = self.steps.taken.values().copied().max().unwrap_or(0).max(self.steps.taken_floor);
            self.steps.taken_floor = highest.saturating_add(1);
            self.steps.taken.clear();
        }
    }

    /// The types that the known registers make.
    pub(super) fn made_by_registers(&self) -> BTreeSet<EventType> {
        let kinds = |register: &Register| match rule(*register, self.facts.scoring) {
            Rule::Phase => PHASES.to_vec(),
            Rule::Points => vec![EventType::Point],
            Rule::Suspended => vec![EventType::Suspended, EventType::Resumed],
            Rule::Total(_) => vec![EventType::ScoreChange],
            Rule::Indexed { kind, .. } | Rule::Counter(Counter { kind, .. }) => vec![kind],
            Rule::None => Vec::new(),
        };
        self.known.registers.keys().flat_map(kinds).collect()
    }

    /// The step that brings a register to `n`, the other side standing as it does.
    fn step_of(&self, register: Register, n: i64) -> Option<Step> {
        match rule(register, self.facts.scoring) {
            Rule::Indexed { kind, set, side } => {
                Some(Step(kind, 0, None, set, n.saturating_add(self.others(register, side))))
            }
            Rule::Counter(counter) => Some(counter.step(n)),
            Rule::Phase | Rule::Points | Rule::Suspended | Rule::Total(_) | Rule::None => None,
        }
    }

    /// The value of the other side's register, of a set or the score.
    fn others(&self, register: Register, side: Side) -> i64 {
        let other = if let Register::Set { set, .. } = register {
            Register::Set { set, side: side.other() }
        } else {
            Register::Score(side.other())
        };
        self.known.registers.get(&other).copied().unwrap_or(0)
    }

    /// Gives an event its place.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn push(
        &mut self,
        id: EventId,
        kind: EventType,
        lane: Lane,
        side: Option<Side>,
        payload: Payload,
        seen: &mut Seen<'_>,
    ) {
        self.order = self.order.saturating_add(ORDER_STEP);
        let recovered = seen.mode == Mode::Recovered;
        let Report { epoch, clock, at, version, .. } = seen.report;
        seen.events.push(NewEvent {
            id,
            revision: 0,
            retracts: None,
            kind,
            lane,
            side,
            clock: clock.filter(|_| !recovered).map(|clock| clock.seconds),
            period: self.period(),
            at,
            feed_at: None,
            epoch,
            version,
            order: self.order,
            score: self.score(),
            late: false,
            recovered,
            payload,
        });
    }

    pub(super) fn score(&self) -> Option<(i64, i64)> {
        let of = |side| self.known.registers.get(&Register::Score(side)).copied();
        Some((of(Side::Home)?, of(Side::Away)?))
    }

    /// The phase in words; in sports of sets or frames those stand for it.
    fn period(&self) -> Option<&'static str> {
        self.phase_name(*self.known.registers.get(&Register::Phase)?)
    }

    /// A name of [`Ledger::phase_name`] as it is kept for ever.
    pub(super) fn phase_named(&self, name: &str) -> Option<&'static str> {
        let phases = (0..=9).chain([Phase::FINISHED.0, Phase::ABANDONED.0]);
        phases.filter_map(|phase| self.phase_name(phase)).find(|known| *known == name)
    }

    pub(super) fn phase_name(&self, phase: i64) -> Option<&'static str> {
        let halves = matches!(self.sport(), Some("soccer" | "futsal" | "handball"));
        let has_sets = self.facts.scoring.has_sets();
        Some(match phase {
            0 => "not_started",
            1_000 => "finished",
            1_001 => "abandoned",
            _ if has_sets => return None,
            1 if halves => "first_half",
            2 if halves => "half_time",
            3 if halves => "second_half",
            5 if halves => "extra_time_first_half",
            6 if halves => "extra_time_half_time",
            7 if halves => "extra_time_second_half",
            1 => "period_1",
            2 => "break_1",
            3 => "period_2",
            4 => "break_2",
            5 => "period_3",
            6 => "break_3",
            7 => "period_4",
            8 => "break_4",
            9 => "period_5",
            _ => return None,
        })
    }
}

fn rule(register: Register, scoring: Scoring) -> Rule {
    let counter = |kind, lane, side| Rule::Counter(Counter { kind, lane, color: None, side });
    let card =
        |color, lane, side| Rule::Counter(Counter { kind: EventType::Card, lane, color: Some(color), side });
    match register {
        Register::Phase => Rule::Phase,
        Register::Points => Rule::Points,
        Register::Suspended => Rule::Suspended,
        Register::Score(side) => match scoring {
            Scoring::Goals => counter(EventType::Goal, Lane::Priority, side),
            Scoring::Points | Scoring::Cricket => Rule::Total(side),
            Scoring::Tennis | Scoring::Sets | Scoring::Frames => {
                Rule::Indexed { kind: EventType::Set, set: 0, side }
            }
            Scoring::Text => Rule::None,
        },
        Register::Set { set, side } => match scoring {
            Scoring::Tennis => Rule::Indexed { kind: EventType::Game, set, side },
            Scoring::Sets => Rule::Indexed { kind: EventType::Point, set, side },
            Scoring::Goals | Scoring::Points | Scoring::Cricket | Scoring::Text | Scoring::Frames => {
                Rule::None
            }
        },
        Register::Wickets(side) => counter(EventType::Wicket, Lane::Normal, side),
        Register::Corners(side) => counter(EventType::Corner, Lane::Normal, side),
        Register::Penalties(side) => counter(EventType::Penalty, Lane::Priority, side),
        Register::Substitutions(side) => counter(EventType::Substitution, Lane::Normal, side),
        Register::YellowCards(side) => card(Color::Yellow, Lane::Normal, side),
        Register::RedCards(side) => card(Color::Red, Lane::Priority, side),
    }
}

/// Points that must have been played in a game at this score, at least.
fn points_played(home: u16, away: u16) -> u32 {
    let won = |points: u16| match points {
        15 => 1,
        30 => 2,
        40 => 3,
        50 => 4,
        other => u32::from(other),
    };
    won(home) + won(away)
}

fn remember(marks: &mut Vec<i64>, mark: i64) {
    if marks.len() >= MAX_MEMORY {
        marks.drain(..MAX_MEMORY / 2);
    }
    marks.push(mark);
}
