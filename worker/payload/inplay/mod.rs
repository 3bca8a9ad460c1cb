//! Object trees: matches and lists whose topics hold a tree of nodes, one record each.
//!
//! Pure: no clock, no socket. Loads and deltas in; observations, rendered sections and the match list out. The rules are in
//! `docs/documents.md`; what the payload calls things is in `mapping.toml`. Nothing a server sends may panic here: what is
//! wrong is a [`TreeError`](super::TreeError), which the caller counts, and leaves what is held as it was.

mod audit;
mod class;
mod delete;
mod delta;
mod dirty;
mod forest;
mod handles;
mod head;
mod index;
mod insert;
mod links;
mod list;
mod load;
mod login;
pub(super) mod mapping;
mod market;
mod memory;
mod reading;
mod registers;
mod render;
mod score;
mod scoreboard;
mod shown;
mod store;
mod tail;
#[cfg(test)]
mod tests;
mod texts;
mod update;

use super::{clock, json_text, key, period, rules, server_time, text};

pub use forest::Forest;
pub use login::session_error;
pub use mapping::Mapping;
