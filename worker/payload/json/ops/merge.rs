//! Merge patches: objects member by member, anything else whole.

use crate::payload::json::node::{Members, Node};
use compact_str::CompactString;
use std::collections::HashSet;
use touchline_common::config::PointerStep;

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

/// As [`merge`], but `null` is a value like any other, and what is at the end of a pointer of `whole` is replaced, not merged.
pub(super) fn deep_merge(target: &mut Node, delta: Node, whole: &[&[PointerStep]]) {
    if whole.iter().any(|steps| steps.is_empty()) {
        *target = delta;
        return;
    }
    let Node::Object(delta) = delta else {
        *target = delta;
        return;
    };
    let mut members = target.take_members();
    for (name, value) in delta {
        let inside: Vec<&[PointerStep]> =
            whole.iter().filter_map(|steps| behind(steps, &name, &value)).collect();
        members.update(name, |member| deep_merge(member, value, &inside));
    }
    *target = Node::Object(members);
}

/// The steps behind the first, if that leads to this member.
fn behind<'s>(steps: &'s [PointerStep], name: &str, value: &Node) -> Option<&'s [PointerStep]> {
    let (step, rest) = steps.split_first()?;
    let leads_there = match step {
        PointerStep::Member(wanted) => wanted == name,
        PointerStep::Any => true,
        PointerStep::Having { member, value: wanted } => {
            value.member(member).and_then(Node::scalar) == Some(wanted.as_str())
        }
    };
    leads_there.then_some(rest)
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
