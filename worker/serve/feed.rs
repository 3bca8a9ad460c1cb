//! The recorder's document feed, as the gateway reads it: each message applied to the items.
//!
//! Read until drained, within a bound each turn; a feed that ends or breaks is dropped, and the coordinator brings another with the next
//! recorder. The items stay meanwhile.

use super::items::Items;
use crate::net::Watch;
use mio::{Registry, Token};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;
use touchline_common::ipc::messages::Message;
use touchline_common::ipc::messages::feed::{FeedDocument, FeedEnded};
use touchline_common::ipc::{Channel, ChannelError, CodecError, ReadOutcome, decode, decode_borrowed};

/// A document is at most so large, bytes.
const LIMIT: u32 = 32 * 1024 * 1024;
/// Reads of one turn, of at most 256 KiB each.
const READS: usize = 4;

#[derive(Debug)]
pub(super) struct Feed {
    channel: Channel<FeedEnded, FeedEnded>,
    /// Closed with the channel.
    _watch: Watch,
}

/// What a turn of reading came to.
#[derive(Debug)]
pub(super) enum FeedState {
    Drained,
    /// There is more, unannounced.
    More,
    /// The recorder's end is closed, or what came is no feed.
    Over(Option<String>),
}

impl Feed {
    /// # Errors
    /// When the kernel refuses to poll it.
    pub(super) fn new(fd: OwnedFd, registry: &Registry, token: Token) -> io::Result<Feed> {
        let channel = Channel::new(fd, LIMIT, 0)?;
        let watch = Watch::new(registry, channel.as_raw_fd(), token)?;
        Ok(Feed { channel, _watch: watch })
    }

    /// The poll saw that the recorder's end is closed.
    pub(super) fn peer_closed(&mut self) {
        self.channel.peer_closed();
    }

    /// Applies what came; how many messages.
    pub(super) fn read(&mut self, items: &mut Items, now: Instant) -> (usize, FeedState) {
        let mut count = 0;
        for _ in 0..READS {
            let outcome = match self.channel.read() {
                Ok(outcome) => outcome,
                Err(error) => return (count, FeedState::Over(Some(error.to_string()))),
            };
            loop {
                match apply_next(&mut self.channel, items, now) {
                    Ok(true) => count += 1,
                    Ok(false) => break,
                    Err(error) => return (count, FeedState::Over(Some(error))),
                }
            }
            match outcome {
                ReadOutcome::Drained => return (count, FeedState::Drained),
                ReadOutcome::Closed => return (count, FeedState::Over(None)),
                ReadOutcome::More => {}
            }
        }
        (count, FeedState::More)
    }
}

fn apply_next(
    channel: &mut Channel<FeedEnded, FeedEnded>,
    items: &mut Items,
    now: Instant,
) -> Result<bool, String> {
    let Some((header, body)) = channel.next_frame().map_err(|error: ChannelError| error.to_string())? else {
        return Ok(false);
    };
    let unread = |error: CodecError| error.to_string();
    if header.kind == FeedEnded::KIND {
        items.ended(&decode(&header, body).map_err(unread)?, now);
    } else {
        let document: FeedDocument<'_> = decode_borrowed(&header, body).map_err(unread)?;
        items.apply(&document);
    }
    Ok(true)
}
