//! What a simulated JSON push server is asked to do, as plain data.

use super::dialect::Dialect;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that can be chosen about a simulated JSON push server.
#[derive(Clone, Debug)]
pub struct PushOptions {
    /// Where it listens for WebSockets, at any path; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the list of topics and the truth are served over HTTP.
    pub http: SocketAddr,
    pub dialect: Dialect,
    pub topics: usize,
    /// Changes a second over all topics, each topic in its turn.
    pub rate: f64,
    /// The seed of everything random. A topic's n-th change is the same with the same seed.
    pub seed: u64,
    /// Subscriptions of one connection.
    pub cap: usize,
    pub over_cap: OverCap,
    /// Topics of one request; one with more is refused.
    pub batch: usize,
    /// Topics that a connection may ask for in a second; more are refused. None: any number.
    pub subscribes_per_s: Option<usize>,
    /// What a login must show; none: nobody has to log in.
    pub token: Option<String>,
    /// How long a login is good for; the connection ends then with 4001.
    pub login_expires: Option<Duration>,
    /// How often a connection is sent a heartbeat.
    pub heartbeat: Duration,
    /// How long a client may say nothing at all.
    pub silence: Duration,
    pub deltas: Deltas,
    /// Changes of a topic that are put together before they are sent; 1: none are.
    pub conflate: u64,
    pub frames: Frames,
    pub faults: Faults,
    /// Bytes that may wait for one connection; past it, it is reset as a slow consumer.
    pub out_queue: usize,
    /// A recorded stream, one message a line, which is one topic beside the others (exchange alone),
    pub recording: Option<PathBuf>,
    /// and how many of its lines are sent a second.
    pub lines_per_s: f64,
}

impl Default for PushOptions {
    fn default() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: any,
            http: any,
            dialect: Dialect::Exchange,
            topics: 50,
            rate: 500.0,
            seed: 1,
            cap: 20,
            over_cap: OverCap::Error,
            batch: 50,
            subscribes_per_s: None,
            token: None,
            login_expires: None,
            heartbeat: Duration::from_secs(2),
            silence: Duration::from_secs(30),
            deltas: Deltas::Merge,
            conflate: 1,
            frames: Frames::Text,
            faults: Faults::default(),
            out_queue: 32_000_000,
            recording: None,
            lines_per_s: 2_000.0,
        }
    }
}

/// What becomes of a subscription above the cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverCap {
    /// The connection ends with 1008.
    Close,
    /// It is refused.
    #[default]
    Error,
    /// It is not answered.
    Ignore,
    /// It is acknowledged, and nothing ever comes.
    NoSnapshot,
    /// It is acknowledged, and most of its deltas are left out.
    Thin,
}

/// The form of deltas where a dialect has several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deltas {
    /// RFC 7396.
    #[default]
    Merge,
    /// RFC 6902.
    Patch,
}

/// In which frames messages travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Frames {
    #[default]
    Text,
    /// Text, in permessage-deflate where the client offers that.
    Compressed,
    /// Binary, each message in gzip.
    Gzip,
    /// Binary, each message in zlib.
    Zlib,
}

/// What goes wrong between the changes, each so many times in 100,000 deltas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A delta is left out.
    pub holes: usize,
    /// A delta comes twice.
    pub duplicates: usize,
    /// A delta comes behind the next one of its topic.
    pub reordered: usize,
    /// A delta of a topic that was never asked for comes, too.
    pub strangers: usize,
}

/// Connections that are to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    /// The one at this place among the open ones, counted from the first again beyond the last.
    One(usize),
    /// Those that are subscribed to it.
    Topic(String),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Reset,
    /// With this code: 1008 for a policy, 1012 for a restart, 4001 for a login that is over.
    Close(u16),
}

/// A single thing that goes wrong with the next delta of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    Hole,
    Duplicate,
    Reorder,
}
