//! What the one poll of the coordinator watches, each source by its token. A token is never given twice, so an event that comes late for
//! something that is closed finds nothing, instead of its successor in the same place.

use crate::pool::Child;
use mio::unix::SourceFd;
use mio::{Interest, Poll, Registry, Token};
use slab::Slab;
use std::io;
use std::os::fd::RawFd;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Signals,
    Saver,
    Listener,
    Channel(Child),
    Process(u32),
    Client(u32),
}

#[derive(Debug)]
pub struct Sources {
    registry: Registry,
    slab: Slab<(u32, Source)>,
    stamp: u32,
}

impl Sources {
    /// The sources of `poll`, none yet.
    ///
    /// # Errors
    /// As `dup(2)`.
    pub fn of(poll: &Poll) -> io::Result<Sources> {
        Ok(Sources { registry: poll.registry().try_clone()?, slab: Slab::new(), stamp: 0 })
    }

    /// Watches a descriptor.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub fn watch(&mut self, fd: RawFd, source: Source, interest: Interest) -> io::Result<Token> {
        let token = self.insert(source);
        let watched = self.registry.register(&mut SourceFd(&fd), token, interest);
        watched.inspect_err(|_| self.remove(token)).map(|()| token)
    }

    /// Watches a descriptor no more; it is closed next, as a rule, which takes it out of the poll by itself.
    pub fn forget(&mut self, fd: RawFd, token: Token) {
        let _ = self.registry.deregister(&mut SourceFd(&fd));
        self.remove(token);
    }

    /// Where a source that has its own ways with the poll is put into it.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Gives such a source a token.
    pub fn insert(&mut self, source: Source) -> Token {
        self.stamp = self.stamp.wrapping_add(1);
        let key = self.slab.insert((self.stamp, source));
        Token((self.stamp as usize) << 32 | key)
    }

    /// What the token stands for, if it still does.
    pub fn get(&self, token: Token) -> Option<Source> {
        match self.slab.get(token.0 & 0xffff_ffff) {
            Some((stamp, source)) if *stamp as usize == token.0 >> 32 => Some(*source),
            _ => None,
        }
    }

    pub fn remove(&mut self, token: Token) {
        if self.get(token).is_some() {
            self.slab.remove(token.0 & 0xffff_ffff);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_something_closed_finds_nothing() {
        let mut sources = Sources::of(&Poll::new().unwrap()).unwrap();
        let first = sources.insert(Source::Client(1));
        sources.remove(first);
        let second = sources.insert(Source::Client(2));
        assert_eq!((sources.get(first), sources.get(second)), (None, Some(Source::Client(2))));
        sources.remove(first);
        assert_eq!(sources.get(second), Some(Source::Client(2)));
    }
}
