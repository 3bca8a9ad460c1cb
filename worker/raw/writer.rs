//! The thread of a worker that appends what was received to files in `state_dir/raw`.
//!
//! Invariants: the worker's loop only copies into memory, of which at most [`HELD`] bytes wait; what has no room there is dropped, counted
//! and marked in the file. A file is left for the next one each hour and when it is a part of `raw_max_size`; the oldest files of all workers are
//! deleted beyond that size. A disk that refuses is tried again later. Callers: `scan`.

use super::{MAGIC, Mark, put_bytes, put_mark};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use touchline_common::model::{Generation, SlotId};

/// Bytes that may wait for the thread.
const HELD: usize = 8 << 20;
/// How long they wait at most before they are written, unless half of the room is taken.
const EVERY: Duration = Duration::from_millis(100);
/// Files that `raw_max_size` holds: the more, the less is deleted at once.
const PARTS: u64 = 16;
const LONGEST: Duration = Duration::from_secs(3_600);
/// From a refusal of the disk to the next attempt, and between two lines of the log about dropped bytes.
const RETRY: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct Settings {
    pub folder: PathBuf,
    /// Bytes of all files at most.
    pub max_size: u64,
    pub feed: String,
    pub slot: SlotId,
    pub generation: Generation,
}

/// Takes records; dropped, it waits until what it took is written.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Since the last record that had room.
    dropped: u64,
    closing: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Begins with a file of its own once something is to be written.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(settings: Settings) -> io::Result<Writer> {
        let shared = Arc::new(Shared::default());
        let queue = Arc::clone(&shared);
        let files = Files::new(settings);
        let thread = std::thread::Builder::new().name("raw".into()).spawn(move || run(&queue, files))?;
        Ok(Writer { shared, thread: Some(thread) })
    }

    pub fn bytes(&self, at: i64, connection: u64, bytes: &[u8]) {
        self.add(at, connection, bytes.len(), |out| put_bytes(out, at, connection, bytes));
    }

    pub fn mark(&self, at: i64, connection: u64, mark: &Mark) {
        self.add(at, connection, 1_024, |out| put_mark(out, at, connection, mark));
    }

    fn add(&self, at: i64, connection: u64, size: usize, put: impl FnOnce(&mut Vec<u8>)) {
        let mut queue = self.shared.lock();
        if queue.bytes.len() + size > HELD {
            queue.dropped += size as u64;
            return;
        }
        let dropped = std::mem::take(&mut queue.dropped);
        if dropped > 0 {
            put_mark(&mut queue.bytes, at, connection, &Mark::Dropped { bytes: dropped });
        }
        put(&mut queue.bytes);
        if queue.bytes.len() >= HELD / 2 {
            self.shared.filled.notify_one();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, there is nothing left to wait for.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, mut files: Files) {
    let mut taken = Vec::new();
    loop {
        let (dropped, closing) = take(shared, &mut taken);
        files.write(&taken, dropped);
        taken.clear();
        if closing {
            return;
        }
    }
}

/// Waits for something and takes it, into memory that is used again; how much was dropped so far, and whether this is the last.
fn take(shared: &Shared, taken: &mut Vec<u8>) -> (u64, bool) {
    let queue = shared.lock();
    let is_calm = |queue: &mut Queue| !queue.closing && queue.bytes.len() < HELD / 2;
    let waited = shared.filled.wait_timeout_while(queue, EVERY, is_calm);
    let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
    std::mem::swap(&mut queue.bytes, taken);
    (queue.dropped, queue.closing)
}

/// The files of one worker.
struct Files {
    settings: Settings,
    current: Option<Current>,
    /// When a disk that refused is tried again.
    retry: Option<Instant>,
    /// What was not written since the last file that took something.
    lost: u64,
    /// When the log last said so.
    said: Option<Instant>,
}

struct Current {
    file: File,
    path: PathBuf,
    size: u64,
    since: Instant,
}

impl Files {
    fn new(settings: Settings) -> Files {
        Files { settings, current: None, retry: None, lost: 0, said: None }
    }

    /// Writes whole records. `dropped`: bytes that found no room in memory since, which a later record marks.
    fn write(&mut self, records: &[u8], dropped: u64) {
        if dropped > 0 {
            self.say_dropped(dropped);
        }
        if records.is_empty() || self.retry.is_some_and(|retry| Instant::now() < retry) {
            self.lost += records.len() as u64;
            return;
        }
        match self.try_write(records) {
            Ok(()) => (self.retry, self.lost) = (None, 0),
            Err(error) => {
                let path = self.settings.folder.display().to_string();
                log::error!(file = path.as_str(), error:% = error; "raw.refused");
                self.current = None;
                self.lost += records.len() as u64;
                self.retry = Some(Instant::now() + RETRY);
            }
        }
    }

    fn say_dropped(&mut self, bytes: u64) {
        if self.said.is_none_or(|said| said.elapsed() >= RETRY) {
            self.said = Some(Instant::now());
            log::warn!(bytes = bytes; "raw.dropped");
        }
    }

    fn try_write(&mut self, records: &[u8]) -> io::Result<()> {
        let part = self.settings.max_size / PARTS;
        let is_good = |current: &Current| {
            // Another worker's retention, or an operator, may have deleted it.
            current.size < part && current.since.elapsed() < LONGEST && current.path.exists()
        };
        let mut current = match self.current.take_if(|current| is_good(current)) {
            Some(current) => current,
            None => self.begin()?,
        };
        if self.lost > 0 {
            let mut mark = Vec::new();
            put_mark(&mut mark, wall_us(), 0, &Mark::Dropped { bytes: self.lost });
            current.file.write_all(&mark)?;
        }
        current.file.write_all(records)?;
        current.size += records.len() as u64;
        self.current = Some(current);
        Ok(())
    }

    fn begin(&mut self) -> io::Result<Current> {
        let Settings { folder, max_size, feed, slot, generation } = &self.settings;
        self.current = None;
        fs::create_dir_all(folder)?;
        make_room(folder, max_size - max_size / PARTS)?;
        let now = wall_us();
        let stamp = jiff::Timestamp::from_microsecond(now).unwrap_or_default();
        let path = folder.join(format!("{}-w{slot}-g{generation}.raw", stamp.strftime("%Y%m%dT%H%M%S%.6fZ")));
        let mut file = OpenOptions::new().append(true).create_new(true).mode(0o640).open(&path)?;
        let mut head = MAGIC.to_vec();
        let worker = Mark::Worker { feed: feed.clone(), slot: *slot, generation: *generation };
        put_mark(&mut head, now, 0, &worker);
        file.write_all(&head)?;
        Ok(Current { file, path, size: head.len() as u64, since: Instant::now() })
    }
}

/// Deletes the oldest files until those that stay have at most so many bytes.
fn make_room(folder: &Path, most: u64) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "raw") {
            files.extend(fs::metadata(&path).map(|found| (path, found.len())));
        }
    }
    // Names begin with their time.
    files.sort_unstable();
    let mut bytes: u64 = files.iter().map(|(_, size)| size).sum();
    for (path, size) in files {
        if bytes <= most {
            break;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => bytes -= size,
        }
    }
    Ok(())
}

fn wall_us() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}
