//! The dialect of a price feed with order books.
//!
//! Bids and asks are `[price, size]` pairs of texts, keyed by price; a size of "0" removes. `seq` numbers a book's changes, `prev` is the
//! number of the one before: a hole shows itself. Several messages of a tick travel as one array.

use super::{Asked, Span, Stamp, Topic, Why, Zeros, id_of, text, texts};
use crate::push::script::{Cell, Number};
use serde_json::{Map, Value, json};

const RUNGS: u64 = 6;
/// The rungs of both sides, and the last price.
pub(super) const CELLS: u64 = 2 * RUNGS + 1;

pub(super) fn asked(message: &Value) -> Option<Asked> {
    let id = id_of(message);
    match message.get("type")?.as_str()? {
        "auth" => Some(Asked::Login { id, token: text(message.get("token"))? }),
        "subscribe" => Some(Asked::Subscribe { id, topics: texts(message.get("markets"))?, resume: None }),
        "unsubscribe" => Some(Asked::Unsubscribe { id, topics: texts(message.get("markets"))? }),
        "ping" => Some(Asked::Heartbeat { id }),
        _ => None,
    }
}

pub(super) fn logged_in(id: &Value) -> String {
    json!({"type": "authenticated", "id": id}).to_string()
}

pub(super) fn acknowledged(id: &Value, what: &str, topics: &[String]) -> String {
    json!({"type": what, "id": id, "markets": topics}).to_string()
}

pub(super) fn refused(id: &Value, topics: &[String], why: Why) -> String {
    json!({"type": "error", "id": id, "code": why.word(), "markets": topics}).to_string()
}

pub(super) fn alive() -> String {
    "{\"type\":\"pong\"}".to_owned()
}

pub(super) fn heartbeat(stamp: Stamp) -> String {
    json!({"type": "heartbeat", "time": stamp.at}).to_string()
}

pub(super) fn pack(parts: &[String]) -> String {
    match parts {
        [part] => part.clone(),
        parts => format!("[{}]", parts.join(",")),
    }
}

pub(super) fn image(topic: Topic<'_>, number: Number) -> String {
    let mut image = document(topic, number);
    if let Value::Object(members) = &mut image {
        members.insert("type".to_owned(), "snapshot".into());
    }
    image.to_string()
}

pub(super) fn delta(topic: Topic<'_>, span: Span) -> String {
    let cells = topic.script.changed(topic.slot, span.from, span.to);
    let mut members = described(topic, &cells, Zeros::Written);
    members.insert("type".to_owned(), "delta".into());
    members.insert("prev".to_owned(), span.from.into());
    members.insert("seq".to_owned(), span.to.into());
    Value::Object(members).to_string()
}

pub(super) fn document(topic: Topic<'_>, number: Number) -> Value {
    let mut members = described(topic, &topic.script.cells(topic.slot, number), Zeros::LeftOut);
    members.insert("seq".to_owned(), number.into());
    Value::Object(members)
}

fn described(topic: Topic<'_>, cells: &[Cell], zeros: Zeros) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("market".to_owned(), topic.id.into());
    let (mut bids, mut asks) = (Vec::new(), Vec::new());
    for cell in cells {
        let value = topic.script.value(topic.slot, *cell, 100_000);
        let empty = value.is_multiple_of(5);
        if cell.place == CELLS - 1 {
            members.insert("last".to_owned(), format!("1.{:02}", 10 + value % 90).into());
            continue;
        }
        if empty && zeros == Zeros::LeftOut {
            continue;
        }
        let size = if empty { "0".to_owned() } else { size(cell.place, value) };
        match cell.place.checked_sub(RUNGS) {
            None => bids.push(json!([format!("0.{:02}", 50 - cell.place), size])),
            Some(rung) => asks.push(json!([format!("0.{:02}", 51 + rung), size])),
        }
    }
    members.insert("bids".to_owned(), Value::Array(bids));
    members.insert("asks".to_owned(), Value::Array(asks));
    members
}

/// Most with two decimals, the first rung's with 18.
fn size(place: u64, value: u64) -> String {
    if place == 0 {
        format!("{}.{:018}", value % 1_000, value)
    } else {
        format!("{}.{:02}", value / 100, value % 100)
    }
}
