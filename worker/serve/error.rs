//! Why the gateway cannot start or must leave.

use std::fmt;
use std::io;

/// What ends the gateway, other than being asked to stop.
#[derive(Debug)]
pub enum ServeError {
    /// The kernel refused something that the loop cannot do without.
    Kernel { operation: &'static str, source: io::Error },
    /// The coordinator sent something that is no message, or nothing within the start's deadline.
    Control { what: String },
    /// The configuration in the welcome cannot be used.
    Config { what: String },
    /// Its address cannot be had.
    Listen { address: String, source: io::Error },
}

impl ServeError {
    /// The process's exit code: 2, which is not tried again, for what only an operator can mend, else 1.
    pub fn code(&self) -> u8 {
        match self {
            ServeError::Config { .. } => 2,
            ServeError::Kernel { .. } | ServeError::Control { .. } | ServeError::Listen { .. } => 1,
        }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Kernel { operation, source } => write!(f, "the gateway cannot {operation}: {source}"),
            ServeError::Control { what } => write!(f, "the channel to the coordinator is unusable: {what}"),
            ServeError::Config { what } => write!(f, "the configuration is unusable: {what}"),
            ServeError::Listen { address, source } => {
                write!(
                    f,
                    "the gateway cannot listen at {address}: {source}; end what does, or set another [gateway] listen"
                )
            }
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ServeError::Kernel { source, .. } | ServeError::Listen { source, .. } => Some(source),
            ServeError::Control { .. } | ServeError::Config { .. } => None,
        }
    }
}
