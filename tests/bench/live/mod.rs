//! The whole daemon against a server of our own, and what can be seen of it from outside.
//!
//! `pulse` is the server: unlike the simulator it writes each diff by itself, at its own time, and remembers when; it
//! knows no truth. `site` starts the daemon, `arrivals` listens to the recorder's audit tap, `goals` reads the store.
//! All stamps are of one process's monotonic clock.

mod arrivals;
mod cpu;
mod goals;
mod ledger;
mod pulse;
mod rows;
mod side;
mod site;
mod strategies;

pub use rows::{cpu_row, event_row, latency_row, many_row, ticks_row};
pub use side::child as side_child;
pub use strategies::strategies_row;
