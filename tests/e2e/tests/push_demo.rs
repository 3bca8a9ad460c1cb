//! The demo of a JSON push server as a new user runs it, and its server alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;
use touchline_harness::process::{self, Reaper};
use touchline_harness::wait;

#[test]
fn two_thousand_topics_at_a_hundred_a_connection_are_followed_and_all_that_is_published_is_true() {
    let _reaper = Reaper::new();
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(process::program())
        .args(["demo", "--feed", "push", "--for", "10s", "--rate", "2000", "--dir"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let log = std::fs::read_to_string(folder.path().join("touchline.log")).unwrap_or_default();
    assert_eq!(output.status.code(), Some(0), "{printed}\n{log}");
    let last = printed.lines().last().unwrap();
    for part in ["PASS", "topics=2000", "wrong=0"] {
        assert!(last.contains(part), "{part}: {printed}");
    }
}

#[test]
fn the_push_server_alone_says_where_all_is_and_serves_topics_and_truth() {
    let mut child = Command::new(process::program())
        .args(["simulate", "--feed", "push", "--json", "--listen", "127.0.0.1:0", "--matches", "3"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert!(first["server"].as_str().unwrap().starts_with("ws://127.0.0.1:"), "{first}");
    let http = first["truth"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    let get = |path: &str| -> Value {
        let mut stream = TcpStream::connect(&http).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {http}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let topics = get("/topics");
    let id = topics["topics"][2]["id"].as_str().unwrap();
    assert_eq!(get(&format!("/topic/{id}"))["id"], id);
    assert_eq!(get("/connections").as_array().unwrap().len(), 0, "nobody is connected");
    process::send(child.id(), Signal::SIGTERM);
    let rest: Vec<Value> = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!(rest.last().unwrap()["connections"], 0, "{rest:?}");
    let code = wait::until("its end", Duration::from_secs(10), || child.try_wait().unwrap());
    assert_eq!(code.code(), Some(0));
}
