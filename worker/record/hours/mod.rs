//! The hour files: one SQLite file an hour, each complete in itself, of what the bulk stream brought.
//!
//! `seq` = hours since 1970 × 10^9 + n: rising, never used again. The hour is the later of the clock's and the newest file's, so a
//! clock that jumps back goes on in the newest file; a newest file that cannot be used (truncated, of a newer schema, not writable)
//! is left alone and the hour after it begins. A file that is over is handed to [`close`]; `retention` deletes whole files.
//! Callers: the bulk stream's thread writes, `query` reads.

mod close;
pub mod read;
mod retention;
pub mod schema;
#[cfg(test)]
mod tests;

pub use close::Closer;
pub use schema::Kind;

use super::RecordError;
use super::files::{Files, Look};
use super::sqlite::{Positions, adopt_parent, beside, open_to_read};
use rusqlite::{CachedStatement, Connection, params};
use schema::{Found, Tail};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use touchline_common::model::{ChatKind, Generation, Price, SlotId};
use touchline_common::sys::folders;

/// The microseconds of an hour.
const HOUR_US: i64 = 3_600_000_000;
/// Rows of an hour at most, by the form of `seq`.
const ROWS: i64 = 1_000_000_000;

/// The hour of a wall clock, since 1970.
pub fn hour_of(us: i64) -> i64 {
    us.div_euclid(HOUR_US)
}

/// The hour that a `seq` is of.
pub fn hour_of_seq(seq: i64) -> i64 {
    seq.div_euclid(ROWS)
}

/// Where the numbers of the hour begin that a `seq` is of.
pub fn first_seq_beside(seq: i64) -> i64 {
    hour_of_seq(seq) * ROWS
}

pub fn folder(store: &Path) -> PathBuf {
    store.parent().unwrap_or(Path::new(".")).join("hours")
}

/// The name of an hour's file: `2026-01-02T15.db`.
pub fn file_name(hour: i64) -> String {
    let begin = jiff::Timestamp::from_microsecond(hour.saturating_mul(HOUR_US));
    begin.unwrap_or(jiff::Timestamp::UNIX_EPOCH).strftime("%Y-%m-%dT%H.db").to_string()
}

fn hour_of_name(name: &str) -> Option<i64> {
    let begin: jiff::Timestamp = format!("{}:00:00Z", name.strip_suffix(".db")?).parse().ok()?;
    let hour = hour_of(begin.as_microsecond());
    (file_name(hour) == name).then_some(hour)
}

/// Hours that have a file in `folder`, ascending; a folder that is not there has none.
pub fn list(folder: &Path) -> io::Result<Vec<i64>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut hours = Vec::new();
    for entry in entries {
        hours.extend(entry?.file_name().to_str().and_then(hour_of_name));
    }
    hours.sort_unstable();
    Ok(hours)
}

fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    for suffix in ["-wal", "-shm", "-journal"] {
        // Mostly there is none.
        let _ = fs::remove_file(beside(path, suffix));
    }
    Ok(())
}

/// How many rows of a file are above `seq`, by their numbers; of one that cannot be read none can be.
fn unread(path: &Path, seq: i64) -> u64 {
    let sql =
        "SELECT (SELECT count(*) FROM odds WHERE seq > ?1) + (SELECT count(*) FROM chat WHERE seq > ?1)";
    let count = open_to_read(path).and_then(|file| file.query_row(sql, [seq], |row| row.get::<_, i64>(0)));
    count.map_or(0, i64::unsigned_abs)
}

#[derive(Debug)]
struct Current {
    hour: i64,
    connection: Connection,
    tail: Tail,
    files: Files,
}

#[derive(Debug)]
pub struct Hours {
    folder: PathBuf,
    parent: String,
    current: Current,
    closer: Closer,
    retention: retention::Retention,
}

impl Hours {
    /// Opens the newest file, or begins one. What an earlier run left unfinished is deleted or handed to the closing thread. Positions
    /// are those of the last run under the same `parent`, the coordinator's process.
    ///
    /// # Errors
    /// [`RecordError::OpenHours`].
    pub fn open(store: &Path, parent: &str, now: i64) -> Result<(Hours, Positions), RecordError> {
        let folder = folder(store);
        let failed = |error: io::Error| RecordError::OpenHours {
            what: format!("the folder {}: {error}", folder.display()),
        };
        let not_made = |what: String| RecordError::OpenHours { what };
        folders::make(&folder).map_err(failed)?;
        let closer = Closer::start().map_err(failed)?;
        let mut hours = list(&folder).map_err(failed)?;
        let mut least = hour_of(now);
        let mut current = None;
        while let Some(hour) = hours.pop() {
            let path = folder.join(file_name(hour));
            match open_existing(&path).and_then(|found| writable(&path, found)) {
                Ok((connection, mut tail)) => {
                    tail.seq = tail.seq.max(hour * ROWS);
                    current = Some(Current { hour, connection, tail, files: Files::of(&path) });
                    break;
                }
                Err(Unusable::Deleted) => {}
                Err(Unusable::LeftAlone) => {
                    least = least.max(hour + 1);
                    break;
                }
            }
        }
        hours.into_iter().for_each(|hour| close_old(&closer, folder.join(file_name(hour))));
        let mut positions = Positions::new();
        if let Some(current) = &current {
            let adopted = adopt_parent(&current.connection, parent, "positions");
            let path = folder.join(file_name(current.hour));
            positions = adopted.map_err(|error| not_made(creating(&path, &error)))?.unwrap_or_default();
        }
        let current = match current {
            Some(current) if current.hour >= least => current,
            older => {
                let mut fill = |writer: &mut Writer<'_>| write_positions(writer, &positions);
                let fresh = begin(&folder, parent, least, &mut fill).map_err(not_made)?;
                if let Some(older) = older {
                    closer.close(folder.join(file_name(older.hour)), Some(older.connection));
                }
                fresh
            }
        };
        let retention = retention::Retention::default();
        Ok((Hours { folder, parent: parent.to_owned(), current, closer, retention }, positions))
    }

    /// The highest `seq` that was given.
    pub fn seq(&self) -> i64 {
        self.current.tail.seq
    }

    /// The hour that begins, if the one that is written is over.
    pub fn next(&self, now: i64) -> Option<i64> {
        let hour = hour_of(now);
        (hour > self.current.hour).then_some(hour)
    }

    /// What is found of the file that is written, and what is wrong with it or with its hour.
    pub(in crate::record) fn look(&mut self, now: i64) -> Look {
        let look = self.current.files.look();
        Look { trouble: self.ahead(now).or(look.trouble), ..look }
    }

    fn ahead(&self, now: i64) -> Option<String> {
        let ahead = self.current.hour - hour_of(now);
        (ahead > 1).then(|| {
            let name = file_name(self.current.hour);
            format!("the newest hour file {name} is {ahead} hours ahead of the clock: set the clock, or move the file away")
        })
    }

    /// Begins the file of `hour`; `fill` writes what it begins with. On an error the current one stays.
    ///
    /// # Errors
    /// In words, why the file cannot be made.
    pub fn roll(
        &mut self,
        hour: i64,
        fill: &mut dyn FnMut(&mut Writer<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), String> {
        let fresh = begin(&self.folder, &self.parent, hour, fill)?;
        let old = std::mem::replace(&mut self.current, fresh);
        self.closer.close(self.folder.join(file_name(old.hour)), Some(old.connection));
        Ok(())
    }

    /// One transaction in the current file.
    ///
    /// # Errors
    /// As SQLite; nothing is written then.
    pub fn write(
        &mut self,
        fill: &mut dyn FnMut(&mut Writer<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let connection = &self.current.connection;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut tail = self.current.tail;
        let filled = Writer::new(connection, &mut tail).and_then(|mut writer| fill(&mut writer));
        commit(connection, filled)?;
        self.current.tail = tail;
        Ok(())
    }

    /// Deletes what is too old or too much, now and then; `limits` are asked for then. How many rows went that a sink had not read.
    pub fn retain(&mut self, limits: impl FnOnce() -> Limits, now: i64) -> u64 {
        if !self.retention.is_due() {
            return 0;
        }
        self.retention.pass(&self.folder, self.current.hour, &self.closer, &limits(), now)
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.current.connection
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Microseconds that odds stay,
    pub odds_us: i64,
    pub chat_us: i64,
    /// Bytes of the hour files at most.
    pub bytes: u64,
    /// The `seq` up to which every sink has read.
    pub read: i64,
}

/// What became of a file that cannot be used.
enum Unusable {
    /// It had never been complete.
    Deleted,
    LeftAlone,
}

/// Opens a file of an earlier run. One that cannot be used is reported in the log.
fn open_existing(path: &Path) -> Result<(Connection, Tail), Unusable> {
    let file = path.to_string_lossy();
    match schema::inspect(path) {
        Found::Good(connection, tail) => return Ok((connection, tail)),
        Found::Unfinished => {
            match remove(path) {
                Ok(()) => log::warn!(file:% = file; "hour.unfinished"),
                Err(error) => log::error!(file:% = file, error:% = error; "hour.not_deleted"),
            }
            return Err(Unusable::Deleted);
        }
        Found::Newer(found) => {
            log::error!(file:% = file, found = found, known = schema::SCHEMA; "hour.newer");
        }
        Found::Unreadable(error) => log::error!(file:% = file, error = error.as_str(); "hour.unreadable"),
    }
    Err(Unusable::LeftAlone)
}

fn writable(path: &Path, (connection, tail): (Connection, Tail)) -> Result<(Connection, Tail), Unusable> {
    schema::prepare_to_write(&connection).map_err(|error| {
        log::error!(file:% = path.to_string_lossy(), error:% = error; "hour.not_writable");
        Unusable::LeftAlone
    })?;
    Ok((connection, tail))
}

/// The positions of every worker.
pub fn write_positions(writer: &mut Writer<'_>, positions: &Positions) -> rusqlite::Result<()> {
    positions.iter().try_for_each(|(slot, (generation, n))| writer.position(*slot, *generation, *n))
}

/// An older file that an earlier run did not close is handed over; which that is says its header alone.
fn close_old(closer: &Closer, path: PathBuf) {
    let head = fs::File::open(&path).and_then(|mut file| {
        let mut head = [0; 20];
        io::Read::read_exact(&mut file, &mut head)?;
        Ok(head)
    });
    // Bytes 18 and 19: the formats to write and to read, 1 without a write-ahead log.
    if !matches!(head, Ok([.., 1, 1])) {
        closer.close(path, None);
    }
}

fn begin(
    folder: &Path,
    parent: &str,
    hour: i64,
    fill: &mut dyn FnMut(&mut Writer<'_>) -> rusqlite::Result<()>,
) -> Result<Current, String> {
    let path = folder.join(file_name(hour));
    // What an attempt left that the disk refused; a file with rows would be the newest, and this hour is later.
    let _ = remove(&path);
    let mut tail = Tail { seq: hour * ROWS, ..Tail::default() };
    let begun = schema::create(&path).and_then(|connection| {
        let filled = schema::begin(&connection, parent)
            .and_then(|()| Writer::new(&connection, &mut tail).and_then(|mut writer| fill(&mut writer)));
        commit(&connection, filled)?;
        Ok(connection)
    });
    match begun {
        Ok(connection) => Ok(Current { hour, connection, tail, files: Files::of(&path) }),
        Err(source) => {
            let _ = remove(&path);
            Err(creating(&path, &source))
        }
    }
}

fn creating(path: &Path, error: &rusqlite::Error) -> String {
    format!("creating {}: {error}", path.display())
}

fn commit(connection: &Connection, filled: rusqlite::Result<()>) -> rusqlite::Result<()> {
    let done = filled.and_then(|()| connection.execute_batch("COMMIT"));
    if done.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    done
}

pub struct Writer<'a> {
    tail: &'a mut Tail,
    selection: CachedStatement<'a>,
    text: CachedStatement<'a>,
    odds: CachedStatement<'a>,
    chat: CachedStatement<'a>,
    position: CachedStatement<'a>,
}

#[derive(Clone, Copy, Debug)]
pub struct SelectionRow<'a> {
    pub feed: &'a str,
    pub id: &'a str,
    pub market: (&'a str, &'a str),
    /// Key and name of the selection; `None`: the market itself.
    pub selection: Option<(&'a str, &'a str)>,
}

/// A row of odds, under numbers that its file gave.
#[derive(Clone, Copy, Debug)]
pub struct OddsRow {
    /// Wall clock of the read, microseconds since 1970 UTC.
    pub at: i64,
    pub selection: i64,
    pub kind: Kind,
    pub price: Option<Price>,
    /// As the feed wrote it; `None` for a market.
    pub text: Option<i64>,
    pub suspended: Option<bool>,
    /// Whether it stands for values that may have been left out before it.
    pub recovered: bool,
    /// The result of a selection, once it has one.
    pub won: Option<bool>,
}

fn known(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A row of a room. What is empty of its texts is not known, but for the id.
#[derive(Clone, Copy, Debug)]
pub struct ChatRow<'a> {
    /// Wall clock of the read, microseconds since 1970 UTC.
    pub at: i64,
    pub feed: &'a str,
    /// The match's id.
    pub of: &'a str,
    /// The line's id; empty: it has none.
    pub id: &'a str,
    pub kind: ChatKind,
    pub user: &'a str,
    pub text: &'a str,
    /// What it is worth, in the smallest unit that the source states.
    pub amount: Option<i64>,
    /// The source's time of it, microseconds since 1970 UTC.
    pub feed_at: Option<i64>,
}

impl<'a> Writer<'a> {
    fn new(connection: &'a Connection, tail: &'a mut Tail) -> rusqlite::Result<Writer<'a>> {
        Ok(Writer {
            tail,
            selection: connection
                .prepare_cached("INSERT INTO selections VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?,
            text: connection.prepare_cached("INSERT INTO texts VALUES (?1, ?2)")?,
            odds: connection
                .prepare_cached("INSERT INTO odds VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?,
            chat: connection
                .prepare_cached("INSERT INTO chat VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?,
            position: connection.prepare_cached("INSERT OR REPLACE INTO positions VALUES (?1, ?2, ?3)")?,
        })
    }

    /// Names a market or a selection; its number in this file.
    pub fn selection(&mut self, row: &SelectionRow<'_>) -> rusqlite::Result<i64> {
        let id = self.tail.selection + 1;
        let (key, name) = row.selection.unzip();
        self.selection.execute(params![id, row.feed, row.id, row.market.0, row.market.1, key, name])?;
        self.tail.selection = id;
        Ok(id)
    }

    /// Writes a text; its number in this file.
    pub fn text(&mut self, text: &str) -> rusqlite::Result<i64> {
        let id = self.tail.text + 1;
        self.text.execute(params![id, text])?;
        self.tail.text = id;
        Ok(id)
    }

    /// Writes a row of odds under the next `seq`.
    pub fn odds(&mut self, row: &OddsRow) -> rusqlite::Result<()> {
        let seq = self.tail.seq + 1;
        let OddsRow { at, selection, kind, price, text, suspended, recovered, won } = *row;
        let price = price.map(|price| price.0);
        self.odds.execute(params![
            seq,
            at,
            selection,
            kind as i64,
            price,
            text,
            suspended,
            recovered,
            won
        ])?;
        self.tail.seq = seq;
        Ok(())
    }

    /// Writes a row of a room under the next `seq`.
    pub fn chat(&mut self, row: &ChatRow<'_>) -> rusqlite::Result<()> {
        let seq = self.tail.seq + 1;
        let ChatRow { at, feed, of, id, kind, user, text, amount, feed_at } = *row;
        let (user, text) = (known(user), known(text));
        self.chat.execute(params![seq, at, feed, of, id, kind.as_str(), user, text, amount, feed_at])?;
        self.tail.seq = seq;
        Ok(())
    }

    /// Records how far a worker's stream is written.
    pub fn position(&mut self, slot: SlotId, generation: Generation, n: u64) -> rusqlite::Result<()> {
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        self.position.execute(params![slot.0, generation.0, n])?;
        Ok(())
    }
}
