//! Latencies of the last second, by percentile, in constant space.

use std::time::Duration;

/// Steps per doubling; the error of a percentile is at most one part in eight.
const STEPS: u32 = 8;
const BUCKETS: usize = (64 * STEPS) as usize;

/// Counts of durations, in buckets that grow with the duration.
#[derive(Debug)]
pub struct Lag {
    counts: Box<[u32; BUCKETS]>,
    total: u64,
}

impl Default for Lag {
    fn default() -> Lag {
        Lag { counts: Box::new([0; BUCKETS]), total: 0 }
    }
}

impl Lag {
    pub fn record(&mut self, lag: Duration) {
        let micros = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(micros)) {
            *count += 1;
            self.total += 1;
        }
    }

    /// The duration that the part `share` (0 to 1) of all stays below, microseconds; 0 if nothing was counted.
    pub fn percentile(&self, share: f64) -> u32 {
        if self.total == 0 {
            return 0;
        }
        let wanted = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return u32::try_from(upper(index)).unwrap_or(u32::MAX);
            }
        }
        u32::MAX
    }

    /// Forgets everything, for the next second.
    pub fn clear(&mut self) {
        if self.total > 0 {
            self.counts.fill(0);
            self.total = 0;
        }
    }
}

fn bucket(micros: u64) -> usize {
    if micros < u64::from(STEPS) {
        return micros as usize;
    }
    let shift = micros.ilog2() - STEPS.ilog2();
    let step = (micros >> shift) as usize - STEPS as usize;
    ((shift + 1) * STEPS) as usize + step
}

fn upper(index: usize) -> u64 {
    let steps = STEPS as usize;
    if index < steps {
        return index as u64;
    }
    let shift = index / steps - 1;
    (((index % steps + steps + 1) as u64) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_off_by_an_eighth_at_most() {
        let mut lag = Lag::default();
        for micros in 1..=10_000u64 {
            lag.record(Duration::from_micros(micros));
        }
        for (share, exact) in [(0.5, 5_000.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
            let counted = f64::from(lag.percentile(share));
            assert!(counted >= exact && counted <= exact * 1.125, "{share}: {counted} for {exact}");
        }
        lag.clear();
        assert_eq!(lag.percentile(0.99), 0);
    }

    #[test]
    fn each_bucket_begins_where_the_one_before_it_ends() {
        for micros in (0..5_000u64).chain([1 << 40, u64::MAX / 2]) {
            let index = bucket(micros);
            assert!(upper(index) >= micros);
            assert!(index == 0 || upper(index - 1) < micros, "{micros}");
        }
    }
}
