//! The benchmark: each row of the design's table of targets beside its limit, as measured on this machine.
//!
//! A row repeats its measurement and gives the median, which is held against the limit, and the best. What a row
//! needs and does not find makes it `not measured`, never a guess. `scripts/bench` builds and runs this program.

mod arguments;
mod children;
mod error;
mod flood;
mod forest;
mod live;
mod loads;
mod machine;
mod payload;
mod report;
mod rows;
mod saturation;

use arguments::{Arguments, Form};
use report::Row;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = children::run(&given) {
        return code;
    }
    let arguments = match Arguments::parse(&given) {
        Ok(arguments) => arguments,
        Err(told) => {
            say(&told);
            return ExitCode::from(2);
        }
    };
    if arguments.form == Form::Help {
        say(&arguments::help());
        return ExitCode::SUCCESS;
    }
    let machine = machine::Machine::here();
    if arguments.form == Form::Text {
        say(&machine.text());
    }
    let mut measured: Vec<Row> = Vec::new();
    for name in &arguments.rows {
        let row = rows::measure(*name);
        if arguments.form == Form::Text {
            say(&row.text());
        }
        measured.push(row);
    }
    if arguments.form == Form::Json {
        say(&report::json(&machine, &measured).to_string());
    }
    let over = measured.iter().any(Row::is_over);
    if over && arguments.fail == arguments::Fail::WhenOver { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Prints a line; a reader that went away is no failure.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
