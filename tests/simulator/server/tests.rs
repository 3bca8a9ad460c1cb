//! The server over real sockets, with the plainest client: own framing, no codec.

mod above_cap;
mod sessions;
mod texts;

use super::Simulator;
use crate::options::Options;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A message: type, headers, body.
type Received = (u8, String, String);

struct Client {
    stream: TcpStream,
    held: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr, topics: &str) -> (Self, String) {
        let mut client = Self::ask(address, topics);
        let (code, id) = client.answer();
        assert_eq!(code, 100);
        (client, id)
    }

    /// Says who it is, with everything that comes after the capabilities.
    fn ask(address: SocketAddr, rest: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(&[b"#\x04\x15\x07", rest.as_bytes(), b"\0"].concat()).unwrap();
        Self { stream, held: Vec::new() }
    }

    /// The code of the answer, and the client id in it.
    fn answer(&mut self) -> (u8, String) {
        let client = self;
        while client.held.len() < 5 || !client.held[4..].contains(&0) {
            client.read();
        }
        assert_eq!((&client.held[..2], client.held[3]), (&b"#\x04"[..], 4));
        let code = client.held[2];
        let end = client.held[4..].iter().position(|byte| *byte == 0).unwrap() + 4;
        let id = String::from_utf8(client.held[4..end].to_vec()).unwrap();
        client.held.drain(..=end);
        (code, id)
    }

    fn read(&mut self) {
        let mut piece = [0; 65_536];
        let count = self.stream.read(&mut piece).unwrap();
        assert!(count > 0, "the server left");
        self.held.extend_from_slice(&piece[..count]);
    }

    fn send(&mut self, kind: u8, headers: &str) {
        let length = (headers.len() + 7) as u32;
        self.stream
            .write_all(&[&length.to_be_bytes()[..], &[kind, 0], headers.as_bytes(), b"\x01"].concat())
            .unwrap();
    }

    fn next(&mut self) -> Received {
        let (kind, encoding, headers, body) = self.next_raw();
        assert_eq!(encoding, 0, "plain");
        (kind, headers, String::from_utf8(body).unwrap())
    }

    /// Type, encoding, headers, body.
    fn next_raw(&mut self) -> (u8, u8, String, Vec<u8>) {
        loop {
            if self.held.len() >= 4 {
                let length = u32::from_be_bytes(self.held[..4].try_into().unwrap()) as usize;
                if self.held.len() >= length {
                    let message: Vec<u8> = self.held.drain(..length).collect();
                    let end = message[6..].iter().position(|byte| *byte == 1).unwrap() + 6;
                    let headers = String::from_utf8(message[6..end].to_vec()).unwrap();
                    return (message[4], message[5], headers, message[end + 1..].to_vec());
                }
            }
            self.read();
        }
    }

    /// Waits until the server has read everything so far; what it sent meanwhile.
    fn settle(&mut self) -> Vec<Received> {
        self.send(0x18, "settled\u{2}0");
        let mut received = Vec::new();
        loop {
            let one = self.next();
            if one.0 == 0x18 {
                return received;
            }
            received.push(one);
        }
    }
}

fn options() -> Options {
    Options { matches: 8, rate: 2_000.0, ..Options::default() }
}

#[test]
fn a_client_gets_loads_then_deltas() {
    let server = Simulator::start(&options()).unwrap();
    let (mut client, _) = Client::connect(server.address(), "__time,OVInPlay_1_3");
    let (kind, headers, body) = client.next();
    assert_eq!((kind, headers.as_str()), (0x14, "__time!t"));
    assert!(body.starts_with("F|IN;TI=2") && body.ends_with(";UF=15;|"), "{body}");
    let (kind, headers, body) = client.next();
    assert_eq!((kind, headers.as_str()), (0x14, "OVInPlay_1_3!l"));
    let nodes = |kind: &str| body.split('|').filter(|node| node.starts_with(kind)).count();
    assert_eq!((nodes("CL;"), nodes("EV;"), nodes("MA;")), (5, 8, 8));

    client.send(0x16, "6V90000001C1A_1_3,6V90000002C13A_1_3,6Vnothing");
    let (kind, headers, body) = client.next();
    assert_eq!((kind, headers.as_str()), (0x14, "6V90000001C1A_1_3!m1"));
    assert!(body.starts_with("F|EV;IT=6V90000001C1A_1_3;ID=90000001C1A_1_3;"), "{body}");
    assert_eq!(client.next().1, "6V90000002C13A_1_3!m2");
    let mut kinds = std::collections::HashMap::new();
    for _ in 0..500 {
        let (kind, headers, body) = client.next();
        assert_eq!(kind, 0x15, "{headers} {body}");
        *kinds.entry(body[..2].to_owned()).or_insert(0) += 1;
    }
    assert!(kinds["U|"] > 400, "{kinds:?}");

    client.send(0x18, "1398506895345\u{2}0");
    client.send(0x16, "6V90000002C13A_1_3");
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let (kind, headers, _) = client.next();
        if kind != 0x15 {
            seen.push((kind, headers));
        }
    }
    assert!(seen[0].0 == 0x18 && seen[0].1.starts_with("1398506895345\u{2}"), "{seen:?}");
    assert_eq!(seen[1], (0x14, "6V90000002C13A_1_3!m2".to_owned()), "subscribed again: another load");

    client.send(0x17, "6V90000001C1A_1_3,6V90000002C13A_1_3,OVInPlay_1_3");
    client.send(0x18, "2\u{2}0");
    while client.next().0 != 0x18 {}
    client.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(client.stream.read(&mut [0; 1]).is_err(), "nothing follows");
    let report = server.stop();
    assert!(report.messages >= 500 && report.loads == 5, "{report:?}");
    assert_eq!(report.most_subscriptions, 5);
}

#[test]
fn above_the_cap_the_connection_is_reset() {
    let server = Simulator::start(&Options { cap: Some(2), ..options() }).unwrap();
    let (mut client, id) = Client::connect(server.address(), "__time");
    client.send(0x16, "__time");
    client.send(0x16, "6V90000001C1A_1_3");
    while client.next().1 != "6V90000001C1A_1_3!m1" {}
    client.send(0x16, "6V90000002C13A_1_3");
    let mut rest = Vec::new();
    let error = client.stream.read_to_end(&mut rest).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let report = server.stop();
    assert_eq!((report.over_cap, report.most_subscriptions), (1, 2));
    let one = &report.connections[0];
    assert_eq!((one.client.as_str(), one.most, one.open), (id.as_str(), 2, false));
}

#[test]
fn who_does_not_read_is_let_go() {
    let server = Simulator::start(&Options { out_queue: 200_000, rate: 100_000.0, ..options() }).unwrap();
    let (mut client, _) = Client::connect(server.address(), "");
    client.send(0x16, "6V90000001C1A_1_3");
    let begun = Instant::now();
    while server.report().slow == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", server.report());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn paused_it_changes_nothing_and_the_truth_is_served() {
    let server =
        Simulator::start(&Options { truth: Some("127.0.0.1:0".parse().unwrap()), ..options() }).unwrap();
    let (mut client, _) = Client::connect(server.address(), "6V90000001C1A_1_3");
    for _ in 0..100 {
        client.next();
    }
    let ask = |request: &str| {
        let mut http = TcpStream::connect(server.truth_address().unwrap()).unwrap();
        write!(http, "{request} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        http.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().to_owned(), serde_json::from_str::<serde_json::Value>(body).unwrap())
    };
    assert_eq!(ask("POST /pause").0, "200");
    let (status, document) = ask("GET /match/90000001C1A_1_3");
    assert_eq!((status.as_str(), document["sport"].as_str()), ("200", Some("soccer")));
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(ask("GET /match/90000001C1A_1_3").1, document);
    assert_eq!(ask("GET /match/none").0, "404");
    assert_eq!(ask("DELETE /").0, "405");
    assert_eq!(ask("GET /matches").1.as_array().unwrap().len(), 8);
    let events = ask("GET /events").1;
    assert_eq!(events[0]["type"], "match_listed");
    let numbers: Vec<u64> =
        events.as_array().unwrap().iter().map(|event| event["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "dense, in order");
    assert_eq!(ask("GET /connections").1.as_array().unwrap().len(), 1);
    assert_eq!(ask("POST /resume").0, "200");
    for _ in 0..100 {
        client.next();
    }
}

#[test]
fn matches_come_and_go() {
    let server = Simulator::start(&Options { churn: 1_200.0, ..options() }).unwrap();
    let ids = server.truth().matches();
    let all = ids.iter().map(|id| format!("6V{id}")).collect::<Vec<_>>().join(",");
    let (mut client, _) = Client::connect(server.address(), &format!("OVInPlay_1_3,{all}"));
    let (mut whistles, mut removed, mut deleted, mut inserted) = (0, 0, 0, 0);
    while removed < 5 || deleted < 5 || inserted < 5 {
        let (kind, headers, body) = client.next();
        whistles += usize::from(body.contains("UC=Final whistle;"));
        removed += usize::from(kind == 0x23 && headers.ends_with("\u{2}R"));
        deleted += usize::from(body == "D||" && headers.starts_with("OVInPlay_1_3/OV_"));
        inserted += usize::from(body.starts_with("I|EV;IT=OV9"));
    }
    assert!(whistles > 0, "a whistle first");
    assert_eq!(server.truth().matches().len(), 8);
    assert!(server.truth().is_gone(ids.iter().find(|id| !server.truth().matches().contains(id)).unwrap()));
}

#[test]
fn connections_are_reset_when_asked_for() {
    let server = Simulator::start(&options()).unwrap();
    let mut clients: Vec<Client> =
        (0..3).map(|_| Client::connect(server.address(), "OVInPlay_1_3").0).collect();
    server.reset_connections(super::Reset::One(4));
    let ended = |client: &mut Client| loop {
        match client.stream.read(&mut [0; 65_536]) {
            Ok(0) => panic!("closed, not reset"),
            Ok(_) => {}
            Err(error) => return error.kind(),
        }
    };
    assert_eq!(ended(&mut clients.remove(1)), std::io::ErrorKind::ConnectionReset);
    server.reset_connections(super::Reset::All);
    for client in &mut clients {
        assert_eq!(ended(client), std::io::ErrorKind::ConnectionReset);
    }
    let report = server.stop();
    assert_eq!(report.resets, 3);
    assert!(report.serving > Duration::ZERO);
}
