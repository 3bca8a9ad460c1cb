//! Descriptors over a Unix stream (SCM_RIGHTS).
//!
//! The kernel attaches a descriptor to the bytes of one `sendmsg` and delivers it with the read that touches them. So a
//! frame with a descriptor gets a `sendmsg` of its own that begins at its header, and a reader always offers room
//! for descriptors: without it they are lost silently. Called by [`crate::ipc::channel`].

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The most descriptors that one read takes; frames carry one each, and a read seldom spans more than a few.
const MAX_FDS: usize = 32;

/// Sends `bytes` with `fd` attached to the first of them; returns how many bytes went out.
///
/// # Errors
/// As `sendmsg(2)`; `WouldBlock` when the socket is full, and then the descriptor did not go out either.
pub fn send_with_fd(socket: BorrowedFd<'_>, bytes: &[u8], fd: BorrowedFd<'_>) -> io::Result<usize> {
    let fds = [fd.as_raw_fd()];
    let sent = sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(bytes)],
        &[ControlMessage::ScmRights(&fds)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    Ok(sent)
}

/// Reads into `buffer` and appends the descriptors that came along to `fds`; returns how many bytes came, 0 at the end.
///
/// # Errors
/// As `recvmsg(2)`. `InvalidData` when descriptors were lost because the process has no room for them.
pub fn recv_with_fds(socket: BorrowedFd<'_>, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = cmsg_space!([RawFd; MAX_FDS]);
    let mut slices = [IoSliceMut::new(buffer)];
    let received = loop {
        match recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC) {
            Err(Errno::EINTR) => {}
            other => break other?,
        }
    };
    let truncated = received.flags.contains(MsgFlags::MSG_CTRUNC);
    let bytes = received.bytes;
    if let Ok(messages) = received.cmsgs() {
        for message in messages {
            if let ControlMessageOwned::ScmRights(raw) = message {
                fds.extend(raw.into_iter().map(own));
            }
        }
    }
    if truncated {
        let error = "descriptors were lost on a channel: the process has no room for more (raise its limit)";
        return Err(io::Error::new(io::ErrorKind::InvalidData, error));
    }
    Ok(bytes)
}

#[allow(unsafe_code)]
fn own(raw: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just installed this descriptor for us (SCM_RIGHTS), and no other owner knows its number.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_descriptor_arrives_with_its_bytes_and_works() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut near, far) = UnixStream::pair().unwrap();
        assert_eq!(send_with_fd(a.as_fd(), b"frame", far.as_fd()).unwrap(), 5);
        drop(far);
        let (mut buffer, mut fds) = ([0; 16], Vec::new());
        assert_eq!(recv_with_fds(b.as_fd(), &mut buffer, &mut fds).unwrap(), 5);
        assert_eq!(fds.len(), 1);
        let mut passed = UnixStream::from(fds.remove(0));
        passed.write_all(b"x").unwrap();
        let mut one = [0];
        near.read_exact(&mut one).unwrap();
        assert_eq!(&one, b"x");
    }

    #[test]
    fn the_end_is_zero_bytes() {
        let (a, b) = UnixStream::pair().unwrap();
        drop(a);
        let mut fds = Vec::new();
        assert_eq!(recv_with_fds(b.as_fd(), &mut [0; 4], &mut fds).unwrap(), 0);
    }
}
