//! The worker's end of the data channel: observations first, a chunk of renderings behind each chunk of them.
//!
//! Without a channel (the recorder is starting, or dead) observations wait in the [`Outbox`] and nothing is rendered.
//! Called by the scanning loop only.

use super::lag::Lag;
use super::outbox::{Outbox, Place};
use super::port::Port;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Instant;
use touchline_common::ipc::messages::Message;
use touchline_common::ipc::messages::data::{FromRecorderData, Publish, ToRecorderData};
use touchline_common::ipc::{Channel, ChannelError, CodecError, PROTO, ReadOutcome, encode_frame};
use touchline_common::model::{Epoch, Generation, MatchKey, SlotId};

/// Bytes handed to the channel at once: an observation waits behind one chunk of renderings at most.
const CHUNK: usize = 64 * 1024;
/// Bytes that may wait unsent before rendering stops.
pub const RENDER_BELOW: usize = 256 * 1024;
/// Observations that may be under way without an acknowledgement, bytes. A commit follows within some 10 ms, so this is no
/// bound on the rate.
const WINDOW: usize = 1024 * 1024;
/// The longest message from the recorder, bytes.
const IN_LIMIT: u32 = 64 * 1024;

/// The link to the recorder.
#[derive(Debug)]
pub struct DataLink {
    /// Its place in the poll.
    pub port: Port,
    slot: SlotId,
    generation: Generation,
    channel: Option<Channel<FromRecorderData, ToRecorderData>>,
    state: LinkState,
    outbox: Outbox,
    renderings: Vec<u8>,
    /// Where each rendering ends, and when the read came that it shows.
    ends: VecDeque<(usize, Instant)>,
    taken: usize,
    /// Reads whose renderings are in the channel but not yet in the socket.
    leaving: Vec<Instant>,
    chunk: Vec<u8>,
    encoded: Vec<u8>,
}

/// How far the link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// No channel.
    Closed,
    /// `Open` is sent, the recorder has not answered.
    Opening,
    /// The recorder answered.
    Open,
}

/// What the recorder said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// It answered `Open`: everything is to be published whole.
    Opened,
    /// It refused a match's epoch.
    Refused {
        /// The match.
        key: MatchKey,
        /// The epoch.
        epoch: Epoch,
    },
}

impl DataLink {
    /// A link without a channel, which keeps at most `limit` bytes of observations.
    pub fn new(slot: SlotId, generation: Generation, limit: usize) -> DataLink {
        DataLink {
            port: Port::default(),
            slot,
            generation,
            channel: None,
            state: LinkState::Closed,
            outbox: Outbox::new(limit, WINDOW),
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
        let open = ToRecorderData::Open {
            proto_min: PROTO,
            proto_max: PROTO,
            slot: self.slot,
            generation: self.generation,
        };
        channel.send(&open, 0)?;
        let fd = channel.as_raw_fd();
        self.channel = Some(channel);
        self.state = LinkState::Opening;
        Ok(fd)
    }

    /// Drops the channel; renderings are dropped with it, for the next recorder gets whole documents.
    pub fn detach(&mut self) {
        self.channel = None;
        self.state = LinkState::Closed;
        self.renderings = Vec::new();
        self.ends.clear();
        self.taken = 0;
        self.leaving.clear();
    }

    /// How far the link is.
    pub fn state(&self) -> LinkState {
        self.state
    }

    /// What must be numbered and acknowledged.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Queues a message that carries a number; it gets it when it is sent.
    ///
    /// # Errors
    /// [`CodecError::Encode`].
    pub fn observe(&mut self, place: Place, message: &impl Message, at: i64) -> Result<(), CodecError> {
        let frame = self.encode(message)?;
        self.outbox.push(place, frame, at);
        Ok(())
    }

    /// Queues one of the last messages of a match, which must not be lost to a full outbox.
    ///
    /// # Errors
    /// [`CodecError::Encode`].
    pub fn observe_last(&mut self, message: &ToRecorderData) -> Result<(), CodecError> {
        let frame = self.encode(message)?;
        self.outbox.push_last(frame);
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
    pub fn publish(&mut self, publish: Publish, read_at: Instant) -> Result<(), CodecError> {
        encode_frame(&ToRecorderData::Publish(publish), 0, 0, &mut self.renderings)?;
        self.ends.push_back((self.renderings.len(), read_at));
        Ok(())
    }

    /// Whether there is room for a further rendering.
    pub fn takes_renderings(&self) -> bool {
        self.state == LinkState::Open && self.unsent() < RENDER_BELOW
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

    /// Reads what the recorder says.
    ///
    /// # Errors
    /// [`ChannelError`]: the channel must be detached.
    pub fn read(&mut self) -> Result<ReadOutcome, ChannelError> {
        match &mut self.channel {
            Some(channel) => channel.read(),
            None => Ok(ReadOutcome::Drained),
        }
    }

    /// The next thing that the recorder said and that the loop has to know; acknowledgements are taken here.
    ///
    /// # Errors
    /// [`ChannelError`]: the channel must be detached.
    pub fn next_event(&mut self) -> Result<Option<LinkEvent>, ChannelError> {
        let Some(channel) = &mut self.channel else { return Ok(None) };
        while let Some((message, _, _)) = channel.next()? {
            match message {
                FromRecorderData::Opened { resume_after, .. } => {
                    self.outbox.resume(resume_after);
                    self.state = LinkState::Open;
                    return Ok(Some(LinkEvent::Opened));
                }
                FromRecorderData::Ack { n } => self.outbox.acknowledge(n),
                FromRecorderData::Refused { key, epoch } => {
                    return Ok(Some(LinkEvent::Refused { key, epoch }));
                }
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

    /// Hands the next chunk to the channel: observations, and behind them renderings, so that neither ever stops the other. Whether there was
    /// one.
    fn fill(&mut self) -> bool {
        let Some(channel) = &mut self.channel else { return false };
        self.chunk.clear();
        self.outbox.take(&mut self.chunk, CHUNK);
        let observed = !self.chunk.is_empty();
        if observed && channel.send_encoded(&self.chunk).is_err() {
            return false;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use touchline_common::ipc::messages::data::{EndReason, Extent};
    use touchline_common::model::{FeedId, Section, SectionKey};

    type Recorder = Channel<ToRecorderData, FromRecorderData>;

    fn key() -> MatchKey {
        MatchKey { feed: FeedId(0), id: "m".into() }
    }

    fn end(at: i64) -> ToRecorderData {
        ToRecorderData::End { n: 0, key: key(), epoch: Epoch(1), why: EndReason::Ended, at }
    }

    fn rendering() -> Publish {
        Publish {
            key: key(),
            epoch: Epoch(1),
            extent: Extent::Changes,
            sections: Vec::new(),
            stale: false,
            received_at: 0,
            updated_at: 0,
        }
    }

    fn attach(link: &mut DataLink, resume_after: u64) -> Recorder {
        let (a, b) = UnixStream::pair().unwrap();
        link.attach(a.into()).unwrap();
        link.flush(&mut Lag::default()).unwrap();
        let mut recorder: Recorder = Channel::new(b.into(), 1 << 20, 1 << 20).unwrap();
        recorder.read().unwrap();
        assert!(matches!(recorder.next().unwrap().unwrap().0, ToRecorderData::Open { .. }));
        recorder.send(&FromRecorderData::Opened { proto: PROTO, run: 1, resume_after }, 0).unwrap();
        recorder.flush().unwrap();
        link.read().unwrap();
        assert_eq!(link.next_event().unwrap(), Some(LinkEvent::Opened));
        recorder
    }

    fn received(recorder: &mut Recorder) -> Vec<ToRecorderData> {
        recorder.read().unwrap();
        std::iter::from_fn(|| recorder.next().unwrap()).map(|(message, _, _)| message).collect()
    }

    #[test]
    fn observations_overtake_renderings_and_are_sent_again_to_the_next_recorder() {
        let mut link = DataLink::new(SlotId(1), Generation(1), 1 << 20);
        let mut lag = Lag::default();
        let mut first = attach(&mut link, 0);
        link.publish(rendering(), Instant::now()).unwrap();
        link.observe(0, &end(1), 1).unwrap();
        link.observe(0, &end(2), 2).unwrap();
        assert!(link.flush(&mut lag).unwrap());
        let got = received(&mut first);
        assert!(matches!(got[0], ToRecorderData::End { n: 1, at: 1, .. }), "{got:?}");
        assert!(matches!(got[1], ToRecorderData::End { n: 2, at: 2, .. }), "{got:?}");
        assert!(matches!(got[2], ToRecorderData::Publish(_)), "{got:?}");
        assert!(lag.percentile(1.0) < 5_000_000);

        drop(first);
        link.detach();
        assert!(!link.takes_renderings());
        let mut second = attach(&mut link, 1);
        assert!(link.flush(&mut lag).unwrap());
        let got = received(&mut second);
        assert!(matches!(got[..], [ToRecorderData::End { n: 2, at: 2, .. }]), "{got:?}");
    }

    #[test]
    fn a_recorder_that_always_leaves_something_does_not_make_the_buffer_grow() {
        let mut link = DataLink::new(SlotId(1), Generation(1), 1 << 20);
        let recorder = attach(&mut link, 0);
        let body = Some("x".repeat(4000));
        let section = Section { key: SectionKey::Head, body };
        let mut buffer = vec![0; 32 * 1024];
        let mut most = 0;
        for _ in 0..200 {
            while link.takes_renderings() {
                let publish = Publish { sections: vec![section.clone()], ..rendering() };
                link.publish(publish, Instant::now()).unwrap();
            }
            link.flush(&mut Lag::default()).unwrap();
            nix::unistd::read(recorder.as_fd(), &mut buffer).unwrap();
            most = most.max(link.renderings.len());
        }
        assert!(most > RENDER_BELOW / 2 && most < 3 * RENDER_BELOW, "{most} bytes");
    }

    #[test]
    fn rendering_stops_while_the_recorder_does_not_read() {
        let mut link = DataLink::new(SlotId(1), Generation(1), 1 << 20);
        let _deaf = attach(&mut link, 0);
        let mut count = 0;
        while link.takes_renderings() {
            link.publish(rendering(), Instant::now()).unwrap();
            link.flush(&mut Lag::default()).unwrap();
            count += 1;
            assert!(count < 1_000_000, "rendering never stops");
        }
        assert!(link.unsent() >= RENDER_BELOW);
    }
}
