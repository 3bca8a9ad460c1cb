//! The tables of the configuration apart from the feeds, with their defaults.
//!
//! Invariant: every key has a default, so an empty file is a whole configuration.

use super::units::{ByteSize, Dur, UnitError, written};
use crate::logging::LogFormat;
use serde::{Deserialize, Deserializer, Serialize};
use std::path::PathBuf;
use std::str::FromStr;

/// `[daemon]`: where the running program keeps its things.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DaemonConfig {
    /// Control socket and lock. Empty until `Config::resolve_dirs`.
    pub run_dir: PathBuf,
    /// Saved state and store. Empty until `Config::resolve_dirs`.
    pub state_dir: PathBuf,
}

/// `[control]`: who may ask, besides our own uid and root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlConfig {
    pub read_uids: Vec<u32>,
    pub operate_uids: Vec<u32>,
}

/// `[pool]`: the scanning workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PoolConfig {
    /// Kept even when idle.
    pub min_workers: u16,
    /// Never more.
    pub max_workers: u16,
    /// Kept ready and idle, so that a crash costs no start.
    pub spare_workers: u16,
    /// Whether work moves when the spread is too wide.
    pub rebalance: bool,
    pub drain_deadline: Dur,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            min_workers: 1,
            max_workers: 64,
            spare_workers: 0,
            rebalance: true,
            drain_deadline: Dur::secs(20),
        }
    }
}

/// `[limits]`: of one connection or one match. Past one: a clear error, never a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    pub frame: ByteSize,
    /// A message after inflating.
    pub inflated: ByteSize,
    /// Inflated bytes per compressed one.
    pub inflate_ratio: u32,
    pub nodes: u32,
    pub depth: u32,
    pub topics: u32,
    /// Bytes that wait to be sent.
    pub out_queue: ByteSize,
    /// What a worker holds of the match stream while the recorder does not take it.
    pub match_outbox: ByteSize,
    /// The same of the bulk stream.
    pub bulk_outbox: ByteSize,
    /// How long a change may wait for its rendering while more comes.
    pub publish_deadline: Dur,
    pub coalesce: Coalesce,
}

/// How long a worker waits for more deltas before it reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum Coalesce {
    /// 1 ms above 5,000 turns a second, else not at all.
    #[default]
    Auto,
    For(Dur),
}

impl FromStr for Coalesce {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::For) }
    }
}

impl<'de> Deserialize<'de> for Coalesce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        written(deserializer, "\"auto\" or a duration as text, such as \"5ms\"")
    }
}

impl From<Coalesce> for String {
    fn from(coalesce: Coalesce) -> Self {
        match coalesce {
            Coalesce::Auto => "auto".to_owned(),
            Coalesce::For(dur) => dur.to_string(),
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            frame: ByteSize::megabytes(4),
            inflated: ByteSize::megabytes(16),
            inflate_ratio: 200,
            nodes: 100_000,
            depth: 32,
            topics: 1_000,
            out_queue: ByteSize::megabytes(16),
            match_outbox: ByteSize::megabytes(8),
            bulk_outbox: ByteSize::megabytes(16),
            publish_deadline: Dur::millis(20),
            coalesce: Coalesce::Auto,
        }
    }
}

/// `[store]`: what is kept, where and how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// The database; a relative path is under `state_dir`.
    pub path: PathBuf,
    /// A document that changed is saved at most this much later.
    pub snapshot_interval: Dur,
    /// Bytes of documents saved per second at most.
    pub max_write: ByteSize,
    pub event_commit: Dur,
    /// Prices, suspensions and chat are committed this often, in a file an hour.
    pub bulk_commit: Dur,
    /// A lower score from a new connection is believed after this long.
    pub settle: Dur,
    pub keep_events: Dur,
    pub keep_odds: Dur,
    pub keep_chat: Dur,
    pub keep_matches: Dur,
    /// The store's size at most; the oldest odds go first.
    pub max_size: ByteSize,
    /// Whether the server's bytes are kept.
    pub record_raw: bool,
}

const DAY: u64 = 86_400;

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::from("touchline.db"),
            snapshot_interval: Dur::secs(1),
            max_write: ByteSize::megabytes(2),
            event_commit: Dur::millis(10),
            bulk_commit: Dur::millis(100),
            settle: Dur::secs(2),
            keep_events: Dur::secs(30 * DAY),
            keep_odds: Dur::secs(DAY),
            keep_chat: Dur::secs(7 * DAY),
            keep_matches: Dur::secs(7 * DAY),
            max_size: ByteSize::megabytes(10_000),
            record_raw: false,
        }
    }
}

/// A lane of the match stream. `[lanes]` moves types of events to the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Goals, penalties, red cards, periods and the like.
    Priority,
    Normal,
}

impl Lane {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::Normal => "normal",
        }
    }
}

/// Types of events of the bulk stream, which `[lanes]` moves nowhere.
pub(super) const BULK_TYPES: &[&str] = &["odds_change", "market_open", "market_close", "gift"];

/// Every type of event that `[lanes]` may move.
pub const EVENT_TYPES: &[&str] = &[
    "match_listed",
    "match_started",
    "period_start",
    "period_end",
    "added_time",
    "timeout",
    "match_ended",
    "goal",
    "score_change",
    "point",
    "game",
    "set",
    "card",
    "corner",
    "shot",
    "foul",
    "throw_in",
    "penalty",
    "penalty_shootout",
    "substitution",
    "var",
    "wicket",
    "suspended",
    "resumed",
    "stat_change",
    "comment",
    "mismatch",
    "gap_start",
    "gap_end",
    "retract",
];

/// `[streams]`: where events and documents are sent on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamsConfig {
    /// `redis://host:port/db`; empty: off.
    pub redis: String,
    /// `amqp://user@host:port/vhost`; empty: off.
    pub rabbitmq: String,
    /// The first part of each key.
    pub prefix: String,
    /// Entries of a stream at most.
    pub maxlen: u64,
    /// A file, or `-` for standard output; empty: off.
    pub ndjson: String,
    /// Brokers; empty: off.
    pub kafka: String,
}

impl Default for StreamsConfig {
    fn default() -> Self {
        Self {
            redis: String::new(),
            rabbitmq: String::new(),
            prefix: "touchline".to_owned(),
            maxlen: 100_000,
            ndjson: String::new(),
            kafka: String::new(),
        }
    }
}

/// `[gateway]`: what serves clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Where clients connect; empty: off.
    pub listen: String,
    /// The file that has the readers' token; empty: whoever reaches it may read.
    pub read_token_file: String,
    /// Whose `X-Forwarded-For` counts for limits per address.
    pub trusted_proxies: Vec<String>,
    /// Where publishers connect; empty: off.
    pub pub_listen: String,
    pub pub_secret_file: String,
    /// Where gateways meet; empty: alone.
    pub redis: String,
    pub origins: Vec<String>,
}

/// `[sandbox]`: what the children give up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxConfig {
    pub mode: SandboxMode,
    /// The user to become; empty: stay.
    pub user: String,
    /// The group to become; empty: stay.
    pub group: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxMode {
    Off,
    #[default]
    BestEffort,
    /// Whole, or no start.
    Strict,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    pub level: String,
    /// `stderr` or a file.
    pub target: String,
    pub format: LogFormat,
}

impl LogConfig {
    /// The file to write to; `None`: standard error.
    pub fn file(&self) -> Option<PathBuf> {
        (self.target != "stderr").then(|| PathBuf::from(&self.target))
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), target: "stderr".to_owned(), format: LogFormat::Line }
    }
}
