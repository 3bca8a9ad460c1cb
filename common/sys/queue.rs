//! How much waits in a socket.

use nix::errno::Errno;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes that can be read from `socket` now.
///
/// # Errors
/// As `ioctl(2)` with FIONREAD.
#[allow(unsafe_code)]
pub fn readable_bytes(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, and `count` is one that outlives the call.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::FIONREAD, &raw mut count) })?;
    Ok(u64::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_was_written_waits() {
        let (mut a, b) = UnixStream::pair().unwrap();
        a.write_all(&[0; 123]).unwrap();
        assert_eq!(readable_bytes(b.as_fd()).unwrap(), 123);
    }
}
