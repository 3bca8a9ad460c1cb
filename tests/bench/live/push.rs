//! JSON push: processor time of the whole daemon for a delta beside plain Node and Python collectors of the same server.
//!
//! An exchange's topics over connections of the same cap. Contenders run in turn, each against a server of its own with the same seed; of
//! each, all processes count. The daemon keeps documents, events and rows; the collectors (`tests/peers/push`) maps and rows of prices.

use super::cpu::{private_dirty, used};
use super::site::Site;
use crate::effort::Effort;
use crate::error::{BenchError, While};
use crate::report::{Figure, Limit, Measured};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use touchline_harness::process;
use touchline_simulator::push::{Dialect, PushHandle, PushOptions, PushServer};

const TOPICS: usize = 1_000;
/// Subscriptions of a connection: five of them.
const CAP: usize = 200;
/// Changes a second over all topics.
const RATE: f64 = 20_000.0;
const ROUNDS: usize = 3;
/// How many times Node's time ours may be.
const LIMIT: f64 = 0.25;
const PATIENCE: Duration = Duration::from_secs(60);
const WARM: Duration = Duration::from_secs(2);
const MEASURE: Duration = Duration::from_secs(6);
/// Where the collectors' packages are.
const PACKAGES: &str = "TOUCHLINE_PUSH_PEER";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Touchline,
    Node,
    Python,
}

impl Contender {
    const ALL: [Contender; 3] = [Contender::Touchline, Contender::Node, Contender::Python];

    fn as_str(self) -> &'static str {
        match self {
            Contender::Touchline => "the daemon",
            Contender::Node => "a Node collector",
            Contender::Python => "a Python collector",
        }
    }

    fn measure(self) -> Result<Costs, BenchError> {
        match self {
            Contender::Touchline => daemon(),
            Contender::Node => collector("node", "collector.cjs", ("NODE_PATH", "node_modules")),
            Contender::Python => collector("python3", "collector.py", ("PYTHONPATH", "python")),
        }
    }
}

/// What a contender used.
#[derive(Clone, Copy, Debug)]
struct Costs {
    /// Processor time for a delta, microseconds.
    micros: f64,
    /// Of one core.
    cores: f64,
    /// Memory of its own, MB.
    megabytes: f64,
    /// Deltas a second that the server sent.
    rate: f64,
    /// Bytes that waited for it at the server in the end.
    behind: usize,
}

/// The row.
///
/// # Errors
/// When the daemon cannot be measured; of others the notes say why not.
pub fn push_row(effort: Effort) -> Result<Measured, BenchError> {
    let mut notes = Vec::new();
    let mut contenders = Contender::ALL.to_vec();
    let mut found: Vec<(Contender, Costs)> = Vec::new();
    for _ in 0..effort.rounds(ROUNDS) {
        for contender in contenders.clone() {
            match contender.measure() {
                Ok(costs) => {
                    notes.push(format!(
                        "{}: {:.0} deltas/s, {} bytes behind",
                        contender.as_str(),
                        costs.rate,
                        costs.behind
                    ));
                    found.push((contender, costs));
                }
                Err(error) if contender == Contender::Touchline => return Err(error),
                Err(error) => {
                    notes.push(format!("{} is left out: {error}", contender.as_str()));
                    contenders.retain(|one| *one != contender);
                    found.retain(|(one, _)| *one != contender);
                }
            }
        }
    }
    let of = |contender: Contender, part: fn(&Costs) -> f64| {
        let mine = found.iter().filter(|(one, _)| *one == contender);
        mine.map(|(_, costs)| part(costs)).collect::<Vec<f64>>()
    };
    let ours = of(Contender::Touchline, |costs| costs.micros);
    let mut figures = Vec::new();
    for (contender, limit) in [(Contender::Node, Limit::AtMost(LIMIT)), (Contender::Python, Limit::None)] {
        if contenders.contains(&contender) {
            let theirs = of(contender, |costs| costs.micros);
            figures.push(Figure::ratio(
                format!("the daemon / {}", contender.as_str()),
                limit,
                &ours,
                &theirs,
            ));
        }
    }
    for contender in contenders {
        let name = |what: &str| format!("{} {what}", contender.as_str());
        figures.extend([
            Figure::new(name("for a delta"), "us", Limit::None, of(contender, |costs| costs.micros)),
            Figure::new(name("at this rate"), "cores", Limit::None, of(contender, |costs| costs.cores)),
            Figure::new(name("in memory"), "MB", Limit::None, of(contender, |costs| costs.megabytes)),
        ]);
    }
    Ok(Measured { figures, notes })
}

fn server() -> Result<PushHandle, BenchError> {
    let options = PushOptions {
        dialect: Dialect::Exchange,
        topics: TOPICS,
        rate: RATE,
        cap: CAP,
        ..PushOptions::default()
    };
    PushServer::start(&options).during("starting the push server")
}

fn daemon() -> Result<Costs, BenchError> {
    let server = server()?;
    let sections = format!(
        r#"[[feed]]
name = "bench"
kind = "push"
url = "ws://{}/"
max_subscriptions = {CAP}
connects_per_s = 100.0
subscribes_per_s = 5000.0
messages_per_s = 100.0
list = {{ url = "http://{}/topics", every = "60s", items = "/topics", id = "/id" }}
subscribe = '{{"op":"marketSubscription","id":{{N}},"marketFilter":{{"marketIds":{{TOPICS}}}}}}'
unsubscribe = '{{"op":"marketUnsubscription","id":{{N}},"marketFilter":{{"marketIds":{{TOPICS}}}}}}'
heartbeat = {{ every = "5s", send = '{{"op":"heartbeat","id":{{N}}}}' }}
items = "/mc"
topic = "/id"
ignored = [{{ at = "/ct", is = "HEARTBEAT", of = "message" }}, {{ at = "/op", is = ["connection", "status"], of = "message" }}]
snapshot = {{ at = "/img", is = "true" }}
merge = {{ key = "id" }}
[feed.reading]
state = "/marketDefinition/status"
states = {{ OPEN = "in_play", SUSPENDED = "suspended" }}
markets = {{ list = "", id = "/0/id", selections = "", selection_id = "/id", price = "/ltp" }}
"#,
        server.address(),
        server.http_address(),
    );
    let site = Site::configured(process::program(), &sections, |_, _| Ok(()))?;
    site.wait_live(TOPICS, PATIENCE)?;
    let pids = site.pids()?;
    let workers = pids.workers.iter().map(|worker| worker.pid);
    let all: Vec<u32> = workers.chain(pids.others).chain([pids.coordinator]).collect();
    costs(&server, &all)
}

struct Collector {
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a script of `tests/peers/push`, whose packages are in a part of their folder that a variable names.
fn collector(interpreter: &str, script: &str, (variable, part): (&str, &str)) -> Result<Costs, BenchError> {
    let packages = std::env::var_os(PACKAGES).map(PathBuf::from);
    let packages = packages
        .ok_or_else(|| BenchError::new(PACKAGES, "it is not set; scripts/need-push-peer prints it"))?;
    let server = server()?;
    let folder = tempfile::tempdir().during("making a folder")?;
    let log = std::fs::File::create(folder.path().join("log")).during("making a log")?;
    let child = Command::new(interpreter)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/push").join(script))
        .arg(format!("ws://{}/", server.address()))
        .arg(format!("http://{}/topics", server.http_address()))
        .arg(CAP.to_string())
        .arg(folder.path().join("rows.db"))
        .env(variable, packages.join(part))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    let collector = Collector { child: child.during(interpreter)?, folder };
    let began = Instant::now();
    while server.report().subscriptions() < TOPICS {
        if began.elapsed() > PATIENCE {
            let said = std::fs::read_to_string(collector.folder.path().join("log")).unwrap_or_default();
            let why = format!("it did not follow all topics; it says: {}", said.trim());
            return Err(BenchError::new(interpreter, why));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    costs(&server, &[collector.child.id()])
}

/// What these processes use while the server sends.
fn costs(server: &PushHandle, pids: &[u32]) -> Result<Costs, BenchError> {
    std::thread::sleep(WARM);
    let (began, before, sent) = (Instant::now(), used(pids.iter().copied())?, server.report().deltas);
    std::thread::sleep(MEASURE);
    let elapsed = began.elapsed().as_secs_f64();
    let time = (used(pids.iter().copied())? - before).as_secs_f64();
    let report = server.report();
    let deltas = (report.deltas - sent) as f64;
    let memory = pids.iter().try_fold(0, |sum, pid| private_dirty(*pid).map(|bytes| sum + bytes))?;
    Ok(Costs {
        micros: time * 1e6 / deltas,
        cores: time / elapsed,
        megabytes: memory as f64 / 1e6,
        rate: deltas / elapsed,
        behind: report.connections.iter().map(|connection| connection.queue).sum(),
    })
}
