//! The head of a frame, and the mask (RFC 6455, 5.2 and 5.3).

use super::{Role, WebSocketError};

/// The longest head: two bytes, a length of eight, a mask of four.
pub(super) const HEAD_MAX: usize = 14;
/// The longest payload of a ping, pong or close.
pub(super) const CONTROL_MAX: usize = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV23: u8 = 0x30;
const MASKED: u8 = 0x80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    /// Bytes begin.
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Opcode> {
        use Opcode::{Binary, Close, Continuation, Ping, Pong, Text};
        [Continuation, Text, Binary, Close, Ping, Pong].into_iter().find(|opcode| *opcode as u8 == bits)
    }

    pub const fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) opcode: Opcode,
    /// It is the last of its message.
    pub(super) last: bool,
    pub(super) compressed: bool,
    /// Bytes of the payload.
    pub(super) length: u64,
    pub(super) mask: Option<[u8; 4]>,
}

impl FrameHead {
    /// The head that `bytes` begin with, and its size.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(FrameHead, usize)>, WebSocketError> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
        if first & RSV23 != 0 {
            return Err(WebSocketError::Reserved { byte: first });
        }
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(WebSocketError::Opcode { bits: first & 0x0f })?;
        let (last, compressed) = (first & FIN != 0, first & RSV1 != 0);
        let short = second & !MASKED;
        if opcode.is_control() {
            if !last || usize::from(short) > CONTROL_MAX {
                return Err(WebSocketError::Control);
            }
            if compressed {
                return Err(WebSocketError::Reserved { byte: first });
            }
        }
        let (length, wide) = match short {
            126 => match rest.first_chunk::<2>() {
                None => return Ok(None),
                Some(bytes) => (shortest(u64::from(u16::from_be_bytes(*bytes)), 126)?, 2),
            },
            127 => match rest.first_chunk::<8>() {
                None => return Ok(None),
                Some(bytes) => (shortest(u64::from_be_bytes(*bytes), 1 << 16)?, 8),
            },
            short => (u64::from(short), 0),
        };
        if second & MASKED == 0 {
            return Ok(Some((FrameHead { opcode, last, compressed, length, mask: None }, 2 + wide)));
        }
        let Some(mask) = rest.get(wide..).and_then(|rest| rest.first_chunk::<4>()) else { return Ok(None) };
        Ok(Some((FrameHead { opcode, last, compressed, length, mask: Some(*mask) }, 2 + wide + 4)))
    }

    pub(super) fn check_role(&self, role: Role) -> Result<(), WebSocketError> {
        match (role, self.mask) {
            (Role::Client, Some(_)) => Err(WebSocketError::Masked),
            (Role::Server, None) => Err(WebSocketError::Unmasked),
            (Role::Client, None) | (Role::Server, Some(_)) => Ok(()),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut first = self.opcode as u8;
        if self.last {
            first |= FIN;
        }
        if self.compressed {
            first |= RSV1;
        }
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        out.push(first);
        match self.length {
            // Cast: the pattern says that it fits.
            0..126 => out.push(self.length as u8 | masked),
            126..0x1_0000 => {
                out.push(126 | masked);
                out.extend_from_slice(&(self.length as u16).to_be_bytes());
            }
            _ => {
                out.push(127 | masked);
                out.extend_from_slice(&self.length.to_be_bytes());
            }
        }
        if let Some(mask) = self.mask {
            out.extend_from_slice(&mask);
        }
    }
}

fn shortest(length: u64, least: u64) -> Result<u64, WebSocketError> {
    if length < least || length >> 63 != 0 { Err(WebSocketError::Length) } else { Ok(length) }
}

/// Masks, or unmasks; eight bytes at a time.
pub(super) fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        if let Ok(eight) = <[u8; 8]>::try_from(&*word) {
            word.copy_from_slice(&(u64::from_ne_bytes(eight) ^ wide).to_ne_bytes());
        }
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= mask;
    }
}
