//! The table of faults at named places: every case is one line, can be run by its name, and leaves nothing behind.
//!
//! A case starts a simulated server and the real daemon (the program with failpoints), breaks one thing, and holds what follows
//! against what is promised: every match live again, documents and events true, deaths named, descriptors given back, no process
//! left. `ground` is what a case stands on, the other files are the cases. Callers: `touchline-chaos --matrix`, and the end-to-end
//! tests for a few of them.

mod children;
mod ground;
mod limits;
mod points;
mod poison;
mod pulse;
mod signals;
mod stalls;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;
use touchline_harness::fixture::wait_for_no_children;
use touchline_harness::process;

/// One fault and what must follow.
pub struct Case {
    name: String,
    run: Box<dyn Fn() -> Verdict>,
}

/// What a case reports when all was as it should be.
enum Verdict {
    Good(String),
    /// It cannot be done here, and why.
    Skipped(String),
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Case {
    fn new(name: impl Into<String>, run: impl Fn() -> Verdict + 'static) -> Case {
        Case { name: name.into(), run: Box::new(run) }
    }

    /// Its name, which stands for it on the command line.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Every case, in the order in which they are run.
pub fn cases() -> Vec<Case> {
    let mut cases = points::cases();
    cases.extend(stalls::cases());
    cases.extend(signals::cases());
    cases.extend(limits::cases());
    cases.extend(children::cases());
    cases.extend(poison::cases());
    cases
}

/// What a run of cases came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// As promised.
    pub good: usize,
    /// Impossible here.
    pub skipped: usize,
    /// Not as promised.
    pub bad: usize,
}

impl Tally {
    /// What a line of [`run`] counts as.
    pub fn of_line(line: &str) -> Tally {
        let mut tally = Tally::default();
        match line.split_whitespace().next() {
            Some("ok") => tally.good = 1,
            Some("skip") => tally.skipped = 1,
            Some(_) | None => tally.bad = 1,
        }
        tally
    }

    /// Adds another's.
    pub fn add(&mut self, other: Tally) {
        self.good += other.good;
        self.skipped += other.skipped;
        self.bad += other.bad;
    }
}

/// Runs the cases, here, as far as a panic unwinds; `report` gets a line for each.
pub fn run<'a>(cases: impl IntoIterator<Item = &'a Case>, report: &mut dyn FnMut(&str)) -> Tally {
    let subreaper = nix::sys::prctl::set_child_subreaper(true);
    subreaper.expect("becoming a subreaper");
    let mut tally = Tally::default();
    for case in cases {
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let verdict = (case.run)();
            // Whatever outlives its case has become our child.
            wait_for_no_children(ground::GONE);
            verdict
        }));
        let took = began.elapsed().as_secs_f32();
        let name = &case.name;
        match outcome {
            Ok(Verdict::Good(note)) => {
                tally.good += 1;
                report(&format!("ok    {name:<44} {took:>5.1} s  {note}"));
            }
            Ok(Verdict::Skipped(why)) => {
                tally.skipped += 1;
                report(&format!("skip  {name:<44} {took:>5.1} s  {why}"));
            }
            Err(panic) => {
                tally.bad += 1;
                process::end_children();
                report(&format!("BAD   {name:<44} {took:>5.1} s  {}", message(panic.as_ref())));
            }
        }
    }
    tally
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
