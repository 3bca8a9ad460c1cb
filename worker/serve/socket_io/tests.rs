//! The cases of Socket.IO's own test suite for version 5, with simulated time, against the application that it asks for: on `/` and `/custom` it
//! tells a client what that said of itself, and on `/` it echoes messages and acknowledges them.

use super::*;
use crate::serve::engine_io::tests::{UPGRADE, body, request, settings, status};
use std::sync::Arc;

struct Server {
    io: SocketIo,
    begun: Instant,
    now: Instant,
    connections: usize,
    answers: HashMap<ClientId, (u16, String)>,
    /// Messages that WebSockets were sent, `None`: closed.
    sent: HashMap<ClientId, Vec<Option<Message>>>,
    sessions: HashMap<ClientId, SessionId>,
    left: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Message {
    Text(String),
    Binary(Vec<u8>),
}

fn message(frame: Frame) -> Message {
    let bytes = frame.websocket();
    let payload = if bytes[1] == 126 { &bytes[4..] } else { &bytes[2..] };
    match bytes[0] {
        0x81 => Message::Text(String::from_utf8(payload.to_vec()).unwrap()),
        _ => Message::Binary(payload.to_vec()),
    }
}

impl Server {
    fn new() -> Server {
        let now = Instant::now();
        let namespaces = vec![Namespace::main(), Namespace::new("/custom").unwrap()];
        Server {
            io: SocketIo::new(settings(), namespaces).with_connect_timeout(Duration::from_secs(1)),
            begun: now,
            now,
            connections: 0,
            answers: HashMap::new(),
            sent: HashMap::new(),
            sessions: HashMap::new(),
            left: Vec::new(),
        }
    }

    fn at(&mut self, millis: u64) {
        let until = self.begun + Duration::from_millis(millis);
        while let Some(due) = self.io.deadline().filter(|due| *due <= until) {
            self.now = due.max(self.now);
            let mut out = Vec::new();
            self.io.expire(self.now, &mut out);
            self.take(out);
        }
        self.now = until;
    }

    fn take(&mut self, out: Vec<Output>) {
        for output in out {
            let mut more = Vec::new();
            match output {
                Output::Transport(output) => self.transport(output),
                Output::Connect { session, namespace, auth } => {
                    self.io.admit(session, &namespace, &mut more);
                    self.emit(session, &namespace, &Emitted::new("auth", &auth), &mut more);
                }
                Output::Event { session, namespace, event, ack } => {
                    if let Some(rest) = event.json.strip_prefix(r#"["message","#) {
                        let json = Arc::from(format!(r#"["message-back",{rest}"#));
                        self.emit(session, &namespace, &Emitted { json, ..event }, &mut more);
                    } else if let (Some(rest), Some(ack)) =
                        (event.json.strip_prefix(r#"["message-with-ack","#), ack)
                    {
                        let args = Emitted { json: Arc::from(format!("[{rest}")), ..event };
                        self.io.acknowledge(session, &namespace, ack, &args, &mut more);
                    }
                }
                Output::Left { namespace, .. } => self.left.push(namespace.to_string()),
                Output::Opened(_) | Output::Closed { .. } => {}
            }
            self.take(more);
        }
    }

    fn emit(&mut self, session: SessionId, namespace: &Namespace, event: &Emitted, more: &mut Vec<Output>) {
        let frames = frames(namespace, event, None);
        assert_eq!(self.io.emit(session, &frames, Delivery::Ordered, more), Sent::Yes);
    }

    fn transport(&mut self, output: engine_io::Output) {
        use engine_io::Output;
        match output {
            Output::Answer(client, answer) => {
                assert!(self.answers.insert(client, (status(&answer), body(&answer))).is_none());
            }
            Output::Accept(client, session) => {
                self.sent.insert(client, Vec::new());
                self.sessions.insert(client, session);
            }
            Output::Write(client, frame) => self.sent.get_mut(&client).unwrap().push(Some(message(frame))),
            Output::Ready(client) => {
                let frames = self.io.engine.take_frames(client, self.sessions[&client], usize::MAX);
                let frames = frames.into_iter().map(|frame| Some(message(frame)));
                self.sent.get_mut(&client).unwrap().extend(frames);
            }
            Output::Shut(client, _) => self.sent.get_mut(&client).unwrap().push(None),
            Output::Hold(..) | Output::Written(_) => {}
            Output::Opened(_) | Output::Received(..) | Output::Closed(..) => panic!("{output:?}"),
        }
    }

    fn ask(&mut self, method: &str, query: &str, headers: &str, body: &str) -> ClientId {
        self.connections += 1;
        let client = ClientId { slot: self.connections, birth: self.connections as u64 };
        let mut out = Vec::new();
        self.io.request(client, &request(method, query, headers, body), self.now, &mut out);
        self.take(out);
        client
    }

    /// A WebSocket, opened.
    fn socket(&mut self) -> ClientId {
        let client = self.ask("GET", "EIO=4&transport=websocket", UPGRADE, "");
        let hello = self.texts(client);
        assert!(hello[0].starts_with("0{"), "{hello:?}");
        client
    }

    /// A WebSocket that takes part in the main namespace.
    fn connected(&mut self) -> ClientId {
        let client = self.socket();
        self.say(client, "40");
        assert_eq!(self.texts(client).len(), 2);
        client
    }

    fn say(&mut self, client: ClientId, text: &str) {
        self.say_payload(client, Payload::Text(text.to_owned()));
    }

    fn say_payload(&mut self, client: ClientId, payload: Payload) {
        let mut out = Vec::new();
        self.io.message(client, self.sessions[&client], payload, self.now, &mut out);
        self.take(out);
    }

    fn heard(&mut self, client: ClientId) -> Vec<Option<Message>> {
        std::mem::take(self.sent.get_mut(&client).unwrap())
    }

    fn texts(&mut self, client: ClientId) -> Vec<String> {
        let text = |message| match message {
            Some(Message::Text(text)) => text,
            other @ (Some(Message::Binary(_)) | None) => panic!("{other:?}"),
        };
        self.heard(client).into_iter().map(text).collect()
    }

    fn is_shut(&mut self, client: ClientId) -> bool {
        self.heard(client).last() == Some(&None)
    }
}

fn keys(text: &str, prefix: &str) -> Vec<String> {
    let json = text.strip_prefix(prefix).unwrap_or_else(|| panic!("{text}"));
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap();
    object.keys().cloned().collect()
}

#[test]
fn connect() {
    for (say, prefix, auth) in [
        ("40", "40", r#"42["auth",{}]"#),
        (r#"40{"token":"123"}"#, "40", r#"42["auth",{"token":"123"}]"#),
        ("40/custom,", "40/custom,", r#"42/custom,["auth",{}]"#),
        (r#"40/custom,{"token":"abc"}"#, "40/custom,", r#"42/custom,["auth",{"token":"abc"}]"#),
    ] {
        let mut server = Server::new();
        let client = server.socket();
        server.say(client, say);
        let heard = server.texts(client);
        assert_eq!(keys(&heard[0], prefix), ["sid"]);
        assert_eq!(heard[1..], [auth], "{say}");
    }
}

#[test]
fn connect_by_polling() {
    let mut server = Server::new();
    let hello = server.ask("GET", "EIO=4&transport=polling", "", "");
    let hello = server.answers[&hello].1.clone();
    let sid = hello.split('"').nth(3).unwrap().to_owned();
    let query = format!("EIO=4&transport=polling&sid={sid}");
    let pushed = server.ask("POST", &query, "", "40");
    assert_eq!(server.answers[&pushed], (200, "ok".to_owned()));
    let polled = server.ask("GET", &query, "", "");
    let packets = server.answers[&polled].1.clone();
    let (connected, auth) = packets.split_once('\u{1e}').unwrap();
    assert_eq!((keys(connected, "40"), auth), (vec!["sid".to_owned()], r#"42["auth",{}]"#));
    assert!(!connected.contains(&sid), "the session's own name is a secret");
    // An event with its attachments in one body.
    server.ask("POST", &query, "", "451-[\"message\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQID");
    let polled = server.ask("GET", &query, "", "");
    let expected = "451-[\"message-back\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQID";
    assert_eq!(server.answers[&polled].1, expected);
}

#[test]
fn connect_refused() {
    let mut server = Server::new();
    let client = server.socket();
    server.say(client, "40/random");
    assert_eq!(server.texts(client), [r#"44/random,{"message":"Invalid namespace"}"#]);
    server.say(client, "4abc");
    assert!(server.is_shut(client));
    let client = server.socket();
    server.say(client, r#"42["message"]"#);
    assert!(server.is_shut(client), "it takes part in nothing");
    let client = server.connected();
    server.say(client, "40");
    assert!(server.is_shut(client), "it takes part already");
}

#[test]
fn who_takes_part_in_nothing_is_closed() {
    let mut server = Server::new();
    let (client, other) = (server.socket(), server.connected());
    for at in [300, 600, 900] {
        server.at(at);
        server.say(client, "3");
        server.say(other, "3");
    }
    server.at(999);
    assert!(!server.is_shut(client));
    server.at(1_000);
    assert!(server.is_shut(client));
    assert!(!server.is_shut(other));
}

#[test]
fn disconnect() {
    let mut server = Server::new();
    let client = server.connected();
    server.say(client, "41");
    assert_eq!(server.left, ["/"]);
    server.at(300);
    assert_eq!(server.texts(client), ["2"], "the connection stays");
    let client = server.connected();
    server.say(client, "40/custom");
    server.say(client, "41/custom");
    server.texts(client);
    server.say(client, r#"42["message","still here"]"#);
    assert_eq!(server.texts(client), [r#"42["message-back","still here"]"#]);
}

#[test]
fn messages() {
    let mut server = Server::new();
    let client = server.connected();
    server.say(client, r#"42["message",1,"2",{"3":[true]}]"#);
    assert_eq!(server.texts(client), [r#"42["message-back",1,"2",{"3":[true]}]"#]);
    server.say(client, r#"42456["message-with-ack",1,"2",{"3":[false]}]"#);
    assert_eq!(server.texts(client), [r#"43456[1,"2",{"3":[false]}]"#]);
    let placeholders = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
    let (first, second) = (vec![1, 2, 3], vec![4, 5, 6]);
    for (say, hear) in [
        (format!(r#"452-["message",{placeholders}]"#), format!(r#"452-["message-back",{placeholders}]"#)),
        (format!(r#"452-789["message-with-ack",{placeholders}]"#), format!("462-789[{placeholders}]")),
    ] {
        server.say(client, &say);
        server.say_payload(client, Payload::Binary(first.clone()));
        assert!(server.heard(client).is_empty());
        server.say_payload(client, Payload::Binary(second.clone()));
        let expected = [Message::Text(hear), Message::Binary(first.clone()), Message::Binary(second.clone())];
        assert_eq!(server.heard(client), expected.map(Some));
    }
}

#[test]
fn what_is_no_packet_closes() {
    for say in
        ["4abc", "42{}", "42abc[\"message\",1]", "42[]", "42[null]", "452-[\"a\"]\u{0}", "4511-[\"a\"]"]
    {
        let mut server = Server::new();
        let client = server.connected();
        server.say(client, say);
        if say.starts_with("452-") {
            server.say(client, r#"42["message",1]"#);
        }
        assert!(server.is_shut(client), "{say}");
        assert_eq!(server.left, ["/"]);
    }
    let mut server = Server::new();
    let client = server.connected();
    server.say_payload(client, Payload::Binary(vec![1]));
    assert!(server.is_shut(client), "bytes that belong to nothing");
}

#[test]
fn upgrade_keeps_what_was_begun() {
    let mut server = Server::new();
    let hello = server.ask("GET", "EIO=4&transport=polling", "", "");
    let sid = server.answers[&hello].1.split('"').nth(3).unwrap().to_owned();
    let query = format!("EIO=4&transport=polling&sid={sid}");
    server.ask("POST", &query, "", "40");
    server.ask("GET", &query, "", "");
    let socket = server.ask("GET", &format!("EIO=4&transport=websocket&sid={sid}"), UPGRADE, "");
    server.say(socket, "2probe");
    server.say(socket, "5");
    assert_eq!(server.texts(socket), ["3probe"]);
    server.say(socket, r#"42["message",1]"#);
    assert_eq!(server.texts(socket), [r#"42["message-back",1]"#]);
}

#[test]
fn who_says_too_much_or_reads_too_little_is_closed() {
    let mut server = Server::new();
    let client = server.connected();
    for _ in 0..300 {
        if server.sent[&client].last() != Some(&None) {
            server.say(client, "3");
            server.say(client, r#"42["other"]"#);
        }
    }
    assert!(server.is_shut(client));
    // A client that asks by POST and never polls.
    let hello = server.ask("GET", "EIO=4&transport=polling", "", "");
    let sid = server.answers[&hello].1.split('"').nth(3).unwrap().to_owned();
    let query = format!("EIO=4&transport=polling&sid={sid}");
    server.ask("POST", &query, "", "40");
    let large = format!(r#"421["message-with-ack","{}"]"#, "x".repeat(100_000));
    let mut last = 200;
    for _ in 0..10 {
        let client = server.ask("POST", &query, "", &large);
        last = server.answers[&client].0;
    }
    assert_eq!(last, 400, "the session is gone");
}

#[test]
fn a_refusal_is_said_and_may_be_tried_again() {
    let mut server = Server::new();
    let client = server.socket();
    let mut out = Vec::new();
    let session = server.sessions[&client];
    server.io.message(client, session, Payload::Text("40".into()), server.now, &mut out);
    let mut more = Vec::new();
    server.io.refuse(session, &Namespace::main(), "no \"token\"", &mut more);
    server.take(more);
    assert_eq!(server.texts(client), [r#"44{"message":"no \"token\""}"#]);
    server.say(client, "40");
    assert_eq!(server.texts(client).len(), 2);
    let mut out = Vec::new();
    server.io.disconnect(session, &Namespace::main(), &mut out);
    server.take(out);
    assert_eq!((server.texts(client), server.left.len()), (vec!["41".to_owned()], 1));
}
