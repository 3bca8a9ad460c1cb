//! From what is told of an incident to an event of the match's ledger; called by `Ledger::advance`.

use super::registers::Revision;
use super::{Incident, Incidents, Listing, Ordering, Stated, Telling, What};
use crate::record::ledger::event::{EventType, Lane, NewEvent, Payload};
use crate::record::ledger::{Ledger, Outcome, Report};
use std::time::Instant;
use touchline_common::model::Phase;

/// The most statements of a candidate that are held.
const MAX_STATED: usize = 64;

/// What a source states at one time.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    pub listing: Listing,
    /// Of the source; the first statement of a match decides.
    pub ordering: Ordering,
    /// The most happenings that are known of a match.
    pub most: usize,
    /// In a list the oldest first.
    pub incidents: &'a [Incident],
    /// Source ids that are no more.
    pub deleted: &'a [String],
    /// How many more it has that are of no known type.
    pub unknown: u64,
}

impl Statement<'_> {
    /// Whether ids of the source's own make it the same from whichever worker it comes.
    fn needs_no_owner(&self) -> bool {
        self.listing == Listing::Single
            && self.deleted.is_empty()
            && !self.incidents.is_empty()
            && self.incidents.iter().all(|one| one.source_id.is_some())
    }
}

impl Ledger {
    pub(in crate::record::ledger) fn take_incidents(
        &mut self,
        report: Report,
        statement: &Statement<'_>,
        now: Instant,
        out: &mut Outcome,
    ) {
        let needs_no_owner = statement.needs_no_owner();
        if !needs_no_owner && self.hold_for_candidate(report, statement, out) {
            return;
        }
        // Before the first load it is not known what registers tell.
        let is_owner = self.epoch() == Some(report.epoch);
        if self.owner.is_none() || !is_owner && !needs_no_owner {
            out.refused = true;
            return;
        }
        let made = self.made_by_registers();
        let (scope, base) = (&self.scope, &self.known.registers);
        let new = || Box::new(Incidents::new(scope.clone(), statement.ordering, base.clone()));
        let incidents = self.incidents.get_or_insert_with(new);
        incidents.set_made(made);
        incidents.set_bounds(statement.ordering, statement.most);
        let mut told = Vec::new();
        let refused = incidents.refused();
        incidents.take(statement.incidents.to_vec(), statement.listing, now, &mut self.order, &mut told);
        incidents.delete(statement.deleted, &mut told);
        out.lost += incidents.refused() - refused + statement.unknown;
        self.report_incidents(report, told, out);
    }

    /// Nothing of a candidate is told before it is adopted. Whether it is of one.
    fn hold_for_candidate(&mut self, report: Report, statement: &Statement<'_>, out: &mut Outcome) -> bool {
        let candidate = self.candidate.as_mut().filter(|candidate| candidate.report.epoch == report.epoch);
        let Some(candidate) = candidate else { return false };
        if statement.listing == Listing::Whole {
            // Deletions before it are in it.
            candidate.stated.clear();
        }
        if candidate.stated.len() >= MAX_STATED {
            candidate.stated.remove(0);
            out.lost += 1;
        }
        candidate.stated.push(Stated::of(statement));
        true
    }

    /// What was held is told when its time is over.
    pub(in crate::record::ledger) fn release_incidents(&mut self, at: i64, now: Instant, out: &mut Outcome) {
        let Some(incidents) = &mut self.incidents else { return };
        let mut told = Vec::new();
        incidents.tick(now, &mut self.order, &mut told);
        let epoch = self.epoch().unwrap_or_default();
        self.report_incidents(Report::unstated(epoch, at), told, out);
    }

    /// The registers' events of this input, from `first` on, are told with what incidents know of them.
    pub(in crate::record::ledger) fn enrich(&mut self, first: usize, at: i64, out: &mut Outcome) {
        if self.incidents.is_none() {
            return;
        }
        let made = self.made_by_registers();
        let Some(incidents) = &mut self.incidents else { return };
        incidents.set_made(made);
        let mut told = Vec::new();
        let revisions = incidents.enrich(out.events.get(first..).unwrap_or_default(), &mut told);
        out.changed |= incidents.take_touched();
        let epoch = self.epoch().unwrap_or_default();
        self.report_incidents(Report::unstated(epoch, at), told, out);
        let revised = revisions.into_iter().map(|revision| self.revised(revision));
        out.events.extend(revised);
    }

    fn revised(&self, Revision { event, revision, shown }: Revision) -> NewEvent {
        let Some(incident) = shown else { return NewEvent { revision, ..event } };
        let period = incident.period.and_then(|period| self.phase_name(Phase::playing(period).0));
        NewEvent {
            revision,
            clock: incident.clock.map(|clock| clock.0).or(event.clock),
            period: period.or(event.period),
            feed_at: incident.feed_at,
            payload: Payload::detailed(event.payload, incident.details),
            ..event
        }
    }

    fn report_incidents(&mut self, report: Report, told: Vec<Telling>, out: &mut Outcome) {
        let events = told.into_iter().map(|telling| self.event_of(report, telling));
        out.events.extend(events);
    }

    fn event_of(&self, report: Report, telling: Telling) -> NewEvent {
        let Telling { what, id, incident, order, late, score } = telling;
        let is_red = incident.details.get("color").is_some_and(|color| color == "red");
        let lane = lane(incident.kind, is_red);
        let Incident { kind, side, period, clock, feed_at, details, .. } = incident;
        let (id, retracts, revision, kind, lane, payload) = match what {
            What::Happened => (id, None, 0, kind, lane, Payload::Incident(details)),
            What::Revised { revision } => (id, None, revision, kind, lane, Payload::Incident(details)),
            What::Retracted { by } => {
                (by, Some(id), 0, EventType::Retract, Lane::Priority, Payload::Retracted { kind, n: 0 })
            }
        };
        NewEvent {
            id,
            revision,
            retracts,
            kind,
            lane,
            side,
            clock: clock.map(|clock| clock.0),
            period: period.and_then(|period| self.phase_name(Phase::playing(period).0)),
            at: report.at,
            feed_at,
            epoch: report.epoch,
            version: report.version,
            order,
            score: score.or_else(|| self.score()),
            late,
            recovered: false,
            payload,
        }
    }
}

pub(super) fn lane(kind: EventType, is_red_card: bool) -> Lane {
    match kind {
        EventType::Goal
        | EventType::Penalty
        | EventType::PenaltyShootout
        | EventType::Var
        | EventType::MatchStarted
        | EventType::PeriodStart
        | EventType::PeriodEnd
        | EventType::MatchEnded
        | EventType::Suspended
        | EventType::Resumed
        | EventType::Retract => Lane::Priority,
        EventType::Card if is_red_card => Lane::Priority,
        EventType::Card
        | EventType::MatchListed
        | EventType::AddedTime
        | EventType::Timeout
        | EventType::ScoreChange
        | EventType::Point
        | EventType::Game
        | EventType::Set
        | EventType::Corner
        | EventType::Shot
        | EventType::Foul
        | EventType::ThrowIn
        | EventType::Substitution
        | EventType::Wicket
        | EventType::StatChange
        | EventType::Comment
        | EventType::Mismatch
        | EventType::GapStart
        | EventType::GapEnd
        | EventType::RoundEnd => Lane::Normal,
    }
}
