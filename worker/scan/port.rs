//! The place of the data channel in the loop's poll.
//!
//! Each channel has a token of its own, so that a late event of an old one is no event of the new. Called by the loop.

use crate::net::Watch;
use mio::{Registry, Token};
use std::io;
use std::os::fd::RawFd;

#[derive(Debug)]
pub struct Port {
    token: Token,
    watch: Option<Watch>,
    /// An event or a full turn says that there is more, and no turn has taken it.
    pub unread: bool,
}

/// Tokens count up from here, one per channel.
const BELOW_FIRST: Token = Token(16);

impl Default for Port {
    fn default() -> Port {
        Port { token: BELOW_FIRST, watch: None, unread: false }
    }
}

impl Port {
    /// Watches a new channel.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub fn open(&mut self, registry: &Registry, fd: RawFd) -> io::Result<()> {
        self.token = Token(self.token.0 + 1);
        self.watch = Some(Watch::new(registry, fd, self.token)?);
        self.unread = true;
        Ok(())
    }

    /// The channel is gone, and with its descriptor its place in the poll.
    pub fn close(&mut self) {
        self.watch = None;
    }

    /// Whether an event of `token` is one of the channel.
    pub fn is(&self, token: Token) -> bool {
        token == self.token
    }

    /// After a write: `unsent` bytes wait for room.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub fn unsent(&mut self, registry: &Registry, unsent: usize) -> io::Result<()> {
        self.watch.as_mut().map_or(Ok(()), |watch| watch.unsent(registry, unsent))
    }
}
