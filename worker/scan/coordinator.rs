//! The channel to the coordinator.

use touchline_common::ipc::Channel;
use touchline_common::ipc::messages::worker::{FromWorker, ToWorker};

/// Commands in, reports out.
pub type Control = Channel<ToWorker, FromWorker>;
