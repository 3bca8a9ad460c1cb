//! One session over the classic Diffusion protocol.
//!
//! `session` is the state machine, `subscriptions` what is asked for and how fast, `config` what a session is made
//! with, `lost` why it ended, `counters` what it met. Aliases never leave here: events name their topics.

mod config;
mod counters;
mod lost;
mod session;
mod subscriptions;

#[cfg(test)]
mod tests;

pub use config::{Login, Protocol, SessionConfig};
pub use counters::Counters;
pub use lost::LostReason;
pub use session::{Session, State};
pub use subscriptions::{SubscribeError, TOPIC_MAX};
