//! The schedule in simulated time, and the whole source against a server on loopback.

mod loopback;
pub(super) mod plan;
mod schedule;
mod simulated;
mod socket;
