//! The line's form, forging, cutting, and the queue against real descriptors.

use super::*;
use log::{Level, Log, Record};
use proptest::prelude::*;
use std::io::Read;
use std::time::Instant;

const LONG: Duration = Duration::from_secs(10);

fn worker() -> Who {
    Who::Worker(SlotId(3))
}

/// The line of a record with these pairs.
fn line_of(format: LogFormat, message: &str, pairs: &[(&str, log::kv::Value<'_>)]) -> String {
    let time: jiff::Timestamp = "2026-01-02T03:04:05.678901Z".parse().unwrap();
    let mut out = Vec::new();
    let args = format_args!("{message}");
    let record = Record::builder().level(Level::Info).args(args).key_values(&pairs).build();
    line::write(&mut out, time, worker(), format, &record).unwrap();
    String::from_utf8(out).unwrap()
}

fn text(message: &str, pairs: &[(&str, log::kv::Value<'_>)]) -> String {
    line_of(LogFormat::Line, message, pairs)
}

#[test]
fn the_golden_line() {
    let pairs: [(&str, log::kv::Value<'_>); 4] = [
        ("feed", "inplay".into()),
        ("match_id", "90000012C1A".into()),
        ("epoch", 3_u64.into()),
        ("took_ms", 41_u32.into()),
    ];
    assert_eq!(
        text("match.live", &pairs),
        "2026-01-02T03:04:05.678901Z INFO  w3 match.live feed=inplay match=90000012C1A epoch=3 took_ms=41\n"
    );
    assert_eq!(
        line_of(LogFormat::Json, "match.live", &pairs),
        "{\"ts\":\"2026-01-02T03:04:05.678901Z\",\"level\":\"INFO\",\"who\":\"w3\",\"event\":\"match.live\",\
         \"feed\":\"inplay\",\"match\":\"90000012C1A\",\"epoch\":3,\"took_ms\":41}\n"
    );
}

#[test]
fn values_are_quoted_where_needed() {
    for (value, written) in [
        ("plain", "plain"),
        ("", "\"\""),
        ("two words", "\"two words\""),
        ("a=b", "\"a=b\""),
        ("say \"hi\"", "\"say \\\"hi\\\"\""),
        ("back\\slash", "\"back\\\\slash\""),
        ("Köln", "Köln"),
        ("tab\there", "\"tab\\there\""),
    ] {
        assert!(text("a.b", &[("k", value.into())]).ends_with(&format!(" a.b k={written}\n")), "{value}");
    }
    let floats = text("a.b", &[("x", 0.5.into()), ("y", f64::NAN.into()), ("z", true.into())]);
    assert!(floats.ends_with(" x=0.5 y=NaN z=true\n"), "{floats}");
    let json = line_of(LogFormat::Json, "a.b", &[("y", f64::NAN.into()), ("ts", "x".into())]);
    assert!(json.ends_with("\"y\":\"NaN\",\"ts_\":\"x\"}\n"), "{json}");
}

#[test]
fn no_feed_can_forge_a_line() {
    let forged = "x\n2026-01-02T03:04:05.678901Z ERROR coord pool.dead reason=forged";
    for attempt in
        [forged, "a\r\nb", "a\u{2028}b", "a\u{85}b", "\u{1b}[2Jgone", "\u{202e}txet", "a\0b", "\u{e0041}"]
    {
        let line = text("match.live", &[("name", attempt.into())]);
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.ends_with("\"\n") && line.contains(" name=\""), "{line}");
        assert!(!line.trim_end_matches('\n').chars().any(char::is_control));
        assert!(!line.contains(['\u{2028}', '\u{202e}', '\u{e0041}']));
        // As a message, and as a key: neither is code's own text there.
        let message = text(attempt, &[]);
        assert!(message.contains(" log.message text=\"") && message.matches('\n').count() == 1);
        let key = text("a.b", &[(attempt, 1.into())]);
        let name = key.split_once(" a.b ").unwrap().1.strip_suffix("=1\n").unwrap();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)), "{key}");
    }
    assert!(text("a.b", &[("k", "1 level=ERROR".into())]).ends_with(" a.b k=\"1 level=ERROR\"\n"));
}

#[test]
fn a_long_line_is_cut_on_a_character_and_says_so() {
    for unit in ["x", "é", "漢", "🦀", "\"", "\u{1b}", "a b"] {
        for shift in 0..8 {
            let value = format!("{}{}", "s".repeat(shift), unit.repeat(5_000));
            let line = text("match.live", &[("name", value.as_str().into()), ("after", 1.into())]);
            assert!(line.len() <= MAX_LINE && line.len() > MAX_LINE - 80, "{unit}: {}", line.len());
            assert!(line.ends_with("\" cut=true\n"), "{unit}: {}", &line[line.len() - 40..]);
            let json = line_of(LogFormat::Json, "match.live", &[("name", value.as_str().into())]);
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(json["cut"], true);
            assert!(value.starts_with(json["name"].as_str().unwrap()));
        }
    }
    // Many pairs are cut between pairs.
    let keys: Vec<String> = (0..500).map(|n| format!("key{n}")).collect();
    let pairs: Vec<(&str, log::kv::Value<'_>)> =
        keys.iter().map(|key| (key.as_str(), log::kv::Value::from("0123456789"))).collect();
    let line = text("a.b", &pairs);
    assert!(line.len() <= MAX_LINE && line.ends_with("=0123456789 cut=true\n"));
}

proptest! {
    #[test]
    fn every_line_is_one_line_and_json_is_json(
        message in "\\PC{0,80}|[\\x00-\\x7f]{0,80}",
        key in "\\PC{0,20}|[\\x00-\\x7f]{0,20}",
        value in proptest::collection::vec(any::<char>(), 0..3000),
    ) {
        let value: String = value.into_iter().collect();
        for format in [LogFormat::Line, LogFormat::Json] {
            let line = line_of(format, &message, &[(&key, value.as_str().into()), ("k", 7.into())]);
            prop_assert!(line.len() <= MAX_LINE);
            prop_assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
            if format == LogFormat::Json {
                let read: serde_json::Value = serde_json::from_str(&line).unwrap();
                prop_assert_eq!(&read["who"], "w3");
            }
        }
    }
}

/// A logger into one end of a pipe, and the other end.
fn piped(filter: &str) -> (Logger, LogHandle, std::io::PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let (logger, handle) = build(worker(), filter, LogFormat::Line, Target::File(writer.into())).unwrap();
    (logger, handle, reader)
}

fn say(logger: &Logger, level: Level, n: u64) {
    let pairs = [("n", n)];
    logger.log(&Record::builder().level(level).args(format_args!("test.said")).key_values(&pairs).build());
}

fn read(reader: &mut std::io::PipeReader) -> String {
    let mut buffer = vec![0; 1 << 16];
    let n = reader.read(&mut buffer).unwrap();
    String::from_utf8(buffer[..n].to_vec()).unwrap()
}

#[test]
fn lines_are_written_in_order_and_the_filter_changes() {
    let (logger, handle, mut reader) = piped("info");
    say(&logger, Level::Debug, 1);
    say(&logger, Level::Info, 2);
    handle.set_filter("debug").unwrap();
    say(&logger, Level::Debug, 3);
    assert!(handle.set_filter("no such").is_err());
    say(&logger, Level::Debug, 4);
    assert!(handle.flush(LONG));
    let read = read(&mut reader);
    let said: Vec<&str> = read.lines().map(|line| line.rsplit_once("n=").unwrap().1).collect();
    assert_eq!(said, ["2", "3", "4"]);
}

#[test]
fn a_target_that_does_not_read_costs_lines_and_never_time() {
    let (logger, handle, mut reader) = piped("info");
    let start = Instant::now();
    let lines = 40_000;
    for n in 0..lines {
        say(&logger, Level::Info, n);
    }
    assert!(start.elapsed() < LONG);
    assert!(handle.dropped() > 0);
    assert!(!handle.flush(Duration::from_millis(20)));
    let thread = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    assert!(handle.flush(LONG));
    let dropped = handle.dropped();
    handle.set_file(open_file(Path::new("/dev/null")).unwrap());
    let text = thread.join().unwrap();
    let counted: u64 = text
        .lines()
        .filter_map(|line| line.split_once(" WARN  w3 log.dropped lines="))
        .map(|(_, lines)| lines.parse::<u64>().unwrap())
        .sum();
    assert_eq!(counted, dropped);
    assert_eq!(text.lines().filter(|line| line.contains("test.said")).count() as u64, lines - dropped);
}

#[test]
fn a_closed_pipe_is_counted_and_a_new_file_goes_on() {
    let (logger, handle, reader) = piped("info");
    drop(reader);
    say(&logger, Level::Info, 1);
    assert!(handle.flush(LONG));
    assert_eq!(handle.dropped(), 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    handle.set_file(open_file(&path).unwrap());
    say(&logger, Level::Info, 2);
    assert!(handle.flush(LONG));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("INFO  w3 test.said n=2\n") && text.lines().count() == 1, "{text}");
}

#[test]
fn filters() {
    for good in ["info", "WARN", "off", "info,touchline_worker=debug", "touchline", "mio=trace", "info/text"]
    {
        assert!(check_filter(good).is_ok(), "{good}");
    }
    for bad in ["", "loud", "info,debgu", "touchline=loud", "a=b=c", " "] {
        assert!(check_filter(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_panic_is_one_line_and_logging_begins_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let begin = || init(Who::Recorder, "info", LogFormat::Line, Target::File(open_file(&path).unwrap()));
    let hook = std::panic::take_hook();
    let handle = begin().unwrap();
    log::info!(feed = "inplay", match_id = "7"; "match.live");
    let panicked = std::thread::spawn(|| panic!("two\nlines")).join();
    let again = begin();
    std::panic::set_hook(hook);
    assert!(panicked.is_err() && matches!(again, Err(LogError::Again)) && handle.flush(LONG));
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("log.message")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].ends_with("INFO  rec match.live feed=inplay match=7"), "{text}");
    assert!(
        lines[1].contains(" ERROR rec process.panic at=") && lines[1].ends_with(" text=\"two\\nlines\""),
        "{text}"
    );
}

#[test]
fn each_line_is_one_write() {
    // A datagram socket keeps the bounds of each write.
    let (to, from) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let (logger, handle) = build(worker(), "info", LogFormat::Line, Target::File(to.into())).unwrap();
    for n in 0..5 {
        say(&logger, Level::Info, n);
    }
    assert!(handle.flush(LONG));
    let mut buffer = [0; 2 * MAX_LINE];
    for n in 0..5 {
        let read = from.recv(&mut buffer).unwrap();
        assert!(buffer[..read].ends_with(format!(" INFO  w3 test.said n={n}\n").as_bytes()));
        assert_eq!(buffer[..read].iter().filter(|&&byte| byte == b'\n').count(), 1);
    }
}
