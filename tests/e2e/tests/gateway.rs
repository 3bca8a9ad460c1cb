//! The gateway, as clients see it: streams that lead to the recorder's documents, resumption, deaths, slow clients, tokens, bad requests.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use touchline_e2e::{ANSWER, BACK, LIVE, Site};
use touchline_harness::{process, wait};
use touchline_simulator::Options;

/// A daemon with a gateway, its matches live.
struct Served {
    site: Site,
    address: SocketAddr,
}

impl Served {
    fn start(rate: f64, gateway: &str) -> Served {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
        let options = Options { matches: 6, rate, ..Options::default() };
        let site = Site::live(&options, &format!("[gateway]\nlisten = \"{address}\"\n{gateway}"));
        site.wait_for_status("the gateway", LIVE, |status| status["gateway"]["state"] == "ready");
        Served { site, address }
    }

    fn pid(&self) -> Option<u32> {
        process::children(self.site.daemon.pid()).into_iter().find(|pid| process::is_gateway(*pid))
    }

    /// Some match that has a document.
    fn a_match(&self) -> String {
        self.site.simulator.truth().matches().into_iter().next().unwrap()
    }

    /// The answer to a request on a connection of its own: status, head, body.
    fn ask(&self, request: &str) -> (u16, String, String) {
        let mut socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(ANSWER)).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        // A server that closes on a client that still sends may reset the connection behind its answer.
        if let Err(error) = socket.read_to_end(&mut bytes) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{request:?}");
        }
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request:?}: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), body.to_owned())
    }

    fn get(&self, target: &str, headers: &str) -> (u16, String, String) {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n"))
    }

    fn json(&self, target: &str) -> Value {
        let (status, head, body) = self.get(target, "");
        assert_eq!(status, 200, "{target}: {head} {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Opens a stream, once it can be opened.
    fn stream(&self, target: &str, headers: &str) -> Reading {
        wait::until("a stream", BACK, || Reading::open(self.address, target, headers))
    }

    /// Reads until the copy is the recorder's document, which must change no more.
    fn assert_leads_to(&self, reading: &mut Reading, id: &str) {
        let until = Instant::now() + BACK;
        while self.site.document(id).as_ref() != Some(&reading.document) {
            assert!(Instant::now() < until, "{:#?}\n{:#?}", reading.document, self.site.document(id));
            reading.read(Duration::from_millis(200));
        }
    }
}

/// A client of a stream of events, and the document as it has it.
struct Reading {
    socket: TcpStream,
    bytes: Vec<u8>,
    document: Value,
    id: String,
    /// The type and `why` of each message.
    messages: Vec<(String, String)>,
    events: Vec<Value>,
    ended: bool,
}

impl Reading {
    fn open(address: SocketAddr, target: &str, headers: &str) -> Option<Reading> {
        let mut socket = TcpStream::connect(address).ok()?;
        socket.set_read_timeout(Some(ANSWER)).ok()?;
        write!(socket, "GET {target} HTTP/1.1\r\nHost: h\r\n{headers}\r\n").ok()?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if socket.read(&mut byte).ok()? == 0 {
                return None;
            }
            head.extend(byte);
        }
        head.starts_with(b"HTTP/1.1 200 ").then(|| Reading {
            socket,
            bytes: Vec::new(),
            document: Value::Null,
            id: String::new(),
            messages: Vec::new(),
            events: Vec::new(),
            ended: false,
        })
    }

    /// Reads what comes within a time, once something has.
    fn read(&mut self, patience: Duration) {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut buffer = [0; 16 * 1024];
        match self.socket.read(&mut buffer) {
            Ok(0) => self.ended = true,
            Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.ended = true,
        }
        while let Some(end) = self.bytes.windows(2).position(|pair| pair == b"\n\n") {
            let text: Vec<u8> = self.bytes.drain(..end + 2).collect();
            self.message(std::str::from_utf8(&text).unwrap());
        }
    }

    fn message(&mut self, text: &str) {
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let Some(data) = line("data:") else { return };
        let said: Value = serde_json::from_str(data).unwrap();
        assert_eq!(line("event:"), said["type"].as_str());
        if let Some(id) = line("id:") {
            self.id = id.to_owned();
        }
        let why = said["why"].as_str().unwrap_or_default().to_owned();
        self.messages.push((said["type"].as_str().unwrap().to_owned(), why));
        match said["type"].as_str().unwrap() {
            "snapshot" => self.document = said["document"].clone(),
            "patch" => merge(&mut self.document, &said["patch"]),
            "event" => self.events.push(said["event"].clone()),
            "goodbye" => {}
            other => panic!("{other}"),
        }
    }

    fn read_until(&mut self, what: &str, is: impl Fn(&Reading) -> bool) {
        let until = Instant::now() + BACK;
        while !is(self) {
            assert!(!self.ended, "it ended before {what}");
            assert!(Instant::now() < until, "waited in vain for {what}: {:?}", self.messages);
            self.read(Duration::from_millis(200));
        }
    }

    fn count(&self, kind: &str) -> usize {
        self.messages.iter().filter(|(of, _)| of == kind).count()
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return *target = patch.clone() };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let target = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[test]
fn a_stream_leads_to_the_recorders_document() {
    let served = Served::start(600.0, "");
    let id = served.a_match();
    let mut reading = served.stream(&format!("/stream?match={id}"), "");
    reading.read_until("the snapshot", |reading| reading.count("snapshot") == 1);
    assert_eq!(reading.messages[0], ("snapshot".to_owned(), "first".to_owned()));
    reading.read_until("patches", |reading| reading.count("patch") >= 20);
    served.site.simulator.pause();
    served.assert_leads_to(&mut reading, &id);
    assert_eq!(reading.count("snapshot"), 1);
    let (epoch, version) = (&reading.document["epoch"], &reading.document["version"]);
    assert_eq!(reading.id, format!("{epoch}-{version}"));
    assert_eq!(served.json(&format!("/api/matches/{id}")), reading.document);
}

#[test]
fn the_list_has_every_match_and_its_events() {
    let served = Served::start(600.0, "");
    let mut list = served.stream("/stream?since=0", "");
    list.read_until("all matches", |list| {
        list.document["matches"].as_object().is_some_and(|all| all.len() == 6)
    });
    list.read_until("an event", |list| !list.events.is_empty());
    assert!(list.events.iter().all(|event| event["lane"] == "priority"));
    served.site.simulator.pause();
    let lines = served.json("/api/matches");
    assert_eq!(lines.as_array().unwrap().len(), 6);
    // Events are those that are committed, in their order.
    let seqs: Vec<u64> = list.events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted(), "{seqs:?}");
    let known = served.site.events();
    assert!(list.events.iter().all(|event| known.contains(event)));
}

#[test]
fn who_comes_back_gets_what_changed_or_is_told_that_it_is_the_whole() {
    let served = Served::start(600.0, "");
    let id = served.a_match();
    let target = format!("/stream?match={id}");
    let mut first = served.stream(&target, "");
    first.read_until("patches", |reading| reading.count("patch") >= 3);
    let mut again = served.stream(&target, &format!("Last-Event-ID: {}\r\n", first.id));
    again.document = first.document.clone();
    drop(first);
    again.read_until("a patch", |reading| reading.count("patch") >= 1);
    assert_eq!(again.count("snapshot"), 0);
    served.site.simulator.pause();
    served.assert_leads_to(&mut again, &id);
    for unknown in ["999999-1", "nonsense"] {
        let mut anew = served.stream(&target, &format!("Last-Event-ID: {unknown}\r\n"));
        anew.read_until("the snapshot", |reading| reading.count("snapshot") == 1);
        assert_eq!(anew.messages[0].1, "unknown");
    }
}

#[test]
fn a_gateway_that_is_killed_is_back_and_no_worker_notices() {
    let served = Served::start(600.0, "");
    let (id, workers, recorder) = (served.a_match(), served.site.worker_pids(), served.site.ready_recorder());
    let (target, gaps) = (format!("/stream?match={id}"), served.site.gaps().len());
    let mut before = served.stream(&target, "");
    before.read_until("a patch", |reading| reading.count("patch") >= 1);
    let victim = served.pid().unwrap();
    process::send(victim, Signal::SIGKILL);
    wait::until("another gateway", BACK, || served.pid().filter(|pid| *pid != victim));
    let mut after = served.stream(&target, &format!("Last-Event-ID: {}\r\n", before.id));
    after.read_until("the snapshot", |reading| reading.count("snapshot") == 1);
    served.site.simulator.pause();
    served.assert_leads_to(&mut after, &id);
    assert_eq!((served.site.worker_pids(), served.site.ready_recorder()), (workers, recorder));
    assert_eq!(served.site.gaps().len(), gaps);
    wait::until("the line of its death", BACK, || {
        served.site.daemon.log().contains(" gateway.died ").then_some(())
    });
}

#[test]
fn a_recorder_that_is_killed_ends_no_stream() {
    let served = Served::start(600.0, "");
    let id = served.a_match();
    let mut reading = served.stream(&format!("/stream?match={id}"), "");
    reading.read_until("a patch", |reading| reading.count("patch") >= 1);
    let victim = served.site.ready_recorder().unwrap();
    process::send(victim, Signal::SIGKILL);
    wait::until("another recorder", BACK, || served.site.ready_recorder().filter(|pid| *pid != victim));
    let before = reading.count("patch");
    reading.read_until("patches of the new one", |reading| reading.count("patch") >= before + 10);
    served.site.wait_live(6);
    served.site.simulator.pause();
    served.assert_leads_to(&mut reading, &id);
    assert_eq!((reading.count("snapshot"), reading.ended), (1, false));
}

#[test]
fn a_client_that_does_not_read_costs_another_nothing() {
    let served = Served::start(2_000.0, "");
    let id = served.a_match();
    let stalled: Vec<Reading> = (0..20).map(|_| served.stream(&format!("/stream?match={id}"), "")).collect();
    let mut reading = served.stream(&format!("/stream?match={id}"), "");
    reading.read_until("patches", |reading| reading.count("patch") >= 100);
    served.site.simulator.pause();
    served.assert_leads_to(&mut reading, &id);
    // What they did not read until now leads them there, too.
    for mut stalled in stalled {
        served.assert_leads_to(&mut stalled, &id);
    }
}

#[test]
fn what_is_asked_for_is_answered() {
    let served = Served::start(600.0, "");
    let id = served.a_match();
    served.site.wait_until_recorded(6, LIVE);
    served.site.simulator.pause();
    let events = served.json("/api/events?since=0&limit=1000");
    assert!(events.as_array().unwrap().len() >= 6);
    let of_match = served.json(&format!("/api/events?match=inplay/{id}"));
    assert!(of_match.as_array().unwrap().iter().all(|event| event["match"] == id.as_str()));
    let odds = wait::until("rows of odds", BACK, || {
        let odds = served.json(&format!("/api/matches/{id}/odds?limit=5"));
        odds.as_array().filter(|rows| !rows.is_empty()).cloned()
    });
    assert!(odds.len() <= 5 && odds.iter().all(|row| row["lane"] == "odds"));
    let pool = served.json("/api/pool");
    assert_eq!(pool["status"]["gateway"]["state"], "ready");
    assert_eq!(pool["workers"].as_array().unwrap().len(), served.site.worker_pids().len());
    let (status, head, metrics) = served.get("/metrics", "");
    assert!(status == 200 && head.contains("application/openmetrics-text"), "{head}");
    assert!(metrics.ends_with("# EOF\n") && metrics.contains("\ntouchline_matches_live 6\n"), "{metrics}");
    assert_eq!((served.get("/healthz", "").0, served.get("/readyz", "").0), (200, 200));
    assert_eq!((served.get("/api/matches/nobody", "").0, served.get("/nowhere", "").0), (404, 404));
    let (_, head, page) = served.get("/", "");
    assert!(head.contains("Content-Security-Policy: default-src 'none'"), "{head}");
    assert!(page.contains("<title>touchline</title>"));
    let target = format!("/api/matches/{id}");
    let (_, head, _) = served.get(&target, "");
    let tag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
    assert_eq!(served.get(&target, &format!("If-None-Match: {tag}\r\n")).0, 304);
}

#[test]
fn with_a_token_only_who_has_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "s3cret\n").unwrap();
    let served = Served::start(50.0, &format!("read_token_file = {}\n", json!(file)));
    for target in ["/api/matches", "/api/pool", "/api/events", "/metrics", "/stream", "/ws"] {
        assert_eq!(served.get(target, "").0, 401, "{target}");
        assert_eq!(served.get(target, "Authorization: Bearer wrong\r\n").0, 401, "{target}");
    }
    assert_eq!(served.get("/api/matches", "Authorization: Bearer s3cret\r\n").0, 200);
    assert_eq!(served.get("/api/matches?token=s3cret", "").0, 200);
    assert_eq!((served.get("/healthz", "").0, served.get("/", "").0), (200, 200));
    assert!(!served.site.daemon.log().contains("s3cret"));
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let served = Served::start(50.0, "");
    for (request, expected) in [
        ("GET /healthz HTTP/1.1\nHost: h\n\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400),
        (
            "POST /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("GET /healthz HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /", 413),
        ("POST /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 405),
    ] {
        // Behind it another request, which must not be taken for one.
        let behind = "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n";
        let (status, head, body) = served.ask(&format!("{request}{behind}"));
        assert_eq!(status, expected, "{request:?}: {head}");
        assert!(head.contains("Connection: close") && !body.contains("HTTP/1.1"), "{request:?}: {body}");
    }
    let long = format!("GET /healthz HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "y".repeat(9_000));
    assert_eq!(served.ask(&long).0, 431);
    assert_eq!(served.get("/healthz", "").0, 200);
}

#[test]
fn the_same_comes_over_a_websocket() {
    let served = Served::start(600.0, "");
    let id = served.a_match();
    let mut socket = TcpStream::connect(served.address).unwrap();
    socket.set_read_timeout(Some(ANSWER)).unwrap();
    write!(
        socket,
        "GET /ws?match={id} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(byte(&mut socket));
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    let (opcode, payload) = frame(&mut socket);
    let snapshot: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!((opcode, snapshot["type"].as_str()), (1, Some("snapshot")));
    let mut document = snapshot["document"].clone();
    // A ping of ours, masked with zeroes, is answered between the patches.
    socket.write_all(&[0x89, 0x82, 0, 0, 0, 0, b'h', b'i']).unwrap();
    let mut ponged = false;
    let until = Instant::now() + BACK;
    for taken in 0.. {
        if taken == 50 {
            served.site.simulator.pause();
        }
        if taken >= 50 && served.site.document(&id).as_ref() == Some(&document) {
            break;
        }
        assert!(Instant::now() < until, "it leads nowhere");
        let (opcode, payload) = frame(&mut socket);
        match opcode {
            9 => {}
            10 => ponged = payload == b"hi",
            1 => {
                let said: Value = serde_json::from_slice(&payload).unwrap();
                if said["type"] == "patch" {
                    merge(&mut document, &said["patch"]);
                }
            }
            other => panic!("frame {other}"),
        }
    }
    assert!(ponged);
    socket.write_all(&[0x88, 0x82, 0, 0, 0, 0, 3, 232]).unwrap();
    while frame(&mut socket).0 != 8 {}
}

fn byte(socket: &mut TcpStream) -> u8 {
    let mut byte = [0];
    socket.read_exact(&mut byte).unwrap();
    byte[0]
}

/// The next frame of the server: opcode and payload.
fn frame(socket: &mut TcpStream) -> (u8, Vec<u8>) {
    let (first, second) = (byte(socket), byte(socket));
    assert!(first & 0x80 != 0 && second & 0x80 == 0, "whole and not masked");
    let more = match second {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let length = (0..more).fold(0, |length, _| length << 8 | usize::from(byte(socket)));
    let mut payload = vec![0; if more == 0 { usize::from(second) } else { length }];
    socket.read_exact(&mut payload).unwrap();
    (first & 0x0f, payload)
}
