//! A `[[feed]]`: one push server and how its matches are followed.
//!
//! Invariant: closed sets are enums; what is not built in this version is refused by `unbuilt`, not here, so that a
//! complete configuration can always be read and printed.

use super::headers::Headers;
use super::secret::Secret;
use super::template::{Part, Template};
use super::units::{Dur, Rate};
use super::url::Url;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedConfig {
    /// Its name in documents, events, logs and `FEED/ID`; unique.
    pub name: String,
    pub kind: FeedKind,
    /// Where it is.
    pub url: Url,
    pub protocol: Protocol,
    /// Topics that the handshake itself asks for, as the server wants them written.
    pub login_topics: Vec<String>,
    /// More headers of a WebSocket's request.
    pub headers: Headers,
    /// A file with certificates of authorities to trust beside the system's; empty: none.
    pub ca_file: String,
    /// Whether any certificate is taken: for test servers only.
    pub insecure: bool,
    /// How matches are spread over connections.
    pub strategy: Strategy,
    pub payload: Payload,
    /// The topic of the match list; empty for a feed without one.
    pub list_topic: String,
    /// Matches to follow where there is no list.
    pub matches: Vec<String>,
    /// A file with matches to follow, one a line.
    pub matches_file: String,
    /// A match's id, from its event node.
    pub match_id: Template,
    /// A match's topics, from its event node; the first one wins.
    pub match_topics: Vec<Template>,
    /// The topic of the server's clock; empty: none.
    pub time_topic: String,
    /// The zone of times that the feed writes without one.
    pub feed_timezone: String,
    /// The server's cap for one connection.
    pub max_subscriptions: u32,
    /// Connections to this feed at most.
    pub max_connections: u32,
    /// Under strategy `multiplex`: connections that one process holds.
    pub connections_per_process: u32,
    /// Connections opened per second at most.
    pub connects_per_s: Rate,
    /// Subscriptions sent per second at most.
    pub subscribes_per_s: Rate,
    /// Under strategy `dumps`: matches that one connection goes round.
    pub dump_matches: u32,
    /// Under strategy `dumps`: a match is loaded at most once in this time.
    pub dump_every: Dur,
    /// What the server does above its cap.
    pub over_cap: OverCap,
    /// Whether a login allows one session only, so that the old one must end first.
    pub break_before_make: bool,
    /// Whether a resumed session must subscribe again.
    pub resubscribe: bool,
    /// Silence after which a match is called stale.
    pub stale_after: Dur,
    /// Silence after which a match that left the list has ended.
    pub end_linger: Dur,
    /// Follow only these; each empty list admits all.
    pub only: MatchFilter,
    /// Never follow these.
    pub skip: MatchFilter,
    /// Who goes first while not all can be followed.
    pub waiting_order: Vec<WaitingKey>,
    /// A file over the built-in table of attributes; empty: none.
    pub mapping: String,
    /// The login's name; empty: none.
    pub username: String,
    /// The environment variable that has the password; empty: none.
    pub password_env: String,
    /// The file that has the password in its first line; empty: none.
    pub password_file: String,
    /// The password, once resolved. Never read from or written to the file.
    #[serde(skip)]
    pub password: Secret,
}

/// The list of a feed that says nothing about its matches.
pub(super) const DEFAULT_LIST_TOPIC: &str = "OVInPlay_1_3";

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            name: "inplay".to_owned(),
            kind: FeedKind::Diffusion,
            url: Url::default(),
            protocol: Protocol::V4,
            login_topics: Vec::new(),
            headers: Headers::default(),
            ca_file: String::new(),
            insecure: false,
            strategy: Strategy::Balanced,
            payload: Payload::Inplay,
            list_topic: DEFAULT_LIST_TOPIC.to_owned(),
            matches: Vec::new(),
            matches_file: String::new(),
            match_id: Template::of("{ID}", &[Part::attribute("ID")]),
            match_topics: vec![Template::of("6V{ID}", &[Part::Text("6V".to_owned()), Part::attribute("ID")])],
            time_topic: String::new(),
            feed_timezone: "Europe/London".to_owned(),
            max_subscriptions: 50,
            max_connections: 64,
            connections_per_process: 8,
            connects_per_s: Rate::per_s(20.0),
            subscribes_per_s: Rate::per_s(500.0),
            dump_matches: 250,
            dump_every: Dur::secs(1),
            over_cap: OverCap::Auto,
            break_before_make: false,
            resubscribe: false,
            stale_after: Dur::secs(60),
            end_linger: Dur::secs(10),
            only: MatchFilter::default(),
            skip: MatchFilter::default(),
            waiting_order: vec![WaitingKey::InPlay, WaitingKey::Start],
            mapping: String::new(),
            username: String::new(),
            password_env: String::new(),
            password_file: String::new(),
            password: Secret::default(),
        }
    }
}

impl FeedConfig {
    /// Subscriptions that one worker may be given, its own included; under `dumps` it holds at most `max_subscriptions` of them at a time.
    pub fn worker_capacity(&self) -> u32 {
        match self.strategy {
            Strategy::Balanced | Strategy::Multiplex => self.max_subscriptions,
            Strategy::Dumps => {
                let topics = u32::try_from(self.match_topics.len()).unwrap_or(u32::MAX);
                let own = u32::from(!self.list_topic.is_empty()) + u32::from(!self.time_topic.is_empty());
                self.dump_matches.saturating_mul(topics.max(1)).saturating_add(own)
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedKind {
    Diffusion,
    /// An HTTP API that is asked again and again.
    Poll,
    Rooms,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Version 4, framed.
    V4,
    Zap,
}

/// How matches are spread over connections.
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
pub enum Payload {
    Inplay,
    /// A tree of topics, one value each.
    TopicTree,
    /// Bytes, passed on as they are.
    Raw,
}

/// What the server does above its cap.
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

/// Matches by what the list knows of them. An empty list says nothing.
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
