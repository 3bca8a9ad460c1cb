//! The fields of a method or of a content's header, one after the other.

use super::{AmqpError, Short};

#[derive(Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Fields<'a> {
        Fields(bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, AmqpError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, AmqpError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, AmqpError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, AmqpError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A text of at most 255 bytes.
    pub(super) fn short(&mut self) -> Result<Short, AmqpError> {
        let length = self.u8()?;
        let text = utf8(self.bytes(usize::from(length))?)?;
        // Always so: its length is one byte.
        Short::new(text).ok_or(AmqpError::Cut)
    }

    /// Bytes with a length of 32 bits before them: a long text, or a table.
    pub(super) fn long(&mut self) -> Result<&'a [u8], AmqpError> {
        let length = self.u32()?;
        self.bytes(length as usize)
    }

    /// A long text.
    pub(super) fn text(&mut self) -> Result<String, AmqpError> {
        utf8(self.long()?)
    }

    /// Nothing may follow.
    pub(super) fn end(self) -> Result<(), AmqpError> {
        if self.0.is_empty() { Ok(()) } else { Err(AmqpError::Trailing { bytes: self.0.len() }) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], AmqpError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(AmqpError::Cut)?;
        self.0 = rest;
        Ok(*head)
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], AmqpError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(AmqpError::Cut)?;
        self.0 = rest;
        Ok(head)
    }
}

fn utf8(bytes: &[u8]) -> Result<String, AmqpError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| AmqpError::Utf8)
}

/// Writes bytes with their length of 32 bits before them.
pub(super) fn put_long(bytes: &[u8], out: &mut Vec<u8>) {
    // Cast: what we write so long is a login and a table of our own.
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}
