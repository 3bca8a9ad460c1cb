//! Stored events on their way into a Redis beside what the server itself takes: `redis-benchmark`'s own XADD at the same depth.
//!
//! The daemon makes a store, which is filled while nobody has it open; each round starts the daemon over it with an empty Redis and
//! waits until the server has every event. No feed answers meanwhile: what is measured is the sink. Both programs are Debian's.

use crate::effort::Effort;
use crate::error::{BenchError, While};
use crate::report::{Figure, Limit, Measured};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Map;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use touchline_common::control::Client;
use touchline_harness::{process, store};

const EVENTS: i64 = 1_000_000;
const ROUNDS: usize = 3;
/// As many streams as `docs/sinks.md` says.
const SHARDS: u32 = 16;
/// Rows under way at a time, as is the default of `batch`.
const DEPTH: &str = "1000";
/// A row's object as it is in the store that is made here, bytes.
const EVENT_BYTES: usize = 420;
const PATIENCE: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);

/// Events a second into Redis, and what `redis-benchmark` reaches.
///
/// # Errors
/// [`BenchError`]: a program is absent among others.
pub fn redis_row(effort: Effort) -> Result<Measured, BenchError> {
    let folder = tempfile::Builder::new().prefix("touchline-bench-").tempdir().during("making a folder")?;
    let redis = Redis::start(folder.path())?;
    configure(folder.path(), redis.port)?;
    drop(Daemon::start(folder.path())?);
    store::fill_events(folder.path(), "bench", EVENTS).during("filling a store")?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds(ROUNDS) {
        redis.ask("FLUSHALL")?;
        // Where the sink was: else it would have nothing to do.
        let _ = fs::remove_file(folder.path().join("sinks.db"));
        ours.push(redis.rate_of_sink(folder.path())?);
        redis.ask("FLUSHALL")?;
        theirs.push(redis.rate_of_server()?);
    }
    let figures = vec![
        Figure::ratio("redis-benchmark's XADD / events into Redis", Limit::AtMost(2.0), &theirs, &ours),
        Figure::ratio("150,000 a second / events into Redis", Limit::AtMost(1.0), &[150e3; ROUNDS], &ours),
        Figure::new("events into Redis", "1/s", Limit::None, ours),
        Figure::new("redis-benchmark's XADD", "1/s", Limit::None, theirs),
    ];
    let notes =
        vec![format!("{EVENTS} stored events, {DEPTH} rows under way at a time on one connection each")];
    Ok(Measured { figures, notes })
}

fn configure(folder: &Path, port: u16) -> Result<(), BenchError> {
    let text = format!(
        "[daemon]\nrun_dir = \"{0}\"\nstate_dir = \"{0}\"\n[log]\ntarget = \"{0}/log\"\nlevel = \"warn\"\n\
         [[feed]]\nname = \"bench\"\nkind = \"diffusion\"\nurl = \"dpt://127.0.0.1:9\"\nmatches = [\"1\"]\nmatch_topics = [\"6V{{ID}}\"]\n\
         [streams]\nredis = \"redis://127.0.0.1:{port}/0\"\nmaxlen = {1}\n",
        folder.display(),
        2 * EVENTS,
    );
    fs::write(folder.join("touchline.toml"), text).during("writing the configuration")
}

/// A running daemon. Dropping it ends it, and waits for that.
struct Daemon(Child);

impl Daemon {
    fn start(folder: &Path) -> Result<Daemon, BenchError> {
        let mut command = Command::new(process::program());
        command.current_dir(folder).args(["run", "--config", "touchline.toml"]);
        let daemon = Daemon(command.stdin(Stdio::null()).spawn().during("starting the daemon")?);
        let deadline = Instant::now() + PATIENCE;
        let is_ready = || {
            let mut client = Client::connect(&folder.join("control.sock")).ok()?;
            let status = client.request("status", Map::new(), ANSWER).ok()?;
            (status.pointer("/recorder/state")? == "ready").then_some(())
        };
        while is_ready().is_none() {
            if Instant::now() >= deadline {
                return Err(BenchError::new("starting the daemon", "its recorder is not ready"));
            }
            std::thread::sleep(LOOK);
        }
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// A server that keeps all in memory. Dropping it ends it.
struct Redis {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Redis {
    fn start(beside: &Path) -> Result<Redis, BenchError> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|port| port.local_addr());
        let port = port.during("finding a free port")?.port();
        let folder = tempfile::tempdir_in(beside).during("making a folder")?;
        let log = File::create(folder.path().join("log")).during("making a log")?;
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
        ]);
        command.arg(folder.path()).stdin(Stdio::null()).stdout(log);
        let child = command.spawn().during("starting redis-server (Debian package redis-server)")?;
        let redis = Redis { child, port, _folder: folder };
        let deadline = Instant::now() + PATIENCE;
        while redis.ask("PING").is_err() {
            if Instant::now() >= deadline {
                return Err(BenchError::new("starting redis-server", "it does not answer"));
            }
            std::thread::sleep(LOOK);
        }
        Ok(redis)
    }

    /// Sends a command and gives the first line of its answer.
    fn ask(&self, command: &str) -> Result<String, BenchError> {
        let ask = || {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_read_timeout(Some(ANSWER))?;
            stream.write_all(format!("{command}\r\n").as_bytes())?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line)?;
            std::io::Result::Ok(line.trim_end().to_owned())
        };
        ask().during("asking Redis")
    }

    /// Rows in all shards.
    fn rows(&self) -> Result<i64, BenchError> {
        (0..SHARDS).try_fold(0, |sum, shard| {
            let answer = self.ask(&format!("XLEN touchline:ev:bench:{shard}"))?;
            let count: i64 = answer.trim_start_matches(':').parse().during("counting a stream's rows")?;
            Ok(sum + count)
        })
    }

    /// From the first rows that are there to the last.
    fn rate_of_sink(&self, folder: &Path) -> Result<f64, BenchError> {
        let _daemon = Daemon::start(folder)?;
        let deadline = Instant::now() + PATIENCE;
        let mut first = None;
        while Instant::now() < deadline {
            let (rows, now) = (self.rows()?, Instant::now());
            let (before, began) = *first.get_or_insert((rows, now));
            if before == 0 {
                first = None;
            } else if rows >= EVENTS {
                return Ok((rows - before) as f64 / (now - began).as_secs_f64());
            }
            std::thread::sleep(LOOK);
        }
        Err(BenchError::new("waiting for the events in Redis", format!("{} of {EVENTS} came", self.rows()?)))
    }

    fn rate_of_server(&self) -> Result<f64, BenchError> {
        let port = self.port.to_string();
        let (count, event) = (EVENTS / 2, "x".repeat(EVENT_BYTES));
        let output = Command::new("redis-benchmark")
            .args(["-p", &port, "-c", "1", "-P", DEPTH, "-n", &count.to_string(), "--csv"])
            .args([
                "XADD",
                "s",
                "MAXLEN",
                "~",
                &(2 * EVENTS).to_string(),
                "*",
                "seq",
                "1234567",
                "match",
                "m0001",
            ])
            .args(["type", "corner", "lane", "normal", "event", &event])
            .output()
            .during("running redis-benchmark (Debian package redis-tools)")?;
        let text = String::from_utf8_lossy(&output.stdout);
        // "the command","requests a second",latencies
        let last = text.lines().last().unwrap_or_default();
        let rate = last.split("\",\"").nth(1).and_then(|rate| rate.parse().ok());
        rate.ok_or_else(|| BenchError::new("reading redis-benchmark's answer", last))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
