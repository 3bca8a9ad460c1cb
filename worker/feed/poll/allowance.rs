//! How many requests this worker may make, where the pool has a quota. Pure.
//!
//! The coordinator's permits, one for each batch of requests, come at the rate of the quota, whoever of the workers asks; nothing is
//! saved up, so the quota is spread over the day. A worker has its first batch with its start, which takes a permit too. A permit that is
//! asked for and does not come, because the coordinator was exchanged meanwhile, is asked for again.

use std::time::{Duration, Instant};

const ASK_AGAIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) enum Allowance {
    Unlimited,
    Batches {
        size: u32,
        left: u32,
        /// Made beyond what was left.
        owed: u32,
        /// When a permit was asked for that has not come.
        asked: Option<Instant>,
    },
}

impl Allowance {
    /// Of batches of `size` requests; 0: any number.
    pub(super) fn new(size: u32) -> Allowance {
        match size {
            0 => Allowance::Unlimited,
            size => Allowance::Batches { size, left: size, owed: 0, asked: None },
        }
    }

    pub(super) fn is_spent(&self) -> bool {
        matches!(self, Allowance::Batches { left: 0, .. })
    }

    /// One request is made.
    pub(super) fn spend(&mut self) {
        self.spend_more(1);
    }

    /// So many were made, whether they were left or not: what is too many is taken from the next batch.
    pub(super) fn spend_more(&mut self, count: u32) {
        match self {
            Allowance::Unlimited => {}
            Allowance::Batches { left, owed, .. } => {
                *owed = owed.saturating_add(count.saturating_sub(*left));
                *left = left.saturating_sub(count);
            }
        }
    }

    /// Whether a permit is to be asked for now.
    pub(super) fn ask(&mut self, now: Instant) -> bool {
        match self {
            Allowance::Batches { left: 0, asked, .. } if asked.is_none_or(|at| now >= at + ASK_AGAIN) => {
                *asked = Some(now);
                true
            }
            Allowance::Batches { .. } | Allowance::Unlimited => false,
        }
    }

    /// When a permit is asked for again.
    pub(super) fn asks_again(&self) -> Option<Instant> {
        match self {
            Allowance::Batches { left: 0, asked, .. } => asked.map(|at| at + ASK_AGAIN),
            Allowance::Batches { .. } | Allowance::Unlimited => None,
        }
    }

    /// A permit is there.
    pub(super) fn permit(&mut self) {
        match self {
            Allowance::Unlimited => {}
            Allowance::Batches { size, left, owed, asked } => {
                *left = size.saturating_sub(*owed);
                *owed = owed.saturating_sub(*size);
                *asked = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_is_asked_for_once_the_batch_is_spent_and_again_if_none_comes() {
        let now = Instant::now();
        let mut allowance = Allowance::new(2);
        allowance.spend();
        assert!(!allowance.is_spent() && !allowance.ask(now));
        allowance.spend();
        assert!(allowance.is_spent() && allowance.ask(now) && !allowance.ask(now));
        assert_eq!(allowance.asks_again(), Some(now + ASK_AGAIN));
        assert!(allowance.ask(now + ASK_AGAIN));
        allowance.permit();
        assert!(!allowance.is_spent() && allowance.asks_again().is_none());
        // Redirects, which nobody asked for beforehand, are paid from what comes next.
        allowance.spend_more(5);
        allowance.permit();
        assert!(allowance.is_spent() && allowance.ask(now));
        allowance.permit();
        allowance.spend();
        assert!(allowance.is_spent(), "3 owed of 4, and one made");
        let mut unlimited = Allowance::new(0);
        unlimited.spend();
        assert!(!unlimited.is_spent() && !unlimited.ask(now));
    }
}
