//! The key under which people are hashed: one for a state folder, so that a person's hash stays the same in all feeds and runs.
//!
//! Whoever needs it first makes it: 32 random bytes that nobody else may read. It appears whole or not at all, and of several that make
//! one at a time the first wins. Who deletes the file gives everybody another hash. Called by `setup`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub(super) const FILE: &str = "users.key";

pub(super) type Key = [u8; 32];

/// The key in the file at `path`, made if it is not there.
///
/// # Errors
/// It cannot be read or made, or is no key.
pub(super) fn get(path: &Path) -> io::Result<Key> {
    match read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        other => return other,
    }
    let own = path.with_extension(format!("key.{}", std::process::id()));
    let made = make(&own).and_then(|()| fs::hard_link(&own, path));
    // It has done its work, or is of no use.
    let _ = fs::remove_file(&own);
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => read(path),
    }
}

fn read(path: &Path) -> io::Result<Key> {
    let mut bytes = Vec::new();
    File::open(path)?.take(33).read_to_end(&mut bytes)?;
    let wrong = |_| {
        io::Error::new(ErrorKind::InvalidData, "it is no key of 32 bytes; delete it, and a new one is made")
    };
    Key::try_from(bytes).map_err(wrong)
}

fn make(path: &Path) -> io::Result<()> {
    let mut key = Key::default();
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&key)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_once_and_nobody_else_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let first = get(&path).unwrap();
        assert_eq!(get(&path).unwrap(), first);
        assert_ne!(first, Key::default());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn several_at_a_time_get_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        // What another process made in between.
        make(&path).unwrap();
        let theirs = read(&path).unwrap();
        assert_eq!(get(&path).unwrap(), theirs);
        fs::write(&path, b"short").unwrap();
        assert!(get(&path).unwrap_err().to_string().contains("32 bytes"));
    }
}
