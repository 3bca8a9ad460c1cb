//! An event as a line for people: `16:20:45 12' GOAL home 1-0 Port Meridian v Tallpine`.
//!
//! Time of day in UTC, minute of the match, type, side, score, match, and what else there is to say in a few words. What an
//! event lacks is left out. Caller: `events`.

use super::super::output::clean;
use super::super::table::short;
use super::{pair, plain, text};
use serde_json::Value;

/// Characters of a comment that are shown.
const COMMENT: usize = 60;

/// The line; `name` is what the match is called.
pub(crate) fn line(event: &Value, name: &str) -> String {
    let mut words = vec![time(event)];
    words.extend(event.get("minute").and_then(Value::as_u64).map(|minute| format!("{minute}'")));
    words.push(kind(event));
    words.extend(event.get("side").and_then(Value::as_str).map(str::to_owned));
    words.extend(score(event));
    let details = details(event).join(", ");
    words.push(if details.is_empty() { name.to_owned() } else { format!("{name}: {details}") });
    words.extend(remarks(event));
    clean(&words.join(" ")).into_owned()
}

fn time(event: &Value) -> String {
    text(event, "at").get(11..19).unwrap_or("-").to_owned()
}

/// The type in capitals; of a retraction, what it takes back.
fn kind(event: &Value) -> String {
    let capitals = |name: &str| name.replace('_', " ").to_uppercase();
    match (text(event, "type"), event.pointer("/payload/type").and_then(Value::as_str)) {
        ("retract", Some(taken_back)) => format!("RETRACTED {}", capitals(taken_back)),
        (kind, _) => capitals(kind),
    }
}

fn score(event: &Value) -> Option<String> {
    let score = event.get("score")?;
    let is_known = |side: &str| score.get(side).is_some_and(|count| !count.is_null());
    (is_known("home") && is_known("away")).then(|| pair(score))
}

/// The member `key` as text, if there is one.
fn shown(value: &Value, key: &str) -> Option<String> {
    value.get(key).filter(|member| !member.is_null()).map(|_| plain(value, key))
}

fn details(event: &Value) -> Vec<String> {
    let mut details = Vec::new();
    if let Some(payload) = event.get("payload") {
        payload_words(text(event, "type"), payload, &mut details);
    }
    // What rows of odds and of rooms say.
    for (name, key) in [("market_name", "market"), ("selection_name", "selection")] {
        details.extend(shown(event, name).or_else(|| shown(event, key)));
    }
    details.extend(shown(event, "odds"));
    details.extend(shown(event, "user"));
    details.extend(shown(event, "text").map(|text| short(&text, COMMENT)));
    details
}

fn payload_words(kind: &str, payload: &Value, words: &mut Vec<String>) {
    words.extend(shown(payload, "color"));
    for key in ["period", "set", "game"] {
        words.extend(shown(payload, key).map(|number| format!("{key} {number}")));
    }
    words.extend(shown(payload, "points"));
    words.extend(shown(payload, "register"));
    if let (Some(from), Some(to)) = (shown(payload, "from"), shown(payload, "to")) {
        words.push(format!("{from} to {to}"));
    }
    if let (Some(key), Some(value)) = (shown(payload, "key"), shown(payload, "value")) {
        words.push(format!("{key} {value}"));
    }
    // The score says it of goals, and the id of what is taken back.
    if !matches!(kind, "goal" | "retract") {
        words.extend(shown(payload, "n").map(|n| format!("number {n}")));
    }
    if kind == "round_end" {
        let counts = ["ok", "failed", "changed"].into_iter();
        words.extend(counts.filter_map(|key| Some(format!("{} {key}", shown(payload, key)?))));
        words.extend(shown(payload, "took_ms").map(|took| format!("took {took} ms")));
    }
    words.extend(shown(payload, "reason").map(|reason| reason.replace('_', " ")));
    words.extend(shown(payload, "text").map(|text| short(&text, COMMENT)));
}

/// What makes the event another than one that was seen as it happened.
fn remarks(event: &Value) -> Vec<String> {
    let is_set = |key: &&str| event.get(*key).and_then(Value::as_bool).unwrap_or(false);
    let mut remarks: Vec<String> =
        ["recovered", "late"].iter().filter(|key| is_set(key)).map(|key| format!("({key})")).collect();
    let revision = event.get("revision").and_then(Value::as_u64).filter(|revision| *revision > 0);
    remarks.extend(revision.map(|revision| format!("(revision {revision})")));
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_reported_in_a_line() {
        let goal = json!({"seq": 1, "match": "7", "feed": "f", "type": "goal", "side": "home", "minute": 12, "revision": 0,
            "at": "2026-01-02T16:20:45.678901Z", "score": {"home": 1, "away": 0}, "payload": {"n": 1}, "recovered": false});
        let expected = "16:20:45 12' GOAL home 1-0 Port Meridian v Tallpine";
        assert_eq!(line(&goal, "Port Meridian v Tallpine"), expected);
        let shown = |members: Value| {
            let mut event = json!({"match": "7", "at": "2026-01-02T16:20:45Z", "side": null, "minute": null});
            event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            line(&event, "A v B")
        };
        for (members, expected) in [
            (
                json!({"type": "retract", "side": "away", "payload": {"type": "goal", "n": 2}}),
                "RETRACTED GOAL away A v B",
            ),
            (json!({"type": "goal", "recovered": true, "score": {"home": null}}), "GOAL A v B (recovered)"),
            (json!({"type": "card", "payload": {"color": "yellow", "n": 1}}), "CARD A v B: yellow, number 1"),
            (json!({"type": "period_start", "payload": {"period": 2}}), "PERIOD START A v B: period 2"),
            (
                json!({"type": "score_change", "payload": {"from": 10, "to": 13, "by": 3}}),
                "SCORE CHANGE A v B: 10 to 13",
            ),
            (
                json!({"type": "stat_change", "payload": {"key": "attacks", "value": "7"}}),
                "STAT CHANGE A v B: attacks 7",
            ),
            (
                json!({"type": "gap_start", "payload": {"reason": "worker_died"}}),
                "GAP START A v B: worker died",
            ),
            (
                json!({"type": "round_end", "payload": {"ok": 1, "failed": 0, "changed": 1, "took_ms": 85}}),
                "ROUND END A v B: 1 ok, 0 failed, 1 changed, took 85 ms",
            ),
            (json!({"type": "comment", "payload": {"text": "a\u{1b}b"}}), "COMMENT A v B: a\\u{1b}b"),
            (
                json!({"type": "odds_change", "market": "M", "market_name": "Result", "selection": "S", "odds": 2.25}),
                "ODDS CHANGE A v B: Result, S, 2.25",
            ),
        ] {
            assert_eq!(shown(members), format!("16:20:45 {expected}"));
        }
        assert_eq!(line(&json!({}), "7"), "- - 7");
    }
}
