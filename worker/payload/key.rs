//! Type words and attribute names as packed numbers, so that the hot path compares integers.
//!
//! A name of one to four printable ASCII bytes is itself, little-endian. Any other name becomes a number with the
//! top bit set, which equals no mapped name; two of those are distinguished by their bytes.

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(pub(crate) u32);

const LONG: u32 = 0x8000_0000;

impl Key {
    /// The empty name: the type of a topic's artificial root.
    pub(crate) const EMPTY: Key = Key(0);

    /// Packs `name`.
    #[inline]
    pub(crate) fn of(name: &[u8]) -> Key {
        match *name {
            [a, b] if plain(a) && plain(b) => Key(u32::from_le_bytes([a, b, 0, 0])),
            [] => Key::EMPTY,
            [a] if plain(a) => Key(u32::from(a)),
            [a, b, c] if plain(a) && plain(b) && plain(c) => Key(u32::from_le_bytes([a, b, c, 0])),
            [a, b, c, d] if plain(a) && plain(b) && plain(c) && plain(d) => {
                Key(u32::from_le_bytes([a, b, c, d]))
            }
            _ => Key::long(name),
        }
    }

    fn long(name: &[u8]) -> Key {
        let hash = name.iter().fold(0x811c_9dc5_u32, |h, &b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
        Key(hash | LONG)
    }

    pub(crate) fn is_packed(self) -> bool {
        self.0 & LONG == 0
    }
}

#[inline]
fn plain(byte: u8) -> bool {
    byte.wrapping_sub(0x21) < 0x5e
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_differ_and_long_ones_equal_no_short_one() {
        let names: [&[u8]; 7] = [b"", b"A", b"AA", b"A=", b"AAA", b"AAAA", b"OSSR"];
        for (i, a) in names.iter().enumerate() {
            for (j, b) in names.iter().enumerate() {
                assert_eq!(Key::of(a) == Key::of(b), i == j, "{a:?} {b:?}");
            }
        }
        for odd in [&b"A\0"[..], b"ABCDE", b"\xc3\xa9", b" "] {
            assert!(!Key::of(odd).is_packed(), "{odd:?}");
        }
    }
}
