//! The loop: ticks of a millisecond, clients in between. A change is encoded once and the same bytes are appended to
//! each subscriber's queue.

use super::connection::{Connection, End, State, Topic};
use super::pace::{Late, Pace};
use super::{ConnectionReport, Control, Report, moment};
use crate::model::world::{Turn, World};
use crate::model::{Change, Channel, Moment, compact};
use crate::options::{Aliases, Options};
use crate::truth::Truth;
use mio::event::Event;
use mio::net::TcpListener;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use slab::Slab;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};
use touchline_worker::wire::diffusion::{
    self as wire, ConnectRequest, ConnectResponse, MessageType, ResponseCode, TopicRef,
};

/// The waker's token.
pub(super) const WAKE: Token = Token(usize::MAX);
const LISTENER: Token = Token(usize::MAX - 1);
const TIMER: Token = Token(usize::MAX - 2);
const TICK: Duration = Duration::from_millis(1);
/// How often slow things are done: reports, pings, the zone's offset.
const SLOW: Duration = Duration::from_millis(100);
/// How often the server's clock is sent; stated in its attribute `UF`.
const CLOCK_EVERY: Duration = Duration::from_secs(15);
/// The topic of the server's clock.
const TIME_TOPIC: &str = "__time";
const TIME_ALIAS: &str = "t";
const LIST_ALIAS: &str = "l";
/// Ended connections that are still reported.
const ENDED: usize = 1_000;
/// Subscriptions a connection may hold where there is no cap.
const NO_CAP: usize = 1_000_000;

pub(super) struct Server {
    poll: Poll,
    listener: TcpListener,
    timer: TimerFd,
    truth: Truth,
    control: Control,
    cap: usize,
    out_queue: usize,
    ping_after: Duration,
    aliases: bool,
    list_topic: String,
    seed: u64,
    clients: u64,
    connections: Slab<Connection>,
    /// Who follows each match, by its place.
    followers: Vec<Vec<usize>>,
    list: Vec<usize>,
    time: Vec<usize>,
    pace: Pace,
    late: Late,
    report: Report,
    ended: VecDeque<ConnectionReport>,
    /// One message on its way to its subscribers.
    frame: Vec<u8>,
    closing: Vec<(usize, End)>,
}

impl Server {
    pub(super) fn new(
        options: &Options,
        poll: Poll,
        mut listener: TcpListener,
        truth: Truth,
        control: Control,
    ) -> io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        timer.set(Expiration::Interval(TimeSpec::from_duration(TICK)), TimerSetTimeFlags::empty())?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        poll.registry().register(&mut SourceFd(&timer.as_fd().as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            timer,
            truth,
            control,
            cap: options.cap.unwrap_or(NO_CAP),
            out_queue: options.out_queue,
            ping_after: options.ping_after,
            aliases: options.aliases == Aliases::On,
            list_topic: options.list_topic.clone(),
            seed: options.seed,
            clients: 0,
            connections: Slab::new(),
            followers: Vec::new(),
            list: Vec::new(),
            time: Vec::new(),
            pace: Pace::new(options.rate, options.burst),
            late: Late::default(),
            report: Report::default(),
            ended: VecDeque::new(),
            frame: Vec::new(),
            closing: Vec::new(),
        })
    }

    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(1_024);
        let mut clock = Ticks::new();
        while !self.control.is_stopped() {
            if let Err(error) = self.poll.poll(&mut events, Some(SLOW))
                && error.kind() != io::ErrorKind::Interrupted
            {
                log::error!("simulator.poll {error}");
                break;
            }
            for event in &events {
                match event.token() {
                    WAKE => {}
                    LISTENER => self.accept(),
                    TIMER => drop(nix::unistd::read(&self.timer, &mut [0; 8])),
                    Token(at) => self.heard(at, event),
                }
            }
            self.tick(&mut clock);
            self.flush();
            if clock.slow_is_due() {
                self.slow(&mut clock);
            }
        }
        self.publish();
    }

    fn accept(&mut self) {
        loop {
            let (mut stream, peer) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return log::warn!("simulator.accept {error}"),
            };
            self.clients += 1;
            let client = format!("{:016X}-{:016X}", self.seed, self.clients);
            let entry = self.connections.vacant_entry();
            let (interest, token) = (Interest::READABLE | Interest::WRITABLE, Token(entry.key()));
            if let Err(error) =
                stream.set_nodelay(true).and(self.poll.registry().register(&mut stream, token, interest))
            {
                log::warn!("simulator.accept {peer}: {error}");
                continue;
            }
            entry.insert(Connection::new(stream, peer, client, Instant::now()));
        }
    }

    /// A client has something to say, or takes bytes again.
    fn heard(&mut self, at: usize, event: &Event) {
        let Some(connection) = self.connections.get_mut(at) else { return };
        if event.is_writable() {
            connection.unblock();
        }
        if !event.is_readable() && !event.is_read_closed() {
            return;
        }
        loop {
            let Some(connection) = self.connections.get_mut(at) else { return };
            let more = match connection.read() {
                Ok(Some(more)) => more,
                Ok(None) | Err(_) => return self.closing.push((at, End::Left)),
            };
            if more {
                connection.heard = Instant::now();
                connection.pinged = false;
            }
            if let Err(end) = self.understand(at) {
                return self.closing.push((at, end));
            }
            if !more {
                return;
            }
        }
    }

    /// Takes in everything a client has said.
    fn understand(&mut self, at: usize) -> Result<(), End> {
        if self.connections.get(at).is_some_and(|connection| connection.state == State::Handshake)
            && !self.handshake(at)?
        {
            return Ok(());
        }
        loop {
            let Some(connection) = self.connections.get_mut(at) else { return Ok(()) };
            let Some(frame) = connection.input.advance().map_err(|_| End::Bad)? else { return Ok(()) };
            let message = connection.input.message(frame);
            match message.kind {
                MessageType::Subscribe => {
                    let topics: Vec<Vec<u8>> = message.selectors().map(<[u8]>::to_vec).collect();
                    for topic in &topics {
                        self.subscribe(at, topic)?;
                    }
                }
                MessageType::Unsubscribe => {
                    let topics: Vec<Vec<u8>> = message.selectors().map(<[u8]>::to_vec).collect();
                    for topic in &topics {
                        self.unsubscribe(at, topic);
                    }
                }
                MessageType::PingServer => {
                    let timestamp = message.ping().map(|ping| ping.timestamp.to_vec()).ok_or(End::Bad)?;
                    let queue = connection.queue() as u64;
                    wire::ping_server(connection.out(), &timestamp, queue).map_err(|_| End::Bad)?;
                }
                MessageType::Close | MessageType::Abort => return Err(End::Left),
                // An echoed ping, an acknowledgement, other credentials: hearing them is all. The rest is the
                // server's to send, or is not offered.
                MessageType::PingClient
                | MessageType::Ack
                | MessageType::Credentials
                | MessageType::Delta
                | MessageType::DeltaAck
                | MessageType::Fetch
                | MessageType::Command
                | MessageType::TopicLoad
                | MessageType::TopicLoadAck
                | MessageType::FetchReply
                | MessageType::TopicStatus
                | MessageType::CommandTopicLoad
                | MessageType::CommandTopicNotification
                | MessageType::CredentialsRejected
                | MessageType::CancelFragments
                | MessageType::Unknown(_) => {}
            }
        }
    }

    /// Returns whether it is done.
    fn handshake(&mut self, at: usize) -> Result<bool, End> {
        let Some(connection) = self.connections.get_mut(at) else { return Ok(false) };
        let parsed = ConnectRequest::parse(connection.input.unread()).map_err(|_| End::Bad)?;
        let Some((request, used)) = parsed else { return Ok(false) };
        let topics = request.topics.to_vec();
        let version = request.version;
        connection.input.skip(used);
        let client = connection.client.clone();
        let response =
            ConnectResponse::Accepted { version, code: ResponseCode::Ok, client_id: client.as_bytes() };
        response.encode(connection.out()).map_err(|_| End::Bad)?;
        connection.state = State::Open;
        for topic in topics.split(|byte| *byte == b',').filter(|topic| !topic.is_empty()) {
            self.subscribe(at, topic)?;
        }
        Ok(true)
    }

    /// A subscription, or one more time the same: either way a load follows.
    fn subscribe(&mut self, at: usize, name: &[u8]) -> Result<(), End> {
        let topic = self.topic(name);
        let Some(connection) = self.connections.get_mut(at) else { return Ok(()) };
        if !connection.subscribed.contains(&topic) {
            if connection.subscribed.len() >= self.cap {
                return Err(End::OverCap);
            }
            connection.subscribed.insert(topic.clone());
            connection.most = connection.most.max(connection.subscribed.len());
            self.report.most_subscriptions = self.report.most_subscriptions.max(connection.most);
            if let Some(followers) = self.followers(&topic) {
                followers.push(at);
            }
        }
        self.load(at, &topic);
        Ok(())
    }

    fn unsubscribe(&mut self, at: usize, name: &[u8]) {
        let topic = self.topic(name);
        if self.connections.get_mut(at).is_some_and(|connection| connection.subscribed.remove(&topic))
            && let Some(followers) = self.followers(&topic)
        {
            followers.retain(|one| *one != at);
        }
    }

    fn topic(&self, name: &[u8]) -> Topic {
        if name == self.list_topic.as_bytes() {
            return Topic::List;
        }
        if name == TIME_TOPIC.as_bytes() {
            return Topic::Time;
        }
        let id = name.strip_prefix(b"6V").and_then(|id| str::from_utf8(id).ok());
        let slot = id.and_then(|id| self.truth.with(|world| world.slot(id)));
        slot.map_or_else(|| Topic::Unknown(name.to_vec()), Topic::Match)
    }

    fn followers(&mut self, topic: &Topic) -> Option<&mut Vec<usize>> {
        match topic {
            Topic::List => Some(&mut self.list),
            Topic::Time => Some(&mut self.time),
            Topic::Match(slot) => {
                if self.followers.len() <= *slot {
                    self.followers.resize(*slot + 1, Vec::new());
                }
                self.followers.get_mut(*slot)
            }
            Topic::Unknown(_) => None,
        }
    }

    fn load(&mut self, at: usize, topic: &Topic) {
        let Some(connection) = self.connections.get_mut(at) else { return };
        let now = moment();
        let mut world = self.truth.lock();
        let mut body = Vec::new();
        let (name, alias) = match topic {
            Topic::List => {
                world.list_load(now, &mut body);
                (self.list_topic.clone(), LIST_ALIAS.to_owned())
            }
            Topic::Time => {
                body = time_body(b"F", now);
                (TIME_TOPIC.to_owned(), TIME_ALIAS.to_owned())
            }
            Topic::Match(slot) => {
                world.follow(*slot, now);
                world.match_load(*slot, now, &mut body);
                let Some(m) = world.matches.get(*slot) else { return };
                (m.ident.topic.clone(), alias(m.ident.number))
            }
            Topic::Unknown(_) => return,
        };
        let alias = (self.aliases && name.len() > 4).then_some(alias.as_bytes());
        let topic = TopicRef::Named { name: name.as_bytes(), alias };
        match wire::load(connection.out(), topic, &body) {
            Ok(()) => self.report.loads += 1,
            Err(error) => log::error!("simulator.load {name}: {error}"),
        }
    }

    /// Offers what is due since the last tick.
    fn tick(&mut self, clock: &mut Ticks) {
        let Some(late) = clock.due() else { return };
        self.late.add(late);
        if self.control.is_paused() {
            return clock.idle();
        }
        let truth = self.truth.clone();
        let mut world = truth.lock();
        // Again, for pausing takes the lock to be sure.
        if self.control.is_paused() {
            return clock.idle();
        }
        let now = Moment { offset: clock.offset, ..moment_utc() };
        clock.run();
        let mut change = std::mem::take(&mut clock.change);
        let mut due = self.pace.due(clock.active);
        while due > 0 {
            change.clear();
            let Some(slot) = world.step(now, &mut change) else { break };
            let messages = change.messages().len() as u64;
            self.offer(&world, slot, &change);
            // A step may change nothing; it counts, so that the loop ends.
            self.pace.offered(messages.max(1));
            due = due.saturating_sub(messages.max(1));
        }
        change.clear();
        while let Some(turn) = world.turn(now, &mut change) {
            match turn {
                Turn::Changed(slot) => self.offer(&world, slot, &change),
                Turn::Removed(slot, topic) => {
                    self.offer(&world, usize::MAX, &change);
                    self.remove(slot, &topic);
                }
            }
            change.clear();
        }
        clock.change = change;
    }

    /// Sends the messages of a change to all who follow its topics.
    fn offer(&mut self, world: &World, slot: usize, change: &Change) {
        let m = world.matches.get(slot);
        for message in change.messages() {
            let followers: &[usize] = match message.channel {
                Channel::List => &self.list,
                Channel::Match => self.followers.get(slot).map_or(&[], Vec::as_slice),
            };
            if followers.is_empty() {
                continue;
            }
            self.report.messages += 1;
            let root = m.filter(|m| self.aliases && m.ident.topic.as_bytes() == message.topic);
            let short = root.map(|m| alias(m.ident.number));
            let topic = match &short {
                Some(short) => TopicRef::Alias(short.as_bytes()),
                None => TopicRef::Named { name: message.topic, alias: None },
            };
            self.frame.clear();
            if let Err(error) = wire::delta(&mut self.frame, topic, message.body) {
                log::error!("simulator.delta {}: {error}", message.topic.escape_ascii());
                continue;
            }
            for at in followers {
                if let Some(connection) = self.connections.get_mut(*at) {
                    connection.out().extend_from_slice(&self.frame);
                }
            }
        }
    }

    /// A match's own topic is removed: its followers are told and follow it no longer.
    fn remove(&mut self, slot: usize, name: &str) {
        let Some(followers) = self.followers.get_mut(slot).map(std::mem::take) else { return };
        for at in followers {
            let Some(connection) = self.connections.get_mut(at) else { continue };
            connection.subscribed.remove(&Topic::Match(slot));
            let topic = TopicRef::Named { name: name.as_bytes(), alias: None };
            if let Err(error) = wire::topic_status(connection.out(), topic, b"R") {
                log::error!("simulator.status {name}: {error}");
            }
        }
    }

    /// Writes what waits, and lets go of whom it must.
    fn flush(&mut self) {
        for (at, connection) in &mut self.connections {
            if connection.queue() == 0 {
                continue;
            }
            match connection.flush() {
                Ok(taken) => self.report.bytes += taken,
                Err(_) => self.closing.push((at, End::Left)),
            }
            if connection.queue() > self.out_queue {
                self.closing.push((at, End::Slow));
            }
        }
        while let Some((at, end)) = self.closing.pop() {
            self.close(at, end);
        }
    }

    fn close(&mut self, at: usize, end: End) {
        let Some(mut connection) = self.connections.try_remove(at) else { return };
        for topic in std::mem::take(&mut connection.subscribed) {
            if let Some(followers) = self.followers(&topic) {
                followers.retain(|one| *one != at);
            }
        }
        match end {
            End::Left => {}
            End::OverCap => self.report.over_cap += 1,
            End::Slow => self.report.slow += 1,
            End::Bad => self.report.bad += 1,
            End::Silent => self.report.silent += 1,
        }
        if self.ended.len() >= ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(reported(&connection, false));
        if let Err(error) = self.poll.registry().deregister(&mut connection.stream) {
            log::debug!("simulator.close {}: {error}", connection.peer);
        }
        connection.close(end);
    }

    /// The server's clock, pings, the report.
    fn slow(&mut self, clock: &mut Ticks) {
        let now = Instant::now();
        let moment = moment();
        clock.offset = moment.offset;
        if clock.time_is_due(now) {
            let alias = TopicRef::Alias(TIME_ALIAS.as_bytes());
            let named = TopicRef::Named { name: TIME_TOPIC.as_bytes(), alias: None };
            self.frame.clear();
            let topic = if self.aliases { alias } else { named };
            if let Err(error) = wire::delta(&mut self.frame, topic, &time_body(b"U", moment)) {
                log::error!("simulator.time {error}");
            }
            for at in &self.time {
                if let Some(connection) = self.connections.get_mut(*at) {
                    connection.out().extend_from_slice(&self.frame);
                }
            }
        }
        let timestamp = (moment.micros / 1_000).to_string();
        for (at, connection) in &mut self.connections {
            let silent = now.saturating_duration_since(connection.heard);
            if silent > 2 * self.ping_after {
                self.closing.push((at, End::Silent));
            } else if silent > self.ping_after && !connection.pinged && connection.state == State::Open {
                connection.pinged = true;
                if let Err(error) = wire::ping_client(connection.out(), timestamp.as_bytes()) {
                    log::error!("simulator.ping {error}");
                }
            }
        }
        self.publish();
    }

    fn publish(&mut self) {
        self.report.lateness = self.late.report(self.pace.skipped());
        self.report.connections = self.ended.iter().cloned().collect();
        self.report
            .connections
            .extend(self.connections.iter().map(|(_, connection)| reported(connection, true)));
        self.control.publish(self.report.clone());
    }
}

fn reported(connection: &Connection, open: bool) -> ConnectionReport {
    ConnectionReport {
        client: connection.client.clone(),
        peer: connection.peer.to_string(),
        open,
        subscriptions: connection.subscribed.len(),
        most: connection.most,
        queue: connection.queue(),
    }
}

/// `F|IN;TI=20251116152627721;UF=15;|`
fn time_body(operation: &[u8], now: Moment) -> Vec<u8> {
    let mut body = operation.to_vec();
    let time = compact(now.seconds() + now.offset);
    let millis = now.micros.rem_euclid(1_000_000) / 1_000;
    body.extend_from_slice(format!("|IN;TI={time}{millis:03};UF={};|", CLOCK_EVERY.as_secs()).as_bytes());
    body
}

/// A match's alias: its number in base 36, after those of the server's own topics.
fn alias(number: u32) -> String {
    let mut left = number;
    let mut digits = Vec::new();
    while left > 0 || digits.is_empty() {
        digits.push(char::from_digit(left % 36, 36).unwrap_or('0'));
        left /= 36;
    }
    digits.push('m');
    digits.into_iter().rev().collect()
}

fn moment_utc() -> Moment {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Moment { micros: i64::try_from(since.as_micros()).unwrap_or(i64::MAX), offset: 0 }
}

/// When ticks are due, and how long the server has been changing things.
struct Ticks {
    start: Instant,
    /// Ticks served, or passed over because several were due at once.
    served: u128,
    last: Instant,
    active: Duration,
    offset: i64,
    last_slow: Instant,
    last_time: Instant,
    change: Change,
}

impl Ticks {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            start: now,
            served: 0,
            last: now,
            active: Duration::ZERO,
            offset: moment().offset,
            last_slow: now,
            last_time: now,
            change: Change::default(),
        }
    }

    /// Whether a tick is due; if so, how late it is.
    fn due(&mut self) -> Option<Duration> {
        let passed = self.start.elapsed();
        let ticks = passed.as_nanos() / TICK.as_nanos();
        if ticks <= self.served {
            return None;
        }
        let first = TICK.as_nanos() * (self.served + 1);
        self.served = ticks;
        Some(Duration::from_nanos(u64::try_from(passed.as_nanos() - first).unwrap_or(u64::MAX)))
    }

    /// Time passes without changes.
    fn idle(&mut self) {
        self.last = Instant::now();
    }

    /// Time passes with changes.
    fn run(&mut self) {
        let now = Instant::now();
        self.active += now.saturating_duration_since(self.last);
        self.last = now;
    }

    fn slow_is_due(&mut self) -> bool {
        let due = self.last_slow.elapsed() >= SLOW;
        if due {
            self.last_slow = Instant::now();
        }
        due
    }

    fn time_is_due(&mut self, now: Instant) -> bool {
        let due = now.saturating_duration_since(self.last_time) >= CLOCK_EVERY;
        if due {
            self.last_time = now;
        }
        due
    }
}
