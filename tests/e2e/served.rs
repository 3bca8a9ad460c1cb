//! A daemon with a gateway, its matches live, and bare HTTP requests to it: each on a connection of its own, as the bytes that the
//! test writes. Called by the tests of the gateway.

use crate::{ANSWER, LIVE, Site};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use tempfile::TempDir;
use touchline_harness::process;
use touchline_simulator::Options;

/// What publishers show.
pub const SECRET: &str = "correct horse";

/// A daemon with a gateway for readers and for publishers.
pub struct Served {
    pub site: Site,
    pub address: SocketAddr,
    pub publishers: SocketAddr,
    _secret: TempDir,
}

impl Served {
    /// Six matches with so many changes a second; `gateway` is appended to the gateway's part of the configuration.
    pub fn start(rate: f64, gateway: &str) -> Served {
        let folder = tempfile::tempdir().expect("a folder");
        let secret = folder.path().join("secret");
        std::fs::write(&secret, format!("{SECRET}\n")).expect("the secret");
        let (address, publishers) = (free(), free());
        let options = Options { matches: 6, rate, ..Options::default() };
        let section = format!(
            "[gateway]\nlisten = \"{address}\"\npub_listen = \"{publishers}\"\npub_secret_file = \"{}\"\n{gateway}",
            secret.display()
        );
        let site = Site::live(&options, &section);
        site.wait_for_status("the gateway", LIVE, |status| status["gateway"]["state"] == "ready");
        Served { site, address, publishers, _secret: folder }
    }

    /// Of the gateway, if it runs.
    pub fn pid(&self) -> Option<u32> {
        process::children(self.site.daemon.pid()).into_iter().find(|pid| process::is_gateway(*pid))
    }

    /// Some match that has a document.
    pub fn a_match(&self) -> String {
        self.site.simulator.truth().matches().into_iter().next().expect("a match")
    }

    pub fn get(&self, target: &str, headers: &str) -> Reply {
        let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n");
        ask(self.address, head.as_bytes()).unwrap_or_else(|| panic!("{target}: no answer"))
    }

    /// The body of a good answer.
    pub fn json(&self, target: &str) -> Value {
        let reply = self.get(target, "");
        assert_eq!(reply.status, 200, "{target}: {reply:?}");
        serde_json::from_str(&reply.body).expect("JSON")
    }
}

fn free() -> SocketAddr {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    port.local_addr().expect("an address")
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

/// What comes for these bytes until the server closes; `None`: it closes without a word.
pub fn ask(address: SocketAddr, request: &[u8]) -> Option<Reply> {
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
