//! The scanning worker: one source, at most `max_subscriptions`, every delta applied before anything is rendered.
//!
//! `handshake` and `start` take the channel and wait for work, `setup` is what the configuration makes of it, `worker` is the loop;
//! `shared_process` runs several workers in one process, `probe` tries a feed step by step. The other files are what a worker is
//! made of: they know nothing of it. A worker lives no longer than its coordinator, and hurts no other worker when it dies.

mod audit;
mod clock;
mod coordinator;
mod data_link;
mod error;
mod handshake;
mod lag;
mod losses;
mod match_table;
mod names;
mod outbox;
mod port;
pub mod probe;
mod rate;
mod reporter;
mod setup;
mod shared_process;
mod skipped;
mod start;
#[cfg(test)]
mod tests;
mod users_key;
mod window;
mod worker;

pub use error::ScanError;
pub use setup::trees;
pub use start::run;
