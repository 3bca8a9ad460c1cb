//! The source of a polled feed: requests in the loop, their answers as events.
//!
//! There is no single connection, so it is up from its first turn on; what a source's failure means is said once per change. Answers are
//! processed one by one in the order in which they were complete, and the next requests go out in between. Called through `Source`.

use super::plan::Plan;
use super::schedule::{Number, Schedule, Told};
use super::socket::{PushSocket, SocketEvent};
use crate::feed::{Cause, ConnectionEvent, Event, FollowError, Loss, SessionKind};
use crate::net::http::{Http, Outcome, RequestId};
use crate::net::{Readiness, Refusal};
use mio::{Registry, Token, Waker};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::config::Play;
use touchline_common::ipc::messages::worker::SourcesReport;
use touchline_common::model::Listing;

/// Where HTTP itself cannot be set up, that is tried again after this time.
const SETUP_RETRY: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Poll {
    plan: Arc<Plan>,
    token: Token,
    engine: Engine,
    schedule: Schedule,
    socket: Option<Socket>,
    /// Reads so far: answers and the socket take turns.
    reads: u64,
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

/// What pushes the matches of one source.
#[derive(Debug)]
struct Socket {
    push: PushSocket,
    token: Token,
    /// What its topics begin with.
    prefix: String,
}

#[derive(Debug)]
enum Engine {
    /// Set up when this time has come.
    Planned(Instant),
    Running(Box<Http>),
}

impl Poll {
    /// It is up after the first turn.
    pub fn new(plan: Plan, token: Token, waker: Arc<Waker>, now: Instant) -> Poll {
        let plan = Arc::new(plan);
        Poll {
            socket: Socket::new(&plan, Token(token.0 + 1), waker, now),
            schedule: Schedule::new(Arc::clone(&plan), RandomState::new().hash_one(())),
            plan,
            token,
            engine: Engine::Planned(now),
            reads: 0,
            requests: HashMap::new(),
            arrived: VecDeque::new(),
            pending: VecDeque::new(),
            told: None,
            now,
        }
    }

    pub fn note(&mut self, token: Token, readiness: Readiness) {
        if let Some(socket) = self.socket.as_mut().filter(|socket| socket.token == token) {
            return socket.push.note(readiness);
        }
        match &mut self.engine {
            Engine::Running(http) => http.note(token, readiness),
            Engine::Planned(_) => {}
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        match &self.engine {
            Engine::Planned(at) => Some(*at),
            Engine::Running(http) => {
                let socket = self.socket.as_ref().and_then(|socket| socket.push.deadline());
                [http.deadline(), self.schedule.deadline(), socket].into_iter().flatten().min()
            }
        }
    }

    pub fn advance(&mut self, registry: &Registry, now: Instant) {
        self.now = now;
        match &self.engine {
            Engine::Planned(at) if now < *at => return,
            Engine::Planned(_) => self.set_up(now),
            Engine::Running(_) => {}
        }
        if let Some(socket) = &mut self.socket {
            socket.push.advance(registry, now);
        }
        self.take_pushed();
        self.start_due();
        let Engine::Running(http) = &mut self.engine else { return };
        http.advance(registry, now);
        self.schedule.redirected(http.take_redirects());
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
            let request =
                self.plan.request(wanted.source, wanted.url, wanted.urgency, wanted.validators.headers());
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

    /// Processes the answer that came first, or reads the socket; how many bytes that has.
    pub fn read(&mut self, now: Instant) -> usize {
        self.now = now;
        self.reads = self.reads.wrapping_add(1);
        let has_pushed = self.socket.as_ref().is_some_and(|socket| !socket.push.is_drained());
        if has_pushed && self.reads.is_multiple_of(2) {
            return self.read_socket();
        }
        let Some((id, outcome)) = self.arrived.pop_front() else { return self.read_socket() };
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

    fn read_socket(&mut self) -> usize {
        let Some(socket) = &mut self.socket else { return 0 };
        let bytes = socket.push.read(self.now);
        self.take_pushed();
        bytes
    }

    fn take_pushed(&mut self) {
        let Some(Socket { push, prefix, .. }) = &mut self.socket else { return };
        let topic = |id: &str| format!("{prefix}{id}");
        while let Some(event) = push.next() {
            match event {
                SocketEvent::Snapshot { id, body } => self.schedule.push(&topic(&id), body),
                SocketEvent::Delta { id, body } => self.schedule.push_delta(&topic(&id), body),
                SocketEvent::Deleted { id } => self.schedule.push_removed(&topic(&id), self.now),
                SocketEvent::Stand { ids } => {
                    for id in ids {
                        self.schedule.push_unchanged(&topic(&id));
                    }
                }
                SocketEvent::Down(why) => self.schedule.push_ended(&why, self.now),
                SocketEvent::Skipped(why) => self.schedule.skip(why),
            }
        }
    }

    /// Writes what is to be sent over the socket.
    pub fn flush(&mut self) {
        if let Some(socket) = &mut self.socket {
            socket.push.flush(self.now);
        }
        self.take_pushed();
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
            Told::Round { topic, round } => Event::RoundEnd { topic: topic.as_bytes(), round: *round },
            Told::Removed { topic } => Event::Removed { topic: topic.as_bytes() },
            Told::Health(what) => Event::Skipped(what.clone()),
        })
    }

    pub fn is_drained(&self) -> bool {
        let is_drained = self.socket.as_ref().is_none_or(|socket| socket.push.is_drained());
        is_drained && self.arrived.is_empty() && self.pending.is_empty() && !self.schedule.has_told()
    }

    /// As [`Schedule::follow`].
    pub fn follow(&mut self, topic: &str) -> Result<(), FollowError> {
        self.schedule.follow(topic, self.now)?;
        if let Some((push, id)) = self.pusher(topic) {
            push.follow(id);
        }
        Ok(())
    }

    /// What pushes a topic, and the id of its match.
    fn pusher<'t>(&mut self, topic: &'t str) -> Option<(&mut PushSocket, &'t str)> {
        let Socket { push, prefix, .. } = self.socket.as_mut()?;
        topic.strip_prefix(prefix.as_str()).map(|id| (push, id))
    }

    /// As [`Schedule::follow`], unless the topic is followed.
    pub fn keep(&mut self, topic: &str) -> Result<(), FollowError> {
        if self.schedule.is_followed(topic) { Ok(()) } else { self.follow(topic) }
    }

    pub fn unfollow(&mut self, topic: &str) {
        self.schedule.unfollow(topic);
        if let Some((push, id)) = self.pusher(topic) {
            push.unfollow(id);
        }
    }

    /// As [`Schedule::set_play`].
    pub fn expect(&mut self, topic: &str, listing: &Listing) {
        let play = if listing.in_play { Play::InPlay } else { Play::Scheduled };
        self.schedule.set_play(topic, play, self.now);
    }

    /// As [`Poll::expect`] and [`Schedule::changed`].
    pub fn listed(&mut self, topic: &str, listing: &Listing) {
        self.expect(topic, listing);
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

    /// As [`Schedule::sources`].
    pub fn sources(&self, now: Instant) -> SourcesReport {
        self.schedule.sources(now)
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
        if let Some(socket) = &mut self.socket {
            socket.push.close();
        }
        self.engine = Engine::Planned(self.now + SETUP_RETRY);
    }
}

impl Socket {
    fn new(plan: &Plan, token: Token, waker: Arc<Waker>, now: Instant) -> Option<Socket> {
        let (socket, source) = plan.socket.as_ref()?;
        let prefix = format!("{}/", plan.sources.get(source.0)?.name);
        Some(Socket { push: PushSocket::new(socket.clone(), token, waker, now), token, prefix })
    }
}
