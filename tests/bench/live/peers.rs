//! Processor time of the whole daemon beside plain scanners of the same feed, and the skeleton in the same shape.
//!
//! One connection, 50 matches, ticks of a millisecond. The scanners are `tests/peers/`: read, frame, apply to maps,
//! render the changed market, rows to SQLite every 10 ms. Contenders run in turn, so that a machine that changes its
//! speed hurts all of them; of each, all processes count.

use super::ledger::Ledger;
use super::pulse::{Pace, Plan, Pulse};
use super::run::{Bare, Measurable, Reader, Run, Usage};
use super::site::{Documents, Setup};
use super::store::price_rows;
use crate::effort::Effort;
use crate::error::{BenchError, While};
use crate::payload::Shape;
use crate::report::{Figure, Limit, Measured};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use touchline_harness::process;

const MATCHES: usize = 50;
const ROUNDS: usize = 3;
/// Diffs a second, and how many times Node's time ours may be.
const RATES: [(u64, f64); 3] = [(4_000, 0.5), (10_000, 0.4), (20_000, 0.3)];
const COALESCED: f64 = 0.25;
/// What of a daemon was used, in cores.
type Part = fn(&Usage) -> f64;
/// The processes of the daemon apart.
const PARTS: [(&str, Part); 3] = [
    ("worker", |used| used.workers),
    ("recorder", |used| used.recorder),
    ("coordinator", |used| used.coordinator),
];
const START: Duration = Duration::from_secs(20);
const MEASURE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(10);
/// Seconds after the last diff from which on it counts as behind.
const BEHIND: f64 = 0.75;
/// Before the first rate: compilers at run time get going.
const FIRST: Duration = Duration::from_millis(1_200);
/// Of the prices that were written, those that must have become rows: one in ninety repeats the price before.
const KEPT: f64 = 0.97;

/// One connection for everything, as the scanners have: the matches and the list.
const SETUP: Setup = Setup { cap: MATCHES + 1, workers: 2, feed: "", more: "", documents: Documents::Unread };
const COALESCE: Setup = Setup { more: "[limits]\ncoalesce = \"5ms\"", ..SETUP };
/// Another build of the daemon, to run beside this one.
const BEFORE: &str = "TOUCHLINE_BEFORE";

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Touchline,
    Coalesced,
    Before,
    Node,
    Python,
    Skeleton,
}

/// What a contender used in a round.
struct Costs {
    /// At each rate.
    used: Vec<Usage>,
    /// Its rows for each price that was written, if it writes any.
    rows: Option<f64>,
}

impl Contender {
    const ALL: [Contender; 6] = [
        Contender::Touchline,
        Contender::Node,
        Contender::Coalesced,
        Contender::Python,
        Contender::Skeleton,
        Contender::Before,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Contender::Touchline => "touchline",
            Contender::Coalesced => "touchline, coalesce 5ms",
            Contender::Before => "touchline before",
            Contender::Node => "Node",
            Contender::Python => "Python",
            Contender::Skeleton => "skeleton",
        }
    }

    fn measure(self) -> Result<Costs, BenchError> {
        match self {
            Contender::Touchline => daemon(process::program(), SETUP),
            Contender::Coalesced => daemon(process::program(), COALESCE),
            Contender::Before => {
                let program = std::env::var_os(BEFORE).map(PathBuf::from);
                let program = program.ok_or_else(|| BenchError::new("looking for it", "none is named"))?;
                daemon(&program, SETUP)
            }
            Contender::Node => scanner("node", "scanner.cjs"),
            Contender::Python => scanner("python3", "scanner.py"),
            Contender::Skeleton => {
                let bare = Bare::start(plan(), 1, Reader::Sink)?;
                at_each_rate(&bare.measurable(), &bare.pulse)
            }
        }
    }
}

fn plan() -> Plan {
    Plan {
        matches: MATCHES,
        shape: Shape::of_bytes(30_000),
        pace: Pace::Ticks,
        service: Duration::from_millis(5),
    }
}

/// The row.
///
/// # Errors
/// When the daemon cannot be measured; of others the notes say why not.
pub fn peers_row(effort: Effort) -> Result<Measured, BenchError> {
    let mut notes = Vec::new();
    let mut contenders = Contender::ALL.to_vec();
    contenders.retain(|one| *one != Contender::Before || std::env::var_os(BEFORE).is_some());
    if !knows("coalesce")? {
        contenders.retain(|one| *one != Contender::Coalesced);
        notes.push("this build knows no setting `coalesce`".to_owned());
    }
    let mut found: Vec<(Contender, Costs)> = Vec::new();
    for _ in 0..effort.rounds(ROUNDS) {
        for contender in contenders.clone() {
            match contender.measure() {
                Ok(costs) => {
                    notes.extend(complaints(contender, &costs));
                    found.push((contender, costs));
                }
                Err(error) if contender == Contender::Touchline => return Err(error),
                Err(error) => {
                    notes.push(format!("{} is not measured: {error}", contender.as_str()));
                    contenders.retain(|one| *one != contender);
                    found.retain(|(one, _)| *one != contender);
                }
            }
        }
    }
    let mut figures = Vec::new();
    for (at, (rate, limit)) in RATES.into_iter().enumerate() {
        let all = |contender: Contender| each(&found, contender, at, Usage::all);
        let mut ratio = |ours: Contender, theirs: Contender, limit: Limit| {
            if contenders.contains(&ours) && contenders.contains(&theirs) {
                let name = format!("{} / {} at {rate}/s", ours.as_str(), theirs.as_str());
                figures.push(Figure::ratio(name, limit, &all(ours), &all(theirs)));
            }
        };
        ratio(Contender::Touchline, Contender::Node, Limit::AtMost(limit));
        ratio(Contender::Coalesced, Contender::Node, Limit::AtMost(COALESCED));
        ratio(Contender::Touchline, Contender::Python, Limit::None);
        ratio(Contender::Touchline, Contender::Skeleton, Limit::None);
        ratio(Contender::Touchline, Contender::Before, Limit::None);
        for contender in &contenders {
            let name = format!("{} at {rate}/s, for a diff", contender.as_str());
            figures.push(Figure::new(name, "us", Limit::None, all(*contender)));
        }
        for (part, take) in PARTS {
            let name = format!("touchline's {part} at {rate}/s, for a diff");
            let values = each(&found, Contender::Touchline, at, take);
            figures.push(Figure::new(name, "us", Limit::None, values));
        }
    }
    notes.push(format!("{MATCHES} matches on one connection, diffs of a tick in one write; all processes of each, the server apart"));
    Ok(Measured { figures, notes })
}

/// Microseconds a diff at one of the rates, in each round.
fn each(
    found: &[(Contender, Costs)],
    contender: Contender,
    rate: usize,
    take: impl Fn(&Usage) -> f64,
) -> Vec<f64> {
    let mine = found.iter().filter(|(one, _)| *one == contender);
    let used = mine.filter_map(|(_, costs)| costs.used.get(rate));
    used.map(|usage| take(usage) * 1e6 / usage.rate).collect()
}

/// Why a contender's figures are not what they seem.
fn complaints(contender: Contender, costs: &Costs) -> Vec<String> {
    let name = contender.as_str();
    let rows = costs.rows.filter(|rows| *rows < KEPT);
    let rows = rows.map(|rows| format!("{name} wrote only {:.0} % of the prices as rows", 100.0 * rows));
    let behind = RATES.iter().zip(&costs.used).filter(|(_, usage)| usage.behind > BEHIND);
    let behind = behind.map(|((rate, _), _)| {
        format!("{name} fell behind at {rate}/s: what a diff cost it there is that of larger batches")
    });
    rows.into_iter().chain(behind).collect()
}

fn at_each_rate(whose: &Measurable, pulse: &Pulse) -> Result<Costs, BenchError> {
    let highest = RATES.last().map_or(0, |(rate, _)| *rate);
    whose.measure_to_the_end(pulse, highest, FIRST, PATIENCE)?;
    let used = RATES.into_iter().map(|(rate, _)| whose.measure_to_the_end(pulse, rate, MEASURE, PATIENCE));
    Ok(Costs { used: used.collect::<Result<Vec<Usage>, BenchError>>()?, rows: None })
}

fn daemon(program: &Path, setup: Setup) -> Result<Costs, BenchError> {
    let run = Run::start_program(program, plan(), setup, START)?;
    // With more connections than the scanners have, it would not be the same work.
    if run.pids.workers.len() != 1 {
        let why = format!("it follows them over {} connections instead of one", run.pids.workers.len());
        return Err(BenchError::new("starting the daemon", why));
    }
    let costs = at_each_rate(&run.measurable(), &run.pulse)?;
    let rows = price_rows(run.site.folder())? as f64 / run.pulse.prices() as f64;
    Ok(Costs { rows: Some(rows), ..costs })
}

/// Whether the daemon has this setting.
fn knows(setting: &str) -> Result<bool, BenchError> {
    let folder = tempfile::tempdir().during("making a folder")?;
    let file = folder.path().join("touchline.toml");
    std::fs::write(&file, "").during("writing a configuration")?;
    let output = Command::new(process::program()).args(["check", "--print", "--config"]).arg(&file).output();
    let output = output.during("asking for the settings")?;
    Ok(String::from_utf8_lossy(&output.stdout).contains(setting))
}

struct Scanner {
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Scanner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn scanner(interpreter: &str, script: &str) -> Result<Costs, BenchError> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers").join(script);
    let ledger = Arc::new(Ledger::new(MATCHES));
    let pulse = Pulse::start(plan(), &ledger)?;
    let folder = tempfile::tempdir().during("making a folder")?;
    let database = folder.path().join("rows.db");
    let log = std::fs::File::create(folder.path().join("log")).during("making a log")?;
    let child = Command::new(interpreter)
        .arg(script)
        .args([pulse.address.ip().to_string(), pulse.address.port().to_string()])
        .arg(&database)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    let scanner = Scanner { child: child.during(interpreter)?, folder };
    let started = pulse.wait_followed(MATCHES, START);
    let complaint = || std::fs::read_to_string(scanner.folder.path().join("log")).unwrap_or_default();
    started
        .map_err(|error| BenchError::new(interpreter, format!("{error}; it says: {}", complaint().trim())))?;
    let whose = Measurable { workers: vec![scanner.child.id()], ..Measurable::default() };
    let costs = at_each_rate(&whose, &pulse)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let rows = Connection::open_with_flags(&database, flags)
        .and_then(|rows| rows.query_row("SELECT count(*) FROM odds", [], |row| row.get::<_, i64>(0)));
    let rows = rows.during("counting its rows")? as f64 / pulse.prices() as f64;
    Ok(Costs { rows: Some(rows), ..costs })
}
