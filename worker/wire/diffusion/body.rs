//! Bodies that are compressed (zlib, RFC 1950) or written in base64, to what they stand for and back.
//!
//! Both directions append to a buffer of the caller's. Whatever is claimed, a body becomes neither longer than the
//! limit nor more than so many times its own length, and not a byte beyond that is ever written. A stream that stops
//! early, or goes on after its end, is no body. Callers: the session, the simulated server.

use super::Encoding;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use std::fmt;

/// The least that a decoder makes room for at once, in bytes.
const ROOM: usize = 4096;
/// It is unknown whether a server pads.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a body cannot be used. It hurts its own message only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is encrypted, which was never offered and is not public.
    Encrypted,
    /// The encoding byte is not one that the protocol names.
    Unknown { byte: u8 },
    /// It stands for more bytes than are allowed.
    TooLong {
        /// What is allowed, in bytes.
        limit: usize,
    },
    /// It stands for more times its own length than is allowed.
    TooDense { ratio: usize },
    /// It is no zlib stream, or its check sum is wrong.
    Zlib,
    /// The zlib stream stops early.
    CutOff,
    /// Something follows the end of the zlib stream.
    Trailing {
        /// How many bytes.
        bytes: usize,
    },
    /// It is not base64.
    Base64,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::Encrypted => {
                f.write_str("the body is encrypted although that was not offered; turn encryption off for this client at the server")
            }
            BodyError::Unknown { byte } => write!(f, "the body is encoded in an unknown way, {byte:#04x}"),
            BodyError::TooLong { limit } => {
                write!(f, "the decoded body has more than {limit} bytes; raise `inflated` in [limits] if that is right")
            }
            BodyError::TooDense { ratio } => write!(
                f,
                "the decoded body has more than {ratio} times the bytes that came; raise `inflate_ratio` in [limits] if that is right"
            ),
            BodyError::Zlib => f.write_str("the compressed body is not a zlib stream, or is damaged"),
            BodyError::CutOff => f.write_str("the compressed body stops early"),
            BodyError::Trailing { bytes } => write!(f, "{bytes} bytes follow the compressed body"),
            BodyError::Base64 => f.write_str("the body is not base64 although it says so"),
        }
    }
}

impl std::error::Error for BodyError {}

/// Decodes bodies, one after the other; what zlib needs is kept from one to the next.
#[derive(Debug)]
pub struct BodyDecoder {
    /// Only made once something is compressed: it takes some 40 kB.
    zlib: Option<Decompress>,
    limit: usize,
    ratio: usize,
}

impl BodyDecoder {
    /// Bodies of at most `limit` bytes, and at most `ratio` times as long as what came.
    pub const fn new(limit: usize, ratio: usize) -> BodyDecoder {
        BodyDecoder { zlib: None, limit, ratio }
    }

    /// Appends to `out` what `body` stands for. On an error `out` is as it was.
    pub fn decode(&mut self, encoding: Encoding, body: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        let start = out.len();
        let decoded = match encoding {
            Encoding::Plain
            | Encoding::EncryptionRequested
            | Encoding::CompressionRequested
            | Encoding::Base64Requested => {
                out.extend_from_slice(body);
                Ok(())
            }
            Encoding::Compressed => self.inflate(body, out),
            Encoding::Base64 => self.unbase64(body, out),
            Encoding::Encrypted => Err(BodyError::Encrypted),
            Encoding::Unknown(byte) => Err(BodyError::Unknown { byte }),
        };
        if decoded.is_err() {
            out.truncate(start);
        }
        decoded
    }

    fn unbase64(&self, body: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        // Padding stands for up to two bytes less.
        if body.len() / 4 * 3 > self.limit.saturating_add(2) {
            return Err(BodyError::TooLong { limit: self.limit });
        }
        let start = out.len();
        BASE64.decode_vec(body, out).map_err(|_| BodyError::Base64)?;
        if out.len() - start > self.limit {
            return Err(BodyError::TooLong { limit: self.limit });
        }
        Ok(())
    }

    fn inflate(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        let (limit, ratio) = (self.limit, self.ratio);
        let most = body.len().saturating_mul(ratio).min(limit);
        let too_much =
            if most < limit { BodyError::TooDense { ratio } } else { BodyError::TooLong { limit } };
        let zlib = self.zlib.get_or_insert_with(|| Decompress::new(true));
        zlib.reset(true);
        let start = out.len();
        let mut room = body.len().saturating_mul(4).max(ROOM);
        loop {
            let used = usize::try_from(zlib.total_in()).unwrap_or(usize::MAX);
            let rest = body.get(used..).unwrap_or_default();
            let had = out.len() - start;
            // A byte more than is allowed, or a body of just the limit could not be distinguished from a longer one.
            let target = start + had.saturating_add(room).min(most.saturating_add(1));
            // The vector writes into what it has room for, which may be more than was asked for: harmless, but bounded.
            out.reserve_exact(target.saturating_sub(out.len()).max(1));
            let status =
                zlib.decompress_vec(rest, out, FlushDecompress::None).map_err(|_| BodyError::Zlib)?;
            if out.len() - start > most {
                return Err(too_much);
            }
            let read = usize::try_from(zlib.total_in()).unwrap_or(usize::MAX);
            match status {
                Status::StreamEnd => {
                    let bytes = body.len().saturating_sub(read);
                    return if bytes == 0 { Ok(()) } else { Err(BodyError::Trailing { bytes }) };
                }
                // Neither read nor written although there was room: nothing more can come.
                Status::Ok | Status::BufError if read == used && out.len() - start == had => {
                    return Err(BodyError::CutOff);
                }
                Status::Ok | Status::BufError => room = room.saturating_mul(2),
            }
        }
    }
}

/// Encodes bodies, one after the other.
#[derive(Debug, Default)]
pub struct BodyEncoder {
    zlib: Option<Compress>,
}

impl BodyEncoder {
    /// Appends `body` as `encoding` writes it. Only zlib and base64 are written; anything else is left as it is.
    pub fn encode(&mut self, encoding: Encoding, body: &[u8], out: &mut Vec<u8>) {
        match encoding {
            Encoding::Compressed => self.deflate(body, out),
            Encoding::Base64 => {
                let mut text = String::new();
                BASE64.encode_string(body, &mut text);
                out.extend_from_slice(text.as_bytes());
            }
            Encoding::Plain
            | Encoding::EncryptionRequested
            | Encoding::CompressionRequested
            | Encoding::Base64Requested
            | Encoding::Encrypted
            | Encoding::Unknown(_) => out.extend_from_slice(body),
        }
    }

    fn deflate(&mut self, body: &[u8], out: &mut Vec<u8>) {
        let zlib = self.zlib.get_or_insert_with(|| Compress::new(Compression::fast(), true));
        zlib.reset();
        loop {
            let used = usize::try_from(zlib.total_in()).unwrap_or(usize::MAX);
            out.reserve((body.len().saturating_sub(used) / 2).max(ROOM));
            let rest = body.get(used..).unwrap_or_default();
            // In memory and with room it goes on; anything but an end is a call to go on.
            match zlib.compress_vec(rest, out, FlushCompress::Finish) {
                Ok(Status::Ok | Status::BufError) => {}
                Ok(Status::StreamEnd) | Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(encoding: Encoding, body: &[u8], limit: usize, ratio: usize) -> Result<Vec<u8>, BodyError> {
        let mut out = b"before".to_vec();
        let decoded = BodyDecoder::new(limit, ratio).decode(encoding, body, &mut out);
        assert!(out.starts_with(b"before"));
        decoded.map(|()| out.split_off(6)).inspect_err(|_| assert_eq!(out.len(), 6, "as it was"))
    }

    fn encoded(encoding: Encoding, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        BodyEncoder::default().encode(encoding, body, &mut out);
        out
    }

    #[test]
    fn a_stream_of_another_zlib_is_read() {
        // "hello hello hello hello", written by the reference implementation at its usual level.
        let stream = b"\x78\x9c\xcb\x48\xcd\xc9\xc9\x57\xc8\x40\x27\x01\x68\x03\x08\xb1";
        assert_eq!(decoded(Encoding::Compressed, stream, 100, 100).unwrap(), b"hello hello hello hello");
    }

    #[test]
    fn base64_is_read_with_and_without_padding() {
        for text in ["aGVsbG8=", "aGVsbG8"] {
            assert_eq!(decoded(Encoding::Base64, text.as_bytes(), 5, 1).unwrap(), b"hello");
        }
        for bad in ["aGVsb*8=", "aGVsbG8=\n", "a"] {
            assert_eq!(decoded(Encoding::Base64, bad.as_bytes(), 100, 1), Err(BodyError::Base64), "{bad}");
        }
        assert_eq!(decoded(Encoding::Base64, b"aGVsbG8=", 4, 1), Err(BodyError::TooLong { limit: 4 }));
    }

    #[test]
    fn the_limit_and_the_ratio_are_held_to_the_byte() {
        let zeros = encoded(Encoding::Compressed, &[0; 100_000]);
        assert!(zeros.len() < 1_000);
        assert!(decoded(Encoding::Compressed, &zeros, 100_000, 10_000).is_ok());
        assert_eq!(
            decoded(Encoding::Compressed, &zeros, 99_999, 10_000),
            Err(BodyError::TooLong { limit: 99_999 })
        );
        assert_eq!(
            decoded(Encoding::Compressed, &zeros, 1 << 30, 50),
            Err(BodyError::TooDense { ratio: 50 })
        );
        assert_eq!(decoded(Encoding::Compressed, &zeros, 0, 50), Err(BodyError::TooLong { limit: 0 }));
    }

    #[test]
    fn a_bomb_takes_no_more_memory_than_the_limit() {
        let bomb = encoded(Encoding::Compressed, &vec![0; 50_000_000]);
        let mut out = Vec::new();
        let mut decoder = BodyDecoder::new(1_000_000, usize::MAX);
        assert!(decoder.decode(Encoding::Compressed, &bomb, &mut out).is_err());
        assert!(out.is_empty() && out.capacity() <= 1_100_000, "{}", out.capacity());
        assert!(decoder.decode(Encoding::Compressed, &encoded(Encoding::Compressed, b"x"), &mut out).is_ok());
        assert_eq!(out, b"x", "and the next is read");
    }

    #[test]
    fn a_damaged_stream_is_no_body() {
        let whole = encoded(Encoding::Compressed, b"some text that is some text");
        for end in 0..whole.len() {
            assert_eq!(decoded(Encoding::Compressed, &whole[..end], 1000, 1000), Err(BodyError::CutOff));
        }
        let longer = [&whole[..], b"zz"].concat();
        assert_eq!(decoded(Encoding::Compressed, &longer, 1000, 1000), Err(BodyError::Trailing { bytes: 2 }));
        let mut wrong = whole.clone();
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(decoded(Encoding::Compressed, &wrong, 1000, 1000), Err(BodyError::Zlib));
        assert_eq!(decoded(Encoding::Compressed, b"no zlib at all", 1000, 1000), Err(BodyError::Zlib));
        assert_eq!(decoded(Encoding::Encrypted, b"x", 10, 10), Err(BodyError::Encrypted));
        assert_eq!(decoded(Encoding::Unknown(0x7f), b"x", 10, 10), Err(BodyError::Unknown { byte: 0x7f }));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(body in prop::collection::vec(any::<u8>(), 0..20_000), repeat in 1usize..6) {
            let body = body.repeat(repeat);
            for encoding in [Encoding::Plain, Encoding::Compressed, Encoding::Base64] {
                let there = encoded(encoding, &body);
                prop_assert_eq!(decoded(encoding, &there, body.len(), 1_000), Ok(body.clone()));
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(body in prop::collection::vec(any::<u8>(), 0..300), byte: u8) {
            let encoding = Encoding::from_byte(byte);
            if let Ok(out) = decoded(encoding, &body, 500, 4) {
                prop_assert!(out.len() <= 500);
            }
        }
    }
}
