//! Seeded faults against the pool: a virtual clock, fake workers, a fake recorder, churning lists.
//!
//! After each step every invariant of the pool is held; when the faults stop, everything must become live within a
//! bound. A failure prints its seed; `TOUCHLINE_SEED=n` runs that one alone.

mod checks;
mod world;

use super::*;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use world::World;

const STEPS: usize = 100_000;
/// A parked slot waits 300 s for its probation, the breaker 60 s, back-off 30 s, a move 30 s.
const RECOVERY: Duration = Duration::from_secs(500);

/// What must have happened in some run, or the simulation shows nothing.
const EXPECTED: [&str; 31] = [
    "worker.spawn_failed",
    "worker.died",
    "worker.left",
    "worker.parked",
    "worker.kill",
    "worker.silent",
    "worker.back",
    "worker.draining",
    "recorder.died",
    "recorder.ready",
    "match.assigned",
    "match.live",
    "match.moving",
    "match.moved",
    "match.waiting",
    "match.ended",
    "match.quarantined",
    "match.released",
    "list.suspect",
    "list.lost",
    "feed.degraded",
    "feed.up",
    "pool.late",
    "pool.degraded",
    "pool.recovered",
    "epochs.refused",
    "feed.cap_audited",
    "feed.cap_suspected",
    "feed.cap_learned",
    "feed.cap_tried",
    "feed.cap_raised",
];

fn run(seed: u64) -> BTreeMap<&'static str, usize> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.turn();
        }
        world.calm(RECOVERY);
        world.end()
    }));
    match outcome {
        Ok(notices) => notices,
        Err(panic) => {
            eprintln!("the simulation failed: repeat with TOUCHLINE_SEED={seed}");
            resume_unwind(panic)
        }
    }
}

#[test]
fn faults_break_no_invariant_and_all_recovers() {
    match std::env::var("TOUCHLINE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => {
            run(seed);
        }
        None => {
            let mut seen = BTreeMap::<&str, usize>::new();
            for seed in 1..=7 {
                for (name, count) in run(seed) {
                    *seen.entry(name).or_default() += count;
                }
            }
            for name in EXPECTED {
                assert!(seen.contains_key(name), "{name} never happened: the faults are too kind");
            }
        }
    }
}
