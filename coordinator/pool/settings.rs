//! What the pool is to do: its section of the configuration, a plan for each feed whatever its kind, and deadlines.
//!
//! Invariants: each feed is at the index of its `FeedId`; slots are numbered from 1 to `max_workers` and one, for drains.
//! Callers: the coordinator's shell builds it once; the simulation builds small ones.

use super::quota::QuotaPlan;
use std::time::Duration;
use touchline_common::config::{MatchFilter, PoolConfig, Template, WaitingKey};
use touchline_common::model::MatchId;

#[derive(Clone, Debug)]
pub struct Settings {
    pub pool: PoolConfig,
    /// The feeds, each at its `FeedId`.
    pub feeds: Vec<FeedPlan>,
    pub seed: u64,
    /// The time of day at the coordinator's start, seconds since 1970 UTC.
    pub started_at: i64,
    pub timing: Timing,
    /// Whether there is to be a gateway.
    pub has_gateway: bool,
}

/// One feed, as far as placing its matches goes.
#[derive(Clone, Debug)]
pub struct FeedPlan {
    pub name: String,
    /// Its kind, for `status`: `diffusion`, `poll`, `rooms`.
    pub kind: String,
    /// Subscriptions that one connection may hold (`max_subscriptions`).
    pub cap: u32,
    /// Subscriptions that each connection needs for itself (`time_topic`), part of `cap`.
    pub own_subscriptions: u32,
    pub connections: ConnectionLimits,
    /// Of requests, of all workers; none if they may make any number.
    pub quota: Option<QuotaPlan>,
    /// Templates of a match's topics: `{ID}` is an attribute of the list's event node, `{CL.ID}` of an ancestor;
    /// `{ID}` without such an attribute is the match id.
    pub match_topics: Vec<Template>,
    pub source: MatchSource,
    /// What waits first.
    pub waiting_order: Vec<WaitingKey>,
    pub selection: Selection,
    /// A match that left the list ends after this time, or when its topics were silent for this long: see `linger`.
    pub end_linger: Duration,
    pub linger: Linger,
    /// The server allows one session per login, so that no second connection may follow a match: it is placed again only when its
    /// worker is gone. Else it moves without a gap.
    pub break_before_make: bool,
    /// Whether it is learned what the server really grants one connection. Else the configuration names what the server does above
    /// its cap, and is taken at its word.
    pub learns_cap: bool,
}

/// What a match that left the list waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linger {
    /// Its silence.
    Silence,
    /// Nothing but time: a room goes on talking when it has left a ranking, and the address of a match that is over goes on answering.
    Time,
}

#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// So many at most.
    pub most: u16,
    /// New ones per second.
    pub per_s: f64,
}

#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only those that fit this.
    pub only: MatchFilter,
    /// None that fits this.
    pub skip: MatchFilter,
}

#[derive(Clone, Debug)]
pub enum MatchSource {
    List,
    /// These to begin with; what they are may change.
    Fixed(Vec<MatchId>),
}

/// The pool's deadlines and bounds. The default is what the documentation states; tests shorten it.
#[derive(Clone, Debug)]
pub struct Timing {
    /// When a process counts as late, silent or hung, and what follows.
    pub process: ProcessTiming,
    pub deaths: DeathTiming,
    /// When a worker is full, not needed or too full beside others.
    pub placement: PlacementTiming,
    /// The shell's interval of `Tick`; a gap of more than two means that the coordinator itself was late.
    pub tick: Duration,
    /// From the start to `degraded`, if not ready by then.
    pub ready_deadline: Duration,
    pub list_move: Duration,
    /// How long a load that is to confirm a large removal may take before it is asked for again.
    pub list_confirm: Duration,
    /// Interval of `pool.summary`.
    pub summary_every: Duration,
    /// A feed that is worse off than before is logged when it has been for this long: what heals sooner is told where it happened.
    pub feed_settle: Duration,
    /// A loss is logged when all is followed again, at the latest after this.
    pub told_after: Duration,
}

/// When a process counts as late, silent or hung, and what follows.
#[derive(Clone, Debug)]
pub struct ProcessTiming {
    pub start_deadline: Duration,
    /// Without a load report for this long, a worker's matches get candidates elsewhere.
    pub silent_after: Duration,
    /// Without a load report for this long, a worker is killed.
    pub hung_after: Duration,
    /// From SIGABRT or SIGTERM to SIGKILL, when a child must go now.
    pub kill_after: Duration,
    /// From SIGTERM to SIGKILL, when a child did not leave by its stop deadline.
    pub stop_kill_after: Duration,
    /// From giving out a data channel to its confirmation, then it is given out anew.
    pub data_deadline: Duration,
    /// How long epochs wait for the recorder's first READY.
    pub recorder_grace: Duration,
}

#[derive(Clone, Debug)]
pub struct DeathTiming {
    /// The first back-off; doubles.
    pub backoff_min: Duration,
    pub backoff_max: Duration,
    /// The same for the recorder, which has no substitute.
    pub backoff_alone: Duration,
    /// Ready for this long is healthy: forgets back-off.
    pub healthy_after: Duration,
    /// The window of the intensity limits.
    pub intensity_window: Duration,
    /// More deaths than this of one slot in the window park it.
    pub slot_deaths: usize,
    /// More deaths than this in the pool in the window stop spawning.
    pub pool_deaths: usize,
    /// How long a slot stays parked before its one start on probation.
    pub park: Duration,
    /// A match in two crashes within this time is quarantined.
    pub suspicion: Duration,
}

/// When a worker is full, not needed or too full beside others.
#[derive(Clone, Debug)]
pub struct PlacementTiming {
    /// `busy` above this for `busy_for` is full.
    pub busy_full: f32,
    /// See `busy_full`.
    pub busy_for: Duration,
    /// A worker without matches for this long is retired.
    pub idle_after: Duration,
    /// At most one retirement in this time.
    pub retire_every: Duration,
    /// Uneven workers are looked at this often.
    pub rebalance_every: Duration,
    /// Matches that are moved at once, each `rebalance_every`.
    pub rebalance_moves: usize,
    /// A match that was moved stays for this long, and a worker this young has no part in an automatic rebalance.
    pub moved_rest: Duration,
    /// How long a failed reservation of epochs waits before the next attempt.
    pub reserve_retry: Duration,
}

impl DeathTiming {
    /// The back-off after so many failures before this one: from the first one on it doubles, up to `longest`.
    pub(super) fn doubled(&self, failures: u32, longest: Duration) -> Duration {
        self.backoff_min.saturating_mul(1 << failures.min(16)).min(longest)
    }
}

impl Default for Timing {
    fn default() -> Self {
        let s = Duration::from_secs;
        let ms = Duration::from_millis;
        Timing {
            process: ProcessTiming {
                start_deadline: s(10),
                silent_after: s(2),
                hung_after: s(10),
                kill_after: s(2),
                stop_kill_after: s(5),
                data_deadline: s(5),
                recorder_grace: s(5),
            },
            deaths: DeathTiming {
                backoff_min: ms(500),
                backoff_max: s(30),
                backoff_alone: s(5),
                healthy_after: s(60),
                intensity_window: s(60),
                slot_deaths: 5,
                pool_deaths: 20,
                park: s(300),
                suspicion: s(600),
            },
            placement: PlacementTiming {
                busy_full: 0.8,
                busy_for: s(10),
                idle_after: s(600),
                retire_every: s(30),
                rebalance_every: s(10),
                rebalance_moves: 10,
                moved_rest: s(60),
                reserve_retry: s(1),
            },
            tick: ms(250),
            ready_deadline: s(30),
            list_move: s(5),
            list_confirm: s(30),
            summary_every: s(60),
            feed_settle: s(5),
            told_after: s(30),
        }
    }
}
