//! The object trees of one connection: loads and deltas in; observations, rendered sections and the match list out.
//!
//! Pure: no clock, no socket. The rules are in `docs/documents.md`. [`Trees`] is what the scanning worker calls, and parts
//! by payload: [`Forest`] keeps object trees, what the payload calls things is in `mapping.toml`; `branch` keeps
//! branches of topics, their table is `branch/topics.toml`. The benchmarks call [`Forest`] itself. Nothing a server sends may
//! panic here: what is wrong is a [`TreeError`], which the caller counts, and leaves what is held as it was.

mod audit;
mod branch;
mod class;
mod clock;
mod delete;
mod delta;
mod dirty;
mod encode;
mod error;
mod forest;
mod head;
mod index;
mod insert;
mod json;
mod key;
mod links;
mod list;
mod load;
mod login;
mod mapping;
mod market;
mod memory;
mod observe;
mod payload;
mod reading;
mod registers;
mod render;
mod score;
mod server_time;
mod store;
#[cfg(test)]
mod tests;
mod text;
mod texts;
mod update;

pub use error::TreeError;
pub use forest::{Applied, Forest, Limits, MatchSlot};
pub use login::session_error;
pub use mapping::{Mapping, MappingError};
pub use observe::{Base, FlipRef, Received, Seen, Sink};
pub use payload::Trees;
pub use server_time::heartbeat;
