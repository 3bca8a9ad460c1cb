//! Where pointers lead: RFC 6901 with the two steps that find.
//!
//! Pure. A pointer that leads nowhere, or to another type than is wanted, is `None`: whatever a body holds, what is asked of it is known
//! or not. Each value is looked at once for each `*` at most.

use super::node::Node;
use std::borrow::Cow;
use touchline_common::config::{Pointer, PointerStep, Pointers};

/// The first value that `pointer` leads to.
pub(super) fn find<'a>(node: &'a Node, pointer: &Pointer) -> Option<&'a Node> {
    first(node, pointer.steps())
}

/// The text of the text, number, `true` or `false` at `pointer`.
pub(super) fn scalar<'a>(node: &'a Node, pointer: Option<&Pointer>) -> Option<&'a str> {
    find(node, pointer?)?.scalar()
}

/// As [`scalar`], without blanks at its ends and not empty.
pub(super) fn words<'a>(node: &'a Node, pointer: Option<&Pointer>) -> Option<&'a str> {
    scalar(node, pointer).map(str::trim).filter(|text| !text.is_empty())
}

/// All values that `pointer` leads to, in order.
pub(super) fn all<'a>(node: &'a Node, pointer: &Pointer) -> Vec<&'a Node> {
    let mut found = Vec::new();
    collect(node, pointer.steps(), &mut found);
    found
}

/// The elements of the lists at `pointer`, those of objects with their key.
pub(super) fn elements<'a>(node: &'a Node, pointer: &Pointer) -> Vec<(Option<&'a str>, &'a Node)> {
    let mut elements = Vec::new();
    for list in all(node, pointer) {
        match list {
            Node::Array(items) => elements.extend(items.iter().map(|item| (None, item))),
            Node::Object(members) => elements.extend(members.iter().map(|(key, value)| (Some(key), value))),
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => {}
        }
    }
    elements
}

/// What all pointers lead to, joined with `|`; without pointers the key. `None` if one leads nowhere, or there is nothing.
pub(super) fn identity<'a>(
    node: &'a Node,
    pointers: &Pointers,
    key: Option<&'a str>,
) -> Option<Cow<'a, str>> {
    let joined = match pointers.0.as_slice() {
        [] => Cow::Borrowed(key?),
        [one] => Cow::Borrowed(words(node, Some(one))?),
        several => {
            let texts = several.iter().map(|pointer| words(node, Some(pointer)));
            Cow::Owned(texts.collect::<Option<Vec<_>>>()?.join("|"))
        }
    };
    (!joined.is_empty()).then_some(joined)
}

fn first<'a>(node: &'a Node, steps: &[PointerStep]) -> Option<&'a Node> {
    let Some((step, rest)) = steps.split_first() else { return Some(node) };
    match step {
        PointerStep::Member(name) => first(child(node, name)?, rest),
        PointerStep::Any => items(node).find_map(|item| first(item, rest)),
        PointerStep::Having { member, value } => first(having(node, member, value)?, rest),
    }
}

fn collect<'a>(node: &'a Node, steps: &[PointerStep], found: &mut Vec<&'a Node>) {
    let Some((step, rest)) = steps.split_first() else { return found.push(node) };
    match step {
        PointerStep::Member(name) => {
            if let Some(child) = child(node, name) {
                collect(child, rest, found);
            }
        }
        PointerStep::Any => items(node).for_each(|item| collect(item, rest, found)),
        PointerStep::Having { member, value } => {
            if let Some(item) = having(node, member, value) {
                collect(item, rest, found);
            }
        }
    }
}

fn items(node: &Node) -> impl Iterator<Item = &Node> {
    let (items, members) = match node {
        Node::Array(items) => (Some(items), None),
        Node::Object(members) => (None, Some(members)),
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => (None, None),
    };
    let members = members.into_iter().flat_map(|members| members.iter().map(|(_, value)| value));
    items.into_iter().flatten().chain(members)
}

fn having<'a>(node: &'a Node, member: &str, value: &str) -> Option<&'a Node> {
    items(node).find(|item| item.member(member).and_then(Node::scalar) == Some(value))
}

pub(super) fn child<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    match node {
        Node::Object(members) => members.get(name),
        Node::Array(items) => items.get(place(name)?),
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => None,
    }
}

/// A place in an array as RFC 6901 writes it: digits without a leading zero.
pub(super) fn place(name: &str) -> Option<usize> {
    let plain = name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()));
    if plain { name.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Limits;
    use crate::payload::json::parse::parse;

    const BODY: &str = r#"{"a/b":1,"":0,"m~n":8,"list":[{"k":"x","v":[10,20]},{"k":7,"v":[30],"w":true},null,3],
        "by":{"one":{"n":"A"},"two":{"n":"B","p":5}}}"#;

    fn at(pointer: &str) -> Option<String> {
        let body = parse(BODY.as_bytes(), &Limits::default()).unwrap();
        scalar(&body, Some(&pointer.parse().unwrap())).map(str::to_owned)
    }

    #[test]
    fn pointers_lead_where_they_say_and_nowhere_else() {
        for (pointer, want) in [
            ("/a~1b", Some("1")),
            ("/", Some("0")),
            ("/m~0n", Some("8")),
            ("/list/0/v/1", Some("20")),
            ("/list/[k=7]/v/0", Some("30")),
            ("/list/[k=x]/k", Some("x")),
            ("/list/*/w", Some("true")),
            ("/list/*/v/1", Some("20")),
            ("/by/*/p", Some("5")),
            ("/by/[n=B]/p", Some("5")),
            ("/list/3", Some("3")),
            ("/list/03", None),
            ("/list/-", None),
            ("/list/4", None),
            ("/list/99999999999999999999999", None),
            ("/list/0/k/x", None),
            ("/list", None),
            ("/list/2", None),
            ("/nothing/*", None),
            ("/a~1b/*", None),
            ("", None),
        ] {
            assert_eq!(at(pointer).as_deref(), want, "{pointer}");
        }
    }

    #[test]
    fn lists_are_arrays_or_objects_by_id() {
        let body = parse(BODY.as_bytes(), &Limits::default()).unwrap();
        let keys = |pointer: &str| {
            let elements = elements(&body, &pointer.parse().unwrap());
            elements.iter().map(|(key, _)| key.unwrap_or("-").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(keys("/by"), ["one", "two"]);
        assert_eq!(keys("/list").len(), 4);
        assert_eq!(keys("/list/*/v").len(), 3, "one behind the other");
        assert_eq!(keys("/a~1b").len(), 0);
    }

    #[test]
    fn an_identity_needs_all_its_parts() {
        let body = parse(BODY.as_bytes(), &Limits::default()).unwrap();
        let of = |pointers: &[&str], key| {
            identity(&body, &Pointers(pointers.iter().map(|pointer| pointer.parse().unwrap()).collect()), key)
        };
        assert_eq!(of(&["/a~1b", "/m~0n"], None).as_deref(), Some("1|8"));
        assert_eq!(of(&["/a~1b", "/none"], Some("k")), None);
        assert_eq!(of(&[], Some("k")).as_deref(), Some("k"));
        assert_eq!((of(&[], None), of(&[], Some(""))), (None, None));
    }
}
