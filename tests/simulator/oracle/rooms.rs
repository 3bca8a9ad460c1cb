//! The documents of rooms that a ranking names, against what was said to who is in them now.
//!
//! A room states its values one by one, and none again. So what was stated to the connection that stands must be there; of what was said
//! before it only the title is known, by the ranking. Counts begin with the first join: they are compared in a room that was joined once.
//! Callers: the demo, the end-to-end tests, the chaos runner.

use super::FinalReport;
use super::settled::settled;
use crate::rooms::{Heard, RoomsTruth};
use serde_json::Value;
use std::time::Duration;

/// Compares the documents of all rooms that somebody is in, as `document` gives them, again and again until they are equal or `patience`
/// is over. The server is paused by then.
pub fn settled_rooms(
    truth: &RoomsTruth,
    patience: Duration,
    document: impl Fn(&str) -> Option<Value>,
) -> FinalReport {
    let heard: Vec<Heard> = truth.rooms().into_iter().filter_map(|room| truth.heard(room)).collect();
    let compare = || {
        let mut report = FinalReport::default();
        for room in &heard {
            let id = room.id.to_string();
            match document(&id) {
                None => report.missing.push(id),
                Some(document) => {
                    report.compared += 1;
                    report
                        .different
                        .extend(difference(room, &document).map(|what| format!("room {id}: {what}")));
                }
            }
        }
        report
    };
    settled(patience, compare, FinalReport::is_equal)
}

/// The first thing in which a document is not as it must be.
fn difference(heard: &Heard, document: &Value) -> Option<String> {
    let is = |path: &str| document.pointer(path).cloned().unwrap_or_default();
    let status = if heard.live.unwrap_or(true) { "in_play" } else { "not_started" };
    let texts = [("/name", heard.title.trim()), ("/status", status)];
    let texts = texts.into_iter().map(|(path, wanted)| (path, Value::from(wanted)));
    let counts = heard.counts.map(|[comments, gifts, super_chats]| {
        [("/stats/comments", comments), ("/stats/gifts", gifts), ("/stats/super_chats", super_chats)]
    });
    let stated = [heard.viewers.map(|n| ("/stats/viewers", n)), heard.likes.map(|n| ("/stats/likes", n))];
    let numbers = stated.into_iter().flatten().chain(counts.into_iter().flatten());
    texts
        .chain(numbers.map(|(path, wanted)| (path, Value::from(wanted))))
        .find(|(path, wanted)| is(path) != *wanted)
        .map(|(path, wanted)| format!("{path} is {}, not {wanted}", is(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn heard() -> Heard {
        Heard {
            id: 7,
            title: " a title ".to_owned(),
            live: None,
            viewers: Some(12),
            likes: None,
            counts: Some([3, 2, 1]),
        }
    }

    #[test]
    fn what_was_heard_must_be_there_and_nothing_else_is_asked_for() {
        let document = |name: &str, status: &str, comments: u64| {
            json!({"name": name, "status": status,
                "stats": {"viewers": 12, "likes": 5, "popularity": 1, "comments": comments, "gifts": 2, "super_chats": 1}})
        };
        assert_eq!(difference(&heard(), &document("a title", "in_play", 3)), None);
        let of = |name, status, comments| difference(&heard(), &document(name, status, comments)).unwrap();
        assert_eq!(of("another", "in_play", 3), "/name is \"another\", not \"a title\"");
        assert!(of("a title", "not_started", 3).starts_with("/status "));
        assert_eq!(of("a title", "in_play", 4), "/stats/comments is 4, not 3");
        let moved = Heard { counts: None, viewers: None, live: Some(false), ..heard() };
        assert_eq!(difference(&moved, &document("a title", "not_started", 4)), None);
        assert!(difference(&heard(), &json!({})).is_some());
    }
}
