//! A simulated room server: hundreds of rooms over TCP and WebSocket, a ranking of them, and the truth of all that was sent.
//!
//! `script` says what happens in a room, `ledger` what of it was sent to whom; `run` holds the loop, `listen` what clients say,
//! `connection` one client, `packets` and `command` what is written, `http` the ranking and the truth. The truth is locked for a tick of
//! one room at most. Callers: the program's `demo` and `simulate`, the end-to-end tests.

mod command;
mod connection;
mod http;
mod ledger;
mod listen;
mod options;
mod packets;
mod report;
mod run;
mod script;
#[cfg(test)]
mod tests;
mod truth;

pub use ledger::{Left, Room, Span};
pub use options::{Cut, Host, Ranking, Refusal, RoomOptions};
pub use report::{ConnectionReport, RoomsReport};
pub use script::{Kind, Line};
pub use truth::{Due, Heard, RoomsTruth, SentLine};

use crate::server::certificate::Certified;
use rustls::ServerConfig;
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The simulated room server.
pub struct RoomServer;

impl RoomServer {
    /// Binds and starts serving on threads of its own. A room says nothing until somebody joins it.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub fn start(options: &RoomOptions) -> io::Result<RoomHandle> {
        let tcp = bind(options.listen)?;
        let websocket = bind(options.websocket)?;
        let tls = tls(options)?;
        let listener = TcpListener::bind(options.http).map_err(|error| listening(options.http, &error))?;
        let truth = RoomsTruth::new(options);
        let shared = Arc::new(Shared {
            paused: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            faults: Mutex::new(Faults::default()),
            cuts: Mutex::new(Vec::new()),
            report: Mutex::new(RoomsReport::default()),
            rankings: AtomicU64::new(0),
            truth,
        });
        let mut handle = RoomHandle {
            tcp: tcp.local_addr()?,
            websocket: websocket.local_addr()?,
            http: listener.local_addr()?,
            shared: Arc::clone(&shared),
            threads: Vec::new(),
        };
        let asked = Arc::clone(&shared);
        handle.threads.push(
            thread::Builder::new().name("rooms-http".into()).spawn(move || http::serve(&listener, &asked))?,
        );
        let server = run::Server::new(options, tcp, websocket, tls, shared)?;
        handle.threads.push(thread::Builder::new().name("rooms".into()).spawn(move || server.run())?);
        Ok(handle)
    }
}

/// What WebSockets are made secure with, where they are; whom to trust for that is written where it was asked for.
fn tls(options: &RoomOptions) -> io::Result<Option<Arc<ServerConfig>>> {
    let Some(path) = &options.authority else { return Ok(None) };
    let certified = Certified::make(options.websocket)?;
    std::fs::write(path, &certified.authority)?;
    Ok(Some(certified.config))
}

fn bind(at: SocketAddr) -> io::Result<mio::net::TcpListener> {
    mio::net::TcpListener::bind(at).map_err(|error| listening(at, &error))
}

fn listening(at: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("listening on {at}: {error}"))
}

/// Now, by the wall clock.
fn micros() -> ledger::Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// What goes wrong until it is asked for otherwise.
#[derive(Clone, Debug, Default)]
struct Faults {
    refused: HashMap<u64, Refusal>,
    host: Host,
    ranking: Ranking,
}

/// What the server's threads and its handle share.
struct Shared {
    paused: AtomicBool,
    stopped: AtomicBool,
    faults: Mutex<Faults>,
    cuts: Mutex<Vec<Cut>>,
    report: Mutex<RoomsReport>,
    /// How often the ranking was asked for.
    rankings: AtomicU64,
    truth: RoomsTruth,
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
        // A room that had not seen the flag holds the lock until it has spoken.
        self.truth.with(|_| ());
    }

    fn resume(&self) {
        self.paused.store(false, Ordering::SeqCst);
    }

    fn faults(&self) -> Faults {
        locked(&self.faults).clone()
    }

    fn take_cuts(&self) -> Vec<Cut> {
        std::mem::take(&mut *locked(&self.cuts))
    }

    fn publish(&self, report: &RoomsReport) {
        locked(&self.report).clone_from(report);
    }
}

/// A lock that outlives a panic elsewhere: what it guards is then as it was left, and the comparison will show it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running room server. Dropping it stops it.
pub struct RoomHandle {
    tcp: SocketAddr,
    websocket: SocketAddr,
    http: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl RoomHandle {
    /// Where it listens for TCP.
    pub fn address(&self) -> SocketAddr {
        self.tcp
    }

    /// Where it listens for WebSockets, at any path.
    pub fn websocket_address(&self) -> SocketAddr {
        self.websocket
    }

    /// Where ranking and truth are served.
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// The truth, shared.
    pub fn truth(&self) -> RoomsTruth {
        self.shared.truth.clone()
    }

    /// Rooms say nothing more; what they said is still sent.
    pub fn pause(&self) {
        self.shared.pause();
    }

    /// Rooms speak again.
    pub fn resume(&self) {
        self.shared.resume();
    }

    /// Resets connections, at the next tick.
    pub fn cut(&self, which: Cut) {
        locked(&self.shared.cuts).push(which);
    }

    /// From now on a room answers joins so; who is in it stays.
    pub fn refuse(&self, room: u64, refusal: Refusal) {
        locked(&self.shared.faults).refused.insert(room, refusal);
    }

    /// From now on a room lets everybody in again.
    pub fn admit(&self, room: u64) {
        locked(&self.shared.faults).refused.remove(&room);
    }

    /// Whether the host can be reached from now on.
    pub fn set_host(&self, host: Host) {
        locked(&self.shared.faults).host = host;
    }

    /// What the ranking answers from now on.
    pub fn set_ranking(&self, ranking: Ranking) {
        locked(&self.shared.faults).ranking = ranking;
    }

    /// How often the ranking was asked for.
    pub fn rankings(&self) -> u64 {
        self.shared.rankings.load(Ordering::SeqCst)
    }

    /// What happened until some ticks ago.
    pub fn report(&self) -> RoomsReport {
        locked(&self.shared.report).clone()
    }

    /// Stops serving and says what happened.
    pub fn stop(mut self) -> RoomsReport {
        self.end();
        self.report()
    }

    fn end(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // That thread waits for a connection.
        drop(TcpStream::connect_timeout(&self.http, Duration::from_secs(1)));
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("simulator.stop a thread of the room server panicked");
            }
        }
    }
}

impl Drop for RoomHandle {
    fn drop(&mut self) {
        self.end();
    }
}
