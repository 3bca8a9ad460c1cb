//! Messages to frames, appended to the caller's buffer.

use super::deflate::{Deflate, Deflater};
use super::frame::{CONTROL_MAX, FrameHead, HEAD_MAX, Opcode, apply_mask};
use super::{CloseCode, Role};
use std::hash::{BuildHasher, RandomState};

#[derive(Debug)]
pub struct Writer {
    role: Role,
    compress_from: usize,
    deflater: Option<Deflater>,
    /// Masks are to be beyond prediction (RFC 6455, 5.3): a keyed hash of a count, the key being the system's randomness.
    masks: RandomState,
    masked: u64,
    packed: Vec<u8>,
}

impl Writer {
    /// A writer of `role`, once it is known what was agreed upon. Messages of `compress_from` bytes and more are compressed,
    /// where that was agreed upon.
    pub fn new(role: Role, deflate: Option<Deflate>, compress_from: usize) -> Writer {
        let deflater = deflate.and_then(|deflate| Deflater::new(&deflate, role));
        Writer { role, compress_from, deflater, masks: RandomState::new(), masked: 0, packed: Vec::new() }
    }

    /// A text in one frame. That it is UTF-8 is up to the caller.
    pub fn text(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.message(Opcode::Text, payload, usize::MAX, out);
    }

    /// A message of `opcode` in frames of at most `most` bytes each, at least 1.
    pub fn message(&mut self, opcode: Opcode, payload: &[u8], most: usize, out: &mut Vec<u8>) {
        let mut packed = std::mem::take(&mut self.packed);
        packed.clear();
        let (mut rest, mut compressed) = (payload, false);
        if let Some(deflater) = &mut self.deflater
            && payload.len() >= self.compress_from.max(1)
        {
            deflater.message(payload, &mut packed);
            (rest, compressed) = (&packed, true);
        }
        let mut opcode = opcode;
        loop {
            let (piece, after) = rest.split_at_checked(most.max(1)).unwrap_or((rest, &[]));
            self.frame(opcode, after.is_empty(), compressed, piece, out);
            if after.is_empty() {
                break;
            }
            // Only the first frame says that its message is compressed (RFC 7692, 6).
            (rest, opcode, compressed) = (after, Opcode::Continuation, false);
        }
        self.packed = packed;
    }

    /// Pings the other side; at most 125 bytes are sent of the payload.
    pub fn ping(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.control(Opcode::Ping, payload, out);
    }

    pub fn pong(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.control(Opcode::Pong, payload, out);
    }

    pub fn close(&mut self, code: CloseCode, reason: &str, out: &mut Vec<u8>) {
        let mut payload = code.0.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        let mut end = payload.len().min(CONTROL_MAX);
        // A reason is cut between characters.
        while end > 2 && !reason.is_char_boundary(end - 2) {
            end -= 1;
        }
        payload.truncate(end);
        self.control(Opcode::Close, &payload, out);
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
        let payload = payload.get(..CONTROL_MAX).unwrap_or(payload);
        self.frame(opcode, true, false, payload, out);
    }

    fn frame(&mut self, opcode: Opcode, last: bool, compressed: bool, payload: &[u8], out: &mut Vec<u8>) {
        let mask = match self.role {
            Role::Client => Some(self.next_mask()),
            Role::Server => None,
        };
        out.reserve(HEAD_MAX + payload.len());
        FrameHead { opcode, last, compressed, length: payload.len() as u64, mask }.write(out);
        let start = out.len();
        out.extend_from_slice(payload);
        if let (Some(mask), Some(masked)) = (mask, out.get_mut(start..)) {
            apply_mask(masked, mask);
        }
    }

    fn next_mask(&mut self) -> [u8; 4] {
        self.masked += 1;
        let [a, b, c, d, ..] = self.masks.hash_one(self.masked).to_le_bytes();
        [a, b, c, d]
    }
}
