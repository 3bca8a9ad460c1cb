//! Carries the pool's actions out: spawns, reaps, talks, saves.

pub mod children;
pub mod daemon;
pub mod matches_file;
pub mod processes;
pub mod run;
mod saving;
pub mod spawn;
pub mod state_file;
