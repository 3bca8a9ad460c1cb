//! A bucket of tokens that fills with a rate.

use std::time::{Duration, Instant};

/// The part of a second's tokens that may go at once.
const BURST: f64 = 0.1;
const RATE_MIN: f64 = 0.01;
const RATE_MAX: f64 = 1e6;

#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// Full. It holds what a tenth of a second brings, and up to `batch` of what a whole one does.
    pub(super) fn new(rate: f64, batch: u32, now: Instant) -> Bucket {
        let rate = if rate.is_finite() { rate.clamp(RATE_MIN, RATE_MAX) } else { RATE_MAX };
        let burst = (rate * BURST).max(rate.min(f64::from(batch))).max(1.0).floor();
        Bucket { rate, burst, tokens: burst, filled: now }
    }

    pub(super) fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
        self.filled = self.filled.max(now);
    }

    pub(super) fn has(&self, count: u32) -> bool {
        self.tokens >= f64::from(count)
    }

    /// Whole tokens that are there.
    pub(super) fn whole(&self) -> u32 {
        self.tokens.max(0.0) as u32
    }

    /// Takes so many, if they are there.
    pub(super) fn take(&mut self, count: u32) -> bool {
        let has = self.has(count);
        if has {
            self.tokens -= f64::from(count);
        }
        has
    }

    /// When so many are there, or the bucket is full.
    pub(super) fn when(&self, count: u32) -> Option<Instant> {
        let missing = (f64::from(count).min(self.burst) - self.tokens).max(0.0) / self.rate;
        // Rounded up, or the timer would fire just before the token is there.
        let wait = Duration::try_from_secs_f64(missing).unwrap_or_default() + Duration::from_nanos(1);
        self.filled.checked_add(wait)
    }
}
