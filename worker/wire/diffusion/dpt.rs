//! Framing on a byte stream: `LLLLLLLL TYPE ENC headers RD body`, the length big-endian and counting itself.
//!
//! The socket reads straight into [`FrameBuffer`] and messages borrow from it, so nothing is copied but the piece of
//! a frame that a read cut off. A length is compared with the limit before anything is done for it. Memory: at most
//! the limit and one read, and back to two reads once large frames have stopped.

use super::message::{HeaderEnds, Message};
use super::{Encoding, MessageType, Part};
use std::fmt;

/// The smallest length that a frame can claim: its length, type and encoding.
pub const FRAME_MIN: u32 = 6;
/// The highest limit of frames, in bytes.
pub const FRAME_LIMIT_MAX: u32 = 1 << 30;
/// How many bytes [`FrameBuffer::spare`] offers at least, once all whole messages are taken.
pub const READ: usize = 64 * 1024;

const LENGTH_LEN: usize = 4;
const PREFIX_LEN: usize = FRAME_MIN as usize;
/// What the buffer holds as long as frames are small.
const USUAL: usize = 2 * READ;
/// After so many reads that did not need it, memory beyond [`USUAL`] is given back: not at once, for large frames
/// come in groups and each growth must clear its memory.
const READS_BEFORE_SHRINKING: u32 = 16;
/// A handshake must fit whatever the limit of frames is.
const LIMIT_MIN: usize = super::HANDSHAKE_LIMIT;

/// Why the stream cannot be read any further. Nothing after it can be trusted: close the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireError {
    /// A frame is longer than is allowed.
    Oversize {
        /// What it claims, in bytes.
        length: u32,
        /// What is allowed, in bytes.
        limit: u32,
    },
    /// A frame claims less than its own head.
    Undersize {
        /// What it claims, in bytes.
        length: u32,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Oversize { length, .. } if *length > FRAME_LIMIT_MAX => {
                write!(
                    f,
                    "a message claims {length} bytes: this is not the classic protocol, or the stream is damaged; check `url` and `protocol`"
                )
            }
            WireError::Oversize { length, limit } => {
                write!(
                    f,
                    "a message claims {length} bytes, the limit is {limit}; raise `frame` in [limits] if that is right"
                )
            }
            WireError::Undersize { length } => {
                write!(
                    f,
                    "a message claims {length} bytes, less than the {FRAME_MIN} of its head: this is not the classic protocol; check `url` and `protocol`"
                )
            }
        }
    }
}

impl std::error::Error for WireError {}

/// Where a message lies in its [`FrameBuffer`]. Good until the next [`FrameBuffer::spare`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The first byte after the encoding byte.
    content: u32,
    first_header_end: u32,
    headers_end: u32,
    end: u32,
    type_byte: u8,
    encoding_byte: u8,
}

impl Frame {
    #[inline]
    pub fn kind(self) -> (MessageType, Part) {
        MessageType::from_type_byte(self.type_byte)
    }

    #[inline]
    pub fn encoding(self) -> Encoding {
        Encoding::from_byte(self.encoding_byte)
    }
}

#[derive(Debug)]
pub struct FrameBuffer {
    /// As long as it may be read into; what is unread lies in `start..end`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    limit: u32,
    reads_with_room: u32,
}

impl FrameBuffer {
    /// A buffer that refuses frames of more than `limit` bytes, [`FRAME_LIMIT_MAX`] at most.
    pub fn new(limit: u32) -> FrameBuffer {
        let limit = limit.min(FRAME_LIMIT_MAX);
        FrameBuffer { bytes: Vec::new(), start: 0, end: 0, limit, reads_with_room: 0 }
    }

    /// Room to read into, at least [`READ`] bytes once all whole messages are taken. It is empty when `limit` bytes
    /// and more are held and not taken: a read into that would look like the end of the stream, so take messages first.
    pub fn spare(&mut self) -> &mut [u8] {
        self.make_room();
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Takes note that `count` bytes were read into [`FrameBuffer::spare`]; more than it offered counts as all of it.
    pub fn filled(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.bytes.len());
    }

    /// The next whole message.
    ///
    /// # Errors
    /// [`WireError`], again at each call: there is no way to find the next message.
    #[inline]
    pub fn next_message(&mut self) -> Result<Option<Message<'_>>, WireError> {
        let frame = self.advance()?;
        Ok(frame.map(|frame| self.message(frame)))
    }

    /// Steps over the next whole message and says where it lies, for callers that decide before they borrow.
    #[inline]
    pub fn advance(&mut self) -> Result<Option<Frame>, WireError> {
        let unread = self.unread();
        let Some(head) = unread.first_chunk::<LENGTH_LEN>() else { return Ok(None) };
        let length = u32::from_be_bytes(*head);
        if length > self.limit {
            return Err(WireError::Oversize { length, limit: self.limit });
        }
        if length < FRAME_MIN {
            return Err(WireError::Undersize { length });
        }
        let Some(frame) = unread.get(..length as usize) else { return Ok(None) };
        let Some(([_, _, _, _, type_byte, encoding_byte], content)) = frame.split_first_chunk::<PREFIX_LEN>()
        else {
            return Ok(None);
        };
        let start = self.start + PREFIX_LEN;
        let ends = HeaderEnds::of(content);
        let frame = Frame {
            content: place(start),
            first_header_end: place(start + ends.first),
            headers_end: place(start + ends.all),
            end: place(start + content.len()),
            type_byte: *type_byte,
            encoding_byte: *encoding_byte,
        };
        self.start = frame.end as usize;
        Ok(Some(frame))
    }

    /// Steps back to before `frame`: it and what follows it is there to be taken again.
    pub fn step_back(&mut self, frame: Frame) {
        self.start = self.start.min((frame.content as usize).saturating_sub(PREFIX_LEN));
    }

    /// Bytes from the beginning of `frame` to where the next message is taken.
    pub fn taken_since(&self, frame: Frame) -> usize {
        (self.start + PREFIX_LEN).saturating_sub(frame.content as usize)
    }

    /// The message at `frame`.
    #[inline]
    pub fn message(&self, frame: Frame) -> Message<'_> {
        let content = self.between(frame.content, frame.end);
        let headers = frame.headers_end.saturating_sub(frame.content) as usize;
        Message::split(frame.type_byte, frame.encoding_byte, content, headers)
    }

    /// The first header of the message at `frame`; empty if there is none.
    #[inline]
    pub fn first_header(&self, frame: Frame) -> &[u8] {
        self.between(frame.content, frame.first_header_end)
    }

    /// The body of the message at `frame`.
    #[inline]
    pub fn body(&self, frame: Frame) -> &[u8] {
        self.between(frame.headers_end.saturating_add(1), frame.end)
    }

    #[inline]
    fn between(&self, from: u32, to: u32) -> &[u8] {
        self.bytes.get(from as usize..to as usize).unwrap_or_default()
    }

    /// What was read and belongs to no message that was taken; the handshake is read from here.
    #[inline]
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Steps over `count` bytes that are no message.
    pub fn skip(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// Bytes of memory held.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    fn make_room(&mut self) {
        let held = self.end - self.start;
        if held == 0 {
            self.start = 0;
            self.end = 0;
        }
        if self.bytes.len() > USUAL {
            self.shrink_in_time(held);
        }
        if self.bytes.len() - self.end >= READ {
            return;
        }
        self.compact();
        if self.bytes.len() - self.end < READ {
            let most = (self.limit as usize).max(LIMIT_MIN) + READ;
            let wanted = (2 * self.bytes.len()).max(held + READ).max(USUAL).min(most);
            // Exactly: a vector that grows by itself would take twice the bound.
            self.bytes.reserve_exact(wanted.saturating_sub(self.bytes.len()));
            self.bytes.resize(wanted.max(self.end), 0);
        }
    }

    fn shrink_in_time(&mut self, held: usize) {
        if held + READ > USUAL {
            self.reads_with_room = 0;
            return;
        }
        self.reads_with_room += 1;
        if self.reads_with_room >= READS_BEFORE_SHRINKING {
            self.reads_with_room = 0;
            self.compact();
            self.bytes.truncate(USUAL);
            self.bytes.shrink_to(USUAL);
        }
    }

    fn compact(&mut self) {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
    }
}

/// No place in a buffer is beyond [`FRAME_LIMIT_MAX`] and a few reads.
#[inline]
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
