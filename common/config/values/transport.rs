//! How a feed is reached: what belongs to which transport.

use crate::config::check::Findings;
use crate::config::feed::{FeedConfig, FeedKind};
use crate::config::locate::Place;
use crate::config::secret::REDACTED;

const OWN_HEADERS: [&str; 3] = ["host", "upgrade", "connection"];
const OWN_PREFIX: &str = "sec-websocket-";

pub(super) fn check(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    // Each source has a url of its own.
    if feed.kind != FeedKind::Poll {
        check_tls(feed, index, findings);
        check_has_headers(feed, index, findings);
    }
    check_headers(feed, index, findings);
    check_secret_headers(feed, index, findings);
}

fn check_tls(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    let keys = [("ca_file", !feed.ca_file.is_empty()), ("insecure", feed.insecure)];
    let ranking = &feed.rooms.ranking.url;
    let is_needed = feed.rooms.hosts.iter().any(|url| url.transport.has_tls())
        || ranking.starts_with("https:")
        || feed.push.list.url.starts_with("https:");
    if !feed.url.transport.has_tls() && !is_needed {
        for (key, _) in keys.iter().filter(|(_, set)| *set) {
            let message = format!("`{key}` is for TLS, which {}:// is without", feed.url.transport.scheme());
            findings.add(&at(key), message, "expected dpts:// or wss:// in `url`, or it to be left out");
        }
    } else if keys.iter().all(|(_, set)| *set) {
        findings.add_related(
            &at("insecure"),
            "any certificate is taken, so `ca_file` would mean nothing",
            "expected one of them",
            Some((at("ca_file"), "the other")),
        );
    }
}

fn check_has_headers(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = Place::feed(index, "headers");
    let has_websocket =
        feed.url.transport.is_websocket() || feed.rooms.hosts.iter().any(|url| url.transport.is_websocket());
    if !feed.headers.is_empty() && !has_websocket {
        findings.add(
            &at,
            format!("headers are for a WebSocket, {}:// has none", feed.url.transport.scheme()),
            "expected ws:// or wss:// in `url`, or it to be left out",
        );
    }
}

fn check_headers(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = Place::feed(index, "headers");
    for (name, value) in feed.headers.expose() {
        let lower = name.to_ascii_lowercase();
        if !is_name(name) {
            findings.add(&at, "bad name of a header", "expected letters, digits, `-`, `_` and `.`");
        } else if OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with(OWN_PREFIX) {
            findings.add(&at, format!("the request has its own `{name}`"), "expected it to be left out");
        } else if value == REDACTED {
            let message = format!("the value of `{name}` is what is printed in place of a secret");
            findings.add(&at, message, "expected the value itself");
        } else if value.chars().any(char::is_control) {
            findings.add(&at, format!("a control character in the value of `{name}`"), "expected plain text");
        }
    }
}

/// Their values are judged where they are read.
fn check_secret_headers(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let secret = &feed.secret_headers;
    for (key, headers) in [("headers_env", &secret.headers_env), ("headers_file", &secret.headers_file)] {
        let at = Place::feed(index, key);
        for name in headers.keys() {
            let lower = name.to_ascii_lowercase();
            if !is_name(name) {
                findings.add(&at, "bad name of a header", "expected letters, digits, `-`, `_` and `.`");
            } else if feed.kind == FeedKind::Push
                && (OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with(OWN_PREFIX))
            {
                findings.add(&at, format!("the request has its own `{name}`"), "expected it to be left out");
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}
