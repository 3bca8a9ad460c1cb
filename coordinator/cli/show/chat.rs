//! A row of a room as a line of a chat: `12:03:04 ann: hello`.
//!
//! Time of day in UTC, the room where there may be several, who, what. What was given says what it is worth, what is taken back its
//! id. Caller: `events`.

use super::super::output::clean;
use super::{plain, text};
use serde_json::Value;
use touchline_common::control::EventLane;
use touchline_common::model::ChatKind;

pub(crate) fn is_line(row: &Value) -> bool {
    text(row, "lane") == EventLane::Chat.as_str()
}

/// The line; `room` is what its room is called.
pub(crate) fn line(row: &Value, room: Option<&str>) -> String {
    let time = text(row, "at").get(11..19).unwrap_or("-");
    let user = known(row, "user").map(|user| format!("{user}:"));
    let words = [Some(time), room, user.as_deref(), known(row, "text")];
    let mut words: Vec<String> = words.into_iter().flatten().map(str::to_owned).collect();
    words.extend(remark(row));
    clean(&words.join(" ")).into_owned()
}

fn known<'r>(row: &'r Value, key: &str) -> Option<&'r str> {
    row.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// What makes the row another than a comment.
fn remark(row: &Value) -> Option<String> {
    let kind = ChatKind::ALL.into_iter().find(|kind| kind.as_str() == text(row, "type"))?;
    let worth = |what: &str| match row.get("amount") {
        None | Some(Value::Null) => format!("({what})"),
        Some(_) => format!("({what}, {})", plain(row, "amount")),
    };
    match kind {
        ChatKind::Comment => None,
        ChatKind::Gift => Some(worth("gift")),
        ChatKind::SuperChat => Some(worth("super chat")),
        ChatKind::Retract => Some(format!("(taken back) {}", text(row, "id"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_of_a_room_read_like_a_chat() {
        let shown = |members: Value, room| {
            let mut row = json!({"seq": 1, "match": "7", "feed": "live", "lane": "chat", "id": "17", "user": "ann",
                "text": "hello", "amount": null, "at": "2026-01-02T12:03:04.000001Z", "feed_at": null});
            row.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            assert!(is_line(&row));
            line(&row, room)
        };
        for (members, expected) in [
            (json!({"type": "comment"}), "ann: hello"),
            (json!({"type": "comment", "user": null}), "hello"),
            (json!({"type": "comment", "text": "a\u{1b}b\nc"}), "ann: a\\u{1b}b\\u{a}c"),
            (json!({"type": "gift", "text": "rose", "amount": 100}), "ann: rose (gift, 100)"),
            (json!({"type": "gift", "text": null}), "ann: (gift)"),
            (json!({"type": "super_chat", "amount": 3000}), "ann: hello (super chat, 3000)"),
            (json!({"type": "retract", "user": null, "text": null}), "(taken back) 17"),
        ] {
            assert_eq!(shown(members, None), format!("12:03:04 {expected}"));
        }
        assert_eq!(shown(json!({"type": "comment"}), Some("Room 7")), "12:03:04 Room 7 ann: hello");
        assert_eq!(line(&json!({"lane": "chat"}), None), "-");
        assert!(!is_line(&json!({"type": "comment", "lane": "normal"})));
    }
}
