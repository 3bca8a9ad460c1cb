//! Arrays whose items are known by one of their members, as order books, ladders and runners are.
//!
//! An item is an object with the member `key`, or a pair `[key, amount]`. One that comes is merged into the one with its key, or stands
//! behind the others; with an amount of zero or `null` it is removed. Arrays of anything else are replaced whole.

use crate::payload::json::node::Node;
use std::collections::{HashMap, HashSet};

/// By which member items are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    pub key: String,
    /// The member of which zero or `null` removes; of a pair it is the second.
    pub amount: String,
}

pub(super) fn merge(target: &mut Node, delta: Node, rule: &Keyed) {
    match delta {
        Node::Object(delta) => {
            let mut members = target.take_members();
            for (name, value) in delta {
                members.update(&name, |member| merge(member, value, rule));
            }
            *target = Node::Object(members);
        }
        Node::Array(items) => merge_items(target, items, rule),
        value @ (Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_)) => *target = value,
    }
}

fn merge_items(target: &mut Node, items: Vec<Node>, rule: &Keyed) {
    let are_keyed = |items: &[Node]| items.iter().all(|item| key(item, rule).is_some());
    let delta_is_keyed = are_keyed(&items);
    let held = match target {
        Node::Array(held) if delta_is_keyed && are_keyed(held) => held,
        Node::Null | Node::Array(_) | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::Object(_) => {
            // Nothing that it could be merged into: what is removed was never there.
            let kept = items.into_iter().filter(|item| !(delta_is_keyed && is_removal(item, rule)));
            *target = Node::Array(kept.collect());
            return;
        }
    };
    let removed = put(held, items, rule);
    let mut place = 0;
    held.retain(|_| {
        place += 1;
        !removed.contains(&(place - 1))
    });
}

/// Merges keyed items into others; the places of those that are removed.
fn put(held: &mut Vec<Node>, items: Vec<Node>, rule: &Keyed) -> HashSet<usize> {
    let keys = held.iter().enumerate().filter_map(|(place, item)| Some((key(item, rule)?.to_owned(), place)));
    let mut places: HashMap<String, usize> = keys.collect();
    let mut removed = HashSet::new();
    for item in items {
        let Some(key) = key(&item, rule).map(str::to_owned) else { continue };
        let place = places.get(&key).copied();
        match (place.and_then(|place| held.get_mut(place)), is_removal(&item, rule)) {
            (Some(_), true) => {
                places.remove(&key);
                removed.extend(place);
            }
            // A pair is replaced, since its own items are not keyed; an object is merged, with what is keyed in it.
            (Some(held), false) => merge(held, item, rule),
            (None, true) => {}
            (None, false) => {
                places.insert(key, held.len());
                held.push(item);
            }
        }
    }
    removed
}

fn key<'a>(item: &'a Node, rule: &Keyed) -> Option<&'a str> {
    match item {
        Node::Object(members) => members.get(&rule.key)?.scalar(),
        Node::Array(pair) if pair.len() >= 2 => pair.first()?.scalar(),
        Node::Array(_) | Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => None,
    }
}

fn is_removal(item: &Node, rule: &Keyed) -> bool {
    let amount = match item {
        Node::Object(members) => members.get(&rule.amount),
        Node::Array(pair) => pair.get(1),
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => None,
    };
    match amount {
        Some(Node::Null) => true,
        Some(Node::Number(text) | Node::Text(text)) => is_zero(text),
        Some(Node::Bool(_) | Node::Array(_) | Node::Object(_)) | None => false,
    }
}

/// `0`, `0.000`, `-0`, `0e5`.
fn is_zero(text: &str) -> bool {
    let digits = text.trim_start_matches('-').split(['e', 'E']).next().unwrap_or_default();
    digits.starts_with('0') && digits.bytes().all(|byte| byte == b'0' || byte == b'.')
}
