//! The whole daemon against a server of our own, and what can be seen of it from outside.
//!
//! `pulse` is the server: unlike the simulator it writes each diff by itself, at its own time, and remembers when; it
//! knows no truth. `site` starts the daemon, `feed` reads what its recorder publishes, `store` its files, `skeleton` is
//! the limit beside it. All stamps are of the machine's monotonic clock.

mod answers;
mod asked_once;
mod client;
mod cpu;
mod engine;
mod feed;
mod hop;
mod least;
mod ledger;
mod many;
mod peers;
mod poll;
mod pulse;
mod push;
mod recovery;
mod redis;
mod rooms;
mod run;
mod sink;
mod site;
mod skeleton;
mod steady;
mod store;
mod strategies;
mod ticks;

pub use engine::engine;
pub use many::many_row;
pub use peers::peers_row;
pub use poll::poll_row;
pub use push::push_row;
pub use recovery::recovery_row;
pub use redis::redis_row;
pub use rooms::rooms_row;
pub use sink::sink;
pub use skeleton::framer;
pub use steady::{cpu_row, event_row, latency_row};
pub use strategies::strategies_row;
pub use ticks::ticks_row;
