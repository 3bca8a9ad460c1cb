//! What is JSON and what is none, its limits, and the library's reading beside ours.

use super::*;
use crate::payload::json::write::to_text;
use proptest::prelude::*;

fn read(text: &str) -> Result<Node, JsonError> {
    parse(text.as_bytes(), &Limits::default())
}

#[test]
fn numbers_are_kept_as_written_and_the_last_of_equal_names_counts() {
    let text = r#"{"a":[1.000000000000000001,123456789012345678901234567890,-0,1E+400],"b":true,"a2":null}"#;
    assert_eq!(to_text(&read(text).unwrap()), text);
    assert_eq!(to_text(&read(r#"{"a":1,"b":2,"a":3}"#).unwrap()), r#"{"a":3,"b":2}"#);
    let many: Vec<String> = (0..1_000).map(|n| format!("\"k{}\":{n}", n % 500)).collect();
    let node = read(&format!("{{{}}}", many.join(","))).unwrap();
    assert_eq!(node.members().unwrap().len(), 500);
    assert_eq!(node.member("k7"), Some(&Node::Number("507".into())));
}

#[test]
fn escapes() {
    let text = |text: &str| read(text).map(|node| node.scalar().unwrap().to_owned());
    assert_eq!(text(r#""\u00e9\ud83d\ude00\n\/\"""#).unwrap(), "é😀\n/\"");
    assert_eq!(text(r#""\ud83d-\ud83d\u0041""#).unwrap(), "\u{fffd}-\u{fffd}A");
    for wrong in [r#""\x""#, r#""\u12g4""#, "\"a\nb\""] {
        assert!(matches!(text(wrong), Err(JsonError::Expected { .. })), "{wrong}");
    }
}

#[test]
fn what_is_no_json_is_an_error_with_its_place() {
    assert_eq!(read(" <!DOCTYPE html>"), Err(JsonError::Html));
    assert_eq!(parse(b"\"a\xff\"", &Limits::default()), Err(JsonError::Utf8 { at: 2 }));
    for cut in ["", "{", "[1,", "{\"a\"", "{\"a\":", "\"a", "tru", "-", "1.", "\"\\u00"] {
        assert_eq!(read(cut), Err(JsonError::Cut), "{cut}");
    }
    for (wrong, at) in
        [("[1 2]", 3), ("{a:1}", 1), ("01", 1), ("1 x", 2), ("[,]", 1), ("[1,]", 3), ("nul!", 0), ("+1", 0)]
    {
        assert!(matches!(read(wrong), Err(JsonError::Expected { at: place, .. }) if place == at), "{wrong}");
    }
}

#[test]
fn limits_hold() {
    let limits = Limits { nodes: 10, bytes: 1_000, depth: 3, ..Limits::default() };
    let read = |text: &str| parse(text.as_bytes(), &limits);
    assert!(read("[[[1]]]").is_ok());
    assert_eq!(read("[[[[1]]]]"), Err(JsonError::Depth { limit: 3 }));
    assert_eq!(read("[1,2,3,4,5,6,7,8,9,10]"), Err(JsonError::Nodes { limit: 10 }));
    assert_eq!(read(&" ".repeat(1_001)), Err(JsonError::Bytes { limit: 1_000 }));
    let deep = Limits { depth: usize::MAX, ..Limits::default() };
    let body = "[".repeat(1_000_000);
    assert_eq!(parse(body.as_bytes(), &deep), Err(JsonError::Depth { limit: MAX_DEPTH }));
}

proptest! {
    #[test]
    fn what_the_library_writes_comes_back(names in prop::collection::vec(any::<String>(), 0..30), n in any::<f64>()) {
        let members = names.iter().map(|name| (name.clone(), serde_json::json!([name, n, null, {"a": true}])));
        let value = serde_json::Value::Object(members.collect());
        let node = read(&value.to_string()).unwrap();
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        // Read again, because the library does not read each number as the one that it wrote.
        prop_assert_eq!(read(&to_text(&node)), read(&value.to_string()));
    }

    #[test]
    fn it_takes_what_the_library_takes(text in r#"[\[\]{}",:0-9a-f.eEtrun\\ -]{0,24}"#) {
        let ours = read(&text);
        match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(_) => prop_assert!(ours.is_ok(), "{:?}", ours),
            // The library refuses numbers beyond what it can hold, and half surrogate pairs.
            Err(error) if ["out of range", "surrogate", "hex escape"].iter().any(|refused| error.to_string().contains(refused)) => {}
            Err(_) => prop_assert!(ours.is_err()),
        }
    }
}
