//! Figures beside their limits.

use crate::error::BenchError;
use crate::machine::Machine;
use crate::rows::RowName;
use serde_json::{Value, json};

/// What a figure must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
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

    /// A figure measured once, or a percentile of many.
    pub fn one(name: impl Into<String>, unit: &'static str, limit: Limit, value: f64) -> Figure {
        Figure::new(name, unit, limit, vec![value])
    }

    /// The median: this is held against the limit.
    fn median(&self) -> f64 {
        self.samples.get(self.samples.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The best measurement: other processes only ever make one worse.
    fn best(&self) -> f64 {
        let best = match self.limit {
            Limit::AtLeast(_) => self.samples.last(),
            Limit::None if self.unit.ends_with("/s") => self.samples.last(),
            Limit::AtMost(_) | Limit::None => self.samples.first(),
        };
        best.copied().unwrap_or(f64::NAN)
    }

    fn is_over(&self) -> bool {
        // What is no number has not reached its limit.
        match self.limit {
            Limit::AtMost(limit) => self.median().is_nan() || self.median() > limit,
            Limit::AtLeast(limit) => self.median().is_nan() || self.median() < limit,
            Limit::None => false,
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.limit, self.is_over()) {
            (Limit::None, _) => "",
            (Limit::AtMost(_) | Limit::AtLeast(_), true) => "OVER",
            (Limit::AtMost(_) | Limit::AtLeast(_), false) => "ok",
        }
    }

    fn text(&self) -> String {
        let limit = match self.limit {
            Limit::AtMost(limit) => format!("<= {}", number(limit)),
            Limit::AtLeast(limit) => format!(">= {}", number(limit)),
            Limit::None => String::new(),
        };
        let best = match self.samples.len() {
            0 | 1 => String::new(),
            runs => format!("best {} of {runs}", number(self.best())),
        };
        let value = number(self.median());
        let line = format!(
            "  {:<4} {:<58} {value:>9} {:<5} {limit:<9} {best}",
            self.verdict(),
            self.name,
            self.unit
        );
        line.trim_end().to_owned()
    }

    fn json(&self) -> Value {
        let (at_most, at_least) = match self.limit {
            Limit::AtMost(limit) => (Some(limit), None),
            Limit::AtLeast(limit) => (None, Some(limit)),
            Limit::None => (None, None),
        };
        json!({
            "name": self.name, "unit": self.unit, "value": self.median(), "best": self.best(), "runs": self.samples.len(),
            "at_most": at_most, "at_least": at_least, "verdict": self.verdict(),
        })
    }
}

/// A row as measured.
#[derive(Debug)]
pub struct Row {
    name: RowName,
    figures: Vec<Figure>,
    /// What one must know to read them.
    notes: Vec<String>,
    /// Why there are none.
    missing: Option<String>,
}

impl Row {
    /// A row from what its measurement gave.
    pub fn new(name: RowName, measured: Result<Measured, BenchError>) -> Row {
        match measured {
            Ok(Measured { figures, notes }) => Row { name, figures, notes, missing: None },
            Err(error) => {
                Row { name, figures: Vec::new(), notes: Vec::new(), missing: Some(error.to_string()) }
            }
        }
    }

    /// Whether a figure is over its limit.
    pub fn is_over(&self) -> bool {
        self.figures.iter().any(Figure::is_over)
    }

    /// A line for the row, each figure and each note.
    pub fn text(&self) -> String {
        let mut lines = vec![format!("\n{}: {}", self.name.as_str(), self.name.title())];
        lines.extend(self.missing.iter().map(|why| format!("  not measured: {why}")));
        lines.extend(self.figures.iter().map(Figure::text));
        lines.extend(self.notes.iter().map(|note| format!("       {note}")));
        lines.join("\n")
    }

    fn json(&self) -> Value {
        let figures: Vec<Value> = self.figures.iter().map(Figure::json).collect();
        json!({
            "row": self.name.as_str(), "title": self.name.title(), "figures": figures, "notes": self.notes,
            "not_measured": self.missing,
        })
    }
}

/// What a row's measurement gives.
#[derive(Debug, Default)]
pub struct Measured {
    /// The figures.
    pub figures: Vec<Figure>,
    /// What one must know to read them.
    pub notes: Vec<String>,
}

/// Everything as one object.
pub fn json(machine: &Machine, rows: &[Row]) -> Value {
    let over = rows.iter().any(Row::is_over);
    json!({ "machine": machine.json(), "over": over, "rows": rows.iter().map(Row::json).collect::<Vec<_>>() })
}

/// The value below which `share` of the samples lie; they are sorted here.
pub fn percentile(samples: &mut [u64], share: f64) -> f64 {
    samples.sort_unstable();
    let place = (samples.len() as f64 * share).ceil() as usize;
    samples.get(place.saturating_sub(1)).map_or(f64::NAN, |value| *value as f64)
}

fn number(value: f64) -> String {
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
        assert!(Figure::new("a", "ms", Limit::AtLeast(3.1), samples.clone()).is_over());
        assert!(!Figure::new("a", "ms", Limit::None, samples).is_over());
        assert!(Figure::new("a", "ms", Limit::AtMost(1.0), Vec::new()).is_over());
    }

    #[test]
    fn a_percentile_is_a_sample() {
        let mut samples: Vec<u64> = (1..=1_000).rev().collect();
        assert_eq!(percentile(&mut samples, 0.5), 500.0);
        assert_eq!(percentile(&mut samples, 0.999), 999.0);
        assert_eq!(percentile(&mut samples, 1.0), 1_000.0);
        assert!(percentile(&mut [], 0.5).is_nan());
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [(5.0, "5"), (1.6, "1.60"), (94.24, "94.2"), (1234.5, "1234"), (0.0, "0")] {
            assert_eq!(number(value), text);
        }
    }
}
