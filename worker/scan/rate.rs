//! How often deltas of a match come, now and in its own past. Pure: looked at once a second, nothing is done per delta but counting.
//!
//! A match that is served in full for a while and thinly from then on shows by this alone: its rate falls far below its own past
//! while the others of the connection go on. So does one that is paused, so a fall proves nothing; it is a reason for an audit, one for each
//! fall. Matches of less than `LEAST` a second are not judged: chance alone would make them fall. Called by `audits`.

use std::time::Duration;

/// What counts as now: the mean over about this time.
const NOW: f64 = 10.0;
const PAST: f64 = 120.0;
/// A past that is shorter is none.
const PAST_LEAST: f64 = 30.0;
/// Deltas a second, at least, of a past that can be fallen from: in `NOW` chance then makes a fall once in some thousand times.
const LEAST: f64 = 1.0;
/// Far below: less than this part of the past. One delta in ten is far below, a quiet quarter of an hour of one match in two is not.
const FAR_BELOW: f64 = 0.25;
/// A fall is over when there is this part of the past again.
const RISEN: f64 = 0.5;
/// The others go on while they have this part of their past.
const GOES_ON: f64 = 0.5;

#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    counted: u64,
    /// Seconds that it was looked at.
    age: f64,
    now: f64,
    past: f64,
    audited: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Together {
    now: f64,
    past: f64,
}

impl Rate {
    /// Begins anew from so many deltas: what was seen before says nothing of the connection that is there now.
    pub fn begin(&mut self, deltas: u64) {
        *self = Rate { counted: deltas, ..Rate::default() };
    }

    /// There were so many deltas in all, and this time has passed since the last look.
    pub fn look(&mut self, deltas: u64, passed: Duration) {
        let seconds = passed.as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let rate = deltas.saturating_sub(self.counted) as f64 / seconds;
        self.counted = deltas;
        self.age += seconds;
        // A mean of what there is, as long as there is less than the time it goes over.
        let towards = |mean: f64, over: f64| mean + (rate - mean) * (seconds / over.min(self.age)).min(1.0);
        (self.now, self.past) = (towards(self.now, NOW), towards(self.past, PAST));
        if self.now >= self.past * RISEN {
            self.audited = false;
        }
    }

    /// Whether it has fallen far below its own past while the others went on, and was not audited for that.
    pub fn has_fallen(&self, all: &Together) -> bool {
        let (others_now, others_past) = (all.now - self.now, all.past - self.past);
        !self.audited
            && self.age >= PAST_LEAST
            && self.past >= LEAST
            && self.now < self.past * FAR_BELOW
            && others_past >= LEAST
            && others_now >= others_past * GOES_ON
    }

    pub fn audited(&mut self) {
        self.audited = true;
    }
}

impl Together {
    pub fn add(&mut self, rate: &Rate) {
        self.now += rate.now;
        self.past += rate.past;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Matches that get so many deltas in each second.
    struct Line {
        rates: Vec<Rate>,
        deltas: Vec<u64>,
    }

    impl Line {
        fn new(count: usize) -> Line {
            Line { rates: vec![Rate::default(); count], deltas: vec![0; count] }
        }

        /// The seconds after which the first one has fallen, if it has within that time.
        fn pass(&mut self, seconds: u64, per_ten_seconds: &[u64]) -> Option<u64> {
            for second in 1..=seconds {
                for (at, rate) in self.rates.iter_mut().enumerate() {
                    // Evenly, also where it is less than one a second.
                    let of = per_ten_seconds[at];
                    self.deltas[at] += second * of / 10 - (second - 1) * of / 10;
                    rate.look(self.deltas[at], SECOND);
                }
                if self.rates[0].has_fallen(&self.together()) {
                    return Some(second);
                }
            }
            None
        }

        fn together(&self) -> Together {
            let mut all = Together::default();
            self.rates.iter().for_each(|rate| all.add(rate));
            all
        }
    }

    #[test]
    fn one_delta_in_ten_is_a_fall_within_half_a_minute() {
        let mut line = Line::new(3);
        assert_eq!(line.pass(60, &[80, 80, 40]), None);
        let after = line.pass(60, &[8, 80, 40]).unwrap();
        assert!((10..=25).contains(&after), "{after} s");
        line.rates[0].audited();
        assert_eq!(line.pass(600, &[8, 80, 40]), None, "once for each fall");
        assert_eq!(line.pass(300, &[80, 80, 40]), None);
        assert!(line.pass(60, &[8, 80, 40]).is_some(), "and again for the next");
    }

    #[test]
    fn where_all_become_quiet_nobody_has_fallen() {
        let mut line = Line::new(3);
        line.pass(60, &[80, 80, 40]);
        assert_eq!(line.pass(120, &[0, 8, 4]), None);
        let mut alone = Line::new(1);
        alone.pass(60, &[80]);
        assert_eq!(alone.pass(120, &[0]), None, "nor where there is nobody else");
    }

    #[test]
    fn neither_half_of_the_past_nor_a_past_of_few_or_of_a_moment_is_judged() {
        let mut line = Line::new(2);
        line.pass(120, &[80, 80]);
        assert_eq!(line.pass(300, &[40, 80]), None);
        let mut slow = Line::new(2);
        slow.pass(300, &[9, 80]);
        assert_eq!(slow.pass(300, &[0, 80]), None);
        let mut young = Line::new(2);
        young.pass(8, &[80, 80]);
        assert_eq!(young.pass(21, &[0, 80]), None);
    }

    #[test]
    fn a_new_connection_is_a_new_past() {
        let mut line = Line::new(2);
        line.pass(120, &[80, 80]);
        let deltas = line.deltas[0];
        line.rates[0].begin(deltas);
        assert_eq!(line.pass(29, &[0, 80]), None);
        assert_eq!(line.pass(60, &[8, 80]), None, "it never was more");
    }
}
