//! `touchline feed new` from messages of a server as it sends them: what it writes follows that server.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};
use touchline_e2e::ANSWER;
use touchline_e2e::push::{LIVE, options};
use touchline_harness::fixture::{Fixture, quoted, run_command};
use touchline_harness::process::{self, Reaper};
use touchline_harness::wait;
use touchline_simulator::push::{Dialect, PushHandle, PushOptions, PushServer};
use touchline_worker::wire::websocket::{Arrived, ClientRequest, Key, Limits, Offer, Reader, Role, Writer};

const PATIENCE: Duration = Duration::from_secs(20);
/// Deltas that are recorded.
const DELTAS: usize = 15;

/// Messages by the option that takes them.
type Recorded = BTreeMap<&'static str, Vec<String>>;

/// A client that says a few things and keeps what comes.
struct Client {
    stream: TcpStream,
    reader: Reader,
    writer: Writer,
    recorded: Recorded,
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
        let (mut head, mut byte) = (Vec::new(), [0; 1]);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let reader = Reader::new(Role::Client, Limits::default());
        let writer = Writer::new(Role::Client, None, usize::MAX);
        Client { stream, reader, writer, recorded: Recorded::new() }
    }

    fn say(&mut self, message: &Value) {
        let mut out = Vec::new();
        self.writer.text(message.to_string().as_bytes(), &mut out);
        self.stream.write_all(&out).unwrap();
    }

    /// Keeps what comes under the option that `of` says, until there are so many.
    fn record(&mut self, option: &'static str, count: usize, of: impl Fn(&Value) -> &'static str) {
        let until = Instant::now() + PATIENCE;
        let mut bytes = [0; 4096];
        while self.recorded.get(option).map_or(0, Vec::len) < count {
            assert!(Instant::now() < until, "{option}: {:#?}", self.recorded);
            if self.reader.advance().unwrap() == Some(Arrived::Text) {
                let text = String::from_utf8(self.reader.payload().to_vec()).unwrap();
                let message: Value = serde_json::from_str(&text).unwrap();
                self.recorded.entry(of(&message)).or_default().push(text);
                continue;
            }
            match self.stream.read(&mut bytes) {
                Ok(0) => panic!("the end"),
                Ok(count) => self.reader.feed(&bytes[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A server whose heartbeats come soon.
fn server(dialect: Dialect) -> (PushHandle, PushOptions) {
    let options = PushOptions { heartbeat: Duration::from_millis(300), ..options(dialect) };
    (PushServer::start(&options).unwrap(), options)
}

/// Follows the server by what is written from `recorded` and these answers; the daemon.
fn follow(server: &PushHandle, options: &PushOptions, recorded: &Recorded, answers: &[&str]) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let (url, topics) = (format!("ws://{}/", server.address()), server.topics().join(","));
    let cap = options.cap.to_string();
    let mut args: Vec<String> =
        ["feed", "new", "--url", &url, "--topics", &topics, "--max-subscriptions", &cap]
            .map(str::to_owned)
            .into();
    args.extend(answers.iter().map(|answer| (*answer).to_owned()));
    for (option, messages) in recorded {
        let file = folder.path().join(format!("{option}.jsonl"));
        std::fs::write(&file, messages.join("\n")).unwrap();
        args.extend([format!("--{option}"), file.display().to_string()]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let output = process::run(folder.path(), &args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let feed = String::from_utf8(output.stdout).unwrap();
    let head = format!("[daemon]\nrun_dir = {0}\nstate_dir = {0}\n", quoted(folder.path()));
    std::fs::write(folder.path().join("touchline.toml"), format!("{head}{feed}")).unwrap();
    assert!(check(folder.path()), "{feed}");
    let mut command = run_command(process::program());
    command.env("EXCHANGE_SESSION", "good");
    let fixture = Fixture::start(folder, command, ANSWER);
    fixture.wait_for_status(&format!("all live by {feed}"), LIVE, |status| {
        status["matches"]["live"] == options.topics as u64
    });
    fixture
}

fn check(folder: &Path) -> bool {
    // The password is in the environment of the daemon alone.
    let checked = process::run(folder, &["check", "--config", "touchline.toml"]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    checked.status.success() || said.contains("EXCHANGE_SESSION")
}

/// After changes enough every document says what the server does.
fn assert_is_true(
    fixture: &Fixture,
    server: &PushHandle,
    told: impl Fn(&Value) -> Value,
    truth: impl Fn(&Value) -> Value,
) {
    let before = server.report().deltas;
    wait::until("deltas", LIVE, || (server.report().deltas >= before + 2_000).then_some(()));
    server.pause();
    for topic in server.topics() {
        let expected = truth(&server.document(&topic).unwrap());
        let mut last = Value::Null;
        let until = Instant::now() + PATIENCE;
        while last != expected && Instant::now() < until {
            last = fixture.document(&topic).map_or(Value::Null, |document| told(&document));
        }
        assert_eq!(last, expected, "{topic}");
    }
}

/// The same in whatever order arrays are, and however numbers are written.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(sorted).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), sorted(value))).collect(),
        Value::Number(number) => json!(number.as_f64()),
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

fn extra(document: &Value) -> Value {
    document["extra"]["document"].clone()
}

#[test]
fn books_are_followed_by_what_is_written_from_their_messages() {
    let _reaper = Reaper::new();
    let (server, options) = server(Dialect::Books);
    let of = |message: &Value| {
        let first = message.get(0).unwrap_or(message);
        match first["type"].as_str().unwrap() {
            "snapshot" => "snapshot",
            "delta" => "delta",
            "subscribed" => "acknowledged",
            "error" => "refused",
            _ => "ignored",
        }
    };
    let mut client = Client::open(&server);
    client.say(&json!({"type": "subscribe", "id": 1, "markets": [server.topics()[0]]}));
    client.record("delta", DELTAS, of);
    client.say(&json!({"type": "subscribe", "id": 2, "markets": ["nowhere"]}));
    client.record("refused", 1, of);
    client.record("ignored", 1, of);
    let asks = ["--subscribe", "{\"type\":\"subscribe\",\"id\":{N},\"markets\":{TOPICS}}"];
    let leaves = ["--unsubscribe", "{\"type\":\"unsubscribe\",\"id\":{N},\"markets\":{TOPICS}}"];
    let fixture = follow(&server, &options, &client.recorded, &[asks, leaves].concat());
    let book = |book: &Value| {
        let side = |name: &str| sorted(book.get(name).unwrap_or(&json!([])));
        json!({"seq": book["seq"], "last": book["last"], "bids": side("bids"), "asks": side("asks")})
    };
    assert_is_true(&fixture, &server, |document| book(&extra(document)), book);
}

#[test]
fn scores_are_followed_by_what_is_written_from_their_messages() {
    let _reaper = Reaper::new();
    let (server, options) = server(Dialect::Scores);
    let of = |message: &Value| match message["op"].as_str().unwrap() {
        "set" => "snapshot",
        "merge" => "delta",
        "subscribed" => "acknowledged",
        "refused" => "refused",
        _ => "ignored",
    };
    let mut client = Client::open(&server);
    client.say(&json!({"action": "subscribe", "topics": [server.topics()[0]]}));
    client.record("delta", DELTAS, of);
    client.say(&json!({"action": "subscribe", "topics": ["nowhere"]}));
    client.record("refused", 1, of);
    client.record("ignored", 1, of);
    let asks = ["--subscribe", "{\"action\":\"subscribe\",\"topics\":{TOPICS}}"];
    let fixture = follow(&server, &options, &client.recorded, &asks);
    let told = |document: &Value| {
        let extra = extra(document);
        json!({"home": document["home"], "score": [document["score"]["home"], document["score"]["away"]],
            "note": extra["note"], "corners": extra["corners"]["home"]})
    };
    let truth = |game: &Value| {
        json!({"home": game["home"]["name"], "score": [game["score"]["home"], game["score"]["away"]],
            "note": game["note"], "corners": game["corners"]["home"]})
    };
    assert_is_true(&fixture, &server, told, truth);
}

#[test]
fn an_exchange_is_followed_by_what_is_written_from_its_messages() {
    let _reaper = Reaper::new();
    let (server, options) = server(Dialect::Exchange);
    let of = |message: &Value| {
        let is_image =
            message["mc"].as_array().is_some_and(|items| items.iter().any(|item| item["img"] == true));
        match (message["op"].as_str().unwrap(), message["id"].as_u64()) {
            ("connection", _) => "greeting",
            ("status", _) if message["statusCode"] == "FAILURE" => "refused",
            ("status", Some(1)) => "accepted",
            ("status", _) => "acknowledged",
            _ if message["ct"] == "HEARTBEAT" => "ignored",
            _ if is_image => "snapshot",
            _ => "delta",
        }
    };
    let subscribe = |id: u32, topic: &str| json!({"op": "marketSubscription", "id": id, "marketFilter": {"marketIds": [topic]}});
    let mut client = Client::open(&server);
    client.record("greeting", 1, of);
    client.say(&json!({"op": "authentication", "id": 1, "session": "good"}));
    client.record("accepted", 1, of);
    client.say(&subscribe(2, &server.topics()[0]));
    client.record("delta", DELTAS, of);
    client.say(&subscribe(3, "nowhere"));
    client.record("refused", 1, of);
    client.record("ignored", 1, of);
    let answers = [
        "--subscribe",
        "{\"op\":\"marketSubscription\",\"id\":{N},\"marketFilter\":{\"marketIds\":{TOPICS}}}",
        "--login",
        "{\"op\":\"authentication\",\"id\":{N},\"session\":\"{PASSWORD}\"}",
        "--username",
        "account",
        "--password-env",
        "EXCHANGE_SESSION",
        "--ping",
        "{\"op\":\"heartbeat\",\"id\":{N}}",
    ];
    let fixture = follow(&server, &options, &client.recorded, &answers);
    let market = |market: &Value| {
        let runners = market["rc"].as_array().into_iter().flatten();
        let ladder = |runner: &Value, name: &str| sorted(runner.get(name).unwrap_or(&json!([])));
        let of = |runner: &Value| {
            json!({"id": runner["id"].as_u64(), "ltp": runner["ltp"].as_f64(),
                "atb": ladder(runner, "atb"), "atl": ladder(runner, "atl")})
        };
        json!({"runners": runners.map(of).collect::<Vec<_>>(), "status": market["marketDefinition"]["status"]})
    };
    assert_is_true(&fixture, &server, |document| market(&extra(document)), market);
}
