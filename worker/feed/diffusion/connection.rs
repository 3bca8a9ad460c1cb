//! The one connection to a server, over and over: socket, tunnel, session, and the wait between two of them.
//!
//! `net` connects and decides when to try again, `link` puts the session on the socket. Whatever has to be agreed upon before the
//! session is open (TLS, the upgrade, its own handshake) shares the session's one deadline. Topics that only the login asked for
//! end here: their content is between the server and the login, and may end the session. Called through `Source`.

#[cfg(test)]
mod tests;

use super::SessionConfig;
use super::event::SessionEvent;
use super::link::{Link, Queue};
use super::lost::LostReason;
use super::plan::Plan;
use super::resume::Resumable;
use super::session::{Session, Step};
use crate::feed::{Cause, Event, FollowError, Loss, SessionKind};
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
    live: Option<Live>,
    /// Events that no message brings.
    pending: VecDeque<Pending>,
    past_errors: u64,
    dice: Dice,
}

#[derive(Debug)]
struct Live {
    link: Link,
    session: Box<Session>,
}

#[derive(Debug)]
enum Pending {
    PermitNeeded,
    Connected,
    ConnectFailed(Loss),
    Up,
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

/// Random numbers: beyond prediction, none twice.
#[derive(Debug, Default)]
struct Dice {
    state: RandomState,
    rolled: u64,
}

impl Dice {
    fn roll(&mut self) -> u64 {
        self.rolled += 1;
        self.state.hash_one(self.rolled)
    }
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
            dice: Dice::default(),
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
                self.pending.push_back(Pending::Up);
            }
            return;
        }
        let progress = if self.connector.is_idle() {
            match self.reconnect.due(now) {
                Due::Nothing => return,
                Due::Permit => return self.pending.push_back(Pending::PermitNeeded),
                Due::Attempt(number) => self.connector.start(number, registry, now),
            }
        } else {
            self.connector.advance(registry, now)
        };
        match progress {
            Progress::Pending => {}
            Progress::Connected(socket) => self.connected(socket, now),
            Progress::Failed(why) => {
                let retry = self.reconnect.failed(self.dice.roll(), now);
                let loss = self.loss(why, String::new(), Cause::Connection, retry);
                self.pending.push_back(Pending::ConnectFailed(loss));
            }
        }
    }

    fn connected(&mut self, socket: Socket, now: Instant) {
        let wall_ms =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let config = SessionConfig { wall_ms, ..self.plan.session.clone() };
        let session = match self.resumable.take(now) {
            Some(earlier) => Session::resume(config, earlier, now),
            None => Session::new(config, now),
        };
        // What the poll reported while the socket was being connected was not kept.
        let link = Link { socket, tunnel: self.tunnel(), queue: Queue::Ending };
        self.live = Some(Live { link, session: Box::new(session) });
        self.pending.push_back(Pending::Connected);
    }

    fn tunnel(&mut self) -> Option<Box<ClientTunnel>> {
        let config = self.plan.tunnel.clone()?;
        let random = (u128::from(self.dice.roll()) << 64 | u128::from(self.dice.roll())).to_ne_bytes();
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
            return Some(pending.into());
        }
        loop {
            let step = self.live.as_mut()?.session.next_step(now)?;
            match step {
                Step::Lost => return self.lost(now).map(Event::Lost),
                Step::Opened(kind) => self.opened(kind, now),
                Step::Load(..) if self.is_withheld_load(step) => continue,
                Step::Delta(..) if self.is_withheld_delta(step) => continue,
                Step::Load(..)
                | Step::Delta(..)
                | Step::Removed
                | Step::Status(..)
                | Step::Queue(_)
                | Step::Skipped(_)
                | Step::Next
                | Step::Wait => {}
            }
            let event = self.live.as_ref().and_then(|live| live.session.event(step));
            return event.and_then(SessionEvent::neutral);
        }
    }

    fn opened(&mut self, kind: SessionKind, now: Instant) {
        match (self.reconnect.opened(now), kind) {
            // The server knows it still: that serves.
            (_, SessionKind::Resumed) => {
                self.reconnect.served();
            }
            (Health::Good, SessionKind::Fresh) => self.pending.push_back(Pending::Up),
            (Health::Probation, SessionKind::Fresh) => {}
        }
    }

    /// Takes note of a load; whether it is withheld from the caller.
    fn is_withheld_load(&mut self, step: Step) -> bool {
        let Some(Live { session, .. }) = &mut self.live else { return false };
        let Some(SessionEvent::Load { topic, body }) = session.event(step) else { return false };
        match self.plan.role(topic, Some(body), session) {
            Role::Clock => false,
            Role::Followed => {
                if self.reconnect.served() {
                    self.pending.push_back(Pending::Up);
                }
                false
            }
            Role::Login => true,
            Role::Refusal(why) => {
                session.refused(why);
                true
            }
        }
    }

    #[inline]
    fn is_withheld_delta(&self, step: Step) -> bool {
        if self.plan.session.login_topics.is_empty() {
            return false;
        }
        let Some(Live { session, .. }) = &self.live else { return false };
        let Some(SessionEvent::Delta { topic, .. }) = session.event(step) else { return false };
        matches!(self.plan.role(topic, None, session), Role::Login | Role::Refusal(_))
    }

    /// The session is over: drops the connection and plans the next one.
    fn lost(&mut self, now: Instant) -> Option<Loss> {
        let asked = self.asked();
        let Live { mut link, session } = self.live.take()?;
        let why = session.why()?;
        self.past_errors += session.counters().errors();
        link.socket.farewell();
        let words = why.to_string();
        let end = why.end(&words, session.is_resuming());
        let retry = self.reconnect.ended(end, self.dice.roll(), now);
        let waited_for = if matches!(why, LostReason::HandshakeDeadline { .. }) { link.stage() } else { "" };
        let hint = format!("{waited_for}{}", why.hint(retry.stage));
        self.resumable.keep(*session, &why, now);
        let loss = self.loss(words, hint, why.cause(), retry.after);
        Some(Loss { asked, refusal: retry.refusal, ..loss })
    }

    pub fn note(&mut self, token: Token, readiness: Readiness) {
        if let Some(Live { link, .. }) = self.live.as_mut().filter(|_| token == self.token) {
            link.note(readiness);
        }
    }

    /// One read into the session's buffer; how many bytes, as the session counts them.
    pub fn read(&mut self, now: Instant) -> usize {
        self.live.as_mut().map_or(0, |Live { link, session }| link.read(session, now))
    }

    /// Whether all that came is read: the socket, TLS and the tunnel are empty.
    pub fn is_drained(&self) -> bool {
        self.live.as_ref().is_none_or(|live| live.link.is_drained())
    }

    /// Writes what the session has to send, as far as the socket takes it.
    pub fn flush(&mut self) {
        if let Some(Live { link, session }) = &mut self.live {
            link.flush(session);
        }
    }

    /// As [`Session::look_ahead`].
    #[inline]
    pub fn look_ahead(&mut self) -> bool {
        self.live.as_mut().is_some_and(|live| live.session.look_ahead())
    }

    /// As [`Session::upcoming`].
    pub fn upcoming(&self) -> impl Iterator<Item = &[u8]> {
        self.live.iter().flat_map(|live| live.session.upcoming())
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
        let of = |live: &Live| live.session.subscriptions() - live.session.subscriptions_waiting();
        self.live.as_ref().map_or(0, of) as u32
    }

    /// Bytes that came and are not applied: in the kernel and in our buffer.
    pub fn receive_queue(&self) -> u64 {
        let of = |live: &Live| live.link.kernel_queue() + live.session.unread() as u64;
        self.live.as_ref().map_or(0, of)
    }

    pub fn errors(&self) -> u64 {
        self.past_errors + self.live.as_ref().map_or(0, |live| live.session.counters().errors())
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

impl From<Pending> for Event<'_> {
    fn from(pending: Pending) -> Self {
        match pending {
            Pending::PermitNeeded => Event::PermitNeeded,
            Pending::Connected => Event::Connected,
            Pending::ConnectFailed(loss) => Event::ConnectFailed(loss),
            Pending::Up => Event::Up,
        }
    }
}
