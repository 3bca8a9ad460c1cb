//! The values of a configuration, each compared with what it is for.
//!
//! Invariant: only judges, apart from `list_topic`, whose default depends on whether matches are named. Nothing is opened
//! or resolved here.

mod diffusion;
mod feed;
mod gateway;
mod poll;
mod push;
mod reading;
mod rooms;
mod socket;
mod streams;
mod transport;

use super::check::{Findings, nearest};
use super::locate::Place;
use super::sections::BULK_TYPES;
use super::units::{ByteSize, Dur};
use super::{Coalesce, Config, EVENT_TYPES};
use std::time::Duration;

/// The longest pause of a loop.
const COALESCE_MOST: Duration = Duration::from_millis(100);

/// A name of a feed is at most this long.
pub(super) const MAX_NAME: usize = 32;

pub(super) fn check(config: &mut Config, findings: &mut Findings<'_>) {
    for (index, feed) in config.feed.iter_mut().enumerate() {
        feed::check(feed, index, findings);
    }
    check_names(config, findings);
    check_pool(config, findings);
    check_limits(config, findings);
    check_store(config, findings);
    check_lanes(config, findings);
    check_log(config, findings);
    streams::check(&config.streams, findings);
    gateway::check(&config.gateway, findings);
}

fn check_names(config: &Config, findings: &mut Findings<'_>) {
    for (index, feed) in config.feed.iter().enumerate() {
        let first = config.feed.iter().take(index).position(|before| before.name == feed.name);
        let Some(first) = first else { continue };
        findings.add_related(
            &Place::feed(index, "name"),
            format!("two feeds are called `{}`", printable(&feed.name)),
            "expected a name of its own",
            Some((Place::feed(first, "name"), "the first one")),
        );
    }
}

fn check_pool(config: &Config, findings: &mut Findings<'_>) {
    let pool = &config.pool;
    if pool.max_workers == 0 {
        findings.add(&Place::key("pool", "max_workers"), "`max_workers` is 0", "expected at least 1");
    } else if pool.min_workers > pool.max_workers {
        findings.add_related(
            &Place::key("pool", "min_workers"),
            format!("`min_workers` ({}) is more than `max_workers` ({})", pool.min_workers, pool.max_workers),
            format!("expected at most {}", pool.max_workers),
            findings
                .is_written(&Place::key("pool", "max_workers"))
                .then(|| (Place::key("pool", "max_workers"), "the most")),
        );
    }
    if pool.spare_workers > pool.max_workers {
        let message = format!("`spare_workers` is more than `max_workers` ({})", pool.max_workers);
        findings.add(
            &Place::key("pool", "spare_workers"),
            message,
            format!("expected at most {}", pool.max_workers),
        );
    }
}

fn check_limits(config: &Config, findings: &mut Findings<'_>) {
    let limits = &config.limits;
    let at = |key: &str| Place::key("limits", key);
    for (key, size) in [
        ("frame", limits.frame),
        ("inflated", limits.inflated),
        ("out_queue", limits.out_queue),
        ("match_outbox", limits.match_outbox),
        ("bulk_outbox", limits.bulk_outbox),
    ] {
        some_bytes(size, &at(key), findings);
    }
    for (key, count) in [
        ("inflate_ratio", limits.inflate_ratio),
        ("nodes", limits.nodes),
        ("depth", limits.depth),
        ("topics", limits.topics),
    ] {
        if count == 0 {
            findings.add(
                &at(key),
                format!("`{key}` is 0, so nothing would be accepted"),
                "expected at least 1",
            );
        }
    }
    positive(limits.publish_deadline, &at("publish_deadline"), findings);
    if let Coalesce::For(pause) = limits.coalesce
        && pause.get() > COALESCE_MOST
    {
        // Pings and commands wait as long.
        findings.add(
            &at("coalesce"),
            format!("`coalesce` is {pause}"),
            format!("expected at most {}ms, or \"auto\"", COALESCE_MOST.as_millis()),
        );
    }
}

fn check_store(config: &Config, findings: &mut Findings<'_>) {
    let store = &config.store;
    let at = |key: &str| Place::key("store", key);
    if store.path.as_os_str().is_empty() {
        findings.add(&at("path"), "the store has no path", "expected a file name");
    }
    for (key, dur) in [
        ("snapshot_interval", store.snapshot_interval),
        ("event_commit", store.event_commit),
        ("bulk_commit", store.bulk_commit),
        ("keep_events", store.keep_events),
        ("keep_odds", store.keep_odds),
        ("keep_chat", store.keep_chat),
        ("keep_matches", store.keep_matches),
    ] {
        positive(dur, &at(key), findings);
    }
    some_bytes(store.max_write, &at("max_write"), findings);
    some_bytes(store.max_size, &at("max_size"), findings);
    if store.raw_max_size < ByteSize::megabytes(1) {
        findings.add(&at("raw_max_size"), "too small for a recording", "expected at least \"1MB\"");
    }
}

fn check_lanes(config: &Config, findings: &mut Findings<'_>) {
    for name in config.lanes.keys().filter(|name| !EVENT_TYPES.contains(&name.as_str())) {
        if BULK_TYPES.contains(&name.as_str()) {
            let message = format!("`{name}` is of the bulk stream, whose lanes are fixed");
            findings.add(&Place::key("lanes", name), message, "expected a type such as `goal` or `corner`");
            continue;
        }
        let expected = match nearest(name, EVENT_TYPES.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "expected a type such as `goal` or `corner`".to_owned(),
        };
        let message = format!("no event is called `{}`", printable(name));
        findings.add(&Place::key("lanes", name), message, expected);
    }
}

fn check_log(config: &Config, findings: &mut Findings<'_>) {
    if let Err(error) = crate::logging::check_filter(&config.log.level) {
        let message = format!("bad log level: {error}");
        findings.add(&Place::key("log", "level"), message, "expected error, warn, info, debug, trace or off");
    }
    if config.log.target.is_empty() {
        findings.add(&Place::key("log", "target"), "the log goes nowhere", "expected `stderr` or a file");
    }
}

fn positive(dur: Dur, at: &Place, findings: &mut Findings<'_>) {
    if dur.is_zero() {
        findings.add(at, "no time at all", "expected more than 0s");
    }
}

fn some_bytes(size: ByteSize, at: &Place, findings: &mut Findings<'_>) {
    if size.is_empty() {
        findings.add(at, "no bytes at all", "expected more than 0B");
    }
}

/// Control characters are the wire's own marks: none may get in by a topic or a name.
fn check_plain(text: &str, at: &Place, findings: &mut Findings<'_>) {
    if text.chars().any(char::is_control) {
        findings.add(at, "a control character in it", "expected plain text");
    }
}

fn printable(text: &str) -> String {
    text.chars().take(MAX_NAME).flat_map(char::escape_debug).collect()
}
