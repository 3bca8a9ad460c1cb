//! A real Redis beside the demo, which the daemon's sink writes to, and what it has at the end: compared with the truth as the store is.
//!
//! Events and documents only: the odds of a demo would fill the memory. The server is a process of ours on a free port, with
//! everything in memory, and ends with this.

use super::because;
use redis::{Commands, Connection};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use touchline_simulator::server::Handle;
use touchline_simulator::{Auditor, EventsReport, FinalReport, Recorded};

/// How long the server may take to start, and one answer of it.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the sink may take to bring what is committed: documents follow each second.
const ARRIVE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);
/// As `docs/sinks.md` says.
const SHARDS: u32 = 16;
const LOG: &str = "redis.log";

/// A running redis-server.
pub struct Redis {
    process: Child,
    port: u16,
}

/// What a sink's reader finds in the end.
pub struct SinkReport {
    pub events: EventsReport,
    pub documents: FinalReport,
}

impl SinkReport {
    pub fn is_equal(&self) -> bool {
        self.events.is_equal() && self.documents.is_equal()
    }
}

impl Redis {
    /// Starts it, with its log in `folder`.
    pub fn start(folder: &Path) -> Result<Redis, String> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|port| port.local_addr());
        let port = port.map_err(because("finding a free port for redis-server"))?.port();
        let log = File::create(folder.join(LOG)).map_err(because("making the log of redis-server"))?;
        let process = Command::new("redis-server")
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
            ])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(log)
            .spawn()
            .map_err(because("starting redis-server (Debian package redis-server)"))?;
        let redis = Redis { process, port };
        redis.until(ANSWER, || redis.connect().ok()).ok_or_else(|| {
            because("redis-server")(format!("it does not answer; its log: {}", folder.join(LOG).display()))
        })?;
        Ok(redis)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// The part of the daemon's configuration that makes it write there.
    pub fn configuration(&self) -> String {
        format!(
            "\n[streams]\nredis = \"{}\"\nmaxlen = 10000000\n[streams.redis_options]\nlanes = [\"priority\", \"normal\"]\n",
            self.url()
        )
    }

    /// Compares what is there, once as many events came as are committed and documents are those of the truth, or at the deadline.
    pub fn compare(
        &self,
        committed: u64,
        auditor: &Auditor,
        simulator: &Handle,
    ) -> Result<SinkReport, String> {
        let failed = because("asking Redis");
        let mut connection = self.connect().map_err(failed)?;
        self.until(ARRIVE, || (self.count(&mut connection).ok()? >= committed).then_some(()));
        let recorded = read_events(&mut connection, auditor.oracle().recorded())?;
        let events = auditor.oracle().compare_recorded(&[], recorded);
        let deadline = Instant::now() + ARRIVE;
        loop {
            let mut documents = Vec::new();
            for id in simulator.truth().matches() {
                documents.extend(document(&mut connection, &id)?.map(|document| (id, document)));
            }
            let documents = auditor.oracle().compare_final(documents);
            if documents.is_equal() || Instant::now() >= deadline {
                return Ok(SinkReport { events, documents });
            }
            std::thread::sleep(LOOK);
        }
    }

    fn connect(&self) -> redis::RedisResult<Connection> {
        let connection = redis::Client::open(self.url())?.get_connection_with_timeout(ANSWER)?;
        connection.set_read_timeout(Some(ANSWER))?;
        Ok(connection)
    }

    fn count(&self, connection: &mut Connection) -> redis::RedisResult<u64> {
        (0..SHARDS).try_fold(0, |sum, shard| {
            let length: u64 = redis::cmd("XLEN").arg(stream(shard)).query(connection)?;
            Ok(sum + length)
        })
    }

    fn until<T>(&self, patience: Duration, mut found: impl FnMut() -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + patience;
        loop {
            let found = found();
            if found.is_some() || Instant::now() >= deadline {
                return found;
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn stream(shard: u32) -> String {
    format!("touchline:ev:demo:{shard}")
}

fn read_events(connection: &mut Connection, mut recorded: Recorded) -> Result<Recorded, String> {
    for shard in 0..SHARDS {
        type Entry = (String, HashMap<String, String>);
        let entries: Vec<Entry> = redis::cmd("XRANGE")
            .arg(stream(shard))
            .arg("-")
            .arg("+")
            .query(connection)
            .map_err(because("reading a stream of Redis"))?;
        for (id, fields) in entries {
            let event = fields.get("event").ok_or_else(|| format!("entry {id} of Redis has no event"))?;
            recorded.push(event.as_bytes()).map_err(because("reading an event in Redis"))?;
        }
    }
    Ok(recorded)
}

fn document(connection: &mut Connection, id: &str) -> Result<Option<Value>, String> {
    let text: Option<String> = connection
        .hget(format!("touchline:match:demo:{id}"), "document")
        .map_err(because("reading a document in Redis"))?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(because("reading a document in Redis"))
}
