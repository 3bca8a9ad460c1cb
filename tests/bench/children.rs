//! What the benchmark runs as processes of its own: itself, with a hidden first word.

use crate::error::{BenchError, While};
use crate::{instructions, live, loads, say};
use std::process::{Command, ExitCode};

const WORD: &str = "--child";

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Child {
    /// Loads once, in a process that has never done it.
    ColdLoads,
    /// A process of the skeleton that reads and frames a connection.
    Framer,
    /// The one to which they pass the frames on.
    Sink,
    /// The HTTP engine alone.
    Engine,
    /// A hot path again and again, so that its instructions can be counted.
    Work,
}

impl Child {
    const ALL: [Child; 5] = [Child::ColdLoads, Child::Framer, Child::Sink, Child::Engine, Child::Work];

    fn as_str(self) -> &'static str {
        match self {
            Child::ColdLoads => "cold-loads",
            Child::Framer => "framer",
            Child::Sink => "sink",
            Child::Engine => "engine",
            Child::Work => "work",
        }
    }

    /// The command that starts it.
    pub fn command(self) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.args([WORD, self.as_str()]);
        command
    }

    /// Runs it to its end and gives the numbers that it printed.
    ///
    /// # Errors
    /// When it does not start, fails, or prints something else.
    pub fn numbers(self) -> Result<Vec<f64>, BenchError> {
        let what = format!("the process {}", self.as_str());
        let output = self.command().output().during(&what)?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(BenchError::new(&what, text.trim()));
        }
        text.split_whitespace().map(|word| word.parse::<f64>().during(&what)).collect()
    }
}

/// Runs as a child, if the command line says so.
pub fn run(given: &[String]) -> Option<ExitCode> {
    let (first, rest) = given.split_first()?;
    if first != WORD {
        return None;
    }
    let child = Child::ALL.into_iter().find(|child| rest.first().is_some_and(|word| word == child.as_str()));
    let done = match child {
        Some(Child::ColdLoads) => loads::cold_child(),
        Some(Child::Framer) => live::framer(rest.get(1..).unwrap_or_default()),
        Some(Child::Sink) => live::sink(rest.get(1..).unwrap_or_default()),
        Some(Child::Engine) => live::engine(rest.get(1..).unwrap_or_default()),
        Some(Child::Work) => instructions::work(rest.get(1..).unwrap_or_default()),
        None => Err(BenchError::new("starting a child", "there is none of that name")),
    };
    Some(match done {
        Ok(result) => {
            say(&result);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    })
}
