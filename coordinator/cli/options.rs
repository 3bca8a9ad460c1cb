//! What the verbs that are carried out elsewhere were asked to do, as plain data.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use touchline_simulator::{BodyEncoding, Login, OnResume, OverCap, Payload, Protocol, Transport};

/// Whether people or programs read the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputFormat {
    /// Text for people.
    #[default]
    Text,
    /// JSON.
    Json,
}

/// `touchline run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// The file that the configuration came from, absolute, for a reload.
    pub config_path: PathBuf,
    /// Where the control socket is to be, if not where the configuration has it.
    pub socket: Option<PathBuf>,
}

/// `touchline demo`.
#[derive(Clone, Debug, PartialEq)]
pub struct DemoOptions {
    /// Simulated matches.
    pub matches: usize,
    /// Diffs per second over all of them.
    pub rate: f64,
    /// Times in which the rate is higher.
    pub burst: Option<BurstSpec>,
    /// End after this long and hold the outcome against the truth; `None`: until a signal.
    pub duration: Option<Duration>,
    /// Recorded matches to play beside the simulated ones.
    pub replay: Replay,
    /// The folder for sockets and store; `None`: a temporary one.
    pub dir: Option<PathBuf>,
    /// Whether a temporary folder stays.
    pub keep: Keep,
    /// The seed of everything random.
    pub seed: u64,
    /// Subscriptions that one connection may hold.
    pub cap: u32,
    /// How server and daemon speak.
    pub wire: Wire,
    /// How progress is printed.
    pub output: OutputFormat,
}

/// How a server speaks. The text form goes with WebSockets only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// How bytes travel.
    pub transport: Transport,
    /// How messages are written.
    pub protocol: Protocol,
}

/// Whether the folder of a demo stays when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It stays.
    Yes,
    /// It goes.
    No,
}

/// Recorded matches and how fast they are played.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// Their files.
    pub files: Vec<PathBuf>,
    /// Seconds of a match in one second.
    pub speed: f64,
}

/// Times in which the rate is `factor` times as high, each `len` long, one each `every`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BurstSpec {
    /// How many times the rate.
    pub factor: f64,
    /// How long.
    pub len: Duration,
    /// From one's beginning to the next one's.
    pub every: Duration,
}

/// `touchline simulate`.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulateOptions {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How it speaks.
    pub wire: Wire,
    /// Where the certificate of its authority is written, if it has TLS; `None`: nowhere.
    pub ca_file: Option<PathBuf>,
    /// Simulated matches.
    pub matches: usize,
    /// Diffs per second over all of them.
    pub rate: f64,
    /// Times in which the rate is higher.
    pub burst: Option<BurstSpec>,
    /// Subscriptions that one connection may hold; `None`: any number.
    pub cap: Option<u32>,
    /// How matches are published.
    pub payload: Payload,
    /// How it treats its clients.
    pub manners: Manners,
    /// The seed of everything random.
    pub seed: u64,
    /// Matches per minute that end while others appear.
    pub churn: f64,
    /// Recorded matches to play beside the simulated ones.
    pub replay: Replay,
    /// Where the truth is served over HTTP.
    pub truth: Option<SocketAddr>,
    /// How progress is printed.
    pub output: OutputFormat,
}

/// How a simulated server treats its clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manners {
    /// What happens above the cap.
    pub over_cap: OverCap,
    /// Who may connect; `None`: anybody.
    pub login: Option<Login>,
    /// The session that is good; `None`: any.
    pub session: Option<String>,
    /// How long a session is kept after its connection broke.
    pub keep_alive: Duration,
    /// What a session gets that goes on.
    pub on_resume: OnResume,
    /// How bodies are written for clients that can take it.
    pub encoding: BodyEncoding,
    /// Longer bodies come in pieces of that size; `None`: in one.
    pub fragment_above: Option<usize>,
    /// Messages that may wait for a connection; `None`: any number.
    pub max_depth: Option<usize>,
}

/// The hidden verbs of the forked processes. Their channel is descriptor 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildOptions {
    /// What it is to be.
    pub kind: ChildKind,
    /// The slot, for the process list only: what counts comes through the channel.
    pub slot: Option<u16>,
    /// The process that forked it: if it is another by now, the child leaves.
    pub parent: Option<u32>,
}

/// What a forked process is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildKind {
    /// A scanning worker.
    Worker,
    /// The recorder.
    Recorder,
}
