//! The one connection to a server, over and over: socket, tunnel, session, and the wait between two of them.
//!
//! `net` connects and decides when to try again, `link` puts the session on the socket. Whatever has to be agreed upon before the
//! session is open (TLS, the upgrade, its own handshake) shares the session's one deadline. Topics that only the login asked for
//! end here: their content is between the server and the login, and may end the session. Called through `Source`.

#[cfg(test)]
mod tests;

use super::SessionConfig;
use super::link::Link;
use super::lost::LostReason;
use super::plan::Plan;
use super::resume::Resumable;
use super::session::{Content, Session, Step};
use crate::feed::{Cause, ConnectionEvent, Event, FollowError, Loss, SessionKind, TakeReceived};
use crate::net::{Connector, Due, Health, Progress, Readiness, Reconnect, Refusal, Socket};
use crate::payload;
use crate::wire::diffusion::tunnel::ClientTunnel;
use mio::{Registry, Token, Waker};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// As much of the server's error code is reported, bytes.
const WORD_MAX: usize = 64;

#[derive(Debug)]
pub struct Connection {
    plan: Plan,
    token: Token,
    connector: Connector,
    reconnect: Reconnect,
    resumable: Resumable,
    live: Option<Link>,
    /// Events that no message brings.
    pending: VecDeque<ConnectionEvent>,
    past_errors: u64,
    /// So far, the one that stands included.
    connections: u64,
    keeps: Keeps,
}

/// What becomes of received bytes beside being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    Nothing,
    Received,
}

enum Role {
    /// The server's clock: it proves nothing of what was asked for.
    Clock,
    /// Only the login asked for it.
    Login,
    /// As `Login`, and its content refuses the session.
    Refusal(LostReason),
    Followed,
}

impl Connection {
    /// A connection that is tried in the first turn. `waker` is of the loop's poll.
    pub fn new(plan: Plan, token: Token, waker: Arc<Waker>, now: Instant) -> Connection {
        Connection {
            connector: Connector::new(plan.authority.clone(), plan.tls.clone(), token, waker),
            plan,
            token,
            reconnect: Reconnect::new(now),
            resumable: Resumable::default(),
            live: None,
            pending: VecDeque::new(),
            past_errors: 0,
            connections: 0,
            keeps: Keeps::Nothing,
        }
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        let session = self.live.as_ref().and_then(|live| live.session.deadline());
        [session, self.connector.deadline(), self.reconnect.deadline()].into_iter().flatten().min()
    }

    /// Does what is due, and what a readiness event may have made possible.
    pub fn advance(&mut self, registry: &Registry, now: Instant) {
        if let Some(live) = &mut self.live {
            live.session.timer(now);
            if self.reconnect.stands(now) {
                self.pending.push_back(ConnectionEvent::Up);
            }
            return;
        }
        let progress = if self.connector.is_idle() {
            match self.reconnect.due(now) {
                Due::Nothing => return,
                Due::Permit => return self.pending.push_back(ConnectionEvent::PermitNeeded),
                Due::Attempt(number) => self.connector.start(number, registry, now),
            }
        } else {
            self.connector.advance(registry, now)
        };
        match progress {
            Progress::Pending => {}
            Progress::Connected(socket) => self.connected(socket, now),
            Progress::Failed(why) => {
                let retry = self.reconnect.failed(random(), now);
                let loss = self.loss(why, String::new(), Cause::Connection, retry);
                self.pending.push_back(ConnectionEvent::ConnectFailed(loss));
            }
        }
    }

    fn connected(&mut self, socket: Socket, now: Instant) {
        let wall_ms =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let config = SessionConfig { wall_ms, ..self.plan.session.clone() };
        let session = Session::new(config, self.resumable.take(now), now);
        let received = match self.keeps {
            Keeps::Nothing => None,
            Keeps::Received => Some(Vec::new()),
        };
        self.connections += 1;
        self.live = Some(Link::new(session, socket, self.tunnel(), received));
        self.pending.push_back(ConnectionEvent::Connected);
    }

    fn tunnel(&mut self) -> Option<Box<ClientTunnel>> {
        let config = self.plan.tunnel.clone()?;
        let random = (u128::from(random()) << 64 | u128::from(random())).to_ne_bytes();
        Some(Box::new(ClientTunnel::new(config, random)))
    }

    fn loss(&self, why: String, hint: String, cause: Cause, retry: Duration) -> Loss {
        let server = self.plan.authority.clone();
        Loss { server, why, hint, cause, refusal: Refusal::New, asked: 0, retry }
    }

    /// The next event in what was read; none if more must be read.
    #[inline]
    pub fn next_event(&mut self, now: Instant) -> Option<Event<'_>> {
        if let Some(pending) = self.pending.pop_front() {
            return Some(Event::Connection(pending));
        }
        loop {
            let Some(step) = self.live.as_mut()?.session.next_step(now) else {
                return self.lost(now).map(|loss| Event::Connection(ConnectionEvent::Lost(loss)));
            };
            match step {
                Step::Opened(kind) => self.opened(kind, now),
                Step::Load(load) if self.is_withheld_load(load) => continue,
                Step::Delta(delta) if self.is_withheld_delta(delta) => continue,
                Step::Load(_)
                | Step::Delta(_)
                | Step::Removed
                | Step::Status(..)
                | Step::Queue(_)
                | Step::Skipped(_)
                | Step::Next
                | Step::Wait => {}
            }
            return self.live.as_ref()?.session.event(step);
        }
    }

    fn opened(&mut self, kind: SessionKind, now: Instant) {
        match (self.reconnect.opened(now), kind) {
            // The server knows it still: that serves.
            (_, SessionKind::Resumed) => {
                self.reconnect.served();
            }
            (Health::Good, SessionKind::Fresh) => self.pending.push_back(ConnectionEvent::Up),
            (Health::Probation, SessionKind::Fresh) => {}
        }
    }

    /// Takes note of a load; whether it is withheld from the caller.
    fn is_withheld_load(&mut self, load: Content) -> bool {
        let Some(Link { session, .. }) = &mut self.live else { return false };
        match self.plan.role(session.topic_of(load), Some(session.body_of(load)), session) {
            Role::Clock => false,
            Role::Followed => {
                if self.reconnect.served() {
                    self.pending.push_back(ConnectionEvent::Up);
                }
                false
            }
            Role::Login => true,
            Role::Refusal(why) => {
                session.end(why);
                true
            }
        }
    }

    #[inline]
    fn is_withheld_delta(&self, delta: Content) -> bool {
        if self.plan.session.login_topics.is_empty() {
            return false;
        }
        let Some(Link { session, .. }) = &self.live else { return false };
        let role = self.plan.role(session.topic_of(delta), None, session);
        matches!(role, Role::Login | Role::Refusal(_))
    }

    /// If the session is over: drops the connection and plans the next one.
    fn lost(&mut self, now: Instant) -> Option<Loss> {
        let why = self.live.as_ref()?.session.why()?.clone();
        let asked = self.asked();
        let live = self.live.take()?;
        let waited_for = if matches!(why, LostReason::HandshakeDeadline { .. }) { live.stage() } else { "" };
        let session = live.into_session();
        self.past_errors += session.errors();
        let words = why.to_string();
        let end = why.end(&words, session.is_resuming());
        let retry = self.reconnect.ended(end, random(), now);
        let hint = format!("{waited_for}{}", why.hint(retry.stage));
        self.resumable.keep(session, &why, now);
        let loss = self.loss(words, hint, why.cause(), retry.after);
        Some(Loss { asked, refusal: retry.refusal, ..loss })
    }

    pub fn note(&mut self, token: Token, readiness: Readiness) {
        if let Some(live) = self.live.as_mut().filter(|_| token == self.token) {
            live.note(readiness);
        }
    }

    /// One read into the session's buffer; how many bytes, as the session counts them.
    pub fn read(&mut self, now: Instant) -> usize {
        self.live.as_mut().map_or(0, |live| live.read(now))
    }

    /// Whether all that came is read: the socket, TLS and the tunnel are empty.
    pub fn is_drained(&self) -> bool {
        self.live.as_ref().is_none_or(Link::is_drained)
    }

    /// Writes what the session has to send, as far as the socket takes it.
    pub fn flush(&mut self) {
        if let Some(live) = &mut self.live {
            live.flush();
        }
    }

    /// As [`Session::look_ahead`].
    #[inline]
    pub fn look_ahead(&mut self) -> Option<impl Iterator<Item = &[u8]>> {
        self.live.as_mut()?.session.look_ahead()
    }

    /// As [`Session::subscribe`].
    pub fn follow(&mut self, topic: &str) -> Result<(), FollowError> {
        self.live.as_mut().map_or(Ok(()), |live| live.session.subscribe(topic.as_bytes()))
    }

    /// As [`Session::keep_subscribed`].
    pub fn keep(&mut self, topic: &str) -> Result<(), FollowError> {
        self.live.as_mut().map_or(Ok(()), |live| live.session.keep_subscribed(topic.as_bytes()))
    }

    /// As [`Session::unsubscribe`].
    pub fn unfollow(&mut self, topic: &str) {
        if let Some(live) = &mut self.live {
            live.session.unsubscribe(topic.as_bytes());
        }
    }

    /// Whether there is a session, open or not.
    pub fn is_connected(&self) -> bool {
        self.live.is_some()
    }

    /// As [`Session::is_loaded`].
    pub fn is_loaded(&self, topic: &str) -> bool {
        self.live.as_ref().is_some_and(|live| live.session.is_loaded(topic.as_bytes()))
    }

    pub fn asked(&self) -> u32 {
        let of = |live: &Link| live.session.subscriptions() - live.session.subscriptions_waiting();
        self.live.as_ref().map_or(0, of) as u32
    }

    /// As [`Session::subscriptions_unanswered`].
    pub fn unanswered(&self) -> u32 {
        self.live.as_ref().map_or(0, |live| live.session.subscriptions_unanswered()) as u32
    }

    pub fn receive_queue(&self) -> u64 {
        self.live.as_ref().map_or(0, Link::receive_queue)
    }

    pub fn errors(&self) -> u64 {
        self.past_errors + self.live.as_ref().map_or(0, |live| live.session.errors())
    }

    pub fn keep_received(&mut self) {
        self.keeps = Keeps::Received;
    }

    pub fn take_received(&mut self, take: &mut TakeReceived<'_>) {
        if let Some(received) = self.live.as_mut().and_then(|live| live.received.as_mut())
            && !received.is_empty()
        {
            take(self.connections, None, received);
            received.clear();
        }
    }

    pub fn connections(&self) -> u64 {
        self.connections
    }

    pub fn permit(&mut self, now: Instant) {
        self.reconnect.permit(now);
    }

    /// As [`Session::heartbeat`].
    pub fn heartbeat(&mut self, every: Duration) {
        if let Some(live) = &mut self.live {
            live.session.heartbeat(every);
        }
    }

    /// Ends the session, and sends the close request as far as that goes at once.
    pub fn close(&mut self) {
        if let Some(live) = &mut self.live {
            live.session.close();
        }
        self.flush();
    }
}

/// A random number, beyond prediction: no two hashers of the standard library have the same keys.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

impl Plan {
    /// What `topic` is to the connection; `body` of a load, which may refuse the session.
    fn role(&self, topic: &[u8], body: Option<&[u8]>, session: &Session) -> Role {
        if !self.time_topic.is_empty() && topic == self.time_topic.as_bytes() {
            return Role::Clock;
        }
        let place = self.session.login_topics.iter().position(|asked| asked.as_bytes() == topic);
        let place = place.filter(|_| topic != self.list_topic.as_bytes() && !session.is_subscribed(topic));
        let Some(place) = place else { return Role::Followed };
        match body.and_then(payload::session_error) {
            Some(word) => {
                let word = word.get(..word.len().min(WORD_MAX)).unwrap_or_default();
                Role::Refusal(LostReason::SessionRefused {
                    topic: place,
                    code: word.escape_ascii().to_string(),
                })
            }
            None => Role::Login,
        }
    }
}
