//! What all feeds have.

use super::{MAX_NAME, check_plain, diffusion, poll, positive, transport};
use crate::config::check::Findings;
use crate::config::feed::{FeedConfig, FeedKind, Strategy};
use crate::config::locate::Place;

pub(super) fn check(feed: &mut FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    check_name(&feed.name, &at("name"), findings);
    match feed.kind {
        FeedKind::Diffusion => diffusion::check(feed, index, findings),
        FeedKind::Poll => poll::check(feed, index, findings),
        FeedKind::Rooms | FeedKind::Push => {}
    }
    if feed.kind != FeedKind::Poll {
        poll::refuse_keys(index, findings);
    }
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
