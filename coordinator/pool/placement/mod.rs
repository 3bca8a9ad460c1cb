//! Which worker follows what: waiting matches get a seat, placed ones move, workers are started and retired as work needs them.
//!
//! Invariants: no slot is ever above its cap, reservations included; a match moves by a second seat that takes over; an epoch is never used
//! twice and never before its block is on the disk. `choose` and `balance` are pure, the others are their part of the pool.

mod assign;
pub(super) mod balance;
pub(super) mod choose;
pub(super) mod epochs;
pub(super) mod moves;
mod scale;
mod shrink;

use epochs::Epochs;
use std::time::Duration;

/// What placement knows beyond matches and slots.
#[derive(Debug)]
pub(super) struct Placement {
    pub(super) epochs: Epochs,
    /// Something changed by which a waiting match may find a worker.
    pub(super) due: bool,
    /// No epochs are reserved before.
    pub(super) reserve_after: Duration,
    /// That they were refused was logged.
    pub(super) refusal_logged: bool,
    /// No worker is retired before, unless there are too many.
    pub(super) retire_after: Duration,
    pub(super) rebalanced_at: Duration,
}

impl Placement {
    pub(super) fn new(highest_epoch: u64) -> Self {
        Placement {
            epochs: Epochs::new(highest_epoch),
            due: true,
            reserve_after: Duration::ZERO,
            refusal_logged: false,
            retire_after: Duration::ZERO,
            rebalanced_at: Duration::ZERO,
        }
    }
}
