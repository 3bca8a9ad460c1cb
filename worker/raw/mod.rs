//! What a worker received, as it is recorded with `record_raw`: records of bytes and of what the worker was asked meanwhile. Pure.
//!
//! A file begins with [`MAGIC`]; each record is a length and a CRC-32 of its body, both of four bytes, and the body: kind, time, connection,
//! content; numbers are little-endian. Bytes are those that the session reads: behind TLS and the WebSocket; of rooms, each of which has
//! a connection, behind TLS. A file whose writer was killed
//! ends in the midst of a record. `writer` appends to the files; `replay` of this crate reads them.

#[cfg(test)]
mod tests;
mod writer;

pub use writer::{Settings, Writer};

use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, Read};
use touchline_common::ipc::messages::worker::ReleaseReason;
use touchline_common::model::{Epoch, Generation, Listing, MatchId, SlotId};

pub const MAGIC: [u8; 16] = *b"touchline raw 1\n";
/// Length and checksum.
const HEAD: usize = 8;
/// Kind, time and connection.
const FIXED: usize = 17;
/// A longer record is none of ours: what is read at once is far shorter.
const MOST: usize = 16 << 20;

/// Something beside bytes. As JSON in the files, so that another version reads what it knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Mark {
    /// The first record of each file.
    Worker {
        feed: String,
        slot: SlotId,
        generation: Generation,
    },
    Assigned {
        id: MatchId,
        epoch: Epoch,
        topics: Vec<String>,
        listing: Listing,
    },
    Listed {
        id: MatchId,
        listing: Listing,
    },
    Renewed {
        id: MatchId,
        epoch: Epoch,
    },
    Released {
        id: MatchId,
        epoch: Epoch,
        why: ReleaseReason,
    },
    /// The next loads of the match are compared with what is held.
    Audited {
        id: MatchId,
    },
    /// The connection is over.
    Lost,
    /// The connection is that of this topic alone; before its first bytes.
    Joined {
        topic: String,
    },
    /// That of this topic is over, or was not let in; nothing had come for so long.
    Interrupted {
        topic: String,
        unheard_us: u64,
    },
    /// So many bytes of records are missing here: the disk was too slow, or refused them.
    Dropped {
        bytes: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Wall clock of the read, microseconds since 1970 UTC.
    pub at: i64,
    /// Counts the connections of the worker, from 1; 0 before the first.
    pub connection: u64,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one record is held at a time")]
pub enum Content {
    Bytes(Vec<u8>),
    Mark(Mark),
    /// Of a later version.
    Unknown,
}

const BYTES: u8 = 0;
const MARK: u8 = 1;

/// Appends a record of bytes.
pub fn put_bytes(out: &mut Vec<u8>, at: i64, connection: u64, bytes: &[u8]) {
    put(out, BYTES, at, connection, bytes);
}

/// Appends a record of something else.
pub fn put_mark(out: &mut Vec<u8>, at: i64, connection: u64, mark: &Mark) {
    // Plain data with text keys, which JSON can always write.
    let text = serde_json::to_vec(mark).unwrap_or_default();
    put(out, MARK, at, connection, &text);
}

fn put(out: &mut Vec<u8>, kind: u8, at: i64, connection: u64, content: &[u8]) {
    let mut fixed = [kind; FIXED];
    let (_, numbers) = fixed.split_at_mut(1);
    let (time, number) = numbers.split_at_mut(8);
    time.copy_from_slice(&at.to_le_bytes());
    number.copy_from_slice(&connection.to_le_bytes());
    let mut sum = flate2::Crc::new();
    sum.update(&fixed);
    sum.update(content);
    let length = u32::try_from(FIXED + content.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&sum.sum().to_le_bytes());
    out.extend_from_slice(&fixed);
    out.extend_from_slice(content);
}

/// Why a file cannot be read on.
#[derive(Debug)]
pub enum RawError {
    /// It does not begin as a recording does.
    NotRaw,
    /// It ends in the midst of a record: its writer was killed, or writes on.
    Cut,
    /// A record is not as it was written.
    Damaged {
        offset: u64,
    },
    Io(io::Error),
}

impl fmt::Display for RawError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RawError::NotRaw => f.write_str("not a recording of raw bytes"),
            RawError::Cut => f.write_str("it ends in the midst of a record"),
            RawError::Damaged { offset } => write!(f, "the record at byte {offset} is damaged"),
            RawError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RawError {}

/// The records of a file, one by one; nothing comes after an error.
#[derive(Debug)]
pub struct Records<R> {
    input: R,
    offset: u64,
    over: bool,
}

impl<R: Read> Records<R> {
    /// Of a file from its beginning.
    ///
    /// # Errors
    /// [`RawError::NotRaw`], [`RawError::Io`].
    pub fn new(mut input: R) -> Result<Records<R>, RawError> {
        let mut magic = [0; MAGIC.len()];
        match input.read_exact(&mut magic) {
            Ok(()) if magic == MAGIC => Ok(Records { input, offset: MAGIC.len() as u64, over: false }),
            Ok(()) => Err(RawError::NotRaw),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(RawError::NotRaw),
            Err(error) => Err(RawError::Io(error)),
        }
    }

    fn read(&mut self) -> Result<Option<Record>, RawError> {
        let mut head = Vec::with_capacity(HEAD);
        self.fill(&mut head, HEAD)?;
        let Some((length, rest)) = head.split_first_chunk::<4>() else {
            return if head.is_empty() { Ok(None) } else { Err(RawError::Cut) };
        };
        let Some((sum, _)) = rest.split_first_chunk::<4>() else { return Err(RawError::Cut) };
        let damaged = RawError::Damaged { offset: self.offset };
        let (length, sum) = (u32::from_le_bytes(*length) as usize, u32::from_le_bytes(*sum));
        if !(FIXED..=MOST).contains(&length) {
            return Err(damaged);
        }
        let mut body = Vec::new();
        self.fill(&mut body, length)?;
        if body.len() < length {
            return Err(RawError::Cut);
        }
        let mut found = flate2::Crc::new();
        found.update(&body);
        if found.sum() != sum {
            return Err(damaged);
        }
        self.offset += (HEAD + length) as u64;
        decode(body).map(Some).ok_or(damaged)
    }

    /// Reads so many bytes, or as many as there are.
    fn fill(&mut self, out: &mut Vec<u8>, count: usize) -> Result<(), RawError> {
        self.input.by_ref().take(count as u64).read_to_end(out).map_err(RawError::Io)?;
        Ok(())
    }
}

fn decode(mut body: Vec<u8>) -> Option<Record> {
    let content = body.split_off(FIXED.min(body.len()));
    let (kind, rest) = body.split_first()?;
    let (at, rest) = rest.split_first_chunk::<8>()?;
    let (connection, _) = rest.split_first_chunk::<8>()?;
    let content = match *kind {
        BYTES => Content::Bytes(content),
        MARK => serde_json::from_slice(&content).map_or(Content::Unknown, Content::Mark),
        _ => Content::Unknown,
    };
    Some(Record { at: i64::from_le_bytes(*at), connection: u64::from_le_bytes(*connection), content })
}

impl<R: Read> Iterator for Records<R> {
    type Item = Result<Record, RawError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let read = self.read().transpose();
        self.over = !matches!(read, Some(Ok(_)));
        read
    }
}
