//! The dialect of a scores feed.
//!
//! A topic is a game; `data` is its document in `set`, a patch of RFC 7396 in `merge`, of RFC 6902 in `patch`. `seq` rises by one with each change.
//! A note comes and goes: null removes it. The topic `games` lists the others.

use super::{Asked, LIST, Span, Stamp, Topic, Why, id_of, text, texts};
use crate::push::options::Deltas;
use crate::push::script::{Cell, Number};
use serde_json::{Map, Value, json};

/// The two scores, corners (of the home side), the note.
pub(super) const CELLS: u64 = 4;

const NOTES: u64 = 4;

pub(super) fn asked(message: &Value) -> Option<Asked> {
    let id = id_of(message);
    match message.get("action")?.as_str()? {
        "login" => Some(Asked::Login { id, token: text(message.get("token"))? }),
        "subscribe" => Some(Asked::Subscribe { id, topics: texts(message.get("topics"))?, resume: None }),
        "unsubscribe" => Some(Asked::Unsubscribe { id, topics: texts(message.get("topics"))? }),
        "ping" => Some(Asked::Heartbeat { id }),
        _ => None,
    }
}

pub(super) fn logged_in() -> String {
    "{\"op\":\"welcome\"}".to_owned()
}

pub(super) fn acknowledged(what: &str, topic: &str) -> String {
    json!({"op": what, "topic": topic}).to_string()
}

pub(super) fn refused(topic: &str, why: Why) -> String {
    json!({"op": "refused", "topic": topic, "reason": why.word()}).to_string()
}

pub(super) fn alive() -> String {
    "{\"op\":\"pong\"}".to_owned()
}

pub(super) fn heartbeat(stamp: Stamp) -> String {
    json!({"op": "heartbeat", "time": stamp.at}).to_string()
}

pub(super) fn image(topic: Topic<'_>, number: Number) -> String {
    json!({"op": "set", "topic": topic.id, "seq": number, "data": document(topic, number)}).to_string()
}

pub(super) fn delta(topic: Topic<'_>, span: Span, form: Deltas) -> String {
    let cells = topic.script.changed(topic.slot, span.from, span.to);
    match form {
        Deltas::Merge => {
            let mut patch = Map::new();
            for cell in &cells {
                match stated(topic, *cell) {
                    (Member::Score(side), value) => merge_in(&mut patch, "score", side, value),
                    (Member::Corners, value) => merge_in(&mut patch, "corners", "home", value),
                    (Member::Note, value) => drop(patch.insert("note".to_owned(), value)),
                }
            }
            patch.insert("zc".to_owned(), span.to.into());
            json!({"op": "merge", "topic": topic.id, "seq": span.to, "data": patch}).to_string()
        }
        Deltas::Patch => {
            let mut patch: Vec<Value> =
                cells.iter().filter_map(|cell| operation(topic, *cell, span)).collect();
            patch.push(json!({"op": "replace", "path": "/zc", "value": span.to}));
            json!({"op": "patch", "topic": topic.id, "seq": span.to, "data": patch}).to_string()
        }
    }
}

pub(super) fn document(topic: Topic<'_>, number: Number) -> Value {
    let mut document = Map::new();
    document.insert("id".to_owned(), topic.id.into());
    document.insert("sport".to_owned(), "basketball".into());
    document.insert("status".to_owned(), "live".into());
    document.insert("home".to_owned(), json!({"name": format!("Home of {}", topic.id)}));
    document.insert("away".to_owned(), json!({"name": format!("Guests at {}", topic.id)}));
    for cell in topic.script.cells(topic.slot, number) {
        match stated(topic, cell) {
            (Member::Score(side), value) => merge_in(&mut document, "score", side, value),
            (Member::Corners, value) => merge_in(&mut document, "corners", "home", value),
            (Member::Note, Value::Null) => {}
            (Member::Note, value) => drop(document.insert("note".to_owned(), value)),
        }
    }
    document.insert("zc".to_owned(), number.into());
    Value::Object(document)
}

pub(super) fn list(topics: &[String], number: Number) -> String {
    let games: Map<String, Value> = topics.iter().map(|topic| (topic.clone(), listed(topic))).collect();
    json!({"op": "set", "topic": LIST, "seq": number, "data": {"games": games}}).to_string()
}

pub(super) fn list_change(gone: &str, new: &str, number: Number) -> String {
    let patch = json!({"games": {gone: null, new: listed(new)}});
    json!({"op": "merge", "topic": LIST, "seq": number, "data": patch}).to_string()
}

fn listed(topic: &str) -> Value {
    json!({"id": topic, "title": format!("Home of {topic} v Guests at {topic}"), "status": "live"})
}

/// What a cell says.
enum Member {
    Score(&'static str),
    Corners,
    Note,
}

/// A cell's member and its value; null where it has none.
fn stated(topic: Topic<'_>, cell: Cell) -> (Member, Value) {
    match cell.place {
        0 => (Member::Score("home"), cell.times.into()),
        1 => (Member::Score("away"), cell.times.into()),
        2 => (Member::Corners, (cell.times / 4).into()),
        _ => {
            let note = topic.script.value(topic.slot, cell, NOTES);
            let text =
                if note == 0 { Value::Null } else { format!("timeout {note}, \u{201c}again\u{201d}").into() };
            (Member::Note, text)
        }
    }
}

/// A cell's change as an operation of RFC 6902; none if nothing changes.
fn operation(topic: Topic<'_>, cell: Cell, span: Span) -> Option<Value> {
    let (path, value) = match stated(topic, cell) {
        (Member::Score(side), value) => (format!("/score/{side}"), value),
        (Member::Corners, value) => ("/corners/home".to_owned(), value),
        (Member::Note, value) => ("/note".to_owned(), value),
    };
    let before = topic.script.cells(topic.slot, span.from).into_iter().find(|one| one.place == cell.place)?;
    let had = stated(topic, before).1;
    match (had.is_null(), value.is_null()) {
        (true, true) => None,
        (false, true) => Some(json!({"op": "remove", "path": path})),
        (true, false) => Some(json!({"op": "add", "path": path, "value": value})),
        (false, false) => Some(json!({"op": "replace", "path": path, "value": value})),
    }
}

fn merge_in(document: &mut Map<String, Value>, member: &str, inner: &str, value: Value) {
    let object = document.entry(member).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(members) = object {
        members.insert(inner.to_owned(), value);
    }
}
