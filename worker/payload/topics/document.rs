//! The sections of a branch: a match that is published as topics has no markets, so head and tail are its document.

use super::reading::{Counts, Reading};
use super::table::Role;
use crate::payload::json_text::{Escape, Extra, Json};

/// Renders the head into `out`, which is empty.
pub(super) fn head(reading: &Reading<'_>, out: &mut Json) {
    let progress = reading.progress();
    out.fixed(b"{");
    out.member("sport_id", reading.sport_id().as_deref());
    out.member("sport", reading.sport().map(|sport| sport.name));
    out.member("competition", reading.competition().as_deref());
    out.member("name", reading.name().as_deref());
    let [home, away] = reading.sides();
    out.member("home", home.as_deref());
    out.member("away", away.as_deref());
    out.member("status", Some(progress.status.as_str()));
    out.member("period", progress.period.as_deref());
    reading.clock().write(out);
    write_score(reading.score(), out);
    out.close(b'}');
}

/// Renders the tail into `out`, which is empty.
pub(super) fn tail(reading: &Reading<'_>, out: &mut Json) {
    out.fixed(b"{");
    write_stats(reading, out);
    out.fixed(b"\"market_order\":[],");
    write_extra(reading, out);
    out.close(b'}');
}

fn write_score(score: Counts, out: &mut Json) {
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

fn write_stats(reading: &Reading<'_>, out: &mut Json) {
    let before = out.len();
    out.fixed(b"\"stats\":{");
    let from = out.len();
    for (key, counted) in reading.table.map(|table| &*table.statistics).unwrap_or_default() {
        let counts = reading.counts(counted);
        if counts != [None, None] {
            out.string(key.as_bytes());
            out.fixed(b":{");
            out.sides(counts);
            out.close_member(b'}');
        }
    }
    if out.len() == from {
        return out.truncate(before);
    }
    out.close_member(b'}');
}

/// `extra`: what no rule uses, by the topic's name within the branch; of one name the first subscription's.
fn write_extra(reading: &Reading<'_>, out: &mut Json) {
    let mut extra = Extra::default();
    extra.begin();
    for asked in &reading.branch.asked {
        for (key, value) in &asked.values {
            let role = reading.table.and_then(|table| table.role(key));
            if role.is_none_or(Role::in_extra) {
                let plain = Escape::of(key) == Escape::Plain && Escape::of(value) == Escape::Plain;
                let escape = if plain { Escape::Plain } else { Escape::Needed };
                extra.add(out, key[..].into(), value[..].into(), escape);
            }
        }
    }
    extra.end(out);
}
