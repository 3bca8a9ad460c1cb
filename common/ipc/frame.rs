//! The frame: 16 bytes of header, little-endian, then the body.
//!
//! `magic+version u16, type u16, flags u16, reserved u16, request id u32, length u32`. Written by
//! [`super::codec::encode_frame`], read by [`FrameReader`], which takes bytes in pieces of any size.

use std::fmt;

/// The version of the messages that this build speaks; it is part of the magic.
pub const PROTO: u16 = 2;
/// The bytes of a header.
pub const HEADER_LEN: usize = 16;
pub const FLAG_FD: u16 = 1;

const MAGIC: u16 = 0x7400 | PROTO;

/// What stands before a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The message's direction and kind; see [`super::messages`].
    pub kind: u16,
    /// [`FLAG_FD`] or 0.
    pub flags: u16,
    /// The request that this belongs to; 0 for none.
    pub request: u32,
    /// Bytes of the body.
    pub length: u32,
}

/// Why a channel must be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The first bytes are not a header of this version.
    Magic {
        /// The header's bytes.
        header: [u8; HEADER_LEN],
    },
    /// The body is longer than this channel allows.
    Oversize {
        /// What the header claims, in bytes.
        length: u32,
        /// What is allowed, in bytes.
        limit: u32,
    },
    /// The reserved bytes or an unknown flag are set.
    Reserved {
        /// The header's bytes.
        header: [u8; HEADER_LEN],
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Magic { header } => write!(f, "not a frame of version {PROTO}: header {header:02x?}"),
            FrameError::Oversize { length, limit } => {
                write!(f, "a frame claims {length} bytes, the limit is {limit}")
            }
            FrameError::Reserved { header } => write!(f, "a frame sets reserved bits: header {header:02x?}"),
        }
    }
}

impl std::error::Error for FrameError {}

impl Header {
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let (magic, rest) = out.split_at_mut(2);
        magic.copy_from_slice(&MAGIC.to_le_bytes());
        let (kind, rest) = rest.split_at_mut(2);
        kind.copy_from_slice(&self.kind.to_le_bytes());
        let (flags, rest) = rest.split_at_mut(4);
        flags.copy_from_slice(&u32::from(self.flags).to_le_bytes());
        let (request, length) = rest.split_at_mut(4);
        request.copy_from_slice(&self.request.to_le_bytes());
        length.copy_from_slice(&self.length.to_le_bytes());
        out
    }

    /// Reads a header and compares its length with `limit` (bytes).
    ///
    /// # Errors
    /// [`FrameError`] when this is no header of ours or its body is too long.
    pub fn parse(bytes: &[u8; HEADER_LEN], limit: u32) -> Result<Header, FrameError> {
        let [m0, m1, k0, k1, f0, f1, r0, r1, q0, q1, q2, q3, l0, l1, l2, l3] = *bytes;
        if u16::from_le_bytes([m0, m1]) != MAGIC {
            return Err(FrameError::Magic { header: *bytes });
        }
        let flags = u16::from_le_bytes([f0, f1]);
        if flags & !FLAG_FD != 0 || [r0, r1] != [0, 0] {
            return Err(FrameError::Reserved { header: *bytes });
        }
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if length > limit {
            return Err(FrameError::Oversize { length, limit });
        }
        Ok(Header {
            kind: u16::from_le_bytes([k0, k1]),
            flags,
            request: u32::from_le_bytes([q0, q1, q2, q3]),
            length,
        })
    }
}

/// Puts frames together from reads of any size. How much it holds is its caller's affair: who reads on only when
/// [`FrameReader::has_frame`] says no holds one frame and one read.
#[derive(Debug)]
pub struct FrameReader {
    buffer: Vec<u8>,
    start: usize,
    limit: u32,
}

impl FrameReader {
    /// A reader that refuses bodies of more than `limit` bytes.
    pub fn new(limit: u32) -> FrameReader {
        FrameReader { buffer: Vec::new(), start: 0, limit }
    }

    /// Takes bytes as they came from the channel.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.start > 0 && (self.start == self.buffer.len() || self.start > 64 * 1024) {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one; its body is borrowed from the buffer.
    ///
    /// # Errors
    /// [`FrameError`]: the channel must be closed, nothing after it can be trusted.
    pub fn next_frame(&mut self) -> Result<Option<(Header, &[u8])>, FrameError> {
        let unread = self.buffer.get(self.start..).unwrap_or_default();
        let Some((head, rest)) = unread.split_first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let header = Header::parse(head, self.limit)?;
        let length = header.length as usize;
        if rest.len() < length {
            return Ok(None);
        }
        let from = self.start + HEADER_LEN;
        self.start = from + length;
        Ok(Some((header, self.buffer.get(from..self.start).unwrap_or_default())))
    }

    /// Whether a frame waits to be taken, or something that is none.
    pub fn has_frame(&self) -> bool {
        let unread = self.buffer.get(self.start..).unwrap_or_default();
        let Some((head, rest)) = unread.split_first_chunk::<HEADER_LEN>() else { return false };
        Header::parse(head, self.limit).map_or(true, |header| rest.len() >= header.length as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl FrameReader {
        /// Bytes that are read but belong to no whole frame yet.
        pub(in crate::ipc) fn pending(&self) -> usize {
            self.buffer.len() - self.start
        }
    }

    fn frame(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut out = Header { kind, flags: 0, request: 7, length: body.len() as u32 }.to_bytes().to_vec();
        out.extend_from_slice(body);
        out
    }

    proptest! {
        #[test]
        fn frames_survive_any_split(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8), step in 1usize..50) {
            let bytes: Vec<u8> = bodies.iter().enumerate().flat_map(|(i, b)| frame(i as u16, b)).collect();
            let mut reader = FrameReader::new(64);
            let mut seen = Vec::new();
            for piece in bytes.chunks(step) {
                reader.extend(piece);
                while let Some((header, body)) = reader.next_frame().unwrap() {
                    prop_assert_eq!(header.request, 7);
                    seen.push(body.to_vec());
                }
            }
            prop_assert_eq!(seen, bodies);
            prop_assert_eq!(reader.pending(), 0);
        }

        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = FrameReader::new(1024);
            reader.extend(&bytes);
            while let Ok(Some(_)) = reader.next_frame() {}
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_its_body_arrives() {
        let mut reader = FrameReader::new(10);
        reader.extend(&Header { kind: 1, flags: 0, request: 0, length: 11 }.to_bytes());
        assert_eq!(reader.next_frame(), Err(FrameError::Oversize { length: 11, limit: 10 }));
    }

    #[test]
    fn another_version_is_refused() {
        let mut bytes = frame(1, b"");
        bytes[0] = bytes[0].wrapping_add(1);
        let mut reader = FrameReader::new(10);
        reader.extend(&bytes);
        assert!(matches!(reader.next_frame(), Err(FrameError::Magic { .. })));
    }

    #[test]
    fn golden_header() {
        let bytes = Header { kind: 0x0102, flags: FLAG_FD, request: 0x0a0b_0c0d, length: 5 }.to_bytes();
        assert_eq!(bytes, [2, 0x74, 2, 1, 1, 0, 0, 0, 0x0d, 0x0c, 0x0b, 0x0a, 5, 0, 0, 0]);
    }
}
