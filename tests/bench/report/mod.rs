//! The rows as they are printed: for people, as JSON, as Markdown, and beside an older result.

mod compare;
mod figure;
mod markdown;

pub use compare::compare;
pub use figure::{Figure, Limit};
pub use markdown::markdown;

use crate::error::BenchError;
use crate::machine::Machine;
use crate::rows::RowName;
use serde_json::{Value, json};

/// A row as measured.
#[derive(Debug)]
pub struct Row {
    name: RowName,
    /// Ratios first.
    figures: Vec<Figure>,
    /// What one must know to read them.
    notes: Vec<String>,
    /// Why there are none.
    missing: Option<String>,
    /// How long measuring took, in seconds.
    took: f64,
}

impl Row {
    /// A row from what its measurement gave.
    pub fn new(name: RowName, measured: Result<Measured, BenchError>, took: f64) -> Row {
        match measured {
            Ok(Measured { mut figures, notes }) => {
                figures.sort_by_key(|figure| !figure.is_ratio());
                Row { name, figures, notes, missing: None, took }
            }
            Err(error) => {
                Row { name, figures: Vec::new(), notes: Vec::new(), missing: Some(error.to_string()), took }
            }
        }
    }

    /// Whether a figure is over its limit.
    pub fn is_over(&self) -> bool {
        self.figures.iter().any(Figure::is_over)
    }

    /// A line for the row, each figure and each note.
    pub fn text(&self) -> String {
        let mut lines = vec![format!("\n{}: {} ({:.0} s)", self.name.as_str(), self.name.title(), self.took)];
        lines.extend(self.missing.iter().map(|why| format!("  not measured: {why}")));
        lines.extend(self.figures.iter().map(Figure::text));
        lines.extend(self.notes.iter().map(|note| format!("       {note}")));
        lines.join("\n")
    }

    fn json(&self) -> Value {
        let figures: Vec<Value> = self.figures.iter().map(Figure::json).collect();
        json!({
            "row": self.name.as_str(), "title": self.name.title(), "figures": figures, "notes": self.notes,
            "not_measured": self.missing, "took_s": self.took,
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

/// The rows of a result, and the figures of a row.
fn members<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A text of a row or figure; empty if it has none.
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_sample() {
        let mut samples: Vec<u64> = (1..=1_000).rev().collect();
        assert_eq!(percentile(&mut samples, 0.5), 500.0);
        assert_eq!(percentile(&mut samples, 0.999), 999.0);
        assert_eq!(percentile(&mut samples, 1.0), 1_000.0);
        assert!(percentile(&mut [], 0.5).is_nan());
    }

    #[test]
    fn ratios_stand_first() {
        let figures = vec![
            Figure::one("time", "us", Limit::None, 1.0),
            Figure::ratio("ratio", Limit::None, &[1.0], &[2.0]),
        ];
        let row = Row::new(RowName::Loads, Ok(Measured { figures, notes: Vec::new() }), 1.0);
        let json = row.json();
        let names: Vec<&str> = members(&json, "figures").iter().map(|figure| text(figure, "name")).collect();
        assert_eq!(names, ["ratio", "time"]);
    }
}
