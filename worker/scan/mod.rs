//! The scanning worker.

pub mod outbox;
