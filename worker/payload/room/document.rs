//! The sections of a room: head and tail are its document, there are no markets.

use super::held::Room;
use crate::payload::json_text::Json;

/// Renders the head into `out`, which is empty.
pub(super) fn head(room: &Room, out: &mut Json) {
    out.fixed(b"{");
    out.member("name", Some(room.name()));
    out.member("status", Some(room.status()));
    out.close(b'}');
}

/// Renders the tail into `out`, which is empty.
pub(super) fn tail(room: &Room, out: &mut Json) {
    out.fixed(b"{\"stats\":{");
    for (statistic, value) in room.statistics() {
        number(out, statistic.as_str(), value);
    }
    for (name, count) in room.counts.named() {
        number(out, name, count);
    }
    out.close_member(b'}');
    out.fixed(b"\"market_order\":[],");
    write_extra(room, out);
    out.close(b'}');
}

/// `extra`: how often each command came that is not known.
fn write_extra(room: &Room, out: &mut Json) {
    if room.unknown.is_empty() {
        return;
    }
    out.fixed(b"\"extra\":{");
    for (name, count) in &room.unknown {
        number(out, name, *count);
    }
    out.close_member(b'}');
}

fn number(out: &mut Json, name: &str, value: i64) {
    out.string(name.as_bytes());
    out.fixed(b":");
    out.number(value);
    out.fixed(b",");
}
