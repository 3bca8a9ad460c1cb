//! The examples of `docs/consumers.md` against a real daemon: consumers of the Redis streams, questions to the store.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use redis::Value as Reply;
use rusqlite::{Connection, OpenFlags, named_params};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use touchline_e2e::brokers::{Consumer, Redis, examples};
use touchline_e2e::{LIVE, Site};
use touchline_harness::fixture::INPLAY;
use touchline_harness::wait;
use touchline_simulator::Options;

/// How long rows may take through the server and the consumer, an entry's idle time included.
const THROUGH: Duration = Duration::from_secs(60);
const SHARDS: usize = 16;

fn options() -> Options {
    // Fast enough that there are goals within the test.
    Options { matches: 12, rate: 300.0, speed: 300.0, cap: Some(10), ..Options::default() }
}

/// Starts the consumer of this name in the group.
fn member(folder: &Path, redis: &Redis, name: &str) -> Option<Consumer> {
    let url = redis.url();
    let args = ["--url", &url, "--feed", "inplay", "--consumer", name, "--idle", "1000"];
    Consumer::start(folder, name, "redis_group.py", &args)
}

#[test]
fn a_group_has_each_event_once_though_its_members_die() {
    let Some(redis) = Redis::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(mut one) = member(folder.path(), &redis, "one") else { return };
    let site = Site::configured(&options(), |_, _| {
        format!("{INPLAY}max_subscriptions = 10\n[streams]\nredis = \"{}\"\n", redis.url())
    });
    site.wait_live(12);
    wait::until("events at the first consumer", THROUGH, || (one.events().len() >= 30).then_some(()));
    one.kill();

    // Another is given entries and dies before it acknowledged a single one.
    let mut given = 0;
    wait::until("entries for one that dies", THROUGH, || {
        for shard in 0..SHARDS {
            let stream = format!("touchline:ev:inplay:{shard}");
            let words = ["XREADGROUP", "GROUP", "table", "dead", "COUNT", "5", "STREAMS", &stream, ">"];
            // Without entries it is nothing.
            given += usize::from(redis.ask(&words) != Reply::Nil);
        }
        (given > 0).then_some(())
    });
    let two = member(folder.path(), &redis, "two").unwrap();

    site.assert_events_are_true();
    wait::until("every event in the table, and no other", THROUGH, || {
        let events = site.events();
        let committed: BTreeSet<&str> = events.iter().filter_map(|event| event["id"].as_str()).collect();
        two.events().iter().map(String::as_str).eq(committed).then_some(())
    });
    wait::until("no entry that waits", THROUGH, || {
        // The first member of the answer is how many wait.
        let waiting = |shard| {
            let answer = redis.ask(&["XPENDING", &format!("touchline:ev:inplay:{shard}"), "table"]);
            if let Reply::Array(answer) = answer { answer.first().cloned() } else { None }
        };
        (0..SHARDS).all(|shard| waiting(shard) == Some(Reply::Int(0))).then_some(())
    });
    // The site's last look is for processes that were left.
    drop((one, two, redis));
}

/// Text of each column, by row.
fn table(connection: &Connection, file: &str, match_id: Option<&str>, day: Option<&str>) -> Vec<Vec<String>> {
    let sql = std::fs::read_to_string(examples().join(file)).unwrap();
    let mut statement = connection.prepare(&sql).unwrap();
    let columns = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        (0..columns).map(|at| row.get_ref(at).map(text)).collect::<rusqlite::Result<Vec<String>>>()
    };
    let rows = match (match_id, day) {
        (Some(id), _) => statement.query_map(named_params! { ":match": id }, row),
        (None, Some(day)) => statement.query_map(named_params! { ":day": day }, row),
        (None, None) => statement.query_map([], row),
    };
    rows.unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

fn text(value: rusqlite::types::ValueRef<'_>) -> String {
    use rusqlite::types::ValueRef;
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
    }
}

fn open(path: &Path) -> Connection {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    connection
}

#[test]
fn the_store_answers_the_examples_questions() {
    let site = Site::live(&options(), "max_subscriptions = 10");
    wait::until("some goals", LIVE, || {
        let goals = site.events().iter().filter(|event| event["type"] == "goal").count();
        (goals >= 5).then_some(())
    });
    site.assert_events_are_true();
    let store = open(&site.file("touchline.db"));
    let goals: Vec<(i64, String, String)> = store
        .prepare("SELECT seq, match, at FROM timeline WHERE type = 'goal' ORDER BY at, seq")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap();
    let (_, id, at) = &goals[0];

    let timeline = table(&store, "timeline.sql", Some(id), None);
    let of_match =
        store.query_row("SELECT count(*) FROM timeline WHERE match = ?1", [id], |row| row.get::<_, i64>(0));
    assert_eq!(timeline.len() as i64, of_match.unwrap());
    assert!(timeline.iter().any(|row| row[3] == "goal" && row[5].contains('-')), "{timeline:?}");
    let orders: Vec<i64> = timeline.iter().map(|row| row[0].parse().unwrap()).collect();
    assert!(orders.is_sorted(), "{orders:?}");

    let day = &at[..10];
    let of_day = table(&store, "goals_of_day.sql", None, Some(day));
    assert_eq!(of_day.len(), goals.iter().filter(|(_, _, at)| at.starts_with(day)).count());
    assert!(of_day.iter().all(|row| !row[3].is_empty()), "with the teams: {of_day:?}");

    let hour = site.file("hours").join(format!("{}.db", &at[..13]));
    store.execute("ATTACH ?1 AS hour", [hour.to_str().unwrap()]).unwrap();
    let mut prices = table(&store, "odds_at_goals.sql", Some(id), None);
    // Minute and side, which are the goal's.
    prices.iter_mut().for_each(|row| drop(row.drain(1..3)));
    assert_eq!(prices, by_hand(&open(&hour), &goals, id, &at[..13]));
    assert!(!prices.is_empty(), "no prices before a goal of {id}");
}

/// The same as `odds_at_goals.sql`, row by row, without minute and side.
fn by_hand(hour: &Connection, goals: &[(i64, String, String)], id: &str, of_hour: &str) -> Vec<Vec<String>> {
    type Price = (String, String, String, Vec<String>);
    let sql = "SELECT at, market, selection, market_name, selection_name, odds, suspended FROM history
        WHERE match = ?1 AND selection IS NOT NULL ORDER BY seq";
    let mut statement = hour.prepare(sql).unwrap();
    let price = |row: &rusqlite::Row<'_>| {
        let shown = (3..7).map(|at| row.get_ref(at).map(text)).collect::<rusqlite::Result<_>>()?;
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, shown))
    };
    let prices: Vec<Price> =
        statement.query_map([id], price).unwrap().collect::<rusqlite::Result<_>>().unwrap();
    let mut rows = Vec::new();
    for (_, _, at) in goals.iter().filter(|(_, of, at)| of == id && at.starts_with(of_hour)) {
        let mut last = BTreeMap::new();
        for (when, market, selection, shown) in &prices {
            if when < at {
                last.insert((market, selection), shown);
            }
        }
        rows.extend(last.into_values().map(|shown: &Vec<String>| [&[at.clone()][..], shown].concat()));
    }
    rows
}
