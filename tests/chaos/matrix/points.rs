//! A process that ends, or a step that fails, at each of the named places.

use super::ground::{Ground, LEAVE, Plan, send};
use super::{Case, Verdict};
use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use touchline_harness::wait;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Worker,
    Recorder,
    Coordinator,
}

/// What leads a process to the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    /// It comes by during the start.
    Start,
    /// It comes by all the time.
    Running,
    /// A worker gives its matches away.
    Move,
    /// A worker was killed, and another is started.
    Respawn,
    /// An operator asks.
    Ask,
}

const KILLED: &[(Victim, &str, Occasion)] = &[
    (Victim::Worker, "hello.sent", Occasion::Start),
    (Victim::Worker, "ready.sent", Occasion::Start),
    (Victim::Worker, "data.received", Occasion::Start),
    (Victim::Worker, "list.received", Occasion::Start),
    (Victim::Worker, "assign.received", Occasion::Start),
    (Victim::Worker, "move.prepared", Occasion::Start),
    (Victim::Worker, "worker.turn", Occasion::Running),
    (Victim::Worker, "assign.received", Occasion::Move),
    (Victim::Worker, "move.prepared", Occasion::Move),
    (Victim::Worker, "release.acked", Occasion::Move),
    (Victim::Worker, "hello.sent", Occasion::Respawn),
    (Victim::Recorder, "record.hello", Occasion::Start),
    (Victim::Recorder, "record.ready_sent", Occasion::Start),
    (Victim::Recorder, "record.attach", Occasion::Start),
    (Victim::Recorder, "record.turn", Occasion::Running),
    (Victim::Recorder, "record.before_commit", Occasion::Running),
    (Victim::Recorder, "record.after_commit", Occasion::Running),
    (Victim::Recorder, "record.switched", Occasion::Move),
    (Victim::Recorder, "record.attach", Occasion::Respawn),
    (Victim::Coordinator, "channel.pair", Occasion::Start),
    (Victim::Coordinator, "spawn.before", Occasion::Start),
    (Victim::Coordinator, "spawn.after_exec", Occasion::Start),
    (Victim::Coordinator, "welcome.sent", Occasion::Start),
    (Victim::Coordinator, "assign.sent", Occasion::Start),
    (Victim::Coordinator, "attach.sent", Occasion::Start),
    (Victim::Coordinator, "save.tmp_written", Occasion::Start),
    (Victim::Coordinator, "save.renamed", Occasion::Start),
    (Victim::Coordinator, "save.tmp_written", Occasion::Respawn),
    (Victim::Coordinator, "save.renamed", Occasion::Respawn),
    (Victim::Coordinator, "child.reaped", Occasion::Respawn),
    (Victim::Coordinator, "spawn.after_exec", Occasion::Respawn),
    (Victim::Coordinator, "assign.sent", Occasion::Move),
    (Victim::Coordinator, "move.switched", Occasion::Move),
    (Victim::Coordinator, "reply.queued", Occasion::Ask),
];

/// Ends other than SIGKILL, and what the death record says of them.
const ENDED: &[(Victim, &str, &str, Occasion, &str, i64)] = &[
    (Victim::Worker, "panic", "ready.sent", Occasion::Start, "signal", 6),
    (Victim::Worker, "exit=1", "ready.sent", Occasion::Start, "exit", 1),
    (Victim::Worker, "exit=3", "assign.received", Occasion::Start, "exit", 3),
    (Victim::Recorder, "panic", "record.attach", Occasion::Start, "signal", 6),
    (Victim::Recorder, "exit=1", "record.after_commit", Occasion::Running, "exit", 1),
];

pub(super) fn cases() -> Vec<Case> {
    let killed = KILLED.iter().map(|&(victim, point, occasion)| {
        let name = name("kill9", victim, point, occasion);
        Case::new(name, move || end(victim, "kill9", point, occasion, ("signal", 9)))
    });
    let ended = ENDED.iter().map(|&(victim, action, point, occasion, key, value)| {
        let name = name(action, victim, point, occasion);
        Case::new(name, move || end(victim, action, point, occasion, (key, value)))
    });
    let failing = ["channel.pair", "spawn.before", "spawn.after_exec"].into_iter().flat_map(|point| {
        let of = |kind: &str| format!("error/coordinator/{point}/{kind}");
        [
            Case::new(of("worker"), move || no_start(Victim::Worker, point)),
            Case::new(of("recorder"), move || no_start(Victim::Recorder, point)),
        ]
    });
    let unsaved = ["save.tmp_written", "save.renamed"]
        .map(|point| Case::new(format!("error/coordinator/{point}"), move || not_saved(point)));
    let refused = Case::new("exit=2/worker/ready.sent", refused);
    let looping = Case::new("kill9/worker/ready.sent/always", crash_loop);
    killed.chain(ended).chain(failing).chain(unsaved).chain([refused, looping]).collect()
}

fn name(action: &str, victim: Victim, point: &str, occasion: Occasion) -> String {
    format!("{action}/{victim:?}/{point}/{occasion:?}").to_lowercase()
}

/// A process ends at the place, once.
fn end(victim: Victim, action: &str, point: &str, occasion: Occasion, death: (&str, i64)) -> Verdict {
    let points = match occasion {
        Occasion::Start => format!("{point}={action},once={{once}}"),
        Occasion::Running | Occasion::Move | Occasion::Respawn | Occasion::Ask => {
            format!("{point}={action},when={{when}},once={{once}}")
        }
    };
    let mut ground = Ground::start(Plan { points, ..Plan::default() });
    if occasion != Occasion::Start {
        ground.settle();
        ground.now();
        provoke(&ground, occasion);
    }
    ground.wait_for_the_fault();
    let began = Instant::now();
    let mut note = String::new();
    if victim == Victim::Coordinator {
        let orphans = ground.assert_orphans_leave();
        note = format!(", children gone after {} ms", orphans.as_millis());
        ground.assert_state_is_whole();
        ground.restart();
    }
    if victim != Victim::Coordinator {
        assert_died(&ground, victim, death);
    }
    ground.settle();
    let note = format!("live again after {} ms{note}", began.elapsed().as_millis());
    match (point, occasion) {
        // The server counts from the first load that it sent, which the recorder never had.
        ("move.prepared", Occasion::Start) => ground.conclude_without_events(note),
        _ => ground.conclude(note),
    }
}

fn provoke(ground: &Ground, occasion: Occasion) {
    match occasion {
        Occasion::Start | Occasion::Running => {}
        Occasion::Move => {
            let (slot, _) = *ground.workers().first().expect("a worker");
            let args = Map::from_iter([("worker".to_owned(), Value::from(slot))]);
            ground.begin("drain", args);
        }
        Occasion::Respawn => send(ground.worker(), Signal::SIGKILL),
        // The answer never comes.
        Occasion::Ask => assert!(ground.request("status", json!({})).is_err()),
    }
}

/// One of the deaths is the one that was made.
fn assert_died(ground: &Ground, victim: Victim, (key, value): (&str, i64)) {
    let kind = format!("{victim:?}").to_lowercase();
    wait::until(&format!("the death of a {kind} with {key} {value}"), Duration::from_secs(5), || {
        let status = ground.ask("status", json!({}));
        let deaths = status.get("deaths")?.as_array()?;
        let is = |death: &Value| {
            let number = death.get(key).and_then(Value::as_i64);
            death.get("child").is_some_and(|child| *child == kind) && number == Some(value)
        };
        deaths.iter().any(is).then_some(())
    });
}

/// No start succeeds for a while: it is logged, tried again after back-off, and everything else goes on.
fn no_start(victim: Victim, point: &str) -> Verdict {
    let points = format!("{point}=error,when={{when}}");
    let ground = Ground::live(Plan { points, ..Plan::default() });
    let pulse = ground.pulse();
    ground.now();
    let (pid, failed, left) = match victim {
        Victim::Recorder => (ground.recorder(), "recorder.spawn_failed", 12),
        Victim::Worker | Victim::Coordinator => (ground.worker(), "worker.spawn_failed", 6),
    };
    let began = Instant::now();
    send(pid, Signal::SIGKILL);
    let tries = wait::until("three failed starts", Duration::from_secs(20), || {
        let tries = ground.daemon.log().matches(failed).count();
        (tries >= 3).then_some(tries)
    });
    // Another slot may be tried at once, but none twice within its back-off: 0.5 s, a fifth less at the least.
    let most = 1 + began.elapsed().as_millis() / 400;
    for (slot, starts) in starts_by_slot(&ground.daemon.log(), failed) {
        assert!(starts as u128 <= most, "{starts} starts of {slot} within {:?}", began.elapsed());
    }
    assert!(ground.live_matches() >= left, "the others go on: {}", ground.live_matches());
    ground.no_more();
    let slowest = pulse.stop();
    ground.conclude(format!("{tries} starts failed, {slowest}"))
}

/// How often each slot was tried, by its `worker=N`; a recorder has none.
fn starts_by_slot(log: &str, failed: &str) -> BTreeMap<String, usize> {
    let mut starts = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains(failed)) {
        let slot = line.split(' ').find(|word| word.starts_with("worker=")).unwrap_or("the recorder");
        *starts.entry(slot.to_owned()).or_default() += 1;
    }
    starts
}

/// The state cannot be saved: it is logged until it can be again, and the old file stays whole.
fn not_saved(point: &str) -> Verdict {
    let points = format!("{point}=error,when={{when}}");
    let ground = Ground::live(Plan { points, ..Plan::default() });
    ground.now();
    send(ground.worker(), Signal::SIGKILL);
    let trouble = ground.wait_for_text("/state_trouble", |text| text.contains("failpoint"));
    ground.assert_state_is_whole();
    let health = ground.ask("health", json!({}));
    assert!(health.to_string().contains("the state is not saved"), "{health}");
    ground.no_more();
    ground.wait_for_text("/state_trouble", str::is_empty);
    ground.conclude(trouble.chars().take(48).collect::<String>())
}

/// Each start of a worker dies: back-off grows until the slot is parked, the pool serves on, and it is whole again once the cause is gone.
fn crash_loop() -> Verdict {
    let points = "ready.sent=kill9,when={when}".to_owned();
    let ground = Ground::live(Plan { points, pool: "max_workers = 4", ..Plan::default() });
    let pulse = ground.pulse();
    ground.now();
    let began = Instant::now();
    send(ground.worker(), Signal::SIGKILL);
    ground.daemon.wait_for_log("worker.parked", Duration::from_secs(60));
    let took = began.elapsed();
    let died = ground.daemon.log().matches("worker.died").count();
    // The first one's line may still wait for what follows.
    assert!((5..=14).contains(&died), "{died} deaths within {took:?}");
    assert!(ground.live_matches() >= 6, "the others go on");
    ground.no_more();
    let slowest = pulse.stop();
    ground.conclude(format!("parked after {died} deaths in {} ms, {slowest}", took.as_millis()))
}

/// A worker that refuses its configuration is not started again, and neither is another of its feed.
fn refused() -> Verdict {
    let points = "ready.sent=exit=2,when={when}".to_owned();
    let mut ground = Ground::live(Plan { points, ..Plan::default() });
    let pulse = ground.pulse();
    ground.now();
    send(ground.worker(), Signal::SIGKILL);
    ground.daemon.wait_for_log("worker.parked", Duration::from_secs(20));
    let spawned = || ground.daemon.log().matches("worker.spawned").count();
    let before = spawned();
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        assert_eq!(spawned(), before, "it is parked");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(ground.live_matches() >= 6, "the others go on");
    let slowest = pulse.stop();
    ground.stop(LEAVE);
    Verdict::Good(format!("parked, {slowest}"))
}
