//! What is said over the socket: which match is asked for, and what of it is pushed. Pure.

use crate::feed::poll::json;
use serde_json::value::RawValue;
use touchline_common::config::SocketConfig;

/// Bytes of an id at most.
const ID_MAX: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Snapshot {
        id: String,
        time: Option<u64>,
        body: Vec<u8>,
    },
    /// What changed, one after the other.
    Delta {
        id: String,
        time: Option<u64>,
        changes: Vec<Vec<u8>>,
    },
    Deleted {
        id: String,
    },
    /// It is of no match: a greeting, an answer, an error.
    Other,
}

/// The message that asks for a match, or gives it up; none if there is none, or the id has no place in it.
pub(super) fn about(template: &str, id: &str) -> Option<String> {
    // As it stands in a JSON text, without its quotes: where there are none in the template it has to be a number.
    let quoted = serde_json::to_string(id).ok()?;
    let inside = quoted.get(1..quoted.len().checked_sub(1)?)?;
    let text = template.replace("{ID}", inside);
    let is_json = serde_json::from_str::<&RawValue>(&text).is_ok();
    (!template.is_empty() && is_json).then_some(text)
}

/// Reads a message.
///
/// # Errors
/// It is no JSON, or has no match where one is expected.
pub(super) fn read(config: &SocketConfig, text: &[u8]) -> Result<Message, String> {
    let root: &RawValue = serde_json::from_slice(text).map_err(|error| format!("no JSON: {error}"))?;
    let at = |pointer: &str| json::find_in(root, pointer);
    let kind = at(&config.kind).and_then(json::text).unwrap_or_default();
    if ![&config.snapshot, &config.delta, &config.deleted].contains(&&kind) {
        return Ok(Message::Other);
    }
    let id = at(&config.id).and_then(json::text).filter(|id| id.len() <= ID_MAX);
    let id = id.ok_or_else(|| format!("a {kind} without a match at id = {:?}", config.id))?;
    let time = if config.time.is_empty() { None } else { at(&config.time).and_then(json::text) };
    let time = time.and_then(|time| time.parse().ok());
    let bytes = |value: &RawValue| value.get().as_bytes().to_vec();
    if kind == config.snapshot {
        let body = at(&config.data).ok_or_else(|| format!("a {kind} with nothing at {:?}", config.data))?;
        Ok(Message::Snapshot { id, time, body: bytes(body) })
    } else if kind == config.delta {
        let changes = config.changes.iter().filter_map(|pointer| at(pointer));
        let changes = changes.filter(|change| change.get() != "null").map(bytes).collect();
        Ok(Message::Delta { id, time, changes })
    } else {
        Ok(Message::Deleted { id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_match_is_asked_for_by_what_its_id_is() {
        let template = SocketConfig::default().subscribe;
        let asked = r#"{"action":"subscribe","type":"match","matchId":42}"#;
        assert_eq!(about(&template, "42").as_deref(), Some(asked));
        assert_eq!(about(&template, "a"), None, "no number, and no quotes for it");
        assert_eq!(about(r#"{"id":"{ID}"}"#, "a\"b").as_deref(), Some(r#"{"id":"a\"b"}"#));
        assert_eq!(about("", "1"), None);
    }

    #[test]
    fn messages_are_told_apart_by_their_kind() {
        let of = |text: &str| read(&SocketConfig::default(), text.as_bytes());
        assert_eq!(
            of(r#"{"type":"match_snapshot","matchId":7,"timestamp":5,"data":{"a":1.50}}"#),
            Ok(Message::Snapshot { id: "7".into(), time: Some(5), body: br#"{"a":1.50}"#.to_vec() })
        );
        assert_eq!(
            of(r#"{"type":"match_delta","matchId":"7","changes":{"added":{"b":2},"updated":null}}"#),
            Ok(Message::Delta { id: "7".into(), time: None, changes: vec![br#"{"b":2}"#.to_vec()] })
        );
        assert_eq!(of(r#"{"type":"match_deleted","matchId":7}"#), Ok(Message::Deleted { id: "7".into() }));
        for other in [r#"{"type":"connected"}"#, r#"{"type":"error","code":3}"#, "[1]", "7"] {
            assert_eq!(of(other), Ok(Message::Other), "{other}");
        }
        for bad in ["<html>", "", r#"{"type":"match_snapshot","matchId":7}"#, r#"{"type":"match_delta"}"#] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
