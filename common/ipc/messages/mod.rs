//! What the processes send each other: one enum per direction, only append variants.
//!
//! | channel | down | up |
//! |---|---|---|
//! | coordinator – worker | [`worker::ToWorker`] | [`worker::FromWorker`] |
//! | coordinator – recorder | [`recorder::ToRecorder`] | [`recorder::FromRecorder`] |
//! | coordinator – gateway | [`gateway::ToGateway`] | [`gateway::FromGateway`] |
//! | recorder – gateway (feed) | [`feed::FeedDocument`], [`feed::FeedEnded`] | |
//! | recorder – worker (data) | [`data::FromRecorderData`] | [`data::Open`] and the types after it |

pub mod data;
pub mod feed;
pub mod gateway;
pub mod recorder;
pub mod worker;

use serde::{Deserialize, Serialize};

/// A direction's message type: its frames carry `KIND`, so that a mixed-up channel is noticed at once.
pub trait Message: Serialize {
    const KIND: u16;
}

/// The first message of a child: what it is and which versions of the messages it speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub proto_min: u16,
    pub proto_max: u16,
    pub build: String,
    /// Its pid, for the log only: the channel is the identity.
    pub pid: u32,
}

/// The coordinator's answer to [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    pub proto: u16,
    /// The whole configuration, secrets resolved, as JSON.
    pub config: String,
}
