//! Settings of parts that this version does not have: set to anything but their default, they are refused.
//!
//! Invariant: `not in this build` stands in each message, so that no setting seems to work that does nothing.
//! Whoever builds a part removes its line here.

use super::check::Findings;
use super::feed::{FeedConfig, FeedKind};
use super::locate::Place;
use super::sections::{GatewayConfig, LimitsConfig, SandboxMode, StreamsConfig};
use super::{Config, SandboxConfig};

/// Keys of a `[[feed]]` of a kind that is not built: there is no section yet that could read them.
pub(super) const FEED_KEYS: &[&str] = &[
    "rooms",
    "rooms_file",
    "ranking",
    "max_rooms",
    "max_per_address",
    "heartbeat",
    "auth_file",
    "users",
    "window",
    "per_host",
    "interval",
    "full_every",
    "quota_per_day",
    "proxy",
    "source",
    "login",
    "subscribe",
    "unsubscribe",
    "acknowledged",
    "refused",
    "topic",
    "snapshot",
    "delta",
    "merge",
    "sequence",
    "resume",
    "batch",
];

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    for (index, feed) in config.feed.iter().enumerate() {
        let settings = feed_settings(feed);
        refuse(&settings, |key| Place::feed(index, key), findings);
    }
    let limits = &config.limits;
    let coalesce = ("coalesce", limits.coalesce != LimitsConfig::default().coalesce, "expected \"auto\"");
    refuse(&[coalesce], |key| Place::key("limits", key), findings);
    refuse(&[("record_raw", config.store.record_raw, "")], |key| Place::key("store", key), findings);
    refuse(&stream_settings(&config.streams), |key| Place::key("streams", key), findings);
    refuse(&gateway_settings(&config.gateway), |key| Place::key("gateway", key), findings);
    refuse(&sandbox_settings(&config.sandbox), |key| Place::key("sandbox", key), findings);
}

/// A key, whether it is set to something that is not built, and what is built instead.
type Setting = (&'static str, bool, &'static str);

fn feed_settings(feed: &FeedConfig) -> Vec<Setting> {
    let kind = match feed.kind {
        FeedKind::Diffusion => false,
        FeedKind::Poll | FeedKind::Rooms | FeedKind::Push => true,
    };
    vec![("kind", kind, "expected \"diffusion\"")]
}

fn stream_settings(streams: &StreamsConfig) -> Vec<Setting> {
    let built = StreamsConfig::default();
    vec![
        ("redis", streams.redis != built.redis, ""),
        ("rabbitmq", streams.rabbitmq != built.rabbitmq, ""),
        ("prefix", streams.prefix != built.prefix, ""),
        ("maxlen", streams.maxlen != built.maxlen, ""),
        ("ndjson", streams.ndjson != built.ndjson, ""),
        ("kafka", streams.kafka != built.kafka, ""),
    ]
}

fn gateway_settings(gateway: &GatewayConfig) -> Vec<Setting> {
    vec![
        ("listen", !gateway.listen.is_empty(), ""),
        ("read_token_file", !gateway.read_token_file.is_empty(), ""),
        ("trusted_proxies", !gateway.trusted_proxies.is_empty(), ""),
        ("pub_listen", !gateway.pub_listen.is_empty(), ""),
        ("pub_secret_file", !gateway.pub_secret_file.is_empty(), ""),
        ("redis", !gateway.redis.is_empty(), ""),
        ("origins", !gateway.origins.is_empty(), ""),
    ]
}

fn sandbox_settings(sandbox: &SandboxConfig) -> Vec<Setting> {
    let mode = match sandbox.mode {
        SandboxMode::Off | SandboxMode::BestEffort => false,
        SandboxMode::Strict => true,
    };
    vec![
        ("mode", mode, "expected \"off\" or \"best-effort\""),
        ("user", !sandbox.user.is_empty(), ""),
        ("group", !sandbox.group.is_empty(), ""),
    ]
}

fn refuse(settings: &[Setting], place: impl Fn(&str) -> Place, findings: &mut Findings<'_>) {
    for (key, set, expected) in settings {
        if *set {
            let expected = if expected.is_empty() { "expected it to be left out" } else { expected };
            findings.add(&place(key), not_in_this_build(key), expected);
        }
    }
}

pub(super) fn not_in_this_build(key: &str) -> String {
    format!("`{key}` is set to what is not in this build")
}
