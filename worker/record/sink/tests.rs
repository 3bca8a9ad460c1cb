//! The state machine alone, with times of the test's own; then a sink's thread with a sink that fails and refuses as it is told.

use super::asker::Asker;
use super::driver::{Driver, News, State, Step};
use super::places::Places;
use super::thread::{Documents, Order, Plan, Runner, Shared, Streams};
use super::*;
use crate::record::config::RecordConfig;
use crate::record::queue::lock;
use crate::record::{bulk, store};
use proptest::prelude::*;
use rusqlite::Connection;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use touchline_common::config::{Config, SinkLane};
use touchline_common::ipc::messages::data::Stream;
use touchline_common::ipc::messages::recorder::RecorderStats;

const TIMING: Timing = Timing {
    retry_max: Duration::from_secs(30),
    down_after: Duration::from_secs(30),
    lag_after: Duration::from_secs(60),
};
const BOTH: PerStream<bool> = PerStream { matches: true, bulk: true };

fn driver() -> Driver {
    Driver::new(TIMING, BOTH, None, Position::default())
}

fn newest(matches: i64, bulk: i64) -> PerStream<i64> {
    PerStream { matches, bulk }
}

fn step(driver: &mut Driver, now: Instant) -> Step {
    driver.next(now).0
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn the_match_stream_goes_first_and_documents_before_the_bulk_stream() {
    let now = Instant::now();
    let mut driver = Driver::new(TIMING, BOTH, Some(now), Position::default());
    assert_eq!(step(&mut driver, now), Step::Connect);
    assert_eq!(driver.connected(now, Position::default()), Some(News::Up));
    driver.see(now, newest(5, 900));
    assert_eq!(step(&mut driver, now), Step::Deliver(Stream::Match));
    assert_eq!(driver.settled(Stream::Match, 5, (5, 0), None), None);
    assert_eq!(step(&mut driver, now), Step::Documents);
    assert_eq!(step(&mut driver, now), Step::Deliver(Stream::Bulk));
    driver.settled(Stream::Bulk, 300, (300, 0), None);
    driver.see(now, newest(6, 900));
    assert_eq!(step(&mut driver, now), Step::Deliver(Stream::Match), "a backlog delays it by one batch");
    driver.settled(Stream::Match, 6, (1, 0), None);
    driver.settled(Stream::Bulk, 900, (600, 0), None);
    assert_eq!(step(&mut driver, now), Step::Idle);
    assert_eq!(step(&mut driver, now + Duration::from_millis(250)), Step::Documents);
    assert_eq!(driver.position().seq, newest(6, 900));
}

#[test]
fn attempts_are_further_and_further_apart_until_something_is_delivered() {
    let mut now = Instant::now();
    let mut driver = driver();
    driver.see(now, newest(9, 0));
    let mut waits = Vec::new();
    for _ in 0..10 {
        assert_eq!(step(&mut driver, now), Step::Connect);
        // The server lets it in and refuses what it brings.
        driver.connected(now, Position::default());
        assert_eq!(step(&mut driver, now), Step::Deliver(Stream::Match));
        driver.failed(now, "out of memory".into());
        let Step::Wait(wait) = step(&mut driver, now) else { panic!("it does not wait") };
        waits.push(wait.as_millis());
        now += wait;
    }
    assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    step(&mut driver, now);
    driver.connected(now, Position::default());
    driver.settled(Stream::Match, 3, (3, 0), None);
    driver.failed(now, "again".into());
    assert_eq!(step(&mut driver, now), Step::Wait(Duration::from_millis(250)));
}

#[test]
fn a_connection_that_stands_ends_a_failure_too() {
    let now = Instant::now();
    let mut driver = driver();
    step(&mut driver, now);
    let down = driver.failed(now, "nobody there".into());
    assert!(matches!(down, Some(News::Down { .. })));
    assert_eq!(step(&mut driver, now + secs(1)), Step::Connect);
    assert_eq!(driver.connected(now + secs(1), Position::default()), None, "it has yet to prove itself");
    assert_eq!(driver.next(now + secs(2)), (Step::Idle, None));
    assert_eq!(driver.next(now + secs(6)), (Step::Idle, Some(News::Up)));
    assert_eq!(driver.next(now + secs(7)), (Step::Idle, None), "said once");
}

#[test]
fn the_log_is_told_of_a_failure_once_and_then_each_minute() {
    let start = Instant::now();
    let mut driver = driver();
    let mut said = 0;
    for second in 0..130 {
        let now = start + secs(second);
        if step(&mut driver, now) == Step::Connect {
            said += u32::from(driver.failed(now, "nobody there".into()).is_some());
        }
    }
    assert!((2..=3).contains(&said), "{said} lines in 130 s");
    // One that comes and goes is not worth a line each time.
    let mut now = start + secs(1_000);
    let mut lines = 0;
    for _ in 0..20 {
        step(&mut driver, now);
        driver.connected(now, Position::default());
        lines += u32::from(driver.settled(Stream::Match, 1, (1, 0), None).is_some());
        lines += u32::from(driver.failed(now, "gone".into()).is_some());
        now += secs(1);
    }
    assert!(lines <= 6, "{lines} lines in 20 s");
}

#[test]
fn a_sink_that_is_down_or_behind_is_trouble_after_its_time() {
    let now = Instant::now();
    let mut driver = driver();
    driver.see(now, newest(10, 0));
    driver.failed(now, "nobody there".into());
    let shown = driver.show(now + secs(29));
    assert_eq!((shown.state, shown.trouble.as_str(), shown.lag_rows), ("backing off", "", 10));
    let shown = driver.show(now + secs(31));
    assert_eq!((shown.trouble.as_str(), shown.lag), ("down for 31 s: nobody there", secs(31)));
    driver.connected(now + secs(40), Position::default());
    driver.settled(Stream::Match, 4, (4, 0), None);
    assert_eq!(driver.show(now + secs(59)).trouble, "");
    let shown = driver.show(now + secs(61));
    assert_eq!((shown.state, shown.trouble.as_str()), ("delivering", "61 s behind"));
    driver.settled(Stream::Match, 10, (6, 0), None);
    let shown = driver.show(now + secs(61));
    assert_eq!((shown.trouble.as_str(), shown.lag, shown.lag_rows), ("", Duration::ZERO, 0));
    assert_eq!((shown.delivered, shown.error.as_str()), (10, "nobody there"));
}

#[test]
fn rows_are_told_again_from_where_an_operator_says_and_never_beyond_what_is_there() {
    let now = Instant::now();
    let mut driver = driver();
    driver.connected(now, Position { seq: newest(10, 20), mark: String::new() });
    driver.see(now, newest(10, 20));
    assert_eq!(step(&mut driver, now), Step::Idle);
    driver.rewind(Stream::Match, 3, 10);
    driver.see(now, newest(10, 20));
    assert_eq!(
        (driver.position().seq, step(&mut driver, now)),
        (newest(3, 20), Step::Deliver(Stream::Match))
    );
    driver.rewind(Stream::Match, 99, 10);
    driver.see(now, newest(10, 20));
    assert_eq!((driver.position().seq, step(&mut driver, now)), (newest(10, 20), Step::Idle));
}

#[test]
fn a_stream_that_is_not_taken_is_passed_by() {
    let now = Instant::now();
    let takes = PerStream { matches: true, bulk: false };
    let mut driver = Driver::new(TIMING, takes, None, Position::default());
    driver.connected(now, Position::default());
    driver.see(now, newest(0, 500));
    assert_eq!((step(&mut driver, now), driver.position().seq), (Step::Idle, newest(0, 500)));
    assert_eq!(driver.show(now).lag_rows, 0);
}

#[test]
fn rows_that_cannot_be_read_stop_their_own_stream_only() {
    let now = Instant::now();
    let mut driver = driver();
    driver.connected(now, Position::default());
    driver.see(now, newest(1, 1));
    driver.settled(Stream::Match, 1, (1, 0), None);
    assert_eq!(step(&mut driver, now), Step::Deliver(Stream::Bulk));
    driver.unreadable(now, Stream::Bulk, "a bad file".into());
    assert_eq!(step(&mut driver, now), Step::Idle);
    driver.see(now, newest(2, 1));
    assert_eq!(step(&mut driver, now), Step::Deliver(Stream::Match));
    driver.settled(Stream::Match, 2, (1, 0), None);
    assert_eq!(step(&mut driver, now + secs(3)), Step::Deliver(Stream::Bulk));
    assert_eq!((driver.show(now).state, driver.show(now).error.as_str()), ("delivering", "a bad file"));
}

#[test]
fn a_stop_is_the_end() {
    let now = Instant::now();
    let mut driver = driver();
    driver.stop();
    assert_eq!(driver.failed(now, "too late".into()), None);
    assert_eq!((step(&mut driver, now), driver.state()), (Step::Stop, State::Stopped));
}

proptest! {
    /// Whatever fails, whenever: each row is told, in order, and none is passed over.
    #[test]
    fn nothing_is_left_out(
        outcomes in prop::collection::vec((0u8..4, 0i64..6), 0..60),
        rows in (1i64..40, 1i64..40),
    ) {
        let mut now = Instant::now();
        let mut driver = driver();
        let mut told: PerStream<Vec<i64>> = PerStream::default();
        let mut outcomes = outcomes.into_iter();
        let newest = newest(rows.0, rows.1);
        for _ in 0..1_000 {
            driver.see(now, newest);
            match step(&mut driver, now) {
                Step::Connect => match outcomes.next() {
                    Some((0, _)) => drop(driver.failed(now, "no".into())),
                    _ => {
                        let held = driver.position().clone();
                        driver.connected(now, held);
                    }
                },
                Step::Deliver(stream) => {
                    let since = *driver.position().seq.get(stream);
                    let through = (since + 8).min(*newest.get(stream));
                    let (fails, settled) = match outcomes.next() {
                        Some((0, part)) => (true, (since + part).min(through)),
                        _ => (false, through),
                    };
                    told.of(stream).extend(since + 1..=settled);
                    driver.settled(stream, settled, ((settled - since) as u64, 0), None);
                    if fails {
                        driver.failed(now, "no".into());
                    }
                }
                Step::Wait(time) => now += time,
                Step::Idle => break,
                Step::Documents | Step::Stop => unreachable!(),
            }
        }
        prop_assert_eq!(driver.position().seq, newest);
        prop_assert_eq!(told.matches, (1..=rows.0).collect::<Vec<_>>());
        prop_assert_eq!(told.bulk, (1..=rows.1).collect::<Vec<_>>());
    }
}

/// What a sink was told, and how often it is to fail first.
#[derive(Default)]
struct Script {
    told: Vec<i64>,
    failures: usize,
    refuses: Option<i64>,
    /// It lets nobody in.
    is_down: bool,
}

struct Fake(Arc<Mutex<Script>>);

impl Sink for Fake {
    fn connect(&mut self, held: &Position) -> Result<Position, String> {
        if lock(&self.0).is_down { Err("it is down".to_owned()) } else { Ok(held.clone()) }
    }

    fn deliver(&mut self, rows: &[Row], meanwhile: &mut dyn FnMut()) -> Delivery {
        meanwhile();
        let mut script = lock(&self.0);
        if script.failures > 0 {
            script.failures -= 1;
            // It takes the first and fails with the second.
            script.told.push(rows[0].seq);
            return Delivery { settled: 1, ..Delivery::failed("it is full") };
        }
        let refuses = script.refuses;
        script.told.extend(rows.iter().map(|row| row.seq).filter(|seq| Some(*seq) != refuses));
        let refused = rows.iter().position(|row| Some(row.seq) == refuses);
        let refused = refused.map(|place| (place, "it is too large".to_owned())).into_iter().collect();
        Delivery { refused, ..Delivery::all(rows) }
    }

    fn disconnect(&mut self) {}
}

/// A store with events, and a sink's thread over it.
struct Bench {
    _folder: tempfile::TempDir,
    config: Arc<RecordConfig>,
    store: Connection,
    streams: Streams,
    script: Arc<Mutex<Script>>,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.daemon.state_dir = folder.path().to_path_buf();
        let config = Arc::new(RecordConfig::new(&config));
        let mut store = Connection::open(&config.path).unwrap();
        store::schema::prepare(&mut store, 1).unwrap();
        let streams = Streams {
            matches: Arc::new(store::Shared::new(1, RecorderStats::default(), 0)),
            bulk: Arc::new(bulk::Shared::new(1, RecorderStats::default(), 0)),
        };
        Bench { _folder: folder, config, store, streams, script: Arc::default() }
    }

    /// Commits the event `seq`.
    fn commit(&self, seq: i64, lane: &str) {
        self.store
            .execute(
                r#"INSERT INTO events VALUES (?1, 'id' || ?1, 0, NULL, 'inplay', 'M1', 'soccer', 'goal', ?2, 'home', 1, 2,
                    NULL, '2026-01-02T03:04:05.000000Z', NULL, 6, 1, ?1, NULL, 0, 0, '{}')"#,
                rusqlite::params![seq, lane],
            )
            .unwrap();
        self.streams.matches.newest.set(seq);
    }

    fn start(&self, lanes: &[SinkLane]) -> (std::thread::JoinHandle<()>, Arc<Shared>) {
        let plan = Plan {
            name: "fake",
            kind: "fake",
            lanes: lanes.to_vec(),
            batch: 3,
            documents: Documents::NotWanted,
            timing: TIMING,
        };
        let shared = Arc::new(Shared::default());
        let sink = Box::new(Fake(Arc::clone(&self.script)));
        let (own, config) = (Arc::clone(&shared), Arc::clone(&self.config));
        let runner = Runner::new(plan, sink, own, self.streams.clone(), config, 7);
        (std::thread::spawn(move || runner.run()), shared)
    }

    fn wait_until(&self, what: &str, is: impl Fn(&Script) -> bool) {
        let until = Instant::now() + Duration::from_secs(30);
        while !is(&lock(&self.script)) {
            assert!(Instant::now() < until, "{what}: {:?}", lock(&self.script).told);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Orders it; where the answer comes.
fn rewind(shared: &Shared, since: i64) -> UnixStream {
    let (asker, answer) = UnixStream::pair().unwrap();
    let asker = Asker::new(asker.into());
    lock(&shared.orders).push(Order::Rewind { stream: Stream::Match, since, asker });
    answer
}

fn answered(mut answer: UnixStream) -> String {
    answer.set_read_timeout(Some(secs(30))).unwrap();
    let mut line = String::new();
    answer.read_to_string(&mut line).unwrap();
    line
}

#[test]
fn a_rewind_is_stored_before_it_is_answered_and_one_that_nobody_comes_to_is_refused() {
    let bench = Bench::new();
    let (thread, shared) = bench.start(&SinkLane::ALL);
    (1..=7).for_each(|seq| bench.commit(seq, "normal"));
    bench.wait_until("all rows", |script| script.told.len() == 7);
    // From here on nothing moves the place on.
    lock(&bench.script).is_down = true;
    lock(&bench.script).failures = 1;
    bench.commit(8, "normal");
    bench.wait_until("a failure", |script| script.failures == 0);
    for since in [3, 5, 99] {
        assert!(answered(rewind(&shared, since)).contains(&format!("goes on after {} in", since.min(8))));
        // As another recorder finds it, if this one is killed now.
        let places = Places::open(&bench.config.path, 7, "fake").unwrap();
        assert_eq!(places.load().unwrap().unwrap().0.seq.matches, since.min(8));
    }
    bench.streams.matches.newest.close();
    thread.join().unwrap();
    let late = rewind(&shared, 1);
    lock(&shared.orders).clear();
    assert!(answered(late).contains("the sink has ended before"));
}

#[test]
fn a_thread_tells_each_row_sets_aside_what_is_refused_and_goes_on_after_its_end() {
    let bench = Bench::new();
    *lock(&bench.script) = Script { failures: 2, refuses: Some(4), ..Script::default() };
    let (thread, shared) = bench.start(&[SinkLane::Priority]);
    for seq in 1..=7 {
        bench.commit(seq, if seq == 2 { "normal" } else { "priority" });
    }
    bench.wait_until("each row of its lane", |script| script.told == [1, 3, 5, 6, 7]);
    // What it has settled may be deleted.
    let until = Instant::now() + Duration::from_secs(30);
    while bench.streams.matches.readers.low_water() < 7 {
        assert!(Instant::now() < until, "the low-water mark");
        std::thread::sleep(Duration::from_millis(2));
    }
    let answer = rewind(&shared, 5);
    bench.wait_until("two rows again", |script| script.told == [1, 3, 5, 6, 7, 6, 7]);
    bench.streams.matches.newest.close();
    thread.join().unwrap();
    assert!(answered(answer).contains("goes on after 5 in the match stream"));
    let stats = lock(&shared.stats).clone();
    assert_eq!((stats.state.as_str(), stats.refused, stats.delivered), ("stopped", 1, 7));
    assert_eq!(stats.error, "it is full");
    let places = Places::open(&bench.config.path, 7, "fake").unwrap();
    assert_eq!(
        places.load().unwrap().map(|(position, refused)| (position.seq.matches, refused)),
        Some((7, 1))
    );
}

#[test]
fn a_new_sink_begins_with_what_comes_and_the_store_keeps_what_it_has_not_read() {
    let bench = Bench::new();
    bench.commit(1, "normal");
    let (thread, _) = bench.start(&SinkLane::ALL);
    bench.commit(2, "normal");
    bench.wait_until("the row after its start", |script| script.told == [2]);
    bench.streams.matches.newest.close();
    thread.join().unwrap();
}
