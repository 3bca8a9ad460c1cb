//! Faults against the whole daemon, drawn from a seed, one after another; then everything that came out is compared with the truth.
//!
//! `plan` is pure: the same seed gives the same faults. `site` is a simulated server (`server`), the real daemon and the oracle between them;
//! `inflict` does one fault and measures how long matches were not followed; `conclude` ends it all, `compare` holds it against the truth. A long run has several sites,
//! each a process: `share` says whose part is what, `outcome` adds up what they came to, both pure. `matrix` is the table of faults at named places. Callers: the program beside this, which `scripts/chaos` runs, and a short run among the end-to-end tests.
// Nothing here is part of the daemon: what fails ends the run with its reason.
#![allow(clippy::expect_used, clippy::panic)]

mod compare;
mod conclude;
mod inflict;
pub mod matrix;
mod outcome;
mod plan;
mod server;
mod share;
mod site;

pub use outcome::{Figures, Outcome, Part, Progress, Taken, merge};
pub use plan::{Fault, Plan, Planned, Stall, Which};
pub use share::{SITES_MAX, sites_for};

use conclude::Ledger;
use inflict::Cost;
use site::Site;
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

/// What the daemon follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedChoice {
    /// Matches of a push server.
    Matches,
    /// Live rooms.
    Rooms,
}

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many faults.
    pub faults: usize,
    /// What everything random comes from.
    pub seed: u64,
    /// What is followed.
    pub feed: FeedChoice,
    /// Diffs a second; of rooms messages.
    pub rate: f64,
    /// Matches at a time; or rooms.
    pub matches: usize,
    /// Subscriptions of one connection; or rooms of one worker.
    pub cap: usize,
    /// Connections, each a worker, that share a process; with more than one the strategy is `multiplex`.
    pub connections: usize,
    /// Which faults may come.
    pub which: Which,
    /// Time that a busy machine may add to each bound.
    pub slack: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            faults: 100,
            seed: 1,
            feed: FeedChoice::Matches,
            rate: 2_000.0,
            matches: 60,
            cap: 20,
            connections: 1,
            which: Which::All,
            slack: Duration::ZERO,
        }
    }
}

/// Deaths of workers in a minute: at more than 20 the daemon starts no others, as is promised, and nothing else is then.
const DEATHS_A_MINUTE: usize = 18;

/// Waits until one more worker may die without that.
fn keep_to_the_intensity(fault: Fault, deaths: &mut VecDeque<Instant>) {
    let minute = Duration::from_secs(61);
    match fault {
        Fault::WorkerKill | Fault::WorkerStop(Stall::Hung) => {}
        // A new coordinator counts anew.
        Fault::CoordinatorKill => return deaths.clear(),
        Fault::WorkerStop(Stall::Short | Stall::Silent)
        | Fault::RecorderKill
        | Fault::RecorderStop(_)
        | Fault::CoordinatorStop
        | Fault::ResetOne
        | Fault::ResetAll
        | Fault::ServerPause
        | Fault::HostDown => return,
    }
    if deaths.len() >= DEATHS_A_MINUTE
        && let Some(oldest) = deaths.pop_front()
    {
        std::thread::sleep((oldest + minute).saturating_duration_since(Instant::now()));
    }
    deaths.push_back(Instant::now());
}

/// Runs all of it in one site, here; `report` gets a line per fault.
///
/// # Panics
/// As [`run_site`].
pub fn run(options: &Options, report: &mut dyn FnMut(&str)) -> Outcome {
    let part = run_site(options, &mut |progress| match progress {
        Progress::Line(line) => report(&line),
        Progress::Began(_) | Progress::Done(_) => {}
    });
    merge(options.seed, &[Ok(part)])
}

/// Runs one site, here; `report` gets everything but the outcome, which is returned.
///
/// # Panics
/// When something cannot be started or asked, or does not come back within its deadline.
pub fn run_site(options: &Options, report: &mut dyn FnMut(Progress)) -> Part {
    let plan = Plan::new(options.seed, options.faults, options.which, options.feed);
    let folder = site::make_folder();
    report(Progress::Began(folder.path().to_owned()));
    let mut site = Site::start(options, folder);
    let mut ledger = Ledger::default();
    let mut deaths = VecDeque::new();
    for (n, planned) in plan.faults.iter().enumerate() {
        std::thread::sleep(planned.pause);
        keep_to_the_intensity(planned.fault, &mut deaths);
        let from = SystemTime::now();
        let cost: Cost = inflict::inflict(&mut site, planned, &mut ledger);
        report(Progress::Line(format!(
            "{:>4}  {:<24} live again after {:>6} ms{}",
            n + 1,
            planned.fault.name(),
            cost.again.as_millis(),
            cost.note
        )));
        ledger.add(planned, cost, from);
    }
    conclude::conclude(site, ledger, options)
}
