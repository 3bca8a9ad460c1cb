//! An hour file's tables and views, what a found file is, and how a new one begins.
//!
//! The first transaction holds schema, positions and a base row of everything known; `user_version` is set in it, so a file without
//! one was never complete.

use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// Since 2 rows of odds have a result, since 3 those of rooms the source's time.
pub const SCHEMA: i64 = 3;

/// The schema since which rows of odds have a result,
pub const WITH_RESULT: i64 = 2;
/// and those of rooms the source's time.
pub const WITH_FEED_AT: i64 = 3;

/// Of the writing connection. Rows are only appended: few pages are written twice, so the log is copied by the writer itself, some
/// megabytes at a time, which delays odds by one wait for the disk; one that a reader made long is cut when it begins anew. `NORMAL` for the reasons of the store's own connection.
const PRAGMAS: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -8192;
PRAGMA wal_autocheckpoint = 4000;
PRAGMA journal_size_limit = 16777216;
PRAGMA busy_timeout = 200;
";

/// Without an index on rows: each one would cost ten times the row. The thread that closes the file makes one.
const CREATE: &str = r#"
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE positions(slot INTEGER PRIMARY KEY, generation INTEGER NOT NULL, n INTEGER NOT NULL);
CREATE TABLE selections(
    id INTEGER PRIMARY KEY, feed TEXT NOT NULL, match TEXT NOT NULL, market TEXT NOT NULL, market_name TEXT NOT NULL,
    selection TEXT, selection_name TEXT);
CREATE TABLE texts(id INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE odds(
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, selection INTEGER NOT NULL, type INTEGER NOT NULL, price INTEGER,
    text INTEGER, suspended INTEGER, recovered INTEGER NOT NULL, won INTEGER);
CREATE TABLE chat(
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, feed TEXT NOT NULL, match TEXT NOT NULL, id TEXT NOT NULL,
    type TEXT NOT NULL, user TEXT, text TEXT, amount INTEGER, feed_at INTEGER);
CREATE VIEW comments AS
    SELECT seq,
        strftime('%Y-%m-%dT%H:%M:%S', at / 1000000, 'unixepoch') || printf('.%06dZ', at % 1000000) AS at,
        feed, match, id, type, user, text, amount
    FROM chat;
"#;

/// The type of a row; its number stands in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    OddsChange = 0,
    Suspended = 1,
    Resumed = 2,
    MarketOpen = 3,
    MarketClose = 4,
    /// The value as it stands, without a change.
    Base = 5,
}

/// The name of [`Kind`] of a row `o` of `odds`, in SQL.
pub const TYPE: &str = "CASE o.type WHEN 0 THEN 'odds_change' WHEN 1 THEN 'suspended' WHEN 2 THEN 'resumed'
    WHEN 3 THEN 'market_open' WHEN 4 THEN 'market_close' ELSE 'base' END";

/// What is to be done when the file is over; nothing of it harms when it was done.
pub const INDEX: &str = "CREATE INDEX IF NOT EXISTS odds_selection ON odds(selection)";

#[derive(Debug)]
pub enum Found {
    /// Complete, of this schema.
    Good(Connection, Tail),
    /// Its first transaction is missing.
    Unfinished,
    Newer(i64),
    /// SQLite or the kernel cannot read it.
    Unreadable(String),
}

/// The highest numbers that a file gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// The highest `seq` of any row.
    pub seq: i64,
    pub selection: i64,
    pub text: i64,
}

/// Opens an existing file for writing and says what it is.
pub fn inspect(path: &Path) -> Found {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let found = Connection::open_with_flags(path, flags).and_then(examine);
    found.unwrap_or_else(|error| Found::Unreadable(error.to_string()))
}

fn examine(connection: Connection) -> rusqlite::Result<Found> {
    connection.busy_timeout(Duration::from_millis(200))?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let version = number("PRAGMA user_version")?;
    if version > SCHEMA {
        return Ok(Found::Newer(version));
    }
    if version == 0 {
        let tables = number("SELECT count(*) FROM sqlite_schema")?;
        // A foreign file is not deleted.
        return Ok(if tables == 0 { Found::Unfinished } else { Found::Newer(version) });
    }
    // The last pages of each table: of a truncated file they are missing.
    let highest =
        |table: &str, column: &str| number(&format!("SELECT coalesce(max({column}), 0) FROM {table}"));
    let seq = highest("odds", "seq")?.max(highest("chat", "seq")?);
    let tail = Tail { seq, selection: highest("selections", "id")?, text: highest("texts", "id")? };
    Ok(Found::Good(connection, tail))
}

/// Makes a connection the writing one.
///
/// # Errors
/// As SQLite: among them that the file cannot be written.
pub fn prepare_to_write(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(PRAGMAS)?;
    // A file that cannot be written is noticed now.
    connection
        .execute_batch("BEGIN IMMEDIATE; UPDATE meta SET value = value WHERE key = 'parent'; COMMIT")?;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found < SCHEMA {
        let transaction = connection.unchecked_transaction()?;
        if found < WITH_RESULT {
            transaction.execute_batch("ALTER TABLE odds ADD COLUMN won INTEGER; DROP VIEW history")?;
            create_history(&transaction)?;
        }
        transaction.execute_batch("ALTER TABLE chat ADD COLUMN feed_at INTEGER")?;
        set_version(&transaction)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Creates an empty file at `path`; its first transaction is still to come.
pub fn create(path: &Path) -> rusqlite::Result<Connection> {
    use std::os::unix::fs::PermissionsExt;
    let connection = Connection::open(path)?;
    // Readable by the group; readers of a write-ahead log also write its index.
    let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660));
    connection.execute_batch(PRAGMAS)?;
    Ok(connection)
}

/// The first part of the first transaction.
pub fn begin(connection: &Connection, parent: &str) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.execute_batch(CREATE)?;
    create_history(connection)?;
    set_version(connection)?;
    connection.execute("INSERT INTO meta VALUES ('parent', ?1)", [parent])?;
    Ok(())
}

fn create_history(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "CREATE VIEW history AS
        SELECT o.seq,
            strftime('%Y-%m-%dT%H:%M:%S', o.at / 1000000, 'unixepoch') || printf('.%06dZ', o.at % 1000000) AS at,
            s.feed, s.match, s.market, s.market_name, s.selection, s.selection_name, {TYPE} AS type,
            o.price / 10000.0 AS odds, t.text AS odds_text, o.suspended, o.recovered, o.won
        FROM odds o JOIN selections s ON s.id = o.selection LEFT JOIN texts t ON t.id = o.text"
    ))
}

/// With it the file is of this schema.
fn set_version(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("PRAGMA user_version = {SCHEMA}"))
}
