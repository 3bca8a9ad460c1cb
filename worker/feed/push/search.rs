//! Values of a JSON text by pointers: all pointers in one pass, and nothing of the text is built.
//!
//! What is found is a place in the text. Of duplicate members the last counts. What no pointer leads through is passed over by its brackets
//! and quotes alone, however deep it is; whether a body is JSON shows where it is parsed. Callers: `dialect`.

use memchr::memchr2;
use std::borrow::Cow;
use std::ops::Range;
use touchline_common::config::{Pointer, PointerStep};

pub type Span = Range<usize>;

/// Items of one message at most: a small item takes less than what is noted of it.
pub(super) const ELEMENTS_MAX: usize = 100_000;

/// The text ends too soon, or is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Where a pointer's value is found, among those of its [`Search`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(usize);

/// The pointers, as a tree of their steps.
#[derive(Clone, Debug, Default)]
pub(super) struct Search {
    root: Node,
    slots: usize,
}

#[derive(Clone, Debug, Default)]
struct Node {
    slot: Option<Slot>,
    children: Vec<(String, Node)>,
}

/// What was found in the last text.
#[derive(Clone, Debug, Default)]
pub(super) struct Found(Vec<Option<Span>>);

impl Found {
    pub(super) fn get(&self, slot: Slot) -> Option<Span> {
        self.0.get(slot.0).cloned().flatten()
    }

    fn set(&mut self, slot: Slot, span: Option<Span>) {
        if let Some(place) = self.0.get_mut(slot.0) {
            *place = span;
        }
    }
}

impl Search {
    /// Looks for what `pointer` leads to. Steps that find were refused with the configuration: they lead nowhere.
    pub(super) fn add(&mut self, pointer: &Pointer) -> Slot {
        let mut node = &mut self.root;
        for step in pointer.steps() {
            let name = match step {
                PointerStep::Member(name) => name.as_str(),
                PointerStep::Any | PointerStep::Having { .. } => "\0",
            };
            let place = node.children.iter().position(|(known, _)| known == name);
            let place = place.unwrap_or_else(|| {
                node.children.push((name.to_owned(), Node::default()));
                node.children.len() - 1
            });
            let Some((_, child)) = node.children.get_mut(place) else { break };
            node = child;
        }
        *node.slot.get_or_insert_with(|| {
            self.slots += 1;
            Slot(self.slots - 1)
        })
    }

    /// Searches the value that `span` is in `text`, and nothing but space around it.
    pub(super) fn run(&self, text: &[u8], span: Span, found: &mut Found) -> Result<(), Malformed> {
        found.0.clear();
        found.0.resize(self.slots, None);
        let mut cursor = Cursor { text: text.get(..span.end).ok_or(Malformed)?, at: span.start };
        cursor.value(&self.root, found)?;
        cursor.skip_space();
        if cursor.at == cursor.text.len() { Ok(()) } else { Err(Malformed) }
    }
}

/// Where the values stand that these pointers lead to, in their order; `None`: the text is malformed. Public for a fuzz target.
pub fn find(text: &[u8], pointers: &[Pointer]) -> Option<Vec<Option<Span>>> {
    let (mut search, mut found) = (Search::default(), Found::default());
    let slots: Vec<Slot> = pointers.iter().map(|pointer| search.add(pointer)).collect();
    search.run(text, 0..text.len(), &mut found).ok()?;
    Some(slots.into_iter().map(|slot| found.get(slot)).collect())
}

impl Node {
    fn child(&self, name: &[u8]) -> Option<&Node> {
        self.children.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, child)| child)
    }

    fn forget(&self, found: &mut Found) {
        if let Some(slot) = self.slot {
            found.set(slot, None);
        }
        self.children.iter().for_each(|(_, child)| child.forget(found));
    }
}

/// An element of an array, or a member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// A member's name, with its quotes.
    pub(super) name: Option<Span>,
    pub(super) value: Span,
}

/// Appends the elements of the array or the members of the object at `span`, up to [`ELEMENTS_MAX`]; nothing of any other value.
pub(super) fn elements(text: &[u8], span: Span, into: &mut Vec<Element>) -> Result<(), Malformed> {
    let mut cursor = Cursor { text: text.get(..span.end).ok_or(Malformed)?, at: span.start };
    let mut push = |element| {
        into.push(element);
        if into.len() > ELEMENTS_MAX { Err(Malformed) } else { Ok(()) }
    };
    match cursor.peek() {
        Some(b'[') => cursor.array(|cursor, _| push(Element { name: None, value: cursor.skip_value()? })),
        Some(b'{') => {
            cursor.object(|cursor, name| push(Element { name: Some(name), value: cursor.skip_value()? }))
        }
        Some(_) | None => Ok(()),
    }
}

/// A text, number or truth value as text; null, arrays and objects are none.
pub(super) fn scalar(text: &[u8], span: Span) -> Option<Cow<'_, str>> {
    let written = std::str::from_utf8(text.get(span)?).ok()?;
    match written.as_bytes().first()? {
        b'"' if !written.contains('\\') => {
            written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map(Cow::Borrowed)
        }
        b'"' => serde_json::from_str(written).ok().map(Cow::Owned),
        b'-' | b'0'..=b'9' | b't' | b'f' => Some(Cow::Borrowed(written)),
        _ => None,
    }
}

struct Cursor<'t> {
    text: &'t [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        self.skip_space();
        if self.peek() != Some(byte) {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(())
    }

    /// Reads a value and what the pointers through `node` find in it. No deeper than the pointers.
    fn value(&mut self, node: &Node, found: &mut Found) -> Result<(), Malformed> {
        self.skip_space();
        let start = self.at;
        match self.peek() {
            Some(b'{') if !node.children.is_empty() => self.object(|cursor, name| {
                let child = node.child(&cursor.name(name));
                match child {
                    Some(child) => {
                        child.forget(found);
                        cursor.value(child, found)
                    }
                    None => cursor.skip_value().map(|_| ()),
                }
            })?,
            Some(b'[') if !node.children.is_empty() => {
                self.array(|cursor, index| match node.child(index.to_string().as_bytes()) {
                    Some(child) => cursor.value(child, found),
                    None => cursor.skip_value().map(|_| ()),
                })?;
            }
            Some(_) | None => {
                self.skip_value()?;
            }
        }
        if let Some(slot) = node.slot {
            found.set(slot, Some(start..self.at));
        }
        Ok(())
    }

    /// The name at `span`, without quotes and escapes.
    fn name(&self, span: Span) -> Cow<'_, [u8]> {
        let quoted = self.text.get(span).unwrap_or_default();
        if quoted.contains(&b'\\') {
            return Cow::Owned(serde_json::from_slice(quoted).map(String::into_bytes).unwrap_or_default());
        }
        Cow::Borrowed(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default())
    }

    fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Span) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expect(b'{')?;
        self.list(b'}', |cursor| {
            cursor.skip_space();
            let name = cursor.at;
            cursor.skip_string()?;
            let name = name..cursor.at;
            cursor.expect(b':')?;
            member(cursor, name)
        })
    }

    fn array(
        &mut self,
        mut element: impl FnMut(&mut Self, usize) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expect(b'[')?;
        let mut index = 0;
        self.list(b']', |cursor| {
            index += 1;
            element(cursor, index - 1)
        })
    }

    /// What stands between brackets, with commas between.
    fn list(
        &mut self,
        end: u8,
        mut each: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.skip_space();
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(());
        }
        loop {
            each(self)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == end => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) | None => return Err(Malformed),
            }
        }
    }

    /// Passes over a value: strings by their quotes, arrays and objects by their brackets, without recursion.
    fn skip_value(&mut self) -> Result<Span, Malformed> {
        self.skip_space();
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek().ok_or(Malformed)? {
                b'"' => self.skip_string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1).ok_or(Malformed)?;
                    self.at += 1;
                }
                b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth > 0 => self.at += 1,
                b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => self.skip_word(),
                _ => return Err(Malformed),
            }
            if depth == 0 {
                return Ok(start..self.at);
            }
        }
    }

    fn skip_word(&mut self) {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        while self.peek().is_some_and(is_word) {
            self.at += 1;
        }
    }

    fn skip_string(&mut self) -> Result<(), Malformed> {
        self.expect(b'"')?;
        loop {
            let rest = self.text.get(self.at..).ok_or(Malformed)?;
            let mark = memchr2(b'"', b'\\', rest).ok_or(Malformed)?;
            self.at += mark + 1;
            if rest.get(mark) == Some(&b'"') {
                return Ok(());
            }
            // What is escaped ends no string.
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn found<'t>(text: &'t str, pointers: &[&str]) -> Option<Vec<Option<&'t str>>> {
        let pointers: Vec<Pointer> = pointers.iter().map(|pointer| pointer.parse().unwrap()).collect();
        let spans = find(text.as_bytes(), &pointers)?;
        Some(spans.into_iter().map(|span| span.and_then(|span| text.get(span))).collect())
    }

    #[test]
    fn pointers_find_what_was_written() {
        let text =
            r#" {"a":{"b":[1,{"c":12345678901234567890.50}]},"t":"x\"]}","e\u0041":null,"d":1,"d":2} "#;
        assert_eq!(
            found(text, &["/a/b/1/c", "/t", "/eA", "/d", "/a/b/0", "/a/x", "/t/0"]).unwrap(),
            [
                Some("12345678901234567890.50"),
                Some(r#""x\"]}""#),
                Some("null"),
                Some("2"),
                Some("1"),
                None,
                None
            ]
        );
        assert_eq!(found("[[7]]", &["", "/0", "/0/0"]).unwrap(), [Some("[[7]]"), Some("[7]"), Some("7")]);
    }

    #[test]
    fn of_duplicate_members_the_last_counts_with_all_below_it() {
        assert_eq!(found(r#"{"a":{"b":1},"a":{"c":2}}"#, &["/a/b", "/a/c"]).unwrap(), [None, Some("2")]);
    }

    #[test]
    fn what_is_no_json_is_malformed_and_depth_is_no_danger() {
        for text in
            ["", "{", "{\"a\"", "{\"a\":}", "[1,]", "{} x", "nope:", "\"a", "{\"a\":\"\\\"}", "]", "<html>"]
        {
            assert_eq!(found(text, &["/a"]), None, "{text}");
        }
        let deep = "[".repeat(1_000_000);
        assert_eq!(found(&deep, &["/0/0"]), None);
        let closed = format!("{{\"x\":{deep}{},\"a\":1}}", "]".repeat(1_000_000));
        assert_eq!(found(&closed, &["/a"]).unwrap(), [Some("1")]);
    }

    #[test]
    fn elements_of_arrays_and_objects() {
        let text = br#"[1, {"a":2} ,"x"]"#;
        let mut all = Vec::new();
        elements(text, 0..text.len(), &mut all).unwrap();
        assert_eq!(
            all.iter().map(|one| &text[one.value.clone()]).collect::<Vec<_>>(),
            [&b"1"[..], b"{\"a\":2}", b"\"x\""]
        );
        let text = br#"{"a":1,"b":[2]}"#;
        all.clear();
        elements(text, 0..text.len(), &mut all).unwrap();
        let names: Vec<_> = all.iter().map(|one| scalar(text, one.name.clone().unwrap()).unwrap()).collect();
        assert_eq!(names, ["a", "b"]);
        all.clear();
        assert_eq!((elements(b"7", 0..1, &mut all), all.len()), (Ok(()), 0));
    }

    proptest! {
        #[test]
        fn it_finds_what_the_library_finds(
            values in prop::collection::vec(("[a-c]{1,2}", any::<i32>(), "\\PC{0,6}"), 0..6),
        ) {
            let value: Value = values
                .into_iter()
                .map(|(name, number, text)| (name, serde_json::json!({"n": number, "t": text, "l": [number, text]})))
                .collect::<serde_json::Map<_, _>>()
                .into();
            let text = value.to_string();
            for pointer in ["/a/n", "/b/t", "/cc/l/1", "/a/l/0", "/ab", ""] {
                let wanted = value.pointer(pointer).cloned();
                let got = found(&text, &[pointer]).unwrap()[0].map(|raw| serde_json::from_str::<Value>(raw).unwrap());
                prop_assert_eq!(got, wanted, "{}", pointer);
            }
        }

        #[test]
        fn no_bytes_are_a_danger(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut search = Search::default();
            search.add(&"/a/0".parse().unwrap());
            let mut all = Vec::new();
            let _ = search.run(&bytes, 0..bytes.len(), &mut Found::default());
            let _ = elements(&bytes, 0..bytes.len(), &mut all);
        }
    }
}
