//! Signals as people, supervisors and log rotation send them: one, two, hundreds, to one process or to the whole group.
//!
//! An end that was asked for has code 0, no death is reported, and the next start knows all that was committed.

use super::ground::{Ground, Plan, is_alive, send};
use super::{Case, Verdict};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use touchline_harness::{process, wait};

const COMES: Duration = Duration::from_secs(20);
/// An end that nothing holds up, on a busy machine.
const SOON: Duration = Duration::from_secs(4);
/// What a place of the start is held up by.
const LATE: Duration = Duration::from_millis(1_500);
/// A child that hangs at its start gets SIGKILL 5 s after it was asked to leave.
const HUNG: Duration = Duration::from_secs(8);
/// A stopped child is waited for: until the drain is over, or the second signal.
const HELD_UP: Duration = Duration::from_secs(5);
/// The file of the log, where it is one.
const LOG: &str = "touchline.log";
/// Signals of each kind in a storm.
const STORM: usize = 200;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("term/start", || during_the_start("", SOON)),
        Case::new("term/start/recorder", || during_the_start("record.hello=delay=1500,once={once}", SOON)),
        Case::new("term/start/worker", || during_the_start("ready.sent=delay=1500,once={once}", SOON)),
        Case::new("term/start/hung-worker", || during_the_start("hello.sent=stop,once={once}", HUNG)),
        Case::new("term/drain", during_a_drain),
        Case::new("term/twice", twice),
        Case::new("term/twice/at-once", || at_once(2)),
        Case::new("term/worker", || worker_alone(Signal::SIGTERM)),
        Case::new("term/group", || group(Signal::SIGTERM)),
        Case::new("int/group", || group(Signal::SIGINT)),
        Case::new("term/group/start", group_at_the_start),
        Case::new("term/group/coordinator-stopped", group_without_the_coordinator),
        Case::new("storm/hup-and-usr1", storm),
    ]
}

/// The log since a moment.
struct Since(usize);

impl Since {
    fn now(ground: &Ground) -> Since {
        Since(ground.daemon.log().len())
    }

    fn log(&self, ground: &Ground) -> String {
        ground.daemon.log().get(self.0..).unwrap_or_default().to_owned()
    }
}

/// How those leave who were asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// All by themselves.
    Willing,
    /// One of them cannot, and is killed.
    Forced,
}

/// The daemon ends as it was asked to: none died, none was started, none is left.
fn assert_ends(ground: &mut Ground, since: &Since, manner: Manner, within: Duration) -> Duration {
    let began = Instant::now();
    let end = ground.daemon.wait_for_end(COMES.max(within));
    let took = began.elapsed();
    let log = since.log(ground);
    assert_eq!(end.code(), Some(0), "{log}");
    assert!(took < within, "it ended after {took:?}:\n{log}");
    assert!(log.contains("pool.stopped"), "{log}");
    let died = ["worker.died", "recorder.died", "process.panic"];
    assert!(!died.iter().any(|name| log.contains(name)), "a child died:\n{log}");
    if manner == Manner::Willing {
        let killed = ["worker.kill", "recorder.kill"].iter().any(|name| log.contains(name));
        assert!(!killed, "all leave by themselves:\n{log}");
    }
    assert_eq!(process::children(std::process::id()), [0; 0], "a child is left");
    assert!(!ground.socket().exists(), "the socket is removed");
    ground.assert_state_is_whole();
    took
}

/// The next start follows everything, and nothing that was committed is missing.
fn start_again(mut ground: Ground, note: String) -> Verdict {
    ground.restart();
    ground.conclude(note)
}

/// SIGTERM before anything is ready; at `points` the start is held up.
fn during_the_start(points: &str, within: Duration) -> Verdict {
    let mut ground = Ground::start(Plan { points: points.to_owned(), ..Plan::default() });
    ground.daemon.wait_for_log("coord.started", COMES);
    if !points.is_empty() {
        ground.wait_for_the_fault();
    }
    let since = Since(0);
    ground.daemon.signal(Signal::SIGTERM);
    let manner = if points.contains("=stop") { Manner::Forced } else { Manner::Willing };
    let took = assert_ends(&mut ground, &since, manner, within + LATE);
    assert!(!since.log(&ground).contains("pool.ready"), "it came too late");
    start_again(ground, format!("ended after {} ms", took.as_millis()))
}

/// SIGTERM while a worker gives its matches away.
fn during_a_drain() -> Verdict {
    // Candidates that take their time.
    let points = "move.prepared=delay=400,when={when}".to_owned();
    let log = "level = \"debug\"";
    let mut ground = Ground::live(Plan { points, log, ..Plan::default() });
    ground.now();
    let (slot, _) = *ground.workers().first().expect("a worker");
    let since = Since::now(&ground);
    ground.begin("drain", Map::from_iter([("worker".to_owned(), Value::from(slot))]));
    wait::until("a match that moves", COMES, || since.log(&ground).contains("match.moving").then_some(()));
    ground.daemon.signal(Signal::SIGTERM);
    let took = assert_ends(&mut ground, &since, Manner::Willing, SOON + LATE);
    ground.no_more();
    start_again(ground, format!("ended after {} ms", took.as_millis()))
}

/// The first SIGTERM waits for a worker that cannot leave, the second does not.
fn twice() -> Verdict {
    let mut ground = Ground::live(Plan::default());
    let since = Since::now(&ground);
    send(ground.worker(), Signal::SIGSTOP);
    ground.daemon.signal(Signal::SIGTERM);
    wait::until("the end's beginning", COMES, || {
        since.log(&ground).contains("pool.stopping how=drain").then_some(())
    });
    std::thread::sleep(Duration::from_secs(1));
    assert!(is_alive(ground.daemon.pid()), "it waits for its drain:\n{}", since.log(&ground));
    ground.daemon.signal(Signal::SIGTERM);
    let took = assert_ends(&mut ground, &since, Manner::Forced, HELD_UP);
    assert!(since.log(&ground).contains("pool.stopping how=now"), "{}", since.log(&ground));
    start_again(ground, format!("ended {} ms after the second", took.as_millis()))
}

/// Several in a row; the kernel may merge them.
fn at_once(signals: usize) -> Verdict {
    let mut ground = Ground::live(Plan::default());
    let since = Since::now(&ground);
    (0..signals).for_each(|_| ground.daemon.signal(Signal::SIGTERM));
    let took = assert_ends(&mut ground, &since, Manner::Forced, SOON);
    start_again(ground, format!("ended after {} ms", took.as_millis()))
}

/// A worker that is asked to leave from outside says so, and another takes its place: that is no death.
fn worker_alone(signal: Signal) -> Verdict {
    let mut ground = Ground::live(Plan::default());
    let pulse = ground.pulse();
    let since = Since::now(&ground);
    let victim = ground.worker();
    let began = Instant::now();
    send(victim, signal);
    wait::until("its end", COMES, || (!is_alive(victim)).then_some(()));
    ground.settle();
    let took = began.elapsed();
    let log = since.log(&ground);
    assert!(log.contains("worker.left") && !log.contains("worker.died"), "{log}");
    let deaths = ground.ask("status", json!({})).get("deaths").cloned().unwrap_or_default();
    assert_eq!(deaths, Value::Array(Vec::new()), "leaving is no death");
    let slowest = pulse.stop();
    ground.conclude(format!("live again after {} ms, {slowest}", took.as_millis()))
}

fn signal_group(ground: &Ground, signal: Signal) {
    killpg(Pid::from_raw(ground.daemon.pid().cast_signed()), signal).expect("signalling the group");
}

/// A terminal's interrupt, or a supervisor that stops the whole group: the children get it, too.
fn group(signal: Signal) -> Verdict {
    let mut ground = Ground::live(Plan { group: true, ..Plan::default() });
    let since = Since::now(&ground);
    signal_group(&ground, signal);
    let took = assert_ends(&mut ground, &since, Manner::Willing, SOON);
    assert!(!since.log(&ground).contains("worker.spawned"), "{}", since.log(&ground));
    start_again(ground, format!("ended after {} ms", took.as_millis()))
}

/// The same while the workers start: some know no signals yet, and die of it.
fn group_at_the_start() -> Verdict {
    let mut ground = Ground::start(Plan { group: true, ..Plan::default() });
    ground.daemon.wait_for_log("worker.spawned", COMES);
    signal_group(&ground, Signal::SIGTERM);
    let took = assert_ends(&mut ground, &Since(0), Manner::Willing, SOON);
    start_again(ground, format!("ended after {} ms", took.as_millis()))
}

/// The coordinator finds the signal and the ends of its workers at once: it takes none of them for a death, and starts none.
fn group_without_the_coordinator() -> Verdict {
    let mut ground = Ground::live(Plan { group: true, ..Plan::default() });
    let workers = ground.workers();
    let since = Since::now(&ground);
    ground.daemon.signal(Signal::SIGSTOP);
    signal_group(&ground, Signal::SIGTERM);
    wait::until("the end of the workers", COMES, || {
        (!workers.iter().any(|(_, pid)| is_alive(*pid))).then_some(())
    });
    ground.daemon.signal(Signal::SIGCONT);
    let took = assert_ends(&mut ground, &since, Manner::Willing, SOON);
    let log = since.log(&ground);
    assert!(!log.contains("worker.spawned"), "{log}");
    start_again(ground, format!("ended after {} ms", took.as_millis()))
}

/// Hundreds of signals while everything is live: not one process goes, and no descriptor is lost.
fn storm() -> Verdict {
    let mut ground = Ground::live(Plan { log: "target = \"touchline.log\"", ..Plan::default() });
    let all = |ground: &Ground| -> BTreeSet<u32> {
        let own = ground.daemon.pid();
        process::children(own).into_iter().chain([own]).collect()
    };
    let held = |ground: &Ground| -> BTreeMap<u32, usize> {
        all(ground).into_iter().map(|pid| (pid, process::descriptors(pid).len())).collect()
    };
    let before = held(&ground);
    let pulse = ground.pulse();
    for _ in 0..STORM {
        for signal in [Signal::SIGHUP, Signal::SIGUSR1] {
            all(&ground).into_iter().for_each(|pid| send(pid, signal));
        }
    }
    let handled = |name: &str| {
        let log = std::fs::read_to_string(ground.file(LOG)).unwrap_or_default();
        log.lines().filter(|line| line.contains("coord.signal ") && line.contains(name)).count()
    };
    // The kernel merges those of a kind that come too fast: each of these is seen.
    for signal in [Signal::SIGHUP, Signal::SIGUSR1] {
        for _ in 0..STORM {
            let seen = handled(signal.as_str());
            kill(Pid::from_raw(ground.daemon.pid().cast_signed()), signal).expect("the daemon");
            wait::until("a signal in the log", COMES, || (handled(signal.as_str()) > seen).then_some(()));
        }
    }
    let seen = (handled("SIGHUP"), handled("SIGUSR1"));
    assert_eq!(ground.live_matches(), 12, "every match is live");
    ground.settle();
    let slowest = pulse.stop();
    // Our own last question may still be open there.
    wait::until("the descriptors of before", Duration::from_secs(3), || {
        let now = held(&ground);
        let is_as_before = |(pid, count): (&u32, &usize)| before.get(pid).is_some_and(|was| count <= was);
        (now.len() == before.len() && now.iter().all(is_as_before)).then_some(())
    });
    ground.conclude(format!("{} and {} seen, {slowest}", seen.0, seen.1))
}
