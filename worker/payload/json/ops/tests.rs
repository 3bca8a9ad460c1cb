//! Each form against its rules and, where the library has none, against a plain reading of the RFC.

use super::*;
use crate::payload::json::parse::parse;
use crate::payload::json::write::to_text;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn node(text: &str) -> Node {
    parse(text.as_bytes(), &Limits::default()).unwrap()
}

fn applied(form: &DeltaForm, held: &str, delta: &str) -> Result<String, DeltaError> {
    let mut tree = Tree::new(node(held));
    let before = to_text(tree.root());
    let done = tree.apply(form, node(delta), &Limits::default());
    if done.is_err() {
        assert_eq!(to_text(tree.root()), before, "an error changes nothing");
    }
    done.map(|()| to_text(tree.root()))
}

fn keyed() -> DeltaForm {
    DeltaForm::Keyed(Keyed { key: "id".to_owned(), amount: "size".to_owned() })
}

#[test]
fn the_examples_of_rfc_7396() {
    for (held, patch, want) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        assert_eq!(applied(&DeltaForm::Merge, held, patch).unwrap(), want, "{held} {patch}");
    }
}

#[test]
fn a_deep_merge_keeps_nulls() {
    let form = DeltaForm::DeepMerge(Vec::new());
    let done = applied(&form, r#"{"a":{"b":1,"c":2},"d":[1]}"#, r#"{"a":{"b":null},"d":[]}"#);
    assert_eq!(done.unwrap(), r#"{"a":{"b":null,"c":2},"d":[]}"#);
}

#[test]
fn a_deep_merge_replaces_whole_what_it_is_told_to() {
    let held = r#"{"o":{"x":{"m":{"1":1,"2":2},"k":"a"},"y":{"m":{"3":3}}},"p":{"x":{"m":1}}}"#;
    for (whole, delta, want) in [
        (
            "/o/*",
            r#"{"o":{"x":{"m":{"2":5}}},"p":{"x":{"n":2}}}"#,
            r#"{"o":{"x":{"m":{"2":5}},"y":{"m":{"3":3}}},"p":{"x":{"m":1,"n":2}}}"#,
        ),
        (
            "/o/y",
            r#"{"o":{"x":{"m":{"2":5}},"y":null}}"#,
            r#"{"o":{"x":{"m":{"1":1,"2":5},"k":"a"},"y":null},"p":{"x":{"m":1}}}"#,
        ),
        (
            "/o/[k=a]",
            r#"{"o":{"x":{"k":"a"},"y":{"k":"b"}}}"#,
            r#"{"o":{"x":{"k":"a"},"y":{"m":{"3":3},"k":"b"}},"p":{"x":{"m":1}}}"#,
        ),
        ("", r#"{"p":7}"#, r#"{"p":7}"#),
    ] {
        let form = DeltaForm::DeepMerge(vec![whole.parse().unwrap()]);
        assert_eq!(applied(&form, held, delta).unwrap(), want, "{whole}");
    }
}

#[test]
fn patches() {
    for (held, patch, want) in [
        (
            r#"{"a":[1,2]}"#,
            r#"[{"op":"add","path":"/a/1","value":9},{"op":"add","path":"/a/-","value":3}]"#,
            r#"{"a":[1,9,2,3]}"#,
        ),
        (
            r#"{"a":1,"b":2}"#,
            r#"[{"op":"remove","path":"/a"},{"op":"replace","path":"/b","value":{"c":[]}}]"#,
            r#"{"b":{"c":[]}}"#,
        ),
        (
            r#"{"a":{"x":1},"b":{}}"#,
            r#"[{"op":"move","from":"/a/x","path":"/b/y"}]"#,
            r#"{"a":{},"b":{"y":1}}"#,
        ),
        (
            r#"{"a":[1]}"#,
            r#"[{"op":"copy","from":"/a","path":"/b"},{"op":"remove","path":"/a/0"}]"#,
            r#"{"a":[],"b":[1]}"#,
        ),
        (
            r#"{"m~n":1,"a/b":[10.0]}"#,
            r#"[{"op":"test","path":"/m~0n","value":1},{"op":"test","path":"/a~1b","value":[1e1]}]"#,
            r#"{"m~n":1,"a/b":[10.0]}"#,
        ),
        (r#"{"a":1,"b":2}"#, r#"[{"op":"test","path":"","value":{"b":2.00,"a":1}}]"#, r#"{"a":1,"b":2}"#),
        ("1", r#"[{"op":"add","path":"","value":[]}]"#, "[]"),
        ("{}", "[]", "{}"),
    ] {
        assert_eq!(applied(&DeltaForm::Patch, held, patch).as_deref(), Ok(want), "{held} {patch}");
    }
    for (held, patch, at) in [
        ("{}", r#"[{"op":"remove","path":"/a"}]"#, 0),
        (r#"{"a":1}"#, r#"[{"op":"add","path":"/b","value":1},{"op":"replace","path":"/c","value":1}]"#, 1),
        (r#"{"a":{}}"#, r#"[{"op":"move","from":"/a","path":"/a/b"}]"#, 0),
        ("[1]", r#"[{"op":"add","path":"/2","value":1}]"#, 0),
        ("[1]", r#"[{"op":"add","path":"/01","value":1}]"#, 0),
        ("[1]", r#"[{"op":"test","path":"/0","value":2}]"#, 0),
        ("1", r#"[{"op":"add","path":"/a","value":1}]"#, 0),
        ("{}", r#"[{"op":"jump","path":""}]"#, 0),
        ("{}", r#"[1]"#, 0),
        ("{}", r#"[{"op":"add","path":"a","value":1}]"#, 0),
    ] {
        let error = applied(&DeltaForm::Patch, held, patch).unwrap_err();
        assert!(
            matches!(error, DeltaError::Operation { at: place, .. } if place == at),
            "{held} {patch} {error}"
        );
    }
    assert_eq!(applied(&DeltaForm::Patch, "{}", "{}"), Err(DeltaError::NoPatch));
}

#[test]
fn a_patch_that_doubles_what_is_held_meets_a_limit() {
    let double = r#"{"op":"copy","from":"","path":"/-"}"#;
    let patch = format!("[{}]", vec![double; 200].join(","));
    let error = applied(&DeltaForm::Patch, "[1]", &patch).unwrap_err();
    assert!(matches!(error, DeltaError::Limits(_)), "{error}");
}

#[test]
fn books_are_keyed_by_price_and_runners_by_id() {
    let book = r#"{"bids":[["2.10","5"],["2.08","7.5"]],"n":1}"#;
    let done =
        applied(&keyed(), book, r#"{"bids":[["2.10","0.000"],["2.06","1"],["2.08","9"],["9","0"]],"n":2}"#);
    assert_eq!(done.unwrap(), r#"{"bids":[["2.08","9"],["2.06","1"]],"n":2}"#);
    let runners = r#"{"r":[{"id":1,"size":4,"x":"a"},{"id":2,"size":5}]}"#;
    let done = applied(&keyed(), runners, r#"{"r":[{"id":2,"size":null},{"id":1,"size":6},{"id":3}]}"#);
    assert_eq!(done.unwrap(), r#"{"r":[{"id":1,"size":6,"x":"a"},{"id":3}]}"#);
    assert_eq!(applied(&keyed(), r#"{"r":[1,2]}"#, r#"{"r":[3]}"#).unwrap(), r#"{"r":[3]}"#);
    assert_eq!(applied(&keyed(), "{}", r#"{"r":[["1",0],["2",1]]}"#).unwrap(), r#"{"r":[["2",1]]}"#);
    let again = r#"{"r":[["1","5"],["1",null],["1","6"]]}"#;
    assert_eq!(applied(&keyed(), r#"{"r":[["1","4"]]}"#, again).unwrap(), r#"{"r":[["1","6"]]}"#);
}

#[test]
fn merges_within_the_limits_however_often() {
    let limits = Limits { nodes: 20, ..Limits::default() };
    let mut tree = Tree::new(node(r#"{"a":[1,2,3]}"#));
    for n in 0..100 {
        let delta = node(&format!(r#"{{"a":[{n},2,3,4]}}"#));
        tree.apply(&DeltaForm::Merge, delta, &limits).unwrap();
    }
    let large = node(&format!(r#"{{"b":[{}]}}"#, vec!["1"; 15].join(",")));
    let done = tree.apply(&DeltaForm::Merge, large, &limits);
    assert_eq!(done, Err(DeltaError::Limits(JsonError::Nodes { limit: 20 })));
    assert_eq!(to_text(tree.root()), r#"{"a":[99,2,3,4]}"#);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (0..9).prop_map(|n| json!(n)),
        "[a-c]{0,2}".prop_map(Value::String)
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec(("[a-e]", inner), 0..30)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// RFC 7396, section 2, as it is written.
fn plain_merge(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut members = match target {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(name);
        } else {
            let held = members.remove(name).unwrap_or(Value::Null);
            members.insert(name.clone(), plain_merge(held, value));
        }
    }
    Value::Object(members)
}

fn value_of(node: &Node) -> Value {
    serde_json::from_str(&to_text(node)).unwrap()
}

proptest! {
    #[test]
    fn a_merge_is_as_the_rfc_writes_it(held in any_value(), patch in any_value()) {
        let mut tree = Tree::new(node(&held.to_string()));
        tree.apply(&DeltaForm::Merge, node(&patch.to_string()), &Limits::default()).unwrap();
        prop_assert_eq!(value_of(tree.root()), plain_merge(held, &patch));
        prop_assert!(tree.size.nodes >= tree.root().size().nodes);
    }

    #[test]
    fn any_delta_of_any_form_leaves_what_fits_or_what_was(held in any_value(), delta in any_value(), form in 0..5, nodes in 1..40_usize) {
        let forms = [DeltaForm::Replace, DeltaForm::Merge, DeltaForm::DeepMerge(Vec::new()), DeltaForm::Patch,
            DeltaForm::Keyed(Keyed { key: "a".to_owned(), amount: "b".to_owned() })];
        let mut tree = Tree::new(node(&held.to_string()));
        let limits = Limits { nodes, ..Limits::default() };
        let fits = tree.root().size().nodes <= nodes && node(&delta.to_string()).size().nodes <= nodes;
        match tree.apply(&forms[form as usize], node(&delta.to_string()), &limits) {
            Ok(()) if fits => prop_assert!(tree.root().size().nodes <= nodes),
            Ok(()) => {}
            Err(_) => prop_assert_eq!(value_of(tree.root()), held),
        }
    }

    #[test]
    fn a_patch_and_its_inverse_leave_what_was(names in prop::collection::vec("[a-z]{1,3}", 0..40), value in any_value()) {
        let mut tree = Tree::new(node("{}"));
        let add: Vec<Value> = names.iter().map(|name| json!({"op": "add", "path": format!("/{name}"), "value": value})).collect();
        let mut distinct = names;
        distinct.sort();
        distinct.dedup();
        let remove: Vec<Value> = distinct.iter().map(|name| json!({"op": "remove", "path": format!("/{name}")})).collect();
        tree.apply(&DeltaForm::Patch, node(&Value::Array(add).to_string()), &Limits::default()).unwrap();
        prop_assert_eq!(tree.root().members().unwrap().len(), distinct.len());
        tree.apply(&DeltaForm::Patch, node(&Value::Array(remove).to_string()), &Limits::default()).unwrap();
        prop_assert_eq!(to_text(tree.root()), "{}");
    }
}
