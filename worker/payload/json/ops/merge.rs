//! Merge patches: objects member by member, anything else whole.

use crate::payload::json::node::{Members, Node};
use compact_str::CompactString;
use std::collections::HashSet;

/// RFC 7396.
pub(super) fn merge(target: &mut Node, patch: Node) {
    let Node::Object(patch) = patch else {
        *target = patch;
        return;
    };
    let mut members = target.take_members();
    let mut removed = Vec::new();
    for (name, value) in patch {
        if value == Node::Null {
            removed.push(name);
        } else {
            members.update(name, |member| merge(member, value));
        }
    }
    remove(&mut members, &removed);
    *target = Node::Object(members);
}

/// As [`merge`], but `null` is a value like any other.
pub(super) fn deep_merge(target: &mut Node, delta: Node) {
    let Node::Object(delta) = delta else {
        *target = delta;
        return;
    };
    let mut members = target.take_members();
    for (name, value) in delta {
        members.update(name, |member| deep_merge(member, value));
    }
    *target = Node::Object(members);
}

fn remove(members: &mut Members, removed: &[CompactString]) {
    match removed {
        [] => {}
        [one] => drop(members.remove(one)),
        several => {
            let several: HashSet<&str> = several.iter().map(|name| &**name).collect();
            members.retain(|name| !several.contains(name));
        }
    }
}
