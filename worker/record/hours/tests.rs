//! Files as they may be found: truncated, newer, far ahead, unfinished, not writable; what closing and retention leave.

use super::read::Reader;
use super::*;
use crate::record::sqlite::{Filter, open_to_read};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

const NOW: i64 = 1_767_366_000_000_000;
const HOUR: i64 = NOW / HOUR_US;

struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Bench {
        Bench(tempfile::tempdir().unwrap())
    }

    fn open(&self, now: i64) -> Hours {
        Hours::open(&self.0.path().join("touchline.db"), "parent", now).unwrap().0
    }

    fn file(&self, hour: i64) -> PathBuf {
        self.0.path().join("hours").join(file_name(hour))
    }

    fn hours(&self) -> Vec<i64> {
        list(&self.0.path().join("hours")).unwrap()
    }

    fn prices(&self) -> Vec<f64> {
        let reader = Reader::new(self.0.path().join("hours"));
        let (lines, _) = reader.odds(&Filter { since: Some(0), ..Default::default() }, 100_000).unwrap();
        lines
            .iter()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["odds"].as_f64().unwrap())
            .collect()
    }
}

fn write(hours: &mut Hours, prices: std::ops::Range<i64>) {
    hours
        .write(&mut |writer| {
            let market = ("m", "Result");
            let row = SelectionRow { feed: "inplay", id: "M", market, selection: Some(("s", "Home")) };
            let (selection, text) = (writer.selection(&row)?, writer.text("5/4")?);
            prices.clone().try_for_each(|price| {
                let price = Some(Price(price * 10_000));
                let (kind, text) = (Kind::OddsChange, Some(text));
                writer.odds(&OddsRow {
                    at: NOW,
                    selection,
                    kind,
                    price,
                    text,
                    suspended: Some(false),
                    recovered: false,
                    won: None,
                })
            })?;
            writer.position(SlotId(1), Generation(1), 9)
        })
        .unwrap();
}

fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !is() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn has_log(path: &Path) -> bool {
    let head = fs::read(path).unwrap();
    head[18] != 1
}

#[test]
fn the_view_names_each_type_as_answers_do() {
    let bench = Bench::new();
    let mut hours = bench.open(NOW);
    use Kind::{Base, MarketClose, MarketOpen, OddsChange, Resumed, Suspended};
    let kinds = [OddsChange, Suspended, Resumed, MarketOpen, MarketClose, Base];
    hours
        .write(&mut |writer| {
            let row = SelectionRow { feed: "f", id: "M", market: ("m", ""), selection: None };
            let selection = writer.selection(&row)?;
            kinds.iter().try_for_each(|kind| {
                let (kind, price, text) = (*kind, None, None);
                writer.odds(&OddsRow {
                    at: 0,
                    selection,
                    kind,
                    price,
                    text,
                    suspended: Some(false),
                    recovered: false,
                    won: None,
                })
            })
        })
        .unwrap();
    let mut statement = hours.connection().prepare("SELECT type FROM history ORDER BY seq").unwrap();
    let names: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
    assert_eq!(names, ["odds_change", "suspended", "resumed", "market_open", "market_close", "base"]);
    let reader = Reader::new(bench.0.path().join("hours"));
    let (lines, _) = reader.odds(&Filter { since: Some(0), ..Default::default() }, 100).unwrap();
    let answers: Vec<serde_json::Value> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.iter().map(|answer| answer["type"].as_str().unwrap()).collect::<Vec<_>>(), names);
}

#[test]
fn names_of_files_are_hours() {
    assert_eq!(file_name(HOUR), "2026-01-02T15.db");
    assert_eq!(hour_of_name("2026-01-02T15.db"), Some(HOUR));
    for other in ["2026-01-02T15.db-wal", "2026-01-02.db", "2026-01-02T25.db", "x"] {
        assert_eq!(hour_of_name(other), None, "{other}");
    }
}

#[test]
fn a_file_that_is_over_is_indexed_and_has_no_log_and_all_rows_are_read_in_order() {
    let bench = Bench::new();
    let mut hours = bench.open(NOW);
    write(&mut hours, 1..4);
    assert_eq!(fs::metadata(bench.file(HOUR)).unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(hours.next(NOW), None);
    let next = hours.next(NOW + HOUR_US).unwrap();
    hours.roll(next, &mut |_| Ok(())).unwrap();
    write(&mut hours, 4..6);
    assert_eq!(hours.seq(), (HOUR + 1) * ROWS + 2);
    assert_eq!(bench.prices(), [1.0, 2.0, 3.0, 4.0, 5.0]);
    eventually("closed", || !hours.closer.has(&bench.file(HOUR)));
    assert!(!has_log(&bench.file(HOUR)));
    let file = open_to_read(&bench.file(HOUR)).unwrap();
    let index: i64 = file
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'odds_selection'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(index, 1);
    let history = "SELECT at || feed || match || market || market_name || selection || selection_name || type || odds || odds_text
        || suspended || recovered FROM history WHERE seq % 1000000000 = 2";
    let text: String = file.query_row(history, [], |row| row.get(0)).unwrap();
    assert_eq!(text, "2026-01-02T15:00:00.000000ZinplayMmResultsHomeodds_change2.05/400");
    assert!(file.query_row("SELECT * FROM comments", [], |_| Ok(())).is_err());
    // Again, the newest first and with a limit.
    let reader = Reader::new(bench.0.path().join("hours"));
    let (lines, last) = reader.odds(&Filter { id: Some("M".into()), ..Default::default() }, 3).unwrap();
    assert_eq!((lines.len(), last), (3, Some((HOUR + 1) * ROWS + 2)));
    assert!(lines[0].contains(r#""odds":3,"#), "{lines:?}");
    let since = Some((HOUR + 1) * ROWS + 1);
    assert_eq!(reader.odds(&Filter { since, ..Default::default() }, 3).unwrap().0.len(), 1);
}

#[test]
fn a_later_start_goes_on_in_the_same_file_and_closes_older_ones() {
    let bench = Bench::new();
    let mut hours = bench.open(NOW);
    write(&mut hours, 1..3);
    drop(hours);
    let mut hours = bench.open(NOW + 1);
    assert_eq!(hours.seq(), HOUR * ROWS + 2);
    write(&mut hours, 3..4);
    drop(hours);
    let (mut hours, positions) =
        Hours::open(&bench.0.path().join("touchline.db"), "parent", NOW + 2 * HOUR_US).unwrap();
    assert_eq!(positions.get(&SlotId(1)), Some(&(Generation(1), 9)));
    assert_eq!(bench.hours(), [HOUR, HOUR + 2]);
    write(&mut hours, 4..5);
    assert_eq!(bench.prices(), [1.0, 2.0, 3.0, 4.0]);
    eventually("closed", || !has_log(&bench.file(HOUR)));
}

/// Opens after something was done to the newest file: it is left as it is, and the hour after it begins.
fn goes_on_beside(spoil: impl FnOnce(&Path)) -> Bench {
    let bench = Bench::new();
    let mut hours = bench.open(NOW);
    write(&mut hours, 1..20_000);
    drop(hours);
    spoil(&bench.file(HOUR));
    let before = fs::read(bench.file(HOUR)).unwrap();
    let mut hours = bench.open(NOW);
    assert_eq!(bench.hours(), [HOUR, HOUR + 1]);
    assert_eq!(hours.ahead(NOW), None);
    write(&mut hours, 7..9);
    assert_eq!(fs::read(bench.file(HOUR)).unwrap(), before);
    bench
}

#[test]
fn a_truncated_file_is_left_alone() {
    let bench = goes_on_beside(|path| {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    });
    assert_eq!(bench.prices(), [7.0, 8.0]);
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let bench = goes_on_beside(|path| fs::write(path, "something else\n".repeat(100)).unwrap());
    assert_eq!(bench.prices(), [7.0, 8.0]);
}

#[test]
fn a_file_of_the_first_schema_is_read_and_gone_on_with() {
    let bench = Bench::new();
    let mut hours = bench.open(NOW);
    write(&mut hours, 5..6);
    drop(hours);
    let first =
        "DROP VIEW history; ALTER TABLE odds DROP COLUMN won; ALTER TABLE chat DROP COLUMN feed_at; CREATE VIEW history AS SELECT seq FROM odds;
        PRAGMA user_version = 1";
    Connection::open(bench.file(HOUR)).unwrap().execute_batch(first).unwrap();
    let rows = || Reader::new(bench.0.path().join("hours"));
    let filter = Filter { since: Some(0), ..Filter::default() };
    let old = rows().odds(&filter, 10).unwrap().0;
    assert!(old.len() == 1 && old[0].contains("\"won\":null"), "{old:?}");
    let mut hours = bench.open(NOW);
    hours
        .write(&mut |writer| {
            let market = ("m", "Result");
            let row = SelectionRow { feed: "inplay", id: "M", market, selection: Some(("t", "Away")) };
            let selection = writer.selection(&row)?;
            let (kind, recovered, won) = (Kind::OddsChange, false, Some(true));
            let (price, text, suspended) = (None, None, Some(true));
            writer.odds(&OddsRow { at: NOW, selection, kind, price, text, suspended, recovered, won })
        })
        .unwrap();
    drop(hours);
    let all = rows().odds(&filter, 10).unwrap().0;
    assert!(all.len() == 2 && all[1].contains("\"won\":true"), "{all:?}");
}

#[test]
fn a_file_of_a_newer_schema_is_left_alone() {
    let bench = goes_on_beside(|path| {
        let newer = format!("PRAGMA user_version = {}", schema::SCHEMA + 1);
        Connection::open(path).unwrap().execute_batch(&newer).unwrap();
    });
    assert_eq!(bench.prices(), [7.0, 8.0]);
}

#[test]
fn a_file_that_cannot_be_written_is_left_alone_and_read() {
    // Rights do not stop root; SQLite takes these bytes of the header as a format that it may only read.
    let bench = goes_on_beside(|path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[18] = 3;
        bytes[19] = 1;
        fs::write(path, bytes).unwrap();
    });
    assert_eq!(bench.prices().len(), 19_999 + 2);
}

#[test]
fn a_file_without_its_first_transaction_is_deleted() {
    let bench = Bench::new();
    drop(bench.open(NOW - HOUR_US));
    drop(schema::create(&bench.file(HOUR)).unwrap());
    fs::write(bench.file(HOUR - 2), "").unwrap();
    let hours = bench.open(NOW);
    assert_eq!(hours.seq(), HOUR * ROWS);
    eventually("the older one", || bench.hours() == [HOUR - 1, HOUR]);
    // It began anew, complete.
    assert_eq!(
        open_to_read(&bench.file(HOUR)).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)),
        Ok(schema::SCHEMA)
    );
}

#[test]
fn a_file_far_ahead_goes_on_and_is_a_reason() {
    let bench = Bench::new();
    drop(bench.open(NOW + 50 * HOUR_US));
    let mut hours = bench.open(NOW);
    assert_eq!(bench.hours(), [HOUR + 50]);
    let why = hours.ahead(NOW).unwrap();
    assert!(why.contains("2026-01-04T17.db is 50 hours ahead of the clock"), "{why}");
    write(&mut hours, 1..2);
    assert_eq!(hours.seq(), (HOUR + 50) * ROWS + 1);
}

#[test]
fn what_fails_in_the_first_transaction_leaves_the_last_file() {
    let bench = Bench::new();
    let mut hours = bench.open(NOW);
    write(&mut hours, 1..2);
    let refused = hours.roll(HOUR + 1, &mut |_| Err(rusqlite::Error::InvalidQuery)).unwrap_err();
    assert!(refused.to_string().contains("2026-01-02T16.db"), "{refused}");
    assert_eq!(bench.hours(), [HOUR]);
    write(&mut hours, 2..3);
    assert_eq!(hours.seq(), HOUR * ROWS + 2);
}

#[test]
fn a_log_that_a_reader_made_long_is_cut_once_it_is_gone() {
    let bench = Bench::new();
    let mut hours = bench.open(NOW);
    let log = beside(&bench.file(hour_of(NOW)), "-wal");
    let bytes = || fs::metadata(&log).unwrap().len();
    let mut texts = |count: u32| {
        let text = "x".repeat(1_000_000);
        let fill = &mut |writer: &mut Writer<'_>| (0..count).try_for_each(|_| writer.text(&text).map(drop));
        hours.write(fill).unwrap();
    };
    let reader = Connection::open(bench.file(hour_of(NOW))).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM texts").unwrap();
    texts(34);
    assert!(bytes() > 33_000_000);
    reader.execute_batch("COMMIT").unwrap();
    // Copied with the first, begun anew with the second.
    texts(1);
    texts(1);
    assert!(bytes() < 20_000_000, "{} bytes", bytes());
}

#[test]
fn retention_deletes_whole_files_by_age_then_by_size_and_keeps_chat_longer() {
    let bench = Bench::new();
    for back in (0..6).rev() {
        let mut hours = bench.open(NOW - back * HOUR_US);
        write(&mut hours, 1..2);
        if back == 4 {
            let sql =
                "INSERT INTO chat VALUES (1, 1, 'rooms', 'R', 'c1', 'comment', NULL, 'hello', NULL, NULL)";
            hours.connection().execute(sql, []).unwrap();
        }
    }
    let mut hours = bench.open(NOW);
    eventually("closed", || (1..6).all(|back| !hours.closer.has(&bench.file(HOUR - back))));
    // Hours that are over for two hours: 3, 4 and 5 before this one.
    let mut limits = Limits { odds_us: 2 * HOUR_US, chat_us: 100 * HOUR_US, bytes: u64::MAX, read: i64::MAX };
    assert_eq!(hours.retain(|| limits, NOW), 0);
    assert_eq!(bench.hours(), [HOUR - 4, HOUR - 2, HOUR - 1, HOUR]);
    limits.bytes = 0;
    hours.retention = Default::default();
    assert_eq!(hours.retain(|| limits, NOW), 0);
    assert_eq!(bench.hours(), [HOUR]);
}

#[test]
fn what_a_sink_has_not_read_goes_for_its_size_alone_and_is_counted() {
    let bench = Bench::new();
    for back in (0..3).rev() {
        write(&mut bench.open(NOW - back * HOUR_US), 1..4);
    }
    let mut hours = bench.open(NOW);
    eventually("closed", || (1..3).all(|back| !hours.closer.has(&bench.file(HOUR - back))));
    // It is in the midst of the older of the two that are over.
    let read = first_seq_beside((HOUR - 2) * ROWS) + 1;
    let mut limits = Limits { odds_us: 0, chat_us: 0, bytes: u64::MAX, read };
    assert_eq!(hours.retain(|| limits, NOW), 0);
    assert_eq!(bench.hours(), [HOUR - 2, HOUR - 1, HOUR], "too old, and not read");
    limits.bytes = 0;
    hours.retention = Default::default();
    let lost = hours.retain(|| limits, NOW);
    assert_eq!(bench.hours(), [HOUR]);
    assert!(lost >= 5, "those above the first of six: {lost}");
}
