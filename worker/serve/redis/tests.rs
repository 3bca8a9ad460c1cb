//! Messages as other servers and emitters write them, byte by byte where it was observed.

use super::message::{self, channel};
use super::request::{self, Request};
use crate::serve::publish::Retain;
use crate::serve::rooms::{Broadcast, Delivery, Emitted, RoomName};
use proptest::prelude::*;
use rmpv::Value;
use serde_json::{Value as Json, json};
use std::sync::Arc;

fn pack(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).unwrap();
    bytes
}

fn packed(json: &Json) -> Value {
    message::value(json)
}

/// What a channel's message is to rooms and as an event.
fn read(channel: &str, parts: &Json) -> Option<(Vec<String>, String)> {
    let read = message::read(channel, &pack(&packed(parts)))?;
    Some((
        read.broadcast.rooms.iter().map(RoomName::to_string).collect(),
        read.broadcast.event.json.to_string(),
    ))
}

fn rooms(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn an_emitters_bytes_are_read_as_they_were_seen() {
    let bytes = [
        &b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x92\xa3bid\x81\xa5price\x05\xa3nsp\xa1/"[..],
        b"\x83\xa5rooms\x91\xa3100\xa5flags\x80\xa6except\x90",
    ]
    .concat();
    let read = message::read("socket.io#/#100#", &bytes).unwrap();
    assert_eq!(&*read.broadcast.event.json, r#"["bid",{"price":5}]"#);
    assert_eq!(read.broadcast.rooms, [RoomName::new("100").unwrap()]);
    assert_eq!((read.broadcast.delivery, read.retain), (Delivery::Ordered, Retain::No));
    for cut in 0..bytes.len() {
        assert_eq!(message::read("socket.io#/#100#", &bytes[..cut]), None);
    }
}

#[test]
fn emitters_of_other_languages_and_ages_are_understood() {
    let event = json!({ "type": 2, "data": ["bid", 1], "nsp": "/" });
    let bid = || r#"["bid",1]"#.to_owned();
    // A number is the room of its digits.
    let parts = json!(["emitter", event, { "rooms": [100, 101], "flags": {} }]);
    assert_eq!(read("socket.io#/#", &parts), Some((rooms(&["100", "101"]), bid())));
    // A copy for each room, each with all of them.
    let parts = json!(["emitter", event, { "rooms": ["a", "b"], "flags": [], "except": [] }]);
    assert_eq!(read("socket.io#/#b#", &parts), Some((rooms(&["b"]), bid())));
    // The oldest: without a sender, on a channel of its own.
    let parts = json!([{ "type": 2, "data": ["bid", 1] }, { "rooms": ["a"] }]);
    assert_eq!(read("socket.io#emitter", &parts), Some((rooms(&["a"]), bid())));
    // Empty maps as arrays; null for what is not said.
    let parts = json!(["php", event, { "rooms": null, "flags": [], "except": [] }]);
    assert_eq!(read("socket.io#/#", &parts), Some((Vec::new(), bid())));
    for (what, parts) in [
        ("another namespace", json!(["e", { "type": 2, "data": ["a"], "nsp": "/admin" }, {}])),
        ("another kind", json!(["e", { "type": 3, "data": ["a"], "nsp": "/" }, {}])),
        ("no event", json!(["e", { "type": 2, "data": [], "nsp": "/" }, {}])),
        ("an event without a name", json!(["e", { "type": 2, "data": [7], "nsp": "/" }, {}])),
        ("a room that is none", json!(["e", event, { "rooms": [{ "a": 1 }] }])),
        ("a room without a name", json!(["e", event, { "rooms": [""] }])),
        ("too many parts", json!(["e", event, {}, {}])),
        ("no array", json!({ "a": 1 })),
    ] {
        assert_eq!(read("socket.io#/#", &parts), None, "{what}");
    }
    let parts = json!(["emitter", event, {}]);
    for elsewhere in ["socket.io#/admin#", "socket.io#/#a", "other#/#"] {
        assert_eq!(read(elsewhere, &parts), None, "{elsewhere}");
    }
}

#[test]
fn bytes_times_and_numbers_become_what_a_client_knows() {
    let of = |value: Value| {
        let packet = Value::Map(vec![
            ("type".into(), 2.into()),
            ("data".into(), Value::Array(vec!["x".into(), value])),
        ]);
        let parts = Value::Array(vec!["e".into(), packet, Value::Map(Vec::new())]);
        message::read("socket.io#/#", &pack(&parts)).unwrap().broadcast.event
    };
    let event = of(Value::Binary(vec![1, 2]));
    assert_eq!(&*event.json, r#"["x",{"_placeholder":true,"num":0}]"#);
    assert_eq!(event.attachments, [Arc::from([1_u8, 2].as_slice())]);
    let time = Value::Ext(-1, 1_700_000_000_u32.to_be_bytes().to_vec());
    assert_eq!(&*of(time).json, r#"["x","2023-11-14T22:13:20.000Z"]"#);
    assert_eq!(&*of(Value::from(u64::MAX)).json, r#"["x",18446744073709551615]"#);
    assert_eq!(&*of(Value::from(f64::NAN)).json, r#"["x",null]"#);
    assert_eq!(&*of(Value::Ext(9, vec![1])).json, r#"["x",null]"#);
}

#[test]
fn a_bomb_is_nothing() {
    // An array of arrays of arrays; an array that claims more than there is.
    let deep = [&[0x91; 1_000_000][..], &[0xc0]].concat();
    for bytes in [deep, vec![0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0], vec![0xc6, 0xff, 0xff, 0xff, 0xff, 1]] {
        assert_eq!(message::read("socket.io#/#", &bytes), None);
        assert_eq!(request::read(&bytes), None);
    }
}

#[test]
fn what_other_servers_ask_is_understood() {
    let ask = |text: &str| request::read(text.as_bytes());
    let opts = r#""opts":{"rooms":["100"],"except":[7]}"#;
    let Some(Request::Join { who, rooms }) = ask(&format!(r#"{{"type":2,{opts},"rooms":["200"]}}"#)) else {
        panic!()
    };
    assert_eq!((who.rooms[0].as_str(), who.except[0].as_str(), rooms[0].as_str()), ("100", "7", "200"));
    assert!(matches!(ask(&format!(r#"{{"type":3,{opts},"rooms":["200"]}}"#)), Some(Request::Leave { .. })));
    assert!(matches!(ask(&format!(r#"{{"type":4,{opts},"close":true}}"#)), Some(Request::Disconnect { .. })));
    assert_eq!(
        ask(r#"{"type":5,"requestId":"r","uid":"u","opts":{}}"#),
        Some(Request::Sockets { id: "r".into() })
    );
    assert_eq!(ask(r#"{"type":1,"requestId":"r","uid":"u"}"#), Some(Request::Rooms { id: "r".into() }));
    let counted = json!({ "type": 7, "uid": "u", "requestId": "r",
        "packet": { "type": 2, "data": ["a"], "nsp": "/" }, "opts": { "rooms": [], "except": [], "flags": {} } });
    assert!(matches!(ask(&counted.to_string()), Some(Request::Counted { .. })));
    assert!(matches!(request::read(&pack(&packed(&counted))), Some(Request::Counted { .. })));
    for other in
        [r#"{"type":6,"uid":"emitter","data":["hello",1]}"#, r#"{"type":2,"sid":"x","room":"a"}"#, "{", ""]
    {
        assert_eq!(ask(other), None, "{other}");
    }
}

#[test]
fn what_others_could_not_read_is_not_written() {
    let write = |message: &str| {
        let event = Emitted::new("bid", message);
        message::write("me", &Broadcast::to_room(&RoomName::new("a").unwrap(), event), Retain::No)
    };
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let is_read = |message: &str| message::read("socket.io#/#a#", &write(message).unwrap()).is_some();
    assert!(is_read(&nested(100)), "as deep as a publisher's may be");
    let numbers = format!("[{}]", vec!["1.5"; 240_000].join(","));
    assert!(is_read(&numbers), "as long as a publisher's may be");
    for message in ["1e400".to_owned(), r#""\ud800""#.to_owned(), nested(1_000)] {
        assert_eq!(write(&message), None, "{message}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        names in proptest::collection::vec("[^#]{1,20}", 0..4),
        name in ".{1,10}",
        argument in "[ -~]{0,40}",
        number: i64,
        retained: bool,
    ) {
        let rooms: Vec<RoomName> = names.iter().map(|name| RoomName::new(name).unwrap()).collect();
        let event = Emitted::new(&name, &json!({ "a": [argument, number, 1.5, null, true] }).to_string());
        let retain = if retained { Retain::Newest } else { Retain::No };
        let broadcast = Broadcast { rooms: rooms.clone(), ..Broadcast::to_room(&RoomName::new("x").unwrap(), event) };
        let read = message::read(&channel(&rooms), &message::write("me", &broadcast, retain).unwrap()).unwrap();
        prop_assert_eq!(read.retain, retain);
        prop_assert_eq!(read.broadcast.event.name(), Some(name));
        let (said, heard): (Json, Json) = (
            serde_json::from_str(&broadcast.event.json).unwrap(),
            serde_json::from_str(&read.broadcast.event.json).unwrap(),
        );
        prop_assert_eq!(said, heard);
        prop_assert_eq!(read.broadcast.rooms, broadcast.rooms);
    }

    #[test]
    fn any_bytes_are_something_or_nothing(bytes: Vec<u8>) {
        let _ = message::read("socket.io#/#", &bytes);
        let _ = request::read(&bytes);
    }
}
