//! Why a row could not be measured.

use std::fmt;

/// A sentence: what was tried, and why it failed.
#[derive(Debug)]
pub struct BenchError(String);

impl BenchError {
    /// `what` failed with `error`.
    pub fn new(what: &str, error: impl fmt::Display) -> BenchError {
        BenchError(format!("{what}: {error}"))
    }
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BenchError {}

/// Names what was being done when an error came.
pub trait While<T> {
    /// The error becomes a [`BenchError`] that begins with `what`.
    fn during(self, what: &str) -> Result<T, BenchError>;
}

impl<T, E: fmt::Display> While<T> for Result<T, E> {
    fn during(self, what: &str) -> Result<T, BenchError> {
        self.map_err(|error| BenchError::new(what, error))
    }
}
