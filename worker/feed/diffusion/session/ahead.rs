//! Messages that are framed before they are taken, so that a caller can prepare for many of them at once.
//!
//! Bounded, and never an error: what cannot be framed is met again when it is taken. The frames are places in the
//! session's buffer and good until it is read into.

use crate::wire::diffusion::{Frame, FrameBuffer};

/// Messages framed at once.
const MOST: usize = 32;

/// The framed messages, in their order.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    frames: Vec<Frame>,
    taken: usize,
}

impl Ahead {
    #[inline]
    pub(super) fn first(&self) -> Option<Frame> {
        self.frames.get(self.taken).copied()
    }

    #[inline]
    pub(super) fn take(&mut self) -> Option<Frame> {
        let frame = self.first()?;
        self.taken += 1;
        Some(frame)
    }

    #[inline]
    pub(super) fn rest(&self) -> &[Frame] {
        self.frames.get(self.taken..).unwrap_or_default()
    }

    /// How many are not taken.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.frames.len() - self.taken
    }

    #[inline]
    pub(super) fn fill(&mut self, buffer: &mut FrameBuffer) {
        self.frames.clear();
        self.taken = 0;
        while self.frames.len() < MOST {
            match buffer.advance() {
                Ok(Some(frame)) => self.frames.push(frame),
                Ok(None) | Err(_) => return,
            }
        }
    }
}
