//! Operators: their requests, each answered by its deadline; readiness; the end.

use super::children::service::SERVICES;
use super::input::{Child, Command, RequestId, Urgency};
use super::log_event::LogEvent;
use super::{Action, Answer, Pool, Signal, millis};
use crate::pool::catalog::matches::Assignment;
use crate::pool::children::life::Event;
use crate::pool::placement::moves::Trigger;
use std::collections::BTreeMap;
use std::time::Duration;
use touchline_common::ipc::messages::worker::ToWorker;
use touchline_common::model::{Generation, MatchKey, SlotId};

/// Requests that are open at once; one more is refused.
const REQUESTS_MAX: usize = 256;
const STOPS: &str = "the daemon stops";
#[derive(Debug, Default)]
pub(super) struct Requests(BTreeMap<RequestId, Open>);

#[derive(Clone, Debug)]
struct Open {
    waits_for: WaitsFor,
    deadline: Duration,
}

#[derive(Clone, Debug)]
enum WaitsFor {
    End,
    Ready,
    Drained(SlotId, Generation),
    Moved(MatchKey, SlotId, Generation),
    Even,
}

/// The end, once it began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopping {
    pub(super) urgency: Urgency,
    services: ServicesEnd,
}

/// The services leave after the workers, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServicesEnd {
    Awaited,
    Leaving(usize),
    Finished,
}

impl Pool {
    pub(super) fn command(
        &mut self,
        request: RequestId,
        command: Command,
        timeout: Duration,
        out: &mut Vec<Action>,
    ) {
        let moves = match &command {
            Command::Drain { .. } | Command::Move { .. } | Command::Rebalance | Command::Scale { .. } => true,
            Command::Stop { .. } | Command::WaitReady | Command::Resync { .. } | Command::Release { .. } => {
                false
            }
        };
        if moves && self.stopping.is_some() {
            let answer = Answer::Failed { error: STOPS.into() };
            return out.push(Action::Answer { request, answer });
        }
        let answer = match command {
            Command::Stop { urgency } => {
                self.begin_stop(urgency, out);
                self.open(request, WaitsFor::End, timeout)
            }
            Command::WaitReady => match self.readiness_answer() {
                Some(answer) => Some(answer),
                None => self.open(request, WaitsFor::Ready, timeout),
            },
            Command::Resync { key } => Some(self.resync(&key, out)),
            Command::Release { key } => Some(self.release_from_quarantine(&key, out)),
            Command::Drain { slot } => match self.drain(slot, out) {
                Ok(generation) => self.open(request, WaitsFor::Drained(slot, generation), timeout),
                Err(error) => Some(Answer::Failed { error }),
            },
            Command::Move { key, slot } => match self.move_match(&key, slot, out) {
                Ok(generation) => self.open(request, WaitsFor::Moved(key, slot, generation), timeout),
                Err(error) => Some(Answer::Failed { error }),
            },
            Command::Rebalance => {
                self.balance(Trigger::Operator, out);
                self.open(request, WaitsFor::Even, timeout)
            }
            Command::Scale { min, max } => Some(self.scale_to(min, max)),
        };
        if let Some(answer) = answer {
            out.push(Action::Answer { request, answer });
        }
    }

    fn open(&mut self, request: RequestId, waits_for: WaitsFor, timeout: Duration) -> Option<Answer> {
        if self.requests.0.len() >= REQUESTS_MAX {
            let error = format!("{REQUESTS_MAX} requests are open already: try again later");
            return Some(Answer::Failed { error });
        }
        self.requests.0.insert(request, Open { waits_for, deadline: self.now + timeout });
        None
    }

    pub(super) fn tick_requests(&mut self, out: &mut Vec<Action>) {
        let requests: Vec<(RequestId, Open)> =
            self.requests.0.iter().map(|(id, open)| (*id, open.clone())).collect();
        for (request, open) in requests {
            let answer = self.answer(&open);
            if let Some(answer) = answer {
                self.requests.0.remove(&request);
                out.push(Action::Answer { request, answer });
            }
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
                    let missing = format!("match {} is not at worker {slot} yet; it goes on", key.id);
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
        self.requests.0.values().any(|open| matches!(open.waits_for, WaitsFor::Even))
    }

    fn still_running(&self) -> String {
        let mut who: Vec<String> = self
            .children
            .slots
            .iter()
            .filter(|slot| slot.life.has_process())
            .map(|slot| format!("worker {}", slot.id))
            .collect();
        let services = SERVICES.iter().map(|of| of.kind);
        let there = services.filter(|kind| self.children.services.get(*kind).life.has_process());
        who.extend(there.map(|kind| kind.as_str().to_owned()));
        format!("still there: {}", who.join(", "))
    }

    fn resync(&mut self, key: &MatchKey, out: &mut Vec<Action>) -> Answer {
        let Some(a_match) = self.catalog.matches.get(key) else { return no_such_match(key) };
        match &a_match.assignment {
            Assignment::Waiting => Answer::Failed { error: format!("match {} waits for a place", key.id) },
            Assignment::Quarantined => Answer::Failed {
                error: format!("match {} is in quarantine: `release {}` first", key.id, key.id),
            },
            Assignment::Assigned { owner, .. } => {
                let slot = owner.slot;
                self.send_to_worker(slot, ToWorker::Resync { id: key.id.clone() }, out);
                Answer::Done { message: format!("worker {slot} takes a fresh load of match {}", key.id) }
            }
        }
    }

    fn release_from_quarantine(&mut self, key: &MatchKey, out: &mut Vec<Action>) -> Answer {
        let Some(mut a_match) = self.catalog.matches.edit(key) else { return no_such_match(key) };
        if !matches!(a_match.assignment, Assignment::Quarantined) {
            return Answer::Failed { error: format!("match {} is not in quarantine", key.id) };
        }
        a_match.crashes.clear();
        drop(a_match);
        self.enqueue(key);
        out.push(Action::Log(LogEvent::Released { key: key.clone() }));
        Answer::Done { message: format!("match {} is placed again", key.id) }
    }

    /// Begins the end, or makes it more urgent. It never becomes less so.
    fn begin_stop(&mut self, urgency: Urgency, out: &mut Vec<Action>) {
        let known = self.stopping.map(|stopping| stopping.urgency);
        if known.is_some_and(|known| known >= urgency) {
            return;
        }
        let services = self.stopping.map_or(ServicesEnd::Awaited, |stopping| stopping.services);
        self.stopping = Some(Stopping { urgency, services });
        let within = match urgency {
            Urgency::Drain => self.config.pool.drain_deadline.0,
            Urgency::Now => Duration::ZERO,
        };
        out.push(Action::Log(LogEvent::Stopping { how: urgency, deadline_ms: millis(within) }));
        out.push(Action::SaveState);
        let slots: Vec<SlotId> =
            self.children.slots.iter().filter(|slot| slot.life.has_process()).map(|slot| slot.id).collect();
        for slot in slots {
            match urgency {
                Urgency::Drain => self.stop_worker(slot, within, out),
                Urgency::Now => {
                    self.stop_worker(slot, within, out);
                    self.hurry(Child::Worker(slot), out);
                }
            }
        }
        if let (Urgency::Now, ServicesEnd::Leaving(at)) = (urgency, services)
            && let Some(rules) = SERVICES.get(at)
        {
            let deadline = self.now + rules.within(urgency);
            self.advance(Child::Service(rules.kind), Event::Stop { deadline });
        }
    }

    fn hurry(&mut self, child: Child, out: &mut Vec<Action>) {
        let outcome = self.advance(child, Event::Condemn { signal: Signal::Term });
        if let (Some(signal), Some(life)) = (Self::outcome_is_signal(outcome), self.life(child)) {
            out.push(Action::Kill { child, generation: life.generation, signal });
        }
    }

    /// Once the end began: the services after the workers, then we.
    pub(super) fn settle_stop(&mut self, out: &mut Vec<Action>) {
        let Some(Stopping { urgency, services }) = self.stopping else { return };
        if self.children.slots.iter().any(|slot| slot.life.has_process()) {
            return;
        }
        let is_there = |at: usize| {
            SERVICES.get(at).is_some_and(|of| self.children.services.get(of.kind).life.has_process())
        };
        let next = match services {
            ServicesEnd::Awaited => 0,
            ServicesEnd::Leaving(at) if !is_there(at) => at + 1,
            ServicesEnd::Leaving(_) | ServicesEnd::Finished => return,
        };
        if let Some(rules) = SERVICES.get(next) {
            self.finish_endings(out);
            self.stop_service(rules, urgency, out);
            self.stopping = Some(Stopping { urgency, services: ServicesEnd::Leaving(next) });
            return self.settle_stop(out);
        }
        self.stopping = Some(Stopping { urgency, services: ServicesEnd::Finished });
        for (request, open) in std::mem::take(&mut self.requests.0) {
            let answer = match open.waits_for {
                WaitsFor::End => Answer::Done { message: "stopped".into() },
                WaitsFor::Ready | WaitsFor::Drained(..) | WaitsFor::Moved(..) | WaitsFor::Even => {
                    Answer::Failed { error: STOPS.into() }
                }
            };
            out.push(Action::Answer { request, answer });
        }
        out.push(Action::SaveState);
        out.push(Action::Log(LogEvent::Stopped));
        out.push(Action::Finished);
    }
}

fn no_such_match(key: &MatchKey) -> Answer {
    Answer::Failed { error: format!("match {} is not listed: see `matches`", key.id) }
}
