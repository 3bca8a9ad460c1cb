//! Matches, what happens to them, what the feed says of it, and the document each must become.
//!
//! Pure and seeded: no sockets, no clocks. Invariants: a match changes only through `step` and the whistle; each
//! message's worth of change is written, digested and remembered by `pen`; documents are computed from what a match
//! is (`document`), never from what was written of it (`encode`). Caller: `server`.

pub(crate) mod branch;
mod change;
pub(crate) mod document;
mod encode;
pub(crate) mod history;
mod json;
pub(crate) mod ledger;
mod make;
mod names;
pub(crate) mod node;
pub(crate) mod odds;
mod pen;
mod play;
pub(crate) mod random;
mod score;
pub(crate) mod script;
mod sent;
pub(crate) mod state;
mod step;
mod text;
mod time;
pub(crate) mod world;

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;

pub(crate) use change::{Change, Channel};
pub(crate) use json::{Digest, DigestObject, Json};
pub(crate) use time::{Moment, compact, rfc3339};
