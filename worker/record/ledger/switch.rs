//! Whose registers count: owner, candidate, gaps. The transitions of a ledger, in one function.
//!
//! An epoch above the owner's is a candidate: what it tells is held and nothing is written. It is adopted when the
//! switch is asked for and the owner is found in what it told (`align`): what comes after that place is written as its
//! own, so that nothing is told twice or not at all. Also when the owner is silent for `settle`, and at once when it is dead. A gap is open from the moment nobody follows the match until somebody does again.

use super::align::{Known, fingerprint};
use super::candidate::Candidate;
use super::event::{EventType, Lane, Payload};
use super::steps::{Mode, Seen};
use super::takeover::{Handover, News};
use super::{
    Changed, GapStep, Input, LastSign, Ledger, Lower, OWNER_DRAIN, Outcome, OwnerState, Said, Source, Writer,
};
use std::time::Instant;
use touchline_common::ipc::messages::data::EndReason;
use touchline_common::ipc::messages::recorder::Owner;
use touchline_common::model::{Epoch, Observation, Phase, Register, RegisterChange, Registers};

/// The epoch that the coordinator wants to own the match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) epoch: Epoch,
    pub(super) owner: Owner,
    pub(super) since: Instant,
}

/// Which values a merge believes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// All of them.
    All,
    /// Lower ones only after they stood.
    Higher,
}

pub(super) fn advance(ledger: &mut Ledger, input: &Input<'_>, now: Instant, out: &mut Outcome) {
    match *input {
        Input::Base { n, epoch, source, facts, registers, clock, at, version } => {
            let candidate = Candidate {
                epoch,
                source,
                facts: facts.clone(),
                registers: registers.clone(),
                clock,
                n,
                at,
                loaded_at: at,
                told: Default::default(),
                trail: Default::default(),
                unlooked: 0,
                loaded: now,
                since: now,
                unsaid: now,
            };
            ledger.base(candidate, version, now, out);
        }
        Input::Obs { n, epoch, observation, version } => {
            ledger.observe((n, epoch, version), observation, now, out);
        }
        Input::Lost { epoch, count, since } => {
            out.lost += count;
            if ledger.owner.is_some_and(|owner| owner.epoch == epoch) {
                ledger.open_gap(since, "overflow", out);
            }
        }
        Input::End { epoch, why, at } => ledger.end(epoch, why, at, now, out),
        Input::Switch { epoch, owner, at: _ } => {
            ledger.want(Wanted { epoch, owner, since: now }, now, out);
        }
        Input::Gone { source, at, sign } => ledger.gone(source, at, sign, now, out),
        Input::Silent { source, since } => {
            if ledger.source() == Some(source) {
                ledger.fall_silent(since, now, out);
            }
        }
        Input::Back { source, at } => {
            if ledger.source() == Some(source) {
                ledger.speak_again(at, out);
            }
        }
        Input::Attached { source, at } => {
            if ledger.is_detached() && ledger.source() == Some(source) {
                ledger.reattach(at, out);
            }
        }
        Input::Missing { at } => {
            if ledger.is_detached() && !ledger.ended {
                ledger.open_gap(at, "restart", out);
            }
        }
        Input::Ended { at } => ledger.conclude(at, out),
        Input::Tick { at, said } => ledger.tick(at, said, now, out),
    }
}

impl Ledger {
    fn base(&mut self, base: Candidate, version: u64, now: Instant, out: &mut Outcome) {
        let Some(owner) = self.owner else {
            return self.first(base, version, out);
        };
        if base.epoch < owner.epoch {
            out.refused = true;
            return;
        }
        if base.epoch == owner.epoch {
            return self.reload(base, version, now, out);
        }
        // A worker that takes a new epoch writes no more under its old one, and one channel keeps the order.
        if base.source == owner.source
            && matches!(owner.state, OwnerState::Alive | OwnerState::Silent { .. } | OwnerState::Detached)
        {
            return self.renew(base, version, now, out);
        }
        if self.candidate.as_ref().is_some_and(|other| other.epoch > base.epoch) {
            out.refused = true;
            return;
        }
        self.candidate = Some(Box::new(base));
        self.consider(version, Said::NotAll, now, out);
    }

    /// The owner goes on under a new epoch. A candidate above that stays one: until it takes over, nobody else tells what happens.
    fn renew(&mut self, base: Candidate, version: u64, now: Instant, out: &mut Outcome) {
        let above = self.candidate.take().filter(|other| other.epoch > base.epoch);
        self.speak_again(base.at, out);
        let (trail, told) = (self.trail.clone(), out.events.len());
        let news = if self.repeats == 0 { News::After(usize::MAX) } else { News::Beyond(self.repeats) };
        self.candidate = Some(Box::new(base));
        self.adopt(Handover { trust: Trust::All, news, gap: None }, version, now, out);
        self.candidate = above;
        // Where the base tells nothing new, what was told before it is still the newest.
        if out.events.len() == told {
            self.trail = trail;
        }
    }

    /// The first load: what stands is where the telling begins.
    fn first(&mut self, base: Candidate, version: u64, out: &mut Outcome) {
        let mut seen = base.seen(Mode::Seen, version);
        self.facts = base.facts;
        self.owner = Some(Writer { epoch: base.epoch, source: base.source, state: OwnerState::Alive });
        let phase = base.registers.get(&Register::Phase).copied();
        let points = base.registers.get(&Register::Points).copied();
        self.known_at = base.at;
        self.registers = base.registers;
        self.registers.remove(&Register::Points);
        self.ended = false;
        let listed = self.scope.phase(EventType::MatchListed, 0, 0, 0);
        self.push(listed, EventType::MatchListed, Lane::Normal, None, Payload::None, &seen, &mut out.events);
        if let Some(phase) = phase {
            self.registers.remove(&Register::Phase);
            self.step(Register::Phase, phase, &mut seen, &mut out.events);
        }
        if let Some(points) = points {
            seen.mode = Mode::Recovered;
            self.step(Register::Points, points, &mut seen, &mut out.events);
        }
        self.wanted = None;
        out.switched = Some(base.epoch);
        out.changed = Changed::State;
    }

    /// All registers again from the owner: after a reconnection, an overflow, a fresh load.
    fn reload(&mut self, base: Candidate, version: u64, now: Instant, out: &mut Outcome) {
        let away = self.owner.is_some_and(|owner| owner.state == OwnerState::Away);
        let mode = if self.gap_open { Mode::Recovered } else { Mode::Seen };
        if let Some(owner) = &mut self.owner {
            owner.state = OwnerState::Alive;
            owner.source = base.source;
        }
        let seen = base.seen(mode, version);
        self.facts = base.facts;
        self.ended = false;
        self.lower = None;
        self.known_at = self.known_at.max(base.at);
        // The load of one that is still behind what was told is behind it, too, if it lost nothing.
        if self.repeats == 0 || self.gap_open {
            self.repeats = 0;
            self.trail.clear();
            self.merge(&base.registers, if away { Trust::Higher } else { Trust::All }, seen, now, out);
        }
        self.close_gap(base.at, out);
        out.changed = Changed::State;
    }

    fn observe(
        &mut self,
        (n, epoch, version): (u64, Epoch, u64),
        observation: &Observation,
        now: Instant,
        out: &mut Outcome,
    ) {
        if self.owner.is_some_and(|owner| owner.epoch == epoch) {
            return self.observe_owner((n, epoch, version), observation, now, out);
        }
        let Some(candidate) = self.candidate.as_mut().filter(|candidate| candidate.epoch == epoch) else {
            out.refused = true;
            return;
        };
        candidate.hold(n, version, observation, now);
        self.look(version, now, out);
    }

    pub(super) fn observe_owner(
        &mut self,
        (n, epoch, version): (u64, Epoch, u64),
        observation: &Observation,
        now: Instant,
        out: &mut Outcome,
    ) {
        let clock = observation.clock.map(|clock| clock.seconds);
        let at = observation.received_at;
        if matches!(self.owner, Some(Writer { state: OwnerState::Silent { since }, .. }) if at > since) {
            self.speak_again(at, out);
        }
        let print = fingerprint(observation);
        if print.is_some_and(|print| self.repeats(print, at, out)) {
            self.heard = Some(now);
            return;
        }
        let mut seen = Seen { epoch, n, place: 0, clock, at, version, mode: Mode::Seen };
        for RegisterChange { register, value } in &observation.registers {
            out.changed = Changed::State;
            if !self.still_lower(*register, *value, n, now) {
                self.step(*register, *value, &mut seen, &mut out.events);
            }
        }
        for flip in &observation.flips {
            self.flip(flip, &mut seen, &mut out.events);
        }
        if let Some(print) = print {
            let candidate = if self.candidate.is_some() { Known::Some } else { Known::None };
            self.trail.push(print, candidate);
            self.heard = Some(now);
            self.known_at = self.known_at.max(at);
            if candidate == Known::Some {
                self.look(version, now, out);
            }
        }
    }

    /// The owner gives no sign of life: until it does, or another takes over, nobody follows the match.
    fn fall_silent(&mut self, since: i64, now: Instant, out: &mut Outcome) {
        if self.ended {
            return;
        }
        let since = since.max(self.known_at);
        if let Some(Writer { state: state @ OwnerState::Alive, .. }) = &mut self.owner {
            *state = OwnerState::Silent { since };
            self.open_gap(since, "worker_silent", out);
            self.consider(0, Said::NotAll, now, out);
        }
    }

    /// A silent owner goes on where it stopped: nothing was lost.
    fn speak_again(&mut self, at: i64, out: &mut Outcome) {
        if let Some(Writer { state: state @ OwnerState::Silent { .. }, .. }) = &mut self.owner {
            *state = OwnerState::Alive;
            self.close_gap(at, out);
        }
    }

    /// A restored owner's channel is open again: nothing was lost, what its worker held comes now.
    fn reattach(&mut self, at: i64, out: &mut Outcome) {
        if let Some(owner) = &mut self.owner {
            owner.state = OwnerState::Alive;
        }
        self.close_gap(at, out);
    }

    /// Whether a register that waits to be believed goes on waiting with this value.
    fn still_lower(&mut self, register: Register, value: i64, n: u64, now: Instant) -> bool {
        let standing = self.registers.get(&register).copied();
        let Some(lower) = self.lower.as_mut().filter(|lower| lower.values.contains_key(&register)) else {
            return false;
        };
        if standing.is_some_and(|standing| value < standing) {
            lower.values.insert(register, value);
            (lower.since, lower.n) = (now, n);
            return true;
        }
        lower.values.remove(&register);
        false
    }

    fn end(&mut self, epoch: Epoch, why: EndReason, at: i64, now: Instant, out: &mut Outcome) {
        if self.candidate.as_ref().is_some_and(|candidate| candidate.epoch == epoch) {
            if why != EndReason::Ended {
                self.candidate = None;
                return;
            }
        } else if self.epoch() != Some(epoch) {
            out.refused = true;
            return;
        }
        match why {
            EndReason::Ended => self.finish(at, out),
            EndReason::ConnectionLost => self.lose(OwnerState::Away, "connection", at, now, out),
            EndReason::Moved => self.lose(OwnerState::Dead, "moved", at, now, out),
            EndReason::Leaving => self.lose(OwnerState::Dead, "worker_left", at, now, out),
        }
    }

    /// Nobody follows the match any more because it is over. What nobody saw of its end is told now.
    fn conclude(&mut self, at: i64, out: &mut Outcome) {
        let unseen = self.gap_open && !self.ended;
        let phase = self.registers.get(&Register::Phase).copied();
        let began = phase.is_some_and(|phase| phase > 0 && phase < Phase::FINISHED.0);
        if let (true, true, Some(owner)) = (unseen, began, self.owner) {
            let (mode, place) = (Mode::Recovered, 0);
            let mut seen = Seen { epoch: owner.epoch, n: 0, place, clock: None, at, version: 0, mode };
            self.step(Register::Phase, Phase::FINISHED.0, &mut seen, &mut out.events);
        }
        self.finish(at, out);
    }

    fn finish(&mut self, at: i64, out: &mut Outcome) {
        self.close_gap(at, out);
        self.candidate = None;
        self.lower = None;
        self.ended = true;
        if let Some(owner) = &mut self.owner {
            owner.state = OwnerState::Dead;
        }
        out.changed = Changed::State;
    }

    fn want(&mut self, wanted: Wanted, now: Instant, out: &mut Outcome) {
        match self.epoch() {
            Some(epoch) if epoch == wanted.epoch => out.switched = Some(epoch),
            Some(epoch) if epoch > wanted.epoch => out.refused = true,
            Some(_) | None => {
                self.wanted = Some(wanted);
                self.consider(0, Said::NotAll, now, out);
            }
        }
    }

    fn gone(&mut self, source: Source, at: i64, sign: LastSign, now: Instant, out: &mut Outcome) {
        if self.candidate.as_ref().is_some_and(|candidate| candidate.source == source) {
            self.candidate = None;
        }
        let owned = self.owner.is_some_and(|owner| owner.source == source && owner.state != OwnerState::Dead);
        if !owned || self.ended {
            return;
        }
        let since = match sign {
            // It died before that was seen, or hung before it died; and another may have its load already.
            LastSign::Heard(heard) => self.known_at.max(heard.min(at - UNSEEN)),
            LastSign::Behind(told) => {
                let since = self.known_at.max(told);
                // What it saw before another had its load is lost, however soon its end was noticed.
                if self.candidate.as_ref().is_some_and(|candidate| since < candidate.loaded_at) {
                    self.open_gap(since, "worker_died", out);
                }
                since
            }
        };
        self.lose(OwnerState::Dead, "worker_died", since, now, out);
    }

    /// The owner writes no more, for now or for ever. A candidate that is there takes over, and knows whether anything is lost.
    fn lose(&mut self, state: OwnerState, reason: &'static str, at: i64, now: Instant, out: &mut Outcome) {
        let Some(owner) = &mut self.owner else { return };
        owner.state = state;
        if state != OwnerState::Dead || self.candidate.is_none() {
            self.open_gap(at, reason, out);
        }
        out.changed = Changed::State;
        self.consider(0, Said::NotAll, now, out);
    }

    fn tick(&mut self, at: i64, said: Said, now: Instant, out: &mut Outcome) {
        if let (Said::NotAll, Some(candidate)) = (said, &mut self.candidate) {
            candidate.unsaid = now;
        }
        let drained = |wanted: Wanted| wanted.owner == Owner::Dead && now >= wanted.since + OWNER_DRAIN;
        let alive = self.owner.is_some_and(|owner| match owner.state {
            OwnerState::Alive | OwnerState::Silent { .. } | OwnerState::Away => true,
            OwnerState::Detached | OwnerState::Dead => false,
        });
        if alive && self.wanted.is_some_and(drained) && self.candidate.is_some() {
            self.lose(OwnerState::Dead, "worker_died", at, now, out);
        }
        self.consider(0, said, now, out);
        let settled = self.lower.as_ref().is_some_and(|lower| now >= lower.since + self.settle);
        if let (true, Some(lower), Some(owner)) = (settled, self.lower.take_if(|_| settled), self.owner) {
            let mut seen = Seen {
                epoch: owner.epoch,
                n: lower.n,
                place: SETTLED_PLACE,
                clock: None,
                at,
                version: 0,
                mode: Mode::Recovered,
            };
            for (register, value) in lower.values {
                self.step(register, value, &mut seen, &mut out.events);
            }
            out.changed = Changed::State;
        }
    }

    /// When time alone may change something.
    pub fn deadline(&self) -> Option<Instant> {
        let settled = self.lower.as_ref().map(|lower| lower.since + self.settle);
        let candidate = self.candidate.as_ref().and_then(|candidate| self.decides_at(candidate));
        settled.into_iter().chain(candidate).min()
    }

    /// Moves every register to what a load says.
    pub(super) fn merge(
        &mut self,
        registers: &Registers,
        trust: Trust,
        mut seen: Seen,
        now: Instant,
        out: &mut Outcome,
    ) {
        let first = out.events.len();
        let mut lower = Registers::new();
        for (register, value) in registers {
            let falls = self.registers.get(register).is_some_and(|ours| value < ours);
            let steps = !matches!(register, Register::Points | Register::Suspended);
            if falls && steps && trust == Trust::Higher {
                lower.insert(*register, *value);
            } else if *register == Register::Points && seen.mode == Mode::Seen && trust == Trust::All {
                let mut silent = Seen { mode: Mode::Recovered, ..seen };
                self.step(*register, *value, &mut silent, &mut out.events);
            } else {
                self.step(*register, *value, &mut seen, &mut out.events);
            }
        }
        if !lower.is_empty() {
            self.lower = Some(Lower { values: lower, since: now, n: seen.n });
        }
        if seen.mode == Mode::Recovered {
            score_on_the_last_only(out, first);
        }
    }

    pub(super) fn open_gap(&mut self, at: i64, reason: &'static str, out: &mut Outcome) {
        let Some(owner) = self.owner else { return };
        if self.gap_open || self.ended {
            return;
        }
        self.gap_open = true;
        self.gaps = self.gaps.saturating_add(1);
        out.gaps.push(GapStep::Open { slot: owner.source.slot, at, reason });
        self.tell_gap(EventType::GapStart, Payload::Gap { reason }, at, owner.epoch, out);
    }

    pub(super) fn close_gap(&mut self, at: i64, out: &mut Outcome) {
        let Some(owner) = self.owner.filter(|_| self.gap_open) else { return };
        self.gap_open = false;
        out.gaps.push(GapStep::Close { at });
        self.tell_gap(EventType::GapEnd, Payload::None, at, owner.epoch, out);
    }

    fn tell_gap(&mut self, kind: EventType, payload: Payload, at: i64, epoch: Epoch, out: &mut Outcome) {
        let id = self.scope.phase(kind, 0, i64::from(self.gaps), 0);
        let seen = Seen { epoch, n: 0, place: 0, clock: None, at, version: 0, mode: Mode::Seen };
        self.push(id, kind, Lane::Normal, None, payload, &seen, &mut out.events);
        out.changed = Changed::State;
    }

    /// Until when the recorder of a restored ledger lived, microseconds.
    pub fn known_until(&mut self, at: i64) {
        self.known_at = at;
    }

    /// A ledger from the store. `Owner::Alive`: its worker may still live and open its channel again.
    pub(super) fn restore_owner(&mut self, epoch: Epoch, source: Source, worker: Owner) {
        let state = match worker {
            Owner::Alive => OwnerState::Detached,
            Owner::Dead => OwnerState::Dead,
        };
        self.owner = Some(Writer { epoch, source, state });
    }

    /// Opens the gap of a restored match whose worker ended together with the last recorder.
    pub fn restored_without_worker(&mut self, at: i64, out: &mut Outcome) {
        if self.owner.is_some_and(|owner| owner.state == OwnerState::Dead) {
            self.open_gap(at, "restart", out);
        }
    }
}

/// A worker's end is seen at most this much later where nothing holds up the recorder, microseconds.
const UNSEEN: i64 = 100_000;
/// The place in the message of what is believed later, beyond the places that the message itself used.
const SETTLED_PLACE: u32 = 1 << 31;

/// What was found after a gap has no known order across the sides: only the last tells the score.
fn score_on_the_last_only(out: &mut Outcome, first: usize) {
    let scores = |kind| {
        matches!(
            kind,
            EventType::Goal | EventType::ScoreChange | EventType::Set | EventType::Game | EventType::Point
        )
    };
    let found = out.events.get_mut(first..).unwrap_or_default();
    let mut told = found.iter_mut().rev().filter(|event| scores(event.kind));
    told.next();
    told.for_each(|event| event.score = None);
}
