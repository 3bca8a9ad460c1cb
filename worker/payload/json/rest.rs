//! What no pointer of a reading leads to, as JSON: it stands under `extra`.
//!
//! Values that were used are known by their place in memory, which is theirs as long as the tree is borrowed. An array or object of which
//! nothing is left is left out. What would be longer than the limit is left out value by value.

use super::find;
use super::node::Node;
use super::write::write;
use crate::payload::json_text::Json;
use foldhash::fast::RandomState;
use std::collections::HashSet;
use std::ptr;
use touchline_common::config::{MarketReading, Pointer, Reading, StatReading, TextOrPointer};

/// Bytes of an `extra` at most, roughly: it travels in one frame with the rest of its section.
pub(super) const MAX_EXTRA: usize = 1 << 20;

/// Values that something has used.
#[derive(Default)]
pub(super) struct Used {
    nodes: HashSet<*const Node, RandomState>,
    /// How deep the deepest of them can stand. Below that a value is written without a look at each.
    depth: usize,
}

impl Used {
    pub(super) fn add(&mut self, node: &Node, pointer: Option<&Pointer>) {
        if let Some((pointer, used)) = pointer.and_then(|pointer| Some((pointer, find::find(node, pointer)?)))
        {
            self.nodes.insert(ptr::from_ref(used));
            self.reach(pointer);
        }
    }

    fn reach(&mut self, pointer: &Pointer) {
        self.depth = self.depth.max(pointer.steps().len());
    }

    pub(super) fn add_all<'p>(&mut self, node: &Node, pointers: impl IntoIterator<Item = &'p Pointer>) {
        pointers.into_iter().for_each(|pointer| self.add(node, Some(pointer)));
    }

    pub(super) fn add_lists(&mut self, node: &Node, pointer: &Pointer) {
        self.nodes.extend(find::all(node, pointer).into_iter().map(ptr::from_ref));
        self.reach(pointer);
    }

    /// The lists of markets. Where the whole answer is the list, only what is a market of it is used.
    fn add_markets(&mut self, body: &Node, markets: &MarketReading) {
        if !markets.list.steps().is_empty() {
            return self.add_lists(body, &markets.list);
        }
        for (key, node) in find::elements(body, &markets.list) {
            if find::identity(node, &markets.id, key).is_some() {
                self.nodes.insert(ptr::from_ref(node));
            }
        }
        self.depth = self.depth.max(1);
    }

    fn has(&self, node: &Node) -> bool {
        self.nodes.contains(&ptr::from_ref(node))
    }

    /// All that a reading uses of an answer.
    pub(super) fn by(reading: &Reading, body: &Node) -> Used {
        let mut used = Used::default();
        let Reading { title, home, away, state, period, .. } = reading;
        for pointer in [title, home, away, state, period] {
            used.add(body, pointer.as_ref());
        }
        for text in [&reading.sport, &reading.competition] {
            match text {
                Some(TextOrPointer::At(pointer)) => used.add(body, Some(pointer)),
                Some(TextOrPointer::Text(_)) | None => {}
            }
        }
        if let Some(clock) = &reading.clock {
            used.add(body, clock.minute.as_ref());
            used.add(body, clock.second.as_ref());
        }
        if let Some(score) = &reading.score {
            used.add_all(body, [&score.home, &score.away]);
        }
        for stat in reading.stats.values() {
            match stat {
                StatReading::Whole(pointer) => used.add(body, Some(pointer)),
                StatReading::Sides(sides) => used.add_all(body, [&sides.home, &sides.away]),
            }
        }
        if let (Some(events), Some(event)) = (&reading.events, &reading.event) {
            used.add_lists(body, events);
            used.add(body, event.deleted.as_ref());
        }
        if let Some(markets) = &reading.markets {
            used.add_markets(body, markets);
        }
        used
    }
}

/// Writes `"name":` with what is left of `node`, and a comma; nothing if nothing is left.
pub(super) fn write_rest(name: &str, node: &Node, used: &Used, out: &mut Json) {
    let from = out.len();
    let mut rest = Rest { used, limit: from + MAX_EXTRA, out };
    rest.out.string(name.as_bytes());
    rest.out.fixed(b":");
    match rest.value(node, 0) {
        Left::Something => rest.out.fixed(b","),
        Left::Nothing => rest.out.truncate(from),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Something,
    Nothing,
}

struct Rest<'r> {
    used: &'r Used,
    /// No more of the text than this is kept.
    limit: usize,
    out: &'r mut Json,
}

impl Rest<'_> {
    /// Writes what is left of a value that stands within `depth` others.
    fn value(&mut self, node: &Node, depth: usize) -> Left {
        if depth > self.used.depth {
            let from = self.out.len();
            write(node, self.out);
            if self.out.len() < self.limit {
                return Left::Something;
            }
            // It does not fit whole: what of it does is written below.
            self.out.truncate(from);
        } else if self.used.has(node) {
            return Left::Nothing;
        }
        match node {
            Node::Array(items) if !items.is_empty() => {
                self.out.fixed(b"[");
                let from = self.out.len();
                for item in items {
                    self.element(|rest| rest.value(item, depth + 1));
                }
                self.closed(from, b']')
            }
            Node::Object(members) if !members.is_empty() => {
                self.out.fixed(b"{");
                let from = self.out.len();
                for (name, value) in members.iter() {
                    self.element(|rest| {
                        rest.out.string(name.as_bytes());
                        rest.out.fixed(b":");
                        rest.value(value, depth + 1)
                    });
                }
                self.closed(from, b'}')
            }
            Node::Null
            | Node::Bool(_)
            | Node::Number(_)
            | Node::Text(_)
            | Node::Array(_)
            | Node::Object(_) => {
                write(node, self.out);
                // What holds others is kept with what fitted in.
                if self.out.len() < self.limit { Left::Something } else { Left::Nothing }
            }
        }
    }

    /// Writes an element and a comma, or takes back what is nothing.
    fn element(&mut self, write: impl FnOnce(&mut Self) -> Left) {
        let from = self.out.len();
        match write(self) {
            Left::Something => self.out.fixed(b","),
            Left::Nothing => self.out.truncate(from),
        }
    }

    fn closed(&mut self, from: usize, bracket: u8) -> Left {
        if self.out.len() == from {
            return Left::Nothing;
        }
        self.out.close(bracket);
        Left::Something
    }
}
