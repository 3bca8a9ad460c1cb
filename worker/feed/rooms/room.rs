//! The life of one room, from one attempt to the next. Pure: time and randomness are passed in, what is to be done comes out.
//!
//! * A room has one connection at a time, and each attempt is made in its turn: it waits in line for room at an address and for
//!   the feed's permit. What has failed for long waits long, with full jitter, and never longer than it has failed.
//! * Heartbeat and reader live and die together: a room from which nothing comes ends, and one that cannot be sent a heartbeat, too.
//! * A room whose join is refused [`REFUSALS`] times in a row, and at each host, is parked: for [`PARK`], then twice as long each time, up to
//!   [`PARK_MAX`]. Attempts that came to no join in between prove nothing. Caller: `source`.

use crate::net::wait_after;
use std::time::{Duration, Instant};

/// How long a server may take from the connected socket to the answer of the join.
pub const JOIN_DEADLINE: Duration = Duration::from_secs(5);
/// Refusals in a row that park a room.
pub const REFUSALS: u32 = 3;
pub const PARK: Duration = Duration::from_secs(600);
pub const PARK_MAX: Duration = Duration::from_secs(6 * 3600);
/// A room that was live for so long begins its back-off anew.
const STANDS: Duration = Duration::from_secs(5);
/// Beyond two heartbeats, how late the second answer may be.
const LATE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is tried before this time.
    Waiting {
        until: Instant,
    },
    /// An attempt is due, and waits for room at an address and for a permit.
    InLine,
    Connecting,
    /// The socket is connected; by then the join is to be answered.
    Joining {
        until: Instant,
    },
    Live {
        since: Instant,
        heartbeat_at: Instant,
        silent_at: Instant,
    },
    /// It was refused too often in a row.
    Parked {
        until: Instant,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// It is later than it was.
    Time,
    /// Its turn has come.
    Permit,
    /// The socket is connected.
    Opened,
    /// The join is accepted.
    Accepted,
    /// Something came.
    Heard,
    /// The connection is over, or never came to be.
    Ended(End),
    /// It is to be joined afresh.
    Renew,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Broken,
    /// The server refused the join.
    Refused,
}

/// What the caller is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Nothing,
    /// To put the room in line.
    GetInLine,
    /// To connect; the attempts are numbered from 0.
    Connect {
        attempt: u64,
    },
    Heartbeat,
    /// To close the connection, if there is one; the next attempt comes by itself.
    Lost {
        retry: Duration,
    },
    /// As [`Action::Lost`]; the room counts as refused.
    Park {
        retry: Duration,
    },
}

#[derive(Debug)]
pub struct Room {
    state: State,
    heartbeat: Duration,
    /// Refusals in a row that park it.
    most_refusals: u32,
    attempts: u64,
    /// When the first failed of the attempts in a row that led to nothing that stood.
    failing_since: Option<Instant>,
    /// Refusals in a row.
    refusals: u32,
    /// How often it was parked in a row.
    parkings: u32,
}

impl Room {
    /// A room that is due at `now`, and is sent a heartbeat each `heartbeat` once it is joined. Its attempts go through `hosts` servers
    /// in turn: one that closes every connection is not the room's refusal while another has not been asked.
    pub fn new(heartbeat: Duration, hosts: usize, now: Instant) -> Room {
        Room {
            state: State::Waiting { until: now },
            heartbeat,
            most_refusals: u32::try_from(hosts).unwrap_or(u32::MAX).max(REFUSALS),
            attempts: 0,
            failing_since: None,
            refusals: 0,
            parkings: 0,
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Of the next attempt.
    pub fn attempt(&self) -> u64 {
        self.attempts
    }

    /// How long a live room may bring nothing.
    pub fn silence(&self) -> Duration {
        self.heartbeat.saturating_mul(2).saturating_add(LATE)
    }

    /// How long nothing had come at `now` of a room that was in `state`; zero unless it was live.
    pub fn unheard(&self, state: State, now: Instant) -> Duration {
        match state {
            State::Live { silent_at, .. } => {
                self.silence().saturating_sub(silent_at.saturating_duration_since(now))
                    + now.saturating_duration_since(silent_at)
            }
            State::Waiting { .. }
            | State::InLine
            | State::Connecting
            | State::Joining { .. }
            | State::Parked { .. } => Duration::ZERO,
        }
    }

    /// Whether it is live and silent for too long, unless something comes now. What comes does not help one that waits for the answer to
    /// its join.
    pub fn is_silent(&self, now: Instant) -> bool {
        match self.state {
            State::Live { silent_at, .. } => now >= silent_at,
            State::Waiting { .. }
            | State::InLine
            | State::Connecting
            | State::Joining { .. }
            | State::Parked { .. } => false,
        }
    }

    /// When [`Input::Time`] does something.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until } | State::Joining { until } | State::Parked { until } => Some(until),
            State::Live { heartbeat_at, silent_at, .. } => Some(heartbeat_at.min(silent_at)),
            State::InLine | State::Connecting => None,
        }
    }

    /// The one transition. `random` is to be uniform over all values. What does not belong to the state changes nothing.
    pub fn step(&mut self, input: Input, random: u64, now: Instant) -> Action {
        let (state, action) = match (self.state, input) {
            (State::Waiting { until } | State::Parked { until }, Input::Time) if now >= until => {
                (State::InLine, Action::GetInLine)
            }
            (State::InLine, Input::Permit) => {
                let attempt = self.attempts;
                self.attempts += 1;
                (State::Connecting, Action::Connect { attempt })
            }
            (State::Connecting, Input::Opened) => {
                (State::Joining { until: now + JOIN_DEADLINE }, Action::Nothing)
            }
            (State::Joining { .. }, Input::Accepted) => (self.accepted(now), Action::Nothing),
            (State::Joining { until }, Input::Time) if now >= until => self.back_off(random, now),
            (State::Live { since, silent_at, .. }, Input::Time) if now >= silent_at => {
                self.lost(since, random, now)
            }
            (State::Live { since, heartbeat_at, silent_at }, Input::Time) if now >= heartbeat_at => {
                let heartbeat_at = now + self.heartbeat;
                (State::Live { since, heartbeat_at, silent_at }, Action::Heartbeat)
            }
            (State::Live { since, heartbeat_at, .. }, Input::Heard) => {
                let silent_at = now + self.silence();
                (State::Live { since, heartbeat_at, silent_at }, Action::Nothing)
            }
            (State::Joining { .. }, Input::Ended(End::Refused)) => self.refused(random, now),
            (State::Connecting | State::Joining { .. }, Input::Ended(_)) => self.back_off(random, now),
            (State::Live { since, .. }, Input::Ended(_)) => self.lost(since, random, now),
            (State::Connecting | State::Joining { .. } | State::Live { .. }, Input::Renew) => {
                (State::Waiting { until: now }, Action::Lost { retry: Duration::ZERO })
            }
            (State::Parked { .. }, Input::Renew) => (State::Waiting { until: now }, Action::Nothing),
            (
                state @ (State::Waiting { .. }
                | State::InLine
                | State::Connecting
                | State::Joining { .. }
                | State::Live { .. }
                | State::Parked { .. }),
                Input::Time
                | Input::Permit
                | Input::Opened
                | Input::Accepted
                | Input::Heard
                | Input::Ended(_)
                | Input::Renew,
            ) => (state, Action::Nothing),
        };
        self.state = state;
        action
    }

    /// The first heartbeat goes out at once: its answer has the popularity.
    fn accepted(&mut self, now: Instant) -> State {
        (self.refusals, self.parkings) = (0, 0);
        State::Live { since: now, heartbeat_at: now, silent_at: now + self.silence() }
    }

    fn lost(&mut self, since: Instant, random: u64, now: Instant) -> (State, Action) {
        if now.saturating_duration_since(since) >= STANDS {
            self.failing_since = None;
        }
        self.back_off(random, now)
    }

    fn back_off(&mut self, random: u64, now: Instant) -> (State, Action) {
        let since = *self.failing_since.get_or_insert(now);
        let retry = wait_after(now.saturating_duration_since(since), random);
        (State::Waiting { until: now + retry }, Action::Lost { retry })
    }

    fn refused(&mut self, random: u64, now: Instant) -> (State, Action) {
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals < self.most_refusals {
            return self.back_off(random, now);
        }
        let factor = 1u32.checked_shl(self.parkings).unwrap_or(u32::MAX);
        let retry = PARK.saturating_mul(factor).min(PARK_MAX);
        self.parkings = self.parkings.saturating_add(1);
        (State::Parked { until: now + retry }, Action::Park { retry })
    }
}

#[cfg(test)]
mod tests;
