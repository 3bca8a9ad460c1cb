//! The coordinator's pure core: slots, placement, match lists, epochs, supervision.
//!
//! No I/O, no clock, no process: [`Pool::step`] takes a time and an [`Input`] and pushes [`Action`]s; the shell
//! (`supervise`) carries them out. Invariants: each listed match is waiting, assigned or quarantined, exactly one;
//! no slot is ever above its cap, reservations included; a match moves by a second seat that takes over; an epoch is never used twice and never before its block is
//! on the disk; no slot has a process while it is parked. `simulation` holds them against seeded faults.

mod action;
mod audit;
mod audits;
mod balance;
mod breaker;
mod cap;
mod caps;
mod children;
mod config;
mod deaths;
mod epochs;
mod feed;
mod filter;
mod follow;
mod input;
mod jitter;
mod life;
mod list;
mod log_event;
mod matches;
mod moves;
mod operate;
mod orphans;
mod place;
mod placement;
mod recorder;
mod reports;
mod saved;
mod scale;
mod show;
mod shrink;
mod slot;
mod views;

// Tests look for one variant among many.
#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm)]
mod simulation;
#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm)]
mod tests;

pub use action::{Action, Answer, Signal};
pub use config::{FeedPlan, Learning, MatchFilter, MatchSource, Overlap, PoolConfig, Timing, WaitingOrder};
pub use input::{Child, Command, Exit, Input, RequestId, Urgency, Usage, Work};
pub use log_event::LogEvent;
pub use saved::{SavedAssignmentV1, SavedCapV2, SavedSlotV1, SavedStateError, SavedStateV2};
pub use views::{
    DaemonState, DeathView, DrainView, FeedState, FeedView, GatewayView, HealthView, LagView, MatchQuery,
    MatchView, MatchViewState, MatchesCount, MoveView, PlanView, RecorderView, SandboxView, SpreadView,
    StatusView, Surroundings, WorkerView, WorkersCount,
};

use audit::Auditor;
use breaker::Breaker;
use cap::Learner;
use deaths::Deaths;
use epochs::Epochs;
use feed::{Budget, Feed, FirstList, Told};
use jitter::Jitter;
use life::{Event, Life, Outcome, Peers};
use list::MatchList;
use matches::{Ended, Ending, Match};
use operate::{Requests, Stopping};
use placement::WaitKey;
use recorder::Recorder;
use slot::Slot;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use touchline_common::ipc::messages::recorder::ToRecorder;
use touchline_common::ipc::messages::worker::ToWorker;
use touchline_common::model::{Epoch, FeedId, Generation, MatchKey, SlotId};

/// The pool. See the module's header.
#[derive(Debug)]
pub struct Pool {
    config: PoolConfig,
    now: Duration,
    last_tick: Option<Duration>,
    jitter: Jitter,
    slots: Vec<Slot>,
    feeds: Vec<Feed>,
    recorder: Recorder,
    matches: BTreeMap<MatchKey, Match>,
    /// Every match that waits and can be placed, in the order of placing.
    waiting: BTreeSet<(FeedId, WaitKey, MatchKey)>,
    /// Waiting or quarantined matches that the recorder is not told of yet.
    untold: BTreeSet<MatchKey>,
    /// Placed matches that need a new epoch, since the recorder started anew.
    renew: BTreeSet<MatchKey>,
    /// Matches with a candidate.
    moving: BTreeSet<MatchKey>,
    delisted: BTreeSet<MatchKey>,
    /// Matches whose topics were removed though they are listed: when they are asked for again, and the wait after that.
    removed: BTreeMap<MatchKey, (Duration, Duration)>,
    /// Matches that the store holds for alive and that are none.
    orphans: BTreeMap<MatchKey, orphans::Doubt>,
    ending: Vec<Ending>,
    ended: VecDeque<Ended>,
    ended_count: u64,
    quarantined: usize,
    /// Ends that the recorder could not be told, since it was away.
    ended_untold: VecDeque<MatchKey>,
    epochs: Epochs,
    reserve_after: Duration,
    breaker: Breaker,
    breaker_told: bool,
    deaths: Deaths,
    restarts: u64,
    retired_at: Option<Duration>,
    rebalanced_at: Duration,
    requests: Requests,
    stopping: Option<Stopping>,
    readiness: Readiness,
    /// Something changed by which a waiting match may find a place.
    placement_due: bool,
    save_due: bool,
    saved_at: Duration,
    summary_due: Option<Duration>,
}

/// Whether the pool was ready already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    Awaited,
    /// `Timing::ready_deadline` passed before.
    Overdue,
    Reached,
}

/// Ended matches that `matches` still shows.
const ENDED_SHOWN: usize = 1_000;
/// Ends that are kept for a recorder that is away; beyond that the oldest is forgotten (its document stays stale).
const ENDED_UNTOLD: usize = 10_000;
/// The most workers that an operator may ask for.
const WORKERS_MAX: u16 = 4_096;
/// Assignments are saved at most this often.
const SAVE_EVERY: Duration = Duration::from_secs(5);

impl Pool {
    /// A pool that has not started anything: the first `Tick` does. `saved` is what an earlier run left.
    pub fn new(config: PoolConfig, saved: Option<&SavedStateV2>) -> Self {
        let mut pool = Pool {
            now: Duration::ZERO,
            last_tick: None,
            jitter: Jitter::new(config.seed),
            // One more than there may be, for the worker that takes over what a drained one has.
            slots: (1..=config.max_workers.saturating_add(1)).map(new_slot).collect(),
            feeds: config.feeds.iter().map(new_feed).collect(),
            recorder: Recorder::new(Generation(saved.map_or(0, |saved| saved.recorder_generation))),
            matches: BTreeMap::new(),
            waiting: BTreeSet::new(),
            untold: BTreeSet::new(),
            renew: BTreeSet::new(),
            moving: BTreeSet::new(),
            delisted: BTreeSet::new(),
            removed: BTreeMap::new(),
            orphans: BTreeMap::new(),
            ending: Vec::new(),
            ended: VecDeque::new(),
            ended_count: 0,
            quarantined: 0,
            ended_untold: VecDeque::new(),
            epochs: Epochs::new(saved.map_or(0, |saved| saved.highest_epoch)),
            reserve_after: Duration::ZERO,
            breaker: Breaker::new(),
            breaker_told: false,
            deaths: Deaths::default(),
            restarts: 0,
            retired_at: None,
            rebalanced_at: Duration::ZERO,
            requests: Requests::default(),
            stopping: None,
            readiness: Readiness::Awaited,
            placement_due: true,
            save_due: false,
            saved_at: Duration::ZERO,
            summary_due: None,
            config,
        };
        if let Some(saved) = saved {
            pool.remember(saved);
        }
        pool.add_fixed_matches();
        pool
    }

    /// Takes one thing that happened at `now` (monotonic, since the coordinator's start) and pushes what is to be done.
    pub fn step(&mut self, now: Duration, input: Input, out: &mut Vec<Action>) {
        self.now = self.now.max(now);
        match input {
            Input::Tick => self.tick(out),
            Input::Spawned { child, generation, pid } => self.child_spawned(child, generation, pid, out),
            Input::SpawnFailed { child, generation, error } => {
                self.child_not_spawned(child, generation, error, out);
            }
            Input::Worker { slot, generation, message } => self.worker_says(slot, generation, message, out),
            Input::Recorder { generation, message } => self.recorder_says(generation, message, out),
            Input::ChannelClosed { child, generation, why } => {
                self.channel_closed(child, generation, &why, out);
            }
            Input::Exited { child, generation, exit, usage, at } => {
                self.child_exited(child, generation, (exit, usage), at, out);
            }
            Input::EpochsReserved { up_to } => {
                self.epochs.reserved(up_to);
                self.placement_due = true;
            }
            Input::EpochsRefused { error } => {
                self.epochs.refused();
                self.reserve_after = self.now + self.config.timing.reserve_retry;
                out.push(Action::Log(LogEvent::EpochsRefused { error }));
            }
            Input::Named { feed, ids } => self.named(feed, &ids, out),
            Input::Command { request, command, timeout } => self.command(request, command, timeout, out),
        }
        self.settle(out);
    }

    /// Everything that waits for time to pass.
    fn tick(&mut self, out: &mut Vec<Action>) {
        self.forgive_if_late(out);
        self.tick_lives(out);
        self.tick_pulses(out);
        self.tick_lists(out);
        self.tick_delisted(out);
        self.tick_removed(out);
        self.tick_orphans(out);
        self.tick_moves(out);
        self.tick_shrink(out);
        self.tick_balance(out);
        self.tick_caps(out);
        self.tick_audits(out);
        self.tick_requests(out);
        self.tick_feeds(out);
        self.tick_summary(out);
        if self.save_due && self.now >= self.saved_at + SAVE_EVERY {
            self.save_due = false;
            self.saved_at = self.now;
            out.push(Action::SaveState);
        }
        self.placement_due = true;
    }

    /// What follows from the state alone, whatever the input was. Cheap when nothing is due.
    fn settle(&mut self, out: &mut Vec<Action>) {
        if self.stopping.is_some() {
            self.settle_stop(out);
            return;
        }
        self.settle_recorder(out);
        self.follow_lists(out);
        self.settle_drains(out);
        self.scale(out);
        self.give_leave(out);
        self.reserve(out);
        self.renew_placed(out);
        if std::mem::take(&mut self.placement_due) {
            self.place_waiting(out);
            self.place_candidates(out);
        }
        self.tell_waiting(out);
        self.settle_readiness(out);
    }

    /// When the coordinator itself was late, by a stopped host or a busy one, that time judges nobody.
    fn forgive_if_late(&mut self, out: &mut Vec<Action>) {
        let Some(last) = self.last_tick.replace(self.now) else { return };
        let gap = self.now.saturating_sub(last);
        if gap <= self.config.timing.tick * 2 {
            return;
        }
        let late = gap.saturating_sub(self.config.timing.tick);
        for slot in &mut self.slots {
            slot.life.forgive(late);
            slot.heard_at = (slot.heard_at + late).min(self.now);
        }
        for feed in &mut self.feeds {
            feed.list.forgive(late);
        }
        self.recorder.life.forgive(late);
        self.recorder.heard_at = (self.recorder.heard_at + late).min(self.now);
        out.push(Action::Log(LogEvent::Late { late_ms: millis(late) }));
    }

    fn slot(&self, slot: SlotId) -> Option<&Slot> {
        self.slots.get(usize::from(slot.0).checked_sub(1)?)
    }

    fn slot_mut(&mut self, slot: SlotId) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(slot.0).checked_sub(1)?)
    }

    fn feed(&self, feed: FeedId) -> Option<&Feed> {
        self.feeds.get(usize::from(feed.0))
    }

    fn feed_mut(&mut self, feed: FeedId) -> Option<&mut Feed> {
        self.feeds.get_mut(usize::from(feed.0))
    }

    fn feed_ids(&self) -> impl Iterator<Item = FeedId> + use<> {
        (0..self.feeds.len()).map(|n| FeedId(u16::try_from(n).unwrap_or(u16::MAX)))
    }

    /// Hands an event to a child's life. The caller acts on the outcome.
    fn advance(&mut self, child: Child, event: Event) -> Outcome {
        let Pool { slots, recorder, jitter, config, now, .. } = self;
        let life = match child {
            Child::Recorder => &mut recorder.life,
            Child::Worker(slot) => {
                match usize::from(slot.0).checked_sub(1).and_then(|at| slots.get_mut(at)) {
                    Some(slot) => &mut slot.life,
                    None => return Outcome::Quiet,
                }
            }
        };
        life.advance(event, *now, &config.timing, jitter)
    }

    fn life(&self, child: Child) -> Option<&Life> {
        match child {
            Child::Recorder => Some(&self.recorder.life),
            Child::Worker(slot) => self.slot(slot).map(|slot| &slot.life),
        }
    }

    fn tell_worker(&self, slot: SlotId, message: ToWorker, out: &mut Vec<Action>) {
        if let Some(generation) =
            self.slot(slot).filter(|slot| slot.life.has_process()).map(|s| s.life.generation)
        {
            out.push(Action::ToWorker { slot, generation, message });
        }
    }

    /// Tells the recorder if it is ready. What it missed otherwise is told when it is.
    fn tell_recorder(&self, message: ToRecorder, out: &mut Vec<Action>) {
        if self.recorder.life.is_ready() {
            out.push(Action::ToRecorder { generation: self.recorder.life.generation, message });
        }
    }

    fn remember(&mut self, saved: &SavedStateV2) {
        for kept in &saved.slots {
            // There may have been more workers then; their numbers go on where they ended.
            if kept.slot <= WORKERS_MAX {
                self.make_slots(kept.slot);
            }
            if let Some(slot) = self.slot_mut(SlotId(kept.slot)) {
                slot.life = Life::new(
                    Peers::Many,
                    Generation(kept.generation),
                    kept.restarts,
                    kept.last_exit.clone(),
                );
            }
        }
        for kept in &saved.learned_caps {
            let place = self.config.feeds.iter().position(|plan| plan.name == kept.feed);
            if let Some((plan, feed)) =
                place.and_then(|at| Some((self.config.feeds.get(at)?, self.feeds.get_mut(at)?)))
                && plan.learning == Learning::Auto
            {
                feed.learner = Learner::new(plan.cap, Some(kept.cap));
            }
        }
        for kept in &saved.assignments {
            let place = self.config.feeds.iter().position(|plan| plan.name == kept.feed);
            if let Some(feed) = place.and_then(|at| self.feeds.get_mut(at)) {
                feed.hints.insert(kept.id.as_str().into(), SlotId(kept.slot));
            }
        }
    }

    /// There are slots up to this number.
    fn make_slots(&mut self, last: u16) {
        let first = u16::try_from(self.slots.len()).unwrap_or(u16::MAX).saturating_add(1);
        self.slots.extend((first..=last).map(new_slot));
    }

    fn add_fixed_matches(&mut self) {
        for feed in self.feed_ids() {
            let Some(MatchSource::Fixed(fixed)) = self.config.feed(feed).map(|plan| plan.source.clone())
            else {
                continue;
            };
            for (id, listing) in fixed {
                self.add_match(&MatchKey { feed, id }, listing);
            }
            if let Some(feed) = self.feed_mut(feed) {
                feed.first = FirstList::Placing;
            }
        }
    }

    /// What is to outlive this run.
    pub fn saved_state(&self) -> SavedStateV2 {
        let slots = self.slots.iter().filter(|slot| slot.life.generation.0 > 0).map(|slot| SavedSlotV1 {
            slot: slot.id.0,
            generation: slot.life.generation.0,
            restarts: slot.life.restarts,
            last_exit: slot.life.last_exit.clone(),
        });
        let assignments = self.matches.iter().filter_map(|(key, a_match)| {
            let matches::Place::Placed { owner, .. } = &a_match.place else { return None };
            Some(SavedAssignmentV1 {
                feed: self.config.feed(key.feed)?.name.clone(),
                id: key.id.as_str().to_owned(),
                slot: owner.slot.0,
                epoch: owner.epoch.0,
            })
        });
        // Until the first list is here, what the last run knew is still the best that is known.
        let hints = self.feeds.iter().zip(&self.config.feeds).flat_map(|(feed, plan)| {
            feed.hints.iter().map(|(id, slot)| SavedAssignmentV1 {
                feed: plan.name.clone(),
                id: id.as_str().to_owned(),
                slot: slot.0,
                epoch: 0,
            })
        });
        SavedStateV2 {
            version: saved::VERSION,
            highest_epoch: self.epochs.highest_possible(),
            recorder_generation: self.recorder.life.generation.0,
            slots: slots.collect(),
            assignments: assignments.chain(hints).collect(),
            learned_caps: self.learned_caps(),
        }
    }

    fn learned_caps(&self) -> Vec<SavedCapV2> {
        let feeds = self.feeds.iter().zip(&self.config.feeds);
        feeds
            .filter_map(|(feed, plan)| {
                Some(SavedCapV2 { feed: plan.name.clone(), cap: feed.learner.learned()? })
            })
            .collect()
    }

    /// The highest epoch that was given out or that the recorder named.
    pub fn highest_epoch(&self) -> Epoch {
        self.epochs.highest()
    }
}

fn new_slot(number: u16) -> Slot {
    Slot::new(SlotId(number), Life::new(Peers::Many, Generation(0), 0, None))
}

fn new_feed(plan: &FeedPlan) -> Feed {
    Feed {
        list: MatchList::default(),
        holder: None,
        first: FirstList::Awaited,
        waiting_topics: 0,
        blocked: false,
        budget: Budget::new(plan.connects_per_s),
        queue: VecDeque::new(),
        hints: BTreeMap::new(),
        told: Told::Nothing,
        told_list: None,
        loose_since: None,
        learner: Learner::new(plan.cap, None),
        auditor: Auditor::new(),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
