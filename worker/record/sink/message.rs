//! A row's own name among all rows that a broker ever gets, by which consumers know a copy.
//!
//! Of the match stream the event's id, with the revision behind it where it is not 0; of the bulk stream, whose rows have no id, the
//! store's token and the `seq`. Used by the sinks whose broker carries it beside the row.

use super::Row;
use serde::Deserialize;
use touchline_common::ipc::messages::data::Stream;

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(default)]
    revision: u64,
}

/// The name of a row of the store with this token.
pub(super) fn name(row: &Row, token: u64) -> String {
    let by_seq = || format!("{token}-{}", row.seq);
    match row.lane.stream() {
        Stream::Bulk => by_seq(),
        // The recorder wrote it: an event without an id there is not.
        Stream::Match => match serde_json::from_str(&row.json) {
            Ok(Event { id, revision: 0 }) => id,
            Ok(Event { id, revision }) => format!("{id}.{revision}"),
            Err(_) => by_seq(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchline_common::config::SinkLane;

    #[test]
    fn copies_have_one_name_and_revisions_others() {
        let row = |lane, json: &str| Row {
            seq: 5,
            feed: "f".into(),
            id: "m".into(),
            kind: "goal".into(),
            lane,
            json: json.into(),
        };
        let of = |lane, json| name(&row(lane, json), 17);
        assert_eq!(of(SinkLane::Priority, r#"{"seq":5,"id":"ab","revision":0,"match":"m"}"#), "ab");
        assert_eq!(of(SinkLane::Normal, r#"{"seq":5,"id":"ab","revision":2}"#), "ab.2");
        assert_eq!(of(SinkLane::Odds, r#"{"seq":5}"#), "17-5");
        assert_eq!(of(SinkLane::Chat, r#"{"seq":5,"id":"c"}"#), "17-5");
    }
}
