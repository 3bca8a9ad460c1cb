//! Operators: their requests, each answered by its deadline; readiness; the end.

use super::feed::FirstList;
use super::input::{Child, Command, RequestId, Urgency};
use super::life::{Event, State};
use super::log_event::LogEvent;
use super::matches::Place;
use super::moves::Wish;
use super::{Action, Answer, Pool, Readiness, Signal, millis};
use std::collections::BTreeMap;
use std::time::Duration;
use touchline_common::ipc::messages::recorder::ToRecorder;
use touchline_common::ipc::messages::worker::ToWorker;
use touchline_common::model::{Generation, MatchKey, SlotId};

/// Requests that are open at once; one more is refused.
const REQUESTS_MAX: usize = 256;
const STOPS: &str = "the daemon stops";
/// What the recorder gets to commit and close after the workers left.
const RECORDER_DRAIN: Duration = Duration::from_secs(5);
/// The same when the end is urgent.
const RECORDER_NOW: Duration = Duration::from_secs(2);

/// Requests that wait for something.
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
    pub(super) recorder: RecorderEnd,
}

/// The recorder leaves after the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecorderEnd {
    Awaited,
    Asked,
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
                self.balance(Wish::Asked, out);
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

    /// Answers what is done and what is late.
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
            WaitsFor::End => late.then(|| Answer::Partial { missing: self.who_remains() }),
            WaitsFor::Ready => self
                .readiness_answer()
                .or_else(|| late.then(|| Answer::Partial { missing: self.reasons().join("; ") })),
            WaitsFor::Drained(slot, generation) => match self.left_at(*slot, *generation) {
                None => Some(Answer::Done { told: format!("worker {slot} is drained") }),
                Some(missing) => late.then_some(Answer::Partial { missing }),
            },
            WaitsFor::Moved(key, slot, generation) => {
                self.move_stands(key, *slot, *generation).or_else(|| {
                    let missing = format!("match {} is not at worker {slot} yet; it goes on", key.id);
                    late.then_some(Answer::Partial { missing })
                })
            }
            WaitsFor::Even => match self.balance_stands() {
                Ok(told) => Some(Answer::Done { told }),
                Err(missing) => late.then_some(Answer::Partial { missing }),
            },
        }
    }

    /// Whether an operator waits for the workers to be even.
    pub(super) fn is_rebalance_asked(&self) -> bool {
        self.requests.0.values().any(|open| matches!(open.waits_for, WaitsFor::Even))
    }

    fn who_remains(&self) -> String {
        let mut who: Vec<String> = self
            .slots
            .iter()
            .filter(|slot| slot.life.has_process())
            .map(|slot| format!("worker {}", slot.id))
            .collect();
        if self.recorder.life.has_process() {
            who.push("recorder".into());
        }
        format!("still there: {}", who.join(", "))
    }

    fn resync(&mut self, key: &MatchKey, out: &mut Vec<Action>) -> Answer {
        let Some(a_match) = self.matches.get(key) else { return no_such_match(key) };
        match &a_match.place {
            Place::Waiting => Answer::Failed { error: format!("match {} waits for a place", key.id) },
            Place::Quarantined => Answer::Failed {
                error: format!("match {} is in quarantine: `release {}` first", key.id, key.id),
            },
            Place::Placed { owner, .. } => {
                let slot = owner.slot;
                self.tell_worker(slot, ToWorker::Resync { id: key.id.clone() }, out);
                Answer::Done { told: format!("worker {slot} takes a fresh load of match {}", key.id) }
            }
        }
    }

    fn release_from_quarantine(&mut self, key: &MatchKey, out: &mut Vec<Action>) -> Answer {
        let Some(a_match) = self.matches.get_mut(key) else { return no_such_match(key) };
        if !matches!(a_match.place, Place::Quarantined) {
            return Answer::Failed { error: format!("match {} is not in quarantine", key.id) };
        }
        a_match.crashes.clear();
        self.quarantined -= 1;
        self.enqueue(key);
        out.push(Action::Log(LogEvent::Released { key: key.clone() }));
        Answer::Done { told: format!("match {} is placed again", key.id) }
    }

    /// Begins the end, or makes it more urgent. It never becomes less so.
    fn begin_stop(&mut self, urgency: Urgency, out: &mut Vec<Action>) {
        let known = self.stopping.map(|stopping| stopping.urgency);
        if known.is_some_and(|known| known >= urgency) {
            return;
        }
        let recorder = self.stopping.map_or(RecorderEnd::Awaited, |stopping| stopping.recorder);
        self.stopping = Some(Stopping { urgency, recorder });
        let within = match urgency {
            Urgency::Drain => self.config.drain_deadline,
            Urgency::Now => Duration::ZERO,
        };
        out.push(Action::Log(LogEvent::Stopping { how: urgency, deadline_ms: millis(within) }));
        out.push(Action::SaveState);
        let slots: Vec<SlotId> =
            self.slots.iter().filter(|slot| slot.life.has_process()).map(|slot| slot.id).collect();
        for slot in slots {
            match urgency {
                Urgency::Drain => self.stop_worker(slot, within, out),
                Urgency::Now => {
                    self.stop_worker(slot, within, out);
                    self.hurry(Child::Worker(slot), out);
                }
            }
        }
        if urgency == Urgency::Now && recorder == RecorderEnd::Asked {
            self.advance(Child::Recorder, Event::Stop { deadline: self.now + RECORDER_NOW });
        }
    }

    /// A child that was asked to leave gets a signal now.
    fn hurry(&mut self, child: Child, out: &mut Vec<Action>) {
        let outcome = self.advance(child, Event::Condemn { signal: Signal::Term });
        if let (Some(signal), Some(life)) = (Self::outcome_is_signal(outcome), self.life(child)) {
            out.push(Action::Kill { child, generation: life.generation, signal });
        }
    }

    /// Once the end began: the recorder after the workers, then we.
    pub(super) fn settle_stop(&mut self, out: &mut Vec<Action>) {
        let Some(stopping) = self.stopping else { return };
        if self.slots.iter().any(|slot| slot.life.has_process()) {
            return;
        }
        match stopping.recorder {
            RecorderEnd::Awaited => {
                let within = match stopping.urgency {
                    Urgency::Drain => RECORDER_DRAIN,
                    Urgency::Now => RECORDER_NOW,
                };
                self.finish_endings(out);
                if self.recorder.life.is_ready() {
                    let deadline_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
                    self.tell_recorder(ToRecorder::Stop { deadline_ms }, out);
                }
                let outcome = self.advance(Child::Recorder, Event::Stop { deadline: self.now + within });
                if let Some(signal) = Self::outcome_is_signal(outcome) {
                    let generation = self.recorder.life.generation;
                    out.push(Action::Kill { child: Child::Recorder, generation, signal });
                }
                self.stopping = Some(Stopping { recorder: RecorderEnd::Asked, ..stopping });
                self.settle_stop(out);
            }
            RecorderEnd::Asked if !self.recorder.life.has_process() => {
                self.stopping = Some(Stopping { recorder: RecorderEnd::Finished, ..stopping });
                for (request, open) in std::mem::take(&mut self.requests.0) {
                    let answer = match open.waits_for {
                        WaitsFor::End => Answer::Done { told: "stopped".into() },
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
            RecorderEnd::Asked | RecorderEnd::Finished => {}
        }
    }

    /// A recorder that was asked to leave during its start is ready: now it hears it.
    pub(super) fn stop_late_recorder(&self, out: &mut Vec<Action>) {
        let deadline_ms = u32::try_from(RECORDER_NOW.as_millis()).unwrap_or(u32::MAX);
        let generation = self.recorder.life.generation;
        out.push(Action::ToRecorder { generation, message: ToRecorder::Stop { deadline_ms } });
    }

    /// Follows the contract's rule of `ready`.
    pub(super) fn settle_readiness(&mut self, out: &mut Vec<Action>) {
        for feed in &mut self.feeds {
            if feed.first == FirstList::Placing && feed.waiting_topics == 0 {
                feed.first = FirstList::Placed;
            }
        }
        if self.readiness == Readiness::Reached {
            return;
        }
        let ready =
            self.recorder.life.is_ready() && self.feeds.iter().all(|feed| feed.first == FirstList::Placed);
        if ready {
            if self.readiness == Readiness::Overdue {
                out.push(Action::Log(LogEvent::PoolRecovered));
            }
            self.readiness = Readiness::Reached;
            let count = self.count();
            let workers = self.slots.iter().filter(|slot| slot.life.works()).count();
            let (took_ms, matches) = (millis(self.now), count.listed);
            out.push(Action::Log(LogEvent::PoolReady { took_ms, matches, workers }));
            self.tick_requests(out);
        } else if self.readiness == Readiness::Awaited && self.now >= self.config.timing.ready_deadline {
            self.readiness = Readiness::Overdue;
            out.push(Action::Log(LogEvent::PoolDegraded { why: self.reasons().join("; ") }));
            self.tick_requests(out);
        }
    }

    /// What `wait-ready` is told, once there is something to tell.
    fn readiness_answer(&self) -> Option<Answer> {
        match self.readiness {
            Readiness::Reached => Some(Answer::Done { told: "ready".into() }),
            Readiness::Overdue => Some(Answer::Partial { missing: self.reasons().join("; ") }),
            Readiness::Awaited => None,
        }
    }

    /// What is wrong, a line each.
    pub(super) fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if !self.recorder.life.is_ready() {
            reasons.push(format!("the recorder is {}", self.recorder.life.state.as_str()));
        } else if !self.recorder.stats.trouble.is_empty() {
            reasons.push(format!("the recorder: {}", self.recorder.stats.trouble));
        }
        for feed in self.feed_ids() {
            let name = self.feed_name(feed);
            match self.feed_stands(feed) {
                super::feed::Told::Down => reasons.push(format!("feed {name} is down")),
                super::feed::Told::Degraded(why) => reasons.push(format!("feed {name}: {why}")),
                super::feed::Told::Nothing | super::feed::Told::Up => {}
            }
        }
        if self.quarantined > 0 {
            reasons.push(format!("{} matches are in quarantine", self.quarantined));
        }
        if self.breaker.is_tripped() {
            reasons.push(super::breaker::TRIPPED.into());
        }
        let silent = self.slots.iter().filter(|slot| {
            matches!(slot.life.state, State::Ready { .. }) && slot.pulse == super::slot::Pulse::Silent
        });
        reasons.extend(silent.map(|slot| format!("worker {} does not report", slot.id)));
        reasons
    }
}

fn no_such_match(key: &MatchKey) -> Answer {
    Answer::Failed { error: format!("match {} is not listed: see `matches`", key.id) }
}
