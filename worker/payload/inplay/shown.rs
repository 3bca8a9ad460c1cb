//! A node's text, ready to be written into a document: scanned once, eight bytes at a time.

use super::json_text::{Escape, Piece};
use super::key::Key;
use super::mapping::{Class, Mapping, Role};

/// A node's text, ready to be written.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) text: &'a [u8],
    pub(super) escape: Escape,
}

impl<'a> Shown<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, escape: Escape::of(text) }
    }

    /// Calls `each` with role, name and value of each attribute, in order.
    #[inline]
    pub(super) fn scan(
        self,
        mapping: &Mapping,
        class: Class,
        mut each: impl FnMut(Option<Role>, Piece<'a>, Piece<'a>),
    ) {
        let text = self.text;
        // Behind the last `;` stands nothing, or an attribute without its end, which is ended here.
        let (words, rest) = text.as_chunks::<8>();
        let mut last = [0; 8];
        for (place, byte) in last.iter_mut().zip(rest.iter().chain(b";")) {
            *place = *byte;
        }
        let mut start = usize::MAX;
        for (place, word) in words.iter().chain([&last]).enumerate() {
            let mut ends = semicolons(*word);
            while ends != 0 {
                let end = place * 8 + ends.trailing_zeros() as usize / 8;
                ends &= ends - 1;
                // Before the first `;` stands the type word.
                let from = std::mem::replace(&mut start, end + 1);
                if from == usize::MAX {
                    continue;
                }
                let equals = match text.get(from..from + 3) {
                    Some([a, b, b'=']) if *a != b'=' && *b != b'=' => from + 2,
                    _ => match text.get(from..end).and_then(|token| token.iter().position(|&b| b == b'=')) {
                        Some(at) => from + at,
                        None => continue,
                    },
                };
                if equals < end {
                    let name = Piece { whole: text, from, to: equals };
                    let value = Piece { whole: text, from: equals + 1, to: end };
                    each(mapping.role(class, Key::of(name.as_bytes())), name, value);
                }
            }
        }
    }
}

/// The top bit of each byte that is a semicolon, the first byte lowest.
#[inline]
fn semicolons(word: [u8; 8]) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let differing = u64::from_le_bytes(word) ^ 0x3b3b_3b3b_3b3b_3b3b;
    // Without a carry from byte to byte, so that no byte is taken for its neighbour.
    !(((differing & LOW) + LOW) | differing | LOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn attributes_are_those_that_splitting_gives(text in "(PA)?(;|=|[A-Z]{1,3}|[;=]x|\u{e9}|;[A-Z]{2}=[a-z]{0,20}){0,30}") {
            let mapping = Mapping::builtin().unwrap();
            let mut seen = Vec::new();
            Shown::new(text.as_bytes()).scan(&mapping, Class::Selection, |role, name, value| {
                assert_eq!(role, mapping.role(Class::Selection, Key::of(name.as_bytes())));
                seen.push((name.as_bytes(), value.as_bytes()));
            });
            let want: Vec<_> = crate::payload::text::attributes(text.as_bytes()).collect();
            prop_assert_eq!(seen, want);
        }
    }
}
