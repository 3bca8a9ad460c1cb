//! JSON text written straight from node text: no intermediate values.
//!
//! Whether a node's text needs escaping at all is found once per node; most do not, and then writing an attribute is
//! copying. The text of a feed is written as it came; whether all of it is UTF-8 is looked at once, when a section is
//! taken ([`Json::to_text`]), and what is none becomes U+FFFD. That is the same as doing it piece by piece, because
//! between two pieces there is always ASCII.

use super::key::Key;
use std::borrow::Cow;
use std::collections::HashSet;
use touchline_common::model::{Price, Side};

/// Bytes that are copied at once where there is room: one move of a fixed width instead of a call.
const WIDE: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Json {
    /// What lies behind `len` is room.
    bytes: Vec<u8>,
    len: usize,
}

/// A stretch of a node's text. What lies around it lets it be copied in fixed widths.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece<'a> {
    pub(super) whole: &'a [u8],
    pub(super) from: usize,
    pub(super) to: usize,
}

/// Text as UTF-8, with U+FFFD for what is none. Far cheaper than the library's where all is well, as it nearly always is.
#[inline]
pub(super) fn lossy(text: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(text) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(text),
    }
}

/// Whether a text holds what JSON strings cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    Plain,
    /// Quotes, backslashes or control characters are in it.
    Needed,
}

impl<'a> Piece<'a> {
    /// The bytes `from..to` of `whole`; empty where there are none.
    #[inline]
    pub(super) fn new(whole: &'a [u8], from: usize, to: usize) -> Piece<'a> {
        if from <= to && to <= whole.len() { Piece { whole, from, to } } else { Piece::default() }
    }

    #[inline]
    pub(super) fn as_bytes(self) -> &'a [u8] {
        self.whole.get(self.from..self.to).unwrap_or_default()
    }

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.from == self.to
    }
}

impl<'a> From<&'a [u8]> for Piece<'a> {
    fn from(text: &'a [u8]) -> Piece<'a> {
        Piece { whole: text, from: 0, to: text.len() }
    }
}

impl Escape {
    #[inline]
    pub(super) fn of(text: &[u8]) -> Escape {
        // No early exit, so that it is vectorised.
        let odd = text.iter().fold(false, |odd, &b| odd | (b < 0x20) | (b == b'"') | (b == b'\\'));
        if odd { Escape::Needed } else { Escape::Plain }
    }
}

impl Json {
    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// A copy as text; what is not UTF-8 becomes U+FFFD.
    pub(super) fn to_text(&self) -> String {
        lossy(self.as_bytes()).into_owned()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Takes back everything behind the first `len` bytes.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Empties it and keeps room of `most` bytes at most.
    pub(super) fn clear(&mut self, most: usize) {
        self.len = 0;
        if self.bytes.len() > most {
            self.bytes.truncate(most);
            self.bytes.shrink_to_fit();
        }
    }

    /// Makes room for `more` bytes and a wide copy behind them.
    #[inline(always)]
    fn room(&mut self, more: usize) {
        if self.bytes.len() - self.len < more + WIDE {
            self.grow(more);
        }
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let wanted = (self.len + more + WIDE).max(2 * self.bytes.len()).max(4096);
        self.bytes.resize(wanted, 0);
    }

    /// Writes bytes as they are.
    #[inline]
    pub(super) fn put(&mut self, text: &[u8]) {
        self.room(text.len());
        let to = self.len + text.len();
        if let Some(place) = self.bytes.get_mut(self.len..to) {
            place.copy_from_slice(text);
            self.len = to;
        }
    }

    /// Writes bytes whose number is known here: a few moves, no call.
    #[inline(always)]
    pub(super) fn fixed<const N: usize>(&mut self, text: &[u8; N]) {
        self.room(N);
        if let Some(place) = self.bytes.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut::<N>) {
            *place = *text;
            self.len += N;
        }
    }

    /// Writes a stretch of a node's text as it is.
    #[inline(always)]
    pub(super) fn piece(&mut self, piece: Piece<'_>) {
        let length = piece.to - piece.from;
        let from = piece.whole.get(piece.from..).and_then(<[u8]>::first_chunk::<WIDE>);
        let place = self.bytes.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut::<WIDE>);
        match (from, place) {
            (Some(from), Some(place)) if length <= WIDE => {
                *place = *from;
                self.len += length;
            }
            _ => self.put(piece.as_bytes()),
        }
    }

    pub(super) fn string(&mut self, text: &[u8]) {
        self.quoted(text.into(), Escape::of(text));
    }

    /// As [`Json::string`], where it is known whether it needs escaping.
    #[inline]
    pub(super) fn quoted(&mut self, text: Piece<'_>, escape: Escape) {
        self.fixed(b"\"");
        match escape {
            Escape::Plain => self.piece(text),
            Escape::Needed => self.escaped(text.as_bytes()),
        }
        self.fixed(b"\"");
    }

    fn escaped(&mut self, text: &[u8]) {
        const HEX: [u8; 16] = *b"0123456789abcdef";
        let hex = |n: u8| HEX.get(usize::from(n & 15)).copied().unwrap_or(b'0');
        for &byte in text {
            match byte {
                b'"' => self.fixed(b"\\\""),
                b'\\' => self.fixed(b"\\\\"),
                b'\n' => self.fixed(b"\\n"),
                b'\r' => self.fixed(b"\\r"),
                b'\t' => self.fixed(b"\\t"),
                0..0x20 => self.fixed(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte)]),
                _ => self.fixed(&[byte]),
            }
        }
    }

    /// Writes home and away as members, those that are known.
    pub(super) fn sides<N: Into<i64>>(&mut self, values: [Option<N>; 2]) {
        for (side, value) in Side::BOTH.into_iter().zip(values) {
            if let Some(value) = value {
                self.string(side.as_str().as_bytes());
                self.fixed(b":");
                self.number(value.into());
                self.fixed(b",");
            }
        }
    }

    /// Writes a whole number. The library's formatting takes several times as long, and documents are full of them.
    #[inline]
    pub(super) fn number(&mut self, value: i64) {
        if value < 0 {
            self.fixed(b"-");
        }
        match value.unsigned_abs() {
            digit @ 0..10 => self.fixed(&[b'0' + digit as u8]),
            more => self.digits(more),
        }
    }

    /// Writes a price as short as it is exact, as its `Display` does.
    #[inline]
    pub(super) fn price(&mut self, price: Price) {
        let (whole, rest) = (price.0 / 10_000, (price.0 % 10_000).unsigned_abs() as u32);
        self.number(whole);
        if rest > 0 {
            let digits = [rest / 1_000, rest / 100 % 10, rest / 10 % 10, rest % 10].map(|n| b'0' + n as u8);
            let [a, b, c, d] = digits;
            self.fixed(&[b'.', a, b, c, d]);
            self.len -= digits.iter().rev().take_while(|digit| **digit == b'0').count();
        }
    }

    fn digits(&mut self, mut value: u64) {
        let mut buffer = [b'0'; 20];
        let mut from = buffer.len();
        for place in buffer.iter_mut().rev() {
            *place = b'0' + (value % 10) as u8;
            value /= 10;
            from -= 1;
            if value == 0 {
                break;
            }
        }
        self.put(buffer.get(from..).unwrap_or_default());
    }

    /// Writes a member and a comma, unless there is no value.
    pub(super) fn member(&mut self, name: &str, value: Option<&str>) {
        self.member_bytes(name, value.unwrap_or_default().as_bytes());
    }

    /// As [`Json::member`], of a text as the feed wrote it.
    pub(super) fn member_bytes(&mut self, name: &str, value: &[u8]) {
        if !value.is_empty() {
            self.string(name.as_bytes());
            self.fixed(b":");
            self.string(value);
            self.fixed(b",");
        }
    }

    /// As [`Json::close`], with a comma behind it.
    pub(super) fn close_member(&mut self, bracket: u8) {
        self.close(bracket);
        self.fixed(b",");
    }

    /// Writes `true` or `false` behind what names it, and a comma.
    #[inline]
    pub(super) fn truth<const N: usize>(&mut self, name: &[u8; N], value: bool) {
        self.fixed(name);
        if value { self.fixed(b"true,") } else { self.fixed(b"false,") }
    }

    /// Closes what was opened: a trailing comma becomes the bracket.
    #[inline]
    pub(super) fn close(&mut self, bracket: u8) {
        if self.as_bytes().last() == Some(&b',') {
            self.len -= 1;
        }
        self.fixed(&[bracket]);
    }
}

/// An `extra` object being written into a document: opened by its first attribute, each name once.
#[derive(Default)]
pub(super) struct Extra {
    few: Vec<Key>,
    /// A bit for each name in `few`, several to a bit: where it is not set the name is new.
    marks: u64,
    many: HashSet<String>,
    written: bool,
}

impl Extra {
    /// Begins another object, keeping the room of the last.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.few.clear();
        self.marks = 0;
        if !self.many.is_empty() {
            self.many.clear();
        }
        self.written = false;
    }

    #[inline]
    pub(super) fn add(&mut self, out: &mut Json, name: Piece<'_>, value: Piece<'_>, escape: Escape) {
        if !self.is_new(name.as_bytes()) {
            return;
        }
        if !self.written {
            self.written = true;
            out.fixed(b"\"extra\":{");
        }
        match (escape, name.as_bytes()) {
            (Escape::Plain, [a, b]) => {
                out.fixed(&[b'"', *a, *b, b'"', b':', b'"']);
                out.piece(value);
                out.fixed(b"\",");
            }
            (Escape::Plain | Escape::Needed, _) => {
                out.quoted(name, escape);
                out.fixed(b":");
                out.quoted(value, escape);
                out.fixed(b",");
            }
        }
    }

    /// Closes the object, if anything was written: a comma follows it.
    #[inline]
    pub(super) fn end(&mut self, out: &mut Json) {
        if self.written {
            out.close_member(b'}');
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.written
    }

    #[inline]
    fn is_new(&mut self, name: &[u8]) -> bool {
        let key = Key::of(name);
        let mark = 1 << (key.0.wrapping_mul(0x9e37_79b9) >> 26);
        let seen = self.marks & mark != 0;
        if key.is_packed() && self.few.len() < 128 {
            let new = !(seen && self.few.contains(&key));
            if new {
                self.few.push(key);
                self.marks |= mark;
            }
            return new;
        }
        if key.is_packed() && seen && self.few.contains(&key) {
            return false;
        }
        // Names are compared as they are shown.
        self.many.insert(lossy(name).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            let mut out = Json::default();
            out.string(text.as_bytes());
            prop_assert_eq!(serde_json::from_str::<String>(&out.to_text()).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn numbers_and_prices_are_as_the_library_writes_them(n in any::<i64>(), p in 10_000..i64::MAX / 2, small in 10_000..100_000_i64) {
            let mut out = Json::default();
            out.number(n);
            prop_assert_eq!(&out.to_text(), &n.to_string());
            for p in [p, small, p / 10_000 * 10_000, p / 100 * 100] {
                out.clear(0);
                out.price(Price(p));
                prop_assert_eq!(&out.to_text(), &Price(p).to_string());
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_shown_as_the_library_shows_them(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
        ) {
            let mut out = Json::default();
            out.fixed(b"[");
            for piece in &pieces {
                out.string(piece);
                out.fixed(b",");
            }
            out.close(b']');
            let want: Vec<String> = pieces.iter().map(|piece| String::from_utf8_lossy(piece).into_owned()).collect();
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&out.to_text()).unwrap(), want);
        }

        #[test]
        fn pieces_are_copied_whole(text in prop::collection::vec(any::<u8>(), 0..100), from in 0..100_usize, to in 0..100_usize) {
            let mut out = Json::default();
            let piece = Piece::new(&text, from, to);
            out.piece(piece);
            out.put(piece.as_bytes());
            let want = text.get(from..to).unwrap_or_default().repeat(2);
            prop_assert_eq!(out.as_bytes(), &want[..]);
        }
    }

    #[test]
    fn every_control_character_is_escaped() {
        for byte in 0..0x80_u8 {
            let text = String::from(char::from(byte));
            let mut out = Json::default();
            out.string(text.as_bytes());
            assert_eq!(serde_json::from_str::<String>(&out.to_text()).unwrap(), text);
        }
    }

    #[test]
    fn an_extra_has_each_name_once() {
        let (mut out, mut extra) = (Json::default(), Extra::default());
        out.fixed(b"{");
        extra.begin();
        for n in 0..300 {
            let name = format!("K{}", n % 200);
            extra.add(&mut out, name.as_bytes().into(), b"v"[..].into(), Escape::Plain);
        }
        extra.end(&mut out);
        out.close(b'}');
        assert_eq!(out.to_text().matches("\"K").count(), 200);
        assert!(serde_json::from_str::<serde_json::Value>(&out.to_text()).is_ok());
    }
}
