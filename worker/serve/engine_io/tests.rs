//! The cases of Engine.IO's own test suite for version 4, against the sessions with simulated time, and bounds that it does not test. The
//! application echoes every message.

use super::*;
use crate::serve::http::parse;
use proptest::prelude::*;

/// The settings that the suite is run with.
pub(in crate::serve) fn settings() -> Settings {
    Settings {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        ..Settings::default()
    }
}

pub(in crate::serve) fn request(method: &str, query: &str, headers: &str, body: &str) -> Request {
    let text = format!("{method} /engine.io/?{query} HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
    let (request, _) = parse(text.as_bytes()).unwrap().unwrap();
    Request { body: body.as_bytes().to_vec(), ..request }
}

pub(in crate::serve) const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A server with an application that echoes, and its clients' connections.
struct Server {
    engine: Engine,
    begun: Instant,
    now: Instant,
    connections: usize,
    answers: HashMap<ClientId, (u16, String)>,
    /// Messages that WebSockets were sent; `None` as the last: closed.
    sent: HashMap<ClientId, Vec<Option<String>>>,
    sessions: HashMap<ClientId, SessionId>,
    closed: Vec<Closed>,
}

fn text(message: &[u8]) -> Option<String> {
    let length = usize::from(message[1]);
    let (head, payload) = if length == 126 { (4, &message[4..]) } else { (2, &message[2..]) };
    assert!(head + payload.len() == message.len());
    Some(match message[0] {
        0x81 => String::from_utf8(payload.to_vec()).unwrap(),
        0x82 => format!("{payload:?}"),
        other => panic!("{other}"),
    })
}

pub(in crate::serve) fn status(answer: &Answer) -> u16 {
    match answer.status {
        Status::Ok => 200,
        Status::Bad => 400,
        Status::Forbidden => 403,
        Status::Failed => 500,
        Status::Unavailable => 503,
        Status::NoContent
        | Status::NotModified
        | Status::Unauthorized
        | Status::NotFound
        | Status::NotAllowed
        | Status::TooLong
        | Status::TooMany
        | Status::HeadTooLong
        | Status::Late
        | Status::Upgrade => panic!("{answer:?}"),
    }
}

pub(in crate::serve) fn body(answer: &Answer) -> String {
    match &answer.body {
        Body::Text(text) => text.clone(),
        Body::Fixed(text) => (*text).to_owned(),
    }
}

impl Server {
    fn new(settings: Settings) -> Server {
        let now = Instant::now();
        Server {
            engine: Engine::new(settings),
            begun: now,
            now,
            connections: 0,
            answers: HashMap::new(),
            sent: HashMap::new(),
            sessions: HashMap::new(),
            closed: Vec::new(),
        }
    }

    fn suite() -> Server {
        Server::new(settings())
    }

    /// A connection of its own for each request.
    fn client(&mut self) -> ClientId {
        self.connections += 1;
        ClientId { slot: self.connections, birth: self.connections as u64 }
    }

    /// Until so many milliseconds after the beginning, doing what is due when it is.
    fn at(&mut self, millis: u64) {
        let until = self.begun + Duration::from_millis(millis);
        while let Some(due) = self.engine.deadline().filter(|due| *due <= until) {
            self.now = due.max(self.now);
            let mut out = Vec::new();
            self.engine.expire(self.now, &mut out);
            self.take(out);
        }
        self.now = until;
    }

    fn take(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Answer(client, answer) => {
                    let before = self.answers.insert(client, (status(&answer), body(&answer)));
                    assert!(before.is_none(), "answered twice");
                }
                Output::Accept(client, session) => {
                    self.sent.insert(client, Vec::new());
                    self.sessions.insert(client, session);
                }
                Output::Write(client, frame) => {
                    self.sent.get_mut(&client).unwrap().push(text(&frame.websocket()));
                }
                Output::Ready(client) => {
                    let frames = self.engine.take_frames(client, self.sessions[&client], usize::MAX);
                    let frames = frames.into_iter().map(|frame| text(&frame.websocket()));
                    self.sent.get_mut(&client).unwrap().extend(frames);
                }
                Output::Shut(client, _) => self.sent.get_mut(&client).unwrap().push(None),
                Output::Received(session, payload) => {
                    let frame = match payload {
                        Payload::Text(text) => Frame::text(&format!("4{text}")),
                        Payload::Binary(bytes) => Frame::binary(&bytes),
                    };
                    let mut out = Vec::new();
                    assert_eq!(self.engine.send(session, &[frame], Delivery::Ordered, &mut out), Sent::Yes);
                    self.take(out);
                }
                Output::Closed(_, why) => self.closed.push(why),
                Output::Hold(..) | Output::Opened(_) | Output::Written(_) => {}
            }
        }
    }

    fn ask(&mut self, method: &str, query: &str, headers: &str, body: &str) -> ClientId {
        let client = self.client();
        let mut out = Vec::new();
        self.engine.request(client, &request(method, query, headers, body), self.now, &mut out);
        self.take(out);
        client
    }

    /// The answer that a request has, at once.
    fn answer(&mut self, method: &str, query: &str, body: &str) -> (u16, String) {
        let client = self.ask(method, query, "", body);
        self.answered(client)
    }

    fn answered(&self, client: ClientId) -> (u16, String) {
        self.answers.get(&client).cloned().expect("no answer")
    }

    fn opened(&mut self) -> String {
        let (status, body) = self.answer("GET", "EIO=4&transport=polling", "");
        assert_eq!(status, 200);
        let hello: serde_json::Value = serde_json::from_str(body.strip_prefix('0').unwrap()).unwrap();
        hello["sid"].as_str().unwrap().to_owned()
    }

    fn poll(&mut self, sid: &str) -> ClientId {
        self.ask("GET", &format!("EIO=4&transport=polling&sid={sid}"), "", "")
    }

    fn polled(&mut self, sid: &str) -> (u16, String) {
        let client = self.poll(sid);
        self.answered(client)
    }

    fn push(&mut self, sid: &str, body: &str) -> (u16, String) {
        self.answer("POST", &format!("EIO=4&transport=polling&sid={sid}"), body)
    }

    fn socket(&mut self, query: &str) -> ClientId {
        self.ask("GET", query, UPGRADE, "")
    }

    fn say(&mut self, client: ClientId, message: Payload) {
        let mut out = Vec::new();
        let session = self.sessions[&client];
        self.engine.message(client, session, message, self.now, &mut out);
        self.take(out);
    }

    fn say_text(&mut self, client: ClientId, message: &str) {
        self.say(client, Payload::Text(message.to_owned()));
    }

    /// What a WebSocket was sent since the last call.
    fn heard(&mut self, client: ClientId) -> Vec<Option<String>> {
        std::mem::take(self.sent.get_mut(&client).unwrap())
    }

    fn hears(&mut self, client: ClientId, expected: &[&str]) {
        let expected: Vec<Option<String>> = expected.iter().map(|text| Some((*text).to_owned())).collect();
        assert_eq!(self.heard(client), expected);
    }

    fn is_shut(&mut self, client: ClientId) -> bool {
        self.heard(client).last() == Some(&None)
    }

    fn gone(&mut self, client: ClientId, sid: &str) {
        let mut out = Vec::new();
        let session = self.engine.by_sid[sid];
        self.engine.gone(client, session, &mut out);
        self.take(out);
    }
}

fn ok(body: &str) -> (u16, String) {
    (200, body.to_owned())
}

fn refused(code: u32, message: &str) -> (u16, String) {
    (400, format!(r#"{{"code":{code},"message":"{message}"}}"#))
}

#[test]
fn polling_handshake() {
    let mut server = Server::suite();
    let (status, text) = server.answer("GET", "EIO=4&transport=polling", "");
    let hello: serde_json::Value = serde_json::from_str(text.strip_prefix('0').unwrap()).unwrap();
    let keys: Vec<&String> = hello.as_object().unwrap().keys().collect();
    assert_eq!(status, 200);
    assert_eq!(keys.len(), 5, "{keys:?}");
    assert_eq!(hello["sid"].as_str().unwrap().len(), 20);
    assert_eq!(hello["upgrades"], serde_json::json!(["websocket"]));
    assert_eq!((&hello["pingInterval"], &hello["pingTimeout"]), (&300.into(), &200.into()));
    assert_eq!(hello["maxPayload"], 1_000_000);
    let version = refused(5, "Unsupported protocol version");
    assert_eq!(server.answer("GET", "transport=polling", ""), version);
    assert_eq!(server.answer("GET", "EIO=abc&transport=polling", ""), version);
    assert_eq!(server.answer("GET", "EIO=3&transport=polling", ""), version);
    assert_eq!(server.answer("GET", "EIO=4", ""), refused(0, "Transport unknown"));
    assert_eq!(server.answer("GET", "EIO=4&transport=abc", ""), refused(0, "Transport unknown"));
    for method in ["POST", "PUT"] {
        let answer = server.answer(method, "EIO=4&transport=polling", "");
        assert_eq!(answer, refused(2, "Bad handshake method"), "{method}");
    }
    let unknown = refused(1, "Session ID unknown");
    assert_eq!(server.answer("GET", "EIO=4&transport=polling&sid=nobody", ""), unknown);
    assert_eq!(server.answer("GET", "EIO=4&transport=websocket", ""), refused(3, "Bad request"));
    let sid = server.opened();
    let put = server.answer("PUT", &format!("EIO=4&transport=polling&sid={sid}"), "");
    assert_eq!(put, (500, String::new()));
    let mismatch = server.answer("GET", &format!("EIO=4&transport=websocket&sid={sid}"), "");
    assert_eq!(mismatch, refused(3, "Bad request"));
}

#[test]
fn websocket_handshake() {
    let mut server = Server::suite();
    let client = server.socket("EIO=4&transport=websocket");
    let hello = server.heard(client).remove(0).unwrap();
    let hello: serde_json::Value = serde_json::from_str(hello.strip_prefix('0').unwrap()).unwrap();
    assert_eq!(hello.as_object().unwrap().len(), 5);
    assert_eq!(hello["upgrades"], serde_json::json!([]));
    for query in ["transport=websocket", "EIO=abc&transport=websocket", "EIO=4", "EIO=4&transport=abc"] {
        let client = server.socket(query);
        assert_eq!(server.answered(client).0, 400, "{query}");
    }
}

#[test]
fn polling_echo() {
    let mut server = Server::suite();
    let sid = server.opened();
    assert_eq!(server.push(&sid, "4hello"), ok("ok"));
    assert_eq!(server.polled(&sid), ok("4hello"));
    assert_eq!(server.push(&sid, "4test1\u{1e}4test2\u{1e}4test3"), ok("ok"));
    assert_eq!(server.polled(&sid), ok("4test1\u{1e}4test2\u{1e}4test3"));
    assert_eq!(server.push(&sid, "4hello\u{1e}bAQIDBA=="), ok("ok"));
    assert_eq!(server.polled(&sid), ok("4hello\u{1e}bAQIDBA=="));
    let held = server.poll(&sid);
    assert!(!server.answers.contains_key(&held));
    server.push(&sid, "4later");
    assert_eq!(server.answered(held), ok("4later"));
}

#[test]
fn polling_faults_end_the_session() {
    let mut server = Server::suite();
    let sid = server.opened();
    assert_eq!(server.push(&sid, "abc"), refused(3, "Bad request"));
    assert_eq!(server.polled(&sid), refused(1, "Session ID unknown"));
    let sid = server.opened();
    let (first, second) = (server.poll(&sid), server.poll(&sid));
    assert_eq!(server.answered(first), ok("1"));
    assert_eq!(server.answered(second).0, 400);
    assert_eq!(server.polled(&sid).0, 400);
    let sid = server.opened();
    let held = server.poll(&sid);
    server.gone(held, &sid);
    assert_eq!(server.polled(&sid).0, 400);
    let sid = server.opened();
    let query = format!("EIO=4&transport=polling&sid={sid}");
    let bytes = server.ask("POST", &query, "Content-Type: application/octet-stream\r\n", "4a");
    assert_eq!(server.answered(bytes).0, 400);
    assert_eq!(server.polled(&sid).0, 400);
    assert_eq!(server.closed, [Closed::Protocol, Closed::Protocol, Closed::Gone, Closed::Protocol]);
}

#[test]
fn websocket_echo() {
    let mut server = Server::suite();
    let client = server.socket("EIO=4&transport=websocket");
    server.heard(client);
    server.say_text(client, "4hello");
    server.hears(client, &["4hello"]);
    server.say(client, Payload::Binary(vec![1, 2, 3, 4]));
    server.hears(client, &["[1, 2, 3, 4]"]);
    server.say_text(client, "abc");
    assert!(server.is_shut(client));
}

#[test]
fn polling_heartbeat() {
    let mut server = Server::suite();
    let sid = server.opened();
    for round in 1..=3 {
        let held = server.poll(&sid);
        server.at(round * 300 - 1);
        assert!(!server.answers.contains_key(&held), "too early");
        server.at(round * 300);
        assert_eq!(server.answered(held), ok("2"));
        assert_eq!(server.push(&sid, "3"), ok("ok"));
    }
    let mut server = Server::suite();
    let sid = server.opened();
    server.at(499);
    assert_eq!(server.polled(&sid), ok("2"));
    server.at(500);
    assert_eq!(server.polled(&sid).0, 400);
    assert_eq!(server.closed, [Closed::Silent]);
}

#[test]
fn a_heartbeat_is_due_without_a_loop_too() {
    let mut server = Server::suite();
    let sid = server.opened();
    server.now += Duration::from_millis(500);
    assert_eq!(server.polled(&sid).0, 400);
    // After a sleep of the whole machine nobody could have answered.
    let mut server = Server::suite();
    let sid = server.opened();
    server.now += Duration::from_secs(3_600);
    assert_eq!(server.polled(&sid), ok("2"));
    assert_eq!(server.push(&sid, "3"), ok("ok"));
}

#[test]
fn websocket_heartbeat() {
    let mut server = Server::suite();
    let client = server.socket("EIO=4&transport=websocket");
    server.heard(client);
    for round in 1..=3 {
        server.at(round * 300);
        server.hears(client, &["2"]);
        server.say_text(client, "3");
    }
    server.at(1_399);
    server.hears(client, &["2"]);
    server.at(1_400);
    assert!(server.is_shut(client));
    let client = server.socket("EIO=4&transport=websocket");
    server.heard(client);
    server.say_text(client, "2");
    assert!(server.is_shut(client), "only the server asks");
}

#[test]
fn polling_close() {
    let mut server = Server::suite();
    let sid = server.opened();
    let held = server.poll(&sid);
    assert_eq!(server.push(&sid, "1"), ok("ok"));
    assert_eq!(server.answered(held), ok("6"));
    assert_eq!(server.polled(&sid).0, 400);
    assert_eq!(server.closed, [Closed::ByClient]);
}

#[test]
fn websocket_close() {
    let mut server = Server::suite();
    let client = server.socket("EIO=4&transport=websocket");
    server.say_text(client, "1");
    assert!(server.is_shut(client));
}

/// A session that went over from polling, and its WebSocket.
fn upgraded(server: &mut Server) -> (String, ClientId) {
    let sid = server.opened();
    let held = server.poll(&sid);
    let client = server.socket(&format!("EIO=4&transport=websocket&sid={sid}"));
    server.say_text(client, "2probe");
    server.hears(client, &["3probe"]);
    assert_eq!(server.answered(held), ok("6"));
    server.say_text(client, "5");
    (sid, client)
}

#[test]
fn upgrade() {
    let mut server = Server::suite();
    let (_, client) = upgraded(&mut server);
    server.say_text(client, "4hello");
    server.hears(client, &["4hello"]);
}

#[test]
fn requests_of_an_upgraded_session_are_refused_and_it_lives_on() {
    let mut server = Server::suite();
    let (sid, client) = upgraded(&mut server);
    assert_eq!(server.polled(&sid), refused(3, "Bad request"));
    assert_eq!(server.push(&sid, "4a").0, 400);
    server.say_text(client, "4hello");
    server.hears(client, &["4hello"]);
    let second = server.socket(&format!("EIO=4&transport=websocket&sid={sid}"));
    assert_eq!(server.answered(second).0, 400);
    server.say_text(client, "4hello");
    server.hears(client, &["4hello"]);
}

#[test]
fn what_is_sent_during_an_upgrade_waits_for_it() {
    let mut server = Server::suite();
    let sid = server.opened();
    let client = server.socket(&format!("EIO=4&transport=websocket&sid={sid}"));
    let second = server.socket(&format!("EIO=4&transport=websocket&sid={sid}"));
    assert_eq!(server.answered(second).0, 400);
    let held = server.poll(&sid);
    server.say_text(client, "2probe");
    server.hears(client, &["3probe"]);
    assert_eq!(server.answered(held), ok("6"));
    // A request that comes only now is let go at once.
    assert_eq!(server.polled(&sid), ok("6"));
    server.push(&sid, "4hello");
    server.hears(client, &[]);
    server.say_text(client, "5");
    server.hears(client, &["4hello"]);
}

#[test]
fn an_upgrade_that_comes_to_nothing_leaves_the_session_polling() {
    for end in 0..3 {
        let mut server = Server::new(Settings { ping_interval: Duration::from_secs(60), ..settings() });
        let sid = server.opened();
        let client = server.socket(&format!("EIO=4&transport=websocket&sid={sid}"));
        match end {
            0 => server.say_text(client, "4too early"),
            1 => server.at(10_000),
            _ => server.gone(client, &sid),
        }
        assert!(end == 2 || server.is_shut(client));
        server.push(&sid, "4hello");
        assert_eq!(server.polled(&sid), ok("4hello"));
        assert!(server.closed.is_empty());
        let (_, upgraded) = {
            let client = server.socket(&format!("EIO=4&transport=websocket&sid={sid}"));
            server.say_text(client, "2probe");
            server.say_text(client, "5");
            (sid, client)
        };
        server.heard(upgraded);
        server.say_text(upgraded, "4again");
        server.hears(upgraded, &["4again"]);
    }
}

#[test]
fn what_waits_for_a_session_is_bounded() {
    let mut server = Server::suite();
    let sid = server.opened();
    let id = server.engine.by_sid[sid.as_str()];
    let frame = [Frame::text(&"4".repeat(1_000))];
    let mut sent = 0;
    while server.engine.send(id, &frame, Delivery::Ordered, &mut Vec::new()) == Sent::Yes {
        sent += 1;
        assert!(server.engine.waiting(id) <= session::QUEUE);
    }
    assert!(sent > 200);
    let left_out = server.engine.send(id, &frame, Delivery::Volatile, &mut Vec::new());
    assert_eq!(left_out, Sent::LeftOut);
    assert_eq!(server.polled(&sid).1.len(), sent * 1_001 - 1);
    let large = [Frame::text(&"4".repeat(900_000))];
    assert_eq!(server.engine.send(id, &large, Delivery::Ordered, &mut Vec::new()), Sent::Yes, "one has room");
}

#[test]
fn sessions_are_bounded() {
    let mut server = Server::new(Settings { sessions: 2, ..settings() });
    let _ = (server.opened(), server.opened());
    assert_eq!(server.answer("GET", "EIO=4&transport=polling", "").0, 503);
    server.at(500);
    server.opened();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    /// Whatever clients do: each request has one answer at most, none of a session that is gone waits, and deadlines are those of sessions.
    #[test]
    fn nothing_is_left_behind(steps in proptest::collection::vec((0..9usize, 0..4usize, 0..200u64), 1..80)) {
        let mut server = Server::suite();
        let (mut sids, mut sockets, mut time) = (Vec::new(), Vec::new(), 0);
        let mut held = Vec::new();
        for (what, which, wait) in steps {
            time += wait;
            server.at(time);
            let sid: String = sids.get(which).cloned().unwrap_or_default();
            match what {
                0 => sids.push(server.opened()),
                1 => held.push(server.poll(&sid)),
                2 => _ = server.push(&sid, "3"),
                3 => _ = server.push(&sid, ["4a", "abc", "1", "3\u{1e}4b"][which]),
                4 => sockets.push(server.socket(&format!("EIO=4&transport=websocket&sid={sid}"))),
                5 => sockets.push(server.socket("EIO=4&transport=websocket")),
                6 | 7 => {
                    if let Some(socket) = sockets.get(which).copied().filter(|one| server.sessions.contains_key(one)) {
                        server.say_text(socket, ["2probe", "5", "4x", "3"][wait as usize % 4]);
                    }
                }
                _ => {
                    if let (Some(client), true) = (held.get(which), server.engine.by_sid.contains_key(sid.as_str())) {
                        server.gone(*client, &sid);
                    }
                }
            }
            prop_assert_eq!(server.engine.deadlines.len(), server.engine.sessions.len());
            prop_assert_eq!(server.engine.by_sid.len(), server.engine.sessions.len());
        }
        server.at(time + 2_000);
        prop_assert_eq!(server.engine.len(), 0, "nobody answers pings any more");
        prop_assert!(server.engine.deadline().is_none());
        prop_assert_eq!(server.begun + Duration::from_millis(time) + Duration::from_secs(2), server.now);
    }
}
