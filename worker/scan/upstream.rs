//! The one connection to the server: resolve, connect, read, write, and try again with jitter.
//!
//! Names are resolved when a connection is tried, before its socket exists; addresses that are numbers, the usual case for a
//! push server behind a balancer, cost nothing. Called by the scanning loop only.

use crate::feed::backoff::Backoff;
use crate::feed::diffusion::{LostReason, Session, SessionConfig};
use crate::watch::Watch;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a connection may take to be made.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// What a connection is made with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `host:port`.
    pub authority: String,
    /// The session's own settings.
    pub session: SessionConfig,
}

/// The upstream link.
#[derive(Debug)]
pub struct Upstream {
    plan: Plan,
    token: Token,
    backoff: Backoff,
    state: State,
    random: RandomState,
    attempts: u64,
}

#[derive(Debug)]
enum State {
    /// Nothing before this time.
    Waiting { until: Instant },
    /// The socket is being connected.
    Connecting { stream: TcpStream, until: Instant },
    /// Bytes flow.
    Connected { stream: TcpStream, session: Box<Session>, queue: Queue, watch: Watch },
}

/// What the socket's receive queue holds, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    /// Nothing; the next event says when there is more.
    Drained,
    /// Something may be there.
    Unread,
    /// Something may be there, and behind it the end: no event will announce that again, so a short read proves nothing.
    Ending,
}

/// What the poll said of the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Bytes may be there, or room to write.
    Bytes,
    /// The server closed its side, or the connection broke.
    End,
}

/// What a step of the connection found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing to tell.
    Nothing,
    /// The socket is connected; the session shakes hands, and topics can be subscribed.
    Connected,
    /// The attempt failed; the next comes by itself.
    Failed(String),
}

impl Upstream {
    /// A connection that is tried at once.
    pub fn new(plan: Plan, token: Token, now: Instant) -> Upstream {
        let state = State::Waiting { until: now };
        Upstream { plan, token, backoff: Backoff::default(), state, random: RandomState::new(), attempts: 0 }
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { until } | State::Connecting { until, .. } => Some(*until),
            State::Connected { session, .. } => session.deadline(),
        }
    }

    /// The session, while there is one.
    pub fn session(&mut self) -> Option<&mut Session> {
        match &mut self.state {
            State::Connected { session, .. } => Some(session),
            State::Waiting { .. } | State::Connecting { .. } => None,
        }
    }

    /// The session, while there is one.
    pub fn session_ref(&self) -> Option<&Session> {
        match &self.state {
            State::Connected { session, .. } => Some(session),
            State::Waiting { .. } | State::Connecting { .. } => None,
        }
    }

    /// Whether all that came is read.
    pub fn is_drained(&self) -> bool {
        match &self.state {
            State::Connected { queue, .. } => *queue == Queue::Drained,
            State::Waiting { .. } | State::Connecting { .. } => true,
        }
    }

    /// Does what is due, and what a readiness event may have made possible.
    pub fn advance(&mut self, registry: &Registry, now: Instant) -> Step {
        match &mut self.state {
            State::Waiting { until } if now >= *until => self.connect(registry, now),
            State::Connecting { until, .. } if now >= *until => {
                self.failed(&format!("no connection within {CONNECT_DEADLINE:?}"), now)
            }
            State::Connecting { .. } => self.check_connected(now),
            State::Connected { session, .. } => {
                session.timer(now);
                Step::Nothing
            }
            State::Waiting { .. } => Step::Nothing,
        }
    }

    fn connect(&mut self, registry: &Registry, now: Instant) -> Step {
        let stream = resolve(&self.plan.authority, self.attempts).and_then(|address| {
            let mut stream = TcpStream::connect(address)?;
            registry.register(&mut stream, self.token, Interest::READABLE | Interest::WRITABLE)?;
            Ok(stream)
        });
        match stream {
            Ok(stream) => {
                self.state = State::Connecting { stream, until: now + CONNECT_DEADLINE };
                Step::Nothing
            }
            Err(error) => self.failed(&error.to_string(), now),
        }
    }

    fn check_connected(&mut self, now: Instant) -> Step {
        let State::Connecting { stream, .. } = &self.state else { return Step::Nothing };
        match stream.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return self.failed(&error.to_string(), now),
        }
        match stream.peer_addr() {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotConnected => return Step::Nothing,
            Err(error) => return self.failed(&error.to_string(), now),
        }
        let before = std::mem::replace(&mut self.state, State::Waiting { until: now });
        let State::Connecting { stream, .. } = before else { return Step::Nothing };
        // Subscriptions are small and wait for nothing; a failure here costs latency only.
        let _ = stream.set_nodelay(true);
        let wall_ms =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let session = Session::new(SessionConfig { wall_ms, ..self.plan.session.clone() }, now);
        // What the poll said while the socket was being connected was not kept.
        let queue = Queue::Ending;
        let watch = Watch::of_both(stream.as_raw_fd(), self.token);
        self.state = State::Connected { stream, session: Box::new(session), queue, watch };
        Step::Connected
    }

    fn failed(&mut self, why: &str, now: Instant) -> Step {
        let wait = self.wait();
        self.state = State::Waiting { until: now + wait };
        Step::Failed(format!("{}: {why}; next attempt in {} ms", self.plan.authority, wait.as_millis()))
    }

    /// The session is over: drops the connection and plans the next one.
    pub fn lost(&mut self, why: &LostReason, now: Instant) -> String {
        let wait = self.wait();
        self.state = State::Waiting { until: now + wait };
        format!("{}: {why}; next attempt in {} ms", self.plan.authority, wait.as_millis())
    }

    fn wait(&mut self) -> Duration {
        self.attempts += 1;
        self.backoff.failed(self.random.hash_one(self.attempts))
    }

    /// The server accepted the session: the next failure is the first again.
    pub fn opened(&mut self) {
        self.backoff.succeeded();
    }

    /// The poll saw something.
    pub fn note(&mut self, readiness: Readiness) {
        if let State::Connected { queue, .. } = &mut self.state {
            *queue = match (readiness, *queue) {
                (Readiness::End, _) | (Readiness::Bytes, Queue::Ending) => Queue::Ending,
                (Readiness::Bytes, Queue::Drained | Queue::Unread) => Queue::Unread,
            };
        }
    }

    /// One read into the session's buffer; a read shorter than the room counts as drained, unless the peer closed.
    /// Returns the bytes read.
    pub fn read(&mut self, now: Instant) -> usize {
        let State::Connected { stream, session, queue, watch: _ } = &mut self.state else { return 0 };
        loop {
            let spare = session.spare();
            let room = spare.len();
            if room == 0 {
                return 0;
            }
            match stream.read(spare) {
                Ok(0) => {
                    session.disconnected(None);
                    *queue = Queue::Drained;
                    return 0;
                }
                Ok(n) => {
                    session.filled(n, now);
                    if n < room && *queue == Queue::Unread {
                        *queue = Queue::Drained;
                    }
                    return n;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    *queue = Queue::Drained;
                    return 0;
                }
                Err(error) => {
                    session.disconnected(Some(error.kind()));
                    *queue = Queue::Drained;
                    return 0;
                }
            }
        }
    }

    /// Writes what the session has to send, as far as the socket takes it.
    pub fn flush(&mut self, registry: &Registry) {
        let State::Connected { stream, session, queue, watch } = &mut self.state else { return };
        let written = write(stream, session).and_then(|()| watch.unsent(registry, session.output().len()));
        if let Err(error) = written {
            session.disconnected(Some(error.kind()));
            // The next turn comes at once and tells it.
            *queue = Queue::Unread;
        }
    }

    /// Bytes that came and are not applied: in the kernel and in our buffer.
    pub fn receive_queue(&self) -> u64 {
        let State::Connected { stream, session, .. } = &self.state else { return 0 };
        let kernel = touchline_common::sys::queue::readable_bytes(stream.as_fd()).unwrap_or(0);
        kernel + session.unread() as u64
    }
}

fn write(stream: &mut TcpStream, session: &mut Session) -> io::Result<()> {
    while !session.output().is_empty() {
        match stream.write(session.output()) {
            Ok(n) => session.output_sent(n),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The address to try: a name with several gets them in turn, for one of them may lead nowhere from here.
fn resolve(authority: &str, attempt: u64) -> io::Result<SocketAddr> {
    if let Ok(address) = authority.parse() {
        return Ok(address);
    }
    let addresses: Vec<SocketAddr> = authority.to_socket_addrs()?.collect();
    let place = usize::try_from(attempt).unwrap_or_default().checked_rem(addresses.len()).unwrap_or_default();
    let address = addresses.get(place).copied();
    address.ok_or_else(|| io::Error::new(ErrorKind::NotFound, "the name has no address"))
}
