//! The head section of a branch: a match that is published as topics has no markets, so this is its document.

use super::reading::{Counts, Reading};
use crate::tree::head::said;
use crate::tree::json::{self, Escape, Extra, lossy};
use touchline_common::model::Side;

/// Renders the head into `out`, which is empty.
pub(super) fn render(reading: &Reading<'_>, out: &mut String) {
    let progress = reading.progress();
    out.push('{');
    said(out, "sport_id", reading.sport_id());
    said(out, "sport", reading.sport().map(|sport| sport.name));
    said(out, "competition", reading.competition().as_deref());
    said(out, "name", reading.name().as_deref());
    let [home, away] = reading.sides();
    said(out, "home", home.as_deref());
    said(out, "away", away.as_deref());
    said(out, "status", Some(progress.status.as_str()));
    said(out, "period", progress.period.as_deref());
    write_clock(reading, out);
    write_score(reading.score(), out);
    write_stats(reading, out);
    out.push_str("\"market_order\":[],");
    write_extra(reading, out);
    json::close(out, '}');
}

fn write_clock(reading: &Reading<'_>, out: &mut String) {
    let state = reading.clock();
    let Some(seconds) = state.seconds else { return };
    out.push_str("\"clock\":{\"seconds\":");
    json::number(out, seconds);
    out.push_str(if state.running { ",\"running\":true" } else { ",\"running\":false" });
    out.push_str(",\"down\":false},");
}

fn write_score(score: Counts, out: &mut String) {
    if score == [None, None] {
        return;
    }
    out.push_str("\"score\":{");
    if let [Some(home), Some(away)] = score {
        said(out, "text", Some(&format!("{home}-{away}")));
    }
    write_counts(score, out);
    json::close(out, '}');
    out.push(',');
}

fn write_counts(counts: Counts, out: &mut String) {
    for (side, count) in Side::BOTH.into_iter().zip(counts) {
        if let Some(count) = count {
            json::string(out, side.as_str());
            out.push(':');
            json::number(out, count);
            out.push(',');
        }
    }
}

fn write_stats(reading: &Reading<'_>, out: &mut String) {
    let before = out.len();
    out.push_str("\"stats\":{");
    let from = out.len();
    for (key, counted) in reading.table.map(|table| &*table.statistics).unwrap_or_default() {
        let counts = reading.counts(counted);
        if counts != [None, None] {
            json::string(out, key);
            out.push_str(":{");
            write_counts(counts, out);
            json::close(out, '}');
            out.push(',');
        }
    }
    if out.len() == from {
        return out.truncate(before);
    }
    json::close(out, '}');
    out.push(',');
}

/// `extra`: what no rule uses, by the topic's name within the branch; of one name the first subscription's.
fn write_extra(reading: &Reading<'_>, out: &mut String) {
    let mut extra = Extra::default();
    extra.begin();
    for asked in &reading.branch.asked {
        for (key, value) in &asked.values {
            let role = reading.table.and_then(|table| table.role(key));
            if role.is_none_or(|role| role.in_extra()) {
                let (key, value) = (lossy(key), lossy(value));
                let plain = Escape::of(key.as_bytes()) == Escape::Plain
                    && Escape::of(value.as_bytes()) == Escape::Plain;
                extra.add(out, &key, &value, if plain { Escape::Plain } else { Escape::Needed });
            }
        }
    }
    extra.end(out);
}
