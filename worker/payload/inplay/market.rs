//! A market's section: the market, its columns, its selections.

use super::json_text::{Escape, Extra, Json, Piece};
use super::mapping::{Class, Mapping, Role};
use super::shown::Shown;
use super::store::{Node, NodeId, Store};
use super::text;
use touchline_common::model::Price;

/// Renders the market at `id` into `out`, which is empty.
pub(super) fn render(store: &Store, mapping: &Mapping, id: NodeId, extra: &mut Extra, out: &mut Json) {
    let shown = Shown::new(store.text(id));
    out.fixed(b"{");
    let held = members(shown, mapping, Class::Market, extra, out);
    if let Some(group) = group(store, mapping, id) {
        member(out, b"\"group\":", Some(group.into()), Escape::of(group));
    }
    out.truth(b"\"suspended\":", held.is_suspended());
    out.fixed(b"\"selections\":{");
    let columns = selections(store, mapping, id, extra, out);
    out.close(b'}');
    if columns > 0 {
        write_columns(store, mapping, id, out);
    }
    out.fixed(b"}");
}

fn group<'a>(store: &'a Store, mapping: &Mapping, id: NodeId) -> Option<&'a [u8]> {
    store.attribute(store.nearest(id, Class::MarketGroup), mapping.key(Class::MarketGroup, Role::Name))
}

/// Writes the selections of a market and of its columns; how many columns it has.
fn selections(store: &Store, mapping: &Mapping, market: NodeId, extra: &mut Extra, out: &mut Json) -> u32 {
    let mut write = |id, place: &mut Place| {
        let node = store.node(id);
        if node.class == Class::Selection {
            selection(store, mapping, node, *place, extra, out);
            place.order += 1;
        }
    };
    let (mut place, mut columns) = (Place { order: 0, column: None }, 0);
    for child in store.children(market) {
        write(child, &mut place);
        if store.node(child).class == Class::Column {
            let mut place = Place { order: 0, column: Some(columns) };
            store.children(child).for_each(|below| write(below, &mut place));
            columns += 1;
        }
    }
    columns
}

fn write_columns(store: &Store, mapping: &Mapping, market: NodeId, out: &mut Json) {
    out.fixed(b",\"columns\":[");
    let name = mapping.key(Class::Column, Role::Name);
    for column in store.children(market).filter(|id| store.node(*id).class == Class::Column) {
        out.string(store.attribute(column, name).unwrap_or_default());
        out.fixed(b",");
    }
    out.close(b']');
}

#[derive(Clone, Copy)]
struct Place {
    order: u32,
    column: Option<u32>,
}

fn selection(store: &Store, mapping: &Mapping, node: &Node, place: Place, extra: &mut Extra, out: &mut Json) {
    // Without an id of its own it has no key.
    if !node.indexed {
        return;
    }
    let shown = Shown::new(store.text_of(node));
    let escape = shown.escape;
    let it = node.it_at as usize;
    out.quoted(Piece::new(shown.text, it, it + node.it_len as usize), escape);
    out.fixed(b":{");
    let held = members(shown, mapping, Class::Selection, extra, out);
    prices(node, held.odds, escape, out);
    member(out, b"\"handicap\":", held.handicap, escape);
    if let Some(column) = place.column {
        out.fixed(b"\"column\":");
        out.number(i64::from(column));
        out.fixed(b",");
    }
    out.truth(b"\"suspended\":", held.is_suspended());
    if let Some(won) = text::won(held.won.map(Piece::as_bytes)) {
        out.truth(b"\"won\":", won);
    }
    out.fixed(b"\"order\":");
    out.number(i64::from(place.order));
    out.fixed(b"},");
}

/// What a market or a selection has members of their own for; of two attributes with one name the first counts.
#[derive(Default)]
struct Members<'a> {
    id: Option<Piece<'a>>,
    name: Option<Piece<'a>>,
    odds: Option<Piece<'a>>,
    handicap: Option<Piece<'a>>,
    suspended: Option<Piece<'a>>,
    won: Option<Piece<'a>>,
}

impl Members<'_> {
    fn is_suspended(&self) -> bool {
        text::suspended(self.suspended.map(Piece::as_bytes))
    }
}

/// Writes what no rule uses, id and name, and gives the rest.
#[inline]
fn members<'a>(
    shown: Shown<'a>,
    mapping: &Mapping,
    class: Class,
    extra: &mut Extra,
    out: &mut Json,
) -> Members<'a> {
    let escape = shown.escape;
    let mut held = Members::default();
    extra.begin();
    shown.scan(mapping, class, |role, name, value| {
        let place = match role {
            Some(Role::Odds) => &mut held.odds,
            Some(Role::Id) => &mut held.id,
            Some(Role::Name) => &mut held.name,
            Some(Role::Handicap) => &mut held.handicap,
            Some(Role::Suspended) => &mut held.suspended,
            // Any other text is no result, and stays what it is.
            Some(Role::Won) if text::won(Some(value.as_bytes())).is_some() => &mut held.won,
            Some(Role::Topic | Role::Order) => return,
            Some(_) | None => return extra.add(out, name, value, escape),
        };
        place.get_or_insert(value);
    });
    extra.end(out);
    member(out, b"\"id\":", held.id, escape);
    member(out, b"\"name\":", held.name, escape);
    held
}

fn prices(node: &Node, text: Option<Piece<'_>>, escape: Escape, out: &mut Json) {
    member(out, b"\"odds_text\":", text, escape);
    let now = Price::from_text(text.unwrap_or_default().as_bytes());
    let held = node.prices();
    if let Some(price) = now {
        out.fixed(b"\"odds\":");
        out.price(price);
        out.fixed(b",");
    }
    if let Some(price) = held.map_or(now, |prices| prices.open) {
        out.fixed(b"\"open\":");
        out.price(price);
        out.fixed(b",");
    }
    out.fixed(b"\"move\":");
    match held.map_or(0, |prices| prices.step) {
        0 => out.fixed(b"0,"),
        1 => out.fixed(b"1,"),
        _ => out.fixed(b"-1,"),
    }
}

/// Writes a member and a comma, unless the value is absent or empty.
#[inline]
fn member<const N: usize>(out: &mut Json, name: &[u8; N], value: Option<Piece<'_>>, escape: Escape) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        out.fixed(name);
        out.quoted(value, escape);
        out.fixed(b",");
    }
}
