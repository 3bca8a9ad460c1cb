//! The values of a configuration, each held against what it is for.
//!
//! Invariant: only judges, apart from `list_topic`, whose default depends on whether matches are named. Nothing is opened
//! or resolved here.

mod transport;

use super::check::{Findings, nearest};
use super::feed::{FeedConfig, Payload, Strategy};
use super::locate::Place;
use super::units::{ByteSize, Dur};
use super::{Config, EVENT_TYPES};

/// A name of a feed is at most this long.
const MAX_NAME: usize = 32;

pub(super) fn check(config: &mut Config, findings: &mut Findings<'_>) {
    for (index, feed) in config.feed.iter_mut().enumerate() {
        check_feed(feed, index, findings);
    }
    check_names(config, findings);
    check_pool(config, findings);
    check_limits(config, findings);
    check_store(config, findings);
    check_lanes(config, findings);
    check_log(config, findings);
}

fn check_feed(feed: &mut FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    check_name(&feed.name, &at("name"), findings);
    check_matches(feed, index, findings);
    check_topics(feed, index, findings);
    for (key, text) in [
        ("list_topic", &feed.list_topic),
        ("time_topic", &feed.time_topic),
        ("username", &feed.username),
        ("matches_file", &feed.matches_file),
    ] {
        check_plain(text, &at(key), findings);
    }
    for (key, count) in [
        ("max_subscriptions", feed.max_subscriptions),
        ("max_connections", feed.max_connections),
        ("connections_per_process", feed.connections_per_process),
    ] {
        if count == 0 {
            findings.add(&at(key), format!("`{key}` is 0"), "expected at least 1");
        }
    }
    for (key, rate) in [("connects_per_s", feed.connects_per_s), ("subscribes_per_s", feed.subscribes_per_s)]
    {
        if rate.get() <= 0.0 {
            findings.add(
                &at(key),
                format!("`{key}` is 0, so nothing would ever happen"),
                "expected more than 0",
            );
        }
    }
    positive(feed.stale_after, &at("stale_after"), findings);
    if jiff::tz::TimeZone::get(&feed.feed_timezone).is_err() {
        let expected = "expected a name such as \"Europe/London\" or \"UTC\"";
        findings.add(&at("feed_timezone"), "unknown time zone", expected);
    }
    let order = &feed.waiting_order;
    if order.iter().enumerate().any(|(n, key)| order.iter().take(n).any(|before| before == key)) {
        findings.add(
            &at("waiting_order"),
            "a key stands in it twice",
            "expected each of in_play and start once",
        );
    }
    check_login(feed, index, findings);
    transport::check(feed, index, findings);
}

fn check_name(name: &str, at: &Place, findings: &mut Findings<'_>) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(allowed) {
        findings.add(at, "bad name of a feed", "expected 1 to 32 letters, digits, `-`, `_` or `.`");
    }
}

fn check_matches(feed: &mut FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    let named = !feed.matches.is_empty() || !feed.matches_file.is_empty();
    if named && !findings.is_written(&at("list_topic")) {
        feed.list_topic.clear();
    }
    if feed.payload != Payload::Inplay && !named {
        findings.add(
            &at("payload"),
            "a feed with this payload has no match list",
            "expected `matches` or `matches_file` with the matches to follow, or payload = \"inplay\"",
        );
        return;
    }
    if feed.payload != Payload::Inplay && feed.strategy == Strategy::Dumps {
        findings.add(
            &at("strategy"),
            "a branch of topics has no load that could be taken and let go",
            "expected \"balanced\", or payload = \"inplay\"",
        );
    }
    match (feed.list_topic.is_empty(), named) {
        (true, false) => findings.add(
            &at("list_topic"),
            "a feed with neither a list nor matches would follow nothing",
            "expected `list_topic`, or `matches` with the matches to follow",
        ),
        (false, true) => findings.add_related(
            &at(if feed.matches.is_empty() { "matches_file" } else { "matches" }),
            "a feed has either a list or named matches, not both",
            "expected this or `list_topic`",
            Some((at("list_topic"), "the list")),
        ),
        (true, true) | (false, false) => {}
    }
    for (n, id) in feed.matches.iter().enumerate() {
        if id.is_empty() || id.len() > 256 {
            findings.add(&at("matches").index(n), "bad id of a match", "expected 1 to 256 bytes");
        } else if feed.matches.iter().take(n).any(|before| before == id) {
            findings.add(&at("matches").index(n), "the match is named twice", "expected each match once");
        }
        check_plain(id, &at("matches").index(n), findings);
    }
}

fn check_topics(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    check_plain(feed.match_id.as_str(), &at("match_id"), findings);
    if !feed.list_topic.is_empty() && feed.match_id.names().next().is_none() {
        findings.add(
            &at("match_id"),
            "no attribute in it, so all matches would have one id",
            "expected `{KEY}` in it",
        );
    }
    if feed.match_topics.is_empty() {
        findings.add(
            &at("match_topics"),
            "a match without topics cannot be followed",
            "expected at least one topic",
        );
    }
    for (n, topic) in feed.match_topics.iter().enumerate() {
        check_plain(topic.as_str(), &at("match_topics").index(n), findings);
        if topic.names().next().is_none()
            && (!feed.list_topic.is_empty() || feed.matches.len() > 1 || !feed.matches_file.is_empty())
        {
            let message = "no attribute in it, so all matches would have one topic";
            findings.add(&at("match_topics").index(n), message, "expected `{KEY}` in it");
        }
        if feed.match_topics.iter().take(n).any(|before| before == topic) {
            findings.add(
                &at("match_topics").index(n),
                "the topic stands in it twice",
                "expected each topic once",
            );
        }
    }
    let own = usize::from(!feed.time_topic.is_empty());
    let cap = usize::try_from(feed.max_subscriptions).unwrap_or(usize::MAX);
    let needed = feed.match_topics.len() + own;
    if cap > 0 && needed > cap {
        let message = format!("a connection may hold {cap} subscriptions, but one match takes {needed}");
        findings.add(&at("max_subscriptions"), message, format!("expected at least {needed}"));
    }
}

fn check_login(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    let (env, file) = (!feed.password_env.is_empty(), !feed.password_file.is_empty());
    if env && file {
        findings.add_related(
            &at("password_file"),
            "a password from two places",
            "expected one of them",
            Some((at("password_env"), "the other")),
        );
    }
    if (env || file) && feed.username.is_empty() {
        let key = if env { "password_env" } else { "password_file" };
        findings.add(&at(key), "a password without `username`", "expected `username` beside it");
    }
    if feed.password_env.contains(['=', '\0']) {
        findings.add(
            &at("password_env"),
            "bad name of an environment variable",
            "expected the variable's name only",
        );
    }
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
}

fn check_lanes(config: &Config, findings: &mut Findings<'_>) {
    for name in config.lanes.keys().filter(|name| !EVENT_TYPES.contains(&name.as_str())) {
        let expected = match nearest(name, EVENT_TYPES.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "expected a type such as `goal` or `card`".to_owned(),
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
