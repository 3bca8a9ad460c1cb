//! The loop: what clients say is answered as it comes (`listen`), and each tick every room that somebody is in says its share.
//!
//! One thread. The truth is locked once a tick and for each join and leave; what waits for a client is bounded. Callers: `mod`.

use super::Shared;
use super::connection::{Connection, End, State, Transport, is_over, reset};
use super::ledger::{Ledger, Left, Micros};
use super::options::{Cut, Host, RoomOptions};
use super::packets::Batch;
use super::report::{ConnectionReport, RoomsReport};
use super::{command, micros};
use crate::model::random::Random;
use crate::server::socket::Socket;
use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use rustls::ServerConfig;
use slab::Slab;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_worker::wire::rooms::BodyForm;

const TICK: Duration = Duration::from_millis(10);
/// Ticks from one report to the next.
const PUBLISHED: u64 = 5;
/// Time that is caught up with; what was due before is given up.
const BACKLOG: f64 = 0.25;
const TCP: Token = Token(usize::MAX);
const WEBSOCKET: Token = Token(usize::MAX - 1);

pub(super) struct Server {
    poll: Poll,
    tcp: TcpListener,
    websocket: TcpListener,
    /// Of WebSockets, where they are secure.
    tls: Option<Arc<ServerConfig>>,
    pub(super) options: RoomOptions,
    pub(super) shared: Arc<Shared>,
    pub(super) connections: Slab<Connection>,
    /// Who is in each room.
    pub(super) inside: HashMap<u64, HashSet<usize>>,
    /// Parts of a message that each room has to its credit.
    credits: HashMap<u64, f64>,
    shares: HashMap<u64, f64>,
    pub(super) random: Random,
    clients: u64,
    pub(super) batch: Batch,
    closing: Vec<(usize, End)>,
    pub(super) report: RoomsReport,
    closes: f64,
    ticks: u64,
    reset_at: Option<Instant>,
}

impl Server {
    pub(super) fn new(
        options: &RoomOptions,
        mut tcp: TcpListener,
        mut websocket: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.registry().register(&mut tcp, TCP, Interest::READABLE)?;
        poll.registry().register(&mut websocket, WEBSOCKET, Interest::READABLE)?;
        let shares = shared.truth.with(Ledger::shares);
        Ok(Self {
            poll,
            tcp,
            websocket,
            tls,
            options: options.clone(),
            shared,
            connections: Slab::new(),
            inside: HashMap::new(),
            credits: HashMap::new(),
            shares,
            random: Random::new(options.seed ^ 0x5eed),
            clients: 0,
            batch: Batch::default(),
            closing: Vec::new(),
            report: RoomsReport::default(),
            closes: 0.0,
            ticks: 0,
            reset_at: options.reset_every.map(|every| Instant::now() + every),
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
                    TCP => self.accept(Transport::Tcp),
                    WEBSOCKET => self.accept(Transport::WebSocket),
                    Token(at) => self.on_event(at, event),
                }
            }
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

    fn accept(&mut self, transport: Transport) {
        loop {
            let (listener, tls) = match transport {
                Transport::Tcp => (&self.tcp, None),
                Transport::WebSocket => (&self.websocket, self.tls.as_ref()),
            };
            let (mut stream, peer) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if is_over(&error) => return,
                Err(error) => return log::warn!("simulator.accept {error}"),
            };
            self.report.accepted += 1;
            if self.shared.faults().host == Host::Down {
                reset(&stream);
                continue;
            }
            let entry = self.connections.vacant_entry();
            let token = Token(entry.key());
            let interest = Interest::READABLE | Interest::WRITABLE;
            let ready = stream.set_nodelay(true);
            if let Err(error) = ready.and(self.poll.registry().register(&mut stream, token, interest)) {
                log::warn!("simulator.accept {peer}: {error}");
                continue;
            }
            let socket = match Socket::new(stream, tls) {
                Ok(socket) => socket,
                Err(error) => {
                    log::warn!("simulator.accept {peer}: {error}");
                    continue;
                }
            };
            self.clients += 1;
            let at = entry.key();
            entry.insert(Connection::new(socket, peer, self.clients, transport, Instant::now()));
            let of_address = self.connections.iter().filter(|(_, one)| one.peer.ip() == peer.ip()).count();
            if self.options.per_address.is_some_and(|most| of_address > most) {
                self.closing.push((at, End::Capped));
            }
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
        let mut said = Vec::new();
        let read = connection.read(&mut said);
        if !said.is_empty() {
            connection.heard = Instant::now();
        }
        for one in said {
            if let Err(end) = self.answer(at, &one) {
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
        self.obey(now);
        if !self.shared.is_paused() {
            self.churn(passed);
            self.speak(passed.as_secs_f64().min(BACKLOG));
        }
        self.watch(now);
        self.ticks += 1;
        if self.ticks.is_multiple_of(PUBLISHED) {
            self.publish();
        }
    }

    /// Resets whom it was asked to.
    fn obey(&mut self, now: Instant) {
        let mut cuts = self.shared.take_cuts();
        if self.reset_at.is_some_and(|at| now >= at) {
            self.reset_at = self.options.reset_every.map(|every| now + every);
            cuts.push(Cut::One(self.random.below(self.connections.len())));
        }
        if self.shared.faults().host == Host::Down {
            cuts.push(Cut::All);
        }
        for cut in cuts {
            let places: Vec<usize> = self.connections.iter().map(|(at, _)| at).collect();
            let chosen: Vec<usize> = match cut {
                Cut::All => places,
                Cut::Room(room) => self.inside.get(&room).into_iter().flatten().copied().collect(),
                Cut::One(n) => places.get(n % places.len().max(1)).copied().into_iter().collect(),
            };
            self.closing.extend(chosen.into_iter().map(|at| (at, End::Reset)));
        }
    }

    /// Rooms close, and others open.
    fn churn(&mut self, passed: Duration) {
        self.closes += self.options.churn / 60.0 * passed.as_secs_f64();
        while self.closes >= 1.0 {
            self.closes -= 1.0;
            let place = self.random.below(self.options.rooms);
            let (closed, shares) =
                self.shared.truth.with_mut(|ledger| (ledger.replace(place), ledger.shares()));
            self.shares = shares;
            // Whoever is in it stays until it goes by itself: a room that is over says nothing.
            if let Some(closed) = closed {
                self.credits.remove(&closed);
            }
        }
    }

    /// Each room that somebody is in says its share.
    fn speak(&mut self, seconds: f64) {
        let rooms: Vec<u64> =
            self.inside.iter().filter(|(_, inside)| !inside.is_empty()).map(|(room, _)| *room).collect();
        for room in rooms {
            let share = self.shares.get(&room).copied().unwrap_or(0.0);
            let credit = self.credits.entry(room).or_default();
            *credit += self.options.rate * share * seconds;
            let count = *credit as u64;
            *credit -= count as f64;
            if count > 0 {
                self.say(room, count, micros());
            }
        }
    }

    fn say(&mut self, room: u64, count: u64, at: Micros) {
        self.batch.clear();
        let (batch, random, garbage) = (&mut self.batch, &mut self.random, self.options.garbage);
        let paused = || self.shared.is_paused();
        self.shared.truth.with_mut(|ledger| {
            // Whoever pauses waits for this lock: nothing changes behind it.
            if paused() {
                return;
            }
            ledger.advance(room, count, at, &mut |happening| {
                command::write(room, happening, at / 1_000, &mut |one| batch.push(one));
                if random.in_thousand(garbage) {
                    batch.push_garbage(random);
                }
            });
        });
        if self.batch.is_empty() {
            return;
        }
        self.report.messages += count;
        let to: Vec<usize> = self.inside.get(&room).into_iter().flatten().copied().collect();
        self.deliver(&to);
    }

    /// Sends the batch to these, each in the form that it asked for.
    pub(super) fn deliver(&mut self, to: &[usize]) {
        for form in [BodyForm::Plain, BodyForm::Zlib, BodyForm::Brotli] {
            let of_form: Vec<usize> = to
                .iter()
                .copied()
                .filter(|at| self.connections.get(*at).is_some_and(|one| one.form == form))
                .collect();
            if of_form.is_empty() {
                continue;
            }
            let connections = &mut self.connections;
            self.batch.encode(form, &mut self.random, &mut |packets| {
                for at in &of_form {
                    if let Some(connection) = connections.get_mut(*at) {
                        connection.send(packets);
                    }
                }
            });
        }
    }

    /// Ends who does not join, says nothing, or reads too slowly.
    fn watch(&mut self, now: Instant) {
        for (at, connection) in &self.connections {
            let silence = match connection.state {
                State::Upgrade | State::Join | State::Leaving => self.options.join_within,
                State::Ignored | State::Joined(_) => self.options.silence,
            };
            if now.saturating_duration_since(connection.heard) > silence {
                self.closing.push((at, End::Silent));
            } else if connection.queue() > self.options.out_queue {
                self.closing.push((at, End::Slow));
            }
        }
    }

    fn flush(&mut self) {
        let piece = self.options.piece.unwrap_or(usize::MAX);
        for (at, connection) in &mut self.connections {
            match connection.flush(piece) {
                Ok(taken) => self.report.bytes += taken,
                Err(end) => self.closing.push((at, end)),
            }
            if connection.state == State::Leaving && connection.queue() == 0 {
                self.closing.push((at, End::Refused));
            }
        }
    }

    fn close(&mut self) {
        for (at, end) in std::mem::take(&mut self.closing) {
            let Some(mut connection) = self.connections.try_remove(at) else { continue };
            self.report.count(end);
            let left = match end {
                End::Left | End::Bad => Left::Client,
                End::Refused | End::Silent | End::Slow | End::Capped | End::Reset => Left::Server,
            };
            match end {
                End::Reset | End::Slow | End::Capped => connection.reset(),
                End::Left | End::Bad | End::Refused | End::Silent => {}
            }
            if let Some(room) = connection.room() {
                self.inside.entry(room).or_default().remove(&at);
                self.shared.truth.with_mut(|ledger| ledger.leave(room, connection.id, micros(), left));
            }
            // A socket that is dropped is no longer watched either way.
            let _ = self.poll.registry().deregister(connection.stream());
        }
    }

    fn publish(&mut self) {
        let of = |connection: &Connection| ConnectionReport {
            id: connection.id,
            peer: connection.peer.to_string(),
            transport: connection.transport().scheme(),
            room: connection.room(),
            queue: connection.queue(),
        };
        self.report.connections = self.connections.iter().map(|(_, one)| of(one)).collect();
        self.shared.publish(&self.report);
    }
}
