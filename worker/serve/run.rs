//! The gateway's loop: what the coordinator says, what the recorder feeds, what clients ask; changes published some milliseconds apart.
//!
//! Nothing here waits: stored rows and the pool's state are asked for on threads. A client's socket is read while its answers are taken, and
//! written as it takes bytes; one that is not is left behind, with the newest state for it when it is back (`client::watch`).

use super::ServeError;
use super::access::Access;
use super::ask::{Reply, Threads};
use super::client::{ClientId, Delivered, Fate};
use super::connections::{Accepted, Connections};
use super::control::Control;
use super::engine_io::Settings;
use super::events::{Event, Events};
use super::feed::{Feed, FeedState};
use super::frame::Message;
use super::http::{Answer, Side};
use super::items::{ItemKey, Items, Watcher};
use super::listener::Listener;
use super::publish::{Pace, Publications};
use super::relay::Relay;
use super::sockets::Sockets;
use crate::wire::websocket::CloseCode;
use mio::{Poll, Token};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use touchline_common::config::{GatewayConfig, SinkLane};
use touchline_common::ipc::messages::gateway::{FromGateway, GatewayStats, ToGateway};
use touchline_common::logging::LogHandle;

pub(super) const CONTROL: Token = Token(0);
pub(super) const WAKER: Token = Token(1);
pub(super) const LISTENER: Token = Token(2);
const FEED: Token = Token(3);
pub(super) const PUBLISHERS: Token = Token(4);
const FIRST_CLIENT: usize = 5;

/// Between two publications: what comes meanwhile of one match is one change.
const PUBLISH: Duration = Duration::from_millis(10);
const TICK: Duration = Duration::from_millis(500);
/// How long no connection is taken after one could not be.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Rounds of one client in one turn: read, answer, write.
const ROUNDS: usize = 8;
/// Clients at most of which more than usual is held, since a body or message of theirs is not whole: up to 1 MB each.
const LARGE: usize = 256;
/// The part of the time for a stop that clients have to read what they were sent.
const GOODBYE_PART: f32 = 0.6;

/// What is counted since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub requests: u64,
    /// Connections above a bound.
    pub refused: u64,
    /// Streams whose client was too slow for its events.
    pub slow: u64,
    /// Patches that stand for several.
    pub conflated: u64,
    pub sent_bytes: u64,
    /// Messages of the document feed.
    pub fed: u64,
    /// Messages of publishers, and requests of theirs that were refused.
    pub published: u64,
    pub unpublished: u64,
}

#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) poll: Poll,
    control: Control,
    listener: Listener,
    /// Where publishers connect, if they do.
    publishers: Option<Listener>,
    pub(super) access: Access,
    pub(super) connections: Connections,
    pub(super) items: Items,
    pub(super) events: Events,
    pub(super) feed: FeedLink,
    pub(super) threads: Threads,
    pub(super) sockets: Sockets,
    pub(super) publishing: Publishing,
    logs: Option<LogHandle>,
    pub(super) counters: Counters,
    /// Clients to be looked at without an event.
    again: BTreeSet<usize>,
    /// Clients of which more than usual is held.
    large: BTreeSet<usize>,
    published_at: Instant,
    next_tick: Instant,
    /// When it leaves at the latest, once it was asked to.
    pub(super) leaving: Option<Instant>,
    /// Whether more came of other gateways than one turn takes.
    more_relayed: bool,
    scratch: Box<[u8]>,
}

/// What publishers send.
#[derive(Debug)]
pub(super) struct Publishing {
    pub(super) publications: Publications,
    pub(super) pace: Pace,
    pub(super) relay: Relay,
    /// Messages that came of other gateways, our own among them.
    pub(super) relayed: u64,
}

/// The document feed as it stands.
#[derive(Debug)]
pub(super) enum FeedLink {
    /// There was none yet: nothing is known.
    None,
    Open {
        feed: Box<Feed>,
        /// There is more, unannounced.
        unread: bool,
    },
    /// The recorder is gone: what is known is what it was.
    Lost,
}

impl Gateway {
    /// Listens, and reports where.
    ///
    /// # Errors
    /// [`ServeError::Listen`], [`ServeError::Config`].
    pub(super) fn start(
        poll: Poll,
        mut control: Control,
        config: &GatewayConfig,
        feeds: Vec<Arc<str>>,
        (access, threads, relay): (Access, Threads, Relay),
        logs: Option<LogHandle>,
        most: usize,
    ) -> Result<Gateway, ServeError> {
        let (listener, address) = Listener::open(&config.listen, Side::Readers, &poll)?;
        log::info!(address:% = address, clients = most; "gateway.listening");
        let publishers = match config.pub_listen.as_str() {
            "" => None,
            listen => {
                let (listener, address) = Listener::open(listen, Side::Publishers, &poll)?;
                log::info!(address:% = address; "gateway.publishers");
                Some(listener)
            }
        };
        control.send(&FromGateway::Ready { address: address.to_string() });
        let now = Instant::now();
        let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Ok(Gateway {
            poll,
            control,
            listener,
            publishers,
            access,
            connections: Connections::new(most, FIRST_CLIENT),
            items: Items::new(feeds, u64::try_from(run).unwrap_or(u64::MAX)),
            events: Events::default(),
            feed: FeedLink::None,
            threads,
            sockets: Sockets::new(Settings { sessions: most, ..Settings::default() }),
            publishing: Publishing {
                publications: Publications::default(),
                pace: Pace::new(now),
                relay,
                relayed: 0,
            },
            logs,
            counters: Counters::default(),
            again: BTreeSet::new(),
            large: BTreeSet::new(),
            published_at: now,
            next_tick: now,
            leaving: None,
            more_relayed: false,
            scratch: vec![0; 16 * 1024].into_boxed_slice(),
        })
    }

    /// Turns until asked to leave, or until the coordinator is gone.
    ///
    /// # Errors
    /// [`ServeError::Control`], [`ServeError::Kernel`].
    pub(super) fn turn_until_done(mut self) -> Result<(), ServeError> {
        let mut events = mio::Events::with_capacity(1_024);
        let mut touched = BTreeSet::new();
        loop {
            self.control.flush();
            match self.poll.poll(&mut events, Some(self.patience(Instant::now()))) {
                Err(source) if source.kind() != io::ErrorKind::Interrupted => {
                    return Err(ServeError::Kernel { operation: "poll", source });
                }
                Ok(()) | Err(_) => {}
            }
            touched.append(&mut self.again);
            for event in &events {
                match event.token() {
                    CONTROL | WAKER => {}
                    LISTENER => self.listener.waiting = true,
                    PUBLISHERS => self.publishers.iter_mut().for_each(|one| one.waiting = true),
                    FEED => {
                        if let FeedLink::Open { feed, unread } = &mut self.feed {
                            *unread = true;
                            if event.is_read_closed() {
                                feed.peer_closed();
                            }
                        }
                    }
                    token => {
                        let slot = self.connections.slot_of(token);
                        if let Some((slot, connection)) =
                            slot.and_then(|slot| Some((slot, self.connections.at(slot)?)))
                        {
                            connection.ready(
                                event.is_readable() || event.is_read_closed(),
                                event.is_writable() || event.is_write_closed(),
                            );
                            touched.insert(slot);
                        }
                    }
                }
            }
            if !self.turn(&mut touched)? {
                return Ok(());
            }
        }
    }

    /// How long the next poll may wait.
    fn patience(&self, now: Instant) -> Duration {
        let more = self.more_relayed
            || !self.again.is_empty()
            || matches!(self.feed, FeedLink::Open { unread: true, .. });
        let mut listeners = [Some(&self.listener), self.publishers.as_ref()].into_iter().flatten();
        if more || listeners.any(|one| one.waiting && one.pause.is_none()) {
            return Duration::ZERO;
        }
        let mut due = self.next_tick;
        if self.items.has_unpublished() {
            due = due.min(self.published_at + PUBLISH);
        }
        let pauses = [Some(&self.listener), self.publishers.as_ref()].into_iter().flatten();
        due = pauses.filter_map(|one| one.pause).fold(due, Instant::min);
        due = self.sockets.io.deadline().map_or(due, |at| due.min(at));
        due = self.leaving.map_or(due, |leaving| due.min(leaving));
        // Never shorter than the poll can wait, so that it does not spin towards the end.
        due.saturating_duration_since(now).max(Duration::from_millis(1))
    }

    /// One turn; whether there is to be another.
    fn turn(&mut self, touched: &mut BTreeSet<usize>) -> Result<bool, ServeError> {
        let now = Instant::now();
        if !self.read_control(now)? {
            return Ok(false);
        }
        self.accept(now);
        self.read_feed(now);
        self.matches_appeared(now);
        self.expire_sessions(now);
        self.take_replies(touched, now);
        self.more_relayed = self.take_relayed(now);
        self.take_events(touched, now);
        if self.items.has_unpublished() && now >= self.published_at + PUBLISH {
            self.publish(touched, now);
        }
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            self.tick(touched, now);
        }
        for slot in std::mem::take(touched) {
            self.serve(slot, now);
        }
        let over = self.leaving.is_some_and(|at| now >= at || !self.connections.has_unsent());
        Ok(!over)
    }

    fn read_control(&mut self, now: Instant) -> Result<bool, ServeError> {
        let mut received = Vec::new();
        let is_there = self.control.read(&mut received)?;
        for (message, fd) in received {
            self.message(message, fd, now);
        }
        Ok(is_there)
    }

    fn message(&mut self, message: ToGateway, fd: Option<OwnedFd>, now: Instant) {
        match message {
            ToGateway::Welcome { .. } => log::warn!("control.second_welcome"),
            ToGateway::Feed => match fd.map(|fd| Feed::new(fd, self.poll.registry(), FEED)) {
                Some(Ok(feed)) => {
                    self.items.taken_up(now);
                    self.feed = FeedLink::Open { feed: Box::new(feed), unread: true };
                }
                Some(Err(error)) => log::error!(error:% = error; "gateway.feed_broken"),
                None => log::error!("control.no_descriptor"),
            },
            ToGateway::LogFilter { filter } => {
                if let Some(Err(error)) = self.logs.as_ref().map(|logs| logs.set_filter(&filter)) {
                    log::warn!(error:% = error; "log.filter_refused");
                }
            }
            ToGateway::LogFile => {
                if let (Some(logs), Some(fd)) = (&self.logs, fd) {
                    logs.set_file(fd);
                }
            }
            ToGateway::Stop { deadline_ms } => {
                let time = Duration::from_millis(u64::from(deadline_ms)).mul_f32(GOODBYE_PART);
                self.leaving.get_or_insert(now + time);
                self.listener.close();
                self.publishers = None;
                self.give_up_publications(now);
                self.close_sessions(now);
                for slot in self.connections.slots() {
                    if let Some(connection) = self.connections.at(slot) {
                        connection.client.dismiss(CloseCode::RESTARTING, "the gateway is leaving", now);
                    }
                    self.again.insert(slot);
                }
            }
        }
    }

    fn accept(&mut self, now: Instant) {
        self.accept_of(Side::Readers, now);
        self.accept_of(Side::Publishers, now);
    }

    fn accept_of(&mut self, side: Side, now: Instant) {
        let listener = match side {
            Side::Readers => Some(&mut self.listener),
            Side::Publishers => self.publishers.as_mut(),
        };
        let Some(listener) = listener else { return };
        listener.pause.take_if(|pause| now >= *pause);
        let Listener { socket: Some(socket), waiting: true, pause: None, .. } = listener else { return };
        let accepted = self.connections.accept(
            (socket, side),
            self.poll.registry(),
            &mut self.access,
            &mut self.counters.refused,
            now,
        );
        match accepted {
            Accepted::Drained => (listener.waiting, listener.is_told) = (false, false),
            Accepted::More => listener.is_told = false,
            Accepted::Failed(error) => {
                // Of descriptors there are too few: some will be closed.
                if !std::mem::replace(&mut listener.is_told, true) {
                    log::warn!(error:% = error, connections = self.connections.len(); "gateway.accept_failed");
                }
                listener.pause = Some(now + ACCEPT_PAUSE);
            }
        }
    }

    fn read_feed(&mut self, now: Instant) {
        let FeedLink::Open { feed, unread } = &mut self.feed else { return };
        if !*unread {
            return;
        }
        let (count, state) = feed.read(&mut self.items, now);
        self.counters.fed += count as u64;
        match state {
            FeedState::Drained => *unread = false,
            FeedState::More => {}
            FeedState::Over(error) => {
                if let Some(error) = error {
                    log::error!(error = error.as_str(); "gateway.feed_broken");
                }
                self.feed = FeedLink::Lost;
            }
        }
    }

    fn take_replies(&mut self, touched: &mut BTreeSet<usize>, now: Instant) {
        while let Some(reply) = self.threads.reply() {
            let (client, answer) = match reply {
                Reply::Answer(client, answer) => (client, answer),
                Reply::Metrics(client, pool) => (client, self.metrics(pool.as_deref())),
            };
            self.answer(client, &answer, now);
            touched.insert(client.slot);
        }
    }

    pub(super) fn answer(&mut self, client: ClientId, answer: &Answer, now: Instant) {
        if let Some(connection) = self.connections.get(client) {
            connection.client.answer(answer, now);
        }
    }

    fn take_events(&mut self, touched: &mut BTreeSet<usize>, now: Instant) {
        while let Some(rows) = self.threads.events() {
            // The document that an event belongs to comes before it.
            if self.items.has_unpublished() {
                self.publish(touched, now);
            }
            for row in rows {
                let event = Event::new(&row, &self.items);
                let mut watchers: Vec<Watcher> = Vec::new();
                if let Some(key) = &event.key {
                    watchers.extend(self.items.watchers(key));
                }
                if event.lane == SinkLane::Priority {
                    watchers.extend(self.items.watchers(&ItemKey::List));
                }
                for watcher in watchers {
                    match watcher {
                        Watcher::Client(client) => {
                            touched.insert(client.slot);
                            self.deliver_event(client, &event.message, now);
                        }
                        Watcher::Session(session) => self.deliver_event_to(session, &event.message, now),
                    }
                }
                self.events.push(event);
            }
        }
    }

    pub(super) fn deliver_event(&mut self, client: ClientId, message: &Message, now: Instant) {
        let Some(connection) = self.connections.get(client) else { return };
        let Some(mut delivery) = connection.client.delivery(now) else { return };
        match delivery.event(message) {
            Delivered::Yes => {}
            Delivered::TooSlow => {
                self.counters.slow += 1;
                self.unwatch(client, now);
                if let Some(connection) = self.connections.get(client) {
                    let why = "too slow: events that wait for you are at their bound; come back for the newest state";
                    connection.client.dismiss(CloseCode::TRY_LATER, why, now);
                }
            }
        }
    }

    /// What came since the last time, to all who watch it: worked out and written once for all who keep up.
    fn publish(&mut self, touched: &mut BTreeSet<usize>, now: Instant) {
        self.published_at = now;
        for (key, change) in self.items.publish() {
            let patch = change.to.patch_from(&change.from);
            let message = (!patch.is_empty()).then(|| Message::patch(change.to.revision, 0, patch));
            for watcher in &change.watchers {
                let client = match watcher {
                    Watcher::Client(client) => client,
                    Watcher::Session(session) => {
                        let states = (&change.from, &change.to);
                        self.deliver_change(*session, &key, states, message.as_ref(), now);
                        continue;
                    }
                };
                let Some(connection) = self.connections.get(*client) else { continue };
                let Some(mut delivery) = connection.client.delivery(now) else { continue };
                delivery.change(&change.from, &change.to, message.as_ref());
                touched.insert(client.slot);
            }
        }
    }

    fn tick(&mut self, touched: &mut BTreeSet<usize>, now: Instant) {
        self.items.tick(now);
        self.expire_publications(now);
        for slot in self.connections.slots() {
            let Some(connection) = self.connections.at(slot) else { continue };
            match connection.client.tick(now) {
                Fate::Open => _ = touched.insert(slot),
                Fate::Over => self.close(slot, now),
            }
        }
        let counts = self.connections.counts();
        let stats = GatewayStats { clients: counts.all(), streams: counts.streams() };
        self.control.send(&FromGateway::Stats(stats));
    }

    /// Reads, answers and writes one client, as far as it goes now.
    fn serve(&mut self, slot: usize, now: Instant) {
        for _ in 0..ROUNDS {
            let Some(connection) = self.connections.at(slot) else { return };
            let id = connection.id;
            if connection.read(&mut self.scratch, now) == Fate::Over {
                return self.close(slot, now);
            }
            // First what waits: requests are held back while too much does.
            if connection.write(&mut self.counters.sent_bytes, now) == Fate::Over {
                return self.close(slot, now);
            }
            let mut answered = false;
            while let Some(request) = self.connections.get(id).and_then(|one| one.client.next(now)) {
                self.counters.requests += 1;
                answered = true;
                self.respond(id, &request, now);
            }
            answered |= self.read_messages(id, now);
            self.bound_large(id, now);
            self.notice_end(id, now);
            let Some(connection) = self.connections.get(id) else { return };
            if connection.write(&mut self.counters.sent_bytes, now) == Fate::Over {
                return self.close(slot, now);
            }
            let caught_up = self.catch_up(id, now) | self.refill(id, now);
            let unread = self.connections.get(id).is_some_and(|one| one.is_unread());
            if !(answered || caught_up || unread) {
                return;
            }
        }
        self.again.insert(slot);
    }

    /// Takes what came on a session's WebSocket; whether something did.
    fn read_messages(&mut self, id: ClientId, now: Instant) -> bool {
        let mut any = false;
        while let Some(connection) = self.connections.get(id)
            && let Some(session) = connection.session
            && let Some(message) = connection.client.next_message(now)
        {
            any = true;
            self.socket_message(id, session, message, now);
        }
        any
    }

    fn bound_large(&mut self, id: ClientId, now: Instant) {
        let Some(connection) = self.connections.get(id) else { return };
        if !connection.client.holds_much() {
            self.large.remove(&id.slot);
        } else if !self.large.contains(&id.slot) {
            if self.large.len() < LARGE {
                self.large.insert(id.slot);
            } else {
                self.counters.refused += 1;
                connection.client.give_way(now);
            }
        }
    }

    /// A session is told of a connection that is its no more.
    fn notice_end(&mut self, id: ClientId, now: Instant) {
        let Some(connection) = self.connections.get(id) else { return };
        if !connection.client.serves_session()
            && let Some(session) = connection.session.take()
        {
            self.session_gone(id, session, now);
        }
    }

    /// A client is looked at in this turn or the next.
    pub(super) fn look_again(&mut self, client: ClientId) {
        self.again.insert(client.slot);
    }

    /// A client that was left behind and has read what waited gets the newest state; whether that is to be written.
    fn catch_up(&mut self, id: ClientId, now: Instant) -> bool {
        let Some(connection) = self.connections.get(id) else { return false };
        let behind = connection.client.watching().filter(|watching| watching.is_behind());
        let Some(newest) = behind.and_then(|watching| self.items.published(&watching.key)) else {
            return false;
        };
        let Some(mut delivery) = connection.client.delivery(now) else { return false };
        let sent = delivery.catch_up(newest);
        self.counters.conflated += u64::from(sent);
        sent
    }

    pub(super) fn unwatch(&mut self, client: ClientId, now: Instant) {
        let Some(connection) = self.connections.get(client) else { return };
        if let Some(key) = connection.watches.take() {
            self.items.unwatch(&key, Watcher::Client(client), now);
        }
    }

    fn close(&mut self, slot: usize, now: Instant) {
        if let Some(connection) = self.connections.at(slot) {
            let (id, session) = (connection.id, connection.session.take());
            self.unwatch(id, now);
            if let Some(session) = session {
                self.session_gone(id, session, now);
            }
        }
        self.large.remove(&slot);
        self.connections.remove(slot, self.poll.registry(), &mut self.access);
    }
}
