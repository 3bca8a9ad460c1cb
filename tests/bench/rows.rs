//! The rows, by the names that the command line knows.

use crate::report::Row;
use crate::{loads, saturation};

/// A row of the table of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowName {
    /// A connection's loads at once.
    Loads,
    /// As many diffs as one worker can take.
    Saturation,
}

impl RowName {
    /// All, in the order in which they are measured.
    pub const ALL: [RowName; 2] = [RowName::Loads, RowName::Saturation];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            RowName::Loads => "loads",
            RowName::Saturation => "saturation",
        }
    }

    /// What it measures.
    pub fn title(self) -> &'static str {
        match self {
            RowName::Loads => "250 distinct loads of 128 kB, trees kept",
            RowName::Saturation => "diffs of 43 B, 40,000 nodes, 80 % of them to 20 % of the nodes, one worker's path",
        }
    }

    /// Whether it is measured without being named.
    pub fn is_usual(self) -> bool {
        match self {
            RowName::Loads | RowName::Saturation => true,
        }
    }
}

/// Measures a row.
pub fn measure(name: RowName) -> Row {
    let measured = match name {
        RowName::Loads => loads::measure(),
        RowName::Saturation => saturation::measure(),
    };
    Row::new(name, measured)
}
