//! The source of a polled feed: requests in the loop, their answers as events.
//!
//! There is no single connection, so it is up from its first turn on; what a source's failure means is said once per change. Answers are
//! processed one by one in the order in which they were complete, and the next requests go out in between. Called through `Source`.

use super::plan::Plan;
use super::schedule::{Number, Schedule, Told};
use crate::feed::{Cause, ConnectionEvent, Event, FollowError, Loss, SessionKind};
use crate::net::http::{Http, Outcome, RequestId};
use crate::net::{Readiness, Refusal};
use mio::{Registry, Token};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where HTTP itself cannot be set up, that is tried again after this time.
const SETUP_RETRY: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Poll {
    plan: Arc<Plan>,
    token: Token,
    engine: Engine,
    schedule: Schedule,
    requests: HashMap<RequestId, Number>,
    /// Complete, and not processed.
    arrived: VecDeque<(RequestId, Outcome)>,
    /// Events that no answer brings.
    pending: VecDeque<ConnectionEvent>,
    /// What the last event was made from.
    told: Option<Told>,
    /// The time of the turn.
    now: Instant,
}

#[derive(Debug)]
enum Engine {
    /// Set up when this time has come.
    Planned(Instant),
    Running(Box<Http>),
}

impl Poll {
    /// It is up after the first turn.
    pub fn new(plan: Plan, token: Token, now: Instant) -> Poll {
        let plan = Arc::new(plan);
        Poll {
            schedule: Schedule::new(Arc::clone(&plan), RandomState::new().hash_one(())),
            plan,
            token,
            engine: Engine::Planned(now),
            requests: HashMap::new(),
            arrived: VecDeque::new(),
            pending: VecDeque::new(),
            told: None,
            now,
        }
    }

    pub fn note(&mut self, token: Token, readiness: Readiness) {
        match &mut self.engine {
            Engine::Running(http) => http.note(token, readiness),
            Engine::Planned(_) => {}
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        match &self.engine {
            Engine::Planned(at) => Some(*at),
            Engine::Running(http) => [http.deadline(), self.schedule.deadline()].into_iter().flatten().min(),
        }
    }

    pub fn advance(&mut self, registry: &Registry, now: Instant) {
        self.now = now;
        match &self.engine {
            Engine::Planned(at) if now < *at => return,
            Engine::Planned(_) => self.set_up(now),
            Engine::Running(_) => {}
        }
        self.start_due();
        let Engine::Running(http) = &mut self.engine else { return };
        http.advance(registry, now);
        self.arrived.extend(std::iter::from_fn(|| http.next()));
    }

    fn set_up(&mut self, now: Instant) {
        match Http::new(self.token, self.plan.window, self.plan.per_host) {
            Ok(http) => {
                self.engine = Engine::Running(Box::new(http));
                let opened = ConnectionEvent::Opened { client_id: Vec::new(), session: SessionKind::Fresh };
                self.pending.extend([ConnectionEvent::Connected, opened, ConnectionEvent::Up]);
            }
            Err(why) => {
                self.engine = Engine::Planned(now + SETUP_RETRY);
                self.pending.push_back(ConnectionEvent::ConnectFailed(Loss {
                    server: "HTTP".to_owned(),
                    why: why.to_string(),
                    hint: String::new(),
                    cause: Cause::Connection,
                    refusal: Refusal::New,
                    asked: 0,
                    retry: SETUP_RETRY,
                }));
            }
        }
    }

    /// Hands over what is due, and takes back what nobody waits for.
    fn start_due(&mut self) {
        let Engine::Running(http) = &mut self.engine else { return };
        for number in self.schedule.take_given_up() {
            if let Some((id, _)) = self.requests.iter().find(|(_, of)| **of == number) {
                http.cancel(*id);
            }
            self.requests.retain(|_, of| *of != number);
        }
        while let Some(wanted) = self.schedule.next_request(self.now) {
            let request = self.plan.request(wanted.source, wanted.url, wanted.validators.headers());
            let Some(request) = request else { continue };
            match http.start(request, self.now) {
                Ok(id) => {
                    self.requests.insert(id, wanted.number);
                }
                Err(why) => self.schedule.failed(wanted.number, &why, self.now),
            }
        }
        if self.schedule.needs_permit(self.now) {
            self.pending.push_back(ConnectionEvent::PermitNeeded);
        }
    }

    /// The permit for a batch of requests is there.
    pub fn permit(&mut self, now: Instant) {
        self.now = now;
        self.schedule.permit();
        self.start_due();
    }

    /// Processes the answer that came first; how many bytes it has.
    pub fn read(&mut self, now: Instant) -> usize {
        self.now = now;
        let Some((id, outcome)) = self.arrived.pop_front() else { return 0 };
        let Some(number) = self.requests.remove(&id) else { return 0 };
        let bytes = match outcome {
            Outcome::Answered(answer) => {
                let bytes = answer.body.len();
                self.schedule.answered(number, answer, now);
                bytes
            }
            Outcome::Failed(why) => {
                self.schedule.failed(number, &why, now);
                0
            }
        };
        self.start_due();
        bytes
    }

    pub fn next_event(&mut self) -> Option<Event<'_>> {
        if let Some(pending) = self.pending.pop_front() {
            return Some(Event::Connection(pending));
        }
        self.told = self.schedule.next_told();
        Some(match self.told.as_ref()? {
            Told::Snapshot { topic, body } => Event::Snapshot { topic: topic.as_bytes(), body },
            Told::Delta { topic, body } => Event::Delta { topic: topic.as_bytes(), body },
            Told::Unchanged { topic } => Event::Unchanged { topic: topic.as_bytes() },
            Told::Removed { topic } => Event::Removed { topic: topic.as_bytes() },
            Told::Health(what) => Event::Skipped(what.clone()),
        })
    }

    pub fn is_drained(&self) -> bool {
        self.arrived.is_empty() && self.pending.is_empty() && !self.schedule.has_told()
    }

    /// As [`Schedule::follow`].
    pub fn follow(&mut self, topic: &str) -> Result<(), FollowError> {
        self.schedule.follow(topic, self.now)
    }

    /// As [`Schedule::follow`], unless the topic is followed.
    pub fn keep(&mut self, topic: &str) -> Result<(), FollowError> {
        if self.schedule.is_followed(topic) { Ok(()) } else { self.follow(topic) }
    }

    pub fn unfollow(&mut self, topic: &str) {
        self.schedule.unfollow(topic);
    }

    /// As [`Schedule::changed`].
    pub fn listed(&mut self, topic: &str) {
        self.schedule.changed(topic, self.now);
    }

    pub fn is_connected(&self) -> bool {
        matches!(self.engine, Engine::Running(_))
    }

    pub fn is_loaded(&self, topic: &str) -> bool {
        self.schedule.is_loaded(topic)
    }

    pub fn asked(&self) -> u32 {
        u32::try_from(self.schedule.topics()).unwrap_or(u32::MAX)
    }

    /// Bytes of answers that are not processed.
    pub fn receive_queue(&self) -> u64 {
        let bytes = |(_, outcome): &(RequestId, Outcome)| match outcome {
            Outcome::Answered(answer) => answer.body.len() as u64,
            Outcome::Failed(_) => 0,
        };
        self.arrived.iter().map(bytes).sum()
    }

    pub fn errors(&self) -> u64 {
        self.schedule.errors()
    }

    pub fn connections(&self) -> u64 {
        u64::from(self.is_connected())
    }

    /// As [`Schedule::unusable`].
    pub fn unusable(&mut self, topic: &str) {
        self.schedule.unusable(topic);
    }

    /// Gives all requests up.
    pub fn close(&mut self) {
        self.engine = Engine::Planned(self.now + SETUP_RETRY);
    }
}
