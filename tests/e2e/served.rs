//! A daemon whose gateway is served to clients that others wrote.

use crate::{ANSWER, BACK, LIVE, Site};
use serde_json::Value;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use touchline_harness::consumer::skip;
use touchline_harness::process;
use touchline_simulator::Options;

/// How long a client may take to leave.
const LEAVES: Duration = Duration::from_secs(3);
/// What publishers show.
pub const SECRET: &str = "correct horse";

/// A daemon with a gateway for readers and publishers, its matches live.
pub struct Served {
    pub site: Site,
    pub readers: SocketAddr,
    pub publishers: SocketAddr,
    /// The file with the publishers' secret.
    pub secret: PathBuf,
}

/// An address that nobody listens at.
pub fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

impl Served {
    pub fn start(rate: f64, gateway: &str) -> Served {
        let (readers, publishers) = (free(), free());
        let folder = tempfile::tempdir().unwrap().keep();
        let secret = folder.join("secret");
        std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
        let options = Options { matches: 6, rate, ..Options::default() };
        let configuration = format!(
            "[gateway]\nlisten = \"{readers}\"\npub_listen = \"{publishers}\"\npub_secret_file = \"{}\"\n{gateway}",
            secret.display()
        );
        let site = Site::live(&options, &configuration);
        site.wait_for_status("the gateway", LIVE, |status| status["gateway"]["state"] == "ready");
        Served { site, readers, publishers, secret }
    }

    /// Some match that has a document.
    pub fn a_match(&self) -> String {
        self.site.simulator.truth().matches().into_iter().next().unwrap()
    }

    /// The gateway's process.
    pub fn pid(&self) -> Option<u32> {
        process::children(self.site.daemon.pid()).into_iter().find(|pid| process::is_gateway(*pid))
    }

    /// A client of the gateway; `None`: it is not installed.
    pub fn peer(&self, query: &str, transports: &str, auth: &str) -> Option<Peer> {
        Peer::start(&format!("http://{}{query}", self.readers), transports, auth)
    }

    pub fn get(&self, target: &str, headers: &str) -> Reply {
        let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n");
        ask_bytes(self.readers, head.as_bytes()).unwrap_or_else(|| panic!("{target}: no answer"))
    }

    /// The body of a good answer.
    pub fn json(&self, target: &str) -> Value {
        let reply = self.get(target, "");
        assert_eq!(reply.status, 200, "{target}: {reply:?}");
        serde_json::from_str(&reply.body).expect("JSON")
    }

    pub fn publish(&self, target: &str, headers: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        ask(self.publishers, &request)
    }

    pub fn publish_as(&self, body: &Value) -> (u16, String) {
        self.publish("/pub", &authorized(""), &body.to_string())
    }

    pub fn metric(&self, name: &str) -> f64 {
        let (_, text) = ask(self.readers, "GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {text}"));
        line.trim().parse().unwrap()
    }
}

pub fn authorized(more: &str) -> String {
    format!("Authorization: Bearer {SECRET}\r\n{more}")
}

/// An answer of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    /// The value of a header, by its name as it is written.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Status and body of the answer to a request on a connection of its own.
pub fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let reply = ask_bytes(address, request.as_bytes()).unwrap_or_else(|| panic!("no answer to {request}"));
    (reply.status, reply.body)
}

/// What comes for these bytes until the server closes; `None`: it closes without a word.
pub fn ask_bytes(address: SocketAddr, request: &[u8]) -> Option<Reply> {
    let mut socket = TcpStream::connect(address).expect("the gateway listens");
    socket.set_read_timeout(Some(ANSWER)).expect("a time limit");
    socket.set_write_timeout(Some(ANSWER)).expect("a time limit");
    // Who refuses a request closes before all of it is sent.
    let _ = socket.write_all(request);
    read_reply(&mut socket)
}

/// What comes until the server closes.
pub fn read_reply(socket: &mut TcpStream) -> Option<Reply> {
    let mut bytes = Vec::new();
    // A server that closes on a client that still sends may reset the connection behind its answer.
    if let Err(error) = socket.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "neither an answer nor a close in time");
    }
    let text = String::from_utf8(bytes).expect("text");
    if text.is_empty() {
        return None;
    }
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("half an answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status: {head}"));
    Some(Reply { status, head: head.to_owned(), body: body.to_owned() })
}

/// The client that others wrote; it prints what it hears.
pub struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    pub printed: Receiver<Value>,
}

impl Peer {
    /// The client; `None`: it is not installed.
    pub fn start(url: &str, transports: &str, auth: &str) -> Option<Peer> {
        Peer::run("client.cjs", &[url, transports, auth])
    }

    /// A script of `tests/peers/gateway`; `None`: its packages are not installed.
    pub fn run(script: &str, arguments: &[&str]) -> Option<Peer> {
        let Some(modules) = std::env::var_os("TOUCHLINE_GATEWAY_PEER") else {
            skip("a client of Socket.IO (TOUCHLINE_GATEWAY_PEER is not set)");
            return None;
        };
        let mut command = Command::new("node");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/gateway").join(script));
        command.args(arguments).env("NODE_PATH", modules);
        Some(Peer::of(command))
    }

    /// What a command starts, which prints an object a line.
    pub fn of(mut command: Command) -> Peer {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, printed) = channel();
        let output = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        Peer { child, input, printed }
    }

    pub fn say(&mut self, event: &Value) {
        writeln!(self.input.as_mut().unwrap(), "{event}").unwrap();
    }

    /// The next that is wanted; others are passed over.
    pub fn next(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + BACK;
        let mut passed = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.printed.recv_timeout(left) else {
                panic!("waited in vain for {what}: {passed:?}")
            };
            if is(&line) {
                return line;
            }
            passed.push(line);
        }
    }

    /// The arguments of the next event of this name.
    pub fn event(&self, name: &str) -> Vec<Value> {
        let line = self.next(name, |line| line["event"] == "event" && line["name"] == name);
        line["args"].as_array().unwrap().clone()
    }

    pub fn connected(&self) {
        self.next("the connection", |line| line["event"] == "connect");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // At the end of its input it ends, and takes along what it started itself.
        drop(self.input.take());
        let until = Instant::now() + LEAVES;
        while Instant::now() < until && self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
