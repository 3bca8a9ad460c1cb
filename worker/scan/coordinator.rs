//! The worker's end of the channel to the coordinator: commands in, reports out.
//!
//! What does not fit is dropped: the coordinator does not read, so it is stopped, or dead, and then the channel's end comes. That
//! is logged once. Callers: the loop, and `handshake` for the channel before there is one.

use crate::net::Watch;
use mio::event::Event;
use mio::{Registry, Token};
use std::io;
use std::os::fd::AsRawFd;
use touchline_common::ipc::messages::worker::{FromWorker, ToWorker};
use touchline_common::ipc::{Channel, ChannelError, ReadOutcome};

pub type Control = Channel<ToWorker, FromWorker>;

pub struct CoordinatorLink {
    pub channel: Control,
    watch: Watch,
    /// An event or a full turn says that there is more, and no turn has taken it.
    pub unread: bool,
    /// The last message found no room; logged once.
    full: bool,
}

impl CoordinatorLink {
    /// Watches `channel` under `token`.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub fn new(channel: Control, registry: &Registry, token: Token) -> io::Result<CoordinatorLink> {
        let watch = Watch::new(registry, channel.as_raw_fd(), token)?;
        Ok(CoordinatorLink { channel, watch, unread: true, full: false })
    }

    /// The poll saw something of the channel.
    pub fn note(&mut self, event: &Event) {
        self.unread = true;
        if event.is_read_closed() {
            self.channel.peer_closed();
        }
    }

    /// Reads what came; [`Channel::next`] gives it.
    ///
    /// # Errors
    /// [`ChannelError`]: the channel is of no more use.
    pub fn read(&mut self) -> Result<ReadOutcome, ChannelError> {
        let outcome = self.channel.read();
        self.unread = matches!(outcome, Ok(ReadOutcome::More));
        outcome
    }

    /// Sends a message, in answer to `request` or to none (0); whether there was room.
    pub fn send(&mut self, message: &FromWorker, request: u32) -> bool {
        let sent = self.channel.send(message, request);
        if let Err(error) = &sent
            && !self.full
        {
            log::warn!(error:% = error; "worker.not_said");
        }
        self.full = sent.is_err();
        sent.is_ok()
    }

    /// Writes what waits, as far as the coordinator takes it.
    ///
    /// # Errors
    /// The channel is of no more use.
    pub fn flush(&mut self, registry: &Registry) -> io::Result<()> {
        self.channel.flush()?;
        self.watch.unsent(registry, self.channel.queued())
    }
}
