//! touchline, the program: the coordinator that forks, places, supervises and answers operators, and its command line.
//! It never parses feed data.

pub mod child_args;
pub mod cli;
pub mod control;
pub mod demo;
pub mod file_error;
pub mod pool;
pub mod program;
pub mod sources;
pub mod supervise;

/// What this program was built from: its version, and the profile it was built with.
pub const BUILD: &str = if cfg!(debug_assertions) {
    concat!(env!("CARGO_PKG_VERSION"), "-debug")
} else {
    env!("CARGO_PKG_VERSION")
};
