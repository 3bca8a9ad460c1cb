//! The operators' socket: who may ask what, and the answers.
//!
//! `clients` holds the socket and the conversations, `gather` puts together what children know; the daemon answers. Invariants: at
//! most [`clients::MAX_CLIENTS`] conversations, each bounded in bytes and time; no operator can stop the loop; every request is
//! answered by its deadline; whoever only holds a place gives way to whoever asks.

pub mod clients;
pub mod gather;
#[cfg(test)]
mod tests;

pub use clients::{Clients, Permissions};
pub use gather::Gather;
