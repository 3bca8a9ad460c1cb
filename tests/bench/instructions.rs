//! Instructions of the hot paths, as valgrind counts them: the same on every machine, so that a slower path is seen at once.
//!
//! A case is run twice in processes of its own, the second time with twice the work: the difference is the work alone, without what is
//! prepared. `instructions.json` has the counts that were accepted, each with its reason; more than 3 % beyond one is over the limit.
//! `scripts/accept-instructions` writes a new one.

use crate::children::Child;
use crate::effort::Effort;
use crate::error::{BenchError, While};
use crate::forest::{self, Listener, Telling};
use crate::incidents;
use crate::mix::Delta;
use crate::payload::{Changes, Generated, Random, Shape};
use crate::report::{Figure, Limit, Measured};
use serde_json::Value;
use std::hint::black_box;
use std::process::Command;
use touchline_common::config::Ranking;
use touchline_common::model::Listing;
use touchline_worker::payload::room::{Rooms, UserForm};
use touchline_worker::payload::{Limits, Payload, Received};
use touchline_worker::wire::rooms::{self, BodyForm, Decoder, Operation, write_packet};

/// What was accepted.
const ACCEPTED: &str = include_str!("instructions.json");
/// How much more a case may take than was accepted; less is welcome.
const MORE: f64 = 1.03;
/// Of another compiler, which is not the code's doing.
const OTHER_COMPILER: f64 = 1.15;
/// One event, 100 markets and 700 selections.
const SHAPE: Shape = Shape { markets: 100, selections: 7 };
const MATCHES: usize = 4;
/// Operations that are prepared, and done again and again.
const PREPARED: usize = 1_000;
/// Diffs between two renderings.
const RENDERED: usize = 20;
/// Lines of a room in one compressed packet.
const PACKED: usize = 20;
const SECOND: u64 = 1_000_000_000;

/// A hot path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// A diff applied to its tree, and its part of a rendering.
    Diff,
    /// A whole load: parsed, indexed, rendered.
    Load,
    /// An incident through the ledger.
    Incident,
    /// A line of a room, from its compressed packet to what is told of it.
    Line,
}

impl Case {
    const ALL: [Case; 4] = [Case::Diff, Case::Load, Case::Incident, Case::Line];

    fn as_str(self) -> &'static str {
        match self {
            Case::Diff => "diff",
            Case::Load => "load",
            Case::Incident => "incident",
            Case::Line => "line",
        }
    }

    /// How often the prepared operations are done, the first time.
    fn times(self) -> usize {
        match self {
            Case::Diff | Case::Line | Case::Incident => 4,
            Case::Load => 3,
        }
    }

    /// Does the prepared operations so many times; how many operations that were.
    fn work(self, times: usize) -> Result<usize, BenchError> {
        match self {
            Case::Diff => diffs(times),
            Case::Load => loads(times),
            Case::Incident => incidents::again(MATCHES, PREPARED / MATCHES, times),
            Case::Line => lines(times),
        }
    }

    /// Instructions of one operation.
    fn count(self) -> Result<f64, BenchError> {
        let once = counted(self, self.times())?;
        let twice = counted(self, 2 * self.times())?;
        Ok((twice.0 - once.0) / (twice.1 - once.1))
    }
}

/// The row.
///
/// # Errors
/// [`BenchError`]: valgrind is absent among others.
pub fn measure(_: Effort) -> Result<Measured, BenchError> {
    let accepted: Value = serde_json::from_str(ACCEPTED).during("reading instructions.json")?;
    let compiler = compiler()?;
    let same = accepted.get("compiler").and_then(Value::as_str) == Some(compiler.as_str());
    let most = if same { MORE } else { OTHER_COMPILER };
    let (mut figures, mut counts, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for case in Case::ALL {
        let name = case.as_str();
        let count = case.count()?;
        let before = accepted.pointer(&format!("/cases/{name}/instructions")).and_then(Value::as_f64);
        let before = before
            .ok_or_else(|| BenchError::new("reading instructions.json", format!("it has no {name}")))?;
        figures.push(Figure::one(format!("{name} / as accepted"), "x", Limit::AtMost(most), count / before));
        counts.push(Figure::one(name, "instructions", Limit::None, count));
    }
    figures.append(&mut counts);
    if !same {
        notes.push(format!("another compiler ({compiler}) than that of the accepted counts: {most} times as many are let through"));
    }
    notes.push("scripts/accept-instructions CASE REASON accepts a new count".to_owned());
    Ok(Measured { figures, notes })
}

fn compiler() -> Result<String, BenchError> {
    let output =
        Command::new("rustc").arg("--version").output().during("asking for the compiler's version")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Instructions of a whole process, and its operations.
fn counted(case: Case, times: usize) -> Result<(f64, f64), BenchError> {
    let what = format!("counting the instructions of a {}", case.as_str());
    let program = std::env::current_exe().during(&what)?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(Child::Work.command().get_args())
        .args([case.as_str(), &times.to_string()])
        .output()
        .during(&format!("{what} (Debian package valgrind)"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let total = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    let operations = String::from_utf8_lossy(&output.stdout).trim().parse().ok();
    total
        .zip(operations)
        .filter(|_| output.status.success())
        .ok_or_else(|| BenchError::new(&what, said.trim()))
}

/// The child's work: case and how often.
///
/// # Errors
/// [`BenchError`].
pub fn work(given: &[String]) -> Result<String, BenchError> {
    let usage = || BenchError::new("working", "expected a case and how often");
    let [case, times] = given else { return Err(usage()) };
    let case = Case::ALL.into_iter().find(|known| known.as_str() == case).ok_or_else(usage)?;
    Ok(case.work(times.parse().map_err(|_| usage())?)?.to_string())
}

fn diffs(times: usize) -> Result<usize, BenchError> {
    let mut forest = forest::empty()?;
    let mut listener = Listener::new(Telling::Encoded);
    let mut slots = Vec::new();
    for number in 0..MATCHES {
        let load = Generated { number, shape: SHAPE }.load();
        slots.push(forest::follow(&mut forest, &load.topic)?);
        let loaded = forest.load(load.topic.as_bytes(), &load.body, Received::default(), &mut listener);
        loaded.during("loading")?;
    }
    let mut random = Random::new(1);
    let mut changes = vec![Changes::default(); MATCHES];
    let mut draw = |n: usize| {
        let number = n % MATCHES;
        let changes = changes.get_mut(number)?;
        Some(Delta::draw(Generated { number, shape: SHAPE }, changes, &mut random, None))
    };
    let deltas: Vec<Delta> = (0..PREPARED).filter_map(&mut draw).collect();
    let mut sections = Vec::new();
    let mut received = Received::default();
    for _ in 0..times {
        for (n, delta) in deltas.iter().enumerate() {
            received.mono_ns += SECOND / 10_000;
            let applied =
                forest.delta(delta.topic.as_bytes(), delta.body.as_bytes(), received, &mut listener);
            applied.during("applying a diff")?;
            if n % RENDERED == 0 {
                for slot in &slots {
                    forest.render(*slot, &mut listener, &mut sections);
                }
                black_box(&sections);
                sections.clear();
            }
        }
    }
    Ok(times * deltas.len())
}

fn loads(times: usize) -> Result<usize, BenchError> {
    let prepared: Vec<_> = (0..MATCHES).map(|number| Generated { number, shape: SHAPE }.load()).collect();
    for _ in 0..times {
        let mut forest = forest::empty()?;
        let mut listener = Listener::new(Telling::Counted);
        let mut sections = Vec::new();
        for load in &prepared {
            let slot = forest::follow(&mut forest, &load.topic)?;
            let loaded = forest.load(load.topic.as_bytes(), &load.body, Received::default(), &mut listener);
            loaded.during("loading")?;
            forest.render(slot, &mut listener, &mut sections);
        }
        black_box(&sections);
    }
    Ok(times * prepared.len())
}

fn lines(times: usize) -> Result<usize, BenchError> {
    let mut rooms = Rooms::new(Limits::default(), UserForm::Keep, Ranking::default());
    let slot = rooms.add_match(&["1".to_owned()], Listing::default()).during("adding a room")?;
    let mut listener = Listener::new(Telling::Encoded);
    let mut received = Received::default();
    rooms.load(b"1", b"", received, &mut listener).during("joining a room")?;
    let packets: Vec<Vec<u8>> = (0..PREPARED / PACKED).map(packet).collect();
    let mut decoder = Decoder::new(rooms::Limits::default());
    let mut sections = Vec::new();
    let mut found = 0;
    for _ in 0..times {
        for packet in &packets {
            received.mono_ns += SECOND / 100;
            decoder.push(packet);
            while let Some(packet) = decoder.next() {
                let packet = packet.during("decoding a packet")?;
                rooms.delta(b"1", packet.body, received, &mut listener).during("taking a line")?;
                found += 1;
            }
            rooms.settle(received, &mut listener);
            rooms.render(slot, &mut listener, &mut sections);
            black_box(&sections);
            sections.clear();
        }
    }
    Ok(found)
}

/// A compressed packet of lines, as servers send them.
fn packet(number: usize) -> Vec<u8> {
    let mut inner = Vec::new();
    for line in 0..PACKED {
        let n = number * PACKED + line;
        let body = format!(
            r#"{{"cmd":"DANMU_MSG","info":[[0,1,25,16777215,1700000000{n:03},{n},0,"c1a2b3d4",0,0,0,"",0,"{{}}","{{}}",{{"mode":0,"show_player_type":0,"extra":"{{\"send_from_me\":false,\"id_str\":\"{n:032x}\"}}"}}],"what somebody said, number {n}",[{uid},"somebody {uid}",0,0,0,10000,1,""],[12,"medal","streamer",1,6809855,"",0,6809855,6809855,6809855,0,1,2],[3,0,9868950,">50000",0],["",""],0,0,null,{{"ts":1700000000,"ct":"1A2B3C4D"}},0,0,null,null,0,42]}}"#,
            uid = 10_000 + n % 97,
        );
        write_packet(&mut inner, BodyForm::Plain, Operation::Message, body.as_bytes());
    }
    let mut out = Vec::new();
    write_packet(&mut out, BodyForm::Zlib, Operation::Message, &inner);
    out
}
