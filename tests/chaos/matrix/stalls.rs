//! Processes that stand still: stopped from outside, or in a loop of their own.

use super::ground::{Ground, MATCHES, Plan, is_alive, send};
use super::{Case, Verdict};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use touchline_harness::wait;

/// Longer than the watchdog's two periods, shorter than what the coordinator bears.
const LONG: Duration = Duration::from_secs(8);
/// Longer than anything that anybody bears.
const TOO_LONG: Duration = Duration::from_secs(12);
/// How long a disk may take that is slow.
const SLOW: Duration = Duration::from_secs(3);
/// A hung process is gone after at most this.
const HUNG: Duration = Duration::from_secs(16);
/// The watchdog's last words.
const BARK: &str = "its loop made no turn";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("stop/worker", || stopped("worker")),
        Case::new("stop/recorder", || stopped("recorder")),
        Case::new("stop/worker/hello.sent", || never_ready("hello.sent", "worker")),
        Case::new("stop/recorder/record.hello", || never_ready("record.hello", "recorder")),
        Case::new("stop-and-continue/worker", || continued("worker")),
        Case::new("stop-and-continue/recorder", || continued("recorder")),
        Case::new("stop-and-continue/coordinator", coordinator_continued),
        Case::new("spin/worker", spinning_worker),
        Case::new("spin/recorder", spinning_recorder),
        Case::new("spin/recorder/coordinator-stopped", spinning_unseen),
        Case::new("slow-disk/coordinator", slow_disk),
    ]
}

/// A disk that takes seconds for the saved state holds up the start that needs it, and neither operators nor matches.
fn slow_disk() -> Verdict {
    let points = format!("save.tmp_written=delay={},when={{when}}", SLOW.as_millis());
    let ground = Ground::live(Plan { points, pool: "spare_workers = 1", ..Plan::default() });
    wait::until("a spare worker", HUNG, || (ground.workers().len() == 4).then_some(()));
    let pulse = ground.pulse();
    ground.now();
    let (began, pid) = (Instant::now(), ground.worker());
    send(pid, Signal::SIGKILL);
    wait::until("every match at the others", SLOW / 2, || {
        let gone = ground.workers().iter().all(|(_, other)| *other != pid);
        (gone && ground.live_matches() == MATCHES as u64).then_some(())
    });
    let took = began.elapsed();
    wait::until("another spare worker", HUNG, || (ground.workers().len() == 4).then_some(()));
    assert!(began.elapsed() >= SLOW, "the start that was to wait for the disk did not");
    let slowest = pulse.stop();
    ground.no_more();
    ground.conclude(format!("live again after {} ms, {slowest}", took.as_millis()))
}

fn victim(ground: &Ground, child: &str) -> u32 {
    if child == "recorder" { ground.recorder() } else { ground.worker() }
}

fn pids(ground: &Ground) -> BTreeSet<u32> {
    ground.workers().into_iter().map(|(_, pid)| pid).chain([ground.recorder()]).collect()
}

/// Waits for a process's end.
fn wait_for_the_end_of(pid: u32) -> Duration {
    let began = Instant::now();
    wait::until("the end of the hung process", HUNG, || (!is_alive(pid)).then_some(()));
    began.elapsed()
}

/// A stopped child is seen, killed and replaced; no other is touched.
fn stopped(child: &str) -> Verdict {
    let mut ground = Ground::live(Plan::default());
    let pulse = ground.pulse();
    let (before, pid) = (pids(&ground), victim(&ground, child));
    send(pid, Signal::SIGSTOP);
    let took = wait_for_the_end_of(pid);
    ground.settle();
    let mut others = before.clone();
    others.remove(&pid);
    assert!(others.is_subset(&pids(&ground)), "another child was touched");
    let death = ground.death(child);
    let why = death.get("why").and_then(Value::as_str).unwrap_or_default();
    assert!(why.contains("ms"), "it says for how long: {death}");
    // A stopped process ignores SIGABRT.
    assert_eq!(death.get("signal").and_then(Value::as_i64), Some(9), "{death}");
    let slowest = pulse.stop();
    ground.conclude(format!("killed after {} ms, {slowest}", took.as_millis()))
}

/// A child that stops before it is ready misses its deadline.
fn never_ready(point: &str, child: &str) -> Verdict {
    let points = format!("{point}=stop,once={{once}}");
    let mut ground = Ground::start(Plan { points, ..Plan::default() });
    ground.wait_for_the_fault();
    let began = Instant::now();
    ground.settle();
    let death = ground.death(child);
    let why = death.get("why").and_then(Value::as_str).unwrap_or_default();
    assert_eq!(why, "it was not ready in time", "{death}");
    ground.conclude(format!("live after {} ms", began.elapsed().as_millis()))
}

/// A child that was stopped for longer than the watchdog's patience, and goes on, is not harmed by it.
fn continued(child: &str) -> Verdict {
    let mut ground = Ground::live(Plan::default());
    let (before, pid) = (pids(&ground), victim(&ground, child));
    send(pid, Signal::SIGSTOP);
    std::thread::sleep(LONG);
    send(pid, Signal::SIGCONT);
    ground.settle();
    // Two periods more: the timer that came late has its chance.
    std::thread::sleep(Duration::from_secs(7));
    assert!(before.is_subset(&pids(&ground)), "a child was killed:\n{}", ground.daemon.log());
    assert!(!ground.daemon.log().contains(BARK), "the watchdog slept, too");
    ground.conclude("no child was killed")
}

/// A coordinator that was stopped kills no child.
fn coordinator_continued() -> Verdict {
    let mut ground = Ground::live(Plan::default());
    let before = pids(&ground);
    ground.daemon.signal(Signal::SIGSTOP);
    std::thread::sleep(TOO_LONG);
    ground.daemon.signal(Signal::SIGCONT);
    ground.settle();
    // Longer than it takes to judge by a clock that was not put right.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(pids(&ground), before, "a child was killed:\n{}", ground.daemon.log());
    ground.conclude("no child was killed")
}

/// A worker in an endless loop gives no report: the coordinator aborts it.
fn spinning_worker() -> Verdict {
    let points = "worker.turn=spin,when={when},once={once}".to_owned();
    let mut ground = Ground::live(Plan { points, ..Plan::default() });
    let pulse = ground.pulse();
    let before: BTreeSet<u32> = ground.workers().into_iter().map(|(_, pid)| pid).collect();
    ground.now();
    ground.wait_for_the_fault();
    let began = Instant::now();
    wait::until("the end of the hung worker", HUNG, || {
        before.iter().any(|pid| !is_alive(*pid)).then_some(())
    });
    let took = began.elapsed();
    ground.settle();
    let death = ground.death("worker");
    assert_eq!(death.get("signal").and_then(Value::as_i64), Some(6), "{death}");
    let why = death.get("why").and_then(Value::as_str).unwrap_or_default();
    assert!(why.starts_with("no load report for "), "{death}");
    let slowest = pulse.stop();
    ground.conclude(format!("aborted after {} ms, {slowest}", took.as_millis()))
}

/// A recorder in an endless loop ends itself, and says so.
fn spinning_recorder() -> Verdict {
    let points = "record.turn=spin,when={when},once={once}".to_owned();
    let mut ground = Ground::live(Plan { points, ..Plan::default() });
    let pulse = ground.pulse();
    ground.now();
    ground.wait_for_the_fault();
    let began = Instant::now();
    ground.daemon.wait_for_log(BARK, HUNG);
    let took = began.elapsed();
    ground.settle();
    let death = ground.death("recorder");
    assert_eq!(death.get("signal").and_then(Value::as_i64), Some(6), "{death}");
    let slowest = pulse.stop();
    ground.conclude(format!("aborted itself after {} ms, {slowest}", took.as_millis()))
}

/// Even when the coordinator does not watch.
fn spinning_unseen() -> Verdict {
    let points = "record.turn=spin,when={when},once={once}".to_owned();
    let mut ground = Ground::live(Plan { points, ..Plan::default() });
    ground.daemon.signal(Signal::SIGSTOP);
    ground.now();
    ground.wait_for_the_fault();
    let began = Instant::now();
    ground.daemon.wait_for_log(BARK, HUNG);
    let took = began.elapsed();
    ground.daemon.signal(Signal::SIGCONT);
    ground.settle();
    let death = ground.death("recorder");
    assert_eq!(death.get("signal").and_then(Value::as_i64), Some(6), "{death}");
    ground.conclude(format!("aborted itself after {} ms", took.as_millis()))
}
