//! The scanning worker.

pub mod data_link;
pub mod lag;
pub mod outbox;
