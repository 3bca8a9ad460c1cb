//! The pool step by step: what each rule does in its plainest case. What holds in all cases is in `simulation`.

use super::*;
use catalog::matches::Assignment;
use catalog::table::Mark;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use touchline_common::config::{Dur, WaitingKey};
use touchline_common::control::views::{DaemonState, DeathView, MatchView, MatchViewState};
use touchline_common::ipc::PROTO;
use touchline_common::ipc::messages::Hello;
use touchline_common::ipc::messages::gateway::{FromGateway, GatewayStats};
use touchline_common::ipc::messages::recorder::{FromRecorder, Owner, RecorderStats};
use touchline_common::ipc::messages::worker::{
    ConnectionState, FailingSource, FromWorker, ListChange, LoadReport, MatchReport, MatchState,
    ReleaseReason, SourcesReport,
};
use touchline_common::model::{Epoch, FeedId, Listing, MatchId, MatchKey};

mod answers;
mod deaths;
mod gateway;
mod listed;
mod running;

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
        quota: None,
        match_topics: vec!["6V{ID}".parse().unwrap()],
        source: MatchSource::List,
        waiting_order: vec![WaitingKey::InPlay, WaitingKey::Start],
        selection: Selection::default(),
        end_linger: Duration::from_secs(10),
        linger: Linger::Silence,
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
        started_at: 0,
        timing: Timing::default(),
        has_gateway: false,
    }
}

/// A process of its own for each start, unless two are to share one.
fn pid(child: Child, generation: Generation) -> u32 {
    match child {
        Child::RECORDER => 900_000 + generation.0,
        Child::GATEWAY => 800_000 + generation.0,
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

    fn after(config: Settings, saved: Option<&SavedStateV3>) -> Bed {
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
                    Child::GATEWAY => Input::Gateway { generation, message: FromGateway::Hello(hello) },
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
            Action::Welcome { child: Child::GATEWAY, generation, .. } => {
                let message = FromGateway::Ready { address: "127.0.0.1:1".into() };
                vec![Input::Gateway { generation, message }]
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
            if let Some(gateway) = &self.pool.children.gateway {
                let generation = gateway.life.generation;
                let message = FromGateway::Stats(GatewayStats::default());
                self.give(Input::Gateway { generation, message });
            }
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
