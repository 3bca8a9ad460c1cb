//! From `host:port` to a connected socket: resolve, then try one address after the other.
//!
//! Each step has a deadline, and none blocks. One attempt is one round through the addresses; when the next may be made is
//! `reconnect`'s to say. Called by the sources in `feed`.

use super::resolve::Resolver;
use super::socket::{Broken, Socket};
use super::tls::TlsPlan;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token, Waker};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
pub const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Connector {
    authority: String,
    tls: Option<TlsPlan>,
    token: Token,
    resolver: Resolver,
    state: State,
}

#[derive(Debug)]
enum State {
    /// No attempt is under way.
    Idle,
    /// The name is being resolved; for the attempt of this number.
    Resolving { attempt: u64, until: Instant },
    /// The socket is being connected; the addresses that are left are tried after it.
    Connecting { stream: TcpStream, address: SocketAddr, left: Vec<SocketAddr>, until: Instant },
}

#[derive(Debug)]
pub enum Progress {
    Pending,
    Connected(Socket),
    /// It failed, at each of the addresses; why at the last.
    Failed(String),
}

impl Connector {
    /// For the server at `authority` (`host:port`). Sockets are registered under `token`; `waker` is of the same poll.
    pub fn new(authority: String, tls: Option<TlsPlan>, token: Token, waker: Arc<Waker>) -> Connector {
        let resolver = Resolver::new(authority.clone(), waker);
        Connector { authority, tls, token, resolver, state: State::Idle }
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Whether the answer of a resolver is to come, which wakes the loop without saying whose it is.
    pub fn is_resolving(&self) -> bool {
        matches!(self.state, State::Resolving { .. })
    }

    /// Asks another resolver than the system's.
    #[cfg(test)]
    pub fn resolve_by(&mut self, lookup: fn(&str) -> super::Addresses) {
        self.resolver.look_up_by(lookup);
    }

    /// When [`Connector::advance`] has something to do, readiness apart.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Idle => None,
            State::Resolving { until, .. } | State::Connecting { until, .. } => Some(*until),
        }
    }

    /// Begins an attempt. Each begins with another address: one of them may take connections and lead nowhere.
    pub fn start(&mut self, attempt: u64, registry: &Registry, now: Instant) -> Progress {
        if let Err(error) = self.resolver.ask() {
            return self.failed(error.to_string());
        }
        self.state = State::Resolving { attempt, until: now + RESOLVE_DEADLINE };
        // The answer may be there already, to an earlier question too; nothing wakes the loop for it again.
        self.check_resolved(registry, now)
    }

    /// Does what is due, and what a readiness event may have made possible.
    pub fn advance(&mut self, registry: &Registry, now: Instant) -> Progress {
        match &self.state {
            State::Idle => Progress::Pending,
            State::Resolving { .. } => self.check_resolved(registry, now),
            State::Connecting { until, .. } if now >= *until => {
                self.next(&format!("no connection within {CONNECT_DEADLINE:?}"), registry, now)
            }
            State::Connecting { .. } => self.check_connected(registry, now),
        }
    }

    fn check_resolved(&mut self, registry: &Registry, now: Instant) -> Progress {
        let State::Resolving { attempt, until } = self.state else { return Progress::Pending };
        let mut addresses = match self.resolver.answer() {
            Some(Ok(addresses)) => addresses,
            Some(Err(error)) => return self.failed(error.to_string()),
            None if now >= until => {
                return self.failed(format!("the name has no answer within {RESOLVE_DEADLINE:?}"));
            }
            None => return Progress::Pending,
        };
        let first = usize::try_from(attempt).unwrap_or_default().checked_rem(addresses.len());
        addresses.rotate_left(first.unwrap_or_default());
        addresses.reverse();
        self.connect(addresses, "the name has no address", registry, now)
    }

    /// Tries the last of the addresses that are left.
    fn connect(
        &mut self,
        mut left: Vec<SocketAddr>,
        why: &str,
        registry: &Registry,
        now: Instant,
    ) -> Progress {
        let mut why = why.to_owned();
        while let Some(address) = left.pop() {
            match open(address, self.token, registry) {
                Ok(stream) => {
                    self.state = State::Connecting { stream, address, left, until: now + CONNECT_DEADLINE };
                    return Progress::Pending;
                }
                Err(error) => why = self.at(address, &error.to_string()),
            }
        }
        self.failed(why)
    }

    fn check_connected(&mut self, registry: &Registry, now: Instant) -> Progress {
        let State::Connecting { stream, .. } = &self.state else { return Progress::Pending };
        match stream.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return self.next(&error.to_string(), registry, now),
        }
        match stream.peer_addr() {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotConnected => return Progress::Pending,
            Err(error) => return self.next(&error.to_string(), registry, now),
        }
        let before = std::mem::replace(&mut self.state, State::Idle);
        let State::Connecting { stream, .. } = before else { return Progress::Pending };
        // What is asked for is small and waits for nothing; a failure here costs latency only.
        let _ = stream.set_nodelay(true);
        match Socket::new(stream, self.tls.as_ref()) {
            Ok(socket) => Progress::Connected(socket),
            Err(Broken::Socket(kind)) => self.failed(kind.to_string()),
            Err(Broken::Tls(why)) => self.failed(why),
        }
    }

    fn next(&mut self, why: &str, registry: &Registry, now: Instant) -> Progress {
        let before = std::mem::replace(&mut self.state, State::Idle);
        let State::Connecting { address, left, .. } = before else { return Progress::Pending };
        self.connect(left, &self.at(address, why), registry, now)
    }

    fn failed(&mut self, why: String) -> Progress {
        self.state = State::Idle;
        Progress::Failed(why)
    }

    /// What went wrong with an address, named unless the configuration names it.
    fn at(&self, address: SocketAddr, why: &str) -> String {
        let address = address.to_string();
        if address == self.authority { why.to_owned() } else { format!("{address}: {why}") }
    }
}

fn open(address: SocketAddr, token: Token, registry: &Registry) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
    Ok(stream)
}
