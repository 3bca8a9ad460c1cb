//! `touchline-chaos --faults N --seed S [--sites K] [--rate R] [--matches M] [--slack MS] [--quick] [--only FAULT]`: random faults against
//! the whole daemon, or `touchline-chaos --matrix [NAME…] [--list]`: each fault at its named place, a line for each; a name stands for
//! all cases that contain it.
//!
//! Sites and cases are processes of their own (`apart`). Ends with a line of figures; the code is 0 when every promise was kept, 1 when
//! not, 2 for arguments that are none, and 128 and the signal's number after one that asked us to leave.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::expect_used)]

mod apart;
mod arguments;
mod sites;

use apart::{Apart, Received, What};
use arguments::{USAGE, Wanted};
use nix::sys::signal::Signal;
use std::collections::VecDeque;
use std::process::{Command, ExitCode};
use touchline_chaos::matrix;
use touchline_harness::process;

/// Lines of a log that say why something never came.
const LAST_WORDS: usize = 40;

fn main() -> ExitCode {
    end_all_at_a_panic();
    match arguments::parse(std::env::args().skip(1)) {
        Ok(Wanted::Faults { options, sites }) => sites::run(&options, sites),
        Ok(Wanted::Site { options }) => sites::be_one(&options),
        Ok(Wanted::Matrix(names)) => with_cases(&names, run_matrix),
        Ok(Wanted::Names(names)) => with_cases(&names, |cases| {
            cases.iter().for_each(|case| println!("{}", case.name()));
            ExitCode::SUCCESS
        }),
        Ok(Wanted::Case(name)) => be_case(&name),
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Calls `act` with the cases that are named, or all.
fn with_cases(names: &[String], act: impl FnOnce(&[&matrix::Case]) -> ExitCode) -> ExitCode {
    let cases = matrix::cases();
    let is_wanted =
        |case: &&matrix::Case| names.is_empty() || names.iter().any(|name| case.name().contains(name));
    let chosen: Vec<&matrix::Case> = cases.iter().filter(is_wanted).collect();
    if chosen.is_empty() {
        eprintln!("no case is called {names:?}: --matrix --list names them\n{USAGE}");
        return ExitCode::from(2);
    }
    act(&chosen)
}

fn run_matrix(cases: &[&matrix::Case]) -> ExitCode {
    let began = std::time::Instant::now();
    let mut tally = matrix::Tally::default();
    let mut apart = Apart::new();
    for case in cases {
        match run_apart(&mut apart, case) {
            Ok(one) => tally.add(one),
            Err(signal) => {
                drop(apart);
                return interrupted(signal);
            }
        }
    }
    println!(
        "matrix={} ok={} skipped={} bad={} in {:.0} s",
        cases.len(),
        tally.good,
        tally.skipped,
        tally.bad,
        began.elapsed().as_secs_f32()
    );
    if tally.bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A case in a process of its own.
///
/// # Errors
/// The signal that asks us to leave.
fn run_apart(apart: &mut Apart, case: &matrix::Case) -> Result<matrix::Tally, Signal> {
    apart.start(0, ourselves(["--case".to_owned(), case.name().to_owned()]));
    let (mut last, mut complaints, mut end) = (None, VecDeque::new(), None);
    while let Some(received) = apart.next() {
        match received {
            Received::Of(_, What::Output(line)) => last = Some(line),
            Received::Of(_, What::Errors(line)) => complaints.push_back(line),
            Received::Of(_, What::Ended(status)) => end = status.code(),
            Received::Interrupted(signal) => return Err(signal),
        }
    }
    if let (Some(0), Some(line)) = (end, &last) {
        println!("{line}");
        return Ok(matrix::Tally::of_line(line));
    }
    let why = panic_of(&complaints).or(last.as_ref());
    println!("BAD   {:<44} {}", case.name(), why.map_or("it ended without output", String::as_str));
    complaints.iter().for_each(|line| eprintln!("{line}"));
    Ok(matrix::Tally { bad: 1, ..matrix::Tally::default() })
}

/// One case, here.
fn be_case(name: &str) -> ExitCode {
    apart::be_apart();
    let cases = matrix::cases();
    let Some(case) = cases.iter().find(|case| case.name() == name) else {
        eprintln!("no case is called {name:?}\n{USAGE}");
        return ExitCode::from(2);
    };
    let tally = matrix::run([case], &mut |line| println!("{line}"));
    if tally.bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a panic printed: its message stands below the line that names its place.
fn panic_of(complaints: &VecDeque<String>) -> Option<&String> {
    complaints.iter().skip_while(|line| !line.contains("panicked at")).nth(1)
}

fn ourselves(words: impl IntoIterator<Item = String>) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("our own program"));
    command.args(words).env("RUST_BACKTRACE", "0");
    command
}

fn interrupted(signal: Signal) -> ExitCode {
    println!("ended by {signal}: nothing was concluded");
    ExitCode::from(128_u8.saturating_add(signal as u8))
}

/// A run that cannot go on prints the end of the daemon's log, and leaves no process behind; folder and log stay where they are.
fn end_all_at_a_panic() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        hook(info);
        eprint!("{}", process::last_words(LAST_WORDS));
        process::end_children();
    }));
}
