//! What the pool wants done. The shell carries each out in order and reports back with [`super::Input`].

use super::input::{Child, RequestId};
use super::log_event::LogEvent;
use touchline_common::ipc::messages::gateway::ToGateway;
use touchline_common::ipc::messages::recorder::ToRecorder;
use touchline_common::ipc::messages::worker::ToWorker;
use touchline_common::model::{Epoch, FeedId, Generation, SlotId};

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start a child; answer with `Spawned` or `SpawnFailed`. `SaveState` precedes it, and it is not started before that
    /// state is on the disk, so that its generation is never used twice.
    Spawn {
        child: Child,
        generation: Generation,
        /// A worker's feed; `None` for a service.
        feed: Option<FeedId>,
    },
    /// Answer a child's `Hello`: the shell adds the configuration.
    Welcome {
        child: Child,
        generation: Generation,
        proto: u16,
        /// A worker's feed; `None` for a service.
        feed: Option<FeedId>,
    },
    /// Send to a worker. If it cannot be sent, report `ChannelClosed`.
    ToWorker {
        slot: SlotId,
        generation: Generation,
        message: ToWorker,
    },
    /// Send to the recorder. If it cannot be sent, report `ChannelClosed`.
    ToRecorder {
        generation: Generation,
        message: ToRecorder,
    },
    /// Send to the gateway. If it cannot be sent, report `ChannelClosed`.
    ToGateway {
        generation: Generation,
        message: ToGateway,
    },
    /// Make a socketpair; one end goes to the recorder with `ToRecorder::Reader`, the other to the gateway with `ToGateway::Feed`.
    ConnectFeed,
    /// Make a socketpair; one end goes to the recorder with `ToRecorder::Attach`, the other to the worker with `ToWorker::Data`.
    ConnectData {
        slot: SlotId,
        generation: Generation,
    },
    /// Send a signal. The ladder (what follows if it does not help) is the pool's.
    Kill {
        child: Child,
        generation: Generation,
        signal: Signal,
    },
    /// Save `Pool::saved_state`, which names at least this as its `highest_epoch`, with fsync; answer with `EpochsReserved` or `EpochsRefused`.
    ReserveEpochs {
        up_to: Epoch,
    },
    /// Save `Pool::saved_state`, taken when the step is over.
    SaveState,
    Answer {
        request: RequestId,
        answer: Answer,
    },
    Log(LogEvent),
    /// Every child is gone after a requested stop: exit with code 0.
    Finished,
}

/// What a step asks for, in this order.
#[derive(Debug, Default)]
pub(super) struct Actions(Vec<Action>);

impl Actions {
    pub(super) fn push(&mut self, action: Action) {
        self.0.push(action);
    }

    pub(super) fn log(&mut self, event: LogEvent) {
        self.0.push(Action::Log(event));
    }

    pub(super) fn drain_to(&mut self, out: &mut Vec<Action>) {
        out.append(&mut self.0);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: end.
    Term,
    /// SIGABRT: end with a trace of where it hangs.
    Abort,
    Kill,
}

impl Signal {
    pub fn as_str(self) -> &'static str {
        match self {
            Signal::Term => "SIGTERM",
            Signal::Abort => "SIGABRT",
            Signal::Kill => "SIGKILL",
        }
    }
}

/// What an operator is sent. The exit codes are the contract's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done. Exit code 0.
    Done { message: String },
    /// Refused or impossible. Exit code 1.
    Failed {
        /// Why, for people: what happened, where, what to do.
        error: String,
    },
    /// Not done by the deadline, or only in part. Exit code 4.
    Partial { missing: String },
}

impl Answer {
    pub(super) fn failed(error: impl Into<String>) -> Answer {
        Answer::Failed { error: error.into() }
    }
}
