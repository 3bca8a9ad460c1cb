//! What the pointers of a source lead to in one of its answers, for whoever writes them.
//!
//! Pure. Of a list its first entry is looked at, of happenings the last, of markets and selections the first. Caller: `probe`.

use super::find::{self, elements};
use super::node::Node;
use super::parse::{JsonError, parse};
use super::view;
use crate::payload::Limits;
use touchline_common::config::{
    EventReading, MarketReading, Of, Pointer, PointerStep, PollSource, PushConfig, Reading, SidesReading,
    StatReading, TextOrPointer,
};

/// Characters of a value that are shown.
const SHOWN: usize = 40;
/// Members that are named where a pointer leads nowhere.
const NAMED: usize = 12;

/// A pointer of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The setting, such as `score.home`.
    pub key: String,
    pub pointer: String,
    /// What it leads to, for people; none: nowhere.
    pub value: Option<String>,
    /// Of one that leads nowhere: what stands where its first wrong step is.
    pub instead: String,
}

/// What each pointer of `source` leads to in `body`.
///
/// # Errors
/// The body is no JSON, or passes a limit.
pub fn explain(source: &PollSource, body: &[u8], limits: &Limits) -> Result<Vec<Found>, JsonError> {
    let body = parse(body, limits)?;
    let mut found = Vec::new();
    match &source.list {
        None => explain_match(&Reading::from(source), &body, &mut found),
        Some(list) => {
            // Both were judged with the configuration.
            let (list, id) = (list.parse().unwrap_or_default(), source.id.parse().unwrap_or_default());
            note("list", &list, &body, &mut found);
            if let Some((_, entry)) = elements(&body, &list).first() {
                note("id", &id, entry, &mut found);
                explain_match(&Reading::from(source), entry, &mut found);
            }
        }
    }
    Ok(found)
}

/// How far a message of a push server is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Its first item: topic, body and number.
    Item,
    /// And what its body says of a match.
    Document,
}

/// What the pointers of a push feed lead to in a message.
///
/// # Errors
/// The message is no JSON, or passes a limit.
pub fn explain_push(
    push: &PushConfig,
    message: &[u8],
    looked: Looked,
    limits: &Limits,
) -> Result<Vec<Found>, JsonError> {
    let message = parse(message, limits)?;
    let mut found = Vec::new();
    let (message, item) = if push.items.steps().is_empty() {
        let first = elements(&message, &Pointer::default()).first().map(|(_, first)| *first);
        // Several messages may come as one array.
        let one = if matches!(message, Node::Array(_)) { first } else { None };
        let one = one.unwrap_or(&message);
        (one, one)
    } else {
        note("items", &push.items, &message, &mut found);
        let Some((_, first)) = elements(&message, &push.items).into_iter().next() else { return Ok(found) };
        (&message, first)
    };
    for (key, pointer) in [("topic", &push.topic), ("body", &push.body)] {
        if !pointer.steps().is_empty() {
            note(key, pointer, item, &mut found);
        }
    }
    let sequence = &push.sequence;
    if !sequence.at.steps().is_empty() {
        let of = match sequence.of {
            Of::Item => item,
            Of::Message => message,
        };
        note("sequence.at", &sequence.at, of, &mut found);
    }
    match (looked, find::find(item, &push.body)) {
        (Looked::Document, Some(body)) => explain_match(&push.reading, body, &mut found),
        (Looked::Document, None) | (Looked::Item, _) => {}
    }
    Ok(found)
}

/// The text at a pointer of an answer; none if it is no JSON.
pub fn text_at(body: &[u8], pointer: &str, limits: &Limits) -> Option<String> {
    let body = parse(body, limits).ok()?;
    find::words(&body, Some(&pointer.parse().ok()?)).map(str::to_owned)
}

fn explain_match(reading: &Reading, node: &Node, found: &mut Vec<Found>) {
    for (key, pointer) in plain(reading) {
        note(&key, pointer, node, found);
    }
    if let Some(pointer) = &reading.state {
        note("state", pointer, node, found);
        if let (Some(last), Some(status)) = (found.last_mut(), view::state(node, reading)) {
            last.value = last.value.take().map(|word| format!("{word} = {}", status.as_str()));
        }
    }
    if let Some(list) = &reading.events {
        let happenings = elements(node, list);
        note("events", list, node, found);
        if let (Some(event), Some((_, last))) = (&reading.event, happenings.last()) {
            explain_event(event, last, found);
        }
    }
    if let Some(markets) = &reading.markets {
        note("markets.list", &markets.list, node, found);
        if let Some((_, first)) = elements(node, &markets.list).first() {
            explain_market(markets, first, found);
        }
    }
}

/// The pointers to a text or number.
fn plain(reading: &Reading) -> Vec<(String, &Pointer)> {
    let clock = reading.clock.as_ref();
    let named = [
        ("title", reading.title.as_ref()),
        ("sport", pointed(reading.sport.as_ref())),
        ("competition", pointed(reading.competition.as_ref())),
        ("home", reading.home.as_ref()),
        ("away", reading.away.as_ref()),
        ("time", reading.time.as_ref()),
        ("period", reading.period.as_ref()),
        ("clock.minute", clock.and_then(|clock| clock.minute.as_ref())),
        ("clock.second", clock.and_then(|clock| clock.second.as_ref())),
    ];
    let given = named.into_iter().filter_map(|(key, pointer)| Some((key.to_owned(), pointer?)));
    let mut all: Vec<(String, &Pointer)> = given.collect();
    all.extend(reading.score.iter().flat_map(|score| sides("score", score)));
    for (key, stat) in &reading.stats {
        let key = format!("stats.{key}");
        match stat {
            StatReading::Whole(pointer) => all.push((key, pointer)),
            StatReading::Sides(both) => all.extend(sides(&key, both)),
        }
    }
    all
}

fn pointed(reading: Option<&TextOrPointer>) -> Option<&Pointer> {
    match reading? {
        TextOrPointer::At(pointer) => Some(pointer),
        TextOrPointer::Text(_) => None,
    }
}

fn sides<'r>(key: &str, both: &'r SidesReading) -> [(String, &'r Pointer); 2] {
    [(format!("{key}.home"), &both.home), (format!("{key}.away"), &both.away)]
}

fn explain_event(event: &EventReading, node: &Node, found: &mut Vec<Found>) {
    // One of them is enough.
    let leads = event.kind.0.iter().find(|kind| find::words(node, Some(kind)).is_some());
    if let Some(kind) = leads.or(event.kind.0.first()) {
        note("event.type", kind, node, found);
    }
    let one = [
        ("event.id", &event.id),
        ("event.side", &event.side),
        ("event.period", &event.period),
        ("event.minute", &event.minute),
        ("event.second", &event.second),
        ("event.time", &event.time),
    ];
    for (key, pointer) in one.into_iter().filter_map(|(key, pointer)| Some((key, pointer.as_ref()?))) {
        note(key, pointer, node, found);
    }
}

fn explain_market(markets: &MarketReading, node: &Node, found: &mut Vec<Found>) {
    for pointer in &markets.id.0 {
        note("markets.id", pointer, node, found);
    }
    if let Some(name) = &markets.name {
        note("markets.name", name, node, found);
    }
    note("markets.selections", &markets.selections, node, found);
    if let Some((_, selection)) = elements(node, &markets.selections).first() {
        for pointer in &markets.selection_id.0 {
            note("markets.selection_id", pointer, selection, found);
        }
        let one = [
            ("markets.selection_name", &markets.selection_name),
            ("markets.price", &markets.price),
            ("markets.price_text", &markets.price_text),
        ];
        for (key, pointer) in one.into_iter().filter_map(|(key, pointer)| Some((key, pointer.as_ref()?))) {
            note(key, pointer, selection, found);
        }
    }
}

fn note(key: &str, pointer: &Pointer, node: &Node, found: &mut Vec<Found>) {
    let value = find::find(node, pointer).and_then(shown);
    let instead = if value.is_some() { String::new() } else { instead(node, pointer.steps()) };
    found.push(Found { key: key.to_owned(), pointer: pointer.to_string(), value, instead });
}

/// What there is where the way of a pointer ends. Steps that search are not followed: they have looked everywhere.
fn instead(node: &Node, steps: &[PointerStep]) -> String {
    let next = match steps.first() {
        Some(PointerStep::Member(name)) => find::child(node, name).filter(|child| **child != Node::Null),
        Some(PointerStep::Any | PointerStep::Having { .. }) | None => None,
    };
    if let Some((next, rest)) = next.zip(steps.get(1..)) {
        return instead(next, rest);
    }
    match node {
        Node::Object(members) if !members.is_empty() => {
            let cut = |name: &str| name.chars().take(SHOWN).collect::<String>().escape_debug().to_string();
            let names: Vec<String> = members.iter().take(NAMED).map(|(name, _)| cut(name)).collect();
            let more = if members.len() > NAMED { ", …" } else { "" };
            format!("there are {}{more}", names.join(", "))
        }
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::Array(_) | Node::Object(_) => {
            format!("there is {}", shown(node).unwrap_or_else(|| "null".to_owned()))
        }
    }
}

fn shown(node: &Node) -> Option<String> {
    match node {
        Node::Null => None,
        Node::Array(items) => Some(format!("{} items", items.len())),
        Node::Object(members) => Some(format!("{} members", members.len())),
        Node::Bool(_) | Node::Number(_) => node.scalar().map(str::to_owned),
        Node::Text(text) => {
            let cut: String = text.chars().take(SHOWN).collect();
            Some(format!("{cut:?}{}", if cut.len() < text.len() { "…" } else { "" }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchline_common::config::Config;

    fn explained(source: &str, body: &str) -> Vec<String> {
        let found = explain_all(source, body);
        found.iter().map(|one| format!("{}: {}", one.key, one.value.as_deref().unwrap_or("-"))).collect()
    }

    fn explain_all(source: &str, body: &str) -> Vec<Found> {
        let text = format!(
            "[[feed]]\nkind = \"poll\"\n[[feed.source]]\nname = \"a\"\nurl = \"http://h/\"\n{source}"
        );
        let config = Config::parse(&text, "test.toml").unwrap_or_else(|errors| panic!("{errors}"));
        explain(&config.feed[0].poll.source[0], body.as_bytes(), &Limits::default()).unwrap()
    }

    #[test]
    fn each_pointer_is_named_with_what_it_leads_to() {
        let source = "home = \"/h\"\naway = \"/a\"\nstate = \"/s\"\nsport = \"soccer\"\nscore = { home = \"/x/0\", away = \"/x/9\" }\n\
            events = \"/e\"\nevent = { type = [\"/class\", \"/type\"], id = \"/id\", minute = \"/m\" }\n";
        let body = r#"{"h":"A","s":"inprogress","x":[1,2],"e":[{"type":"card"},{"type":"goal","id":7}]}"#;
        let want = [
            "home: \"A\"",
            "away: -",
            "score.home: 1",
            "score.away: -",
            "state: \"inprogress\" = in_play",
            "events: 2 items",
            "event.type: \"goal\"",
            "event.id: 7",
            "event.minute: -",
        ];
        assert_eq!(explained(source, body), want);
        let wrong = "home = \"/b/c/d\"\naway = \"/b/x\"\nperiod = \"/e/0/f\"\n";
        let other = r#"{"b":{"c":7,"y":1},"e":[],"f":null}"#;
        let of =
            |name: &str| explain_all(wrong, other).into_iter().find(|one| one.key == name).unwrap().instead;
        let want = ["there is 7", "there are c, y", "there is 0 items"];
        assert_eq!(["home", "away", "period"].map(of), want);
        assert_eq!(text_at(body.as_bytes(), "/x/1", &Limits::default()).as_deref(), Some("2"));
        assert_eq!(text_at(b"<html>", "/x", &Limits::default()), None);
    }

    #[test]
    fn the_pointers_of_a_push_feed_are_looked_up_in_the_first_item_of_a_message() {
        let text = "[[feed]]\nkind = \"push\"\nurl = \"ws://h:1/\"\ntopics = [\"a\"]\nsubscribe = '{\"s\":{TOPICS}}'\n\
            items = \"/mc\"\ntopic = \"/id\"\nbody = \"/doc\"\nsequence = { at = \"/n\", of = \"message\" }\n\
            [feed.reading]\nstate = \"/s\"\n";
        let config = Config::parse(text, "test.toml").unwrap_or_else(|errors| panic!("{errors}"));
        let of = |looked: Looked, message: &str| {
            let push = &config.feed[0].push;
            let found = explain_push(push, message.as_bytes(), looked, &Limits::default()).unwrap();
            let nowhere = found.iter().filter(|one| one.value.is_none());
            (found.len(), nowhere.map(|one| format!("{}: {}", one.key, one.instead)).collect::<Vec<_>>())
        };
        let whole = r#"{"n":7,"mc":[{"id":"a","doc":{"s":"live"}}]}"#;
        assert_eq!(of(Looked::Document, whole), (5, Vec::new()));
        assert_eq!(of(Looked::Item, whole), (4, Vec::new()));
        let wrong = r#"{"N":7,"mc":[{"topic":"a","data":{}}]}"#;
        let want =
            ["topic: there are topic, data", "body: there are topic, data", "sequence.at: there are N, mc"];
        assert_eq!(of(Looked::Document, wrong), (4, want.map(str::to_owned).to_vec()));
        assert_eq!(of(Looked::Item, "{\"op\":1}"), (1, vec!["items: there are op".to_owned()]));
    }
}
