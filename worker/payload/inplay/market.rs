//! A market's section: the market, its columns, its selections.

use super::json::{Escape, Extra, Json, Piece};
use super::mapping::{Class, Mapping, Role};
use super::shown::Shown;
use super::store::{NIL, Node, NodeId, Store};
use super::text;
use touchline_common::model::Price;

/// Renders the market at `id` into `out`, which is empty.
pub(super) fn render(store: &Store, mapping: &Mapping, id: NodeId, extra: &mut Extra, out: &mut Json) {
    let shown = Shown::new(store.text(id));
    let escape = shown.escape();
    out.fixed(b"{");
    extra.begin();
    let (mut number, mut title, mut suspended) = (None, None, None);
    shown.scan(mapping, Class::Market, |role, name, value| match role {
        // Of two attributes with one name the first counts.
        Some(Role::Id) => _ = number.get_or_insert(value),
        Some(Role::Name) => _ = title.get_or_insert(value),
        Some(Role::Suspended) => _ = suspended.get_or_insert(value),
        Some(Role::Topic | Role::Order) => {}
        Some(_) | None => extra.add(out, name, value, escape),
    });
    extra.end(out);
    member(out, b"\"id\":", number, escape);
    member(out, b"\"name\":", title, escape);
    if let Some(group) = group(store, mapping, id) {
        member(out, b"\"group\":", Some(group.into()), Escape::of(group));
    }
    let suspended = text::suspended(suspended.map(Piece::as_bytes));
    out.put(if suspended { &b"\"suspended\":true,"[..] } else { b"\"suspended\":false," });
    out.fixed(b"\"selections\":{");
    let columns = selections(store, mapping, id, extra, out);
    out.close(b'}');
    if columns > 0 {
        write_columns(store, mapping, id, out);
    }
    out.fixed(b"}");
}

fn group<'a>(store: &'a Store, mapping: &Mapping, id: NodeId) -> Option<&'a [u8]> {
    let mut at = store.node(id).parent;
    while at != NIL && store.node(at).class != Class::MarketGroup {
        at = store.node(at).parent;
    }
    if at == NIL {
        return None;
    }
    store.attribute(at, mapping.key(Class::MarketGroup, Role::Name))
}

/// Writes the selections of a market and of its columns; how many columns it has.
fn selections(store: &Store, mapping: &Mapping, market: NodeId, extra: &mut Extra, out: &mut Json) -> u32 {
    let (mut child, mut order, mut column) = (store.node(market).first, 0, 0);
    while child != NIL {
        let node = store.node(child);
        if node.class == Class::Selection {
            selection(store, mapping, node, Place { order, column: None }, extra, out);
            order += 1;
        } else if node.class == Class::Column {
            let (mut below, mut order) = (node.first, 0);
            while below != NIL {
                let node = store.node(below);
                if node.class == Class::Selection {
                    selection(store, mapping, node, Place { order, column: Some(column) }, extra, out);
                    order += 1;
                }
                below = node.next;
            }
            column += 1;
        }
        child = node.next;
    }
    column
}

fn write_columns(store: &Store, mapping: &Mapping, market: NodeId, out: &mut Json) {
    out.fixed(b",\"columns\":[");
    let mut child = store.node(market).first;
    while child != NIL {
        let node = store.node(child);
        if node.class == Class::Column {
            out.string(store.attribute(child, mapping.key(Class::Column, Role::Name)).unwrap_or_default());
            out.fixed(b",");
        }
        child = node.next;
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
    let escape = shown.escape();
    let it = node.it_at as usize;
    out.quoted(shown.piece(it, it + node.it_len as usize), escape);
    out.fixed(b":{");
    extra.begin();
    let (mut number, mut title, mut odds, mut handicap, mut suspended) = (None, None, None, None, None);
    shown.scan(mapping, Class::Selection, |role, name, value| match role {
        Some(Role::Odds) => _ = odds.get_or_insert(value),
        Some(Role::Id) => _ = number.get_or_insert(value),
        Some(Role::Name) => _ = title.get_or_insert(value),
        Some(Role::Handicap) => _ = handicap.get_or_insert(value),
        Some(Role::Suspended) => _ = suspended.get_or_insert(value),
        Some(Role::Topic | Role::Order) => {}
        Some(_) | None => extra.add(out, name, value, escape),
    });
    extra.end(out);
    member(out, b"\"id\":", number, escape);
    member(out, b"\"name\":", title, escape);
    prices(node, odds, escape, out);
    member(out, b"\"handicap\":", handicap, escape);
    if let Some(column) = place.column {
        out.fixed(b"\"column\":");
        out.number(i64::from(column));
        out.fixed(b",");
    }
    let suspended = text::suspended(suspended.map(Piece::as_bytes));
    out.put(if suspended {
        &b"\"suspended\":true,\"order\":"[..]
    } else {
        b"\"suspended\":false,\"order\":"
    });
    out.number(i64::from(place.order));
    out.fixed(b"},");
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
