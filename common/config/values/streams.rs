//! `[streams]`: addresses, keys, and what each sink is to get.

mod brokers;

use super::{check_plain, positive};
use crate::config::check::Findings;
use crate::config::locate::Place;
use crate::config::streams::{SinkLane, StreamsConfig};

/// Rows that may be under way at a time.
const MAX_BATCH: u32 = 10_000;

pub(super) fn check(streams: &StreamsConfig, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::key("streams", key);
    let login = "expected it in `username` and `password_env` or `password_file` of [streams.redis_options]";
    if let Err((message, expected)) = redis_address(&streams.redis, login) {
        findings.add(&at("redis"), message, expected);
    }
    if streams.prefix.is_empty() || streams.prefix.contains(char::is_whitespace) {
        findings.add(&at("prefix"), "no usable prefix", "expected a word, such as `touchline`");
    }
    check_plain(&streams.prefix, &at("prefix"), findings);
    check_plain(&streams.ndjson, &at("ndjson"), findings);
    if streams.maxlen == 0 {
        findings.add(&at("maxlen"), "`maxlen` is 0, so nothing would stay", "expected at least 1");
    }
    let times = [
        ("retry_max", streams.retry_max),
        ("down_after", streams.down_after),
        ("lag_after", streams.lag_after),
    ];
    for (key, dur) in times {
        positive(dur, &at(key), findings);
    }
    let redis = &streams.redis_options;
    check_sink("redis_options", &redis.lanes, redis.batch, findings);
    positive(redis.timeout, &at("redis_options").child("timeout"), findings);
    if !redis.ca_file.is_empty() && !has_tls(&streams.redis) {
        let place = at("redis_options").child("ca_file");
        findings.add(&place, "`ca_file` is for TLS, which this `redis` is without", "expected `rediss://…`");
    }
    let ndjson = &streams.ndjson_options;
    check_sink("ndjson_options", &ndjson.lanes, ndjson.batch, findings);
    brokers::check(streams, findings);
}

fn check_sink(table: &str, lanes: &[SinkLane], batch: u32, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::key("streams", table).child(key);
    if lanes.is_empty() {
        let expected = "expected some of \"priority\", \"normal\", \"odds\", \"chat\"";
        findings.add(&at("lanes"), "no lanes, so nothing would be sent", expected);
    }
    if batch == 0 || batch > MAX_BATCH {
        let message = format!("`batch` is {batch}");
        findings.add(&at("batch"), message, format!("expected 1 to {MAX_BATCH}"));
    }
}

fn has_tls(address: &str) -> bool {
    address.starts_with("rediss://")
}

/// What is wrong with an address of Redis, and what was expected; `login` says where that of the login belongs. It is not repeated: it might carry
/// a secret.
pub(super) fn redis_address(address: &str, login: &'static str) -> Result<(), (&'static str, &'static str)> {
    if address.is_empty() {
        return Ok(());
    }
    let expected = "expected redis://host:port/db, or rediss:// for TLS";
    let rest = ["redis://", "rediss://"].iter().find_map(|scheme| address.strip_prefix(scheme));
    let Some(rest) = rest else { return Err(("bad scheme", expected)) };
    if rest.contains('@') {
        return Err(("a login in the address", login));
    }
    let (authority, db) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address without a port are within its brackets.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        Some(_) | None => (authority, "6379"),
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if host.is_empty() || !host.chars().all(is_host) {
        return Err(("bad host", expected));
    }
    if !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(("bad port", expected));
    }
    if !db.is_empty() && db.parse::<u16>().is_err() {
        return Err(("bad database", "expected its number after the port, such as redis://host:6379/0"));
    }
    Ok(())
}
