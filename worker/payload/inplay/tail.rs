//! The tail section: statistics, the order of the markets, and what no rule uses.
//!
//! Some feeds change an attribute that nothing uses with every delta, so what only a change of the structure or of a statistic can
//! change is kept as text from one rendering to the next.

use super::class::{Listed, Parts};
use super::forest::Forest;
use super::json::{Extra, Json};
use super::mapping::{Class, Role};
use super::reading::{Reading, event_of};
use super::shown::Shown;
use super::store::{NodeId, TreeId};
use super::text;
use touchline_common::model::Side;

/// Renders the tail of a match of which `parts` changed into `out`, which is empty. The outlines must be fresh.
pub(super) fn render(forest: &mut Forest, slot: u32, parts: Parts, extra: &mut Extra, out: &mut Json) {
    refresh(forest, slot, parts, extra, out);
    let Some(held) = forest.matches.get(slot as usize) else { return };
    out.fixed(b"{");
    out.put(&held.tail_front);
    write_extra(forest, &held.trees, &held.tail_nodes, extra, out);
    out.close(b'}');
}

/// Writes anew what is kept, as far as `parts` of it changed.
fn refresh(forest: &mut Forest, slot: u32, parts: Parts, extra: &mut Extra, out: &mut Json) {
    let Some(held) = forest.matches.get(slot as usize) else { return };
    let (mut front, mut nodes) = (None, None);
    if parts.has(Parts::STATS | Parts::NODES) {
        write_stats(&Reading::of(&forest.store, &forest.mapping, held), out);
        write_order(forest, &held.trees, out);
        front = Some(out.as_bytes().into());
        out.truncate(0);
    }
    if parts.has(Parts::NODES) {
        for &tree in &held.trees {
            write_nodes(forest, slot, tree, extra, out);
        }
        nodes = Some(out.as_bytes().into());
        out.truncate(0);
    }
    if let Some(held) = forest.matches.get_mut(slot as usize) {
        held.tail_front = front.unwrap_or(std::mem::take(&mut held.tail_front));
        held.tail_nodes = nodes.unwrap_or(std::mem::take(&mut held.tail_nodes));
    }
}

fn write_stats(reading: &Reading<'_>, out: &mut Json) {
    let all = reading.statistics();
    if all.is_empty() {
        return;
    }
    out.fixed(b"\"stats\":{");
    for (key, values) in all {
        out.string(key.as_bytes());
        out.fixed(b":{");
        for (side, value) in Side::BOTH.into_iter().zip(values) {
            let Some(value) = value else { continue };
            out.string(side.as_str().as_bytes());
            out.fixed(b":");
            match integer(value) {
                Some(n) => out.number(n),
                None => out.string(value),
            }
            out.fixed(b",");
        }
        out.close_member(b'}');
    }
    out.close_member(b'}');
}

fn integer(value: &[u8]) -> Option<i64> {
    match value.strip_prefix(b"-") {
        Some(digits) => text::whole(digits, 15).map(|n| -(n as i64)),
        None => text::whole(value, 15).map(|n| n as i64),
    }
}

fn write_order(forest: &Forest, trees: &[TreeId], out: &mut Json) {
    out.fixed(b"\"market_order\":[");
    for tree in trees.iter().filter_map(|tree| forest.store.tree(*tree)) {
        for &id in tree.outline.iter().filter(|id| forest.is_shown(**id)) {
            out.string(forest.store.it(id));
            out.fixed(b",");
        }
    }
    out.close_member(b']');
}

/// `extra`: what no rule uses of the event nodes, and `nodes`.
fn write_extra(forest: &Forest, trees: &[TreeId], nodes: &[u8], extra: &mut Extra, out: &mut Json) {
    extra.begin();
    for &tree in trees {
        let Some(event) = event_of(&forest.store, tree) else { continue };
        let shown = Shown::new(forest.store.text(event));
        shown.scan(&forest.mapping, Class::Event, |role, name, value| {
            // A feed's own attribute of this name would collide with the list of nodes.
            if role.is_none_or(Role::in_extra) && name.as_bytes() != b"nodes" {
                extra.add(out, name, value, shown.escape);
            }
        });
    }
    if nodes.is_empty() {
        return extra.end(out);
    }
    out.put(if extra.is_empty() { b"\"extra\":{\"nodes\":[" } else { &b"\"nodes\":["[..] });
    out.put(nodes);
    out.close(b']');
    out.fixed(b"},");
}

/// The nodes of a tree below its event that hold something no rule uses, in pre-order.
fn write_nodes(forest: &Forest, slot: u32, tree: TreeId, extra: &mut Extra, out: &mut Json) {
    let store = &forest.store;
    let Some(event) = event_of(store, tree) else { return };
    let Some(held) = store.tree(tree) else { return };
    let Some(of_match) = forest.matches.get(slot as usize) else { return };
    let reading = Reading::of(store, &forest.mapping, of_match);
    let has_periods = reading.periods().is_some_and(|(stated_by, _)| stated_by == tree);
    let shown_elsewhere = reading.shown_elsewhere(tree, has_periods);
    let whole = held.root == event;
    for &id in &held.outline {
        let listed = store.node(id).class.rule().listed;
        if listed != Listed::Never && (whole || store.is_below(id, event)) && forest.is_first(slot, tree, id)
        {
            write_node(forest, id, &shown_elsewhere, extra, out);
        }
    }
}

/// `shown_elsewhere`: the nodes of the scoreboard whose name or value stands elsewhere.
fn write_node(forest: &Forest, id: NodeId, shown_elsewhere: &[NodeId], extra: &mut Extra, out: &mut Json) {
    let store = &forest.store;
    let class = store.node(id).class;
    let (listed, is_shown_elsewhere) = (class.rule().listed, shown_elsewhere.contains(&id));
    let shown = Shown::new(store.text(id));
    let before = out.len();
    out.fixed(b"{");
    extra.begin();
    shown.scan(&forest.mapping, class, |role, name, value| {
        let used = match listed {
            Listed::Always => role == Some(Role::Topic),
            Listed::WithExtra | Listed::Never => {
                role.is_some_and(|role| is_shown_elsewhere || value.is_empty() || !class.may_be_unread(role))
            }
        };
        if !used {
            extra.add(out, name, value, shown.escape);
        }
    });
    if extra.is_empty() && listed == Listed::WithExtra {
        out.truncate(before);
        return;
    }
    if extra.is_empty() {
        out.fixed(b"\"extra\":{},");
    }
    extra.end(out);
    out.member_bytes("type", text::type_word(store.text(id)));
    out.member_bytes("id", store.it(id));
    out.member_bytes("parent", store.it(store.node(id).parent));
    out.close_member(b'}');
}

impl Forest {
    pub(super) fn is_shown(&self, id: NodeId) -> bool {
        let node = self.store.node(id);
        node.class == Class::Market
            && node.indexed
            && self.is_first(self.store.owner_of(node.tree), node.tree, id)
    }
}
