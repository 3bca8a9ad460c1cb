//! Bodies that no server should send: each costs itself alone.

use super::*;
use crate::payload::TreeError;
use crate::payload::json::{DeltaForm, JsonError};
use proptest::prelude::*;

fn bed() -> Bed {
    Bed::new(vec![source("match", SPORTS_API)]).following(&["match/1"])
}

#[test]
fn what_is_no_json_changes_nothing_and_says_why() {
    let mut bed = bed();
    bed.load("match/1", &sports_match().to_string()).unwrap();
    let before = bed.document();
    let deep = "[".repeat(1_000_000);
    for (body, why) in [
        ("<html><body>Sign in</body></html>", "HTML"),
        ("", "cut short"),
        ("{\"status\":\"fin", "cut short"),
        ("{\"status\":01}", "byte 11"),
        (deep.as_str(), "limits.depth"),
    ] {
        let error = bed.delta("match/1", body).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert!(error.to_string().contains("match/1"), "{error}");
    }
    let received = bed.received();
    let error = bed.docs.load(b"match/1", b"{\"status\":\"\xff\"}", received, &mut bed.log).unwrap_err();
    assert_eq!(error, TreeError::Json { topic: "match/1".to_owned(), error: JsonError::Utf8 { at: 11 } });
    assert_eq!(bed.document(), before);
    assert!(bed.docs.load(b"\xff", b"{}", received, &mut bed.log).is_err());
    assert!(matches!(bed.load("match/2", "{}"), Err(TreeError::TopicNotHeld { .. })));
}

#[test]
fn limits_hold() {
    let limits = Limits { nodes: 100, topics: 2, ..Limits::default() };
    let mut bed = Bed::within(vec![source("m", "")], limits).following(&["m/1"]);
    let body = format!("[{}]", vec!["1"; 100].join(","));
    assert!(matches!(
        bed.load("m/1", &body),
        Err(TreeError::Json { error: JsonError::Nodes { limit: 100 }, .. })
    ));
    let topics = ["m/2".to_owned(), "m/3".to_owned()];
    assert_eq!(bed.docs.add_match(&topics, Listing::default()), Err(TreeError::Topics { limit: 2 }));
    assert!(matches!(
        bed.docs.add_match(&["m/1".to_owned()], Listing::default()),
        Err(TreeError::TopicTaken { .. })
    ));
    bed.docs.remove_match(MatchSlot(0));
    assert!(bed.docs.add_match(&topics, Listing::default()).is_ok());
}

#[test]
fn a_huge_rest_is_cut() {
    let mut bed = Bed::new(vec![source("m", "")]).following(&["m"]);
    let long: Vec<String> = (0..40_000).map(|n| format!("{n}{}", "x".repeat(60))).collect();
    bed.load("m", &json!({"a": long, "b": 1}).to_string()).unwrap();
    let extra = bed.document()["extra"]["m"].clone();
    let kept = extra["a"].as_array().unwrap().len();
    assert!(kept > 10_000 && kept < 20_000, "{kept}");
}

#[test]
fn a_merge_needs_something_to_merge_into() {
    let mut merging = source("m", r#"score = { home = "/h", away = "/a" }"#);
    merging.delta = DeltaForm::Merge;
    let mut bed = Bed::new(vec![merging]).following(&["m/1"]);
    assert!(matches!(bed.delta("m/1", r#"{"h":1}"#), Err(TreeError::MissingTarget { .. })));
    bed.load("m/1", r#"{"h":0,"a":0}"#).unwrap();
    bed.delta("m/1", r#"{"h":1}"#).unwrap();
    assert_eq!(bed.document()["score"]["text"], "1-0");
}

/// A match with any of its values replaced by one of another type.
fn any_match() -> impl Strategy<Value = Value> {
    let pointers = [
        "/status",
        "/statusDescription",
        "/currentMatchMinute",
        "/tournament",
        "/tournament/name",
        "/homeTeam/name",
        "/homeScore",
        "/homeScore/current",
        "/awayScore/current",
        "/liveEvents",
        "/liveEvents/0",
        "/liveEvents/1/type",
        "/liveEvents/1/time",
        "/liveEvents/2/team",
        "/liveEvents/0/player",
        "/matchStatistics",
        "/matchStatistics/1/groups",
        "/matchStatistics/1/groups/1/statisticsItems",
        "/matchStatistics/1/groups/1/statisticsItems/0/homeValue",
        "/venue",
        "/oddsBase",
        "/oddsBase/0",
        "/oddsBase/0/name",
        "/oddsBase/0/suspended",
        "/oddsBase/0/choices",
        "/oddsBase/0/choices/0/name",
        "/oddsBase/0/choices/0/decimal",
        "/oddsBase/1/choices",
        "/oddsBase/1/choices/0/winning",
        "",
    ];
    let values = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!(-1)),
        Just(json!(18_446_744_073_709_551_615_u64)),
        Just(json!(1.5e300)),
        Just(json!("")),
        Just(json!("1")),
        Just(json!("HT")),
        Just(json!("goal")),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[1, 2], {"name": "1"}])),
        Just(json!({"a": {"name": "1", "time": 1}})),
        ".{0,12}".prop_map(|text| json!(text)),
    ];
    prop::collection::vec((prop::sample::select(pointers.to_vec()), values), 0..5).prop_map(|changes| {
        let mut body = sports_match();
        for (pointer, value) in changes {
            if let Some(place) = body.pointer_mut(pointer) {
                *place = value;
            }
        }
        body
    })
}

/// The document without what tells of the past.
fn present(bed: &mut Bed) -> Value {
    let mut document = bed.document();
    for market in
        document.get_mut("markets").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
    {
        for selection in market["selections"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            selection.as_object_mut().unwrap().retain(|name, _| name != "open" && name != "move");
        }
    }
    document
}

proptest! {
    /// Whatever came before, the document is what the last body says, and the registers too, as far as it says something.
    #[test]
    fn what_is_held_is_what_the_last_body_says(bodies in prop::collection::vec(any_match(), 1..5), how in prop::collection::vec(0..3, 5)) {
        let mut bed = bed();
        let mut fresh = bed_of(&bodies[bodies.len() - 1]);
        for (body, how) in bodies.iter().zip(how) {
            let body = body.to_string();
            match how {
                0 => bed.load("match/1", &body).unwrap(),
                1 => bed.delta("match/1", &body).unwrap(),
                _ => {
                    bed.document();
                    bed.delta("match/1", &body).unwrap();
                }
            }
        }
        prop_assert_eq!(present(&mut bed), present(&mut fresh));
        let received = bed.received();
        bed.docs.report(MatchSlot(0), received, &mut bed.log);
        prop_assert_eq!(bed.log.bases.last(), fresh.log.bases.last());
        prop_assert_eq!(bed.log.odds_bases.last(), fresh.log.odds_bases.last());
        prop_assert_eq!(bed.log.incidents.last(), fresh.log.incidents.last());
    }

    #[test]
    fn any_bytes_are_an_error_or_a_body(body in prop::collection::vec(any::<u8>(), 0..200), text in r#"[\[\]{}":,0-9a-z ]{0,60}"#) {
        let mut bed = bed();
        let received = bed.received();
        let _ = bed.docs.load(b"match/1", &body, received, &mut bed.log);
        let _ = bed.load("match/1", &text);
        bed.document();
        bed.docs.remove_match(MatchSlot(0));
        prop_assert!(bed.docs.topics.is_empty() && bed.docs.matches.is_empty() && bed.docs.dirty.is_empty());
    }
}

fn bed_of(body: &Value) -> Bed {
    let mut bed = bed();
    bed.load("match/1", &body.to_string()).unwrap();
    bed
}
