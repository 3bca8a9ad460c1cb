//! One session over the classic Diffusion protocol.
//!
//! `session` is the state machine, `subscriptions` what is asked for and how fast, `config` is what a session is made with,
//! `lost` why it ended, `counters` what it met and skipped, `comeback` what outlives a connection. Aliases never leave
//! here: events name their topics.

mod comeback;
mod config;
mod counters;
mod lost;
mod session;
mod subscriptions;

#[cfg(test)]
mod tests;

pub use comeback::{Comeback, Earlier, KEEP, LOGIN_WAIT, News, Retry};
pub use config::{AfterResume, Login, Protocol, SessionConfig};
pub use counters::{Counters, Skip};
pub use lost::LostReason;
pub use session::{Session, State};
pub use subscriptions::{SubscribeError, TOPIC_MAX};
