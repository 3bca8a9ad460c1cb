//! The touchline program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    touchline::cli::main(&touchline::program::Program)
}
