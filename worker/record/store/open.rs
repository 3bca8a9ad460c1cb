//! Opening the store: its lock, its file, its schema, and what it holds of the last run.

use super::{LIMIT, Marks, Shared, Store, retention, schema};
use crate::record::RecordError;
use crate::record::config::RecordConfig;
use crate::record::files::Files;
use crate::record::ledger::{LEDGER_VERSION, Ledger, OLDEST_LEDGER_VERSION, Outcome};
use crate::record::sqlite::{adopt_parent, beside};
use crate::record::store::write::Batch;
use crate::record::time::wall_us;
use hashbrown::{HashMap, HashSet};
use rusqlite::{Connection, Row};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::data::Stamp;
use touchline_common::ipc::messages::recorder::{Owner, RecorderStats};
use touchline_common::model::{Epoch, FeedId, MatchId, MatchKey};
use touchline_common::sys::lock::{FileLock, LockError};

const LOCK_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Restored {
    pub key: MatchKey,
    pub epoch: Epoch,
    pub version: u64,
    /// Whether it holds only what the list knows.
    pub listed_only: bool,
    pub stamp: Stamp,
    pub sections: Vec<(String, String)>,
}

#[derive(Debug)]
pub struct Opened {
    pub store: Store,
    /// With the feeds that only the store knows.
    pub config: Arc<RecordConfig>,
    pub shared: Arc<Shared>,
    /// The documents of matches that are not over, and the epochs that own them.
    pub documents: Vec<Restored>,
    /// The owner's epoch of every match that is not over.
    pub owners: Vec<(MatchKey, Epoch)>,
    /// Matches whose documents are saved as of matches that go on, though their ends are.
    pub over: Vec<(MatchKey, Epoch)>,
    pub highest_epoch: Epoch,
    pub token: u64,
}

/// Opens the store. `parent` names the coordinator's process: channels and owners of another one are void.
///
/// # Errors
/// [`RecordError::Locked`], [`RecordError::OpenStore`], [`RecordError::NewerStore`].
pub fn open(config: &Arc<RecordConfig>, parent: &str) -> Result<Opened, RecordError> {
    let lock = take_lock(&config.path)?;
    let failed = |what: String| RecordError::OpenStore { path: config.path.clone(), what };
    let mut connection = Connection::open(&config.path).map_err(|error| failed(error.to_string()))?;
    // Readable by the group; readers of a write-ahead log also write its index. Not ours: then its owner decided.
    let _ = fs::set_permissions(&config.path, fs::Permissions::from_mode(0o660));
    connection.set_prepared_statement_cache_capacity(64);
    let newer = schema::prepare(&mut connection, wall_us()).map_err(|error| failed(error.to_string()))?;
    if let Some(found) = newer {
        return Err(RecordError::NewerStore { path: config.path.clone(), found, known: schema::SCHEMA });
    }
    let restored =
        with_removed_feeds(config, &connection).and_then(|config| restore(&config, connection, lock, parent));
    restored.map_err(|error| failed(error.to_string()))
}

/// Feeds that were taken out of the configuration, with matches that are not over: these must end, which only the recorder knows.
fn with_removed_feeds(
    config: &Arc<RecordConfig>,
    connection: &Connection,
) -> rusqlite::Result<Arc<RecordConfig>> {
    let mut statement = connection.prepare(
        r#"SELECT feed FROM ledgers WHERE instr(state, '"ended":true') = 0 UNION SELECT feed FROM documents WHERE state <> 'ended'"#,
    )?;
    let stored = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let is_removed = |name: &String| config.feeds.iter().all(|known| **known != **name);
    let mut config = RecordConfig::clone(config);
    let removed: Vec<Arc<str>> = stored.into_iter().filter(is_removed).map(Arc::from).collect();
    config.feeds.extend(removed);
    Ok(Arc::new(config))
}

fn take_lock(store: &Path) -> Result<FileLock, RecordError> {
    let path = beside(store, ".lock");
    FileLock::take(&path, LOCK_PATIENCE).map_err(|error| match error {
        LockError::Held { .. } => RecordError::Locked { path },
        LockError::File { source } => RecordError::OpenStore { path, what: source.to_string() },
    })
}

fn restore(
    config: &Arc<RecordConfig>,
    connection: Connection,
    lock: FileLock,
    parent: &str,
) -> rusqlite::Result<Opened> {
    let positions = adopt_parent(&connection, parent, "channels")?;
    let (worker, reattach_until) = match positions {
        Some(_) => (Owner::Alive, Some(Instant::now() + super::REATTACH)),
        None => (Owner::Dead, None),
    };
    let alive_at = schema::meta_number(&connection, "alive_at")?;
    let ledgers = ledgers(&connection, config, worker)?;
    let documents = documents(&connection, config)?;
    let seq = schema::meta_number(&connection, "seq")?;
    let stats = stats(&connection)?;
    let owned = ledgers.iter().filter(|(_, ledger)| !ledger.is_ended());
    let owners: Vec<_> =
        owned.filter_map(|(key, ledger)| ledger.epoch().map(|epoch| (key.clone(), epoch))).collect();
    let over = over(&documents, &ledgers);
    let highest = schema::meta_number(&connection, "epoch")?;
    let highest_epoch =
        ledgers.values().filter_map(Ledger::epoch).max().unwrap_or_default().max(Epoch(highest as u64));
    let token = schema::meta_number(&connection, "token")? as u64;
    let shared = Arc::new(Shared::new(LIMIT, stats, seq));
    let mut store = Store {
        config: Arc::clone(config),
        connection,
        shared: Arc::clone(&shared),
        _lock: lock,
        ledgers,
        positions: positions.unwrap_or_default(),
        incoming: HashMap::new(),
        timed: HashSet::new(),
        reattach_until,
        alive_at,
        taken_at: alive_at,
        seq,
        batch: Batch::default(),
        outcome: Outcome::default(),
        marks: Marks::default(),
        retention: retention::Retention::default(),
        files: Files::of(&config.path),
        is_refused: false,
    };
    store.take_up_the_last_run();
    let config = Arc::clone(config);
    Ok(Opened { store, config, shared, documents, owners, over, highest_epoch, token })
}

/// The recorder ended between the commit of their end and that of their last document. What the list knows may be of a match that came
/// after that.
fn over(documents: &[Restored], ledgers: &HashMap<MatchKey, Ledger>) -> Vec<(MatchKey, Epoch)> {
    let of_matches = documents.iter().filter(|document| !document.listed_only);
    let over = |document: &Restored| {
        let ledger = ledgers.get(&document.key).filter(|ledger| ledger.is_ended())?;
        Some((document.key.clone(), ledger.epoch().unwrap_or_default()))
    };
    of_matches.filter_map(over).collect()
}

impl Store {
    /// Matches whose workers ended together with the last recorder have not been followed since; what waited to be believed is taken up.
    fn take_up_the_last_run(&mut self) {
        for (key, ledger) in &mut self.ledgers {
            ledger.restored_at(self.alive_at, &mut self.outcome);
            if ledger.deadline().is_some() {
                self.timed.insert(key.clone());
            }
            self.batch.keep(key, ledger, &mut self.outcome);
        }
    }
}

fn stats(connection: &Connection) -> rusqlite::Result<RecorderStats> {
    let open: i64 =
        connection.query_row("SELECT count(*) FROM gaps WHERE ended_at IS NULL", [], |row| row.get(0))?;
    Ok(RecorderStats {
        events: schema::meta_number(connection, "events")? as u64,
        gaps: schema::meta_number(connection, "gaps")? as u64,
        gaps_open: open as u64,
        ..RecorderStats::default()
    })
}

pub(super) fn key_of(config: &RecordConfig, feed: &str, id: String) -> Option<MatchKey> {
    let place = config.feeds.iter().position(|name| **name == *feed)?;
    Some(MatchKey { feed: FeedId(u16::try_from(place).ok()?), id: MatchId::from(id) })
}

/// Ledgers of matches whose documents are gone are kept for their ids alone, and looked up when one comes back; those that are not over
/// are owned.
const RESTORED: &str = r#"
SELECT l.feed, l.match, l.format, l.state,
    (SELECT coalesce(max("order"), 0) FROM events e WHERE e.match = l.match AND e.feed = l.feed)
FROM ledgers l
WHERE EXISTS (SELECT 1 FROM documents d WHERE d.feed = l.feed AND d.match = l.match)
    OR instr(l.state, '"ended":true') = 0"#;

const ONE: &str = r#"
SELECT l.feed, l.match, l.format, l.state,
    (SELECT coalesce(max("order"), 0) FROM events e WHERE e.match = l.match AND e.feed = l.feed)
FROM ledgers l WHERE l.feed = ?1 AND l.match = ?2"#;

fn ledgers(
    connection: &Connection,
    config: &RecordConfig,
    worker: Owner,
) -> rusqlite::Result<HashMap<MatchKey, Ledger>> {
    let mut ledgers = HashMap::new();
    let mut statement = connection.prepare(RESTORED)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (feed, id): (String, String) = (row.get(0)?, row.get(1)?);
        let Some(key) = key_of(config, &feed, id) else { continue };
        if let Some(ledger) = ledger(connection, row, config, worker)? {
            ledgers.insert(key, ledger);
        }
    }
    Ok(ledgers)
}

/// The ledger of a row; a text that is none is logged.
fn ledger(
    connection: &Connection,
    row: &Row<'_>,
    config: &RecordConfig,
    worker: Owner,
) -> rusqlite::Result<Option<Ledger>> {
    let (feed, id): (String, String) = (row.get(0)?, row.get(1)?);
    let (format, text, order): (i64, String, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
    let restored = match format {
        OLDEST_LEDGER_VERSION..=LEDGER_VERSION => {
            let fresh = Ledger::new(&feed, &id, config.store.settle.get());
            let parts = parts(connection, &feed, &id)?;
            fresh.restored(&text, &parts, order, worker).map_err(|error| error.to_string())
        }
        other => Err(format!("form {other}")),
    };
    match restored {
        Ok(ledger) => Ok(Some(ledger)),
        Err(error) => {
            log::error!(feed = feed.as_str(), match_id = id.as_str(), error = error.as_str(); "ledger.unreadable");
            Ok(None)
        }
    }
}

fn parts(connection: &Connection, feed: &str, id: &str) -> rusqlite::Result<Vec<(String, String)>> {
    let sql = "SELECT part, body FROM ledger_parts WHERE feed = ?1 AND match = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map([feed, id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    found.collect()
}

/// The ledger of a match that none is held of: as it was left, if events of it are kept, else one that knows nothing.
pub(super) fn ledger_of(connection: &Connection, config: &RecordConfig, feed: &str, id: &str) -> Ledger {
    let look_up = || -> rusqlite::Result<Option<Ledger>> {
        let mut statement = connection.prepare_cached(ONE)?;
        let mut rows = statement.query([feed, id])?;
        rows.next()?.map_or(Ok(None), |row| ledger(connection, row, config, Owner::Dead))
    };
    let found = look_up().unwrap_or_else(|error| {
        log::error!(feed = feed, match_id = id, error:% = error; "ledger.unreadable");
        None
    });
    found.unwrap_or_else(|| Ledger::new(feed, id, config.store.settle.get()))
}

fn documents(connection: &Connection, config: &RecordConfig) -> rusqlite::Result<Vec<Restored>> {
    let mut documents = Vec::new();
    let mut statement = connection.prepare(
        "SELECT feed, match, epoch, version, source, stale, received_at, updated_at FROM documents WHERE state <> 'ended'",
    )?;
    let mut sections =
        connection.prepare("SELECT section, body FROM sections WHERE feed = ?1 AND match = ?2")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (feed, id): (String, String) = (row.get(0)?, row.get(1)?);
        let found = sections.query_map([&feed, &id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
        let Some(key) = key_of(config, &feed, id) else { continue };
        documents.push(Restored {
            key,
            epoch: Epoch(row.get::<_, i64>(2)? as u64),
            version: row.get::<_, i64>(3)? as u64,
            listed_only: row.get::<_, String>(4)? == "list",
            stamp: Stamp { stale: row.get(5)?, received_at: row.get(6)?, updated_at: row.get(7)? },
            sections: found,
        });
    }
    Ok(documents)
}
