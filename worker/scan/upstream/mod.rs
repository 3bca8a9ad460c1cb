//! The one connection to the server: resolve, connect, read, write, and try again with jitter.
//!
//! `resolve` asks for addresses off the loop, which are tried in turn; `socket` is plain or TLS, `tls` says whom to trust,
//! `link` puts the session on the socket, through a tunnel where the transport is WebSocket, `standing` says what an open
//! session counts for. Whatever has to be agreed upon
//! before the session is open (TLS, the upgrade, its own handshake) shares the session's one deadline. Called by the
//! scanning loop only.

mod link;
mod resolve;
mod socket;
mod standing;
#[cfg(test)]
mod tests;
mod tls;

pub use standing::Standing;
pub use tls::{TlsPlan, Trust};

use crate::feed::backoff::Backoff;
use crate::feed::diffusion::{Comeback, LOGIN_WAIT, LostReason, News, Retry, Session, SessionConfig};
use crate::wire::diffusion::tunnel::{ClientTunnel, TunnelConfig};
use link::{Link, Queue};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token, Waker};
use resolve::Resolver;
use socket::{Broken, Socket};
use standing::Record;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a connection to one address may take to be made.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// How long leave to connect is waited for; a coordinator that does not answer is no reason to follow nothing.
const LEAVE_DEADLINE: Duration = Duration::from_secs(2);
/// How long a name may take to become addresses.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);

/// What a connection is made with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `host:port`.
    pub authority: String,
    /// The session's own settings.
    pub session: SessionConfig,
    /// TLS, where the transport has it.
    pub tls: Option<TlsPlan>,
    /// The WebSocket, where the transport is one.
    pub tunnel: Option<TunnelConfig>,
}

/// The upstream link.
#[derive(Debug)]
pub struct Upstream {
    plan: Plan,
    token: Token,
    resolver: Resolver,
    backoff: Backoff,
    /// What is kept of the last session for the next connection.
    comeback: Comeback,
    leave: Leave,
    state: State,
    record: Record,
    random: RandomState,
    attempts: u64,
}

/// Whether the next connection may be tried: all workers of a feed share one budget, which the coordinator keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// It may: of a new worker's first one the coordinator knew.
    Given,
    /// Not asked yet.
    Needed,
    /// The answer is awaited.
    Asked,
}

#[derive(Debug)]
enum State {
    /// Nothing before this time.
    Waiting { until: Instant },
    /// The name is being resolved.
    Resolving { until: Instant },
    /// The socket is being connected; the addresses that are left are tried after it.
    Connecting { stream: TcpStream, address: SocketAddr, left: Vec<SocketAddr>, until: Instant },
    /// Bytes flow.
    Connected { link: Link, session: Box<Session> },
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
    /// The next attempt is due: leave is to be asked for, and told with [`Upstream::permit`].
    AsksLeave,
}

impl Upstream {
    /// A connection that is tried at once. `waker` is of the loop's poll.
    pub fn new(plan: Plan, token: Token, waker: Arc<Waker>, now: Instant) -> Upstream {
        Upstream {
            resolver: Resolver::new(plan.authority.clone(), waker),
            plan,
            token,
            backoff: Backoff::default(),
            comeback: Comeback::default(),
            leave: Leave::Given,
            state: State::Waiting { until: now },
            record: Record::new(),
            random: RandomState::new(),
            attempts: 0,
        }
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { until } | State::Resolving { until } | State::Connecting { until, .. } => {
                Some(*until)
            }
            State::Connected { session, .. } => {
                [session.deadline(), self.record.deadline()].into_iter().flatten().min()
            }
        }
    }

    /// The session, while there is one.
    pub fn session(&mut self) -> Option<&mut Session> {
        match &mut self.state {
            State::Connected { session, .. } => Some(session),
            State::Waiting { .. } | State::Resolving { .. } | State::Connecting { .. } => None,
        }
    }

    /// The session, while there is one.
    pub fn session_ref(&self) -> Option<&Session> {
        match &self.state {
            State::Connected { session, .. } => Some(session),
            State::Waiting { .. } | State::Resolving { .. } | State::Connecting { .. } => None,
        }
    }

    /// Whether all that came is read: the socket, TLS and the tunnel are empty.
    pub fn is_drained(&self) -> bool {
        match &self.state {
            State::Connected { link, .. } => link.is_drained(),
            State::Waiting { .. } | State::Resolving { .. } | State::Connecting { .. } => true,
        }
    }

    /// Does what is due, and what a readiness event may have made possible.
    pub fn advance(&mut self, registry: &Registry, now: Instant) -> Step {
        match &mut self.state {
            State::Waiting { until } if now >= *until => match self.leave {
                Leave::Given | Leave::Asked => {
                    self.leave = Leave::Needed;
                    self.resolve(registry, now)
                }
                Leave::Needed => {
                    self.leave = Leave::Asked;
                    self.state = State::Waiting { until: now + LEAVE_DEADLINE };
                    Step::AsksLeave
                }
            },
            State::Resolving { until } => {
                let until = *until;
                self.check_resolved(until, registry, now)
            }
            State::Connecting { until, .. } if now >= *until => {
                self.try_next(&format!("no connection within {CONNECT_DEADLINE:?}"), registry, now)
            }
            State::Connecting { .. } => self.check_connected(registry, now),
            State::Connected { session, .. } => {
                session.timer(now);
                Step::Nothing
            }
            State::Waiting { .. } => Step::Nothing,
        }
    }

    fn resolve(&mut self, registry: &Registry, now: Instant) -> Step {
        match self.resolver.ask() {
            Ok(Some(addresses)) => self.begin(addresses, registry, now),
            Ok(None) => {
                let until = now + RESOLVE_DEADLINE;
                self.state = State::Resolving { until };
                // An answer to an earlier question may be there already; nothing wakes the loop for it again.
                self.check_resolved(until, registry, now)
            }
            Err(error) => self.failed(&error.to_string(), now),
        }
    }

    fn check_resolved(&mut self, until: Instant, registry: &Registry, now: Instant) -> Step {
        match self.resolver.answer() {
            Some(Ok(addresses)) => self.begin(addresses, registry, now),
            Some(Err(error)) => self.failed(&error.to_string(), now),
            None if now >= until => {
                self.failed(&format!("the name has no answer within {RESOLVE_DEADLINE:?}"), now)
            }
            None => Step::Nothing,
        }
    }

    /// Each attempt begins with another address: one of them may take connections and lead nowhere.
    fn begin(&mut self, mut addresses: Vec<SocketAddr>, registry: &Registry, now: Instant) -> Step {
        let first = usize::try_from(self.attempts).unwrap_or_default().checked_rem(addresses.len());
        addresses.rotate_left(first.unwrap_or_default());
        addresses.reverse();
        self.connect(addresses, "the name has no address", registry, now)
    }

    /// Tries the last of the addresses that are left.
    fn connect(&mut self, mut left: Vec<SocketAddr>, why: &str, registry: &Registry, now: Instant) -> Step {
        let mut why = why.to_owned();
        while let Some(address) = left.pop() {
            match self.open(address, registry) {
                Ok(stream) => {
                    self.state = State::Connecting { stream, address, left, until: now + CONNECT_DEADLINE };
                    return Step::Nothing;
                }
                Err(error) => why = self.at(address, &error.to_string()),
            }
        }
        self.failed(&why, now)
    }

    fn open(&self, address: SocketAddr, registry: &Registry) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(address)?;
        registry.register(&mut stream, self.token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(stream)
    }

    /// What went wrong with an address, named unless the configuration names it.
    fn at(&self, address: SocketAddr, why: &str) -> String {
        let address = address.to_string();
        if address == self.plan.authority { why.to_owned() } else { format!("{address}: {why}") }
    }

    fn try_next(&mut self, why: &str, registry: &Registry, now: Instant) -> Step {
        let before = std::mem::replace(&mut self.state, State::Waiting { until: now });
        let State::Connecting { address, left, .. } = before else { return Step::Nothing };
        self.connect(left, &self.at(address, why), registry, now)
    }

    fn check_connected(&mut self, registry: &Registry, now: Instant) -> Step {
        let State::Connecting { stream, .. } = &self.state else { return Step::Nothing };
        match stream.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return self.try_next(&error.to_string(), registry, now),
        }
        match stream.peer_addr() {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotConnected => return Step::Nothing,
            Err(error) => return self.try_next(&error.to_string(), registry, now),
        }
        let before = std::mem::replace(&mut self.state, State::Waiting { until: now });
        let State::Connecting { stream, .. } = before else { return Step::Nothing };
        // Subscriptions are small and wait for nothing; a failure here costs latency only.
        let _ = stream.set_nodelay(true);
        let socket = match Socket::new(stream, self.plan.tls.as_ref()) {
            Ok(socket) => socket,
            Err(Broken::Socket(kind)) => return self.failed(&kind.to_string(), now),
            Err(Broken::Tls(why)) => return self.failed(&why, now),
        };
        let wall_ms =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let config = SessionConfig { wall_ms, ..self.plan.session.clone() };
        let session = match self.comeback.take(now) {
            Some(earlier) => Session::resume(config, earlier, now),
            None => Session::new(config, now),
        };
        // What the poll said while the socket was being connected was not kept.
        let link = Link { socket, tunnel: self.tunnel(), queue: Queue::Ending };
        self.state = State::Connected { link, session: Box::new(session) };
        Step::Connected
    }

    fn tunnel(&self) -> Option<Box<ClientTunnel>> {
        let config = self.plan.tunnel.clone()?;
        let half = |salt: u8| self.random.hash_one((self.attempts, salt));
        let random = (u128::from(half(1)) << 64 | u128::from(half(2))).to_ne_bytes();
        Some(Box::new(ClientTunnel::new(config, random)))
    }

    fn failed(&mut self, why: &str, now: Instant) -> Step {
        let wait = self.wait();
        self.state = State::Waiting { until: now + wait };
        Step::Failed(format!("{}: {why}; next attempt in {} ms", self.plan.authority, wait.as_millis()))
    }

    /// The session is over: drops the connection and plans the next one. What to say of it, and whether that is new.
    pub fn lost(&mut self, why: &LostReason, now: Instant) -> (String, News) {
        let mut stage = "";
        let _ = self.stands(now);
        let advice = self.record.ended(why).advice(why);
        let (retry, news) = match std::mem::replace(&mut self.state, State::Waiting { until: now }) {
            State::Connected { mut link, session } => {
                link.socket.farewell();
                if matches!(why, LostReason::HandshakeDeadline { .. }) {
                    stage = link.stage();
                }
                self.comeback.lost(*session, why, now)
            }
            State::Waiting { .. } | State::Resolving { .. } | State::Connecting { .. } => {
                (Retry::Soon, News::Changed)
            }
        };
        let wait = match retry {
            Retry::AtOnce => Duration::ZERO,
            Retry::Soon => self.wait(),
            // The jitter of the usual wait keeps workers apart.
            Retry::Late => LOGIN_WAIT + self.wait(),
        };
        self.state = State::Waiting { until: now + wait };
        let wait_ms = wait.as_millis();
        let told = format!("{}: {why}{stage}{advice}; next attempt in {wait_ms} ms", self.plan.authority);
        (told, news)
    }

    fn wait(&mut self) -> Duration {
        self.attempts += 1;
        self.backoff.failed(self.random.hash_one(self.attempts))
    }

    /// The server accepted the session. What that counts for.
    pub fn opened(&mut self, now: Instant) -> Standing {
        self.comeback.opened();
        self.record.opened(now)
    }

    /// The session serves what it was asked for: the next failure is the first again. Whether that is news.
    pub fn served(&mut self) -> Option<Standing> {
        let news = self.record.served();
        self.proven(news)
    }

    /// A session that stands long enough counts as one that serves. Whether that is news.
    pub fn stands(&mut self, now: Instant) -> Option<Standing> {
        let news = self.record.stands(now);
        self.proven(news)
    }

    fn proven(&mut self, news: Option<Standing>) -> Option<Standing> {
        if news.is_some() {
            self.backoff.succeeded();
            self.comeback.served();
        }
        news
    }

    /// The attempt that leave was asked for may be made.
    pub fn permit(&mut self, now: Instant) {
        if self.leave == Leave::Asked
            && let State::Waiting { until } = &mut self.state
        {
            self.leave = Leave::Given;
            *until = now;
        }
    }

    /// The poll saw something.
    pub fn note(&mut self, readiness: Readiness) {
        if let State::Connected { link, .. } = &mut self.state {
            link.queue = match (readiness, link.queue) {
                (Readiness::End, _) | (Readiness::Bytes, Queue::Ending) => Queue::Ending,
                (Readiness::Bytes, Queue::Drained | Queue::Unread) => Queue::Unread,
            };
        }
    }

    /// One read into the session's buffer; a read shorter than the room counts as drained, unless the peer closed.
    /// Returns the bytes read, as the session counts them.
    pub fn read(&mut self, now: Instant) -> usize {
        match &mut self.state {
            State::Connected { link, session } => link.read(session, now),
            State::Waiting { .. } | State::Resolving { .. } | State::Connecting { .. } => 0,
        }
    }

    /// Writes what the session has to send, as far as the socket takes it.
    pub fn flush(&mut self) {
        match &mut self.state {
            State::Connected { link, session } => link.flush(session),
            State::Waiting { .. } | State::Resolving { .. } | State::Connecting { .. } => {}
        }
    }

    /// Bytes that came and are not applied: in the kernel and in our buffer.
    pub fn receive_queue(&self) -> u64 {
        match &self.state {
            State::Connected { link, session } => link.kernel_queue() + session.unread() as u64,
            State::Waiting { .. } | State::Resolving { .. } | State::Connecting { .. } => 0,
        }
    }
}
