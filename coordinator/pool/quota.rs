//! How many requests all workers of a feed may still make today, where it has a quota. Pure; saved across restarts.
//!
//! A day is one of UTC, since servers count by the calendar: the one place where the time of day decides something. A batch counts when it
//! is given to a worker, whether that makes its requests or not, so that what is counted is never less than what was asked.

use touchline_common::control::views::QuotaView;

const DAY_S: i64 = 86_400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaPlan {
    /// Requests.
    pub per_day: u64,
    /// Requests for each permit, at least 1.
    pub batch: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    plan: QuotaPlan,
    spent: Spent,
}

/// What was given out on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    /// Since 1970 UTC.
    pub(super) day: i64,
    /// Requests.
    pub(super) requests: u64,
}

impl Quota {
    pub(super) fn new(plan: QuotaPlan) -> Quota {
        Quota { plan, spent: Spent::default() }
    }

    /// What an earlier run gave out.
    pub(super) fn remember(&mut self, spent: Spent) {
        self.spent = spent;
    }

    pub(super) fn spent(&self) -> Spent {
        self.spent
    }

    /// Whether there is a batch left at `now`, seconds since 1970 UTC.
    pub(super) fn has_batch(&self, now: i64) -> bool {
        self.left(now) >= u64::from(self.plan.batch)
    }

    /// A worker is given a batch.
    pub(super) fn give_batch(&mut self, now: i64) {
        let requests = self.today(now).saturating_add(self.plan.batch.into());
        self.spent = Spent { day: day(now).max(self.spent.day), requests };
    }

    pub(super) fn view(&self, now: i64) -> QuotaView {
        QuotaView { per_day: self.plan.per_day, left: self.left(now) }
    }

    fn left(&self, now: i64) -> u64 {
        self.plan.per_day.saturating_sub(self.today(now))
    }

    /// A clock that is put back begins no new day.
    fn today(&self, now: i64) -> u64 {
        if day(now) > self.spent.day { 0 } else { self.spent.requests }
    }
}

fn day(now: i64) -> i64 {
    now.div_euclid(DAY_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_given_than_the_quota_and_a_new_day_begins_anew() {
        let now = 20_000 * DAY_S + 100;
        let mut quota = Quota::new(QuotaPlan { per_day: 10, batch: 4 });
        for left in [10, 6] {
            assert_eq!(quota.view(now).left, left);
            assert!(quota.has_batch(now));
            quota.give_batch(now);
        }
        assert!(!quota.has_batch(now), "two are left, which is no batch");
        assert!(!quota.has_batch(now - DAY_S), "a clock that is put back");
        assert!(quota.has_batch(now + DAY_S));
        let mut again = Quota::new(QuotaPlan { per_day: 10, batch: 4 });
        again.remember(quota.spent());
        assert_eq!(again, quota, "a restart forgets nothing");
        again.give_batch(now + DAY_S);
        assert_eq!(again.spent(), Spent { day: 20_001, requests: 4 });
    }
}
