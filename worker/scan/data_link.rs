//! The worker's end of the data channel: names first, then the match stream, the bulk stream, and behind each chunk of them
//! one of renderings.
//!
//! Without a channel (the recorder is starting, or dead) observations wait, each stream in its [`Outbox`], and nothing is rendered.
//! Nothing of a match follows its end: what is rendered goes out before an end does. Called by the scanning loop only.

use super::lag::Lag;
use super::names::Names;
use super::outbox::{Outbox, Room};
use super::port::Port;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Instant;
use touchline_common::ipc::messages::Message;
use touchline_common::ipc::messages::data::{
    BulkBody, BulkFrame, EndReason, FromRecorderData, Lost, MatchBase, MatchBody, MatchFrame, Open,
    PerStream, Publish,
};
use touchline_common::ipc::{Channel, ChannelError, CodecError, PROTO, ReadOutcome, encode_frame};
use touchline_common::model::{ChatLine, Generation, Handle, SlotId};

/// Bytes handed to the channel at once: an observation waits behind one chunk of renderings at most.
const CHUNK: usize = 64 * 1024;
/// Bytes that may wait unsent before rendering stops.
pub const RENDER_BELOW: usize = 256 * 1024;
/// Observations of a stream that may be under way without an acknowledgement, bytes. A commit follows within some 10 ms, or 100 ms of
/// the bulk stream, so this is no bound on the rate.
const WINDOWS: PerStream<usize> = PerStream { matches: 1024 * 1024, bulk: 4 * 1024 * 1024 };
/// Lines of chat in a frame at most, and bytes of their texts beyond which none is added: what an overflow drops at once.
const FRAME_LINES: usize = 256;
const FRAME_TEXT: usize = 256 * 1024;
/// The longest message from the recorder, bytes.
const IN_LIMIT: u32 = 64 * 1024;

/// The link to the recorder.
#[derive(Debug)]
pub struct DataLink {
    pub port: Port,
    slot: SlotId,
    generation: Generation,
    channel: Option<Channel<FromRecorderData, Open>>,
    state: LinkState,
    names: Names,
    pub outboxes: PerStream<Outbox>,
    renderings: Vec<u8>,
    /// Where each rendering ends, and when the read came that it shows.
    ends: VecDeque<(usize, Instant)>,
    taken: usize,
    /// Reads whose renderings are in the channel but not yet in the socket.
    leaving: Vec<Instant>,
    chunk: Vec<u8>,
    encoded: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// No channel.
    Closed,
    /// `Open` is sent, the recorder has not answered.
    Opening,
    /// The recorder answered.
    Open,
}

/// What the recorder wants the loop to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// It answered `Open`: everything is to be published whole.
    Opened,
    /// It asks for a mark behind all that the server has sent.
    Mark {
        token: u64,
    },
    Refused {
        handle: Handle,
    },
}

impl DataLink {
    /// A link without a channel; at most `limits` bytes of each stream may wait for the recorder.
    pub fn new(slot: SlotId, generation: Generation, limits: PerStream<usize>) -> DataLink {
        DataLink {
            port: Port::default(),
            slot,
            generation,
            channel: None,
            state: LinkState::Closed,
            names: Names::new(),
            outboxes: PerStream {
                matches: Outbox::new(limits.matches, WINDOWS.matches),
                bulk: Outbox::new(limits.bulk, WINDOWS.bulk),
            },
            renderings: Vec::new(),
            ends: VecDeque::new(),
            taken: 0,
            leaving: Vec::new(),
            chunk: Vec::new(),
            encoded: Vec::new(),
        }
    }

    /// Takes a channel to a recorder and introduces this worker.
    ///
    /// # Errors
    /// When the descriptor is none, or `Open` cannot be sent.
    pub fn attach(&mut self, end: OwnedFd) -> Result<RawFd, ChannelError> {
        self.detach();
        let mut channel = Channel::new(end, IN_LIMIT, 4 * CHUNK)
            .map_err(|source| ChannelError::Io { operation: "opening", source })?;
        let (slot, generation) = (self.slot, self.generation);
        channel.send(&Open { proto_min: PROTO, proto_max: PROTO, slot, generation }, 0)?;
        let fd = channel.as_raw_fd();
        self.channel = Some(channel);
        self.state = LinkState::Opening;
        Ok(fd)
    }

    /// Drops the channel; renderings are dropped with it, for the next recorder gets whole documents.
    pub fn detach(&mut self) {
        self.channel = None;
        self.state = LinkState::Closed;
        self.names.closed();
        self.renderings = Vec::new();
        self.ends.clear();
        self.taken = 0;
        self.leaving.clear();
    }

    pub fn state(&self) -> LinkState {
        self.state
    }

    pub fn names(&mut self) -> &mut Names {
        &mut self.names
    }

    /// Queues all values of a match in the match stream, with what was dropped of it; at the bound they wait for
    /// [`DataLink::recoverable`].
    ///
    /// # Errors
    /// [`CodecError::Encode`].
    pub fn base(&mut self, handle: Handle, mut base: MatchBase<'_>) -> Result<(), CodecError> {
        let Room::Free(dropped) = self.outboxes.matches.room(handle) else { return Ok(()) };
        let dropped = both(dropped, self.outboxes.bulk.unheard(handle));
        base.lost = dropped;
        // Should this one be dropped as well, the gap still begins where it did.
        let since = dropped.map_or(base.at, |dropped| dropped.since.min(base.at));
        self.observe(handle, MatchBody::Base(base), since)
    }

    /// Queues a frame of the match stream; it gets its number when it is sent.
    ///
    /// # Errors
    /// [`CodecError::Encode`].
    pub fn observe(&mut self, handle: Handle, body: MatchBody<'_>, at: i64) -> Result<(), CodecError> {
        let frame = self.encode(&MatchFrame { n: 0, handle, body })?;
        self.outboxes.matches.push(handle, frame, 1, at);
        Ok(())
    }

    /// Queues a frame of the bulk stream that holds so many changes. Of a `Base` the number that was left out is filled in; at the bound it
    /// waits for [`DataLink::recoverable`].
    ///
    /// # Errors
    /// [`CodecError::Encode`].
    pub fn observe_odds(
        &mut self,
        handle: Handle,
        mut body: BulkBody<'_>,
        changes: usize,
        now: i64,
    ) -> Result<(), CodecError> {
        if let BulkBody::Base { left_out, .. } = &mut body {
            let Room::Free(dropped) = self.outboxes.bulk.room(handle) else { return Ok(()) };
            *left_out = dropped.map_or(0, |dropped| dropped.count);
        }
        let frame = self.encode(&BulkFrame { n: 0, handle, body })?;
        self.outboxes.bulk.push(handle, frame, u32::try_from(changes).unwrap_or(u32::MAX), now);
        Ok(())
    }

    /// Queues lines of chat, seen at `at` (wall clock, microseconds). Those that find no room are told of by the match's next base.
    ///
    /// # Errors
    /// [`CodecError::Encode`].
    pub fn observe_chat(
        &mut self,
        handle: Handle,
        lines: &[ChatLine<'_>],
        at: i64,
    ) -> Result<(), CodecError> {
        let mut rest = lines;
        while let Some((lines, behind)) = rest.split_at_checked(fitting(rest)).filter(|_| !rest.is_empty()) {
            rest = behind;
            let body = BulkBody::Chat { lines: Cow::Borrowed(lines), at };
            let frame = self.encode(&BulkFrame { n: 0, handle, body })?;
            let count = u32::try_from(lines.len()).unwrap_or(u32::MAX);
            self.outboxes.bulk.push_chat(handle, frame, count, at);
        }
        Ok(())
    }

    /// Matches whose values are to be sent again, for there is room for them now; those of the match stream and those of the bulk
    /// stream.
    pub fn recoverable(&self) -> Vec<Handle> {
        let mut handles = self.outboxes.matches.recoverable();
        handles.extend(self.outboxes.bulk.recoverable());
        handles.sort_unstable();
        handles.dedup();
        handles
    }

    /// Queues the end of a match in both streams, which must not be lost to a full outbox.
    ///
    /// # Errors
    /// [`CodecError::Encode`].
    pub fn end(&mut self, handle: Handle, why: EndReason, at: i64) -> Result<(), CodecError> {
        let lost = both(self.outboxes.matches.forget(handle), self.outboxes.bulk.forget_chat(handle));
        self.outboxes.bulk.forget(handle);
        let frame = self.encode(&MatchFrame { n: 0, handle, body: MatchBody::End { why, lost, at } })?;
        let taken = self.outboxes.matches.push_end(handle, frame);
        let frame = self.encode(&BulkFrame { n: 0, handle, body: BulkBody::End { why, at } })?;
        for taken in [taken, self.outboxes.bulk.push_end(handle, frame)] {
            if !taken {
                self.names.ended(handle);
            }
        }
        Ok(())
    }

    /// Queues the answer to a question for a mark.
    ///
    /// # Errors
    /// [`CodecError::Encode`].
    pub fn mark(&mut self, token: u64) -> Result<(), CodecError> {
        let body = MatchBody::Mark { token };
        let frame = self.encode(&MatchFrame { n: 0, handle: Handle(0), body })?;
        self.outboxes.matches.push_answer(frame);
        Ok(())
    }

    fn encode(&mut self, message: &impl Message) -> Result<Box<[u8]>, CodecError> {
        self.encoded.clear();
        encode_frame(message, 0, 0, &mut self.encoded)?;
        Ok(self.encoded.as_slice().into())
    }

    /// Queues a rendering that shows what came with the read at `read_at`.
    ///
    /// # Errors
    /// [`CodecError::Encode`].
    pub fn publish(&mut self, publish: &Publish<'_>, read_at: Instant) -> Result<(), CodecError> {
        encode_frame(publish, 0, 0, &mut self.renderings)?;
        self.ends.push_back((self.renderings.len(), read_at));
        Ok(())
    }

    /// Whether there is room for a further rendering; none while a match's end waits for those before it.
    pub fn takes_renderings(&self) -> bool {
        self.state == LinkState::Open && !self.has_unsent_end() && self.unsent() < RENDER_BELOW
    }

    fn has_unsent_end(&self) -> bool {
        self.outboxes.matches.has_unsent_end() || self.outboxes.bulk.has_unsent_end()
    }

    /// Bytes that are not acknowledged, of both streams.
    pub fn unacknowledged(&self) -> usize {
        self.outboxes.matches.unacknowledged() + self.outboxes.bulk.unacknowledged()
    }

    /// Bytes of renderings and of what the channel holds that wait to be written. Observations wait on their own.
    pub fn unsent(&self) -> usize {
        let queued = self.channel.as_ref().map_or(0, Channel::queued);
        (self.renderings.len() - self.taken) + queued
    }

    /// The poll saw that the recorder closed its side.
    pub fn peer_closed(&mut self) {
        if let Some(channel) = &mut self.channel {
            channel.peer_closed();
        }
    }

    /// Reads what the recorder sends.
    ///
    /// # Errors
    /// [`ChannelError`]: the channel must be detached.
    pub fn read(&mut self) -> Result<ReadOutcome, ChannelError> {
        match &mut self.channel {
            Some(channel) => channel.read(),
            None => Ok(ReadOutcome::Drained),
        }
    }

    /// The next thing that the recorder sent and that the loop has to know; acknowledgements are taken here.
    ///
    /// # Errors
    /// [`ChannelError`]: the channel must be detached.
    pub fn next_event(&mut self) -> Result<Option<LinkEvent>, ChannelError> {
        let DataLink { channel: Some(channel), names, outboxes, state, .. } = self else {
            return Ok(None);
        };
        while let Some((message, _, _)) = channel.next()? {
            match message {
                FromRecorderData::Opened { resume_after, .. } => {
                    outboxes.matches.resume(resume_after.matches, |handle| names.ended(handle));
                    outboxes.bulk.resume(resume_after.bulk, |handle| names.ended(handle));
                    names.opened();
                    *state = LinkState::Open;
                    return Ok(Some(LinkEvent::Opened));
                }
                FromRecorderData::Ack { stream, n } => {
                    outboxes.of(stream).acknowledge(n, |handle| names.ended(handle));
                }
                FromRecorderData::Mark { token } => return Ok(Some(LinkEvent::Mark { token })),
                FromRecorderData::Refused { handle } => return Ok(Some(LinkEvent::Refused { handle })),
            }
        }
        Ok(None)
    }

    /// Writes as far as the socket takes it; whether nothing is left. The latency of each rendering that is now with the kernel goes into `lag`.
    ///
    /// # Errors
    /// As `write(2)`: the channel must be detached.
    pub fn flush(&mut self, lag: &mut Lag) -> io::Result<bool> {
        loop {
            let Some(channel) = &mut self.channel else { return Ok(true) };
            if !channel.flush()? {
                return Ok(false);
            }
            if !self.leaving.is_empty() {
                let now = Instant::now();
                for read_at in self.leaving.drain(..) {
                    lag.record(now.saturating_duration_since(read_at));
                }
            }
            if self.state != LinkState::Open || !self.fill() {
                return Ok(true);
            }
        }
    }

    /// Hands the next chunk to the channel: names, observations, and behind them renderings, so that none ever stops the others. Whether
    /// there was one.
    fn fill(&mut self) -> bool {
        self.chunk.clear();
        let named = self.names.take(&mut self.chunk, CHUNK);
        // Renderings of a match go out before its end.
        let rendered_first = self.has_unsent_end() && !self.renderings.is_empty();
        if named && !rendered_first {
            self.outboxes.matches.take(&mut self.chunk, CHUNK);
            self.outboxes.bulk.take(&mut self.chunk, CHUNK);
        }
        let Some(channel) = &mut self.channel else { return false };
        let observed = !self.chunk.is_empty();
        if observed && channel.send_encoded(&self.chunk).is_err() {
            return false;
        }
        if !named {
            return true;
        }
        let mut until = self.taken;
        while until - self.taken < CHUNK {
            let Some((end, read_at)) = self.ends.pop_front() else { break };
            until = end;
            self.leaving.push(read_at);
        }
        let bytes = self.renderings.get(self.taken..until).unwrap_or_default();
        if bytes.is_empty() || channel.send_encoded(bytes).is_err() {
            return observed;
        }
        self.taken = until;
        self.compact();
        true
    }

    /// Drops what is taken: all of it at once when nothing is behind it, else when it is worth the move. A recorder that
    /// keeps up without ever emptying the buffer must not make it grow.
    fn compact(&mut self) {
        if self.taken == self.renderings.len() {
            self.renderings.clear();
            self.renderings.shrink_to(2 * RENDER_BELOW);
        } else if self.taken >= RENDER_BELOW {
            self.renderings.drain(..self.taken);
            for (end, _) in &mut self.ends {
                *end -= self.taken;
            }
        } else {
            return;
        }
        self.taken = 0;
    }
}

/// How many of the lines go into one frame: one at least, if there is one.
fn fitting(lines: &[ChatLine<'_>]) -> usize {
    let mut bytes = 0;
    let fits = |line: &&ChatLine<'_>| {
        let has_room = bytes < FRAME_TEXT;
        bytes += line.id.len() + line.user.len() + line.text.len();
        has_room
    };
    lines.iter().take(FRAME_LINES).take_while(fits).count()
}

/// What both streams dropped of a match, as one gap.
fn both(one: Option<Lost>, other: Option<Lost>) -> Option<Lost> {
    match (one, other) {
        (Some(one), Some(other)) => {
            Some(Lost { count: one.count + other.count, since: one.since.min(other.since) })
        }
        (Some(lost), None) | (None, Some(lost)) => Some(lost),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests;
