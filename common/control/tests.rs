//! Requests and answers, lines in pieces, and the client against a real socket.

use super::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(10);

/// A daemon that answers one request with these bytes; what it was asked comes back.
fn daemon(answer: Vec<u8>) -> (tempfile::TempDir, PathBuf, std::thread::JoinHandle<Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        let mut byte = [0];
        while !asked.ends_with(b"\n") && socket.read(&mut byte).unwrap() == 1 {
            asked.push(byte[0]);
        }
        socket.write_all(&answer).unwrap();
        asked
    });
    (folder, path, thread)
}

fn ask(answer: &[u8]) -> Result<Value, ControlError> {
    let (_folder, path, thread) = daemon(answer.to_vec());
    let result = Client::connect(&path).unwrap().request("status", Map::new(), LONG);
    thread.join().unwrap();
    result
}

#[test]
fn the_words_on_the_wire() {
    let mut request = Request::new("match");
    request.args.insert("match".to_owned(), json!("inplay/7"));
    assert_eq!(request.to_line(), b"{\"verb\":\"match\",\"args\":{\"match\":\"inplay/7\"}}\n");
    assert_eq!(Request::parse(b"{\"verb\":\"status\"}").unwrap(), Request::new("status"));
    assert_eq!(request.text("match"), Some("inplay/7"));
    for bad in [&b""[..], b"status", b"[]", b"{}", b"{\"verb\":1}", b"{\"verb\":\"a\",\"x\":1}", b"\xff"] {
        assert!(Request::parse(bad).is_err());
    }
    assert_eq!(Answer::Ok(json!({"a": 1})).to_line(), b"{\"ok\":true,\"result\":{\"a\":1}}\n");
    let refused = Answer::refused(Code::Refused, "not you");
    assert_eq!(refused.to_line(), b"{\"ok\":false,\"code\":5,\"error\":\"not you\"}\n");
}

fn arguments(verb: &str, args: &Value) -> Result<Value, String> {
    let verb = Verb::by_name(verb).unwrap();
    verb.read(args.as_object().cloned().unwrap()).map(Value::Object)
}

#[test]
fn arguments_are_taken_with_hyphens_and_refused_with_the_known_ones() {
    for written in ["dry_run", "dry-run"] {
        assert_eq!(arguments("rebalance", &json!({ written: true })).unwrap(), json!({ "dry_run": true }));
    }
    let read = arguments("events", &json!({ "since": "7", "follow": null, "match": "90/1" })).unwrap();
    assert_eq!(read, json!({ "since": 7, "match": "90/1" }));
    for (verb, args, said) in [
        ("rebalance", json!({ "dryrun": true }), "it takes dry_run, timeout_ms"),
        ("status", json!({ "feed": "a" }), "it takes none"),
        ("rebalance", json!({ "dry_run": "yes" }), "expected true or false"),
        ("stop", json!({ "now": 1 }), "expected true or false"),
        ("match", json!({ "match": 90 }), "expected text"),
        ("scale", json!({ "min": -1 }), "expected a whole number"),
        ("drain", json!({ "worker": [1] }), "expected the number of a worker"),
        ("rebalance", json!({ "dry-run": true, "dry_run": false }), "given twice"),
    ] {
        let error = arguments(verb, &args).unwrap_err();
        assert!(error.contains(said) && error.contains(verb), "{verb} {args}: {error}");
    }
}

#[test]
fn verbs_that_are_not_there_say_what_is() {
    let (code, error) = Verb::by_name("fly").unwrap_err();
    assert!(code == Code::Usage && error.contains("status, workers, matches"), "{error}");
    for verb in UNBUILT {
        let error = format!("`{verb}` is not in this build");
        assert_eq!(Verb::by_name(verb).unwrap_err(), (Code::Failed, error));
    }
    let help = help();
    assert_eq!(help.as_array().unwrap().len(), VERBS.len());
    let rebalance = json!({ "verb": "rebalance", "access": "operate",
        "args": { "dry_run": "true or false", "timeout_ms": "a whole number" } });
    assert!(help.as_array().unwrap().contains(&rebalance), "{help}");
    let error = Request::parse(b"{\"verb\":\"status\",\"arg\":{}}").unwrap_err();
    assert!(error.contains("`arg`") && error.contains("`verb` or `args`"), "{error}");
}

#[test]
fn an_answer_is_given_as_it_was_written() {
    let (_folder, path, thread) = daemon(b"{\"ok\":true,\"result\":{\"z\":1.0,\"a\":[ ]}}\n".to_vec());
    let raw = Client::connect(&path).unwrap().request_raw("status", Map::new(), LONG).unwrap();
    assert_eq!(raw.get(), "{\"z\":1.0,\"a\":[ ]}");
    assert_eq!(thread.join().unwrap(), b"{\"verb\":\"status\",\"args\":{}}\n");
}

#[test]
fn each_end_has_its_code() {
    assert_eq!(ask(b"{\"ok\":true}\n").unwrap(), Value::Null);
    for (answer, code) in [
        (&b"{\"ok\":false,\"code\":5,\"error\":\"not you\"}\n"[..], Code::Refused),
        (b"{\"ok\":false,\"code\":4}\n", Code::Partial),
        (b"{\"ok\":false,\"code\":99}\n", Code::Failed),
        (b"{\"ok\":false}\n", Code::Failed),
        (b"hello\n", Code::Failed),
        (b"{\"ok\":true", Code::Failed),
        (b"", Code::Failed),
    ] {
        assert_eq!(ask(answer).unwrap_err().code(), code, "{}", String::from_utf8_lossy(answer));
    }
    let nobody = Client::connect(std::path::Path::new("/nowhere/control.sock")).unwrap_err();
    assert_eq!(nobody.code(), Code::NotRunning);
    let folder = tempfile::tempdir().unwrap();
    let stale = folder.path().join("stale.sock");
    drop(UnixListener::bind(&stale).unwrap());
    assert_eq!(Client::connect(&stale).unwrap_err().code(), Code::NotRunning);
}

#[test]
fn a_silent_daemon_is_not_waited_for_longer_than_its_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let start = Instant::now();
    let timeout = Duration::from_millis(100);
    let error = Client::connect(&path).unwrap().request("status", Map::new(), timeout).unwrap_err();
    assert_eq!(error.code(), Code::Partial);
    assert!(start.elapsed() >= timeout && start.elapsed() < LONG);
}

#[test]
fn lines_follow_an_answer() {
    let (_folder, path, thread) =
        daemon(b"{\"ok\":true,\"result\":null}\n{\"seq\":1}\n{\"seq\":2}\n".to_vec());
    let (first, mut stream) = Client::connect(&path).unwrap().stream("events", Map::new(), LONG).unwrap();
    assert_eq!(first, Value::Null);
    assert_eq!(stream.next_line(Some(LONG)).unwrap().unwrap(), b"{\"seq\":1}");
    assert_eq!(stream.next_line(None).unwrap().unwrap(), b"{\"seq\":2}");
    assert_eq!(stream.next_line(None).unwrap(), None);
    thread.join().unwrap();
}

#[test]
fn a_line_beyond_its_bound_is_refused_whole_or_not() {
    let mut reader = LineReader::new(8);
    reader.push(b"1234567\nab");
    assert_eq!(reader.next_line().unwrap(), Some(&b"1234567"[..]));
    assert_eq!(reader.next_line().unwrap(), None);
    reader.push(b"cdefgh\n");
    assert_eq!(reader.next_line(), Err(LineError { limit: 8 }));
    let mut endless = LineReader::new(8);
    endless.push(&[b'x'; 9]);
    assert!(endless.next_line().is_err());
    let mut windows = LineReader::new(8);
    windows.push(b"a\r\n");
    assert_eq!(windows.next_line().unwrap(), Some(&b"a"[..]));
}

proptest! {
    #[test]
    fn lines_are_the_same_however_they_are_cut(
        lines in proptest::collection::vec("[^\n\r]{0,40}", 0..8),
        cuts in proptest::collection::vec(1..20usize, 1..30),
    ) {
        let whole: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let (mut reader, mut read) = (LineReader::new(MAX_REQUEST), Vec::new());
        let mut rest = whole.as_bytes();
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let at = (*cuts.next().unwrap()).min(rest.len());
            reader.push(&rest[..at]);
            rest = &rest[at..];
            while let Some(line) = reader.next_line().unwrap() {
                read.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        prop_assert_eq!(read, lines);
        prop_assert!(reader.rest().is_empty());
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (Request::parse(&bytes), Answer::parse(&bytes));
    }
}

#[test]
fn each_state_of_a_match_has_its_name() {
    use super::views::MatchViewState;
    for name in MatchViewState::NAMES {
        let state = MatchViewState::by_name(name).unwrap();
        assert_eq!(serde_json::to_value(state).unwrap(), name);
    }
    assert_eq!(MatchViewState::by_name("gone"), None);
}
