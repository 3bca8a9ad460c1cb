//! `touchline-chaos --faults N --seed S [--rate R] [--matches M] [--slack MS] [--quick] [--only FAULT]`: faults against the whole daemon.
//!
//! Ends with a line of figures; the code is 0 when every promise was kept, 1 when not, 2 for arguments that are none.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::time::Duration;
use touchline_chaos::{Fault, Options, Which, run};

const USAGE: &str = "usage: chaos --faults N --seed S [--rate DIFFS_PER_S] [--matches N] [--slack MS] [--quick] [--only FAULT]";

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(told) => {
            eprintln!("{told}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    println!(
        "seed {}  {} faults, {} matches, {:.0} diffs/s, {} subscriptions a connection",
        options.seed, options.faults, options.matches, options.rate, options.cap
    );
    end_all_at_a_panic();
    let outcome = run(&options, &mut |line| println!("{line}"));
    println!();
    for line in outcome.table.iter().chain(&outcome.wrong) {
        println!("{line}");
    }
    println!("{}", outcome.summary);
    if outcome.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A run that cannot go on leaves no process behind; folder and log stay where they are.
fn end_all_at_a_panic() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        hook(info);
        for pid in touchline_harness::process::children(std::process::id()) {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid as i32),
                nix::sys::signal::Signal::SIGKILL,
            );
        }
    }));
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(word) = words.next() {
        if word == "--quick" {
            options.which = Which::Quick;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{word} lacks its value"))?;
        let bad = || format!("{word} {value:?}: expected a number");
        match word.as_str() {
            "--faults" => options.faults = value.parse().map_err(|_| bad())?,
            "--seed" => options.seed = value.parse().map_err(|_| bad())?,
            "--rate" => options.rate = value.parse().map_err(|_| bad())?,
            "--matches" => options.matches = value.parse().map_err(|_| bad())?,
            "--only" => {
                let fault = Fault::named(&value).ok_or_else(|| format!("{word} {value:?}: no such fault"))?;
                options.which = Which::Only(fault);
            }
            "--slack" => options.slack = Duration::from_millis(value.parse().map_err(|_| bad())?),
            _ => return Err(format!("{word} is no argument")),
        }
    }
    Ok(options)
}
