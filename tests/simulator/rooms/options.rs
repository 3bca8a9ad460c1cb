//! What a simulated room server is asked to do, as plain data.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that can be chosen about a simulated room server.
#[derive(Clone, Debug)]
pub struct RoomOptions {
    /// Where it listens for TCP; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where it listens for WebSockets; port 0 takes a free one.
    pub websocket: SocketAddr,
    /// Rooms that are open at any moment.
    pub rooms: usize,
    /// Messages a second over all rooms; a room has its share only while somebody is in it.
    pub rate: f64,
    /// How many times the quietest room's share the busiest one has.
    pub spread: f64,
    /// The seed of everything random. A room's n-th message is the same with the same seed.
    pub seed: u64,
    /// How many rooms close, and others open, a minute.
    pub churn: f64,
    /// What a join must show; none: anything is let in.
    pub token: Option<String>,
    /// Messages of before that are sent again to whoever joins a room.
    pub overlap: u64,
    /// Packets in a thousand that cannot be read, between the others.
    pub garbage: usize,
    /// Bytes handed to the kernel at once; none: as many as there are.
    pub piece: Option<usize>,
    /// Connections of one address; one more is reset. None: any number.
    pub per_address: Option<usize>,
    /// A connection, one of all, is reset this often. None: never.
    pub reset_every: Option<Duration>,
    /// How long a connection may take to join.
    pub join_within: Duration,
    /// How long it may be silent then.
    pub silence: Duration,
    /// Bytes that may wait for one connection; past it, it is reset as a slow consumer.
    pub out_queue: usize,
    /// Where ranking and truth are served over HTTP.
    pub http: SocketAddr,
    /// Where the certificate of the authority is written that vouches for the server, in PEM: WebSockets are over TLS then. None: they are
    /// not.
    pub authority: Option<PathBuf>,
}

impl Default for RoomOptions {
    fn default() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: any,
            websocket: any,
            rooms: 300,
            rate: 1_000.0,
            spread: 1_000.0,
            seed: 1,
            churn: 0.0,
            token: None,
            overlap: 0,
            garbage: 0,
            piece: None,
            per_address: None,
            reset_every: None,
            join_within: Duration::from_secs(5),
            silence: Duration::from_secs(70),
            out_queue: 16_000_000,
            http: any,
            authority: None,
        }
    }
}

/// How a room that is closed to us answers a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// By a code that is not 0, and the end of the connection.
    Code,
    /// By the end of the connection.
    Close,
    /// Not at all.
    Silence,
}

/// What the ranking answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ranking {
    /// The open rooms.
    #[default]
    Served,
    /// No room.
    Empty,
    /// No room, once; the open ones after that.
    EmptyOnce,
    /// An error.
    Failing,
}

/// Connections to be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    All,
    /// Those that joined this room.
    Room(u64),
    /// The one at this place among the open ones, counted from the first again beyond the last.
    One(usize),
}

/// Whether the host can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Host {
    #[default]
    Up,
    /// Whoever connects is reset, and so are those that are connected.
    Down,
}
