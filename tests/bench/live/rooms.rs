//! Rooms: processor time of the whole daemon, which also stores every line, beside clients that only decode them; and memory at rest.
//!
//! The same server, 300 rooms, bodies in zlib. Contenders run in turn, each against a server of its own with the same seed; of each,
//! all processes count. The clients are `tests/peers/rooms`; `least` is the limit, which no client can pass.

use super::cpu::{private_dirty, used};
use super::least::Least;
use super::site::Site;
use crate::effort::Effort;
use crate::error::{BenchError, While};
use crate::report::{Figure, Limit, Measured};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use touchline_harness::process;
use touchline_simulator::rooms::{RoomHandle, RoomOptions, RoomServer};

const ROOMS: usize = 300;
/// Messages a second over all rooms.
const RATE: f64 = 30_000.0;
/// The same for a worker that has all it can take.
const MOST: f64 = 150_000.0;
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);
const WARM: Duration = Duration::from_secs(2);
const MEASURE: Duration = Duration::from_secs(6);
/// Rooms at rest on one worker: many, and few beside which they count.
const RESTING: [usize; 2] = [1_000, 10];
/// From the last join until what that took is given back.
const REST: Duration = Duration::from_secs(3);
/// Where the modules of the Node client are, and the interpreter of the Python client.
const MODULES: &str = "TOUCHLINE_ROOM_PEER";
const PYTHON: &str = "TOUCHLINE_ROOM_PYTHON";

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Node,
    Python,
}

/// What a contender used.
#[derive(Clone, Copy, Debug)]
struct Costs {
    /// Processor time for a message, microseconds,
    micros: f64,
    /// and that of the worker alone, where there is one.
    worker: f64,
    /// Of one core.
    cores: f64,
    /// Memory of its own, MB.
    megabytes: f64,
    /// Messages a second that the server sent.
    rate: f64,
    /// Bytes that waited for it at the server in the end.
    behind: usize,
}

/// The row.
///
/// # Errors
/// [`BenchError`]: the daemon or the limit cannot be measured; of others the notes say why not.
pub fn rooms_row(effort: Effort) -> Result<Measured, BenchError> {
    let (mut ours, mut most, mut least) = (Vec::new(), Vec::new(), Vec::new());
    let (mut node, mut python) = (Vec::new(), Vec::new());
    let mut notes = Vec::new();
    let rounds = effort.rounds(ROUNDS);
    for _ in 0..rounds {
        ours.push(daemon(RATE, &mut notes)?);
        most.push(daemon(MOST, &mut notes)?);
        least.push(limit(MOST, &mut notes)?);
        for (contender, costs) in [(Contender::Node, &mut node), (Contender::Python, &mut python)] {
            match client(contender, &mut notes) {
                Ok(cost) => costs.push(cost),
                Err(error) => notes.push(format!("the {} client is left out: {error}", contender.as_str())),
            }
        }
    }
    let of = |costs: &[Costs], part: fn(&Costs) -> f64| costs.iter().map(part).collect::<Vec<f64>>();
    let shown = |name: &str, unit, values| Figure::new(name.to_owned(), unit, Limit::None, values);
    let worker = of(&most, |costs| costs.worker);
    let mut figures = vec![
        Figure::ratio("a worker / the limit, for a message", Limit::None, &worker, &least),
        shown("a worker's messages in a CPU second", "", worker.iter().map(|micros| 1e6 / micros).collect()),
        shown("the limit's: read, inflated and split", "", least.iter().map(|micros| 1e6 / micros).collect()),
        shown("the daemon for a message", "us", of(&ours, |costs| costs.micros)),
        shown("the daemon at this rate", "cores", of(&ours, |costs| costs.cores)),
        shown("its memory, all processes", "MB", of(&ours, |costs| costs.megabytes)),
        Figure::one("a room at rest", "KiB", Limit::AtMost(8.0), at_rest()?),
    ];
    for (contender, costs) in [(Contender::Node, &node), (Contender::Python, &python)] {
        if costs.len() < rounds {
            continue;
        }
        let (name, theirs) = (contender.as_str(), of(costs, |costs| costs.micros));
        figures.extend([
            Figure::ratio(
                format!("a worker / a {name} client, for a message"),
                contender.limit(),
                &of(&ours, |costs| costs.worker),
                &theirs,
            ),
            Figure::ratio(
                format!("the daemon, which stores, / a {name} client, which does not"),
                Limit::None,
                &of(&ours, |costs| costs.micros),
                &theirs,
            ),
            shown(&format!("a {name} client for a message"), "us", theirs),
            shown(&format!("a {name} client's memory"), "MB", of(costs, |costs| costs.megabytes)),
        ]);
    }
    Ok(Measured { figures, notes })
}

impl Contender {
    fn as_str(self) -> &'static str {
        match self {
            Contender::Node => "Node",
            Contender::Python => "Python",
        }
    }

    /// What part of its time a worker may take.
    fn limit(self) -> Limit {
        match self {
            Contender::Node => Limit::None,
            Contender::Python => Limit::AtMost(1.0 / 30.0),
        }
    }

    fn command(self, server: &RoomHandle) -> Result<Command, BenchError> {
        let rooms: Vec<String> = server.truth().rooms().iter().map(u64::to_string).collect();
        let rooms = rooms.join(",");
        let named = |name: &'static str| {
            std::env::var_os(name).ok_or_else(|| {
                BenchError::new(name, "it is not set; scripts/bench sets it where that can be installed")
            })
        };
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/rooms");
        Ok(match self {
            Contender::Node => {
                let mut command = Command::new("node");
                let port = server.address().port().to_string();
                command.arg(scripts.join("client.cjs")).args(["tcp", &port, &rooms, "2", "", "count"]);
                command.env("NODE_PATH", named(MODULES)?);
                command
            }
            Contender::Python => {
                let mut command = Command::new(named(PYTHON)?);
                let port = server.websocket_address().port().to_string();
                command.arg(scripts.join("client.py")).args([&port, &rooms, "2"]);
                command
            }
        })
    }
}

fn server(rooms: usize, rate: f64) -> Result<RoomHandle, BenchError> {
    let options = RoomOptions { rooms, rate, ..RoomOptions::default() };
    RoomServer::start(&options).during("starting the room server")
}

/// A daemon whose one worker is in all rooms; what they are joined with lies in `folder`.
fn site(server: &RoomHandle, rooms: usize, folder: &Path) -> Result<Site, BenchError> {
    let join = folder.join("join.toml");
    std::fs::write(&join, "protover = 2\n").during("writing what rooms are joined with")?;
    let sections = format!(
        "[[feed]]\nname = \"bench\"\nkind = \"rooms\"\nurl = \"tcp://{}\"\nmax_rooms = {max}\nmax_per_address = {max}\n\
         connects_per_s = 300.0\nauth_file = {join:?}\n\
         ranking = {{ url = \"http://{}/ranking\", every = \"1s\", list = \"/data/list\", id = \"/roomid\", \
         title = \"/title\", popularity = \"/online\", top = {rooms} }}\n",
        server.address(),
        server.http_address(),
        max = rooms + 1,
    );
    let site = Site::configured(process::program(), &sections, |_, _| Ok(()))?;
    site.wait_live(rooms, PATIENCE)?;
    Ok(site)
}

/// What the daemon uses at this rate.
fn daemon(rate: f64, notes: &mut Vec<String>) -> Result<Costs, BenchError> {
    let server = server(ROOMS, rate)?;
    let folder = tempfile::tempdir().during("making a folder")?;
    let site = site(&server, ROOMS, folder.path())?;
    let pids = site.pids()?;
    let workers: Vec<u32> = pids.workers.iter().map(|worker| worker.pid).collect();
    let all: Vec<u32> = workers.iter().copied().chain(pids.others).chain([pids.coordinator]).collect();
    let costs = costs(&server, &all, &workers)?;
    let rows = site.ask("status")?.pointer("/recorder/bulk").and_then(Value::as_u64).unwrap_or(0);
    notes.push(format!(
        "daemon: {:.0} messages/s, {rows} rows stored, {} bytes behind",
        costs.rate, costs.behind
    ));
    Ok(costs)
}

/// The limit: microseconds of processor time for a message.
fn limit(rate: f64, notes: &mut Vec<String>) -> Result<f64, BenchError> {
    let server = server(ROOMS, rate)?;
    let least = Least::start(server.address(), &server.truth().rooms())?;
    std::thread::sleep(WARM);
    let (used, packets, said) = (least.used(), least.packets(), server.report().messages);
    std::thread::sleep(MEASURE);
    let (messages, packets) = ((server.report().messages - said) as f64, (least.packets() - packets) as f64);
    notes.push(format!(
        "the limit: {:.0} messages/s, {:.2} packets each",
        messages / MEASURE.as_secs_f64(),
        packets / messages
    ));
    Ok((least.used() - used).as_secs_f64() * 1e6 / messages)
}

/// What a room at rest takes of a worker, KiB.
fn at_rest() -> Result<f64, BenchError> {
    let [many, few] = RESTING;
    let memory = |rooms: usize| -> Result<f64, BenchError> {
        let server = server(rooms, 0.0)?;
        let folder = tempfile::tempdir().during("making a folder")?;
        let site = site(&server, rooms, folder.path())?;
        std::thread::sleep(REST);
        let workers = site.pids()?.workers.into_iter();
        let bytes = workers.map(|worker| private_dirty(worker.pid)).sum::<Result<u64, BenchError>>()?;
        Ok(bytes as f64 / 1_024.0)
    };
    Ok((memory(many)? - memory(few)?) / (many - few) as f64)
}

struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn client(contender: Contender, notes: &mut Vec<String>) -> Result<Costs, BenchError> {
    let server = server(ROOMS, RATE)?;
    let mut command = contender.command(&server)?;
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let client = Client(command.spawn().during("starting a client")?);
    let began = Instant::now();
    while server.report().joined() < ROOMS {
        if began.elapsed() > PATIENCE {
            return Err(BenchError::new("waiting for it", "it did not join all rooms"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let costs = costs(&server, &[client.0.id()], &[])?;
    let name = contender.as_str();
    notes.push(format!("{name}: {:.0} messages/s, {} bytes behind", costs.rate, costs.behind));
    Ok(costs)
}

/// What these processes use while the server sends, and some of them.
fn costs(server: &RoomHandle, pids: &[u32], workers: &[u32]) -> Result<Costs, BenchError> {
    std::thread::sleep(WARM);
    let all = || used(pids.iter().copied());
    let part = || used(workers.iter().copied());
    let (began, before, of_workers, said) = (Instant::now(), all()?, part()?, server.report().messages);
    std::thread::sleep(MEASURE);
    let elapsed = began.elapsed().as_secs_f64();
    let (time, worker) = ((all()? - before).as_secs_f64(), (part()? - of_workers).as_secs_f64());
    let report = server.report();
    let messages = (report.messages - said) as f64;
    let memory = pids.iter().try_fold(0, |sum, pid| private_dirty(*pid).map(|bytes| sum + bytes))?;
    Ok(Costs {
        micros: time * 1e6 / messages,
        worker: worker * 1e6 / messages,
        cores: time / elapsed,
        megabytes: memory as f64 / 1e6,
        rate: messages / elapsed,
        behind: report.connections.iter().map(|connection| connection.queue).sum(),
    })
}
