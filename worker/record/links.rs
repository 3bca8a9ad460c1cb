//! The data channels of all workers, by the tokens of the poll.
//!
//! A token names a place in the slab and its use: a late event of a closed channel is no event of the next one there.

use super::ledger::Source;
use super::link::{DataChannel, FRAME_LIMIT, Link, OUT_LIMIT};
use crate::net::Watch;
use mio::{Registry, Token};
use slab::Slab;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Places of the slab that a token can name; above it stands the place's use.
const PLACES: usize = 1 << 16;

#[derive(Debug)]
pub(super) struct Links {
    all: Slab<(usize, Link)>,
    uses: usize,
    /// The first token.
    first: usize,
}

impl Links {
    /// No channel yet; tokens from `first` on are theirs.
    pub(super) fn new(first: usize) -> Links {
        Links { all: Slab::new(), uses: 0, first }
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
        self.uses += 1;
        let entry = self.all.vacant_entry();
        let token = self.first + self.uses * PLACES + entry.key();
        let watch = Watch::new(registry, channel.as_raw_fd(), Token(token))?;
        entry.insert((self.uses, Link::new(channel, source, watch, wall)));
        Ok(())
    }

    pub(super) fn get_mut(&mut self, token: usize) -> Option<&mut Link> {
        let number = token.checked_sub(self.first)?;
        let (used, link) = self.all.get_mut(number % PLACES)?;
        (*used == number / PLACES).then_some(link)
    }

    pub(super) fn of_source(&mut self, source: Source) -> Option<&mut Link> {
        self.all.iter_mut().map(|(_, (_, link))| link).find(|link| link.source() == source)
    }

    /// The token of a worker's channel.
    pub(super) fn token_of(&self, source: Source) -> Option<usize> {
        let (place, (used, _)) = self.all.iter().find(|(_, (_, link))| link.source() == source)?;
        Some(self.first + used * PLACES + place)
    }

    pub(super) fn remove(&mut self, token: usize) -> Option<Link> {
        self.get_mut(token)?;
        self.all.try_remove((token - self.first) % PLACES).map(|(_, link)| link)
    }

    pub(super) fn busy(&self, into: &mut Vec<usize>) {
        let busy = self.all.iter().filter(|(_, (_, link))| link.is_busy());
        into.extend(busy.map(|(place, (used, _))| self.first + used * PLACES + place));
    }

    pub(super) fn is_busy(&self) -> bool {
        self.all.iter().any(|(_, (_, link))| link.is_busy())
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn flush(&mut self, registry: &Registry) {
        for (_, (_, link)) in &mut self.all {
            link.flush(registry);
        }
    }
}
