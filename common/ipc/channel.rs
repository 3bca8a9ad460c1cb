//! One end of a channel: a non-blocking Unix stream that carries frames of one message type each way.
//!
//! It reads what is there, hands out whole messages with the descriptor that belongs to them, collects what is to be
//! sent and writes it with few calls. Its outgoing queue is bounded; what happens at the bound is the caller's policy
//! ([`ChannelError::Full`]). After any error but `Full` the channel must be dropped.

use super::codec::{self, CodecError};
use super::frame::{FLAG_FD, FrameError, FrameReader, Header};
use super::messages::Message;
use crate::sys::fdpass;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// Bytes of one read.
const READ: usize = 64 * 1024;
/// Reads of one call to [`Channel::read`], so that a peer that never stops cannot hold the loop.
const READS_PER_TURN: usize = 4;
const MAX_WAITING_FDS: usize = 64;

/// A non-blocking framed channel that receives `In` and sends `Out`.
#[derive(Debug)]
pub struct Channel<In, Out> {
    stream: UnixStream,
    reader: FrameReader,
    scratch: Box<[u8]>,
    fds: VecDeque<OwnedFd>,
    out: Vec<u8>,
    written: usize,
    out_fds: VecDeque<(usize, OwnedFd)>,
    out_limit: usize,
    peer: Peer,
    types: PhantomData<fn(In) -> Out>,
}

/// The other side, as the poll last saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    There,
    /// It closed: one event reported that together with its last bytes, and no other will.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    Drained,
    /// There may be more: come back without waiting for readiness.
    More,
    /// The other side is gone. What it sent before is still to be taken with [`Channel::next`].
    Closed,
}

/// Why a channel cannot go on, or takes no more.
#[derive(Debug)]
pub enum ChannelError {
    /// What came is no frame.
    Frame(FrameError),
    /// A frame is no message, or a message no frame.
    Codec(CodecError),
    /// A frame announces a descriptor, and none came.
    MissingDescriptor,
    /// More descriptors came than frames that want one.
    SurplusDescriptors,
    Io {
        /// `reading` or `writing`.
        operation: &'static str,
        source: io::Error,
    },
    /// The outgoing queue is at its bound: the message was not taken, the channel is as it was.
    Full {
        /// Bytes that wait.
        queued: usize,
    },
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChannelError::Frame(error) => write!(f, "reading a frame: {error}"),
            ChannelError::Codec(error) => write!(f, "a message of a channel: {error}"),
            ChannelError::MissingDescriptor => write!(f, "a frame came without its descriptor"),
            ChannelError::SurplusDescriptors => write!(f, "descriptors came that no frame claims"),
            ChannelError::Io { operation, source } => write!(f, "{operation} a channel: {source}"),
            ChannelError::Full { queued } => {
                write!(f, "a channel's outgoing queue is full: {queued} bytes wait")
            }
        }
    }
}

impl std::error::Error for ChannelError {}

impl<In: Message + DeserializeOwned, Out: Message> Channel<In, Out> {
    /// Takes one end of a socket pair. Bodies over `limit` bytes are refused on the way in; at most `out_limit` bytes wait on the way out.
    ///
    /// # Errors
    /// When the descriptor cannot be made non-blocking.
    pub fn new(end: OwnedFd, limit: u32, out_limit: usize) -> io::Result<Channel<In, Out>> {
        let stream = UnixStream::from(end);
        stream.set_nonblocking(true)?;
        Ok(Channel {
            stream,
            reader: FrameReader::new(limit),
            scratch: vec![0; READ].into_boxed_slice(),
            fds: VecDeque::new(),
            out: Vec::new(),
            written: 0,
            out_fds: VecDeque::new(),
            out_limit,
            peer: Peer::There,
            types: PhantomData,
        })
    }

    /// The poll saw that the other side closed: from now on a short read is no sign that all is read.
    pub fn peer_closed(&mut self) {
        self.peer = Peer::Gone;
    }

    /// Reads what is there, at most 256 KiB. While a whole message waits to be taken nothing is read: so what is held
    /// stays bounded, however few messages a caller takes per turn.
    ///
    /// # Errors
    /// [`ChannelError::Io`], [`ChannelError::SurplusDescriptors`].
    pub fn read(&mut self) -> Result<ReadOutcome, ChannelError> {
        if self.reader.has_frame() {
            return Ok(ReadOutcome::More);
        }
        let mut fds = Vec::new();
        for _ in 0..READS_PER_TURN {
            match fdpass::recv_with_fds(self.stream.as_fd(), &mut self.scratch, &mut fds) {
                Ok(0) => return Ok(ReadOutcome::Closed),
                Ok(n) => {
                    self.reader.extend(self.scratch.get(..n).unwrap_or_default());
                    // The kernel ends a read at a descriptor: then a short one does not mean drained.
                    let cut = !fds.is_empty();
                    self.fds.extend(fds.drain(..));
                    if self.fds.len() > MAX_WAITING_FDS {
                        return Err(ChannelError::SurplusDescriptors);
                    }
                    if n < self.scratch.len() && !cut && self.peer == Peer::There {
                        return Ok(ReadOutcome::Drained);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(ReadOutcome::Drained),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok(ReadOutcome::Closed);
                }
                Err(source) => return Err(ChannelError::Io { operation: "reading", source }),
            }
        }
        Ok(ReadOutcome::More)
    }

    /// The next whole message, its request id (0 for none) and its descriptor.
    ///
    /// # Errors
    /// Any but [`ChannelError::Full`] and `Io`: the peer cannot be trusted any more.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<(In, u32, Option<OwnedFd>)>, ChannelError> {
        let Some((header, body)) = self.reader.next_frame().map_err(ChannelError::Frame)? else {
            return Ok(None);
        };
        let message = codec::decode(&header, body).map_err(ChannelError::Codec)?;
        let fd = if header.flags & FLAG_FD == 0 {
            None
        } else {
            Some(self.fds.pop_front().ok_or(ChannelError::MissingDescriptor)?)
        };
        Ok(Some((message, header.request, fd)))
    }

    /// The next whole frame as it came, for a channel whose frames are of several types, none with a descriptor.
    ///
    /// # Errors
    /// [`ChannelError::Frame`], [`ChannelError::SurplusDescriptors`]: the peer cannot be trusted any more.
    pub fn next_frame(&mut self) -> Result<Option<(Header, &[u8])>, ChannelError> {
        let next = self.reader.next_frame().map_err(ChannelError::Frame)?;
        match next {
            Some((header, _)) if header.flags & FLAG_FD != 0 => Err(ChannelError::SurplusDescriptors),
            Some(_) | None => Ok(next),
        }
    }

    /// Queues a message; [`Channel::flush`] sends it.
    ///
    /// # Errors
    /// [`ChannelError::Full`], [`ChannelError::Codec`]; in both cases nothing was queued.
    pub fn send(&mut self, message: &Out, request: u32) -> Result<(), ChannelError> {
        self.room()?;
        codec::encode_frame(message, request, 0, &mut self.out).map_err(ChannelError::Codec)
    }

    /// Queues a message together with a descriptor, which is closed here once it is sent.
    pub fn send_fd(&mut self, message: &Out, request: u32, fd: OwnedFd) -> Result<(), ChannelError> {
        self.room()?;
        let at = self.out.len();
        codec::encode_frame(message, request, FLAG_FD, &mut self.out).map_err(ChannelError::Codec)?;
        self.out_fds.push_back((at, fd));
        Ok(())
    }

    /// Queues bytes that are whole frames already.
    ///
    /// # Errors
    /// [`ChannelError::Full`].
    pub fn send_encoded(&mut self, frames: &[u8]) -> Result<(), ChannelError> {
        self.room()?;
        self.out.extend_from_slice(frames);
        Ok(())
    }

    fn room(&self) -> Result<(), ChannelError> {
        match self.queued() {
            queued if queued >= self.out_limit => Err(ChannelError::Full { queued }),
            _ => Ok(()),
        }
    }

    /// Writes what is queued as far as the socket takes it; whether all of it is written.
    ///
    /// # Errors
    /// As `write(2)`; `WouldBlock` is no error but `false`.
    pub fn flush(&mut self) -> io::Result<bool> {
        while self.written < self.out.len() {
            match self.write_some() {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.written += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.compact();
                    return Ok(false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        if self.out.capacity() > 1024 * 1024 {
            self.out.shrink_to(READ);
        }
        Ok(true)
    }

    /// One write: up to the next descriptor's frame, or from that frame's first byte with the descriptor attached.
    fn write_some(&mut self) -> io::Result<usize> {
        let next = self.out_fds.front().map(|(at, _)| *at);
        if next != Some(self.written) {
            let end = next.unwrap_or(self.out.len());
            return self.stream.write(self.out.get(self.written..end).unwrap_or_default());
        }
        let end = self.out_fds.get(1).map_or(self.out.len(), |(at, _)| *at);
        let bytes = self.out.get(self.written..end).unwrap_or_default();
        let Some((_, fd)) = self.out_fds.front() else { return Ok(0) };
        let sent = fdpass::send_with_fd(self.stream.as_fd(), bytes, fd.as_fd())?;
        self.out_fds.pop_front();
        Ok(sent)
    }

    /// Drops what is written once it is worth the move.
    fn compact(&mut self) {
        if self.written < READ {
            return;
        }
        self.out.drain(..self.written);
        for (at, _) in &mut self.out_fds {
            *at -= self.written;
        }
        self.written = 0;
    }

    /// Bytes that wait to be written.
    pub fn queued(&self) -> usize {
        self.out.len() - self.written
    }
}

impl<In, Out> AsFd for Channel<In, Out> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl<In, Out> AsRawFd for Channel<In, Out> {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::messages::worker::{FromWorker, ToWorker};
    use std::io::Read;

    type Parent = Channel<FromWorker, ToWorker>;
    type Child = Channel<ToWorker, FromWorker>;

    fn pair(out_limit: usize) -> (Parent, Child) {
        let (a, b) = UnixStream::pair().unwrap();
        (
            Channel::new(a.into(), 1 << 20, out_limit).unwrap(),
            Channel::new(b.into(), 1 << 20, out_limit).unwrap(),
        )
    }

    #[test]
    fn messages_and_descriptors_keep_their_order() {
        let (mut parent, mut child) = pair(1 << 20);
        let (near_a, far_a) = UnixStream::pair().unwrap();
        let (near_b, far_b) = UnixStream::pair().unwrap();
        parent.send(&ToWorker::Ping, 1).unwrap();
        parent.send_fd(&ToWorker::Data, 2, far_a.into()).unwrap();
        parent.send(&ToWorker::Ping, 3).unwrap();
        parent.send_fd(&ToWorker::LogFile, 4, far_b.into()).unwrap();
        parent.send(&ToWorker::Details, 5).unwrap();
        assert!(parent.flush().unwrap());
        let mut seen = Vec::new();
        assert_eq!(child.read().unwrap(), ReadOutcome::Drained, "one call reads past the descriptors");
        while let Some((message, request, fd)) = child.next().unwrap() {
            if let Some(fd) = fd {
                UnixStream::from(fd).write_all(&[request as u8]).unwrap();
            }
            seen.push((message, request));
        }
        assert_eq!(
            seen,
            [
                (ToWorker::Ping, 1),
                (ToWorker::Data, 2),
                (ToWorker::Ping, 3),
                (ToWorker::LogFile, 4),
                (ToWorker::Details, 5)
            ]
        );
        for (mut near, want) in [(near_a, 2), (near_b, 4)] {
            let mut one = [0];
            near.read_exact(&mut one).unwrap();
            assert_eq!(one, [want]);
        }
    }

    #[test]
    fn the_queue_is_bounded_and_survives_a_full_socket() {
        let (mut parent, mut child) = pair(300_000);
        let filter = "x".repeat(1000);
        let mut sent = 0;
        let full = loop {
            match parent.send(&ToWorker::LogFilter { filter: filter.clone() }, sent) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(full, ChannelError::Full { .. }));
        let mut seen = 0;
        while seen < sent {
            parent.flush().unwrap();
            child.read().unwrap();
            while let Some((_, request, _)) = child.next().unwrap() {
                assert_eq!(request, seen);
                seen += 1;
            }
        }
    }

    #[test]
    fn a_closed_peer_is_seen_after_its_last_message() {
        let (mut parent, mut child) = pair(1 << 20);
        child.send(&FromWorker::Ready, 0).unwrap();
        child.flush().unwrap();
        drop(child);
        // One event reports the last bytes and the end, so one read must find both.
        parent.peer_closed();
        assert_eq!(parent.read().unwrap(), ReadOutcome::Closed);
        assert_eq!(parent.next().unwrap().unwrap().0, FromWorker::Ready);
    }

    #[test]
    fn what_is_read_is_taken_before_more_is_read() {
        let (mut parent, mut child) = pair(8 << 20);
        let filter = "x".repeat(10_000);
        let mut sent = 0;
        let mut held = 0;
        for _ in 0..200 {
            while parent.queued() < 1 << 20 {
                parent.send(&ToWorker::LogFilter { filter: filter.clone() }, sent).unwrap();
                sent += 1;
            }
            parent.flush().unwrap();
            child.read().unwrap();
            child.next().unwrap();
            held = held.max(child.reader.pending());
        }
        assert!(held <= READ * READS_PER_TURN + 10_100, "{held} bytes are held");
    }

    #[test]
    fn another_directions_frame_is_refused() {
        let (a, b) = UnixStream::pair().unwrap();
        let mut wrong: Channel<FromWorker, FromWorker> = Channel::new(a.into(), 1 << 20, 1 << 20).unwrap();
        let mut child: Child = Channel::new(b.into(), 1 << 20, 1 << 20).unwrap();
        wrong.send(&FromWorker::Ready, 0).unwrap();
        wrong.flush().unwrap();
        child.read().unwrap();
        assert!(matches!(child.next(), Err(ChannelError::Codec(CodecError::Kind { .. }))));
    }
}
