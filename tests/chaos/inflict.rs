//! One fault, and how long matches were not followed because of it.
//!
//! Who is concerned is fixed before the fault: matches that appear meanwhile do not count, those that end meanwhile are let go.

use super::conclude::Ledger;
use super::plan::{Fault, Planned, Stall};
use super::site::{SETTLE, Seat, Site, is_alive, send};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};
use touchline_harness::{process, wait};
use touchline_simulator::Reset;

/// A silent worker's matches are followed elsewhere after at most this; longer is not waited for.
const TAKEN_OVER: Duration = Duration::from_secs(12);
/// How long children may outlive the coordinator.
const ORPHANS: Duration = Duration::from_secs(5);
/// The server's report is that old at most.
const REPORT: Duration = Duration::from_millis(120);

/// The note of faults that stop no worker.
const WENT_ON: &str = "  (workers went on)";

/// What a fault cost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cost {
    /// From the fault, or its end where it stops everybody, until all was live again.
    pub(crate) again: Duration,
    /// The longest time for which a match was not followed; none while workers go on.
    pub(crate) unfollowed: Duration,
    /// How much of it the server took to answer.
    pub(crate) server: Duration,
    /// Whether the other workers had room for what the victim followed.
    pub(crate) room: Room,
    /// What else is to be noted.
    pub(crate) note: String,
}

/// The places beside a victim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Room {
    /// For all of it, or no match had to move.
    #[default]
    Enough,
    /// Not for all: some wait for a start, which waits in turn after early deaths.
    Short,
}

impl Cost {
    fn unfollowed(time: Duration) -> Cost {
        Cost { again: time, unfollowed: time, ..Cost::default() }
    }
}

/// Does it, and returns when everything is live again.
pub(crate) fn inflict(site: &mut Site, planned: &Planned, ledger: &mut Ledger) -> Cost {
    let served = serving(site);
    let restarts = number(site, "/workers/restarts");
    let pids = site.worker_pids();
    let mut cost = match planned.fault {
        Fault::WorkerKill => kill_worker(site, planned),
        Fault::WorkerStop(stall) => stop_worker(site, planned, stall),
        Fault::RecorderKill => kill_recorder(site),
        Fault::RecorderStop(stall) => stop_recorder(site, planned, stall),
        Fault::CoordinatorKill => kill_coordinator(site, ledger),
        Fault::CoordinatorStop => stop_coordinator(site, planned),
        Fault::ResetOne => reset(site, Reset::One(planned.victim)),
        Fault::ResetAll => reset(site, Reset::All),
        Fault::ServerPause => pause_server(site, planned),
        Fault::HostDown => take_host_down(site, planned),
    };
    site.settle();
    release_from_quarantine(site, &mut cost);
    thread::sleep(REPORT);
    cost.server = serving(site).saturating_sub(served);
    let spares_workers = match planned.fault {
        Fault::WorkerKill | Fault::WorkerStop(Stall::Hung) | Fault::CoordinatorKill => false,
        Fault::RecorderKill
        | Fault::RecorderStop(_)
        | Fault::WorkerStop(Stall::Short | Stall::Silent)
        | Fault::CoordinatorStop
        | Fault::ResetOne
        | Fault::ResetAll
        | Fault::ServerPause
        | Fault::HostDown => true,
    };
    if spares_workers && !pids.is_subset(&site.worker_pids()) {
        let after = number(site, "/workers/restarts");
        ledger.breach(format!("{}: a worker went (restarts {restarts}, then {after})", planned.fault.name()));
    }
    cost
}

fn kill_worker(site: &Site, planned: &Planned) -> Cost {
    let Victim { slots, pid, before } = victim(site, planned);
    let matches = before.values().filter(|seat| seat.is_of(&slots)).count();
    // One more for the list, which it may hold.
    let room = if site.room_beside(&slots) > matches { Room::Enough } else { Room::Short };
    let began = Instant::now();
    send(pid, Signal::SIGKILL);
    wait::until("the killed worker's matches live again", SETTLE, || {
        let gone = site.workers()?.iter().all(|(_, other)| *other != pid);
        (gone && site.are_live(&before, &site.seats()?)).then_some(())
    });
    let note = match room {
        Room::Enough => format!("  ({matches} matches)"),
        Room::Short => format!("  ({matches} matches, not room for all without a start)"),
    };
    Cost { room, note, ..Cost::unfollowed(began.elapsed()) }
}

fn stop_worker(site: &Site, planned: &Planned, stall: Stall) -> Cost {
    let Victim { slots, pid, before } = victim(site, planned);
    let began = Instant::now();
    send(pid, Signal::SIGSTOP);
    if stall == Stall::Short {
        thread::sleep(planned.lasts);
        send(pid, Signal::SIGCONT);
        wait::until("every match live", SETTLE, || site.are_live(&before, &site.seats()?).then_some(()));
        return Cost::unfollowed(began.elapsed());
    }
    let hers: BTreeMap<String, Seat> = before
        .iter()
        .filter(|(_, seat)| seat.is_of(&slots))
        .map(|(id, seat)| (id.clone(), seat.clone()))
        .collect();
    let are_elsewhere = || {
        let seats = site.seats()?;
        // What ended meanwhile needs no other place.
        let matches = site.server.matches();
        let elsewhere = |id: &String| seats.get(id).is_none_or(|seat| !seat.is_of(&slots));
        let all = matches.iter().filter(|id| hers.contains_key(*id)).all(elsewhere);
        (all && site.are_live(&hers, &seats)).then_some(())
    };
    // Beyond that the time itself says what went wrong, and the run goes on.
    while are_elsewhere().is_none() && began.elapsed() < TAKEN_OVER {
        thread::sleep(Duration::from_millis(2));
    }
    let cost = Cost { note: format!("  ({} matches)", hers.len()), ..Cost::unfollowed(began.elapsed()) };
    if stall == Stall::Hung {
        wait::until("the end of the hung worker", planned.lasts, || (!is_alive(pid)).then_some(()));
    } else {
        thread::sleep(planned.lasts.saturating_sub(began.elapsed()));
        send(pid, Signal::SIGCONT);
        // Its load report says that it is back; its matches stay where they are.
        wait::until("every match live", SETTLE, || site.are_live(&before, &site.seats()?).then_some(()));
    }
    cost
}

fn kill_recorder(site: &Site) -> Cost {
    let before = site.seats().expect("the matches");
    let pid = recorder(site);
    let began = Instant::now();
    send(pid, Signal::SIGKILL);
    wait::until("a new recorder", SETTLE, || site.ready_recorder().filter(|new| *new != pid));
    wait::until("every match live", SETTLE, || site.are_live(&before, &site.seats()?).then_some(()));
    Cost { again: began.elapsed(), note: WENT_ON.to_owned(), ..Cost::default() }
}

fn stop_recorder(site: &Site, planned: &Planned, stall: Stall) -> Cost {
    let before = site.seats().expect("the matches");
    let pid = recorder(site);
    let began = Instant::now();
    send(pid, Signal::SIGSTOP);
    if stall == Stall::Hung {
        wait::until("the end of the hung recorder", planned.lasts, || (!is_alive(pid)).then_some(()));
    } else {
        thread::sleep(planned.lasts);
        send(pid, Signal::SIGCONT);
    }
    wait::until("a recorder that answers", SETTLE, || {
        site.ready_recorder().filter(|now| stall != Stall::Hung || *now != pid)?;
        site.request("gaps", json!({})).ok()
    });
    wait::until("every match live", SETTLE, || site.are_live(&before, &site.seats()?).then_some(()));
    Cost { again: began.elapsed(), note: WENT_ON.to_owned(), ..Cost::default() }
}

fn kill_coordinator(site: &mut Site, ledger: &mut Ledger) -> Cost {
    ledger.leaked += site.leaked_descriptors();
    let children = process::children(site.daemon.pid());
    let began = Instant::now();
    site.daemon.signal(Signal::SIGKILL);
    site.daemon.wait_for_end(Duration::from_secs(1));
    site.restart();
    let unfollowed = began.elapsed();
    while children.iter().any(|pid| is_alive(*pid)) && began.elapsed() < ORPHANS {
        thread::sleep(Duration::from_millis(5));
    }
    for pid in children.iter().filter(|pid| is_alive(**pid)) {
        ledger.leftovers += 1;
        send(*pid, Signal::SIGKILL);
    }
    reap(site.daemon.pid());
    Cost::unfollowed(unfollowed)
}

fn stop_coordinator(site: &Site, planned: &Planned) -> Cost {
    let before = site.seats().expect("the matches");
    site.daemon.signal(Signal::SIGSTOP);
    thread::sleep(planned.lasts);
    site.daemon.signal(Signal::SIGCONT);
    let began = Instant::now();
    wait::until("every match live", SETTLE, || site.are_live(&before, &site.seats()?).then_some(()));
    // Long enough for a judgement by old clocks.
    thread::sleep(Duration::from_millis(600));
    let again = began.elapsed().saturating_sub(Duration::from_millis(600));
    Cost { again, note: WENT_ON.to_owned(), ..Cost::default() }
}

fn reset(site: &Site, which: Reset) -> Cost {
    let before = site.seats().expect("the matches");
    let began = Instant::now();
    site.server.reset(which, SETTLE);
    wait::until("every match live", SETTLE, || site.are_live(&before, &site.seats()?).then_some(()));
    Cost::unfollowed(began.elapsed())
}

fn take_host_down(site: &Site, planned: &Planned) -> Cost {
    let before = site.seats().expect("the matches");
    let began = Instant::now();
    site.server.go_down(planned.lasts, SETTLE);
    wait::until("every match live", SETTLE, || site.are_live(&before, &site.seats()?).then_some(()));
    Cost::unfollowed(began.elapsed())
}

fn pause_server(site: &Site, planned: &Planned) -> Cost {
    let before = site.seats().expect("the matches");
    site.server.pause();
    thread::sleep(planned.lasts);
    site.server.resume();
    let began = Instant::now();
    wait::until("every match live", SETTLE, || site.are_live(&before, &site.seats()?).then_some(()));
    Cost { again: began.elapsed(), note: WENT_ON.to_owned(), ..Cost::default() }
}

/// A match that was there when two workers hung is taken for their cause. It was not: an operator lets it out.
fn release_from_quarantine(site: &Site, cost: &mut Cost) {
    let held: Vec<String> = site
        .seats()
        .into_iter()
        .flatten()
        .filter(|(_, seat)| seat.state == "quarantined")
        .map(|(id, _)| id)
        .collect();
    for id in &held {
        // It may have ended just now.
        let _ = site.request("release", json!({ "match": id }));
    }
    if !held.is_empty() {
        cost.note.push_str(&format!("  ({} released from quarantine)", held.len()));
        site.settle();
    }
}

/// A process of workers.
struct Victim {
    /// Of all its workers.
    slots: BTreeSet<u64>,
    pid: u32,
    /// Where every match is, of others too.
    before: BTreeMap<String, Seat>,
}

/// The process of a worker that has matches.
fn victim(site: &Site, planned: &Planned) -> Victim {
    wait::until("a worker with matches", SETTLE, || {
        let seats = site.seats()?;
        let has = |slot: u64| seats.values().any(|seat| seat.worker == Some(slot));
        let all = site.workers()?;
        let busy: Vec<u32> = all.iter().filter(|(slot, _)| has(*slot)).map(|(_, pid)| *pid).collect();
        let pid = *busy.get(planned.victim % busy.len().max(1))?;
        let slots = all.iter().filter(|(_, of)| *of == pid).map(|(slot, _)| *slot).collect();
        Some(Victim { slots, pid, before: seats })
    })
}

fn recorder(site: &Site) -> u32 {
    wait::until("a recorder", SETTLE, || site.ready_recorder())
}

fn serving(site: &Site) -> Duration {
    site.server.serving()
}

fn number(site: &Site, path: &str) -> u64 {
    site.status(path).as_ref().and_then(Value::as_u64).unwrap_or(0)
}

/// Takes the ends of our children, adopted ones among them, except of `but`, which its owner waits for.
pub(crate) fn reap(but: u32) {
    for pid in process::children(std::process::id()).into_iter().filter(|pid| *pid != but) {
        let _ = nix::sys::wait::waitpid(
            nix::unistd::Pid::from_raw(pid as i32),
            Some(nix::sys::wait::WaitPidFlag::WNOHANG),
        );
    }
}
