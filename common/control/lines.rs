//! Bytes in, lines out, with a bound.
//!
//! Invariant: at most the bound and one read are held. No I/O: the coordinator feeds it from its loop, the client from a
//! blocking read.

use std::fmt;

#[derive(Debug)]
pub struct LineReader {
    buffer: Vec<u8>,
    start: usize,
    /// Up to here there is no newline from `start` on.
    searched: usize,
    limit: usize,
}

impl LineReader {
    /// A reader of lines of at most `limit` bytes with their newline.
    pub const fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, searched: 0, limit }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line without its newline; `None`: more must be read.
    ///
    /// # Errors
    /// A line beyond the limit, whether it is whole or not. It stays, so the conversation can only end.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, LineError> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let newline = unsearched.iter().position(|&byte| byte == b'\n').map(|at| self.searched + at);
        let length = newline.map_or(self.buffer.len(), |at| at + 1) - self.start;
        if length > self.limit {
            return Err(LineError { limit: self.limit });
        }
        let Some(newline) = newline else {
            self.searched = self.buffer.len();
            return Ok(None);
        };
        let line = self.buffer.get(self.start..newline).unwrap_or_default();
        self.start = newline + 1;
        self.searched = self.start;
        Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)))
    }

    /// What was pushed and not yet taken as a line: it belongs to whoever goes on with the conversation.
    pub fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineError {
    /// The bound, bytes.
    pub limit: usize,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a line longer than {} bytes", self.limit)
    }
}

impl std::error::Error for LineError {}
