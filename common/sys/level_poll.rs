//! A poll that reports a socket as long as it is ready, for libraries that do not read until nothing is left.
//!
//! mio reports a socket once each time it becomes ready. This poll is itself a descriptor: put into mio's, it makes one token of all
//! sockets in it, and an owner that re-registers it after each look at what is ready misses nothing. Caller: `worker/net/http`.

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Sockets that one look reports at most; the rest is there at the next.
const AT_ONCE: usize = 64;

#[derive(Debug)]
pub struct LevelPoll(Epoll);

/// What a socket is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// For nothing but its end.
    Nothing,
    Read,
    Write,
    Both,
}

/// What a socket is ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    pub read: bool,
    pub write: bool,
    /// It broke, or both sides are closed.
    pub broken: bool,
}

impl LevelPoll {
    /// # Errors
    /// As `epoll_create1(2)`.
    pub fn new() -> io::Result<LevelPoll> {
        Ok(LevelPoll(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    /// Watches a socket, or changes what it is watched for.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub fn watch(&self, socket: RawFd, what: Watched) -> io::Result<()> {
        let flags = match what {
            Watched::Nothing => EpollFlags::empty(),
            Watched::Read => EpollFlags::EPOLLIN,
            Watched::Write => EpollFlags::EPOLLOUT,
            Watched::Both => EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT,
        };
        let mut event = EpollEvent::new(flags, u64::try_from(socket).unwrap_or_default());
        with(socket, |fd| match self.0.modify(fd, &mut event) {
            Err(Errno::ENOENT) => self.0.add(fd, event),
            other => other,
        })
    }

    /// Watches a socket no more. One that is closed already is no error: the kernel has let it go.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub fn forget(&self, socket: RawFd) -> io::Result<()> {
        match with(socket, |fd| self.0.delete(fd)) {
            Err(error)
                if matches!(
                    error.raw_os_error().map(Errno::from_raw),
                    Some(Errno::ENOENT | Errno::EBADF)
                ) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// What is ready now, without waiting, into `ready`.
    ///
    /// # Errors
    /// As `epoll_wait(2)`.
    pub fn look(&self, ready: &mut Vec<(RawFd, Ready)>) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); AT_ONCE];
        let count = match self.0.wait(&mut events, EpollTimeout::ZERO) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        ready.extend(events.iter().take(count).filter_map(|event| {
            let flags = event.events();
            let state = Ready {
                read: flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP),
                write: flags.contains(EpollFlags::EPOLLOUT),
                broken: flags.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP),
            };
            Some((RawFd::try_from(event.data()).ok()?, state))
        }));
        Ok(())
    }
}

impl AsRawFd for LevelPoll {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

/// Calls `call` with a descriptor that somebody else owns; a negative one is refused.
#[allow(unsafe_code)]
fn with(socket: RawFd, call: impl FnOnce(BorrowedFd<'_>) -> nix::Result<()>) -> io::Result<()> {
    if socket < 0 {
        return Err(Errno::EBADF.into());
    }
    // SAFETY: the descriptor is not -1, is given to epoll_ctl alone and not kept; of a closed one the kernel says EBADF.
    call(unsafe { BorrowedFd::borrow_raw(socket) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn look(poll: &LevelPoll) -> Vec<(RawFd, Ready)> {
        let mut ready = Vec::new();
        poll.look(&mut ready).unwrap();
        ready
    }

    #[test]
    fn a_socket_is_reported_until_it_is_empty_and_not_once_it_is_forgotten() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let poll = LevelPoll::new().unwrap();
        poll.watch(near.as_raw_fd(), Watched::Read).unwrap();
        assert_eq!(look(&poll), []);
        far.write_all(b"ab").unwrap();
        let readable = Ready { read: true, ..Ready::default() };
        near.read_exact(&mut [0]).unwrap();
        assert_eq!(look(&poll), [(near.as_raw_fd(), readable)]);
        assert_eq!(look(&poll), [(near.as_raw_fd(), readable)]);
        poll.watch(near.as_raw_fd(), Watched::Both).unwrap();
        assert_eq!(look(&poll), [(near.as_raw_fd(), Ready { read: true, write: true, broken: false })]);
        poll.forget(near.as_raw_fd()).unwrap();
        assert_eq!(look(&poll), []);
        poll.forget(near.as_raw_fd()).unwrap();
    }
}
