//! What a binary frame holds: JSON as it stands, or packed by gzip, zlib or bare deflate.
//!
//! Invariant: what is unpacked stays within its bound, however little was sent.

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use std::fmt;
use std::io::Read;
use touchline_common::config::Packed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnpackError {
    /// Not packed in this way, or broken.
    Broken(Packed),
    Long {
        limit: usize,
    },
}

impl fmt::Display for UnpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(packed) => {
                write!(f, "a binary frame that cannot be unpacked as {}; check `packed`", name(*packed))
            }
            Self::Long { limit } => {
                write!(
                    f,
                    "a binary frame of more than {limit} bytes once unpacked; see `inflated` under [limits]"
                )
            }
        }
    }
}

fn name(packed: Packed) -> &'static str {
    match packed {
        Packed::Auto | Packed::None => "JSON",
        Packed::Gzip => "gzip",
        Packed::Zlib => "zlib",
        Packed::Deflate => "deflate",
    }
}

/// What `frame` holds goes to `out`, which is emptied before; at most `limit` bytes.
pub(super) fn unpack(
    frame: &[u8],
    packed: Packed,
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), UnpackError> {
    out.clear();
    let packed = match packed {
        Packed::Auto => recognised(frame),
        Packed::None | Packed::Gzip | Packed::Zlib | Packed::Deflate => packed,
    };
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = match packed {
        Packed::Auto | Packed::None => frame.take(most).read_to_end(out),
        Packed::Gzip => MultiGzDecoder::new(frame).take(most).read_to_end(out),
        Packed::Zlib => ZlibDecoder::new(frame).take(most).read_to_end(out),
        Packed::Deflate => DeflateDecoder::new(frame).take(most).read_to_end(out),
    };
    match read {
        Err(_) => Err(UnpackError::Broken(packed)),
        Ok(count) if count > limit => Err(UnpackError::Long { limit }),
        Ok(_) => Ok(()),
    }
}

fn recognised(frame: &[u8]) -> Packed {
    match frame {
        [0x1f, 0x8b, ..] => Packed::Gzip,
        // RFC 1950, 2.2: the method is deflate, and both bytes together are a multiple of 31.
        [first, second, ..]
            if first & 0x8f == 0x08 && u16::from_be_bytes([*first, *second]).is_multiple_of(31) =>
        {
            Packed::Zlib
        }
        _ => Packed::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use std::io::Write;

    fn packed(form: Packed, text: &[u8]) -> Vec<u8> {
        let level = Compression::default();
        match form {
            Packed::Auto | Packed::None => text.to_vec(),
            Packed::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            Packed::Zlib => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            Packed::Deflate => {
                let mut encoder = DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    #[test]
    fn each_form_comes_back_and_three_are_recognised() {
        let text = br#"{"a":[1,2,3],"b":"xxxxxxxxxxxxxxxxxxxxxxxx"}"#;
        let mut out = Vec::new();
        for form in [Packed::None, Packed::Gzip, Packed::Zlib, Packed::Deflate] {
            unpack(&packed(form, text), form, 1_000, &mut out).unwrap();
            assert_eq!(out, text);
        }
        for form in [Packed::None, Packed::Gzip, Packed::Zlib] {
            unpack(&packed(form, text), Packed::Auto, 1_000, &mut out).unwrap();
            assert_eq!(out, text, "{form:?}");
        }
    }

    #[test]
    fn a_bomb_and_garbage_are_errors() {
        let mut out = Vec::new();
        let bomb = packed(Packed::Gzip, &vec![b'0'; 10_000_000]);
        assert_eq!(
            unpack(&bomb, Packed::Auto, 1_000_000, &mut out),
            Err(UnpackError::Long { limit: 1_000_000 })
        );
        assert!(out.len() <= 1_000_001);
        assert_eq!(unpack(b"{}", Packed::Gzip, 100, &mut out), Err(UnpackError::Broken(Packed::Gzip)));
        assert_eq!(unpack(b"\x1f\x8b!", Packed::Auto, 100, &mut out), Err(UnpackError::Broken(Packed::Gzip)));
    }
}
