//! A client of the test's own against the server: joins, batches in every form, refusals, silences, the ranking.

use super::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::time::Instant;
use touchline_worker::wire::rooms::{BodyForm, Decoder, Limits, Operation, write_packet};

const PATIENCE: Duration = Duration::from_secs(10);
const LIMITS: Limits = Limits { packet: 4_000_000, inflated: 16_000_000, ratio: 10_000, depth: 4 };

struct Client {
    stream: TcpStream,
    decoder: Decoder,
}

impl Client {
    fn join(server: &RoomHandle, body: &str) -> Client {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut join = Vec::new();
        write_packet(&mut join, BodyForm::Control, Operation::Join, body.as_bytes());
        // A server that is about to reset it may have done so.
        let _ = stream.write_all(&join);
        Client { stream, decoder: Decoder::new(LIMITS) }
    }

    /// The next packet; none at the end of the connection.
    fn packet(&mut self) -> Option<(Operation, Vec<u8>)> {
        loop {
            if let Some(packet) = self.decoder.next() {
                let packet = packet.unwrap();
                return Some((packet.operation, packet.body.to_vec()));
            }
            let mut bytes = [0; 65_536];
            let count = self.stream.read(&mut bytes).unwrap_or(0);
            if count == 0 {
                return None;
            }
            self.decoder.push(&bytes[..count]);
        }
    }
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::yield_now();
    }
}

fn http(server: &RoomHandle, method: &str, path: &str) -> (String, Value) {
    let mut stream = TcpStream::connect(server.http_address()).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), serde_json::from_str(body).unwrap())
}

#[test]
fn whoever_joins_gets_everything_that_is_sent_whatever_the_form() {
    for (protover, piece) in [(0, None), (2, None), (3, None), (3, Some(7))] {
        let options = RoomOptions { rooms: 2, rate: 2_000.0, spread: 1.0, piece, ..RoomOptions::default() };
        let server = RoomServer::start(&options).unwrap();
        let room = server.truth().rooms()[0];
        let mut client = Client::join(&server, &format!("{{\"roomid\":{room},\"protover\":{protover}}}"));
        assert_eq!(client.packet(), Some((Operation::JoinReply, b"{\"code\":0}".to_vec())));
        let mut got = Vec::new();
        while got.len() < 500 {
            let (operation, body) = client.packet().unwrap();
            assert_eq!(operation, Operation::Message);
            got.push(serde_json::from_slice::<Value>(&body).unwrap());
        }
        let texts: Vec<&str> = got
            .iter()
            .filter(|command| command["cmd"].as_str().unwrap().starts_with("DANMU_MSG"))
            .map(|command| command["info"][1].as_str().unwrap())
            .collect();
        let sent = server.truth().lines(room);
        let said: Vec<&str> = sent
            .iter()
            .filter(|sent| sent.line.kind == Kind::Comment)
            .map(|sent| sent.line.text.as_str())
            .take(texts.len())
            .collect();
        assert!(texts.len() > 200);
        assert_eq!(texts, said, "protover {protover}");
    }
}

#[test]
fn a_heartbeat_is_answered_and_a_client_that_is_cut_gets_the_last_messages_again() {
    let options = RoomOptions { rooms: 1, rate: 1_000.0, overlap: 20, ..RoomOptions::default() };
    let server = RoomServer::start(&options).unwrap();
    let room = server.truth().rooms()[0];
    let mut client = Client::join(&server, &format!("{{\"roomid\":{room},\"uid\":123}}"));
    let mut beat = Vec::new();
    write_packet(&mut beat, BodyForm::Control, Operation::Heartbeat, b"[object Object]");
    client.stream.write_all(&beat).unwrap();
    let reply =
        std::iter::from_fn(|| client.packet()).find(|(operation, _)| *operation == Operation::HeartbeatReply);
    assert_eq!(reply.unwrap().1.len(), 4);
    until("100 messages", || server.truth().room(room).unwrap().next > 100);
    server.cut(Cut::Room(room));
    while client.packet().is_some() {}
    until("its end", || server.truth().spans(room)[0].left.is_some());
    let _again = Client::join(&server, &format!("{{\"roomid\":{room}}}"));
    until("its join", || server.truth().spans(room).len() == 2);
    let spans = server.truth().spans(room);
    assert_eq!(spans[0].left.unwrap().1, Left::Server);
    assert_eq!(spans[1].from, spans[0].to - 20);
}

#[test]
fn a_room_may_be_closed_to_us_in_three_ways_and_a_token_may_be_asked_for() {
    let options = RoomOptions {
        rooms: 4,
        token: Some("t".to_owned()),
        silence: Duration::from_millis(300),
        ..RoomOptions::default()
    };
    let server = RoomServer::start(&options).unwrap();
    let rooms = server.truth().rooms();
    server.refuse(rooms[0], Refusal::Code);
    server.refuse(rooms[1], Refusal::Close);
    server.refuse(rooms[2], Refusal::Silence);
    let refused = Some((Operation::JoinReply, b"{\"code\":-101}".to_vec()));
    let join = |room: u64, key: &str| {
        let mut client = Client::join(&server, &format!("{{\"roomid\":{room},\"key\":\"{key}\"}}"));
        let first = client.packet();
        if first.is_some() && first == refused {
            assert_eq!(client.packet(), None);
        }
        first
    };
    assert_eq!(join(rooms[0], "t"), refused);
    assert_eq!(join(rooms[1], "t"), None);
    assert_eq!(join(rooms[2], "t"), None, "silence, until the server ends it");
    assert_eq!(join(rooms[3], "other"), refused);
    assert_eq!(join(rooms[3], "t").unwrap().1, b"{\"code\":0}");
    assert_eq!(join(99, "t"), refused, "there is no such room");
}

#[test]
fn an_address_has_its_share_of_connections_and_a_host_may_be_down() {
    let server =
        RoomServer::start(&RoomOptions { rooms: 3, per_address: Some(1), ..RoomOptions::default() }).unwrap();
    let rooms = server.truth().rooms();
    let mut first = Client::join(&server, &format!("{{\"roomid\":{}}}", rooms[0]));
    assert!(first.packet().is_some());
    assert_eq!(Client::join(&server, &format!("{{\"roomid\":{}}}", rooms[1])).packet(), None);
    until("the count", || server.report().capped == 1);
    server.set_host(Host::Down);
    while first.packet().is_some() {}
    server.set_host(Host::Up);
}

#[test]
fn the_ranking_can_be_emptied_and_fail() {
    let server = RoomServer::start(&RoomOptions { rooms: 5, ..RoomOptions::default() }).unwrap();
    let count = |answer: &Value| answer["data"]["list"].as_array().unwrap().len();
    let (status, answer) = http(&server, "GET", "/ranking?page=1");
    assert!(status.contains("200") && count(&answer) == 5, "{answer}");
    assert!(answer["data"]["list"][0]["online"].as_u64() > answer["data"]["list"][4]["online"].as_u64());
    assert!(http(&server, "POST", "/ranking/empty").0.contains("200"));
    assert_eq!(count(&http(&server, "GET", "/ranking").1), 0);
    server.set_ranking(Ranking::Failing);
    assert!(http(&server, "GET", "/ranking").0.contains("500"));
    let room = server.truth().rooms()[0];
    assert_eq!(http(&server, "GET", &format!("/room/{room}")).1["status"], "live");
    assert!(http(&server, "GET", "/room/1").0.contains("404"));
}

/// The types that are found at each place of the commands of each name.
type Shapes = BTreeMap<(String, String), BTreeSet<&'static str>>;

fn add_shape(shapes: &mut Shapes, command: &Value) {
    let name = command["cmd"].as_str().unwrap().split(':').next().unwrap().to_owned();
    let mut left = vec![(String::new(), command)];
    while let Some((place, value)) = left.pop() {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(items) => {
                left.extend(items.iter().enumerate().map(|(n, item)| (format!("{place}/{n}"), item)));
                "array"
            }
            Value::Object(members) => {
                left.extend(members.iter().map(|(key, member)| (format!("{place}/{key}"), member)));
                "object"
            }
        };
        shapes.entry((name.clone(), place)).or_default().insert(kind);
    }
}

#[test]
fn commands_have_the_shape_of_recorded_ones() {
    let Some(recorded) = touchline_harness::data::bytes("danmaku/commands.jsonl") else { return };
    let mut real = Shapes::new();
    for line in String::from_utf8(recorded).unwrap().lines() {
        add_shape(&mut real, &serde_json::from_str(line).unwrap());
    }
    let (mut ours, script) = (Shapes::new(), script::Script::new(1));
    for place in 0..20_000 {
        let happening = script.happening(script::room_id(0), place);
        command::write(script::room_id(0), &happening, 1_700_000_000_000, &mut |command| {
            add_shape(&mut ours, &serde_json::from_slice(command).unwrap());
        });
    }
    let shared: Vec<_> = ours.iter().filter_map(|(at, kinds)| Some((at, kinds, real.get(at)?))).collect();
    for (at, kinds, recorded) in &shared {
        assert!(kinds.is_subset(recorded), "{at:?}: {kinds:?}, recorded are {recorded:?}");
    }
    for name in
        ["DANMU_MSG", "SEND_GIFT", "GUARD_BUY", "RECALL_DANMU_MSG", "SUPER_CHAT_MESSAGE_DELETE", "LIVE"]
    {
        assert!(shared.iter().any(|((of, _), _, _)| of == name), "{name} is not compared");
    }
}
