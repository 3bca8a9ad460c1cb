//! The gateway's answers are what its OpenAPI document says: each is validated by the schema that stands there for it, read more strictly
//! than clients should, so that a member which the document does not name is found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use boon::{Compiler, Draft, SchemaIndex, Schemas};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Instant;
use touchline_e2e::served::{Reply, SECRET, Served, ask_bytes};
use touchline_e2e::{ANSWER, BACK, LIVE};
use touchline_harness::wait;

const PLACE: &str = "https://gateway.invalid/openapi.json";

/// The document, as it was served.
struct Contract {
    document: Value,
    /// The operations that answered as it says: path, method, status.
    seen: BTreeSet<(String, String, u16)>,
}

impl Contract {
    fn new(mut document: Value) -> Contract {
        forbid_what_is_not_named(&mut document);
        Contract { document, seen: BTreeSet::new() }
    }

    /// The schema at this pointer.
    fn schema(&self, pointer: &str) -> Schema {
        let (mut all, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.set_default_draft(Draft::V2020_12);
        compiler.enable_format_assertions();
        compiler.add_resource(PLACE, self.document.clone()).unwrap();
        let pointer = pointer.replace('{', "%7B").replace('}', "%7D");
        let index = compiler.compile(&format!("{PLACE}#{pointer}"), &mut all).unwrap();
        Schema { all, index }
    }

    fn check(&mut self, method: &str, path: &str, reply: &Reply) {
        let what = format!("{method} {path}: {}", reply.status);
        let responses = format!("/paths/{}/{method}/responses", path.replace('/', "~1"));
        let mut at = format!("{responses}/{}", reply.status);
        let described = self.document.pointer(&at).unwrap_or_else(|| panic!("{what}: {at}, {}", reply.body));
        if let Some(reference) = described.get("$ref").and_then(Value::as_str) {
            at = reference.trim_start_matches('#').to_owned();
        }
        let response = self.document.pointer(&at).unwrap();
        for header in response.get("headers").and_then(Value::as_object).into_iter().flatten() {
            assert!(reply.header(header.0).is_some(), "{what}: no {}", header.0);
        }
        if let Some(contents) = response.get("content").and_then(Value::as_object) {
            let sent = reply.header("Content-Type").unwrap_or_else(|| panic!("{what}: no type"));
            let sent = sent.split(';').next().unwrap();
            assert!(contents.contains_key(sent), "{what}: {sent}");
            let value = match sent {
                "application/json" => serde_json::from_str(&reply.body).unwrap(),
                _ => Value::from(reply.body.as_str()),
            };
            let fault =
                self.schema(&format!("{at}/content/{}/schema", sent.replace('/', "~1"))).fault(&value);
            assert_eq!(fault, None, "{what}: {}", reply.body);
        }
        self.seen.insert((path.to_owned(), method.to_owned(), reply.status));
    }
}

struct Schema {
    all: Schemas,
    index: SchemaIndex,
}

impl Schema {
    /// Why a value is not what it says.
    fn fault(&self, value: &Value) -> Option<String> {
        self.all.validate(value, self.index).err().map(|error| format!("{error:#}"))
    }
}

/// Clients take members that they do not know; here each is to be described.
fn forbid_what_is_not_named(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("type") == Some(&json!("object")) && members.contains_key("properties") {
                members.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            members.values_mut().for_each(forbid_what_is_not_named);
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_what_is_not_named),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn answers_are_what_the_document_says() {
    let served = Served::start(600.0, "");
    let id = served.a_match();
    served.site.wait_until_recorded(6, LIVE);
    wait::until("rows of odds", BACK, || {
        let odds = served.json(&format!("/api/matches/{id}/odds?limit=5"));
        odds.as_array().is_some_and(|rows| !rows.is_empty()).then_some(())
    });
    let mut contract = Contract::new(served.json("/api/openapi.json"));
    for (target, path) in [
        ("/", "/"),
        ("/api/openapi.json", "/api/openapi.json"),
        ("/api/matches", "/api/matches"),
        (format!("/api/matches/{id}").as_str(), "/api/matches/{id}"),
        (format!("/api/matches/inplay/{id}").as_str(), "/api/matches/{id}"),
        ("/api/matches/nobody", "/api/matches/{id}"),
        (format!("/api/matches/{id}/odds?since=0&limit=10000").as_str(), "/api/matches/{id}/odds"),
        (format!("/api/matches/{id}/odds?limit=0").as_str(), "/api/matches/{id}/odds"),
        (format!("/api/matches/{id}/chat").as_str(), "/api/matches/{id}/chat"),
        ("/api/events?since=0&limit=10000", "/api/events"),
        ("/api/events?since=x", "/api/events"),
        ("/api/pool", "/api/pool"),
        ("/metrics", "/metrics"),
        ("/healthz", "/healthz"),
        ("/readyz", "/readyz"),
        ("/stream?match=nobody", "/stream"),
        ("/ws", "/ws"),
        ("/socket.io/?EIO=4&transport=polling", "/socket.io/"),
        ("/socket.io/?EIO=2&transport=polling", "/socket.io/"),
    ] {
        contract.check("get", path, &served.get(target, ""));
    }
    let tag = served.get("/api/openapi.json", "");
    let tag = format!("If-None-Match: {}\r\n", tag.header("ETag").unwrap());
    contract.check("get", "/api/openapi.json", &served.get("/api/openapi.json", &tag));
    publish(&served, &mut contract);
    let of_get = |path: &str| contract.seen.contains(&(path.to_owned(), "get".to_owned(), 200));
    for path in contract.document["paths"].as_object().unwrap().keys() {
        // Streams are looked at below.
        assert!(matches!(path.as_str(), "/stream" | "/ws" | "/pub") || of_get(path), "{path}");
    }
}

fn publish(served: &Served, contract: &mut Contract) {
    let post = |headers: &str, body: &str| {
        let length = body.len();
        let request = format!(
            "POST /pub HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        ask_bytes(served.publishers, request.as_bytes()).unwrap()
    };
    let authorized = format!("Authorization: Bearer {SECRET}\r\n");
    let message = json!({"itemId": 100, "channel": "auction", "message": {"price": 5}});
    assert_eq!(contract.schema("/components/schemas/Publication").fault(&message), None);
    contract.check("post", "/pub", &post(&authorized, &message.to_string()));
    contract.check("post", "/pub", &post(&authorized, "{}"));
    contract.check("post", "/pub", &post("", &message.to_string()));
    let statuses = [200, 400, 401].map(|status| ("/pub".to_owned(), "post".to_owned(), status));
    assert!(statuses.iter().all(|seen| contract.seen.contains(seen)), "{:?}", contract.seen);
}

#[test]
fn messages_of_streams_are_what_the_document_says() {
    let served = Served::start(600.0, "");
    let schema = Contract::new(served.json("/api/openapi.json")).schema("/components/schemas/Message");
    let expected = BTreeSet::from(["event", "patch", "snapshot"].map(str::to_owned));
    for target in [format!("/stream?since=0&match={}", served.a_match()), "/stream?since=0".to_owned()] {
        let mut socket = TcpStream::connect(served.readers).unwrap();
        socket.set_read_timeout(Some(ANSWER)).unwrap();
        write!(socket, "GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let until = Instant::now() + BACK;
        let mut lines = BufReader::new(socket).lines().map(Result::unwrap);
        assert!(lines.next().unwrap().starts_with("HTTP/1.1 200 "));
        let data = lines.filter_map(|line| line.strip_prefix("data: ").map(str::to_owned));
        let mut types = BTreeSet::new();
        for data in data {
            let message: Value = serde_json::from_str(&data).unwrap();
            assert_eq!(schema.fault(&message), None, "{data}");
            types.insert(message["type"].as_str().unwrap().to_owned());
            if types == expected {
                break;
            }
            assert!(Instant::now() < until, "{target}: {types:?} alone");
        }
        assert_eq!(types, expected, "{target}");
    }
}

#[test]
fn what_the_document_does_not_say_is_found() {
    let served = Served::start(50.0, "");
    let schema = Contract::new(served.json("/api/openapi.json")).schema("/components/schemas/Document");
    let document = served.json(&format!("/api/matches/{}", served.a_match()));
    assert_eq!(schema.fault(&document), None);
    for (member, value) in [
        ("version", json!("7")),
        ("status", json!("playing")),
        ("received_at", json!("yesterday")),
        ("clock", json!({"seconds": 1, "running": true, "down": 0})),
        ("news", json!(1)),
    ] {
        let mut other = document.clone();
        other[member] = value;
        assert!(schema.fault(&other).is_some(), "{member}");
    }
    let mut less = document.clone();
    less.as_object_mut().unwrap().remove("feed");
    assert!(schema.fault(&less).is_some());
}
