//! What a capture says, a line each, for people.

use super::body::{self, HIDDEN, Readable, hex};
use serde_json::Value;
use std::fmt::Write as _;
use touchline_common::control::views::counted;
use touchline_worker::wire::capture::{
    Body, Cut, Ending, Entry, GaveUp, PieceOf, Sender, Summary, Topic, What,
};
use touchline_worker::wire::diffusion::{ConnectRequest, ConnectResponse, Encoding, Message, Unfinished};

/// Bytes of what is not understood that are shown in a line.
const SHOWN: usize = 64;

pub(super) fn line(entry: &Entry<'_>) -> String {
    let time = body::time(entry).unwrap_or_else(|| "-".to_owned());
    let way = match entry.sender {
        None => "---",
        Some(Sender::Client) => "C>S",
        Some(Sender::Server) => "S>C",
    };
    format!("{time} #{} {way} {}", entry.connection.0, words(&entry.what))
}

fn words(what: &What<'_>) -> String {
    match what {
        What::Opened { client, server, from_start } => {
            let midst = if *from_start { "" } else { ", its beginning is not in the capture" };
            format!("connection from {client} to {server}{midst}")
        }
        What::Recorded { from_start: true } => "a recorded connection begins".to_owned(),
        What::Recorded { from_start: false } => {
            "a recorded connection, its beginning is not in the recording".to_owned()
        }
        What::Noted(note) => (*note).to_owned(),
        What::Swapped => {
            "client and server are the other way round: a client masks its frames, and the other side does"
                .to_owned()
        }
        What::ConnectRequest(request) => request_words(request),
        What::ConnectResponse(ConnectResponse::Accepted { version, code, client_id }) => {
            format!("accepted: version {version}, {code}, client id {}", quoted(client_id))
        }
        What::ConnectResponse(ConnectResponse::Refused { version, code }) => {
            format!("refused: version {version}, {code}")
        }
        What::Upgrade { line } => (*line).to_owned(),
        What::Message { message, topic, body, cut } => message_words(message, topic.as_ref(), body, cut),
        What::GivenUp { message, topic, why } => given_up_words(message, topic, *why),
        What::Ping(payload) => format!("websocket ping {}", hex(payload, SHOWN)),
        What::Pong(payload) => format!("websocket pong {}", hex(payload, SHOWN)),
        What::Close { code, reason } => {
            let code = code.map_or_else(|| "without a code".to_owned(), |code| code.to_string());
            format!("websocket close {code} {}", quoted(reason))
        }
        What::Undecoded { bytes, why } => {
            format!("not decoded ({why}): {} bytes: {}", bytes.len(), hex(bytes, SHOWN))
        }
        What::Lost(count) => format!("{count} bytes are not in the capture"),
        What::Ended(Ending::Closed) => "closed".to_owned(),
        What::Ended(Ending::Reset) => "reset".to_owned(),
    }
}

fn request_words(request: &ConnectRequest<'_>) -> String {
    let mut out = format!(
        "connect: version {}, client type {:#04x}, capabilities {:#04x}",
        request.version, request.client_type, request.capabilities
    );
    if let Some(credentials) = request.credentials {
        let _ = write!(out, ", user {}, password {HIDDEN}", quoted(credentials.username));
    }
    if !request.topics.is_empty() {
        let _ = write!(out, ", topics {}", quoted(request.topics));
    }
    if let Some(client_id) = request.client_id {
        let _ = write!(out, ", goes on with {}", quoted(client_id));
    }
    out
}

fn message_words(message: &Message<'_>, topic: Option<&Topic<'_>>, body: &Body<'_>, cut: &Cut<'_>) -> String {
    let mut out = message.kind.to_string();
    match cut {
        Cut::Not => {}
        Cut::Piece(piece) => out.push_str(&piece_words(piece)),
        Cut::Joined(parts) => {
            let _ = write!(out, ", put together from its {parts} parts,");
        }
    }
    if let Some(topic) = topic {
        let _ = write!(out, " {}", topic_words(topic));
    }
    let headers = body::headers(message, topic);
    if !headers.is_empty() {
        let _ = write!(out, " headers {}", Value::from(headers));
    }
    if message.encoding != Encoding::Plain {
        let _ = write!(out, " {}", message.encoding);
    }
    match body::readable(body) {
        Readable::Records(records) if records.is_empty() => {}
        Readable::Records(records) => {
            let _ = write!(out, " records {}", Value::from(records));
        }
        Readable::Bytes(bytes, why) => {
            let _ = write!(out, " body ({why}): {}", hex(bytes, SHOWN));
        }
    }
    out
}

fn topic_words(topic: &Topic<'_>) -> String {
    let mut out = format!("topic {}", topic.name.map_or_else(|| "unknown".to_owned(), quoted));
    if let Some(alias) = topic.alias {
        let _ = write!(out, " alias {}", quoted(alias));
    }
    out
}

/// `, part 2 of 3 of "c7",`
fn piece_words(piece: &PieceOf<'_>) -> String {
    let mut out = match piece.number {
        Some(number) => format!(", part {number}"),
        None => ", a part".to_owned(),
    };
    match piece.total {
        Some(total) => {
            let _ = write!(out, " of {total}");
        }
        None => out.push_str(" of an unknown number"),
    }
    if let Some(correlation) = piece.correlation {
        let _ = write!(out, " of {}", quoted(correlation));
    }
    if let Some(fault) = piece.fault {
        let _ = write!(out, " ({})", body::fault(fault));
    }
    out.push(',');
    out
}

fn given_up_words(message: &Unfinished, topic: &Topic<'_>, why: GaveUp) -> String {
    let Unfinished { kind, correlation, have, total, .. } = message;
    let came = format!("{have} of its {total} parts came");
    let why = body::gave_up(why);
    format!("not whole: {kind} {} of {}: {came}, {why}", topic_words(topic), quoted(correlation))
}

fn quoted(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(bytes))
}

pub(super) fn of_summary(summary: &Summary) -> String {
    let packets = |count: u64| counted(count, "packet is", "packets are");
    let all = match summary.records {
        0 => counted(summary.packets, "packet", "packets"),
        records => counted(records, "record", "records"),
    };
    let connections = counted(summary.connections, "connection", "connections");
    let mut out = format!("--- {all}, {connections}");
    let mut add = |count: u64, what: String| {
        if count > 0 {
            let _ = write!(out, "; {what}");
        }
    };
    add(summary.other, format!("{} not TCP", packets(summary.other)));
    add(summary.fragments, format!("{} fragmented by IP and not reassembled", packets(summary.fragments)));
    add(summary.cut, format!("{} cut off within the headers", packets(summary.cut)));
    if let Some((count, link)) = summary.unknown_links {
        add(count, format!("{} of an unknown link type ({link})", packets(count)));
    }
    let messages = |count: u64| counted(count, "message", "messages");
    add(summary.joined, format!("{} put together from pieces", messages(summary.joined)));
    add(summary.cancelled, format!("{} in pieces cancelled", messages(summary.cancelled)));
    add(summary.unfinished, format!("{} in pieces never complete", messages(summary.unfinished)));
    let left = summary.left_over as u64;
    add(left, format!("{} at the end not a whole packet", counted(left, "byte", "bytes")));
    out
}
