//! The text of a node: `TYPE;KEY=VALUE;KEY=VALUE;`, read where it lies.
//!
//! Values may hold `=` but neither `;` nor `|`. What is no attribute (a word without `=`) stays in the text and is
//! passed over. Of two attributes with one name the first counts.

use super::key::Key;

/// The word before the first `;`.
#[inline]
pub(super) fn type_word(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|&b| b == b';').unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// Where the value of `key` begins and ends.
#[inline]
pub(super) fn find(text: &[u8], key: Key) -> Option<(usize, usize)> {
    if !key.is_packed() {
        return None;
    }
    let mut wanted = [b'='; 5];
    let mut length = 0;
    for (place, byte) in wanted.iter_mut().zip(key.0.to_le_bytes()) {
        if byte == 0 {
            break;
        }
        *place = byte;
        length += 1;
    }
    find_prefix(text, wanted.get(..=length)?)
}

/// As [`find`], for a name of any length.
pub(super) fn find_name(text: &[u8], name: &[u8]) -> Option<(usize, usize)> {
    let key = Key::of(name);
    if key.is_packed() {
        return find(text, key);
    }
    let mut wanted = Vec::with_capacity(name.len() + 1);
    wanted.extend_from_slice(name);
    wanted.push(b'=');
    find_prefix(text, &wanted)
}

#[inline]
fn find_prefix(text: &[u8], wanted: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    loop {
        at = match *wanted {
            [a, b, c, ..] => find_four(text, at, [b';', a, b, c])?,
            _ => at + memchr::memchr(b';', text.get(at..)?)?,
        } + 1;
        if text.get(at..)?.starts_with(wanted) {
            let start = at + wanted.len();
            let rest = text.get(start..)?;
            return Some((start, start + memchr::memchr(b';', rest).unwrap_or(rest.len())));
        }
    }
}

/// Where `four` stands first at or behind `from`. A node has a dozen attributes, and looking at each costs more than
/// looking at every byte of a block at once: within one there is no early exit, so that it is vectorised.
#[inline]
fn find_four(text: &[u8], from: usize, four: [u8; 4]) -> Option<usize> {
    const BLOCK: usize = 32;
    let [a, b, c, d] = four;
    let mut at = from;
    while let Some(block) = text.get(at..)?.first_chunk::<{ BLOCK + 3 }>() {
        let behind = block[1..=BLOCK].iter().zip(&block[2..BLOCK + 2]).zip(&block[3..BLOCK + 3]);
        let places = block[..BLOCK].iter().zip(behind);
        let is_here =
            |(w, ((x, y), z)): (&u8, ((&u8, &u8), &u8))| (*w == a) & (*x == b) & (*y == c) & (*z == d);
        if places.clone().fold(false, |found, place| found | is_here(place)) {
            let mut places = places;
            return places.position(is_here).map(|place| at + place);
        }
        at += BLOCK;
    }
    text.get(at..)?.windows(4).position(|window| *window == four).map(|place| at + place)
}

/// The attributes of a node's text (after its type word) as (name, value).
pub(super) fn attributes(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let from = type_word(text).len() + 1;
    pairs(text.get(from..).unwrap_or_default())
}

/// The attributes of a text without a type word.
pub(super) fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|&b| b == b';').filter_map(|token| {
        let at = token.iter().position(|&b| b == b'=')?;
        Some((token.get(..at)?, token.get(at + 1..)?))
    })
}

/// A whole number of at most `digits` digits, no sign.
pub(super) fn whole(text: &[u8], digits: usize) -> Option<u64> {
    if text.is_empty() || text.len() > digits || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0_u64, |n, &b| n.wrapping_mul(10).wrapping_add(u64::from(b - b'0'))))
}

/// Appends `name=value;`, behind an end of what stands before it.
pub(super) fn append(text: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if text.last() != Some(&b';') {
        text.push(b';');
    }
    for part in [name, b"=", value, b";"] {
        text.extend_from_slice(part);
    }
}

/// Whether the value of a suspension attribute says suspended: neither absent, empty nor `0`.
pub(super) fn suspended(value: Option<&[u8]>) -> bool {
    !matches!(value, None | Some(b"" | b"0"))
}

/// The result of a selection, where the value says one: `1` won, `0` lost.
pub(super) fn won(value: Option<&[u8]>) -> Option<bool> {
    match value {
        Some(b"1") => Some(true),
        Some(b"0") => Some(false),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn attributes_are_found_by_their_whole_name() {
        let text = b"EV;AID=1;ID=2;X=a=b;E=;OSSR=3;LONGNAME=4;ID=5;word;";
        let get = |name: &[u8]| find_name(text, name).map(|(a, b)| &text[a..b]);
        assert_eq!(get(b"ID"), Some(&b"2"[..]));
        assert_eq!(get(b"X"), Some(&b"a=b"[..]));
        assert_eq!(get(b"E"), Some(&b""[..]));
        assert_eq!(get(b"OSSR"), Some(&b"3"[..]));
        assert_eq!(get(b"LONGNAME"), Some(&b"4"[..]));
        assert_eq!(get(b"EV"), None);
        assert_eq!(get(b"D"), None);
        assert_eq!(get(b"word"), None);
        assert_eq!(attributes(text).count(), 7);
        assert_eq!(find(b"EV;ID=7", Key::of(b"ID")), Some((6, 7)), "the last may lack its end");
    }

    proptest! {
        #[test]
        fn an_attribute_is_found_wherever_it_stands(
            text in "[AB;=]{0,120}",
            name in "[AB]{1,5}",
        ) {
            let mut at = 0;
            let mut naive = None;
            for token in text.split(';') {
                if at > 0 && naive.is_none() && token.strip_prefix(&name).is_some_and(|rest| rest.starts_with('=')) {
                    naive = Some((at + name.len() + 1, at + token.len()));
                }
                at += token.len() + 1;
            }
            prop_assert_eq!(find_name(text.as_bytes(), name.as_bytes()), naive);
        }
    }

    #[test]
    fn whole_numbers() {
        assert_eq!(whole(b"99999", 5), Some(99_999));
        assert_eq!(whole(b"007", 5), Some(7));
        for odd in [&b""[..], b"-1", b"1.5", b"123456", b" 1"] {
            assert_eq!(whole(odd, 5), None);
        }
    }
}
