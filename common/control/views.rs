//! The answers of `status`, `workers`, `matches`, `rebalance --dry-run` and `health`, as the contract writes them: the coordinator writes them,
//! the command line and the demo read them.
//!
//! A member that an answer lacks has its default: daemon and command line may be of different versions.

use crate::ipc::messages::worker::ConnectionState;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// `status --json`.
#[derive(Clone, Debug, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct StatusView {
    pub version: String,
    pub build: String,
    pub pid: u32,
    /// Seconds since the pool's start.
    pub uptime_s: f64,
    pub state: DaemonState,
    pub epoch: u64,
    pub workers: WorkersCount,
    pub matches: MatchesCount,
    /// One entry per feed, in the configuration's order.
    pub feeds: Vec<FeedView>,
    pub recorder: RecorderView,
    pub gateway: GatewayView,
    pub sandbox: SandboxView,
    /// Why the state could not be saved the last time; empty when it was.
    pub state_trouble: String,
    /// The newest deaths of children, newest first, at most 20.
    pub deaths: Vec<DeathView>,
}

/// `1 match`, `2 matches`.
pub fn counted<N: std::fmt::Display + PartialEq + From<u8> + Copy>(
    count: N,
    one: &str,
    many: &str,
) -> String {
    let what = if count == N::from(1) { one } else { many };
    format!("{count} {what}")
}

/// `rebalance --dry-run`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanView {
    /// Which matches would move, in this order.
    pub moves: Vec<MoveView>,
    /// Which worker would be retired next, since it is not needed.
    pub drains: Vec<DrainView>,
    /// How uneven the workers of each feed are now; a feed with one worker is missing, and so is one that is about to change.
    pub feeds: Vec<SpreadView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct MoveView {
    #[serde(rename = "match")]
    pub id: String,
    pub feed: String,
    pub from: u16,
    pub to: u16,
    pub subscriptions: u32,
    /// It is not followed meanwhile, since the feed allows no second subscription.
    pub gap: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct DrainView {
    pub worker: u16,
    /// Why it is not needed.
    pub why: Cow<'static, str>,
}

/// Subscriptions per worker of a feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct SpreadView {
    pub feed: String,
    pub most: u32,
    pub least: u32,
    pub mean: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum DaemonState {
    #[default]
    Starting,
    Ready,
    /// Something is missing; `health` names it.
    Degraded,
    Draining,
    Stopping,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkersCount {
    pub ready: usize,
    pub starting: usize,
    /// Their matches are being moved to others.
    pub draining: usize,
    pub parked: usize,
    /// Starts after a death, since the coordinator's start.
    pub restarts: u64,
    pub max: u16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MatchesCount {
    pub listed: usize,
    /// Without a place.
    pub waiting: usize,
    pub subscribing: usize,
    pub live: usize,
    pub stale: usize,
    pub quarantined: usize,
    /// The server refuses them again and again.
    pub refused: usize,
    /// They left the list, and their end waits for their silence.
    pub ending: usize,
    /// Over, since the coordinator's start.
    pub ended: u64,
}

impl MatchesCount {
    /// Those that are listed and not live, by their state; one that is about to end lacks nothing.
    pub fn not_live(self) -> [(&'static str, usize); 5] {
        [
            ("waiting", self.waiting),
            ("subscribing", self.subscribing),
            ("stale", self.stale),
            ("quarantined", self.quarantined),
            ("refused", self.refused),
        ]
    }
}

/// A feed in `status`.
#[derive(Clone, Debug, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct FeedView {
    pub name: String,
    pub kind: String,
    pub state: FeedState,
    pub asked: u64,
    /// Of them with a first message or a topic status.
    pub acknowledged: u64,
    pub live: u64,
    /// Subscriptions that were asked for more than once, without an answer.
    pub never_answered: u64,
    /// Matches of its list that are not followed, since it has more than are followed of one.
    pub left_out: u64,
    /// Subscriptions per connection, as configured.
    pub cap: u32,
    /// Subscriptions per connection, as the server taught us.
    pub learned_cap: Option<u32>,
    /// Matches that were loaded again to see whether deltas of them are missing, since the coordinator's start.
    pub audits: u64,
    pub audits_missed: u64,
    /// Under strategy `dumps`: from one load of a match to its next, milliseconds, at the slowest worker.
    pub round_ms: Option<u32>,
    /// Of a polled feed: how what it asks for fares.
    pub sources: Option<SourcesView>,
    /// Of requests; none if there may be any number.
    pub quota: Option<QuotaView>,
    /// Why it is not up; empty when it is.
    pub why: String,
}

/// How what a polled feed asks for fares: each topic of each source is one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct SourcesView {
    pub up: u64,
    /// Answered, or asked, for longer than its interval.
    pub slow: u64,
    pub failing: u64,
    /// The one that fails for the longest time.
    pub worst: Option<FailingView>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct FailingView {
    /// Its name, and its match.
    pub source: String,
    pub why: String,
    pub failing_s: f64,
    /// Until it is asked again.
    pub next_s: f64,
}

/// Requests of all workers in a day of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct QuotaView {
    pub per_day: u64,
    /// Not given to a worker yet.
    pub left: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum FeedState {
    #[default]
    Up,
    /// Up, with something waiting, left out, stale, parked, never answered or capped.
    Degraded,
    /// No connection is up.
    Down,
}

/// The recorder in `status`.
#[derive(Clone, Debug, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct RecorderView {
    /// `starting`, `ready`, `stopping`, `backoff`, `parked`, `down`.
    pub state: Cow<'static, str>,
    pub documents: u64,
    pub events: u64,
    pub bulk: u64,
    /// Prices left out of the bulk stream because a newer one of their selection came before there was room.
    pub odds_conflated: u64,
    pub queue: u64,
    pub dropped: u64,
    pub gaps_open: u64,
    /// Rows that were deleted before each sink had read them, since the recorder's start.
    pub unread_lost: u64,
    /// Where events are sent on.
    pub sinks: Vec<SinkView>,
    /// What is wrong with the store; empty when nothing is.
    pub trouble: String,
}

/// A sink in `status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct SinkView {
    /// As `sink rewind` takes it.
    pub name: String,
    /// `redis`, `ndjson`, …
    pub kind: String,
    /// `connecting`, `delivering`, `backing off`, `stopped`.
    pub state: String,
    /// Rows that are committed and not settled; of the bulk stream those of the current hour at least.
    pub lag_rows: u64,
    /// Since when the oldest of them waits.
    pub lag_s: f64,
    /// Since the recorder's start.
    pub delivered: u64,
    /// Rows that the broker refused for good, ever.
    pub refused: u64,
    /// The newest error, empty if there was none.
    pub last_error: String,
    /// Until the next attempt, where one is waited for.
    pub next_retry_s: Option<f64>,
    /// Why `health` names it, empty if it is well.
    pub trouble: String,
}

/// The gateway in `status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayView {
    /// `ready`, `off`, or as that of a worker.
    pub state: String,
    pub clients: u64,
    /// Where it listens, once it does.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
}

impl Default for GatewayView {
    fn default() -> Self {
        GatewayView { state: "off".into(), clients: 0, address: String::new() }
    }
}

/// The sandbox in `status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
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
#[derive(Clone, Debug, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct WorkerView {
    pub worker: u16,
    /// Its process, if there is one.
    pub pid: Option<u32>,
    /// `starting`, `ready`, `draining`, `stopping`, `dying`, `dead`, `backoff`, `parked`.
    pub state: Cow<'static, str>,
    pub feed: String,
    pub connection: ConnectionState,
    pub matches: u32,
    pub subscriptions: u32,
    /// Subscriptions asked of it that it has not seen yet.
    pub reserved: u32,
    pub cap: u32,
    pub asked: u32,
    pub acknowledged: u32,
    pub loaded: u32,
    /// The part of the last second that it worked.
    pub busy: f32,
    pub diffs_per_s: f64,
    pub bytes_per_s: f64,
    /// Bytes that wait to be read.
    pub receive_queue_bytes: u64,
    /// The most that waited since the last report.
    pub receive_queue_peak_bytes: u64,
    pub server_queue: Option<u32>,
    pub lag_us: LagView,
    /// Resident memory; the shell fills it.
    pub rss_bytes: Option<u64>,
    /// Starts after a death.
    pub restarts: u32,
    pub generation: u32,
    /// Seconds since its spawn.
    pub uptime_s: Option<f64>,
    /// How the slot's last process ended.
    pub last_exit: Option<String>,
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LagView {
    /// Half are faster.
    pub p50: u32,
    /// 99 % are faster.
    pub p99: u32,
}

/// An entry of `matches --json`.
#[derive(Clone, Debug, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct MatchView {
    #[serde(rename = "match")]
    pub id: String,
    pub feed: String,
    /// Its worker, if it has a place.
    pub worker: Option<u16>,
    pub epoch: Option<u64>,
    pub state: MatchViewState,
    /// The version of its document; the shell fills it.
    pub version: Option<u64>,
    /// When that was rendered, RFC 3339; the shell fills it.
    pub updated_at: Option<String>,
    /// Milliseconds since its last message; the shell fills it.
    pub age_ms: Option<u64>,
    pub name: Option<String>,
    pub why: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum MatchViewState {
    /// Without a place.
    #[default]
    Waiting,
    Subscribing,
    Live,
    /// Nothing received for a while.
    Stale,
    /// It left the list, and its end waits for its silence.
    Ending,
    Ended,
    Quarantined,
    /// The server refuses it again and again; it is asked for again after a long time.
    Refused,
}

impl MatchViewState {
    pub const NAMES: [&str; 8] =
        ["waiting", "subscribing", "live", "stale", "ending", "ended", "quarantined", "refused"];

    /// The state of this name, as `--state` takes it.
    pub fn by_name(name: &str) -> Option<Self> {
        let name: StrDeserializer<'_, ValueError> = name.into_deserializer();
        Self::deserialize(name).ok()
    }
}

/// `health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct HealthView {
    /// Whether nothing is wrong.
    pub healthy: bool,
    pub reasons: Vec<String>,
}

/// A death in `status --json`, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct DeathView {
    /// `worker` or `recorder`.
    pub child: Cow<'static, str>,
    /// The worker's slot; `null` for the recorder.
    pub worker: Option<u16>,
    /// The worker's feed, empty for the recorder.
    pub feed: String,
    pub generation: u32,
    /// Its pid; `null` if no process came to be.
    pub pid: Option<u32>,
    /// When, by our wall clock as it is now.
    pub at: String,
    /// Its exit code, if it exited.
    pub exit: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    pub core: bool,
    /// Why we ended it, or why it did not start; empty when it died by itself.
    pub why: String,
    /// Seconds since its start.
    pub uptime_s: f64,
    pub matches: usize,
    /// The id of the match that a worker was at, as it noted it itself; `null` if it was at none.
    #[serde(rename = "match")]
    pub at_match: Option<String>,
    /// What it did when it last reported.
    pub last_activity: String,
    /// The most memory it ever held. Linux counts the coordinator's own at the fork in: at least that.
    pub peak_rss_bytes: Option<u64>,
    /// Processor time that it used, seconds.
    pub cpu_s: Option<f64>,
}

pub fn name_of(state: &impl Serialize) -> String {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(_) | Err(_) => String::new(),
    }
}
