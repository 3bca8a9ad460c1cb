//! Coordinator and gateway.

use super::{Hello, Message, Welcome};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToGateway {
    /// The answer to `Hello`.
    Welcome {
        welcome: Welcome,
        /// Where the coordinator answers, for the state of the pool.
        control_socket: PathBuf,
    },
    /// This frame carries the gateway's end of the recorder's document feed; one that it had before is over.
    Feed,
    LogFilter {
        /// As `RUST_LOG` writes it.
        filter: String,
    },
    /// This frame carries the new log file; write there from now on.
    LogFile,
    /// Say goodbye to clients and leave with code 0 within this time.
    Stop {
        /// Milliseconds.
        deadline_ms: u32,
    },
}

impl Message for ToGateway {
    const KIND: u16 = 0x0501;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromGateway {
    /// The first message.
    Hello(Hello),
    /// It listens.
    Ready {
        /// Where, as `address:port`.
        address: String,
    },
    /// Each second.
    Stats(GatewayStats),
    /// Leaving on its own account.
    Leaving { why: String },
}

impl Message for FromGateway {
    const KIND: u16 = 0x0502;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStats {
    /// Connections that are open.
    pub clients: u64,
    /// Of these, those that are sent changes.
    pub streams: u64,
}
