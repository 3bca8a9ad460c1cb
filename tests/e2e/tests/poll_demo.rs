//! The demo of polling as a new user runs it, and its server alone.
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
fn fifty_matches_are_polled_by_three_workers_and_every_document_was_true() {
    let _reaper = Reaper::new();
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(process::program())
        .args(["demo", "--feed", "poll", "--for", "10s", "--dir"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let log = std::fs::read_to_string(folder.path().join("touchline.log")).unwrap_or_default();
    assert_eq!(output.status.code(), Some(0), "{printed}\n{log}");
    let last = printed.lines().last().unwrap();
    for part in ["PASS", "matches=50", "workers=3", "wrong=0", "different_documents=0", "different_events=0"]
    {
        assert!(last.contains(part), "{part}: {printed}");
    }
    let published = last.split("published=").nth(1).unwrap().split(' ').next().unwrap();
    assert!(published.parse::<u64>().unwrap() > 300, "{last}");
}

#[test]
fn the_api_alone_says_where_all_is_and_serves_list_matches_and_truth() {
    let mut child = Command::new(process::program())
        .args(["simulate", "--feed", "poll", "--json", "--listen", "127.0.0.1:0", "--matches", "3"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let server = first["server"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    let get = |path: &str| -> Value {
        let mut stream = TcpStream::connect(&server).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {server}\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        // The connection stays open: the answer is whole as soon as its body is JSON.
        loop {
            let n = stream.read(&mut piece).unwrap();
            assert!(n > 0, "a whole answer");
            answer.extend_from_slice(&piece[..n]);
            let text = String::from_utf8_lossy(&answer);
            let body = text.split_once("\r\n\r\n").map(|(_, body)| serde_json::from_str(body));
            if let Some(Ok(body)) = body {
                return body;
            }
        }
    };
    let list = get("/matches");
    assert_eq!(list["matches"].as_array().unwrap().len(), 3);
    let id = list["matches"][0]["id"].as_str().unwrap();
    assert_eq!(get(&format!("/matches/{id}"))["id"], id);
    assert!(get(&format!("/truth/{id}"))["score"].is_object());
    process::send(child.id(), Signal::SIGTERM);
    let rest: Vec<Value> = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert!(rest.last().unwrap()["requests"].as_u64().unwrap() >= 3, "{rest:?}");
    let code = wait::until("its end", Duration::from_secs(10), || child.try_wait().unwrap());
    assert_eq!(code.code(), Some(0));
}
