//! A feed at run time: its list, who follows it, how its first list fares, its budget of connections.

use super::cap::FeedCap;
use super::quota::Quota;
use super::settings::{FeedPlan, MatchSource};
use crate::pool::catalog::list::MatchList;
use std::collections::{BTreeMap, VecDeque};
use std::ops::{Index, IndexMut};
use std::time::Duration;
use touchline_common::control::views::FeedState;
use touchline_common::model::{FeedId, MatchId, SlotId};

/// The feeds, each at its `FeedId`.
#[derive(Debug)]
pub(super) struct Feeds(Vec<Feed>);

impl Feeds {
    pub(super) fn new(plans: Vec<FeedPlan>) -> Self {
        Feeds(plans.into_iter().map(Feed::new).collect())
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = FeedId> + use<> {
        (0..self.0.len()).map(|n| FeedId(u16::try_from(n).unwrap_or(u16::MAX)))
    }

    pub(super) fn by_name(&self, name: &str) -> Option<FeedId> {
        self.ids().find(|feed| self[*feed].plan.name == name)
    }

    pub(super) fn has(&self, feed: FeedId) -> bool {
        usize::from(feed.0) < self.0.len()
    }

    /// A feed's name; its number where there is none, since a child may have named it.
    pub(super) fn name(&self, feed: FeedId) -> String {
        self.0.get(usize::from(feed.0)).map_or_else(|| feed.to_string(), |feed| feed.plan.name.clone())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Feed> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Feed> {
        self.0.iter_mut()
    }
}

// A worker's feed and that of a match in the catalog are of the configuration, which gave the feeds their ids.
#[allow(clippy::indexing_slicing)]
impl Index<FeedId> for Feeds {
    type Output = Feed;

    fn index(&self, feed: FeedId) -> &Feed {
        &self.0[usize::from(feed.0)]
    }
}

#[allow(clippy::indexing_slicing)] // As above.
impl IndexMut<FeedId> for Feeds {
    fn index_mut(&mut self, feed: FeedId) -> &mut Feed {
        &mut self.0[usize::from(feed.0)]
    }
}

#[derive(Debug)]
pub(super) struct Feed {
    pub(super) plan: FeedPlan,
    pub(super) list: MatchList,
    /// The worker that follows the list.
    pub(super) holder: Option<SlotId>,
    pub(super) first: FirstList,
    /// Some match did not find a place when it was last tried.
    pub(super) blocked: bool,
    pub(super) budget: Budget,
    pub(super) quota: Option<Quota>,
    /// Workers that wait for a permit to connect anew, the first first.
    pub(super) queue: VecDeque<SlotId>,
    /// Where matches were in the last run.
    pub(super) hints: BTreeMap<MatchId, SlotId>,
    /// What was last reported of it in the log.
    pub(super) logged_state: Option<FeedState>,
    /// Since when it is not as was last reported.
    pub(super) changed_since: Option<Duration>,
    /// What was last reported of its list in the log: its matches, those that are followed, and when.
    pub(super) logged_list: Option<(usize, usize, Duration)>,
    /// Since when one worker fewer would do.
    pub(super) loose_since: Option<Duration>,
    pub(super) cap: FeedCap,
}

impl Feed {
    fn new(plan: FeedPlan) -> Self {
        Feed {
            list: MatchList::default(),
            holder: None,
            first: FirstList::Awaited,
            blocked: false,
            budget: Budget::new(plan.connections.per_s),
            quota: plan.quota.map(Quota::new),
            queue: VecDeque::new(),
            hints: BTreeMap::new(),
            logged_state: None,
            changed_since: None,
            logged_list: None,
            loose_since: None,
            cap: FeedCap::new(plan.cap, None),
            plan,
        }
    }

    pub(super) fn has_list(&self) -> bool {
        matches!(self.plan.source, MatchSource::List)
    }

    /// Takes a permit for a connection, or for a batch of requests, if there is one at `now`; `time`: seconds since 1970 UTC.
    pub(super) fn take_permit(&mut self, now: Duration, time: i64) -> bool {
        if self.quota.is_some_and(|quota| !quota.has_batch(time)) || !self.budget.take(now) {
            return false;
        }
        if let Some(quota) = &mut self.quota {
            quota.give_batch(time);
        }
        true
    }

    /// Whether a second connection may follow a match meanwhile.
    pub(super) fn may_overlap(&self) -> bool {
        !self.plan.break_before_make
    }

    /// Subscriptions for matches that one connection may hold.
    pub(super) fn usable(&self) -> u32 {
        self.cap.learner.cap().saturating_sub(self.plan.own_subscriptions)
    }
}

/// How the first list fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstList {
    Awaited,
    /// It is here; its matches are being placed, with as many workers as it needs.
    Placing,
    Placed,
}

/// A bucket of tokens, one per connection; holds at most one second's worth, at least one.
#[derive(Debug)]
pub(super) struct Budget {
    per_s: f64,
    tokens: f64,
    at: Duration,
}

impl Budget {
    pub(super) fn new(per_s: f64) -> Self {
        let per_s = if per_s.is_finite() && per_s > 0.0 { per_s } else { 1.0 };
        Budget { per_s, tokens: per_s.max(1.0), at: Duration::ZERO }
    }

    /// Takes one token, if there is one.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let earned = now.saturating_sub(self.at).as_secs_f64() * self.per_s;
        self.tokens = (self.tokens + earned).min(self.per_s.max(1.0));
        self.at = now;
        let granted = self.tokens >= 1.0;
        if granted {
            self.tokens -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_gives_its_rate_and_no_more() {
        let mut budget = Budget::new(20.0);
        let mut granted = 0;
        for ms in 0..3_000 {
            granted += u32::from(budget.take(Duration::from_millis(ms)));
        }
        assert!((78..=80).contains(&granted), "{granted}: 20 at once, then 20 a second");
        let mut slow = Budget::new(0.5);
        assert!(slow.take(Duration::ZERO));
        assert!(!slow.take(Duration::from_millis(1_900)));
        assert!(slow.take(Duration::from_millis(2_100)));
    }
}
