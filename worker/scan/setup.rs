//! What the configuration makes of a worker: its trees, its source, its limits. Callers: `start`, `shared_process`, `probe`.

use super::error::ScanError;
use super::handshake::Welcomed;
use crate::feed::Plan;
use crate::payload::{self, Limits, Trees};
use jiff::tz::TimeZone;
use std::fmt;
use std::time::Duration;
use touchline_common::config::{Config, FeedConfig, Strategy, Template};
use touchline_common::ipc::messages::data::PerStream;
use touchline_common::logging::LogHandle;
use touchline_common::model::{FeedId, Generation, SlotId};
use touchline_common::sys::crash_marker::CrashMarker;
use touchline_common::sys::signals::Signals;

pub struct Parts {
    /// None where the process runs several workers: it takes the signals for all of them.
    pub signals: Option<Signals>,
    /// Where it notes what it works on. None in tests that have no coordinator.
    pub crash_marker: Option<CrashMarker>,
    pub log: LogHandle,
    pub feed: FeedId,
    pub feed_name: String,
    pub slot: SlotId,
    pub generation: Generation,
    pub trees: Trees,
    pub plan: Plan,
    pub max_subscriptions: usize,
    /// Empty: the feed has no list.
    pub list_topic: String,
    /// Empty: the server has no clock.
    pub time_topic: String,
    pub match_id: Template,
    pub match_topics: Vec<Template>,
    pub capacity: usize,
    /// How often a match is asked for where each load is taken and let go (strategy `dumps`); none where subscriptions are held.
    pub dump_every: Option<Duration>,
    pub stale_after: Duration,
    pub publish_deadline: Duration,
    pub outbox: PerStream<usize>,
}

impl Parts {
    pub fn is_time(&self, topic: &[u8]) -> bool {
        topic == self.time_topic.as_bytes()
    }
}

/// What a worker needs, from the configuration that it was welcomed with. Without `signals` the process takes those.
///
/// # Errors
/// [`ScanError`]: the configuration cannot be used.
pub fn parts(welcomed: &mut Welcomed, signals: Option<Signals>, log: LogHandle) -> Result<Parts, ScanError> {
    let crash_marker = welcomed.crash_marker.take();
    let feed = feed(welcomed)?;
    let wrong = |why: String| ScanError::Config { why };
    let zone = TimeZone::get(&feed.feed_timezone)
        .map_err(|error| wrong(format!("feed_timezone of {}: {error}", feed.name)))?;
    Ok(Parts {
        signals,
        crash_marker,
        log,
        feed: welcomed.feed,
        feed_name: feed.name.clone(),
        slot: welcomed.slot,
        generation: welcomed.generation,
        trees: trees(&welcomed.config, feed, zone)?,
        plan: plan(&welcomed.config, feed)?,
        max_subscriptions: feed.max_subscriptions as usize,
        list_topic: feed.diffusion.list_topic.clone(),
        time_topic: feed.diffusion.time_topic.clone(),
        match_id: feed.diffusion.match_id.clone(),
        match_topics: feed.diffusion.match_topics.clone(),
        capacity: feed.worker_capacity() as usize,
        dump_every: match feed.strategy {
            Strategy::Dumps => Some(feed.diffusion.dump_every.get()),
            Strategy::Balanced | Strategy::Multiplex => None,
        },
        stale_after: feed.stale_after.get(),
        publish_deadline: welcomed.config.limits.publish_deadline.get(),
        outbox: PerStream {
            matches: welcomed.config.limits.match_outbox.len(),
            bulk: welcomed.config.limits.bulk_outbox.len(),
        },
    })
}

/// The settings of the feed that a worker was welcomed to.
///
/// # Errors
/// [`ScanError`]: there is no such feed.
pub fn feed(welcomed: &Welcomed) -> Result<&FeedConfig, ScanError> {
    let none = || ScanError::Config { why: format!("there is no feed number {}", welcomed.feed) };
    welcomed.config.feed.get(usize::from(welcomed.feed.0)).ok_or_else(none)
}

/// The trees of a feed, as its payload and mapping are configured.
///
/// # Errors
/// [`ScanError`]: the mapping cannot be used.
pub fn trees(config: &Config, feed: &FeedConfig, zone: TimeZone) -> Result<Trees, ScanError> {
    let wrong =
        |error: &dyn fmt::Display| ScanError::Config { why: format!("mapping of {}: {error}", feed.name) };
    let over = (!feed.diffusion.mapping.is_empty()).then(|| {
        std::fs::read_to_string(&feed.diffusion.mapping)
            .map_err(|error| wrong(&format!("{}: {error}", feed.diffusion.mapping)))
    });
    let over = over.transpose()?;
    payload::hold(feed.diffusion.payload, over.as_deref(), limits(config), zone)
        .map_err(|error| wrong(&error))
}

fn limits(config: &Config) -> Limits {
    Limits {
        nodes: config.limits.nodes as usize,
        depth: config.limits.depth as usize,
        topics: config.limits.topics as usize,
        ..Limits::default()
    }
}

/// The source of a feed.
///
/// # Errors
/// [`ScanError`]: the settings of its connection cannot be used.
pub fn plan(config: &Config, feed: &FeedConfig) -> Result<Plan, ScanError> {
    Plan::new(config, feed).map_err(|error| ScanError::Config { why: error.to_string() })
}
