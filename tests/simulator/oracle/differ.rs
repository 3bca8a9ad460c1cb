//! Where two JSON values differ, for a person.

use serde_json::Value;

/// Members that a worker or the recorder adds; no part of the truth.
pub(crate) const ADDED: [&str; 8] =
    ["match", "feed", "source", "epoch", "version", "received_at", "updated_at", "stale"];
/// Paths that are listed of one pair.
const LISTED: usize = 6;
/// Characters of one value that are listed.
const SHOWN: usize = 120;

/// A document without what was added to it and what depends on who listens.
pub(crate) fn stripped(document: &Value) -> Value {
    let mut document = document.clone();
    if let Some(head) = document.as_object_mut() {
        for key in ADDED {
            head.remove(key);
        }
        head.entry("markets").or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
    for market in document
        .get_mut("markets")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(|all| all.values_mut())
    {
        let selections = market.get_mut("selections").and_then(Value::as_object_mut);
        for selection in selections.into_iter().flat_map(|all| all.values_mut()) {
            if let Some(members) = selection.as_object_mut() {
                members.remove("open");
                members.remove("move");
            }
        }
    }
    document
}

/// The first paths at which `got` is not what was `expected`, `; ` between them; empty if there is none.
pub(crate) fn difference(expected: &Value, got: &Value) -> String {
    let mut found = Vec::new();
    walk("", expected, got, &mut found);
    found.join("; ")
}

fn walk(path: &str, expected: &Value, got: &Value, found: &mut Vec<String>) {
    if found.len() >= LISTED {
        return;
    }
    match (expected, got) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                walk(&format!("{path}/{key}"), value, b.get(key).unwrap_or(&Value::Null), found);
            }
            for (key, value) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                walk(&format!("{path}/{key}"), &Value::Null, value, found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (place, (one, other)) in a.iter().zip(b).enumerate() {
                walk(&format!("{path}/{place}"), one, other, found);
            }
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        (one, other) if one == other => {}
        (one, other) => found.push(format!("{path}: expected {}, got {}", shown(one), shown(other))),
    }
}

fn shown(value: &Value) -> String {
    if value.is_null() {
        return "nothing".to_owned();
    }
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_difference_names_its_path() {
        let expected = json!({"a": {"b": [1, 2]}, "c": 1, "d": 2.0});
        assert_eq!(difference(&expected, &json!({"a": {"b": [1, 2]}, "c": 1.0, "d": 2})), "");
        let found = difference(&expected, &json!({"a": {"b": [1, 3]}, "e": "x", "d": 2}));
        assert_eq!(
            found,
            "/a/b/1: expected 2, got 3; /c: expected 1, got nothing; /e: expected nothing, got \"x\""
        );
    }
}
