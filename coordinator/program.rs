//! What the verbs that are more than a question do: the daemon, the demo, the simulated server, the forked processes.

use crate::cli::{ChildKind, ChildOptions, Code, Commands, DemoOptions, RunOptions, SimulateOptions};
use crate::demo::{self, DemoError, Outcome};
use crate::supervise::run;
use nix::sys::signal::Signal;
use std::fmt;
use touchline_common::config::Config;
use touchline_common::model::SlotId;
use touchline_common::sys::child;
use touchline_worker::{record, scan};

#[derive(Clone, Copy, Debug)]
pub struct Program;

impl Commands for Program {
    fn run(&self, config: Config, options: RunOptions) -> Code {
        let socket = options.socket.unwrap_or_else(|| config.socket_path());
        match run::run(&config, &socket) {
            Ok(()) => Code::Done,
            Err(error) => {
                complain(&error);
                Code::from(error.code())
            }
        }
    }

    fn demo(&self, options: DemoOptions) -> Code {
        outcome(demo::demo(&options))
    }

    fn simulate(&self, options: SimulateOptions) -> Code {
        outcome(demo::simulate(&options))
    }

    fn child(&self, options: ChildOptions) -> Code {
        let slot = SlotId(options.slot.unwrap_or_default());
        let (name, on_parent_death) = match options.kind {
            // A worker holds nothing that its successor does not get with its loads, and even a stopped one must go.
            ChildKind::Worker => (format!("tl-worker-{slot}"), Signal::SIGKILL),
            // The recorder commits what the workers sent before it goes.
            ChildKind::Recorder => ("tl-recorder".to_owned(), Signal::SIGTERM),
        };
        let channel = match child::enter(options.parent.unwrap_or_default(), &name, on_parent_death) {
            Ok(channel) => channel,
            Err(error) => {
                complain(&error);
                return Code::NotRunning;
            }
        };
        let code = match options.kind {
            ChildKind::Worker => scan::run(channel, slot).map_err(|error| (error.code(), error.to_string())),
            ChildKind::Recorder => record::run(channel).map_err(|error| (error.code(), error.to_string())),
        };
        match code {
            Ok(()) => Code::Done,
            Err((code, error)) => {
                // What failed before the child had a log stands nowhere else.
                if log::max_level() == log::LevelFilter::Off {
                    complain(&error);
                }
                Code::from(code)
            }
        }
    }
}

fn outcome(outcome: Result<Outcome, DemoError>) -> Code {
    match outcome {
        Ok(Outcome::Good) => Code::Done,
        Ok(Outcome::Bad) => Code::Failed,
        Err(error) => {
            complain(&error);
            Code::Failed
        }
    }
}

/// The one line on standard error of a program that cannot go on.
fn complain(error: &dyn fmt::Display) {
    use std::io::Write;
    // If even that cannot be written, the exit code is what is left.
    let _ = writeln!(std::io::stderr(), "touchline: {error}");
}
