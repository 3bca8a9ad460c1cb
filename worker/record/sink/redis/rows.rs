//! Rows as the server reads them: one transaction, written into one buffer (Redis serialization protocol, 'Sending commands to a
//! Redis server').
//!
//! The library's own commands allocate for each argument and are copied twice, which was a quarter of the sink's time; a test holds
//! these bytes to its. Called by the sink alone.

use super::keys::{Id, Keys, shard};
use crate::record::sink::Row;
use std::io::Write as _;

/// Words and arguments of one row's command.
const WORDS: usize = 16;
/// About what a row takes beside its object, bytes.
const BESIDE: usize = 256;

/// Where rows go, and how long their streams may become.
pub(super) struct Target<'a> {
    pub(super) keys: &'a Keys,
    /// The store's.
    pub(super) token: u64,
    pub(super) maxlen: u64,
}

impl Target<'_> {
    pub(super) fn key(&self, row: &Row) -> String {
        self.keys.stream(Keys::kind(row.lane), &row.feed, shard(&row.id))
    }

    /// The commands of a transaction that adds these rows.
    pub(super) fn transaction(&self, rows: &[Row]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(rows.iter().map(|row| row.json.len() + BESIDE).sum());
        bytes.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n");
        let maxlen = self.maxlen.to_string();
        for row in rows {
            let seq = row.seq.to_string();
            begin(&mut bytes, WORDS);
            argument(&mut bytes, b"XADD");
            argument(&mut bytes, self.key(row).as_bytes());
            argument(&mut bytes, b"MAXLEN");
            argument(&mut bytes, b"~");
            argument(&mut bytes, maxlen.as_bytes());
            argument(&mut bytes, Id { token: self.token, seq: row.seq }.to_string().as_bytes());
            let fields: [(&[u8], &[u8]); 5] = [
                (b"seq", seq.as_bytes()),
                (b"match", row.id.as_bytes()),
                (b"type", row.kind.as_bytes()),
                (b"lane", row.lane.as_str().as_bytes()),
                (b"event", row.json.as_bytes()),
            ];
            for (name, value) in fields {
                argument(&mut bytes, name);
                argument(&mut bytes, value);
            }
        }
        bytes.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
        bytes
    }
}

fn begin(bytes: &mut Vec<u8>, words: usize) {
    // Writing into memory does not fail.
    let _ = write!(bytes, "*{words}\r\n");
}

fn argument(bytes: &mut Vec<u8>, argument: &[u8]) {
    let _ = write!(bytes, "${}\r\n", argument.len());
    bytes.extend_from_slice(argument);
    bytes.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::redis::pipe;
    use proptest::prelude::*;
    use touchline_common::config::SinkLane;

    fn lane() -> impl Strategy<Value = SinkLane> {
        prop_oneof![
            Just(SinkLane::Priority),
            Just(SinkLane::Normal),
            Just(SinkLane::Odds),
            Just(SinkLane::Chat)
        ]
    }

    fn row() -> impl Strategy<Value = Row> {
        (any::<i64>(), any::<String>(), any::<String>(), any::<String>(), lane(), any::<String>())
            .prop_map(|(seq, feed, id, kind, lane, json)| Row { seq, feed, id, kind, lane, json })
    }

    proptest! {
        #[test]
        fn the_library_would_send_the_same(rows in prop::collection::vec(row(), 0..5), token: u64, maxlen: u64) {
            let keys = Keys::new("touchline");
            let target = Target { keys: &keys, token, maxlen };
            let mut asked = pipe();
            asked.atomic();
            for row in &rows {
                let id = Id { token, seq: row.seq }.to_string();
                let added = asked.cmd("XADD").arg(target.key(row)).arg("MAXLEN").arg("~").arg(maxlen).arg(id);
                added.arg("seq").arg(row.seq).arg("match").arg(&row.id).arg("type").arg(&row.kind);
                added.arg("lane").arg(row.lane.as_str()).arg("event").arg(&row.json);
            }
            prop_assert_eq!(target.transaction(&rows), asked.get_packed_pipeline());
        }
    }
}
