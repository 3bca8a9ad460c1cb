//! Why something could not be done with a file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub struct FileError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FileError {
    /// What the kernel's error becomes, for `map_err`.
    pub fn of(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> FileError {
        move |source| FileError { operation, path: path.to_owned(), source }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.operation, self.path.display(), self.source)
    }
}

impl std::error::Error for FileError {}
