//! Broadcasts as servers and emitters of Socket.IO exchange them through Redis: MessagePack of `[uid, packet, options]`. Pure.
//!
//! Emitters of other languages differ: rooms may be numbers, an empty map may be written as an empty array, `except` and the namespace may be
//! absent, the oldest leave out the uid. A copy that comes by a room's channel is for that room alone, since some send one to each.
//! Whatever else is malformed is nothing. Called by the subscriber's thread and where messages are published.

use crate::serve::publish::Retain;
use crate::serve::rooms::{Broadcast, Delivery, Emitted, Namespace, RoomName};
use rmpv::Value;
use serde_json::{Map, Number, Value as Json, json};
use std::sync::Arc;

/// What every channel's name begins with: the prefix and the namespace.
const BROADCASTS: &str = "socket.io#/#";
/// Where emitters of the oldest kind publish.
pub(super) const OLDEST: &str = "socket.io#emitter";
/// Every broadcast of the namespace.
pub(super) const PATTERN: &str = "socket.io#/#*";
/// Values within each other at most, as the library counts them: a level of a publisher's message is two.
const DEPTH: usize = 256;
/// Bytes of a message at most. What a publisher sends in JSON may become more than twice as long.
const MOST: usize = 4_000_000;
/// Of an event, and of an event with attachments.
const EVENTS: [u64; 2] = [2, 5];
/// MessagePack's own extension for a time.
const TIME: i8 = -1;

/// A message from Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Relayed {
    pub broadcast: Broadcast,
    pub retain: Retain,
}

/// The channel that a broadcast to these rooms goes to.
pub(super) fn channel(rooms: &[RoomName]) -> String {
    match rooms {
        [room] => format!("{BROADCASTS}{room}#"),
        _ => BROADCASTS.to_owned(),
    }
}

/// What came by a channel.
pub(super) fn read(channel: &str, bytes: &[u8]) -> Option<Relayed> {
    if bytes.len() > MOST {
        return None;
    }
    let only = match channel.strip_prefix(BROADCASTS) {
        Some("") => None,
        Some(room) => Some(RoomName::new(room.strip_suffix('#')?)?),
        None if channel == OLDEST => None,
        None => return None,
    };
    let parts = unpack(bytes)?;
    let (packet, options) = match parts.as_array()?.as_slice() {
        [_, packet, options] | [packet, options] => (packet, options),
        _ => return None,
    };
    let relayed = broadcast(packet, options)?;
    Some(match only {
        Some(room) => Relayed { broadcast: Broadcast { rooms: vec![room], ..relayed.broadcast }, ..relayed },
        None => relayed,
    })
}

/// A value that is all of these bytes.
pub(super) fn unpack(bytes: &[u8]) -> Option<Value> {
    let mut rest = bytes;
    let value = rmpv::decode::read_value_with_max_depth(&mut rest, DEPTH).ok()?;
    rest.is_empty().then_some(value)
}

/// A packet with its options.
pub(super) fn broadcast(packet: &Value, options: &Value) -> Option<Relayed> {
    let kind = member(packet, "type")?.as_u64()?;
    let namespace = match member(packet, "nsp") {
        Some(name) => Namespace::new(name.as_str()?)?,
        None => Namespace::main(),
    };
    if !EVENTS.contains(&kind) || !namespace.is_main() {
        return None;
    }
    let mut attachments = Vec::new();
    let data = json(member(packet, "data")?, &mut attachments);
    if !data.get(0)?.is_string() {
        return None;
    }
    let flags = member(options, "flags");
    let is_set = |name| flags.and_then(|flags| member(flags, name)).and_then(Value::as_bool) == Some(true);
    let event = Emitted { json: Arc::from(data.to_string()), attachments };
    let delivery = if is_set("volatile") { Delivery::Volatile } else { Delivery::Ordered };
    let broadcast = Broadcast {
        namespace,
        rooms: rooms(member(options, "rooms"))?,
        except: rooms(member(options, "except"))?,
        event,
        delivery,
    };
    Some(Relayed { broadcast, retain: if is_set("retain") { Retain::Newest } else { Retain::No } })
}

/// Names of rooms; a number is the room of its digits. `None`: one is none.
pub(super) fn rooms(value: Option<&Value>) -> Option<Vec<RoomName>> {
    let Some(names) = value.and_then(Value::as_array) else { return Some(Vec::new()) };
    names.iter().map(|name| RoomName::new(&text(name)?)).collect()
}

fn text(value: &Value) -> Option<String> {
    match value.as_str() {
        Some(text) => Some(text.to_owned()),
        None if value.is_number() => Some(value.to_string()),
        None => None,
    }
}

pub(super) fn member<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    let pairs = map.as_map()?;
    let found = pairs.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value);
    found.filter(|value| !value.is_nil())
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the library's enum")]
fn json(value: &Value, attachments: &mut Vec<Arc<[u8]>>) -> Json {
    match value {
        Value::Boolean(value) => Json::Bool(*value),
        Value::Integer(number) => number
            .as_i64()
            .map(Number::from)
            .or_else(|| number.as_u64().map(Number::from))
            .map_or(Json::Null, Json::Number),
        Value::F32(number) => Number::from_f64(f64::from(*number)).map_or(Json::Null, Json::Number),
        Value::F64(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::String(text) => Json::String(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        Value::Binary(bytes) => {
            attachments.push(Arc::from(bytes.as_slice()));
            json!({ "_placeholder": true, "num": attachments.len() - 1 })
        }
        Value::Array(values) => values.iter().map(|value| json(value, attachments)).collect(),
        Value::Map(pairs) => {
            let mut members = Map::new();
            for (key, value) in pairs {
                members.insert(text(key).unwrap_or_else(|| key.to_string()), json(value, attachments));
            }
            Json::Object(members)
        }
        Value::Ext(TIME, bytes) => time(bytes).map_or(Json::Null, Json::String),
        _ => Json::Null,
    }
}

/// As a browser writes it: 32 bits of seconds, or 30 of nanoseconds and 34 of seconds.
fn time(bytes: &[u8]) -> Option<String> {
    let (seconds, nanos) = match bytes.len() {
        4 => (u64::from(u32::from_be_bytes(bytes.try_into().ok()?)), 0),
        8 => {
            let both = u64::from_be_bytes(bytes.try_into().ok()?);
            (both & 0x3_ffff_ffff, both >> 34)
        }
        _ => return None,
    };
    let stamp = jiff::Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()?;
    Some(format!("{stamp:.3}"))
}

/// A message for other gateways and servers, of the sender `uid`; `None`: it cannot be written so that they read the same, such as a number
/// beyond all that is counted with.
pub(super) fn write(uid: &str, broadcast: &Broadcast, retain: Retain) -> Option<Vec<u8>> {
    let data: Json = serde_json::from_str(&broadcast.event.json).ok()?;
    let names =
        |rooms: &[RoomName]| Value::Array(rooms.iter().map(|room| Value::from(room.as_str())).collect());
    let flags = match retain {
        Retain::Newest => vec![(Value::from("retain"), Value::from(true))],
        Retain::No => Vec::new(),
    };
    let map = |pairs: Vec<(&str, Value)>| {
        Value::Map(pairs.into_iter().map(|(name, value)| (Value::from(name), value)).collect())
    };
    let packet = map(vec![
        ("type", Value::from(2)),
        ("data", value(&data)),
        ("nsp", Value::from(broadcast.namespace.to_string())),
    ]);
    let options = map(vec![
        ("rooms", names(&broadcast.rooms)),
        ("flags", Value::Map(flags)),
        ("except", names(&broadcast.except)),
    ]);
    let mut bytes = Vec::new();
    // Writing into memory does not fail.
    let _ = rmpv::encode::write_value(&mut bytes, &Value::Array(vec![Value::from(uid), packet, options]));
    Some(bytes)
}

pub(super) fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => number
            .as_i64()
            .map(Value::from)
            .or_else(|| number.as_u64().map(Value::from))
            .or_else(|| number.as_f64().map(Value::from))
            .unwrap_or(Value::Nil),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(values) => Value::Array(values.iter().map(value).collect()),
        Json::Object(members) => {
            Value::Map(members.iter().map(|(name, json)| (Value::from(name.as_str()), value(json))).collect())
        }
    }
}
