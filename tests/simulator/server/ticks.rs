//! When ticks are due, and how long the server has been changing things.

use super::moment;
use crate::model::Change;
use std::time::{Duration, Instant};

/// From one tick to the next.
pub(super) const TICK: Duration = Duration::from_millis(1);
/// How often slow things are done: reports, pings, the zone's offset.
pub(super) const SLOW: Duration = Duration::from_millis(100);
/// How often the server's clock is sent; stated in its attribute `UF`.
pub(super) const CLOCK_EVERY: Duration = Duration::from_secs(15);

/// The server's own sense of time.
pub(super) struct Ticks {
    start: Instant,
    /// Ticks served, or passed over because several were due at once.
    served: u128,
    last: Instant,
    pub(super) active: Duration,
    pub(super) offset: i64,
    last_slow: Instant,
    last_time: Instant,
    pub(super) change: Change,
}

impl Ticks {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            start: now,
            served: 0,
            last: now,
            active: Duration::ZERO,
            offset: moment().offset,
            last_slow: now,
            last_time: now,
            change: Change::default(),
        }
    }

    /// Whether a tick is due; if so, how late it is.
    pub(super) fn due(&mut self) -> Option<Duration> {
        let passed = self.start.elapsed();
        let ticks = passed.as_nanos() / TICK.as_nanos();
        if ticks <= self.served {
            return None;
        }
        let first = TICK.as_nanos() * (self.served + 1);
        self.served = ticks;
        Some(Duration::from_nanos(u64::try_from(passed.as_nanos() - first).unwrap_or(u64::MAX)))
    }

    /// Time passes without changes.
    pub(super) fn idle(&mut self) {
        self.last = Instant::now();
    }

    /// Time passes with changes.
    pub(super) fn run(&mut self) {
        let now = Instant::now();
        self.active += now.saturating_duration_since(self.last);
        self.last = now;
    }

    pub(super) fn slow_is_due(&mut self) -> bool {
        let due = self.last_slow.elapsed() >= SLOW;
        if due {
            self.last_slow = Instant::now();
        }
        due
    }

    pub(super) fn time_is_due(&mut self, now: Instant) -> bool {
        let due = now.saturating_duration_since(self.last_time) >= CLOCK_EVERY;
        if due {
            self.last_time = now;
        }
        due
    }
}
