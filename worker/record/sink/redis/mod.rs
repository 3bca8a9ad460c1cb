//! A sink that writes rows to Redis Streams and documents to hashes.
//!
//! A row's id is `<store token>-<seq>`, so the server itself refuses what it has; a delivery is one transaction, which it takes all or
//! none of, so that nothing is left out in the middle of a stream. The server's own last ids say where to go on: what it lost (a
//! restart without its newest writes, a fail-over to a replica that was behind, a flush) is told again, at most `maxlen` rows back.
//! `keys` has names and ids, `rows` the bytes of a delivery, `replies` what answers mean (all pure).

mod keys;
mod replies;
mod rows;

use super::{Content, Delivery, Document, Position, Row, Sink};
use crate::record::config::RecordConfig;
use ::redis::{
    Client, Connection, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, Pipeline, RedisError,
    TlsCertificates, Value, pipe,
};
use keys::{Id, Keys, SHARDS};
use replies::{Outcome, explain, first_error, last_id, transaction};
use rows::Target;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::config::RedisOptions;
use touchline_common::ipc::messages::data::Stream;

/// Documents that are under way at a time.
const DOCUMENTS: usize = 32;
/// How often a server to which nothing is sent is asked for a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_millis(500);
const LATE: &str = "the server did not answer in time";

pub(in crate::record) struct Redis {
    address: String,
    options: RedisOptions,
    feeds: Vec<Arc<str>>,
    keys: Keys,
    /// The store's.
    token: u64,
    maxlen: u64,
    /// How long the document of a match that has ended stays.
    keep: Duration,
    connection: Option<Connection>,
    /// When it was last asked for a sign of life.
    asked_at: Instant,
}

impl Redis {
    /// Not connected yet; `token` is the store's.
    pub(super) fn new(config: &RecordConfig, token: u64) -> Redis {
        let streams = &config.streams;
        Redis {
            address: streams.redis.clone(),
            options: streams.redis_options.clone(),
            feeds: config.feeds.clone(),
            keys: Keys::new(&streams.prefix),
            token,
            maxlen: streams.maxlen,
            keep: config.store.keep_matches.get(),
            connection: None,
            asked_at: Instant::now(),
        }
    }

    fn open(&self) -> Result<Connection, String> {
        let failed = |error: RedisError| explain_failure(&error);
        // One provider for the process, whatever other libraries bring along.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut info = self.address.as_str().into_connection_info().map_err(failed)?;
        let mut login = info.redis_settings().clone().set_skip_set_lib_name();
        if !self.options.username.is_empty() {
            login = login.set_username(&self.options.username);
        }
        if !self.options.password.is_empty() {
            login = login.set_password(self.options.password.expose());
        }
        info = info.set_redis_settings(login);
        let timeout = self.options.timeout.get();
        let connection = self.client(info)?.get_connection_with_timeout(timeout).map_err(failed)?;
        connection.set_read_timeout(Some(timeout)).map_err(failed)?;
        connection.set_write_timeout(Some(timeout)).map_err(failed)?;
        Ok(connection)
    }

    fn client(&self, info: ConnectionInfo) -> Result<Client, String> {
        let file = &self.options.ca_file;
        let has_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        let made = if has_tls && !file.is_empty() {
            let authorities = std::fs::read(file).map_err(|error| format!("ca_file {file}: {error}"))?;
            let certificates = TlsCertificates { client_tls: None, root_cert: Some(authorities) };
            Client::build_with_tls(info, certificates)
        } else {
            Client::open(info)
        };
        made.map_err(|error| explain_failure(&error))
    }

    /// The newest row of this store that the server has, of each stream.
    fn newest(&self, connection: &mut Connection, stream: Stream) -> Result<i64, String> {
        let lanes = self.options.lanes.iter().filter(|lane| lane.stream() == stream);
        let kinds: BTreeSet<&str> = lanes.map(|lane| Keys::kind(*lane)).collect();
        let mut keys = Vec::new();
        for (feed, kind) in self.feeds.iter().flat_map(|feed| kinds.iter().map(move |kind| (feed, kind))) {
            keys.extend((0..SHARDS).map(|shard| self.keys.stream(kind, feed, shard)));
        }
        let mut newest = 0;
        for id in self.last_ids(connection, &keys)?.into_values() {
            newest = newest.max(self.ours(id)?.unwrap_or(0));
        }
        Ok(newest)
    }

    /// The number of a row of this store; an older store's is none.
    fn ours(&self, id: Id) -> Result<Option<i64>, String> {
        if id.token > self.token {
            let (prefix, token) = (self.keys.prefix(), id.token);
            return Err(format!(
                "a newer store (token {token}) writes to the streams of {prefix:?}: end the other daemon, or set another [streams] prefix"
            ));
        }
        Ok((id.token == self.token).then_some(id.seq))
    }

    fn last_ids(&self, connection: &mut Connection, keys: &[String]) -> Result<BTreeMap<String, Id>, String> {
        let mut found = BTreeMap::new();
        for keys in keys.chunks(self.options.batch as usize) {
            let mut asked = pipe();
            keys.iter().for_each(|key| _ = asked.cmd("XINFO").arg("STREAM").arg(key));
            let replies = self.ask(connection, &asked.get_packed_pipeline(), keys.len(), &mut || ())?;
            for (key, reply) in keys.iter().zip(&replies) {
                if let Some(id) = last_id(reply)? {
                    found.insert(key.clone(), id);
                }
            }
        }
        Ok(found)
    }

    fn target(&self) -> Target<'_> {
        Target { keys: &self.keys, token: self.token, maxlen: self.maxlen }
    }

    fn write(&self, connection: &mut Connection, rows: &[Row], meanwhile: &mut dyn FnMut()) -> Delivery {
        // With what opens the transaction and what ends it.
        let asked = self.target().transaction(rows);
        let replies = self.ask(connection, &asked, rows.len() + 2, meanwhile);
        let outcomes = replies.and_then(|replies| transaction(&replies, rows.len()));
        match outcomes.and_then(|outcomes| self.count(connection, rows, &outcomes)) {
            Ok((settled, failure)) => Delivery { settled, failure, ..Delivery::default() },
            Err(error) => Delivery::failed(error),
        }
    }

    /// How many of the first rows the server has, and what it says of the next.
    fn count(
        &self,
        connection: &mut Connection,
        rows: &[Row],
        outcomes: &[Outcome],
    ) -> Result<(usize, Option<String>), String> {
        let pairs = || rows.iter().zip(outcomes);
        let repeated = pairs().filter(|(_, outcome)| **outcome == Outcome::NotNewer);
        let target = self.target();
        let mut keys: Vec<String> = repeated.map(|(row, _)| target.key(row)).collect();
        keys.sort_unstable();
        keys.dedup();
        let last = self.last_ids(connection, &keys)?;
        for (place, (row, outcome)) in pairs().enumerate() {
            match outcome {
                Outcome::Stored => {}
                Outcome::Refused(error) => return Ok((place, Some(error.clone()))),
                Outcome::NotNewer => {
                    let key = target.key(row);
                    let last = last.get(&key).map_or(Ok(None), |id| self.ours(*id))?;
                    if last.is_none_or(|seq| seq < row.seq) {
                        let error = format!("it calls row {} not newer than the last of {key}", row.seq);
                        return Ok((place, Some(error)));
                    }
                }
            }
        }
        Ok((rows.len(), None))
    }
}

impl Sink for Redis {
    fn connect(&mut self, held: &Position) -> Result<Position, String> {
        let mut connection = self.open()?;
        let mut position = held.clone();
        for stream in [Stream::Match, Stream::Bulk] {
            if !self.options.lanes.iter().any(|lane| lane.stream() == stream) {
                continue;
            }
            let newest = self.newest(&mut connection, stream)?;
            let place = position.seq.of(stream);
            let furthest = place.saturating_sub(i64::try_from(self.maxlen).unwrap_or(i64::MAX)).max(0);
            *place = newest.max(furthest).min(*place);
        }
        self.connection = Some(connection);
        Ok(position)
    }

    fn deliver(&mut self, rows: &[Row], meanwhile: &mut dyn FnMut()) -> Delivery {
        let Some(mut connection) = self.connection.take() else {
            return Delivery::failed("there is no connection");
        };
        let delivery = self.write(&mut connection, rows, meanwhile);
        self.connection = Some(connection);
        delivery
    }

    fn documents(&mut self, changed: &[Document]) -> Result<(), String> {
        let Some(mut connection) = self.connection.take() else {
            return Err("there is no connection".into());
        };
        for changed in changed.chunks(DOCUMENTS) {
            let mut asked = pipe();
            changed.iter().for_each(|document| self.document(&mut asked, document));
            let replies = self.ask(&mut connection, &asked.get_packed_pipeline(), asked.len(), &mut || ())?;
            if let Some(error) = first_error(&replies) {
                return Err(error);
            }
        }
        self.connection = Some(connection);
        Ok(())
    }

    /// A server that is back without what it had is noticed though nothing is to be sent.
    fn idle(&mut self) -> Result<(), String> {
        if self.asked_at.elapsed() < SIGN_OF_LIFE {
            return Ok(());
        }
        self.asked_at = Instant::now();
        let Some(mut connection) = self.connection.take() else {
            return Err("there is no connection".into());
        };
        let mut asked = pipe();
        asked.cmd("PING");
        let replies = self.ask(&mut connection, &asked.get_packed_pipeline(), asked.len(), &mut || ())?;
        self.connection = Some(connection);
        first_error(&replies).map_or(Ok(()), Err)
    }

    fn disconnect(&mut self) {
        self.connection = None;
    }
}

impl Redis {
    /// Asks, and gives so many replies, errors of the server among them. Not by the library's own means: those wait the whole timeout
    /// for each further reply of a server that stands still.
    fn ask(
        &self,
        connection: &mut Connection,
        asked: &[u8],
        replies: usize,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Vec<Value>, String> {
        let failed = |error: RedisError| explain_failure(&error);
        let begun = Instant::now();
        connection.send_packed_command(asked).map_err(failed)?;
        meanwhile();
        let mut found = Vec::with_capacity(replies);
        while found.len() < replies {
            found.push(connection.recv_response().map_err(failed)?);
            if begun.elapsed() > self.options.timeout.get() {
                return Err(LATE.to_owned());
            }
        }
        Ok(found)
    }

    fn document(&self, asked: &mut Pipeline, document: &Document) {
        let key = self.keys.document(&document.feed, &document.id);
        let mut set = |epoch: i64, version: i64, json: &str| {
            asked
                .cmd("HSET")
                .arg(&key)
                .arg("epoch")
                .arg(epoch)
                .arg("version")
                .arg(version)
                .arg("document")
                .arg(json);
        };
        match &document.content {
            Content::Live { epoch, version, json } => {
                set(*epoch, *version, json);
                asked.cmd("PERSIST").arg(&key);
            }
            Content::Ended { epoch, version, json } => {
                set(*epoch, *version, json);
                let keep = u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX);
                asked.cmd("PEXPIRE").arg(&key).arg(keep);
            }
            Content::Gone => _ = asked.cmd("DEL").arg(&key),
        }
    }
}

/// Why a conversation failed, in words.
fn explain_failure(error: &RedisError) -> String {
    match error.code() {
        Some(code) => explain(code, error.detail()),
        None if error.kind() == ErrorKind::AuthenticationFailed => explain("WRONGPASS", error.detail()),
        None if error.is_timeout() => LATE.to_owned(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchline_common::config::Config;

    #[test]
    fn a_newer_store_is_not_written_over_and_an_older_one_is_none_of_ours() {
        let redis = Redis::new(&RecordConfig::new(&Config::default()), 100);
        assert_eq!(redis.ours(Id { token: 100, seq: 7 }), Ok(Some(7)));
        assert_eq!(redis.ours(Id { token: 99, seq: 7 }), Ok(None));
        assert!(redis.ours(Id { token: 101, seq: 1 }).unwrap_err().contains("token 101"));
    }

    #[test]
    fn a_password_goes_to_the_server_and_into_no_message() {
        let mut config = Config::default();
        config.streams.redis = "redis://127.0.0.1:1/0".into();
        config.streams.redis_options.password = touchline_common::config::Secret::new("hunter2".into());
        let mut redis = Redis::new(&RecordConfig::new(&config), 1);
        let error = redis.connect(&Position::default()).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
