//! The tail section: statistics, the order of the markets, and what no rule uses.
//!
//! Some feeds change an attribute that nothing uses with every delta, so what only a change of the structure or of a statistic can
//! change is kept as text from one rendering to the next.

use super::class::{Listed, Parts};
use super::forest::Forest;
use super::json_text::{Extra, Json};
use super::mapping::{Class, Role};
use super::reading::{Reading, Statistic, event_of};
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
    if !parts.has(Parts::STATS | Parts::NODES) {
        return;
    }
    let Some(held) = forest.matches.get(slot as usize) else { return };
    let reading = Reading::of(&forest.store, &forest.mapping, held);
    let statistics = reading.statistics();
    write_stats(&statistics, out);
    write_order(forest, &held.trees, out);
    let front = taken(out);
    let nodes = parts.has(Parts::NODES).then(|| {
        write_nodes(forest, slot, &reading, &statistics, extra, out);
        taken(out)
    });
    if let Some(held) = forest.matches.get_mut(slot as usize) {
        held.tail_front = front;
        held.tail_nodes = nodes.unwrap_or(std::mem::take(&mut held.tail_nodes));
    }
}

/// What was written, which is to be kept.
fn taken(out: &mut Json) -> Box<[u8]> {
    let text = out.as_bytes().into();
    out.truncate(0);
    text
}

fn write_stats(all: &[Statistic<'_>], out: &mut Json) {
    if all.is_empty() {
        return;
    }
    out.fixed(b"\"stats\":{");
    for (key, values) in all {
        out.string(key.as_bytes());
        out.fixed(b":{");
        for (side, value) in Side::BOTH.into_iter().zip(*values) {
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

/// The nodes below each tree's event that hold something no rule uses, in pre-order; `statistics` are those of the reading.
fn write_nodes<'a>(
    forest: &Forest,
    slot: u32,
    reading: &Reading<'a>,
    statistics: &[Statistic<'a>],
    extra: &mut Extra,
    out: &mut Json,
) {
    let stated_by = reading.periods().map(|(tree, _)| tree);
    for &tree in &reading.held.trees {
        let shown_elsewhere = reading.shown_elsewhere(tree, statistics, stated_by == Some(tree));
        write_nodes_of(forest, slot, tree, &shown_elsewhere, extra, out);
    }
}

/// The same of one tree; `shown_elsewhere`: the nodes of its scoreboard whose name or value stands elsewhere, in order of their ids.
fn write_nodes_of(
    forest: &Forest,
    slot: u32,
    tree: TreeId,
    shown_elsewhere: &[NodeId],
    extra: &mut Extra,
    out: &mut Json,
) {
    let store = &forest.store;
    let Some(event) = event_of(store, tree) else { return };
    let Some(held) = store.tree(tree) else { return };
    let whole = held.root == event;
    for &id in &held.outline {
        let class = store.node(id).class;
        if class.rule().listed != Listed::Never
            && (whole || store.is_below(id, event))
            && forest.is_first(slot, tree, id)
        {
            let is_shown_elsewhere = class.states_score() && shown_elsewhere.binary_search(&id).is_ok();
            write_node(forest, id, is_shown_elsewhere, extra, out);
        }
    }
}

fn write_node(forest: &Forest, id: NodeId, is_shown_elsewhere: bool, extra: &mut Extra, out: &mut Json) {
    let store = &forest.store;
    let class = store.node(id).class;
    let listed = class.rule().listed;
    let shown = Shown::new(store.text(id));
    let says_nothing =
        |role| store.attribute(id, forest.mapping.key(class, role)).is_none_or(<[u8]>::is_empty);
    let is_read = is_shown_elsewhere || class.read_role().is_none_or(says_nothing);
    let before = out.len();
    out.fixed(b"{");
    extra.begin();
    shown.scan(&forest.mapping, class, |role, name, value| {
        let used = match listed {
            Listed::Always => role == Some(Role::Topic),
            Listed::WithExtra | Listed::Never => {
                role.is_some_and(|role| is_read || !class.may_be_unread(role))
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
