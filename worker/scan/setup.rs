//! What the configuration makes of a worker: its trees, its source, its limits. Callers: `start`, `shared_process`, `probe`.

use super::error::ScanError;
use super::handshake::{Handshake, Welcome};
use super::users_key;
use super::window::Window;
use crate::feed::Plan;
use crate::payload::room::{Rooms, UserForm};
use crate::payload::{self, JsonDocs, Limits, Trees, json};
use crate::raw;
use jiff::tz::TimeZone;
use std::fmt;
use std::time::Duration;
use touchline_common::config::{Coalesce, Config, FeedConfig, FeedKind, Strategy, Template, Users};
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
    /// Empty: the feed has no list.
    pub list_topic: String,
    /// Empty: the server has no clock.
    pub time_topic: String,
    pub match_id: Template,
    pub match_topics: Vec<Template>,
    pub capacity: usize,
    /// Where each load is taken and let go (strategy `dumps`); none where subscriptions are held.
    pub window: Option<Window>,
    pub stale_after: Duration,
    /// How old a match's newest load may become before it is compared with a fresh one; zero: any age.
    pub reconcile_every: Duration,
    pub publish_deadline: Duration,
    pub coalesce: Coalesce,
    pub outbox: PerStream<usize>,
    /// Where what is received is recorded; none unless that is configured.
    pub raw: Option<raw::Writer>,
}

impl Parts {
    pub fn is_time(&self, topic: &[u8]) -> bool {
        topic == self.time_topic.as_bytes()
    }
}

/// What a worker needs that was welcomed over `handshake`, from its configuration. Without `signals` the process takes those.
///
/// # Errors
/// [`ScanError`]: the configuration cannot be used.
pub fn parts(
    handshake: &mut Handshake,
    welcome: &Welcome,
    signals: Option<Signals>,
    log: LogHandle,
) -> Result<Parts, ScanError> {
    let feed = feed(welcome)?;
    let follows = feed.follows();
    Ok(Parts {
        signals,
        crash_marker: handshake.crash_marker.take(),
        log,
        feed: welcome.feed,
        feed_name: feed.name.clone(),
        slot: welcome.slot,
        generation: welcome.generation,
        trees: trees(&welcome.config, feed)?,
        plan: Plan::new(&welcome.config, feed).map_err(ScanError::config)?,
        list_topic: follows.list_topic,
        time_topic: follows.time_topic,
        match_id: follows.match_id,
        match_topics: follows.match_topics,
        capacity: feed.worker_capacity() as usize,
        window: match feed.strategy {
            Strategy::Dumps => Some(window(feed)),
            Strategy::Balanced | Strategy::Multiplex => None,
        },
        stale_after: feed.stale_after.get(),
        reconcile_every: feed.reconcile_every.get(),
        publish_deadline: welcome.config.limits.publish_deadline.get(),
        coalesce: welcome.config.limits.coalesce,
        outbox: PerStream {
            matches: welcome.config.limits.match_outbox.len(),
            bulk: welcome.config.limits.bulk_outbox.len(),
        },
        raw: raw_writer(welcome, feed)?,
    })
}

fn raw_writer(welcome: &Welcome, feed: &FeedConfig) -> Result<Option<raw::Writer>, ScanError> {
    let store = &welcome.config.store;
    let settings = raw::Settings {
        folder: welcome.config.raw_folder(),
        max_size: store.raw_max_size.get(),
        feed: feed.name.clone(),
        slot: welcome.slot,
        generation: welcome.generation,
    };
    let started = store.record_raw.then(|| raw::Writer::start(settings));
    started.transpose().map_err(ScanError::system("starting the thread that records what is received"))
}

/// The settings of the feed that a worker was welcomed to.
///
/// # Errors
/// [`ScanError`]: there is no such feed.
pub fn feed(welcome: &Welcome) -> Result<&FeedConfig, ScanError> {
    let none = || ScanError::config(format!("there is no feed number {}", welcome.feed));
    welcome.config.feed.get(usize::from(welcome.feed.0)).ok_or_else(none)
}

/// Room for what a connection may subscribe beside the list and the server's clock.
fn window(feed: &FeedConfig) -> Window {
    let own = [&feed.diffusion.list_topic, &feed.diffusion.time_topic];
    let own = own.into_iter().filter(|topic| !topic.is_empty()).count();
    let room = (feed.max_subscriptions as usize).saturating_sub(own).max(1);
    Window::new(room, feed.diffusion.dump_every.get())
}

/// The trees of a feed, as its payload, time zone and mapping are configured.
///
/// # Errors
/// [`ScanError`]: the time zone, the mapping or the key for users cannot be used.
pub fn trees(config: &Config, feed: &FeedConfig) -> Result<Trees, ScanError> {
    match feed.kind {
        FeedKind::Rooms => rooms(config, feed),
        FeedKind::Poll => polled(config, feed),
        FeedKind::Push => pushed(config, feed),
        FeedKind::Diffusion => topics(config, feed),
    }
}

fn polled(config: &Config, feed: &FeedConfig) -> Result<Trees, ScanError> {
    let socket = &feed.poll.socket;
    let sources = feed.poll.source.iter().map(|source| {
        let is_pushed = socket.url.is_some() && socket.source == source.name;
        // What is polled of it is a load each time: a delta is of the socket.
        let delta = match is_pushed {
            true => json::DeltaForm::DeepMerge(socket.replaced.clone()),
            false => json::DeltaForm::Replace,
        };
        json::Source { delta, ..json::Source::from(source) }
    });
    let sources = sources.collect();
    let wrong = |error| ScanError::config(format!("the sources of {}: {error}", feed.name));
    Ok(Box::new(JsonDocs::new(sources, limits(config)).map_err(wrong)?))
}

fn pushed(config: &Config, feed: &FeedConfig) -> Result<Trees, ScanError> {
    let wrong = |error| ScanError::config(format!("`reading` of {}: {error}", feed.name));
    let (source, list) = (json::Source::of_topics(&feed.push), json::ListDocument::of(&feed.push));
    // A topic a match; the list counts, too.
    let most = (feed.max_subscriptions as usize).saturating_add(1).max(limits(config).topics);
    let limits = Limits { topics: most, ..limits(config) };
    Ok(Box::new(JsonDocs::of_topics(source, list, limits).map_err(wrong)?))
}

fn rooms(config: &Config, feed: &FeedConfig) -> Result<Trees, ScanError> {
    let users = match feed.rooms.users {
        Users::Keep => UserForm::Keep,
        Users::Drop => UserForm::Drop,
        Users::Hash => {
            let path = config.daemon.state_dir.join(users_key::FILE);
            let wrong =
                |error| ScanError::config(format!("users of {}: {}: {error}", feed.name, path.display()));
            UserForm::Hash(users_key::get(&path).map_err(wrong)?)
        }
    };
    let limits = Limits { topics: feed.rooms.max_rooms as usize, ..limits(config) };
    Ok(Box::new(Rooms::new(limits, users, feed.rooms.ranking.clone())))
}

fn topics(config: &Config, feed: &FeedConfig) -> Result<Trees, ScanError> {
    let wrong = |setting: &str, error: &dyn fmt::Display| {
        ScanError::config(format!("{setting} of {}: {error}", feed.name))
    };
    let zone = TimeZone::get(&feed.feed_timezone).map_err(|error| wrong("feed_timezone", &error))?;
    let path = &feed.diffusion.mapping;
    let mapping = (!path.is_empty())
        .then(|| std::fs::read_to_string(path))
        .transpose()
        .map_err(|error| wrong("mapping", &format!("{path}: {error}")))?;
    payload::hold(feed.diffusion.payload, mapping.as_deref(), limits(config), zone)
        .map_err(|error| wrong("mapping", &error))
}

fn limits(config: &Config) -> Limits {
    Limits {
        nodes: config.limits.nodes as usize,
        depth: config.limits.depth as usize,
        topics: config.limits.topics as usize,
        ..Limits::default()
    }
}
