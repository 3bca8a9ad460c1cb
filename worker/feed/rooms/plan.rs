//! What a feed's settings make of its rooms: the servers in turn, the bounds, where the ranking is.

use crate::feed::polled::PolledPlan;
use crate::net::{TlsPlan, Trust};
use crate::wire::{rooms, websocket};
use std::time::Duration;
use touchline_common::config::{Config, FeedConfig, Ranking, Url};

/// The path of a WebSocket where the address names none.
const DEFAULT_PATH: &str = "/sub";

#[derive(Clone, Debug)]
pub struct Plan {
    /// In the order in which they are tried; never empty.
    pub(super) servers: Vec<Server>,
    pub(super) heartbeat: Duration,
    pub(super) max_rooms: usize,
    /// Connections to one server at most.
    pub(super) max_per_address: usize,
    /// What rooms are joined with; empty: nothing.
    pub(super) auth_file: String,
    pub(super) limits: Limits,
    /// None: there is no ranking.
    pub(super) ranking: Option<PolledPlan>,
    /// The topic under which the ranking is followed.
    pub(super) list_topic: String,
}

#[derive(Clone, Debug)]
pub(super) struct Server {
    /// `host:port`.
    pub(super) authority: String,
    pub(super) tls: Option<TlsPlan>,
    /// None: the packets go over the bare stream.
    pub(super) upgrade: Option<Upgrade>,
}

/// What the request of a WebSocket has.
#[derive(Clone, Debug)]
pub(super) struct Upgrade {
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) packets: rooms::Limits,
    pub(super) messages: websocket::Limits,
    /// Bytes of a ranking.
    pub(super) body: usize,
}

impl Plan {
    /// From the settings of a feed.
    ///
    /// # Errors
    /// Why TLS cannot be set up; names the feed.
    pub fn new(config: &Config, feed: &FeedConfig) -> Result<Plan, String> {
        let urls = std::iter::once(&feed.url).chain(&feed.rooms.hosts);
        Ok(Plan {
            servers: urls.map(|url| server(url, feed)).collect::<Result<_, _>>()?,
            heartbeat: feed.beats.heartbeat.every.get(),
            max_rooms: feed.rooms.max_rooms as usize,
            max_per_address: feed.rooms.max_per_address as usize,
            auth_file: feed.rooms.auth_file.clone(),
            limits: limits(config),
            ranking: ranking(&feed.rooms.ranking, feed),
            list_topic: feed.follows().list_topic,
        })
    }
}

fn server(url: &Url, feed: &FeedConfig) -> Result<Server, String> {
    let upgrade = url.transport.is_websocket().then(|| Upgrade {
        target: if url.path.is_empty() { DEFAULT_PATH.to_owned() } else { url.path.clone() },
        headers: feed.headers.expose().clone().into_iter().collect(),
    });
    Ok(Server { authority: url.authority(), tls: tls(url, feed)?, upgrade })
}

fn tls(url: &Url, feed: &FeedConfig) -> Result<Option<TlsPlan>, String> {
    if !url.transport.has_tls() {
        return Ok(None);
    }
    let trust = if feed.insecure { Trust::Any } else { Trust::Authorities { ca_file: feed.ca_file.clone() } };
    TlsPlan::new(&url.host, &trust).map(Some).map_err(|error| format!("{error} (feed {})", feed.name))
}

fn limits(config: &Config) -> Limits {
    let (frame, inflated) = (config.limits.frame.len(), config.limits.inflated.len());
    let ratio = config.limits.inflate_ratio as usize;
    Limits {
        packets: rooms::Limits { packet: frame, inflated, ratio, ..rooms::Limits::default() },
        messages: websocket::Limits { frame, inflated, ratio },
        body: inflated,
    }
}

fn ranking(ranking: &Ranking, feed: &FeedConfig) -> Option<PolledPlan> {
    (!ranking.url.is_empty()).then(|| PolledPlan {
        what: "the ranking",
        url: ranking.url.clone(),
        every: ranking.every.get(),
        ca_file: feed.ca_file.clone(),
        insecure: feed.insecure,
    })
}
