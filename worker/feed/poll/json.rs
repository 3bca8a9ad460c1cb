//! Values of a JSON text by pointers (RFC 6901), without building the rest of it.
//!
//! What is found is a part of the text as it was written, so that no number loses a digit. Of duplicate members the last counts.

use serde_json::value::RawValue;
use std::collections::HashMap;

/// What `pointer` finds in `body`; none also if `body` is no JSON.
pub(super) fn find<'b>(body: &'b [u8], pointer: &str) -> Option<&'b RawValue> {
    find_in(serde_json::from_slice(body).ok()?, pointer)
}

/// As [`find`], in a value.
pub(super) fn find_in<'b>(value: &'b RawValue, pointer: &str) -> Option<&'b RawValue> {
    pointer.split('/').skip(1).try_fold(value, |here, token| {
        let token = token.replace("~1", "/").replace("~0", "~");
        match here.get().as_bytes().first()? {
            b'{' => members(here)?.remove(&token),
            b'[' => {
                let index: usize = token.parse().ok()?;
                elements(here)?.get(index).copied()
            }
            _ => None,
        }
    })
}

/// The elements of an array.
pub(super) fn elements(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

fn members(value: &RawValue) -> Option<HashMap<String, &RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// A text or a number as text; an empty text, null, and everything else is none.
pub(super) fn text(value: &RawValue) -> Option<String> {
    let written = value.get();
    match written.as_bytes().first()? {
        b'"' => serde_json::from_str(written).ok().filter(|text: &String| !text.is_empty()),
        b'-' | b'0'..=b'9' => Some(written.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_find_what_was_written() {
        let body = br#" {"a/b": [1, {"c~": "x", "n": 12345678901234567890}], "a": null, "a": "last"} "#;
        let of = |pointer| find(body, pointer).map(RawValue::get);
        assert_eq!(of("/a~1b/1/c~0"), Some("\"x\""));
        assert_eq!(of("/a~1b/1/n"), Some("12345678901234567890"));
        assert_eq!(of("/a"), Some("\"last\""));
        for nowhere in ["/b", "/a~1b/2", "/a~1b/x", "/a/b"] {
            assert_eq!(of(nowhere), None, "{nowhere}");
        }
        assert!(find(b"<html>", "").is_none() && find(b"", "").is_none());
        assert_eq!(find(body, "/a").and_then(text).as_deref(), Some("last"));
    }

    #[test]
    fn a_text_nested_a_million_deep_is_no_danger() {
        let mut body = vec![b'['; 1_000_000];
        assert!(find(&body, "/0").is_none());
        body.extend(vec![b']'; 1_000_000]);
        assert!(find(&body, "/x").is_none());
    }
}
