//! Deaths, limits of starting, refusals and spares, as the whole pool decides them. The states of one slot are in `life_tests`.

use super::*;

fn deaths(bed: &Bed) -> Vec<DeathView> {
    bed.pool.status(1_700_000_000_000_000).deaths
}

fn with_three() -> Bed {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a", "b", "c"]);
    bed
}

/// The worker of `a` crashes, at this epoch's match.
fn crash(bed: &mut Bed, at: Work) {
    let (slot, _) = bed.owner("a");
    let (generation, _) = bed.seen.remove(&SlotId(slot)).unwrap();
    let child = Child::Worker(SlotId(slot));
    bed.give(Input::Exited { child, generation, exit: SEGV, usage: None, at });
    bed.pass(ms(10_000), &[]);
}

fn quarantined(bed: &Bed) -> Vec<&'static str> {
    let held = |id: &&str| bed.view(id).state == MatchViewState::Quarantined;
    ["a", "b", "c"].into_iter().filter(held).collect()
}

#[test]
fn of_all_that_two_dead_workers_had_only_what_both_were_at_is_quarantined() {
    let mut bed = with_three();
    for _ in 0..2 {
        let (_, epoch) = bed.owner("a");
        crash(&mut bed, Work::Match(Epoch(epoch)));
    }
    assert_eq!(quarantined(&bed), ["a"]);
    assert_eq!(deaths(&bed)[0].at_match.as_deref(), Some("a"));
}

#[test]
fn workers_that_were_at_different_matches_or_at_one_they_had_no_more_blame_none() {
    let mut bed = with_three();
    let (_, of_b) = bed.owner("b");
    crash(&mut bed, Work::Match(Epoch(of_b)));
    let (_, of_a) = bed.owner("a");
    crash(&mut bed, Work::Match(Epoch(of_a)));
    crash(&mut bed, Work::Match(Epoch(9_999)));
    crash(&mut bed, Work::Others);
    assert_eq!(quarantined(&bed), Vec::<&str>::new());
    assert_eq!(deaths(&bed)[0].at_match, None);
}

#[test]
fn workers_that_were_at_none_blame_all_that_they_had() {
    let mut bed = with_three();
    (0..2).for_each(|_| crash(&mut bed, Work::None));
    assert_eq!(quarantined(&bed), ["a", "b", "c"]);
}

#[test]
fn an_epoch_that_a_seat_had_before_the_recorder_started_anew_is_still_its_own() {
    let mut bed = with_three();
    for _ in 0..2 {
        let (_, before) = bed.owner("a");
        let (child, generation) = (Child::RECORDER, bed.pool.children.recorder.life.generation);
        bed.give(Input::Exited { child, generation, exit: KILLED, usage: None, at: Work::None });
        bed.pass(ms(3_000), &[]);
        assert!(bed.owner("a").1 > before);
        crash(&mut bed, Work::Match(Epoch(before)));
    }
    assert_eq!(quarantined(&bed), ["a"]);
}

#[test]
fn a_death_is_remembered_with_what_it_cost_and_what_the_worker_did() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a", "b"]);
    bed.pass(ms(3_000), &[]);
    let (generation, child) = (bed.seen[&SlotId(1)].0, Child::Worker(SlotId(1)));
    let usage = Some(Usage { peak_rss_bytes: 5 << 20, cpu: ms(1_500) });
    bed.give(Input::Exited { child, generation, exit: SEGV, usage, at: Work::None });
    bed.pass(ms(2_000), &[]);
    let all = deaths(&bed);
    let [death] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((&*death.child, death.worker, death.feed.as_str()), ("worker", Some(1), "inplay"));
    assert_eq!((death.exit, death.signal, death.core, death.pid), (None, Some(11), true, Some(1_001)));
    assert_eq!((death.generation, death.matches, death.why.as_str()), (1, 2, ""));
    assert_eq!((death.peak_rss_bytes, death.cpu_s), (Some(5 << 20), Some(1.5)));
    assert!((3.0..4.0).contains(&death.uptime_s), "{death:?}");
    assert_eq!(death.at, "2023-11-14T22:13:18Z", "two seconds before now");
    assert!(death.last_activity.starts_with("ready, connection up, "), "{}", death.last_activity);
}

#[test]
fn a_death_by_our_hand_says_why_and_a_requested_end_is_none() {
    let mut bed = Bed::new(config(2));
    bed.load_list(&["a"]);
    bed.pass(ms(11_000), &[1]);
    bed.exit(1, Exit::Signal { number: 6, core: true });
    let all = deaths(&bed);
    assert!(all[0].why.starts_with("no load report for "), "{all:?}");
    assert_eq!(all[0].matches, 1, "those that it had when it was given up on");
    let (request, timeout) = (RequestId(1), ms(60_000));
    bed.give(Input::Command { request, command: Command::Stop { urgency: Urgency::Drain }, timeout });
    let before = deaths(&bed).len();
    for slot in bed.seen.keys().copied().collect::<Vec<_>>() {
        bed.exit(slot.0, Exit::Code(0));
    }
    assert_eq!(deaths(&bed).len(), before);
}

#[test]
fn twenty_deaths_are_remembered_the_newest_first_also_those_that_never_lived() {
    let mut bed = Bed::new(config(2));
    let child = Child::RECORDER;
    for n in 0..25 {
        let generation = bed.pool.children.recorder.life.generation;
        if bed.pool.children.recorder.life.has_process() {
            bed.give(Input::Exited {
                child,
                generation,
                exit: Exit::Code(10 + n),
                usage: None,
                at: Work::None,
            });
        }
        bed.pass(Duration::from_secs(61), &[]);
    }
    // The next process is asked for in the same step, and never comes to be.
    let (generation, mut out) = (bed.pool.children.recorder.life.generation, Vec::new());
    bed.pool.step(
        bed.now,
        Input::Exited { child, generation, exit: KILLED, usage: None, at: Work::None },
        &mut out,
    );
    let (generation, error) = (Generation(generation.0 + 1), "no descriptors".to_owned());
    bed.pool.step(bed.now, Input::SpawnFailed { child, generation, error }, &mut out);
    let all = deaths(&bed);
    assert_eq!(all.len(), 20);
    assert_eq!((&*all[0].child, all[0].worker, all[0].pid), ("recorder", None, None));
    assert_eq!((all[0].exit, all[0].signal, all[0].why.as_str()), (None, None, "no descriptors"));
    assert!(all.windows(2).all(|pair| pair[0].generation > pair[1].generation), "newest first");
}

#[test]
fn more_than_twenty_deaths_in_a_minute_degrade_the_pool_and_one_on_probation_decides() {
    let mut bed = after_twenty_one_deaths();
    bed.pass(ms(120_000), &[]);
    assert_eq!(bed.logged("pool.recovered"), 1);
    let ready = bed.pool.status(0).workers.ready;
    assert!(ready >= 22, "{ready}");
}

#[test]
fn one_on_probation_that_is_asked_to_leave_makes_way_for_the_next() {
    let mut bed = after_twenty_one_deaths();
    let spawned = |action: &Action| match action {
        Action::Spawn { child: Child::Worker(slot), .. } => Some(*slot),
        _ => None,
    };
    let slot = bed.log.iter().find_map(spawned).unwrap();
    bed.pool.stop_worker(slot, ms(1_000));
    bed.pool.out.drain_to(&mut Vec::new());
    bed.exit(slot.0, Exit::Code(0));
    bed.pass(ms(120_000), &[]);
    assert_eq!(bed.logged("pool.recovered"), 1);
}

/// The breaker has tripped and one worker is started on probation.
fn after_twenty_one_deaths() -> Bed {
    let mut bed = Bed::new(config(64));
    let ids: Vec<String> = (0..110).map(|n| format!("m{n}")).collect();
    bed.load_list(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    bed.pass(ms(2_000), &[]);
    let running: Vec<u16> = bed.seen.keys().map(|slot| slot.0).collect();
    assert!(running.len() >= 22, "{running:?}");
    let ready = |bed: &Bed| bed.pool.status(0).workers.ready;
    bed.mute = true;
    for slot in running.iter().take(21) {
        bed.exit(*slot, KILLED);
    }
    bed.log.clear();
    bed.pass(ms(50_000), &[]);
    assert_eq!((bed.logged("worker.spawned"), bed.logged("pool.degraded")), (0, 1));
    assert!(bed.pool.health().reasons.iter().any(|why| why.contains("too many workers died")));
    assert!(ready(&bed) > 0, "what runs goes on");
    bed.mute = false;
    bed.pass(ms(12_000), &[]);
    assert_eq!(bed.logged("worker.spawned"), 1, "one on probation");
    bed
}

#[test]
fn workers_that_share_a_process_die_one_death() {
    let mut bed = Bed::new(config(64));
    let ids: Vec<String> = (0..110).map(|n| format!("m{n}")).collect();
    bed.load_list(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    bed.pass(ms(2_000), &[]);
    let together: Vec<u16> = bed.seen.keys().map(|slot| slot.0).collect();
    assert!(together.len() >= 22, "{together:?}");
    for slot in &together {
        bed.pool.slot_mut(SlotId(*slot)).unwrap().life.process.pid = Some(7);
    }
    // One that is about to move has a seat in both, and they are one suspect.
    let (from, _) = bed.owner("m0");
    let to = *together.iter().find(|slot| **slot != from).unwrap();
    let suspect = children::slot::Suspect { key: key("m0"), epochs: Epoch(1)..=Epoch(1) };
    bed.pool.slot_mut(SlotId(to)).unwrap().suspects.push(suspect);
    for slot in &together {
        bed.exit(*slot, SEGV);
    }
    assert_eq!(bed.logged("pool.degraded"), 0, "{} workers, but one process", together.len());
    assert_eq!(bed.view("m0").state, MatchViewState::Waiting);
    bed.pass(ms(30_000), &[]);
    assert_eq!(bed.pool.count().waiting, 0);
}

#[test]
fn a_recorder_that_dies_again_and_again_is_waited_for_no_longer_than_its_back_off() {
    let mut bed = Bed::new(config(2));
    bed.load_list(&["a"]);
    for _ in 0..12 {
        let (child, generation) = (Child::RECORDER, bed.pool.children.recorder.life.generation);
        bed.give(Input::Exited { child, generation, exit: KILLED, usage: None, at: Work::None });
        bed.pass(Duration::from_secs(7), &[]);
        assert!(bed.pool.children.recorder.life.is_ready(), "{:?}", bed.pool.children.recorder.life.state);
    }
    assert_eq!(bed.logged("recorder.parked"), 0);
}

#[test]
fn a_child_of_another_version_is_refused_for_good() {
    for child in [Child::Worker(SlotId(1)), Child::RECORDER] {
        let mut bed = Bed::new(config(4));
        let generation = Generation(1);
        let hello = Hello { proto_min: 9, proto_max: 12, build: String::new(), pid: 9 };
        bed.give(match child {
            Child::RECORDER => Input::Recorder { generation, message: FromRecorder::Hello(hello) },
            Child::GATEWAY => Input::Gateway { generation, message: FromGateway::Hello(hello) },
            Child::Worker(slot) => Input::Worker { slot, generation, message: FromWorker::Hello(hello) },
        });
        let kill = |action: &Action| matches!(action, Action::Kill { child: of, .. } if *of == child);
        assert!(bed.log.iter().any(kill), "{child:?}");
        bed.give(Input::Exited {
            child,
            generation,
            exit: Exit::Signal { number: 15, core: false },
            usage: None,
            at: Work::None,
        });
        bed.log.clear();
        bed.pass(Duration::from_secs(900), &[]);
        let spawned = |action: &Action| matches!(action, Action::Spawn { child: of, .. } if *of == child);
        assert!(!bed.log.iter().any(spawned), "{child:?} parks for good, whatever its exit was");
        assert!(deaths(&bed)[0].why.contains("it speaks message versions 9 to 12"), "{:?}", deaths(&bed));
    }
}

#[test]
fn a_spare_worker_is_kept_idle_and_takes_over_in_the_same_step() {
    let mut config = config(8);
    config.pool.spare_workers = 1;
    let mut bed = Bed::new(config);
    bed.load_list(&["a", "b", "c"]);
    bed.pass(ms(5_000), &[]);
    let idle = |bed: &Bed| bed.pool.workers().iter().filter(|w| w.state == "ready" && w.matches == 0).count();
    assert_eq!(idle(&bed), 1, "{:?}", bed.pool.workers());
    let (victim, _) = bed.owner("a");
    assert_eq!((bed.owner("b").0, bed.owner("c").0), (victim, victim), "matches leave the spare alone");
    bed.log.clear();
    bed.exit(victim, KILLED);
    assert_eq!(bed.pool.count().waiting, 0, "no start was needed");
    assert_ne!(bed.owner("a").0, victim);
    bed.pass(ms(10_000), &[]);
    assert_eq!(idle(&bed), 1, "and there is a spare again");
    bed.pass(Duration::from_secs(2_000), &[]);
    assert_eq!((idle(&bed), bed.logged("worker.draining")), (1, 0), "idle for long, it is not retired");
}

#[test]
fn a_start_that_hangs_is_killed_and_another_follows() {
    let mut bed = Bed::new(config(2));
    let child = Child::Worker(SlotId(1));
    bed.exit(1, KILLED);
    bed.mute = true;
    bed.pass(ms(11_500), &[1]);
    let abort = Action::Kill { child, generation: Generation(2), signal: Signal::Abort };
    assert!(bed.log.contains(&abort));
    bed.mute = false;
    bed.exit(1, KILLED);
    // The other slot was started while this one was dying, and hangs as well.
    bed.pass(ms(15_000), &[]);
    assert_eq!(bed.pool.status(0).workers.ready, 1);
}

#[test]
fn a_worker_that_hangs_while_it_is_to_leave_is_killed_as_any_other() {
    let mut bed = Bed::new(config(2));
    bed.load_list(&["a", "b"]);
    bed.pass(ms(1_000), &[]);
    let (request, timeout) = (RequestId(7), ms(60_000));
    bed.give(Input::Command { request, command: Command::Drain { slot: SlotId(1) }, timeout });
    bed.pass(ms(1_000), &[]);
    for id in ["a", "b"] {
        bed.live(id);
        if let Assignment::Assigned { candidate: Some(seat), .. } =
            &bed.pool.catalog.matches.get(&key(id)).unwrap().assignment
        {
            let message = FromRecorder::Switched { key: key(id), epoch: seat.epoch };
            let generation = bed.pool.children.recorder.life.generation;
            bed.give(Input::Recorder { generation, message });
        }
    }
    bed.pass(ms(1_000), &[]);
    assert!(bed.sent_to(1).iter().any(|message| matches!(message, ToWorker::Stop { .. })));
    let signals = |bed: &Bed| {
        let mut sent = Vec::new();
        for action in &bed.log {
            if let Action::Kill { child: Child::Worker(SlotId(1)), signal, .. } = action {
                sent.push(*signal);
            }
        }
        sent
    };
    bed.pass(ms(9_500), &[1]);
    assert_eq!(signals(&bed), []);
    bed.pass(ms(1_000), &[1]);
    assert_eq!(signals(&bed), [Signal::Abort]);
    bed.pass(ms(2_500), &[1]);
    assert_eq!(signals(&bed), [Signal::Abort, Signal::Kill], "once each");
}

#[test]
fn a_recorder_that_is_not_ready_when_the_end_begins_is_asked_to_leave_once_it_is() {
    let mut pool = Pool::new(config(2), None);
    let mut step = |at: u64, input: Input| {
        let mut out = Vec::new();
        pool.step(ms(at), input, &mut out);
        out
    };
    step(0, Input::Tick);
    let (request, timeout) = (RequestId(1), ms(60_000));
    let command = Command::Stop { urgency: Urgency::Drain };
    step(10, Input::Command { request, command, timeout });
    let exit = Exit::Signal { number: 15, core: false };
    let (child, generation) = (Child::Worker(SlotId(1)), Generation(1));
    step(20, Input::Exited { child, generation, exit, usage: None, at: Work::None });
    let message = FromRecorder::Ready { highest_epoch: Epoch(1), token: 1 };
    let out = step(2_000, Input::Recorder { generation, message });
    let asked = |action: &&Action| {
        matches!(action, Action::ToRecorder { message: ToRecorder::Stop { deadline_ms: 1.. }, .. })
    };
    assert_eq!(out.iter().filter(asked).count(), 1, "its signal was not for it: {out:?}");
    assert!(out.iter().all(|action| !matches!(action, Action::ConnectData { .. })), "{out:?}");
    let out = step(
        2_050,
        Input::Exited {
            child: Child::RECORDER,
            generation,
            exit: Exit::Code(0),
            usage: None,
            at: Work::None,
        },
    );
    assert!(out.contains(&Action::Finished), "{out:?}");
}

#[test]
fn a_start_that_fails_is_not_tried_at_once_in_another_slot() {
    let mut bed = with_three();
    let (slot, _) = bed.owner("a");
    bed.exit(slot, SEGV);
    // Every start fails from now on.
    let (mut tries, until) = (Vec::new(), bed.now + Duration::from_secs(20));
    let mut failed = Vec::new();
    while bed.now < until {
        bed.now += ms(50);
        let mut out = Vec::new();
        let input = failed.pop().unwrap_or(Input::Tick);
        bed.pool.step(bed.now, input, &mut out);
        for action in out {
            if let Action::Spawn { child: child @ Child::Worker(_), generation, .. } = action {
                tries.push(bed.now);
                failed.push(Input::SpawnFailed { child, generation, error: "no descriptors".to_owned() });
            }
        }
    }
    let first = tries[0];
    let within = |time: u64| tries.iter().filter(|at| **at < first + ms(time)).count();
    assert!(within(2_000) <= 3 && within(15_000) <= 6, "{tries:?}");
    assert!(tries.len() >= 4, "it is tried again: {tries:?}");
}
