//! A feed that is pushed over the classic Diffusion protocol: one connection, many subscriptions.
//!
//! `connection` is the source: a socket (`link`), with a tunnel where the transport is WebSocket, and the session on it; it is made
//! from a `plan`. `session` is the protocol's state machine, `subscriptions` what is asked for and how fast, `config` what a session
//! is made with, `skip` why it skips a message, `lost` why it ended and what follows, `resume` what outlives a connection. Aliases never leave here: events name their topics.

mod config;
mod connection;
mod link;
mod lost;
mod plan;
mod resume;
mod session;
mod skip;
mod subscriptions;

#[cfg(test)]
mod tests;

pub use config::{AfterResume, Login, SessionConfig};
pub use connection::Connection;
pub use lost::LostReason;
pub use plan::Plan;
pub use resume::{KEEP, ResumeState};
pub use session::{Session, State};
pub use skip::Skip;
