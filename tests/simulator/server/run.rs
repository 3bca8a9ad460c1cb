//! The loop: ticks of a millisecond, clients in between. A change is encoded once and the same bytes are appended to
//! each subscriber's queue.

use super::branch::LastSent;
use super::connection::{Connection, End, State, Topic, hang_up};
use super::form::Forms;
use super::grants::Partly;
use super::link::{Link, Links};
use super::listen::{alias, time_body};
use super::pace::{Late, Pace};
use super::ticks::{SLOW, TICK, Ticks};
use super::{ConnectionReport, Control, Report, Reset, moment};
use crate::model::world::{Turn, World};
use crate::model::{Change, Channel, Moment};
use crate::options::{Aliases, Login, OnResume, Options, OverCap, Payload, Protocol};
use crate::truth::Truth;
use mio::event::Event;
use mio::net::TcpListener;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};
use touchline_worker::wire::diffusion::{self as wire, MessageType, TopicRef};

/// The waker's token.
pub(super) const WAKE: Token = Token(usize::MAX);
const LISTENER: Token = Token(usize::MAX - 1);
const TIMER: Token = Token(usize::MAX - 2);
/// The topic of the server's clock.
pub(super) const TIME_TOPIC: &str = "__time";
pub(super) const TIME_ALIAS: &str = "t";
pub(super) const LIST_ALIAS: &str = "l";
/// What the topic of a session begins with.
pub(super) const SESSION: &str = "S_";
/// Steps after one another that may change nothing before a tick gives up.
const EMPTY: u32 = 64;
/// Ended connections that are still reported.
const ENDED: usize = 1_000;
/// Subscriptions a connection may hold where there is no cap.
const NO_CAP: usize = 1_000_000;

pub(super) struct Server {
    pub(super) poll: Poll,
    listener: TcpListener,
    links: Links,
    timer: TimerFd,
    pub(super) truth: Truth,
    pub(super) control: Control,
    pub(super) cap: usize,
    pub(super) over_cap: OverCap,
    pub(super) login: Option<Login>,
    /// The topic of the session that is good.
    pub(super) session: Option<Vec<u8>>,
    pub(super) keep_alive: Duration,
    pub(super) on_resume: OnResume,
    /// Subscriptions to matches that are still to be left without an answer.
    pub(super) unanswered: usize,
    out_queue: usize,
    max_depth: usize,
    ping_after: Duration,
    pub(super) protocol: Protocol,
    pub(super) aliases: bool,
    pub(super) list_topic: String,
    seed: u64,
    clients: u64,
    pub(super) connections: Slab<Connection>,
    /// Who follows each match, by its place.
    pub(super) followers: Vec<Vec<usize>>,
    pub(super) list: Vec<usize>,
    pub(super) time: Vec<usize>,
    /// Who gets less than that, above the cap.
    pub(super) partly: Partly,
    pace: Pace,
    late: Late,
    pub(super) report: Report,
    ended: VecDeque<ConnectionReport>,
    /// Questions for a report that were answered.
    answered: u64,
    /// One message on its way to its subscribers.
    pub(super) forms: Forms,
    pub(super) closing: Vec<(usize, End)>,
    /// What was last sent of each branch, by the match's place.
    pub(super) last_sent: HashMap<usize, LastSent>,
}

impl Server {
    pub(super) fn new(
        options: &Options,
        poll: Poll,
        mut listener: TcpListener,
        links: Links,
        truth: Truth,
        control: Control,
    ) -> io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        poll.registry().register(&mut SourceFd(&timer.as_fd().as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            links,
            timer,
            truth,
            control,
            cap: options.cap.unwrap_or(NO_CAP),
            over_cap: options.over_cap,
            login: options.login.clone(),
            session: options.session.as_ref().map(|token| format!("{SESSION}{token}").into_bytes()),
            keep_alive: options.keep_alive,
            on_resume: options.on_resume,
            unanswered: options.unanswered,
            out_queue: options.out_queue,
            max_depth: options.max_depth.unwrap_or(usize::MAX),
            ping_after: options.ping_after,
            protocol: options.protocol,
            aliases: options.aliases == Aliases::On && options.protocol == Protocol::V4,
            list_topic: options.list_topic.clone(),
            seed: options.seed,
            clients: 0,
            connections: Slab::new(),
            followers: Vec::new(),
            list: Vec::new(),
            time: Vec::new(),
            partly: Partly::default(),
            pace: Pace::new(options.rate, options.burst),
            late: Late::default(),
            report: Report::default(),
            ended: VecDeque::new(),
            answered: 0,
            forms: Forms::new(options),
            closing: Vec::new(),
            last_sent: HashMap::new(),
        })
    }

    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(1_024);
        // Begun before the timer: begun after it, each tick would be found not yet due and served a whole tick late.
        let mut clock = Ticks::new();
        let interval = Expiration::Interval(TimeSpec::from_duration(TICK));
        if let Err(error) = self.timer.set(interval, TimerSetTimeFlags::empty()) {
            log::error!("simulator.timer {error}");
            return;
        }
        while !self.control.is_stopped() {
            if let Err(error) = self.poll.poll(&mut events, Some(SLOW))
                && error.kind() != io::ErrorKind::Interrupted
            {
                log::error!("simulator.poll {error}");
                break;
            }
            for event in &events {
                match event.token() {
                    WAKE => {
                        self.reset();
                        self.thin_out();
                    }
                    LISTENER => self.accept(),
                    TIMER => drop(nix::unistd::read(&self.timer, &mut [0; 8])),
                    Token(at) => self.on_event(at, event),
                }
            }
            self.tick(&mut clock);
            self.flush();
            if clock.slow_is_due() {
                self.slow(&mut clock);
            }
            if self.control.asked() > self.answered {
                self.publish();
            }
        }
        self.publish();
    }

    /// Lets go of whom it was asked to.
    fn reset(&mut self) {
        for which in self.control.take_resets() {
            let places: Vec<usize> = self.connections.iter().map(|(at, _)| at).collect();
            let chosen = match which {
                Reset::All => places,
                Reset::One(n) => places.get(n % places.len().max(1)).copied().into_iter().collect(),
            };
            self.closing.extend(chosen.into_iter().map(|at| (at, End::Reset)));
        }
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
            match self.links.make(stream) {
                Ok(link) => drop(entry.insert(Connection::new(link, peer, client, Instant::now()))),
                Err(error) => log::warn!("simulator.accept {peer}: {error}"),
            }
        }
    }

    /// A client has something to say, or takes bytes again.
    fn on_event(&mut self, at: usize, event: &Event) {
        let Some(connection) = self.connections.get_mut(at) else { return };
        if event.is_writable() {
            connection.unblock();
        }
        if !event.is_readable() && !event.is_read_closed() {
            return;
        }
        if let Err(end) = self.read_all(at) {
            self.closing.push((at, end));
        }
    }

    /// Takes in all that a client has sent.
    pub(super) fn read_all(&mut self, at: usize) -> Result<(), End> {
        loop {
            let Some(connection) = self.connections.get_mut(at) else { return Ok(()) };
            let more = connection.read()?;
            if more {
                connection.read_at = Instant::now();
                connection.pinged = false;
            }
            let began = Instant::now();
            let understood = self.understand(at);
            self.report.serving += began.elapsed();
            understood?;
            if !more {
                return Ok(());
            }
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
        // What is not followed does not change, so nothing is owed for that time.
        if world.is_followed() {
            clock.run();
        } else {
            clock.idle();
        }
        let mut change = std::mem::take(&mut clock.change);
        let mut due = self.pace.due(clock.active);
        let mut empty = 0;
        while due > 0 {
            change.clear();
            let Some(slot) = world.step(now, &mut change) else { break };
            let sent = self.offer(&world, slot, &change);
            // What is not followed goes on at the same pace. A step may change nothing, but not for ever.
            let counted = if sent > 0 { sent } else { change.messages().len() as u64 };
            empty = if counted == 0 { empty + 1 } else { 0 };
            if empty > EMPTY {
                break;
            }
            self.pace.offered(counted);
            due = due.saturating_sub(counted);
        }
        change.clear();
        while let Some(turn) = world.turn(now, &mut change) {
            match turn {
                Turn::Changed(slot) => {
                    let _ = self.offer(&world, slot, &change);
                }
                Turn::Removed(slot, topic) => {
                    let _ = self.offer(&world, usize::MAX, &change);
                    self.remove(slot, &topic);
                }
            }
            change.clear();
        }
        clock.change = change;
    }

    /// Sends the messages of a change to all who follow its topics. Returns how many were followed.
    fn offer(&mut self, world: &World, slot: usize, change: &Change) -> u64 {
        match world.payload() {
            Payload::Inplay => {}
            Payload::TopicTree => return self.offer_branch(world, slot),
        }
        let m = world.matches.get(slot);
        let mut sent = 0;
        for message in change.messages() {
            let (followers, channel): (&[usize], _) = match message.channel {
                Channel::List => (&self.list, Topic::List),
                Channel::Match => (self.followers.get(slot).map_or(&[], Vec::as_slice), Topic::Match(slot)),
            };
            let named = TopicRef::Named { name: message.topic, alias: None };
            // Who had no load knows no alias.
            let partly = self.partly.due(&channel);
            if !partly.is_empty() {
                self.forms.deliver(&mut self.connections, partly, MessageType::Delta, named, message.body);
            }
            if followers.is_empty() {
                continue;
            }
            sent += 1;
            let root = m.filter(|m| self.aliases && m.ident.topic.as_bytes() == message.topic);
            let short = root.map(|m| alias(m.ident.number));
            let topic = short.as_ref().map_or(named, |short| TopicRef::Alias(short.as_bytes()));
            self.forms.deliver(&mut self.connections, followers, MessageType::Delta, topic, message.body);
        }
        self.report.messages += sent;
        sent
    }

    /// A match's own topic is removed: its followers get that and follow it no longer.
    fn remove(&mut self, slot: usize, name: &str) {
        let names = self.names(slot, name);
        let mut followers = self.followers.get_mut(slot).map(std::mem::take).unwrap_or_default();
        followers.extend(self.partly.remove_topic(&Topic::Match(slot)));
        for at in followers {
            let Some(connection) = self.connections.get_mut(at) else { continue };
            connection.subscribed.remove(&Topic::Match(slot));
            connection.partly.remove(&Topic::Match(slot));
            for name in &names {
                let topic = TopicRef::Named { name: name.as_bytes(), alias: None };
                if let Err(error) = connection.send(|out| wire::topic_status(out, topic, b"R")) {
                    log::error!("simulator.status {name}: {error}");
                }
            }
        }
    }

    /// Writes what waits, and lets go of whom it must.
    fn flush(&mut self) {
        for (at, connection) in &mut self.connections {
            if !connection.has_to_send() {
                continue;
            }
            match connection.flush() {
                Ok(taken) => self.report.bytes += taken,
                Err(_) => self.closing.push((at, End::Left)),
            }
            if connection.queue() > self.out_queue || connection.depth() > self.max_depth {
                self.closing.push((at, End::Slow));
            }
        }
        while let Some((at, end)) = self.closing.pop() {
            self.close(at, end);
        }
    }

    fn close(&mut self, at: usize, end: End) {
        if self.keep(at, end) {
            return;
        }
        let Some(mut connection) = self.connections.try_remove(at) else { return };
        for topic in std::mem::take(&mut connection.subscribed) {
            if let Some(followers) = self.followers(&topic) {
                followers.retain(|one| *one != at);
            }
        }
        for topic in std::mem::take(&mut connection.partly) {
            self.partly.remove(&topic, at);
        }
        match end {
            End::Left | End::Closed => {}
            End::Refused => self.report.refused += 1,
            End::Expired => self.report.expired += 1,
            End::OverCap => self.report.over_cap += 1,
            End::Slow => self.report.slow += 1,
            End::Bad => self.report.bad += 1,
            End::Silent => self.report.silent += 1,
            End::Reset => self.report.resets += 1,
        }
        if self.ended.len() >= ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(reported(&connection, false));
        self.let_go(connection.link(), end);
    }

    /// Ends a connection, but not what was known of it.
    pub(super) fn let_go(&self, link: Option<&mut Link>, end: End) {
        let Some(link) = link else { return };
        if let Err(error) = self.poll.registry().deregister(link.stream()) {
            log::debug!("simulator.close {error}");
        }
        hang_up(link, end);
    }

    /// The server's clock, pings, the report.
    fn slow(&mut self, clock: &mut Ticks) {
        let now = Instant::now();
        let moment = moment();
        clock.offset = moment.offset;
        if clock.time_is_due(now) {
            let alias = TopicRef::Alias(TIME_ALIAS.as_bytes());
            let named = TopicRef::Named { name: TIME_TOPIC.as_bytes(), alias: None };
            let topic = if self.aliases { alias } else { named };
            let body = time_body(b"U", moment);
            self.forms.deliver(&mut self.connections, &self.time, MessageType::Delta, topic, &body);
        }
        let timestamp = (moment.micros / 1_000).to_string();
        for (at, connection) in &mut self.connections {
            if let State::Kept(until) = connection.state {
                if now >= until {
                    self.closing.push((at, End::Expired));
                }
                continue;
            }
            let silent = now.saturating_duration_since(connection.read_at);
            if silent > 2 * self.ping_after {
                self.closing.push((at, End::Silent));
            } else if silent > self.ping_after && !connection.pinged && connection.state == State::Open {
                connection.pinged = true;
                if let Err(error) = connection.send(|out| wire::ping_client(out, timestamp.as_bytes())) {
                    log::error!("simulator.ping {error}");
                }
            }
        }
        self.publish();
    }

    fn publish(&mut self) {
        self.answered = self.control.asked();
        self.report.lateness = self.late.report(self.pace.skipped());
        self.report.connections = self.ended.iter().cloned().collect();
        self.report
            .connections
            .extend(self.connections.iter().map(|(_, connection)| reported(connection, true)));
        self.control.publish(self.report.clone(), self.answered);
    }
}

fn reported(connection: &Connection, open: bool) -> ConnectionReport {
    ConnectionReport {
        client: connection.client.clone(),
        peer: connection.peer.to_string(),
        open: open && !matches!(connection.state, State::Kept(_)),
        subscriptions: connection.subscribed.len(),
        most: connection.most,
        queue: connection.queue(),
        depth: connection.depth(),
    }
}

fn moment_utc() -> Moment {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Moment { micros: i64::try_from(since.as_micros()).unwrap_or(i64::MAX), offset: 0 }
}
