//! The connection as a state machine, and a client that reads as it likes: it ends at the newest state, and what waits for it stays bounded.

use super::watch::{ENOUGH, EVENTS};
use super::*;
use crate::serve::engine_io::Payload;
use crate::serve::frame::Why;
use crate::serve::http::{ContentType, route};
use crate::serve::items::tests::{items, message};
use crate::serve::items::{ItemKey, Items, Watcher, apply};
use proptest::prelude::*;
use serde_json::Value;
use std::sync::Arc;

const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
const ME: ClientId = ClientId { slot: 0, birth: 1 };

fn pending(out: &Outbox) -> Vec<u8> {
    out.slices().iter().flat_map(|slice| slice.to_vec()).collect()
}

fn connect(side: Side, now: Instant) -> Client {
    Client::new(side, Clock { at: now, time: jiff::Timestamp::UNIX_EPOCH })
}

fn ok() -> Answer {
    Answer::text(Status::Ok, "ok")
}

fn serve(client: &mut Client, now: Instant) -> usize {
    let mut served = 0;
    while let Some(request) = client.next(now) {
        client.awaits(For::request(&request, None));
        assert!(client.next(now).is_none(), "one at a time");
        client.answer(&ok(), now);
        served += 1;
    }
    served
}

#[test]
fn requests_are_answered_in_turn_and_the_connection_is_kept() {
    let now = Instant::now();
    let mut client = connect(Side::Readers, now);
    client.received(&[GET, GET, &GET[..7]].concat(), now);
    assert_eq!(serve(&mut client, now), 2);
    client.received(&GET[7..], now);
    assert_eq!(serve(&mut client, now), 1);
    let text = String::from_utf8(pending(&client.out)).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3);
    client.wrote(text.len(), now);
    assert_eq!((client.fate(), client.out.bytes()), (Fate::Open, 0));
    assert_eq!(client.tick(now + IDLE - Duration::from_secs(1)), Fate::Open);
    assert_eq!(client.tick(now + IDLE), Fate::Over);
}

#[test]
fn who_asks_without_reading_is_answered_up_to_a_bound() {
    let now = Instant::now();
    let mut client = connect(Side::Readers, now);
    let large = Answer { body: http::Body::Text("x".repeat(10_000)), content: ContentType::Text, ..ok() };
    let mut taken = 0;
    for _ in 0..10_000 {
        if client.takes_bytes() {
            client.received(GET, now);
            taken += 1;
        }
        while let Some(request) = client.next(now) {
            client.awaits(For::request(&request, None));
            client.answer(&large, now);
        }
    }
    assert!(client.out.bytes() < ANSWERED + 11_000 && taken < 1_000, "{} {taken}", client.out.bytes());
}

#[test]
fn a_bad_request_is_answered_and_the_connection_closed() {
    let now = Instant::now();
    for (bytes, status) in [
        (&b"GET / HTTP/1.1\nHost: a\n\n"[..], "400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "413"),
    ] {
        let mut client = connect(Side::Readers, now);
        client.received(bytes, now);
        assert!(client.next(now).is_none());
        let text = String::from_utf8(pending(&client.out)).unwrap();
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status} ")) && text.contains("Connection: close"),
            "{text}"
        );
        client.received(GET, now);
        assert!(client.next(now).is_none(), "what comes behind it is not a request");
        client.wrote(text.len(), now);
        assert!(client.is_done());
        assert_eq!(client.peer_ended(), Fate::Over);
    }
}

#[test]
fn a_head_that_never_ends_is_given_up() {
    let now = Instant::now();
    let mut client = connect(Side::Readers, now);
    client.received(&GET[..5], now);
    for second in 1..10 {
        // A byte at a time gains nothing.
        let at = now + Duration::from_secs(second);
        client.received(b"a", at);
        assert_eq!(client.tick(at), Fate::Open);
        assert!(client.out.is_empty());
    }
    assert_eq!(client.tick(now + HEAD), Fate::Open);
    assert!(pending(&client.out).starts_with(b"HTTP/1.1 408 "));
    assert_eq!(client.tick(now + HEAD + GOODBYE), Fate::Over);
}

fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: h\r\n{headers}\r\n{body}").into_bytes()
}

#[test]
fn a_body_is_read_where_one_belongs_however_it_is_cut() {
    let now = Instant::now();
    let bytes = post("/socket.io/?sid=a", "Content-Length: 5\r\n", "hello");
    let mut client = connect(Side::Readers, now);
    for byte in [&bytes[..], GET].concat().chunks(1) {
        client.received(byte, now);
        if let Some(request) = client.next(now) {
            assert!(request.body == b"hello" || request.path == "/healthz");
            client.awaits(For::request(&request, None));
            client.answer(&ok(), now);
        }
    }
    let text = String::from_utf8(pending(&client.out)).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
    for (side, bytes, status) in [
        (Side::Readers, post("/pub", "Content-Length: 5\r\n", ""), "413"),
        (Side::Readers, post("/socket.io/", "Content-Length: 1000001\r\n", ""), "413"),
        (Side::Readers, post("/socket.io/", "Transfer-Encoding: chunked\r\n", "fffffff\r\n"), "413"),
        (Side::Publishers, post("/socket.io/", "Content-Length: 5\r\n", ""), "413"),
        (Side::Publishers, post("/pub", "Content-Length: 1000001\r\n", ""), "413"),
        (Side::Publishers, post("/pub", "Transfer-Encoding: chunked\r\n", "x\r\n"), "400"),
    ] {
        let mut client = connect(side, now);
        client.received(&bytes, now);
        assert!(client.next(now).is_none());
        let text = String::from_utf8(pending(&client.out)).unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
        assert!(text.contains("Connection: close\r\n"), "what follows could be read as another request");
    }
}

#[test]
fn a_body_is_asked_for_and_is_not_waited_for_for_ever() {
    let now = Instant::now();
    let mut client = connect(Side::Publishers, now);
    client.received(&post("/pub", "Content-Length: 500000\r\nExpect: 100-continue\r\n", ""), now);
    assert!(client.next(now).is_none() && client.next(now).is_none());
    assert_eq!(pending(&client.out), b"HTTP/1.1 100 Continue\r\n\r\n");
    let mut taken = 0;
    while client.takes_bytes() && taken < 10_000_000 {
        client.received(&[b'x'; 10_000], now);
        taken += 10_000;
        if client.next(now).is_some() {
            break;
        }
        assert!(client.holds_much() || taken <= INBOX);
    }
    assert_eq!(taken, 500_000);
    let mut client = connect(Side::Publishers, now);
    client.received(&post("/pub", "Content-Length: 5\r\n", "x"), now);
    client.next(now);
    client.tick(now + BODY);
    assert!(pending(&client.out).starts_with(b"HTTP/1.1 408 "));
}

#[test]
fn what_came_of_a_body_is_not_looked_at_again() {
    let now = Instant::now();
    let mut client = connect(Side::Readers, now);
    client.received(&post("/socket.io/?sid=a", "Transfer-Encoding: chunked\r\n", ""), now);
    for _ in 0..10_000 {
        client.received(b"1\r\nx\r", now);
        assert!(client.next(now).is_none());
        assert!(client.inbox.len() < 8, "{} bytes wait to be read once more", client.inbox.len());
        client.received(b"\n", now);
    }
    client.received(b"0\r\n\r\n", now);
    assert_eq!(client.next(now).unwrap().body.len(), 10_000);
}

#[test]
fn a_request_that_is_held_ends_with_its_client() {
    let now = Instant::now();
    let mut client = connect(Side::Readers, now);
    client.received(GET, now);
    let request = client.next(now).unwrap();
    client.awaits(For::request(&request, None));
    client.hold(Duration::from_secs(60), now);
    assert!(client.serves_session() && client.next(now).is_none());
    assert_eq!(client.tick(now + ANSWER), Fate::Open);
    assert!(client.out.is_empty());
    assert_eq!(client.peer_ended(), Fate::Over);
    client.answer(&ok(), now);
    assert!(!client.serves_session() && pending(&client.out).starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn messages_of_a_sessions_websocket_are_handed_out() {
    let now = Instant::now();
    let mut client = connect(Side::Readers, now);
    client.received(GET, now);
    client.next(now).unwrap();
    client.received(&[0x81, 0x82, 0, 0, 0, 0, b'4', b'0'], now);
    client.open_socket(b"HTTP/1.1 101 \r\n\r\n".to_vec(), 1_000, now);
    assert!(client.is_socket());
    assert_eq!(client.next_message(now), Some(Payload::Text("40".into())), "it came with the request");
    client.received(&[0x89, 0x80, 0, 0, 0, 0, 0x82, 0x81, 0, 0, 0, 0, 7], now);
    assert_eq!(client.next_message(now), Some(Payload::Binary(vec![7])));
    assert!(pending(&client.out).ends_with(&[0x8a, 0]));
    assert_eq!(client.next_message(now), None);
    client.received(&[0x82, 0xfe, 0xff, 0xff, 0, 0, 0, 0], now);
    assert_eq!(client.next_message(now), None);
    assert!(!client.is_socket(), "longer than it may be");
    assert!(pending(&client.out).windows(4).any(|part| part[0] == 0x88 && part[2..] == [3, 241]), "1009");
}

fn watch(items: &mut Items, client: &mut Client, framing: Framing, now: Instant) {
    client.received(GET, now);
    let request = client.next(now).unwrap();
    assert!(route(&request).is_ok());
    let known = items.watch(&ItemKey::List, Watcher::Client(ME), None).unwrap();
    let (watching, first) = Watching::begin(ItemKey::List, framing, known, Why::First);
    client.stream(Vec::new(), watching, now);
    client.out.push(first.unwrap().framed(framing));
}

#[test]
fn a_websocket_is_answered_and_its_faults_close_it() {
    let now = Instant::now();
    let frame =
        |first: u8, payload: &[u8]| [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0][..], payload].concat();
    for (bytes, expected) in [
        (frame(0x89, b"hi"), &[0x8a, 2, b'h', b'i'][..]),
        (frame(0x88, &[3, 232]), &[0x88, 2, 3, 232]),
        (vec![0x81, 1, b'a'], &[0x88]),
        (frame(0x81, b"\xff"), &[0x88]),
        (frame(0x83, b""), &[0x88]),
    ] {
        let (mut items, mut client) = (items(), connect(Side::Readers, now));
        watch(&mut items, &mut client, Framing::WebSocket, now);
        let before = pending(&client.out).len();
        for byte in &bytes {
            client.received(&[*byte], now);
            client.next(now);
        }
        let sent = pending(&client.out);
        assert!(sent[before..].starts_with(expected), "{bytes:?}: {:?}", &sent[before..]);
    }
    let (mut items, mut client) = (items(), connect(Side::Readers, now));
    watch(&mut items, &mut client, Framing::WebSocket, now);
    client.received(&[0x81], now);
    client.next(now);
    let State::Streaming(stream) = &client.state else { panic!("{:?}", client.state) };
    let held = stream.reader.as_ref().map_or(0, Reader::capacity);
    assert!(held <= 4 * 1024, "half a frame holds {held} bytes");
    let (mut items, mut client) = (self::items(), connect(Side::Readers, now));
    watch(&mut items, &mut client, Framing::WebSocket, now);
    for _ in 0..100 {
        client.received(&frame(0x81, b"x"), now);
        client.next(now);
    }
    assert!(client.watching().is_none(), "it says too much");
}

#[test]
fn a_quiet_stream_shows_that_it_is_alive_and_a_stalled_one_ends() {
    let now = Instant::now();
    let (mut items, mut client) = (items(), connect(Side::Readers, now));
    watch(&mut items, &mut client, Framing::EventStream, now);
    client.wrote(client.out.bytes(), now);
    assert_eq!(client.tick(now + HEARTBEAT), Fate::Open);
    assert_eq!(pending(&client.out), b": alive\n\n");
    assert_eq!(client.tick(now + HEARTBEAT + STALLED + STALLED), Fate::Over);
}

#[test]
fn a_websocket_is_pinged_whatever_else_it_is_sent_and_must_answer() {
    let now = Instant::now();
    let (mut items, mut client) = (items(), connect(Side::Readers, now));
    watch(&mut items, &mut client, Framing::WebSocket, now);
    let event = Message::event("{}");
    let mut pings = 0;
    for second in 1..=120 {
        let at = now + Duration::from_secs(second);
        client.wrote(client.out.bytes(), at);
        let before = client.out.bytes();
        assert_eq!(client.tick(at), Fate::Open);
        if client.out.bytes() > before {
            pings += 1;
            client.received(&[0x8a, 0x80, 0, 0, 0, 0], at);
            client.next(at);
        }
        assert_eq!(client.delivery(at).unwrap().event(&event), Delivered::Yes);
    }
    assert_eq!(pings, 8);
    // From here on it reads and says nothing.
    for second in 121..=200 {
        let at = now + Duration::from_secs(second);
        client.wrote(client.out.bytes(), at);
        client.tick(at);
    }
    assert!(client.watching().is_none(), "no answer to pings");
}

#[test]
fn events_are_never_left_out_silently() {
    let now = Instant::now();
    let (mut items, mut client) = (items(), connect(Side::Readers, now));
    watch(&mut items, &mut client, Framing::EventStream, now);
    let event = Message::event(&format!(r#"{{"text":"{}"}}"#, "x".repeat(1_000)));
    let mut taken = 0;
    while client.delivery(now).unwrap().event(&event) == Delivered::Yes {
        taken += 1;
    }
    assert!(taken > 200 && client.out.bytes() <= EVENTS);
    client.dismiss(CloseCode::TRY_LATER, "too slow", now);
    let bytes: usize = client.out.bytes();
    assert!(bytes < EVENTS + 200 && client.watching().is_none());
}

/// A client as it reads its stream of events.
#[derive(Default)]
struct Reading {
    bytes: Vec<u8>,
    document: Value,
    conflated: u64,
    messages: u64,
}

impl Reading {
    fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        while let Some(end) = memchr::memmem::find(&self.bytes, b"\n\n") {
            let text: Vec<u8> = self.bytes.drain(..end + 2).collect();
            let text = String::from_utf8(text).unwrap();
            let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
            let said: Value = serde_json::from_str(data).unwrap();
            self.messages += 1;
            match said["type"].as_str().unwrap() {
                "snapshot" => self.document = said["document"].clone(),
                "patch" => {
                    apply(&mut self.document, &said["patch"]);
                    self.conflated += said["conflated"].as_u64().unwrap_or(0);
                }
                other => panic!("{other}"),
            }
        }
    }
}

/// Writes at most so many bytes, as the loop does; what was left behind catches up.
fn write(client: &mut Client, items: &Items, reading: &mut Reading, most: usize, now: Instant) {
    let waiting = pending(&client.out);
    let count = waiting.len().min(most);
    reading.take(&waiting[..count]);
    client.wrote(count, now);
    if client.watching().unwrap().is_behind() {
        let newest: Arc<_> = Arc::clone(items.published(&ItemKey::List).unwrap());
        client.delivery(now).unwrap().catch_up(&newest);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_slow_client_ends_at_the_newest_state(
        steps in proptest::collection::vec((0..4usize, 0..3usize, 0..60_000usize), 1..80)
    ) {
        let now = Instant::now();
        let (mut items, mut client, mut reading) = (items(), connect(Side::Readers, now), Reading::default());
        watch(&mut items, &mut client, Framing::EventStream, now);
        let mut published = 0;
        for (version, (size, publishes, reads)) in (1..).zip(steps) {
            for part in 0..publishes {
                let text = "y".repeat(size * 12_000);
                let head = format!(r#"{{"n":{version},"part":{part},"m{size}":"{text}"}}"#);
                items.apply(&message(version, false, &[("", Some(&head))]));
                for (_, change) in items.publish() {
                    published += 1;
                    let message = Message::patch(change.to.revision, 0, change.to.patch_from(&change.from));
                    client.delivery(now).unwrap().change(&change.from, &change.to, Some(&message));
                }
            }
            prop_assert!(client.out.bytes() < ENOUGH + 40_000, "{}", client.out.bytes());
            write(&mut client, &items, &mut reading, reads, now);
        }
        for _ in 0..100 {
            write(&mut client, &items, &mut reading, usize::MAX, now);
        }
        let newest = items.newest(&ItemKey::List).unwrap().text();
        prop_assert_eq!(&reading.document, &serde_json::from_str::<Value>(&newest).unwrap());
        prop_assert_eq!(reading.messages - 1 + reading.conflated, published, "each state is sent or counted");
    }
}
