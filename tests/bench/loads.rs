//! A connection's 250 loads at once: parsed and indexed, then rendered for the first time.
//!
//! Warm: the process has done it before, with another forest that is gone. Cold: the first time in a process; its
//! input is in memory, as what a socket read would be.

use crate::children::Child;
use crate::error::{BenchError, While};
use crate::forest::{self, Listener, Telling};
use crate::payload::{self, Load, Source};
use crate::report::{Figure, Limit, Measured};
use std::time::{Duration, Instant};
use touchline_worker::payload::{Payload, Received};

const LOADS: usize = 250;
const WARM_RUNS: usize = 15;
const COLD_RUNS: usize = 7;

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
pub fn measure() -> Result<Measured, BenchError> {
    let (source, loads) = payload::large(LOADS);
    let bytes: usize = loads.iter().map(|load| load.body.len()).sum();
    pass(&loads)?;
    let passes = (0..WARM_RUNS).map(|_| pass(&loads)).collect::<Result<Vec<Pass>, BenchError>>()?;
    let cold =
        (0..COLD_RUNS).map(|_| Child::ColdLoads.numbers()).collect::<Result<Vec<Vec<f64>>, BenchError>>()?;
    let cold = cold.into_iter().flatten().collect();
    let each = |take: fn(&Pass) -> f64| passes.iter().map(take).collect::<Vec<f64>>();
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
            Figure::new("parse and index alone, warm", "MB/s", Limit::AtLeast(900.0), rate),
            Figure::new("parse and index, warm", "ms", Limit::None, each(|pass| ms(pass.parse))),
            Figure::new("first rendering, warm", "ms", Limit::None, each(|pass| ms(pass.render))),
            Figure::new(
                "parse, index and first rendering, warm",
                "ms",
                Limit::AtMost(80.0),
                each(|pass| ms(pass.parse + pass.render)),
            ),
            Figure::new("the same, cold (a fresh process)", "ms", Limit::AtMost(120.0), cold),
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
        nodes += loaded.during("loading")?.nodes;
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

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
