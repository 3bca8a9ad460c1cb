//! The table of log events against the sources: what the daemon's code can write is listed, and nothing else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Files whose dotted texts are all names of events, wherever they stand.
const WHOLLY_NAMES: [&str; 3] =
    ["coordinator/pool/notice.rs", "common/logging/line.rs", "common/logging/queue.rs"];
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
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

/// The name that each log call ends with.
fn logged(path: &str, code: &str, names: &mut BTreeSet<String>) {
    for level in LEVELS {
        for (at, call) in code.match_indices(&format!("log::{level}!(")) {
            let arguments = arguments(&code[at + call.len()..]).trim_end().trim_end_matches(',');
            let last = literals(arguments).pop().filter(|(_, end)| *end == arguments.len());
            let name = last.map(|(text, _)| text).filter(|text| is_name(text));
            assert!(name.is_some(), "{path}: a log call without an event's name: {arguments}");
            names.extend(name.map(str::to_owned));
        }
    }
}

#[test]
fn every_event_is_in_the_table_and_the_table_names_no_other() {
    let mut written = BTreeSet::new();
    for (path, code) in sources() {
        logged(&path, &code, &mut written);
        if WHOLLY_NAMES.contains(&path.as_str()) {
            let all = literals(&code).into_iter().map(|(text, _)| text);
            written.extend(all.filter(|text| is_name(text)).map(str::to_owned));
        }
    }
    assert!(written.len() > 80, "the sources were not read right: {written:?}");

    let table = fs::read_to_string(root().join("docs/log-events.md")).unwrap();
    let rows: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let listed: BTreeSet<String> = rows.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(rows.len(), listed.len(), "a name stands in two rows");
    let missing: Vec<_> = written.difference(&listed).collect();
    let left_over: Vec<_> = listed.difference(&written).collect();
    assert!(
        missing.is_empty() && left_over.is_empty(),
        "not listed: {missing:?}; never written: {left_over:?}"
    );
}
