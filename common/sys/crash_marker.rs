//! One word that outlives the process that writes it: what it was at when it ended, however it ended.
//!
//! A page of memory is shared by a worker, which writes, and its coordinator, which reads once the process is reaped. No call of
//! the kernel while it is used, nothing to flush, and nothing that a crash could tear: the word is an atomic. Its size is sealed, so that
//! neither side can take the page away under the other.

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::stat::fstat;
use std::io;
use std::num::{NonZeroU64, NonZeroUsize};
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is mapped: a page of the smallest size that there is.
const LENGTH: NonZeroUsize = NonZeroUsize::new(4_096).expect("it is not zero");

#[derive(Debug)]
pub struct CrashMarker {
    page: NonNull<AtomicU64>,
}

// SAFETY: the page is mapped until the drop, in whichever thread, and all access to it is atomic.
#[allow(unsafe_code)]
unsafe impl Send for CrashMarker {}

impl CrashMarker {
    /// A fresh word, at nothing, and the descriptor that gives another process its side.
    ///
    /// # Errors
    /// As `memfd_create(2)` and `mmap(2)`: no descriptors or no memory left.
    pub fn create() -> io::Result<(CrashMarker, OwnedFd)> {
        let fd =
            memfd_create(c"touchline-crash_marker", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        nix::unistd::ftruncate(&fd, LENGTH.get() as i64)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(seals))?;
        Ok((CrashMarker { page: map(&fd)? }, fd))
    }

    /// The other side.
    ///
    /// # Errors
    /// As `mmap(2)`; `InvalidInput` for a descriptor that [`CrashMarker::create`] did not give.
    pub fn open(fd: &OwnedFd) -> io::Result<CrashMarker> {
        // A page beyond a file's end is there until it is touched: then it is SIGBUS.
        if fstat(fd)?.st_size < LENGTH.get() as i64 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(CrashMarker { page: map(fd)? })
    }

    #[inline]
    pub fn set(&self, at: NonZeroU64) {
        self.word().store(at.get(), Ordering::Relaxed);
    }

    /// From now on it is at nothing.
    #[inline]
    pub fn clear(&self) {
        self.word().store(0, Ordering::Relaxed);
    }

    pub fn get(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.word().load(Ordering::Relaxed))
    }

    #[allow(unsafe_code)]
    fn word(&self) -> &AtomicU64 {
        // SAFETY: mapped with room for it, aligned to a page, zeroed by the kernel, and there for as long as `self` is.
        unsafe { self.page.as_ref() }
    }
}

impl Drop for CrashMarker {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length; nothing borrowed from it outlives `self`.
        let _ = unsafe { munmap(self.page.cast(), LENGTH.get()) };
    }
}

#[allow(unsafe_code)]
fn map(fd: impl AsFd) -> io::Result<NonNull<AtomicU64>> {
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: the kernel chooses the address, so nothing that is mapped already is replaced.
    let page = unsafe { mmap(None, LENGTH, protection, MapFlags::MAP_SHARED, fd, 0) }?;
    Ok(page.cast())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::process::{Command, Stdio};

    #[test]
    fn both_sides_see_one_word() {
        let (ours, fd) = CrashMarker::create().unwrap();
        let theirs = CrashMarker::open(&fd).unwrap();
        drop(fd);
        assert_eq!(ours.get(), None);
        theirs.set(NonZeroU64::new(u64::MAX).unwrap());
        assert_eq!(ours.get(), NonZeroU64::new(u64::MAX));
        drop(theirs);
        assert_eq!(ours.get(), NonZeroU64::new(u64::MAX), "it outlives its writer");
        ours.clear();
        assert_eq!(ours.get(), None);
    }

    #[test]
    fn it_outlives_a_process_that_is_killed() {
        let (ours, fd) = CrashMarker::create().unwrap();
        // Eight bytes into the page, and an end by the process's own hand.
        let script = r"printf '\007\000\000\000\000\000\000\000' 1<>/proc/self/fd/0; kill -9 $$";
        let mut child = Command::new("sh").args(["-c", script]).stdin(Stdio::from(fd)).spawn().unwrap();
        assert!(!child.wait().unwrap().success());
        assert_eq!(ours.get(), NonZeroU64::new(7));
    }

    #[test]
    fn neither_side_can_take_the_page_away_and_a_strange_file_is_refused() {
        let (_ours, fd) = CrashMarker::create().unwrap();
        assert!(nix::unistd::ftruncate(&fd, 0).is_err());
        let folder = tempfile::tempdir().unwrap();
        let empty = File::create_new(folder.path().join("empty")).unwrap();
        assert_eq!(CrashMarker::open(&empty.into()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
