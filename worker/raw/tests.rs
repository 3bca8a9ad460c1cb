//! Records as they are written and read, files that end early or are damaged, and the thread that writes them.

use super::*;
use std::path::Path;
use std::time::{Duration, Instant};
use touchline_harness::wait;

fn recording() -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    put_mark(&mut out, 1, 0, &Mark::Worker { feed: "f".into(), slot: SlotId(2), generation: Generation(3) });
    put_bytes(&mut out, 2, 1, b"abc");
    put_mark(&mut out, 3, 1, &Mark::Lost);
    out
}

fn read(bytes: &[u8]) -> (Vec<Record>, Option<RawError>) {
    let mut records = Records::new(bytes).unwrap();
    let (mut good, mut error) = (Vec::new(), None);
    for record in records.by_ref() {
        match record {
            Ok(record) => good.push(record),
            Err(found) => error = Some(found),
        }
    }
    assert!(records.next().is_none());
    (good, error)
}

#[test]
fn what_is_written_is_read_back() {
    let (records, error) = read(&recording());
    assert!(error.is_none() && records.len() == 3, "{records:?} {error:?}");
    assert_eq!(records[1], Record { at: 2, connection: 1, content: Content::Bytes(b"abc".to_vec()) });
    assert_eq!(records[2].content, Content::Mark(Mark::Lost));
    for mark in [
        Mark::Assigned {
            id: "m".into(),
            epoch: Epoch(7),
            topics: vec!["T".into()],
            listing: Listing::default(),
        },
        Mark::Released { id: "m".into(), epoch: Epoch(7), why: ReleaseReason::Ended },
        Mark::Dropped { bytes: 9 },
    ] {
        let mut out = MAGIC.to_vec();
        put_mark(&mut out, -5, u64::MAX, &mark);
        let (records, _) = read(&out);
        assert_eq!(records, [Record { at: -5, connection: u64::MAX, content: Content::Mark(mark) }]);
    }
}

#[test]
fn a_file_that_ends_anywhere_gives_what_is_whole() {
    let whole = recording();
    for length in MAGIC.len()..whole.len() {
        let (records, error) = read(&whole[..length]);
        assert!(records.len() < 3, "{length}");
        assert!(matches!(error, None | Some(RawError::Cut)), "{length}: {error:?}");
    }
    assert!(matches!(Records::new(&whole[..5]), Err(RawError::NotRaw)));
    assert!(matches!(Records::new(&b"#!/bin/sh\n and more"[..]), Err(RawError::NotRaw)));
}

#[test]
fn each_changed_byte_is_noticed() {
    let whole = recording();
    let from = MAGIC.len();
    for place in from..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        let (records, error) = read(&bytes);
        assert!(records.len() < 3 && error.is_some(), "{place}: {records:?}");
    }
}

#[test]
fn what_another_version_wrote_is_passed_over() {
    let mut out = MAGIC.to_vec();
    put(&mut out, MARK, 1, 0, b"{\"what\":\"new\"}");
    put(&mut out, 9, 1, 0, b"x");
    let (records, error) = read(&out);
    assert!(
        error.is_none() && records.iter().all(|record| record.content == Content::Unknown),
        "{records:?}"
    );
}

fn settings(folder: &Path, max_size: u64) -> Settings {
    let (slot, generation) = (SlotId(1), Generation(1));
    Settings { folder: folder.join("raw"), max_size, feed: "f".into(), slot, generation }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder.join("raw")) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_writer_writes_all_that_it_took_before_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::start(settings(folder.path(), 1 << 30)).unwrap();
    writer.bytes(5, 1, b"first");
    writer.mark(6, 1, &Mark::Lost);
    drop(writer);
    let [file] = &files(folder.path())[..] else { panic!("{:?}", files(folder.path())) };
    assert!(file.to_str().unwrap().ends_with("-w1-g1.raw"), "{file:?}");
    let (records, error) = read(&std::fs::read(file).unwrap());
    assert!(error.is_none());
    let contents: Vec<&Content> = records.iter().map(|record| &record.content).collect();
    assert!(matches!(contents[0], Content::Mark(Mark::Worker { .. })));
    assert_eq!(contents[1..], [&Content::Bytes(b"first".to_vec()), &Content::Mark(Mark::Lost)]);
}

#[test]
fn files_change_by_size_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::start(settings(folder.path(), 160_000)).unwrap();
    let piece = vec![7; 20_000];
    let mut names = std::collections::BTreeSet::new();
    // Each is written by itself, and is more than a part.
    for n in 0..20 {
        writer.bytes(n, 1, &piece);
        let before = names.len();
        wait::until("another file", Duration::from_secs(20), || {
            names.extend(files(folder.path()));
            (names.len() > before).then_some(())
        });
    }
    drop(writer);
    let left = files(folder.path());
    let bytes: u64 = left.iter().map(|file| std::fs::metadata(file).unwrap().len()).sum();
    assert!(names.len() == 20 && bytes <= 180_000, "{} files, {bytes} bytes", left.len());
    assert_eq!(left.last(), names.last(), "the newest stay");
}

#[test]
fn what_a_slow_disk_does_not_take_is_dropped_and_marked() {
    let folder = tempfile::tempdir().unwrap();
    // Where the folder should be is a file: the disk refuses.
    std::fs::write(folder.path().join("raw"), b"").unwrap();
    let writer = Writer::start(settings(folder.path(), 1 << 30)).unwrap();
    let began = Instant::now();
    for n in 0..1_000 {
        writer.bytes(n, 1, &[0; 100_000]);
    }
    assert!(began.elapsed() < Duration::from_secs(10), "nobody waits for a disk");
    drop(writer);
    assert_eq!(std::fs::metadata(folder.path().join("raw")).unwrap().len(), 0);
}
