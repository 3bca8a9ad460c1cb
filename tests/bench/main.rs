//! The benchmark: each row of the design's table of targets beside its limit, as measured on this machine.
//!
//! A row repeats its measurement, taking turns with what it is compared with, and gives the median with the lowest and
//! the highest. What a row needs and does not find makes it `not measured`, never a guess. `scripts/bench` builds and
//! runs this program; `docs/performance.md` says how to read it.

mod arguments;
mod children;
mod effort;
mod error;
mod flood;
mod forest;
mod incidents;
mod instructions;
mod live;
mod loads;
mod machine;
mod mix;
mod payload;
mod report;
mod rows;
mod saturation;
mod size;

use arguments::{Arguments, Fail, Form};
use error::{BenchError, While};
use report::Row;
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = children::run(&given) {
        return code;
    }
    let arguments = match Arguments::parse(&given) {
        Ok(arguments) => arguments,
        Err(why) => {
            say(&why);
            return ExitCode::from(2);
        }
    };
    if arguments.form == Form::Help {
        say(&arguments::help());
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(over) if over && arguments.fail == Fail::WhenOver => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            ExitCode::from(2)
        }
    }
}

/// Measures, or takes what was measured, and prints it; whether a figure is over its limit.
fn run(arguments: &Arguments) -> Result<bool, BenchError> {
    let old = arguments.compare.as_deref().map(read).transpose()?;
    let result = match &arguments.from {
        Some(file) => read(file)?,
        None => measure(arguments),
    };
    match arguments.form {
        Form::Json => say(&result.to_string()),
        Form::Markdown => say(&report::markdown(&result)),
        Form::Text | Form::Help => {}
    }
    if let Some(old) = old {
        say(&report::compare(&old, &result));
    }
    Ok(result.get("over").and_then(Value::as_bool).unwrap_or(false))
}

fn measure(arguments: &Arguments) -> Value {
    let machine = machine::Machine::here();
    let spoken = arguments.form == Form::Text;
    if spoken {
        say(&machine.text());
    }
    let mut measured: Vec<Row> = Vec::new();
    for name in &arguments.rows {
        let row = rows::measure(*name, arguments.effort);
        if spoken {
            say(&row.text());
        } else {
            let _ = writeln!(std::io::stderr().lock(), "measured {}", name.as_str());
        }
        measured.push(row);
    }
    report::json(&machine, &measured)
}

fn read(file: &Path) -> Result<Value, BenchError> {
    let what = format!("reading {}", file.display());
    let text = std::fs::read_to_string(file).during(&what)?;
    serde_json::from_str(&text).during(&what)
}

/// Prints a line; a reader that went away is no failure.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
