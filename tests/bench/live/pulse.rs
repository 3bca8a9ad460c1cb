//! A push server that writes each diff by itself and remembers when.
//!
//! One thread: it answers handshakes and subscriptions now and then, and in between writes what is due. A diff changes
//! a selection's odds and carries the match's change number as `ZC`, by which it is recognised in what is published.

use super::ledger::Ledger;
use crate::error::{BenchError, While};
use crate::payload::{Generated, Random, Shape};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use touchline_worker::wire::diffusion::{
    self, ConnectRequest, ConnectResponse, FrameBuffer, MessageType, ResponseCode, TopicRef,
};

/// The topic of the match list.
pub const LIST: &str = "OVInPlay_1_3";
const GOALS_PER_S: u64 = 100;

/// What the server does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Matches in the list.
    pub matches: usize,
    /// How large each is.
    pub shape: Shape,
    /// Diffs a second.
    pub rate: u64,
    /// Diffs that are due at the same time.
    pub at_once: u64,
    /// How often connections are looked at.
    pub service: Duration,
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
    beating: AtomicBool,
    sent: AtomicU64,
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
            goals: vec![0; plan.matches],
            changes: vec![BTreeMap::new(); plan.matches],
            random: Random::new(7),
            frame: Vec::new(),
        };
        let thread = thread::Builder::new().name("pulse".to_owned()).spawn(move || server.run());
        Ok(Pulse { address, switches, thread: Some(thread.during("starting the server")?) })
    }

    /// Begins, or ends, to write diffs.
    pub fn beat(&self, beating: bool) {
        self.switches.beating.store(beating, Ordering::SeqCst);
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

struct Connection {
    stream: TcpStream,
    buffer: FrameBuffer,
    shaken: bool,
    out: Vec<u8>,
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
    goals: Vec<u64>,
    /// Of each match, what its next load has to show.
    changes: Vec<BTreeMap<usize, (u64, u64)>>,
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
            if self.switches.beating.load(Ordering::Relaxed) {
                self.beat(&mut serviced);
            } else {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Writes diffs, each batch at its time, until it is told to stop.
    fn beat(&mut self, serviced: &mut Instant) {
        let began = Instant::now();
        let mut done: u64 = 0;
        let mut goals: u64 = 0;
        while self.switches.beating.load(Ordering::Relaxed) && !self.switches.stop.load(Ordering::Relaxed) {
            let due = Duration::from_nanos(done * 1_000_000_000 / self.plan.rate);
            let passed = began.elapsed();
            if passed < due {
                thread::sleep(due - passed);
                continue;
            }
            self.ledger.late(u64::try_from((passed - due).as_nanos()).unwrap_or(u64::MAX));
            for _ in 0..self.plan.at_once {
                self.diff();
            }
            done += self.plan.at_once;
            if done * GOALS_PER_S / self.plan.rate > goals {
                goals += 1;
                self.goal();
            }
            if serviced.elapsed() >= self.plan.service {
                *serviced = Instant::now();
                self.service();
            }
        }
    }

    fn diff(&mut self) {
        let number = self.random.below(self.plan.matches);
        let one = Generated { number, shape: self.plan.shape };
        let selection = self.random.hot(one.selections());
        let path = one.selection_path(selection);
        let Some(change) = self.numbers.get_mut(number) else { return };
        *change += 1;
        let change = *change;
        let tenths = 10 + self.random.below(90);
        let body = format!("U|OD={tenths}/10;ZC={change};|");
        if let Some(changes) = self.changes.get_mut(number) {
            changes.insert(selection, (tenths as u64, change));
        }
        self.encode(&path, &body);
        self.ledger.wrote(number, change);
        self.write(number);
    }

    fn goal(&mut self) {
        let number = self.random.below(self.plan.matches);
        let Some(goals) = self.goals.get_mut(number) else { return };
        *goals += 1;
        let goals = *goals;
        let path = Generated { number, shape: self.plan.shape }.topic();
        self.encode(&path, &format!("U|SS={goals}-0;|"));
        self.ledger.scored(number, goals);
        self.write(number);
    }

    fn encode(&mut self, path: &str, body: &str) {
        self.frame.clear();
        let topic = TopicRef::Named { name: path.as_bytes(), alias: None };
        // Cannot fail: neither path nor body has a separator in it.
        let _ = diffusion::delta(&mut self.frame, topic, body.as_bytes());
    }

    /// One write for each follower of the match, in which nothing but this diff is.
    fn write(&mut self, number: usize) {
        for at in self.followers.get(number).into_iter().flatten() {
            if let Some(connection) = self.connections.get_mut(at) {
                connection.send(&self.frame);
                self.switches.sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn service(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).is_ok() {
                let buffer = FrameBuffer::new(1 << 20);
                let connection = Connection { stream, buffer, shaken: false, out: Vec::new() };
                self.connections.insert(self.next, connection);
                self.next += 1;
            }
        }
        let mut gone = Vec::new();
        for (&at, connection) in &mut self.connections {
            let Some(wanted) = connection.hear() else {
                gone.push(at);
                continue;
            };
            for wish in wanted {
                match wish {
                    Wish::Follow(topic) => {
                        let shown = Shown { plan: self.plan, changes: &self.changes };
                        answer(connection, at, &topic, &shown, &mut self.followers, &self.switches);
                    }
                    Wish::LetGo(topic) => {
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
    }
}

/// What loads are made of.
struct Shown<'a> {
    plan: Plan,
    changes: &'a [BTreeMap<usize, (u64, u64)>],
}

/// What a client asks for.
enum Wish {
    Follow(String),
    LetGo(String),
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

/// A match's number, which its id and its topic have in their first digits.
pub fn number_of(id: &str) -> Option<usize> {
    id.trim_start_matches("6V").get(..8)?.parse().ok()
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

impl Connection {
    /// Reads what there is; what is asked for. None: it is gone.
    fn hear(&mut self) -> Option<Vec<Wish>> {
        match self.stream.read(self.buffer.spare()) {
            Ok(0) => return None,
            Ok(count) => self.buffer.filled(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(Vec::new()),
            Err(_) => return None,
        }
        if !self.shaken {
            let Some((_, used)) = ConnectRequest::parse(self.buffer.unread()).ok()? else {
                return Some(Vec::new());
            };
            self.buffer.skip(used);
            let accepted = ConnectResponse::Accepted {
                version: diffusion::VERSION,
                code: ResponseCode::Ok,
                client_id: b"bench",
            };
            accepted.encode(&mut self.out).ok()?;
            self.shaken = true;
        }
        let mut wanted = Vec::new();
        while let Some(message) = self.buffer.next_message().ok()? {
            let wish = if message.kind == MessageType::Subscribe { Wish::Follow } else { Wish::LetGo };
            if message.kind == MessageType::Subscribe || message.kind == MessageType::Unsubscribe {
                let topics = message.selectors().map(|one| String::from_utf8_lossy(one).into_owned());
                wanted.extend(topics.map(wish));
            }
        }
        Some(wanted)
    }

    /// Writes at once what the socket takes; the rest waits, and what comes later waits behind it.
    fn send(&mut self, bytes: &[u8]) {
        if self.out.is_empty() {
            let taken = self.stream.write(bytes).unwrap_or(0);
            self.out.extend_from_slice(bytes.get(taken..).unwrap_or_default());
            return;
        }
        self.out.extend_from_slice(bytes);
        let taken = self.stream.write(&self.out).unwrap_or(0);
        self.out.drain(..taken);
    }
}
