//! The one connection to a push server, over and over: socket, session, and the wait between two of them; beside it the polled list.
//!
//! `net` connects and decides when to try again, `link` puts the session on the socket. The steps of a message are given before the next one
//! is looked at. Called through `Source`.

use super::link::Link;
use super::lost::LostReason;
use super::plan::Plan;
use super::session::{ResumeState, Session, Step};
use crate::feed::polled::{Came, Polled};
use crate::feed::{Cause, ConnectionEvent, Event, FollowError, Loss, SessionKind};
use crate::net::{Connector, Due, Health, Progress, Readiness, Reconnect, Refusal, Socket};
use mio::{Registry, Token, Waker};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long what a session leaves may be gone on with.
const KEEP: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Connection {
    plan: Plan,
    token: Token,
    connector: Connector,
    reconnect: Reconnect,
    /// What the last session left, until when.
    earlier: Option<(ResumeState, Instant)>,
    live: Option<Link>,
    list: Option<Polled>,
    list_wish: ListWish,
    list_next: ListState,
    opening: Opening,
    /// What no message brings.
    pending: VecDeque<Pending>,
    /// The body of the list that was given last.
    list_body: Vec<u8>,
    past_errors: u64,
    /// So far, the one that stands included.
    connections: u64,
    now: Instant,
}

#[derive(Debug)]
enum Pending {
    Connection(ConnectionEvent),
    List { body: Vec<u8>, state: ListState },
    Skipped(String),
}

/// Whether the list is the first since it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListState {
    First,
    Next,
}

/// A polled list is followed while the session is open: what came before would be lost with the beginning of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListWish {
    None,
    Followed,
}

/// Whether the caller knows that the session is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    Shut,
    Open,
}

impl Connection {
    /// A connection that is tried in the first turn; a polled list has the token behind `token`. `waker` is of the loop's poll.
    pub fn new(plan: Plan, token: Token, waker: Arc<Waker>, now: Instant) -> Connection {
        let list = plan.list.clone().map(|list| Polled::new(list, plan.list_limit, Token(token.0 + 1)));
        Connection {
            connector: Connector::new(plan.authority.clone(), plan.tls.clone(), token, waker),
            plan,
            token,
            reconnect: Reconnect::new(now),
            earlier: None,
            live: None,
            list,
            list_wish: ListWish::None,
            list_next: ListState::First,
            opening: Opening::Shut,
            pending: VecDeque::new(),
            list_body: Vec::new(),
            past_errors: 0,
            connections: 0,
            now,
        }
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        let session = self.live.as_ref().and_then(|live| live.session.deadline());
        let list = self.list.as_ref().and_then(Polled::deadline);
        [session, list, self.connector.deadline(), self.reconnect.deadline()].into_iter().flatten().min()
    }

    /// Does what is due, and what a readiness event may have made possible.
    pub fn advance(&mut self, registry: &Registry, now: Instant) {
        self.now = now;
        self.advance_list(registry, now);
        if let Some(live) = &mut self.live {
            live.session.timer(now);
            if self.reconnect.stands(now) {
                self.tell(ConnectionEvent::Up);
            }
            return;
        }
        let progress = if self.connector.is_idle() {
            match self.reconnect.due(now) {
                Due::Nothing => return,
                Due::Permit => return self.tell(ConnectionEvent::PermitNeeded),
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
                self.tell(ConnectionEvent::ConnectFailed(loss));
            }
        }
    }

    fn advance_list(&mut self, registry: &Registry, now: Instant) {
        let Some(list) = &mut self.list else { return };
        match list.advance(registry, now) {
            None => {}
            Some(Came::Answer(body)) => {
                let state = std::mem::replace(&mut self.list_next, ListState::Next);
                self.pending.push_back(Pending::List { body, state });
            }
            Some(Came::Failed(why)) => {
                self.past_errors += 1;
                self.pending.push_back(Pending::Skipped(why));
            }
            Some(Came::FailedAgain) => self.past_errors += 1,
        }
    }

    fn tell(&mut self, event: ConnectionEvent) {
        self.pending.push_back(Pending::Connection(event));
    }

    fn connected(&mut self, socket: Socket, now: Instant) {
        let earlier = self.earlier.take().filter(|(_, until)| now < *until);
        let earlier = earlier.map(|(earlier, _)| earlier).unwrap_or_default();
        let session = Session::new(Arc::clone(&self.plan.session), earlier, now);
        let random = u128::from(random()) << 64 | u128::from(random());
        self.live = Some(Link::new(session, socket, &self.plan, random));
        self.connections += 1;
        self.tell(ConnectionEvent::Connected);
    }

    fn loss(&self, why: String, hint: String, cause: Cause, retry: Duration) -> Loss {
        let server = self.plan.authority.clone();
        Loss { server, why, hint, cause, refusal: Refusal::New, asked: 0, retry }
    }

    /// The next event in what was read; none if more must be read.
    pub fn next_event(&mut self, now: Instant) -> Option<Event<'_>> {
        if let Some(pending) = self.pending.pop_front() {
            return Some(match pending {
                Pending::Connection(event) => Event::Connection(event),
                Pending::Skipped(why) => Event::Skipped(why),
                Pending::List { body, state } => {
                    self.list_body = body;
                    let (topic, body) = (self.plan.list_topic.as_bytes(), self.list_body.as_slice());
                    match state {
                        ListState::First => Event::Snapshot { topic, body },
                        ListState::Next => Event::Delta { topic, body },
                    }
                }
            });
        }
        loop {
            let live = self.live.as_mut()?;
            let Some(seen) = live.session.next_step().map(Seen::of) else {
                if live.next_message(&self.plan, now) || live.session.has_steps() {
                    continue;
                }
                return self.lost(now).map(|loss| Event::Connection(ConnectionEvent::Lost(loss)));
            };
            match seen {
                Seen::Opened(kind) => self.opened(kind, now),
                Seen::Snapshot => self.served(),
                Seen::Other => {}
            }
            return self.live.as_ref()?.session.event();
        }
    }

    fn opened(&mut self, kind: SessionKind, now: Instant) {
        self.opening = Opening::Open;
        self.ask_list(now);
        match (self.reconnect.opened(now), kind) {
            // Whether the server goes on shows later; what is asked for is served by then.
            (Health::Good, SessionKind::Fresh | SessionKind::Resumed) => self.tell(ConnectionEvent::Up),
            (Health::Probation, SessionKind::Fresh | SessionKind::Resumed) => {}
        }
    }

    fn served(&mut self) {
        if self.reconnect.served() {
            self.tell(ConnectionEvent::Up);
        }
    }

    /// If the session is over: drops the connection and plans the next one.
    fn lost(&mut self, now: Instant) -> Option<Loss> {
        let why = self.live.as_ref()?.session.why()?.clone();
        let asked = self.asked();
        let live = self.live.take()?;
        self.opening = Opening::Shut;
        self.drop_list();
        let waited_for = if matches!(why, LostReason::Deadline { .. }) { live.stage() } else { "" };
        let session = live.into_session();
        self.past_errors += session.errors();
        let words = why.to_string();
        let retry = self.reconnect.ended(why.end(&words), random(), now);
        let hint = format!("{waited_for}{}", why.hint(retry.stage));
        self.earlier = now.checked_add(KEEP).map(|until| (session.into_resume_state(), until));
        let loss = self.loss(words, hint, why.cause(), retry.after);
        Some(Loss { asked, refusal: retry.refusal, ..loss })
    }

    pub fn note(&mut self, token: Token, readiness: Readiness) {
        if token == self.token {
            self.live.iter_mut().for_each(|live| live.note(readiness));
        } else if let Some(list) = &mut self.list {
            list.note(token, readiness);
        }
    }

    /// One read; how many bytes.
    pub fn read(&mut self) -> usize {
        self.live.as_mut().map_or(0, Link::read)
    }

    /// Whether all that came is read and given.
    pub fn is_drained(&self) -> bool {
        self.pending.is_empty() && self.live.as_ref().is_none_or(Link::is_drained)
    }

    /// Writes what the session has to send, as far as the socket takes it.
    pub fn flush(&mut self) {
        self.live.iter_mut().for_each(Link::flush);
    }

    /// Asks for a topic; the list, where it is polled, at once or when the session is open.
    ///
    /// # Errors
    /// [`FollowError`]: nothing has changed then.
    pub fn follow(&mut self, topic: &str) -> Result<(), FollowError> {
        if self.is_polled(topic) {
            self.list_wish = ListWish::Followed;
            self.ask_list(self.now);
            return Ok(());
        }
        self.live.as_mut().map_or(Ok(()), |live| live.session.follow(topic))
    }

    fn ask_list(&mut self, now: Instant) {
        if self.list_wish == ListWish::Followed && self.opening == Opening::Open {
            self.list_next = ListState::First;
            self.list.iter_mut().for_each(|list| list.follow(now));
        }
    }

    fn drop_list(&mut self) {
        self.list.iter_mut().for_each(Polled::unfollow);
        self.pending.retain(|pending| !matches!(pending, Pending::List { .. }));
    }

    /// As [`Connection::follow`], but goes on with what the connection before had of it.
    ///
    /// # Errors
    /// As [`Connection::follow`].
    pub fn keep(&mut self, topic: &str) -> Result<(), FollowError> {
        if self.is_polled(topic) {
            return self.follow(topic);
        }
        self.live.as_mut().map_or(Ok(()), |live| live.session.keep(topic))
    }

    /// As [`Session::renew`].
    pub fn renew(&mut self, topic: &str, now: Instant) {
        if let Some(live) = &mut self.live {
            live.session.renew(topic, now);
        }
    }

    fn is_polled(&self, topic: &str) -> bool {
        self.list.is_some() && topic == self.plan.list_topic
    }

    pub fn unfollow(&mut self, topic: &str) {
        if self.is_polled(topic) {
            self.list_wish = ListWish::None;
            self.drop_list();
        } else if let Some(live) = &mut self.live {
            live.session.unfollow(topic);
        }
    }

    /// Whether there is a session, open or not.
    pub fn is_connected(&self) -> bool {
        self.live.is_some()
    }

    pub fn is_loaded(&self, topic: &str) -> bool {
        match &self.list {
            Some(list) if topic == self.plan.list_topic => list.is_loaded(),
            Some(_) | None => self.live.as_ref().is_some_and(|live| live.session.is_loaded(topic)),
        }
    }

    pub fn asked(&self) -> u32 {
        let sent = self.live.as_ref().map_or(0, |live| live.session.asked());
        let list = self.list.as_ref().is_some_and(Polled::is_followed);
        u32::try_from(sent).unwrap_or(u32::MAX).saturating_add(u32::from(list))
    }

    pub fn unanswered(&self) -> u32 {
        let late = self.live.as_ref().map_or(0, |live| live.session.unanswered());
        u32::try_from(late).unwrap_or(u32::MAX)
    }

    pub fn receive_queue(&self) -> u64 {
        self.live.as_ref().map_or(0, Link::receive_queue)
    }

    pub fn errors(&self) -> u64 {
        self.past_errors + self.live.as_ref().map_or(0, |live| live.session.errors())
    }

    /// The message that the session has; none where there is no session, or nothing came.
    pub fn message(&self) -> Option<&[u8]> {
        self.live.as_ref().map(|live| live.session.message()).filter(|message| !message.is_empty())
    }

    pub fn connections(&self) -> u64 {
        self.connections
    }

    pub fn permit(&mut self, now: Instant) {
        self.reconnect.permit(now);
    }

    /// Ends the session, and says so to the server as far as that goes at once.
    pub fn close(&mut self) {
        self.flush();
        self.live.iter_mut().for_each(Link::close);
    }
}

/// What the step that was taken means for the connection.
#[derive(Clone, Copy)]
enum Seen {
    Opened(SessionKind),
    Snapshot,
    Other,
}

impl Seen {
    fn of(step: &Step) -> Seen {
        match step {
            Step::Opened(kind) => Seen::Opened(*kind),
            Step::Snapshot { .. } => Seen::Snapshot,
            Step::Delta { .. }
            | Step::Removed { .. }
            | Step::Status { .. }
            | Step::Interrupted { .. }
            | Step::Skipped(_) => Seen::Other,
        }
    }
}

/// A random number, beyond prediction: no two hashers of the standard library have the same keys.
fn random() -> u64 {
    RandomState::new().hash_one(())
}
