//! The fake world: processes that do what is asked, late, or not at all.

mod faults;
mod server;
mod worker;

use super::super::*;
use super::checks::Checks;
use crate::pool::catalog::table::Mark;
use crate::pool::children::jitter::Jitter;
use std::collections::{BTreeMap, BTreeSet};
use touchline_common::config::{Dur, WaitingKey};
use touchline_common::control::views::{DaemonState, MatchViewState};
use touchline_common::ipc::PROTO;
use touchline_common::ipc::messages::Hello;
use touchline_common::ipc::messages::recorder::{FromRecorder, RecorderStats};
use touchline_common::ipc::messages::worker::{
    ConnectionState, Finding, FromWorker, ListChange, LoadReport, LostWith, MatchDetail, MatchReport,
    MatchState,
};
use touchline_common::model::MatchKey;
use touchline_common::model::{Epoch, FeedId, Listing, MatchId};

const FEEDS: u16 = 2;
const CAP: u32 = 12;
/// What the first feed's server really grants, where it grants less than is configured, and from when on it grants more.
const GRANTED: u32 = 8;
const GRANTED_LATER: u32 = 10;
const LATER: Duration = Duration::from_secs(900);
const LISTED: usize = 30;

pub(super) struct World {
    pub(super) pool: Pool,
    pub(super) now: Duration,
    rng: Jitter,
    events: BTreeMap<(Duration, u64), Event>,
    serial: u64,
    /// Channels keep their order, whatever the delay.
    last: BTreeMap<(Child, bool), Duration>,
    workers: BTreeMap<SlotId, Worker>,
    recorder: Option<FakeRecorder>,
    store_highest: u64,
    /// The lists as they really are.
    pub(super) truth: BTreeSet<MatchKey>,
    names: u64,
    requests: u64,
    faults: Faults,
    /// A match that crashes every worker that takes it, until then.
    cursed: Option<(MatchKey, Duration)>,
    /// What the first feed's server does above its own cap.
    manners: Manners,
    /// Every worker crashes when it starts, until then.
    storm_until: Duration,
    checks: Checks,
}

#[derive(Clone, Copy, PartialEq)]
enum Manners {
    /// Grants what is configured.
    Generous,
    /// Answers no more than it grants.
    Ignores,
    /// Ends the connection.
    Closes,
    /// Answers everything, but leaves out deltas of what is above.
    Thins,
}

#[derive(Clone, Copy, PartialEq)]
enum Faults {
    On,
    Off,
}

enum Event {
    Give(Input),
    Worker(SlotId, Generation, ToWorker),
    Recorder(Generation, ToRecorder),
    Beat(Child, Generation),
    Resume(SlotId, Generation),
    Reconnect(SlotId, Generation),
    Tick,
    Churn,
    Fault,
}

struct Worker {
    generation: Generation,
    feed: FeedId,
    condition: Condition,
    inbox: Vec<ToWorker>,
    list: bool,
    matches: BTreeMap<MatchId, (Epoch, u32)>,
    /// The same in the order in which the server was asked for them.
    asked: Vec<MatchId>,
    /// Those of them whose loads the server gave.
    loaded: BTreeSet<MatchId>,
    seen: u64,
    slow_until: Duration,
}

#[derive(Clone, Copy, PartialEq)]
enum Condition {
    Well,
    /// Neither reads nor writes; TERM and ABRT wait.
    Stopped,
    /// Never says READY.
    Mute,
}

struct FakeRecorder {
    generation: Generation,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let feed = |n: u16| FeedPlan {
            name: format!("feed{n}"),
            kind: "diffusion".into(),
            cap: CAP,
            own_subscriptions: u32::from(n),
            connections: ConnectionLimits { most: 8, per_s: 20.0 },
            quota: None,
            // The second feed's matches need two topics.
            match_topics: ["6V{ID}", "7V{ID}"]
                .iter()
                .take(usize::from(n) + 1)
                .map(|t| t.parse().unwrap())
                .collect(),
            source: MatchSource::List,
            waiting_order: vec![WaitingKey::InPlay, WaitingKey::Start],
            selection: Selection::default(),
            end_linger: Duration::from_secs(10),
            linger: Linger::Silence,
            break_before_make: seed % 3 == 2 && n == 1,
            learns_cap: true,
        };
        let config = Settings {
            pool: PoolConfig {
                min_workers: 1,
                max_workers: 16,
                spare_workers: (seed % 2) as u16,
                rebalance: seed % 4 != 3,
                drain_deadline: Dur::secs(20),
            },
            feeds: (0..FEEDS).map(feed).collect(),
            seed,
            started_at: 0,
            timing: Timing::default(),
            has_gateway: false,
        };
        let mut world = World {
            pool: Pool::new(config, None),
            now: Duration::ZERO,
            rng: Jitter::new(seed),
            events: BTreeMap::new(),
            serial: 0,
            last: BTreeMap::new(),
            workers: BTreeMap::new(),
            recorder: None,
            store_highest: 0,
            truth: BTreeSet::new(),
            names: 0,
            requests: 0,
            faults: Faults::On,
            cursed: None,
            manners: [Manners::Generous, Manners::Ignores, Manners::Closes, Manners::Thins]
                [(seed % 4) as usize],
            storm_until: Duration::ZERO,
            checks: Checks::default(),
        };
        for n in 0..LISTED {
            world.name_match(FeedId((n % 2) as u16));
        }
        world.at(Duration::ZERO, Event::Tick);
        world.at(Duration::from_millis(700), Event::Churn);
        world.at(Duration::from_secs(5), Event::Fault);
        world
    }

    /// Carries out the next event.
    pub(super) fn turn(&mut self) {
        let Some(((at, _), event)) = self.events.pop_first() else { panic!("nothing is planned") };
        self.now = self.now.max(at);
        match event {
            Event::Give(input) => self.give(input),
            Event::Worker(slot, generation, message) => self.worker_takes(slot, generation, message),
            Event::Recorder(generation, message) => self.recorder_takes(generation, &message),
            Event::Beat(child, generation) => self.beat(child, generation),
            Event::Resume(slot, generation) => self.resume(slot, generation),
            Event::Reconnect(slot, generation) => self.reconnect(slot, generation),
            Event::Tick => {
                self.at(self.pool.timing.tick, Event::Tick);
                self.give(Input::Tick);
            }
            Event::Churn => self.churn(),
            Event::Fault => self.fault(),
        }
    }

    /// No more faults: within `bound` every match must be live.
    pub(super) fn calm(&mut self, bound: Duration) {
        self.faults = Faults::Off;
        self.command(Command::Scale { min: Some(1), max: Some(16) });
        self.cursed = None;
        self.storm_until = Duration::ZERO;
        let until = self.now + bound;
        let mut released = Duration::ZERO;
        while self.now < until {
            self.turn();
            if self.now >= released {
                released = self.now + Duration::from_secs(10);
                for slot in self.workers.keys().copied().collect::<Vec<_>>() {
                    let generation = self.workers[&slot].generation;
                    self.resume(slot, generation);
                }
                for view in self
                    .pool
                    .matches(MatchQuery { state: Some(MatchViewState::Quarantined), ..MatchQuery::default() })
                {
                    let feed = self.pool.feed_by_name(&view.feed).unwrap();
                    let key = MatchKey { feed, id: view.id.as_str().into() };
                    self.command(Command::Release { key });
                }
            }
        }
        // The churn goes on, so the newest may be on their way: stop it, and wait for those.
        self.events.retain(|_, event| !matches!(event, Event::Churn));
        let until = self.now + Duration::from_secs(40);
        while self.now < until {
            self.turn();
        }
        let count = self.pool.count();
        assert_eq!(count.live, self.truth.len(), "not all live: {count:?}; {:?}", self.pool.health());
        assert_eq!((count.listed, count.waiting, count.quarantined), (count.live, 0, 0), "{count:?}");
        assert_eq!(self.pool.state(), DaemonState::Ready, "{:?}", self.pool.health());
        assert_eq!(self.pool.catalog.matches.marked(Mark::Moving).len(), 0);
    }

    /// The end: every process leaves, and every request is answered.
    pub(super) fn end(&mut self) -> BTreeMap<&'static str, usize> {
        self.command(Command::Stop { urgency: Urgency::Drain });
        let until = self.now + Duration::from_secs(60);
        while !self.checks.finished && self.now < until {
            self.turn();
        }
        assert!(self.checks.finished, "the end did not come: {:?}", self.pool.workers());
        assert!(self.workers.is_empty() && self.recorder.is_none());
        self.checks.all_answered();
        self.checks.notices.clone()
    }

    fn give(&mut self, input: Input) {
        let mut out = Vec::new();
        let is_tick = matches!(input, Input::Tick);
        self.pool.step(self.now, input, &mut out);
        self.checks.after_step(&self.pool, self.now, &out, &self.truth);
        if is_tick {
            self.checks.answered_in_time(self.now);
        }
        for action in out {
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Spawn { child, generation, feed } => self.spawn(child, generation, feed),
            Action::Welcome { child, generation, .. } => self.welcomed(child, generation),
            Action::ToWorker { slot, generation, message } => {
                self.send(Child::Worker(slot), true, Event::Worker(slot, generation, message));
            }
            Action::ToRecorder { generation, message } => {
                self.send(Child::RECORDER, true, Event::Recorder(generation, message));
            }
            Action::ConnectData { slot, generation } => {
                if self.workers.get(&slot).is_some_and(|worker| worker.condition == Condition::Well) {
                    self.says(slot, generation, FromWorker::DataOpened);
                }
            }
            Action::Kill { child, generation, signal } => self.kill(child, generation, signal),
            Action::ReserveEpochs { up_to } => {
                let input = if self.chance(19) {
                    Input::EpochsRefused { error: "no space".into() }
                } else {
                    self.checks.on_disk = up_to;
                    Input::EpochsReserved { up_to }
                };
                self.at(Duration::from_millis(3), Event::Give(input));
            }
            Action::SaveState => {
                let saved = self.pool.saved_state();
                assert!(
                    saved.highest_epoch >= self.pool.placement.epochs.highest().0.min(self.checks.on_disk.0)
                );
            }
            Action::ToGateway { .. } | Action::ConnectFeed => panic!("there is no gateway"),
            Action::Answer { .. } | Action::Log(_) | Action::Finished => {}
        }
    }

    fn spawn(&mut self, child: Child, generation: Generation, feed: Option<FeedId>) {
        if self.chance(3) {
            let error = "EAGAIN".into();
            self.at(Duration::ZERO, Event::Give(Input::SpawnFailed { child, generation, error }));
            return;
        }
        match child {
            Child::RECORDER => {
                assert!(self.recorder.is_none(), "two recorders");
                self.recorder = Some(FakeRecorder { generation });
            }
            Child::GATEWAY => panic!("there is no gateway"),
            Child::Worker(slot) => {
                let condition = if self.chance(4) { Condition::Mute } else { Condition::Well };
                let worker = Worker {
                    generation,
                    feed: feed.unwrap(),
                    condition,
                    inbox: Vec::new(),
                    list: false,
                    matches: BTreeMap::new(),
                    asked: Vec::new(),
                    loaded: BTreeSet::new(),
                    seen: 0,
                    slow_until: Duration::ZERO,
                };
                assert!(self.workers.insert(slot, worker).is_none(), "two processes in slot {slot}");
            }
        }
        let pid = match child {
            Child::RECORDER => 900_000 + generation.0,
            Child::GATEWAY => panic!("there is no gateway"),
            Child::Worker(slot) => u32::from(slot.0) * 10_000 + generation.0,
        };
        self.at(Duration::ZERO, Event::Give(Input::Spawned { child, generation, pid }));
        let hello = Hello { proto_min: PROTO, proto_max: PROTO, build: String::new(), pid };
        match child {
            Child::RECORDER => self.on_recorder_message(generation, FromRecorder::Hello(hello)),
            Child::GATEWAY => panic!("there is no gateway"),
            Child::Worker(slot) => self.says(slot, generation, FromWorker::Hello(hello)),
        }
    }

    fn welcomed(&mut self, child: Child, generation: Generation) {
        if self.now < self.storm_until && child != Child::RECORDER {
            self.exit(child, generation, Exit::Signal { number: 6, core: true });
            return;
        }
        self.at(Duration::from_secs(1), Event::Beat(child, generation));
        match child {
            Child::RECORDER => {
                let highest_epoch = Epoch(self.store_highest);
                self.on_recorder_message(generation, FromRecorder::Ready { highest_epoch, token: 1 });
            }
            Child::GATEWAY => panic!("there is no gateway"),
            Child::Worker(slot) => {
                if self.workers.get(&slot).is_some_and(|worker| worker.condition != Condition::Mute) {
                    self.says(slot, generation, FromWorker::Ready);
                    let state = ConnectionState::Up;
                    self.says(
                        slot,
                        generation,
                        FromWorker::Connection { state, detail: String::new(), lost: None },
                    );
                }
            }
        }
    }

    fn beat(&mut self, child: Child, generation: Generation) {
        match child {
            Child::RECORDER => {
                if self.recorder.as_ref().is_some_and(|recorder| recorder.generation == generation) {
                    self.on_recorder_message(generation, FromRecorder::Stats(RecorderStats::default()));
                    self.at(Duration::from_secs(1), Event::Beat(child, generation));
                }
            }
            Child::GATEWAY => panic!("there is no gateway"),
            Child::Worker(slot) => {
                let now = self.now;
                let Some(worker) = self.workers.get(&slot).filter(|w| w.generation == generation) else {
                    return;
                };
                if worker.condition == Condition::Well && now >= worker.slow_until {
                    self.report(slot);
                }
                self.at(Duration::from_secs(1), Event::Beat(child, generation));
            }
        }
    }

    fn recorder_takes(&mut self, generation: Generation, message: &ToRecorder) {
        if self.recorder.as_ref().is_none_or(|recorder| recorder.generation != generation) {
            return;
        }
        match message {
            ToRecorder::Switch { key, epoch, .. } => {
                self.store_highest = self.store_highest.max(epoch.0);
                if !self.chance(2) {
                    self.on_recorder_message(
                        generation,
                        FromRecorder::Switched { key: key.clone(), epoch: *epoch },
                    );
                }
            }
            ToRecorder::Stop { .. } => self.exit(Child::RECORDER, generation, Exit::Code(0)),
            ToRecorder::Welcome(_)
            | ToRecorder::Attach { .. }
            | ToRecorder::Silent { .. }
            | ToRecorder::Back { .. }
            | ToRecorder::Waiting { .. }
            | ToRecorder::Ended { .. }
            | ToRecorder::Query { .. }
            | ToRecorder::Ping
            | ToRecorder::LogFilter { .. }
            | ToRecorder::LogFile
            | ToRecorder::ReopenSinks
            | ToRecorder::Reader
            | ToRecorder::Documents => {}
        }
    }

    fn kill(&mut self, child: Child, generation: Generation, signal: Signal) {
        let condition = match child {
            Child::Service(_) => Condition::Well,
            Child::Worker(slot) => self.workers.get(&slot).map_or(Condition::Well, |worker| worker.condition),
        };
        let number = match signal {
            Signal::Kill => 9,
            Signal::Term | Signal::Abort if condition == Condition::Stopped => return,
            Signal::Term => 15,
            Signal::Abort => 6,
        };
        self.exit(child, generation, Exit::Signal { number, core: false });
    }

    fn exit(&mut self, child: Child, generation: Generation, exit: Exit) {
        let there = match child {
            Child::RECORDER => self.recorder.take_if(|recorder| recorder.generation == generation).is_some(),
            Child::GATEWAY => false,
            Child::Worker(slot) => {
                self.workers.get(&slot).is_some_and(|worker| worker.generation == generation)
                    && self.workers.remove(&slot).is_some()
            }
        };
        if !there {
            return;
        }
        if self.chance(50) {
            let why = "end of file".into();
            self.at(Duration::from_millis(1), Event::Give(Input::ChannelClosed { child, generation, why }));
        }
        // Reaped before or after its last messages.
        let delay = self.delay();
        self.at(delay, Event::Give(Input::Exited { child, generation, exit, usage: None, at: Work::None }));
    }

    fn resume(&mut self, slot: SlotId, generation: Generation) {
        let Some(worker) = self.workers.get_mut(&slot).filter(|w| w.generation == generation) else { return };
        if worker.condition == Condition::Stopped {
            worker.condition = Condition::Well;
            for message in std::mem::take(&mut worker.inbox) {
                self.worker_takes(slot, generation, message);
            }
            // What its list missed while it stood still, it reads now.
            if self.workers.get(&slot).is_some_and(|worker| worker.list) {
                self.send_load(slot, false);
            }
        }
    }

    fn says(&mut self, slot: SlotId, generation: Generation, message: FromWorker) {
        let input = Input::Worker { slot, generation, message };
        self.send(Child::Worker(slot), false, Event::Give(input));
    }

    fn on_recorder_message(&mut self, generation: Generation, message: FromRecorder) {
        self.send(Child::RECORDER, false, Event::Give(Input::Recorder { generation, message }));
    }

    fn send(&mut self, child: Child, down: bool, event: Event) {
        let at = (self.now + self.delay()).max(self.last.get(&(child, down)).copied().unwrap_or_default());
        self.last.insert((child, down), at);
        self.serial += 1;
        self.events.insert((at, self.serial), event);
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.serial += 1;
        self.events.insert((self.now + after, self.serial), event);
    }

    fn delay(&mut self) -> Duration {
        let longest = if self.chance(3) { 1_500 } else { 20 };
        Duration::from_millis(self.pick(longest) as u64)
    }

    fn name_match(&mut self, feed: FeedId) -> MatchKey {
        self.names += 1;
        let key = MatchKey { feed, id: format!("m{}", self.names).as_str().into() };
        self.truth.insert(key.clone());
        key
    }

    fn any_match(&mut self) -> Option<MatchKey> {
        let at = self.pick(self.truth.len().max(1));
        self.truth.iter().nth(at).cloned()
    }

    fn pick(&mut self, below: usize) -> usize {
        (self.rng.next() % below as u64) as usize
    }

    /// In so many of a hundred cases, while there are faults.
    fn chance(&mut self, percent: usize) -> bool {
        let drawn = self.pick(100) < percent;
        drawn && (self.faults == Faults::On || percent >= 20)
    }
}

fn present(id: MatchId) -> ListChange {
    ListChange::Present { id, listing: Listing::default() }
}
