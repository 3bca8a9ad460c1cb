//! What the shell asks for and adds to the answers that the pool makes; their types are `touchline_common::control::views`.
//!
//! What only the shell, a worker or the recorder knows (memory, ages, versions) is in `Option` members that the shell fills.

use touchline_common::model::{FeedId, SlotId};

pub use touchline_common::control::views::{
    DaemonState, DeathView, DrainView, FeedState, FeedView, GatewayView, HealthView, LagView, MatchView,
    MatchViewState, MatchesCount, MoveView, PlanView, RecorderView, SandboxView, SpreadView, StatusView,
    WorkerView, WorkersCount,
};

/// What the shell knows for [`StatusView`].
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    pub version: String,
    pub build: String,
    pub pid: u32,
    pub gateway: GatewayView,
    pub sandbox: SandboxView,
    /// The time of day, microseconds since 1970 UTC.
    pub wall_us: i64,
    /// Why the state could not be saved the last time; empty when it was.
    pub state_trouble: String,
}

/// Which matches `matches` shows; what is absent does not count.
#[derive(Clone, Copy, Debug, Default)]
pub struct MatchQuery {
    pub feed: Option<FeedId>,
    pub worker: Option<SlotId>,
    pub state: Option<MatchViewState>,
}
