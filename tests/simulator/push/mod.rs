//! A simulated JSON push server: topics that change, in one of several dialects, and what each of them must have become.
//!
//! `script` says what happens, `dialect` how it is written, `world` what is true; `run` holds the loop, `listen` what clients ask for,
//! `deliver` what is sent and what goes wrong with it, `connection` one client; `recorded` is a recorded stream as one topic, `judge` and `odds`
//! compare what a program made of it all, `audit` what it publishes meanwhile. Everything sent follows from the seed. Callers: the demo, the end-to-end tests, the benchmarks.

mod audit;
mod connection;
mod deliver;
mod dialect;
mod http;
mod judge;
mod listen;
mod odds;
mod options;
mod recorded;
mod report;
mod run;
mod script;
#[cfg(test)]
mod tests;
mod world;

pub use audit::PushAuditor;
pub use dialect::{Dialect, LIST};
pub use judge::{Judgement, PushJudge};
pub use odds::OddsJudgement;
pub use options::{Deltas, Ending, Faults, Frames, Mishap, OverCap, PushOptions, Which};
pub use report::{ConnectionReport, PushReport};

use recorded::Recording;
use serde_json::Value;
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use world::World;

/// The simulated JSON push server.
pub struct PushServer;

impl PushServer {
    /// Binds and starts serving on threads of its own.
    ///
    /// # Errors
    /// When an address cannot be bound, or a recording not be read.
    pub fn start(options: &PushOptions) -> io::Result<PushHandle> {
        let recording = options.recording.as_deref().map(Recording::read).transpose()?;
        let bound = mio::net::TcpListener::bind(options.listen);
        let socket = bound.map_err(|error| listening(options.listen, &error))?;
        let listener = TcpListener::bind(options.http).map_err(|error| listening(options.http, &error))?;
        let shared = Arc::new(Shared {
            paused: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            world: Mutex::new(World::new(options)),
            asked: Mutex::default(),
            report: Mutex::default(),
            recorded: recording.as_ref().map(|recording| recording.id.clone()),
        });
        let mut handle = PushHandle {
            address: socket.local_addr()?,
            http: listener.local_addr()?,
            shared: Arc::clone(&shared),
            threads: Vec::new(),
        };
        let asked = Arc::clone(&shared);
        handle.threads.push(
            thread::Builder::new().name("push-http".into()).spawn(move || http::serve(&listener, &asked))?,
        );
        let server = run::Server::new(options, socket, recording, shared)?;
        handle.threads.push(thread::Builder::new().name("push".into()).spawn(move || server.run())?);
        Ok(handle)
    }
}

fn listening(at: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("listening on {at}: {error}"))
}

/// What the server is to do once, at its next tick.
#[derive(Debug, Default)]
struct Asked {
    ends: Vec<(Which, Ending)>,
    /// What is to happen to the next delta of a topic.
    mishaps: HashMap<String, Mishap>,
    /// Places whose topic is replaced.
    replaced: Vec<usize>,
}

/// What the server's threads and its handle share.
struct Shared {
    paused: AtomicBool,
    stopped: AtomicBool,
    world: Mutex<World>,
    asked: Mutex<Asked>,
    report: Mutex<PushReport>,
    /// The topic of the recorded stream.
    recorded: Option<String>,
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        locked(&self.world)
    }

    fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
        // A tick that had not seen the flag holds the lock until it is done.
        drop(self.world());
    }

    fn resume(&self) {
        self.paused.store(false, Ordering::SeqCst);
    }

    /// All topics, the recorded one, too.
    fn topics(&self) -> Vec<String> {
        let mut topics = self.world().topics().to_vec();
        topics.extend(self.recorded.clone());
        topics
    }
}

/// A lock that outlives a panic elsewhere: what it guards is then as it was left, and the comparison will show it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running server. Dropping it stops it.
pub struct PushHandle {
    address: SocketAddr,
    http: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl PushHandle {
    /// Where it listens for WebSockets.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the list of topics and the truth are served.
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// The topics that there are now, without the list of them.
    pub fn topics(&self) -> Vec<String> {
        self.shared.topics()
    }

    /// What a topic says now.
    pub fn document(&self, id: &str) -> Option<Value> {
        let world = self.shared.world();
        let number = world.number(world.slot(id)?);
        world.document_at(id, number)
    }

    /// A judge of what is made of all this.
    pub fn judge(&self) -> PushJudge {
        PushJudge::new(Arc::clone(&self.shared))
    }

    /// Nothing changes any more; what has is still sent.
    pub fn pause(&self) {
        self.shared.pause();
    }

    /// Topics change again.
    pub fn resume(&self) {
        self.shared.resume();
    }

    /// Ends connections, at the next tick.
    pub fn end(&self, which: Which, how: Ending) {
        locked(&self.shared.asked).ends.push((which, how));
    }

    /// What happens to the next delta of a topic that is followed.
    pub fn mishap(&self, topic: &str, mishap: Mishap) {
        locked(&self.shared.asked).mishaps.insert(topic.to_owned(), mishap);
    }

    /// Another topic comes to the place of the one at `place`.
    pub fn replace(&self, place: usize) {
        locked(&self.shared.asked).replaced.push(place);
    }

    /// What happened until some ticks ago.
    pub fn report(&self) -> PushReport {
        locked(&self.shared.report).clone()
    }

    /// Stops serving and says what happened.
    pub fn stop(mut self) -> PushReport {
        self.finish();
        self.report()
    }

    fn finish(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // That thread waits for a connection.
        drop(TcpStream::connect_timeout(&self.http, Duration::from_secs(1)));
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("simulator.stop a thread of the push server panicked");
            }
        }
    }
}

impl Drop for PushHandle {
    fn drop(&mut self) {
        self.finish();
    }
}
