//! The whole recorder over socket pairs: a coordinator and workers played by the test, a store on disk.
#![allow(clippy::wildcard_enum_match_arm)]

mod broken;
mod outgoing;
mod peer;

use super::*;
use peer::{Coordinator, PATIENCE, config, key, line};
use rusqlite::Connection;
use std::io::BufRead;
use touchline_common::ipc::messages::data::*;
use touchline_common::ipc::messages::data::{EndReason, Extent};
use touchline_common::ipc::messages::recorder::Owner;
use touchline_common::model::*;

fn types_of(store: &Connection) -> Vec<(i64, String)> {
    let mut statement = store.prepare("SELECT seq, type FROM events ORDER BY seq").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

fn count(store: &Connection, sql: &str) -> i64 {
    store.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_match_from_load_to_store() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let mut worker = coordinator.worker(1, 1);
    worker.base("M1", 5, 0);
    worker.publish(
        "M1",
        5,
        Extent::Whole,
        &[("", Some(r#"{"name":"A v B"}"#)), ("K1", Some(r#"{"id":"7"}"#)), ("K2", Some("{}"))],
    );
    coordinator.switched("M1", 5);
    worker.obs("M1", 5, 1);
    worker.publish("M1", 5, Extent::Changes, &[("K2", None), ("K1", Some(r#"{"id":"8"}"#))]);
    worker.acknowledged();

    let want = serde_json::json!({"match":"M1","feed":"inplay","source":"match","epoch":5,"version":2,
        "received_at":"2023-11-14T22:13:20.000000Z","updated_at":"2023-11-14T22:13:20.000100Z","stale":false,
        "name":"A v B","markets":{"K1":{"id":"8"}}});
    let end = Instant::now() + PATIENCE;
    let document = loop {
        let answer = coordinator.answer("match", r#"{"match":"M1"}"#);
        assert_eq!(answer["ok"], true, "{answer}");
        if answer["result"]["version"] == 2 || Instant::now() > end {
            break answer["result"].clone();
        }
    };
    assert_eq!(document, want);

    let mut events = coordinator.ask("events", r#"{"match":"inplay/M1","limit":1}"#);
    assert_eq!(line(&mut events)["ok"], true);
    let goal = line(&mut events);
    assert_eq!(
        (goal["type"].as_str(), goal["seq"].as_i64(), goal["minute"].as_i64()),
        (Some("goal"), Some(3), Some(1))
    );
    assert_eq!(goal["score"], serde_json::json!({"home":1,"away":0}));
    assert_eq!(goal["retracts"], serde_json::Value::Null);

    let store = coordinator.stop();
    let saved: String = store.query_row("SELECT document FROM matches", [], |row| row.get(0)).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&saved).unwrap(), want, "the view says the same");
    assert_eq!(
        types_of(&store)[..3],
        [(1, "match_listed".into()), (2, "match_started".into()), (3, "goal".into())]
    );
    assert_eq!(count(&store, "SELECT count(*) FROM timeline WHERE type = 'goal'"), 1);
}

#[test]
fn a_clean_stop_leaves_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let mut worker = coordinator.worker(1, 1);
    worker.base("M1", 5, 0);
    worker.acknowledged();
    let logs = || {
        let folders = [folder.path().to_owned(), folder.path().join("hours")];
        let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with("-wal")).collect::<Vec<_>>()
    };
    assert_eq!(logs().len(), 2);
    coordinator.send(&ToRecorder::Stop { deadline_ms: 500 });
    coordinator.end().unwrap();
    assert_eq!(logs(), Vec::<String>::new());
}

#[test]
fn a_recorder_whose_files_were_moved_leaves() {
    for name in ["touchline.db", "touchline.db-wal", "hours"] {
        let folder = tempfile::tempdir().unwrap();
        let mut coordinator = Coordinator::start(&config(&folder));
        std::fs::rename(folder.path().join(name), folder.path().join("elsewhere")).unwrap();
        let why = coordinator.until(|message| match message {
            FromRecorder::Leaving { why } => Some(why.clone()),
            _ => None,
        });
        assert!(why.contains("was moved, replaced or deleted"), "{name}: {why}");
        assert!(matches!(coordinator.end(), Err(RecordError::Moved { .. })), "{name}");
    }
}

#[test]
fn a_restarted_recorder_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let mut coordinator = Coordinator::start(&config);
    let token = coordinator.ready;
    let mut worker = coordinator.worker(1, 1);
    worker.base("M1", 5, 0);
    worker.publish("M1", 5, Extent::Whole, &[("", Some(r#"{"name":"A v B"}"#))]);
    worker.obs("M1", 5, 1);
    worker.acknowledged();
    drop(coordinator.stop());

    // The same worker, which goes on holding its match.
    let mut coordinator = Coordinator::start(&config);
    assert_eq!(coordinator.ready, token.map(|(_, token)| (Epoch(5), token)));
    let document = coordinator.answer("match", r#"{"match":"M1"}"#);
    assert_eq!((&document["result"]["stale"], &document["result"]["name"]), (&true.into(), &"A v B".into()));
    let sent = worker.sent;
    let mut again = coordinator.worker(1, 1);
    assert_eq!(again.sent, sent, "what is committed is not sent again");
    again.obs("M1", 5, 2);
    again.base("M1", 6, 2);
    coordinator.switched("M1", 6);
    again.acknowledged();
    let store = coordinator.stop();
    let types: Vec<String> = types_of(&store).into_iter().map(|(_, kind)| kind).collect();
    // The drop of the first channel at the stop is no death: the recorder left before it.
    assert_eq!(types.iter().filter(|kind| *kind == "goal").count(), 2, "{types:?}");
    let dense = count(&store, "SELECT count(*) = max(seq) FROM events");
    assert_eq!(dense, 1);
}

#[test]
fn what_a_worker_took_along_that_was_behind_is_in_its_gap() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    // There was no recorder for half a minute: this is the oldest of what it holds.
    let seen_at = time::wall_us() - 30_000_000;
    let mut behind = coordinator.worker(1, 1);
    behind.base_of("M1", 5, 0, seen_at);
    behind.acknowledged();
    drop(behind);
    assert_eq!(coordinator.gap_since(), seen_at);
    coordinator.stop();
}

#[test]
fn lines_of_a_room_that_a_worker_took_along_are_in_its_gap() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let mut worker = coordinator.worker(1, 1);
    worker.base("M1", 5, 0);
    // The disk was full: its newest line to come is of long ago, its values are of now.
    let heard_at = time::wall_us() - 7_000_000;
    let (kind, amount, feed_at) = (ChatKind::Comment, None, None);
    let line = ChatLine { kind, id: "1".into(), user: "ann".into(), text: "hello".into(), amount, feed_at };
    let room = worker.of("M1", 5);
    worker.bulk(room, BulkBody::Chat { lines: vec![line].into(), at: heard_at });
    worker.obs("M1", 5, 1);
    worker.acknowledged();
    drop(worker);
    assert_eq!(coordinator.gap_since(), heard_at);
    coordinator.stop();
}

#[test]
fn all_that_a_worker_took_along_that_reported_nothing_yet_is_in_its_gap() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let mut first = coordinator.worker(1, 1);
    first.base("M1", 5, 0);
    first.acknowledged();
    coordinator.stop();
    // It holds what it saw while there was no recorder, and dies before it could tell.
    let no_recorder = time::wall_us();
    let mut coordinator = Coordinator::start(&config(&folder));
    let worker = coordinator.worker(1, 1);
    // So long that the moment before its end is later than that.
    while time::wall_us() < no_recorder + 300_000 {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(worker);
    let since = coordinator.gap_since();
    assert!(since <= no_recorder, "{since} {no_recorder}");
    coordinator.stop();
}

#[test]
fn a_document_says_nothing_of_what_its_worker_holds() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let seen_at = time::wall_us() - 30_000_000;
    let mut behind = coordinator.worker(1, 1);
    behind.base_of("M1", 5, 0, seen_at);
    behind.publish_at("M1", 5, Extent::Whole, &[("", Some("{}"))], time::wall_us());
    behind.acknowledged();
    drop(behind);
    assert_eq!(coordinator.gap_since(), seen_at);
    coordinator.stop();
}

#[test]
fn a_dead_worker_is_a_gap_until_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let mut first = coordinator.worker(1, 1);
    first.base("M1", 5, 0);
    first.acknowledged();
    drop(first);
    coordinator.until(|message| match message {
        FromRecorder::Stats(stats) if stats.gaps_open == 1 => Some(()),
        _ => None,
    });
    let mut second = coordinator.worker(2, 1);
    second.publish("M1", 8, Extent::Whole, &[("", Some(r#"{"name":"new"}"#))]);
    second.base("M1", 8, 1);
    coordinator.switched("M1", 8);
    let gaps = coordinator.answer("gaps", "{}");
    assert_eq!(gaps["result"][0]["reason"], "worker_died");
    assert!(gaps["result"][0]["ended_at"].is_string(), "{gaps}");
    let document = coordinator.answer("match", r#"{"match":"M1"}"#);
    assert_eq!((&document["result"]["epoch"], &document["result"]["version"]), (&8.into(), &1.into()));
    let store = coordinator.stop();
    let types: Vec<String> = types_of(&store).into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(types[..5], ["match_listed", "match_started", "gap_start", "goal", "gap_end"]);
    assert_eq!(count(&store, "SELECT recovered FROM events WHERE type = 'goal'"), 1);
}

#[test]
fn a_switch_waits_and_the_old_epoch_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let (mut old, mut new) = (coordinator.worker(1, 1), coordinator.worker(2, 1));
    old.base("M1", 5, 0);
    coordinator.switched("M1", 5);
    new.base("M1", 6, 0);
    new.acknowledged();
    coordinator.send(&ToRecorder::Switch { key: key("M1"), epoch: Epoch(6), owner: Owner::Alive });
    // Both have read all that the server sent, and say so.
    for worker in [&mut old, &mut new] {
        worker.until(|message| matches!(message, FromRecorderData::Mark { .. }).then_some(()));
    }
    coordinator.switched("M1", 6);
    old.obs("M1", 5, 1);
    new.obs("M1", 6, 1);
    new.acknowledged();
    // A rendering under the old epoch is refused, and that is said once.
    old.publish("M1", 5, Extent::Changes, &[("", Some("{}"))]);
    old.until(|message| matches!(message, FromRecorderData::Refused { .. }).then_some(()));
    old.end("M1", 5, EndReason::Moved);
    old.acknowledged();
    let store = coordinator.stop();
    assert_eq!(count(&store, "SELECT count(*) FROM events WHERE type = 'goal' AND epoch = 6"), 1);
    assert_eq!(count(&store, "SELECT count(*) FROM gaps WHERE reason = 'moved'"), 0);
}

#[test]
fn what_is_assigned_before_the_end_of_the_one_before_was_seen_is_rendered_without_a_break() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let (mut old, mut new) = (coordinator.worker(1, 1), coordinator.worker(2, 1));
    let head = r#"{"name":"old","status":"in_play"}"#;
    old.base("M1", 5, 0);
    old.publish("M1", 5, Extent::Whole, &[("", Some(head)), ("tail", Some("{}")), ("K", Some("{}"))]);
    coordinator.switched("M1", 5);
    coordinator.send(&ToRecorder::Switch { key: key("M1"), epoch: Epoch(6), owner: Owner::Dead });
    new.base("M1", 6, 0);
    new.publish("M1", 6, Extent::Whole, &[("", Some(r#"{"name":"new"}"#)), ("tail", Some("{}"))]);
    new.acknowledged();
    old.end("M1", 5, EndReason::Ended);
    old.acknowledged();
    coordinator.switched("M1", 6);
    new.publish("M1", 6, Extent::Changes, &[("", Some(r#"{"name":"newer"}"#))]);
    new.obs("M1", 6, 1);
    new.acknowledged();
    let document = coordinator.answer("match", r#"{"match":"M1"}"#);
    assert_eq!(document["result"]["name"], "newer");
    let store = coordinator.stop();
    assert_eq!(count(&store, "SELECT count(*) FROM sections WHERE section = 'market:K'"), 0);
    assert_eq!(count(&store, "SELECT count(*) FROM documents WHERE state = 'live' AND epoch = 6"), 1);
}

#[test]
fn a_hole_in_the_numbers_ends_the_channel() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let mut worker = coordinator.worker(1, 1);
    worker.base("M1", 5, 0);
    worker.sent.0 += 1;
    worker.obs("M1", 5, 1);
    worker.closed();
    let store = coordinator.stop();
    assert_eq!(count(&store, "SELECT count(*) FROM events WHERE type = 'goal'"), 0);
}

#[test]
fn a_hole_in_the_numbers_of_the_bulk_stream_ends_the_channel_and_a_repetition_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let mut worker = coordinator.worker(1, 1);
    let of = ("K1", "S1");
    worker.base("M1", 5, 0);
    coordinator.switched("M1", 5);
    worker.odds_base("M1", 5, &[(of, "1/2")]);
    worker.price("M1", 5, of, "3/4");
    worker.acknowledged();
    worker.sent.1 -= 1;
    worker.price("M1", 5, of, "9/4");
    worker.price("M1", 5, of, "5/4");
    worker.acknowledged();
    worker.sent.1 += 1;
    worker.price("M1", 5, of, "7/4");
    worker.closed();
    let answer = coordinator.answer("odds", r#"{"match":"M1"}"#);
    let rows = answer["result"].as_array().unwrap();
    let texts: Vec<&str> = rows.iter().filter_map(|row| row["odds_text"].as_str()).collect();
    assert_eq!(texts, ["1/2", "3/4", "5/4"]);
    coordinator.stop();
}

#[test]
fn a_worker_goes_on_where_the_position_of_its_bulk_stream_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let mut coordinator = Coordinator::start(&config);
    let mut worker = coordinator.worker(1, 1);
    let of = ("K1", "S1");
    worker.base("M1", 5, 0);
    worker.odds_base("M1", 5, &[(of, "1/2")]);
    worker.price("M1", 5, of, "3/4");
    worker.acknowledged();
    let sent = worker.sent;
    drop(coordinator.stop());
    for file in std::fs::read_dir(folder.path().join("hours")).unwrap() {
        std::fs::write(file.unwrap().path(), "not a database".repeat(100)).unwrap();
    }

    let mut coordinator = Coordinator::start(&config);
    let mut again = coordinator.worker(1, 1);
    assert_eq!(again.sent, (sent.0, 0));
    // What is acknowledged the worker has no more.
    again.sent.1 = sent.1;
    again.price("M1", 5, of, "5/4");
    again.acknowledged();
    coordinator.stop();
}

#[test]
fn a_workers_next_channel_ends_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let mut first = coordinator.worker(1, 1);
    first.base("M1", 5, 0);
    first.acknowledged();
    let mut second = coordinator.worker(1, 1);
    first.closed();
    drop(first);
    second.obs("M1", 5, 1);
    second.price("M1", 5, ("K1", "S1"), "5/4");
    second.acknowledged();
    let store = coordinator.stop();
    assert_eq!(count(&store, "SELECT count(*) FROM events WHERE type = 'goal'"), 1);
}

#[test]
fn followers_see_each_event_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let mut worker = coordinator.worker(1, 1);
    worker.base("M1", 5, 0);
    worker.acknowledged();
    let mut follower = coordinator.ask("events", r#"{"follow":true,"since":0}"#);
    assert!(line(&mut follower)["result"]["seq"].is_u64());
    for goals in 1..=30 {
        worker.obs("M1", 5, goals);
    }
    for seq in 1..=32 {
        assert_eq!(line(&mut follower)["seq"], seq);
    }
    let mut stuck = String::new();
    drop(coordinator.stop());
    while follower.read_line(&mut stuck).unwrap() > 0 {}
    assert!(!stuck.contains("goal"), "{stuck}");
}

#[test]
fn waiting_matches_show_what_the_list_knows_and_end_as_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let listing = Listing { name: Some("A v B".into()), in_play: true, ..Listing::default() };
    coordinator.send(&ToRecorder::Waiting { key: key("M1"), listing });
    let document = coordinator.answer("match", r#"{"match":"M1"}"#);
    assert_eq!((&document["result"]["source"], &document["result"]["home"]), (&"list".into(), &"A".into()));
    coordinator.send(&ToRecorder::Ended { key: key("M1"), epoch: Epoch(4) });
    let mut follower = coordinator.ask("events", r#"{"follow":true,"since":0}"#);
    line(&mut follower);
    for kind in ["match_listed", "match_ended"] {
        assert_eq!(line(&mut follower)["type"], kind);
    }
    let gone = coordinator.answer("match", r#"{"match":"other"}"#);
    assert_eq!((&gone["ok"], &gone["code"]), (&false.into(), &1.into()));
    assert_eq!(coordinator.answer("paint", "{}")["code"], 2);
    let store = coordinator.stop();
    let over = "SELECT count(*) FROM matches WHERE state = 'ended' AND document ->> '$.status' = 'finished'";
    assert_eq!(count(&store, over), 1);
}

#[test]
fn matches_of_a_feed_that_is_not_configured_any_more_end_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let mut worker = coordinator.worker(1, 1);
    worker.base("M1", 5, 0);
    let head = r#"{"name":"A v B","status":"in_play","clock":{"seconds":9,"running":true}}"#;
    worker.publish("M1", 5, Extent::Whole, &[("", Some(head))]);
    coordinator.switched("M1", 5);
    worker.acknowledged();
    let listing = Listing { name: Some("C v D".into()), in_play: true, ..Listing::default() };
    coordinator.send(&ToRecorder::Waiting { key: key("M2"), listing });
    assert_eq!(coordinator.answer("match", r#"{"match":"M2"}"#)["ok"], true);
    drop(coordinator.stop());

    let mut other = config(&folder);
    other.feed[0].name = "other".into();
    for start in 1..=2 {
        let mut coordinator = Coordinator::start(&other);
        let mut follower = coordinator.ask("events", r#"{"follow":true,"since":0}"#);
        line(&mut follower);
        let mut ended = Vec::new();
        while ended.len() < 2 {
            let event = line(&mut follower);
            if event["type"] == "match_ended" {
                ended.push((event["feed"].to_string(), event["match"].to_string()));
            }
        }
        ended.sort();
        let of = |id: &str| ("\"inplay\"".to_owned(), format!("\"{id}\""));
        assert_eq!(ended, [of("M1"), of("M2")], "start {start}");
        let store = coordinator.stop();
        assert_eq!(count(&store, "SELECT count(*) FROM events WHERE type = 'match_ended'"), 2);
        let over =
            "SELECT count(*) FROM matches WHERE state = 'ended' AND document ->> '$.status' = 'finished'";
        assert_eq!(count(&store, over), 2);
        let runs = "SELECT count(*) FROM matches WHERE document ->> '$.clock.running'";
        assert_eq!(count(&store, runs), 0);
        assert_eq!(count(&store, "SELECT count(*) FROM gaps WHERE ended_at IS NULL"), 0);
    }
}

#[test]
fn a_newer_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    drop(Coordinator::start(&config).stop());
    let store = Connection::open(config.store_path()).unwrap();
    store.execute("UPDATE meta SET value = 99 WHERE key = 'schema'", []).unwrap();
    drop(store);
    let opened = store::open(&Arc::new(RecordConfig::new(&config)), "p");
    assert!(matches!(opened, Err(RecordError::NewerStore { found: 99, .. })), "{opened:?}");
}

#[test]
fn a_locked_disk_holds_everything_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let mut coordinator = Coordinator::start(&config);
    let mut worker = coordinator.worker(1, 1);
    worker.base("M1", 5, 0);
    worker.acknowledged();
    let other = Connection::open(config.store_path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for goals in 1..=20 {
        worker.obs("M1", 5, goals);
    }
    let trouble = coordinator.until(|message| match message {
        FromRecorder::Stats(stats) if !stats.trouble.is_empty() => Some(stats.trouble.clone()),
        _ => None,
    });
    assert!(trouble.contains("lock"), "{trouble}");
    coordinator.send(&ToRecorder::Ping);
    coordinator.until(|message| (*message == FromRecorder::Pong).then_some(()));
    other.execute_batch("ROLLBACK").unwrap();
    worker.acknowledged();
    coordinator.until(|message| match message {
        FromRecorder::Stats(stats) if stats.trouble.is_empty() => Some(()),
        _ => None,
    });
    let store = coordinator.stop();
    assert_eq!(count(&store, "SELECT count(DISTINCT id) FROM events WHERE type = 'goal'"), 20);
    assert_eq!(count(&store, "SELECT count(*) = max(seq) FROM events"), 1);
}
