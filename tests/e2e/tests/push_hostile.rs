//! Push servers that send what nobody can use: each message costs itself alone, each connection that ends its own topics alone, and the rest of
//! the pool goes on; what happened is counted and said.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use touchline_e2e::{ANSWER, LIVE};
use touchline_harness::fixture::{Fixture, quoted, run_command};
use touchline_harness::process::{self, Reaper};
use touchline_harness::wait;
use touchline_simulator::push::PushAuditor;
use touchline_worker::wire::websocket::{
    Arrived, CloseCode, Limits, Opcode, Reader, Role, ServerRequest, Writer,
};

const BACK: Duration = Duration::from_secs(40);
/// How often a topic that is followed changes.
const EVERY: Duration = Duration::from_millis(40);
const BAD: &str = "bad";
const GOOD: [&str; 3] = ["g1", "g2", "g3"];

/// What a connection that has a topic is to send.
#[derive(Clone)]
enum Send {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Close(u16),
}

/// How a topic is served.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Served {
    Well,
    /// It is acknowledged, and nothing comes.
    Acknowledged,
    /// Whoever asks for it is closed with this code, before anything is sent.
    Closed(u16),
}

#[derive(Default)]
struct Scene {
    to_send: Mutex<Vec<(String, Send)>>,
    served: Mutex<BTreeMap<String, Served>>,
    /// How often each topic was asked for.
    asked: Mutex<BTreeMap<String, u32>>,
    over: AtomicBool,
}

struct Server {
    address: SocketAddr,
    scene: Arc<Scene>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.scene.over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
    }
}

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, scene) = (listener.local_addr().unwrap(), Arc::new(Scene::default()));
        let shared = Arc::clone(&scene);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.over.load(Ordering::SeqCst) {
                    return;
                }
                let scene = Arc::clone(&shared);
                // The end of a connection is an error of its stream.
                thread::spawn(move || drop(Client::open(stream).serve(&scene)));
            }
        });
        Server { address, scene }
    }

    fn serve(&self, topic: &str, served: Served) {
        self.scene.served.lock().unwrap().insert(topic.to_owned(), served);
    }

    fn asked(&self, topic: &str) -> u32 {
        self.scene.asked.lock().unwrap().get(topic).copied().unwrap_or(0)
    }

    /// Sends it on the connection that has the topic, and waits until that is done.
    fn send(&self, topic: &str, send: Send) {
        self.scene.to_send.lock().unwrap().push((topic.to_owned(), send));
        wait::until("it is sent", BACK, || self.scene.to_send.lock().unwrap().is_empty().then_some(()));
    }

    fn text(&self, text: impl Into<Vec<u8>>) {
        self.send(BAD, Send::Text(text.into()));
    }
}

struct Client {
    stream: TcpStream,
    reader: Reader,
    writer: Writer,
    followed: BTreeMap<String, u64>,
}

impl Client {
    fn open(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let reader = Reader::new(Role::Server, Limits::default());
        Client { stream, reader, writer: Writer::new(Role::Server, None, 0), followed: BTreeMap::new() }
    }

    fn serve(mut self, scene: &Scene) -> std::io::Result<()> {
        let mut is_open = false;
        let mut next = Instant::now();
        while !scene.over.load(Ordering::SeqCst) {
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(count) => self.reader.feed(&bytes[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
            if !is_open {
                let Some((request, used)) = ServerRequest::parse(self.reader.unread()).unwrap() else {
                    continue;
                };
                self.reader.skip(used);
                let mut answer = Vec::new();
                request.accept(None, None, &mut answer);
                self.stream.write_all(&answer)?;
                is_open = true;
            }
            while let Some(arrived) = self.reader.advance().map_err(|_| ErrorKind::InvalidData)? {
                match arrived {
                    Arrived::Text => self.answer(scene)?,
                    Arrived::Close(_) => return Ok(()),
                    Arrived::Binary | Arrived::Ping | Arrived::Pong => {}
                }
            }
            self.send_asked(scene)?;
            if Instant::now() >= next {
                next = Instant::now() + EVERY;
                self.send_changes()?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, scene: &Scene) -> std::io::Result<()> {
        let message: Value = serde_json::from_slice(self.reader.payload()).unwrap();
        let topics = message["topics"].as_array().unwrap().clone();
        let topics = topics.iter().map(|topic| topic.as_str().unwrap().to_owned());
        for topic in topics {
            if message["op"] == "unsub" {
                self.followed.remove(&topic);
                continue;
            }
            *scene.asked.lock().unwrap().entry(topic.clone()).or_default() += 1;
            let served = scene.served.lock().unwrap().get(&topic).copied().unwrap_or(Served::Well);
            match served {
                Served::Closed(code) => self.close(code)?,
                Served::Acknowledged => self.text(&json!({"op": "subscribed", "topic": topic}))?,
                Served::Well => {
                    self.text(&json!({"op": "subscribed", "topic": topic}))?;
                    let data = json!({"home": format!("Home of {topic}"), "n": 0});
                    self.text(&json!({"op": "set", "topic": topic, "data": data}))?;
                    self.followed.insert(topic, 0);
                }
            }
        }
        Ok(())
    }

    fn send_asked(&mut self, scene: &Scene) -> std::io::Result<()> {
        let ours: Vec<Send> = {
            let mut all = scene.to_send.lock().unwrap();
            let (ours, rest) = std::mem::take(&mut *all)
                .into_iter()
                .partition(|(topic, _)| self.followed.contains_key(topic));
            *all = rest;
            let ours: Vec<(String, Send)> = ours;
            ours.into_iter().map(|(_, send)| send).collect()
        };
        for send in ours {
            let mut out = Vec::new();
            match send {
                Send::Text(text) => self.writer.message(Opcode::Text, &text, usize::MAX, &mut out),
                Send::Binary(bytes) => self.writer.message(Opcode::Binary, &bytes, usize::MAX, &mut out),
                Send::Close(code) => return self.close(code),
            }
            self.stream.write_all(&out)?;
        }
        Ok(())
    }

    fn send_changes(&mut self) -> std::io::Result<()> {
        let mut changes = Vec::new();
        for (topic, n) in &mut self.followed {
            *n += 1;
            changes.push(json!({"op": "merge", "topic": topic, "data": {"n": *n}}));
        }
        changes.iter().try_for_each(|change| self.text(change))
    }

    fn text(&mut self, message: &Value) -> std::io::Result<()> {
        let mut out = Vec::new();
        self.writer.text(message.to_string().as_bytes(), &mut out);
        self.stream.write_all(&out)
    }

    fn close(&mut self, code: u16) -> std::io::Result<()> {
        let mut out = Vec::new();
        self.writer.close(CloseCode(code), "as it was asked", &mut out);
        self.stream.write_all(&out)?;
        Err(ErrorKind::ConnectionAborted.into())
    }
}

/// Four topics, two a connection.
struct Site {
    fixture: Fixture,
    server: Server,
    /// What was published, as it was written.
    published: Arc<Mutex<Vec<u8>>>,
    _reaper: Reaper,
}

impl Site {
    fn start(prepare: impl FnOnce(&Server)) -> Site {
        let reaper = Reaper::new();
        let (folder, server) = (tempfile::tempdir().unwrap(), Server::start());
        prepare(&server);
        let text = format!(
            "[daemon]\nrun_dir = {folder}\nstate_dir = {folder}\n[log]\nlevel = \"debug\"\n\
             [[feed]]\nname = \"hostile\"\nkind = \"push\"\nurl = \"ws://{}/\"\n\
             topics = [\"bad\", \"g1\", \"g2\", \"g3\"]\nmax_subscriptions = 2\nconnects_per_s = 50.0\n\
             subscribe = '{{\"op\":\"sub\",\"topics\":{{TOPICS}}}}'\n\
             unsubscribe = '{{\"op\":\"unsub\",\"topics\":{{TOPICS}}}}'\n\
             acknowledged = {{ at = \"/op\", is = \"subscribed\", topic = \"/topic\" }}\n\
             topic = \"/topic\"\nbody = \"/data\"\npacked = \"none\"\nover_cap = \"ignore\"\n\
             snapshot = {{ at = \"/op\", is = \"set\" }}\ndelta = {{ at = \"/op\", is = \"merge\" }}\nmerge = \"merge\"\n\
             [feed.reading]\nhome = \"/home\"\n",
            server.address,
            folder = quoted(folder.path()),
        );
        std::fs::write(folder.path().join("touchline.toml"), text).unwrap();
        let published = Arc::new(Mutex::new(Vec::new()));
        let socket = folder.path().join("audit.sock");
        listen(&socket, &published);
        let mut command = run_command(process::program());
        command.env(PushAuditor::VARIABLE, socket);
        let fixture = Fixture::start(folder, command, ANSWER);
        Site { fixture, server, published, _reaper: reaper }
    }

    fn live() -> Site {
        let site = Site::start(|_| {});
        site.wait_live(4);
        site
    }

    fn wait_live(&self, topics: u64) {
        self.fixture.wait_for_status(&format!("{topics} live topics"), LIVE, |status| {
            status.pointer("/matches/live").is_some_and(|live| *live == topics)
        });
    }

    /// What a topic's document has of the server's.
    fn told(&self, topic: &str) -> Option<Value> {
        self.fixture.document(topic)?.pointer("/extra/document").cloned()
    }

    /// The good topics change on.
    fn assert_the_rest_goes_on(&self) {
        for topic in GOOD {
            let number = || self.told(topic)?["n"].as_u64();
            let before = number().unwrap();
            wait::until(topic, BACK, || (number()? > before).then_some(()));
        }
    }

    fn topics_with_gaps(&self) -> BTreeSet<String> {
        let gaps = self.fixture.gaps();
        gaps.iter().map(|gap| gap["match"].as_str().unwrap().to_owned()).collect()
    }

    /// Messages that were left out, each of which is a line of the log at level debug.
    fn errors(&self) -> usize {
        self.fixture.daemon.log().matches("worker.skipped").count()
    }

    fn has_published(&self, text: &str) -> bool {
        let published = self.published.lock().unwrap();
        published.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

/// Keeps whatever is written to the socket.
fn listen(socket: &std::path::Path, published: &Arc<Mutex<Vec<u8>>>) {
    let listener = UnixListener::bind(socket).unwrap();
    let published = Arc::clone(published);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = [0; 64 * 1024];
            while let Ok(count @ 1..) = stream.read(&mut bytes) {
                published.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        }
    });
}

#[test]
fn messages_that_cannot_be_used_cost_themselves_alone_and_are_counted() {
    let site = Site::live();
    let before = site.errors();
    let deep = format!(
        "{{\"op\":\"other\",\"topic\":\"bad\",\"data\":{}{}}}",
        "[".repeat(1_000_000),
        "]".repeat(1_000_000)
    );
    let texts = [
        "{\"op\":\"merge\",\"topic\":7,\"data\":{}}",
        "{\"op\":\"merge\",\"topic\":{\"bad\":1},\"data\":{}}",
        "{\"op\":\"merge\",\"data\":{}}",
        "{\"op\":\"merge\",\"topic\":\"bad\"}",
        "{\"op\":\"merge\",\"topic\":\"stranger\",\"data\":{}}",
        "{\"op\":[\"merge\"],\"topic\":\"bad\",\"data\":{}}",
        "{\"op\":\"merge\",\"topic\":\"bad\",\"data\":",
        "nonsense",
        "[1, null, \"x\"]",
        &deep,
    ];
    for text in texts {
        site.server.text(text);
    }
    site.server.send(BAD, Send::Binary(b"{\"op\":\"merge\",\"topic\":\"bad\",\"data\":\"\xff\"}".to_vec()));
    // Of the array each item is one.
    let all = texts.len() + 3;
    wait::until("all counted", BACK, || (site.errors() >= before + all).then_some(()));
    site.assert_the_rest_goes_on();
    let number = || site.told(BAD)?["n"].as_u64();
    let n = number().unwrap();
    wait::until("the topic itself", BACK, || (number()? > n).then_some(()));
    site.fixture.daemon.wait_for_log("worker.unusable", BACK);
    assert_eq!(site.topics_with_gaps(), BTreeSet::new(), "nothing was lost");
    assert_eq!(site.fixture.count("/workers/restarts"), 0);
}

#[test]
fn numbers_stay_as_they_were_written_the_last_of_two_members_counts_and_types_may_change() {
    let site = Site::live();
    site.server.text(
        "{\"op\":\"merge\",\"topic\":\"bad\",\"data\":{\"big\":123456789012345678901234567890,\"price\":1.234567890123456789,\"twice\":1,\"twice\":2}}",
    );
    for text in ["123456789012345678901234567890", "1.234567890123456789", "\"twice\":2"] {
        wait::until(text, BACK, || site.has_published(text).then_some(()));
    }
    assert!(!site.has_published("\"twice\":1"));
    site.server
        .text("{\"op\":\"merge\",\"topic\":\"bad\",\"data\":{\"home\":{\"name\":7},\"big\":\"a text now\"}}");
    wait::until("the other type", BACK, || (site.told(BAD)?["big"] == "a text now").then_some(()));
    site.server.text("{\"op\":\"merge\",\"topic\":\"bad\",\"data\":{\"home\":\"Home again\"}}");
    wait::until("the old type", BACK, || (site.fixture.document(BAD)?["home"] == "Home again").then_some(()));
    site.assert_the_rest_goes_on();
    assert_eq!(site.topics_with_gaps(), BTreeSet::new());
}

#[test]
fn a_delta_deeper_than_may_be_costs_its_topic_a_gap_and_a_fresh_snapshot() {
    let site = Site::live();
    let asked = site.server.asked(BAD);
    let (open, shut) = ("[".repeat(1_000_000), "]".repeat(1_000_000));
    site.server.text(format!("{{\"op\":\"merge\",\"topic\":\"bad\",\"data\":{{\"deep\":{open}{shut}}}}}"));
    wait::until("it is asked for again", BACK, || (site.server.asked(BAD) > asked).then_some(()));
    site.wait_live(4);
    site.assert_the_rest_goes_on();
    assert_eq!(site.topics_with_gaps(), BTreeSet::from([BAD.to_owned()]));
}

#[test]
fn a_message_of_fifty_megabytes_and_a_text_that_is_no_text_cost_their_connection_alone() {
    let site = Site::live();
    let big = format!("{{\"op\":\"merge\",\"topic\":\"bad\",\"data\":\"{}\"}}", "x".repeat(50_000_000));
    for bytes in [big.into_bytes(), b"{\"op\":\"\xff\"}".to_vec()] {
        let asked = site.server.asked(BAD);
        site.server.text(bytes);
        wait::until("another connection", BACK, || (site.server.asked(BAD) > asked).then_some(()));
        site.wait_live(4);
    }
    site.assert_the_rest_goes_on();
    let gaps = site.topics_with_gaps();
    assert!(gaps.contains(BAD) && gaps.len() <= 2, "two topics a connection: {gaps:?}");
    let log = site.fixture.daemon.log();
    assert!(log.contains("limits.frame") && log.contains("not UTF-8"), "{log}");
    assert_eq!(site.fixture.count("/workers/restarts"), 0);
}

#[test]
fn a_server_that_acknowledges_and_never_sends_is_asked_again_and_its_neighbours_are_served() {
    let site = Site::start(|server| server.serve(BAD, Served::Acknowledged));
    site.wait_live(3);
    wait::until("it is asked for again", BACK, || (site.server.asked(BAD) >= 2).then_some(()));
    site.assert_the_rest_goes_on();
    assert!(site.told(BAD).is_none());
    site.server.serve(BAD, Served::Well);
    site.wait_live(4);
}

#[test]
fn a_close_code_says_when_it_is_tried_again() {
    // After something was served any code is a connection to be had anew.
    let site = Site::live();
    for code in [1012, 4000, 1008] {
        let asked = site.server.asked(BAD);
        site.server.send(BAD, Send::Close(code));
        wait::until("another connection", BACK, || (site.server.asked(BAD) > asked).then_some(()));
        site.wait_live(4);
        site.fixture.daemon.wait_for_log(&code.to_string(), BACK);
    }
    let log = site.fixture.daemon.log();
    assert!(!log.contains("worker.login_refused"), "{log}");
    // Before, a code of `refusing_codes` is a refusal: said once, and not tried again for a minute.
    site.server.serve(BAD, Served::Closed(1008));
    site.server.send(BAD, Send::Close(1012));
    site.fixture.daemon.wait_for_log("worker.login_refused", BACK);
    let asked = site.server.asked(BAD);
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        site.assert_some_go_on();
    }
    assert!(site.server.asked(BAD) <= asked + 1, "another worker may try it once");
}

impl Site {
    /// The good topics of the connection that stands.
    fn assert_some_go_on(&self) {
        let numbers = || GOOD.map(|topic| self.told(topic).and_then(|told| told["n"].as_u64()).unwrap_or(0));
        let before = numbers();
        wait::until("changes", BACK, || {
            let grown = numbers().into_iter().zip(before).filter(|(after, before)| after > before).count();
            (grown >= 2).then_some(())
        });
    }
}
