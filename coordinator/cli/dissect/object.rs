//! What a capture says, an object each, for programs.

use super::body::{self, Readable, hex};
use serde_json::{Value, json};
use touchline_worker::wire::capture::{Body, Cut, Ending, Entry, GaveUp, Sender, Summary, Topic, What};
use touchline_worker::wire::diffusion::{ConnectResponse, Message, Unfinished};

/// Bytes of what is not understood that are shown.
const SHOWN: usize = 64 * 1024;

pub(super) fn of_entry(entry: &Entry<'_>) -> Value {
    let from = entry.sender.map(|sender| match sender {
        Sender::Client => "client",
        Sender::Server => "server",
    });
    let mut object = json!({"at": body::time(entry), "connection": entry.connection.0, "from": from});
    let (kind, members) = members(&entry.what);
    if let (Some(object), Value::Object(members)) = (object.as_object_mut(), members) {
        object.insert("kind".to_owned(), kind.into());
        object.extend(members);
    }
    object
}

fn members(what: &What<'_>) -> (&'static str, Value) {
    match what {
        What::Opened { client, server, from_start } => {
            ("opened", json!({"client": client, "server": server, "from_start": from_start}))
        }
        What::Recorded { from_start } => ("recorded", json!({"from_start": from_start})),
        What::Noted(note) => {
            ("noted", json!({"note": serde_json::from_str(note).unwrap_or_else(|_| Value::from(*note))}))
        }
        What::Swapped => ("swapped", json!({})),
        What::ConnectRequest(request) => (
            "connect",
            json!({"version": request.version, "client_type": request.client_type,
                "capabilities": request.capabilities, "user": request.credentials.map(|c| text(c.username)),
                "topics": text(request.topics), "client_id": request.client_id.map(text)}),
        ),
        What::ConnectResponse(ConnectResponse::Accepted { version, code, client_id }) => (
            "accepted",
            json!({"version": version, "code": code.byte(), "means": code.to_string(), "client_id": text(client_id)}),
        ),
        What::ConnectResponse(ConnectResponse::Refused { version, code }) => {
            ("refused", json!({"version": version, "code": code.byte(), "means": code.to_string()}))
        }
        What::Upgrade { line } => ("upgrade", json!({"line": line})),
        What::Message { message, topic, body, cut } => {
            ("message", of_message(message, topic.as_ref(), body, cut))
        }
        What::GivenUp { message, topic, why } => ("not_whole", of_given_up(message, topic, *why)),
        What::Ping(payload) => ("websocket_ping", json!({"hex": hex(payload, SHOWN)})),
        What::Pong(payload) => ("websocket_pong", json!({"hex": hex(payload, SHOWN)})),
        What::Close { code, reason } => ("websocket_close", json!({"code": code, "reason": text(reason)})),
        What::Undecoded { bytes, why } => {
            ("undecoded", json!({"why": why, "bytes": bytes.len(), "hex": hex(bytes, SHOWN)}))
        }
        What::Lost(count) => ("lost", json!({"bytes": count})),
        What::Ended(Ending::Closed) => ("ended", json!({"how": "closed"})),
        What::Ended(Ending::Reset) => ("ended", json!({"how": "reset"})),
    }
}

fn of_message(message: &Message<'_>, topic: Option<&Topic<'_>>, body: &Body<'_>, cut: &Cut<'_>) -> Value {
    let mut object = json!({
        "type": message.kind.to_string(), "type_byte": message.kind.byte(),
        "topic": topic.and_then(|topic| topic.name).map(text), "alias": topic.and_then(|topic| topic.alias).map(text),
        "headers": body::headers(message, topic), "encoding": message.encoding.to_string(),
    });
    let Some(members) = object.as_object_mut() else { return object };
    let (fragment, part, joined) = match cut {
        Cut::Not => (false, Value::Null, Value::Null),
        Cut::Piece(piece) => {
            let fault = piece.fault.map(body::fault);
            let id = piece.correlation.map(text);
            let part = json!({"number": piece.number, "total": piece.total, "of": id, "fault": fault});
            (true, part, Value::Null)
        }
        Cut::Joined(parts) => (false, Value::Null, Value::from(*parts)),
    };
    members.insert("fragment".to_owned(), fragment.into());
    members.insert("part".to_owned(), part);
    members.insert("joined_parts".to_owned(), joined);
    let (name, value) = match body::readable(body) {
        Readable::Records(records) => ("records", Value::from(records)),
        Readable::Bytes(bytes, why) => {
            ("body", json!({"why": why, "bytes": bytes.len(), "hex": hex(bytes, SHOWN)}))
        }
    };
    members.insert(name.to_owned(), value);
    object
}

fn of_given_up(message: &Unfinished, topic: &Topic<'_>, why: GaveUp) -> Value {
    let cancelled = why == GaveUp::Cancelled;
    json!({"type": message.kind.to_string(), "type_byte": message.kind.byte(),
        "topic": topic.name.map(text), "alias": topic.alias.map(text), "of": text(&message.correlation),
        "have": message.have, "total": message.total, "cancelled": cancelled, "why": body::gave_up(why)})
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn of_summary(summary: &Summary) -> Value {
    json!({"kind": "end", "packets": summary.packets, "records": summary.records, "connections": summary.connections,
        "no_tcp": summary.other, "fragments": summary.fragments, "cut": summary.cut,
        "joined": summary.joined, "cancelled": summary.cancelled, "unfinished": summary.unfinished,
        "unknown_link": summary.unknown_links.map(|(count, link)| json!({"packets": count, "type": link})),
        "left_over_bytes": summary.left_over})
}
