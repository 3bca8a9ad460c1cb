//! The store's tables, views and pragmas, and the check of their version.

use rusqlite::{Connection, OptionalExtension};

/// The newest schema that this build knows.
pub const SCHEMA: i64 = 1;

/// Settings of the one writing connection.
///
/// `synchronous = NORMAL`: in write-ahead mode no commit waits for the disk, only checkpoints do. A killed process
/// loses nothing; a power cut can lose the newest commits, never damage the store, and it takes the workers and what
/// they hold along with it anyway. With `FULL`, a commit each 10 ms would wait for the disk each 10 ms.
///
/// `wal_autocheckpoint = 0`: the log is copied by a thread of its own (`checkpoint`), for the commit that copied it would
/// wait for the disk, and so would the events behind it.
pub const PRAGMAS: &str = "
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -65536;
PRAGMA wal_autocheckpoint = 0;
PRAGMA journal_size_limit = 67108864;
PRAGMA busy_timeout = 200;
";

const CREATE: &str = r#"
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE documents(
    feed TEXT NOT NULL, match TEXT NOT NULL, epoch INTEGER NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL,
    source TEXT NOT NULL, stale INTEGER NOT NULL, received_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    PRIMARY KEY (feed, match)) WITHOUT ROWID;
CREATE TABLE sections(
    feed TEXT NOT NULL, match TEXT NOT NULL, section TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (feed, match, section));
CREATE TABLE events(
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, revision INTEGER NOT NULL, retracts TEXT, feed TEXT NOT NULL,
    match TEXT NOT NULL, sport TEXT, type TEXT NOT NULL, lane TEXT NOT NULL, side TEXT, minute INTEGER,
    second INTEGER, period TEXT, at TEXT NOT NULL, feed_at TEXT, epoch INTEGER NOT NULL, version INTEGER NOT NULL,
    "order" INTEGER NOT NULL, score TEXT, late INTEGER NOT NULL, recovered INTEGER NOT NULL, payload TEXT NOT NULL);
CREATE UNIQUE INDEX events_id ON events(id, revision);
CREATE INDEX events_match ON events(feed, match, "order");
CREATE INDEX events_retracts ON events(retracts) WHERE retracts IS NOT NULL;
CREATE TABLE gaps(
    id INTEGER PRIMARY KEY, feed TEXT NOT NULL, match TEXT NOT NULL, worker INTEGER, started_at TEXT NOT NULL,
    ended_at TEXT, reason TEXT NOT NULL);
CREATE INDEX gaps_open ON gaps(feed, match) WHERE ended_at IS NULL;
CREATE TABLE ledgers(
    feed TEXT NOT NULL, match TEXT NOT NULL, format INTEGER NOT NULL, epoch INTEGER NOT NULL,
    "order" INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (feed, match)) WITHOUT ROWID;
CREATE TABLE channels(slot INTEGER PRIMARY KEY, generation INTEGER NOT NULL, n INTEGER NOT NULL);
CREATE VIEW matches AS
    SELECT d.feed, d.match, d.epoch, d.version, d.state,
        strftime('%Y-%m-%dT%H:%M:%S', d.updated_at / 1000000, 'unixepoch')
            || printf('.%06dZ', d.updated_at % 1000000) AS updated_at,
        json_set(
            coalesce((SELECT body FROM sections s WHERE s.feed = d.feed AND s.match = d.match AND s.section = ''), '{}'),
            '$.match', d.match, '$.feed', d.feed, '$.source', d.source, '$.epoch', d.epoch, '$.version', d.version,
            '$.received_at', strftime('%Y-%m-%dT%H:%M:%S', d.received_at / 1000000, 'unixepoch')
                || printf('.%06dZ', d.received_at % 1000000),
            '$.updated_at', strftime('%Y-%m-%dT%H:%M:%S', d.updated_at / 1000000, 'unixepoch')
                || printf('.%06dZ', d.updated_at % 1000000),
            '$.stale', json(iif(d.stale, 'true', 'false')),
            '$.markets', json(coalesce(
                (SELECT json_group_object(substr(s.section, 8), json(s.body)) FROM sections s
                 WHERE s.feed = d.feed AND s.match = d.match AND s.section >= 'market:' AND s.section < 'market;'),
                '{}'))) AS document
    FROM documents d;
CREATE VIEW timeline AS
    SELECT e.* FROM events e
    WHERE e.type <> 'retract'
        AND NOT EXISTS (SELECT 1 FROM events r WHERE r.retracts = e.id)
        AND NOT EXISTS (SELECT 1 FROM events n WHERE n.id = e.id AND n.revision > e.revision);
"#;

/// The section name of a document's head; a market's is `market:` and its key.
pub const HEAD: &str = "";
/// The section name of a document's tail.
pub const TAIL: &str = "tail";
/// Before a market's key in the name of its section.
pub const MARKET: &str = "market:";

/// What stands in a store.
pub enum Found {
    /// This build's schema.
    Known,
    /// A newer one.
    Newer(i64),
}

/// Creates what is missing; a store of a newer program is left alone.
///
/// # Errors
/// As SQLite.
pub fn prepare(connection: &mut Connection, now_us: i64) -> rusqlite::Result<Found> {
    connection.execute_batch(PRAGMAS)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let created: bool =
        transaction
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'", [], |row| row.get(0))?;
    if !created {
        transaction.execute_batch(CREATE)?;
        transaction.execute(
            "INSERT INTO meta VALUES ('schema', ?1), ('token', ?2), ('seq', 0), ('events', 0), ('epoch', 0), ('gaps', 0)",
            [SCHEMA, now_us / 1_000],
        )?;
    }
    let found: i64 =
        transaction.query_row("SELECT value FROM meta WHERE key = 'schema'", [], |row| row.get(0))?;
    transaction.commit()?;
    Ok(if found > SCHEMA { Found::Newer(found) } else { Found::Known })
}

/// A number in `meta`.
///
/// # Errors
/// As SQLite.
pub fn meta_number(connection: &Connection, key: &str) -> rusqlite::Result<i64> {
    let found = connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or(0))
}

/// Sets a number in `meta`.
///
/// # Errors
/// As SQLite.
pub fn set_meta_number(connection: &Connection, key: &str, value: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2")?
        .execute(rusqlite::params![key, value])?;
    Ok(())
}
