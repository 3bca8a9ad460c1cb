//! The lanes of the event queue: which type is in which, that prices delay no goal, and both streams on one time axis.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant, SystemTime};
use touchline_common::control::Client;
use touchline_e2e::{ANSWER, LIVE, Site};
use touchline_harness::wait;
use touchline_simulator::Options;

#[test]
fn the_configuration_moves_types_between_the_lanes() {
    let lanes = "max_subscriptions = 50\n[lanes]\ncorner = \"priority\"\ngoal = \"normal\"";
    let options = Options { matches: 20, rate: 400.0, speed: 100.0, ..Options::default() };
    let site = Site::live(&options, lanes);
    let of = |kind: &str| -> Vec<Value> {
        site.events().into_iter().filter(|event| event["type"] == kind).collect()
    };
    for (kind, lane) in [("corner", "priority"), ("goal", "normal"), ("period_start", "priority")] {
        let events = wait::until(kind, LIVE, || Some(of(kind)).filter(|events| !events.is_empty()));
        assert!(events.iter().all(|event| event["lane"] == lane), "{kind}: {events:?}");
    }
    let stream = |lane: &str| {
        let args = Map::from_iter([("lane".to_owned(), json!(lane)), ("since".to_owned(), json!(0))]);
        let (_, mut stream) =
            Client::connect(&site.socket()).unwrap().stream("events", args, ANSWER).unwrap();
        let mut types = std::collections::BTreeSet::new();
        while let Some(line) = stream.next_line(Some(ANSWER)).unwrap() {
            types
                .insert(serde_json::from_slice::<Value>(&line).unwrap()["type"].as_str().unwrap().to_owned());
        }
        types
    };
    let (priority, normal) = (stream("priority"), stream("normal"));
    assert!(priority.contains("corner") && !priority.contains("goal"), "{priority:?}");
    assert!(normal.contains("goal") && !normal.contains("corner"), "{normal:?}");
}

/// Prices a second: far more than one bulk commit holds.
const FLOOD: f64 = 5_000.0;
/// Goals and the like that are timed.
const TIMED: usize = 20;
/// From the read to whoever follows. Some milliseconds on an idle machine; this one may have other things to do.
const LATEST: Duration = Duration::from_secs(2);

#[test]
fn a_flood_of_prices_delays_no_goal() {
    let options = Options { matches: 50, rate: FLOOD, speed: 60.0, cap: Some(60), ..Options::default() };
    let site = Site::live(&options, "max_subscriptions = 60");
    let (events, bulk) = (site.count("/recorder/events"), site.count("/recorder/bulk"));
    let args = Map::from_iter([("follow".to_owned(), json!(true)), ("lane".to_owned(), json!("priority"))]);
    let client = Client::connect(&site.socket()).unwrap();
    let (_, mut stream) = client.stream("events", args, ANSWER).unwrap();
    let mut late = Vec::new();
    let until = Instant::now() + Duration::from_secs(60);
    while late.len() < TIMED {
        assert!(Instant::now() < until, "only {} events", late.len());
        let line = stream.next_line(Some(Duration::from_secs(30))).unwrap().unwrap();
        let event: Value = serde_json::from_slice(&line).unwrap();
        let at: SystemTime = time(event["at"].as_str().unwrap());
        late.push(SystemTime::now().duration_since(at).unwrap_or_default());
    }
    late.sort();
    eprintln!("from read to follower: median {:?}, latest {:?}", late[TIMED / 2], late[TIMED - 1]);
    assert!(late[TIMED - 1] < LATEST, "{late:?}");
    wait::until("ten times as many rows of prices", LIVE, || {
        let more = (site.count("/recorder/events") - events, site.count("/recorder/bulk") - bulk);
        (more.1 > 10 * more.0.max(TIMED as u64)).then_some(())
    });
}

fn time(text: &str) -> SystemTime {
    let store = Connection::open_in_memory().unwrap();
    let seconds: f64 =
        store.query_row("SELECT (julianday(?1) - 2440587.5) * 86400.0", [text], |row| row.get(0)).unwrap();
    SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds)
}

/// As the documentation has it, but for the name of the file.
const AXIS: &str = "
SELECT at, 'match' AS stream, type, side, minute, NULL AS market, NULL AS selection, NULL AS odds
FROM timeline WHERE match = ?1
UNION ALL
SELECT at, 'odds', type, NULL, NULL, market_name, selection_name, odds FROM hour.history WHERE match = ?1
ORDER BY at, stream";

#[test]
fn both_streams_stand_on_one_time_axis() {
    let options = Options { matches: 6, rate: 200.0, ..Options::default() };
    let site = Site::live(&options, "max_subscriptions = 50");
    site.wait_for_rows(300);
    site.assert_events_are_true();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let store = Connection::open_with_flags(site.file("touchline.db"), flags).unwrap();
    let hour = std::fs::read_dir(site.file("hours")).unwrap();
    let names = hour.map(|entry| entry.unwrap().path());
    let hour = names.filter(|path| path.extension().is_some_and(|end| end == "db")).max().unwrap();
    store.execute("ATTACH ?1 AS hour", [hour.to_str().unwrap()]).unwrap();
    let id = site.simulator.truth().matches().into_iter().next().unwrap();
    let mut statement = store.prepare(AXIS).unwrap();
    let rows = statement.query_map([&id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
    let rows: Vec<(String, String)> = rows.unwrap().map(Result::unwrap).collect();
    assert!(rows.is_sorted() && rows.iter().any(|(_, stream)| stream == "match"), "{rows:?}");
    assert!(rows.iter().filter(|(_, stream)| stream == "odds").count() > 10, "{rows:?}");
}
