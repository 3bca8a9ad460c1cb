//! The tables of the configuration apart from the feeds, with their defaults.
//!
//! Invariant: every key has a default, so an empty file is a whole configuration.

use super::units::{ByteSize, Dur, UnitError, as_text};
use crate::logging::LogFormat;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Declares a table of the file: its keys with their types and defaults.
macro_rules! table {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $($(#[$doc:meta])* $key:ident: $type:ty = $default:expr,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$doc])* pub $key: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }
    };
}
pub(super) use table;

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

table! {
    /// `[pool]`: the scanning workers.
    pub struct PoolConfig {
        /// Kept even when idle.
        min_workers: u16 = 1,
        /// Never more.
        max_workers: u16 = 64,
        /// Kept ready and idle, so that a crash costs no start.
        spare_workers: u16 = 0,
        /// Whether work moves when the spread is too wide.
        rebalance: bool = true,
        drain_deadline: Dur = Dur::secs(20),
    }
}

table! {
    /// `[limits]`: of one connection or one match. Past one: a clear error, never a crash.
    pub struct LimitsConfig {
        frame: ByteSize = ByteSize::megabytes(4),
        /// A message after inflating.
        inflated: ByteSize = ByteSize::megabytes(16),
        /// Inflated bytes per compressed one.
        inflate_ratio: u32 = 200,
        nodes: u32 = 100_000,
        depth: u32 = 32,
        topics: u32 = 1_000,
        /// Bytes that wait to be sent.
        out_queue: ByteSize = ByteSize::megabytes(16),
        /// What a worker holds of the match stream while the recorder does not take it.
        match_outbox: ByteSize = ByteSize::megabytes(8),
        /// The same of the bulk stream.
        bulk_outbox: ByteSize = ByteSize::megabytes(16),
        /// How long a change may wait for its rendering while more comes.
        publish_deadline: Dur = Dur::millis(20),
        coalesce: Coalesce = Coalesce::Auto,
    }
}

/// How long a worker waits for more deltas before it reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

impl fmt::Display for Coalesce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::For(dur) => dur.fmt(f),
        }
    }
}

as_text!(Coalesce, "\"auto\" or a duration as text, such as \"5ms\"");

table! {
    /// `[store]`: what is kept, where and how long.
    pub struct StoreConfig {
        /// The database; a relative path is under `state_dir`.
        path: PathBuf = PathBuf::from("touchline.db"),
        /// A document that changed is saved at most this much later.
        snapshot_interval: Dur = Dur::secs(1),
        /// Bytes of documents saved per second at most.
        max_write: ByteSize = ByteSize::megabytes(2),
        event_commit: Dur = Dur::millis(10),
        /// Prices, suspensions and chat are committed this often, in a file an hour.
        bulk_commit: Dur = Dur::millis(100),
        /// A lower score from a new connection is believed after this long.
        settle: Dur = Dur::secs(2),
        keep_events: Dur = Dur::secs(30 * DAY),
        keep_odds: Dur = Dur::secs(DAY),
        keep_chat: Dur = Dur::secs(7 * DAY),
        keep_matches: Dur = Dur::secs(7 * DAY),
        /// The store's size at most; the oldest odds go first.
        max_size: ByteSize = ByteSize::megabytes(10_000),
        /// Whether the bytes of the servers are recorded, in `raw` under `state_dir`,
        record_raw: bool = false,
        /// in files of this size together; the oldest go first.
        raw_max_size: ByteSize = ByteSize::megabytes(1_000),
    }
}

const DAY: u64 = 86_400;

/// A lane of the match stream. `[lanes]` moves types of events to the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Goals, penalties, red cards, periods, start and end, suspensions of the match, retractions.
    Priority,
    Normal,
}

impl Lane {
    /// As the column `lane` writes it.
    pub const fn as_str(self) -> &'static str {
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
    "round_end",
];

/// What may stand for a type beside [`EVENT_TYPES`] where a source names its own: a card of a colour.
pub const CARDS: &[(&str, &str)] = &[("yellow_card", "yellow"), ("red_card", "red")];

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
    /// The file that has its password; empty: none.
    pub redis_password_file: String,
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

table! {
    /// `[log]`.
    pub struct LogConfig {
        level: String = "info".to_owned(),
        /// `stderr` or a file.
        target: String = "stderr".to_owned(),
        format: LogFormat = LogFormat::Line,
    }
}

impl LogConfig {
    /// The file to write to; `None`: standard error.
    pub fn file(&self) -> Option<PathBuf> {
        (self.target != "stderr").then(|| PathBuf::from(&self.target))
    }
}
