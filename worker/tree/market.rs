//! A market's section: the market, its columns, its selections.

use super::json::{self, Escape, Extra, Shown};
use super::mapping::{Class, Mapping, Role};
use super::store::{NIL, Node, NodeId, Store};
use super::text;
use touchline_common::model::Price;

/// Renders the market at `id` into `out`, which is empty.
pub(super) fn render(store: &Store, mapping: &Mapping, id: NodeId, extra: &mut Extra, out: &mut String) {
    let shown = Shown::new(store.text(id));
    let escape = shown.escape();
    out.push('{');
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
    member(out, "\"id\":", number.unwrap_or_default(), escape);
    member(out, "\"name\":", title.unwrap_or_default(), escape);
    if let Some(group) = group(store, mapping, id) {
        let group = json::lossy(group);
        member(out, "\"group\":", &group, Escape::of(group.as_bytes()));
    }
    let suspended = text::suspended(suspended.map(str::as_bytes));
    out.push_str(if suspended { "\"suspended\":true," } else { "\"suspended\":false," });
    out.push_str("\"selections\":{");
    let columns = selections(store, mapping, id, extra, out);
    json::close(out, '}');
    if let Some(columns) = columns {
        out.push_str(",\"columns\":[");
        out.push_str(&columns);
        json::close(out, ']');
    }
    out.push('}');
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

/// Writes the selections of a market and of its columns; the columns' names, if it has columns.
fn selections(
    store: &Store,
    mapping: &Mapping,
    market: NodeId,
    extra: &mut Extra,
    out: &mut String,
) -> Option<String> {
    let mut columns: Option<String> = None;
    let (mut child, mut order, mut column) = (store.node(market).first, 0, 0);
    while child != NIL {
        let node = store.node(child);
        if node.class == Class::Selection {
            selection(store, mapping, child, Place { order, column: None }, extra, out);
            order += 1;
        } else if node.class == Class::Column {
            let names = columns.get_or_insert_default();
            let name = store.attribute(child, mapping.key(Class::Column, Role::Name)).unwrap_or_default();
            json::string(names, &json::lossy(name));
            names.push(',');
            let (mut below, mut order) = (node.first, 0);
            while below != NIL {
                let node = store.node(below);
                if node.class == Class::Selection {
                    selection(store, mapping, below, Place { order, column: Some(column) }, extra, out);
                    order += 1;
                }
                below = node.next;
            }
            column += 1;
        }
        child = node.next;
    }
    columns
}

#[derive(Clone, Copy)]
struct Place {
    order: u32,
    column: Option<u32>,
}

fn selection(
    store: &Store,
    mapping: &Mapping,
    id: NodeId,
    place: Place,
    extra: &mut Extra,
    out: &mut String,
) {
    let node = store.node(id);
    // Without an id of its own it has no key.
    if !node.indexed {
        return;
    }
    json::string(out, &json::lossy(store.it(id)));
    out.push_str(":{");
    let shown = Shown::new(store.text_of(node));
    let escape = shown.escape();
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
    member(out, "\"id\":", number.unwrap_or_default(), escape);
    member(out, "\"name\":", title.unwrap_or_default(), escape);
    prices(node, odds.unwrap_or_default(), escape, out);
    member(out, "\"handicap\":", handicap.unwrap_or_default(), escape);
    if let Some(column) = place.column {
        out.push_str("\"column\":");
        json::number(out, i64::from(column));
        out.push(',');
    }
    let suspended = text::suspended(suspended.map(str::as_bytes));
    out.push_str(if suspended { "\"suspended\":true,\"order\":" } else { "\"suspended\":false,\"order\":" });
    json::number(out, i64::from(place.order));
    out.push_str("},");
}

fn prices(node: &Node, text: &str, escape: Escape, out: &mut String) {
    member(out, "\"odds_text\":", text, escape);
    let now = Price::from_fraction(text);
    let held = node.prices();
    if let Some(price) = now {
        out.push_str("\"odds\":");
        json::price(out, price);
        out.push(',');
    }
    if let Some(price) = held.map_or(now, |prices| prices.open) {
        out.push_str("\"open\":");
        json::price(out, price);
        out.push(',');
    }
    out.push_str("\"move\":");
    out.push_str(match held.map_or(0, |prices| prices.step) {
        0 => "0,",
        1 => "1,",
        _ => "-1,",
    });
}

/// Writes a member and a comma, unless the value is empty.
#[inline]
fn member(out: &mut String, name: &str, value: &str, escape: Escape) {
    if !value.is_empty() {
        out.push_str(name);
        json::quoted(out, value, escape);
        out.push(',');
    }
}
