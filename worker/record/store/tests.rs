//! The store's thread, step by step, and its way from an older schema.
#![allow(clippy::wildcard_enum_match_arm)]

use super::*;
use crate::record::thread::Chunk;
use rusqlite::params;
use touchline_common::config::{Config, FeedConfig};
use touchline_common::ipc::encode_frame;
use touchline_common::ipc::messages::data::{EndReason, MatchBase, MatchBody, MatchFrame, Name, Named};
use touchline_common::model::{
    Facts, FeedId, Generation, Handle, Incidents, Scoring, SlotId, StatedIncident,
};

mod crashes;

fn base(id: &str) -> Job {
    base_of(id, 1, 1)
}

/// The handle is the epoch: a worker names each match once.
fn base_of(id: &str, slot: u16, epoch: u32) -> Job {
    let handle = Handle(epoch);
    let key = MatchKey { feed: FeedId(0), id: id.into() };
    let named = Named::Match { key, epoch: Epoch(epoch.into()) };
    let facts = Facts { sport: None, scoring: Scoring::Goals };
    let body = MatchBody::Base(MatchBase { facts, at: 1, ..MatchBase::default() });
    let mut bytes = Vec::new();
    encode_frame(&Name { handle, named }, 0, 0, &mut bytes).unwrap();
    encode_frame(&MatchFrame { n: 1, handle, body }, 0, 0, &mut bytes).unwrap();
    frames(slot, bytes)
}

/// The match named by this handle is over.
fn end(slot: u16, handle: u32) -> Job {
    let body = MatchBody::End { why: EndReason::Ended, lost: None, at: wall_us() };
    let mut bytes = Vec::new();
    encode_frame(&MatchFrame { n: 2, handle: Handle(handle), body }, 0, 0, &mut bytes).unwrap();
    frames(slot, bytes)
}

fn frames(slot: u16, bytes: Vec<u8>) -> Job {
    let source = Source { slot: SlotId(slot), generation: Generation(1) };
    Job::Frames { source, token: 0, chunk: Chunk { bytes, versions: vec![0] }, came: 1 }
}

fn answer(source: Source, token: u64) -> Job {
    let mut bytes = Vec::new();
    let mark = MatchFrame { n: 2, handle: Handle(0), body: MatchBody::Mark { token } };
    encode_frame(&mark, 0, 0, &mut bytes).unwrap();
    frames(source.slot.0, bytes)
}

fn config(folder: &tempfile::TempDir) -> Arc<RecordConfig> {
    let mut config = Config::default();
    config.daemon.state_dir = folder.path().to_path_buf();
    config.feed.push(FeedConfig { name: "inplay".into(), ..Default::default() });
    Arc::new(RecordConfig::new(&config))
}

#[test]
fn what_comes_while_a_commit_is_made_is_later_than_what_the_store_has_by_its_own_word() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut store, shared, .. } = open(&config(&folder), "parent").unwrap();
    shared.queue.push(&mut vec![base("M1")]);
    let mut jobs = Vec::new();
    let looked_at = store.gather(&mut jobs, None);
    assert_eq!(jobs.len(), 1);
    let arrived_at = wall_us();
    shared.queue.push(&mut vec![base("M2")]);
    store.take_up(looked_at, &mut jobs, &|| {});
    store.commit(false);
    let alive_at = schema::meta_number(&store.connection, "alive_at").unwrap();
    assert_eq!(alive_at, looked_at);
    assert!(alive_at <= arrived_at);
}

#[test]
fn positions_wait_for_their_commit_and_events_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut store, .. } = open(&config(&folder), "parent").unwrap();
    let source = Source { slot: SlotId(1), generation: Generation(1) };
    store.taken(source, 7);
    assert!(!store.batch.is_empty() && !store.batch.is_urgent());
    store.take(base("M1"));
    assert!(store.batch.is_urgent());
    store.commit(false);
    let n: i64 = store.connection.query_row("SELECT n FROM channels", [], |row| row.get(0)).unwrap();
    assert_eq!(n, 1);
}

#[test]
fn an_epoch_that_was_named_is_kept_though_what_is_committed_next_has_no_rows() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut store, .. } = open(&config(&folder), "parent").unwrap();
    let named = Named::Match { key: MatchKey { feed: FeedId(0), id: "M1".into() }, epoch: Epoch(9) };
    let mut bytes = Vec::new();
    encode_frame(&Name { handle: Handle(1), named }, 0, 0, &mut bytes).unwrap();
    store.take(frames(1, bytes));
    let source = Source { slot: SlotId(2), generation: Generation(1) };
    store.take(Job::Open { token: 1, source });
    store.commit(false);
    store.take(base_of("M2", 2, 3));
    store.commit(false);
    assert_eq!(schema::meta_number(&store.connection, "epoch").unwrap(), 9);
}

#[test]
fn what_is_given_up_at_a_stop_is_not_reported() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let Opened { mut store, shared, .. } = open(&config, "parent").unwrap();
    let other = Connection::open(&config.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    store.take(base("M1"));
    store.commit(true);
    store.deliver(true);
    let mut replies = Vec::new();
    shared.queue.replies(&mut replies);
    assert!(matches!(replies[..], [Reply::Stopped]), "{replies:?}");
}

#[test]
fn questions_of_many_matches_are_one_for_each_worker() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut store, shared, .. } = open(&config(&folder), "parent").unwrap();
    let ids = ["M1", "M2", "M3"];
    for id in ids {
        store.take(base(id));
        store.take(base_of(id, 2, 2));
        let key = MatchKey { feed: FeedId(0), id: id.into() };
        store.take_own(MatchJob::Switch {
            key,
            epoch: Epoch(2),
            owner: touchline_common::ipc::messages::recorder::Owner::Alive,
        });
    }
    store.commit(false);
    store.deliver(false);
    let mut replies = Vec::new();
    shared.queue.replies(&mut replies);
    let asked: Vec<Job> = replies
        .into_iter()
        .filter_map(|reply| match reply {
            Reply::Mark { source, token } => Some(answer(source, token)),
            _ => None,
        })
        .collect();
    assert_eq!(asked.len(), 2);
    asked.into_iter().for_each(|answer| store.take(answer));
    assert!(store.ledgers.values().all(|ledger| ledger.epoch() == Some(Epoch(2))));
}

#[test]
fn a_worker_has_one_question_at_a_time() {
    let source = Source { slot: SlotId(1), generation: Generation(1) };
    let mut marks = Marks::default();
    marks.wanted.insert(source);
    assert_eq!(marks.questions().len(), 1);
    // It was wanted again after the question went out: the answer to that one says nothing of it.
    assert_eq!(marks.next, 1);
    marks.wanted.insert(source);
    assert!(marks.questions().is_empty());
    marks.asked.remove(&source);
    assert!(matches!(marks.questions()[..], [Reply::Mark { token: 1, .. }]));
    marks.forget(source);
    marks.wanted.insert(source);
    assert_eq!(marks.questions().len(), 1);
}

/// A foul of this player, as the worker's `n`-th frame.
fn foul(n: u64, player: &str) -> Job {
    let incident = StatedIncident {
        kind: "foul".into(),
        source_id: Some("7".into()),
        clock: Some(750),
        feed_at: Some(1_000_000),
        details: [("player".to_owned(), player.to_owned())].into(),
        ..StatedIncident::default()
    };
    let stated = Incidents { incidents: vec![incident], ..Incidents::default() };
    let mut bytes = Vec::new();
    let body = MatchBody::Incidents { stated, at: 5 };
    encode_frame(&MatchFrame { n, handle: Handle(1), body }, 0, 0, &mut bytes).unwrap();
    frames(1, bytes)
}

#[test]
fn incidents_outlive_the_recorder_with_their_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let Opened { mut store, .. } = open(&config, "parent").unwrap();
    store.take(base("M1"));
    store.take(foul(2, "Bold"));
    store.take(foul(3, "Short"));
    store.commit(false);
    let order = store.ledgers.values().next().unwrap().order();
    drop(store);
    let Opened { mut store, .. } = open(&config, "parent").unwrap();
    // The worker names its matches again on each channel, and sends again what was not acknowledged.
    let named = Named::Match { key: MatchKey { feed: FeedId(0), id: "M1".into() }, epoch: Epoch(1) };
    let mut bytes = Vec::new();
    encode_frame(&Name { handle: Handle(1), named }, 0, 0, &mut bytes).unwrap();
    store.take(frames(1, bytes));
    store.take(foul(3, "Short"));
    store.take(foul(4, "Long"));
    store.commit(false);
    let mut statement = store
        .connection
        .prepare("SELECT revision, \"order\", minute, feed_at, payload FROM events WHERE type = 'foul' ORDER BY seq")
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .unwrap();
    let rows: Vec<(i64, i64, i64, String, String)> = rows.collect::<rusqlite::Result<_>>().unwrap();
    let want = ["Bold", "Short", "Long"].map(|player| format!(r#"{{"player":"{player}"}}"#));
    assert_eq!(rows.iter().map(|row| row.4.clone()).collect::<Vec<_>>(), want);
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(rows.iter().all(|row| row.1 == order && row.2 == 12 && row.3.starts_with("1970-01-01T00:00:01")));
}

#[test]
fn a_ledger_outlives_its_document_as_long_as_an_event_of_its_match_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let key = MatchKey { feed: FeedId(0), id: "M1".into() };
    let count = |store: &Store, what: &str| -> i64 {
        store.connection.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
    };
    let retain = |store: &Store, shared: &Shared| {
        retention::Retention::default().step(&store.connection, &config, shared, wall_us());
    };
    let Opened { mut store, shared, .. } = open(&config, "parent").unwrap();
    store.take(base("M1"));
    store.take(end(1, 1));
    store.take(Job::Ended { key: key.clone(), epoch: Epoch(1) });
    store.commit(false);
    let old = "INSERT INTO documents VALUES ('inplay','M1',1,3,'ended','match',0,0,0)";
    store.connection.execute(old, []).unwrap();
    retain(&store, &shared);
    let held = |store: &Store| (count(store, "documents"), count(store, "ledgers"), count(store, "events"));
    assert_eq!(held(&store), (0, 1, 1), "the load was read in 1970, the end is new");
    drop(store);
    let Opened { mut store, shared, .. } = open(&config, "parent").unwrap();
    assert!(store.ledgers.is_empty(), "no memory is taken by what is over");
    store.take(base_of("M1", 1, 2));
    store.commit(false);
    assert_eq!(count(&store, "events WHERE type = 'retract'"), 1, "it goes on from what was recorded of it");
    store.take(end(1, 2));
    store.take(Job::Ended { key, epoch: Epoch(2) });
    store.commit(false);
    store.connection.execute("DELETE FROM events", []).unwrap();
    retain(&store, &shared);
    assert_eq!(held(&store), (0, 0, 0));
}

#[test]
fn events_that_a_sink_has_not_read_outlive_their_age_but_not_the_stores_size() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let Opened { store, shared, .. } = open(&config, "parent").unwrap();
    for seq in 1..=5 {
        store
            .connection
            .execute(
                r#"INSERT INTO events VALUES (?1, 'id' || ?1, 0, NULL, 'inplay', 'M1', 'soccer', 'goal', 'normal', 'home',
                    1, 2, NULL, '2020-01-02T03:04:05.000000Z', NULL, 6, 1, ?1, NULL, 0, 0, '{}')"#,
                [seq],
            )
            .unwrap();
    }
    let left = |config: &RecordConfig| -> i64 {
        retention::Retention::default().step(&store.connection, config, &shared, wall_us());
        store.connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap()
    };
    let reader = shared.readers.add(2);
    assert_eq!(left(&config), 3);
    reader.store(4, std::sync::atomic::Ordering::Release);
    assert_eq!((left(&config), shared.readers.lost()), (1, 0));
    let mut small = RecordConfig::clone(&config);
    small.store.max_size = "1B".parse().unwrap();
    assert_eq!((left(&small), shared.readers.lost()), (0, 1));
}

#[test]
fn an_end_says_which_epochs_ended() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut store, shared, .. } = open(&config(&folder), "parent").unwrap();
    let key = MatchKey { feed: FeedId(0), id: "M1".into() };
    store.take(base("M1"));
    store.take(Job::Ended { key: key.clone(), epoch: Epoch(3) });
    assert!(!store.ledgers.get(&key).unwrap().is_ended(), "its worker reports that");
    store.take(end(1, 1));
    // It was assigned anew meanwhile; the first end is reported again.
    store.take(base_of("M1", 2, 4));
    store.take(Job::Ended { key: key.clone(), epoch: Epoch(3) });
    store.commit(false);
    let mut replies = Vec::new();
    shared.queue.replies(&mut replies);
    let expected = Reply::Ended { key: key.clone(), epoch: Epoch(3) };
    let mut ends = replies.iter().filter(|reply| matches!(reply, Reply::Ended { .. }));
    assert!(ends.clone().count() > 0 && ends.all(|reply| *reply == expected), "{replies:?}");
    assert!(!store.ledgers.get(&key).unwrap().is_ended());
}

/// What a program of schema 1 made: `store/tests/schema_1.sql` is its SQL.
fn store_of_schema_1(config: &RecordConfig) -> Connection {
    let store = Connection::open(&config.path).unwrap();
    store.execute_batch(schema::PRAGMAS).unwrap();
    store.execute_batch(include_str!("tests/schema_1.sql")).unwrap();
    let ledger = r#"{"facts":{"sport":"soccer","scoring":"Goals"},"owner":[6,1,1],"registers":[[{"Score":"home"},1]],"taken":[],"taken_floor":0,"marks":[],"phases":[],"points":[],"gaps":0,"gap_open":false,"ended":false,"repeats":2}"#;
    store.execute("INSERT INTO ledgers VALUES ('inplay', 'M1', 1, 6, 4096, ?1)", [ledger]).unwrap();
    store.execute("INSERT INTO ledgers VALUES ('inplay', 'M2', 1, 6, 1, 'no ledger')", []).unwrap();
    for (seq, lane) in [(1, "normal"), (2, "odds"), (3, "priority"), (4, "odds")] {
        store
            .execute(
                r#"INSERT INTO events VALUES (?1, ?2, 0, NULL, 'inplay', 'M1', 'soccer', 'goal', ?3, 'home', 1, 2, NULL,
                    '2026-01-02T03:04:05.000000Z', NULL, 6, 1, ?4, NULL, 0, 0, '{}')"#,
                params![seq, format!("id{seq}"), lane, 1_000 * seq],
            )
            .unwrap();
    }
    store.execute("INSERT INTO documents VALUES ('inplay','M1',6,3,'live','match',0,0,0)", []).unwrap();
    for (section, body) in [("", r#"{"name":"A v B"}"#), ("tail", r#"{"extra":{"k":null}}"#)] {
        store.execute("INSERT INTO sections VALUES ('inplay','M1',?1,3,?2)", [section, body]).unwrap();
    }
    store
}

#[test]
fn a_store_of_schema_1_is_migrated_in_one_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    drop(store_of_schema_1(&config));
    let Opened { store, owners, highest_epoch, token, .. } = open(&config, "parent").unwrap();
    assert_eq!((owners.len(), highest_epoch, token), (1, Epoch(6), 1_700_000_000_000));
    let ledger = store.ledgers.values().next().unwrap();
    assert!(ledger.order() >= 4_096, "the column's, which is above what is left of the events");
    let text = |sql: &str| store.connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(text("SELECT group_concat(seq || lane) FROM events"), "1normal,3priority");
    let indexes = "SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema WHERE type = 'index'
        AND tbl_name = 'events' ORDER BY name)";
    assert_eq!(text(indexes), "events_id,events_match,events_retracts");
    assert_eq!(text("SELECT count(*) || '' FROM timeline"), "2");
    assert_eq!(
        text("SELECT document ->> '$.name' || (document -> '$.extra') FROM matches"),
        r#"A v B{"k":null}"#
    );
    let meta = |key| schema::meta_number(&store.connection, key).unwrap();
    assert_eq!((meta("schema"), meta("events"), meta("seq")), (schema::SCHEMA, 2, 4));
    drop(store);
    assert!(open(&config, "parent").is_ok(), "once");
}

/// Turns a store into what a program of schema 2 made: a ledger's incidents are in its text.
fn as_of_schema_2(config: &RecordConfig) {
    let store = Connection::open(&config.path).unwrap();
    let text = |sql: &str| store.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    let slots = format!(r#""slots":[{}],"steps":[],"base""#, text("SELECT body FROM ledger_parts"));
    let state = text("SELECT state FROM ledgers").replace(r#""base""#, &slots);
    store.execute("UPDATE ledgers SET format = 3, state = ?1", [state]).unwrap();
    store.execute_batch("DROP TABLE ledger_parts; UPDATE meta SET value = 2 WHERE key = 'schema'").unwrap();
}

#[test]
fn incidents_of_schema_2_go_on_and_become_rows_that_go_with_their_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let Opened { mut store, .. } = open(&config, "parent").unwrap();
    store.take(base("M1"));
    store.take(foul(2, "Bold"));
    store.commit(false);
    drop(store);
    as_of_schema_2(&config);
    let Opened { mut store, shared, .. } = open(&config, "parent").unwrap();
    let count = |store: &Store, what: &str| -> i64 {
        store.connection.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count(&store, "ledger_parts"), store.ledgers.len()), (0, 1));
    let named = Named::Match { key: MatchKey { feed: FeedId(0), id: "M1".into() }, epoch: Epoch(1) };
    let mut bytes = Vec::new();
    encode_frame(&Name { handle: Handle(1), named }, 0, 0, &mut bytes).unwrap();
    store.take(frames(1, bytes));
    store.take(foul(3, "Short"));
    store.commit(false);
    assert_eq!(count(&store, "events WHERE type = 'foul' AND revision = 1"), 1);
    assert_eq!(count(&store, "ledger_parts"), 1);
    store.connection.execute("DELETE FROM events", []).unwrap();
    let mut retention = retention::Retention::default();
    retention.step(&store.connection, &config, &shared, wall_us());
    assert_eq!((count(&store, "ledgers"), count(&store, "ledger_parts")), (0, 0));
    assert_eq!(retention.forgotten, [("inplay".to_owned(), "M1".to_owned())]);
}

#[test]
fn a_migration_that_fails_leaves_the_store_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    store_of_schema_1(&config).execute_batch("DROP INDEX events_retracts").unwrap();
    assert!(matches!(open(&config, "parent"), Err(crate::record::RecordError::OpenStore { .. })));
    let store = Connection::open(&config.path).unwrap();
    let rows: i64 =
        store.query_row("SELECT count(*) FROM events WHERE lane = 'odds'", [], |row| row.get(0)).unwrap();
    assert_eq!((rows, schema::meta_number(&store, "schema").unwrap()), (2, 1));
}
