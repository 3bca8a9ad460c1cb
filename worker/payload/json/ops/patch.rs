//! Patches of operations, RFC 6902. They are applied to a copy: the caller drops it if one of them fails, or if what they leave is too deep.
//!
//! Numbers are equal for `test` if they are the same decimal, however it is written.

use super::DeltaError;
use crate::payload::Limits;
use crate::payload::json::find;
use crate::payload::json::node::{Node, Size};
use crate::payload::json::parse::JsonError;

/// Operations of a patch at most: each may move all that is held.
const MAX_OPERATIONS: usize = 1_024;

type Done<T> = Result<T, &'static str>;

/// Applies the operations in order.
///
/// # Errors
/// The first that cannot be applied, or that passes a limit.
pub(super) fn apply(root: &mut Node, patch: &Node, limits: &Limits) -> Result<(), DeltaError> {
    let Node::Array(operations) = patch else { return Err(DeltaError::NoPatch) };
    if operations.len() > MAX_OPERATIONS {
        return Err(DeltaError::NoPatch);
    }
    let mut size = root.size();
    for (at, operation) in operations.iter().enumerate() {
        let added = one(root, operation).map_err(|what| DeltaError::Operation { at, what })?;
        // What was removed is not subtracted until it matters.
        size = size.plus(added);
        if size.nodes > limits.nodes || size.bytes > limits.bytes {
            size = root.size();
        }
        check(size, limits).map_err(DeltaError::Limits)?;
    }
    Ok(())
}

fn check(size: Size, limits: &Limits) -> Result<(), JsonError> {
    if size.nodes > limits.nodes {
        return Err(JsonError::Nodes { limit: limits.nodes });
    }
    if size.bytes > limits.bytes {
        return Err(JsonError::Bytes { limit: limits.bytes });
    }
    Ok(())
}

/// Applies one operation; the size of what it put in.
fn one(root: &mut Node, operation: &Node) -> Done<Size> {
    let member = |name| operation.member(name);
    let pointer = |name, what| path(member(name).and_then(text).ok_or(what)?);
    let to = pointer("path", "it has no `path`")?;
    let value = || member("value").cloned().ok_or("it has no `value`");
    let from = || pointer("from", "it has no `from`");
    match member("op").and_then(text) {
        Some("add") => add(root, &to, value()?),
        Some("remove") => remove(root, &to).map(|_| Size::default()),
        Some("replace") => {
            let (value, held) = (value()?, at(root, &to).ok_or("nothing is at `path`")?);
            let size = value.size();
            *held = value;
            Ok(size)
        }
        Some("move") => {
            let from = from()?;
            if to.len() > from.len() && to.starts_with(&from) {
                return Err("it would move a value into itself");
            }
            let value = remove(root, &from)?;
            add(root, &to, value)
        }
        Some("copy") => {
            let value = at(root, &from()?).ok_or("nothing is at `from`")?.clone();
            add(root, &to, value)
        }
        Some("test") => {
            let (value, held) = (value()?, at(root, &to).ok_or("nothing is at `path`")?);
            if same(held, &value) { Ok(Size::default()) } else { Err("the value at `path` is another") }
        }
        Some(_) | None => Err("its `op` is none of add, remove, replace, move, copy, test"),
    }
}

fn text(node: &Node) -> Option<&str> {
    match node {
        Node::Text(text) => Some(text),
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Array(_) | Node::Object(_) => None,
    }
}

/// The names of a pointer, as RFC 6901 alone has them.
fn path(text: &str) -> Done<Vec<String>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let rest = text.strip_prefix('/').ok_or("a pointer does not begin with `/`")?;
    Ok(rest.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect())
}

fn at<'a>(root: &'a mut Node, path: &[String]) -> Option<&'a mut Node> {
    path.iter().try_fold(root, |node, name| match node {
        Node::Object(members) => members.get_mut(name),
        Node::Array(items) => items.get_mut(find::place(name)?),
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => None,
    })
}

fn add(root: &mut Node, to: &[String], value: Node) -> Done<Size> {
    let size = value.size();
    let Some((name, parent)) = to.split_last() else {
        *root = value;
        return Ok(size);
    };
    match at(root, parent) {
        Some(Node::Object(members)) => members.set(name.into(), value),
        Some(Node::Array(items)) if name == "-" => items.push(value),
        Some(Node::Array(items)) => {
            let place = find::place(name).filter(|place| *place <= items.len());
            items.insert(place.ok_or("no such place in the array")?, value);
        }
        Some(Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_)) | None => {
            return Err("no array or object is there to add to");
        }
    }
    Ok(size)
}

fn remove(root: &mut Node, from: &[String]) -> Done<Node> {
    const NOTHING: &str = "nothing is there to be removed";
    let Some((name, parent)) = from.split_last() else { return Ok(std::mem::take(root)) };
    match at(root, parent) {
        Some(Node::Object(members)) => members.remove(name).ok_or(NOTHING),
        Some(Node::Array(items)) => match find::place(name).filter(|place| *place < items.len()) {
            Some(place) => Ok(items.remove(place)),
            None => Err(NOTHING),
        },
        Some(Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_)) | None => Err(NOTHING),
    }
}

/// Whether two values are equal: members in any order, numbers as decimals.
fn same(one: &Node, other: &Node) -> bool {
    match (one, other) {
        (Node::Number(one), Node::Number(other)) => decimal(one) == decimal(other),
        (Node::Array(one), Node::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Node::Object(one), Node::Object(other)) => {
            let equal = |(name, value)| other.get(name).is_some_and(|other| same(value, other));
            one.len() == other.len() && one.iter().all(equal)
        }
        (
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::Array(_) | Node::Object(_),
            _,
        ) => one == other,
    }
}

/// Sign, digits without zeros at the ends, and the power of ten of the last of them. An exponent beyond 64 bits is as it is written.
fn decimal(text: &str) -> (bool, String, Result<i64, String>) {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{part}");
    let digits = all.trim_end_matches('0');
    if digits.is_empty() {
        return (false, String::new(), Ok(0));
    }
    let shift = (all.len() - digits.len()) as i64 - part.len() as i64;
    let power = exponent.parse::<i64>().ok().and_then(|exponent| exponent.checked_add(shift));
    (negative, digits.trim_start_matches('0').to_owned(), power.ok_or_else(|| text.to_owned()))
}
