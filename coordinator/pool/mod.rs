//! The coordinator's pure core: slots, placement, match lists, epochs, supervision.
//!
//! No I/O, no clock, no process: [`Pool::step`] takes a time and an [`Input`] and pushes [`Action`]s; the shell
//! (`supervise`) carries them out. Invariants: each listed match is waiting, assigned or quarantined, exactly one;
//! no slot is ever above its cap, reservations included; a match moves by a second seat that takes over; an epoch is never used twice and never before its block is
//! on the disk; no slot has a process while it is parked. `simulation` tries them with seeded faults.

mod action;
mod cap;
mod catalog;
mod children;
mod feed;
mod health;
mod input;
mod log_event;
mod operate;
mod placement;
mod quota;
mod saved;
mod settings;
mod show;

// Tests look for one variant among many.
#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm)]
mod simulation;
#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm)]
mod tests;

pub use action::{Action, Answer, Signal};
pub use input::{Child, Command, Exit, Input, RequestId, ServiceKind, Urgency, Usage, Work};
pub use log_event::LogEvent;
pub use quota::QuotaPlan;
pub use saved::{SavedAssignmentV1, SavedCapV2, SavedQuotaV3, SavedSlotV1, SavedStateError, SavedStateV3};
pub use settings::{
    ConnectionLimits, DeathTiming, FeedPlan, Linger, MatchSource, PlacementTiming, ProcessTiming, Selection,
    Settings, Timing,
};
pub use show::MatchQuery;

use action::Actions;
use catalog::Catalog;
use children::Children;
use children::deaths::Ending;
use children::gateway::Gateway;
use children::jitter::Jitter;
use children::life::{Event, Life, Outcome};
use children::slot::Slot;
use feed::Feeds;
use health::Readiness;
use operate::{Open, Stopping};
use placement::Placement;
use std::collections::BTreeMap;
use std::time::Duration;
use touchline_common::config::PoolConfig;
use touchline_common::ipc::messages::recorder::ToRecorder;
use touchline_common::ipc::messages::worker::ToWorker;
use touchline_common::model::{Generation, SlotId};

/// The pool. See the module's header.
#[derive(Debug)]
pub struct Pool {
    config: PoolConfig,
    timing: Timing,
    /// The time of day at its start, seconds since 1970 UTC.
    started_at: i64,
    now: Duration,
    last_tick: Option<Duration>,
    catalog: Catalog,
    placement: Placement,
    children: Children,
    jitter: Jitter,
    feeds: Feeds,
    /// Those that are not answered yet.
    requests: BTreeMap<RequestId, Open>,
    stopping: Option<Stopping>,
    readiness: Readiness,
    saving: Saving,
    summary_due: Option<Duration>,
    /// What the step that is going on has asked for so far.
    out: Actions,
}

/// When the assignments are saved.
#[derive(Debug, Default)]
struct Saving {
    due: bool,
    saved_at: Duration,
}

const WORKERS_MAX: u16 = 4_096;
/// Assignments are saved at most this often.
const SAVE_EVERY: Duration = Duration::from_secs(5);

impl Pool {
    /// A pool that has not started anything: the first `Tick` does. `saved` is what an earlier run left.
    pub fn new(settings: Settings, saved: Option<&SavedStateV3>) -> Self {
        let Settings { pool: config, feeds, seed, started_at, timing, has_gateway } = settings;
        let recorder = Generation(saved.map_or(0, |saved| saved.recorder_generation));
        let mut pool = Pool {
            started_at,
            now: Duration::ZERO,
            last_tick: None,
            catalog: Catalog::default(),
            placement: Placement::new(saved.map_or(0, |saved| saved.highest_epoch)),
            children: Children::new(&config, recorder, has_gateway.then(Gateway::new)),
            jitter: Jitter::new(seed),
            feeds: Feeds::new(feeds),
            requests: BTreeMap::new(),
            stopping: None,
            readiness: Readiness::Awaited,
            saving: Saving::default(),
            summary_due: None,
            out: Actions::default(),
            config,
            timing,
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
            Input::Tick => self.tick(),
            Input::Spawned { child, generation, pid } => self.child_spawned(child, generation, pid),
            Input::SpawnFailed { child, generation, error } => {
                self.child_not_spawned(child, generation, error);
            }
            Input::Worker { slot, generation, message } => self.on_worker_message(slot, generation, message),
            Input::Recorder { generation, message } => self.on_recorder_message(generation, message),
            Input::Gateway { generation, message } => self.on_gateway_message(generation, message),
            Input::ChannelClosed { child, generation, why } => self.channel_closed(child, generation, &why),
            Input::Exited { child, generation, exit, usage, at } => {
                self.child_exited(child, generation, exit, Ending { usage, at, ..Ending::default() });
            }
            Input::EpochsReserved { up_to } => {
                self.placement.epochs.reserved(up_to);
                self.placement.refusal_logged = false;
                self.placement.due = true;
            }
            Input::EpochsRefused { error } => {
                self.placement.epochs.refused();
                self.placement.reserve_after = self.now + self.timing.placement.reserve_retry;
                if !std::mem::replace(&mut self.placement.refusal_logged, true) {
                    self.out.log(LogEvent::EpochsRefused { error });
                }
            }
            Input::Named { feed, ids } => self.named(feed, &ids),
            Input::Command { request, command, timeout } => self.command(request, command, timeout),
        }
        self.tell_deaths();
        self.settle();
        self.out.drain_to(out);
    }

    /// Everything that waits for time to pass.
    fn tick(&mut self) {
        self.forgive_if_late();
        self.tick_lives();
        self.tick_pulses();
        self.tick_outages();
        self.tick_lists();
        self.tick_delisted();
        self.tick_removed();
        self.tick_orphans();
        self.tick_moves();
        self.tick_shrink();
        self.tick_balance();
        self.tick_caps();
        self.tick_audits();
        self.tick_requests();
        self.tick_feeds();
        self.tick_summary();
        if self.saving.due && self.now >= self.saving.saved_at + SAVE_EVERY {
            self.saving.due = false;
            self.saving.saved_at = self.now;
            self.out.push(Action::SaveState);
        }
        self.placement.due = true;
    }

    /// What follows from the state alone, whatever the input was. Cheap when nothing is due.
    fn settle(&mut self) {
        if self.stopping.is_some() {
            self.settle_stop();
            return;
        }
        self.start_services();
        self.follow_lists();
        self.settle_drains();
        self.scale();
        self.grant_connect_permits();
        self.reserve();
        self.renew_assigned();
        if std::mem::take(&mut self.placement.due) {
            self.assign_waiting();
            self.assign_candidates();
        }
        self.report_waiting();
        self.settle_readiness();
    }

    /// When the coordinator itself was late, by a stopped host or a busy one, that time is not counted against any child.
    fn forgive_if_late(&mut self) {
        let Some(last) = self.last_tick.replace(self.now) else { return };
        let gap = self.now.saturating_sub(last);
        if gap <= self.timing.tick * 2 {
            return;
        }
        let late = gap.saturating_sub(self.timing.tick);
        self.children.forgive(late, self.now);
        for feed in self.feeds.iter_mut() {
            feed.list.forgive(late);
        }
        self.out.log(LogEvent::Late { late_ms: millis(late) });
    }

    /// The time of day, seconds since 1970 UTC: only for what the calendar decides.
    fn time(&self) -> i64 {
        self.started_at.saturating_add(i64::try_from(self.now.as_secs()).unwrap_or(i64::MAX))
    }

    fn slot(&self, slot: SlotId) -> Option<&Slot> {
        self.children.slot(slot)
    }

    fn slot_mut(&mut self, slot: SlotId) -> Option<&mut Slot> {
        self.children.slot_mut(slot)
    }

    /// Hands an event to a child's life. The caller acts on the outcome.
    fn advance(&mut self, child: Child, event: Event) -> Outcome {
        let Some(life) = self.children.life_mut(child) else { return Outcome::Quiet };
        life.advance(event, self.now, &self.timing, &mut self.jitter)
    }

    fn life(&self, child: Child) -> Option<&Life> {
        self.children.life(child)
    }

    fn send_to_worker(&mut self, slot: SlotId, message: ToWorker) {
        if let Some(there) = self.slot(slot).filter(|slot| slot.life.has_process()) {
            let generation = there.life.generation;
            self.out.push(Action::ToWorker { slot, generation, message });
        }
    }

    /// Reports to the recorder if it is ready. What it missed otherwise is sent when it is.
    fn send_to_recorder(&mut self, message: ToRecorder) {
        if self.children.recorder.life.is_ready() {
            let generation = self.children.recorder.life.generation;
            self.out.push(Action::ToRecorder { generation, message });
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
