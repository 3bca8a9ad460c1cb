//! Clients that mean harm: whatever they send is answered with the status that fits, or the connection is closed; the gateway goes on
//! serving others, is the same process as before, and its memory never passes a bound.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use touchline_e2e::ANSWER;
use touchline_e2e::served::{Reply, SECRET, Served, ask_bytes, read_reply};
use touchline_harness::process;

/// The most memory that a gateway may ever have had, with all of this.
const MEMORY_KB: u64 = 120_000;
/// By then a connection must have asked something,
const HANDSHAKE: Duration = Duration::from_secs(10);
/// and by then a body must be there.
const BODY: Duration = Duration::from_secs(20);
/// How much later than at the moment a busy machine does it.
const LATE: Duration = Duration::from_secs(10);
/// Connections that say nothing, where there are descriptors for them.
const SILENT: u64 = 4_000;

/// A gateway that must live.
struct Victim {
    served: Served,
    pid: u32,
}

impl Victim {
    fn start() -> Victim {
        let served = Served::start(50.0, "");
        let pid = served.pid().unwrap();
        Victim { served, pid }
    }

    fn ask_bytes(&self, request: &[u8]) -> Option<Reply> {
        ask_bytes(self.served.readers, request)
    }

    /// With the publishers' secret.
    fn publish(&self, kind: &str, body: &[u8]) -> Reply {
        let length = body.len();
        let head = format!(
            "POST /pub HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer {SECRET}\r\n\
             Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        );
        ask_bytes(self.served.publishers, &[head.as_bytes(), body].concat()).unwrap()
    }

    /// One of its values in kB.
    fn memory(&self, field: &str) -> u64 {
        let text = process::status_field(self.pid, field).unwrap();
        text.trim_end_matches(" kB").parse().unwrap()
    }

    fn assert_serves(&self) {
        let asked = Instant::now();
        let reply = self.served.get("/api/matches", "");
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(asked.elapsed() < ANSWER);
    }

    fn assert_well(&self) {
        self.assert_serves();
        assert_eq!(self.served.pid(), Some(self.pid), "another gateway serves");
        assert!(!self.served.site.daemon.log().contains(" gateway.died "));
        let most = self.memory("VmHWM:");
        assert!(most < MEMORY_KB, "{most} kB");
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}

#[test]
fn nothing_is_smuggled_behind_a_request() {
    let victim = Victim::start();
    let socket = "/socket.io/?EIO=4&transport=polling&sid=none";
    let post = |lines: &str, body: &str| {
        format!("POST {socket} HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n{body}").into_bytes()
    };
    let get = |lines: &str| format!("GET /healthz HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n").into_bytes();
    let extension = "a".repeat(100_000);
    let refused = [
        // Two lengths, in the orders and disguises by which servers came to differ.
        post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
        post("Content-Length: 5\r\nContent-Length: 6", "hello!"),
        post("Content-Length: 5, 5", "hello"),
        post("Content-Length: +5", "hello"),
        post("Content-Length: 0x5", "hello"),
        post("Content-Length: 5\u{a0}", "hello"),
        post("Content-Length: 99999999999999999999999", "hello"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"),
        post("Transfer-Encoding: xchunked", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\u{a0}", "0\r\n\r\n"),
        post("Transfer-Encoding: \u{b}chunked", "0\r\n\r\n"),
        post("Transfer-Encoding : chunked", "0\r\n\r\n"),
        post("Transfer-Encoding:\r\n chunked", "0\r\n\r\n"),
        format!("POST {socket} HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").into(),
        // Chunks.
        post("Transfer-Encoding: chunked", &format!("5;{extension}\r\nhello\r\n0\r\n\r\n")),
        post("Transfer-Encoding: chunked", "5;a=b\r\nhello\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked", "0x5\r\nhello\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked", "5\nhello\n0\n\n"),
        post("Transfer-Encoding: chunked", "5\r\nhello!\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked", "0\r\nHost: other\r\n\r\n"),
        // Lines.
        b"GET /healthz HTTP/1.1\nHost: h\n\n".to_vec(),
        b"GET /healthz HTTP/1.1\r\nHost: h\n\r\n".to_vec(),
        get("X: a\r\n b"),
        get("X: a\r\n\tb"),
        get("X: a\rY: b"),
        get("X: a\0b"),
        get("X : a"),
        get("no colon"),
        get("Host: other"),
        b"GET /healthz HTTP/1.1\r\n\r\n".to_vec(),
        b" GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
        b"GET  /healthz  HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
        // Other versions, other protocols, targets of proxies.
        b"GET /healthz\r\n\r\n".to_vec(),
        b"GET /healthz HTTP/3.0\r\nHost: h\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        b"CONNECT other:443 HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
        b"GET ftp://h/healthz HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
    ];
    // Behind each another request, which must not be answered.
    let behind = b"GET /api/matches HTTP/1.1\r\nHost: h\r\n\r\n";
    for request in refused {
        let what = shown(&request);
        let reply = victim.ask_bytes(&[&request[..], behind].concat());
        let reply = reply.unwrap_or_else(|| panic!("{what:?}: no answer"));
        assert_eq!((reply.status, reply.header("Connection")), (400, Some("close")), "{what:?}: {reply:?}");
        assert!(!reply.body.contains("HTTP/1.1"), "{what:?}: {}", reply.body);
    }
    let with_body =
        victim.ask_bytes(b"GET /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nGET ").unwrap();
    assert_eq!(with_body.status, 413);
    let too_long = victim.ask_bytes(&post("Content-Length: 1000001", "")).unwrap();
    assert_eq!(too_long.status, 413);
    victim.assert_well();
}

#[test]
fn a_target_with_a_host_leads_where_its_path_does() {
    let victim = Victim::start();
    for (target, kind) in [
        ("http://h/healthz", "text/plain"),
        ("http://other:99/api/matches", "application/json"),
        ("http://h", "text/html"),
        ("http://h?x=/api/pool", "text/html"),
        ("http://h#/api/pool", "text/html"),
    ] {
        let reply = victim.served.get(target, "");
        assert_eq!(reply.status, 200, "{target}");
        assert!(reply.header("Content-Type").unwrap().starts_with(kind), "{target}: {}", reply.head);
    }
    victim.assert_well();
}

#[test]
fn what_is_huge_or_no_text_is_refused() {
    let victim = Victim::start();
    let get =
        |target: &[u8]| [b"GET ", target, b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"].concat();
    let of = |text: String| get(text.as_bytes());
    let many: String = (0..1_000).map(|n| format!("a{n}=&")).collect();
    for (request, expected) in [
        (of(format!("/healthz?{}", "x".repeat(7_000))), 200),
        (of(format!("/healthz?{many}")), 200),
        (of(format!("/healthz?{}", "x".repeat(9_000))), 431),
        (of(format!("/{}", "x".repeat(1_000_000))), 431),
        (of(format!("/api/events?since={}", "9".repeat(5_000))), 400),
        (of(format!("/api/events?limit={}", "9".repeat(5_000))), 400),
        (of(format!("/api/events?match={}", "x".repeat(5_000))), 400),
        (of(format!("/api/matches/{}", "x/".repeat(2_000))), 400),
        (of(format!("/stream?match={}", "x".repeat(5_000))), 400),
        (of(format!("/api/matches/{}", "%25".repeat(200))), 404),
        (get(b"/api/matches/%ff%fe"), 400),
        (get(b"/api/matches/%c0%af"), 400),
        (get(b"/api/matches/%ed%a0%80"), 400),
        (get(b"/api/matches/%00"), 400),
        (get(b"/api/matches/%"), 400),
        (get(b"/api/matches/\xff\xfe"), 400),
        (get(b"/api/events?match=%ff"), 400),
        (get(b"/socket.io/?EIO=4&transport=polling&itemId=%ff"), 400),
        (get(b"/api/matches/../../etc/passwd"), 404),
        (get(b"/api/matches/'%20OR%201=1--"), 404),
        (b"GET /healthz HTTP/1.1\r\nHost: h\r\nX: \xff\xfe\r\n\r\n".to_vec(), 400),
        (of(format!("/healthz HTTP/1.1\r\n{}X:", "A: b\r\n".repeat(100))), 400),
    ] {
        let what = shown(&request);
        let reply = victim.ask_bytes(&request).unwrap_or_else(|| panic!("{what:?}: no answer"));
        assert_eq!(reply.status, expected, "{what:?}: {reply:?}");
    }
    victim.assert_well();
}

#[test]
fn no_body_of_a_publisher_costs_more_than_its_bytes() {
    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";
    let victim = Victim::start();
    let with = |item: &str, message: &str| {
        format!(r#"{{"itemId":{item},"channel":"c","message":{message}}}"#).into_bytes()
    };
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let one = r#"{"itemId":1,"channel":"c","message":1}"#;
    let fields: String = (0..20_000).map(|n| format!("message[{n}]=1&")).collect();
    let deep = format!("itemId=1&channel=c&message{}=1", "[a]".repeat(10_000));
    for (kind, body, expected) in [
        // A message is passed on as it is written, and looked at only for where it ends and how deep it is.
        (JSON, with("1", &nested(100)), 200),
        (JSON, with("1", &nested(101)), 400),
        (JSON, with("1", &nested(400_000)), 400),
        (JSON, with("1", &objects(100_000)), 400),
        (JSON, with("1", &"9".repeat(900_000)), 200),
        (JSON, with("1", &format!("\"{}\"", r"\u0000".repeat(150_000))), 200),
        (JSON, with(&nested(400_000), "1"), 400),
        (JSON, with(&objects(100_000), "1"), 400),
        (JSON, with(&format!("\"{}\"", "x".repeat(900_000)), "1"), 400),
        (JSON, nested(499_000).into_bytes(), 400),
        (JSON, "[".repeat(999_000).into_bytes(), 400),
        (JSON, objects(140_000).into_bytes(), 400),
        (JSON, format!("[{}{one}]", format!("{one},").repeat(1_000)).into_bytes(), 400),
        (JSON, with("1", "1e"), 400),
        (JSON, b"{\"itemId\":1,\"channel\":\"\xff\",\"message\":1}".to_vec(), 400),
        (JSON, with("1", "NaN"), 400),
        (JSON, Vec::new(), 400),
        (JSON, vec![b' '; 1_000_001], 413),
        (FORM, format!("itemId=1&channel=c&{fields}").into_bytes(), 400),
        (FORM, deep.into_bytes(), 400),
        (FORM, format!("itemId=1&channel=c&message[{}", "[".repeat(900_000)).into_bytes(), 400),
        (FORM, b"itemId=1&channel=c&message=1&message[a]=1".to_vec(), 400),
        (FORM, b"itemId=%ff&channel=c&message=1".to_vec(), 400),
    ] {
        let what = shown(&body);
        let reply = victim.publish(kind, &body);
        assert_eq!(reply.status, expected, "{kind} {what:?}: {reply:?}");
        victim.assert_serves();
    }
    victim.assert_well();
}

#[test]
fn a_client_with_thousands_of_rooms_has_them_or_is_told_that_it_may_not() {
    let victim = Victim::start();
    let names = |range: std::ops::Range<usize>| range.map(|n| format!("r{n}")).collect::<Vec<_>>().join(",");
    let refused = Session::open(victim.served.readers, &names(0..1_400));
    let packets = refused.begin();
    assert!(packets.starts_with("44{") && packets.contains("itemId"), "{packets}");
    let mut sessions = Vec::new();
    for at in 0..150 {
        let session = Session::open(victim.served.readers, &names(at * 64..(at + 1) * 64));
        let packets = session.begin();
        assert!(packets.starts_with("40{"), "{packets}");
        sessions.push(session);
    }
    for (at, session) in sessions.iter().enumerate().step_by(50) {
        let message = json!({"itemId": format!("r{}", at * 64 + 63), "channel": "news", "message": at});
        let reply = victim.publish("application/json", message.to_string().as_bytes());
        assert_eq!((reply.status, reply.body.as_str()), (200, "ok"));
        assert_eq!(session.receive(), format!("42[\"news\",{at}]"));
    }
    victim.assert_well();
}

/// A session of Socket.IO by polling.
struct Session {
    address: SocketAddr,
    target: String,
}

impl Session {
    fn open(address: SocketAddr, rooms: &str) -> Session {
        let target = format!("/socket.io/?EIO=4&transport=polling&itemId={rooms}");
        let mut session = Session { address, target };
        let packet = session.receive();
        let opened: Value = serde_json::from_str(packet.strip_prefix('0').unwrap()).unwrap();
        let sid = opened["sid"].as_str().unwrap();
        session.target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        session
    }

    /// Takes part; what the answer is.
    fn begin(&self) -> String {
        let target = &self.target;
        let request =
            format!("POST {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\n40");
        assert_eq!(ask_bytes(self.address, request.as_bytes()).unwrap().status, 200);
        self.receive()
    }

    fn receive(&self) -> String {
        let request = format!("GET {} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", self.target);
        let reply = ask_bytes(self.address, request.as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }
}

#[test]
fn who_says_nothing_or_is_slow_is_closed_while_others_are_served() {
    let victim = Victim::start();
    let (readers, publishers) = (victim.served.readers, victim.served.publishers);
    let before = victim.memory("VmRSS:");
    let head = b"GET /healthz HTTP/1.1\r\nHost: h\r\nX: ".to_vec();
    let body = format!(
        "POST /pub HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {SECRET}\r\nContent-Length: 1000\r\n\r\n"
    );
    let slow_head = thread::spawn(move || trickle(readers, &head, HANDSHAKE));
    let slow_body = thread::spawn(move || trickle(publishers, body.as_bytes(), BODY));
    let count = silent_connections();
    let mut silent = Vec::new();
    let opened = Instant::now();
    for at in 0..count {
        silent.push(TcpStream::connect(readers).unwrap());
        if at % 200 == 0 {
            victim.assert_serves();
        }
    }
    let held = victim.memory("VmRSS:");
    assert!(held.saturating_sub(before) < 8_000 + count * 4, "{before} kB, then {held} kB for {count}");
    let until = Instant::now() + HANDSHAKE + LATE;
    for socket in &mut silent {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(left)).unwrap();
        match socket.read(&mut [0]) {
            Ok(count) => assert_eq!(count, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it is still open"),
        }
    }
    assert!(opened.elapsed() > HANDSHAKE / 2, "they were closed before their time");
    assert_eq!(slow_head.join().unwrap(), 408);
    assert_eq!(slow_body.join().unwrap(), 408);
    victim.assert_well();
}

/// As many as this process may have, and some more descriptors.
fn silent_connections() -> u64 {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let count = SILENT.min(hard.saturating_sub(500));
    assert!(count >= 300, "{hard} descriptors are too few for this test");
    count
}

/// Sends the beginning of a request, then byte by byte, until there is an answer: its status. It must come when the time is over.
fn trickle(address: SocketAddr, begin: &[u8], time: Duration) -> u16 {
    let mut socket = TcpStream::connect(address).unwrap();
    let began = Instant::now();
    socket.write_all(begin).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    loop {
        assert!(began.elapsed() < time + LATE, "a slow client is borne with");
        match socket.peek(&mut [0]) {
            Ok(_) => break,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => panic!("no answer: {error}"),
        }
        let _ = socket.write_all(b"x");
    }
    assert!(began.elapsed() > time / 2, "it had time left");
    socket.set_read_timeout(Some(ANSWER)).unwrap();
    read_reply(&mut socket).unwrap().status
}
