//! How many messages publishers may send in a second: a bucket that fills with time.

use std::time::Instant;

/// Messages a second in the long run, and at once after silence.
const RATE: f64 = 5_000.0;
const BURST: f64 = 10_000.0;

#[derive(Debug)]
pub(in crate::serve) struct Pace {
    left: f64,
    at: Instant,
}

impl Pace {
    pub(in crate::serve) fn new(now: Instant) -> Pace {
        Pace { left: BURST, at: now }
    }

    /// Takes so many; whether there were enough.
    pub(in crate::serve) fn take(&mut self, count: usize, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * RATE).min(BURST);
        self.at = now;
        let may = count as f64 <= self.left;
        if may {
            self.left -= count as f64;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_taken_and_then_the_rate() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        assert!(pace.take(10_000, now) && !pace.take(1, now));
        let later = now + Duration::from_millis(100);
        assert!(pace.take(400, later) && !pace.take(200, later));
        assert!(pace.take(10_000, now + Duration::from_secs(60)));
    }
}
