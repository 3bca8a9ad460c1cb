//! Two streams on one time axis, and what is known after each row.

use super::*;
use serde_json::json;

fn step(stream: Stream, at: i64, row: &Value) -> Result<Step, ReplayError> {
    let mut row = row.clone();
    let stamp = jiff::Timestamp::from_microsecond(at).unwrap();
    row["at"] = format!("{stamp:.6}").into();
    Step::read(stream, &row.to_string())
}

fn merged(events: &[(i64, &str)], odds: &[(i64, &str)]) -> Vec<String> {
    let rows = |stream, of: &[(i64, &str)]| -> Vec<_> {
        of.iter().map(|(at, name)| step(stream, *at, &json!({ "name": name }))).collect()
    };
    let merge = Merge::new(rows(Stream::Match, events).into_iter(), rows(Stream::Odds, odds).into_iter());
    merge.map(|step| step.unwrap().row["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn streams_are_merged_by_time_and_the_match_comes_first() {
    let events = [(10, "a"), (20, "b"), (40, "c")];
    assert_eq!(
        merged(&events, &[(5, "1"), (20, "2"), (30, "3"), (50, "4")]),
        ["1", "a", "b", "2", "3", "c", "4"]
    );
    assert_eq!(merged(&[], &[(5, "1")]), ["1"]);
    assert_eq!(merged(&events, &[]), ["a", "b", "c"]);
    // A stream keeps its own order.
    assert_eq!(merged(&[(10, "a")], &[(30, "1"), (5, "2")]), ["a", "1", "2"]);
}

#[test]
fn a_row_without_a_time_is_an_error() {
    let error = Step::read(Stream::Match, "{\"seq\":1}").unwrap_err();
    assert!(error.to_string().contains("its time is \"\""), "{error}");
    assert!(Step::read(Stream::Odds, "nonsense").is_err());
}

#[test]
fn the_state_is_what_the_rows_said() {
    let mut state = State::default();
    let mut apply = |stream, at, row: Value| state.apply(&step(stream, at, &row).unwrap());
    apply(Stream::Match, 1, json!({"type": "match_listed", "score": null}));
    apply(
        Stream::Odds,
        2,
        json!({"type": "market_open", "market": "m", "market_name": "Result", "suspended": false}),
    );
    let price = |selection: &str, odds: f64| {
        json!({"type": "odds_change", "market": "m", "market_name": "Result", "selection": selection,
            "selection_name": selection, "odds": odds, "odds_text": "x", "suspended": false, "won": null})
    };
    apply(Stream::Odds, 3, price("a", 2.25));
    apply(Stream::Odds, 4, price("a", 3.0));
    apply(Stream::Odds, 5, json!({"type": "market_open", "market": "n"}));
    let goal = json!({"type": "goal", "minute": 12, "second": 30, "period": "first_half", "score": {"home": 1, "away": 0}});
    apply(Stream::Match, 6, goal);
    apply(Stream::Odds, 7, json!({"type": "market_close", "market": "n"}));
    apply(Stream::Odds, 8, json!({"type": "suspended", "market": "m", "suspended": true}));
    apply(Stream::Match, 9, json!({"type": "gap_start", "minute": null, "period": null, "score": null}));
    assert_eq!(
        (state.minute, state.second, state.period.as_deref()),
        (Some(12), Some(30), Some("first_half"))
    );
    assert_eq!(state.score, Some(json!({"home": 1, "away": 0})));
    assert!(!state.followed && !state.ended);
    let market = &state.markets["m"];
    assert_eq!((market.suspended, state.markets.len()), (Some(true), 1));
    let selection = &market.selections["a"];
    assert_eq!((&selection.odds, selection.won), (&serde_json::Number::from_f64(3.0), None));
    assert_eq!(state.head().markets.len(), 0);
    assert_eq!(state.at.as_deref(), Some("1970-01-01T00:00:00.000009Z"));
}

#[test]
fn a_replay_stands_at_a_minute_or_at_a_time() {
    assert_eq!(Until::parse("45"), Ok(Until::Minute(45)));
    assert_eq!(Until::parse("1970-01-01T00:00:01Z"), Ok(Until::Time(1_000_000)));
    assert!(Until::parse("later").unwrap_err().contains("a minute such as 45"));
    let at = |stream, at, minute: Value| step(stream, at, &json!({ "minute": minute })).unwrap();
    let minute = Until::Minute(45);
    assert!(!minute.is_before(&at(Stream::Match, 1, json!(45))));
    assert!(minute.is_before(&at(Stream::Match, 1, json!(46))));
    assert!(!minute.is_before(&at(Stream::Match, 1, Value::Null)));
    assert!(!minute.is_before(&at(Stream::Odds, 1, json!(46))));
    let time = Until::Time(10);
    assert!(!time.is_before(&at(Stream::Odds, 10, Value::Null)));
    assert!(time.is_before(&at(Stream::Odds, 11, Value::Null)));
    assert!(!Until::End.is_before(&at(Stream::Odds, i64::from(u32::MAX), Value::Null)));
}
