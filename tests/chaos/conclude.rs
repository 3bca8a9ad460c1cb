//! The end of a site: what it comes to against the truth (`compare`), what is left over, and how long things took.

use super::compare::{self, Compared, list};
use super::inflict::{Cost, Room, reap};
use super::outcome::{Figures, Part, Taken};
use super::plan::{Fault, Planned, Stall};
use super::site::{Site, is_alive, send};
use super::{FeedChoice, Options};
use nix::sys::signal::Signal;
use serde_json::json;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use touchline_harness::process;
use touchline_simulator::Upheaval;

/// How long the daemon may take to leave when it is asked to.
const LEAVE: Duration = Duration::from_secs(25);
/// A killed worker's matches are followed again within this, the server's own time apart,
const KILLED: Duration = Duration::from_millis(100);
/// and where a worker has to be waited for that died right after its start, this much later.
const RESTED: Duration = Duration::from_millis(1_500);
/// A stopped worker's matches are followed elsewhere within this.
const STOPPED: Duration = Duration::from_secs(3);
/// One that goes on before is itself again this much later.
const CAUGHT_UP: Duration = Duration::from_millis(500);
/// A connection that was reset is back within this: a wait of at most 250 ms, the connection, the loads.
const RECONNECTED: Duration = Duration::from_secs(1);
/// A room that could not be reached waits for its next attempt as long as that at the most, or so long.
const WAITED: Duration = Duration::from_millis(250);
/// What the connections and joins of a worker's rooms take beyond that.
const JOINED: Duration = Duration::from_secs(2);
/// A coordinator that was killed and is started again follows everything within this.
const RESTARTED: Duration = Duration::from_secs(3);

/// What is gathered while faults happen.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    costs: Vec<(Planned, Cost)>,
    breaches: Vec<String>,
    /// When matches were not followed.
    upheavals: Vec<Upheaval>,
    pub(crate) leftovers: usize,
    pub(crate) leaked: usize,
}

impl Ledger {
    /// A promise was broken.
    pub(crate) fn breach(&mut self, what: String) {
        self.breaches.push(what);
    }

    /// A fault is over, which began at `from`.
    pub(crate) fn add(&mut self, planned: &Planned, cost: Cost, from: SystemTime) {
        if !cost.unfollowed.is_zero() {
            // Times of what happened are whole seconds.
            let (from, to) = (seconds(from) - 1, seconds(SystemTime::now()) + 1);
            self.upheavals.push(Upheaval { from, to });
        }
        self.costs.push((*planned, cost));
    }
}

fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}

/// Compares everything, ends everything, and says what it came to.
pub(crate) fn conclude(mut site: Site, mut ledger: Ledger, options: &Options) -> Part {
    site.server.pause();
    let Compared { figures, mut wrong } = compare::compare(&site, &ledger.upheavals, options.cap);
    ledger.leaked += site.leaked_descriptors();
    let open_gaps = compare::open_gaps(&site);
    stop(&mut site, &mut ledger);
    let taken = taken(&ledger, options);
    for one in taken.iter().filter(|one| one.unfollowed > one.limit) {
        let (took, limit) = (one.unfollowed.as_millis(), one.limit.as_millis());
        ledger.breach(format!("{}: {took} ms, promised {limit} ms", one.fault.name()));
    }
    list(&mut wrong, "gap still open", &open_gaps);
    list(&mut wrong, "promise broken", &ledger.breaches);
    if ledger.leftovers > 0 || ledger.leaked > 0 {
        wrong.push(format!("left over: {} processes, {} descriptors", ledger.leftovers, ledger.leaked));
    }
    if !wrong.is_empty() {
        wrong.push(format!("log and store are kept in {}", site.keep().display()));
    }
    let figures = Figures {
        leftovers: ledger.leftovers as u64,
        leaked: ledger.leaked as u64,
        broken: ledger.breaches.len() as u64,
        ..figures
    };
    Part { seed: options.seed, taken, figures, wrong }
}

fn stop(site: &mut Site, ledger: &mut Ledger) {
    let _ = site.request("stop", json!({}));
    let status = site.daemon.wait_for_end(LEAVE);
    if status.code() != Some(0) {
        ledger.breach(format!("the daemon ended with {status}"));
    }
    let until = Instant::now() + Duration::from_secs(3);
    let left = loop {
        reap(0);
        let left: Vec<u32> = process::children(std::process::id());
        if left.is_empty() || Instant::now() >= until {
            break left;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    for pid in left.iter().filter(|pid| is_alive(**pid)) {
        send(*pid, Signal::SIGKILL);
    }
    ledger.leftovers += left.len();
    let log = site.daemon.log();
    for line in log.lines().filter(|line| line.contains("process.panic")).take(3) {
        ledger.breach(line.to_owned());
    }
}

/// Every fault with what it took and what it may take.
fn taken(ledger: &Ledger, options: &Options) -> Vec<Taken> {
    let one = |(planned, cost): &(Planned, Cost)| Taken {
        fault: planned.fault,
        again: cost.again,
        unfollowed: cost.unfollowed,
        limit: limit(planned, cost, options.feed) + options.slack,
        server: cost.server,
    };
    ledger.costs.iter().map(one).collect()
}

/// How long matches may not be followed because of a fault. Each room has a connection and a join of its own, in its turn.
fn limit(planned: &Planned, cost: &Cost, feed: FeedChoice) -> Duration {
    let joins = match feed {
        FeedChoice::Matches => Duration::ZERO,
        FeedChoice::Rooms => JOINED,
    };
    match of_matches(planned, cost) {
        Duration::ZERO => Duration::ZERO,
        limit => limit + joins,
    }
}

fn of_matches(planned: &Planned, cost: &Cost) -> Duration {
    match planned.fault {
        Fault::WorkerKill => match cost.room {
            Room::Enough => KILLED + cost.server,
            Room::Short => KILLED + RESTED + cost.server,
        },
        Fault::WorkerStop(Stall::Short) => planned.lasts + CAUGHT_UP + cost.server,
        Fault::WorkerStop(Stall::Silent | Stall::Hung) => STOPPED + cost.server,
        Fault::ResetOne | Fault::ResetAll => RECONNECTED + cost.server,
        Fault::CoordinatorKill => RESTARTED + cost.server,
        Fault::HostDown => planned.lasts + planned.lasts.max(WAITED) + cost.server,
        // The workers go on.
        Fault::RecorderKill | Fault::RecorderStop(_) | Fault::CoordinatorStop | Fault::ServerPause => {
            Duration::ZERO
        }
    }
}
