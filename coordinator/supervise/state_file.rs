//! Small files that must be whole after any crash: saved state and the epochs that are reserved.
//!
//! Written beside, synced, renamed over, and the folder synced: a reader finds the old text or the new, never a part.

use crate::file_error::FileError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use touchline_common::failpoint::{self, Point};

/// The longest state that is read back, bytes; what is larger is not ours.
const MAX_STATE: u64 = 64 * 1024 * 1024;

/// Replaces the file at `path` with `bytes`, for good when this returns.
///
/// # Errors
/// [`FileError`]; the old file is then still there and whole.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = path.with_extension("new");
    let failed = FileError::of;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o640)
        .open(&temporary)
        .map_err(failed("creating", &temporary))?;
    file.write_all(bytes).map_err(failed("writing", &temporary))?;
    file.sync_all().map_err(failed("syncing", &temporary))?;
    failpoint::fails(Point::SaveTmpWritten).map_err(failed("writing", &temporary))?;
    fs::rename(&temporary, path).map_err(failed("renaming onto", path))?;
    failpoint::fails(Point::SaveRenamed).map_err(failed("renaming onto", path))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("syncing the folder", folder))
}

/// The file's bytes; `None` if there is no such file.
///
/// # Errors
/// [`FileError`] when it is there but cannot be read, or is larger than 64 MiB.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let failed = FileError::of("reading", path);
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(data) if data.len() > MAX_STATE => {
            return Err(failed(io::Error::other("larger than a saved state can be")));
        }
        Ok(_) => {}
    }
    fs::read(path).map(Some).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        assert_eq!(read(&path).unwrap(), None);
        replace(&path, b"one").unwrap();
        fs::create_dir(folder.path().join("state.new")).unwrap();
        let error = replace(&path, b"two").unwrap_err();
        assert!(error.to_string().starts_with("creating"), "{error}");
        assert_eq!(read(&path).unwrap().as_deref(), Some(&b"one"[..]));
    }
}
