//! `[feed.socket]` of a polled feed: a WebSocket of the same API, which pushes of a source's matches what polling would ask for.
//!
//! As long as it pushes a match, that is not asked for; when the connection is down, it is. Judged by `values::socket`.

use crate::config::pointer::Pointer;
use crate::config::url::Url;
use serde::{Deserialize, Serialize};

/// Pointers are JSON pointers (RFC 6901), in a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SocketConfig {
    /// `ws://…` or `wss://…`; `{NAME}` in its path or query stands for the value of that header of the feed, such as a key that
    /// `headers_env` names. Left out: there is no socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
    /// The source whose matches it pushes.
    pub source: String,
    /// The message that asks for a match, `{ID}` in it.
    pub subscribe: String,
    /// The message that gives it up; empty: none.
    pub unsubscribe: String,
    /// What a message is.
    pub kind: String,
    /// Its match: a text or a number.
    pub id: String,
    /// Its time, a number: older ones are dropped. Empty: they come in order.
    pub time: String,
    /// The kind of those that have a whole match, which is at `data`.
    pub snapshot: String,
    pub data: String,
    /// The kind of those that have what changed: each of `changes` is merged into the match, objects member by member.
    pub delta: String,
    pub changes: Vec<String>,
    /// What of a change takes the place of what stands there, whole, as what it leaves out is gone: in the match, such as
    /// `/odds/*` for each bookmaker.
    pub replaced: Vec<Pointer>,
    /// The kind of those that say that a match is no more.
    pub deleted: String,
}

impl Default for SocketConfig {
    fn default() -> Self {
        SocketConfig {
            url: None,
            source: String::new(),
            subscribe: r#"{"action":"subscribe","type":"match","matchId":{ID}}"#.to_owned(),
            unsubscribe: String::new(),
            kind: "/type".to_owned(),
            id: "/matchId".to_owned(),
            time: "/timestamp".to_owned(),
            snapshot: "match_snapshot".to_owned(),
            data: "/data".to_owned(),
            delta: "match_delta".to_owned(),
            changes: vec!["/changes/added".to_owned(), "/changes/updated".to_owned()],
            replaced: "/oddsBk/*".parse().into_iter().collect(),
            deleted: "match_deleted".to_owned(),
        }
    }
}
