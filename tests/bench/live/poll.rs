//! Polling: 1,000 sources once each beside `curl --parallel` and a plain Python collector with the same window, without and with slow and
//! dead ones among them; the same again and again; and 10,000 sources on one worker beside the engine alone.
//!
//! Contenders run in turn, each against a server of its own (`asked_once`).

use super::answers::{Answers, Source, mixed};
use super::asked_once::{self, Contender, Costs};
use super::cpu::used;
use super::engine::engine_alone;
use super::site::Site;
use crate::effort::Effort;
use crate::error::{BenchError, While};
use crate::report::{Figure, Limit, Measured};
use serde_json::Value;
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use touchline_harness::process;

pub const WINDOW: usize = 20;
const SOURCES: usize = 1_000;
const SLOW: usize = 20;
const DEAD: usize = 5;
/// How long the server takes for an answer where each is asked for again and again: the window is not full then.
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

/// Which sources a round has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// 1,000, all of them healthy.
    Healthy,
    /// 1,000, 25 of them slow or dead.
    SomeBad,
    /// The 975 healthy ones of those.
    WithoutBad,
}

impl Round {
    fn sources(self) -> Vec<Source> {
        match self {
            Round::Healthy => mixed(SOURCES, 0, 0),
            Round::SomeBad => mixed(SOURCES - SLOW - DEAD, SLOW, DEAD),
            Round::WithoutBad => mixed(SOURCES - SLOW - DEAD, 0, 0),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Round::Healthy => "1,000 healthy",
            Round::SomeBad => "975 healthy, 25 bad",
            Round::WithoutBad => "975 healthy",
        }
    }
}

/// What was measured of whom, round by round.
#[derive(Debug, Default)]
struct Found(Vec<(Contender, Round, Costs)>);

impl Found {
    fn of(&self, contender: Contender, round: Round, part: fn(&Costs) -> f64) -> Vec<f64> {
        let is_it = |found: &&(Contender, Round, Costs)| (found.0, found.1) == (contender, round);
        self.0.iter().filter(is_it).map(|(_, _, costs)| part(costs)).collect()
    }

    fn has(&self, contender: Contender) -> bool {
        self.0.iter().any(|(one, ..)| *one == contender)
    }
}

/// The row.
///
/// # Errors
/// When the daemon or curl cannot be measured; of the collector the notes say why not.
pub fn poll_row(effort: Effort) -> Result<Measured, BenchError> {
    let mut notes = vec![format!(
        "window {WINDOW}, at most 4 of a host, answers of 2 kB after {} ms, repeated ones after {}; curl and aiohttp have no limit of a host, and curl only writes files",
        asked_once::LATENCY.as_millis(),
        LATENCY.as_millis()
    )];
    let mut found = Found::default();
    let mut contenders = Contender::ALL.to_vec();
    let (mut with_bad, mut without) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds(ROUNDS) {
        for round in [Round::Healthy, Round::SomeBad] {
            for contender in contenders.clone() {
                match contender.measure(&round.sources()) {
                    Ok(costs) => found.0.push((contender, round, costs)),
                    Err(error) if contender != Contender::Python => return Err(error),
                    Err(error) => {
                        notes.push(format!("{} is left out: {error}", contender.as_str()));
                        contenders.retain(|one| *one != contender);
                        found.0.retain(|(one, ..)| *one != contender);
                    }
                }
            }
        }
        let ours = Contender::Touchline;
        found.0.push((ours, Round::WithoutBad, ours.measure(&Round::WithoutBad.sources())?));
        with_bad.push(period(&Round::SomeBad.sources())?);
        without.push(period(&Round::WithoutBad.sources())?);
    }
    let mut figures = ratios(&found);
    figures.push(Figure::ratio(
        "between requests of a healthy source, with 20 slow and 5 dead / without",
        Limit::AtMost(1.10),
        &with_bad,
        &without,
    ));
    figures.push(Figure::new("between requests of a healthy source, each 4 s", "s", Limit::None, without));
    for contender in Contender::ALL.into_iter().filter(|contender| found.has(*contender)) {
        for round in [Round::Healthy, Round::SomeBad] {
            figures.extend(costs(&found, contender, round));
        }
    }
    many(effort, &mut figures, &mut notes)?;
    Ok(Measured { figures, notes })
}

fn ratios(found: &Found) -> Vec<Figure> {
    let ours = |round, part| found.of(Contender::Touchline, round, part);
    let last: fn(&Costs) -> f64 = |costs| costs.last;
    let half: fn(&Costs) -> f64 = |costs| costs.half;
    let mut figures = vec![Figure::ratio(
        "975 healthy once, with 20 slow and 5 dead / without",
        Limit::AtMost(1.10),
        &ours(Round::SomeBad, last),
        &ours(Round::WithoutBad, last),
    )];
    for (peer, limit) in [(Contender::Curl, Limit::AtMost(1.10)), (Contender::Python, Limit::None)] {
        if !found.has(peer) {
            continue;
        }
        for (round, part, what, limit) in [
            (Round::Healthy, last, "last", limit),
            (Round::SomeBad, half, "half", Limit::None),
            (Round::SomeBad, last, "last", Limit::None),
        ] {
            let name = format!("{}, {what} stored / {}", round.name(), peer.as_str());
            figures.push(Figure::ratio(name, limit, &ours(round, part), &found.of(peer, round, part)));
        }
    }
    figures
}

/// Each cost of a contender.
fn costs(found: &Found, contender: Contender, round: Round) -> Vec<Figure> {
    let figure = |what: &str, unit, part| {
        let name = format!("{}, {}: {what}", contender.as_str(), round.name());
        Figure::new(name, unit, Limit::None, found.of(contender, round, part))
    };
    vec![
        figure("first", "s", |costs| costs.first),
        figure("half", "s", |costs| costs.half),
        figure("last", "s", |costs| costs.last),
        figure("processor time", "s", |costs| costs.processor),
        figure("memory", "MB", |costs| costs.megabytes),
    ]
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

/// A daemon that asks for these.
///
/// # Errors
/// When it does not start.
pub fn start(
    server: &Answers,
    sources: &[Source],
    interval: Duration,
    once: &str,
) -> Result<Site, BenchError> {
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

/// Seconds from one request of a healthy source to its next, where all are asked again and again.
fn period(sources: &[Source]) -> Result<f64, BenchError> {
    let server = Answers::start(LATENCY).during("starting the server")?;
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
    let server = Answers::start(LATENCY).during("starting the server")?;
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
