//! Operators: their requests, each answered by its deadline; readiness; the end.

use super::children::service::{self, SERVICES};
use super::input::{Child, Command, RequestId, ServiceKind, Urgency};
use super::log_event::LogEvent;
use super::{Action, Answer, Pool, Signal, millis};
use crate::pool::catalog::matches::Assignment;
use crate::pool::children::life::{Event, Life};
use crate::pool::placement::moves::Trigger;
use std::time::Duration;
use touchline_common::ipc::messages::worker::ToWorker;
use touchline_common::model::{Generation, MatchKey, SlotId};

/// Requests that are open at once; one more is refused.
const REQUESTS_MAX: usize = 256;
const STOPS: &str = "the daemon is stopping";
/// A request that is not answered yet.
#[derive(Debug)]
pub(super) struct Open {
    waits_for: WaitsFor,
    deadline: Duration,
}

#[derive(Debug)]
enum WaitsFor {
    End,
    Ready,
    Drained(SlotId, Generation),
    Moved(MatchKey, SlotId, Generation),
    Even,
}

/// The end, once it began. The services leave after the workers, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopping {
    pub(super) urgency: Urgency,
    finished: bool,
}

impl Pool {
    pub(super) fn command(&mut self, request: RequestId, command: Command, timeout: Duration) {
        let begun = match command {
            Command::Drain { .. } | Command::Move { .. } | Command::Rebalance | Command::Scale { .. }
                if self.stopping.is_some() =>
            {
                Err(Answer::failed(STOPS))
            }
            Command::Stop { urgency } => {
                self.begin_stop(urgency);
                Ok(WaitsFor::End)
            }
            Command::WaitReady => self.readiness_answer().map_or(Ok(WaitsFor::Ready), Err),
            Command::Resync { key } => Err(self.resync(&key)),
            Command::Release { key } => Err(self.release_from_quarantine(&key)),
            Command::Drain { slot } => {
                let begun = self.drain(slot);
                begun.map(|generation| WaitsFor::Drained(slot, generation)).map_err(Answer::failed)
            }
            Command::Move { key, slot } => {
                let begun = self.move_match(&key, slot);
                begun.map(|generation| WaitsFor::Moved(key, slot, generation)).map_err(Answer::failed)
            }
            Command::Rebalance => {
                self.balance(Trigger::Operator);
                Ok(WaitsFor::Even)
            }
            Command::Scale { min, max } => Err(self.scale_to(min, max)),
        };
        let answer = match begun {
            Err(answer) => answer,
            Ok(_) if self.requests.len() >= REQUESTS_MAX => {
                Answer::failed(format!("too many open requests ({REQUESTS_MAX}): try again later"))
            }
            Ok(waits_for) => {
                self.requests.insert(request, Open { waits_for, deadline: self.now + timeout });
                return;
            }
        };
        self.out.push(Action::Answer { request, answer });
    }

    pub(super) fn tick_requests(&mut self) {
        let answers = self.requests.iter().filter_map(|(request, open)| Some((*request, self.answer(open)?)));
        let answers: Vec<_> = answers.collect();
        for (request, answer) in answers {
            self.requests.remove(&request);
            self.out.push(Action::Answer { request, answer });
        }
    }

    fn answer(&self, open: &Open) -> Option<Answer> {
        let late = self.now >= open.deadline;
        match &open.waits_for {
            WaitsFor::End => late.then(|| Answer::Partial { missing: self.still_running() }),
            WaitsFor::Ready => self
                .readiness_answer()
                .or_else(|| late.then(|| Answer::Partial { missing: self.reasons().join("; ") })),
            WaitsFor::Drained(slot, generation) => match self.left_at(*slot, *generation) {
                None => Some(Answer::Done { message: format!("worker {slot} is drained") }),
                Some(missing) => late.then_some(Answer::Partial { missing }),
            },
            WaitsFor::Moved(key, slot, generation) => {
                self.move_status(key, *slot, *generation).or_else(|| {
                    let missing = format!("match {} is not at worker {slot} yet; the move continues", key.id);
                    late.then_some(Answer::Partial { missing })
                })
            }
            WaitsFor::Even => match self.balance_status() {
                Ok(message) => Some(Answer::Done { message }),
                Err(missing) => late.then_some(Answer::Partial { missing }),
            },
        }
    }

    pub(super) fn is_rebalance_asked(&self) -> bool {
        self.requests.values().any(|open| matches!(open.waits_for, WaitsFor::Even))
    }

    fn still_running(&self) -> String {
        let workers = self.children.with_process().map(|slot| format!("worker {}", slot.id));
        let there = |kind: &ServiceKind| self.life(Child::Service(*kind)).is_some_and(Life::has_process);
        let services = SERVICES.into_iter().filter(there).map(|kind| kind.as_str().to_owned());
        let who: Vec<String> = workers.chain(services).collect();
        format!("still running: {}", who.join(", "))
    }

    fn resync(&mut self, key: &MatchKey) -> Answer {
        let Some(a_match) = self.catalog.matches.get(key) else { return no_such_match(key) };
        match &a_match.assignment {
            Assignment::Waiting => {
                Answer::failed(format!("cannot resync match {}: waiting for capacity", key.id))
            }
            Assignment::Quarantined => {
                let id = &key.id;
                Answer::failed(format!("cannot resync match {id}: in quarantine, `release {id}` first"))
            }
            Assignment::Assigned { owner, .. } => {
                let slot = owner.slot;
                self.send_to_worker(slot, ToWorker::Resync { id: key.id.clone() });
                Answer::Done { message: format!("worker {slot} compares match {} with a fresh load", key.id) }
            }
        }
    }

    fn release_from_quarantine(&mut self, key: &MatchKey) -> Answer {
        let Some(mut a_match) = self.catalog.matches.edit(key) else { return no_such_match(key) };
        if !matches!(a_match.assignment, Assignment::Quarantined) {
            return Answer::failed(format!("cannot release match {}: not in quarantine", key.id));
        }
        a_match.crashes.clear();
        drop(a_match);
        self.enqueue(key);
        self.out.log(LogEvent::Released { key: key.clone() });
        Answer::Done { message: format!("match {} released from quarantine", key.id) }
    }

    /// Begins the end, or makes it more urgent. It never becomes less so.
    fn begin_stop(&mut self, urgency: Urgency) {
        let known = self.stopping.map(|stopping| stopping.urgency);
        if known.is_some_and(|known| known >= urgency) {
            return;
        }
        self.stopping = Some(Stopping { urgency, finished: false });
        let within = match urgency {
            Urgency::Drain => self.config.drain_deadline.0,
            Urgency::Now => Duration::ZERO,
        };
        self.out.log(LogEvent::Stopping { how: urgency, deadline_ms: millis(within) });
        self.out.push(Action::SaveState);
        let slots: Vec<SlotId> = self.children.with_process().map(|slot| slot.id).collect();
        for slot in slots {
            self.stop_worker(slot, within);
            if urgency == Urgency::Now {
                let child = Child::Worker(slot);
                let outcome = self.advance(child, Event::Condemn { signal: Signal::Term });
                self.signal(child, outcome);
            }
        }
        for kind in SERVICES {
            let child = Child::Service(kind);
            if self.life(child).is_some_and(Life::is_stopping) {
                self.stop_child(child, service::within(kind, urgency));
            }
        }
    }

    /// Once the end began: the services after the workers, then we.
    pub(super) fn settle_stop(&mut self) {
        let Some(Stopping { urgency, finished: false }) = self.stopping else { return };
        if self.children.with_process().next().is_some() {
            return;
        }
        let is_there = |kind: &ServiceKind| self.life(Child::Service(*kind)).is_some_and(Life::has_process);
        if let Some(kind) = SERVICES.into_iter().find(is_there) {
            if self.life(Child::Service(kind)).is_some_and(|life| life.works() || life.is_starting()) {
                self.finish_endings();
                self.stop_service(kind, urgency);
            }
            return;
        }
        self.stopping = Some(Stopping { urgency, finished: true });
        for (request, open) in std::mem::take(&mut self.requests) {
            let answer = match open.waits_for {
                WaitsFor::End => Answer::Done { message: "stopped".into() },
                WaitsFor::Ready | WaitsFor::Drained(..) | WaitsFor::Moved(..) | WaitsFor::Even => {
                    Answer::failed(STOPS)
                }
            };
            self.out.push(Action::Answer { request, answer });
        }
        self.out.push(Action::SaveState);
        self.out.log(LogEvent::Stopped);
        self.out.push(Action::Finished);
    }
}

fn no_such_match(key: &MatchKey) -> Answer {
    Answer::failed(format!("match {} is not listed: see `matches`", key.id))
}
