//! Aligned tables, and ages, rates and sizes as people read them.

use super::output::{Failure, Printer, clean};

/// On which side a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

/// A column of a table: what stands above it, and in the cell of each row.
pub(super) struct Column<R> {
    heading: &'static str,
    align: Align,
    cell: fn(&R) -> String,
}

impl<R> Column<R> {
    /// The cell of this row, fit for a terminal.
    pub(super) fn of(&self, row: &R) -> String {
        clean(&(self.cell)(row)).into_owned()
    }
}

pub(super) const fn left<R>(heading: &'static str, cell: fn(&R) -> String) -> Column<R> {
    Column { heading, align: Align::Left, cell }
}

pub(super) const fn right<R>(heading: &'static str, cell: fn(&R) -> String) -> Column<R> {
    Column { heading, align: Align::Right, cell }
}

/// Prints rows under a heading, columns two blanks apart.
pub(super) fn table<'r, R: 'r>(
    rows: impl IntoIterator<Item = &'r R>,
    columns: &[Column<R>],
    out: &mut Printer<'_>,
) -> Result<(), Failure> {
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|one| one.heading.to_owned()).collect()];
    for row in rows {
        lines.push(columns.iter().map(|one| one.of(row)).collect());
    }
    let width =
        |at: usize| lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|at| width(at).unwrap_or(0)).collect();
    for line in &lines {
        let mut text = String::new();
        for ((cell, &width), column) in line.iter().zip(&widths).zip(columns) {
            match column.align {
                Align::Left => text.push_str(&format!("{cell:<width$}  ")),
                Align::Right => text.push_str(&format!("{cell:>width$}  ")),
            }
        }
        out.line(text.trim_end())?;
    }
    Ok(())
}

/// A text of at most `width` characters.
pub(crate) fn short(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// `0.4 s`, `12 s`, `3m05s`, `2h07m`, `4d03h`.
pub(super) fn age(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "-".to_owned();
    }
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3_600 => format!("{}m{:02}s", whole / 60, whole % 60),
        3_600..86_400 => format!("{}h{:02}m", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{}d{:02}h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

/// `12 ms`, and from 10 s on as [`age`].
pub(super) fn age_ms(milliseconds: u64) -> String {
    if milliseconds < 10_000 { format!("{milliseconds} ms") } else { age(milliseconds as f64 / 1_000.0) }
}

/// `90 us`, `1.2 ms`, `3.4 s`.
pub(crate) fn micros(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.1} s", micros as f64 / 1e6),
    }
}

/// `0 B`, `51.2 kB`, `3.1 MB`.
pub(crate) fn bytes(count: f64) -> String {
    let scaled = scaled(count);
    let (number, power) = scaled.split_at(scaled.trim_end_matches(char::is_alphabetic).len());
    format!("{number} {power}B")
}

/// `812`, `51.2k`, `4.0M`: a number of at most four digits and its power of a thousand.
pub(super) fn scaled(number: f64) -> String {
    let number = if number.is_finite() { number } else { 0.0 };
    // Each limit is where rounding would make 1000 of it.
    for (limit, divisor, unit) in
        [(999.5, 1.0, ""), (999.95e3, 1e3, "k"), (999.95e6, 1e6, "M"), (999.95e9, 1e9, "G")]
    {
        if number.abs() < limit {
            let shown = number / divisor;
            let digits = usize::from(!unit.is_empty() || (shown.fract() != 0.0 && shown.abs() < 10.0));
            return format!("{shown:.digits$}{unit}");
        }
    }
    format!("{:.1}T", number / 1e12)
}
