//! The scanning worker: one connection, at most `max_subscriptions`, every diff applied before anything is rendered.
//!
//! `greeting` and `start` take the channel and wait for work, `scanner` is the loop, one turn of which is written out in `turn`, its steps in `reading` and
//! `rendering`; `multiplex` runs several workers in one process; `commands` is what the coordinator asks, `connection` what the beginning and end of a connection mean, `report` what the
//! coordinator is told, `audits` looks for deltas that a server leaves out. The source in `feed` and `data_link` own the two other sockets. A worker lives no longer than its coordinator, and hurts no
//! other worker when it dies.

mod audit;
mod audits;
mod book;
mod commands;
mod connection;
mod data_link;
mod dumps;
mod greeting;
mod lag;
mod listing;
mod multiplex;
mod outbox;
pub mod probe;
mod rate;
mod reading;
mod rendering;
mod report;
mod scanner;
mod skipped;
mod start;
mod telling;
#[cfg(test)]
mod tests;
mod turn;
mod window;

pub use start::{ScanError, run};
