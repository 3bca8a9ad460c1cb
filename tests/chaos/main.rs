//! `touchline-chaos --faults N --seed S [--rate R] [--matches M] [--slack MS] [--quick] [--only FAULT]`: random faults against the whole
//! daemon, or `touchline-chaos --matrix [NAME…] [--list]`: each fault at its named place, a line for each; a name stands for all cases
//! that contain it.
//!
//! Ends with a line of figures; the code is 0 when every promise was kept, 1 when not, 2 for arguments that are none.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::expect_used)]

use std::process::{Command, ExitCode};
use std::time::Duration;
use touchline_chaos::{Fault, Options, Which, matrix, run};

const USAGE: &str =
    "usage: chaos --faults N --seed S [--rate DIFFS_PER_S] [--matches N] [--slack MS] [--quick] [--only FAULT]
       chaos --matrix [NAME…] [--list]";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    if words.next_if_eq("--matrix").is_some() {
        return run_matrix(&words.collect::<Vec<_>>());
    }
    if words.next_if_eq("--case").is_some() {
        return run_case(&words.next().unwrap_or_default());
    }
    let options = match parse(words) {
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

/// The cases that are named, or all.
fn run_matrix(names: &[String]) -> ExitCode {
    let wanted: Vec<&String> = names.iter().filter(|name| *name != "--list").collect();
    let cases = matrix::cases();
    let is_wanted =
        |case: &&matrix::Case| wanted.is_empty() || wanted.iter().any(|name| case.name().contains(*name));
    let chosen: Vec<&matrix::Case> = cases.iter().filter(is_wanted).collect();
    if names.len() > wanted.len() {
        chosen.iter().for_each(|case| println!("{}", case.name()));
        return ExitCode::SUCCESS;
    }
    if chosen.is_empty() {
        eprintln!("no case is called {names:?}: --matrix --list names them\n{USAGE}");
        return ExitCode::from(2);
    }
    let began = std::time::Instant::now();
    let mut tally = matrix::Tally::default();
    nix::sys::prctl::set_child_subreaper(true).expect("becoming a subreaper");
    for case in &chosen {
        tally.add(run_apart(case));
    }
    println!(
        "matrix={} ok={} skipped={} bad={} in {:.0} s",
        chosen.len(),
        tally.good,
        tally.skipped,
        tally.bad,
        began.elapsed().as_secs_f32()
    );
    if tally.bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A case in a process of its own: what aborts there harms no other, and what it leaves becomes ours and goes.
fn run_apart(case: &matrix::Case) -> matrix::Tally {
    let program = std::env::current_exe().expect("our own program");
    let output = Command::new(program).args(["--case", case.name()]).env("RUST_BACKTRACE", "0").output();
    let output = output.expect("our own program");
    matrix::end_children();
    let told = String::from_utf8_lossy(&output.stdout);
    match (output.status.code(), told.lines().last()) {
        (Some(0), Some(line)) => {
            println!("{line}");
            matrix::Tally::of_line(line)
        }
        (_, line) => {
            // A panic's message stands below the line that names its place.
            let errors = String::from_utf8_lossy(&output.stderr);
            let panic = errors.lines().skip_while(|line| !line.contains("panicked at")).nth(1);
            let why = panic.or(line).unwrap_or("it ended without a word");
            println!("BAD   {:<44} {why}", case.name());
            matrix::Tally { bad: 1, ..matrix::Tally::default() }
        }
    }
}

/// One case, here.
fn run_case(name: &str) -> ExitCode {
    end_all_at_a_panic();
    let cases = matrix::cases();
    let Some(case) = cases.iter().find(|case| case.name() == name) else {
        eprintln!("no case is called {name:?}\n{USAGE}");
        return ExitCode::from(2);
    };
    let tally = matrix::run([case], &mut |line| println!("{line}"));
    if tally.bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
