//! One worker's data channel: its handshake, its names, its numbers. Frames of a stream go on undecoded, in chunks, to the thread
//! that commits it; renderings are applied here.
//!
//! Invariants: numbers are dense in each stream, a handle is named once and used only by streams that have not ended it. What breaks a
//! rule ends the channel, with a line that says which frame. Called by the recorder's loop.

use super::documents::{Applied, DocumentId, Documents, PartId};
use super::feed::Feed;
use super::ledger::Source;
use super::store::schema::MARKET;
use super::thread::Chunk;
use crate::net::Watch;
use hashbrown::{HashMap, HashSet};
use mio::Registry;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use touchline_common::ipc::messages::Message;
use touchline_common::ipc::messages::data::{
    BulkFrame, Extent, FromRecorderData, MatchFrame, Name, Named, Open, PerStream, Publish, SectionKey,
    Stream, is_end, number_and_handle, said_at,
};
use touchline_common::ipc::{Channel, ChannelError, Header, PROTO, ReadOutcome, decode, decode_borrowed};
use touchline_common::model::{Epoch, Handle};

/// The longest frame of a worker, bytes.
pub(super) const FRAME_LIMIT: u32 = 32 * 1024 * 1024;
/// Answers that may wait for a worker that does not read, bytes.
pub(super) const OUT_LIMIT: usize = 1024 * 1024;
/// Frames of one turn, so that no worker holds up the others.
const FRAMES_PER_TURN: usize = 4_096;
/// A worker that reports lines which it read longer ago holds more of them, microseconds.
const BEHIND: i64 = 250_000;
/// One that held more sends it within this time, once it may, microseconds.
const SENDS: i64 = 10_000_000;
/// Names that one channel may have at a time: those of as many nodes as 50 matches of the largest size have.
const NAMES: usize = 8_000_000;

pub(super) type DataChannel = Channel<Open, FromRecorderData>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing came yet.
    New,
    Opening {
        resume: PerStream<Option<u64>>,
    },
    /// Frames flow; the next of each stream must have this number.
    Flowing {
        next: PerStream<u64>,
    },
}

/// What a handle stands for here. Selections are the bulk stream's alone.
#[derive(Debug)]
enum Entry {
    Match(MatchEntry),
    Market {
        of: Handle,
        name: Arc<str>,
        /// Where it stood in the document the last time.
        place: PartId,
    },
}

#[derive(Debug)]
struct MatchEntry {
    id: DocumentId,
    epoch: Epoch,
    /// The numbers of the frames that end it.
    ends: PerStream<Option<u64>>,
    markets: Vec<Handle>,
}

impl MatchEntry {
    /// Whether its ends in both streams are committed.
    fn has_ended(&self, acked: PerStream<u64>) -> bool {
        let committed = |end: Option<u64>, acked| end.is_some_and(|n| n <= acked);
        committed(self.ends.matches, acked.matches) && committed(self.ends.bulk, acked.bulk)
    }
}

#[derive(Debug)]
pub(super) struct Link {
    channel: DataChannel,
    watch: Watch,
    phase: Phase,
    frames: Frames,
    /// There may be bytes in the socket.
    readable: bool,
    buffered: bool,
    ended: bool,
    acked: PerStream<u64>,
    refused: HashSet<Handle, foldhash::fast::RandomState>,
    /// When it came, wall clock in microseconds.
    attached: i64,
    /// When bytes last came, likewise.
    last_frame_at: i64,
}

pub(super) struct Surroundings<'a> {
    pub documents: &'a mut Documents,
    pub feed: &'a mut Feed,
    /// Reused from rendering to rendering: the parts that one changed.
    pub parts: &'a mut Vec<PartId>,
    pub published: &'a mut u64,
    pub refused: &'a mut u64,
    pub now: Instant,
    pub wall: i64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    /// It opened: its positions are to be looked up.
    Opening,
    Ended,
    Broken(String),
}

impl Link {
    /// A fresh channel, which came at `wall`.
    pub(super) fn new(channel: DataChannel, source: Source, watch: Watch, wall: i64) -> Link {
        Link {
            channel,
            watch,
            phase: Phase::New,
            frames: Frames {
                source,
                names: HashMap::default(),
                newest: Handle(0),
                ending: Vec::new(),
                chunks: PerStream::default(),
                said: None,
            },
            readable: true,
            buffered: false,
            ended: false,
            acked: PerStream::default(),
            refused: HashSet::default(),
            attached: wall,
            last_frame_at: wall,
        }
    }

    pub(super) fn source(&self) -> Source {
        self.frames.source
    }

    /// When the newest lines that came were read, if the worker may hold more at `at`: what it took before that is here.
    pub(super) fn unheard_since(&self, at: i64) -> Option<i64> {
        let said = self.frames.said?;
        let is_behind = said.came - said.at > BEHIND && at - said.came < SENDS;
        (said.n > self.acked.bulk || is_behind).then_some(said.at)
    }

    /// When the channel came and when bytes last did, wall clock in microseconds.
    pub(super) fn times(&self) -> (i64, i64) {
        (self.attached, self.last_frame_at)
    }

    pub(super) fn wake(&mut self) {
        self.readable = true;
    }

    /// The poller saw the other side's end, perhaps behind its last bytes.
    pub(super) fn peer_closed(&mut self) {
        self.channel.peer_closed();
    }

    /// Whether a turn would find something to do.
    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.phase, Phase::Opening { .. }) && (self.readable || self.buffered || self.ended)
    }

    /// What came for a stream since the last call, if anything.
    pub(super) fn take_chunk(&mut self, stream: Stream) -> Option<Chunk> {
        let chunk = self.frames.chunks.of(stream);
        (!chunk.bytes.is_empty()).then(|| std::mem::take(chunk))
    }

    pub(super) fn turn(&mut self, around: &mut Surroundings<'_>) -> Fate {
        if matches!(self.phase, Phase::Opening { .. }) {
            return Fate::Open;
        }
        if let Err(error) = self.read(around.wall) {
            self.ended = true;
            // A worker that died, which the coordinator tells.
            log::debug!(worker = self.source().slot.0, error:% = error; "data.read_failed");
        }
        let was = self.phase;
        if let Err(what) = self.take(around) {
            return Fate::Broken(what);
        }
        match self.phase {
            Phase::Opening { .. } if was == Phase::New => Fate::Opening,
            Phase::New | Phase::Flowing { .. } if self.ended && !self.buffered => Fate::Ended,
            Phase::New | Phase::Opening { .. } | Phase::Flowing { .. } => Fate::Open,
        }
    }

    fn read(&mut self, wall: i64) -> Result<(), ChannelError> {
        // What is buffered goes first, so that the buffer stays small.
        if !self.readable || self.buffered {
            return Ok(());
        }
        match self.channel.read()? {
            ReadOutcome::Drained => {
                self.readable = false;
                self.last_frame_at = wall;
            }
            ReadOutcome::More => self.last_frame_at = wall,
            ReadOutcome::Closed => {
                self.readable = false;
                self.ended = true;
            }
        }
        self.buffered = true;
        Ok(())
    }

    fn take(&mut self, around: &mut Surroundings<'_>) -> Result<(), String> {
        for _ in 0..FRAMES_PER_TURN {
            if !self.buffered || matches!(self.phase, Phase::Opening { .. }) {
                return Ok(());
            }
            let Link { channel, phase, frames, refused, .. } = self;
            let Some((header, body)) = channel.next_frame().map_err(|error| error.to_string())? else {
                self.buffered = false;
                return Ok(());
            };
            let rejected = match (header.kind, &mut *phase) {
                (Open::KIND, Phase::New) => {
                    frames.open(&header, body)?;
                    *phase = Phase::Opening { resume: PerStream::default() };
                    None
                }
                (Open::KIND, _) => return Err("a second opening".into()),
                (_, Phase::New | Phase::Opening { .. }) => return Err("a frame before the opening".into()),
                (Name::<'_>::KIND, Phase::Flowing { .. }) => {
                    frames.name(&header, body, around.documents)?;
                    None
                }
                (MatchFrame::<'_>::KIND, Phase::Flowing { next }) => {
                    frames.numbered(Stream::Match, &header, body, next, around.documents)?;
                    None
                }
                (BulkFrame::<'_>::KIND, Phase::Flowing { next }) => {
                    frames.numbered(Stream::Bulk, &header, body, next, around.documents)?;
                    frames.hear(body, next.bulk - 1, around.wall);
                    None
                }
                (Publish::<'_>::KIND, Phase::Flowing { .. }) => frames.publish(&header, body, around)?,
                (kind, Phase::Flowing { .. }) => return Err(format!("a frame of unknown type {kind:#06x}")),
            };
            if let Some(handle) = rejected
                && refused.insert(handle)
            {
                self.send(&FromRecorderData::Refused { handle });
            }
        }
        Ok(())
    }

    /// A stream's position is known; once both are, frames flow.
    pub(super) fn opened(&mut self, stream: Stream, resume_after: u64, run: u64) {
        let Phase::Opening { resume } = &mut self.phase else { return };
        *resume.of(stream) = Some(resume_after);
        if let PerStream { matches: Some(matches), bulk: Some(bulk) } = *resume {
            self.acked = PerStream { matches, bulk };
            self.phase = Phase::Flowing { next: PerStream { matches: matches + 1, bulk: bulk + 1 } };
            self.send(&FromRecorderData::Opened { proto: PROTO, run, resume_after: self.acked });
        }
    }

    /// Everything of a stream up to `n` is committed. The names of matches that have ended by that in both are free.
    pub(super) fn ack(&mut self, stream: Stream, n: u64) {
        *self.acked.of(stream) = n;
        self.frames.free_ended(self.acked);
        self.send(&FromRecorderData::Ack { stream, n });
    }

    /// Asks when all that the server has sent is reported.
    pub(super) fn mark(&mut self, token: u64) {
        self.send(&FromRecorderData::Mark { token });
    }

    fn send(&mut self, message: &FromRecorderData) {
        // A worker that reads nothing holds on to what the next answer covers as well.
        if let Err(error) = self.channel.send(message, 0) {
            log::debug!(worker = self.source().slot.0, error:% = error; "data.answer_dropped");
        }
    }

    pub(super) fn flush(&mut self, registry: &Registry) {
        if self.channel.queued() == 0 {
            return;
        }
        let flushed = self.channel.flush();
        if flushed.and_then(|_| self.watch.unsent(registry, self.channel.queued())).is_err() {
            self.readable = true;
        }
    }

    /// Takes the channel out of the poll.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub(super) fn deregister(&self, registry: &Registry) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        registry.deregister(&mut mio::unix::SourceFd(&self.channel.as_raw_fd()))
    }
}

/// What the frames have said so far.
#[derive(Debug)]
struct Frames {
    source: Source,
    names: HashMap<Handle, Entry, foldhash::fast::RandomState>,
    newest: Handle,
    /// Matches that have ended in a stream at least.
    ending: Vec<Handle>,
    /// What came since it was last taken.
    chunks: PerStream<Chunk>,
    said: Option<Said>,
}

/// The newest lines that came.
#[derive(Clone, Copy, Debug)]
struct Said {
    n: u64,
    /// When they were read, and when they came; wall clock in microseconds.
    at: i64,
    came: i64,
}

impl Frames {
    fn open(&self, header: &Header, body: &[u8]) -> Result<(), String> {
        let open: Open = decode(header, body).map_err(|error| error.to_string())?;
        if (open.slot, open.generation) != (self.source.slot, self.source.generation) {
            return Err(format!("worker {} opens the channel of worker {}", open.slot, self.source.slot));
        }
        if !(open.proto_min..=open.proto_max).contains(&PROTO) {
            let (min, max) = (open.proto_min, open.proto_max);
            return Err(format!("it speaks versions {min} to {max}, not {PROTO}"));
        }
        Ok(())
    }

    fn name(&mut self, header: &Header, body: &[u8], documents: &mut Documents) -> Result<(), String> {
        let Name { handle, named } = decode_borrowed(header, body).map_err(|error| error.to_string())?;
        if handle == Handle(0) || self.names.contains_key(&handle) {
            return Err(format!("handle {handle} is named twice"));
        }
        if self.names.len() >= NAMES {
            return Err(format!("handle {handle} is one name more than the {NAMES} that a channel may have"));
        }
        self.newest = self.newest.max(handle);
        self.chunks.bulk.push(header, body);
        let entry = match named {
            Named::Match { key, epoch } => {
                self.chunks.matches.push(header, body);
                let id = documents.named(&key, epoch);
                Entry::Match(MatchEntry { id, epoch, ends: PerStream::default(), markets: Vec::new() })
            }
            Named::Market { of, key, .. } => {
                let Some(Entry::Match(owner)) = self.names.get_mut(&of) else {
                    return Err(format!("market {handle} is named below {of}, which is no match"));
                };
                owner.markets.push(handle);
                Entry::Market { of, name: Arc::from(format!("{MARKET}{key}")), place: PartId::HEAD }
            }
            Named::Selection { .. } => return Ok(()),
        };
        self.names.insert(handle, entry);
        Ok(())
    }

    /// Frame `n` of the bulk stream came at `came`.
    fn hear(&mut self, body: &[u8], n: u64, came: i64) {
        if let Some(at) = said_at(body) {
            self.said = Some(Said { n, at, came });
        }
    }

    fn numbered(
        &mut self,
        stream: Stream,
        header: &Header,
        body: &[u8],
        next: &mut PerStream<u64>,
        documents: &Documents,
    ) -> Result<(), String> {
        let (n, handle) = number_and_handle(body).ok_or("a frame without number and handle")?;
        let next = next.of(stream);
        // Where no position is known, the worker goes on behind what was acknowledged before the position was lost.
        if n > *next && *next > 1 {
            return Err(format!("{stream:?} frame {n} follows frame {}", next.saturating_sub(1)));
        }
        if n < *next {
            return Ok(());
        }
        *next = n.saturating_add(1);
        let of = match self.names.get_mut(&handle) {
            Some(Entry::Match(entry)) => {
                let end = entry.ends.of(stream);
                if end.is_some() {
                    return Err(format!("{stream:?} frame {n} is of match {handle}, which has ended in it"));
                }
                if is_end(body) {
                    *end = Some(n);
                    self.ending.push(handle);
                }
                Some((entry.id, entry.epoch))
            }
            // What is about no match.
            None if handle == Handle(0) => None,
            Some(Entry::Market { .. }) | None => {
                return Err(never_named(&format!("{stream:?} frame {n}"), handle));
            }
        };
        let chunk = self.chunks.of(stream);
        chunk.push(header, body);
        if stream == Stream::Match {
            chunk.versions.push(of.map_or(0, |(id, epoch)| documents.version(id, epoch)));
        }
        Ok(())
    }

    /// Applies a rendering; the match, if a higher epoch owns it.
    fn publish(
        &mut self,
        header: &Header,
        body: &[u8],
        around: &mut Surroundings<'_>,
    ) -> Result<Option<Handle>, String> {
        let publish: Publish<'_> = decode_borrowed(header, body).map_err(|error| error.to_string())?;
        let handle = publish.handle;
        let Some(Entry::Match(entry)) = self.names.get(&handle) else {
            // The last rendering of a match may come behind the end of its streams.
            return if handle <= self.newest { Ok(None) } else { Err(never_named("a rendering", handle)) };
        };
        let id = entry.id;
        let Some(mut rendering) =
            around.documents.render(id, entry.epoch, publish.extent, publish.stamp, around.now)
        else {
            *around.refused += 1;
            return Ok(Some(handle));
        };
        around.parts.clear();
        for section in &publish.sections {
            let part = match section.key {
                SectionKey::Head => PartId::HEAD,
                SectionKey::Tail => PartId::TAIL,
                SectionKey::Market(market) => match self.names.get_mut(&market) {
                    Some(Entry::Market { of, name, place }) if *of == handle => rendering.market(name, place),
                    Some(_) | None => {
                        return Err(format!(
                            "a rendering of match {handle} has market {market}, never named"
                        ));
                    }
                },
            };
            rendering.set(part, section.body.as_deref());
            around.parts.push(part);
        }
        if rendering.applied() == Applied::Published {
            *around.published += 1;
            match publish.extent {
                Extent::Whole => around.feed.replaced(id),
                Extent::Changes => around.feed.changed(id, around.parts),
            }
        }
        Ok(None)
    }

    /// The names of matches whose ends are committed in both streams are free.
    fn free_ended(&mut self, acked: PerStream<u64>) {
        let names = &mut self.names;
        self.ending.retain(|handle| {
            let ended = |entry: &Entry| matches!(entry, Entry::Match(entry) if entry.has_ended(acked));
            if !names.get(handle).is_none_or(ended) {
                return true;
            }
            if let Some(Entry::Match(entry)) = names.remove(handle) {
                entry.markets.iter().for_each(|market| _ = names.remove(market));
            }
            false
        });
    }
}

fn never_named(what: &str, handle: Handle) -> String {
    format!("{what} is of match {handle}, which was never named")
}
