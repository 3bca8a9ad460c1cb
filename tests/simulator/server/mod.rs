//! The simulated server as a thread: its own loop, no relation to the worker's.
//!
//! `run` holds the loop, `listen` what clients say, `connection` one client, `link` its socket and what lies over that (`socket`,
//! `certificate`), `sessions` who may connect and who may come back, `grants` what there is above
//! the cap, `form` how messages are written, `pace` the rate, `ticks` the time. The truth is locked once a tick; whoever asks for it
//! waits at most a tick. Callers: the program's `demo` and `simulate`, the end-to-end tests, the benchmarks.

mod branch;
pub(crate) mod certificate;
mod connection;
mod form;
mod grants;
mod link;
mod listen;
pub(crate) mod pace;
mod run;
mod sessions;
pub(crate) mod socket;
#[cfg(test)]
mod tests;
mod ticks;

use crate::model::Moment;
use crate::model::world::{Setup, World};
use crate::options::{Options, OwnTopic};
use crate::truth::{Truth, http};
use serde_json::{Value, json};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The simulated server.
pub struct Simulator;

impl Simulator {
    /// Binds and starts serving on a thread of its own. It changes nothing until a match is followed.
    ///
    /// # Errors
    /// When an address cannot be bound, a recorded match cannot be read, the protocol does not go with the transport, or the
    /// authority's certificate cannot be written.
    pub fn start(options: &Options) -> io::Result<Handle> {
        let listener = mio::net::TcpListener::bind(options.listen)
            .map_err(|error| with_context(&error, &format!("listening on {}", options.listen)))?;
        let address = listener.local_addr()?;
        let certified = certified(options, address)?;
        let links = link::Links::new(options, certified.as_ref())?;
        let now = moment();
        let mut world = World::new(setup(options), now);
        crate::replay::add(&mut world, options, now)?;
        let truth = Truth::new(world);
        let poll = mio::Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), run::WAKE)?;
        let control = Control(Arc::new(Shared {
            paused: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            resets: Mutex::new(Vec::new()),
            thinned: Mutex::new(Vec::new()),
            waker,
            truth: truth.clone(),
            asked: AtomicU64::new(0),
            last: Mutex::new(Answer::default()),
            answered: Condvar::new(),
        }));
        let mut handle =
            Handle { address, truth_address: None, control: control.clone(), threads: Vec::new() };
        if let Some(at) = options.truth {
            let listener =
                TcpListener::bind(at).map_err(|error| with_context(&error, &format!("listening on {at}")))?;
            handle.truth_address = Some(listener.local_addr()?);
            let (truth, control) = (truth.clone(), control.clone());
            handle.threads.push(
                thread::Builder::new()
                    .name("truth".into())
                    .spawn(move || http::serve(&listener, &truth, &control))?,
            );
        }
        let server = run::Server::new(options, poll, listener, links, truth, control)?;
        handle.threads.push(thread::Builder::new().name("simulator".into()).spawn(move || server.run())?);
        Ok(handle)
    }
}

/// What the server shows, where there is TLS; whom to trust for that is written where it was asked for.
fn certified(options: &Options, address: SocketAddr) -> io::Result<Option<certificate::Certified>> {
    if !options.transport.has_tls() {
        return Ok(None);
    }
    let certified = certificate::Certified::make(address)?;
    if let Some(path) = &options.ca_file {
        std::fs::write(path, &certified.authority)
            .map_err(|error| with_context(&error, &format!("writing the certificate {}", path.display())))?;
    }
    Ok(Some(certified))
}

fn setup(options: &Options) -> Setup {
    Setup {
        seed: options.seed,
        matches: options.matches,
        bytes: options.load.median,
        sparse: options.own_topic == OwnTopic::Sparse,
        payload: options.payload,
        speed: options.speed,
        churn: options.churn,
        history: options.history,
        changes: options.changes,
        list_topic: options.list_topic.clone(),
    }
}

fn with_context(error: &io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Now, by the wall clock, in the zone of the feed.
fn moment() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    let offset = jiff::tz::TimeZone::get("Europe/London")
        .ok()
        .zip(jiff::Timestamp::from_second(micros / 1_000_000).ok())
        .map_or(0, |(zone, at)| i64::from(zone.to_offset(at).seconds()));
    Moment { micros, offset }
}

/// What the server's threads and its handle share.
#[derive(Clone)]
pub(crate) struct Control(Arc<Shared>);

struct Shared {
    paused: AtomicBool,
    stopped: AtomicBool,
    resets: Mutex<Vec<Reset>>,
    thinned: Mutex<Vec<String>>,
    waker: mio::Waker,
    truth: Truth,
    /// How many reports were requested.
    asked: AtomicU64,
    last: Mutex<Answer>,
    answered: Condvar,
}

/// The newest report, and how many questions it answers.
#[derive(Default)]
struct Answer {
    report: Report,
    answers: u64,
}

/// How long who asks waits for the server's thread; then its last report must do.
const PATIENCE: Duration = Duration::from_secs(1);

impl Control {
    pub(crate) fn pause(&self) {
        self.0.paused.store(true, Ordering::SeqCst);
        // A tick that had not seen the flag holds the lock until it is done.
        drop(self.0.truth.lock());
    }

    pub(crate) fn resume(&self) {
        self.0.paused.store(false, Ordering::SeqCst);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.0.paused.load(Ordering::SeqCst)
    }

    fn reset(&self, which: Reset) {
        self.0.resets.lock().unwrap_or_else(PoisonError::into_inner).push(which);
        self.wake();
    }

    /// The resets that were asked for since the last call.
    pub(crate) fn take_resets(&self) -> Vec<Reset> {
        std::mem::take(&mut *self.0.resets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn thin_out(&self, id: &str) {
        self.0.thinned.lock().unwrap_or_else(PoisonError::into_inner).push(id.to_owned());
        self.wake();
    }

    /// The matches that were to be thinned out since the last call.
    pub(crate) fn take_thinned(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.thinned.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn wake(&self) {
        if let Err(error) = self.0.waker.wake() {
            log::warn!("simulator.wake {error}");
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> Vec<Value> {
        let one = |one: &ConnectionReport| {
            json!({"client": one.client, "peer": one.peer, "open": one.open, "subscriptions": one.subscriptions,
                "most": one.most, "queue": one.queue, "depth": one.depth})
        };
        self.report().connections.iter().map(one).collect()
    }

    /// What happened until now, as long as the server runs.
    fn report(&self) -> Report {
        let asked = self.0.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.wake();
        let last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        let unanswered = |last: &mut Answer| last.answers < asked && !self.is_stopped();
        let waited = self.0.answered.wait_timeout_while(last, PATIENCE, unanswered);
        waited.unwrap_or_else(PoisonError::into_inner).0.report.clone()
    }

    /// How many questions there were so far.
    pub(crate) fn asked(&self) -> u64 {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// Publishes what happened, which answers so many questions.
    fn publish(&self, report: Report, answers: u64) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Answer { report, answers };
        self.0.answered.notify_all();
    }
}

/// A running simulated server. Dropping it stops it.
pub struct Handle {
    address: SocketAddr,
    truth_address: Option<SocketAddr>,
    control: Control,
    threads: Vec<JoinHandle<()>>,
}

impl Handle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the truth is served over HTTP, if it is.
    pub fn truth_address(&self) -> Option<SocketAddr> {
        self.truth_address
    }

    /// The truth, shared.
    pub fn truth(&self) -> Truth {
        self.control.0.truth.clone()
    }

    /// Stops changing anything; what was changed is still sent. Returns once no change follows any more.
    pub fn pause(&self) {
        self.control.pause();
    }

    /// Changes again.
    pub fn resume(&self) {
        self.control.resume();
    }

    /// Resets connections, as a server does that is restarted or a device on the way that forgets them.
    pub fn reset_connections(&self, which: Reset) {
        self.control.reset(which);
    }

    /// Whoever follows this match gets one of its deltas in ten, until it subscribes to it again.
    pub fn thin_out(&self, id: &str) {
        self.control.thin_out(id);
    }

    /// What happened until now: the server's thread is asked, which may take until its tick is done.
    pub fn report(&self) -> Report {
        self.control.report()
    }

    /// Stops serving and says what happened.
    pub fn stop(mut self) -> Report {
        self.end();
        self.control.report()
    }

    fn end(&mut self) {
        self.control.0.stopped.store(true, Ordering::SeqCst);
        self.control.wake();
        // The thread of the truth waits for a connection.
        if let Some(address) = self.truth_address {
            drop(TcpStream::connect_timeout(&address, Duration::from_secs(1)));
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("simulator.stop a thread of the server panicked");
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.end();
    }
}

/// Connections to be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Every one.
    All,
    /// The one at this place among the open ones, counted from the first again beyond the last.
    One(usize),
}

/// What a server did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Delta messages of matches that were followed, and of the list if it was followed.
    pub messages: u64,
    /// Loads sent.
    pub loads: u64,
    /// Bytes handed to the kernel, over all connections.
    pub bytes: u64,
    /// Connections reset for going over the cap.
    pub over_cap: u64,
    /// Requests for a subscription above the cap.
    pub denied: u64,
    /// Connections that were refused: the login, or a session that is not there.
    pub refused: u64,
    /// Connections that were let in and then informed that their session is no longer good.
    pub stale: u64,
    /// Sessions that went on over a new connection.
    pub resumed: u64,
    /// Sessions that were kept in vain.
    pub expired: u64,
    /// Connections closed because they read too slowly.
    pub slow: u64,
    /// Connections closed for a message that could not be read.
    pub bad: u64,
    /// Connections reset because [`Handle::reset_connections`] asked for it.
    pub resets: u64,
    /// The time spent on what clients sent: handshakes, subscriptions, and the loads that answer them.
    pub serving: Duration,
    /// Connections closed because they no longer answered.
    pub silent: u64,
    /// The most subscriptions any connection ever held.
    pub most_subscriptions: usize,
    /// How late ticks ran, against their time.
    pub lateness: Lateness,
    /// Every connection there was, newest last; of those that ended, the newest 1,000.
    pub connections: Vec<ConnectionReport>,
}

/// How late the server's own ticks ran.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lateness {
    /// Ticks measured.
    pub ticks: u64,
    /// The latest of them.
    pub worst: Duration,
    /// The mean.
    pub mean: Duration,
    /// 99 of 100 ticks were at most this late.
    pub p99: Duration,
    /// Messages that were due and were given up because ticks ran late.
    pub skipped: u64,
}

/// One connection.
#[derive(Clone, Debug)]
pub struct ConnectionReport {
    /// The client id it was given.
    pub client: String,
    /// Where it comes from.
    pub peer: String,
    /// Whether it is still there.
    pub open: bool,
    /// Subscriptions it holds.
    pub subscriptions: usize,
    /// The most it ever held.
    pub most: usize,
    /// Bytes waiting for it.
    pub queue: usize,
    /// Messages waiting for it.
    pub depth: usize,
}
