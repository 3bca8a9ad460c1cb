//! The control socket: one JSON object a line each way, so that `socat` is a client.
//!
//! Invariants: a request is at most [`MAX_REQUEST`] bytes, an answer line at most [`MAX_ANSWER`]; what is longer ends the
//! conversation, nothing is allocated for it. Every wait of a client has a deadline. Each error has the exit code of
//! `CONTRACT.md`. The coordinator and the recorder answer, the command line asks. [`VERBS`] has the verbs and their arguments; their
//! results are the contract's: lists are arrays, `events` and followed `odds` null with a row a line after it, commands null or a text
//! for people. `match` is `FEED/ID` or `ID`.

mod client;
mod kinds;
mod lane;
mod lines;
mod message;
mod verbs;
pub mod views;

#[cfg(test)]
mod tests;

pub use client::{Client, Stream};
pub use kinds::{Followed, KindsOf, all_kinds, kinds_of};
pub use lane::EventLane;
pub use lines::{LineError, LineReader};
pub use message::{Answer, Code, ControlError, Request};
pub use verbs::{Access, ArgKind, UNBUILT, VERBS, Verb, help};

pub const MAX_REQUEST: usize = 64 << 10;

/// The longest line of an answer: `matches` of ten thousand matches is a few megabytes.
pub const MAX_ANSWER: usize = 64 << 20;
