//! Committed rows above a `seq`, and documents that changed, read from the store's files by connections that only read.
//!
//! Rows are the objects that operators see, made by the same SQL. An hour's file is open for one look only, so that it can be closed;
//! one that cannot be read is an error here: to pass over its rows would be to lose them. Called by a sink's thread
//! and the gateway's.

use crate::record::config::RecordConfig;
use crate::record::hours::read::{ODDS, chat_object, odds_object};
use crate::record::hours::schema::TYPE;
use crate::record::hours::{self, file_name, hour_of_seq};
use crate::record::query::rows::EVENT;
use crate::record::sqlite::open_to_read;
use hashbrown::{HashMap, HashSet};
use rusqlite::{Connection, OptionalExtension};
use std::path::PathBuf;
use touchline_common::config::SinkLane;
use touchline_common::ipc::messages::data::Stream;

/// Documents that one look takes: they are large, and rows of the match stream wait meanwhile.
pub(super) const DOCUMENTS: usize = 32;

/// A row of either stream on its way to a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub seq: i64,
    pub feed: String,
    /// The match's id.
    pub id: String,
    pub kind: String,
    pub lane: SinkLane,
    /// The whole row as an object.
    pub json: String,
}

/// A document that changed since it was last sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub feed: String,
    pub id: String,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Live {
        epoch: i64,
        version: i64,
        json: String,
    },
    /// Its match has ended.
    Ended {
        epoch: i64,
        version: i64,
        json: String,
    },
    /// The store has it no more.
    Gone,
}

impl Content {
    fn number(&self) -> Option<Number> {
        match self {
            Content::Live { epoch, version, .. } => Some((*epoch, *version, false)),
            Content::Ended { epoch, version, .. } => Some((*epoch, *version, true)),
            Content::Gone => None,
        }
    }
}

/// Epoch, version, and whether its match has ended.
type Number = (i64, i64, bool);
type Key = (String, String);

/// Rows that were read before they were asked for: those above `since`.
#[derive(Debug)]
struct Ahead {
    stream: Stream,
    since: i64,
    rows: Vec<Row>,
}

#[derive(Debug)]
pub(crate) struct Tail {
    store: PathBuf,
    hours: PathBuf,
    connection: Option<Connection>,
    ahead: Option<Ahead>,
    /// What was sent of each match.
    sent: HashMap<Key, Number>,
}

impl Tail {
    pub(crate) fn new(config: &RecordConfig) -> Tail {
        Tail {
            store: config.path.clone(),
            hours: hours::folder(&config.path),
            connection: None,
            ahead: None,
            sent: HashMap::new(),
        }
    }

    /// At most so many rows above `since`, ascending. None: there are none.
    ///
    /// # Errors
    /// What cannot be read, and why.
    pub(crate) fn read(&mut self, stream: Stream, since: i64, limit: usize) -> Result<Vec<Row>, String> {
        match self.ahead.take() {
            Some(ahead) if (ahead.stream, ahead.since) == (stream, since) => Ok(ahead.rows),
            Some(_) | None => self.look_up(stream, since, limit),
        }
    }

    /// The highest `seq` of the match stream that is committed, 0 before the first.
    ///
    /// # Errors
    /// As [`Tail::read`].
    pub(crate) fn newest(&mut self) -> Result<i64, String> {
        let sql = "SELECT coalesce(max(seq), 0) FROM events";
        self.look(|store| store.query_row(sql, [], |row| row.get(0)))
    }

    /// Reads what is most likely asked for next, while there is time for it.
    pub(super) fn read_ahead(&mut self, stream: Stream, since: i64, limit: usize) {
        // What cannot be read is said when it is asked for; rows that come until then are no reason to believe that there are none.
        let rows = self.look_up(stream, since, limit).unwrap_or_default();
        self.ahead = (!rows.is_empty()).then_some(Ahead { stream, since, rows });
    }

    fn look_up(&mut self, stream: Stream, since: i64, limit: usize) -> Result<Vec<Row>, String> {
        match stream {
            Stream::Match => {
                let sql = format!(
                    "SELECT seq, feed, match, type, lane, {EVENT} FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2"
                );
                self.look(|store| rows(store, &sql, since, limit))
            }
            Stream::Bulk => self.bulk(since, limit),
        }
    }

    fn bulk(&self, since: i64, limit: usize) -> Result<Vec<Row>, String> {
        let hours = hours::list(&self.hours)
            .map_err(|error| format!("the folder {} cannot be read: {error}", self.hours.display()))?;
        for hour in hours.into_iter().filter(|hour| *hour >= hour_of_seq(since)) {
            let path = self.hours.join(file_name(hour));
            let read = hours::read::open(&path).and_then(|file| rows(&file, &bulk_sql(&file)?, since, limit));
            match read {
                Ok(rows) if rows.is_empty() => {}
                Ok(rows) => return Ok(rows),
                // Deleted since the list was made.
                Err(_) if !path.exists() => {}
                Err(error) => {
                    return Err(format!(
                        "the hour file {} cannot be read ({error}): mend it, or move it away to go on behind it",
                        path.display()
                    ));
                }
            }
        }
        Ok(Vec::new())
    }

    /// Documents that differ from what was sent, some at a time.
    ///
    /// # Errors
    /// As [`Tail::read`].
    pub(super) fn documents(&mut self) -> Result<Vec<Document>, String> {
        let sent = std::mem::take(&mut self.sent);
        let changed = self.look(|store| changed(store, &sent));
        self.sent = sent;
        changed
    }

    /// These were taken.
    pub(super) fn documents_sent(&mut self, documents: &[Document]) {
        for Document { feed, id, content } in documents {
            let key = (feed.clone(), id.clone());
            match content.number() {
                Some(number) => _ = self.sent.insert(key, number),
                None => _ = self.sent.remove(&key),
            }
        }
    }

    /// Whoever takes them may have lost what was sent.
    pub(super) fn forget_documents(&mut self) {
        self.sent.clear();
    }

    /// Asks the store; a connection that failed once is made anew.
    fn look<T>(&mut self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, String> {
        let failed = |error: rusqlite::Error| format!("the store cannot be read: {error}");
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open_to_read(&self.store).map_err(failed)?,
        };
        let answer = ask(&connection).map_err(failed)?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

/// What asks an hour's file for rows of both lanes.
fn bulk_sql(file: &Connection) -> rusqlite::Result<String> {
    let (odds, chat) = (odds_object(file)?, chat_object(file)?);
    Ok(format!(
        "SELECT o.seq AS seq, s.feed, s.match, {TYPE}, 'odds', {odds} {ODDS} WHERE o.seq > ?1
        UNION ALL
        SELECT c.seq, c.feed, c.match, c.type, 'chat', {chat} FROM chat c WHERE c.seq > ?1
        ORDER BY seq LIMIT ?2"
    ))
}

fn rows(file: &Connection, sql: &str, since: i64, limit: usize) -> rusqlite::Result<Vec<Row>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = file.prepare_cached(sql)?;
    let rows = statement.query_map([since, limit], |row| {
        Ok(Row {
            seq: row.get(0)?,
            feed: row.get(1)?,
            id: row.get(2)?,
            kind: row.get(3)?,
            lane: row.get_ref(4)?.as_str().ok().and_then(SinkLane::by_name).unwrap_or(SinkLane::Normal),
            json: row.get(5)?,
        })
    })?;
    rows.collect()
}

fn changed(store: &Connection, sent: &HashMap<Key, Number>) -> rusqlite::Result<Vec<Document>> {
    let mut statement =
        store.prepare_cached("SELECT feed, match, epoch, version, state = 'ended' FROM documents")?;
    let mut found = statement.query([])?;
    let (mut stored, mut newer) = (HashSet::new(), Vec::new());
    while let Some(row) = found.next()? {
        let key: Key = (row.get(0)?, row.get(1)?);
        let number: Number = (row.get(2)?, row.get(3)?, row.get(4)?);
        if sent.get(&key) != Some(&number) && newer.len() < DOCUMENTS {
            newer.push(key.clone());
        }
        stored.insert(key);
    }
    let mut documents = Vec::new();
    for (feed, id) in newer {
        // As it is now, which may be newer than it was a moment ago; one that went meanwhile is gone at the next look.
        if let Some(content) = content(store, &feed, &id)? {
            documents.push(Document { feed, id, content });
        }
    }
    let gone = sent.keys().filter(|key| !stored.contains(*key)).cloned();
    documents.extend(gone.map(|(feed, id)| Document { feed, id, content: Content::Gone }));
    Ok(documents)
}

fn content(store: &Connection, feed: &str, id: &str) -> rusqlite::Result<Option<Content>> {
    let sql = "SELECT epoch, version, document, state = 'ended' FROM matches WHERE feed = ?1 AND match = ?2";
    store
        .prepare_cached(sql)?
        .query_row([feed, id], |row| {
            let (epoch, version, json) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let is_over: bool = row.get(3)?;
            Ok(if is_over {
                Content::Ended { epoch, version, json }
            } else {
                Content::Live { epoch, version, json }
            })
        })
        .optional()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::hours::{ChatRow, Hours, Kind, OddsRow, SelectionRow, Writer};
    use touchline_common::config::Config;
    use touchline_common::model::ChatKind;

    const AT: i64 = 1_767_366_000_000_000;

    fn write(writer: &mut Writer<'_>) -> rusqlite::Result<()> {
        let market = SelectionRow { feed: "live", id: "M", market: ("m", "Result"), selection: None };
        let selection = writer.selection(&market)?;
        let (kind, feed_at) = (Kind::MarketOpen, Some(AT - 1_000_000));
        let (price, text, suspended, recovered, won) = (None, None, Some(false), false, None);
        writer.odds(&OddsRow { at: AT, selection, kind, price, text, suspended, recovered, won })?;
        let (kind, amount) = (ChatKind::SuperChat, Some(3_000));
        let (feed, of, id, user, text) = ("live", "R", "17", "ann", "hello");
        writer.chat(&ChatRow { at: AT, feed, of, id, kind, user, text, amount, feed_at })
    }

    #[test]
    fn rows_of_both_lanes_of_the_bulk_stream_come_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.daemon.state_dir = folder.path().to_path_buf();
        let config = RecordConfig::new(&config);
        let (mut files, _) = Hours::open(&config.path, "parent", AT).unwrap();
        files.write(&mut write).unwrap();
        let newest = files.seq();
        let mut tail = Tail::new(&config);
        let rows = tail.read(Stream::Bulk, 0, 10).unwrap();
        let lanes: Vec<_> = rows.iter().map(|row| (row.seq, row.lane, row.kind.as_str())).collect();
        let expected = [(newest - 1, SinkLane::Odds, "market_open"), (newest, SinkLane::Chat, "super_chat")];
        assert_eq!(lanes, expected);
        let said = rows.last().unwrap();
        assert_eq!((said.feed.as_str(), said.id.as_str()), ("live", "R"));
        let json = format!(
            r#"{{"seq":{newest},"match":"R","feed":"live","type":"super_chat","lane":"chat","id":"17","user":"ann","text":"hello","amount":3000,"at":"2026-01-02T15:00:00.000000Z","feed_at":"2026-01-02T14:59:59.000000Z"}}"#
        );
        assert_eq!(said.json, json);
        assert_eq!(tail.read(Stream::Bulk, newest - 1, 10).unwrap().len(), 1);
    }
}
