//! Recorded bytes once more through the code that read them when they came: session, trees and ledgers, without a socket, a process or a store.
//!
//! What comes out are the events and the documents that the daemon made. Files of one worker go on in one another; those of several are merged by
//! time. What cannot be replayed is counted: bytes of a connection whose beginning is not in the files, or behind a hole. `worker` is what one
//! worker read, `sessions` and `rooms` its connections, `ledgers` what the recorder made of it. Called by the program's `replay --raw`.

mod ledgers;
mod rooms;
mod sessions;
#[cfg(test)]
mod tests;
mod worker;

use crate::raw::{Content, Mark, RawError, Record, Records};
use ledgers::Ledgers;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use touchline_common::config::Config;
use touchline_common::model::{FeedId, Generation, SlotId};
use worker::Worker;

#[derive(Debug)]
pub enum ReplayError {
    File {
        path: PathBuf,
        what: String,
    },
    /// The configuration has no such feed.
    Feed {
        path: PathBuf,
        feed: String,
    },
    /// The feed's settings cannot be used.
    Settings {
        feed: String,
        why: String,
    },
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::File { path, what } => write!(f, "{}: {what}", path.display()),
            ReplayError::Feed { path, feed } => {
                write!(
                    f,
                    "{}: it is of the feed {feed:?}, which the configuration does not have",
                    path.display()
                )
            }
            ReplayError::Settings { feed, why } => write!(f, "feed {feed}: {why}"),
        }
    }
}

impl std::error::Error for ReplayError {}

/// What comes out, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// As `events` shows it, without what only a store gives (`seq`, `version`, `late`, `feed_at`).
    Event(Value),
    /// The document of a match at its end, or at that of the recording, without what only the recorder adds (`epoch`, `version`, times).
    Document(Value),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub files: usize,
    pub records: u64,
    pub bytes: u64,
    /// Bytes that could not be replayed: the beginning of their connection is missing, or something before them.
    pub skipped_bytes: u64,
    /// Bytes of records that were dropped when they were to be written.
    pub dropped_bytes: u64,
    /// Messages that were of no use, as they were when they came.
    pub unusable: u64,
    pub events: u64,
    pub documents: u64,
    /// Files that end in the midst of a record, or are damaged.
    pub faults: Vec<String>,
}

/// Replays `files`; each outcome is given as it comes.
///
/// # Errors
/// [`ReplayError`]: nothing is replayed of files that cannot be opened, or whose feed is not configured.
pub fn replay(
    config: &Config,
    files: &[PathBuf],
    out: &mut dyn FnMut(Outcome),
) -> Result<Summary, ReplayError> {
    let mut summary = Summary { files: files.len(), ..Summary::default() };
    let mut recordings = open(config, files)?;
    let mut ledgers = Ledgers::new(config);
    for recording in recordings.values_mut() {
        recording.advance(&mut summary);
    }
    loop {
        let earliest = recordings.values_mut().filter_map(|one| Some((one.next.as_ref()?.at, one)));
        let Some((_, recording)) = earliest.min_by_key(|(at, _)| *at) else { break };
        let Some(record) = recording.next.take() else { break };
        summary.records += 1;
        ledgers.pass_time(record.at);
        take(recording, record, &mut ledgers, &mut summary, out);
        // Only now: what is wrong with a file counts from the record behind this one on.
        recording.advance(&mut summary);
        give_events(&mut ledgers, &mut summary, out);
    }
    for recording in recordings.values_mut() {
        recording.worker.finish(&mut ledgers);
    }
    ledgers.finish();
    give_events(&mut ledgers, &mut summary, out);
    for recording in recordings.values_mut() {
        for document in recording.worker.documents() {
            summary.documents += 1;
            out(Outcome::Document(document));
        }
        summary.unusable += recording.worker.unusable;
        summary.skipped_bytes += recording.worker.skipped_bytes;
    }
    Ok(summary)
}

fn take(
    recording: &mut Recording,
    record: Record,
    ledgers: &mut Ledgers,
    summary: &mut Summary,
    out: &mut dyn FnMut(Outcome),
) {
    let Record { at, connection, content } = record;
    match content {
        Content::Bytes(bytes) => {
            summary.bytes += bytes.len() as u64;
            recording.worker.bytes(at, connection, &bytes, ledgers);
        }
        Content::Mark(mark) => {
            if let Mark::Dropped { bytes } = mark {
                summary.dropped_bytes += bytes;
            }
            if let Some(document) = recording.worker.mark(at, connection, mark, ledgers) {
                summary.documents += 1;
                out(Outcome::Document(document));
            }
        }
        Content::Unknown => {}
    }
}

fn give_events(ledgers: &mut Ledgers, summary: &mut Summary, out: &mut dyn FnMut(Outcome)) {
    for row in ledgers.rows.drain(..) {
        summary.events += 1;
        out(Outcome::Event(row));
    }
}

/// What one worker recorded, file after file.
struct Recording {
    worker: Worker,
    files: VecDeque<PathBuf>,
    records: Option<(PathBuf, Records<BufReader<File>>)>,
    next: Option<Record>,
}

type Of = (FeedId, SlotId, Generation);

fn open(config: &Config, files: &[PathBuf]) -> Result<BTreeMap<Of, Recording>, ReplayError> {
    let mut recordings: BTreeMap<Of, Recording> = BTreeMap::new();
    let mut files = files.to_vec();
    // Names begin with the time at which a file was begun.
    files.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    for path in files {
        let (feed, slot, generation) = of(&path)?;
        let place = config.feed.iter().position(|known| known.name == feed);
        let Some((place, settings)) = place.and_then(|place| Some((place, config.feed.get(place)?))) else {
            return Err(ReplayError::Feed { path, feed });
        };
        let id = FeedId(u16::try_from(place).unwrap_or(u16::MAX));
        let of = (id, slot, generation);
        if let Some(known) = recordings.get_mut(&of) {
            known.files.push_back(path);
            continue;
        }
        let worker = Worker::new(config, settings, of)
            .map_err(|why| ReplayError::Settings { feed: settings.name.clone(), why })?;
        let files = VecDeque::from([path]);
        recordings.insert(of, Recording { worker, files, records: None, next: None });
    }
    Ok(recordings)
}

/// Which worker recorded a file.
fn of(path: &Path) -> Result<(String, SlotId, Generation), ReplayError> {
    let wrong = |what: String| ReplayError::File { path: path.to_owned(), what };
    let first = records(path).map_err(|error| wrong(error.to_string()))?.next();
    match first.transpose().map_err(|error| wrong(error.to_string()))? {
        Some(Record { content: Content::Mark(Mark::Worker { feed, slot, generation }), .. }) => {
            Ok((feed, slot, generation))
        }
        Some(_) | None => Err(wrong("it does not say whose recording it is".to_owned())),
    }
}

fn records(path: &Path) -> Result<Records<BufReader<File>>, RawError> {
    Records::new(BufReader::new(File::open(path).map_err(RawError::Io)?))
}

impl Recording {
    /// Reads the next record, of the next file where one is over.
    fn advance(&mut self, summary: &mut Summary) {
        loop {
            let Some((path, from)) = &mut self.records else {
                let Some(path) = self.files.pop_front() else { return };
                match records(&path) {
                    Ok(from) => self.records = Some((path, from)),
                    Err(error) => summary.faults.push(format!("{}: {error}", path.display())),
                }
                continue;
            };
            match from.next() {
                Some(Ok(record)) => {
                    self.next = Some(record);
                    return;
                }
                Some(Err(error)) => {
                    summary.faults.push(format!("{}: {error}", path.display()));
                    self.worker.hole();
                }
                None => {}
            }
            self.records = None;
        }
    }
}
