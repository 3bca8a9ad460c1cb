//! Children that are no workers: one life cycle for all of them.
//!
//! A service is started whenever it may be, waited for after a death (not parked: no other does what it does), killed when it does not report,
//! and asked to leave when the workers are gone, one after the other. What differs between them is a row of [`SERVICES`]; what each is sent
//! and reports is in a file of its own (`recorder`).

use super::life::{Event, Life, Peers};
use crate::pool::input::{Child, ServiceKind, Urgency};
use crate::pool::log_event::LogEvent;
use crate::pool::{Action, Pool, Signal, millis};
use std::time::Duration;
use touchline_common::ipc::messages::recorder::ToRecorder;
use touchline_common::model::Generation;

#[derive(Debug)]
pub(in crate::pool) struct Rules {
    pub(in crate::pool) kind: ServiceKind,
    /// What it gets to finish after a requested stop.
    drain: Duration,
    /// The same when the stop is urgent.
    now: Duration,
}

/// Each service, in the order in which they leave.
pub(in crate::pool) const SERVICES: [Rules; 1] =
    [Rules { kind: ServiceKind::Recorder, drain: Duration::from_secs(5), now: Duration::from_secs(2) }];

/// A process of a worker or a service, or the last one.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::pool) struct Process {
    pub(in crate::pool) pid: Option<u32>,
    pub(in crate::pool) spawned_at: Duration,
    /// When it last reported.
    pub(in crate::pool) reported_at: Duration,
}

#[derive(Debug)]
pub(in crate::pool) struct Service {
    pub(in crate::pool) life: Life,
    pub(in crate::pool) process: Process,
}

#[derive(Debug)]
pub(in crate::pool) struct Services {
    pub(in crate::pool) recorder: Service,
}

impl Rules {
    pub(in crate::pool) fn within(&self, urgency: Urgency) -> Duration {
        match urgency {
            Urgency::Drain => self.drain,
            Urgency::Now => self.now,
        }
    }
}

impl Process {
    pub(in crate::pool) fn started(now: Duration) -> Self {
        Process { pid: None, spawned_at: now, reported_at: now }
    }

    pub(in crate::pool) fn forgive(&mut self, late: Duration, now: Duration) {
        self.reported_at = (self.reported_at + late).min(now);
    }
}

impl Services {
    pub(super) fn new(recorder: Generation) -> Self {
        let service = |generation| Service {
            life: Life::new(Peers::Alone, generation, 0, None),
            process: Process::default(),
        };
        Services { recorder: service(recorder) }
    }

    pub(in crate::pool) fn get(&self, kind: ServiceKind) -> &Service {
        match kind {
            ServiceKind::Recorder => &self.recorder,
        }
    }

    pub(in crate::pool) fn get_mut(&mut self, kind: ServiceKind) -> &mut Service {
        match kind {
            ServiceKind::Recorder => &mut self.recorder,
        }
    }
}

impl Pool {
    pub(in crate::pool) fn start_services(&mut self, out: &mut Vec<Action>) {
        for Rules { kind, .. } in &SERVICES {
            let now = self.now;
            let life = &self.children.services.get(*kind).life;
            if !life.may_spawn(now) {
                continue;
            }
            let again = life.retry_in(now).is_some();
            let child = Child::Service(*kind);
            self.children.restarts += u64::from(again);
            self.advance(child, Event::Spawn);
            let service = self.children.services.get_mut(*kind);
            service.process = Process::started(now);
            let generation = service.life.generation;
            out.push(Action::SaveState);
            out.push(Action::Spawn { child, generation, feed: None });
        }
    }

    pub(super) fn service_ready(&mut self, kind: ServiceKind, out: &mut Vec<Action>) -> bool {
        let (now, child) = (self.now, Child::Service(kind));
        let service = self.children.services.get_mut(kind);
        if service.life.is_stopping() {
            // It was to leave before there was a channel to ask it over; a signal is nothing to it.
            self.ask_to_leave(kind, Urgency::Now, out);
            return false;
        }
        if !service.life.is_starting() {
            return false;
        }
        let took_ms = millis(now.saturating_sub(service.process.spawned_at));
        service.process.reported_at = now;
        let generation = service.life.generation;
        self.advance(child, Event::Ready);
        out.push(Action::Log(LogEvent::Ready { child, generation, took_ms }));
        true
    }

    /// A service that does not report is aborted.
    pub(super) fn tick_service_pulses(&mut self, out: &mut Vec<Action>) {
        for Rules { kind, .. } in &SERVICES {
            let service = self.children.services.get(*kind);
            let silent = self.now.saturating_sub(service.process.reported_at);
            if service.life.is_ready() && silent >= self.config.timing.process.hung_after {
                let why = format!("no sign of life for {} ms", millis(silent));
                self.condemn(Child::Service(*kind), Signal::Abort, why, out);
            }
        }
    }

    /// A service is to leave: by a message if it takes one, else by a signal.
    pub(in crate::pool) fn stop_service(&mut self, rules: &Rules, urgency: Urgency, out: &mut Vec<Action>) {
        let child = Child::Service(rules.kind);
        if self.children.services.get(rules.kind).life.is_ready() {
            self.ask_to_leave(rules.kind, urgency, out);
        }
        let deadline = self.now + rules.within(urgency);
        let outcome = self.advance(child, Event::Stop { deadline });
        if let Some(signal) = Self::outcome_is_signal(outcome) {
            let generation = self.children.services.get(rules.kind).life.generation;
            out.push(Action::Kill { child, generation, signal });
        }
    }

    fn ask_to_leave(&self, kind: ServiceKind, urgency: Urgency, out: &mut Vec<Action>) {
        let within = SERVICES.iter().find(|rules| rules.kind == kind).map(|rules| rules.within(urgency));
        let deadline_ms = u32::try_from(within.unwrap_or_default().as_millis()).unwrap_or(u32::MAX);
        let generation = self.children.services.get(kind).life.generation;
        match kind {
            ServiceKind::Recorder => {
                out.push(Action::ToRecorder { generation, message: ToRecorder::Stop { deadline_ms } });
            }
        }
    }
}
