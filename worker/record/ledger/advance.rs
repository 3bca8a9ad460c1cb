//! The transitions of a ledger: loads, observations, ends, signs of life, and the gaps that follow.
//!
//! A gap is open from the last sign of life of whoever followed the match until the next load, or until an owner that was
//! only silent goes on.

use super::handover::{Candidate, OWNER_DRAIN, Wanted};
use super::steps::{Mode, Seen};
use super::values::{Trust, Values};
use super::{
    Concluding, EventType, GapStep, Input, Lane, LastSign, Ledger, Outcome, OwnerState, Payload, Report,
    Source, Writer,
};
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::data::EndReason;
use touchline_common::ipc::messages::recorder::Owner;
use touchline_common::model::{Change, Epoch, Register, RegisterChange, RoundEnd};

/// A worker's end is seen at most this much later where nothing holds up the recorder, microseconds.
const UNSEEN: i64 = 100_000;
/// How long an owner that lives may take to report the end of a match that the coordinator has no more.
const CONCLUDES: Duration = Duration::from_secs(5);

impl Ledger {
    /// Takes one input; `now` is a monotonic time, by which alone anything expires. What follows is added to `out`.
    pub fn advance(&mut self, input: &Input<'_>, now: Instant, out: &mut Outcome) {
        let first = out.events.len();
        self.take(input, now, out);
        let at = if let Input::Tick { at } = *input { at } else { self.known_at };
        self.enrich(first, at, out);
        self.verify_incidents(at, now, out);
    }

    fn take(&mut self, input: &Input<'_>, now: Instant, out: &mut Outcome) {
        match *input {
            Input::Base { report, source, facts, teams, registers, values } => {
                let (values, facts, teams) = (Values::new(registers, values), facts.clone(), teams.cloned());
                let loaded_at = report.at;
                let load = Candidate {
                    report,
                    source,
                    facts,
                    teams,
                    values,
                    loaded_at,
                    marks: None,
                    stated: Vec::new(),
                };
                self.base(load, now, out);
            }
            Input::Obs { report, registers, changes } => self.observe(report, registers, changes, now, out),
            Input::Incidents { report, ref statement } => self.take_incidents(report, statement, now, out),
            Input::Round { report, round } => self.round_ended(report, round, out),
            Input::Lost { epoch, count, since } => {
                out.lost += count;
                match self.epoch() {
                    Some(owner) if epoch == owner => self.open_gap(since, "overflow", out),
                    // What an owner dropped before another followed it, nobody has: that gap is over by now.
                    Some(owner) if epoch < owner && !self.gap.open => {
                        self.open_gap(since, "overflow", out);
                        self.close_gap(self.known_at, out);
                    }
                    Some(_) | None => {}
                }
            }
            Input::End { epoch, why, at } => self.end(epoch, why, at, now, out),
            Input::Switch { epoch, owner } => self.want(Wanted { epoch, owner, since: now }, now, out),
            Input::Marked { source, token } => self.marked(source, token, now, out),
            Input::Gone { source, at, sign, unheard } => self.gone(source, at, (sign, unheard), now, out),
            Input::Silent { source, since } if self.source() == Some(source) => {
                self.fall_silent(since, now, out);
            }
            Input::Back { source, at } if self.source() == Some(source) => self.resume(at, out),
            Input::Attached { source } => self.attached(source, now, out),
            Input::Missing { at } if self.is_detached() => {
                self.open_gap(at, "restart", out);
                self.conclude_now(now, out);
            }
            Input::Silent { .. } | Input::Back { .. } | Input::Missing { .. } => {}
            Input::Ended { epoch, at } => self.conclude(epoch, at, now, out),
            Input::Tick { at } => self.tick(at, now, out),
        }
    }

    /// When time alone may change something.
    pub fn deadline(&self) -> Option<Instant> {
        let settled = self.waiting.as_ref().map(|waiting| waiting.since + self.settle);
        let concludes = self.concluding.as_ref().map(|concluding| concluding.until);
        let held = self.incidents.as_ref().and_then(|incidents| incidents.deadline());
        settled.into_iter().chain(concludes).chain(held).chain(self.decides_at()).min()
    }

    fn base(&mut self, load: Candidate, now: Instant, out: &mut Outcome) {
        let Some(owner) = self.owner else { return self.first(load, out) };
        let epoch = load.report.epoch;
        if epoch < owner.epoch {
            out.refused = true;
        } else if load.source == owner.source || epoch == owner.epoch {
            self.reload(owner, load, now, out);
        } else if self.candidate.as_ref().is_some_and(|other| other.report.epoch > epoch) {
            out.refused = true;
        } else {
            self.candidate = Some(Box::new(load));
            self.consider(now, out);
        }
    }

    fn first(&mut self, load: Candidate, out: &mut Outcome) {
        self.wanted = None;
        out.switched = Some(load.report.epoch);
        self.begin(load, out);
    }

    /// The first load of a match: events begin from what stands.
    pub(super) fn begin(&mut self, load: Candidate, out: &mut Outcome) {
        let mut seen = Seen::new(load.report, Mode::Seen, &mut out.events);
        let Report { epoch, at, .. } = load.report;
        self.facts = load.facts;
        self.teams = load.teams;
        self.owner = Some(Writer { epoch, source: load.source, state: OwnerState::Alive });
        self.known_at = at;
        self.ended = false;
        self.known = load.values;
        let phase = self.known.registers.remove(&Register::Phase);
        let points = self.known.registers.remove(&Register::Points);
        if self.has_end() {
            // It was listed and gone before it ever had a load.
            self.take_back_end(&mut seen);
        } else {
            self.report_listed(&mut seen);
        }
        if let Some(phase) = phase {
            self.step(Register::Phase, phase, &mut seen);
        }
        if let Some(points) = points {
            seen.mode = Mode::Recovered;
            self.step(Register::Points, points, &mut seen);
        }
        out.changed = true;
    }

    fn report_listed(&mut self, seen: &mut Seen<'_>) {
        let id = self.scope.phase(EventType::MatchListed, 0, 0, 0);
        self.push(id, EventType::MatchListed, Lane::Normal, None, Payload::None {}, seen);
    }

    /// All values again from the owner's process: after a reconnection, an overflow, a fresh load, or under a new epoch.
    fn reload(&mut self, owner: Writer, load: Candidate, now: Instant, out: &mut Outcome) {
        let goes_on = matches!(owner.state, OwnerState::Alive | OwnerState::Silent { .. });
        // In a gap it may be behind what was recorded.
        let trust = if goes_on && !self.gap.open { Trust::All } else { Trust::Higher };
        let Report { epoch, at, .. } = load.report;
        if epoch > owner.epoch {
            out.switched = Some(epoch);
        }
        match owner.state {
            // Nothing was lost.
            OwnerState::Silent { .. } => self.resume(at, out),
            OwnerState::Alive | OwnerState::Away | OwnerState::Detached | OwnerState::Dead => {}
        }
        self.follow(load, trust, now, out);
    }

    fn observe(
        &mut self,
        report: Report,
        registers: &[RegisterChange],
        changes: &[Change<'_>],
        now: Instant,
        out: &mut Outcome,
    ) {
        let Report { epoch, at, .. } = report;
        if self.epoch() == Some(epoch) {
            if matches!(self.owner, Some(Writer { state: OwnerState::Silent { since }, .. }) if at > since) {
                self.resume(at, out);
            }
            self.known_at = self.known_at.max(at);
            self.compare(registers, changes, report, now, out);
        } else if let Some(candidate) = self.candidate.as_mut().filter(|other| other.report.epoch == epoch) {
            candidate.values.fold(registers, changes);
            candidate.report = Report { clock: report.clock.or(candidate.report.clock), ..report };
        } else {
            out.refused = true;
            return;
        }
        if self.candidate.is_some() && !registers.is_empty() {
            self.consider(now, out);
        }
    }

    /// What another than the owner reports is refused; so is what comes before the first load.
    fn round_ended(&mut self, report: Report, round: RoundEnd, out: &mut Outcome) {
        if self.epoch() != Some(report.epoch) {
            out.refused = true;
            return;
        }
        self.known_at = self.known_at.max(report.at);
        let mut seen = Seen::new(report, Mode::Seen, &mut out.events);
        let id = self.next_uncounted(&mut seen);
        self.push(id, EventType::RoundEnd, Lane::Normal, None, Payload::Round(round), &mut seen);
        out.changed = true;
    }

    /// The owner gives no sign of life: until it does, or another takes over, the match is not followed.
    fn fall_silent(&mut self, since: i64, now: Instant, out: &mut Outcome) {
        if self.ended {
            return;
        }
        let since = since.max(self.known_at);
        if let Some(Writer { state: state @ OwnerState::Alive, .. }) = &mut self.owner {
            *state = OwnerState::Silent { since };
            self.open_gap(since, "worker_silent", out);
            self.consider(now, out);
        }
    }

    /// A silent owner goes on where it stopped: nothing was lost.
    fn resume(&mut self, at: i64, out: &mut Outcome) {
        if let Some(Writer { state: state @ OwnerState::Silent { .. }, .. }) = &mut self.owner {
            *state = OwnerState::Alive;
            self.close_gap_if_followed(at, out);
        }
    }

    /// A channel is open again. A restored owner lost nothing: what its worker held comes now, then its load, which closes a gap.
    /// Questions are lost with a channel.
    fn attached(&mut self, source: Source, now: Instant, out: &mut Outcome) {
        if self.is_detached() && self.source() == Some(source) {
            self.set_state(OwnerState::Alive);
        }
        if let Some(candidate) = &mut self.candidate {
            candidate.marks = None;
            self.consider(now, out);
        }
    }

    fn end(&mut self, epoch: Epoch, why: EndReason, at: i64, now: Instant, out: &mut Outcome) {
        let of_candidate = self.candidate.as_ref().is_some_and(|candidate| candidate.report.epoch == epoch);
        if of_candidate && why != EndReason::Ended {
            self.candidate = None;
            return;
        }
        if !of_candidate && self.epoch() != Some(epoch) {
            out.refused = true;
            return;
        }
        match why {
            EndReason::Ended => self.leave(epoch, at, now, out),
            EndReason::ConnectionLost => {
                self.set_state(OwnerState::Away);
                self.open_gap(at, "connection", out);
                self.consider(now, out);
            }
            EndReason::Moved => self.die(at, "moved", now, out),
            EndReason::Leaving => self.die(at, "worker_left", now, out),
        }
    }

    /// Its worker followed the match to its end. Whoever was to take over from it has nothing to take over; what was assigned since, with
    /// no living owner, is what came under the id after that.
    fn leave(&mut self, epoch: Epoch, at: i64, now: Instant, out: &mut Outcome) {
        let epoch = self.concluding.map_or(epoch, |concluding| concluding.epoch.max(epoch));
        let anew = self.wanted.filter(|wanted| wanted.owner == Owner::Dead).map(|wanted| wanted.epoch);
        self.candidate.take_if(|other| other.report.epoch <= epoch || anew != Some(other.report.epoch));
        self.finish(epoch, at, now, out);
    }

    /// The coordinator has no such match any more, or one that it assigned under a higher epoch.
    fn conclude(&mut self, epoch: Epoch, at: i64, now: Instant, out: &mut Outcome) {
        if self.epoch().is_some_and(|owner| owner > epoch) {
            return;
        }
        let concluding = self.concluding.get_or_insert(Concluding { epoch, at, until: now + CONCLUDES });
        concluding.epoch = concluding.epoch.max(epoch);
        // A worker that lives reports the end itself, behind what it still holds from before.
        let is_dead = self.owner.is_none_or(|owner| owner.state == OwnerState::Dead);
        if self.ended || is_dead {
            self.conclude_now(now, out);
        }
    }

    /// Ends a match whose worker does not report that any more.
    pub(super) fn conclude_now(&mut self, now: Instant, out: &mut Outcome) {
        let Some(Concluding { epoch, at, .. }) = self.concluding.take() else { return };
        self.candidate.take_if(|other| other.report.epoch <= epoch);
        self.finish(epoch, at, now, out);
    }

    /// The match is over. One that left without a word of its end ends now; in a gap, before that closes.
    fn finish(&mut self, epoch: Epoch, at: i64, now: Instant, out: &mut Outcome) {
        if !self.ended {
            self.report_leaving(at, out);
            out.ended = self.epoch().map(|owner| owner.max(epoch));
        }
        self.close_gap(at, out);
        self.waiting = None;
        self.concluding = None;
        self.ended = true;
        self.set_state(OwnerState::Dead);
        out.changed = true;
        self.consider(now, out);
    }

    /// Reports the end, unless it stands; of a match that no worker ever had a load of, also that there was one.
    fn report_leaving(&mut self, at: i64, out: &mut Outcome) {
        let (mode, epoch) = match self.owner {
            Some(owner) if !self.gap.open => (Mode::Seen, owner.epoch),
            Some(owner) => (Mode::Recovered, owner.epoch),
            None => (Mode::Recovered, Epoch::default()),
        };
        let mut seen = Seen::new(Report::unstated(epoch, at), mode, &mut out.events);
        if self.owner.is_none() {
            self.report_listed(&mut seen);
        }
        self.report_end(&mut seen);
    }

    fn want(&mut self, wanted: Wanted, now: Instant, out: &mut Outcome) {
        match self.epoch() {
            Some(epoch) if epoch == wanted.epoch => out.switched = Some(epoch),
            Some(epoch) if epoch > wanted.epoch => out.refused = true,
            Some(_) | None => {
                // A repetition postpones nothing.
                let same = |before: &Wanted| (before.epoch, before.owner) == (wanted.epoch, wanted.owner);
                self.wanted = self.wanted.filter(same).or(Some(wanted));
                self.consider(now, out);
            }
        }
    }

    fn gone(
        &mut self,
        source: Source,
        at: i64,
        (sign, unheard): (LastSign, Option<i64>),
        now: Instant,
        out: &mut Outcome,
    ) {
        self.candidate.take_if(|candidate| candidate.source == source);
        let owned = self.owner.is_some_and(|owner| owner.source == source && owner.state != OwnerState::Dead);
        if !owned || self.ended {
            return;
        }
        let sign = match sign {
            // It died before that was seen, or hung before it died.
            LastSign::Received(received) => received.min(at - UNSEEN),
            LastSign::Behind(reported) => reported,
        };
        let since = self.known_at.max(sign);
        self.die(unheard.map_or(since, |unheard| unheard.min(since)), "worker_died", now, out);
    }

    fn die(&mut self, since: i64, reason: &'static str, now: Instant, out: &mut Outcome) {
        self.set_state(OwnerState::Dead);
        out.changed = true;
        if self.concluding.is_some() {
            self.open_gap(since, reason, out);
            return self.conclude_now(now, out);
        }
        self.inherit(since, reason, now, out);
    }

    fn set_state(&mut self, state: OwnerState) {
        if let Some(owner) = &mut self.owner {
            owner.state = state;
        }
    }

    fn tick(&mut self, at: i64, now: Instant, out: &mut Outcome) {
        let drained = |wanted: Wanted| wanted.owner == Owner::Dead && now >= wanted.since + OWNER_DRAIN;
        let alive = self.owner.is_some_and(|owner| match owner.state {
            OwnerState::Alive | OwnerState::Silent { .. } | OwnerState::Away => true,
            OwnerState::Detached | OwnerState::Dead => false,
        });
        if alive && self.candidate.is_some() && self.wanted.is_some_and(drained) {
            self.die(at, "worker_died", now, out);
        }
        self.settle(at, now, out);
        self.release_incidents(at, now, out);
        if self.concluding.as_ref().is_some_and(|concluding| concluding.until <= now) {
            self.conclude_now(now, out);
        }
        self.consider(now, out);
    }

    pub(super) fn open_gap(&mut self, at: i64, reason: &'static str, out: &mut Outcome) {
        let Some(owner) = self.owner else { return };
        if self.gap.open || self.ended {
            return;
        }
        self.gap.open = true;
        self.gap.since = at;
        self.gap.count = self.gap.count.saturating_add(1);
        out.gaps.push(GapStep::Open { slot: owner.source.slot, at, reason });
        self.report_gap(EventType::GapStart, Payload::Gap { reason }, at, owner.epoch, out);
    }

    /// An owner that lives and is not behind what was recorded follows the match.
    pub(super) fn close_gap_if_followed(&mut self, at: i64, out: &mut Outcome) {
        if self.owner.is_some_and(|owner| owner.state == OwnerState::Alive) && !self.may_be_behind() {
            self.close_gap(at, out);
        }
    }

    pub(super) fn close_gap(&mut self, at: i64, out: &mut Outcome) {
        let Some(owner) = self.owner.filter(|_| self.gap.open) else { return };
        // A load may be older than the last sign of the one before.
        let at = at.max(self.gap.since);
        self.gap.open = false;
        out.gaps.push(GapStep::Close { at });
        self.report_gap(EventType::GapEnd, Payload::None {}, at, owner.epoch, out);
    }

    fn report_gap(&mut self, kind: EventType, payload: Payload, at: i64, epoch: Epoch, out: &mut Outcome) {
        let id = self.scope.phase(kind, 0, i64::from(self.gap.count), 0);
        let mut seen = Seen::new(Report::unstated(epoch, at), Mode::Seen, &mut out.events);
        self.push(id, kind, Lane::Normal, None, payload, &mut seen);
        out.changed = true;
    }

    /// Until when the recorder of a restored ledger lived, microseconds. Opens the gap of a match whose worker ended with it.
    pub fn restored_at(&mut self, at: i64, out: &mut Outcome) {
        self.known_at = at;
        self.believe_what_waited(at, out);
        if self.owner.is_some_and(|owner| owner.state == OwnerState::Dead) {
            self.open_gap(at, "restart", out);
        }
    }
}
