//! The life of a child's place: one state enum, one function ([`Life::advance`]) that owns every transition.
//!
//! Knows nothing of matches. It holds the start deadline, the ladder of signals, back-off, the intensity limit and
//! parking. Used for the workers' slots and for the services, which are never parked for dying often: no other takes over from one.

use crate::pool::action::Signal;
use crate::pool::children::jitter::Jitter;
use crate::pool::input::Exit;
use crate::pool::settings::Timing;
use std::collections::VecDeque;
use std::time::Duration;
use touchline_common::model::Generation;

/// The state of a place. There is a process in `Starting` to `Dying` and in no other state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum State {
    /// Never started, or left as asked.
    Empty,
    /// Started, not READY.
    Starting {
        since: Duration,
    },
    Ready,
    /// READY, giving its matches away.
    Draining,
    /// Asked to leave; `next` is what follows if it does not.
    Stopping {
        next: Option<(Duration, Signal)>,
    },
    /// Given up on: its matches are already elsewhere.
    Dying {
        next: Option<(Duration, Signal)>,
    },
    /// No process, may be started at once.
    Dead,
    /// No process until then.
    Backoff {
        until: Duration,
    },
    /// No process until then (`None`: until the program is started anew), and then one start on probation.
    Parked {
        until: Option<Duration>,
    },
}

impl State {
    /// The state as `workers` shows it.
    pub(in crate::pool) fn as_str(self) -> &'static str {
        match self {
            State::Empty => "empty",
            State::Starting { .. } => "starting",
            State::Ready => "ready",
            State::Draining => "draining",
            State::Stopping { .. } => "stopping",
            State::Dying { .. } => "dying",
            State::Dead => "dead",
            State::Backoff { .. } => "backoff",
            State::Parked { .. } => "parked",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(in crate::pool) enum Event {
    Spawn,
    Ready,
    Drain,
    /// It is to leave until then.
    Stop {
        deadline: Duration,
    },
    /// It must go now: first this signal, SIGKILL later.
    Condemn {
        signal: Signal,
    },
    Announced,
    /// It speaks no version of ours: another start would not change that.
    Refused,
    /// It could not be started.
    SpawnFailed,
    Exited(Exit),
    Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Outcome {
    /// Nothing.
    Quiet,
    Send(Signal),
    Gone(Departure),
}

impl Outcome {
    pub(in crate::pool) fn signal(self) -> Option<Signal> {
        match self {
            Outcome::Send(signal) => Some(signal),
            Outcome::Quiet | Outcome::Gone(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Departure {
    Asked,
    /// It announced so before: no crash.
    Left,
    /// Unasked. `suspicious`: something that it worked on may have done that.
    Died {
        suspicious: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Peers {
    /// A worker's slot: where one dies too often it is parked, and others go on.
    Many,
    /// A service's: it is waited for, but not for long, since workers meanwhile hold what no other process has, and clients are not served.
    Alone,
}

/// A process, or the last one.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::pool) struct Process {
    pub(in crate::pool) pid: Option<u32>,
    pub(in crate::pool) spawned_at: Duration,
    /// When it last reported.
    pub(in crate::pool) reported_at: Duration,
}

/// A place's state and history.
#[derive(Debug)]
pub(in crate::pool) struct Life {
    peers: Peers,
    pub(in crate::pool) process: Process,
    pub(in crate::pool) state: State,
    pub(in crate::pool) generation: Generation,
    /// Starts after an unasked death.
    pub(in crate::pool) restarts: u32,
    pub(in crate::pool) last_exit: Option<String>,
    course: Course,
    history: History,
}

#[derive(Debug, Default)]
struct Course {
    /// Since when it is READY, also while it drains.
    ready_since: Option<Duration>,
    announced: bool,
    condemned: bool,
    refused: bool,
    /// Why it was given up on, if it was.
    reason: Option<String>,
}

/// How those before it fared.
#[derive(Debug, Default)]
struct History {
    deaths: VecDeque<Duration>,
    failures: u32,
    /// The last one died.
    died: bool,
    /// The last one worked for [`STEADY`] before it went.
    steady: bool,
    /// The place was parked and has not been healthy since: one more death parks it again.
    probation: bool,
}

/// A worker that was READY for this long did not die of its start or of its first matches.
const STEADY: Duration = Duration::from_secs(2);

impl Life {
    pub(in crate::pool) fn new(peers: Peers, generation: Generation) -> Self {
        Life {
            peers,
            process: Process::default(),
            state: State::Empty,
            generation,
            restarts: 0,
            last_exit: None,
            course: Course::default(),
            history: History::default(),
        }
    }

    pub(in crate::pool) fn has_process(&self) -> bool {
        match self.state {
            State::Starting { .. }
            | State::Ready
            | State::Draining
            | State::Stopping { .. }
            | State::Dying { .. } => true,
            State::Empty | State::Dead | State::Backoff { .. } | State::Parked { .. } => false,
        }
    }

    /// Whether it is about the process of this generation.
    pub(in crate::pool) fn is(&self, generation: Generation) -> bool {
        self.generation == generation && self.has_process()
    }

    pub(in crate::pool) fn works(&self) -> bool {
        matches!(self.state, State::Ready | State::Draining)
    }

    /// Whether it waits in its back-off, and placement should not wait for it: the death does not look like one of a row, or the
    /// wait is long.
    pub(in crate::pool) fn rests(&self, now: Duration, timing: &Timing) -> bool {
        matches!(self.state, State::Backoff { until } if self.history.steady || until > now + timing.deaths.backoff_min * 2)
    }

    pub(in crate::pool) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    pub(in crate::pool) fn ready_since(&self) -> Option<Duration> {
        self.course.ready_since.filter(|_| self.is_ready())
    }

    pub(in crate::pool) fn is_starting(&self) -> bool {
        matches!(self.state, State::Starting { .. })
    }

    pub(in crate::pool) fn is_stopping(&self) -> bool {
        matches!(self.state, State::Stopping { .. })
    }

    pub(in crate::pool) fn is_draining(&self) -> bool {
        matches!(self.state, State::Draining)
    }

    /// It announced that it leaves: nothing more is placed here.
    pub(in crate::pool) fn is_announced(&self) -> bool {
        self.course.announced
    }

    pub(in crate::pool) fn is_parked(&self) -> bool {
        matches!(self.state, State::Parked { .. })
    }

    /// Parked because of its configuration or its messages, which another start would not change.
    pub(in crate::pool) fn is_refused(&self) -> bool {
        matches!(self.state, State::Parked { until: None })
    }

    pub(in crate::pool) fn may_spawn(&self, now: Duration) -> bool {
        self.next_start().is_some_and(|at| now >= at)
    }

    /// How long it stays away, if it does for a known time.
    pub(in crate::pool) fn retry_in(&self, now: Duration) -> Option<Duration> {
        self.next_start().filter(|_| self.state != State::Empty).map(|at| at.saturating_sub(now))
    }

    /// From when on it may be started, if there is no process and it may ever be.
    fn next_start(&self) -> Option<Duration> {
        match self.state {
            State::Empty | State::Dead => Some(Duration::ZERO),
            State::Backoff { until } => Some(until),
            State::Parked { until } => until,
            State::Starting { .. }
            | State::Ready
            | State::Draining
            | State::Stopping { .. }
            | State::Dying { .. } => None,
        }
    }

    /// Since it last reported.
    pub(in crate::pool) fn silent_for(&self, now: Duration) -> Duration {
        now.saturating_sub(self.process.reported_at)
    }

    /// It is given up on; the first reason counts.
    pub(in crate::pool) fn blame(&mut self, why: &str) {
        self.course.reason.get_or_insert_with(|| why.to_owned());
    }

    /// Why it was given up on, if it was.
    pub(in crate::pool) fn reason(&self) -> Option<&str> {
        self.course.reason.as_deref()
    }

    pub(in crate::pool) fn take_reason(&mut self) -> String {
        self.course.reason.take().unwrap_or_default()
    }

    /// The coordinator was late by this much: neither the start nor the silence is judged by that time.
    pub(in crate::pool) fn forgive(&mut self, late: Duration, now: Duration) {
        if let State::Starting { since } = &mut self.state {
            *since += late;
        }
        self.process.reported_at = (self.process.reported_at + late).min(now);
    }

    /// The one function that changes `state`. Events that make no sense in a state leave it as it is.
    pub(in crate::pool) fn advance(
        &mut self,
        event: Event,
        now: Duration,
        timing: &Timing,
        jitter: &mut Jitter,
    ) -> Outcome {
        let (next, outcome) = match (event, self.state) {
            (Event::Spawn, _) if self.may_spawn(now) => {
                self.generation = Generation(self.generation.0 + 1);
                self.restarts += u32::from(self.history.died);
                self.process = Process { pid: None, spawned_at: now, reported_at: now };
                self.course = Course::default();
                self.history.died = false;
                (State::Starting { since: now }, Outcome::Quiet)
            }
            (Event::Ready, State::Starting { .. }) => {
                self.process.reported_at = now;
                self.course.ready_since = Some(now);
                (State::Ready, Outcome::Quiet)
            }
            (Event::Drain, State::Ready) => (State::Draining, Outcome::Quiet),
            (Event::Stop { deadline }, State::Ready | State::Draining) => {
                (State::Stopping { next: Some((deadline, Signal::Term)) }, Outcome::Quiet)
            }
            (Event::Stop { deadline }, State::Stopping { next: Some((at, Signal::Term)) }) => {
                (State::Stopping { next: Some((at.min(deadline), Signal::Term)) }, Outcome::Quiet)
            }
            // It has no channel to be asked over yet.
            (Event::Stop { .. }, State::Starting { .. }) => (
                State::Stopping { next: Some((now + timing.process.stop_kill_after, Signal::Kill)) },
                Outcome::Send(Signal::Term),
            ),
            (Event::Condemn { signal }, State::Starting { .. } | State::Ready | State::Draining) => {
                // A signal of ours that asks politely is no sign of what it worked on.
                self.course.condemned = matches!(signal, Signal::Abort);
                (
                    State::Dying { next: Some((now + timing.process.kill_after, Signal::Kill)) },
                    Outcome::Send(signal),
                )
            }
            (Event::Condemn { signal }, State::Stopping { next: Some((_, Signal::Term)) }) => (
                State::Stopping { next: Some((now + timing.process.kill_after, Signal::Kill)) },
                Outcome::Send(signal),
            ),
            (Event::Announced, state) => {
                self.course.announced = true;
                (state, Outcome::Quiet)
            }
            (Event::Refused, state) => {
                self.course.refused = true;
                (state, Outcome::Quiet)
            }
            (Event::SpawnFailed, State::Starting { .. } | State::Stopping { .. } | State::Dying { .. }) => {
                self.last_exit = Some("not started".into());
                self.gone(None, now, timing, jitter)
            }
            (Event::Exited(exit), _) if self.has_process() => {
                self.last_exit = Some(exit.to_string());
                self.gone(Some(exit), now, timing, jitter)
            }
            (Event::Tick, State::Starting { since }) if now >= since + timing.process.start_deadline => (
                State::Dying { next: Some((now + timing.process.kill_after, Signal::Kill)) },
                Outcome::Send(Signal::Abort),
            ),
            (Event::Tick, State::Stopping { next: Some((at, signal)) }) if now >= at => {
                (State::Stopping { next: rung_after(signal, now, timing) }, Outcome::Send(signal))
            }
            (Event::Tick, State::Dying { next: Some((at, signal)) }) if now >= at => {
                (State::Dying { next: rung_after(signal, now, timing) }, Outcome::Send(signal))
            }
            (Event::Tick, State::Backoff { until } | State::Parked { until: Some(until) })
                if now >= until =>
            {
                (State::Dead, Outcome::Quiet)
            }
            (_, state) => (state, Outcome::Quiet),
        };
        self.state = next;
        outcome
    }

    fn gone(
        &mut self,
        exit: Option<Exit>,
        now: Duration,
        timing: &Timing,
        jitter: &mut Jitter,
    ) -> (State, Outcome) {
        let ready_since = self.course.ready_since.take();
        let healthy =
            ready_since.is_some_and(|since| now.saturating_sub(since) >= timing.deaths.healthy_after);
        self.history.steady = ready_since.is_some_and(|since| now.saturating_sub(since) >= STEADY);
        if healthy {
            self.history.failures = 0;
            self.history.probation = false;
        }
        if matches!(self.state, State::Stopping { .. }) {
            return (State::Empty, Outcome::Gone(Departure::Asked));
        }
        if self.course.announced {
            let state =
                if healthy { State::Dead } else { State::Backoff { until: now + timing.deaths.backoff_min } };
            return (state, Outcome::Gone(Departure::Left));
        }
        self.history.died = true;
        let departure = Departure::Died { suspicious: self.course.condemned || exit.is_some_and(suspicious) };
        if self.course.refused || exit == Some(Exit::Code(EXIT_REFUSED)) {
            return (State::Parked { until: None }, Outcome::Gone(departure));
        }
        self.history.deaths.push_back(now);
        while self.history.deaths.front().is_some_and(|at| *at + timing.deaths.intensity_window < now) {
            self.history.deaths.pop_front();
        }
        let often = self.history.probation || self.history.deaths.len() > timing.deaths.slot_deaths;
        let state = if often && self.peers == Peers::Many {
            self.history.deaths.clear();
            self.history.probation = true;
            State::Parked { until: Some(now + timing.deaths.park) }
        } else if healthy {
            State::Dead
        } else {
            let longest = match self.peers {
                Peers::Many => timing.deaths.backoff_max,
                Peers::Alone => timing.deaths.backoff_alone,
            };
            let delay = backoff(self.history.failures, longest, timing, jitter);
            self.history.failures = self.history.failures.saturating_add(1);
            State::Backoff { until: now + delay }
        };
        (state, Outcome::Gone(departure))
    }
}

/// A child leaves with this when its configuration or the version of the messages is refused.
const EXIT_REFUSED: i32 = 2;
/// A panic that unwound; with `panic = "abort"` it is SIGABRT.
const EXIT_PANIC: i32 = 101;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const SIGINT: i32 = 2;
const SIGHUP: i32 = 1;

/// Whether what it worked on may have ended it. Codes are deliberate exits, and TERM, INT, HUP and KILL come from
/// outside (an operator, the out-of-memory killer): those must not put matches into quarantine.
fn suspicious(exit: Exit) -> bool {
    match exit {
        Exit::Code(code) => code == EXIT_PANIC,
        Exit::Signal { number, .. } => ![SIGKILL, SIGTERM, SIGINT, SIGHUP].contains(&number),
    }
}

fn rung_after(signal: Signal, now: Duration, timing: &Timing) -> Option<(Duration, Signal)> {
    match signal {
        Signal::Term | Signal::Abort => Some((now + timing.process.stop_kill_after, Signal::Kill)),
        // Nothing is above it; a process in the kernel's hands leaves when the kernel lets it.
        Signal::Kill => None,
    }
}

fn backoff(failures: u32, longest: Duration, timing: &Timing, jitter: &mut Jitter) -> Duration {
    // ± 20 %, never below the minimum.
    timing
        .deaths
        .doubled(failures, longest)
        .mul_f64(0.8 + 0.4 * jitter.fraction())
        .max(timing.deaths.backoff_min)
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
