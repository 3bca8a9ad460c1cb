//! One transaction: events, gaps, ledgers, positions, snapshots. The only writer of rows that the ledger made.

use super::{Snapshot, schema};
use crate::record::config::RecordConfig;
use crate::record::ledger::{EventId, GapStep, LEDGER_VERSION, Ledger, NewEvent, Outcome, Saved};
use crate::record::sqlite::Positions;
use crate::record::thread::Reply;
use crate::record::time::{push_rfc3339, rfc3339};
use hashbrown::{HashMap, HashSet};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use touchline_common::failpoint::{self, Point};
use touchline_common::ipc::messages::data::Extent;
use touchline_common::model::{MatchKey, Side};

/// What waits for its commit. Made once from each input, so that a retry writes the same again.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) frames: usize,
    pub(super) events: Vec<NewEvent>,
    groups: Vec<Group>,
    gaps: Vec<(MatchKey, GapStep)>,
    changed: HashSet<MatchKey>,
    pub(super) positions: Positions,
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) replies: Vec<Reply>,
    pub(super) highest_epoch: u64,
    pub(super) refused: u64,
    pub(super) lost: u64,
    /// With it all is committed that came before, wall clock in microseconds.
    pub(super) complete_until: i64,
}

/// Events of one match that follow each other in `Batch::events`.
#[derive(Debug)]
struct Group {
    key: MatchKey,
    sport: Option<String>,
    count: usize,
}

impl Batch {
    pub(super) fn keep(&mut self, key: &MatchKey, ledger: &Ledger, outcome: &mut Outcome) {
        if !outcome.events.is_empty() {
            let count = outcome.events.len();
            match self.groups.last_mut() {
                Some(group) if group.key == *key && group.sport.as_deref() == ledger.sport() => {
                    group.count += count;
                }
                _ => {
                    let sport = ledger.sport().map(str::to_owned);
                    self.groups.push(Group { key: key.clone(), sport, count });
                }
            }
            self.events.append(&mut outcome.events);
        }
        self.gaps.extend(outcome.gaps.drain(..).map(|gap| (key.clone(), gap)));
        if std::mem::take(&mut outcome.changed) && !self.changed.contains(key) {
            self.changed.insert(key.clone());
        }
    }

    /// Whether it must be committed at once: positions, ledgers and documents alone may wait for more.
    pub(super) fn is_urgent(&self) -> bool {
        !(self.events.is_empty() && self.gaps.is_empty() && self.replies.is_empty()) || self.refused > 0
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.has_rows() && self.replies.is_empty() && self.refused == 0
    }

    fn has_rows(&self) -> bool {
        !(self.events.is_empty()
            && self.gaps.is_empty()
            && self.changed.is_empty()
            && self.positions.is_empty()
            && self.snapshots.is_empty())
    }

    pub(super) fn clear(&mut self) {
        // It is written with rows only.
        let highest_epoch = if self.has_rows() { 0 } else { self.highest_epoch };
        *self = Batch { events: std::mem::take(&mut self.events), highest_epoch, ..Batch::default() };
        self.events.clear();
    }

    /// The matches whose ledgers are in it.
    pub(super) fn changed(&self) -> impl Iterator<Item = &MatchKey> {
        self.changed.iter()
    }

    pub(super) fn gaps_opened(&self) -> u64 {
        self.gaps.iter().filter(|(_, gap)| matches!(gap, GapStep::Open { .. })).count() as u64
    }

    pub(super) fn gaps_closed(&self) -> u64 {
        self.gaps.len() as u64 - self.gaps_opened()
    }

    /// Most gaps follow from a death or a lost connection, which is told once for all of them. Those that do not are a line a batch.
    pub(super) fn log_gaps(&self, config: &RecordConfig) {
        for told in ["overflow", "moved"] {
            let opened = self
                .gaps
                .iter()
                .filter(|(_, gap)| matches!(gap, GapStep::Open { reason, .. } if *reason == told));
            let opened = opened.count();
            if opened > 0 {
                log::warn!(matches = opened, reason = told; "gap.opened");
            }
        }
        for (key, gap) in &self.gaps {
            let (feed, id) = (feed(config, key), key.id.as_str());
            match gap {
                GapStep::Open { slot, reason, .. } => {
                    log::debug!(feed = feed, match_id = id, worker = slot.0, reason = *reason; "gap.start");
                }
                GapStep::Close { .. } => log::debug!(feed = feed, match_id = id; "gap.end"),
            }
        }
    }
}

fn feed<'a>(config: &'a RecordConfig, key: &MatchKey) -> &'a str {
    config.feed(key).unwrap_or_default()
}

/// Writes the batch in one transaction; the newest `seq` afterwards.
pub(super) fn write(
    connection: &mut Connection,
    config: &RecordConfig,
    batch: &Batch,
    ledgers: &HashMap<MatchKey, Ledger>,
    seq: i64,
) -> rusqlite::Result<i64> {
    if !batch.has_rows() {
        return Ok(seq);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let newest = events(&transaction, config, batch, seq)?;
    gaps(&transaction, config, batch)?;
    save_ledgers(&transaction, config, batch, ledgers)?;
    for (slot, (generation, n)) in &batch.positions {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO channels VALUES (?1, ?2, ?3)")?
            .execute(params![slot.0, generation.0, as_i64(*n)])?;
    }
    for snapshot in &batch.snapshots {
        save_document(&transaction, config, snapshot)?;
    }
    counters(&transaction, batch, seq, newest)?;
    failpoint::hit(Point::RecordBeforeCommit);
    transaction.commit()?;
    failpoint::hit(Point::RecordAfterCommit);
    Ok(newest)
}

fn counters(transaction: &Transaction<'_>, batch: &Batch, seq: i64, newest: i64) -> rusqlite::Result<()> {
    schema::set_meta_number(transaction, "alive_at", batch.complete_until)?;
    if newest > seq {
        schema::set_meta_number(transaction, "seq", newest)?;
        add_to_meta(transaction, "events", newest - seq)?;
    }
    if !batch.gaps.is_empty() {
        add_to_meta(transaction, "gaps", as_i64(batch.gaps_opened()))?;
    }
    if batch.highest_epoch > 0 {
        transaction
            .prepare_cached("UPDATE meta SET value = max(value, ?1) WHERE key = 'epoch'")?
            .execute([as_i64(batch.highest_epoch)])?;
    }
    Ok(())
}

pub(super) fn add_to_meta(connection: &Connection, key: &str, change: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE meta SET value = value + ?2 WHERE key = ?1")?
        .execute(params![key, change])?;
    Ok(())
}

const INSERT_EVENT: &str = r#"
INSERT INTO events(seq, id, revision, retracts, feed, match, sport, type, lane, side, minute, second, period, at,
    feed_at, epoch, version, "order", score, late, recovered, payload)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)
ON CONFLICT (id, revision) DO NOTHING"#;

/// Gives each event its `seq`. A happening that stands in the store already is no row and takes no number.
fn events(
    transaction: &Transaction<'_>,
    config: &RecordConfig,
    batch: &Batch,
    mut seq: i64,
) -> rusqlite::Result<i64> {
    let mut insert = transaction.prepare_cached(INSERT_EVENT)?;
    let (mut at, mut at_us, mut body) = (String::new(), i64::MIN, Vec::new());
    let mut events = batch.events.iter();
    for group in &batch.groups {
        let feed = feed(config, &group.key);
        for event in events.by_ref().take(group.count) {
            if event.at != at_us {
                at_us = event.at;
                at.clear();
                push_rfc3339(&mut at, at_us);
            }
            body.clear();
            serde_json::to_writer(&mut body, &event.payload).map_err(unwritable)?;
            let score = event.score.map(|(home, away)| format!(r#"{{"home":{home},"away":{away}}}"#));
            let (id, retracts) = (event.id.to_ascii(), event.retracts.map(EventId::to_ascii));
            let inserted = insert.execute(params![
                seq + 1,
                text(&id),
                event.revision,
                retracts.as_ref().map(|id| text(id)),
                feed,
                group.key.id.as_str(),
                group.sport.as_deref(),
                event.kind.as_str(),
                config.lane(event.kind, event.lane).as_str(),
                event.side.map(Side::as_str),
                event.clock.map(|clock| clock / 60),
                event.clock.map(|clock| clock % 60),
                event.period,
                at.as_str(),
                event.feed_at.map(rfc3339),
                as_i64(event.epoch.0),
                as_i64(event.version),
                event.order,
                score,
                event.late,
                event.recovered,
                text(&body),
            ])?;
            seq += inserted as i64;
        }
    }
    Ok(seq)
}

fn unwritable(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

/// Bytes that are text.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn gaps(transaction: &Transaction<'_>, config: &RecordConfig, batch: &Batch) -> rusqlite::Result<()> {
    for (key, gap) in &batch.gaps {
        let (feed, id) = (feed(config, key), key.id.as_str());
        match gap {
            GapStep::Open { slot, at, reason } => transaction
                .prepare_cached(
                    "INSERT INTO gaps(feed, match, worker, started_at, reason) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![feed, id, slot.0, rfc3339(*at), reason])?,
            GapStep::Close { at } => transaction
                .prepare_cached(
                    // A base that closes it may have waited in a worker since before the recorder knew of the gap.
                    "UPDATE gaps SET ended_at = max(started_at, ?3) WHERE feed = ?1 AND match = ?2 AND ended_at IS NULL",
                )?
                .execute(params![feed, id, rfc3339(*at)])?,
        };
    }
    Ok(())
}

fn save_ledgers(
    transaction: &Transaction<'_>,
    config: &RecordConfig,
    batch: &Batch,
    ledgers: &HashMap<MatchKey, Ledger>,
) -> rusqlite::Result<()> {
    for key in &batch.changed {
        let Some(ledger) = ledgers.get(key) else { continue };
        let (feed, id) = (feed(config, key), key.id.as_str());
        let Saved { text, extent, parts } = ledger.save().map_err(unwritable)?;
        let epoch = ledger.epoch().map_or(0, |epoch| as_i64(epoch.0));
        transaction
            .prepare_cached("INSERT OR REPLACE INTO ledgers VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![feed, id, LEDGER_VERSION, epoch, text])?;
        match extent {
            Extent::Whole => _ = transaction.prepare_cached(FORGET_PARTS)?.execute([feed, id])?,
            Extent::Changes => {}
        }
        for (part, body) in &parts {
            match body {
                Some(body) => transaction.prepare_cached(SAVE_PART)?.execute([feed, id, part, body])?,
                None => transaction.prepare_cached(FORGET_PART)?.execute([feed, id, part])?,
            };
        }
    }
    Ok(())
}

const SAVE_PART: &str =
    "INSERT INTO ledger_parts VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET body = excluded.body";
const FORGET_PART: &str = "DELETE FROM ledger_parts WHERE feed = ?1 AND match = ?2 AND part = ?3";
pub(super) const FORGET_PARTS: &str = "DELETE FROM ledger_parts WHERE feed = ?1 AND match = ?2";

/// In place: `INSERT OR REPLACE` deletes the row and appends another, which writes the index and the list of free pages as well.
const SAVE_SECTION: &str = "
INSERT INTO sections VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (feed, match, section) DO UPDATE SET version = excluded.version, body = excluded.body";

fn save_document(
    transaction: &Transaction<'_>,
    config: &RecordConfig,
    document: &Snapshot,
) -> rusqlite::Result<()> {
    let (feed, id) = (feed(config, &document.key), document.key.id.as_str());
    match document.extent {
        Extent::Whole => {
            let mut delete =
                transaction.prepare_cached("DELETE FROM sections WHERE feed = ?1 AND match = ?2")?;
            delete.execute(params![feed, id])?;
        }
        Extent::Changes => {}
    }
    for (section, body) in &document.sections {
        match body {
            Some(body) => transaction.prepare_cached(SAVE_SECTION)?.execute(params![
                feed,
                id,
                &**section,
                as_i64(document.version),
                body.as_str()
            ])?,
            None => transaction
                .prepare_cached("DELETE FROM sections WHERE feed = ?1 AND match = ?2 AND section = ?3")?
                .execute(params![feed, id, &**section])?,
        };
    }
    transaction
        .prepare_cached("INSERT OR REPLACE INTO documents VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
        .execute(params![
            feed,
            id,
            as_i64(document.epoch.0),
            as_i64(document.version),
            document.state,
            document.source,
            document.stamp.stale,
            document.stamp.received_at,
            document.stamp.updated_at,
        ])?;
    Ok(())
}

/// SQLite's integers are signed; nothing here comes near the end of them.
fn as_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
