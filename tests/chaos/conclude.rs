//! The end of a site: everything that was published and committed against the truth, what is left over, and how long things took.

use super::Options;
use super::inflict::{Cost, Room, reap};
use super::outcome::{Figures, Part, Taken};
use super::plan::{Fault, Planned, Stall};
use super::site::{Site, is_alive, send};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use touchline_harness::process;
use touchline_simulator::{EventsReport, FinalReport, OddsReport, Oracle, OracleReport, Report, Upheaval};

/// How long the documents may take to equal the truth once nothing changes any more.
const TRUTH: Duration = Duration::from_secs(10);
/// How long the recorder may take to commit everything.
const COMMITS: Duration = Duration::from_secs(30);
/// How long a match that ended unseen may be held for alive: `end_linger`, a second load, and time to commit.
const ENDS: Duration = Duration::from_secs(20);
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
/// A coordinator that was killed and is started again follows everything within this.
const RESTARTED: Duration = Duration::from_secs(3);
/// Differences of a kind that are listed.
const LISTED: usize = 8;

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

/// Everything as it was compared with the truth.
struct Found {
    documents: FinalReport,
    events: EventsReport,
    odds: OddsReport,
    published: OracleReport,
    open_gaps: Vec<String>,
    server: Report,
}

/// Compares everything, ends everything, and says what it came to.
pub(crate) fn conclude(mut site: Site, mut ledger: Ledger, options: &Options) -> Part {
    site.simulator.pause();
    let documents = Oracle::new(site.simulator.truth()).settled_documents(TRUTH, |id| site.document(id));
    wait_for_ends(&site);
    wait_for_commits(&site);
    let events = events(&site, &ledger.upheavals);
    let odds = site.auditor.oracle().compare_odds(site.path());
    let published = site.auditor.oracle().report().clone();
    ledger.leaked += site.leaked_descriptors();
    let open_gaps = open_gaps(&site);
    let server = site.simulator.report();
    stop(&mut site, &mut ledger);
    let taken = taken(&ledger, options.slack);
    for one in taken.iter().filter(|one| one.unfollowed > one.limit) {
        let (took, limit) = (one.unfollowed.as_millis(), one.limit.as_millis());
        ledger.breach(format!("{}: {took} ms, promised {limit} ms", one.fault.name()));
    }
    let found = Found { documents, events, odds, published, open_gaps, server };
    let mut wrong = wrong(&found, &ledger, options.cap);
    if !wrong.is_empty() {
        wrong.push(format!("log and store are kept in {}", site.keep().display()));
    }
    Part { seed: options.seed, taken, figures: figures(&found, &ledger), wrong }
}

fn figures(found: &Found, ledger: &Ledger) -> Figures {
    let Found { documents, events, odds, published, .. } = found;
    let lost = documents.missing.len() as u64
        + documents.different.len() as u64
        + published.mismatches
        + (events.different - events.doubled)
        + (odds.different - odds.doubled);
    Figures {
        lost,
        doubled: events.doubled + odds.doubled + documents.extra.len() as u64,
        leftovers: ledger.leftovers as u64,
        leaked: ledger.leaked as u64,
        published: published.checked,
        unknown: published.unknown,
        registers: events.registers,
        commentary: events.commentary,
        odds: odds.rows,
        odds_not_kept: odds.states_dropped,
        matches: events.matches as u64,
        with_gaps: events.with_gaps as u64,
        ended_unseen: events.ended_unseen as u64,
        first_loads_lost: events.first_loads_lost as u64,
        broken: ledger.breaches.len() as u64,
    }
}

/// A line for each thing that is not as promised.
fn wrong(found: &Found, ledger: &Ledger, cap: usize) -> Vec<String> {
    let Found { documents, events, odds, published, open_gaps, server } = found;
    let mut wrong = Vec::new();
    let mut list = |what: &str, items: &[String]| {
        wrong.extend(items.iter().take(LISTED).map(|item| format!("{what}: {item}")));
        if items.len() > LISTED {
            wrong.push(format!("{what}: … and {} more", items.len() - LISTED));
        }
    };
    list("match without a document", &documents.missing);
    list("document of no match", &documents.extra);
    list("document differs", &documents.different);
    list("published, never true", &published.explained);
    list("event differs", &events.differences);
    list("odds differ", &odds.differences);
    list("gap still open", open_gaps);
    list("promise broken", &ledger.breaches);
    if published.checked == 0 || events.registers == 0 || odds.rows == 0 {
        wrong.push("nothing was compared".to_owned());
    }
    if server.over_cap > 0 || server.most_subscriptions > cap {
        wrong.push(format!("over the cap: {} of {cap} subscriptions", server.most_subscriptions));
    }
    if ledger.leftovers > 0 || ledger.leaked > 0 {
        wrong.push(format!("left over: {} processes, {} descriptors", ledger.leftovers, ledger.leaked));
    }
    wrong
}

/// Waits until no gap is open: the end of a match that was not followed then is believed only after a while.
fn wait_for_ends(site: &Site) {
    let until = Instant::now() + ENDS;
    while !open_gaps(site).is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Waits until the recorder has nothing left to commit: its counters, reported each second, are the same twice.
fn wait_for_commits(site: &Site) {
    let until = Instant::now() + COMMITS;
    let mut before = None;
    loop {
        let status = site.ask("status", json!({}));
        let count = |name: &str| status.pointer(&format!("/recorder/{name}")).and_then(Value::as_u64);
        let now = ["events", "bulk", "queue"].map(count);
        let idle = count("queue") == Some(0);
        if (idle && before.as_ref() == Some(&now)) || Instant::now() >= until {
            return;
        }
        before = Some(now);
        // Values that settle do so 2 s after a new connection brought them, and the counters are up to a second old.
        std::thread::sleep(Duration::from_millis(3_500));
    }
}

fn events(site: &Site, upheavals: &[Upheaval]) -> EventsReport {
    let mut stream = site.event_stream();
    let mut recorded = site.auditor.oracle().recorded();
    while let Some(line) = stream.next_line(Some(Duration::from_secs(10))).expect("the events") {
        recorded.push(&line).expect("an event in JSON");
    }
    site.auditor.oracle().compare_recorded(upheavals, recorded)
}

fn open_gaps(site: &Site) -> Vec<String> {
    let open = |gap: &&Value| gap.get("ended_at").is_none_or(Value::is_null);
    site.gaps().iter().filter(open).map(Value::to_string).collect()
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
fn taken(ledger: &Ledger, slack: Duration) -> Vec<Taken> {
    let one = |(planned, cost): &(Planned, Cost)| Taken {
        fault: planned.fault,
        again: cost.again,
        unfollowed: cost.unfollowed,
        limit: limit(planned, cost) + slack,
        server: cost.server,
    };
    ledger.costs.iter().map(one).collect()
}

/// How long matches may not be followed because of a fault.
fn limit(planned: &Planned, cost: &Cost) -> Duration {
    match planned.fault {
        Fault::WorkerKill => match cost.room {
            Room::Enough => KILLED + cost.server,
            Room::Short => KILLED + RESTED + cost.server,
        },
        Fault::WorkerStop(Stall::Short) => planned.lasts + CAUGHT_UP + cost.server,
        Fault::WorkerStop(Stall::Silent | Stall::Hung) => STOPPED + cost.server,
        Fault::ResetOne | Fault::ResetAll => RECONNECTED + cost.server,
        Fault::CoordinatorKill => RESTARTED + cost.server,
        // The workers go on.
        Fault::RecorderKill | Fault::RecorderStop(_) | Fault::CoordinatorStop | Fault::ServerPause => {
            Duration::ZERO
        }
    }
}
