use super::*;
use std::io::{Read, Write};
use std::time::{Duration, Instant};
use touchline_worker::wire::websocket::{Arrived, ClientRequest, Key, Limits, Offer, Reader, Role, Writer};

const PATIENCE: Duration = Duration::from_secs(10);

/// A client that asks and reads JSON.
struct Client {
    stream: TcpStream,
    reader: Reader,
    writer: Writer,
    /// What it was closed with.
    closed: Option<u16>,
}

impl Client {
    fn open(server: &PushHandle) -> Client {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let host = server.address().to_string();
        let request =
            ClientRequest { host: &host, target: "/", protocol: None, headers: &[], offer: Offer::Nothing };
        let mut out = Vec::new();
        request.encode(&Key::new([7; 16]), &mut out).unwrap();
        stream.write_all(&out).unwrap();
        let mut head = Vec::new();
        let mut byte = [0; 1];
        let until = Instant::now() + PATIENCE;
        while !head.ends_with(b"\r\n\r\n") {
            assert!(Instant::now() < until, "{}", String::from_utf8_lossy(&head));
            if stream.read(&mut byte).is_ok_and(|count| count == 1) {
                head.push(byte[0]);
            }
        }
        let reader = Reader::new(Role::Client, Limits::default());
        Client { stream, reader, writer: Writer::new(Role::Client, None, usize::MAX), closed: None }
    }

    fn say(&mut self, message: &Value) {
        let mut out = Vec::new();
        self.writer.text(message.to_string().as_bytes(), &mut out);
        self.stream.write_all(&out).unwrap();
    }

    /// The next message; none once the connection is over.
    fn next(&mut self) -> Option<Value> {
        let until = Instant::now() + PATIENCE;
        let mut bytes = [0; 4096];
        loop {
            match self.reader.advance().unwrap() {
                Some(Arrived::Text) => return Some(serde_json::from_slice(self.reader.payload()).unwrap()),
                Some(Arrived::Close(code)) => {
                    self.closed = code.map(|code| code.0);
                    return None;
                }
                Some(Arrived::Binary | Arrived::Ping | Arrived::Pong) => continue,
                None => {}
            }
            assert!(Instant::now() < until, "a message or the end");
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.reader.feed(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
    }

    /// The next message that is so.
    fn find(&mut self, is: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.next().expect("a message before the end");
            if is(&message) {
                return message;
            }
        }
    }
}

fn books(options: PushOptions) -> PushHandle {
    PushServer::start(&PushOptions { dialect: Dialect::Books, ..options }).unwrap()
}

/// The parts of a message of books.
fn parts(message: &Value) -> Vec<Value> {
    message.as_array().cloned().unwrap_or_else(|| vec![message.clone()])
}

#[test]
fn a_snapshot_and_what_follows_it_have_no_hole_but_where_there_is_one() {
    let server = books(PushOptions { topics: 2, rate: 400.0, ..PushOptions::default() });
    let mut client = Client::open(&server);
    client.say(&serde_json::json!({"type": "subscribe", "id": 1, "markets": ["book-0"]}));
    assert_eq!(client.next().unwrap()["type"], "subscribed");
    let mut last = client.find(|message| message["type"] == "snapshot")["seq"].clone();
    let (mut holes, mut deltas) = (0, 0);
    server.mishap("book-0", Mishap::Hole);
    while deltas < 50 {
        for part in parts(&client.next().unwrap()) {
            if part["type"] == "delta" {
                holes += u32::from(part["prev"] != last);
                last = part["seq"].clone();
                deltas += 1;
            }
        }
    }
    assert_eq!(holes, 1, "it shows by its number");
    let until = Instant::now() + PATIENCE;
    while server.report().holes.get("book-0") != Some(&1) {
        assert!(Instant::now() < until);
    }
}

#[test]
fn above_the_cap_it_does_what_it_was_told_to() {
    let ask = serde_json::json!({"type": "subscribe", "id": 9, "markets": ["book-0", "book-1", "book-2"]});
    let start = |over_cap| books(PushOptions { topics: 3, cap: 2, over_cap, ..PushOptions::default() });
    let server = start(OverCap::Error);
    let mut client = Client::open(&server);
    client.say(&ask);
    let refused = client.find(|message| message["type"] == "error");
    assert_eq!((&refused["markets"][0], &refused["id"]), (&Value::from("book-2"), &Value::from(9)));
    let server = start(OverCap::Close);
    let mut client = Client::open(&server);
    client.say(&ask);
    while client.next().is_some() {}
    assert_eq!(client.closed, Some(1008));
    for quiet in [OverCap::Ignore, OverCap::NoSnapshot] {
        let server = start(quiet);
        let mut client = Client::open(&server);
        client.say(&ask);
        let answer = client.find(|message| message["type"] == "subscribed");
        let acknowledged = if quiet == OverCap::Ignore { 2 } else { 3 };
        assert_eq!(answer["markets"].as_array().unwrap().len(), acknowledged);
        let until = Instant::now() + PATIENCE;
        while server.report().over_cap == 0 {
            assert!(Instant::now() < until);
        }
        assert!(!server.report().images_of.contains_key("book-2"));
    }
}

#[test]
fn who_shows_a_token_gets_what_it_missed_and_a_wrong_login_ends() {
    let options =
        PushOptions { topics: 1, rate: 100.0, token: Some("good".to_owned()), ..PushOptions::default() };
    let server = PushServer::start(&options).unwrap();
    let login = |token: &str| serde_json::json!({"op": "authentication", "id": 1, "session": token});
    let subscribe = |clk: &str| {
        serde_json::json!({"op": "marketSubscription", "id": 2, "clk": clk,
        "marketFilter": {"marketIds": ["1.200000000"]}})
    };
    let mut client = Client::open(&server);
    client.say(&login("good"));
    client.say(&subscribe(""));
    let image = client.find(|message| message["mc"][0]["img"] == true);
    let mut again = Client::open(&server);
    again.say(&login("good"));
    again.say(&subscribe(image["clk"].as_str().unwrap()));
    let first = again.find(|message| message["mc"].is_array());
    assert!(
        first["mc"][0]["img"].is_null() && first["mc"][0]["zc"].as_u64() >= image["mc"][0]["zc"].as_u64()
    );
    let mut wrong = Client::open(&server);
    wrong.say(&login("bad"));
    assert_eq!(wrong.find(|message| message["op"] == "status")["errorCode"], "NOT_AUTHORIZED");
    assert_eq!(wrong.next(), None);
    assert_eq!(wrong.closed, Some(1008));
    server.end(Which::All, Ending::Close(1012));
    while client.next().is_some() {}
    assert_eq!(client.closed, Some(1012));
}

#[test]
fn a_login_is_over_after_its_time_and_the_list_tells_of_a_new_game() {
    let options = PushOptions {
        dialect: Dialect::Scores,
        topics: 3,
        login_expires: Some(Duration::from_secs(2)),
        ..PushOptions::default()
    };
    let server = PushServer::start(&options).unwrap();
    let mut client = Client::open(&server);
    client.say(&serde_json::json!({"action": "subscribe", "topics": [LIST]}));
    let list = client.find(|message| message["op"] == "set");
    assert_eq!(list["data"]["games"].as_object().unwrap().len(), 3);
    server.replace(1);
    let change = client.find(|message| message["op"] == "merge");
    assert_eq!(change["data"]["games"]["game-1"], Value::Null);
    assert_eq!(change["data"]["games"]["game-1000001"]["status"], "live");
    while client.next().is_some() {}
    assert_eq!(client.closed, Some(4001));
}
