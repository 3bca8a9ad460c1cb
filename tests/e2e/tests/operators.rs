//! The control socket and the command line, as operators and scripts use them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use touchline_e2e::Site;
use touchline_harness::process;
use touchline_simulator::Options;

fn small() -> Options {
    Options { matches: 6, rate: 200.0, cap: Some(5), ..Options::default() }
}

const CAP: &str = "max_subscriptions = 5";

#[test]
fn the_socket_is_for_the_group_and_speaks_lines_of_json() {
    let site = Site::live(&small(), CAP);
    let mode = std::fs::metadata(site.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let mut socket = UnixStream::connect(site.socket()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.write_all(b"{\"verb\":\"ping\",\"args\":{}}\nnonsense\n{\"verb\":\"fly\"}\n").unwrap();
    socket.write_all(b"{\"verb\":\"rebalance\",\"args\":{\"dryrun\":true}}\n").unwrap();
    socket.write_all(b"{\"verb\":\"reload\"}\n").unwrap();
    let lines: Vec<Value> = BufReader::new(&socket)
        .lines()
        .take(5)
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    let with = |member: &str, value: Value| lines.iter().filter(|line| line[member] == value).count();
    assert_eq!(with("ok", json!(true)), 1, "{lines:?}");
    assert_eq!((with("code", json!(2)), with("code", json!(1))), (3, 1), "{lines:?}");
    let verbs = site.ask("help", json!({}));
    assert!(verbs.as_array().unwrap().iter().any(|verb| verb["verb"] == "rebalance"), "{verbs}");
}

#[test]
fn a_second_instance_is_refused_with_the_pid_of_the_first() {
    let site = Site::live(&small(), CAP);
    let second = process::run(site.path(), &["run", "--config", "touchline.toml"]);
    assert_eq!(second.status.code(), Some(3));
    let output = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(output.contains(&site.daemon.pid().to_string()), "{output}");
    assert_eq!(site.count("/matches/live"), 6, "the first is unharmed");
}

#[test]
fn every_reading_verb_answers_in_text_and_in_json() {
    let site = Site::live(&small(), CAP);
    let id = site.simulator.truth().matches().into_iter().next().unwrap();
    for verb in [
        vec!["status"],
        vec!["workers"],
        vec!["matches"],
        vec!["match", &id],
        vec!["events", "--limit", "5"],
        vec!["gaps"],
        vec!["health"],
        vec!["ping"],
        vec!["wait-ready"],
    ] {
        let text = process::run(site.path(), &verb);
        assert_eq!(text.status.code(), Some(0), "{verb:?}: {}", String::from_utf8_lossy(&text.stderr));
        let with_json: Vec<&str> = verb.iter().copied().chain(["--json"]).collect();
        let output = process::run(site.path(), &with_json);
        assert_eq!(output.status.code(), Some(0), "{verb:?}");
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{verb:?}: {error}: {line}"));
        }
    }
}

#[test]
fn the_answers_have_the_members_that_are_promised() {
    let site = Site::live(&small(), CAP);
    let status = site.ask("status", json!({}));
    for path in [
        "/version",
        "/build",
        "/pid",
        "/uptime_s",
        "/state",
        "/epoch",
        "/workers/ready",
        "/workers/max",
        "/matches/listed",
        "/matches/waiting",
        "/feeds/0/asked",
        "/feeds/0/acknowledged",
        "/feeds/0/live",
        "/feeds/0/cap",
        "/recorder/state",
        "/recorder/documents",
        "/recorder/events",
        "/gateway/state",
        "/sandbox/landlock",
    ] {
        assert!(status.pointer(path).is_some_and(|value| !value.is_null()), "{path} of {status}");
    }
    assert!(status.pointer("/feeds/0/learned_cap").is_some_and(Value::is_null));
    let worker = site.ask("workers", json!({}))[0].clone();
    for name in [
        "worker",
        "pid",
        "state",
        "feed",
        "connection",
        "matches",
        "subscriptions",
        "reserved",
        "cap",
        "busy",
        "diffs_per_s",
        "bytes_per_s",
        "receive_queue_bytes",
        "receive_queue_peak_bytes",
        "lag_us",
        "rss_bytes",
        "restarts",
        "generation",
        "uptime_s",
    ] {
        assert!(!worker[name].is_null(), "{name} of {worker}");
    }
    let found = site.ask("matches", json!({}))[0].clone();
    for name in ["match", "feed", "worker", "epoch", "state", "version", "updated_at", "age_ms", "name"] {
        assert!(!found[name].is_null(), "{name} of {found}");
    }
    let document = site.ask("match", json!({ "match": found["match"] }));
    for name in [
        "match",
        "feed",
        "source",
        "epoch",
        "version",
        "received_at",
        "updated_at",
        "stale",
        "status",
        "market_order",
        "markets",
    ] {
        assert!(!document[name].is_null(), "{name} of {document}");
    }
}

#[test]
fn mistakes_end_with_a_message_and_the_right_code() {
    let site = Site::live(&small(), CAP);
    for (verb, code) in [
        (vec!["statsu"], 2),
        (vec!["status", "--frobnicate"], 2),
        (vec!["match", "no-such-match"], 1),
        (vec!["matches", "--state", "flying"], 2),
        (vec!["drain", "99"], 1),
    ] {
        let output = process::run(site.path(), &verb);
        assert_eq!(output.status.code(), Some(code), "{verb:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stderr.is_empty(), "{verb:?} prints nothing");
    }
}

#[test]
fn without_a_daemon_the_code_is_three() {
    let folder = tempfile::tempdir().unwrap();
    let output = process::run(folder.path(), &["status", "--socket", "absent.sock"]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn events_can_be_followed() {
    let site = Site::live(&small(), CAP);
    let client = touchline_common::control::Client::connect(&site.socket()).unwrap();
    let args = json!({ "follow": true }).as_object().cloned().unwrap();
    let (_, mut stream) = client.stream("events", args, touchline_e2e::ANSWER).unwrap();
    let mut last = 0;
    for _ in 0..20 {
        let line = stream.next_line(Some(touchline_e2e::ANSWER)).unwrap().expect("a stream that goes on");
        let event: Value = serde_json::from_slice(&line).unwrap();
        let seq = event["seq"].as_u64().unwrap();
        assert!(seq > last, "{event}");
        last = seq;
    }
}

#[test]
fn another_user_is_refused_with_code_five() {
    use std::os::unix::process::CommandExt;
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can ask as another user");
        return;
    }
    let site = Site::live(&small(), CAP);
    let stranger = |what: &str| {
        std::process::Command::new(process::program())
            .args([what, "--socket"])
            .arg(site.socket())
            .uid(65_534)
            .gid(65_534)
            .output()
            .unwrap()
    };
    std::fs::set_permissions(site.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = stranger("status");
    assert_eq!(output.status.code(), Some(5), "the socket is closed to others: {output:?}");
    // Even one who may open the socket is asked for his uid.
    std::fs::set_permissions(site.socket(), std::fs::Permissions::from_mode(0o666)).unwrap();
    for verb in ["status", "stop"] {
        let output = stranger(verb);
        assert_eq!(output.status.code(), Some(5), "{verb}: {output:?}");
    }
    assert!(String::from_utf8_lossy(&stranger("status").stderr).contains("65534"));
    assert_eq!(site.count("/matches/live"), 6);
}

#[test]
fn the_odds_of_a_market_are_listed_over_time() {
    let site = Site::live(&Options { rate: 2_000.0, ..small() }, CAP);
    let id = site.simulator.truth().matches().into_iter().next().unwrap();
    let changes = touchline_harness::wait::until("some odds", Duration::from_secs(10), || {
        let odds = site.ask("odds", json!({ "match": id }));
        let rows = odds.as_array()?.clone();
        (rows.len() >= 5).then_some(rows)
    });
    let market = changes[0]["market"].as_str().unwrap_or_else(|| panic!("{}", changes[0])).to_owned();
    let of_one = site.ask("odds", json!({ "match": id, "market": market }));
    assert!(of_one.as_array().unwrap().iter().all(|row| row["market"] == market.as_str()), "{of_one}");
    let text = process::run(site.path(), &["odds", &id]);
    assert_eq!(text.status.code(), Some(0));
    assert!(!text.stdout.is_empty());
}
