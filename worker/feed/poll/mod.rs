//! A feed that is asked again and again over HTTP: a window of requests, whoever arrives first is processed first.
//!
//! `source` is the [`Poll`] that the loop drives: `net::http` under a `schedule` (pure), which says what is asked when, takes what came,
//! and tells what of it is new. Of that, `ask` is one topic's state, `chain` who waits for whom, `round` the pages of a list, `lists`
//! the match list put together, `verdict` what an answer means, `allowance` what the quota leaves, `backoff` how long to wait after a failure, `json` finds values by
//! pointers. All of it is made from a `plan`. `socket` is a WebSocket that pushes what would be asked for otherwise. A source that fails is that topic's state, never the whole connection's.

mod allowance;
mod ask;
mod backoff;
mod chain;
mod json;
mod lists;
mod plan;
mod round;
mod schedule;
mod socket;
mod source;
mod verdict;

#[cfg(test)]
mod tests;

pub use plan::{Plan, SourceIndex, SourcePlan};
pub use round::next_page;
pub use schedule::{Number, Schedule, Told, Wanted};
pub use source::Poll;
