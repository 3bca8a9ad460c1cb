//! Values of any text by pointers: what the JSON library takes for a document is searched with the same result.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::sync::OnceLock;
use touchline_common::config::Pointer;
use touchline_worker::feed::push::find;

const POINTERS: [&str; 7] = ["", "/a", "/a/b", "/a/0", "/b/1/a", "/", "/a~1b/c"];

static PARSED: OnceLock<Vec<Pointer>> = OnceLock::new();

fuzz_target!(|text: &[u8]| {
    let pointers = PARSED.get_or_init(|| POINTERS.iter().map(|text| text.parse().unwrap()).collect());
    let found = find(text, pointers);
    for span in found.iter().flatten().flatten() {
        assert!(span.start < span.end && span.end <= text.len());
    }
    let Ok(document) = serde_json::from_slice::<Value>(text) else { return };
    let found = found.expect("a document is searched");
    for (pointer, span) in POINTERS.iter().zip(found) {
        let got = span.map(|span| serde_json::from_slice::<Value>(&text[span]).unwrap());
        assert_eq!(got.as_ref(), document.pointer(pointer), "{pointer}");
    }
});
