//! What the server of a feed grants one connection, and how that is learned.
//!
//! `learner` knows the cap by refusals and missing loads, `audit` by missing deltas; both are pure and belong to one feed, as [`FeedCap`].
//! `learning` and `auditing` are their part of the pool: they read the reports of workers, and place what is above the cap elsewhere.
//! Invariant: no connection is asked for more than its cap; a cap is never above the configured one.

pub(super) mod audit;
mod auditing;
pub(super) mod learner;
mod learning;
