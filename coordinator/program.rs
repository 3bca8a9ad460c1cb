//! What the verbs that are more than a question do: the daemon, the demo, the simulated server, the forked processes.

use crate::cli::{Code, CommandError, Commands, DemoOptions, OutputFormat};
use crate::demo::{self, Outcome};
use crate::pool::Child;
use crate::supervise::run;
use nix::sys::signal::Signal;
use std::fmt;
use std::path::PathBuf;
use touchline_common::config::Config;
use touchline_common::sys::child;
use touchline_simulator::api::ApiOptions;
use touchline_simulator::push::PushOptions;
use touchline_simulator::{Options, RoomOptions};
use touchline_worker::{record, scan, serve};

#[derive(Clone, Copy, Debug)]
pub struct Program;

impl Commands for Program {
    fn run(&self, config: Config, socket: PathBuf) -> Result<Code, CommandError> {
        let ran = run::run(&config, &socket);
        ran.map(|()| Code::Done).map_err(|error| CommandError { code: error.code, why: error.why })
    }

    fn demo(&self, options: DemoOptions) -> Result<Code, CommandError> {
        outcome(demo::demo(&options))
    }

    fn demo_rooms(&self, options: DemoOptions<RoomOptions>) -> Result<Code, CommandError> {
        outcome(demo::rooms::demo(&options))
    }

    fn demo_push(&self, options: DemoOptions<PushOptions>) -> Result<Code, CommandError> {
        outcome(demo::push::demo(&options))
    }

    fn simulate_push(&self, server: PushOptions, output: OutputFormat) -> Result<Code, CommandError> {
        outcome(demo::push::simulate(&server, output))
    }

    fn simulate_rooms(&self, server: RoomOptions, output: OutputFormat) -> Result<Code, CommandError> {
        outcome(demo::rooms::simulate(&server, output))
    }

    fn demo_poll(&self, options: DemoOptions<ApiOptions>) -> Result<Code, CommandError> {
        outcome(demo::poll::demo(&options))
    }

    fn simulate_poll(&self, server: ApiOptions, output: OutputFormat) -> Result<Code, CommandError> {
        outcome(demo::poll::simulate(&server, output))
    }

    fn simulate(&self, server: Options, output: OutputFormat) -> Result<Code, CommandError> {
        outcome(demo::simulate(&server, output))
    }

    fn child(&self, child: Child, parent: u32) -> Code {
        let (name, on_parent_death) = match child {
            // A worker holds nothing that its successor does not get with its loads, and even a stopped one must go.
            Child::Worker(slot) => (format!("tl-worker-{slot}"), Signal::SIGKILL),
            // The recorder commits what the workers sent before it goes.
            Child::RECORDER => ("tl-recorder".to_owned(), Signal::SIGTERM),
            // It holds nothing that is not held elsewhere.
            Child::GATEWAY => ("tl-gateway".to_owned(), Signal::SIGKILL),
        };
        let channel = match child::enter(parent, &name, on_parent_death) {
            Ok(channel) => channel,
            Err(error) => {
                complain(&error);
                return Code::NotRunning;
            }
        };
        let code = match child {
            Child::Worker(slot) => {
                scan::run(channel, slot).map_err(|error| (error.code(), error.to_string()))
            }
            Child::RECORDER => record::run(channel).map_err(|error| (error.code(), error.to_string())),
            Child::GATEWAY => serve::run(channel).map_err(|error| (error.code(), error.to_string())),
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

fn outcome(outcome: Result<Outcome, String>) -> Result<Code, CommandError> {
    match outcome {
        Ok(Outcome::Good) => Ok(Code::Done),
        Ok(Outcome::Bad) => Ok(Code::Failed),
        Err(why) => Err(CommandError { code: Code::Failed, why }),
    }
}

/// The one line on standard error of a child that cannot go on.
fn complain(error: &dyn fmt::Display) {
    use std::io::Write;
    // If even that cannot be written, the exit code is what is left.
    let _ = writeln!(std::io::stderr(), "touchline: {error}");
}
