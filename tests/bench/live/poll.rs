//! Polling: 1,000 sources, once each beside `curl --parallel` with the same window, then again and again with and without slow and dead ones
//! among them; and 10,000 sources on one worker beside the engine alone.
//!
//! Contenders run in turn, each against a server of its own. The time of a round begins with the first request that the server sees; it ends
//! for the daemon when the store has each healthy document, for curl when all its files are there: it does not read them.

use super::answers::{Answers, Source, mixed};
use super::cpu::{private_dirty, used};
use super::engine::engine_alone;
use super::site::Site;
use crate::effort::Effort;
use crate::error::{BenchError, While};
use crate::report::{Figure, Limit, Measured};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use touchline_harness::process;

const WINDOW: usize = 20;
const SOURCES: usize = 1_000;
const SLOW: usize = 20;
const DEAD: usize = 5;
/// How long the server takes for an answer where each is asked for once, as one far away does: the recorder saves documents on ticks of 100 ms,
/// which would weigh more than all else beside a server next door.
const ONCE_LATENCY: Duration = Duration::from_millis(100);
/// The same where they are asked for again and again: the window is not full then.
const LATENCY: Duration = Duration::from_millis(40);
const ROUNDS: usize = 9;
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);
/// How often each is asked, where they are asked again and again,
const EVERY: Duration = Duration::from_secs(4);
/// and how long that is measured.
const STEADY: Duration = Duration::from_secs(8);
const MANY_PATIENCE: Duration = Duration::from_secs(200);
const MANY_MEASURE: Duration = Duration::from_secs(20);

/// What a contender took for a round.
#[derive(Clone, Copy, Debug)]
struct Costs {
    /// Until everything healthy was processed, seconds.
    wall: f64,
    /// Until a half of it was answered, seconds.
    half: f64,
    /// Processor time of all its processes, seconds.
    processor: f64,
    /// Memory of its own, MB.
    megabytes: f64,
}

/// The row.
///
/// # Errors
/// [`BenchError`].
pub fn poll_row(effort: Effort) -> Result<Measured, BenchError> {
    let [mut ours, mut theirs, mut ours_mixed, mut theirs_mixed] = [const { Vec::new() }; 4];
    let (mut with_bad, mut without) = (Vec::new(), Vec::new());
    let healthy = mixed(SOURCES, 0, 0);
    let some_bad = mixed(SOURCES - SLOW - DEAD, SLOW, DEAD);
    let only_good = mixed(SOURCES - SLOW - DEAD, 0, 0);
    for _ in 0..effort.rounds(ROUNDS) {
        ours.push(daemon(&healthy)?);
        theirs.push(curl(&healthy)?);
        ours_mixed.push(daemon(&some_bad)?);
        theirs_mixed.push(curl(&some_bad)?);
        with_bad.push(period(&some_bad)?);
        without.push(period(&only_good)?);
    }
    let of = |costs: &[Costs], part: fn(&Costs) -> f64| costs.iter().map(part).collect::<Vec<f64>>();
    let ratio = |name: &str, limit, ours: &[Costs], theirs: &[Costs], part: fn(&Costs) -> f64| {
        Figure::ratio(name, limit, &of(ours, part), &of(theirs, part))
    };
    let mut figures = vec![
        ratio("1,000 once, stored / curl --parallel", Limit::AtMost(1.10), &ours, &theirs, |one| one.wall),
        Figure::ratio(
            "between requests of a healthy source, with 20 slow and 5 dead / without",
            Limit::AtMost(1.10),
            &with_bad,
            &without,
        ),
        ratio("1,000 once, 25 of them bad / curl", Limit::None, &ours_mixed, &theirs_mixed, |one| one.wall),
        ratio("their first half / curl", Limit::None, &ours_mixed, &theirs_mixed, |one| one.half),
        ratio("1,000 once, 25 bad / none bad", Limit::None, &ours_mixed, &ours, |one| one.wall),
        Figure::new("between requests of a healthy source, each 4 s", "s", Limit::None, without),
    ];
    for (name, costs) in [("the daemon", &ours), ("curl", &theirs)] {
        figures.extend([
            Figure::new(format!("{name}, 1,000 once"), "s", Limit::None, of(costs, |one| one.wall)),
            Figure::new(format!("{name}, processor time"), "s", Limit::None, of(costs, |one| one.processor)),
            Figure::new(format!("{name}, memory"), "MB", Limit::None, of(costs, |one| one.megabytes)),
        ]);
    }
    let mut notes = vec![format!(
        "window {WINDOW}, at most 4 of a host, answers of 2 kB after {} ms, repeated ones after {}; curl has no limit of a host and only writes files",
        ONCE_LATENCY.as_millis(),
        LATENCY.as_millis()
    )];
    many(effort, &mut figures, &mut notes)?;
    Ok(Measured { figures, notes })
}

/// Sections of a configuration in which one worker asks for all of these.
fn sections(server: &Answers, sources: &[Source], interval: Duration, once: &str) -> String {
    let mut text = format!(
        "[pool]\nmax_workers = 1\n[limits]\ntopics = 20000\n[store]\nsnapshot_interval = \"20ms\"\nmax_write = \"100MB\"\n\
         [[feed]]\nname = \"bench\"\nkind = \"poll\"\ninterval = \"{}ms\"\nwindow = {WINDOW}\nper_host = 4\n\
         max_subscriptions = 20000\nsubscribes_per_s = 100000.0\n",
        interval.as_millis()
    );
    for source in sources {
        // Writing to a text does not fail.
        let _ = write!(
            text,
            "[[feed.source]]\nname = \"{source}\"\nurl = \"{}\"\ntitle = \"/title\"\n{once}",
            server.url(*source)
        );
    }
    text
}

fn healthy(sources: &[Source]) -> usize {
    sources.iter().filter(|source| matches!(source, Source::Healthy(_))).count()
}

fn start_server(latency: Duration) -> Result<Answers, BenchError> {
    Answers::start(latency).during("starting the server")
}

fn start(server: &Answers, sources: &[Source], interval: Duration, once: &str) -> Result<Site, BenchError> {
    Site::configured(process::program(), &sections(server, sources, interval, once), |_, _| Ok(()))
}

/// Waits until it answers.
fn wait<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Result<Option<T>, BenchError>,
) -> Result<T, BenchError> {
    let began = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if began.elapsed() > patience {
            return Err(BenchError::new(what, format!("not within {patience:?}")));
        }
        std::thread::sleep(LOOK);
    }
}

/// The daemon asks for each once, all at once.
fn daemon(sources: &[Source]) -> Result<Costs, BenchError> {
    let server = start_server(ONCE_LATENCY)?;
    let site = start(&server, sources, Duration::from_millis(1), "every = \"1h\"\n")?;
    let first = wait("the first request", PATIENCE, || Ok(server.first()))?;
    let pids = pids(&site)?;
    let before = used(pids.iter().copied())?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = site.folder().join("touchline.db");
    let store = wait("the store", PATIENCE, || Ok(Connection::open_with_flags(&file, flags).ok()))?;
    let all = healthy(sources);
    wait("the stored documents", PATIENCE, || Ok((stored(&store) >= all).then_some(())))?;
    let wall = first.elapsed().as_secs_f64();
    let processor = (used(pids.iter().copied())? - before).as_secs_f64();
    let memory = pids.iter().try_fold(0, |sum, pid| private_dirty(*pid).map(|bytes| sum + bytes))?;
    Ok(Costs { wall, half: half(&server, all), processor, megabytes: memory as f64 / 1e6 })
}

fn half(server: &Answers, all: usize) -> f64 {
    server.answered_after(all / 2).unwrap_or_default().as_secs_f64()
}

/// Healthy documents in the store, each with the title that its answer has: before that it is stored without. What cannot be read now is
/// read at the next look.
fn stored(store: &Connection) -> usize {
    let count = "SELECT count(*) FROM sections WHERE section = '' AND body LIKE '%Catalogue healthy-%'";
    let counted = store.query_row(count, [], |row| row.get::<_, i64>(0));
    counted.ok().and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
}

fn pids(site: &Site) -> Result<Vec<u32>, BenchError> {
    let pids = site.pids()?;
    let workers = pids.workers.iter().map(|worker| worker.pid);
    Ok(workers.chain(pids.others).chain([pids.coordinator]).collect())
}

struct Curl(Child);

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// curl fetches each once. With bad ones it would not end: then the last healthy answer counts.
fn curl(sources: &[Source]) -> Result<Costs, BenchError> {
    let server = start_server(ONCE_LATENCY)?;
    let folder = tempfile::tempdir().during("making a folder")?;
    let file = folder.path().join("urls");
    std::fs::write(&file, fetched(&server, sources, folder.path())).during("writing the urls")?;
    let child = Command::new("curl")
        .args(["--silent", "--parallel", "--parallel-max", &WINDOW.to_string(), "--config"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut curl = Curl(child.during("starting curl")?);
    let (pid, all) = (curl.0.id(), healthy(sources));
    let (mut processor, mut megabytes) = (0.0, 0.0_f64);
    wait("curl", PATIENCE, || {
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
    let first = server.first().ok_or_else(|| BenchError::new("curl", "it asked for nothing"))?;
    Ok(Costs { wall: first.elapsed().as_secs_f64(), half: half(&server, all), processor, megabytes })
}

/// What curl is told to fetch, and where to.
fn fetched(server: &Answers, sources: &[Source], folder: &Path) -> String {
    let one = |source: &Source| {
        let output = folder.join(source.to_string());
        format!("url = \"{}\"\noutput = \"{}\"\n", server.url(*source), output.display())
    };
    sources.iter().map(one).collect()
}

/// Seconds from one request of a healthy source to its next, where all are asked again and again.
fn period(sources: &[Source]) -> Result<f64, BenchError> {
    let server = start_server(LATENCY)?;
    let site = start(&server, sources, EVERY, "idle = \"20s\"\n")?;
    let all = healthy(sources);
    wait_live(&site, all, PATIENCE)?;
    let (began, before) = (Instant::now(), server.answered());
    std::thread::sleep(STEADY);
    let answers = (server.answered() - before) as f64;
    Ok(began.elapsed().as_secs_f64() * all as f64 / answers)
}

fn wait_live(site: &Site, least: usize, patience: Duration) -> Result<(), BenchError> {
    wait("live sources", patience, || {
        let status = site.ask("status").ok();
        let live = status.as_ref().and_then(|status| status.pointer("/matches/live").and_then(Value::as_u64));
        Ok(live.is_some_and(|live| live >= least as u64).then_some(()))
    })
}

/// What one worker takes beyond libcurl for sources that are seldom asked for.
fn many(effort: Effort, figures: &mut Vec<Figure>, notes: &mut Vec<String>) -> Result<(), BenchError> {
    let (count, every) = match effort {
        Effort::Full => (10_000, Duration::from_secs(60)),
        Effort::Quick => (1_000, Duration::from_secs(6)),
    };
    let sources = mixed(count, 0, 0);
    let server = start_server(LATENCY)?;
    let site = start(&server, &sources, every, "")?;
    wait_live(&site, count, MANY_PATIENCE)?;
    let workers: Vec<u32> = site.pids()?.workers.iter().map(|worker| worker.pid).collect();
    let (began, before, asked) = (Instant::now(), used(workers.iter().copied())?, server.answered());
    std::thread::sleep(MANY_MEASURE);
    let elapsed = began.elapsed().as_secs_f64();
    let worker = (used(workers.iter().copied())? - before).as_secs_f64() / elapsed;
    let rate = (server.answered() - asked) as f64 / elapsed;
    drop(site);
    let urls: Vec<String> = sources.iter().map(|source| server.url(*source)).collect();
    let engine = engine_alone(&urls, WINDOW, count as f64 / every.as_secs_f64(), MANY_MEASURE)?;
    figures.extend([
        Figure::one(
            "the worker of 10,000 each 60 s, beyond the engine",
            "cores",
            Limit::AtMost(0.10),
            worker - engine,
        ),
        Figure::one("the worker", "cores", Limit::None, worker),
        Figure::one("the engine alone at its rate", "cores", Limit::None, engine),
    ]);
    notes.push(format!("{count} sources each {} s: {rate:.0} answers/s", every.as_secs()));
    Ok(())
}
