//! How long answers take of late, and from when on a request counts as late. Pure.
//!
//! Twice the median of the newest answers: a few slow ones do not move it, and where all servers are slow nobody is late for that.

use std::collections::VecDeque;
use std::time::Duration;

/// Answers that count: the newest.
const ANSWERS: usize = 31;
/// Before the first answer.
const UNKNOWN: Duration = Duration::from_secs(1);
/// Below this there is jitter.
const LEAST: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Pace {
    newest: VecDeque<Duration>,
    late_after: Duration,
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace { newest: VecDeque::with_capacity(ANSWERS), late_after: UNKNOWN }
    }

    /// An answer took so long.
    pub(super) fn answered(&mut self, took: Duration) {
        if self.newest.len() == ANSWERS {
            self.newest.pop_front();
        }
        self.newest.push_back(took);
        let mut sorted: Vec<Duration> = self.newest.iter().copied().collect();
        sorted.sort_unstable();
        if let Some(median) = sorted.get(sorted.len() / 2) {
            self.late_after = median.saturating_mul(2).max(LEAST);
        }
    }

    /// Who is under way for so long is late.
    pub(super) fn late_after(&self) -> Duration {
        self.late_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_is_twice_the_median_whatever_a_few_slow_ones_take() {
        let mut pace = Pace::new();
        assert_eq!(pace.late_after(), UNKNOWN);
        let ms = Duration::from_millis;
        for n in 0..100 {
            pace.answered(if n % 3 == 0 { ms(60_000) } else { ms(100) });
        }
        assert_eq!(pace.late_after(), ms(200));
        (0..ANSWERS).for_each(|_| pace.answered(ms(3_000)));
        assert_eq!(pace.late_after(), ms(6_000), "all are slow now: that is not late");
        (0..ANSWERS).for_each(|_| pace.answered(ms(1)));
        assert_eq!(pace.late_after(), LEAST);
    }
}
