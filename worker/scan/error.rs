//! Why a worker ends unasked.

use std::fmt;
use std::io;

/// Why a worker ended unasked. Its exit codes are the supervisor's: 1 failure, 2 configuration, 3 coordinator lost.
#[derive(Debug)]
pub enum ScanError {
    System {
        operation: &'static str,
        source: io::Error,
    },
    /// The configuration cannot be used.
    Config {
        why: String,
    },
    /// The coordinator is gone, or speaks no language of ours.
    Coordinator {
        why: String,
    },
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScanError::System { operation, source } => write!(f, "{operation}: {source}"),
            ScanError::Config { why } => write!(f, "the configuration: {why}"),
            ScanError::Coordinator { why } => write!(f, "the coordinator: {why}"),
        }
    }
}

impl std::error::Error for ScanError {}

impl ScanError {
    pub fn code(&self) -> u8 {
        match self {
            ScanError::System { .. } => 1,
            ScanError::Config { .. } => 2,
            ScanError::Coordinator { .. } => 3,
        }
    }

    /// From an error of the kernel in `operation`.
    pub fn system(operation: &'static str) -> impl FnOnce(io::Error) -> ScanError {
        move |source| ScanError::System { operation, source }
    }

    /// From what is wrong with the configuration.
    pub fn config(error: impl fmt::Display) -> ScanError {
        ScanError::Config { why: error.to_string() }
    }

    /// From an error of the channel to the coordinator.
    pub fn coordinator(error: impl fmt::Display) -> ScanError {
        ScanError::Coordinator { why: error.to_string() }
    }
}
