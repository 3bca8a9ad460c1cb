//! What all feeds have.

use super::{MAX_NAME, check_plain, diffusion, poll, positive, push, rooms, transport};
use crate::config::check::Findings;
use crate::config::feed::{FeedConfig, FeedKind, Strategy};
use crate::config::locate::Place;
use crate::config::units::Dur;

/// The most incidents of a match that may wait for earlier ones,
const MAX_WINDOW: u32 = 1_000;
/// and the longest.
const MAX_WAIT: Dur = Dur::secs(60);
/// The most incidents of a match.
const MAX_INCIDENTS: u32 = 100_000;

pub(super) fn check(feed: &mut FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    check_name(&feed.name, &at("name"), findings);
    match feed.kind {
        FeedKind::Diffusion => diffusion::check(feed, index, findings),
        FeedKind::Rooms => rooms::check(feed, index, findings),
        FeedKind::Poll => poll::check(feed, index, findings),
        FeedKind::Push => push::check(feed, index, findings),
    }
    if feed.kind != FeedKind::Poll {
        poll::refuse_keys(index, findings);
    }
    check_kind(feed.kind, index, findings);
    check_shared(feed.kind, index, findings);
    for (key, text) in [("username", &feed.username), ("matches_file", &feed.matches_file)] {
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
        if !rate.is_finite() || rate < 0.0 {
            findings.add(&at(key), format!("`{rate}` is not a rate"), "expected a number of more than 0");
        } else if rate == 0.0 {
            findings.add(
                &at(key),
                format!("`{key}` is 0, so nothing would ever happen"),
                "expected more than 0",
            );
        }
    }
    positive(feed.stale_after, &at("stale_after"), findings);
    if feed.strategy == Strategy::Dumps && !feed.reconcile_every.is_zero() {
        findings.add(
            &at("reconcile_every"),
            "strategy \"dumps\" takes a load of each match in turn anyway",
            "expected \"0s\", or another strategy",
        );
    }
    check_incidents(feed, index, findings);
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

/// A key of another kind's section would do nothing here.
fn check_kind(kind: FeedKind, index: usize, findings: &mut Findings<'_>) {
    for (other, keys) in FeedConfig::keys_of_kinds().into_iter().filter(|(other, _)| *other != kind) {
        for key in keys {
            let place = Place::feed(index, key);
            if findings.is_written(&place) {
                let message = format!("`{key}` is for feeds of kind \"{}\"", other.name());
                let expected =
                    format!("expected it to be left out, this feed is of kind \"{}\"", kind.name());
                findings.add(&place, message, expected);
            }
        }
    }
}

/// Keys that two kinds have.
fn check_shared(kind: FeedKind, index: usize, findings: &mut Findings<'_>) {
    for (key, kinds) in [
        ("heartbeat", [FeedKind::Rooms, FeedKind::Push]),
        ("headers_env", [FeedKind::Poll, FeedKind::Push]),
        ("headers_file", [FeedKind::Poll, FeedKind::Push]),
    ] {
        let place = Place::feed(index, key);
        if !kinds.contains(&kind) && findings.is_written(&place) {
            let [one, other] = kinds.map(FeedKind::name);
            let message = format!("`{key}` is for feeds of kinds \"{one}\" and \"{other}\"");
            let expected = format!("expected it to be left out, this feed is of kind \"{}\"", kind.name());
            findings.add(&place, message, expected);
        }
    }
}

fn check_name(name: &str, at: &Place, findings: &mut Findings<'_>) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(allowed) {
        findings.add(at, "bad name of a feed", "expected 1 to 32 letters, digits, `-`, `_` or `.`");
    }
}

fn check_incidents(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    if feed.order_window > MAX_WINDOW {
        let message = format!("`order_window` is {}", feed.order_window);
        findings.add(&at("order_window"), message, "expected at most 1000");
    }
    if feed.order_wait > MAX_WAIT {
        let message = format!("`{}` would hold up each incident for too long", feed.order_wait);
        findings.add(&at("order_wait"), message, "expected at most \"60s\"");
    }
    if !(1..=MAX_INCIDENTS).contains(&feed.max_incidents) {
        let message = format!("`max_incidents` is {}", feed.max_incidents);
        findings.add(&at("max_incidents"), message, "expected 1 to 100000");
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
