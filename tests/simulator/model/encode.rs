//! A match as the feed writes it: the nodes of its own topic and of its part of the list.
//!
//! A node is `TYPE;KEY=VALUE;…|`. Values hold neither `;` nor `|`; names are made so.

use super::document::stat_labels;
use super::node::Node;
use super::state::{Board, Entry, Figure, Group, Head, Market, Match, Selection, Stage, Strip};
use super::text::number;
use touchline_common::model::Side;

/// An attribute, or a few that change together, of the event node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Score,
    Points,
    Serving,
    Period,
    Half,
    InPlay,
    Clock,
    Suspended,
    Comment,
    /// One that no rule uses, by its place.
    Extra(usize),
    /// The number of the newest change.
    Change,
}

impl Attribute {
    /// Whether the list shows it too.
    pub(crate) fn is_listed(self) -> bool {
        match self {
            Attribute::Score
            | Attribute::Points
            | Attribute::Serving
            | Attribute::Period
            | Attribute::Half
            | Attribute::InPlay
            | Attribute::Clock
            | Attribute::Suspended => true,
            Attribute::Comment | Attribute::Extra(_) | Attribute::Change => false,
        }
    }

    /// Appends `KEY=VALUE;`.
    pub(crate) fn write(self, m: &Match, offset: i64, out: &mut Vec<u8>) {
        let head = &m.head;
        match self {
            Attribute::Score => pair(out, "SS", &head.score.text()),
            Attribute::Points => pair(out, "XP", &head.score.points_text()),
            Attribute::Serving => pair(out, "PI", serving(head.serving)),
            Attribute::Period => pair(out, "CP", &head.period),
            Attribute::Half => {
                if let Some(half) = head.half {
                    count(out, "MD", half.into());
                }
            }
            Attribute::InPlay => flag(out, "FS", head.stage != Stage::NotStarted),
            Attribute::Clock => clock(head, offset, out),
            Attribute::Suspended => flag(out, "SU", head.suspended),
            Attribute::Comment => pair(out, "UC", &head.comment),
            Attribute::Extra(place) => {
                if let Some((key, value)) = head.extra.get(place) {
                    pair(out, key, value);
                }
            }
            Attribute::Change => count(out, "ZC", m.change),
        }
    }
}

/// What stands in both event nodes, in the order in which it is written.
const SHARED: [Attribute; 8] = [
    Attribute::Score,
    Attribute::Points,
    Attribute::Serving,
    Attribute::Period,
    Attribute::Half,
    Attribute::InPlay,
    Attribute::Clock,
    Attribute::Suspended,
];

/// Appends the whole load of the match's own topic. `offset`: of the feed's zone from UTC, in seconds.
pub(crate) fn load(m: &Match, offset: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"F|");
    event(m, offset, out);
    teams(m, out);
    if !m.head.board.is_empty() {
        node(m, out, "ES", Node::Scores);
        out.extend_from_slice(b"OR=0;NA=;|");
        for (place, board) in m.head.board.iter().enumerate() {
            column(m, board, place, out);
            for side in Side::BOTH {
                line(m, board, side, out);
            }
        }
    }
    if !m.head.log.is_empty() {
        node(m, out, "SG", Node::Log);
        out.extend_from_slice(b"ID=1;OR=0;TP=0;|");
        for one in &m.head.log {
            entry(m, one, out);
        }
    }
    for (place, one) in m.groups.iter().enumerate() {
        group(m, one, place, out);
    }
}

/// Appends the match's part of the list: its event node, and the market that the list shows.
pub(crate) fn listed(m: &Match, offset: i64, order: Option<usize>, out: &mut Vec<u8>) {
    listed_event(m, offset, order, out);
    for market in m.groups.iter().flat_map(|group| &group.markets).filter(|market| market.listed) {
        listed_market(m, market, out);
        for (place, one) in market.strips.iter().flat_map(|strip| &strip.selections).enumerate() {
            listed_selection(m, one, place, out);
        }
    }
}

fn event(m: &Match, offset: i64, out: &mut Vec<u8>) {
    node(m, out, "EV", Node::Event);
    pair(out, "ID", &m.ident.id);
    pair(out, "NA", &m.name());
    if !m.sparse {
        pair(out, "CL", m.sport.id());
        pair(out, "CT", &m.head.competition);
    }
    for attribute in SHARED {
        attribute.write(m, offset, out);
    }
    for (place, label) in stat_labels(&m.head) {
        out.push(b'S');
        number(out, place as u64);
        out.push(b'=');
        out.extend_from_slice(label.as_bytes());
        out.push(b';');
    }
    for place in 0..m.head.extra.len() {
        Attribute::Extra(place).write(m, offset, out);
    }
    Attribute::Comment.write(m, offset, out);
    Attribute::Change.write(m, offset, out);
    out.push(b'|');
}

/// Appends the list's event node.
pub(crate) fn listed_event(m: &Match, offset: i64, order: Option<usize>, out: &mut Vec<u8>) {
    node(m, out, "EV", Node::ListedEvent);
    pair(out, "ID", &m.ident.id);
    pair(out, "NA", &m.name());
    pair(out, "CT", &m.head.competition);
    for attribute in SHARED {
        attribute.write(m, offset, out);
    }
    count(out, "OI", m.ident.fixture());
    if let Some(order) = order {
        count(out, "OR", order as u64);
    }
    out.push(b'|');
}

fn teams(m: &Match, out: &mut Vec<u8>) {
    node(m, out, "TG", Node::Teams);
    out.extend_from_slice(b"OR=0;|");
    for side in Side::BOTH {
        node(m, out, "TE", Node::Team(side));
        count(out, "OR", u64::from(side == Side::Away));
        pair(out, "NA", if side == Side::Home { &m.head.home } else { &m.head.away });
        pair(out, "KC", m.head.kits.get(side));
        possession(&m.head, side, out);
        for place in 0..m.head.labels.len() {
            figure(&m.head, side, place, out);
        }
        out.push(b'|');
    }
}

/// Appends a team's attribute `PI`.
pub(crate) fn possession(head: &Head, side: Side, out: &mut Vec<u8>) {
    flag(out, "PI", head.possession == Some(side));
}

/// Appends a team's value under a label.
pub(crate) fn figure(head: &Head, side: Side, place: usize, out: &mut Vec<u8>) {
    out.push(b'S');
    number(out, place as u64 + 1);
    out.push(b'=');
    match head.figures.get(side).get(place) {
        Some(Figure::Count(value)) => number(out, (*value).into()),
        Some(Figure::Words(text)) => out.extend_from_slice(text.as_bytes()),
        None => {}
    }
    out.push(b';');
}

/// Appends a column of the scoreboard.
pub(crate) fn column(m: &Match, board: &Board, place: usize, out: &mut Vec<u8>) {
    node(m, out, "SC", Node::Column(board.number));
    count(out, "OR", place as u64);
    pair(out, "NA", &board.name);
    if &*board.name == "T" {
        pair(out, "SY", "2");
    }
    out.push(b'|');
}

/// Appends a cell of the scoreboard.
pub(crate) fn line(m: &Match, board: &Board, side: Side, out: &mut Vec<u8>) {
    node(m, out, "SL", Node::Line(board.number, side));
    count(out, "OR", u64::from(side == Side::Away));
    pair(out, "D1", board.cells.get(side));
    out.push(b'|');
}

/// Appends an entry of the log.
pub(crate) fn entry(m: &Match, entry: &Entry, out: &mut Vec<u8>) {
    node(m, out, "ST", Node::Entry(entry.number));
    count(out, "ID", entry.number.into());
    pair(out, "LA", &entry.label);
    count(out, "TM", entry.minute.into());
    out.push(b'|');
}

fn group(m: &Match, group: &Group, place: usize, out: &mut Vec<u8>) {
    if let Some(name) = &group.name {
        node(m, out, "MG", Node::Group(group.number));
        count(out, "ID", group.number.into());
        pair(out, "NA", name);
        count(out, "OR", place as u64);
        pair(out, "SY", "cd");
        out.push(b'|');
    }
    for (place, one) in group.markets.iter().enumerate() {
        market(m, one, Some(place), out);
        for (column, strip) in one.strips.iter().enumerate() {
            market_column(m, one, strip, column, out);
            for (place, selected) in strip.selections.iter().enumerate() {
                selection(m, selected, place, out);
            }
        }
    }
}

/// Appends a market. `order`: its place among its siblings, where one is stated.
pub(crate) fn market(m: &Match, market: &Market, order: Option<usize>, out: &mut Vec<u8>) {
    node(m, out, "MA", Node::Market(market.number));
    count(out, "ID", market.kind.into());
    count(out, "FI", m.ident.fixture());
    pair(out, "NA", &market.name);
    if let Some(order) = order {
        count(out, "OR", order as u64);
    }
    flag(out, "SU", market.suspended);
    pair(out, "PY", "");
    out.push(b'|');
}

/// Appends a column of a market, if it is one.
pub(crate) fn market_column(m: &Match, market: &Market, strip: &Strip, place: usize, out: &mut Vec<u8>) {
    if let Some(name) = &strip.column {
        node(m, out, "CO", Node::MarketColumn(market.number, place));
        pair(out, "NA", name);
        count(out, "OR", place as u64);
        out.push(b'|');
    }
}

/// Appends a selection.
pub(crate) fn selection(m: &Match, selection: &Selection, order: usize, out: &mut Vec<u8>) {
    node(m, out, "PA", Node::Selection(selection.number));
    count(out, "ID", selection.number.into());
    count(out, "FI", m.ident.fixture());
    pair(out, "NA", &selection.name);
    count(out, "OR", order as u64);
    odds(selection, out);
    if !selection.handicap.is_empty() {
        pair(out, "HA", &selection.handicap);
        pair(out, "HD", &selection.handicap);
    }
    flag(out, "SU", selection.suspended);
    out.push(b'|');
}

/// Appends `OD=…;`.
pub(crate) fn odds(selection: &Selection, out: &mut Vec<u8>) {
    out.extend_from_slice(b"OD=");
    selection.odds.write(out);
    out.push(b';');
}

/// Appends the list's node of a market.
pub(crate) fn listed_market(m: &Match, market: &Market, out: &mut Vec<u8>) {
    node(m, out, "MA", Node::ListedMarket(market.number));
    count(out, "ID", market.kind.into());
    count(out, "FI", m.ident.fixture());
    pair(out, "NA", &market.name);
    count(out, "OR", 0);
    flag(out, "SU", market.suspended);
    out.push(b'|');
}

/// Appends the list's node of a selection.
pub(crate) fn listed_selection(m: &Match, selection: &Selection, order: usize, out: &mut Vec<u8>) {
    node(m, out, "PA", Node::ListedSelection(selection.number));
    count(out, "ID", selection.number.into());
    count(out, "FI", m.ident.fixture());
    pair(out, "NA", &selection.name);
    count(out, "OR", order as u64);
    odds(selection, out);
    flag(out, "SU", selection.suspended);
    out.push(b'|');
}

fn node(m: &Match, out: &mut Vec<u8>, kind: &str, node: Node) {
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b";IT=");
    node.write(&m.ident, out);
    out.push(b';');
}

/// Appends `KEY=VALUE;`.
pub(crate) fn pair(out: &mut Vec<u8>, key: &str, value: &str) {
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
    out.extend_from_slice(value.as_bytes());
    out.push(b';');
}

fn count(out: &mut Vec<u8>, key: &str, value: u64) {
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
    number(out, value);
    out.push(b';');
}

/// Appends `KEY=1;` or `KEY=0;`.
pub(crate) fn flag(out: &mut Vec<u8>, key: &str, set: bool) {
    count(out, key, u64::from(set));
}

fn clock(head: &Head, offset: i64, out: &mut Vec<u8>) {
    let Some(clock) = head.clock else { return };
    count(out, "TM", u64::from(clock.seconds / 60));
    count(out, "TS", u64::from(clock.seconds % 60));
    flag(out, "TT", clock.running);
    flag(out, "TD", clock.down);
    pair(out, "TU", &clock.at.map(|at| super::time::compact(at + offset)).unwrap_or_default());
}

fn serving(side: Option<Side>) -> &'static str {
    match side {
        Some(Side::Home) => "1,0",
        Some(Side::Away) => "0,1",
        None => "",
    }
}
