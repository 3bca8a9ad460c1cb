//! A list that an HTTP server has, asked for again and again while somebody follows it.
//!
//! One question is out at a time. What goes wrong is said once per change, and ends nothing that is followed: the list stays as it was. The
//! socket is the HTTP engine's, under tokens of its own. Callers: `rooms` for its ranking, `push` for its list.

use crate::net::Readiness;
use crate::net::http::{Http, Outcome, Request, RequestId};
use mio::{Registry, Token};
use std::fmt;
use std::time::{Duration, Instant};

/// How long an answer may take, and how long it may pause.
const WHOLE: Duration = Duration::from_secs(20);
const IDLE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(super) struct PolledPlan {
    /// What it is called where something is wrong with it.
    pub(super) what: &'static str,
    pub(super) url: String,
    pub(super) every: Duration,
    pub(super) ca_file: String,
    pub(super) insecure: bool,
}

pub(super) struct Polled {
    plan: PolledPlan,
    /// Bytes of an answer.
    body_limit: usize,
    first: Token,
    http: Option<Http>,
    state: State,
    /// Whether an answer came since it is followed.
    loaded: bool,
    /// What was last said of a failure; empty: all is well.
    said: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody follows it.
    Idle,
    /// The next question is due at this time.
    Waiting(Instant),
    Asked {
        request: RequestId,
        next: Instant,
    },
}

pub(super) enum Came {
    Answer(Vec<u8>),
    /// It failed otherwise than before.
    Failed(String),
    FailedAgain,
}

impl Polled {
    /// One that nobody follows. Its sockets have the tokens from `first` on.
    pub(super) fn new(plan: PolledPlan, body_limit: usize, first: Token) -> Polled {
        Polled { plan, body_limit, first, http: None, state: State::Idle, loaded: false, said: String::new() }
    }

    /// It is asked for from now on; at once, even if it was asked for before.
    pub(super) fn follow(&mut self, now: Instant) {
        match self.state {
            State::Idle | State::Waiting(_) => self.state = State::Waiting(now),
            State::Asked { .. } => {}
        }
    }

    pub(super) fn unfollow(&mut self) {
        if let (State::Asked { request, .. }, Some(http)) = (self.state, &mut self.http) {
            http.cancel(request);
        }
        (self.state, self.loaded) = (State::Idle, false);
    }

    pub(super) fn is_followed(&self) -> bool {
        self.state != State::Idle
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.loaded
    }

    pub(super) fn note(&mut self, token: Token, readiness: Readiness) {
        if let Some(http) = &mut self.http {
            http.note(token, readiness);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let due = match self.state {
            State::Waiting(at) => Some(at),
            State::Idle | State::Asked { .. } => None,
        };
        let http = self.http.as_ref().and_then(Http::deadline);
        [due, http].into_iter().flatten().min()
    }

    /// Asks if that is due, and drives what is out; the answer that came.
    pub(super) fn advance(&mut self, registry: &Registry, now: Instant) -> Option<Came> {
        if let State::Waiting(at) = self.state
            && now >= at
            && let Err(why) = self.ask(now)
        {
            self.state = State::Waiting(now + self.plan.every);
            return Some(self.failed(&why));
        }
        let http = self.http.as_mut()?;
        http.advance(registry, now);
        let (answered, outcome) = http.next()?;
        let State::Asked { request, next } = self.state else { return None };
        if answered != request {
            return None;
        }
        self.state = State::Waiting(next.max(now));
        Some(match outcome {
            Outcome::Answered(answer) if answer.status == 200 => {
                self.said.clear();
                self.loaded = true;
                Came::Answer(answer.body)
            }
            Outcome::Answered(answer) => self.failed(&format!("the server answers with {}", answer.status)),
            Outcome::Failed(error) => self.failed(&error.to_string()),
        })
    }

    fn ask(&mut self, now: Instant) -> Result<(), String> {
        let http = match &mut self.http {
            Some(http) => http,
            none => none.insert(Http::new(self.first, 1, 1).map_err(|error| error.to_string())?),
        };
        let PolledPlan { what: _, url, every, ca_file, insecure } = &self.plan;
        let request = Request {
            url: url.clone(),
            headers: Vec::new(),
            proxy: String::new(),
            ca_file: ca_file.clone(),
            insecure: *insecure,
            whole: WHOLE,
            idle: IDLE,
            body_limit: self.body_limit,
        };
        let request = http.start(request, now).map_err(|error| error.to_string())?;
        self.state = State::Asked { request, next: now + *every };
        Ok(())
    }

    fn failed(&mut self, why: &str) -> Came {
        if self.said == why {
            return Came::FailedAgain;
        }
        why.clone_into(&mut self.said);
        Came::Failed(format!("{}: {why}; it is asked for again in {:?}", self.plan.what, self.plan.every))
    }
}

/// Without the address, whose query may be a secret.
impl fmt::Debug for Polled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polled").field("state", &self.state).finish_non_exhaustive()
    }
}
