//! A real redis-server: killed, replaced by its replica, behind TLS; and what stands in its streams.
//!
//! Each write is on disk before it is answered, so that one that is killed comes back with all that it confirmed.

use super::{START, free_port, wait_for_port};
use crate::ANSWER;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use redis::{Client, Connection, RedisResult, Value as Reply};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use touchline_harness::consumer::{Own, installed, skip};
use touchline_harness::fixture::quoted;
use touchline_harness::wait;

/// Streams of each kind.
const SHARDS: usize = 16;
/// Entries that are read at a time.
const PAGE: usize = 10_000;

/// Entries of a stream: id and fields.
type Entries = Vec<(String, BTreeMap<String, String>)>;

/// A server of its own in a folder of its own.
#[derive(Debug)]
pub struct Redis {
    server: Own,
    folder: TempDir,
    port: u16,
    tls: Option<Tls>,
}

/// Where it speaks TLS, and who is to be trusted then.
#[derive(Debug)]
struct Tls {
    port: u16,
    authority: PathBuf,
}

impl Redis {
    /// `None`: it is not installed.
    pub fn start() -> Option<Redis> {
        installed("redis-server", &["--version"]).then(|| {
            let (folder, port) = (folder(), free_port());
            let server = spawn(folder.path(), port, &[]);
            wait_for_port("redis-server", port);
            Redis { server, folder, port, tls: None }
        })
    }

    /// With a port for TLS beside the plain one, and a certificate that an authority of its own has signed; `None`: it is not installed,
    /// or was built without TLS.
    pub fn start_with_tls() -> Option<Redis> {
        if !installed("redis-server", &["--version"]) {
            return None;
        }
        let (folder, port) = (folder(), free_port());
        let tls = Tls { port: free_port(), authority: folder.path().join("ca.pem") };
        certify(folder.path(), &tls.authority);
        let args = ["--tls-port", &tls.port.to_string(), "--tls-auth-clients", "no"].map(str::to_owned);
        let files = [
            ("--tls-cert-file", "cert.pem"),
            ("--tls-key-file", "key.pem"),
            ("--tls-ca-cert-file", "ca.pem"),
        ];
        let files =
            files.map(|(option, file)| [option.to_owned(), folder.path().join(file).display().to_string()]);
        let mut server = spawn(folder.path(), port, &[&args[..], files.as_flattened()].concat());
        let is_up = wait::until("redis-server with TLS", START, || {
            let is_up = TcpStream::connect((Ipv4Addr::LOCALHOST, tls.port)).is_ok();
            (is_up || server.has_ended()).then_some(is_up)
        });
        if !is_up {
            let log = fs::read_to_string(folder.path().join("log")).expect("its log");
            // It names the first setting that it does not know.
            assert!(log.contains("tls-"), "redis-server does not start: {log}");
            skip("TLS of redis-server (it was built without)");
            return None;
        }
        Some(Redis { server, folder, port, tls: Some(tls) })
    }

    /// A replica of `primary`, in step with it.
    pub fn replica_of(primary: &Redis) -> Redis {
        let (folder, port) = (folder(), free_port());
        let of = ["--replicaof", "127.0.0.1", &primary.port.to_string()].map(str::to_owned);
        let server = spawn(folder.path(), port, &of);
        wait_for_port("a replica", port);
        let replica = Redis { server, folder, port, tls: None };
        wait::until("a replica in step", START, || {
            let told: String = redis::cmd("INFO").arg("replication").query(&mut replica.connection()).ok()?;
            told.contains("master_link_status:up").then_some(())
        });
        replica
    }

    /// Makes a replica a primary: it takes nothing more of the old one.
    pub fn promote(&self) {
        self.ask(&["REPLICAOF", "NO", "ONE"]);
    }

    /// Kills `old` and answers at its address.
    pub fn replace(&mut self, mut old: Redis) {
        old.kill();
        self.ask(&["CONFIG", "SET", "port", &old.port.to_string()]);
        self.port = old.port;
    }

    /// As the daemon's configuration writes it.
    pub fn url(&self) -> String {
        match &self.tls {
            Some(tls) => format!("rediss://127.0.0.1:{}/0", tls.port),
            None => format!("redis://127.0.0.1:{}/0", self.port),
        }
    }

    /// `[streams]` and its options, for a sink that soon tries again.
    pub fn config(&self) -> String {
        format!("[streams]\nretry_max = \"500ms\"\nredis = \"{}\"\n", self.url())
    }

    /// `[streams.redis_options]` with the authority to be trusted.
    ///
    /// # Panics
    /// Without TLS.
    pub fn trust(&self) -> String {
        let tls = self.tls.as_ref().expect("a server with TLS");
        format!("[streams.redis_options]\nca_file = {}\n", quoted(&tls.authority))
    }

    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts one that was killed, with what it had written.
    pub fn start_again(&mut self) {
        self.server = spawn(self.folder.path(), self.port, &[]);
        wait_for_port("redis-server", self.port);
        // While it loads it answers with an error.
        wait::until("redis-server to have loaded", START, || {
            redis::cmd("PING").query::<String>(&mut self.connect().ok()?).ok()
        });
    }

    pub fn kill_and_start(&mut self) {
        self.kill();
        self.start_again();
    }

    /// The answer to a command.
    ///
    /// # Panics
    /// When it is an error.
    pub fn ask(&self, words: &[&str]) -> Reply {
        let (name, args) = words.split_first().expect("a command");
        redis::cmd(name).arg(args).query(&mut self.connection()).expect("an answer")
    }

    /// A plain connection.
    pub fn connection(&self) -> Connection {
        self.connect().expect("a connection")
    }

    fn connect(&self) -> RedisResult<Connection> {
        let client = Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let connection = client.get_connection_with_timeout(ANSWER)?;
        connection.set_read_timeout(Some(ANSWER))?;
        Ok(connection)
    }

    /// The rows of a kind of stream by their `seq`, over all shards; each is there once.
    pub fn rows(&self, kind: &str) -> BTreeMap<i64, Value> {
        let mut rows = BTreeMap::new();
        self.each(kind, |id, fields| {
            let row: Value = serde_json::from_str(&fields["event"]).expect("JSON");
            let seq = row["seq"].as_i64().expect("a number");
            assert_eq!((seq_of(id), &fields["seq"]), (seq, &seq.to_string()), "{fields:?}");
            assert_eq!((&row["match"], &row["type"]), (&json!(fields["match"]), &json!(fields["type"])));
            assert_eq!(row["lane"], json!(fields["lane"]));
            assert!(rows.insert(seq, row).is_none(), "{seq} is there twice");
        });
        rows
    }

    /// The `seq` of each entry of a kind of stream, over all shards, in ascending order.
    pub fn numbers(&self, kind: &str) -> Vec<i64> {
        let mut numbers = Vec::new();
        self.each(kind, |id, _| numbers.push(seq_of(id)));
        numbers.sort_unstable();
        numbers
    }

    fn each(&self, kind: &str, mut take: impl FnMut(&str, &BTreeMap<String, String>)) {
        let mut connection = self.connection();
        for shard in 0..SHARDS {
            let (key, mut from) = (format!("touchline:{kind}:inplay:{shard}"), "-".to_owned());
            loop {
                let mut range = redis::cmd("XRANGE");
                range.arg(&key).arg(&from).arg("+").arg("COUNT").arg(PAGE);
                let entries: Entries = range.query(&mut connection).expect("entries");
                entries.iter().for_each(|(id, fields)| take(id, fields));
                let Some((last, _)) = entries.last() else { break };
                from = format!("({last}");
            }
        }
    }
}

fn seq_of(id: &str) -> i64 {
    let (_, seq) = id.split_once('-').expect("an id of two numbers");
    seq.parse().expect("a number")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn spawn(folder: &Path, port: u16, more: &[String]) -> Own {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(folder)
        .args(more);
    Own::start(&mut command, &folder.join("log"))
}

/// Writes a key, a certificate for this machine and that of its authority.
fn certify(folder: &Path, authority: &Path) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    fs::write(authority, issuer.pem()).expect("writing");
    fs::write(folder.join("cert.pem"), certificate.pem()).expect("writing");
    fs::write(folder.join("key.pem"), key.serialize_pem()).expect("writing");
}
