//! The answers of `status`, `workers`, `matches` and `health`, as the contract writes them.
//!
//! What only the shell, a worker or the recorder knows (memory, ages, versions) is in public `Option` fields that
//! the shell fills before it serialises.

use crate::pool::children::deaths::DeathView;
use serde::Serialize;
use touchline_common::ipc::messages::worker::ConnectionState;
use touchline_common::model::{FeedId, SlotId};

/// What the shell knows for [`StatusView`].
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The program's version.
    pub version: String,
    /// Its build.
    pub build: String,
    /// Our process.
    pub pid: u32,
    /// The gateway.
    pub gateway: GatewayView,
    /// The sandbox.
    pub sandbox: SandboxView,
    /// The time of day, microseconds since 1970 UTC.
    pub wall_us: i64,
    /// Why the state could not be saved the last time; empty when it was.
    pub state_trouble: String,
}

/// `status --json`.
#[derive(Clone, Debug, Serialize)]
pub struct StatusView {
    /// The program's version.
    pub version: String,
    /// Its build.
    pub build: String,
    /// Our process.
    pub pid: u32,
    /// Seconds since the pool's start.
    pub uptime_s: f64,
    /// The state of the daemon.
    pub state: DaemonState,
    /// The highest epoch given out.
    pub epoch: u64,
    /// Workers.
    pub workers: WorkersCount,
    /// Matches.
    pub matches: MatchesCount,
    /// One entry per feed, in the configuration's order.
    pub feeds: Vec<FeedView>,
    /// The recorder.
    pub recorder: RecorderView,
    /// The gateway.
    pub gateway: GatewayView,
    /// The sandbox.
    pub sandbox: SandboxView,
    /// Why the state could not be saved the last time; empty when it was.
    pub state_trouble: String,
    /// The newest deaths of children, newest first, at most 20.
    pub deaths: Vec<DeathView>,
}

/// `rebalance --dry-run`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PlanView {
    /// Which matches would move, in this order.
    pub moves: Vec<MoveView>,
    /// Which worker would be retired next, since it is not needed.
    pub drains: Vec<DrainView>,
    /// How uneven the workers of each feed are now; a feed with one worker is missing, and so is one that is about to change.
    pub feeds: Vec<SpreadView>,
}

/// A move of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MoveView {
    /// The match.
    #[serde(rename = "match")]
    pub id: String,
    /// Its feed.
    pub feed: String,
    /// The worker that has it.
    pub from: u16,
    /// The worker that would have it.
    pub to: u16,
    /// Subscriptions that go with it.
    pub subscriptions: u32,
    /// Nobody follows it meanwhile, since the feed allows no second subscription.
    pub gap: bool,
}

/// A retirement of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DrainView {
    /// The worker.
    pub worker: u16,
    /// Why it is not needed.
    pub why: &'static str,
}

/// Subscriptions per worker of a feed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpreadView {
    /// The feed.
    pub feed: String,
    /// Of the fullest worker.
    pub most: u32,
    /// Of the emptiest.
    pub least: u32,
    /// Of all, on average.
    pub mean: f64,
}

/// The state of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DaemonState {
    /// Not ready yet.
    Starting,
    /// All is well.
    Ready,
    /// Something is missing; `health` names it.
    Degraded,
    /// Ending, with time to hand over.
    Draining,
    /// Ending.
    Stopping,
}

/// Workers by state.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct WorkersCount {
    /// Ready (draining ones included).
    pub ready: usize,
    /// Starting.
    pub starting: usize,
    /// Parked.
    pub parked: usize,
    /// Starts after a death, since the coordinator's start.
    pub restarts: u64,
    /// Slots.
    pub max: u16,
}

/// Matches by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MatchesCount {
    /// All but ended.
    pub listed: usize,
    /// Without a place.
    pub waiting: usize,
    /// Asked for.
    pub subscribing: usize,
    /// Live.
    pub live: usize,
    /// Stale.
    pub stale: usize,
    /// In quarantine.
    pub quarantined: usize,
    /// Over, since the coordinator's start.
    pub ended: u64,
}

/// A feed in `status`.
#[derive(Clone, Debug, Serialize)]
pub struct FeedView {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its state.
    pub state: FeedState,
    /// Subscriptions sent.
    pub asked: u64,
    /// Of them with a first message or a topic status.
    pub acknowledged: u64,
    /// Of them with a load.
    pub live: u64,
    /// Subscriptions per connection, as configured.
    pub cap: u32,
    /// Subscriptions per connection, as the server taught us.
    pub learned_cap: Option<u32>,
    /// Matches that were loaded again to see whether deltas of them are missing, since the coordinator's start.
    pub audits: u64,
    /// Of them, those whose deltas were.
    pub audits_missed: u64,
    /// Under strategy `dumps`: from one load of a match to its next, milliseconds, at the slowest worker.
    pub round_ms: Option<u32>,
    /// Why it is not up; empty when it is.
    pub why: String,
}

/// The health of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedState {
    /// All is well.
    Up,
    /// Up, with something waiting, stale, parked or capped.
    Degraded,
    /// No connection is up.
    Down,
}

/// The recorder in `status`.
#[derive(Clone, Debug, Serialize)]
pub struct RecorderView {
    /// `starting`, `ready`, `stopping`, `backoff`, `parked`, `down`.
    pub state: &'static str,
    /// Documents held.
    pub documents: u64,
    /// Events in the store.
    pub events: u64,
    /// Frames that wait for a commit.
    pub queue: u64,
    /// Observations lost.
    pub dropped: u64,
    /// Gaps still open.
    pub gaps_open: u64,
    /// What is wrong with the store; empty when nothing is.
    pub trouble: String,
}

/// The gateway in `status`.
#[derive(Clone, Debug, Serialize)]
pub struct GatewayView {
    /// `ready`, `starting` or `off`.
    pub state: String,
    /// Clients.
    pub clients: u64,
}

impl Default for GatewayView {
    fn default() -> Self {
        GatewayView { state: "off".into(), clients: 0 }
    }
}

/// The sandbox in `status`.
#[derive(Clone, Debug, Serialize)]
pub struct SandboxView {
    /// `v4`, …, or `off`.
    pub landlock: String,
    /// `on` or `off`.
    pub seccomp: String,
}

impl Default for SandboxView {
    fn default() -> Self {
        SandboxView { landlock: "off".into(), seccomp: "off".into() }
    }
}

/// An entry of `workers --json`.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerView {
    /// Its slot.
    pub worker: u16,
    /// Its process, if there is one.
    pub pid: Option<u32>,
    /// `starting`, `ready`, `draining`, `stopping`, `dying`, `dead`, `backoff`, `parked`.
    pub state: &'static str,
    /// Its feed's name.
    pub feed: String,
    /// Its connection.
    pub connection: ConnectionState,
    /// Matches that it holds.
    pub matches: u32,
    /// Subscriptions that it is known to hold.
    pub subscriptions: u32,
    /// Subscriptions asked of it that it has not seen yet.
    pub reserved: u32,
    /// Subscriptions that it may hold.
    pub cap: u32,
    /// Subscriptions sent on its connection.
    pub asked: u32,
    /// Subscriptions of them that were answered.
    pub acknowledged: u32,
    /// Subscriptions of them whose load is held.
    pub loaded: u32,
    /// The part of the last second that it worked.
    pub busy: f32,
    /// Deltas per second.
    pub diffs_per_s: f64,
    /// Bytes per second.
    pub bytes_per_s: f64,
    /// Bytes that wait to be read.
    pub receive_queue_bytes: u64,
    /// The most that waited since the last report.
    pub receive_queue_peak_bytes: u64,
    /// The server's queue for it.
    pub server_queue: Option<u32>,
    /// From read to section.
    pub lag_us: LagView,
    /// Resident memory; the shell fills it.
    pub rss_bytes: Option<u64>,
    /// Starts after a death.
    pub restarts: u32,
    /// How often the slot was started.
    pub generation: u32,
    /// Seconds since its spawn.
    pub uptime_s: Option<f64>,
    /// How the slot's last process ended.
    pub last_exit: Option<String>,
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct LagView {
    /// Half are faster.
    pub p50: u32,
    /// 99 % are faster.
    pub p99: u32,
}

/// An entry of `matches --json`.
#[derive(Clone, Debug, Serialize)]
pub struct MatchView {
    /// Its id.
    #[serde(rename = "match")]
    pub id: String,
    /// Its feed's name.
    pub feed: String,
    /// Its worker, if it has a place.
    pub worker: Option<u16>,
    /// Its epoch, if it has one.
    pub epoch: Option<u64>,
    /// Its state.
    pub state: MatchViewState,
    /// The version of its document; the shell fills it.
    pub version: Option<u64>,
    /// When that was rendered, RFC 3339; the shell fills it.
    pub updated_at: Option<String>,
    /// Milliseconds since its last message; the shell fills it.
    pub age_ms: Option<u64>,
    /// Its name.
    pub name: Option<String>,
    /// Why it waits or ended.
    pub why: Option<String>,
}

/// A match's state for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchViewState {
    /// Without a place.
    Waiting,
    /// Asked for.
    Subscribing,
    /// Live.
    Live,
    /// Nothing received for a while.
    Stale,
    /// Over.
    Ended,
    /// In quarantine.
    Quarantined,
}

impl MatchViewState {
    /// The state of this name, as `--state` takes it.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "waiting" => Self::Waiting,
            "subscribing" => Self::Subscribing,
            "live" => Self::Live,
            "stale" => Self::Stale,
            "ended" => Self::Ended,
            "quarantined" => Self::Quarantined,
            _ => return None,
        })
    }
}

/// Which matches `matches` shows; what is absent does not count.
#[derive(Clone, Copy, Debug, Default)]
pub struct MatchQuery {
    /// Of this feed.
    pub feed: Option<FeedId>,
    /// At this worker.
    pub worker: Option<SlotId>,
    /// In this state.
    pub state: Option<MatchViewState>,
}

/// `health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthView {
    /// Whether nothing is wrong.
    pub healthy: bool,
    /// What is wrong, a line each.
    pub reasons: Vec<String>,
}
