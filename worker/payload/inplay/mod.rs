//! Object trees: matches and lists whose topics hold a tree of nodes, one record each.
//!
//! Pure: no clock, no socket. Loads and deltas in; observations, rendered sections and the match list out. The rules are in
//! `docs/documents.md`; what the payload calls things is in `mapping.toml`. Nothing a server sends may panic here: what is
//! wrong is a [`TreeError`](super::TreeError), which the caller counts, and leaves what is held as it was.

mod audit;
mod class;
pub(super) mod clock;
mod delete;
mod delta;
mod dirty;
mod encode;
mod forest;
pub(super) mod head;
mod index;
mod insert;
pub(super) mod json;
mod key;
mod links;
mod list;
mod load;
mod login;
pub(super) mod mapping;
mod market;
mod memory;
pub(super) mod reading;
pub(super) mod registers;
pub(super) mod render;
mod score;
pub(super) mod server_time;
pub(super) mod store;
#[cfg(test)]
mod tests;
pub(super) mod text;
mod texts;
mod update;

pub use forest::Forest;
pub use login::session_error;
pub use mapping::{Mapping, MappingError};
pub use server_time::heartbeat;
