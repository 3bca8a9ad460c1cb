//! Who gets a place at the control socket, and who gives way.

use super::clients::{Clients, MAX_CLIENTS, Permissions};
use crate::sources::Sources;
use mio::Poll;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use touchline_common::control::Answer;

const COMES: Duration = Duration::from_secs(10);
const PING: &[u8] = b"{\"verb\":\"ping\"}\n";

struct Bench {
    _folder: tempfile::TempDir,
    _poll: Poll,
    path: PathBuf,
    sources: Sources,
    clients: Clients,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let permissions = Permissions { read: Vec::new(), operate: Vec::new() }.with_ourselves();
        let clients = Clients::listen(&path, permissions).unwrap();
        let poll = Poll::new().unwrap();
        Bench { _folder: folder, sources: Sources::of(&poll).unwrap(), _poll: poll, path, clients }
    }

    fn connect(&self, bytes: &[u8]) -> UnixStream {
        let mut socket = UnixStream::connect(&self.path).unwrap();
        socket.write_all(bytes).unwrap();
        socket
    }

    /// All places taken by clients that sent these bytes, which are read.
    fn fill(&mut self, bytes: &[u8]) -> Vec<UnixStream> {
        let sockets = (0..MAX_CLIENTS).map(|_| self.connect(bytes)).collect();
        self.clients.accept(&mut self.sources);
        for number in 1..=MAX_CLIENTS as u32 {
            let asks = self.clients.requests(number).len();
            assert_eq!(asks, bytes.iter().filter(|byte| **byte == b'\n').count(), "client {number}");
        }
        sockets
    }

    /// Looks each few milliseconds, as the daemon does each tick, until the client of this number has asked something.
    fn wait_for_request(&mut self, number: u32) {
        let until = Instant::now() + COMES;
        while self.clients.requests(number).is_empty() {
            assert!(Instant::now() < until, "client {number} never got in");
            self.clients.expire(&mut self.sources);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_whole_request_gets_in_beside_clients_that_hang() {
    let mut bench = Bench::new();
    let hanging = bench.fill(b"{\"verb\":\"sta");
    let _asking = bench.connect(PING);
    bench.clients.accept(&mut bench.sources);
    let newcomer = MAX_CLIENTS as u32 + 1;
    assert!(bench.clients.requests(newcomer).is_empty(), "nobody gives way at once");
    bench.wait_for_request(newcomer);
    let mut said = String::new();
    BufReader::new(&hanging[0]).read_line(&mut said).unwrap();
    assert!(said.contains("no whole request for 1s"), "{said}");
    assert!(bench.clients.uid(1).is_none() && bench.clients.uid(2).is_some(), "one is enough");
}

#[test]
fn who_waits_for_a_command_keeps_the_place_and_commands_have_a_bound() {
    let mut bench = Bench::new();
    let _waiting = bench.fill(PING);
    assert!(!bench.clients.may_wait(1), "all others wait");
    // Only the last one gets its answer, so only that one can give way.
    bench.clients.answer(MAX_CLIENTS as u32, &Answer::Ok(serde_json::Value::Null));
    bench.clients.flush_all(&mut bench.sources);
    let _asking = bench.connect(PING);
    bench.clients.accept(&mut bench.sources);
    bench.wait_for_request(MAX_CLIENTS as u32 + 1);
    assert!(bench.clients.uid(MAX_CLIENTS as u32).is_none() && bench.clients.uid(1).is_some());
    for number in 1..MAX_CLIENTS as u32 {
        bench.clients.answer(number, &Answer::Ok(serde_json::Value::Null));
    }
    assert!(bench.clients.may_wait(1), "nobody waits but the newcomer");
}

#[test]
fn a_socket_is_given_away_with_its_one_request_alone() {
    let mut bench = Bench::new();
    let two = [PING, PING].concat();
    let half = [PING, b"{"].concat();
    for (number, bytes) in (1..).zip([&two[..], &half, PING]) {
        let _socket = bench.connect(bytes);
        bench.clients.accept(&mut bench.sources);
        assert!(!bench.clients.requests(number).is_empty());
        let given = bench.clients.hand_over(number, &mut bench.sources);
        assert_eq!(given.is_some(), bytes == PING, "{bytes:?}");
    }
}
