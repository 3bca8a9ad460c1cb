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
mod saved;
mod settings;
mod show;
mod views;

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
pub use saved::{SavedAssignmentV1, SavedCapV2, SavedSlotV1, SavedStateError, SavedStateV2};
pub use settings::{
    ConnectionLimits, DeathTiming, FeedPlan, Learning, MatchSource, Overlap, PlacementTiming, ProcessTiming,
    Selection, Settings, Timing,
};
pub use views::{
    DaemonState, DeathView, DrainView, FeedState, FeedView, GatewayView, HealthView, LagView, MatchQuery,
    MatchView, MatchViewState, MatchesCount, MoveView, PlanView, RecorderView, SandboxView, SpreadView,
    StatusView, Surroundings, WorkerView, WorkersCount,
};

use catalog::Catalog;
use children::Children;
use children::life::{Event, Life, Outcome};
use children::slot::Slot;
use feed::Feed;
use health::Readiness;
use operate::{Requests, Stopping};
use placement::Placement;
use std::time::Duration;
use touchline_common::ipc::messages::recorder::ToRecorder;
use touchline_common::ipc::messages::worker::ToWorker;
use touchline_common::model::{Epoch, FeedId, Generation, SlotId};

/// The pool. See the module's header.
#[derive(Debug)]
pub struct Pool {
    config: Settings,
    now: Duration,
    last_tick: Option<Duration>,
    catalog: Catalog,
    placement: Placement,
    children: Children,
    feeds: Vec<Feed>,
    requests: Requests,
    stopping: Option<Stopping>,
    readiness: Readiness,
    saving: Saving,
    summary_due: Option<Duration>,
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
    pub fn new(config: Settings, saved: Option<&SavedStateV2>) -> Self {
        let mut pool = Pool {
            now: Duration::ZERO,
            last_tick: None,
            catalog: Catalog::default(),
            placement: Placement::new(saved.map_or(0, |saved| saved.highest_epoch)),
            children: Children::new(&config, Generation(saved.map_or(0, |saved| saved.recorder_generation))),
            feeds: config.feeds.iter().map(Feed::new).collect(),
            requests: Requests::default(),
            stopping: None,
            readiness: Readiness::Awaited,
            saving: Saving::default(),
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
            Input::Worker { slot, generation, message } => {
                self.on_worker_message(slot, generation, message, out);
            }
            Input::Recorder { generation, message } => self.on_recorder_message(generation, message, out),
            Input::ChannelClosed { child, generation, why } => {
                self.channel_closed(child, generation, &why, out);
            }
            Input::Exited { child, generation, exit, usage, at } => {
                self.child_exited(child, generation, (exit, usage), at, out);
            }
            Input::EpochsReserved { up_to } => {
                self.placement.epochs.reserved(up_to);
                self.placement.due = true;
            }
            Input::EpochsRefused { error } => {
                self.placement.epochs.refused();
                self.placement.reserve_after = self.now + self.config.timing.placement.reserve_retry;
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
        if self.saving.due && self.now >= self.saving.saved_at + SAVE_EVERY {
            self.saving.due = false;
            self.saving.saved_at = self.now;
            out.push(Action::SaveState);
        }
        self.placement.due = true;
    }

    /// What follows from the state alone, whatever the input was. Cheap when nothing is due.
    fn settle(&mut self, out: &mut Vec<Action>) {
        if self.stopping.is_some() {
            self.settle_stop(out);
            return;
        }
        self.settle_grace();
        self.start_services(out);
        self.follow_lists(out);
        self.settle_drains(out);
        self.scale(out);
        self.grant_connect_permits(out);
        self.reserve(out);
        self.renew_assigned(out);
        if std::mem::take(&mut self.placement.due) {
            self.assign_waiting(out);
            self.assign_candidates(out);
        }
        self.report_waiting(out);
        self.settle_readiness(out);
    }

    /// When the coordinator itself was late, by a stopped host or a busy one, that time is not counted against any child.
    fn forgive_if_late(&mut self, out: &mut Vec<Action>) {
        let Some(last) = self.last_tick.replace(self.now) else { return };
        let gap = self.now.saturating_sub(last);
        if gap <= self.config.timing.tick * 2 {
            return;
        }
        let late = gap.saturating_sub(self.config.timing.tick);
        self.children.forgive(late, self.now);
        for feed in &mut self.feeds {
            feed.list.forgive(late);
        }
        out.push(Action::Log(LogEvent::Late { late_ms: millis(late) }));
    }

    fn slot(&self, slot: SlotId) -> Option<&Slot> {
        self.children.slot(slot)
    }

    fn slot_mut(&mut self, slot: SlotId) -> Option<&mut Slot> {
        self.children.slot_mut(slot)
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
        self.children.advance(child, event, self.now, &self.config.timing)
    }

    fn life(&self, child: Child) -> Option<&Life> {
        self.children.life(child)
    }

    fn send_to_worker(&self, slot: SlotId, message: ToWorker, out: &mut Vec<Action>) {
        if let Some(generation) =
            self.slot(slot).filter(|slot| slot.life.has_process()).map(|s| s.life.generation)
        {
            out.push(Action::ToWorker { slot, generation, message });
        }
    }

    /// Reports to the recorder if it is ready. What it missed otherwise is sent when it is.
    fn send_to_recorder(&self, message: ToRecorder, out: &mut Vec<Action>) {
        if self.children.services.recorder.life.is_ready() {
            out.push(Action::ToRecorder {
                generation: self.children.services.recorder.life.generation,
                message,
            });
        }
    }

    /// The highest epoch that was given out or that the recorder named.
    pub fn highest_epoch(&self) -> Epoch {
        self.placement.epochs.highest()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
