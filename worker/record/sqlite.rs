//! What the store and the hour files have in common: files beside a database, connections that only read, the workers' positions, and
//! questions for rows.
//!
//! An answer's rows are JSON objects that SQLite makes, so that a column is named once. Callers: `store`, `hours`, `bulk`, `query`.

use super::ledger::Source;
use hashbrown::HashMap;
use rusqlite::{Connection, OpenFlags, OptionalExtension, ToSql};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use touchline_common::model::{Generation, SlotId};

/// How far each worker's stream is committed.
pub type Positions = HashMap<SlotId, (Generation, u64)>;

/// The number up to which a worker's stream is committed, 0 where that is not known.
pub fn position(positions: &Positions, source: Source) -> u64 {
    let known = positions.get(&source.slot).filter(|(generation, _)| *generation == source.generation);
    known.map_or(0, |(_, n)| *n)
}

/// A file beside a database: its name with a suffix.
pub fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}

/// The bytes of a database and its log.
pub fn bytes(database: &Path) -> u64 {
    let log = beside(database, "-wal");
    [database, &log].iter().map(|file| fs::metadata(file).map_or(0, |found| found.len())).sum()
}

/// A further connection, for reading only.
pub fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    Ok(connection)
}

/// The positions that `table` holds, if the last recorder had the same coordinator, `parent`; else they are void and deleted. From now
/// on `parent` is it.
pub fn adopt_parent(
    connection: &Connection,
    parent: &str,
    table: &'static str,
) -> rusqlite::Result<Option<Positions>> {
    let last: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE key = 'parent'", [], |row| row.get(0))
        .optional()?;
    if last.as_deref() != Some(parent) {
        let transaction = connection.unchecked_transaction()?;
        transaction.execute(&format!("DELETE FROM {table}"), [])?;
        transaction.execute("INSERT OR REPLACE INTO meta VALUES ('parent', ?1)", [parent])?;
        transaction.commit()?;
        return Ok(None);
    }
    let mut statement = connection.prepare(&format!("SELECT slot, generation, n FROM {table}"))?;
    let rows = statement.query_map([], |row| {
        Ok((SlotId(row.get(0)?), (Generation(row.get(1)?), row.get::<_, i64>(2)?.unsigned_abs())))
    })?;
    rows.collect::<rusqlite::Result<_>>().map(Some)
}

/// Which rows of a stream are asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those above this `seq`; without it the newest.
    pub since: Option<i64>,
    pub feed: Option<String>,
    pub id: Option<String>,
    /// Of the match stream only.
    pub lane: Option<String>,
    /// Of the bulk stream only.
    pub market: Option<String>,
    /// Only rows of these types; none: of all.
    pub types: Vec<String>,
}

/// What the rows of one file must be, in SQL.
#[derive(Debug)]
pub struct Wanted {
    /// A condition of columns `feed`, `match`, `lane`, `market`; empty: none.
    of: String,
    /// The numbers of the parameters that are types; empty: any type.
    types: String,
    /// The order of `seq`.
    pub direction: &'static str,
}

impl Wanted {
    /// The condition of feed, match, lane and market, if there is any.
    pub fn of(&self) -> Option<&str> {
        (!self.of.is_empty()).then_some(&*self.of)
    }

    /// What follows `WHERE seq > ?1` so that the type, which the SQL `column` says, is one that is wanted.
    pub fn and_type(&self, column: &str) -> String {
        if self.types.is_empty() { String::new() } else { format!("AND {column} IN ({})", self.types) }
    }
}

/// Row objects and the highest `seq` among them.
pub type Rows = (Vec<String>, Option<i64>);

impl Filter {
    /// Rows of one file, at most `limit`: those above `since` from the oldest on, or the newest first. `sql` makes the question, of `seq`
    /// and a row's object; ?1 is the `seq` to begin above, ?2 the limit.
    pub fn read(
        &self,
        file: &Connection,
        limit: usize,
        sql: impl FnOnce(&Wanted) -> String,
    ) -> rusqlite::Result<Rows> {
        let (direction, since) = match self.since {
            Some(since) => ("ASC", since),
            None => ("DESC", -1),
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut values: Vec<&dyn ToSql> = vec![&since, &limit];
        let mut wanted = Vec::new();
        let columns =
            [("feed", &self.feed), ("match", &self.id), ("lane", &self.lane), ("market", &self.market)];
        for (column, value) in columns {
            if let Some(value) = value {
                values.push(value);
                wanted.push(format!("{column} = ?{}", values.len()));
            }
        }
        let mut types = Vec::new();
        for name in &self.types {
            values.push(name);
            types.push(format!("?{}", values.len()));
        }
        let wanted = Wanted { of: wanted.join(" AND "), types: types.join(", "), direction };
        let mut statement = file.prepare_cached(&sql(&wanted))?;
        let mut rows = statement.query(values.as_slice())?;
        let (mut lines, mut last) = (Vec::new(), None);
        while let Some(row) = rows.next()? {
            last = last.max(Some(row.get(0)?));
            lines.push(row.get(1)?);
        }
        Ok((lines, last))
    }
}
