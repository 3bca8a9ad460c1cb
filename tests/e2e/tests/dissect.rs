//! A real conversation with a server that encodes and fragments, dissected from a capture of its bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::Value;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use touchline_harness::pcap::{self, Conversation, Side};
use touchline_harness::process;
use touchline_simulator::{BodyEncoding, Options, Simulator};
use touchline_worker::wire::diffusion::{
    CAN_BASE64, CAN_COMPRESSED, ConnectRequest, ConnectResponse, MessageType, ping_server, subscribe,
};

const MATCHES: usize = 3;
/// The list, the clock and the matches.
const TOPICS: usize = MATCHES + 2;
const PIECE: usize = 5_000;

/// Subscribes, and keeps both directions until the server has answered all of it.
fn converse(server: SocketAddr, capabilities: u8, topics: &[String]) -> Conversation {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    ConnectRequest::new(0x15, capabilities).encode(&mut asked).unwrap();
    for topic in topics {
        subscribe(&mut asked, topic.as_bytes()).unwrap();
    }
    // It is answered in its turn.
    ping_server(&mut asked, b"1", 0).unwrap();
    stream.write_all(&asked).unwrap();
    let mut piece = [0; 4_096];
    while !has_answered(&answered) {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "the server left");
        answered.extend_from_slice(&piece[..read]);
    }
    vec![(Side::Client, asked), (Side::Server, answered)]
}

fn has_answered(answered: &[u8]) -> bool {
    let Ok(Some((_, used))) = ConnectResponse::parse(answered) else { return false };
    let mut rest = &answered[used..];
    while let [a, b, c, d, kind, ..] = *rest {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if rest.len() < length {
            return false;
        }
        if kind == MessageType::PingServer.byte() {
            return true;
        }
        rest = &rest[length..];
    }
    false
}

fn dissected(conversations: &[Conversation]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("conversation.pcap"), pcap::capture(conversations)).unwrap();
    let output = process::run(folder.path(), &["dissect", "conversation.pcap", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The records of each load that came in one or was put together, by topic.
fn loads(entries: &[Value], connection: u64) -> HashMap<String, Value> {
    let is = |entry: &&Value| {
        entry["connection"] == connection
            && entry["type_byte"] == MessageType::TopicLoad.byte()
            && entry["fragment"] == false
    };
    let load = |entry: &Value| (entry["topic"].as_str().unwrap().to_owned(), entry["records"].clone());
    entries.iter().filter(is).map(load).collect()
}

#[test]
fn encoded_and_fragmented_messages_dissect_to_the_same_records_as_plain_ones() {
    for encoding in [BodyEncoding::Zlib, BodyEncoding::Base64] {
        let options =
            Options { matches: MATCHES, encoding, fragment_above: Some(PIECE), ..Options::default() };
        let server = Simulator::start(&options).unwrap();
        // Nothing changes, so every client gets the same.
        server.pause();
        let mut topics = vec!["OVInPlay_1_3".to_owned(), "__time".to_owned()];
        topics.extend(server.truth().matches().iter().map(|id| format!("6V{id}")));
        let conversations = [CAN_COMPRESSED | CAN_BASE64, 0]
            .map(|capabilities| converse(server.address(), capabilities, &topics));
        let entries = dissected(&conversations);
        let (encoded, plain) = (loads(&entries, 1), loads(&entries, 2));
        assert_eq!((encoded.len(), plain.len()), (TOPICS, TOPICS));
        for (topic, records) in plain.iter().filter(|(topic, _)| *topic != "__time") {
            assert!(records.to_string().len() > 100, "{topic}: {records}");
            assert_eq!(&encoded[topic], records, "{topic}");
        }
        let count = |connection: u64, is: &dyn Fn(&Value) -> bool| {
            entries.iter().filter(|entry| entry["connection"] == connection && is(entry)).count()
        };
        let name = match encoding {
            BodyEncoding::Zlib => "zlib",
            BodyEncoding::Base64 | BodyEncoding::None => "base64",
        };
        assert!(count(1, &|entry| entry["encoding"] == name) >= TOPICS, "{entries:#?}");
        assert_eq!(count(2, &|entry| entry["encoding"] == name), 0);
        for connection in [1, 2] {
            let joined = count(connection, &|entry| entry["joined_parts"].as_u64() > Some(1));
            let last = |entry: &Value| {
                let part = &entry["part"];
                !part.is_null() && part["number"] == part["total"]
            };
            assert_eq!(count(connection, &last), joined);
            assert!(joined > 0, "nothing was cut: {entries:#?}");
            assert_eq!(count(connection, &|entry| entry["kind"] == "undecoded"), 0);
            assert_eq!(count(connection, &|entry| entry["part"]["fault"].is_string()), 0);
        }
        let end = entries.last().unwrap();
        assert_eq!((&end["cancelled"], &end["unfinished"]), (&0.into(), &0.into()), "{end}");
    }
}
