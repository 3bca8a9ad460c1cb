//! Folders of our own, with the mode that they are meant to have whatever the umask is.
//!
//! Invariant: a folder that was there before is left as it is. Callers: the coordinator (`run_dir`, `state_dir`), the recorder (`hours`).

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// What ours are made with: the group may look in and reach the sockets and files that are open to it.
const MODE: u32 = 0o750;

/// Makes the folder at `path` with those above it that are missing.
///
/// # Errors
/// As `mkdir(2)` and `chmod(2)`; something else stands there.
pub fn make(path: &Path) -> io::Result<()> {
    let above = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty());
    let missing: Vec<&Path> = above.take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        match fs::DirBuilder::new().mode(MODE).create(folder) {
            Ok(()) => open_to_group(folder)?,
            // Another process was faster: it is theirs.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    if path.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// Gives a new folder the bits that the umask took. Those above the nine, such as an inherited group, stay.
fn open_to_group(folder: &Path) -> io::Result<()> {
    let special = fs::metadata(folder)?.permissions().mode() & 0o7000;
    fs::set_permissions(folder, Permissions::from_mode(special | MODE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::{Mode, umask};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn new_folders_have_their_mode_under_any_umask_and_old_ones_keep_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join("old");
        fs::create_dir(&old).unwrap();
        fs::set_permissions(&old, Permissions::from_mode(0o700)).unwrap();
        let new = old.join("a/b");
        let before = umask(Mode::from_bits_truncate(0o077));
        let made = make(&new).and_then(|()| make(&old)).and_then(|()| make(&new));
        umask(before);
        made.unwrap();
        assert_eq!((mode(&old), mode(&old.join("a")), mode(&new)), (0o700, 0o750, 0o750));
        fs::write(old.join("file"), "").unwrap();
        assert_eq!(make(&old.join("file")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        assert!(make(&old.join("file/below")).is_err());
    }
}
