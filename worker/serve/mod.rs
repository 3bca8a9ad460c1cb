//! The gateway: the forked process that serves clients with documents, events and the state of the pool.
//!
//! One mio loop (`run`) owns all sockets: the channel to the coordinator (`control`), the recorder's document feed (`feed`), and the clients'
//! (`connections`). What decides is pure: `http` (bytes to requests, requests to routes, answers to bytes), `client` (one connection as a state
//! machine, and how it is kept at the newest state), `items` (what is watched, and what changed of it), `access` (who may), `engine_io` and
//! `socket_io` (sessions), `rooms` (who is sent what is published), `publish` (what publishers send). `redis` has the threads that reach other gateways, `relay` what
//! comes of it. `respond`, `sockets` and `publishing` answer
//! requests from these, `ask` has the threads for what would wait, `page` the live page. Nothing here is the only copy of anything:
//! whoever kills this process costs clients a reconnect.

mod access;
mod ask;
mod client;
mod connections;
mod control;
mod engine_io;
mod error;
mod events;
mod feed;
mod frame;
mod http;
mod items;
mod listener;
mod metrics;
mod page;
mod publish;
mod publishing;
mod redis;
mod relay;
mod respond;
mod rooms;
mod run;
mod socket_io;
mod sockets;

pub use error::ServeError;
pub use http::{Reading, read_in_pieces};

use access::Access;
use ask::Threads;
use control::{Control, Greeting};
use mio::{Poll, Waker};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use redis::{Address, Redis};
use relay::Relay;
use run::{CONTROL, Gateway, WAKER};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use touchline_common::config::{Config, GatewayConfig, LogConfig, Secret};
use touchline_common::logging::{self, LogHandle, Target, Who};
use touchline_common::sys::signals::Signals;

use crate::record::config::RecordConfig;

/// How long the last log lines may take to be written.
const LOG_FLUSH: Duration = Duration::from_secs(1);
/// Descriptors that are not clients'.
const OWN_DESCRIPTORS: u64 = 128;
/// Connections at most, however many descriptors there are.
const CLIENTS: u64 = 20_000;

/// The gateway's whole life as a process: from the hello on `channel`, the socket to the coordinator, to its end.
///
/// # Errors
/// [`ServeError`] when it cannot start or the channel is broken; asked to stop or at the end of the channel it returns `Ok`.
pub fn run(channel: OwnedFd) -> Result<(), ServeError> {
    // Before any thread. The coordinator ends it; a terminal's interrupt goes to the whole group.
    let _signals =
        Signals::open_all().map_err(|source| ServeError::Kernel { operation: "block signals", source })?;
    let mut begun = None;
    let ran = live(channel, &mut begun);
    if let Err(error) = &ran {
        // Without a welcome there is no word on the log yet: it goes to standard error, as it does by default.
        begun = begun.or_else(|| begin_logging(&LogConfig::default()));
        log::error!(error:% = error; "gateway.failed");
    }
    if let Some(log) = begun {
        log.flush(LOG_FLUSH);
    }
    ran
}

fn begin_logging(log: &LogConfig) -> Option<LogHandle> {
    logging::init(Who::Gateway, &log.level, log.format, Target::Stderr).ok()
}

fn live(channel: OwnedFd, begun: &mut Option<LogHandle>) -> Result<(), ServeError> {
    let kernel = |operation| move |source| ServeError::Kernel { operation, source };
    let mut poll = Poll::new().map_err(kernel("make a poller"))?;
    let mut control = Control::new(channel, &poll, CONTROL)?;
    let Some(greeting) = control.greet(&mut poll)? else { return Ok(()) };
    let Greeting { welcome, control_socket, log_file } = greeting;
    let config = Config::from_child_json(&welcome.config).map_err(|what| ServeError::Config { what })?;
    *begun = begin_logging(&config.log);
    if let (Some(logs), Some(file)) = (&begun, log_file) {
        logs.set_file(file);
    }
    let access = Access::new(&config.gateway).map_err(|what| ServeError::Config { what })?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(kernel("make a waker"))?);
    let relay = relay(&config.gateway, &waker)?;
    let record = RecordConfig::new(&config);
    let feeds = record.feeds.clone();
    let threads = Threads::start(record, control_socket, &waker).map_err(kernel("start a thread"))?;
    let gateway = Gateway::start(
        poll,
        control,
        &config.gateway,
        feeds,
        (access, threads, relay),
        begun.clone(),
        most(),
    )?;
    gateway.turn_until_done()
}

fn relay(config: &GatewayConfig, waker: &Arc<Waker>) -> Result<Relay, ServeError> {
    if config.redis.is_empty() {
        return Ok(Relay::Alone);
    }
    let wrong = |what| ServeError::Config { what };
    let password = config.redis_password().map_err(wrong)?;
    let address = Address::new(&config.redis, password.as_ref().map(Secret::expose)).map_err(wrong)?;
    let redis = Redis::start(&address, waker)
        .map_err(|source| ServeError::Kernel { operation: "start a thread", source })?;
    Ok(Relay::Redis(Box::new(redis)))
}

/// Connections that there may be, by the descriptors that the kernel grants.
fn most() -> usize {
    let granted = getrlimit(Resource::RLIMIT_NOFILE)
        .map_or(1_024, |(soft, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_or(soft, |()| hard));
    usize::try_from(granted.saturating_sub(OWN_DESCRIPTORS).clamp(16, CLIENTS)).unwrap_or(16)
}
