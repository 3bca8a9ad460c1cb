//! Match lists: what is reported of them, whose an id is, what is wrong with them.

use super::*;
use crate::payload::TreeError;
use touchline_common::ipc::messages::worker::ListChange;

const LISTED: &str = r#"
    sport = "/sport"
    competition = "/cup"
    title = "/title"
    home = "/home"
    away = "/away"
    state = "/status"
    time = "/start"
    period = "/period"
    score = { home = "/score/0", away = "/score/1" }
"#;

fn bed() -> Bed {
    let mut bed = Bed::new(vec![source("soccer", LISTED), source("tennis", LISTED)]);
    let topics = ["match/{ID}".parse().unwrap(), "more/{ID}-{slug}".parse().unwrap()];
    bed.docs.add_list("list", "{ID}".parse().unwrap(), &topics).unwrap();
    bed
}

fn drained(bed: &mut Bed) -> Vec<ListChange> {
    let mut out = Vec::new();
    loop {
        let before = out.len();
        bed.docs.drain_lists(&mut out);
        if out.len() == before {
            return out;
        }
    }
}

/// Each change as a line.
pub(super) fn lines(bed: &mut Bed) -> Vec<String> {
    let line = |change: ListChange| match change {
        ListChange::LoadBegin => "begin".to_owned(),
        ListChange::Present { id, listing } => format!("{id} {}", listing.name.unwrap_or_default()),
        ListChange::Gone { id } => format!("{id} gone"),
        ListChange::LoadEnd => "end".to_owned(),
        ListChange::Lost => "lost".to_owned(),
    };
    drained(bed).into_iter().map(line).collect()
}

#[test]
fn a_listing_has_what_the_entry_states() {
    let mut bed = bed();
    let entry = json!({"id": 12_345_678_901_234_567_890_u64, "sport": "football", "cup": "Cup", "home": "A", "away": "B",
        "status": "inprogress", "start": "2023-11-14T22:13:20Z", "period": "HT", "score": [1, 0], "slug": "a-b"});
    bed.load("list", &json!({"soccer": [entry]}).to_string()).unwrap();
    let changes = drained(&mut bed);
    let [ListChange::LoadBegin, ListChange::Present { id, listing }, ListChange::LoadEnd] = &changes[..]
    else {
        panic!("{changes:?}")
    };
    assert_eq!(id.as_str(), "12345678901234567890");
    let attributes = [("ID", "12345678901234567890"), ("slug", "a-b")];
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        *listing,
        Listing {
            name: some("A v B"),
            sport_id: some("1"),
            sport: some("soccer"),
            competition: some("Cup"),
            score: some("1-0"),
            period: some("HT"),
            in_play: true,
            starts_at: Some(1_700_000_000),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        }
    );
}

#[test]
fn a_load_reports_all_and_a_delta_what_is_another() {
    let mut bed = bed();
    let list = |soccer: Value, tennis: Value| json!({"tennis": tennis, "soccer": soccer}).to_string();
    let entry = |id: u32, title: &str| json!({"id": id, "title": title});
    bed.load("list", &list(json!([entry(1, "a"), entry(2, "b")]), json!([entry(2, "c"), entry(3, "d")])))
        .unwrap();
    assert_eq!(
        lines(&mut bed),
        ["begin", "1 a", "2 b", "3 d", "end"],
        "the first source that names an id has it"
    );
    assert_eq!((bed.docs.take_passed_over(), bed.docs.take_passed_over()), (1, 0));
    bed.delta("list", &list(json!([entry(1, "a"), entry(2, "b")]), json!([entry(3, "d")]))).unwrap();
    assert_eq!(lines(&mut bed), [""; 0]);
    bed.delta("list", &list(json!([entry(2, "b2")]), json!([entry(3, "d"), entry(1, "e"), entry(4, "f")])))
        .unwrap();
    assert_eq!(lines(&mut bed), ["2 b2", "1 e", "4 f"], "one that another source has now is the same");
    bed.delta("list", &list(json!([]), json!([]))).unwrap();
    assert_eq!(lines(&mut bed), ["1 gone", "2 gone", "3 gone", "4 gone"]);
    bed.load("list", &list(json!([entry(1, "a")]), json!([]))).unwrap();
    assert_eq!(lines(&mut bed), ["begin", "1 a", "end"]);
    let received = bed.received();
    assert_eq!(bed.docs.topic_removed(b"list", received, &mut bed.log), Ok(None));
    assert_eq!(lines(&mut bed), ["lost"]);
    bed.docs.remove_list("list");
    assert!(matches!(bed.load("list", "{}"), Err(TreeError::TopicNotHeld { .. })));
}

#[test]
fn entries_without_an_id_are_passed_over_and_a_pointer_to_nowhere_is_named() {
    let mut bed = bed();
    let odd = json!([{"id": null}, {"id": ""}, {"id": 1.5}, {"id": [1]}, {"id": true}, {"id": "a\nb"}, {"id": "x".repeat(257)}, 7, {},
        {"id": " 7 "}, {"id": 7}, {"id": 1e3}]);
    bed.load("list", &json!({"soccer": odd}).to_string()).unwrap();
    assert_eq!(lines(&mut bed), ["begin", "7 ", "end"], "an id that changes type is the same id");
    assert_eq!(bed.docs.take_passed_over(), 11);
    let error = bed.load("list", r#"{"soccer":[{"ID":1},{"ID":2}]}"#).unwrap_err();
    assert!(error.to_string().contains(r#"`id` = "/id" of source "soccer""#), "{error}");
    for body in ["[]", "7", r#"{"soccer":{}}"#, r#"{"soccer":null}"#] {
        assert!(matches!(bed.load("list", body), Err(TreeError::NotAList { .. })), "{body}");
    }
    assert_eq!(lines(&mut bed), [""; 0], "what was reported stands");
    bed.load("list", r#"{"other":[{"id":1}],"soccer":[]}"#).unwrap();
    assert_eq!(lines(&mut bed), ["begin", "end"], "no source has this name");
}

#[test]
fn a_long_list_is_reported_in_parts() {
    let mut bed = bed();
    let entries: Vec<Value> = (0..2_000).map(|id| json!({"id": id})).collect();
    bed.load("list", &json!({"soccer": entries}).to_string()).unwrap();
    let mut out = Vec::new();
    bed.docs.drain_lists(&mut out);
    assert_eq!(out.len(), 512);
    assert_eq!(out.len() + drained(&mut bed).len(), 2_002);
}
