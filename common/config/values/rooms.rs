//! What a feed of kind `rooms` has: which rooms, where they are, how they are joined.

use super::{check_plain, positive};
use crate::config::check::Findings;
use crate::config::feed::{FeedConfig, Ranking, Strategy};
use crate::config::locate::Place;
use crate::config::url::Transport;

pub(super) fn check(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    check_which(feed, index, findings);
    check_ids(feed, index, findings);
    check_servers(feed, index, findings);
    check_ranking(&feed.rooms.ranking, index, findings);
    check_numbers(feed, index, findings);
    check_common(feed, index, findings);
}

/// Rooms come from names or from a ranking, as matches come from names or from a list.
fn check_which(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    let key = if feed.rooms.rooms.is_empty() { "rooms_file" } else { "rooms" };
    let named = !feed.rooms.rooms.is_empty() || !feed.rooms.rooms_file.is_empty();
    match (named, feed.rooms.ranking.url.is_empty()) {
        (false, true) => findings.add(
            &at("rooms"),
            "a feed with neither rooms nor a ranking would follow nothing",
            "expected `rooms`, `rooms_file` or `ranking`",
        ),
        (true, false) => findings.add_related(
            &at(key),
            "a feed has either named rooms or a ranking, not both",
            "expected this or `ranking`",
            Some((at("ranking"), "the ranking")),
        ),
        (true, true) | (false, false) => {}
    }
}

fn check_ids(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let rooms = &feed.rooms.rooms;
    for (n, id) in rooms.iter().enumerate() {
        let place = Place::feed(index, "rooms").index(n);
        if id.is_empty() || id.len() > 256 {
            findings.add(&place, "bad id of a room", "expected 1 to 256 bytes");
        } else if rooms.iter().take(n).any(|before| before == id) {
            findings.add(&place, "the room is named twice", "expected each room once");
        }
        check_plain(id, &place, findings);
    }
    for (key, text) in [("rooms_file", &feed.rooms.rooms_file), ("auth_file", &feed.rooms.auth_file)] {
        check_plain(text, &Place::feed(index, key), findings);
    }
}

fn check_servers(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let url = (Place::feed(index, "url"), feed.url.transport);
    let hosts = feed.rooms.hosts.iter().enumerate();
    let hosts = hosts.map(|(n, host)| (Place::feed(index, "hosts").index(n), host.transport));
    for (place, transport) in std::iter::once(url).chain(hosts) {
        match transport {
            Transport::Tcp | Transport::Ws | Transport::Wss => {}
            Transport::Dpt | Transport::Dpts => findings.add(
                &place,
                format!("no rooms are over {}://", transport.scheme()),
                "expected tcp://, ws:// or wss://",
            ),
        }
    }
}

fn check_ranking(ranking: &Ranking, index: usize, findings: &mut Findings<'_>) {
    if ranking.url.is_empty() {
        return;
    }
    let at = |key: &str| Place::feed(index, "ranking").child(key);
    let rest = ranking.url.strip_prefix("http://").or_else(|| ranking.url.strip_prefix("https://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
        findings.add(&at("url"), "not an address of a ranking", "expected http:// or https:// and a host");
    }
    check_plain(&ranking.url, &at("url"), findings);
    positive(ranking.every, &at("every"), findings);
    if ranking.top == 0 {
        findings.add(&at("top"), "`top` is 0, so no room would be followed", "expected at least 1");
    }
    for (key, pointer) in [
        ("list", &ranking.list),
        ("id", &ranking.id),
        ("title", &ranking.title),
        ("popularity", &ranking.popularity),
    ] {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            let expected = "expected a JSON pointer: empty, or beginning with `/`";
            findings.add(&at(key), format!("`{key}` is no JSON pointer"), expected);
        }
    }
}

fn check_numbers(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    let counts = [("max_rooms", feed.rooms.max_rooms), ("max_per_address", feed.rooms.max_per_address)];
    for (key, count) in counts {
        if count == 0 {
            findings.add(&at(key), format!("`{key}` is 0"), "expected at least 1");
        }
    }
    positive(feed.beats.heartbeat.every, &at("heartbeat"), findings);
    if !feed.beats.heartbeat.send.is_empty() {
        let message = "rooms have a heartbeat of their own form";
        findings.add(&at("heartbeat"), message, "expected how often alone, such as \"30s\"");
    }
}

/// Keys that all feeds have and that mean nothing for rooms.
fn check_common(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    for (key, instead) in
        [("matches", "`rooms`"), ("matches_file", "`rooms_file`"), ("max_subscriptions", "`max_rooms`")]
    {
        if findings.is_written(&at(key)) {
            let message = format!("`{key}` means nothing for a feed of kind \"rooms\"");
            findings.add(&at(key), message, format!("expected {instead}"));
        }
    }
    if feed.strategy == Strategy::Dumps {
        let message = "a room has no load that could be taken and let go";
        findings.add(&at("strategy"), message, "expected \"balanced\" or \"multiplex\"");
    }
    if !feed.reconcile_every.is_zero() {
        let message = "what was said in a room cannot be loaded again, so there is nothing to compare";
        findings.add(&at("reconcile_every"), message, "expected \"0s\"");
    }
}
