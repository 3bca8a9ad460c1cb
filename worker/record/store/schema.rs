//! The store's tables, views and pragmas, the check of their version, and the way from the older one.

use crate::record::ledger::{LEDGER_VERSION, Ledger};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

pub const SCHEMA: i64 = 3;

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

const TABLES: &str = r#"
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE documents(
    feed TEXT NOT NULL, match TEXT NOT NULL, epoch INTEGER NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL,
    source TEXT NOT NULL, stale INTEGER NOT NULL, received_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    PRIMARY KEY (feed, match)) WITHOUT ROWID;
CREATE TABLE sections(
    feed TEXT NOT NULL, match TEXT NOT NULL, section TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (feed, match, section));
CREATE TABLE gaps(
    id INTEGER PRIMARY KEY, feed TEXT NOT NULL, match TEXT NOT NULL, worker INTEGER, started_at TEXT NOT NULL,
    ended_at TEXT, reason TEXT NOT NULL);
CREATE INDEX gaps_open ON gaps(feed, match) WHERE ended_at IS NULL;
CREATE TABLE channels(slot INTEGER PRIMARY KEY, generation INTEGER NOT NULL, n INTEGER NOT NULL);
"#;

/// What differs from schema 1.
const CREATE: &str = r#"
CREATE TABLE events(
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, revision INTEGER NOT NULL, retracts TEXT, feed TEXT NOT NULL,
    match TEXT NOT NULL, sport TEXT, type TEXT NOT NULL, lane TEXT NOT NULL, side TEXT, minute INTEGER,
    second INTEGER, period TEXT, at TEXT NOT NULL, feed_at TEXT, epoch INTEGER NOT NULL, version INTEGER NOT NULL,
    "order" INTEGER NOT NULL, score TEXT, late INTEGER NOT NULL, recovered INTEGER NOT NULL, payload TEXT NOT NULL);
CREATE TABLE ledgers(
    feed TEXT NOT NULL, match TEXT NOT NULL, format INTEGER NOT NULL, epoch INTEGER NOT NULL, state TEXT NOT NULL,
    PRIMARY KEY (feed, match)) WITHOUT ROWID;
"#;

/// What differs from schema 2: what a ledger has many of, each beside its text.
const PARTS: &str = "
CREATE TABLE ledger_parts(
    feed TEXT NOT NULL, match TEXT NOT NULL, part TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (feed, match, part)) WITHOUT ROWID;
";

/// The third index has rows for retractions alone: it costs other events nothing, and without it `timeline` is quadratic.
const VIEWS: &str = r#"
CREATE UNIQUE INDEX events_id ON events(id, revision);
CREATE INDEX events_match ON events(match, "order");
CREATE INDEX events_retracts ON events(retracts) WHERE retracts IS NOT NULL;
CREATE VIEW matches AS
    SELECT d.feed, d.match, d.epoch, d.version, d.state,
        strftime('%Y-%m-%dT%H:%M:%S', d.updated_at / 1000000, 'unixepoch')
            || printf('.%06dZ', d.updated_at % 1000000) AS updated_at,
        json_set(
            CASE
                WHEN coalesce(tail.body, '{}') = '{}' THEN coalesce(head.body, '{}')
                WHEN coalesce(head.body, '{}') = '{}' THEN tail.body
                ELSE substr(head.body, 1, length(head.body) - 1) || ',' || substr(tail.body, 2)
            END,
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
    FROM documents d
    LEFT JOIN sections head ON head.feed = d.feed AND head.match = d.match AND head.section = ''
    LEFT JOIN sections tail ON tail.feed = d.feed AND tail.match = d.match AND tail.section = 'tail';
CREATE VIEW timeline AS
    SELECT e.* FROM events e
    WHERE e.type <> 'retract'
        AND NOT EXISTS (SELECT 1 FROM events r WHERE r.retracts = e.id)
        AND NOT EXISTS (SELECT 1 FROM events n WHERE n.id = e.id AND n.revision > e.revision);
"#;

/// The section name of a document's head; a market's is `market:` and its key.
pub const HEAD: &str = "";
pub const TAIL: &str = "tail";
/// Before a market's key in the name of its section.
pub const MARKET: &str = "market:";

/// Creates what is missing and brings an older store to this build's schema; one of a newer program is left alone, and its schema
/// returned.
pub fn prepare(connection: &mut Connection, now_us: i64) -> rusqlite::Result<Option<i64>> {
    connection.execute_batch(PRAGMAS)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let created: bool =
        transaction
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'", [], |row| row.get(0))?;
    if !created {
        transaction.execute_batch(TABLES)?;
        transaction.execute_batch(CREATE)?;
        transaction.execute_batch(PARTS)?;
        transaction.execute_batch(VIEWS)?;
        transaction.execute(
            "INSERT INTO meta VALUES ('schema', ?1), ('token', ?2), ('seq', 0), ('events', 0), ('epoch', 0), ('gaps', 0)",
            [SCHEMA, now_us / 1_000],
        )?;
    }
    let found: i64 =
        transaction.query_row("SELECT value FROM meta WHERE key = 'schema'", [], |row| row.get(0))?;
    if found > SCHEMA {
        return Ok(Some(found));
    }
    let removed = match found {
        SCHEMA => None,
        2 => Some(0),
        _ => Some(migrate(&transaction)?),
    };
    if removed.is_some() {
        transaction.execute_batch(PARTS)?;
        set_meta_number(&transaction, "schema", SCHEMA)?;
    }
    transaction.commit()?;
    if let Some(removed) = removed {
        log::warn!(from = found, to = SCHEMA, odds = removed; "store.migrated");
    }
    Ok(None)
}

/// From schema 1: rows of prices go, the ledgers get the newest form. Returns how many rows went.
fn migrate(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    let count = || transaction.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0));
    let before = count()?;
    // Almost all rows go: copying the rest and dropping the table writes least.
    transaction.execute_batch(
        "DROP VIEW matches; DROP VIEW timeline; DROP INDEX events_id; DROP INDEX events_match; DROP INDEX events_retracts;
        ALTER TABLE events RENAME TO events_1; ALTER TABLE ledgers RENAME TO ledgers_1;",
    )?;
    transaction.execute_batch(CREATE)?;
    transaction.execute_batch(
        "INSERT INTO events SELECT * FROM events_1 WHERE lane <> 'odds' ORDER BY seq; DROP TABLE events_1;",
    )?;
    transaction.execute_batch(VIEWS)?;
    migrate_ledgers(transaction)?;
    let after = count()?;
    transaction.execute_batch("DROP TABLE ledgers_1; DELETE FROM meta WHERE key = 'odds_gone';")?;
    set_meta_number(transaction, "events", after)?;
    Ok(before - after)
}

fn migrate_ledgers(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut statement =
        transaction.prepare("SELECT feed, match, epoch, \"order\", state FROM ledgers_1 WHERE format = 1")?;
    let mut insert = transaction.prepare("INSERT INTO ledgers VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (feed, id): (String, String) = (row.get(0)?, row.get(1)?);
        let (epoch, order, text): (i64, i64, String) = (row.get(2)?, row.get(3)?, row.get(4)?);
        match Ledger::migrate(&text, order) {
            Ok(state) => _ = insert.execute(params![feed, id, LEDGER_VERSION, epoch, state])?,
            Err(error) => {
                log::error!(feed = feed.as_str(), match_id = id.as_str(), error:% = error; "ledger.unreadable");
            }
        }
    }
    Ok(())
}

/// A number in `meta`.
pub fn meta_number(connection: &Connection, key: &str) -> rusqlite::Result<i64> {
    let found = connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or(0))
}

/// Sets a number in `meta`.
pub fn set_meta_number(connection: &Connection, key: &str, value: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2")?
        .execute(rusqlite::params![key, value])?;
    Ok(())
}
