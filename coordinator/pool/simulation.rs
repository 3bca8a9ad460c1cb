//! Seeded faults against the pool: a virtual clock, fake workers, a fake recorder, churning lists.
//!
//! After each step every invariant of the pool is held; when the faults stop, everything must become live within a
//! bound. A failure prints its seed; `TOUCHLINE_SEED=n` runs that one alone.

mod checks;
mod world;

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use world::World;

const STEPS: usize = 100_000;
/// A parked slot waits 300 s for its trial, the breaker 60 s, back-off 30 s, a move 30 s.
const RECOVERY: Duration = Duration::from_secs(500);

fn run(seed: u64) {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.turn();
        }
        world.calm(RECOVERY);
        world.end();
    }));
    if let Err(panic) = outcome {
        eprintln!("the simulation failed: repeat with TOUCHLINE_SEED={seed}");
        resume_unwind(panic);
    }
}

#[test]
fn faults_break_no_invariant_and_all_recovers() {
    match std::env::var("TOUCHLINE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => run(seed),
        None => (1..=6).for_each(run),
    }
}
