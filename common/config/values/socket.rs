//! What `[feed.socket]` has: the WebSocket beside polling.

use super::poll::check_pointer;
use crate::config::check::Findings;
use crate::config::feed::{FeedConfig, Role};
use crate::config::locate::Place;

pub(super) fn check(feed: &FeedConfig, roles: &[Role], index: usize, findings: &mut Findings<'_>) {
    let socket = &feed.poll.socket;
    let at = |key: &str| Place::feed(index, "socket").child(key);
    let Some(url) = &socket.url else { return };
    if !url.transport.is_websocket() {
        findings.add(&at("url"), "bad scheme of a WebSocket", "expected ws:// or wss://");
    }
    let mut sources = feed.poll.source.iter().zip(roles);
    match sources.find(|(source, _)| source.name == socket.source) {
        Some((_, Role::PerMatch)) => {}
        Some((_, Role::List | Role::Document | Role::Step)) | None => findings.add(
            &at("source"),
            "it pushes no source's matches",
            "expected the `name` of a [[feed.source]] with `{ID}` in its url",
        ),
    }
    if feed.poll.source.iter().any(|source| source.after == socket.source) {
        findings.add(
            &at("source"),
            "another source needs its answers, which do not come while the socket is up",
            "expected a source that no `after` names",
        );
    }
    if !socket.subscribe.contains("{ID}") {
        findings.add(&at("subscribe"), "it asks for no match", "expected `{ID}` in it");
    }
    for (key, pointer) in
        [("kind", &socket.kind), ("id", &socket.id), ("time", &socket.time), ("data", &socket.data)]
    {
        check_pointer(pointer, &at(key), findings);
    }
    for (n, pointer) in socket.changes.iter().enumerate() {
        check_pointer(pointer, &at("changes").index(n), findings);
    }
}
