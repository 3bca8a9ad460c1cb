//! Frames: a kind, a channel, a length, so many bytes and a mark.

use super::{AmqpError, Content, Method};

/// What a client sends first.
pub const PROTOCOL: &[u8; 8] = b"AMQP\x00\x00\x09\x01";
/// Bytes before a frame's payload.
pub const HEAD: usize = 7;
/// The mark behind a payload.
const END: u8 = 0xce;
/// The least bound on a whole frame that a side may ask for, in bytes.
pub const MIN_FRAME: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum FrameKind {
    Method = 1,
    Header = 2,
    Body = 3,
    Heartbeat = 8,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<FrameKind> {
        use FrameKind::{Body, Header, Heartbeat, Method};
        [Method, Header, Body, Heartbeat].into_iter().find(|kind| *kind as u8 == byte)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    Method(u16, Method),
    /// The header of a content, on a channel.
    Header(u16, Content),
    /// Bytes of a content, on a channel.
    Body(u16, &'a [u8]),
    Heartbeat,
}

/// What was read, as frames.
#[derive(Debug)]
pub struct Frames {
    bytes: Vec<u8>,
    /// Bytes that were given as frames already.
    read: usize,
    /// The longest frame, in bytes, head and mark included.
    limit: usize,
}

impl Frames {
    pub fn new(limit: usize) -> Frames {
        Frames { bytes: Vec::new(), read: 0, limit }
    }

    /// Takes bytes as they came. Take the frames out before the next ones: what is held is at most one frame and one read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame, if it is there whole.
    ///
    /// # Errors
    /// [`AmqpError`]; after it nothing more can be read.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, AmqpError> {
        let rest = self.bytes.get(self.read..).unwrap_or_default();
        let Some(first) = rest.first() else { return Ok(None) };
        let Some(kind) = FrameKind::from_byte(*first) else { return foreign(*first, rest).map(|()| None) };
        let Some(&[_, c0, c1, l0, l1, l2, l3]) = rest.first_chunk::<HEAD>() else { return Ok(None) };
        let channel = u16::from_be_bytes([c0, c1]);
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if length > self.limit.saturating_sub(HEAD + 1) {
            return Err(AmqpError::TooLong { length, limit: self.limit });
        }
        let Some((payload, &end)) = rest.get(HEAD..=HEAD + length).and_then(split_end) else {
            return Ok(None);
        };
        if end != END {
            return Err(AmqpError::End { byte: end });
        }
        self.read += HEAD + length + 1;
        Ok(Some(match kind {
            FrameKind::Method => Frame::Method(channel, Method::read(payload)?),
            FrameKind::Header => Frame::Header(channel, Content::read(payload)?),
            FrameKind::Body => Frame::Body(channel, payload),
            FrameKind::Heartbeat => Frame::Heartbeat,
        }))
    }
}

fn split_end(bytes: &[u8]) -> Option<(&[u8], &u8)> {
    bytes.split_last().map(|(end, payload)| (payload, end))
}

/// Bytes that are no frame: a broker that refuses a version answers with the beginning that it would take.
fn foreign(first: u8, bytes: &[u8]) -> Result<(), AmqpError> {
    let name = b"AMQP";
    match bytes.strip_prefix(name) {
        Some(version) => match version.first_chunk::<4>() {
            Some(theirs) => Err(AmqpError::Version { theirs: *theirs }),
            None => Ok(()),
        },
        None if name.starts_with(bytes) => Ok(()),
        None => Err(AmqpError::NotAmqp { first }),
    }
}

pub(super) fn frame(kind: FrameKind, channel: u16, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.push(kind as u8);
    out.extend_from_slice(&channel.to_be_bytes());
    let place = out.len()..start + HEAD;
    out.extend_from_slice(&[0; 4]);
    payload(out);
    // Cast: bodies are cut to the bound that both sides agreed upon, the rest is short.
    let length = (out.len() - start - HEAD) as u32;
    if let Some(place) = out.get_mut(place) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    out.push(END);
}

/// Writes the bytes of a content, in frames of at most `limit` bytes.
pub fn body(bytes: &[u8], channel: u16, limit: usize, out: &mut Vec<u8>) {
    for piece in bytes.chunks(limit.saturating_sub(HEAD + 1).max(1)) {
        frame(FrameKind::Body, channel, out, |out| out.extend_from_slice(piece));
    }
}

/// Writes a sign of life.
pub fn heartbeat(out: &mut Vec<u8>) {
    frame(FrameKind::Heartbeat, 0, out, |_| {});
}
