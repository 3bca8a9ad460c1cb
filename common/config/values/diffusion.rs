//! What a feed of kind `diffusion` has: its matches, its topics, its wire.

use super::check_plain;
use crate::config::check::Findings;
use crate::config::feed::{FeedConfig, Payload, Protocol, Strategy};
use crate::config::locate::Place;
use crate::config::url::Transport;

pub(super) fn check(feed: &mut FeedConfig, index: usize, findings: &mut Findings<'_>) {
    check_matches(feed, index, findings);
    check_topics(feed, index, findings);
    check_wire(feed, index, findings);
}

fn check_matches(feed: &mut FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    let named = !feed.matches.is_empty() || !feed.matches_file.is_empty();
    if named && !findings.is_written(&at("list_topic")) {
        feed.diffusion.list_topic.clear();
    }
    if feed.diffusion.payload != Payload::Inplay && !named {
        findings.add(
            &at("payload"),
            "a feed with this payload has no match list",
            "expected `matches` or `matches_file` with the matches to follow, or payload = \"inplay\"",
        );
        return;
    }
    if feed.diffusion.payload != Payload::Inplay && feed.strategy == Strategy::Dumps {
        findings.add(
            &at("strategy"),
            "a branch of topics has no load that could be taken and let go",
            "expected \"balanced\", or payload = \"inplay\"",
        );
    }
    match (feed.diffusion.list_topic.is_empty(), named) {
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
    let topics = &feed.diffusion;
    for (key, text) in [
        ("list_topic", topics.list_topic.as_str()),
        ("time_topic", topics.time_topic.as_str()),
        ("match_id", topics.match_id.as_str()),
    ] {
        check_plain(text, &at(key), findings);
    }
    if !feed.diffusion.list_topic.is_empty() && feed.diffusion.match_id.names().next().is_none() {
        findings.add(
            &at("match_id"),
            "no attribute in it, so all matches would have one id",
            "expected `{KEY}` in it",
        );
    }
    if feed.diffusion.match_topics.is_empty() {
        findings.add(
            &at("match_topics"),
            "a match without topics cannot be followed",
            "expected at least one topic",
        );
    }
    for (n, topic) in feed.diffusion.match_topics.iter().enumerate() {
        check_plain(topic.as_str(), &at("match_topics").index(n), findings);
        if topic.names().next().is_none()
            && (!feed.diffusion.list_topic.is_empty()
                || feed.matches.len() > 1
                || !feed.matches_file.is_empty())
        {
            let message = "no attribute in it, so all matches would have one topic";
            findings.add(&at("match_topics").index(n), message, "expected `{KEY}` in it");
        }
        if feed.diffusion.list_topic.is_empty()
            && let Some(name) = topic.names().find(|name| *name != "ID")
        {
            let message = format!("`{{{name}}}` has no value: without a list a match has its id alone");
            findings.add(&at("match_topics").index(n), message, "expected `{ID}`");
        }
        if feed.diffusion.match_topics.iter().take(n).any(|before| before == topic) {
            findings.add(
                &at("match_topics").index(n),
                "the topic stands in it twice",
                "expected each topic once",
            );
        }
    }
    let own = usize::from(!feed.diffusion.time_topic.is_empty());
    let cap = usize::try_from(feed.max_subscriptions).unwrap_or(usize::MAX);
    let needed = feed.diffusion.match_topics.len() + own;
    if cap > 0 && needed > cap {
        let message = format!("a connection may hold {cap} subscriptions, but one match takes {needed}");
        findings.add(&at("max_subscriptions"), message, format!("expected at least {needed}"));
    }
}

fn check_wire(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    let transport = feed.url.transport;
    match transport {
        Transport::Tcp => {
            findings.add(&at("url"), "tcp:// is for rooms", "expected dpt://, dpts://, ws:// or wss://");
        }
        Transport::Dpt | Transport::Dpts | Transport::Ws | Transport::Wss => {}
    }
    match feed.diffusion.protocol {
        Protocol::Zap if !transport.is_websocket() => findings.add_related(
            &at("protocol"),
            format!("\"zap\" is spoken over a WebSocket, not over {}", transport.scheme()),
            "expected ws:// or wss:// in `url`, or \"v4\"",
            findings.is_written(&at("url")).then(|| (at("url"), "the transport")),
        ),
        Protocol::Zap | Protocol::V4 => {}
    }
    for (n, topic) in feed.diffusion.login_topics.iter().enumerate() {
        let place = at("login_topics").index(n);
        check_plain(topic, &place, findings);
        if topic.is_empty() {
            findings.add(&place, "an empty topic", "expected a topic as the server knows it");
        }
    }
}
