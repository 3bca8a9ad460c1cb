//! The sections of a match: head, tail, one for each market.

use super::odds::{Market, MarketNow, Selection, SelectionNow};
use super::rest::{Used, write_rest};
use super::values;
use super::view::{Stat, View};
use crate::payload::json_text::Json;
use touchline_common::config::{ExtraRule, MarketReading};
use touchline_common::model::Side;

/// Renders the head into `out`, which is empty.
pub(super) fn head(view: &View<'_>, out: &mut Json) {
    let progress = view.progress();
    out.fixed(b"{");
    out.member("sport_id", view.sport_id().as_deref());
    out.member("sport", view.sport().map(|sport| sport.name));
    out.member("competition", view.competition().as_deref());
    out.member("name", view.name().as_deref());
    let [home, away] = view.sides();
    out.member("home", home.as_deref());
    out.member("away", away.as_deref());
    out.member("status", Some(progress.status.as_str()));
    out.member("period", progress.period.as_deref());
    view.clock().write(out);
    write_score(view, out);
    out.close(b'}');
}

fn write_score(view: &View<'_>, out: &mut Json) {
    let score = view.score();
    if score == [None, None] {
        return;
    }
    out.fixed(b"\"score\":{");
    if let [Some(home), Some(away)] = score {
        out.member("text", Some(&format!("{home}-{away}")));
    }
    out.sides(score);
    out.close_member(b'}');
}

/// Renders the tail into `out`, which is empty.
pub(super) fn tail(view: &View<'_>, markets: &[&MarketNow<'_>], out: &mut Json) {
    out.fixed(b"{");
    write_stats(view, out);
    out.fixed(b"\"market_order\":[");
    for market in markets {
        out.string(market.key.as_bytes());
        out.fixed(b",");
    }
    out.close(b']');
    out.fixed(b",");
    write_extra(view, out);
    out.close(b'}');
}

fn write_stats(view: &View<'_>, out: &mut Json) {
    let stats = view.stats();
    if stats.is_empty() {
        return;
    }
    out.fixed(b"\"stats\":{");
    for (key, stat) in stats {
        out.string(key.as_bytes());
        out.fixed(b":");
        match stat {
            Stat::Whole(text) => count_or_text(text, out),
            Stat::Sides(sides) => {
                out.fixed(b"{");
                for (side, text) in Side::BOTH.into_iter().zip(sides) {
                    if let Some(text) = text {
                        out.string(side.as_str().as_bytes());
                        out.fixed(b":");
                        count_or_text(text, out);
                        out.fixed(b",");
                    }
                }
                out.close(b'}');
            }
        }
        out.fixed(b",");
    }
    out.close_member(b'}');
}

fn count_or_text(text: &str, out: &mut Json) {
    match values::count(text) {
        Some(count) => out.number(count),
        None => out.string(text.as_bytes()),
    }
}

/// `extra`: what no pointer leads to, by the name of the source whose answer has it.
fn write_extra(view: &View<'_>, out: &mut Json) {
    let from = out.len();
    out.fixed(b"\"extra\":{");
    let empty = out.len();
    for answer in view.answers.iter().filter(|answer| answer.reading.extra == ExtraRule::Keep) {
        write_rest(answer.source, answer.body, &Used::by(answer.reading, answer.body), out);
    }
    if out.len() == empty {
        return out.truncate(from);
    }
    out.close_member(b'}');
}

/// Renders a market into `out`, which is empty.
pub(super) fn market(now: &MarketNow<'_>, held: &Market, extra: ExtraRule, out: &mut Json) {
    let MarketReading { id, name, suspended, selections, .. } = now.reading;
    out.fixed(b"{");
    if extra == ExtraRule::Keep {
        let mut used = Used::default();
        used.add_all(now.node, id.0.iter().chain(name).chain(suspended));
        used.add_lists(now.node, selections);
        write_rest("extra", now.node, &used, out);
    }
    out.member("id", Some(&now.key));
    out.member("name", Some(now.name));
    out.truth(b"\"suspended\":", now.suspended);
    out.fixed(b"\"selections\":{");
    for (order, selection) in now.selections.iter().enumerate() {
        if let Some(held) = held.selection(&selection.key) {
            write_selection(now.reading, selection, held, order, extra, out);
        }
    }
    out.close_member(b'}');
    out.close(b'}');
}

fn write_selection(
    reading: &MarketReading,
    now: &SelectionNow<'_>,
    held: &Selection,
    order: usize,
    extra: ExtraRule,
    out: &mut Json,
) {
    out.string(now.key.as_bytes());
    out.fixed(b":{");
    if extra == ExtraRule::Keep {
        let MarketReading { selection_id, selection_name, price, price_text, won, .. } = reading;
        let mut used = Used::default();
        used.add_all(now.node, selection_id.0.iter().chain(selection_name).chain(price).chain(price_text));
        // Any other text is no result, and stays what it is.
        used.add(now.node, won.as_ref().filter(|_| now.won.is_some()));
        write_rest("extra", now.node, &used, out);
    }
    out.member("id", Some(&now.key));
    out.member("name", Some(now.name));
    out.member("odds_text", Some(now.text));
    for (name, price) in [(&b"\"odds\":"[..], now.price), (b"\"open\":", held.open)] {
        if let Some(price) = price {
            out.put(name);
            out.price(price);
            out.fixed(b",");
        }
    }
    out.fixed(b"\"move\":");
    out.number(i64::from(held.step));
    out.truth(b",\"suspended\":", false);
    if let Some(won) = now.won {
        out.truth(b"\"won\":", won);
    }
    out.fixed(b"\"order\":");
    out.number(order as i64);
    out.fixed(b"},");
}
