//! The configuration: the TOML file as types, every key with its default, and what is wrong with a file.
//!
//! Invariants: unknown keys are errors; all mistakes are reported at once, each with its line and column; a secret is
//! never printed. [`Config::parse`] and [`Config::check`] are pure; [`Config::load`] reads the file and fills in the
//! folders. The coordinator hands the whole of it to its children as JSON (`child`).

mod amqp_url;
mod check;
mod child;
mod dirs;
mod feed;
mod headers;
mod locate;
mod mask;
mod message_template;
mod network;
mod one_or_several;
mod pointer;
mod report;
mod secret;
mod sections;
mod streams;
mod template;
mod unbuilt;
mod units;
mod unusable;
mod url;
mod url_template;
mod values;

#[cfg(test)]
mod tests;

pub use crate::logging::LogFormat;
pub use amqp_url::{AmqpUrl, AmqpUrlError};
pub use check::nearest;
pub use child::read_password;
pub use dirs::User;
pub use feed::{
    Alive, Answer, Heartbeat, HeartbeatConfig, KeyedBy, Merge, Of, Packed, PushConfig, PushList, PushLogin,
    Reply, Resume, Sequence, SequenceRule, When,
};
pub use feed::{
    ClockReading, EventReading, ExtraRule, Listed, MarketReading, Ordered, Reading, SidesReading, StatReading,
};
pub use feed::{
    DiffusionConfig, FeedConfig, FeedKind, Follows, Join, LIST_TOPIC, MatchFilter, NamedMatches, OverCap,
    Page, PageBy, Payload, Play, PollConfig, PollSource, Protocol, Ranking, Role, RoomsConfig, SocketConfig,
    Status, Strategy, Users, WaitingKey,
};
pub use headers::Headers;
pub use message_template::{MessagePart, MessagePlace, MessageTemplate, escape_json};
pub use network::{Network, NetworkError};
pub use one_or_several::{Tables, Words};
pub use pointer::{Pointer, PointerError, PointerStep, Pointers, TextOrPointer};
pub use report::{ConfigErrors, Mistake};
pub use secret::{REDACTED, Secret};
pub use sections::{
    CARDS, Coalesce, ControlConfig, DaemonConfig, EVENT_TYPES, GatewayConfig, Lane, LimitsConfig, LogConfig,
    PoolConfig, SandboxConfig, SandboxMode, StoreConfig,
};
pub use streams::{
    KafkaOptions, NdjsonOptions, RabbitmqOptions, RedisOptions, SaslMechanism, SinkLane, StreamsConfig,
};
pub use template::{Part, Template, TemplateError};
pub use units::{ByteSize, Dur, UnitError};
pub use unusable::Unusable;
pub use url::{Transport, Url, UrlError};
pub use url_template::{UrlPart, UrlTemplate, UrlTemplateError, encode};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A configuration file is read up to this many bytes.
pub const MAX_FILE: u64 = 1 << 20;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub daemon: DaemonConfig,
    pub control: ControlConfig,
    pub pool: PoolConfig,
    /// The sources, in the order of the file; a `FeedId` is the place here.
    pub feed: Vec<FeedConfig>,
    pub limits: LimitsConfig,
    pub store: StoreConfig,
    pub lanes: BTreeMap<String, Lane>,
    pub streams: StreamsConfig,
    pub gateway: GatewayConfig,
    pub sandbox: SandboxConfig,
    pub log: LogConfig,
}

impl Config {
    /// Reads a configuration, `file_name` being what errors call it.
    ///
    /// # Errors
    /// Every mistake in it, in the order of the file: syntax, unknown keys, wrong types, wrong values, settings that are
    /// not in this build.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, ConfigErrors> {
        check::parse(text, file_name)
    }

    /// Reads the file at `path` and fills in the folders for the user who runs this.
    ///
    /// # Errors
    /// A file that cannot be read, and as [`Config::parse`].
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let text = read(path)?;
        let mut config = Self::parse(&text, &path.display().to_string())?;
        config.resolve_dirs(&User::current()).map_err(|mistake| ConfigErrors::of_file(path, mistake))?;
        Ok(config)
    }

    /// All of it as TOML, with every default and without any secret.
    pub fn to_toml(&self) -> String {
        // Every type here is plain data with text keys, which TOML can always write; a test writes all of them.
        toml::to_string(self).unwrap_or_else(|error| format!("# cannot be written: {error}\n"))
    }

    /// The control socket, once the folders are resolved.
    pub fn socket_path(&self) -> PathBuf {
        self.daemon.run_dir.join("control.sock")
    }

    /// Where workers record what they receive, once the folders are resolved.
    pub fn raw_folder(&self) -> PathBuf {
        self.daemon.state_dir.join("raw")
    }

    /// The store, once the folders are resolved.
    pub fn store_path(&self) -> PathBuf {
        self.daemon.state_dir.join(&self.store.path)
    }
}

fn read(path: &Path) -> Result<String, ConfigErrors> {
    use std::io::Read;
    let cannot = |why: &dyn std::fmt::Display| ConfigErrors::of_file(path, format!("cannot read it: {why}"));
    let file = std::fs::File::open(path).map_err(|error| cannot(&error))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(cannot(&"larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| cannot(&error))
}
