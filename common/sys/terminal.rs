//! How large a terminal is. That it changed is told by SIGWINCH, which `signals` reads.

use nix::errno::Errno;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Characters in a line, and lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    pub columns: u16,
    pub rows: u16,
}

/// The size of the terminal behind `descriptor`; one that does not know its own says 0.
///
/// # Errors
/// As `ioctl(2)` with TIOCGWINSZ: it is no terminal.
#[allow(unsafe_code)]
pub fn size(descriptor: BorrowedFd<'_>) -> io::Result<TerminalSize> {
    let mut found = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize, and `found` is one that outlives the call.
    Errno::result(unsafe { libc::ioctl(descriptor.as_raw_fd(), libc::TIOCGWINSZ, &raw mut found) })?;
    Ok(TerminalSize { columns: found.ws_col, rows: found.ws_row })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_is_no_terminal_has_no_size() {
        let (socket, _peer) = UnixStream::pair().unwrap();
        assert!(size(socket.as_fd()).is_err());
    }
}
