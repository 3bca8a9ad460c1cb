//! How long a source is left alone after a failure. Pure.

use std::time::Duration;

/// The most that is waited after failures of a kind that may pass by itself.
const FAILED_MAX: Duration = Duration::from_secs(5 * 60);
/// After a refused key or login: asking again soon changes nothing, and may lock the account.
const REFUSED_MIN: Duration = Duration::from_secs(60);
const REFUSED_MAX: Duration = Duration::from_secs(15 * 60);
/// What a server that says when to come again is believed.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);
/// After `429` without a word on when.
pub(super) const TOO_MANY: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Failed,
    Refused,
}

/// The wait after the `failures`-th failure in a row of what is asked each `every`: doubled each time up to a bound, of which between a
/// half and all is waited, so that many that failed together do not come back together. `random` is any number.
pub(super) fn wait(kind: Kind, failures: u32, every: Duration, random: u64) -> Duration {
    let (base, most) = match kind {
        Kind::Failed => (every, FAILED_MAX.max(every)),
        Kind::Refused => (REFUSED_MIN.max(every), REFUSED_MAX.max(every)),
    };
    let doubled = base.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(most);
    let part = 0.5 + (random % 1_000) as f64 / 2_000.0;
    doubled.mul_f64(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn waits_grow_to_a_bound_and_never_vanish(failures in 1..u32::MAX, every in 1..100_000_u64, random: u64) {
            let every = Duration::from_millis(every);
            let wait_now = wait(Kind::Failed, failures, every, random);
            prop_assert!(wait_now >= every / 2 && wait_now <= FAILED_MAX.max(every));
            prop_assert!(wait(Kind::Refused, failures, every, random) >= REFUSED_MIN / 2);
            prop_assert!(wait(Kind::Failed, failures.saturating_add(1), every, random) >= wait_now);
        }
    }
}
