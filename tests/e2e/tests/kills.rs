//! Many stored events on their way through a broker while recorder and broker are killed in the middle, again and again.
//!
//! What a consumer that knows copies ends up with is each event once. No feed answers, so what comes is what was stored.
//! `TOUCHLINE_KILL_EVENTS` says how many events there are: `docs/testing.md`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use nix::sys::signal::Signal;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use touchline_e2e::brokers::{Consumer, RabbitMq, Redis};
use touchline_e2e::{ANSWER, BACK};
use touchline_harness::fixture::{Config, Fixture, quoted, run_command};
use touchline_harness::process::{self, Reaper};
use touchline_harness::{store, wait};

/// Events, unless it is said otherwise.
const EVENTS: i64 = 20_000;
/// How often both are killed.
const KILLS: i64 = 3;
/// How long the daemon may take to leave.
const LEAVE: Duration = Duration::from_secs(25);
/// The fewest events that go through broker and consumer in a second.
const SLOWEST: i64 = 500;

/// One at a time, also where both tests are of one process: what one starts would pass for what is left of the other.
fn alone() -> MutexGuard<'static, ()> {
    static TEST: Mutex<()> = Mutex::new(());
    TEST.lock().unwrap_or_else(PoisonError::into_inner)
}

fn events() -> i64 {
    std::env::var("TOUCHLINE_KILL_EVENTS").map_or(EVENTS, |count| count.parse().unwrap())
}

fn patience(events: i64) -> Duration {
    Duration::from_secs(60 + (events / SLOWEST).unsigned_abs())
}

/// Rows under way at a time: few enough that there is a middle to be killed in.
fn batch(events: i64, batches: i64) -> i64 {
    (events / batches).clamp(20, 1_000)
}

trait Broker {
    fn kill(&mut self);
    fn start_again(&mut self);
}

impl Broker for Redis {
    fn kill(&mut self) {
        Redis::kill(self);
    }

    fn start_again(&mut self) {
        Redis::start_again(self);
    }
}

impl Broker for RabbitMq {
    fn kill(&mut self) {
        RabbitMq::kill(self);
    }

    fn start_again(&mut self) {
        RabbitMq::start_again(self);
    }
}

/// A daemon over a store with so many events, that has sent none of them.
fn filled(events: i64, streams: &str) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let feed = "kind = \"diffusion\"\nmatches = [\"1\"]\nmatch_topics = [\"6V{ID}\"]\n";
    Config { url: "dpt://127.0.0.1:9".to_owned(), feed: format!("{feed}{streams}"), ..Config::default() }
        .write(folder.path());
    let mut fixture = Fixture::start(folder, run_command(process::program()), ANSWER);
    wait::until("a store", BACK, || fixture.ready_recorder());
    // Before the first row: a sink that is new begins with the next one.
    wait::until("the sink's place", BACK, || (place(&fixture) == Some(0)).then_some(()));
    fixture.stop(LEAVE);
    store::fill_events(fixture.path(), "inplay", events).unwrap();
    fixture.daemon = touchline_e2e::run(fixture.path());
    wait::until("the recorder", BACK, || fixture.ready_recorder());
    fixture
}

/// The newest row that the sink has behind it, which it stores after each batch; `status` is a second old.
fn place(fixture: &Fixture) -> Option<i64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let places = Connection::open_with_flags(fixture.file("sinks.db"), flags).ok()?;
    places.busy_timeout(ANSWER).ok()?;
    places.query_row("SELECT matches FROM positions", [], |row| row.get(0)).ok()
}

/// Kills both while rows are left to send, and starts the broker again; the recorder's end is the coordinator's to see.
fn kill_in_the_middle(fixture: &Fixture, broker: &mut dyn Broker, events: i64) {
    for kill in 1..=KILLS {
        let sent = events * kill / (KILLS + 1);
        let at = wait::until(&format!("row {sent} to be sent"), patience(events), || {
            place(fixture).filter(|place| *place >= sent)
        });
        assert!(at < events, "all was sent before kill {kill}");
        broker.kill();
        let recorder = wait::until("the recorder", BACK, || fixture.ready_recorder());
        process::send(recorder, Signal::SIGKILL);
        broker.start_again();
        wait::until("another recorder", BACK, || fixture.ready_recorder().filter(|pid| *pid != recorder));
    }
}

/// The consumer has each event, and nothing else.
fn assert_each_arrives(fixture: &Fixture, consumer: &Consumer, events: i64) {
    let sink = || fixture.status("/recorder/sinks/0").unwrap_or_default();
    wait::until("every event at the consumer", patience(events), || {
        // To count many rows takes a while, so not before the last is there.
        let has_last = sink()["lag_rows"] == 0 && consumer.has(&store::name_of(events));
        (has_last && consumer.count() >= events.unsigned_abs()).then_some(())
    });
    // The keys sort as their numbers do.
    assert!(consumer.events().into_iter().eq((1..=events).map(store::name_of)), "{}", consumer.count());
    assert_eq!(sink()["refused"], json!(0));
}

#[test]
fn redis_and_the_recorder_are_killed_and_each_event_is_there_once() {
    let _alone = alone();
    let reaper = Reaper::new();
    let Some(mut redis) = Redis::start() else { return };
    let (folder, events) = (tempfile::tempdir().unwrap(), events());
    let url = redis.url();
    let args = ["--url", &url, "--feed", "inplay", "--consumer", "one", "--idle", "1000"];
    let Some(consumer) = Consumer::start(folder.path(), "one", "redis_group.py", &args) else { return };
    let (config, batch) = (redis.config(), batch(events, 1_000));
    let fixture = filled(
        events,
        &format!("{config}maxlen = {}\n[streams.redis_options]\nbatch = {batch}\n", 2 * events),
    );
    kill_in_the_middle(&fixture, &mut redis, events);
    assert_each_arrives(&fixture, &consumer, events);
    assert!(redis.numbers("ev").into_iter().eq(1..=events), "one is missing in the streams, or there twice");
    drop((fixture, consumer, redis));
    drop(reaper);
}

fn rabbitmq(folder: &Path, rabbit: &RabbitMq, batch: i64) -> String {
    let password = folder.join("password");
    std::fs::write(&password, "guest\n").unwrap();
    format!(
        "[streams]\nrabbitmq = \"{}\"\nretry_max = \"1s\"\n[streams.rabbitmq_options]\npassword_file = {}\nbatch = {batch}\n",
        rabbit.address(),
        quoted(&password)
    )
}

#[test]
fn rabbitmq_and_the_recorder_are_killed_and_each_event_is_there_once() {
    let _alone = alone();
    let reaper = Reaper::new();
    let Some(mut rabbit) = RabbitMq::start() else { return };
    let (folder, events) = (tempfile::tempdir().unwrap(), events());
    // Before the daemon: the exchange keeps nothing for a queue that is still to come.
    let url = rabbit.url();
    let Some(consumer) = Consumer::start(folder.path(), "queue", "rabbitmq_queue.py", &["--url", &url])
    else {
        return;
    };
    let fixture = filled(events, &rabbitmq(folder.path(), &rabbit, batch(events, 100)));
    kill_in_the_middle(&fixture, &mut rabbit, events);
    assert_each_arrives(&fixture, &consumer, events);
    drop((fixture, consumer, rabbit));
    drop(reaper);
}
