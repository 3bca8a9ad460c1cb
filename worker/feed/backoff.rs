//! How long to wait before a connection is tried again.
//!
//! Exponential with full jitter: a wait is anything between nothing and the bound of its attempt, so that many
//! workers that lost one server do not come back together. The caller gives the randomness.

use std::time::Duration;

/// The bound of the first wait.
pub const BASE: Duration = Duration::from_millis(250);
/// The most that is ever waited.
pub const CAP: Duration = Duration::from_secs(30);

/// Counts failed attempts and says what to wait.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    attempts: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff::new(BASE, CAP)
    }
}

impl Backoff {
    /// Waits of at most `base` after the first failure, twice that after each further one, `cap` in the end.
    pub const fn new(base: Duration, cap: Duration) -> Backoff {
        Backoff { base, cap, attempts: 0 }
    }

    /// The wait after one more failure. `random` is to be uniform over all values.
    pub fn failed(&mut self, random: u64) -> Duration {
        let wait = within(self.bound(), random);
        self.attempts = self.attempts.saturating_add(1);
        wait
    }

    /// A connection stood: the next failure is the first again.
    pub fn succeeded(&mut self) {
        self.attempts = 0;
    }

    /// Failures in a row.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The most that the next wait can be.
    pub fn bound(&self) -> Duration {
        let factor = 1u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

/// A time from nothing to `bound`, as `random` is between 0 and its greatest value.
fn within(bound: Duration, random: u64) -> Duration {
    let nanos = bound.as_nanos() * u128::from(random) / u128::from(u64::MAX);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bound_doubles_up_to_the_cap_and_begins_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..9).map(|_| backoff.failed(u64::MAX).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        backoff.succeeded();
        assert_eq!(backoff.failed(u64::MAX), BASE);
    }

    #[test]
    fn the_jitter_is_full() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.failed(0), Duration::ZERO);
        assert_eq!(backoff.failed(u64::MAX / 2).as_millis(), 249);
    }

    proptest! {
        #[test]
        fn no_wait_passes_the_cap(failures in 0u32..200, random in any::<u64>()) {
            let mut backoff = Backoff::default();
            for _ in 0..failures {
                backoff.failed(random);
            }
            prop_assert!(backoff.failed(random) <= CAP);
            prop_assert_eq!(backoff.attempts(), failures + 1);
        }
    }
}
