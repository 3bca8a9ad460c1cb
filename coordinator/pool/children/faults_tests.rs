//! Silence, deaths, and what ended unseen.

use super::*;

fn fill(bed: &mut Bed, count: usize) -> Vec<String> {
    let ids: Vec<String> = (0..count).map(|n| format!("m{n}")).collect();
    bed.load_list(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    bed.pass(ms(3_000), &[]);
    ids
}

fn sent_to_recorder(bed: &Bed, wanted: impl Fn(&ToRecorder) -> bool) -> usize {
    let sent = |action: &&Action| matches!(action, Action::ToRecorder { message, .. } if wanted(message));
    bed.log.iter().filter(sent).count()
}

#[test]
fn a_silent_workers_list_is_followed_elsewhere_and_let_go_when_it_is_back() {
    let mut bed = Bed::new(config(8));
    fill(&mut bed, 6);
    let holder = bed.pool.feeds[FEED].holder.unwrap();
    let generation = bed.pool.slot(holder).unwrap().life.generation;
    bed.log.clear();
    bed.pass(ms(2_500), &[holder.0]);
    let now = bed.pool.feeds[FEED].holder.unwrap();
    assert_ne!(now, holder);
    assert_eq!(bed.logged("list.followed"), 1);
    assert!(bed.sent_to(now.0).contains(&&ToWorker::FollowList));
    assert_eq!(bed.sent_to(holder.0).iter().filter(|sent| ***sent == ToWorker::UnfollowList).count(), 1);
    // What the former holder still reports is not believed, and the gap of the list ends nothing.
    let torn = vec![ListChange::LoadBegin, ListChange::LoadEnd];
    bed.give(Input::Worker { slot: holder, generation, message: FromWorker::List(torn) });
    bed.pass(ms(20_000), &[]);
    assert_eq!((bed.pool.count().listed, bed.pool.count().ended), (6, 0));
    assert_eq!(bed.pool.feeds[FEED].holder.unwrap(), now, "it stays where it is");
}

#[test]
fn the_recorder_learns_of_a_silence_and_of_its_end() {
    let mut bed = Bed::new(config(8));
    fill(&mut bed, 6);
    bed.log.clear();
    bed.pass(ms(2_500), &[2]);
    let silent = |message: &ToRecorder| {
        matches!(message, ToRecorder::Silent { slot: SlotId(2), ms: 2_000..=2_250, .. })
    };
    assert_eq!(sent_to_recorder(&bed, silent), 1);
    let (child, generation) = (Child::RECORDER, bed.pool.children.recorder.life.generation);
    bed.give(Input::Exited { child, generation, exit: KILLED, usage: None, at: Work::None });
    bed.pass(ms(1_500), &[2]);
    let silent = |message: &ToRecorder| matches!(message, ToRecorder::Silent { slot: SlotId(2), .. });
    assert_eq!(sent_to_recorder(&bed, silent), 2, "a recorder that starts anew does not know");
    bed.pass(ms(500), &[]);
    let back = |message: &ToRecorder| matches!(message, ToRecorder::Back { slot: SlotId(2), .. });
    assert_eq!(sent_to_recorder(&bed, back), 1);
}

#[test]
fn a_full_pool_starts_another_worker_at_once_when_one_that_worked_dies() {
    let mut bed = Bed::new(config(8));
    let ids = fill(&mut bed, 14);
    let workers = bed.pool.workers().len();
    let lost = ids.iter().filter(|id| bed.owner(id).0 == 2).count();
    assert!(lost > 0 && workers == 3);
    bed.log.clear();
    bed.exit(2, KILLED);
    assert_eq!(bed.logged("worker.spawned"), 1, "in the same step, in another slot");
    assert_eq!(bed.pool.count().waiting, 0);
}

#[test]
fn a_worker_that_dies_of_its_start_is_waited_for() {
    let mut bed = Bed::new(config(8));
    fill(&mut bed, 14);
    bed.exit(2, KILLED);
    let (young, _) = bed.owner("m0");
    let young = bed.seen.keys().map(|slot| slot.0).max().filter(|slot| *slot > 3).unwrap_or(young);
    bed.log.clear();
    bed.exit(young, KILLED);
    assert_eq!(bed.logged("worker.spawned"), 0, "it lived for no time at all");
    bed.pass(ms(1_500), &[]);
    assert_eq!((bed.logged("worker.spawned"), bed.pool.count().waiting), (1, 0));
}

#[test]
fn what_the_store_holds_and_the_list_lacks_has_ended_but_only_after_a_second_load() {
    let mut bed = Bed::new(config(8));
    let generation = bed.pool.children.recorder.life.generation;
    let held = FromRecorder::Held { keys: vec![key("a"), key("gone"), key("late")] };
    bed.give(Input::Recorder { generation, message: held });
    bed.pass(ms(15_000), &[]);
    bed.load_list(&["a", "b"]);
    let ended = |bed: &Bed| sent_to_recorder(bed, |message| matches!(message, ToRecorder::Ended { .. }));
    bed.pass(ms(5_000), &[]);
    bed.list(vec![ListChange::Present { id: "late".into(), listing: Listing::default() }]);
    bed.log.clear();
    bed.pass(ms(6_000), &[]);
    assert_eq!(ended(&bed), 0, "one load may be torn");
    let holder = bed.pool.feeds[FEED].holder.unwrap();
    assert_eq!(bed.sent_to(holder.0).iter().filter(|sent| ***sent == ToWorker::FollowList).count(), 1);
    bed.load_list(&["a", "b", "late"]);
    bed.pass(ms(500), &[]);
    assert_eq!(ended(&bed), 1);
    let gone = |sent: &ToRecorder| matches!(sent, ToRecorder::Ended { key: of, .. } if *of == key("gone"));
    assert_eq!(sent_to_recorder(&bed, gone), 1);
}

#[test]
fn what_the_store_holds_and_the_filter_now_leaves_out_has_ended_at_the_first_load() {
    let mut config = config(8);
    config.feeds[0].selection.only.sports = vec!["tennis".into()];
    let mut bed = Bed::new(config);
    let generation = bed.pool.children.recorder.life.generation;
    let elsewhere = MatchKey { feed: FeedId(7), id: "a".into() };
    let held = FromRecorder::Held { keys: vec![key("a"), key("kept"), elsewhere] };
    bed.give(Input::Recorder { generation, message: held });
    bed.log.clear();
    let listing = |sport: &str| Listing { sport: Some(sport.into()), ..Listing::default() };
    bed.list(vec![
        ListChange::LoadBegin,
        ListChange::Present { id: "a".into(), listing: listing("soccer") },
        ListChange::Present { id: "kept".into(), listing: listing("tennis") },
        ListChange::LoadEnd,
    ]);
    bed.pass(ms(60_000), &[]);
    let ended = |sent: &ToRecorder| matches!(sent, ToRecorder::Ended { .. });
    let of_a = |sent: &ToRecorder| matches!(sent, ToRecorder::Ended { key: of, .. } if *of == key("a"));
    assert_eq!((sent_to_recorder(&bed, ended), sent_to_recorder(&bed, of_a)), (1, 1));
    assert_eq!(bed.logged("match.ended"), 1);
    assert!(bed.pool.catalog.orphans.is_empty());
}

/// Six matches, and one of them that is live at worker 2.
fn live_at_two() -> (Bed, &'static str) {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a", "b", "c", "d", "e", "f"]);
    bed.pass(ms(1_000), &[]);
    let id = ["a", "b", "c", "d", "e", "f"].into_iter().find(|id| bed.owner(id).0 == 2).unwrap();
    bed.live(id);
    (bed, id)
}

#[test]
fn a_silent_workers_matches_get_candidates_and_the_recorder_decides() {
    let (mut bed, id) = live_at_two();
    let (_, old) = bed.owner(id);
    bed.log.clear();
    bed.pass(ms(2_500), &[2]);
    assert_eq!(bed.logged("worker.silent"), 1);
    assert_eq!(bed.owner(id), (2, old), "nothing has changed yet");
    assert_eq!(bed.switches(), []);
    bed.live(id);
    let [(_, epoch, Owner::Alive)] = bed.switches()[..] else { panic!("{:?}", bed.switches()) };
    let generation = bed.pool.children.recorder.life.generation;
    let message = FromRecorder::Switched { key: key(id), epoch: Epoch(epoch) };
    bed.give(Input::Recorder { generation, message });
    assert_ne!(bed.owner(id).0, 2);
    assert!(bed.sent_to(2).iter().any(|message| matches!(
        message,
        ToWorker::Release { epoch, why: ReleaseReason::Moved, .. } if epoch.0 == old
    )));
    bed.pass(ms(8_000), &[2]);
    assert!(bed.log.iter().any(|action| matches!(
        action,
        Action::Kill { child: Child::Worker(SlotId(2)), signal: Signal::Abort, .. }
    )));
}

/// The worker of the match's newest seat.
fn newest_seat(bed: &Bed, id: &str) -> u16 {
    let Assignment::Assigned { owner, candidate } =
        &bed.pool.catalog.matches.get(&key(id)).unwrap().assignment
    else {
        panic!()
    };
    candidate.as_ref().unwrap_or(owner).slot.0
}

#[test]
fn a_candidate_at_a_worker_that_falls_silent_too_goes_elsewhere() {
    let (mut bed, id) = live_at_two();
    bed.pass(ms(2_250), &[2]);
    let first = newest_seat(&bed, id);
    assert_ne!(first, 2);
    // It never got its load there.
    bed.pass(ms(3_000), &[2, first]);
    let second = newest_seat(&bed, id);
    assert!(![2, first].contains(&second), "{second}");
    // One that is live there is the recorder's to decide.
    bed.live(id);
    bed.pass(ms(2_250), &[2, first, second]);
    assert_eq!(newest_seat(&bed, id), second);
}

#[test]
fn workers_that_share_a_process_fall_silent_together() {
    let (mut bed, id) = live_at_two();
    let others: Vec<u16> = bed.seen.keys().map(|slot| slot.0).filter(|slot| *slot != 2).collect();
    let other = others[0];
    for slot in [2, other] {
        bed.pool.slot_mut(SlotId(slot)).unwrap().life.process.pid = Some(7);
    }
    bed.log.clear();
    bed.pass(ms(750), &[2]);
    bed.pass(ms(1_500), &[2, other]);
    assert_eq!(bed.logged("worker.silent"), 2);
    assert!(![2, other].contains(&newest_seat(&bed, id)), "not to one that stands still, too");
}

#[test]
fn a_coordinator_that_was_late_judges_nobody() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a", "b"]);
    bed.pass(ms(1_000), &[]);
    bed.list(vec![ListChange::Gone { id: "a".into() }]);
    bed.log.clear();
    bed.now += Duration::from_secs(30);
    bed.give(Input::Tick);
    assert_eq!(bed.logged("pool.late"), 1);
    assert_eq!(bed.logged("worker.silent") + bed.logged("worker.kill") + bed.logged("recorder.kill"), 0);
    assert_eq!(bed.pool.count().ended, 0, "the insert that makes it a move may wait to be read");
    bed.pass(ms(3_000), &[1]);
    assert_eq!(bed.logged("worker.silent"), 1, "from now on it counts");
}

#[test]
fn connections_that_broke_at_once_come_back_within_the_budget() {
    let mut config = config(8);
    config.feeds[0].cap = 1;
    config.feeds[0].connections.per_s = 2.0;
    let mut bed = Bed::new(config);
    bed.load_list(&["a", "b", "c", "d", "e", "f"]);
    bed.pass(ms(10_000), &[]);
    let slots: Vec<(SlotId, Generation)> =
        bed.seen.iter().map(|(slot, (generation, _))| (*slot, *generation)).collect();
    assert!(slots.len() >= 6, "{slots:?}");
    bed.log.clear();
    let sent = |bed: &Bed| {
        let leave =
            |action: &&Action| matches!(action, Action::ToWorker { message: ToWorker::PermitConnect, .. });
        bed.log.iter().filter(leave).count()
    };
    let last = [slots.last().copied().unwrap(); 2];
    for (slot, generation) in slots.iter().copied().chain(last) {
        bed.give(Input::Worker { slot, generation, message: FromWorker::RequestConnect });
    }
    assert_eq!(sent(&bed), 2, "what the budget has at the moment");
    bed.pass(ms(1_000), &[]);
    assert_eq!(sent(&bed), 4);
    bed.pass(ms(3_000), &[]);
    assert_eq!(sent(&bed), slots.len(), "each once, however often it asked");
}

#[test]
fn a_list_that_is_sent_again_and_again_is_said_once_a_minute() {
    let mut bed = Bed::new(config(4));
    let said = |bed: &mut Bed| {
        let log = std::mem::take(&mut bed.log);
        log.iter().filter(|action| matches!(action, Action::Log(LogEvent::ListLoaded { .. }))).count()
    };
    for _ in 0..100 {
        bed.load_list(&["a", "b"]);
    }
    // The first finds nothing followed, the others both.
    assert_eq!(said(&mut bed), 1);
    bed.load_list(&["a", "b", "c"]);
    assert_eq!(said(&mut bed), 1, "other numbers");
    bed.pass(Duration::from_secs(61), &[]);
    bed.log.clear();
    bed.load_list(&["a", "b", "c"]);
    bed.load_list(&["a", "b", "c"]);
    assert_eq!(said(&mut bed), 1);
}

#[test]
fn a_feed_that_is_down_says_why_without_what_is_past() {
    let mut bed = Bed::new(config(4));
    let why = |bed: &Bed| bed.pool.status(0).feeds[0].why.clone();
    let say = |bed: &mut Bed, state, detail: &str| {
        let slots: Vec<_> = bed.seen.iter().map(|(slot, (generation, _))| (*slot, *generation)).collect();
        for (slot, generation) in slots {
            let message = FromWorker::Connection { state, detail: detail.to_owned(), lost: None };
            bed.give(Input::Worker { slot, generation, message });
        }
    };
    say(&mut bed, ConnectionState::Down, "h:1: no; next attempt in 5 ms");
    assert_eq!(why(&bed), "no connection is up: h:1: no");
    say(&mut bed, ConnectionState::Connecting, "");
    assert_eq!(why(&bed), "no connection is up: h:1: no");
    say(&mut bed, ConnectionState::Up, "");
    say(&mut bed, ConnectionState::Connecting, "");
    assert_eq!(why(&bed), "no connection is up");
}
