//! What happens to the pool. The shell makes these from processes, frames, signals and its clock.
//!
//! Each carries the generation of the child it is about: what a former process still sends is ignored by the pool.

use std::time::Duration;
use touchline_common::ipc::messages::gateway::FromGateway;
use touchline_common::ipc::messages::recorder::FromRecorder;
use touchline_common::ipc::messages::worker::FromWorker;
use touchline_common::model::{Epoch, FeedId, Generation, MatchId, MatchKey, SlotId};

pub use touchline_common::sys::pidfd::{Exit, Usage};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Child {
    Worker(SlotId),
    /// A child that is no worker.
    Service(ServiceKind),
}

impl Child {
    pub const RECORDER: Child = Child::Service(ServiceKind::Recorder);
    pub const GATEWAY: Child = Child::Service(ServiceKind::Gateway);
}

/// A child that is no worker: there is one of each. What its life needs is a row of `children::service`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKind {
    Recorder,
    /// There is one only where it is to listen.
    Gateway,
}

impl ServiceKind {
    pub fn as_str(self) -> &'static str {
        match self {
            ServiceKind::Recorder => "recorder",
            ServiceKind::Gateway => "gateway",
        }
    }
}

#[derive(Clone, Debug)]
pub enum Input {
    /// The shell's tick, each `Timing::tick`. Everything that waits is looked at here.
    Tick,
    /// `Action::Spawn` succeeded.
    Spawned {
        child: Child,
        generation: Generation,
        pid: u32,
    },
    /// `Action::Spawn` failed; there is no process.
    SpawnFailed {
        child: Child,
        generation: Generation,
        error: String,
    },
    Worker {
        slot: SlotId,
        generation: Generation,
        message: FromWorker,
    },
    /// The recorder's message, whichever it is.
    Recorder {
        generation: Generation,
        message: FromRecorder,
    },
    Gateway {
        generation: Generation,
        message: FromGateway,
    },
    /// A child's control channel ended or carried a bad frame; the child is not reaped yet.
    ChannelClosed {
        child: Child,
        generation: Generation,
        why: String,
    },
    Exited {
        child: Child,
        generation: Generation,
        exit: Exit,
        /// What it had used, if the kernel reported it.
        usage: Option<Usage>,
        at: Work,
    },
    /// `Action::ReserveEpochs` is on the disk: every epoch up to this may be used.
    EpochsReserved {
        up_to: Epoch,
    },
    /// `Action::ReserveEpochs` failed; it is tried again.
    EpochsRefused {
        error: String,
    },
    /// The matches of a feed without a list are these from now on: those that are new are followed, others end.
    Named {
        feed: FeedId,
        ids: Vec<MatchId>,
    },
    Command {
        /// Names the request; `Action::Answer` carries it.
        request: RequestId,
        command: Command,
        timeout: Duration,
    },
}

/// What a child was at when its process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Work {
    /// At no match, as far as it noted.
    #[default]
    None,
    Match(Epoch),
    /// At no match; another worker of its process was at one.
    Others,
}

/// An operator's request, unique while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// End the daemon. Answered when it is about to end. A signal to end comes as this, too.
    Stop {
        /// How urgently; the most urgent request wins.
        urgency: Urgency,
    },
    WaitReady,
    Resync {
        key: MatchKey,
    },
    Release {
        key: MatchKey,
    },
    /// Move a worker's matches elsewhere and end it.
    Drain {
        slot: SlotId,
    },
    /// Move a match. Answered when the worker owns it, or when it is clear that it will not.
    Move {
        key: MatchKey,
        slot: SlotId,
    },
    /// Move matches until the workers are even.
    Rebalance,
    /// Change how many workers there may be; what is absent stays.
    Scale {
        /// At least so many.
        min: Option<u16>,
        /// At most so many.
        max: Option<u16>,
    },
}

/// How urgently the daemon is to end. Ordered: the later one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Read no more, render, hand over, commit, within `drain_deadline`.
    Drain,
    Now,
}
