//! One figure: its measurements, their median, and what it must reach.

use serde_json::{Value, json};

/// The unit of ratios, which are printed first.
pub const RATIO: &str = "x";

/// What a figure must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// No more than this.
    AtMost(f64),
    /// It is shown for comparison.
    None,
}

/// One figure of a row, measured once or several times.
#[derive(Clone, Debug)]
pub struct Figure {
    name: String,
    unit: &'static str,
    limit: Limit,
    /// In ascending order.
    samples: Vec<f64>,
}

impl Figure {
    /// A figure from all its measurements, of which there is at least one.
    pub fn new(name: impl Into<String>, unit: &'static str, limit: Limit, mut samples: Vec<f64>) -> Figure {
        samples.sort_by(f64::total_cmp);
        Figure { name: name.into(), unit, limit, samples }
    }

    /// How many times `limit` the first is: run by run, for both of a run had the same machine.
    pub fn ratio(name: impl Into<String>, limit: Limit, ours: &[f64], beside: &[f64]) -> Figure {
        let ratios = ours.iter().zip(beside).map(|(ours, beside)| ours / beside).collect();
        Figure::new(name, RATIO, limit, ratios)
    }

    /// A figure measured once.
    pub fn one(name: impl Into<String>, unit: &'static str, limit: Limit, value: f64) -> Figure {
        Figure::new(name, unit, limit, vec![value])
    }

    /// Whether it is a ratio.
    pub fn is_ratio(&self) -> bool {
        self.unit == RATIO
    }

    /// The median: this is compared with the limit.
    fn median(&self) -> f64 {
        let middle = self.samples.len() / 2;
        let upper = self.samples.get(middle).copied().unwrap_or(f64::NAN);
        if self.samples.len() % 2 == 1 {
            return upper;
        }
        let lower = middle.checked_sub(1).and_then(|place| self.samples.get(place));
        lower.map_or(f64::NAN, |lower| f64::midpoint(*lower, upper))
    }

    /// The lowest and the highest measurement.
    fn interval(&self) -> (f64, f64) {
        let ends = self.samples.first().zip(self.samples.last());
        ends.map_or((f64::NAN, f64::NAN), |(low, high)| (*low, *high))
    }

    /// Whether it has missed its limit.
    pub fn is_over(&self) -> bool {
        // What is no number has not reached its limit.
        match self.limit {
            Limit::AtMost(limit) => self.median().is_nan() || self.median() > limit,
            Limit::None => false,
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.limit, self.is_over()) {
            (Limit::None, _) => "",
            (Limit::AtMost(_), true) => "OVER",
            (Limit::AtMost(_), false) => "ok",
        }
    }

    /// A line.
    pub fn text(&self) -> String {
        let limit = match self.limit {
            Limit::AtMost(limit) => format!("<= {}", number(limit)),
            Limit::None => String::new(),
        };
        let (low, high) = self.interval();
        let interval = match self.samples.len() {
            0 | 1 => String::new(),
            runs => format!("{} to {} in {runs}", number(low), number(high)),
        };
        let value = number(self.median());
        let line = format!(
            "  {:<4} {:<58} {value:>9} {:<6} {limit:<9} {interval}",
            self.verdict(),
            self.name,
            self.unit
        );
        line.trim_end().to_owned()
    }

    /// An object.
    pub fn json(&self) -> Value {
        let at_most = match self.limit {
            Limit::AtMost(limit) => Some(limit),
            Limit::None => None,
        };
        let (low, high) = self.interval();
        json!({
            "name": self.name, "unit": self.unit, "value": self.median(), "low": low, "high": high,
            "runs": self.samples.len(), "at_most": at_most, "verdict": self.verdict(),
        })
    }
}

/// A number with three digits or so.
pub fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 || value == value.trunc() => format!("{value:.1}").trim_end_matches(".0").to_owned(),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_held_against_the_limit() {
        let samples = vec![9.0, 1.0, 3.0];
        assert!(!Figure::new("a", "ms", Limit::AtMost(3.0), samples.clone()).is_over());
        assert!(Figure::new("a", "ms", Limit::AtMost(2.9), samples.clone()).is_over());
        assert!(!Figure::new("a", "ms", Limit::None, samples).is_over());
        assert!(Figure::new("a", "ms", Limit::AtMost(1.0), Vec::new()).is_over());
    }

    #[test]
    fn of_an_even_count_the_median_lies_between_the_two_in_the_middle() {
        let figure = Figure::new("a", "ms", Limit::None, vec![4.0, 1.0, 2.0, 9.0]);
        assert_eq!((figure.median(), figure.interval()), (3.0, (1.0, 9.0)));
    }

    #[test]
    fn a_ratio_is_taken_run_by_run() {
        let ratio = Figure::ratio("a", Limit::AtMost(2.0), &[2.0, 30.0, 8.0], &[1.0, 10.0, 8.0]);
        assert_eq!((ratio.median(), ratio.interval()), (2.0, (1.0, 3.0)));
        assert!(ratio.is_ratio() && !ratio.is_over());
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [(5.0, "5"), (1.6, "1.60"), (94.24, "94.2"), (1234.5, "1234"), (0.0, "0")] {
            assert_eq!(number(value), text);
        }
    }
}
