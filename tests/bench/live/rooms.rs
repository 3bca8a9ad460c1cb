//! Rooms: processor time of the whole daemon, which also stores every line, beside a Node client that only decodes them.
//!
//! The same server, 300 rooms, bodies in zlib. Contenders run in turn, each against a server of its own with the same seed; of each,
//! all processes count. The client is `tests/peers/rooms`.

use super::cpu::{private_dirty, used};
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
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);
const WARM: Duration = Duration::from_secs(2);
const MEASURE: Duration = Duration::from_secs(6);
/// Where the client's modules are.
const MODULES: &str = "TOUCHLINE_ROOM_PEER";

/// What a contender used.
#[derive(Clone, Copy, Debug)]
struct Costs {
    /// Processor time for a message, microseconds.
    micros: f64,
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
/// [`BenchError`].
pub fn rooms_row(effort: Effort) -> Result<Measured, BenchError> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut notes = Vec::new();
    for _ in 0..effort.rounds(ROUNDS) {
        let (costs, rows) = daemon()?;
        ours.push(costs);
        notes.push(format!(
            "daemon: {:.0} messages/s, {rows} rows stored, {} bytes behind",
            costs.rate, costs.behind
        ));
        match node() {
            Ok(costs) => theirs.push(costs),
            Err(error) => notes.push(format!("the Node client is left out: {error}")),
        }
    }
    let of = |costs: &[Costs], part: fn(&Costs) -> f64| costs.iter().map(part).collect::<Vec<f64>>();
    let mut figures = vec![
        Figure::new("the daemon for a message", "us", Limit::None, of(&ours, |costs| costs.micros)),
        Figure::new("the daemon at this rate", "cores", Limit::None, of(&ours, |costs| costs.cores)),
        Figure::new("its memory, all processes", "MB", Limit::None, of(&ours, |costs| costs.megabytes)),
    ];
    if theirs.len() == ours.len() {
        let (daemon, node) = (of(&ours, |costs| costs.micros), of(&theirs, |costs| costs.micros));
        figures.extend([
            Figure::ratio(
                "the daemon, which stores, / a Node client, which does not",
                Limit::None,
                &daemon,
                &node,
            ),
            Figure::new("a Node client for a message", "us", Limit::None, node),
            Figure::new("its memory", "MB", Limit::None, of(&theirs, |costs| costs.megabytes)),
        ]);
        notes.extend(
            theirs
                .iter()
                .map(|costs| format!("Node: {:.0} messages/s, {} bytes behind", costs.rate, costs.behind)),
        );
    }
    Ok(Measured { figures, notes })
}

fn server() -> Result<RoomHandle, BenchError> {
    let options = RoomOptions { rooms: ROOMS, rate: RATE, ..RoomOptions::default() };
    RoomServer::start(&options).during("starting the room server")
}

/// The daemon, and how many lines it had stored in the end.
fn daemon() -> Result<(Costs, u64), BenchError> {
    let server = server()?;
    let folder = tempfile::tempdir().during("making a folder")?;
    let join = folder.path().join("join.toml");
    std::fs::write(&join, "protover = 2\n").during("writing what rooms are joined with")?;
    let sections = format!(
        "[[feed]]\nname = \"bench\"\nkind = \"rooms\"\nurl = \"tcp://{}\"\nmax_rooms = {max}\nmax_per_address = {max}\n\
         connects_per_s = 300.0\nauth_file = {join:?}\n\
         ranking = {{ url = \"http://{}/ranking\", every = \"1s\", top = {ROOMS} }}\n",
        server.address(),
        server.http_address(),
        max = ROOMS + 1,
    );
    let site = Site::configured(process::program(), &sections, |_, _| Ok(()))?;
    site.wait_live(ROOMS, PATIENCE)?;
    let pids = site.pids()?;
    let workers = pids.workers.iter().map(|worker| worker.pid);
    let all: Vec<u32> = workers.chain(pids.others).chain([pids.coordinator]).collect();
    let costs = costs(&server, &all)?;
    let rows = site.ask("status")?.pointer("/recorder/bulk").and_then(Value::as_u64).unwrap_or(0);
    Ok((costs, rows))
}

struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn node() -> Result<Costs, BenchError> {
    let modules = std::env::var_os(MODULES)
        .ok_or_else(|| BenchError::new(MODULES, "it is not set; scripts/need-room-peer prints it"))?;
    let server = server()?;
    let rooms: Vec<String> = server.truth().rooms().iter().map(u64::to_string).collect();
    let child = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/rooms/client.cjs"))
        .args(["tcp", &server.address().port().to_string(), &rooms.join(","), "2", "", "count"])
        .env("NODE_PATH", modules)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let client = Client(child.during("starting node")?);
    let began = Instant::now();
    while server.report().joined() < ROOMS {
        if began.elapsed() > PATIENCE {
            return Err(BenchError::new("waiting for the Node client", "it did not join all rooms"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    costs(&server, &[client.0.id()])
}

/// What these processes use while the server sends.
fn costs(server: &RoomHandle, pids: &[u32]) -> Result<Costs, BenchError> {
    std::thread::sleep(WARM);
    let (began, before, said) = (Instant::now(), used(pids.iter().copied())?, server.report().messages);
    std::thread::sleep(MEASURE);
    let elapsed = began.elapsed().as_secs_f64();
    let time = (used(pids.iter().copied())? - before).as_secs_f64();
    let report = server.report();
    let messages = (report.messages - said) as f64;
    let memory = pids.iter().try_fold(0, |sum, pid| private_dirty(*pid).map(|bytes| sum + bytes))?;
    Ok(Costs {
        micros: time * 1e6 / messages,
        cores: time / elapsed,
        megabytes: memory as f64 / 1e6,
        rate: messages / elapsed,
        behind: report.connections.iter().map(|connection| connection.queue).sum(),
    })
}
