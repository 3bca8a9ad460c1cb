//! The topic ids of a match's nodes. Made from numbers, so that none need be stored.

use super::state::Ident;
use super::text::number;
use touchline_common::model::Side;

/// A node of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Event,
    Teams,
    Team(Side),
    Scores,
    Column(u32),
    Line(u32, Side),
    Log,
    Entry(u32),
    Group(u32),
    Market(u32),
    /// The market's number and the column's place.
    MarketColumn(u32, usize),
    Selection(u32),
    /// The event in the list.
    ListedEvent,
    /// A market in the list.
    ListedMarket(u32),
    /// A selection in the list.
    ListedSelection(u32),
}

/// What ends every topic name: language and zone.
pub(crate) const SUFFIX: &str = "_1_3";

impl Node {
    /// Appends the node's topic id.
    pub(crate) fn write(self, ident: &Ident, out: &mut Vec<u8>) {
        match self {
            Node::Event => return out.extend_from_slice(ident.topic.as_bytes()),
            Node::ListedEvent => {
                out.extend_from_slice(b"OV");
                return out.extend_from_slice(ident.id.as_bytes());
            }
            Node::Teams => board(ident, b"TG", out),
            Node::Team(side) => board(ident, if side == Side::Home { b"T1" } else { b"T2" }, out),
            Node::Scores => board(ident, b"ES", out),
            Node::Column(column) => {
                board(ident, b"ES", out);
                number(out, column.into());
            }
            Node::Line(column, side) => {
                board(ident, b"ES", out);
                number(out, column.into());
                out.extend_from_slice(if side == Side::Home { b"-0" } else { b"-1" });
            }
            Node::Log => board(ident, b"SG", out),
            Node::Entry(entry) => {
                board(ident, b"U", out);
                number(out, entry.into());
            }
            Node::Group(group) => numbered(ident, b"G", group, out),
            Node::Market(market) => numbered(ident, b"M", market, out),
            Node::MarketColumn(market, column) => {
                numbered(ident, b"C", market, out);
                out.push(b'-');
                number(out, column as u64);
            }
            Node::Selection(selection) => numbered(ident, b"L", selection, out),
            Node::ListedMarket(market) => numbered(ident, b"OVM", market, out),
            Node::ListedSelection(selection) => numbered(ident, b"OVL", selection, out),
        }
        out.extend_from_slice(SUFFIX.as_bytes());
    }

    /// The node's topic id.
    pub(crate) fn topic(self, ident: &Ident) -> String {
        let mut out = Vec::with_capacity(32);
        self.write(ident, &mut out);
        String::from_utf8(out).unwrap_or_default()
    }
}

fn board(ident: &Ident, what: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"ML");
    number(out, ident.fixture());
    out.extend_from_slice(what);
}

fn numbered(ident: &Ident, what: &[u8], which: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(what);
    number(out, ident.fixture());
    out.push(b'-');
    number(out, which.into());
}
