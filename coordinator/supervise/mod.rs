//! Carries the pool's actions out: spawns, reaps, talks, saves.

pub mod spawn;
pub mod state_file;
