//! What a feed of kind `poll` has: its sources, each for itself and as they depend on each other.

use super::{MAX_NAME, check_plain, positive, reading, socket};
use crate::config::check::Findings;
use crate::config::feed::{FeedConfig, LIST_TOPIC, Page, PageBy, PollSource, Role, Strategy};
use crate::config::locate::Place;
use crate::config::url_template::is_pointer;
use std::collections::BTreeSet;

/// Sources of one feed at most.
const SOURCES_MAX: usize = 10_000;

pub(super) fn check(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    check_feed(feed, index, findings);
    let roles = feed.poll.roles();
    socket::check(feed, &roles, index, findings);
    let mut names = BTreeSet::new();
    for (n, (source, role)) in feed.poll.source.iter().zip(&roles).enumerate() {
        let at = Place::feed(index, "source").index(n);
        check_name(source, &mut names, &at, findings);
        check_source(source, &at, findings);
        check_after(feed, source, &at, findings);
        check_role(feed, &roles, *role, &at, findings);
        reading::check(&source.into(), &at, findings);
    }
}

/// In a feed of another kind they would do nothing.
pub(super) fn refuse_keys(index: usize, findings: &mut Findings<'_>) {
    for key in FeedConfig::poll_keys() {
        let at = Place::feed(index, key);
        if findings.is_written(&at) {
            findings.add(
                &at,
                format!("`{key}` is of feeds that are polled"),
                "expected kind = \"poll\" beside it",
            );
        }
    }
}

fn check_feed(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    let poll = &feed.poll;
    for (key, count) in [("window", poll.window), ("per_host", poll.per_host)] {
        if count == 0 {
            findings.add(&at(key), format!("`{key}` is 0"), "expected at least 1");
        }
    }
    positive(poll.interval, &at("interval"), findings);
    positive(poll.full_every, &at("full_every"), findings);
    let schemes = ["http://", "https://", "socks5://", "socks5h://"];
    if !poll.proxy.is_empty() && !schemes.iter().any(|scheme| poll.proxy.starts_with(scheme)) {
        findings.add(&at("proxy"), "bad scheme of a proxy", "expected http://, https:// or socks5://");
    }
    check_plain(&poll.proxy, &at("proxy"), findings);
    if feed.strategy != Strategy::Balanced {
        findings.add(&at("strategy"), "requests are in one loop anyway", "expected \"balanced\"");
    }
    if feed.insecure && !feed.ca_file.is_empty() {
        findings.add(
            &at("insecure"),
            "any certificate is taken, so `ca_file` would mean nothing",
            "expected one of them",
        );
    }
    match poll.source.len() {
        0 => findings.add(
            &at("source"),
            "a feed without a source would ask for nothing",
            "expected at least one [[feed.source]] with `name` and `url`",
        ),
        count if count > SOURCES_MAX => {
            findings.add(
                &at("source"),
                format!("{count} sources"),
                format!("expected at most {SOURCES_MAX}"),
            );
        }
        _ => {}
    }
    let named = !feed.matches.is_empty() || !feed.matches_file.is_empty();
    if poll.has_list() && named {
        let key = if feed.matches.is_empty() { "matches_file" } else { "matches" };
        findings.add(
            &at(key),
            "a feed has either a list or named matches, not both",
            "expected it to be left out",
        );
    }
    for (n, id) in feed.matches.iter().enumerate() {
        check_plain(id, &at("matches").index(n), findings);
    }
}

fn check_name<'f>(
    source: &'f PollSource,
    names: &mut BTreeSet<&'f str>,
    at: &Place,
    findings: &mut Findings<'_>,
) {
    let at = at.clone().child("name");
    let name = source.name.as_str();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(allowed) {
        findings.add(&at, "bad name of a source", "expected 1 to 32 letters, digits, `-`, `_` or `.`");
    } else if name == LIST_TOPIC && source.list.is_none() {
        findings.add(&at, format!("`{LIST_TOPIC}` is the name of the match list"), "expected another name");
    } else if !names.insert(name) {
        findings.add(&at, format!("two sources are called `{name}`"), "expected each name once");
    }
}

fn check_source(source: &PollSource, at: &Place, findings: &mut Findings<'_>) {
    let at = |key: &str| at.clone().child(key);
    if source.url.is_empty() {
        findings.add(&at("url"), "a source without a url", "expected `url`");
    }
    for (key, dur) in [("every", source.every), ("whole", Some(source.whole)), ("idle", Some(source.idle))] {
        if let Some(dur) = dur {
            positive(dur, &at(key), findings);
        }
    }
    let list = source.list.as_deref().unwrap_or_default();
    for (key, pointer) in [("list", list), ("id", &source.id)] {
        check_pointer(pointer, &at(key), findings);
    }
    if source.list.is_some() && source.id.is_empty() {
        findings.add(&at("id"), "an entry of a list needs an id", "expected a JSON pointer such as \"/id\"");
    }
    match &source.page {
        Some(_) if source.list.is_none() => {
            findings.add(
                &at("page"),
                "only a list has pages",
                "expected `list` beside it, or it to be left out",
            );
        }
        Some(page) => check_page(page, &at("page"), findings),
        None => {}
    }
}

fn check_page(page: &Page, at: &Place, findings: &mut Findings<'_>) {
    let at = |key: &str| at.clone().child(key);
    let needs_param = match page.by {
        PageBy::Number | PageBy::Offset | PageBy::Cursor => true,
        PageBy::Link => false,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '[' | ']');
    if needs_param && (page.param.is_empty() || !page.param.chars().all(plain)) {
        findings.add(
            &at("param"),
            "bad name of a parameter",
            "expected it as the url has it, such as \"page\"",
        );
    }
    check_pointer(&page.next, &at("next"), findings);
    if page.by == PageBy::Cursor && page.next.is_empty() {
        findings.add(
            &at("next"),
            "where the cursor is was not said",
            "expected a JSON pointer such as \"/next\"",
        );
    }
}

pub(super) fn check_pointer(pointer: &str, at: &Place, findings: &mut Findings<'_>) {
    if !is_pointer(pointer) {
        findings.add(
            at,
            "no JSON pointer",
            "expected it to begin with `/`, as in \"/data/list\", `~` and `/` in a name as `~0` and `~1`",
        );
    }
}

fn check_after(feed: &FeedConfig, source: &PollSource, at: &Place, findings: &mut Findings<'_>) {
    let url = at.clone().child("url");
    if let Some((named, _)) = source.url.answers().find(|(named, _)| *named != source.after) {
        let message = format!("the url needs an answer of `{named}`");
        findings.add(&url, message, format!("expected after = \"{named}\" beside it"));
    }
    if source.after.is_empty() {
        return;
    }
    let at = at.clone().child("after");
    let find = |name: &str| feed.poll.source.iter().find(|other| other.name == name);
    let Some(before) = find(&source.after) else {
        return findings.add(&at, "no source is called that", "expected the `name` of another source");
    };
    if source.list.is_none() && !source.url.has_id() && before.url.has_id() {
        findings.add(&at, "it is asked for each match, this source is not", "expected `{ID}` in `url`");
    } else if before.list.is_some() {
        findings.add(&at, "a list has many entries", "expected a source without `list`");
    }
    let mut chain = before;
    for _ in 0..feed.poll.source.len() {
        if chain.name == source.name {
            return findings.add(
                &at,
                "the sources wait for each other in a circle",
                "expected one that is first",
            );
        }
        let Some(next) = find(&chain.after) else { return };
        chain = next;
    }
}

fn check_role(feed: &FeedConfig, roles: &[Role], role: Role, at: &Place, findings: &mut Findings<'_>) {
    let named = !feed.matches.is_empty() || !feed.matches_file.is_empty();
    let (has_list, is_per_match) = (roles.contains(&Role::List), roles.contains(&Role::PerMatch));
    match role {
        Role::List if !is_per_match => findings.add(
            &at.clone().child("list"),
            "a match of the list has nothing that could be asked for",
            "expected a further [[feed.source]] with `{ID}` in its url",
        ),
        Role::PerMatch if !has_list && !named => findings.add(
            &at.clone().child("url"),
            "`{ID}` has no value without a list",
            "expected a source with `list`, or `matches` with the matches to follow",
        ),
        Role::Document if is_per_match || has_list => findings.add(
            &at.clone().child("url"),
            "a document beside matches",
            "expected `{ID}` in it, or this source in a [[feed]] of its own",
        ),
        Role::List | Role::PerMatch | Role::Document | Role::Step => {}
    }
}
