//! What a poll watches a socket for: bytes to read always, room to write only while something waits for it.
//!
//! The other end of a Unix socket makes room with each of its reads. Who watches for that all the time is woken once
//! more for each message that it sends, and finds nothing to do.

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::io;
use std::os::fd::RawFd;

/// A socket in a poll. It must be taken out, or closed, by its owner.
#[derive(Debug)]
pub struct Watch {
    fd: RawFd,
    token: Token,
    interest: Interest,
}

impl Watch {
    /// Puts a socket into the poll of `registry`, for bytes.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub fn new(registry: &Registry, fd: RawFd, token: Token) -> io::Result<Watch> {
        registry.register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        Ok(Watch { fd, token, interest: Interest::READABLE })
    }

    /// After a write: `unsent` bytes wait for room. Room that came in between is announced as well.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub fn unsent(&mut self, registry: &Registry, unsent: usize) -> io::Result<()> {
        let interest = if unsent > 0 { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        if interest != self.interest {
            registry.reregister(&mut SourceFd(&self.fd), self.token, interest)?;
            self.interest = interest;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};
    use std::io::{ErrorKind, Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    fn fill(near: &mut UnixStream) {
        let bytes = [0; 64 * 1024];
        while near.write(&bytes).is_ok_and(|count| count > 0) {}
    }

    fn woken(poll: &mut Poll) -> usize {
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::from_millis(20))).unwrap();
        events.iter().count()
    }

    #[test]
    fn room_wakes_only_who_waits_for_it() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.set_nonblocking(true).unwrap();
        let mut poll = Poll::new().unwrap();
        let mut watch = Watch::new(poll.registry(), near.as_raw_fd(), Token(1)).unwrap();
        let mut empty = move || {
            let mut bytes = vec![0; 64 * 1024];
            loop {
                match far.read(&mut bytes) {
                    Ok(count) => assert!(count > 0),
                    Err(error) => return assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
        };
        fill(&mut near);
        empty();
        assert_eq!(woken(&mut poll), 0);
        fill(&mut near);
        watch.unsent(poll.registry(), 1).unwrap();
        assert_eq!(woken(&mut poll), 0, "it is full");
        empty();
        assert_eq!(woken(&mut poll), 1);
        fill(&mut near);
        watch.unsent(poll.registry(), 0).unwrap();
        empty();
        assert_eq!(woken(&mut poll), 0);
        // What was made room for before it was asked for is announced too.
        watch.unsent(poll.registry(), 1).unwrap();
        assert_eq!(woken(&mut poll), 1);
    }
}
