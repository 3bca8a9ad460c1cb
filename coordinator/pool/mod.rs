//! The coordinator's pure core: slots, placement, match lists, epochs, supervision.
//!
//! No I/O, no clock, no process: [`Pool::step`] takes a time and an [`Input`] and pushes [`Action`]s; the shell
//! (`supervise`) carries them out. Invariants: each listed match is waiting, assigned or quarantined, exactly one;
//! no slot is ever above its cap, reservations included; an epoch is never used twice and never before its block is
//! on the disk; no slot has a process while it is parked. `simulation` holds them against seeded faults.

mod action;
mod config;
mod epochs;
mod filter;
mod input;
mod jitter;
mod life;
mod list;
mod notice;
mod saved;
mod views;

pub use action::{Action, Answer, Signal};
pub use config::{FeedPlan, MatchFilter, MatchSource, Overlap, PoolConfig, Timing, WaitingOrder};
pub use input::{Child, Command, Exit, Input, RequestId, Urgency};
pub use notice::{Level, Notice, Summary};
pub use saved::{SavedAssignmentV1, SavedSlotV1, SavedStateError, SavedStateV1};
pub use views::{
    DaemonState, FeedState, FeedView, GatewayView, HealthView, LagView, MatchQuery, MatchView,
    MatchViewState, MatchesCount, RecorderView, SandboxView, StatusView, Surroundings, WorkerView,
    WorkersCount,
};

use std::time::Duration;

/// The pool. See the module's header.
#[derive(Debug)]
pub struct Pool {
    config: PoolConfig,
}

impl Pool {
    /// A pool that has not started anything: the first `Tick` does. `saved` is what an earlier run left.
    pub fn new(config: PoolConfig, _saved: Option<&SavedStateV1>) -> Self {
        Pool { config }
    }

    /// Takes one thing that happened at `now` (monotonic, since the coordinator's start) and pushes what is to be done.
    pub fn step(&mut self, _now: Duration, _input: Input, _out: &mut Vec<Action>) {}

    /// `status`.
    pub fn status(&self, surroundings: Surroundings) -> StatusView {
        StatusView {
            version: surroundings.version,
            build: surroundings.build,
            pid: surroundings.pid,
            uptime_s: 0.0,
            state: DaemonState::Starting,
            epoch: 0,
            workers: WorkersCount { max: self.config.max_workers, ..WorkersCount::default() },
            matches: MatchesCount::default(),
            feeds: Vec::new(),
            recorder: RecorderView {
                state: "starting",
                documents: 0,
                events: 0,
                queue: 0,
                dropped: 0,
                gaps_open: 0,
                trouble: String::new(),
            },
            gateway: surroundings.gateway,
            sandbox: surroundings.sandbox,
        }
    }

    /// `workers`.
    pub fn workers(&self) -> Vec<WorkerView> {
        Vec::new()
    }

    /// `matches`.
    pub fn matches(&self, _query: MatchQuery) -> Vec<MatchView> {
        Vec::new()
    }

    /// `health`.
    pub fn health(&self) -> HealthView {
        HealthView { healthy: self.config.feeds.is_empty(), reasons: Vec::new() }
    }

    /// What is to outlive this run.
    pub fn saved_state(&self) -> SavedStateV1 {
        SavedStateV1::default()
    }
}
