//! What a feed of kind `push` has: which topics, what is sent, what messages mean.

mod messages;

use super::{check_plain, positive, reading};
use crate::config::check::Findings;
use crate::config::feed::{FeedConfig, PushList, Strategy};
use crate::config::locate::Place;
use crate::config::url::Transport;

/// Bytes of a topic at most.
const MAX_TOPIC: usize = 256;
/// Topics of one message at most.
const MAX_BATCH: u32 = 10_000;
/// Deltas of one topic that wait for its snapshot at most.
const MAX_HELD: u32 = 100_000;

pub(super) fn check(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    check_server(feed, index, findings);
    check_which(feed, index, findings);
    check_names(feed, index, findings);
    check_list(&feed.push.list, &Place::feed(index, "list"), findings);
    check_numbers(feed, index, findings);
    check_common(feed, index, findings);
    messages::check(feed, index, findings);
    reading::check(&feed.push.reading, &Place::feed(index, "reading"), findings);
}

fn check_server(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    match feed.url.transport {
        Transport::Ws | Transport::Wss => {}
        Transport::Tcp | Transport::Dpt | Transport::Dpts => findings.add(
            &Place::feed(index, "url"),
            format!("no push server is over {}://", feed.url.transport.scheme()),
            "expected ws:// or wss://",
        ),
    }
}

/// Matches come from names or from a list.
fn check_which(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    let push = &feed.push;
    let key = if push.topics.is_empty() { "topics_file" } else { "topics" };
    let named = !push.topics.is_empty() || !push.topics_file.is_empty();
    match (named, push.list.topic().is_empty()) {
        (false, true) => findings.add(
            &at("topics"),
            "a feed with neither topics nor a list would follow nothing",
            "expected `topics`, `topics_file` or `list`",
        ),
        (true, false) => findings.add_related(
            &at(key),
            "a feed has either named topics or a list, not both",
            "expected this or `list`",
            Some((at("list"), "the list")),
        ),
        (true, true) | (false, false) => {}
    }
}

fn check_names(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let topics = &feed.push.topics;
    for (n, topic) in topics.iter().enumerate() {
        let place = Place::feed(index, "topics").index(n);
        if topic.is_empty() || topic.len() > MAX_TOPIC {
            findings.add(&place, "bad name of a topic", "expected 1 to 256 bytes");
        } else if topics.iter().take(n).any(|before| before == topic) {
            findings.add(&place, "the topic is named twice", "expected each topic once");
        }
        check_plain(topic, &place, findings);
    }
    check_plain(&feed.push.topics_file, &Place::feed(index, "topics_file"), findings);
}

fn check_list(list: &PushList, place: &Place, findings: &mut Findings<'_>) {
    let at = |key: &str| place.clone().child(key);
    if list.topic().is_empty() {
        return;
    }
    if !list.url.is_empty() && !list.topic.is_empty() {
        findings.add_related(
            &at("topic"),
            "a list is either polled or a topic, not both",
            "expected this or `url`",
            Some((at("url"), "the url")),
        );
    }
    let rest = list.url.strip_prefix("http://").or_else(|| list.url.strip_prefix("https://"));
    if !list.url.is_empty() && rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
        findings.add(&at("url"), "not an address of a list", "expected http:// or https:// and a host");
    }
    check_plain(&list.url, &at("url"), findings);
    check_plain(&list.topic, &at("topic"), findings);
    check_plain(list.match_topic.as_str(), &at("match_topic"), findings);
    positive(list.every, &at("every"), findings);
    if list.id.steps().is_empty() {
        findings.add(&at("id"), "an entry of a list needs an id", "expected a JSON pointer such as \"/id\"");
    }
    if list.match_topic.names().next().is_none() {
        findings.add(
            &at("match_topic"),
            "no member in it, so all matches would have one topic",
            "expected `{ID}` in it",
        );
    }
    reading::check(&list.reading, &at("reading"), findings);
}

fn check_numbers(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    let push = &feed.push;
    if !(1..=MAX_BATCH).contains(&push.batch) {
        findings.add(&at("batch"), format!("`batch` is {}", push.batch), "expected 1 to 10000");
    }
    if push.held_deltas > MAX_HELD {
        let message = format!("`held_deltas` is {}", push.held_deltas);
        findings.add(&at("held_deltas"), message, "expected at most 100000");
    }
    if !push.messages_per_s.is_finite() || push.messages_per_s <= 0.0 {
        let message = format!("`{}` messages per second", push.messages_per_s);
        findings.add(&at("messages_per_s"), message, "expected a number of more than 0");
    }
    positive(push.login.deadline, &at("login").child("deadline"), findings);
    let every = feed.beats.heartbeat.every;
    if !push.idle_limit.is_zero() && push.idle_limit <= every {
        findings.add_related(
            &at("idle_limit"),
            format!("a server that only answers heartbeats, each {every}, would be given up"),
            "expected more than that, or \"0s\"",
            Some((at("heartbeat"), "the heartbeat")),
        );
    }
    if push.refusing_codes.iter().any(|code| !(1000..=4999).contains(code)) {
        findings.add(&at("refusing_codes"), "not a WebSocket's close code", "expected 1000 to 4999");
    }
}

/// Keys that all feeds have and that mean nothing here.
fn check_common(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    for (key, instead, is_empty) in [
        ("matches", "`topics`", feed.matches.is_empty()),
        ("matches_file", "`topics_file`", feed.matches_file.is_empty()),
    ] {
        if !is_empty {
            let message = format!("`{key}` means nothing for a feed of kind \"push\"");
            findings.add(&at(key), message, format!("expected {instead}"));
        }
    }
    if feed.strategy == Strategy::Dumps {
        let message = "topics of a push server are held, not taken in turn";
        findings.add(&at("strategy"), message, "expected \"balanced\" or \"multiplex\"");
    }
}
