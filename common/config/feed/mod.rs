//! A `[[feed]]`: one source and how its matches are followed.
//!
//! [`FeedConfig`] has what all kinds share, each kind a section of its own in a file of its own. Invariants: a key belongs to one section; closed
//! sets are enums; what is not built in this version is refused by `unbuilt`, not here, so that a complete configuration can always be
//! read and printed.

mod diffusion;
mod follows;
mod poll;
mod push;
mod reading;
mod rooms;
mod secret_headers;
mod section;
mod socket;

pub use diffusion::{DiffusionConfig, Payload, Protocol};
pub use follows::{Follows, NamedMatches};
pub use poll::{Join, LIST_TOPIC, Page, PageBy, Play, PollConfig, PollSource, Role};
pub use push::{
    Alive, Answer, Heartbeat, HeartbeatConfig, KeyedBy, Merge, Of, Packed, PushConfig, PushList, PushLogin,
    Reply, Resume, Sequence, SequenceRule, When,
};
pub use reading::{
    ClockReading, EventReading, ExtraRule, Listed, MarketReading, Ordered, Reading, SidesReading, StatReading,
};
pub use rooms::{Ranking, RoomsConfig, Users};
pub use secret_headers::SecretHeaders;
pub use socket::SocketConfig;

use super::headers::Headers;
use super::secret::Secret;
use super::units::{Dur, written};
use super::url::Url;
use section::{Section, section};
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

section! {
    pub struct FeedConfig {
        /// Its name in documents, events, logs and `FEED/ID`; unique.
        name: String = "inplay".to_owned(),
        kind: FeedKind = FeedKind::Diffusion,
        url: Url = Url::default(),
        /// More headers of a WebSocket's request.
        headers: Headers = Headers::default(),
        /// A file with certificates of authorities to trust beside the system's; empty: none.
        ca_file: String = String::new(),
        /// Whether any certificate is taken: for test servers only.
        insecure: bool = false,
        strategy: Strategy = Strategy::Balanced,
        /// Matches to follow where there is no list.
        matches: Vec<String> = Vec::new(),
        matches_file: String = String::new(),
        /// The zone of times that the feed writes without one.
        feed_timezone: String = "Europe/London".to_owned(),
        /// The server's cap for one connection.
        max_subscriptions: u32 = 50,
        /// Connections to this feed at most.
        max_connections: u32 = 64,
        /// Under strategy `multiplex`: connections that one process holds.
        connections_per_process: u32 = 8,
        /// Connections opened per second at most.
        connects_per_s: f64 = 20.0,
        /// Subscriptions sent per second at most.
        subscribes_per_s: f64 = 500.0,
        over_cap: OverCap = OverCap::Auto,
        /// Whether a login allows one session only, so that the old one must end first.
        break_before_make: bool = false,
        /// Silence after which a match is called stale.
        stale_after: Dur = Dur::secs(60),
        /// Silence after which a match that left the list has ended.
        end_linger: Dur = Dur::secs(10),
        /// A match whose newest load is older than this is compared with a fresh one; `0s`: never.
        reconcile_every: Dur = Dur::secs(0),
        /// Where the source's incidents have no order of their own: how many wait for earlier ones,
        order_window: u32 = 16,
        /// and how long.
        order_wait: Dur = Dur::secs(2),
        /// The most incidents that are known of a match; further ones are refused and counted.
        max_incidents: u32 = 20_000,
        /// Follow only these; each empty list admits all.
        only: MatchFilter = MatchFilter::default(),
        /// Never follow these.
        skip: MatchFilter = MatchFilter::default(),
        /// Who goes first while not all can be followed.
        waiting_order: Vec<WaitingKey> = vec![WaitingKey::InPlay, WaitingKey::Start],
        /// The login's name; empty: none.
        username: String = String::new(),
        /// The environment variable that has the password; empty: none.
        password_env: String = String::new(),
        /// The file that has the password in its first line; empty: none.
        password_file: String = String::new(),
        +
        /// The password, once resolved. Never read from or written to the file.
        password: Secret,
        + diffusion: DiffusionConfig,
        + poll: PollConfig,
        + rooms: RoomsConfig,
        + push: PushConfig,
        +
        /// Of kinds `rooms` and `push`.
        beats: HeartbeatConfig,
        +
        /// Of kinds `poll` and `push`.
        secret_headers: SecretHeaders,
    }
}

impl FeedConfig {
    fn keys() -> impl Iterator<Item = &'static str> {
        let sections = [
            FeedConfig::KEYS,
            DiffusionConfig::KEYS,
            PollConfig::KEYS,
            RoomsConfig::KEYS,
            PushConfig::KEYS,
            HeartbeatConfig::KEYS,
            SecretHeaders::KEYS,
        ];
        sections.into_iter().flatten().copied()
    }

    /// The keys of a feed of kind `poll` alone.
    pub(super) fn poll_keys() -> &'static [&'static str] {
        PollConfig::KEYS
    }

    fn read_key<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if FeedConfig::KEYS.contains(&key) {
            self.read(key, map)
        } else if DiffusionConfig::KEYS.contains(&key) {
            self.diffusion.read(key, map)
        } else if PollConfig::KEYS.contains(&key) {
            self.poll.read(key, map)
        } else if RoomsConfig::KEYS.contains(&key) {
            self.rooms.read(key, map)
        } else if PushConfig::KEYS.contains(&key) {
            self.push.read(key, map)
        } else if HeartbeatConfig::KEYS.contains(&key) {
            self.beats.read(key, map)
        } else {
            self.secret_headers.read(key, map)
        }
    }

    /// The keys of each kind's own section.
    pub(super) fn keys_of_kinds() -> [(FeedKind, &'static [&'static str]); 3] {
        [
            (FeedKind::Diffusion, DiffusionConfig::KEYS),
            (FeedKind::Rooms, RoomsConfig::KEYS),
            (FeedKind::Push, PushConfig::KEYS),
        ]
    }

    /// Subscriptions that one worker may be given, its own included; under `dumps` it holds at most `max_subscriptions` of them at a time.
    pub fn worker_capacity(&self) -> u32 {
        if self.kind == FeedKind::Rooms {
            return self.rooms.max_rooms;
        }
        match self.strategy {
            Strategy::Balanced | Strategy::Multiplex => self.max_subscriptions,
            Strategy::Dumps => {
                let DiffusionConfig { match_topics, list_topic, time_topic, dump_matches, .. } =
                    &self.diffusion;
                let topics = u32::try_from(match_topics.len()).unwrap_or(u32::MAX);
                let own = u32::from(!list_topic.is_empty()) + u32::from(!time_topic.is_empty());
                dump_matches.saturating_mul(topics.max(1)).saturating_add(own)
            }
        }
    }
}

impl Serialize for FeedConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write(&mut map)?;
        match self.kind {
            FeedKind::Diffusion => self.diffusion.write(&mut map)?,
            FeedKind::Rooms => {
                self.rooms.write(&mut map)?;
                self.beats.write(&mut map)?;
            }
            FeedKind::Poll => {
                self.poll.write(&mut map)?;
                self.secret_headers.write(&mut map)?;
            }
            FeedKind::Push => {
                self.push.write(&mut map)?;
                self.beats.write(&mut map)?;
                self.secret_headers.write(&mut map)?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for FeedConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FeedVisitor)
    }
}

struct FeedVisitor;

impl<'de> Visitor<'de> for FeedVisitor {
    type Value = FeedConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a feed")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FeedConfig, A::Error> {
        let mut feed = FeedConfig::default();
        while let Some(KnownKey(key)) = map.next_key()? {
            feed.read_key(key, &mut map)?;
        }
        match feed.kind {
            FeedKind::Poll => poll::derive(&mut feed),
            FeedKind::Push => push::derive(&mut feed),
            FeedKind::Rooms => rooms::derive(&mut feed),
            FeedKind::Diffusion => {}
        }
        Ok(feed)
    }
}

/// A key of any section. As it is looked up while it is read, the error of an unknown one gets its place in the file.
struct KnownKey(&'static str);

impl FromStr for KnownKey {
    type Err = String;

    fn from_str(key: &str) -> Result<Self, String> {
        FeedConfig::keys().find(|known| *known == key).map(KnownKey).ok_or_else(|| {
            let known: Vec<String> = FeedConfig::keys().map(|known| format!("`{known}`")).collect();
            format!("unknown field `{key}`, expected one of {}", known.join(", "))
        })
    }
}

impl<'de> Deserialize<'de> for KnownKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        written(deserializer, "a key")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedKind {
    Diffusion,
    /// An HTTP API that is asked again and again.
    Poll,
    Rooms,
    /// A server that sends JSON over a WebSocket, its messages described by templates and pointers.
    Push,
}

impl FeedKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Diffusion => "diffusion",
            Self::Poll => "poll",
            Self::Rooms => "rooms",
            Self::Push => "push",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Over forked workers with one connection each; every subscription is kept.
    Balanced,
    /// Each connection goes round its matches: it subscribes, takes the load, unsubscribes.
    Dumps,
    /// Over workers of which several share a process, each with one connection; every subscription is kept.
    Multiplex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverCap {
    Auto,
    Close,
    /// It answers with an error.
    Error,
    Ignore,
    /// It accepts and never sends a load.
    NoLoad,
    /// It sends only a part.
    Thin,
}

/// A key by which waiting matches are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitingKey {
    /// Those in play first.
    InPlay,
    /// Those that begin earlier first.
    Start,
}

/// Matches by what the list knows of them. An empty list admits all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MatchFilter {
    pub sports: Vec<String>,
    pub competitions: Vec<String>,
    pub teams: Vec<String>,
    pub status: Vec<Status>,
}

/// A match's state as documents write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has not begun.
    NotStarted,
    InPlay,
    Break,
    Suspended,
    Finished,
    Abandoned,
    Unknown,
}

impl Status {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::InPlay => "in_play",
            Self::Break => "break",
            Self::Suspended => "suspended",
            Self::Finished => "finished",
            Self::Abandoned => "abandoned",
            Self::Unknown => "unknown",
        }
    }
}
