//! Children that misbehave on their channel, and many that die at once.

use super::ground::{Ground, LEAVE, Plan, is_alive, send};
use super::{Case, Verdict};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use touchline_harness::wait;

/// How a bad child shows in `ps`.
const BAD: &str = "tl-bad";
const COMES: Duration = Duration::from_secs(20);

pub(super) fn cases() -> Vec<Case> {
    let refused = ["other-version", "other-range"].map(|kind| (kind, refused as fn(_) -> _));
    let sent_away = ["too-long-frame", "not-a-message", "half-frame", "half-frame-then-end"];
    let sent_away = sent_away.map(|kind| (kind, sent_away_and_replaced as fn(_) -> _));
    let borne = ["longest-frame", "single-bytes", "flood"].map(|kind| (kind, borne as fn(_) -> _));
    let bad = refused.into_iter().chain(sent_away).chain(borne);
    bad.map(|(kind, run)| Case::new(format!("bad-child/{kind}"), move || run(kind)))
        .chain([
            Case::new("kill9/twenty-workers", twenty),
            Case::new("kill9/more-than-twenty-deaths", more_than_twenty),
        ])
        .collect()
}

/// A live ground, and then a worker of this kind in the place of one that was killed.
fn with(kind: &'static str) -> (Ground, u32) {
    let ground = Ground::live(Plan { bad_child: kind, ..Plan::default() });
    ground.let_in_a_bad_child();
    send(ground.worker(), Signal::SIGKILL);
    wait::until("the bad child", COMES, || ground.file("bad/once").exists().then_some(()));
    let pid = ground.child_called(BAD).unwrap_or_default();
    (ground, pid)
}

/// Another version of the messages: parked at once, and for good.
fn refused(kind: &'static str) -> Verdict {
    let (mut ground, _) = with(kind);
    let pulse = ground.pulse();
    ground.daemon.wait_for_log("worker.parked", COMES);
    let log = ground.daemon.log();
    assert!(log.contains("message versions 9 to 9, this build speaks 2"), "{log}");
    // Another slot may be started for its matches at the same time.
    let parked = log.lines().find_map(|line| line.split_once("worker.parked worker="));
    let slot = parked.and_then(|(_, rest)| rest.split(' ').next()).expect("which slot is parked");
    let start = format!("worker.spawned worker={slot} ");
    let spawned = || ground.daemon.log().matches(&start).count();
    let before = spawned();
    assert!(before > 0, "{log}");
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        assert_eq!(spawned(), before, "it is not started again");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(ground.live_matches() >= 6, "the others go on");
    let slowest = pulse.stop();
    ground.stop(LEAVE);
    Verdict::Good(format!("parked, {slowest}"))
}

/// Its channel cannot go on, or it says nothing any more: it is ended, and a good one follows.
fn sent_away_and_replaced(kind: &'static str) -> Verdict {
    let (mut ground, pid) = with(kind);
    let pulse = ground.pulse();
    let began = Instant::now();
    wait::until("the end of the bad child", COMES, || (!is_alive(pid)).then_some(()));
    let took = began.elapsed();
    ground.settle();
    let slowest = pulse.stop();
    ground.conclude(format!("gone after {} ms, {slowest}", took.as_millis()))
}

/// What is allowed is borne, however much of it: no other process waits for it.
fn borne(kind: &'static str) -> Verdict {
    let (ground, pid) = with(kind);
    ground.wait_for_text("/state", |state| state == "ready" || state == "degraded");
    let pulse = ground.pulse();
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        assert!(is_alive(pid), "it was ended:\n{}", ground.daemon.log());
        assert!(ground.live_matches() >= 6, "the others go on");
        std::thread::sleep(Duration::from_millis(50));
    }
    let slowest = pulse.stop();
    let memory = touchline_harness::process::status_field(ground.daemon.pid(), "VmHWM:").unwrap_or_default();
    send(pid, Signal::SIGKILL);
    ground.conclude(format!("{slowest}, the coordinator held {memory} at most"))
}

/// Signals merge; ends do not.
fn twenty() -> Verdict {
    let mut ground = Ground::live(Plan { pool: "min_workers = 20", ..Plan::default() });
    let victims = wait::until("twenty workers", COMES, || {
        let workers = ground.workers();
        (workers.len() >= 20).then_some(workers)
    });
    victims.iter().take(20).for_each(|(_, pid)| send(*pid, Signal::SIGKILL));
    wait::until("all of them reaped", Duration::from_secs(5), || {
        let there = |pid: u32| touchline_harness::process::status_field(pid, "State:").is_some();
        (!victims.iter().take(20).any(|(_, pid)| there(*pid))).then_some(())
    });
    let began = Instant::now();
    ground.settle();
    ground.conclude(format!("all reaped, live after {} ms", began.elapsed().as_millis()))
}

/// The pool-wide limit: no starts for a minute but a trial, and what runs goes on.
fn more_than_twenty() -> Verdict {
    let mut ground = Ground::live(Plan { pool: "min_workers = 24", ..Plan::default() });
    let victims = wait::until("twenty-four workers", COMES, || {
        let workers = ground.workers();
        (workers.len() >= 24).then_some(workers)
    });
    let pulse = ground.pulse();
    victims.iter().skip(3).for_each(|(_, pid)| send(*pid, Signal::SIGKILL));
    ground.daemon.wait_for_log("pool.degraded", COMES);
    let spawned = || ground.daemon.log().matches("worker.spawned").count();
    let before = spawned();
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        assert_eq!(spawned(), before, "none is started");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(ground.workers().len(), 3, "what runs goes on");
    let slowest = pulse.stop();
    ground.stop(LEAVE);
    Verdict::Good(format!("none was started, {slowest}"))
}
