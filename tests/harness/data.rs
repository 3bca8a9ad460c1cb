//! Real input for tests, which is never part of the project.
//!
//! It lies in `TOUCHLINE_DATA`, else in `../shared/data` beside the workspace. Where it is absent a test prints that on
//! standard error and passes; with `CI` set it fails, because there the data must be present.

use std::path::{Path, PathBuf};

/// The file `relative` of the real data, if it is here.
///
/// # Panics
/// When it is absent and `CI` is set.
#[allow(clippy::print_stderr, clippy::panic)]
pub fn path(relative: &str) -> Option<PathBuf> {
    let file = folder().join(relative);
    if file.exists() {
        return Some(file);
    }
    let message = format!("real input {} is absent (set TOUCHLINE_DATA)", file.display());
    assert!(std::env::var_os("CI").is_none(), "{message}");
    eprintln!("SKIPPED: {message}");
    None
}

/// The bytes of the file `relative`, if it is here.
///
/// # Panics
/// As [`path`], and when the file cannot be read.
#[allow(clippy::panic)]
pub fn bytes(relative: &str) -> Option<Vec<u8>> {
    let file = path(relative)?;
    Some(std::fs::read(&file).unwrap_or_else(|error| panic!("reading {}: {error}", file.display())))
}

fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("TOUCHLINE_DATA") {
        return folder.into();
    }
    // The workspace's root is two folders above this crate.
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data")
}
