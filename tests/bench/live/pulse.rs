//! A push server that writes each diff by itself and remembers when.
//!
//! One thread: it answers handshakes and subscriptions now and then, and in between writes what is due. A diff carries
//! the match's change number as `ZC`, by which it is recognised in what is published; `mix` says what it changes.

use super::client::{Connection, Wish};
use super::ledger::Ledger;
use crate::error::{BenchError, While};
use crate::mix::{Delta, Kind};
use crate::payload::{Changes, Generated, Random, Shape};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use touchline_worker::wire::diffusion::{self, TopicRef};

/// The topic of the match list.
pub const LIST: &str = "OVInPlay_1_3";
const TICKS_PER_S: u64 = 1_000;

/// What the server does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Matches in the list.
    pub matches: usize,
    /// How large each is.
    pub shape: Shape,
    /// When diffs are due, and in how many writes.
    pub pace: Pace,
    /// How often connections are looked at.
    pub service: Duration,
}

/// When diffs are due, and in how many writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Evenly, each in a write of its own.
    Each,
    /// Each millisecond; all that are due on a connection in one write.
    Ticks,
}

/// A running server. Dropping it stops it.
pub struct Pulse {
    /// Where it listens.
    pub address: SocketAddr,
    switches: Arc<Switches>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Switches {
    stop: AtomicBool,
    /// Diffs a second; 0: none.
    rate: AtomicU64,
    sent: AtomicU64,
    prices: AtomicU64,
    /// Matches that are followed.
    followed: AtomicU64,
    load_bytes: AtomicU64,
    queued: AtomicU64,
}

impl Pulse {
    /// Listens; diffs begin with [`Pulse::beat`].
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(plan: Plan, ledger: &Arc<Ledger>) -> Result<Pulse, BenchError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).during("listening")?;
        listener.set_nonblocking(true).during("listening")?;
        let address = listener.local_addr().during("listening")?;
        let switches = Arc::new(Switches::default());
        let mut server = Server {
            plan,
            listener,
            ledger: Arc::clone(ledger),
            switches: Arc::clone(&switches),
            connections: BTreeMap::new(),
            next: 0,
            followers: vec![Vec::new(); plan.matches],
            numbers: vec![0; plan.matches],
            changes: vec![Changes::default(); plan.matches],
            random: Random::new(7),
            frame: Vec::new(),
        };
        let thread = thread::Builder::new().name("pulse".to_owned()).spawn(move || server.run());
        Ok(Pulse { address, switches, thread: Some(thread.during("starting the server")?) })
    }

    /// Writes so many diffs a second from now on; 0: none.
    pub fn beat(&self, rate: u64) {
        self.switches.rate.store(rate, Ordering::SeqCst);
    }

    /// Waits until each of its matches is followed.
    ///
    /// # Errors
    /// When the time is over.
    pub fn wait_followed(&self, matches: usize, patience: Duration) -> Result<(), BenchError> {
        let deadline = Instant::now() + patience;
        while self.switches.followed.load(Ordering::Relaxed) < matches as u64 {
            if Instant::now() > deadline {
                let why = format!("not all of {matches} matches are subscribed after {patience:?}");
                return Err(BenchError::new("waiting for subscriptions", why));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Those of them that changed a price.
    pub fn prices(&self) -> u64 {
        self.switches.prices.load(Ordering::Relaxed)
    }

    /// Diffs written so far, to all followers.
    pub fn sent(&self) -> u64 {
        self.switches.sent.load(Ordering::Relaxed)
    }

    /// The most bytes that waited for one connection, which did not take them, since this was asked last.
    pub fn most_queued(&self) -> u64 {
        self.switches.queued.swap(0, Ordering::Relaxed)
    }

    /// Bytes of the loads sent so far.
    pub fn load_bytes(&self) -> u64 {
        self.switches.load_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.switches.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Server {
    plan: Plan,
    listener: TcpListener,
    ledger: Arc<Ledger>,
    switches: Arc<Switches>,
    connections: BTreeMap<usize, Connection>,
    next: usize,
    /// Of each match, who subscribed it.
    followers: Vec<Vec<usize>>,
    /// Of each match, its newest change.
    numbers: Vec<u64>,
    /// Of each match, what its next load has to show.
    changes: Vec<Changes>,
    random: Random,
    frame: Vec<u8>,
}

impl Server {
    fn run(&mut self) {
        // Without it a sleep of 50 µs takes 100.
        let _ = nix::sys::prctl::set_timerslack(1);
        let mut serviced = Instant::now();
        while !self.switches.stop.load(Ordering::Relaxed) {
            self.service();
            match self.switches.rate.load(Ordering::Relaxed) {
                0 => thread::sleep(Duration::from_millis(1)),
                rate => self.beat(rate, &mut serviced),
            }
        }
    }

    /// Writes diffs, each batch at its time, until another rate is wanted.
    fn beat(&mut self, rate: u64, serviced: &mut Instant) {
        let at_once = match self.plan.pace {
            Pace::Each => 1,
            Pace::Ticks => (rate / TICKS_PER_S).max(1),
        };
        let began = Instant::now();
        let mut done: u64 = 0;
        while self.switches.rate.load(Ordering::Relaxed) == rate
            && !self.switches.stop.load(Ordering::Relaxed)
        {
            let due = Duration::from_nanos(done * 1_000_000_000 / rate);
            let passed = began.elapsed();
            if passed < due {
                thread::sleep(due - passed);
                continue;
            }
            self.ledger.late(u64::try_from((passed - due).as_nanos()).unwrap_or(u64::MAX));
            for _ in 0..at_once {
                self.diff();
            }
            if self.plan.pace == Pace::Ticks {
                self.connections.values_mut().for_each(Connection::send_tick);
            }
            done += at_once;
            if serviced.elapsed() >= self.plan.service {
                *serviced = Instant::now();
                self.service();
            }
        }
    }

    fn diff(&mut self) {
        let number = self.random.below(self.plan.matches);
        let one = Generated { number, shape: self.plan.shape };
        let Some((newest, changes)) = self.numbers.get_mut(number).zip(self.changes.get_mut(number)) else {
            return;
        };
        let change = *newest + 1;
        let delta = Delta::draw(one, changes, &mut self.random, Some(change));
        self.frame.clear();
        let topic = TopicRef::Named { name: delta.topic.as_bytes(), alias: None };
        // Cannot fail: neither topic nor body has a separator in it.
        let _ = diffusion::delta(&mut self.frame, topic, delta.body.as_bytes());
        if delta.is_numbered() {
            *newest = change;
            self.ledger.wrote(number, change);
        }
        match delta.kind {
            Kind::Score(goals) => self.ledger.scored(number, goals),
            Kind::Price => drop(self.switches.prices.fetch_add(1, Ordering::Relaxed)),
            Kind::Clock | Kind::Statistic => {}
        }
        self.write(number);
    }

    /// To each follower of the match.
    fn write(&mut self, number: usize) {
        for at in self.followers.get(number).into_iter().flatten() {
            let Some(connection) = self.connections.get_mut(at) else { continue };
            match self.plan.pace {
                Pace::Each => connection.send(&self.frame),
                Pace::Ticks => connection.tick.extend_from_slice(&self.frame),
            }
            self.switches.sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn service(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if let Ok(connection) = Connection::new(stream) {
                self.connections.insert(self.next, connection);
                self.next += 1;
            }
        }
        let mut gone = Vec::new();
        for (&at, connection) in &mut self.connections {
            let Some(wanted) = connection.read() else {
                gone.push(at);
                continue;
            };
            for wish in wanted {
                match wish {
                    Wish::Follow(topic) => {
                        let shown = Shown { plan: self.plan, changes: &self.changes };
                        answer(connection, at, &topic, &shown, &mut self.followers, &self.switches);
                    }
                    Wish::Release(topic) => {
                        let number = number_of(&topic);
                        if let Some(followers) = number.and_then(|number| self.followers.get_mut(number)) {
                            followers.retain(|one| *one != at);
                        }
                    }
                }
            }
            connection.send(&[]);
            self.switches.queued.fetch_max(connection.out.len() as u64, Ordering::Relaxed);
        }
        for at in gone {
            self.connections.remove(&at);
            self.followers.iter_mut().for_each(|followers| followers.retain(|one| *one != at));
        }
        let followed = self.followers.iter().filter(|followers| !followers.is_empty()).count();
        self.switches.followed.store(followed as u64, Ordering::Relaxed);
    }
}

/// What loads are made of.
struct Shown<'a> {
    plan: Plan,
    changes: &'a [Changes],
}

/// Sends a topic's load, and diffs from now on.
fn answer(
    connection: &mut Connection,
    at: usize,
    topic: &str,
    shown: &Shown<'_>,
    followers: &mut [Vec<usize>],
    switches: &Switches,
) {
    let named = TopicRef::Named { name: topic.as_bytes(), alias: None };
    let body = if topic == LIST {
        list(shown.plan)
    } else {
        let Some(number) = number_of(topic) else { return };
        let Some((followers, changes)) = followers.get_mut(number).zip(shown.changes.get(number)) else {
            return;
        };
        if !followers.contains(&at) {
            followers.push(at);
        }
        let body = Generated { number, shape: shown.plan.shape }.load_after(changes).body;
        switches.load_bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        body
    };
    // Cannot fail: generated bodies are far below the protocol's bound.
    let _ = diffusion::load(&mut connection.out, named, &body);
}

/// A match's number, which its id has in its first digits, and each of its topics behind two letters.
pub fn number_of(id: &str) -> Option<usize> {
    let digits = ["6V", "OV", "TE"].into_iter().find_map(|letters| id.strip_prefix(letters)).unwrap_or(id);
    digits.get(..8)?.parse().ok()
}

/// The load of the match list.
pub fn list(plan: Plan) -> Vec<u8> {
    let mut body =
        String::from("F|CL;ID=1;IT=OV_1_1_3;NA=Soccer;OR=0;|CT;ID=1;IT=OVCT_1_3;NA=Premier Division;OR=0;|");
    for number in 0..plan.matches {
        body.push_str(&Generated { number, shape: plan.shape }.event("OV"));
    }
    body.into_bytes()
}
