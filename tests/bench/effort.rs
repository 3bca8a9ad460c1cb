//! How much is measured: everything, or just enough to see that the rows work.

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// For figures.
    Full,
    /// One round of each: the figures mean little.
    Quick,
}

impl Effort {
    /// How often something is measured that deserves `full` rounds.
    pub fn rounds(self, full: usize) -> usize {
        match self {
            Effort::Full => full,
            Effort::Quick => 1,
        }
    }
}
