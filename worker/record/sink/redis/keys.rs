//! Names of keys and ids of entries. What stands here is an interface for whoever reads the streams.

use std::fmt;
use touchline_common::config::SinkLane;

/// Streams of one feed and kind; a match is always in the same one.
pub(super) const SHARDS: u64 = 16;

/// The shard of a match: 64-bit FNV-1a of its id, modulo [`SHARDS`].
pub(super) fn shard(id: &str) -> u64 {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash % SHARDS
}

#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Keys {
        Keys { prefix: prefix.to_owned() }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The kind of stream that a lane's rows go to.
    pub(super) fn kind(lane: SinkLane) -> &'static str {
        match lane {
            SinkLane::Priority | SinkLane::Normal => "ev",
            SinkLane::Odds => "odds",
            SinkLane::Chat => "chat",
        }
    }

    pub(super) fn stream(&self, kind: &str, feed: &str, shard: u64) -> String {
        format!("{}:{kind}:{feed}:{shard}", self.prefix)
    }

    pub(super) fn document(&self, feed: &str, id: &str) -> String {
        format!("{}:match:{feed}:{id}", self.prefix)
    }
}

/// The id of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    /// The token of the store whose row it is.
    pub(super) token: u64,
    pub(super) seq: i64,
}

impl Id {
    /// As the server writes it.
    pub(super) fn parse(text: &[u8]) -> Option<Id> {
        let (token, seq) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(Id { token: token.parse().ok()?, seq: seq.parse().ok()? })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.token, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_ids_are_an_interface() {
        let keys = Keys::new("touchline");
        assert_eq!(keys.stream(Keys::kind(SinkLane::Normal), "inplay", 3), "touchline:ev:inplay:3");
        assert_eq!(
            keys.stream(Keys::kind(SinkLane::Chat), "live", shard("R")),
            format!("touchline:chat:live:{}", shard("R"))
        );
        assert_eq!(keys.document("inplay", "M/1"), "touchline:match:inplay:M/1");
        let id = Id { token: 1_700_000_000_000, seq: 42 };
        assert_eq!((id.to_string().as_str(), Id::parse(b"1700000000000-42")), ("1700000000000-42", Some(id)));
        assert_eq!(Id::parse(b"0"), None);
    }

    #[test]
    fn the_shard_of_a_match_never_changes() {
        // The published values of the hash: of nothing, of "a" and of "foobar".
        assert_eq!(shard(""), 0xcbf2_9ce4_8422_2325 % 16);
        assert_eq!(shard("a"), 0xaf63_dc4c_8601_ec8c % 16);
        assert_eq!(shard("foobar"), 0x8594_4171_f739_67e8 % 16);
    }
}
