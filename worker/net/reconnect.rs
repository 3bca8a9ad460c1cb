//! When the next attempt to connect may be made, and whether an open connection can be relied on. Pure.
//!
//! * Failures in a row wait longer and longer, with full jitter: anything between nothing and the bound of the attempt, so that
//!   many workers that lost one server do not come back together. A refused login waits [`LOGIN_WAIT`] on top.
//! * Each attempt but a worker's first needs the coordinator's permit: all workers of a feed share one budget. A coordinator that
//!   does not answer within [`PERMIT_DEADLINE`] is no reason to follow nothing.
//! * Only a connection that serves what it is asked for, or stands for [`STANDS`], ends the back-off. Most servers refuse in the
//!   handshake; one that lets in and throws out at once would otherwise be tried again without ever waiting longer. After a
//!   connection that ended before it had served anything, the next is on probation.
//!
//! The caller gives time and randomness, and reports what became of each attempt. Callers: the sources in `feed`.

use std::time::{Duration, Instant};

/// The bound of the first wait.
const BASE: Duration = Duration::from_millis(250);
/// The most that is ever waited, a refused login apart.
const CAP: Duration = Duration::from_secs(30);
/// The wait after a refused login.
const LOGIN_WAIT: Duration = Duration::from_secs(60);
const PERMIT_DEADLINE: Duration = Duration::from_secs(2);
/// A connection that stood so long counts as one that serves, though nothing may have been asked of it.
const STANDS: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing is known against it.
    Good,
    Probation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Nothing,
    /// The coordinator is to be asked for a permit, see [`Reconnect::permit`].
    Permit,
    Attempt(u64),
}

/// How far a connection had come when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It was never open.
    Connecting,
    /// It was open and had served nothing.
    Open,
    Serving,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End<'a> {
    Broken,
    /// The server refused to go on with an earlier session, no more than that: a fresh one can be asked for at once.
    ResumeRefused,
    /// The server refused the login, in these words: trying again soon changes nothing, and may lock the account.
    LoginRefused(&'a str),
    /// As [`End::LoginRefused`], but the server had let us in before.
    SessionRefused(&'a str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing was refused, or other than before.
    New,
    /// The same as last time.
    Repeated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The next attempt comes after this time.
    pub after: Duration,
    pub stage: Stage,
    pub refusal: Refusal,
}

/// Follows the attempts and connections to one server.
#[derive(Debug)]
pub struct Reconnect {
    state: State,
    permit: Permit,
    health: Health,
    /// The refusal that nothing has disproved since.
    refused: Option<Refused>,
    failures: u32,
    attempts: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is tried before this time.
    Waiting(Instant),
    /// An attempt is under way, up to the handshake.
    Connecting,
    /// It is open since then, and has served nothing yet.
    Open(Instant),
    Serving,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permit {
    /// The next attempt may be made: of a new worker's first one the coordinator knew.
    Granted,
    /// It was not asked for yet.
    Needed,
    Requested,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Refused {
    /// In the handshake: a server that lets us in has changed its mind.
    Login(String),
    /// After it: only a connection that serves disproves that.
    Session(String),
}

impl Reconnect {
    /// The first attempt is due at `now`.
    pub fn new(now: Instant) -> Reconnect {
        Reconnect {
            state: State::Waiting(now),
            permit: Permit::Granted,
            health: Health::Good,
            refused: None,
            failures: 0,
            attempts: 0,
        }
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        match (self.state, self.health) {
            (State::Waiting(until), _) => Some(until),
            (State::Open(since), Health::Probation) => since.checked_add(STANDS),
            (State::Open(_), Health::Good) | (State::Connecting | State::Serving, _) => None,
        }
    }

    pub fn due(&mut self, now: Instant) -> Due {
        match (self.state, self.permit) {
            (State::Waiting(until), _) if now < until => Due::Nothing,
            (State::Waiting(_), Permit::Granted | Permit::Requested) => {
                self.permit = Permit::Needed;
                self.state = State::Connecting;
                Due::Attempt(self.attempts)
            }
            (State::Waiting(_), Permit::Needed) => {
                self.permit = Permit::Requested;
                self.state = State::Waiting(now + PERMIT_DEADLINE);
                Due::Permit
            }
            (State::Connecting | State::Open(_) | State::Serving, _) => Due::Nothing,
        }
    }

    pub fn permit(&mut self, now: Instant) {
        if let (State::Waiting(until), Permit::Requested) = (&mut self.state, self.permit) {
            self.permit = Permit::Granted;
            *until = now;
        }
    }

    /// The attempt did not lead to a connection; the next comes after the wait that is returned. `random` is to be uniform over all
    /// values.
    pub fn failed(&mut self, random: u64, now: Instant) -> Duration {
        let wait = self.back_off(random);
        self.state = State::Waiting(now + wait);
        wait
    }

    pub fn opened(&mut self, now: Instant) -> Health {
        self.state = State::Open(now);
        self.refused.take_if(|refused| matches!(refused, Refused::Login(_)));
        self.health
    }

    /// The connection serves what it was asked for: the next failure is the first again. Whether it served nothing before.
    pub fn served(&mut self) -> bool {
        let is_first = matches!(self.state, State::Open(_));
        if is_first {
            self.state = State::Serving;
            self.health = Health::Good;
            self.refused = None;
            self.failures = 0;
        }
        is_first
    }

    /// A connection that stands long enough counts as one that serves. Whether it does so from now on.
    pub fn stands(&mut self, now: Instant) -> bool {
        match self.state {
            State::Open(since) if now.saturating_duration_since(since) >= STANDS => self.served(),
            State::Open(_) | State::Waiting(_) | State::Connecting | State::Serving => false,
        }
    }

    /// The connection is over. `random` as for [`Reconnect::failed`].
    pub fn ended(&mut self, end: End<'_>, random: u64, now: Instant) -> Retry {
        self.stands(now);
        let stage = match self.state {
            State::Waiting(_) | State::Connecting => Stage::Connecting,
            State::Open(_) => Stage::Open,
            State::Serving => Stage::Serving,
        };
        self.health = match (stage, end) {
            (_, End::SessionRefused(_)) | (Stage::Open, _) => Health::Probation,
            (Stage::Serving, _) => Health::Good,
            (Stage::Connecting, _) => self.health,
        };
        let (refused, after) = match end {
            End::Broken => (None, self.back_off(random)),
            End::ResumeRefused => (None, Duration::ZERO),
            // The jitter of the usual wait keeps workers apart.
            End::LoginRefused(why) => {
                (Some(Refused::Login(why.to_owned())), LOGIN_WAIT + self.back_off(random))
            }
            End::SessionRefused(why) => {
                (Some(Refused::Session(why.to_owned())), LOGIN_WAIT + self.back_off(random))
            }
        };
        let is_repeated = refused.is_some() && refused == self.refused;
        self.refused = refused;
        self.state = State::Waiting(now + after);
        Retry { after, stage, refusal: if is_repeated { Refusal::Repeated } else { Refusal::New } }
    }

    fn back_off(&mut self, random: u64) -> Duration {
        let wait = full_jitter(self.failures, random);
        self.failures = self.failures.saturating_add(1);
        self.attempts += 1;
        wait
    }
}

/// The wait after a failure that `failures` others preceded. `random` is to be uniform over all values.
fn full_jitter(failures: u32, random: u64) -> Duration {
    let factor = 1u32.checked_shl(failures).unwrap_or(u32::MAX);
    jitter(BASE.saturating_mul(factor), random)
}

/// The wait after a failure of what has failed for so long: no longer than that, so that an outage is over for everybody before it has
/// taken twice its time. `random` is to be uniform over all values.
pub fn wait_after(failing: Duration, random: u64) -> Duration {
    jitter(failing.max(BASE), random)
}

fn jitter(bound: Duration, random: u64) -> Duration {
    let bound = bound.min(CAP);
    let nanos = bound.as_nanos() * u128::from(random) / u128::from(u64::MAX);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(bound)
}

#[cfg(test)]
mod tests;
