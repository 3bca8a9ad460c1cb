//! What waits to be written to a client: pieces of its own, and messages that it shares with others.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

/// Pieces of one write.
const PIECES: usize = 16;

#[derive(Debug)]
enum Piece {
    Own(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Own(bytes) => bytes,
            Piece::Shared(bytes) => bytes,
        }
    }
}

#[derive(Debug, Default)]
pub(in crate::serve) struct Outbox {
    pieces: VecDeque<Piece>,
    /// Bytes of the first that are written.
    written: usize,
    bytes: usize,
}

impl Outbox {
    pub(in crate::serve) fn push(&mut self, bytes: Arc<[u8]>) {
        self.add(Piece::Shared(bytes));
    }

    pub(in crate::serve) fn push_own(&mut self, bytes: Vec<u8>) {
        self.add(Piece::Own(bytes));
    }

    fn add(&mut self, piece: Piece) {
        let size = piece.bytes().len();
        if size > 0 {
            self.bytes += size;
            self.pieces.push_back(piece);
        }
    }

    pub(in crate::serve) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Bytes that wait.
    pub(in crate::serve) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is to be written next.
    pub(in crate::serve) fn slices(&self) -> Vec<IoSlice<'_>> {
        let mut skip = self.written;
        let pieces = self.pieces.iter().take(PIECES).map(|piece| {
            let bytes = piece.bytes().get(std::mem::take(&mut skip)..).unwrap_or_default();
            IoSlice::new(bytes)
        });
        pieces.collect()
    }

    pub(in crate::serve) fn wrote(&mut self, count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
        let mut left = self.written + count;
        while let Some(size) =
            self.pieces.front().map(|piece| piece.bytes().len()).filter(|size| *size <= left)
        {
            left -= size;
            self.pieces.pop_front();
        }
        self.written = left;
        if self.pieces.is_empty() {
            self.pieces = VecDeque::new();
        }
    }
}
