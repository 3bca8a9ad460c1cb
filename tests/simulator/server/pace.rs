//! How many messages are due, and how late the server itself is. Pure: times are passed in.

use crate::options::Burst;
use std::time::Duration;

/// Messages that are due by a steady rate with bursts.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    rate: f64,
    burst: Option<Burst>,
    /// Of those that were due, how many were offered or given up.
    done: f64,
    skipped: u64,
}

/// More than this much of a backlog is given up rather than offered at once.
const BACKLOG: f64 = 0.25;

impl Pace {
    pub(crate) fn new(rate: f64, burst: Option<Burst>) -> Self {
        Self { rate: rate.max(0.0), burst, done: 0.0, skipped: 0 }
    }

    /// Messages to be offered now, when the server has been changing things for `active`.
    pub(crate) fn due(&mut self, active: Duration) -> u64 {
        let factor = self.burst.map_or(1.0, |burst| burst.factor.max(1.0));
        let most = (self.rate * factor * BACKLOG).max(1.0);
        let due = self.expected(active) - self.done;
        if due > most {
            self.skipped += (due - most) as u64;
            self.done += (due - most).floor();
        }
        due.clamp(0.0, most) as u64
    }

    /// So many were offered.
    pub(crate) fn offered(&mut self, messages: u64) {
        self.done += messages as f64;
    }

    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    fn expected(&self, active: Duration) -> f64 {
        let seconds = active.as_secs_f64();
        let Some(burst) = self.burst else { return self.rate * seconds };
        let (len, every) = (burst.len.as_secs_f64(), burst.every.as_secs_f64());
        let bursting = (seconds / every).floor() * len + (seconds % every).min(len);
        self.rate * (seconds + (burst.factor - 1.0) * bursting)
    }
}

/// How late ticks are: a histogram with steps of ten microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Late {
    steps: Vec<u32>,
    ticks: u64,
    sum: Duration,
    worst: Duration,
}

const STEP: u128 = 10;
const STEPS: usize = 10_000;

impl Default for Late {
    fn default() -> Self {
        Self { steps: vec![0; STEPS], ticks: 0, sum: Duration::ZERO, worst: Duration::ZERO }
    }
}

impl Late {
    pub(crate) fn add(&mut self, late: Duration) {
        let step = usize::try_from(late.as_micros() / STEP).unwrap_or(STEPS).min(STEPS - 1);
        if let Some(count) = self.steps.get_mut(step) {
            *count = count.saturating_add(1);
        }
        self.ticks += 1;
        self.sum += late;
        self.worst = self.worst.max(late);
    }

    pub(crate) fn report(&self, skipped: u64) -> super::Lateness {
        let bound = self.ticks - self.ticks / 100;
        let mut seen = 0;
        let step = self.steps.iter().position(|count| {
            seen += u64::from(*count);
            seen >= bound
        });
        super::Lateness {
            ticks: self.ticks,
            worst: self.worst,
            mean: self.sum.checked_div(u32::try_from(self.ticks).unwrap_or(u32::MAX)).unwrap_or_default(),
            p99: Duration::from_micros((step.unwrap_or(0) as u64 + 1) * STEP as u64).min(self.worst),
            skipped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_met_with_bursts_on_top() {
        let burst = Burst { factor: 10.0, len: Duration::from_millis(100), every: Duration::from_secs(1) };
        let mut pace = Pace::new(1_000.0, Some(burst));
        let mut by_then = Vec::new();
        let mut all = 0;
        for tick in 1..=2_000 {
            let due = pace.due(Duration::from_millis(tick));
            pace.offered(due);
            all += due;
            if tick % 500 == 0 {
                by_then.push(all);
            }
        }
        for (got, expected) in by_then.iter().zip([1_400, 1_900, 3_300, 3_800]) {
            assert!(i64::try_from(*got).unwrap().abs_diff(expected) <= 10, "{by_then:?}");
        }
        assert_eq!(pace.skipped(), 0);
    }

    #[test]
    fn a_long_stall_is_not_made_good() {
        let mut pace = Pace::new(1_000.0, None);
        let due = pace.due(Duration::from_secs(10));
        assert_eq!(due, 250);
        assert_eq!(pace.skipped(), 9_750);
        pace.offered(due);
        assert!(pace.due(Duration::from_millis(10_010)) <= 11);
    }

    #[test]
    fn lateness_is_reported() {
        let mut late = Late::default();
        for n in 0..1_000 {
            late.add(Duration::from_micros(if n < 5 { 5_000 } else { 50 }));
        }
        let report = late.report(0);
        assert_eq!((report.ticks, report.worst), (1_000, Duration::from_millis(5)));
        assert_eq!(report.p99, Duration::from_micros(60));
    }
}
