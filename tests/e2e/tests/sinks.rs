//! Where rows are sent on to, with real servers: each row arrives once, whatever ends in the middle.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use touchline_common::control::Client;
use touchline_e2e::brokers::Redis;
use touchline_e2e::{ANSWER, BACK, LIVE, Site};
use touchline_harness::fixture::Fixture;
use touchline_harness::process::{self, Reaper};
use touchline_harness::wait;
use touchline_simulator::{Options, Simulator};

const CAP: &str = "max_subscriptions = 5";

fn small() -> Options {
    Options { matches: 6, rate: 300.0, cap: Some(5), ..Options::default() }
}

/// The rows that the daemon has committed in the stream of a lane, by their `seq`.
fn committed(fixture: &Fixture, lane: Option<&str>) -> BTreeMap<i64, Value> {
    let args = json!({ "since": 0, "lane": lane }).as_object().unwrap().clone();
    let client = Client::connect(&fixture.socket()).unwrap();
    let mut stream = client.stream("events", args, ANSWER).unwrap().1;
    let mut rows = BTreeMap::new();
    while let Some(line) = stream.next_line(Some(ANSWER)).unwrap() {
        let row: Value = serde_json::from_slice(&line).unwrap();
        rows.insert(row["seq"].as_i64().unwrap(), row);
    }
    rows
}

/// The sink of this name in `status`.
fn sink(fixture: &Fixture, name: &str) -> Option<Value> {
    let sinks = fixture.status("/recorder/sinks")?;
    sinks.as_array()?.iter().find(|sink| sink["name"] == name).cloned()
}

fn wait_for_sink(fixture: &Fixture, name: &str, what: &str, is: impl Fn(&Value) -> bool) {
    wait::until(what, BACK, || sink(fixture, name).filter(&is));
}

/// Pauses the server; then Redis has exactly what is committed, of both streams.
fn assert_all_is_in_redis(site: &Site, redis: &Redis) {
    site.simulator.pause();
    for (kind, lane) in [("ev", None), ("odds", Some("odds"))] {
        wait::until(&format!("every row of {kind}"), BACK, || {
            let (there, here) = (redis.rows(kind), committed(site, lane));
            (there == here && !here.is_empty()).then_some(())
        });
    }
    site.simulator.resume();
}

fn recorder(site: &Site) -> u32 {
    wait::until("the recorder", LIVE, || site.ready_recorder())
}

#[test]
fn each_row_and_document_arrives_in_redis() {
    let Some(redis) = Redis::start() else { return };
    let site = Site::live(&small(), &format!("{CAP}\n{}", redis.config()));
    site.wait_for_rows(300);
    assert_all_is_in_redis(&site, &redis);
    site.simulator.pause();
    let id = site.simulator.truth().matches()[0].clone();
    wait::until("the document of a match", BACK, || {
        let hash: BTreeMap<String, String> = redis::cmd("HGETALL")
            .arg(format!("touchline:match:inplay:{id}"))
            .query(&mut redis.connection())
            .unwrap();
        let document: Value = serde_json::from_str(hash.get("document")?).unwrap();
        let now = site.document(&id)?;
        assert_eq!(document["version"].to_string(), hash["version"]);
        // Behind the events for a while, and no longer.
        let stated = |row: &Value| (row["epoch"].as_u64(), row["version"].as_u64());
        let events = committed(&site, None);
        let newest = events.values().filter(|row| row["match"] == *id).map(stated).max()?;
        if (hash["epoch"].parse().ok(), hash["version"].parse().ok()) < newest {
            return None;
        }
        (document["markets"] == now["markets"] && document["version"] == now["version"]).then_some(())
    });
    let shown = sink(&site, "redis").unwrap();
    assert_eq!((&shown["state"], &shown["refused"]), (&json!("delivering"), &json!(0)), "{shown}");
    let status = process::run(site.path(), &["status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("sink      redis delivering"), "{status:?}");
    drop(redis);
}

#[test]
fn nothing_is_missing_or_doubled_when_recorder_and_redis_are_killed() {
    let Some(mut redis) = Redis::start() else { return };
    let site = Site::live(&small(), &format!("{CAP}\n{}", redis.config()));
    for _ in 0..3 {
        site.wait_for_rows(100);
        process::send(recorder(&site), Signal::SIGKILL);
        site.wait_for_rows(50);
        redis.kill_and_start();
    }
    recorder(&site);
    site.wait_for_rows(100);
    assert_all_is_in_redis(&site, &redis);
    drop(redis);
}

#[test]
fn a_redis_that_is_down_is_tried_again_and_holds_up_nothing_else() {
    let Some(mut redis) = Redis::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.ndjson");
    let ndjson = format!("{}ndjson = {:?}\ndown_after = \"1s\"\n", redis.config(), file.to_str().unwrap());
    let site = Site::live(&small(), &format!("{CAP}\n{ndjson}"));
    site.wait_for_rows(50);
    redis.kill();
    wait_for_sink(&site, "redis", "a sink that backs off", |sink| {
        sink["state"] == "backing off" && sink["next_retry_s"].is_number() && sink["last_error"] != ""
    });
    site.wait_for_rows(100);
    wait::until("a reason of health", BACK, || {
        let health = site.request("health", json!({})).ok()?;
        health["reasons"].to_string().contains("sink redis: down for").then_some(())
    });
    site.simulator.pause();
    wait::until("every event in the file", BACK, || {
        let events = committed(&site, None);
        (lines(&file, "match") == events).then_some(())
    });
    site.simulator.resume();
    redis.start_again();
    assert_all_is_in_redis(&site, &redis);
    let log = site.daemon.log();
    assert!(log.contains("sink.down sink=redis") && log.contains("sink.up sink=redis"), "{log}");
    drop(redis);
}

#[test]
fn a_full_server_and_a_replica_are_said_to_be_so_and_waited_for() {
    let Some(redis) = Redis::start() else { return };
    let site = Site::live(&small(), &format!("{CAP}\n{}", redis.config()));
    site.wait_for_rows(50);
    for (spoil, mend, said) in [
        (&["CONFIG", "SET", "maxmemory", "1"][..], &["CONFIG", "SET", "maxmemory", "0"][..], "out of memory"),
        (&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"], "is a replica"),
    ] {
        redis.ask(spoil);
        wait_for_sink(&site, "redis", said, |sink| {
            sink["state"] == "backing off" && sink["last_error"].as_str().unwrap().contains(said)
        });
        site.wait_for_rows(50);
        redis.ask(mend);
        assert_all_is_in_redis(&site, &redis);
    }
    drop(redis);
}

#[test]
fn a_replica_that_takes_over_is_sent_what_it_lacks() {
    let Some(primary) = Redis::start() else { return };
    let mut replica = Redis::replica_of(&primary);
    let site = Site::live(&small(), &format!("{CAP}\n{}", primary.config()));
    site.wait_for_rows(100);
    assert_all_is_in_redis(&site, &primary);
    // From here on it is behind, by rows of each stream that the primary confirms: any number of rows may be of one of them.
    replica.promote();
    wait::until("rows of both streams that it lacks", BACK, || {
        ["ev", "odds"]
            .iter()
            .all(|kind| replica.numbers(kind).len() < primary.numbers(kind).len())
            .then_some(())
    });
    assert_all_is_in_redis(&site, &primary);
    site.wait_for_rows(50);
    replica.replace(primary);
    site.wait_for_rows(50);
    assert_all_is_in_redis(&site, &replica);
    let shown = sink(&site, "redis").unwrap();
    assert_eq!((&shown["state"], &shown["refused"]), (&json!("delivering"), &json!(0)), "{shown}");
    drop(replica);
}

#[test]
fn rows_arrive_over_tls() {
    let Some(redis) = Redis::start_with_tls() else { return };
    let site = Site::live(&small(), &format!("{CAP}\n{}{}", redis.config(), redis.trust()));
    site.wait_for_rows(100);
    assert_all_is_in_redis(&site, &redis);
    drop(redis);
}

#[test]
fn a_certificate_that_is_not_trusted_is_said_to_be_so_and_gets_nothing() {
    let Some(redis) = Redis::start_with_tls() else { return };
    let site = Site::live(&small(), &format!("{CAP}\n{}", redis.config()));
    site.wait_for_rows(50);
    wait_for_sink(&site, "redis", "a certificate that is not trusted", |sink| {
        sink["state"] == "backing off" && sink["last_error"].as_str().unwrap().contains("certificate")
    });
    assert!(redis.numbers("ev").is_empty());
    drop(redis);
}

/// Takes everything from the server, while nothing is under way.
fn flush(site: &Site, redis: &Redis) {
    site.simulator.pause();
    wait::until("quiet", BACK, || {
        let same = |kind, lane| redis.rows(kind) == committed(site, lane);
        (same("ev", None) && same("odds", Some("odds"))).then_some(())
    });
    redis.ask(&["FLUSHALL"]);
}

#[test]
fn what_a_server_lost_is_told_again() {
    let Some(mut redis) = Redis::start() else { return };
    let site = Site::live(&small(), &format!("{CAP}\n{}", redis.config()));
    site.wait_for_rows(100);
    assert_all_is_in_redis(&site, &redis);
    // A rewind tells what is there once more, and the server keeps one of each.
    let args = ["sink", "rewind", "redis", "--since", "0"];
    let rewound = process::run(site.path(), &args);
    assert!(rewound.status.success(), "{rewound:?}");
    assert_all_is_in_redis(&site, &redis);
    flush(&site, &redis);
    assert!(process::run(site.path(), &args).status.success());
    assert!(process::run(site.path(), &[&args[..], &["--lane", "odds"]].concat()).status.success());
    assert_all_is_in_redis(&site, &redis);
    // A server that comes back without anything.
    flush(&site, &redis);
    redis.kill_and_start();
    assert_all_is_in_redis(&site, &redis);
    let unknown = process::run(site.path(), &["sink", "rewind", "kafka", "--since", "0"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("redis"), "{unknown:?}");
    drop(redis);
}

/// The rows of a file, of the match stream and of the bulk stream; each is there once, each line is whole.
fn lines(file: &Path, stream: &str) -> BTreeMap<i64, Value> {
    let mut rows = BTreeMap::new();
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for line in whole.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let of = if matches!(row["lane"].as_str(), Some("odds" | "chat")) { "bulk" } else { "match" };
        if of == stream {
            assert!(rows.insert(row["seq"].as_i64().unwrap(), row).is_none(), "twice: {line}");
        }
    }
    rows
}

#[test]
fn each_row_is_a_line_of_a_file_also_across_a_killed_recorder_and_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let (file, old) = (folder.path().join("rows.ndjson"), folder.path().join("rows.1"));
    let site = Site::live(&small(), &format!("{CAP}\n[streams]\nndjson = {:?}\n", file.to_str().unwrap()));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o137, 0, "no more than 0640");
    for _ in 0..3 {
        site.wait_for_rows(100);
        process::send(recorder(&site), Signal::SIGKILL);
    }
    recorder(&site);
    site.wait_for_rows(100);
    fs::rename(&file, &old).unwrap();
    site.ask("log", json!({ "action": "reopen" }));
    wait::until("another file", BACK, || file.exists().then_some(()));
    site.wait_for_rows(100);
    site.simulator.pause();
    for (stream, lane) in [("match", None), ("bulk", Some("odds"))] {
        wait::until(&format!("every row of the {stream} stream"), BACK, || {
            let (mut rows, more) = (lines(&old, stream), lines(&file, stream));
            let sum = rows.len() + more.len();
            rows.extend(more);
            assert_eq!(rows.len(), sum, "a row is in both files");
            (rows == committed(&site, lane)).then_some(())
        });
    }
}

#[test]
fn standard_output_takes_lines_too() {
    let _reaper = Reaper::new();
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows");
    let simulator = Simulator::start(&small()).unwrap();
    touchline_e2e::write_config(
        folder.path(),
        simulator.address(),
        &format!("{CAP}\n[streams]\nndjson = \"-\"\n"),
    );
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" run --config touchline.toml > rows"]).arg(process::program());
    let mut fixture = Fixture::start(folder, command, ANSWER);
    fixture.wait_for_status("its matches", LIVE, |status| status["matches"]["live"] == 6);
    fixture.wait_until_recorded(6, LIVE);
    simulator.pause();
    wait::until("every event on standard output", BACK, || {
        (lines(&rows, "match") == committed(&fixture, None)).then_some(())
    });
    fixture.stop(Duration::from_secs(25));
}
