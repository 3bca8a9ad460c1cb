//! Says what was just changed in a match: writes the message, takes the digest anew, remembers the state, records what
//! happened. Whoever changes a match calls exactly one of these after each message's worth of change.

use super::change::{Change, Channel};
use super::encode::{self, Attribute};
use super::ledger::{Counter, What, stages};
use super::node::Node;
use super::odds::OddsChange;
use super::state::{MarketAt, Match, Odds, SelectionAt, Stage};
use super::text::Text;
use super::time::Moment;
use touchline_common::model::Side;

/// What writes down the changes of one step.
pub(crate) struct Pen<'a> {
    pub(crate) now: Moment,
    pub(crate) change: &'a mut Change,
}

/// What of a selection has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SelectionChange {
    Odds(Price),
    /// The handicap and the price that goes with it.
    Line(Price),
    Suspended,
}

/// Whether a price is another one now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Price {
    Moved,
    Same,
}

impl Price {
    /// From one way of writing no price to the other nothing happens, although the text changes.
    pub(crate) fn between(before: Odds, after: Odds) -> Price {
        if before.decimal() == after.decimal() { Price::Same } else { Price::Moved }
    }
}

impl Pen<'_> {
    /// Attributes of the event node changed: the next number, in the same message.
    pub(crate) fn event(&mut self, m: &mut Match, attributes: &[Attribute]) {
        m.change += 1;
        self.attributes(m, attributes);
        m.redigest_head();
        remember(m);
    }

    /// The change is complete: its number, if nothing on the event node carried it.
    pub(crate) fn number(&mut self, m: &mut Match) {
        m.change += 1;
        self.attributes(m, &[]);
        remember(m);
    }

    fn attributes(&mut self, m: &Match, attributes: &[Attribute]) {
        let offset = self.now.offset;
        let write = |out: &mut Vec<u8>, listed: bool| {
            out.extend_from_slice(b"U|");
            for attribute in attributes.iter().filter(|one| !listed || one.is_listed()) {
                attribute.write(m, offset, out);
            }
            if !listed {
                Attribute::Change.write(m, offset, out);
            }
            out.push(b'|');
        };
        self.change.add(Channel::Match, |out| Node::Event.write(&m.ident, out), |out| write(out, false));
        if attributes.iter().any(|one| one.is_listed()) {
            self.change.add(
                Channel::List,
                |out| Node::ListedEvent.write(&m.ident, out),
                |out| write(out, true),
            );
        }
    }

    /// Something happened.
    pub(crate) fn happened(&self, m: &mut Match, what: What) {
        let (at, clock) = self.stamp(m);
        m.ledger.push(at, clock, what);
    }

    /// A price or a suspension changed, a market or a selection came or went.
    pub(crate) fn odds(&self, m: &mut Match, change: OddsChange) {
        m.ledger.push_odds(self.now.seconds(), change);
    }

    /// The newest of its kind and side did not happen after all.
    pub(crate) fn retracted(&self, m: &mut Match, counter: Counter, side: Side) {
        let (at, clock) = self.stamp(m);
        m.ledger.retract(at, clock, counter, side);
    }

    /// Takes back, newest first, whatever of its kind and side reached more than `value`.
    pub(crate) fn retracted_above(&self, m: &mut Match, counter: Counter, side: Side, value: u32) {
        while m.ledger.newest(counter, side).is_some_and(|reached| reached > value) {
            self.retracted(m, counter, side);
        }
    }

    fn stamp(&self, m: &Match) -> (i64, Option<u32>) {
        let now = self.now.seconds();
        (now, m.head.clock.map(|clock| clock.shown(now)))
    }

    /// The match went from this stage to the one it is in.
    pub(crate) fn stage(&self, m: &mut Match, from: Stage) {
        for what in stages(from, m.head.stage) {
            self.happened(m, what);
        }
    }

    /// Sets the comment. Returns whether it is another one, so that it is to be written and recorded.
    pub(crate) fn comment(&self, m: &mut Match, text: impl Into<Text>) -> bool {
        let text = text.into();
        let other = m.head.comment != text;
        m.head.comment = text;
        other
    }

    /// Records the comment.
    pub(crate) fn commented(&self, m: &mut Match) {
        if !m.head.comment.is_empty() {
            let text = m.head.comment.clone();
            self.happened(m, What::Comment(text));
        }
    }

    /// A team's value under a label changed.
    pub(crate) fn figure(&mut self, m: &mut Match, side: Side, place: usize) {
        self.update(m, Node::Team(side), |m, out| encode::figure(&m.head, side, place, out));
        m.redigest_head();
        remember(m);
    }

    /// The other side has the ball now: a message for each team.
    pub(crate) fn possession(&mut self, m: &mut Match, to: Side) {
        let before = m.head.possession.replace(to);
        // Between the two messages neither side has it, so that each intermediate state is one of the model's.
        if before == Some(to.other()) {
            m.head.possession = None;
            self.possessed(m, to.other());
        }
        m.head.possession = Some(to);
        self.possessed(m, to);
    }

    fn possessed(&mut self, m: &mut Match, side: Side) {
        self.update(m, Node::Team(side), |m, out| encode::possession(&m.head, side, out));
        m.redigest_head();
        remember(m);
    }

    /// A cell of the scoreboard changed.
    pub(crate) fn cell(&mut self, m: &mut Match, place: usize, side: Side) {
        let Some(board) = m.head.board.get(place) else { return };
        let number = board.number;
        self.update(m, Node::Line(number, side), |m, out| {
            if let Some(board) = m.head.board.get(place) {
                encode::pair(out, "D1", board.cells.get(side));
            }
        });
        m.redigest_head();
        remember(m);
    }

    /// A node was added under another; `write` appends it.
    pub(crate) fn insert(
        &mut self,
        m: &Match,
        parent: Node,
        node: Node,
        write: impl FnOnce(&Match, &mut Vec<u8>),
    ) {
        let topic = |out: &mut Vec<u8>| path(m, &[parent, node], out);
        self.change.add(Channel::Match, topic, |out| {
            out.extend_from_slice(b"I|");
            write(m, out);
        });
    }

    /// A node was removed; `nodes` is the way to it from below the event.
    pub(crate) fn delete(&mut self, m: &Match, nodes: &[Node]) {
        let topic = |out: &mut Vec<u8>| {
            Node::Event.write(&m.ident, out);
            out.push(b'/');
            path(m, nodes, out);
        };
        self.change.add(Channel::Match, topic, |out| out.extend_from_slice(b"D||"));
    }

    /// A selection changed.
    pub(crate) fn selection(&mut self, m: &mut Match, at: SelectionAt, change: SelectionChange) {
        let Some((_, market)) = m.market(at.market) else { return };
        let listed = market.listed;
        let Some(one) = market.strips.get(at.strip).and_then(|strip| strip.selections.get(at.selection))
        else {
            return;
        };
        let number = one.number;
        let write = |out: &mut Vec<u8>| {
            out.extend_from_slice(b"U|");
            match change {
                SelectionChange::Odds(_) => encode::odds(one, out),
                SelectionChange::Line(_) => {
                    encode::pair(out, "HA", &one.handicap);
                    encode::pair(out, "HD", &one.handicap);
                    encode::odds(one, out);
                }
                SelectionChange::Suspended => encode::flag(out, "SU", one.suspended),
            }
            out.push(b'|');
        };
        let ident = &m.ident;
        self.change.add(Channel::Match, |out| Node::Selection(number).write(ident, out), write);
        if listed {
            self.change.add(Channel::List, |out| Node::ListedSelection(number).write(ident, out), write);
        }
        let what = match change {
            SelectionChange::Odds(Price::Moved) | SelectionChange::Line(Price::Moved) => {
                Some(OddsChange::Price { selection: number, odds: one.odds })
            }
            SelectionChange::Odds(Price::Same) | SelectionChange::Line(Price::Same) => None,
            SelectionChange::Suspended => {
                Some(OddsChange::SelectionSuspended { selection: number, suspended: one.suspended })
            }
        };
        m.redigest_selection(at);
        remember(m);
        if let Some(what) = what {
            self.odds(m, what);
        }
    }

    /// A market was suspended or resumed.
    pub(crate) fn market_suspended(&mut self, m: &mut Match, at: MarketAt) {
        let Some((_, market)) = m.market(at) else { return };
        let (number, suspended, listed) = (market.number, market.suspended, market.listed);
        self.update(m, Node::Market(number), |_, out| encode::flag(out, "SU", suspended));
        if listed {
            let body = |out: &mut Vec<u8>| {
                out.extend_from_slice(b"U|");
                encode::flag(out, "SU", suspended);
                out.push(b'|');
            };
            self.change.add(Channel::List, |out| Node::ListedMarket(number).write(&m.ident, out), body);
        }
        m.redigest_market(at);
        remember(m);
        self.odds(m, OddsChange::MarketSuspended { market: number, suspended });
    }

    fn update(&mut self, m: &Match, node: Node, write: impl FnOnce(&Match, &mut Vec<u8>)) {
        self.change.add(
            Channel::Match,
            |out| node.write(&m.ident, out),
            |out| {
                out.extend_from_slice(b"U|");
                write(m, out);
                out.push(b'|');
            },
        );
    }
}

/// The match is in this state now.
pub(crate) fn remember(m: &mut Match) {
    // Of a branch, what is sent of a whole step is remembered by `sent`.
    if !m.sent.is_empty() {
        return;
    }
    let digest = m.digest();
    m.history.push(m.change, digest);
}

fn path(m: &Match, nodes: &[Node], out: &mut Vec<u8>) {
    for (place, node) in nodes.iter().enumerate() {
        if place > 0 {
            out.push(b'/');
        }
        node.write(&m.ident, out);
    }
}
