//! Children that are no workers: one life cycle for all of them.
//!
//! A service is started whenever it may be, waited for after a death (not parked: no other does what it does), killed when it does not report,
//! and asked to leave when the workers are gone, one after the other. What each is sent and reports is in a file of its own (`recorder`, `gateway`).

use super::life::Life;
use crate::pool::input::{Child, ServiceKind, Urgency};
use crate::pool::{Action, Pool, Signal, millis};
use std::time::Duration;
use touchline_common::ipc::messages::gateway::ToGateway;
use touchline_common::ipc::messages::recorder::ToRecorder;

/// Each service, in the order in which they leave. One that is not configured has no life.
pub(in crate::pool) const SERVICES: [ServiceKind; 2] = [ServiceKind::Gateway, ServiceKind::Recorder];

/// What a service gets to finish after a requested stop.
pub(in crate::pool) fn within(kind: ServiceKind, urgency: Urgency) -> Duration {
    match (kind, urgency) {
        (ServiceKind::Recorder, Urgency::Drain) => Duration::from_secs(5),
        (ServiceKind::Recorder, Urgency::Now) => Duration::from_secs(2),
        (ServiceKind::Gateway, Urgency::Drain) => Duration::from_secs(2),
        (ServiceKind::Gateway, Urgency::Now) => Duration::from_secs(1),
    }
}

impl Pool {
    pub(in crate::pool) fn start_services(&mut self) {
        for child in SERVICES.map(Child::Service) {
            let Some(life) = self.life(child).filter(|life| life.may_spawn(self.now)) else { continue };
            self.children.restarts += u64::from(life.retry_in(self.now).is_some());
            self.start(child, None);
        }
    }

    pub(super) fn service_ready(&mut self, kind: ServiceKind) -> bool {
        let child = Child::Service(kind);
        if self.life(child).is_some_and(Life::is_stopping) {
            // It was to leave before there was a channel to ask it over; a signal is nothing to it.
            self.ask_to_leave(kind, Urgency::Now);
            return false;
        }
        self.child_ready(child)
    }

    /// A service that does not report is aborted.
    pub(super) fn tick_service_pulses(&mut self) {
        for child in SERVICES.map(Child::Service) {
            let silent =
                self.life(child).filter(|life| life.is_ready()).map(|life| life.silent_for(self.now));
            if let Some(silent) = silent.filter(|silent| *silent >= self.timing.process.hung_after) {
                let why = format!("no heartbeat for {} ms", millis(silent));
                self.condemn(child, Signal::Abort, why);
            }
        }
    }

    /// A service is to leave: by a message if it takes one, else by a signal.
    pub(in crate::pool) fn stop_service(&mut self, kind: ServiceKind, urgency: Urgency) {
        let child = Child::Service(kind);
        if self.life(child).is_some_and(Life::is_ready) {
            self.ask_to_leave(kind, urgency);
        }
        self.stop_child(child, within(kind, urgency));
    }

    fn ask_to_leave(&mut self, kind: ServiceKind, urgency: Urgency) {
        let deadline_ms = u32::try_from(within(kind, urgency).as_millis()).unwrap_or(u32::MAX);
        match kind {
            ServiceKind::Recorder => {
                let generation = self.children.recorder.life.generation;
                self.out.push(Action::ToRecorder { generation, message: ToRecorder::Stop { deadline_ms } });
            }
            ServiceKind::Gateway => self.send_to_gateway(ToGateway::Stop { deadline_ms }),
        }
    }
}
