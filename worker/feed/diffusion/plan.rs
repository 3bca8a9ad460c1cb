//! What a feed's settings make of its connection.

use super::{AfterResume, Login, SessionConfig};
use crate::net::{TlsPlan, Trust};
use crate::wire::diffusion::tunnel::{Form, TunnelConfig};
use crate::wire::websocket;
use std::time::Duration;
use touchline_common::config::{Config, FeedConfig, Payload, Protocol};

/// How long a server that never pings may be silent before its heartbeat's rhythm is known.
const ZAP_IDLE_LIMIT: Duration = Duration::from_secs(120);
/// Topics that a worker needs beside its matches: the list's and the clock's.
const OWN_TOPICS: usize = 2;

/// Aliases of one connection at most, whatever is configured.
const ALIASES_MAX: usize = 1_000_000;

#[derive(Clone, Debug)]
pub struct Plan {
    /// `host:port`.
    pub authority: String,
    pub session: SessionConfig,
    pub tls: Option<TlsPlan>,
    pub tunnel: Option<TunnelConfig>,
    /// The topic of the match list; empty: none. Whoever asked for it, it is the worker's to read.
    pub list_topic: String,
    /// The topic of the server's clock; empty: none.
    pub time_topic: String,
}

impl Plan {
    /// From the settings of a feed.
    ///
    /// # Errors
    /// Why TLS cannot be set up; names the feed.
    pub fn new(config: &Config, feed: &FeedConfig) -> Result<Plan, String> {
        Ok(Plan {
            authority: feed.url.authority(),
            session: session(config, feed),
            tls: tls(feed)?,
            tunnel: feed.url.transport.is_websocket().then(|| tunnel(config, feed)),
            list_topic: feed.diffusion.list_topic.clone(),
            time_topic: feed.diffusion.time_topic.clone(),
        })
    }
}

fn session(config: &Config, feed: &FeedConfig) -> SessionConfig {
    let login = (!feed.username.is_empty())
        .then(|| Login { username: feed.username.clone(), password: feed.password.clone() });
    let defaults = SessionConfig::default();
    let (ping_interval, idle_limit) = match feed.diffusion.protocol {
        Protocol::V4 => (defaults.ping_interval, defaults.idle_limit),
        // The text form has no pings: the server's clock is its heartbeat, about each 55 s unless it states another interval.
        Protocol::Zap => (None, ZAP_IDLE_LIMIT),
    };
    SessionConfig {
        login,
        login_topics: feed.diffusion.login_topics.clone(),
        ping_interval,
        idle_limit,
        subscribes_per_s: feed.subscribes_per_s,
        max_subscriptions: feed.max_subscriptions as usize,
        max_aliases: max_aliases(config, feed),
        frame_limit: u32::try_from(config.limits.frame.get()).unwrap_or(u32::MAX),
        body_limit: config.limits.inflated.len(),
        body_ratio: config.limits.inflate_ratio as usize,
        after_resume: if feed.diffusion.resubscribe { AfterResume::Resubscribe } else { AfterResume::Keep },
        out_limit: config.limits.out_queue.len(),
        ..defaults
    }
}

fn tls(feed: &FeedConfig) -> Result<Option<TlsPlan>, String> {
    if !feed.url.transport.has_tls() {
        return Ok(None);
    }
    let trust = if feed.insecure { Trust::Any } else { Trust::Authorities { ca_file: feed.ca_file.clone() } };
    TlsPlan::new(&feed.url.host, &trust).map(Some).map_err(|error| format!("{error} (feed {})", feed.name))
}

fn tunnel(config: &Config, feed: &FeedConfig) -> TunnelConfig {
    TunnelConfig {
        form: match feed.diffusion.protocol {
            Protocol::V4 => Form::V4,
            Protocol::Zap => Form::Zap,
        },
        host: feed.url.authority(),
        path: feed.url.path.clone(),
        headers: feed.headers.expose().clone().into_iter().collect(),
        limits: websocket::Limits {
            frame: config.limits.frame.len(),
            inflated: config.limits.inflated.len(),
            ratio: config.limits.inflate_ratio as usize,
        },
    }
}

/// Aliases that a connection may hold: one for each topic, and as many again for those that come while others go. What a
/// subscription to a branch brings is as many topics as one match may have.
fn max_aliases(config: &Config, feed: &FeedConfig) -> usize {
    let topics = config.limits.topics as usize;
    let most = match feed.diffusion.payload {
        Payload::Inplay => topics,
        Payload::TopicTree | Payload::Raw => topics.saturating_mul(feed.max_subscriptions as usize),
    };
    most.saturating_add(OWN_TOPICS).saturating_mul(2).min(ALIASES_MAX)
}

#[cfg(test)]
mod tests;
