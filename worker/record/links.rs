//! The data channels of all workers, by the tokens of the poll. No token is used twice, so a late event of a closed channel is none of
//! another.

use super::ledger::Source;
use super::link::{DataChannel, FRAME_LIMIT, Link, OUT_LIMIT};
use crate::net::Watch;
use mio::{Registry, Token};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

#[derive(Debug)]
pub(super) struct Links {
    all: BTreeMap<usize, Link>,
    next: usize,
}

impl Links {
    /// No channel yet; tokens from `first` on are theirs.
    pub(super) fn new(first: usize) -> Links {
        Links { all: BTreeMap::new(), next: first }
    }

    /// Takes a worker's channel, which came at `wall`.
    ///
    /// # Errors
    /// When the kernel refuses to poll it.
    pub(super) fn attach(
        &mut self,
        source: Source,
        fd: OwnedFd,
        registry: &Registry,
        wall: i64,
    ) -> io::Result<()> {
        let channel = DataChannel::new(fd, FRAME_LIMIT, OUT_LIMIT)?;
        let watch = Watch::new(registry, channel.as_raw_fd(), Token(self.next))?;
        self.all.insert(self.next, Link::new(channel, source, watch, wall));
        self.next += 1;
        Ok(())
    }

    pub(super) fn get_mut(&mut self, token: usize) -> Option<&mut Link> {
        self.all.get_mut(&token)
    }

    pub(super) fn of_source(&mut self, source: Source) -> Option<&mut Link> {
        self.all.values_mut().find(|link| link.source() == source)
    }

    /// The token of a worker's channel.
    pub(super) fn token_of(&self, source: Source) -> Option<usize> {
        self.all.iter().find(|(_, link)| link.source() == source).map(|(token, _)| *token)
    }

    pub(super) fn remove(&mut self, token: usize) -> Option<Link> {
        self.all.remove(&token)
    }

    pub(super) fn busy(&self, into: &mut Vec<usize>) {
        into.extend(self.all.iter().filter(|(_, link)| link.is_busy()).map(|(token, _)| *token));
    }

    pub(super) fn is_busy(&self) -> bool {
        self.all.values().any(Link::is_busy)
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn flush(&mut self, registry: &Registry) {
        self.all.values_mut().for_each(|link| link.flush(registry));
    }
}
