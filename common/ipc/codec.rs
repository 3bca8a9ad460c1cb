//! The only place that knows bincode: message to frame, body to message.
//!
//! bincode is at its end of life; another codec can be put here in a day. Fixed-width integers (`legacy`), and a
//! limit, without which a claimed length would be allocated before it is checked.

use super::frame::{HEADER_LEN, Header};
use super::messages::Message;
use std::fmt;

/// The most that one message may claim while it is decoded, in bytes.
pub const DECODE_LIMIT: usize = 32 * 1024 * 1024;

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Fixint,
    bincode::config::Limit<DECODE_LIMIT>,
> = bincode::config::legacy().with_limit::<DECODE_LIMIT>();

/// Why a message could not be written or read.
#[derive(Debug)]
pub enum CodecError {
    /// A body does not decode as its direction's message.
    Decode { source: bincode::error::DecodeError },
    /// A body decodes, but bytes are left over.
    TrailingBytes { count: usize },
    /// The frame's type is not the direction's.
    Kind { kind: u16, expected: u16 },
    /// A message cannot be encoded, or is longer than a frame's length can say.
    Encode { source: bincode::error::EncodeError },
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodecError::Decode { source } => write!(f, "a body does not decode: {source}"),
            CodecError::TrailingBytes { count } => write!(f, "{count} bytes are left after a message"),
            CodecError::Kind { kind, expected } => {
                write!(f, "a frame of type {kind:#06x} on a channel of type {expected:#06x}")
            }
            CodecError::Encode { source } => write!(f, "a message does not encode: {source}"),
        }
    }
}

impl std::error::Error for CodecError {}

/// Appends `message` as one frame to `out`, without a copy in between. On an error `out` is as it was.
///
/// # Errors
/// [`CodecError::Encode`].
pub fn encode_frame<M: Message>(
    message: &M,
    request: u32,
    flags: u16,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_LEN]);
    let written = bincode::serde::encode_into_std_write(message, out, CONFIG);
    let length = match written {
        Ok(length) => u32::try_from(length).unwrap_or(u32::MAX),
        Err(source) => {
            out.truncate(start);
            return Err(CodecError::Encode { source });
        }
    };
    let header = Header { kind: M::KIND, flags, request, length }.to_bytes();
    if let Some(place) = out.get_mut(start..start + HEADER_LEN) {
        place.copy_from_slice(&header);
    }
    Ok(())
}

/// The message in a frame's body.
///
/// # Errors
/// [`CodecError`]: the channel must be closed.
pub fn decode<M: Message + serde::de::DeserializeOwned>(
    header: &Header,
    body: &[u8],
) -> Result<M, CodecError> {
    decode_borrowed(header, body)
}

/// As [`decode`], of a message whose texts are borrowed from the body.
///
/// # Errors
/// [`CodecError`]: the channel must be closed.
pub fn decode_borrowed<'a, M: Message + serde::Deserialize<'a>>(
    header: &Header,
    body: &'a [u8],
) -> Result<M, CodecError> {
    if header.kind != M::KIND {
        return Err(CodecError::Kind { kind: header.kind, expected: M::KIND });
    }
    let (message, used) = bincode::serde::borrow_decode_from_slice(body, CONFIG)
        .map_err(|source| CodecError::Decode { source })?;
    if used != body.len() {
        return Err(CodecError::TrailingBytes { count: body.len() - used });
    }
    Ok(message)
}
