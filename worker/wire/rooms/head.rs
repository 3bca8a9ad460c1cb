//! The head of a packet: its length, the head's own length, the body's form, the operation, a sequence number that nobody reads.

use super::PacketError;
use std::ops::Range;

/// Bytes of a head as it is written; one that is read may say that it is longer.
pub const HEADER_LEN: usize = 16;

/// A packet where it lies among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Bytes of the whole packet.
    pub(super) total: usize,
    /// The head's length as it states it.
    head: u16,
    pub(super) form: u16,
    pub(super) operation: u32,
}

impl Cut {
    /// The packet with which `bytes` begin; `None` if more must come. Its head alone is enough to be refused.
    ///
    /// # Errors
    /// [`PacketError::Length`]: it is not known where the next packet begins.
    pub(super) fn parse(bytes: &[u8], limit: usize) -> Result<Option<Cut>, PacketError> {
        let Some((head, _)) = bytes.split_first_chunk::<HEADER_LEN>() else { return Ok(None) };
        let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = *head;
        let length = u32::from_be_bytes([a, b, c, d]);
        let total = usize::try_from(length).unwrap_or(usize::MAX);
        if total < HEADER_LEN || total > limit {
            return Err(PacketError::Length { length, limit });
        }
        let cut = Cut {
            total,
            head: u16::from_be_bytes([e, f]),
            form: u16::from_be_bytes([g, h]),
            operation: u32::from_be_bytes([i, j, k, l]),
        };
        Ok((bytes.len() >= total).then_some(cut))
    }

    /// Where the body of this packet lies, which begins at `start`.
    ///
    /// # Errors
    /// [`PacketError::Head`]: this packet is to be skipped.
    pub(super) fn body(&self, start: usize) -> Result<Range<usize>, PacketError> {
        let head = usize::from(self.head);
        if head < HEADER_LEN || head > self.total {
            return Err(PacketError::Head { head: self.head, length: self.total });
        }
        Ok(start.saturating_add(head)..start.saturating_add(self.total))
    }
}

/// Appends a head; the sequence number is 1, as clients write it.
pub(super) fn write(out: &mut Vec<u8>, body: usize, form: u16, operation: u32) {
    let length = u32::try_from(HEADER_LEN.saturating_add(body)).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&(HEADER_LEN as u16).to_be_bytes());
    out.extend_from_slice(&form.to_be_bytes());
    out.extend_from_slice(&operation.to_be_bytes());
    out.extend_from_slice(&1_u32.to_be_bytes());
}
