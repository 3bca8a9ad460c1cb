//! The pool step by step: what each rule does in its plainest case. What holds in all cases is in `simulation`.

use super::*;
use catalog::matches::Assignment;
use catalog::table::Mark;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use touchline_common::config::{Dur, WaitingKey};
use touchline_common::control::views::{DaemonState, DeathView, MatchView, MatchViewState};
use touchline_common::ipc::PROTO;
use touchline_common::ipc::messages::Hello;
use touchline_common::ipc::messages::recorder::{FromRecorder, Owner, RecorderStats};
use touchline_common::ipc::messages::worker::{
    ConnectionState, FromWorker, ListChange, LoadReport, MatchReport, MatchState, ReleaseReason,
};
use touchline_common::model::{Epoch, FeedId, Listing, MatchId, MatchKey};

#[path = "cap/tests.rs"]
mod caps;
#[path = "children/faults_tests.rs"]
mod faults;
#[path = "placement/moves_tests.rs"]
mod moves;
#[path = "children/recovery_tests.rs"]
mod recovery;
#[path = "children/supervision_tests.rs"]
mod supervision;

const FEED: FeedId = FeedId(0);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn plan() -> FeedPlan {
    FeedPlan {
        name: "inplay".into(),
        kind: "diffusion".into(),
        cap: 5,
        own_subscriptions: 0,
        connections: ConnectionLimits { most: 64, per_s: 20.0 },
        match_topics: vec!["6V{ID}".parse().unwrap()],
        source: MatchSource::List,
        waiting_order: vec![WaitingKey::InPlay, WaitingKey::Start],
        selection: Selection::default(),
        end_linger: Duration::from_secs(10),
        break_before_make: false,
        learns_cap: false,
    }
}

fn config(max_workers: u16) -> Settings {
    Settings {
        pool: PoolConfig {
            min_workers: 1,
            max_workers,
            spare_workers: 0,
            rebalance: false,
            drain_deadline: Dur::secs(20),
        },
        feeds: vec![plan()],
        seed: 1,
        timing: Timing::default(),
    }
}

/// A process of its own for each start, unless two are to share one.
fn pid(child: Child, generation: Generation) -> u32 {
    match child {
        Child::RECORDER => 900_000 + generation.0,
        Child::Worker(slot) => u32::from(slot.0) * 1_000 + generation.0,
    }
}

fn key(id: &str) -> MatchKey {
    MatchKey { feed: FEED, id: id.into() }
}

/// A world in which everything is done at once: children start, are ready and connected; epochs are reserved.
struct Bed {
    pool: Pool,
    now: Duration,
    /// Every action since the last look.
    log: Vec<Action>,
    seen: BTreeMap<SlotId, (Generation, u64)>,
    mute: bool,
}

impl Bed {
    fn new(config: Settings) -> Bed {
        Bed::after(config, None)
    }

    fn after(config: Settings, saved: Option<&SavedStateV2>) -> Bed {
        let pool = Pool::new(config, saved);
        let mut bed = Bed { pool, now: ms(0), log: Vec::new(), seen: BTreeMap::new(), mute: false };
        bed.give(Input::Tick);
        bed
    }

    fn give(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            self.pool.step(self.now, input, &mut out);
            out.iter().for_each(|action| inputs.extend(self.follows(action)));
            self.log.extend(out);
        }
    }

    fn follows(&mut self, action: &Action) -> Vec<Input> {
        let worker = |slot, generation, message| Input::Worker { slot, generation, message };
        match action.clone() {
            Action::Spawn { child, generation, .. } => {
                let hello = Hello { proto_min: PROTO, proto_max: PROTO, build: String::new(), pid: 9 };
                let said = match child {
                    Child::RECORDER => Input::Recorder { generation, message: FromRecorder::Hello(hello) },
                    Child::Worker(slot) => {
                        self.seen.insert(slot, (generation, 0));
                        worker(slot, generation, FromWorker::Hello(hello))
                    }
                };
                vec![Input::Spawned { child, generation, pid: pid(child, generation) }, said]
            }
            Action::Welcome { child: Child::RECORDER, generation, .. } => {
                let message = FromRecorder::Ready { highest_epoch: Epoch(500), token: 1 };
                vec![Input::Recorder { generation, message }]
            }
            Action::Welcome { child: Child::Worker(slot), generation, .. } if !self.mute => {
                let state = ConnectionState::Up;
                let up = FromWorker::Connection { state, detail: String::new(), lost: None };
                vec![worker(slot, generation, FromWorker::Ready), worker(slot, generation, up)]
            }
            Action::ConnectData { slot, generation } => {
                vec![worker(slot, generation, FromWorker::DataOpened)]
            }
            Action::ReserveEpochs { up_to } => vec![Input::EpochsReserved { up_to }],
            Action::ToWorker { slot, message, .. } => {
                let counted = matches!(
                    message,
                    ToWorker::Assign { .. }
                        | ToWorker::Release { .. }
                        | ToWorker::FollowList
                        | ToWorker::UnfollowList
                );
                self.seen.get_mut(&slot).unwrap().1 += u64::from(counted);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Ticks through `time`, with reports of every worker but `silent`.
    fn pass(&mut self, time: Duration, silent: &[u16]) {
        let until = self.now + time;
        while self.now < until {
            self.now += ms(250);
            for (slot, (generation, commands_seen)) in self.seen.clone() {
                if !silent.contains(&slot.0) {
                    let report = LoadReport { commands_seen, ..LoadReport::default() };
                    self.give(Input::Worker { slot, generation, message: FromWorker::Load(report) });
                }
            }
            let generation = self.pool.children.recorder.life.generation;
            let message = FromRecorder::Stats(RecorderStats::default());
            self.give(Input::Recorder { generation, message });
            self.give(Input::Tick);
        }
    }

    fn list(&mut self, changes: Vec<ListChange>) {
        let slot = self.pool.feeds[FEED].holder.unwrap();
        let generation = self.pool.slot(slot).unwrap().life.generation;
        self.give(Input::Worker { slot, generation, message: FromWorker::List(changes) });
    }

    fn load_list(&mut self, ids: &[&str]) {
        let mut changes = vec![ListChange::LoadBegin];
        changes.extend(
            ids.iter().map(|id| ListChange::Present { id: (*id).into(), listing: Listing::default() }),
        );
        changes.push(ListChange::LoadEnd);
        self.list(changes);
    }

    fn live(&mut self, id: &str) {
        self.state(id, MatchState::Live);
    }

    /// The newest seat of the match reports this state.
    fn state(&mut self, id: &str, state: MatchState) {
        let Assignment::Assigned { owner, candidate } =
            &self.pool.catalog.matches.get(&key(id)).unwrap().assignment
        else {
            panic!()
        };
        let seat = candidate.as_ref().unwrap_or(owner);
        let (slot, epoch) = (seat.slot, seat.epoch);
        let generation = self.pool.slot(slot).unwrap().life.generation;
        let report = MatchReport { id: id.into(), epoch, state, took_ms: 3, name: None };
        self.give(Input::Worker { slot, generation, message: FromWorker::Match(report) });
    }

    fn exit(&mut self, slot: u16, exit: Exit) {
        let slot = SlotId(slot);
        let (generation, _) = self.seen.remove(&slot).unwrap();
        self.give(Input::Exited {
            child: Child::Worker(slot),
            generation,
            exit,
            usage: None,
            at: Work::None,
        });
    }

    fn owner(&self, id: &str) -> (u16, u64) {
        let view = self.view(id);
        (view.worker.unwrap(), view.epoch.unwrap())
    }

    fn view(&self, id: &str) -> MatchView {
        self.pool.matches(MatchQuery::default()).into_iter().find(|view| view.id == id).unwrap()
    }

    fn switches(&self) -> Vec<(String, u64, Owner)> {
        self.log
            .iter()
            .filter_map(|action| match action {
                Action::ToRecorder { message: ToRecorder::Switch { key, epoch, owner }, .. } => {
                    Some((key.id.to_string(), epoch.0, *owner))
                }
                _ => None,
            })
            .collect()
    }

    fn sent_to(&self, slot: u16) -> Vec<&ToWorker> {
        self.log
            .iter()
            .filter_map(|action| match action {
                Action::ToWorker { slot: to, message, .. } if to.0 == slot => Some(message),
                _ => None,
            })
            .collect()
    }

    fn logged(&self, name: &str) -> usize {
        self.log.iter().filter(|action| matches!(action, Action::Log(n) if n.name() == name)).count()
    }
}

const KILLED: Exit = Exit::Signal { number: 9, core: false };
const SEGV: Exit = Exit::Signal { number: 11, core: true };

#[test]
fn the_first_list_starts_as_many_workers_as_it_needs_and_fills_them_alike() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
    let workers = bed.pool.workers();
    assert_eq!(workers.iter().map(|w| w.subscriptions + w.reserved).collect::<Vec<_>>(), [5, 5]);
    assert_eq!(bed.pool.state(), DaemonState::Ready);
    assert!(bed.switches().iter().all(|(_, epoch, owner)| *epoch > 500 && *owner == Owner::Dead));
}

#[test]
fn beyond_the_last_worker_matches_wait_in_their_order_and_nothing_passes_the_cap() {
    let mut bed = Bed::new(config(1));
    bed.load_list(&["a", "b", "c", "d", "e", "f"]);
    let soon = Listing { in_play: true, ..Listing::default() };
    bed.list(vec![ListChange::Present { id: "z".into(), listing: soon }]);
    assert_eq!(bed.pool.count().waiting, 3);
    assert!(bed.pool.workers()[0].subscriptions + bed.pool.workers()[0].reserved <= 5);
    bed.state("a", MatchState::Removed);
    bed.list(vec![ListChange::Gone { id: "a".into() }]);
    bed.pass(ms(6_000), &[]);
    assert_eq!(bed.view("z").worker, Some(1), "in play goes first");
    assert_eq!(bed.pool.count().waiting, 2);
    assert_eq!(bed.view("a").state, MatchViewState::Ended);
}

#[test]
fn a_match_that_left_the_list_is_ending_until_its_topics_are_removed() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a", "b"]);
    bed.live("a");
    bed.list(vec![ListChange::Gone { id: "a".into() }]);
    bed.pass(ms(6_000), &[]);
    assert_eq!(bed.view("a").state, MatchViewState::Ending);
    let count = bed.pool.count();
    assert_eq!((count.listed, count.ending, count.live, count.ended), (2, 1, 0, 0));
    bed.list(vec![ListChange::Present { id: "a".into(), listing: Listing::default() }]);
    assert_eq!(bed.view("a").state, MatchViewState::Live, "it is back");
    bed.list(vec![ListChange::Gone { id: "a".into() }]);
    bed.pass(ms(6_000), &[]);
    bed.state("a", MatchState::Removed);
    assert_eq!(bed.view("a").state, MatchViewState::Ended);
}

#[test]
fn the_end_of_a_match_is_reported_though_it_is_listed_again() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a", "b"]);
    bed.live("a");
    let (slot, epoch) = bed.owner("a");
    bed.state("a", MatchState::Removed);
    bed.list(vec![ListChange::Gone { id: "a".into() }]);
    bed.pass(ms(4_500), &[]);
    // Its worker takes a moment to see it.
    bed.pass(ms(1_000), &[slot]);
    assert_eq!(bed.view("a").state, MatchViewState::Ended);
    bed.list(vec![ListChange::Present { id: "a".into(), listing: Listing::default() }]);
    bed.pass(ms(1_000), &[]);
    let (_, anew) = bed.owner("a");
    let ends: Vec<u64> = bed
        .log
        .iter()
        .filter_map(|action| match action {
            Action::ToRecorder { message: ToRecorder::Ended { key: of, epoch }, .. } if *of == key("a") => {
                Some(epoch.0)
            }
            _ => None,
        })
        .collect();
    assert!(matches!(ends[..], [up_to] if (epoch..anew).contains(&up_to)), "{epoch}, {ends:?}, {anew}");
}

#[test]
fn a_match_that_needs_more_than_a_connection_has_is_said_to() {
    let mut config = config(4);
    config.feeds[0].match_topics = (0..6).map(|n| format!("{n}V{{ID}}").parse().unwrap()).collect();
    let mut bed = Bed::new(config);
    bed.load_list(&["a"]);
    assert_eq!(bed.view("a").state, MatchViewState::Waiting);
    assert!(bed.view("a").why.unwrap().contains("6 subscriptions"), "{:?}", bed.view("a").why);
    bed.pass(ms(20_000), &[]);
    assert_eq!(bed.pool.workers().len(), 1, "no worker is started for it");
    assert_eq!(bed.pool.state(), DaemonState::Ready);
}

#[test]
fn a_dead_workers_matches_are_placed_in_the_same_step_under_new_epochs() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a", "b", "c", "d"]);
    bed.list(vec![
        ListChange::Present { id: "e".into(), listing: Listing::default() },
        ListChange::Present { id: "f".into(), listing: Listing::default() },
    ]);
    bed.pass(ms(1_000), &[]);
    let before = bed.pool.placement.epochs.highest();
    bed.log.clear();
    bed.exit(1, KILLED);
    let moved = bed.switches();
    assert!(
        !moved.is_empty() && moved.iter().all(|(_, epoch, owner)| *epoch > before.0 && *owner == Owner::Dead)
    );
    assert_eq!(bed.logged("list.followed"), 1, "the list is followed again at once");
    assert_eq!(bed.pool.count().waiting + bed.pool.count().subscribing, 6);
    bed.pass(ms(2_000), &[]);
    assert_eq!(bed.pool.count().waiting, 0);
    assert_eq!(bed.pool.count().ended, 0, "a gap of the list ends nothing");
}

#[test]
fn a_match_in_two_crashes_is_quarantined_until_released_but_kills_from_outside_blame_nobody() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a"]);
    for _ in 0..3 {
        let (slot, _) = bed.owner("a");
        bed.exit(slot, KILLED);
        bed.pass(ms(3_000), &[]);
    }
    for _ in 0..2 {
        let (slot, _) = bed.owner("a");
        bed.exit(slot, SEGV);
        bed.pass(ms(10_000), &[]);
    }
    assert_eq!(bed.view("a").state, MatchViewState::Quarantined);
    assert!(!bed.pool.health().healthy);
    let (request, timeout) = (RequestId(1), ms(1_000));
    bed.give(Input::Command { request, command: Command::Release { key: key("a") }, timeout });
    bed.pass(ms(40_000), &[]);
    assert_eq!(bed.view("a").state, MatchViewState::Subscribing);
}

#[test]
fn a_recorder_that_starts_anew_gives_every_match_a_new_epoch_without_a_new_subscription() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a", "b"]);
    bed.live("a");
    let before = bed.owner("a");
    let (child, generation) = (Child::RECORDER, bed.pool.children.recorder.life.generation);
    let message = FromRecorder::Switched { key: key("a"), epoch: Epoch(before.1) };
    bed.give(Input::Recorder { generation, message });
    bed.log.clear();
    bed.give(Input::Exited { child, generation, exit: KILLED, usage: None, at: Work::None });
    bed.pass(ms(3_000), &[]);
    let after = bed.owner("a");
    assert!(after.0 == before.0 && after.1 > before.1);
    // By what it committed the worker of `a` owns it; of `b` it may know a worker that is gone.
    let mut switches: Vec<_> = bed.switches().into_iter().map(|(key, _, owner)| (key, owner)).collect();
    switches.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(switches, [("a".to_owned(), Owner::Alive), ("b".to_owned(), Owner::Dead)]);
    let sent = bed.sent_to(1);
    assert_eq!(sent.iter().filter(|message| matches!(message, ToWorker::Renew { .. })).count(), 2);
    assert!(!sent.iter().any(|message| matches!(message, ToWorker::Assign { .. })));
    assert!(bed.log.iter().any(|action| matches!(action, Action::ConnectData { slot: SlotId(1), .. })));
    assert_eq!(bed.view("a").state, MatchViewState::Live);
}

#[test]
fn a_switch_to_a_candidate_that_is_no_more_renews_the_owner() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a"]);
    let (slot, epoch) = bed.owner("a");
    let generation = bed.pool.children.recorder.life.generation;
    let message = FromRecorder::Switched { key: key("a"), epoch: Epoch(epoch + 7) };
    bed.give(Input::Recorder { generation, message });
    assert!(bed.owner("a").0 == slot && bed.owner("a").1 > epoch + 7);
}

#[test]
fn exit_code_2_stops_all_starts_of_the_feed() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a"]);
    bed.exit(1, Exit::Code(2));
    bed.pass(Duration::from_secs(400), &[]);
    assert_eq!(bed.logged("worker.spawned"), 1);
    assert_eq!(bed.pool.workers()[0].state, "parked");
    assert!(bed.pool.health().reasons.iter().any(|reason| reason.contains("exit 2")));
}

#[test]
fn drained_workers_hand_over_before_they_leave() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a"]);
    bed.live("a");
    let (request, timeout) = (RequestId(5), ms(5_000));
    bed.give(Input::Command { request, command: Command::Drain { slot: SlotId(1) }, timeout });
    bed.pass(ms(500), &[]);
    assert_eq!(bed.owner("a").0, 1);
    bed.live("a");
    let (_, epoch, _) = bed.switches().pop().unwrap();
    let generation = bed.pool.children.recorder.life.generation;
    let message = FromRecorder::Switched { key: key("a"), epoch: Epoch(epoch) };
    bed.give(Input::Recorder { generation, message });
    assert_eq!(bed.owner("a").0, 2);
    bed.pass(ms(500), &[]);
    assert!(bed.sent_to(1).iter().any(|message| matches!(message, ToWorker::Stop { .. })));
    bed.exit(1, Exit::Code(0));
    bed.pass(ms(500), &[]);
    assert!(bed.log.iter().any(|action| matches!(
        action,
        Action::Answer { request: RequestId(5), answer: Answer::Done { .. } }
    )));
    assert_eq!(bed.logged("worker.died"), 0);
}

#[test]
fn the_end_comes_in_order_and_a_second_request_makes_it_urgent() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a"]);
    let timeout = Duration::from_secs(60);
    let stop = |request, urgency| Input::Command {
        request: RequestId(request),
        command: Command::Stop { urgency },
        timeout,
    };
    bed.give(stop(1, Urgency::Drain));
    assert_eq!(bed.pool.state(), DaemonState::Draining);
    assert!(bed.sent_to(1).contains(&&ToWorker::Stop { deadline_ms: 20_000 }));
    bed.log.clear();
    bed.give(stop(2, Urgency::Now));
    bed.give(stop(3, Urgency::Drain));
    let kill = |signal| Action::Kill { child: Child::Worker(SlotId(1)), generation: Generation(1), signal };
    assert!(bed.log.contains(&kill(Signal::Term)));
    bed.pass(ms(2_000), &[]);
    assert!(bed.log.contains(&kill(Signal::Kill)));
    assert_eq!(bed.pool.state(), DaemonState::Stopping);
    bed.exit(1, KILLED);
    assert!(bed.log.iter().any(|action| matches!(
        action,
        Action::ToRecorder { message: ToRecorder::Stop { deadline_ms: 2_000 }, .. }
    )));
    assert!(!bed.log.contains(&Action::Finished));
    let (child, generation) = (Child::RECORDER, Generation(1));
    bed.give(Input::Exited { child, generation, exit: Exit::Code(0), usage: None, at: Work::None });
    assert_eq!(bed.log.last(), Some(&Action::Finished));
    assert_eq!(bed.log.iter().filter(|action| matches!(action, Action::Answer { .. })).count(), 3);
    assert_eq!(bed.logged("worker.spawned"), 0);
}

#[test]
fn readiness_follows_the_contract() {
    let mut bed = Bed::new(config(8));
    let wait = |request| Input::Command {
        request: RequestId(request),
        command: Command::WaitReady,
        timeout: Duration::from_secs(60),
    };
    bed.give(wait(1));
    bed.pass(Duration::from_secs(29), &[]);
    assert_eq!(bed.pool.state(), DaemonState::Starting);
    bed.pass(Duration::from_secs(2), &[]);
    assert_eq!(bed.pool.state(), DaemonState::Degraded);
    let partial = bed.log.iter().find_map(|action| match action {
        Action::Answer { request: RequestId(1), answer } => Some(answer.clone()),
        _ => None,
    });
    assert!(
        matches!(&partial, Some(Answer::Partial { missing }) if missing.contains("inplay")),
        "{partial:?}"
    );
    bed.load_list(&[]);
    bed.give(wait(2));
    assert!(bed.log.iter().any(|action| matches!(
        action,
        Action::Answer { request: RequestId(2), answer: Answer::Done { .. } }
    )));
    assert_eq!(bed.pool.state(), DaemonState::Ready);
}

#[test]
fn a_cold_start_goes_on_where_the_last_run_ended() {
    let mut first = Bed::new(config(8));
    first.load_list(&["a", "b", "c", "d", "e", "f"]);
    let saved = first.pool.saved_state();
    assert_eq!(SavedStateV2::from_json(&saved.to_json().unwrap()).unwrap(), saved);
    let mut second = Bed::after(config(8), Some(&saved));
    assert_eq!(second.logged("worker.spawned"), 2, "as many as were needed");
    second.load_list(&["a", "b", "c", "d", "e", "g"]);
    for id in ["a", "b", "c", "d", "e"] {
        assert_eq!(second.owner(id).0, first.owner(id).0, "{id}");
        assert!(second.owner(id).1 > saved.highest_epoch);
    }
    assert_eq!(second.pool.workers()[0].generation, 2, "a generation is never used twice");
    let is_ended = |action: &Action| match action {
        Action::ToRecorder { message: ToRecorder::Ended { key: of, .. }, .. } => *of == key("f"),
        _ => false,
    };
    assert!(!second.log.iter().any(is_ended));
    second.pass(ms(10_500), &[]);
    second.load_list(&["a", "b", "c", "d", "e", "g"]);
    second.pass(ms(500), &[]);
    assert!(second.log.iter().any(is_ended));
}

#[test]
fn idle_workers_are_retired_but_not_all() {
    let mut bed = Bed::new(config(8));
    let ids: Vec<String> = (0..14).map(|n| format!("m{n}")).collect();
    bed.load_list(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    bed.pass(ms(1_000), &[]);
    assert_eq!(bed.pool.workers().len(), 3);
    for id in &ids {
        bed.state(id, MatchState::Removed);
    }
    bed.load_list(&[]);
    bed.load_list(&[]);
    assert_eq!(bed.pool.count().listed, 0, "a second load confirmed it");
    bed.log.clear();
    bed.pass(Duration::from_secs(590), &[]);
    assert_eq!(bed.logged("worker.draining"), 0);
    bed.pass(Duration::from_secs(100), &[]);
    assert_eq!(bed.logged("worker.draining"), 1, "one at a time");
    bed.exit(3, Exit::Code(0));
    bed.pass(Duration::from_secs(100), &[]);
    assert_eq!(bed.logged("worker.draining"), 2);
    bed.exit(2, Exit::Code(0));
    bed.pass(Duration::from_secs(1_000), &[]);
    assert_eq!(bed.logged("worker.draining"), 2, "the last one stays");
}

#[test]
fn fixed_matches_need_no_list() {
    let mut config = config(4);
    let fixed = ["r1", "r2"].map(MatchId::from);
    config.feeds[0].source = MatchSource::Fixed(fixed.to_vec());
    let mut bed = Bed::new(config);
    bed.pass(ms(500), &[]);
    assert_eq!(bed.pool.count().subscribing, 2);
    assert_eq!(bed.logged("list.followed"), 0);
    assert_eq!(bed.pool.state(), DaemonState::Ready);
}

#[test]
fn matches_that_are_named_anew_come_and_go_and_the_others_stay() {
    let mut config = config(4);
    let fixed = ["r1", "r2"].map(MatchId::from);
    config.feeds[0].source = MatchSource::Fixed(fixed.to_vec());
    let mut bed = Bed::new(config);
    bed.pass(ms(500), &[]);
    let stays = bed.view("r2");
    bed.give(Input::Named { feed: FeedId(0), ids: vec!["r2".into(), "r3".into()] });
    bed.pass(ms(500), &[]);
    assert_eq!(bed.pool.count().subscribing, 2);
    assert_eq!(bed.view("r2").epoch, stays.epoch, "it goes on as it was");
    assert_eq!(bed.view("r3").state, MatchViewState::Subscribing);
    assert_eq!(bed.view("r1").state, MatchViewState::Ended);
    bed.give(Input::Named { feed: FeedId(0), ids: vec!["r1".into()] });
    bed.pass(ms(500), &[]);
    assert_eq!(bed.view("r1").state, MatchViewState::Subscribing);
    assert_eq!(bed.pool.count().subscribing, 1);
}

#[test]
fn a_connection_that_brings_nothing_or_does_not_answer_makes_its_feed_degraded() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a"]);
    bed.live("a");
    bed.pass(ms(1_000), &[]);
    assert!(bed.pool.health().healthy);
    let (slot, (generation, commands_seen)) = bed.seen.clone().into_iter().next().unwrap();
    for (unanswered, quiet_s, why) in [
        (0, 61, "nothing came for longer than stale_after on the connection of worker 1"),
        (2, 0, "2 subscriptions are not answered on the connection of worker 1"),
        (2, 61, "nothing came for longer than stale_after on the connection of worker 1"),
    ] {
        let report = LoadReport { commands_seen, unanswered, quiet_s, ..LoadReport::default() };
        bed.give(Input::Worker { slot, generation, message: FromWorker::Load(report) });
        let (health, status) = (bed.pool.health(), bed.pool.status(0));
        assert_eq!(health.reasons, [format!("feed inplay: {why}")]);
        assert_eq!((status.state, &*status.feeds[0].why), (DaemonState::Degraded, why));
        assert_eq!(status.feeds[0].never_answered, u64::from(unanswered));
    }
    bed.pass(ms(1_000), &[]);
    assert!(bed.pool.health().healthy, "{:?}", bed.pool.health());
}

#[test]
fn what_a_list_has_above_the_limit_is_said() {
    let mut config = config(1);
    // None of them is followed: a worker's room is not what this is about.
    config.feeds[0].selection.only.sports = vec!["soccer".into()];
    let mut bed = Bed::new(config);
    let ids: Vec<String> = (0..catalog::list::LISTED_MAX + 3).map(|n| format!("m{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for _ in 0..2 {
        bed.load_list(&ids);
        let reason = "feed inplay: 3 matches are left out: its list has more than 100000";
        assert_eq!(bed.pool.health().reasons, [reason]);
        assert_eq!(bed.pool.status(0).feeds[0].left_out, 3);
    }
    assert_eq!(bed.logged("list.over_limit"), 1);
    bed.load_list(&ids[..9]);
    assert!(bed.pool.health().healthy, "{:?}", bed.pool.health());
}

#[test]
fn answers_have_the_contracts_keys() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a"]);
    let keys = |value: serde_json::Value| {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    let has = |all: Vec<String>, wanted: &str| {
        for name in wanted.split(' ') {
            assert!(all.iter().any(|key| key == name), "{name} is missing in {all:?}");
        }
    };
    let status = serde_json::to_value(bed.pool.status(0)).unwrap();
    has(
        keys(status["feeds"][0].clone()),
        "name kind state asked acknowledged live never_answered left_out cap learned_cap audits audits_missed",
    );
    has(keys(status["workers"].clone()), "ready starting parked restarts max");
    has(keys(status["matches"].clone()), "listed waiting subscribing live stale quarantined ending ended");
    has(keys(status["recorder"].clone()), "state documents events queue dropped");
    assert_eq!(status["state"], "ready");
    has(
        keys(status),
        "version build pid uptime_s state epoch workers matches feeds recorder gateway sandbox deaths",
    );
    let worker = serde_json::to_value(&bed.pool.workers()[0]).unwrap();
    assert_eq!(worker["connection"], "up");
    has(
        keys(worker),
        "worker pid state feed connection matches subscriptions reserved cap busy diffs_per_s bytes_per_s \
         receive_queue_bytes receive_queue_peak_bytes server_queue lag_us rss_bytes restarts generation uptime_s last_exit",
    );
    let a_match = serde_json::to_value(bed.view("a")).unwrap();
    assert_eq!(a_match["state"], "subscribing");
    has(keys(a_match), "match feed worker epoch state version updated_at age_ms name");
}
