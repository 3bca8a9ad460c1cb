//! The head section: everything of a document but its markets.

use super::class::Listed;
use super::forest::Forest;
use super::json::{Extra, Json, Shown};
use super::mapping::{Class, Role};
use super::reading::{Reading, event_of};
use super::score::{self, Course, Pair};
use super::store::{NIL, NodeId, TreeId};
use super::{clock, text};
use jiff::tz::TimeZone;
use touchline_common::model::{Phase, Scoring, Side};

/// Renders the head of a match into `out`, which is empty. The outlines must be fresh.
pub(in crate::payload) fn render(forest: &Forest, slot: u32, extra: &mut Extra, out: &mut Json) {
    let Some(held) = forest.matches.get(slot as usize) else { return };
    let reading = Reading::of(&forest.store, &forest.mapping, held);
    let progress = reading.progress();
    out.fixed(b"{");
    said(out, "sport_id", reading.sport_id().as_deref());
    said(out, "sport", reading.sport().map(|sport| sport.name));
    said(out, "competition", reading.competition().as_deref());
    said(out, "name", reading.name().as_deref());
    let [home, away] = reading.sides();
    said(out, "home", home.as_deref());
    said(out, "away", away.as_deref());
    said(out, "status", Some(progress.status.as_str()));
    said(out, "period", progress.period.as_deref());
    write_clock(&reading, &forest.zone, out);
    write_score(&reading, progress.phase, out);
    write_stats(&reading, out);
    write_order(forest, &held.trees, out);
    write_extra(forest, slot, &held.trees, extra, out);
    out.close(b'}');
}

/// Writes a member and a comma, unless there is no value.
pub(in crate::payload) fn said(out: &mut Json, name: &str, value: Option<&str>) {
    said_bytes(out, name, value.unwrap_or_default().as_bytes());
}

fn said_bytes(out: &mut Json, name: &str, value: &[u8]) {
    if !value.is_empty() {
        out.string(name.as_bytes());
        out.fixed(b":");
        out.string(value);
        out.fixed(b",");
    }
}

fn write_clock(reading: &Reading<'_>, zone: &TimeZone, out: &mut Json) {
    let state = reading.clock(zone);
    let Some(seconds) = state.seconds else { return };
    out.fixed(b"\"clock\":{\"seconds\":");
    out.number(seconds);
    out.put(if state.running { &b",\"running\":true"[..] } else { b",\"running\":false" });
    out.put(if state.down { &b",\"down\":true,"[..] } else { b",\"down\":false," });
    said(out, "at", state.at.and_then(clock::written).as_deref());
    out.close(b'}');
    out.fixed(b",");
}

fn write_score(reading: &Reading<'_>, phase: Option<Phase>, out: &mut Json) {
    let (ss, xp) = (reading.said(Role::Score), reading.said(Role::Points));
    if ss.is_none() && xp.is_none() {
        return;
    }
    let bytes = |role| reading.value(role).unwrap_or_default();
    let scoring = reading.scoring();
    let course = if phase == Some(Phase::FINISHED) { Course::Finished } else { Course::Open };
    let score = score::read(scoring, bytes(Role::Score), bytes(Role::Points), course);
    out.fixed(b"\"score\":{");
    said(out, "text", ss.as_deref());
    write_pair(score.total, out);
    let periods = if scoring == Scoring::Points { columns(reading) } else { score.sets };
    if !periods.is_empty() && periods.iter().all(|pair| pair.iter().all(Option::is_some)) {
        out.fixed(b"\"periods\":[");
        for pair in periods {
            out.fixed(b"{");
            write_pair(pair, out);
            out.close(b'}');
            out.fixed(b",");
        }
        out.close(b']');
        out.fixed(b",");
    }
    let points = match scoring {
        Scoring::Goals | Scoring::Points | Scoring::Cricket => None,
        Scoring::Tennis | Scoring::Text => xp,
        Scoring::Sets => ss,
    };
    said(out, "points", points.as_deref());
    match reading.value(Role::Serving) {
        Some(b"1,0") => said(out, "serving", Some("home")),
        Some(b"0,1") => said(out, "serving", Some("away")),
        Some(_) | None => {}
    }
    out.close(b'}');
    out.fixed(b",");
}

fn write_pair(pair: Pair, out: &mut Json) {
    for (side, value) in Side::BOTH.into_iter().zip(pair) {
        if let Some(value) = value {
            out.string(side.as_str().as_bytes());
            out.fixed(b":");
            out.number(i64::from(value));
            out.fixed(b",");
        }
    }
}

/// The periods of a score in points: the score columns that are named by a number or `OT`, with a number on both lines.
fn columns(reading: &Reading<'_>) -> Vec<Pair> {
    let (store, mapping) = (reading.store, reading.mapping);
    let name = mapping.key(Class::ScoreColumn, Role::Name);
    for tree in reading.held.trees.iter().filter_map(|tree| store.tree(*tree)) {
        let found: Vec<Pair> = tree
            .outline
            .iter()
            .filter(|id| store.node(**id).class == Class::ScoreColumn)
            .filter(|id| {
                store.attribute(**id, name).is_some_and(|n| n == b"OT" || text::whole(n, 9).is_some())
            })
            .map(|id| lines(reading, *id))
            .filter(|pair| pair.iter().all(Option::is_some))
            .collect();
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

fn lines(reading: &Reading<'_>, column: NodeId) -> Pair {
    let (store, mapping) = (reading.store, reading.mapping);
    let order = mapping.key(Class::ScoreLine, Role::Order);
    let value = mapping.key(Class::ScoreLine, Role::Value);
    let mut pair = [None; 2];
    let mut line = store.node(column).first;
    while line != NIL {
        if store.node(line).class == Class::ScoreLine {
            let [home, away] = &mut pair;
            let number = store.attribute(line, value).and_then(score::number);
            match store.attribute(line, order) {
                Some(b"0") if home.is_none() => *home = number,
                Some(b"1") if away.is_none() => *away = number,
                Some(_) | None => {}
            }
        }
        line = store.node(line).next;
    }
    pair
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
        out.close(b'}');
        out.fixed(b",");
    }
    out.close(b'}');
    out.fixed(b",");
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
        for &id in &tree.outline {
            if forest.is_shown(id) {
                out.string(forest.store.it(id));
                out.fixed(b",");
            }
        }
    }
    out.close(b']');
    out.fixed(b",");
}

/// `extra`: what no rule uses of the event nodes, and `nodes`.
fn write_extra(forest: &Forest, slot: u32, trees: &[TreeId], extra: &mut Extra, out: &mut Json) {
    extra.begin();
    for &tree in trees {
        let Some(event) = event_of(&forest.store, tree) else { continue };
        let shown = Shown::new(forest.store.text(event));
        shown.scan(&forest.mapping, Class::Event, |role, name, value| {
            // A feed's own attribute of this name would collide with the list of nodes.
            if role.is_none_or(Role::in_extra) && name.as_bytes() != b"nodes" {
                extra.add(out, name, value, shown.escape());
            }
        });
    }
    let before = out.len();
    let opened = !extra.is_empty();
    out.put(if opened { &b"\"nodes\":["[..] } else { b"\"extra\":{\"nodes\":[" });
    let from = out.len();
    let mut of_node = Extra::default();
    for &tree in trees {
        write_nodes(forest, slot, tree, &mut of_node, out);
    }
    if out.len() > from {
        out.close(b']');
        out.fixed(b"},");
        return;
    }
    out.truncate(before);
    if opened {
        extra.end(out);
    }
}

/// The nodes of a tree below its event that hold something no rule uses, in pre-order.
fn write_nodes(forest: &Forest, slot: u32, tree: TreeId, extra: &mut Extra, out: &mut Json) {
    let store = &forest.store;
    let Some(event) = event_of(store, tree) else { return };
    let Some(held) = store.tree(tree) else { return };
    let whole = held.root == event;
    for &id in &held.outline {
        let class = store.node(id).class;
        let listed = class.listed();
        if listed == Listed::Never
            || !whole && !forest.is_below(event, id)
            || !forest.is_first(slot, tree, id)
        {
            continue;
        }
        write_node(forest, id, class, listed, extra, out);
    }
}

fn write_node(forest: &Forest, id: NodeId, class: Class, listed: Listed, extra: &mut Extra, out: &mut Json) {
    let store = &forest.store;
    let shown = Shown::new(store.text(id));
    let before = out.len();
    out.fixed(b"{");
    extra.begin();
    shown.scan(&forest.mapping, class, |role, name, value| {
        let used = match listed {
            Listed::Always => role == Some(Role::Topic),
            Listed::WithExtra | Listed::Never => role.is_some(),
        };
        if !used {
            extra.add(out, name, value, shown.escape());
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
    said_bytes(out, "type", text::type_word(store.text(id)));
    said_bytes(out, "id", store.it(id));
    said_bytes(out, "parent", store.it(store.node(id).parent));
    out.close(b'}');
    out.fixed(b",");
}

impl Forest {
    fn is_below(&self, top: NodeId, mut id: NodeId) -> bool {
        while id != NIL && id != top {
            id = self.store.node(id).parent;
        }
        id == top
    }

    /// Whether a node is a market that the document shows.
    pub(in crate::payload) fn is_shown(&self, id: NodeId) -> bool {
        let node = self.store.node(id);
        let owner = self.store.tree(node.tree).map_or(NIL, |tree| tree.owner);
        node.class == Class::Market && node.indexed && self.is_first(owner, node.tree, id)
    }
}
