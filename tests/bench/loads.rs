//! A connection's 250 loads at once: parsed and indexed, then rendered for the first time.
//!
//! Warm: the process has done it before, with another forest that is gone. Cold: the first time in a process; its
//! input is in memory, as what a socket read would be. Beside it the same bytes are copied and searched for separators,
//! which nothing that reads them can do without.

use crate::children::Child;
use crate::effort::Effort;
use crate::error::{BenchError, While};
use crate::forest::{self, Listener, Telling};
use crate::payload::{self, Load, Source};
use crate::report::{Figure, Limit, Measured};
use memchr::memchr3_iter;
use std::hint::black_box;
use std::time::{Duration, Instant};
use touchline_worker::payload::{Payload, Received};

const LOADS: usize = 250;
const WARM_RUNS: usize = 15;

/// What one pass took.
struct Pass {
    parse: Duration,
    render: Duration,
    sections: usize,
    rendered: usize,
    nodes: usize,
    footprint: usize,
}

/// The row.
///
/// # Errors
/// [`BenchError`].
pub fn measure(effort: Effort) -> Result<Measured, BenchError> {
    let (source, loads) = payload::large(LOADS);
    let bytes: usize = loads.iter().map(|load| load.body.len()).sum();
    let both = || -> Result<(Pass, Duration), BenchError> { Ok((pass(&loads)?, copy_and_scan(&loads))) };
    both()?;
    let mut passes = Vec::new();
    let mut scans = Vec::new();
    let mut cold = Vec::new();
    for round in 0..effort.rounds(WARM_RUNS) {
        let (pass, scan) = both()?;
        passes.push(pass);
        scans.push(ms(scan));
        if round % 2 == 0 {
            cold.extend(Child::ColdLoads.numbers()?);
        }
    }
    let each = |take: fn(&Pass) -> f64| passes.iter().map(take).collect::<Vec<f64>>();
    let warm = each(|pass| ms(pass.parse + pass.render));
    let warm_beside_cold: Vec<f64> = warm.iter().step_by(2).copied().collect();
    let rate = passes.iter().map(|pass| bytes as f64 / 1e6 / pass.parse.as_secs_f64()).collect();
    let mut notes = vec![match source {
        Source::Recorded => "input: a recorded load, 250 copies with every topic id made distinct".to_owned(),
        Source::Generated => "input: generated matches; no recorded load is here".to_owned(),
    }];
    if let Some(pass) = passes.first() {
        notes.push(format!(
            "{:.1} MB, {} nodes, {} sections of {:.1} MB; the trees hold {:.2} bytes for each byte loaded",
            bytes as f64 / 1e6,
            pass.nodes,
            pass.sections,
            pass.rendered as f64 / 1e6,
            pass.footprint as f64 / bytes as f64,
        ));
    }
    Ok(Measured {
        figures: vec![
            Figure::ratio("warm / copy and scan for separators", Limit::AtMost(3.0), &warm, &scans),
            Figure::ratio("cold (a fresh process) / warm", Limit::AtMost(1.4), &cold, &warm_beside_cold),
            Figure::new("parse, index and first rendering, warm", "ms", Limit::None, warm),
            Figure::new("parse, index and first rendering, cold", "ms", Limit::None, cold),
            Figure::new("parse and index, warm", "ms", Limit::None, each(|pass| ms(pass.parse))),
            Figure::new("first rendering, warm", "ms", Limit::None, each(|pass| ms(pass.render))),
            Figure::new("copy and scan for separators", "ms", Limit::None, scans),
            Figure::new("parse and index alone, warm", "MB/s", Limit::None, rate),
        ],
        notes,
    })
}

/// In a fresh process: what the first pass takes, in milliseconds.
///
/// # Errors
/// [`BenchError`].
pub fn cold_child() -> Result<String, BenchError> {
    let (_, loads) = payload::large(LOADS);
    let pass = pass(&loads)?;
    Ok(ms(pass.parse + pass.render).to_string())
}

fn pass(loads: &[Load]) -> Result<Pass, BenchError> {
    let mut forest = forest::empty()?;
    let mut listener = Listener::new(Telling::Counted);
    let slots = loads
        .iter()
        .map(|load| forest::follow(&mut forest, &load.topic))
        .collect::<Result<Vec<_>, BenchError>>()?;
    let began = Instant::now();
    let mut nodes = 0;
    for load in loads {
        let loaded = forest.load(load.topic.as_bytes(), &load.body, Received::default(), &mut listener);
        loaded.during("loading")?;
        nodes += forest.nodes(&load.topic).unwrap_or(0);
    }
    let parse = began.elapsed();
    let (mut sections, mut count, mut rendered) = (Vec::new(), 0, 0);
    for slot in slots {
        forest.render(slot, &mut listener, &mut sections);
        count += sections.len();
        rendered +=
            sections.iter().filter_map(|section| section.body.as_ref()).map(|body| body.len()).sum::<usize>();
        sections.clear();
    }
    let render = began.elapsed() - parse;
    Ok(Pass { parse, render, sections: count, rendered, nodes, footprint: forest.footprint() })
}

/// A copy of each load, kept like a tree, and the place of each separator in it.
fn copy_and_scan(loads: &[Load]) -> Duration {
    let began = Instant::now();
    let mut copies = Vec::with_capacity(loads.len());
    let mut places: usize = 0;
    for load in loads {
        let copy = load.body.clone();
        places = memchr3_iter(b'|', b';', b'=', &copy).fold(places, usize::wrapping_add);
        copies.push(copy);
    }
    black_box((places, &copies));
    began.elapsed()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
