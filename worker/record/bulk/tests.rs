//! The thread step by step: frames as a worker writes them, rows as the hour files have them.
#![allow(clippy::wildcard_enum_match_arm)]

mod chat;

use super::*;
use crate::record::hours::hour_of;
use crate::record::hours::read::Reader;
use crate::record::sqlite::Filter;
use crate::record::thread::Chunk;
use std::borrow::Cow;
use std::path::Path;
use touchline_common::config::{Config, FeedConfig};
use touchline_common::ipc::encode_frame;
use touchline_common::ipc::messages::Message;
use touchline_common::ipc::messages::data::{BulkBody, BulkFrame, EndReason, Name, Named};
use touchline_common::model::{
    FeedId, Generation, Handle, MarketValue, OddsChange, Price, SelectionValue, SlotId,
};

const A: Source = Source { slot: SlotId(1), generation: Generation(1) };
const B: Source = Source { slot: SlotId(2), generation: Generation(1) };

fn config(folder: &Path) -> Arc<RecordConfig> {
    let mut config = Config::default();
    config.daemon.state_dir = folder.to_path_buf();
    config.feed.push(FeedConfig { name: "inplay".into(), ..Default::default() });
    Arc::new(RecordConfig::new(&config))
}

fn key(id: &str) -> MatchKey {
    MatchKey { feed: FeedId(0), id: id.into() }
}

#[derive(Default)]
struct Frames(Vec<u8>);

impl Frames {
    fn put<M: Message>(mut self, message: &M) -> Frames {
        encode_frame(message, 0, 0, &mut self.0).unwrap();
        self
    }

    fn name(self, handle: u32, named: Named<'_>) -> Frames {
        self.put(&Name { handle: Handle(handle), named })
    }

    /// Names a match, its market `m` and a selection `s` in it, under three handles from `first` on.
    fn names(self, first: u32, id: &str, epoch: u64) -> Frames {
        let (of, market) = (Handle(first), Handle(first + 1));
        self.name(first, Named::Match { key: key(id), epoch: Epoch(epoch) })
            .name(first + 1, Named::Market { of, key: "m".into(), name: "Result".into() })
            .name(first + 2, Named::Selection { of: market, key: "s".into(), name: "Home".into() })
    }

    fn base(self, n: u64, first: u32, price: i64) -> Frames {
        let markets = vec![MarketValue { market: Handle(first + 1), suspended: false }];
        let text = Cow::from(format!("{}/1", Price(price)));
        let price = Some(Price(price));
        let selection = Handle(first + 2);
        let selections = vec![SelectionValue { selection, price, text, suspended: false, won: None }];
        let body =
            BulkBody::Base { markets: markets.into(), selections: selections.into(), left_out: 0, at: 7 };
        self.put(&BulkFrame { n, handle: Handle(first), body })
    }

    fn price(self, n: u64, first: u32, price: i64) -> Frames {
        let text = Cow::from(format!("{}/1", Price(price)));
        let changes =
            vec![OddsChange::Price { selection: Handle(first + 2), price: Some(Price(price)), text }];
        self.put(&BulkFrame {
            n,
            handle: Handle(first),
            body: BulkBody::Obs { changes: changes.into(), at: 8 },
        })
    }

    fn job(self, source: Source, token: usize) -> Job {
        let chunk = Chunk { bytes: self.0, versions: Vec::new() };
        Job::Frames { source, token, chunk, came: 0 }
    }

    fn end(self, n: u64, handle: u32) -> Frames {
        let body = BulkBody::End { why: EndReason::Ended, at: 9 };
        self.put(&BulkFrame { n, handle: Handle(handle), body })
    }
}

struct Bench {
    folder: tempfile::TempDir,
    bulk: Bulk,
    shared: Arc<Shared>,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let (bulk, shared) = Bulk::open(&config(folder.path()), "parent").unwrap();
        Bench { folder, bulk, shared }
    }

    fn restart(self) -> Bench {
        let Bench { folder, bulk, .. } = self;
        drop(bulk);
        let (bulk, shared) = Bulk::open(&config(folder.path()), "parent").unwrap();
        Bench { folder, bulk, shared }
    }

    fn take(&mut self, job: Job) {
        self.bulk.take(job, Instant::now());
    }

    fn open(&mut self, token: usize, source: Source) {
        self.take(Job::Open { token, source });
    }

    fn adopt(&mut self, id: &str, epoch: u64) {
        self.take(Job::Own(BulkJob::Adopt { key: key(id), epoch: Epoch(epoch) }));
    }

    fn send(&mut self, token: usize, source: Source, frames: Frames) {
        self.take(frames.job(source, token));
    }

    fn commit(&mut self) -> Vec<Reply> {
        self.bulk.commit(false);
        let mut replies = Vec::new();
        self.shared.queue.replies(&mut replies);
        replies
    }

    /// `match type odds recovered` of every row.
    fn rows(&self) -> Vec<String> {
        let reader = Reader::new(self.folder.path().join("hours"));
        let (lines, _) = reader.odds(&Filter { since: Some(0), ..Default::default() }, 1_000).unwrap();
        let row = |line: &String| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            format!(
                "{} {} {} {}",
                row["match"].as_str().unwrap(),
                row["type"].as_str().unwrap(),
                row["odds"],
                row["recovered"]
            )
        };
        lines.iter().map(row).collect()
    }
}

#[test]
fn rows_positions_and_replies_come_with_the_commit() {
    let mut bench = Bench::new();
    bench.open(5, A);
    bench.adopt("M", 1);
    let frames =
        Frames::default().names(1, "M", 1).base(1, 1, 20_000).price(2, 1, 21_000).price(3, 1, 21_000);
    bench.send(5, A, frames);
    assert!(!bench.shared.queue.has_reply(|_| true));
    assert_eq!(bench.rows(), Vec::<String>::new());
    let replies = bench.commit();
    assert_eq!(replies, [Reply::Opened { token: 5, resume_after: 0 }, Reply::Acked { source: A, n: 3 }]);
    let rows = bench.rows();
    assert_eq!(rows, ["M base null true", "M base 2 true", "M odds_change 2.1 false"]);
    let newest = bench.shared.newest.wait_beyond(0, Duration::ZERO);
    assert_eq!(newest, hour_of(wall_us()) * 1_000_000_000 + 3);
    // A new recorder: what follows goes on in the same file.
    let mut bench = bench.restart();
    assert_eq!(bench.shared.newest.wait_beyond(0, Duration::ZERO), newest);
    bench.open(6, A);
    bench.adopt("M", 1);
    bench.send(6, A, Frames::default().names(1, "M", 1).price(4, 1, 22_000));
    let replies = bench.commit();
    assert_eq!(replies, [Reply::Opened { token: 6, resume_after: 3 }, Reply::Acked { source: A, n: 4 }]);
    // Of a recorder without a base: what it does not know may have been left out.
    assert_eq!(bench.rows().last().unwrap(), "M odds_change 2.2 true");
    let line = {
        let reader = Reader::new(bench.folder.path().join("hours"));
        let filter = Filter { id: Some("M".into()), market: Some("m".into()), ..Default::default() };
        reader.odds(&filter, 1).unwrap().0.remove(0)
    };
    let seq = newest + 1;
    let expected = format!(
        r#"{{"seq":{seq},"match":"M","feed":"inplay","type":"odds_change","lane":"odds","market":"m","market_name":"Result","selection":"s","selection_name":"Home","odds":2.2,"odds_text":"2.2/1","suspended":null,"won":null,"at":"1970-01-01T00:00:00.000008Z","recovered":true}}"#
    );
    assert_eq!(line, expected);
}

#[test]
fn a_second_workers_handles_meet_the_same_values() {
    let mut bench = Bench::new();
    bench.open(1, A);
    bench.open(2, B);
    bench.adopt("M", 1);
    bench.send(1, A, Frames::default().names(1, "M", 1).base(1, 1, 20_000));
    bench.send(2, B, Frames::default().names(901, "M", 2).base(1, 901, 20_000).price(2, 901, 30_000));
    bench.commit();
    assert_eq!(bench.rows().len(), 2);
    bench.adopt("M", 2);
    bench.send(1, A, Frames::default().price(2, 1, 25_000));
    bench.send(2, B, Frames::default().price(3, 901, 31_000));
    bench.commit();
    assert_eq!(bench.rows()[2..], ["M odds_change 3.1 true"]);
    assert_eq!(lock(&bench.shared.stats).refused, 1);
}

#[test]
fn a_bad_frame_breaks_its_channel_alone() {
    let price_of = |selection, n| {
        let changes = vec![OddsChange::Price { selection: Handle(selection), price: None, text: "".into() }];
        BulkFrame { n, handle: Handle(1), body: BulkBody::Obs { changes: changes.into(), at: 0 } }
    };
    let below_a_match = Named::Selection { of: Handle(1), key: "x".into(), name: "".into() };
    let named = || Frames::default().names(1, "M", 1).base(1, 1, 20_000);
    let mut cut = named();
    cut.0.truncate(cut.0.len() - 1);
    let cases: Vec<(&str, Frames)> = vec![
        ("never named", Frames::default().price(1, 1, 1)),
        ("named twice", named().names(1, "N", 1)),
        ("has ended", named().end(2, 1).price(3, 1, 1)),
        ("named twice", named().end(2, 1).names(1, "M", 1)),
        ("is a match and is used as a market", named().name(9, below_a_match)),
        ("is a market and is used as a selection", named().put(&price_of(2, 2))),
        ("another match", named().names(4, "N", 1).put(&BulkFrame { handle: Handle(4), ..price_of(3, 2) })),
        (
            "feed 7",
            Frames::default()
                .name(1, Named::Match { key: MatchKey { feed: FeedId(7), id: "M".into() }, epoch: Epoch(1) }),
        ),
        ("cut off", cut),
    ];
    for (what, frames) in cases {
        let mut bench = Bench::new();
        bench.open(1, A);
        bench.open(2, B);
        bench.adopt("M", 1);
        bench.adopt("O", 1);
        bench.send(1, A, frames);
        bench.send(2, B, Frames::default().names(1, "O", 1).base(1, 1, 20_000));
        bench.send(1, A, Frames::default().names(800, "P", 1));
        let replies = bench.commit();
        let broken: Vec<_> = replies
            .iter()
            .filter_map(|reply| match reply {
                Reply::Broken { token, what } => Some((*token, what.as_str())),
                _ => None,
            })
            .collect();
        assert!(matches!(broken[..], [(1, said)] if said.contains(what)), "{what}: {broken:?}");
        assert!(replies.contains(&Reply::Acked { source: B, n: 1 }), "{what}");
        assert!(bench.rows().contains(&"O base 2 true".to_owned()), "{what}");
    }
}

#[test]
fn a_match_that_is_over_goes_once_no_channel_follows_it() {
    let mut bench = Bench::new();
    bench.open(1, A);
    bench.adopt("M", 1);
    bench.send(1, A, Frames::default().names(1, "M", 1).base(1, 1, 20_000).end(2, 1));
    bench.take(Job::Ended { key: key("M"), epoch: Epoch(1) });
    bench.commit();
    bench.bulk.matches.sweep(Instant::now());
    assert_eq!(bench.bulk.matches.slab.len(), 1);
    bench.bulk.matches.sweep(Instant::now() + matches::GRACE);
    assert_eq!(bench.bulk.matches.slab.len(), 0);
    // Its handles are not used again, the next ones are.
    bench.adopt("M", 2);
    bench.send(1, A, Frames::default().names(4, "M", 2).base(3, 4, 20_000));
    assert_eq!(bench.commit(), [Reply::Acked { source: A, n: 3 }]);
}

#[test]
fn what_comes_under_the_id_of_a_match_that_is_over_begins_anew() {
    let mut bench = Bench::new();
    bench.open(1, A);
    bench.adopt("M", 1);
    bench.send(1, A, Frames::default().names(1, "M", 1).base(1, 1, 20_000).end(2, 1));
    let next = Frames::default()
        .name(4, Named::Match { key: key("M"), epoch: Epoch(2) })
        .name(5, Named::Market { of: Handle(4), key: "m".into(), name: "Result".into() })
        .name(6, Named::Selection { of: Handle(5), key: "s".into(), name: "Another".into() })
        .base(3, 4, 30_000);
    bench.send(1, A, next);
    // That end was committed after the next match was named.
    bench.take(Job::Ended { key: key("M"), epoch: Epoch(1) });
    bench.adopt("M", 2);
    bench.commit();
    assert_eq!(
        bench.rows(),
        ["M base null true", "M base 2 true", "M base null true", "M base 3 true"],
        "no market of the one before is closed"
    );
    let reader = Reader::new(bench.folder.path().join("hours"));
    let (lines, _) = reader.odds(&Filter { since: Some(0), ..Default::default() }, 1_000).unwrap();
    assert!(lines.last().unwrap().contains(r#""selection_name":"Another""#), "{lines:?}");
    bench.take(Job::Ended { key: key("M"), epoch: Epoch(1) });
    bench.bulk.matches.sweep(Instant::now() + matches::GRACE);
    assert_eq!(bench.bulk.matches.slab.len(), 1);
    let place = bench.bulk.matches.find(&key("M")).unwrap();
    assert!(bench.bulk.matches.slab[place].over.is_none(), "a higher epoch owns it");
}

#[test]
fn what_a_worker_sends_again_of_a_match_that_is_over_is_of_that_match() {
    let mut bench = Bench::new();
    bench.adopt("M", 1);
    bench.take(Job::Ended { key: key("M"), epoch: Epoch(1) });
    bench.open(1, A);
    bench.send(1, A, Frames::default().names(1, "M", 1).price(1, 1, 20_000).end(2, 1));
    bench.commit();
    assert_eq!(bench.rows(), ["M odds_change 2 true"]);
}

#[test]
fn a_full_disk_loses_and_doubles_nothing() {
    let mut bench = Bench::new();
    bench.open(1, A);
    bench.adopt("M", 1);
    bench.send(1, A, Frames::default().names(1, "M", 1).base(1, 1, 20_000));
    bench.commit();
    let pages: i64 =
        bench.bulk.hours.connection().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let limit = |bench: &Bench, pages: i64| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        bench.bulk.hours.connection().query_row(&sql, [], |_| Ok(())).unwrap();
    };
    limit(&bench, pages);
    let mut frames = Frames::default();
    for n in 2..2_000 {
        frames = frames.price(n, 1, 20_000 + n as i64);
    }
    bench.send(1, A, frames.names(7, "N", 1));
    for _ in 0..2 {
        let error = bench.bulk.try_commit().unwrap_err();
        assert!(error.to_string().contains("full"), "{error}");
        assert!(!bench.shared.queue.has_reply(|_| true));
        assert_eq!(bench.rows().len(), 2);
    }
    bench.bulk.report_trouble("full", Duration::ZERO);
    limit(&bench, 100_000);
    assert_eq!(bench.commit(), [Reply::Acked { source: A, n: 1_999 }]);
    assert_eq!(lock(&bench.shared.stats).trouble, "");
    let reader = Reader::new(bench.folder.path().join("hours"));
    let (lines, last) = reader.odds(&Filter { since: Some(0), ..Default::default() }, 10_000).unwrap();
    assert_eq!(lines.len(), 2 + 1_998);
    assert_eq!(last.unwrap() % 1_000_000_000, 2_000);
    let odds = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap()["odds"].as_f64();
    assert!(lines[2..].iter().map(odds).is_sorted());
}

#[test]
fn old_files_go_while_the_disk_refuses() {
    let mut bench = Bench::new();
    bench.open(1, A);
    bench.adopt("M", 1);
    let old = bench.folder.path().join("hours/2001-01-01T00.db");
    std::fs::write(&old, "").unwrap();
    let full = "PRAGMA max_page_count = 1";
    bench.bulk.hours.connection().query_row(full, [], |_| Ok(())).unwrap();
    let mut frames = Frames::default().names(1, "M", 1);
    for n in 1..2_000 {
        frames = frames.price(n, 1, 20_000 + n as i64);
    }
    bench.send(1, A, frames);
    bench.bulk.commit(true);
    assert!(lock(&bench.shared.stats).trouble.contains("full"));
    assert!(!old.exists());
}

#[test]
fn a_stop_ends_the_wait_for_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut slow = RecordConfig::clone(&config(folder.path()));
    slow.store.bulk_commit = touchline_common::config::Dur(Duration::from_secs(20));
    let (bulk, shared) = Bulk::open(&Arc::new(slow), "parent").unwrap();
    let thread = std::thread::spawn(move || bulk.run(&|| {}));
    shared.queue.push(&mut vec![Job::Own(BulkJob::Adopt { key: key("M"), epoch: Epoch(1) })]);
    std::thread::sleep(Duration::from_millis(50));
    let began = Instant::now();
    shared.queue.push(&mut vec![Job::Stop]);
    thread.join().unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn the_next_hour_begins_with_all_that_is_known_and_a_clock_that_jumps_back_goes_on_in_it() {
    let mut bench = Bench::new();
    bench.open(1, A);
    bench.adopt("M", 1);
    bench.send(1, A, Frames::default().names(1, "M", 1).base(1, 1, 20_000));
    bench.commit();
    let now = wall_us();
    bench.bulk.change_hour(now + 3_600_000_000);
    bench.bulk.change_hour(now);
    bench.bulk.change_hour(now - 7_200_000_000);
    bench.send(1, A, Frames::default().price(2, 1, 21_000));
    bench.commit();
    let rows = bench.rows();
    let expected = ["M base null false", "M base 2 false", "M odds_change 2.1 false"];
    assert_eq!(rows[2..], expected);
    assert_eq!(bench.shared.newest.wait_beyond(0, Duration::ZERO), (hour_of(now) + 1) * 1_000_000_000 + 3);
    assert_eq!(bench.bulk.hours.look(now).trouble, None);
    assert!(bench.bulk.hours.look(now - 7_200_000_000).trouble.unwrap().contains("ahead of the clock"));
    // Positions are in the newest file, though the clock says another hour.
    let mut bench = bench.restart();
    bench.open(2, A);
    assert_eq!(bench.commit(), [Reply::Opened { token: 2, resume_after: 2 }]);
}

#[test]
fn an_hour_whose_file_cannot_be_begun_goes_on_in_the_last() {
    let mut bench = Bench::new();
    bench.open(1, A);
    bench.adopt("M", 1);
    bench.send(1, A, Frames::default().names(1, "M", 1).base(1, 1, 20_000));
    bench.commit();
    let later = wall_us() + 3_600_000_000;
    let in_the_way = bench.folder.path().join("hours").join(hours::file_name(hour_of(later)));
    std::fs::create_dir(&in_the_way).unwrap();
    bench.bulk.change_hour(later);
    assert!(lock(&bench.shared.stats).trouble.contains("creating"));
    bench.send(1, A, Frames::default().price(2, 1, 21_000));
    assert_eq!(bench.commit(), [Reply::Acked { source: A, n: 2 }]);
    assert!(lock(&bench.shared.stats).trouble.contains("creating"), "it is still to be begun");
    std::fs::remove_dir(&in_the_way).unwrap();
    bench.bulk.hour_retry = Some(Instant::now());
    bench.bulk.change_hour(later);
    assert_eq!(lock(&bench.shared.stats).trouble, "");
    bench.send(1, A, Frames::default().price(3, 1, 22_000));
    bench.commit();
    let expected =
        ["M odds_change 2.1 false", "M base null false", "M base 2.1 false", "M odds_change 2.2 false"];
    assert_eq!(bench.rows()[2..], expected);
}

#[test]
fn the_thread_commits_what_came_and_ends() {
    let Bench { folder, bulk, shared } = Bench::new();
    shared.queue.push(&mut vec![
        Job::Open { token: 1, source: A },
        Job::Own(BulkJob::Adopt { key: key("M"), epoch: Epoch(1) }),
        Frames::default().names(1, "M", 1).base(1, 1, 20_000).job(A, 1),
        Job::Gone(Gone { source: A, at: 0, attached: 0, last_frame_at: 0, unheard: None }),
        Job::Stop,
    ]);
    bulk.run(&|| {});
    let mut replies = Vec::new();
    shared.queue.replies(&mut replies);
    let expected =
        [Reply::Opened { token: 1, resume_after: 0 }, Reply::Acked { source: A, n: 1 }, Reply::Stopped];
    assert_eq!(replies, expected);
    assert_eq!(shared.queue.held(), 0);
    let mut bench = Bench { shared, bulk: Bulk::open(&config(folder.path()), "parent").unwrap().0, folder };
    assert_eq!(bench.rows().len(), 2);
    // Another coordinator's workers count from 1 again.
    drop(bench.bulk);
    let (bulk, shared) = Bulk::open(&config(bench.folder.path()), "other").unwrap();
    (bench.bulk, bench.shared) = (bulk, shared);
    bench.open(3, A);
    assert_eq!(bench.commit(), [Reply::Opened { token: 3, resume_after: 0 }]);
}
