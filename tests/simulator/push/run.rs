//! The loop: what clients ask for is answered as it comes (`listen`), and each tick the changes that are due are sent (`deliver`).
//!
//! One thread. The truth is locked for the changes of a tick; what waits for a client is bounded. Caller: `mod`.

use super::connection::{Connection, End, Stage, Subject, is_over};
use super::dialect::Stamp;
use super::options::{Ending, Mishap, PushOptions, Which};
use super::recorded::Recording;
use super::report::{ConnectionReport, PushReport};
use super::{Asked, Shared, locked};
use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const TICK: Duration = Duration::from_millis(5);
/// Ticks from one report to the next.
const PUBLISHED: u64 = 8;
/// Time that is caught up with; what was due before is given up.
const BACKLOG: f64 = 0.25;
const LISTENER: Token = Token(usize::MAX);
/// How long a connection may take to log in, or to take what is sent before its end.
const PATIENCE: Duration = Duration::from_secs(5);
/// The code of a connection whose login is over.
const EXPIRED: u16 = 4001;

pub(super) struct Server {
    poll: Poll,
    listener: TcpListener,
    pub(super) options: PushOptions,
    pub(super) shared: Arc<Shared>,
    pub(super) connections: Slab<Connection>,
    /// Who follows each topic, by its place.
    pub(super) followers: Vec<Vec<usize>>,
    pub(super) recording: Option<Recording>,
    pub(super) mishaps: HashMap<String, Mishap>,
    pub(super) report: PushReport,
    clients: u64,
    closing: Vec<(usize, End)>,
    /// Changes and lines that are due in part.
    changes: f64,
    lines: f64,
    ticks: u64,
}

impl Server {
    pub(super) fn new(
        options: &PushOptions,
        mut listener: TcpListener,
        recording: Option<Recording>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            followers: vec![Vec::new(); options.topics],
            options: options.clone(),
            shared,
            connections: Slab::new(),
            recording,
            mishaps: HashMap::new(),
            report: PushReport::default(),
            clients: 0,
            closing: Vec::new(),
            changes: 0.0,
            lines: 0.0,
            ticks: 0,
        })
    }

    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(1_024);
        let mut last = Instant::now();
        let mut next = last + TICK;
        while !self.shared.is_stopped() {
            let wait = next.saturating_duration_since(Instant::now());
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != io::ErrorKind::Interrupted
            {
                log::error!("simulator.poll {error}");
                break;
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    Token(at) => self.on_event(at, event),
                }
            }
            // A place that is free is not given to another client before those that are over have left theirs.
            self.close();
            let now = Instant::now();
            if now >= next {
                self.report.late(now - next);
                self.tick(now - last, now);
                (last, next) = (now, now + TICK);
            }
            self.flush();
            self.close();
        }
        let open: Vec<usize> = self.connections.iter().map(|(at, _)| at).collect();
        self.closing.extend(open.into_iter().map(|at| (at, End::Reset)));
        self.close();
        self.publish();
    }

    fn accept(&mut self) {
        loop {
            let (mut stream, peer) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if is_over(&error) => return,
                Err(error) => return log::warn!("simulator.accept {error}"),
            };
            self.report.accepted += 1;
            let entry = self.connections.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            let ready = stream.set_nodelay(true);
            if let Err(error) =
                ready.and(self.poll.registry().register(&mut stream, Token(entry.key()), interest))
            {
                log::warn!("simulator.accept {peer}: {error}");
                continue;
            }
            self.clients += 1;
            entry.insert(Connection::new(stream, peer, self.clients, self.options.frames, Instant::now()));
        }
    }

    fn on_event(&mut self, at: usize, event: &Event) {
        let Some(connection) = self.connections.get_mut(at) else { return };
        if event.is_writable() {
            connection.unblock();
        }
        if !event.is_readable() && !event.is_read_closed() {
            return;
        }
        let mut messages = Vec::new();
        let before = connection.stage;
        let read = connection.read(&mut messages);
        if before == Stage::Upgrade && connection.stage == Stage::Login {
            if self.options.token.is_none() {
                connection.stage = Stage::Open;
            }
            if let Some(greeting) = self.options.dialect.greeting(connection.id) {
                connection.send(&greeting);
            }
        }
        if !messages.is_empty() {
            connection.heard = Instant::now();
        }
        for message in messages {
            if let Err(end) = self.answer(at, &message) {
                self.closing.push((at, end));
                return;
            }
        }
        if let Err(end) = read {
            self.closing.push((at, end));
        }
    }

    /// Everything that is due.
    fn tick(&mut self, passed: Duration, now: Instant) {
        self.obey();
        let seconds = passed.as_secs_f64().min(BACKLOG);
        if self.shared.is_paused() {
            self.send_rest();
        } else {
            self.changes += self.options.rate * seconds;
            let due = self.changes as u64;
            self.changes -= due as f64;
            self.happen(due);
            self.lines += self.options.lines_per_s * seconds;
            let due = self.lines as usize;
            self.lines -= due as f64;
            self.send_lines(due);
        }
        self.send_all();
        self.watch(now);
        self.ticks += 1;
        if self.ticks.is_multiple_of(PUBLISHED) {
            self.publish();
        }
    }

    /// Does what it was asked to.
    fn obey(&mut self) {
        let Asked { ends, mishaps, replaced } = std::mem::take(&mut *locked(&self.shared.asked));
        self.mishaps.extend(mishaps);
        replaced.into_iter().for_each(|place| self.replace(place));
        for (which, how) in ends {
            let places: Vec<usize> = self.connections.iter().map(|(at, _)| at).collect();
            let chosen: Vec<usize> = match which {
                Which::All => places,
                Which::One(n) => places.get(n % places.len().max(1)).copied().into_iter().collect(),
                Which::Topic(topic) => {
                    let follows = |at: &usize| {
                        self.connections.get(*at).is_some_and(|one| one.subscriptions.contains_key(&topic))
                    };
                    places.into_iter().filter(follows).collect()
                }
            };
            for at in chosen {
                match (how, self.connections.get_mut(at)) {
                    (Ending::Close(code), Some(connection)) => {
                        self.report.ended += 1;
                        connection.close(code);
                    }
                    (Ending::Reset, _) => self.closing.push((at, End::Reset)),
                    (Ending::Close(_), None) => {}
                }
            }
        }
    }

    /// Heartbeats that are due, and the ends of who says nothing, does not log in, reads too slowly, or whose login is over.
    fn watch(&mut self, now: Instant) {
        let stamp = Stamp { changes: self.shared.world().changes, at: millis() };
        for (at, connection) in &mut self.connections {
            let since = now.saturating_duration_since(connection.since);
            match connection.stage {
                Stage::Upgrade | Stage::Login | Stage::Leaving | Stage::Shut => {
                    if since > PATIENCE && now.saturating_duration_since(connection.heard) > PATIENCE {
                        self.closing.push((at, End::Silent));
                    }
                }
                Stage::Open => {
                    if self.options.login_expires.is_some_and(|good| since > good) {
                        self.report.expired += 1;
                        connection.close(EXPIRED);
                    } else if now.saturating_duration_since(connection.heard) > self.options.silence {
                        self.closing.push((at, End::Silent));
                    } else if now.saturating_duration_since(connection.heartbeat_at) >= self.options.heartbeat
                    {
                        connection.heartbeat_at = now;
                        connection.send(&self.options.dialect.heartbeat(stamp));
                    }
                }
            }
            if connection.queue() > self.options.out_queue {
                self.closing.push((at, End::Slow));
            }
        }
    }

    fn flush(&mut self) {
        for (at, connection) in &mut self.connections {
            match connection.flush() {
                Ok(taken) => self.report.bytes += taken,
                Err(end) => self.closing.push((at, end)),
            }
            connection.shut();
        }
    }

    fn close(&mut self) {
        for (at, end) in std::mem::take(&mut self.closing) {
            let Some(mut connection) = self.connections.try_remove(at) else { continue };
            self.report.count(end);
            match end {
                End::Reset | End::Slow => connection.reset(),
                End::Left | End::Bad | End::Silent => {}
            }
            for subscription in connection.subscriptions.values() {
                if let Subject::Topic(slot) = subscription.subject
                    && let Some(followers) = self.followers.get_mut(slot)
                {
                    followers.retain(|follower| *follower != at);
                }
            }
            // A socket that is dropped is no longer watched either way.
            let _ = self.poll.registry().deregister(connection.stream());
        }
    }

    fn publish(&mut self) {
        let of = |connection: &Connection| ConnectionReport {
            id: connection.id,
            peer: connection.peer.to_string(),
            subscriptions: connection.subscriptions.len(),
            most: connection.most,
            queue: connection.queue(),
            is_compressed: connection.agreed.is_some(),
        };
        let are_open = |one: &&Connection| match one.stage {
            Stage::Upgrade | Stage::Login | Stage::Open => true,
            Stage::Leaving | Stage::Shut => false,
        };
        self.report.connections =
            self.connections.iter().map(|(_, one)| one).filter(are_open).map(of).collect();
        locked(&self.shared.report).clone_from(&self.report);
    }
}

/// Now in milliseconds, by the wall clock.
pub(super) fn millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
