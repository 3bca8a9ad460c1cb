//! The pool-wide limits of starting: too many deaths stop all starts, then one start on probation decides; a start that fails stops all
//! for a while, since what prevents it (no descriptors, no processes left) prevents every other.

use crate::pool::settings::Timing;
use std::collections::VecDeque;
use std::time::Duration;
use touchline_common::model::SlotId;

/// What operators see while it is tripped.
pub(in crate::pool) const TRIPPED: &str =
    "too many workers died within a minute: none is started but one on probation";

#[derive(Debug, Default)]
pub(in crate::pool) struct Breaker {
    state: State,
    /// When, and which process if there was one: workers that shared it died of one death.
    deaths: VecDeque<(Duration, Option<u32>)>,
    /// Starts that failed one after the other.
    failed: u32,
    /// Until then none is tried because of them.
    rests_until: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    /// None until then.
    Open { until: Duration },
    /// One, and no other while it proves itself.
    HalfOpen(SlotId),
}

/// A start on probation that is READY for this long ends the trouble.
const PROVEN: Duration = Duration::from_secs(10);

impl Breaker {
    pub(in crate::pool) fn is_tripped(&self) -> bool {
        self.state != State::Closed
    }

    pub(in crate::pool) fn may_spawn(&self, now: Duration) -> bool {
        let may = match self.state {
            State::Closed => true,
            State::Open { until } => now >= until,
            State::HalfOpen(_) => false,
        };
        may && now >= self.rests_until
    }

    /// No process came to be.
    pub(in crate::pool) fn not_started(&mut self, now: Duration, timing: &Timing) {
        self.rests_until = now + timing.deaths.doubled(self.failed, timing.deaths.backoff_max);
        self.failed = self.failed.saturating_add(1);
    }

    pub(in crate::pool) fn started(&mut self) {
        (self.failed, self.rests_until) = (0, Duration::ZERO);
    }

    pub(in crate::pool) fn spawned(&mut self, slot: SlotId) {
        if matches!(self.state, State::Open { .. }) {
            self.state = State::HalfOpen(slot);
        }
    }

    pub(in crate::pool) fn died(&mut self, slot: SlotId, pid: Option<u32>, now: Duration, timing: &Timing) {
        while self.deaths.front().is_some_and(|(at, _)| *at + timing.deaths.intensity_window < now) {
            self.deaths.pop_front();
        }
        if pid.is_none() || self.deaths.iter().all(|(_, other)| *other != pid) {
            self.deaths.push_back((now, pid));
        }
        let failed_again = self.state == State::HalfOpen(slot);
        if failed_again || (self.state == State::Closed && self.deaths.len() > timing.deaths.pool_deaths) {
            self.deaths.clear();
            self.state = State::Open { until: now + timing.deaths.intensity_window };
        }
    }

    /// The process on probation left without dying: another may follow.
    pub(in crate::pool) fn left(&mut self, slot: SlotId, now: Duration) {
        if self.state == State::HalfOpen(slot) {
            self.state = State::Open { until: now };
        }
    }

    /// A worker is READY since then.
    pub(in crate::pool) fn ready(&mut self, slot: SlotId, since: Duration, now: Duration) {
        if self.state == State::HalfOpen(slot) && now >= since + PROVEN {
            self.state = State::Closed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_fails_stops_all_for_longer_and_longer_until_one_succeeds() {
        let (timing, mut breaker, mut now) = (Timing::default(), Breaker::default(), Duration::ZERO);
        for time in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000].map(Duration::from_millis) {
            breaker.not_started(now, &timing);
            assert!(
                !breaker.may_spawn(now + time - Duration::from_millis(1)) && breaker.may_spawn(now + time)
            );
            now += time;
        }
        breaker.started();
        assert!(breaker.may_spawn(now));
        breaker.not_started(now, &timing);
        assert!(breaker.may_spawn(now + Duration::from_millis(500)));
    }

    #[test]
    fn twenty_one_deaths_in_a_minute_stop_all_starts_but_one_on_probation() {
        let timing = Timing::default();
        let s = Duration::from_secs;
        let mut breaker = Breaker::default();
        for n in 0..20 {
            breaker.died(SlotId(n), Some(n.into()), s(1), &timing);
            breaker.died(SlotId(n + 100), Some(n.into()), s(1), &timing);
        }
        assert!(breaker.may_spawn(s(1)), "forty workers, but twenty processes");
        breaker.died(SlotId(20), None, s(2), &timing);
        assert!(!breaker.may_spawn(s(61)) && breaker.may_spawn(s(62)));
        breaker.spawned(SlotId(3));
        assert!(!breaker.may_spawn(s(63)), "one only");
        breaker.died(SlotId(3), Some(99), s(64), &timing);
        assert!(!breaker.may_spawn(s(100)) && breaker.may_spawn(s(124)));
        breaker.spawned(SlotId(3));
        breaker.ready(SlotId(3), s(125), s(134));
        assert!(breaker.is_tripped());
        breaker.ready(SlotId(3), s(125), s(135));
        assert!(!breaker.is_tripped());
    }
}
