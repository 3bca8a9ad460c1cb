//! Arrays whose items are known by one of their members, as order books, ladders and runners are.
//!
//! An item is an object with the member `key`, or a pair `[key, amount]`. One that comes is merged into the one with its key, or stands
//! behind the others; with an amount of zero or `null` it is removed. Arrays of anything else are replaced whole.

use crate::payload::json::node::Node;
use compact_str::CompactString;
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};

/// Where no more items come than this, each is looked for among those that are held.
const SEARCHED: usize = 8;

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
                members.update(name, |member| merge(member, value, rule));
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
            *target = Node::Array(kept.map(|item| fresh(item, rule)).collect());
            return;
        }
    };
    let removed = put(held, items, rule);
    if removed.is_empty() {
        return;
    }
    let mut place = 0;
    held.retain(|_| {
        place += 1;
        !removed.contains(&(place - 1))
    });
}

/// Merges keyed items into others; the places of those that are removed. Of several that are held with one key the last counts.
fn put(held: &mut Vec<Node>, items: Vec<Node>, rule: &Keyed) -> HashSet<usize, RandomState> {
    let mut places = (items.len() > SEARCHED).then(|| places(held, rule));
    let mut removed = HashSet::default();
    for item in items {
        let Some(wanted) = key(&item, rule) else { continue };
        let place = match &places {
            Some(places) => places.get(wanted).copied(),
            None => held.iter().rposition(|held| key(held, rule) == Some(wanted)),
        };
        let place = place.filter(|place| !removed.contains(place));
        match (place.and_then(|place| held.get_mut(place)), is_removal(&item, rule)) {
            (Some(_), true) => removed.extend(place),
            // A pair is replaced, since its own items are not keyed; an object is merged, with what is keyed in it.
            (Some(held), false) => merge(held, item, rule),
            (None, true) => {}
            (None, false) => {
                if let Some(places) = &mut places {
                    places.insert(wanted.into(), held.len());
                }
                held.push(fresh(item, rule));
            }
        }
    }
    removed
}

fn places(held: &[Node], rule: &Keyed) -> HashMap<CompactString, usize, RandomState> {
    held.iter().enumerate().filter_map(|(place, item)| Some((key(item, rule)?.into(), place))).collect()
}

/// An item that is not there yet, without what it removes in itself.
fn fresh(item: Node, rule: &Keyed) -> Node {
    let mut fresh = Node::Null;
    merge(&mut fresh, item, rule);
    fresh
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
