//! JSON text written straight from node text: no intermediate values.
//!
//! Whether a node's text needs escaping at all is found once per node; most do not, and then writing an attribute is
//! copying. Text that is not UTF-8 is written with U+FFFD.

use super::key::Key;
use super::mapping::{Class, Mapping, Role};
use std::borrow::Cow;
use std::collections::HashSet;
use touchline_common::model::Price;

/// A node's text, ready to be written.
pub(super) struct Shown<'a> {
    text: Cow<'a, str>,
    escape: Escape,
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
    /// It is copied as it is.
    Plain,
    /// Quotes, backslashes or control characters are in it.
    Needed,
}

impl<'a> Shown<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        let escape = Escape::of(text);
        Self { text: lossy(text), escape }
    }

    /// Calls `each` with role, name and value of each attribute, in order.
    #[inline]
    pub(super) fn scan<'s>(
        &'s self,
        mapping: &Mapping,
        class: Class,
        mut each: impl FnMut(Option<Role>, &'s str, &'s str),
    ) {
        let text: &'s str = &self.text;
        let bytes = text.as_bytes();
        let mut start = usize::MAX;
        // Before the first `;` stands the type word; behind the last one nothing, or an attribute without its end.
        for end in memchr::memchr_iter(b';', bytes).chain([bytes.len()]) {
            let from = std::mem::replace(&mut start, end + 1);
            if from == usize::MAX {
                continue;
            }
            let equals = match bytes.get(from + 2) {
                Some(b'=') if bytes.get(from) != Some(&b'=') && bytes.get(from + 1) != Some(&b'=') => {
                    from + 2
                }
                _ => match bytes.get(from..end).and_then(|token| token.iter().position(|&b| b == b'=')) {
                    Some(at) => from + at,
                    None => continue,
                },
            };
            if equals >= end {
                continue;
            }
            if let (Some(name), Some(value)) = (text.get(from..equals), text.get(equals + 1..end)) {
                each(mapping.role(class, Key::of(name.as_bytes())), name, value);
            }
        }
    }

    pub(super) fn escape(&self) -> Escape {
        self.escape
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

/// Writes a string with its quotes.
pub(super) fn string(out: &mut String, text: &str) {
    quoted(out, text, Escape::of(text.as_bytes()));
}

/// As [`string`], where it is known whether it needs escaping.
#[inline]
pub(super) fn quoted(out: &mut String, text: &str, escape: Escape) {
    out.push('"');
    match escape {
        Escape::Plain => out.push_str(text),
        Escape::Needed => escaped(out, text),
    }
    out.push('"');
}

fn escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                const HEX: [char; 16] =
                    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
                let hex = |n: u32| HEX.get(n as usize & 15).copied().unwrap_or('0');
                out.push_str("\\u00");
                out.push(hex(u32::from(c) >> 4));
                out.push(hex(u32::from(c)));
            }
            c => out.push(c),
        }
    }
}

/// Writes a whole number. The library's formatting takes several times as long, and documents are full of them.
#[inline]
pub(super) fn number(out: &mut String, value: i64) {
    if value < 0 {
        out.push('-');
    }
    digits(out, value.unsigned_abs(), 1);
}

/// Writes a price as short as it is exact, as its `Display` does.
#[inline]
pub(super) fn price(out: &mut String, price: Price) {
    let (whole, rest) = (price.0 / 10_000, price.0 % 10_000);
    number(out, whole);
    if rest > 0 {
        out.push('.');
        digits(out, rest.unsigned_abs(), 4);
        while out.ends_with('0') {
            out.pop();
        }
    }
}

/// Writes a number with at least so many digits, 20 at most.
#[inline]
fn digits(out: &mut String, mut value: u64, least: usize) {
    let mut buffer = [b'0'; 20];
    let mut written = 0;
    for place in buffer.iter_mut().rev() {
        if value == 0 && written >= least {
            break;
        }
        *place = b'0' + (value % 10) as u8;
        value /= 10;
        written += 1;
    }
    let from = buffer.len() - written;
    if let Some(Ok(text)) = buffer.get(from..).map(std::str::from_utf8) {
        out.push_str(text);
    }
}

/// Closes what `open` opened: a trailing comma becomes the bracket.
pub(super) fn close(out: &mut String, bracket: char) {
    if out.ends_with(',') {
        out.pop();
    }
    out.push(bracket);
}

/// An `extra` object being written into a document: opened by its first attribute, each name once.
#[derive(Default)]
pub(super) struct Extra {
    few: Vec<Key>,
    many: HashSet<String>,
    written: bool,
}

impl Extra {
    /// Begins another object, keeping the room of the last.
    pub(super) fn begin(&mut self) {
        self.few.clear();
        self.many.clear();
        self.written = false;
    }

    #[inline]
    pub(super) fn add(&mut self, out: &mut String, name: &str, value: &str, escape: Escape) {
        if !self.is_new(name) {
            return;
        }
        if !self.written {
            self.written = true;
            out.push_str("\"extra\":{");
        }
        match escape {
            Escape::Plain => {
                out.push('"');
                out.push_str(name);
                out.push_str("\":\"");
                out.push_str(value);
                out.push_str("\",");
            }
            Escape::Needed => {
                quoted(out, name, escape);
                out.push(':');
                quoted(out, value, escape);
                out.push(',');
            }
        }
    }

    /// Closes the object, if anything was written: a comma follows it.
    #[inline]
    pub(super) fn end(&mut self, out: &mut String) {
        if self.written {
            close(out, '}');
            out.push(',');
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.written
    }

    #[inline]
    fn is_new(&mut self, name: &str) -> bool {
        let key = Key::of(name.as_bytes());
        if key.is_packed() && self.few.len() < 128 {
            let new = !self.few.contains(&key);
            if new {
                self.few.push(key);
            }
            return new;
        }
        if key.is_packed() && self.few.contains(&key) {
            return false;
        }
        self.many.insert(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            let mut out = String::new();
            string(&mut out, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn numbers_and_prices_are_as_the_library_writes_them(n in any::<i64>(), p in 10_000..i64::MAX / 2, small in 10_000..100_000_i64) {
            let mut out = String::new();
            number(&mut out, n);
            prop_assert_eq!(&out, &n.to_string());
            for p in [p, small, p / 10_000 * 10_000, p / 100 * 100] {
                out.clear();
                price(&mut out, Price(p));
                prop_assert_eq!(&out, &Price(p).to_string());
            }
        }
    }

    #[test]
    fn every_control_character_is_escaped() {
        for byte in 0..0x80_u8 {
            let text = String::from(char::from(byte));
            let mut out = String::new();
            string(&mut out, &text);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn an_extra_has_each_name_once() {
        let (mut out, mut extra) = (String::from("{"), Extra::default());
        extra.begin();
        for n in 0..300 {
            extra.add(&mut out, &format!("K{}", n % 200), "v", Escape::Plain);
        }
        extra.end(&mut out);
        close(&mut out, '}');
        assert_eq!(out.matches("\"K").count(), 200);
        assert!(serde_json::from_str::<serde_json::Value>(&out).is_ok());
    }
}
