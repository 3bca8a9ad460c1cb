//! A client that others wrote joins the simulated room server and decodes what the server's truth says: so the simulator is no mere
//! mirror of our own codec.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use touchline_simulator::rooms::{Kind, RoomHandle, RoomOptions, RoomServer};

/// Comments that it must have decoded.
const ENOUGH: usize = 1_000;

/// What the other client prints of one room until it has decoded comments enough; none if it is not installed.
fn decoded(server: &RoomHandle, transport: &str, protover: u8) -> Option<Vec<Value>> {
    let Some(modules) = std::env::var_os("TOUCHLINE_ROOM_PEER") else {
        assert!(std::env::var_os("CI").is_none(), "TOUCHLINE_ROOM_PEER is not set; scripts/test sets it");
        eprintln!("SKIPPED: TOUCHLINE_ROOM_PEER is not set (scripts/need-room-peer installs it)");
        return None;
    };
    let port = match transport {
        "tcp" => server.address().port(),
        _ => server.websocket_address().port(),
    };
    let room = server.truth().rooms()[0];
    let mut child = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/rooms/client.cjs"))
        .args([transport, &port.to_string(), &room.to_string(), &protover.to_string(), "good"])
        .env("NODE_PATH", modules)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut printed = Vec::new();
    let mut comments = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert_ne!(line["event"], "error", "{line}");
        comments += usize::from(is_comment(&line["command"]));
        printed.push(line);
        if comments == ENOUGH {
            // No more changes from here: what was sent is what it has or is about to have.
            server.pause();
            drop(child.stdin.take());
        }
    }
    child.wait().unwrap();
    Some(printed)
}

fn is_comment(command: &Value) -> bool {
    command["cmd"].as_str().is_some_and(|cmd| cmd.starts_with("DANMU_MSG"))
}

/// What commands of this name say at `path`.
fn texts(printed: &[Value], cmd: &str, path: &str) -> BTreeSet<String> {
    let commands = printed.iter().map(|line| &line["command"]);
    let of_name = commands
        .filter(|command| command["cmd"].as_str().is_some_and(|name| name.split(':').next() == Some(cmd)));
    of_name.map(|command| command.pointer(path).unwrap().as_str().unwrap().to_owned()).collect()
}

fn assert_decodes(transport: &str, protover: u8, piece: Option<usize>) {
    let options = RoomOptions {
        rooms: 1,
        rate: 1_000.0,
        token: Some("good".to_owned()),
        piece,
        ..RoomOptions::default()
    };
    let server = RoomServer::start(&options).unwrap();
    let Some(printed) = decoded(&server, transport, protover) else { return };
    assert!(printed.iter().any(|line| line["event"] == "live"));
    let online = printed.iter().find(|line| line["event"] == "heartbeat").unwrap();
    assert!(online["online"].as_u64().unwrap() > 0, "{online}");
    let sent = server.truth().lines(server.truth().rooms()[0]);
    for (kind, cmd, path) in [
        (Kind::Comment, "DANMU_MSG", "/info/1"),
        (Kind::SuperChat, "SUPER_CHAT_MESSAGE", "/data/message"),
        (Kind::Gift, "SEND_GIFT", "/data/giftName"),
    ] {
        let said: Vec<&str> =
            sent.iter().filter(|sent| sent.line.kind == kind).map(|sent| sent.line.text.as_str()).collect();
        let got = texts(&printed, cmd, path);
        assert!(!got.is_empty() && got.iter().all(|text| said.contains(&text.as_str())), "{kind:?}");
        if kind == Kind::Comment {
            // It unpacks messages side by side, so the last may be missing.
            let missing = said.iter().take(ENOUGH / 2).find(|text| !got.contains(**text));
            assert_eq!(missing, None, "of {} it has {}", said.len(), got.len());
        }
    }
}

#[test]
fn another_client_decodes_what_was_sent_over_tcp_in_every_form() {
    assert_decodes("tcp", 1, None);
    assert_decodes("tcp", 2, Some(7));
    assert_decodes("tcp", 3, None);
}

#[test]
fn another_client_decodes_what_was_sent_over_a_websocket_in_every_form() {
    assert_decodes("ws", 1, None);
    assert_decodes("ws", 2, None);
    assert_decodes("ws", 3, None);
}
