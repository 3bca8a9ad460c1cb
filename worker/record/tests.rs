//! The whole recorder over socket pairs: a coordinator and workers played by the test, a store on disk.
#![allow(clippy::wildcard_enum_match_arm)]

use super::*;
use rusqlite::Connection;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::JoinHandle;
use tempfile::TempDir;
use touchline_common::config::Config;
use touchline_common::ipc::messages::Message as _;
use touchline_common::ipc::messages::data::{EndReason, Extent, FromRecorderData, Publish, ToRecorderData};
use touchline_common::ipc::messages::recorder::Owner;
use touchline_common::model::*;

const PATIENCE: Duration = Duration::from_secs(30);
const HOME: Register = Register::Score(Side::Home);

fn config(folder: &TempDir) -> Config {
    let mut config = Config::default();
    config.daemon.state_dir = folder.path().to_path_buf();
    config.feed.push(touchline_common::config::FeedConfig { name: "inplay".into(), ..Default::default() });
    config.store.snapshot_interval = "50ms".parse().unwrap();
    config
}

fn key(id: &str) -> MatchKey {
    MatchKey { feed: FeedId(0), id: id.into() }
}

/// The coordinator's side.
struct Coordinator {
    channel: Channel<FromRecorder, ToRecorder>,
    recorder: Option<JoinHandle<Result<(), RecordError>>>,
    path: PathBuf,
    ready: Option<(Epoch, u64)>,
}

impl Coordinator {
    fn start(config: &Config) -> Coordinator {
        let (near, far) = UnixStream::pair().unwrap();
        let recorder = std::thread::spawn(move || run(far.into()));
        let channel = Channel::new(near.into(), 1 << 20, 1 << 20).unwrap();
        let mut coordinator =
            Coordinator { channel, recorder: Some(recorder), path: config.store_path(), ready: None };
        coordinator.until(|message| matches!(message, FromRecorder::Hello(_)).then_some(()));
        let json = config.to_child_json().unwrap();
        coordinator.tell(&ToRecorder::Welcome(Welcome { proto: PROTO, config: json }));
        coordinator.ready = Some(coordinator.until(|message| match message {
            FromRecorder::Ready { highest_epoch, token } => Some((*highest_epoch, *token)),
            _ => None,
        }));
        coordinator
    }

    fn tell(&mut self, message: &ToRecorder) {
        self.channel.send(message, 0).unwrap();
        assert!(self.channel.flush().unwrap());
    }

    fn until<T>(&mut self, want: impl Fn(&FromRecorder) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            while let Some((message, _, _)) = self.channel.next().unwrap() {
                if let Some(found) = want(&message) {
                    return found;
                }
            }
            assert!(Instant::now() < end, "the recorder did not say it");
            self.channel.read().unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn switched(&mut self, id: &str, epoch: u64) {
        self.until(|message| {
            (*message == FromRecorder::Switched { key: key(id), epoch: Epoch(epoch) }).then_some(())
        });
    }

    fn worker(&mut self, slot: u16, generation: u32) -> Peer {
        let (near, far) = UnixStream::pair().unwrap();
        let (slot, generation) = (SlotId(slot), Generation(generation));
        self.channel.send_fd(&ToRecorder::Attach { slot, generation }, 0, far.into()).unwrap();
        assert!(self.channel.flush().unwrap());
        let mut peer = Peer { channel: Channel::new(near.into(), 1 << 20, 1 << 30).unwrap(), n: 0, acked: 0 };
        peer.send(&ToRecorderData::Open { proto_min: PROTO, proto_max: PROTO, slot, generation });
        peer.n = peer.until(|message| match message {
            FromRecorderData::Opened { resume_after, .. } => Some(*resume_after),
            _ => None,
        });
        peer
    }

    fn ask(&mut self, verb: &str, args: &str) -> BufReader<UnixStream> {
        let (near, far) = UnixStream::pair().unwrap();
        let query = ToRecorder::Query { verb: verb.into(), args: args.into() };
        self.channel.send_fd(&query, 0, far.into()).unwrap();
        assert!(self.channel.flush().unwrap());
        near.set_read_timeout(Some(PATIENCE)).unwrap();
        BufReader::new(near)
    }

    fn answer(&mut self, verb: &str, args: &str) -> serde_json::Value {
        line(&mut self.ask(verb, args))
    }

    /// When the one gap began that is open, microseconds.
    fn gap_since(&mut self) -> i64 {
        self.until(|message| match message {
            FromRecorder::Stats(stats) if stats.gaps_open == 1 => Some(()),
            _ => None,
        });
        let gaps = self.answer("gaps", "{}");
        let open = gaps["result"].as_array().unwrap().iter().find(|gap| gap["ended_at"].is_null()).unwrap();
        open["started_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_microsecond()
    }

    fn stop(mut self) -> Connection {
        self.tell(&ToRecorder::Stop { deadline_ms: 500 });
        self.recorder.take().unwrap().join().unwrap().unwrap();
        store::open::open_to_read(&self.path).unwrap()
    }
}

fn line(reader: &mut impl BufRead) -> serde_json::Value {
    let mut text = String::new();
    reader.read_line(&mut text).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
}

/// A worker's side.
struct Peer {
    channel: Channel<FromRecorderData, ToRecorderData>,
    n: u64,
    acked: u64,
}

impl Peer {
    fn send(&mut self, message: &ToRecorderData) {
        self.channel.send(message, 0).unwrap();
        self.channel.flush().unwrap();
    }

    fn until<T>(&mut self, want: impl Fn(&FromRecorderData) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            self.channel.flush().unwrap();
            self.channel.read().unwrap();
            while let Some((message, _, _)) = self.channel.next().unwrap() {
                if let FromRecorderData::Ack { n } = message {
                    assert!(n > self.acked, "acknowledgements rise");
                    self.acked = n;
                }
                if let Some(found) = want(&message) {
                    return found;
                }
            }
            assert!(Instant::now() < end, "the recorder did not answer");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn acknowledged(&mut self) {
        let n = self.n;
        if self.acked < n {
            self.until(|message| (*message == FromRecorderData::Ack { n }).then_some(()));
        }
    }

    fn base(&mut self, id: &str, epoch: u64, home: i64) {
        self.base_of(id, epoch, home, time::wall_us());
    }

    /// What the worker saw at `received_at`.
    fn base_of(&mut self, id: &str, epoch: u64, home: i64, received_at: i64) {
        self.n += 1;
        let registers = [(HOME, home), (Register::Score(Side::Away), 0), (Register::Phase, 1)];
        self.send(&ToRecorderData::Base {
            n: self.n,
            key: key(id),
            epoch: Epoch(epoch),
            facts: Facts { sport: Some("soccer".into()), scoring: Scoring::Goals },
            registers: registers.into_iter().collect(),
            clock: None,
            received_at,
        });
    }

    fn obs(&mut self, id: &str, epoch: u64, home: i64) {
        self.observe(id, epoch, vec![RegisterChange { register: HOME, value: home }], Vec::new());
    }

    fn observe(&mut self, id: &str, epoch: u64, registers: Vec<RegisterChange>, flips: Vec<Flip>) {
        self.n += 1;
        let clock = Some(Clock { seconds: 61 });
        let observation = Observation { registers, flips, clock, received_at: time::wall_us() };
        let (n, key, epoch) = (self.n, key(id), Epoch(epoch));
        self.channel.send(&ToRecorderData::Obs { n, key, epoch, observation }, 0).unwrap();
        self.channel.flush().unwrap();
    }

    fn publish(&mut self, id: &str, epoch: u64, extent: Extent, sections: &[(&str, Option<&str>)]) {
        self.publish_at(id, epoch, extent, sections, 1_700_000_000_000_000);
    }

    fn publish_at(
        &mut self,
        id: &str,
        epoch: u64,
        extent: Extent,
        sections: &[(&str, Option<&str>)],
        received_at: i64,
    ) {
        let section = |(market, body): &(&str, Option<&str>)| Section {
            key: if market.is_empty() { SectionKey::Head } else { SectionKey::Market((*market).into()) },
            body: body.map(str::to_owned),
        };
        self.send(&ToRecorderData::Publish(Publish {
            key: key(id),
            epoch: Epoch(epoch),
            extent,
            sections: sections.iter().map(section).collect(),
            stale: false,
            received_at,
            updated_at: received_at + 100,
        }));
    }
}

fn types(store: &Connection) -> Vec<(i64, String)> {
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
        types(&store)[..3],
        [(1, "match_listed".into()), (2, "match_started".into()), (3, "goal".into())]
    );
    assert_eq!(count(&store, "SELECT count(*) FROM timeline WHERE type = 'goal'"), 1);
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
    let sent = worker.n;
    let mut again = coordinator.worker(1, 1);
    assert_eq!(again.n, sent, "what is committed is not sent again");
    again.obs("M1", 5, 2);
    again.base("M1", 6, 2);
    coordinator.switched("M1", 6);
    again.acknowledged();
    let store = coordinator.stop();
    let told: Vec<String> = types(&store).into_iter().map(|(_, kind)| kind).collect();
    // The drop of the first channel at the stop is no death: the recorder left before it.
    assert_eq!(told.iter().filter(|kind| *kind == "goal").count(), 2, "{told:?}");
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
fn all_that_a_worker_took_along_that_told_nothing_yet_is_in_its_gap() {
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
    let told: Vec<String> = types(&store).into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(told[..5], ["match_listed", "match_started", "gap_start", "goal", "gap_end"]);
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
    coordinator.tell(&ToRecorder::Switch { key: key("M1"), epoch: Epoch(6), owner: Owner::Alive });
    coordinator.switched("M1", 6);
    old.obs("M1", 5, 1);
    old.until(|message| matches!(message, FromRecorderData::Refused { epoch: Epoch(5), .. }).then_some(()));
    new.obs("M1", 6, 1);
    new.acknowledged();
    old.n += 1;
    let (n, at) = (old.n, 1);
    old.send(&ToRecorderData::End { n, key: key("M1"), epoch: Epoch(5), why: EndReason::Moved, at });
    old.acknowledged();
    let store = coordinator.stop();
    assert_eq!(count(&store, "SELECT count(*) FROM events WHERE type = 'goal' AND epoch = 6"), 1);
    assert_eq!(count(&store, "SELECT count(*) FROM gaps WHERE reason = 'moved'"), 0);
}

#[test]
fn a_hole_in_the_numbers_ends_the_channel() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let mut worker = coordinator.worker(1, 1);
    worker.base("M1", 5, 0);
    worker.n += 1;
    worker.obs("M1", 5, 1);
    let end = Instant::now() + PATIENCE;
    while worker.channel.read().unwrap() != ReadOutcome::Closed {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(1));
    }
    let store = coordinator.stop();
    assert_eq!(count(&store, "SELECT count(*) FROM events WHERE type = 'goal'"), 0);
}

#[test]
fn followers_see_each_event_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let mut worker = coordinator.worker(1, 1);
    worker.base("M1", 5, 0);
    worker.acknowledged();
    let mut follower = coordinator.ask("events", r#"{"follow":true,"since":0}"#);
    assert_eq!(line(&mut follower), serde_json::json!({"ok":true,"result":null}));
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
fn waiting_matches_show_what_the_list_knows() {
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = Coordinator::start(&config(&folder));
    let listing = Listing { name: Some("A v B".into()), in_play: true, ..Listing::default() };
    coordinator.tell(&ToRecorder::Waiting { key: key("M1"), listing: Some(listing) });
    let document = coordinator.answer("match", r#"{"match":"M1"}"#);
    assert_eq!((&document["result"]["source"], &document["result"]["home"]), (&"list".into(), &"A".into()));
    coordinator.tell(&ToRecorder::Waiting { key: key("M1"), listing: None });
    let gone = coordinator.answer("match", r#"{"match":"nobody"}"#);
    assert_eq!((&gone["ok"], &gone["code"]), (&false.into(), &1.into()));
    assert_eq!(coordinator.answer("paint", "{}")["code"], 2);
    let store = coordinator.stop();
    assert_eq!(count(&store, "SELECT count(*) FROM documents WHERE state = 'ended'"), 1);
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
    coordinator.tell(&ToRecorder::Ping);
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

/// An event is committed when it comes, not when `event_commit` is over.
#[test]
fn an_event_does_not_wait_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.store.event_commit = "5s".parse().unwrap();
    let mut coordinator = Coordinator::start(&config);
    let mut worker = coordinator.worker(1, 1);
    worker.base("M1", 5, 0);
    let begun = Instant::now();
    for goals in 1..=20 {
        worker.obs("M1", 5, goals);
        worker.acknowledged();
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    println!("{:?} an event, until its acknowledgement", begun.elapsed() / 20);
    coordinator.stop();
}

#[test]
fn audit_records_have_their_own_kind() {
    assert_eq!(audit::AuditRecord::KIND, 0x0401);
}
