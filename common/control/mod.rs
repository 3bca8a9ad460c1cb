//! The control socket: one JSON object a line each way, so that `socat` is a client.
//!
//! Invariants: a request is at most [`MAX_REQUEST`] bytes, an answer line at most [`MAX_ANSWER`]; what is longer ends the
//! conversation, nothing is allocated for it. Every wait of a client has a deadline. Each error has the exit code of
//! `CONTRACT.md`. The coordinator and the recorder answer, the command line asks:
//!
//! | verb | args | result |
//! |---|---|---|
//! | `status`, `workers`, `gaps` | | as the contract writes it |
//! | `matches` | `feed`, `worker`, `state` | an array |
//! | `match` | `match` | the document |
//! | `odds` | `match`, `market`, `limit`, `follow` | an array of rows of the bulk stream; with `follow` null, then a row a line |
//! | `events` | `follow`, `since`, `match`, `lane`, `limit` | null, then an event a line, then the end |
//! | `health` | | `healthy`, `reasons` |
//! | `log` | `action`: `level` (with `filter`) or `reopen` | null or a text for people |
//! | `resync` | `match` | null or a text for people |
//! | `stop` | `now` | null, before the stop begins |
//! | `ping` | | anything |
//!
//! `match` is `FEED/ID` or `ID`. An absent argument does not count.

mod client;
mod lines;
mod message;
pub mod views;

#[cfg(test)]
mod tests;

pub use client::{Client, Stream};
pub use lines::{LineError, LineReader};
pub use message::{Answer, Code, ControlError, Request};

pub const MAX_REQUEST: usize = 64 << 10;

/// The longest line of an answer: `matches` of ten thousand matches is a few megabytes.
pub const MAX_ANSWER: usize = 64 << 20;
