//! Why the recorder cannot start or must leave.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// What ends the recorder, other than being asked to stop.
#[derive(Debug)]
pub enum RecordError {
    /// The kernel refused something that the loop cannot do without.
    Kernel { operation: &'static str, source: io::Error },
    /// The coordinator sent something that is no message, or nothing within the start's deadline.
    Control { what: String },
    /// The configuration in the welcome cannot be used.
    Config { what: String },
    /// Another recorder holds the store's lock and did not let go in time.
    Locked { path: PathBuf },
    /// The store's files cannot be opened.
    OpenStore { path: PathBuf, what: String },
    /// The hour files cannot be used.
    OpenHours { what: String },
    /// A file that is written was moved, replaced or deleted: what goes there is lost.
    Moved { path: PathBuf },
    NewerStore {
        path: PathBuf,
        found: i64,
        /// The newest version this build knows.
        known: i64,
    },
}

impl RecordError {
    /// The process's exit code: 2, which is not tried again, for what only an operator can mend, else 1.
    pub fn code(&self) -> u8 {
        match self {
            RecordError::Config { .. } | RecordError::NewerStore { .. } => 2,
            RecordError::Kernel { .. }
            | RecordError::Control { .. }
            | RecordError::Locked { .. }
            | RecordError::OpenStore { .. }
            | RecordError::OpenHours { .. }
            | RecordError::Moved { .. } => 1,
        }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Kernel { operation, source } => {
                write!(f, "the recorder cannot {operation}: {source}")
            }
            RecordError::Control { what } => write!(f, "the channel to the coordinator is unusable: {what}"),
            RecordError::Config { what } => write!(f, "the configuration is unusable: {what}"),
            RecordError::Locked { path } => {
                write!(f, "another recorder holds {}: end it, or set another [store] path", path.display())
            }
            RecordError::OpenStore { path, what } => {
                write!(f, "the store {} does not open: {what}", path.display())
            }
            RecordError::OpenHours { what } => write!(f, "the hour files cannot be used: {what}"),
            RecordError::Moved { path } => write!(
                f,
                "{} was moved, replaced or deleted under the recorder: what it wrote since is lost with it, and the next recorder begins a new file",
                path.display()
            ),
            RecordError::NewerStore { path, found, known } => write!(
                f,
                "the store {} has schema {found}, this program knows up to {known}: use the newer program, or move the store away",
                path.display()
            ),
        }
    }
}

impl std::error::Error for RecordError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let RecordError::Kernel { source, .. } = self { Some(source) } else { None }
    }
}
