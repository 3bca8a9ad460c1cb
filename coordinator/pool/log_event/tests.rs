//! `docs/log-events.md` against the sources: what the daemon's code can write is listed with its level, and nothing else. The rows of
//! the pool's events are made from `LogEvent`; with `TOUCHLINE_WRITE_DOCS=1` they are written anew, and all rows put in order.

use super::LogEvent;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Files whose dotted texts are all names of events, wherever they stand.
const WHOLLY_NAMES: [&str; 2] = ["common/logging/line.rs", "common/logging/queue.rs"];
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
/// The parts of the document, by what the names of their events begin with.
const PARTS: [(&str, &[&str]); 5] = [
    ("The pool and the coordinator", &["pool", "coord", "control", "epochs", "state"]),
    (
        "Workers, the recorder, the gateway and their processes",
        &["worker", "raw", "recorder", "gateway", "child", "process"],
    ),
    ("Feeds and matches", &["feed", "list", "match", "matches", "gap"]),
    ("The store and the data channels", &["store", "hour", "ledger", "data", "query", "sink"]),
    ("The log", &["log"]),
];

const INTRODUCTION: &str = "# Log events

One line each: time, level, who, the event's name, then `key=value`, quoted where needed. Names and keys are an
interface for scripts that follow the log: names are not changed, keys may be added. `who` is `coord` (coordinator), `w1`
… (scanning workers), `rec` (recorder), `gw` (gateway). The key `match` is a match's id in its feed, `worker` a slot's number, `error` and
`why` are for people; a key without a value is left out. A line is at most 4096 bytes; one that had to be cut ends in `cut=true`.

What a level means: `error` is for somebody to act on; `warn` is worse than it should be, and heals by itself or is bounded; `info` is a
change of the pool that an operator wants to read; `debug` is detail of a match or a frame, and what another line tells already. A story
is told once: a death, when what it had is followed again (or after half a minute); a lost connection when it is lost and when all of it is
followed again; a drain by its worker's lines. `match.live` and `match.ended` are the story of a match that appears and ends, so they are
`info` once each; what happens to a match in between is `debug`. Attempts that fail in a row are logged at growing intervals.

A test compares this file with every log call of the sources. The rows of the pool's events are made from `pool::LogEvent`, the others are
written here: `TOUCHLINE_WRITE_DOCS=1 cargo nextest run -p touchline log_event` puts all of them in order.
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Every source of the daemon, without tests and comments, by its path in the project.
fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut folders: Vec<PathBuf> = ["common", "coordinator", "worker"].map(|name| root.join(name)).into();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" && name != "target" {
                folders.push(path);
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                let path = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                sources.push((path, lines.collect::<Vec<_>>().join("\n")));
            }
        }
    }
    sources
}

/// The literals in `code`, and where each ends.
fn literals(code: &str) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = code[at..].find('"').map(|quote| at + quote + 1) {
        let mut end = open;
        while let Some(byte) = code.as_bytes().get(end).filter(|byte| **byte != b'"') {
            end += if *byte == b'\\' { 2 } else { 1 };
        }
        found.push((code.get(open..end).unwrap_or_default(), end + 1));
        at = (end + 1).min(code.len());
    }
    found
}

/// The arguments of a macro call, up to its closing bracket.
fn arguments(call: &str) -> &str {
    let mut depth = 1;
    let mut text = false;
    let mut bytes = call.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if text => drop(bytes.next()),
            b'"' => text = !text,
            b'(' if !text => depth += 1,
            b')' if !text => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &call[..at];
        }
    }
    panic!("a call without an end: {call}");
}

fn is_name(text: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    text.split_once('.').is_some_and(|(about, what)| word(about) && word(what))
}

/// The name that each log call ends with, and its level.
fn logged(path: &str, code: &str, found: &mut BTreeSet<(String, &str)>) {
    for level in LEVELS {
        for (at, call) in code.match_indices(&format!("log::{level}!(")) {
            let arguments = arguments(&code[at + call.len()..]).trim_end().trim_end_matches(',');
            let last = literals(arguments).pop().filter(|(_, end)| *end == arguments.len());
            let name = last.map(|(text, _)| text).filter(|text| is_name(text));
            let name =
                name.unwrap_or_else(|| panic!("{path}: a log call without an event's name: {arguments}"));
            found.insert((name.to_owned(), level));
        }
    }
}

#[test]
fn each_event_of_the_sources_is_in_the_table_with_its_level_and_no_other() {
    let (mut written, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (path, code) in sources() {
        logged(&path, &code, &mut written);
        if WHOLLY_NAMES.contains(&path.as_str()) {
            names.extend(
                literals(&code).into_iter().map(|(text, _)| text.to_owned()).filter(|text| is_name(text)),
            );
        }
    }
    assert!(written.len() > 60 && names.len() == 2, "the sources were not read right: {written:?} {names:?}");
    let document = fs::read_to_string(path_of_document()).unwrap();
    let (rows, of_pool) = (rows(&document), rows_of_the_pool());
    let of_calls = rows.keys().filter(|row| !of_pool.contains_key(*row) && !names.remove(&row.name));
    let listed: BTreeSet<(String, &str)> =
        of_calls.flat_map(|row| row.levels.split(", ").map(|level| (row.name.clone(), level))).collect();
    let missing: Vec<_> = written.difference(&listed).collect();
    let left_over: Vec<_> = listed.difference(&written).collect();
    assert!(
        missing.is_empty() && left_over.is_empty() && names.is_empty(),
        "not listed: {missing:?} {names:?}; never written: {left_over:?}"
    );
}

/// What a row is of.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    name: String,
    who: String,
    /// With a comma between them.
    levels: String,
}

/// The cell of the keys and the meaning of each row.
type Rows = BTreeMap<Row, (String, String)>;

fn path_of_document() -> PathBuf {
    root().join("docs/log-events.md")
}

/// The rows as they stand in the document.
fn rows(document: &str) -> Rows {
    let mut rows = Rows::new();
    for line in document.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').splitn(5, '|').collect();
        let [name, who, levels, keys, meaning] = cells[..] else { panic!("no row of five cells: {line}") };
        let name = name.trim().trim_matches('`').to_owned();
        assert!(is_name(&name), "no name of an event: {line}");
        let row = Row { name, who: who.trim().to_owned(), levels: levels.trim().to_owned() };
        let before = rows.insert(row, (keys.to_owned(), meaning.trim().to_owned()));
        assert!(before.is_none(), "it stands twice: {line}");
    }
    rows
}

fn rows_of_the_pool() -> Rows {
    let quoted = |keys: &[&str]| keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let cell = |keys: &[&str]| if keys.is_empty() { " ".to_owned() } else { format!(" {} ", quoted(keys)) };
    let mut rows = Rows::new();
    for (name, level, keys, meaning) in LogEvent::table() {
        let levels = level.as_str().to_lowercase();
        let row = Row { name: name.to_owned(), who: "coord".to_owned(), levels };
        assert!(rows.insert(row, (cell(&keys), meaning.to_owned())).is_none(), "{name} stands twice");
    }
    rows
}

/// The document with these rows and the pool's, in order.
fn document(mut rows: Rows) -> String {
    rows.extend(rows_of_the_pool());
    let mut text = INTRODUCTION.to_owned();
    for (title, prefixes) in PARTS {
        write!(text, "\n## {title}\n\n| name | who | level | keys | meaning |\n|---|---|---|---|---|\n")
            .unwrap();
        rows.retain(|Row { name, who, levels }, (keys, meaning)| {
            let belongs = prefixes.contains(&name.split('.').next().unwrap());
            if belongs {
                writeln!(text, "| `{name}` | {who} | {levels} |{keys}| {meaning} |").unwrap();
            }
            !belongs
        });
    }
    assert!(rows.is_empty(), "events of no part: {rows:?}");
    text
}

#[test]
fn the_document_has_the_pools_events_and_is_in_order() {
    let path = path_of_document();
    let found = fs::read_to_string(&path).unwrap();
    let wanted = document(rows(&found));
    if std::env::var_os("TOUCHLINE_WRITE_DOCS").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap() == wanted,
        "docs/log-events.md lacks events of the pool, or is not in order: TOUCHLINE_WRITE_DOCS=1 cargo nextest run -p touchline log_event"
    );
}
