//! The command line: one table of verbs (`verbs`), from which the parser, `--help`, the man page and the completions are
//! made, and what the operators' verbs do: ask the daemon over its socket, print the answer.
//!
//! Invariants: exit codes are `CONTRACT.md`'s ([`Code`]); a closed pipe on standard output is success; text that comes
//! from a feed is never printed raw; with `--json` standard output is JSON and nothing else, errors too. What needs more than the socket is carried out by whoever implements [`Commands`].

mod ask;
mod dispatch;
mod dissect;
mod examples;
mod feed_new;
mod generate;
mod kinds;
mod options;
mod output;
mod parser;
mod probe;
mod push;
mod replay;
mod show;
mod table;
mod usable;
mod verbs;
mod wait;

#[cfg(test)]
mod tests;

pub use dispatch::{CommandError, Commands, main, main_with};
pub(crate) use table::{bytes, micros, short};

pub use options::{DemoOptions, DemoSink, Keep, OutputFormat};
pub use touchline_common::control::Code;
