//! Many JSON sources asked for once: touchline's daemon, `curl --parallel` and a plain Python collector, with the same window.
//!
//! Each has a server of its own. The time of a round begins with the first request that the server sees. A source is processed: for the daemon
//! and for the collector (`tests/peers/poll`) when its document is in the store, for curl when it is answered: curl does not read answers.

use super::answers::{Answers, Source};
use super::cpu::{private_dirty, used};
use super::poll::{WINDOW, start};
use super::site::Site;
use crate::error::{BenchError, While};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the server takes for an answer, as one far away does: the recorder saves documents on ticks of 100 ms, which would weigh more
/// than all else beside a server next door.
pub const LATENCY: Duration = Duration::from_millis(100);
/// Where the collector's packages are.
const PACKAGES: &str = "TOUCHLINE_POLL_PEER";
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    Touchline,
    Curl,
    Python,
}

/// What a contender took for a round.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// Until one healthy source was processed, seconds;
    pub first: f64,
    /// until a half of them was,
    pub half: f64,
    /// until all were.
    pub last: f64,
    /// Processor time of all its processes, seconds.
    pub processor: f64,
    /// Memory of its own, MB.
    pub megabytes: f64,
}

impl Contender {
    pub const ALL: [Contender; 3] = [Contender::Touchline, Contender::Curl, Contender::Python];

    pub fn as_str(self) -> &'static str {
        match self {
            Contender::Touchline => "the daemon",
            Contender::Curl => "curl --parallel",
            Contender::Python => "aiohttp",
        }
    }

    /// Asks for each of these once.
    ///
    /// # Errors
    /// When it cannot be started, or does not process all that is healthy.
    pub fn measure(self, sources: &[Source]) -> Result<Costs, BenchError> {
        let server = Answers::start(LATENCY).during("starting the server")?;
        match self {
            Contender::Touchline => daemon(&server, sources),
            Contender::Curl => curl(&server, sources),
            Contender::Python => python(&server, sources),
        }
    }
}

fn healthy(sources: &[Source]) -> usize {
    sources.iter().filter(|source| matches!(source, Source::Healthy(_))).count()
}

/// Waits until it answers.
fn wait<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>, BenchError>) -> Result<T, BenchError> {
    let began = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if began.elapsed() > PATIENCE {
            return Err(BenchError::new(what, format!("not within {PATIENCE:?}")));
        }
        std::thread::sleep(LOOK);
    }
}

/// Seconds since `began` until one, a half and all of so many were processed.
fn milestones(
    began: Instant,
    all: usize,
    mut processed: impl FnMut() -> Result<usize, BenchError>,
) -> Result<[f64; 3], BenchError> {
    let goals = [1, all / 2, all];
    let mut times = Vec::with_capacity(goals.len());
    wait("all that is healthy", || {
        let count = processed()?;
        let elapsed = began.elapsed().as_secs_f64();
        while goals.get(times.len()).is_some_and(|goal| count >= *goal) {
            times.push(elapsed);
        }
        Ok(<[f64; 3]>::try_from(times.as_slice()).ok())
    })
}

fn daemon(server: &Answers, sources: &[Source]) -> Result<Costs, BenchError> {
    let site = start(server, sources, Duration::from_millis(1), "every = \"1h\"\n")?;
    let began = wait("the first request", || Ok(server.first()))?;
    let pids = pids(&site)?;
    let before = used(pids.iter().copied())?;
    let store = open(&site.folder().join("touchline.db"))?;
    // Each with the title that its answer has: before that a document is stored without.
    let count = "SELECT count(*) FROM sections WHERE section = '' AND body LIKE '%Catalogue healthy-%'";
    let [first, half, last] = milestones(began, healthy(sources), || Ok(counted(&store, count)))?;
    let processor = (used(pids.iter().copied())? - before).as_secs_f64();
    let memory = pids.iter().try_fold(0, |sum, pid| private_dirty(*pid).map(|bytes| sum + bytes))?;
    Ok(Costs { first, half, last, processor, megabytes: memory as f64 / 1e6 })
}

fn pids(site: &Site) -> Result<Vec<u32>, BenchError> {
    let pids = site.pids()?;
    let workers = pids.workers.iter().map(|worker| worker.pid);
    Ok(workers.chain(pids.others).chain([pids.coordinator]).collect())
}

fn open(file: &Path) -> Result<Connection, BenchError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    wait("the store", || Ok(Connection::open_with_flags(file, flags).ok()))
}

/// What cannot be read now is read at the next look.
fn counted(store: &Connection, count: &str) -> usize {
    let counted = store.query_row(count, [], |row| row.get::<_, i64>(0));
    counted.ok().and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start(command: &mut Command, log: &Path) -> Result<Running, BenchError> {
        let log = std::fs::File::create(log).during("making a log")?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        Ok(Running(child.during("starting a contender")?))
    }
}

/// With bad ones it would not end: the last healthy answer counts; without them its end does.
fn curl(server: &Answers, sources: &[Source]) -> Result<Costs, BenchError> {
    let folder = tempfile::tempdir().during("making a folder")?;
    let file = folder.path().join("urls");
    std::fs::write(&file, fetched(server, sources, folder.path())).during("writing the urls")?;
    let mut command = Command::new("curl");
    command.args(["--silent", "--parallel", "--parallel-max", &WINDOW.to_string(), "--config"]).arg(&file);
    let mut curl = Running::start(&mut command, &folder.path().join("log"))?;
    let (pid, all) = (curl.0.id(), healthy(sources));
    let (mut processor, mut megabytes) = (0.0, 0.0_f64);
    wait("curl", || {
        // It may have ended since.
        processor = used([pid]).map_or(processor, |time| time.as_secs_f64());
        megabytes = private_dirty(pid).map_or(megabytes, |bytes| megabytes.max(bytes as f64 / 1e6));
        if all < sources.len() {
            return Ok((server.answered() >= all).then_some(()));
        }
        match curl.0.try_wait().during("waiting for curl")? {
            Some(end) if !end.success() => Err(BenchError::new("curl", end)),
            Some(_) => Ok(Some(())),
            None => Ok(None),
        }
    })?;
    let began = server.first().ok_or_else(|| BenchError::new("curl", "it asked for nothing"))?;
    let last = began.elapsed().as_secs_f64();
    let after = |count| server.answered_after(count).unwrap_or_default().as_secs_f64();
    Ok(Costs { first: after(1), half: after(all / 2), last, processor, megabytes })
}

/// What curl is told to fetch, and where to.
fn fetched(server: &Answers, sources: &[Source], folder: &Path) -> String {
    let one = |source: &Source| {
        let output = folder.join(source.to_string());
        format!("url = \"{}\"\noutput = \"{}\"\n", server.url(*source), output.display())
    };
    sources.iter().map(one).collect()
}

fn python(server: &Answers, sources: &[Source]) -> Result<Costs, BenchError> {
    let packages = std::env::var_os(PACKAGES).map(PathBuf::from);
    let packages = packages
        .ok_or_else(|| BenchError::new(PACKAGES, "it is not set; scripts/need-poll-peer prints it"))?;
    let folder = tempfile::tempdir().during("making a folder")?;
    let (file, log) = (folder.path().join("urls"), folder.path().join("log"));
    let urls: Vec<String> = sources.iter().map(|source| server.url(*source)).collect();
    std::fs::write(&file, urls.join("\n")).during("writing the urls")?;
    let database = folder.path().join("documents.db");
    let mut command = Command::new("python3");
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/poll/collector.py"))
        .arg(&file)
        .arg(WINDOW.to_string())
        .arg(&database)
        .env("PYTHONPATH", packages);
    let mut collector = Running::start(&mut command, &log)?;
    let pid = collector.0.id();
    let began = wait("the collector's first request", || {
        match collector.0.try_wait().during("waiting for the collector")? {
            Some(_) => {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                Err(BenchError::new("the collector ended", said.trim()))
            }
            None => Ok(server.first()),
        }
    })?;
    let before = used([pid])?;
    let store = open(&database)?;
    let count = "SELECT count(*) FROM documents WHERE title LIKE 'Catalogue healthy-%'";
    let [first, half, last] = milestones(began, healthy(sources), || Ok(counted(&store, count)))?;
    let processor = (used([pid])? - before).as_secs_f64();
    let megabytes = private_dirty(pid)? as f64 / 1e6;
    Ok(Costs { first, half, last, processor, megabytes })
}
