//! Versions, candidates and what is saved.

use super::*;
use touchline_common::model::FeedId;

const STAMP: Stamp = Stamp { stale: false, received_at: 1, updated_at: 2 };

fn key() -> MatchKey {
    MatchKey { feed: FeedId(0), id: "M".into() }
}

fn documents(owner: u64) -> Documents {
    let config = Arc::new(RecordConfig::new(&touchline_common::config::Config::default()));
    Documents::new(config, Vec::new(), vec![(key(), Epoch(owner))])
}

fn apply(
    documents: &mut Documents,
    epoch: u64,
    extent: Extent,
    markets: &[(&str, Option<&str>)],
) -> Option<Applied> {
    let id = documents.id(&key());
    let mut rendering = documents.render(id, Epoch(epoch), extent, STAMP, Instant::now())?;
    rendering.set(PartId::HEAD, Some(r#"{"name":"A v B"}"#));
    rendering.set(PartId::TAIL, Some(r#"{"market_order":[]}"#));
    for (market, text) in markets {
        let mut hint = PartId::HEAD;
        let part = rendering.market(&Arc::from(format!("market:{market}")), &mut hint);
        rendering.set(part, *text);
    }
    Some(rendering.applied())
}

fn markets(documents: &Documents) -> String {
    let text = documents.text(&key()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["name"], "A v B", "{text}");
    assert_eq!(document["market_order"], serde_json::json!([]), "{text}");
    document["markets"].to_string()
}

#[test]
fn an_owner_with_a_new_epoch_keeps_its_content_beside_a_candidate_above_it() {
    let mut documents = documents(5);
    let now = Instant::now();
    let whole =
        |documents: &mut Documents, epoch, text| apply(documents, epoch, Extent::Whole, &[("K", Some(text))]);
    assert_eq!(whole(&mut documents, 5, "5"), Some(Applied::Published));
    // The recorder started anew: its worker has epoch 7, and the match is on its way to another, with 9, which is quicker.
    assert_eq!(whole(&mut documents, 9, "9"), Some(Applied::Kept));
    assert_eq!(whole(&mut documents, 7, "7"), Some(Applied::Kept));
    let id = documents.adopt(&key(), Epoch(7), now).unwrap();
    assert_eq!(documents.version(id, Epoch(7)), 1);
    assert_eq!(apply(&mut documents, 7, Extent::Changes, &[("L", Some("7"))]), Some(Applied::Published));
    assert_eq!(documents.version(id, Epoch(7)), 2);
    assert_eq!(markets(&documents), r#"{"K":7,"L":7}"#);
    // What the candidate changes meanwhile is its own.
    assert_eq!(apply(&mut documents, 9, Extent::Changes, &[("N", Some("9"))]), Some(Applied::Kept));
    documents.adopt(&key(), Epoch(9), now).unwrap();
    assert_eq!(markets(&documents), r#"{"K":9,"N":9}"#);
    assert_eq!(whole(&mut documents, 7, "7"), None);
}

#[test]
fn what_is_saved_is_what_changed_and_what_is_gone() {
    let mut documents = documents(1);
    apply(&mut documents, 1, Extent::Whole, &[("K", Some("1")), ("L", Some("2"))]);
    let saved = documents.next_to_save(Instant::now(), Pace::Last).unwrap();
    let names: Vec<&str> = saved.sections.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["", "tail", "market:K", "market:L"]);
    assert_eq!(documents.next_to_save(Instant::now(), Pace::Last), None);
    apply(&mut documents, 1, Extent::Whole, &[("L", Some("3"))]);
    let saved = documents.next_to_save(Instant::now(), Pace::Last).unwrap();
    let sections: Vec<(&str, Option<&str>)> = saved
        .sections
        .iter()
        .map(|(name, text)| (&**name, text.as_ref().map(|text| text.as_str())))
        .collect();
    assert!(
        sections.contains(&("market:K", None)) && sections.contains(&("market:L", Some("3"))),
        "{sections:?}"
    );
    // Another epoch: the store gets all that it has and of what it lacks.
    apply(&mut documents, 2, Extent::Whole, &[("N", Some("4"))]);
    documents.adopt(&key(), Epoch(2), Instant::now()).unwrap();
    let saved = documents.next_to_save(Instant::now(), Pace::Last).unwrap();
    assert!(saved.sections.iter().any(|(name, text)| &**name == "market:L" && text.is_none()), "{saved:?}");
    assert_eq!((saved.epoch, saved.version), (Epoch(2), 1));
}

#[test]
fn a_list_gives_a_document_until_a_worker_does() {
    let mut documents = documents(0);
    let now = Instant::now();
    assert!(documents.listed(&key(), (r#"{"name":"A v B"}"#, r#"{"market_order":[]}"#), 7, now).is_some());
    assert_eq!(documents.listed(&key(), (r#"{"name":"A v B"}"#, "{}"), 8, now), None);
    assert!(documents.text(&key()).unwrap().contains(r#""source":"list""#));
    documents.adopt(&key(), Epoch(3), now);
    apply(&mut documents, 3, Extent::Whole, &[]);
    assert!(documents.text(&key()).unwrap().contains(r#""source":"match""#));
    assert_eq!(documents.listed(&key(), ("{}", "{}"), 9, now), None);
    assert_eq!(documents.end(&key(), Epoch(3), 10).unwrap().state, "ended");
    assert_eq!(documents.count(), 0);
}

#[test]
fn a_reader_gets_the_parts_that_it_asks_for_or_all() {
    let mut documents = documents(1);
    apply(&mut documents, 1, Extent::Whole, &[("K", Some("1")), ("L", Some("2"))]);
    let id = documents.id(&key());
    let all = documents.message(id, None).unwrap();
    assert_eq!((all.whole, all.sections.len()), (true, 4));
    apply(&mut documents, 1, Extent::Changes, &[("K", None)]);
    let some = documents.message(id, Some(&[PartId(2), PartId(3)])).unwrap();
    assert_eq!(some.sections, [("market:K".into(), None), ("market:L".into(), Some("2".into()))]);
    assert_eq!((some.whole, some.version), (false, 2));
}

fn head(snapshot: &Snapshot) -> serde_json::Value {
    let head = snapshot.sections.iter().find(|(name, _)| name.is_empty());
    serde_json::from_str(head.unwrap().1.as_ref().unwrap()).unwrap()
}

#[test]
fn the_last_document_says_that_the_match_is_over() {
    for (status, last) in [("in_play", "finished"), ("suspended", "finished"), ("abandoned", "abandoned")] {
        let mut documents = documents(1);
        let id = documents.named(&key(), Epoch(1));
        let clock = r#"{"seconds":7,"running":true}"#;
        let text = format!(r#"{{"name":"A v B","status":"{status}","clock":{clock}}}"#);
        let mut rendering = documents.render(id, Epoch(1), Extent::Whole, STAMP, Instant::now()).unwrap();
        rendering.set(PartId::HEAD, Some(&text));
        let snapshot = documents.end(&key(), Epoch(1), 9).unwrap();
        let head = head(&snapshot);
        assert_eq!((&head["status"], &head["clock"]["running"]), (&last.into(), &false.into()), "{head}");
        assert_eq!((snapshot.state, snapshot.version, snapshot.stamp.updated_at), ("ended", 2, 9));
        assert_eq!(documents.count(), 0);
    }
}

#[test]
fn what_the_list_knows_ends_too() {
    let mut documents = documents(0);
    let now = Instant::now();
    assert!(documents.listed(&key(), (r#"{"status":"in_play"}"#, "{}"), 7, now).is_some());
    let snapshot = documents.end(&key(), Epoch(5), 9).unwrap();
    assert_eq!((snapshot.state, &head(&snapshot)["status"]), ("ended", &"finished".into()));
}

#[test]
fn a_match_that_was_assigned_anew_before_its_end_was_seen_begins_anew() {
    let mut documents = documents(1);
    let id = documents.named(&key(), Epoch(1));
    apply(&mut documents, 1, Extent::Whole, &[("K", Some("1"))]);
    assert_eq!(documents.named(&key(), Epoch(2)), id);
    assert_eq!(apply(&mut documents, 2, Extent::Whole, &[("L", Some("2"))]), Some(Applied::Kept));
    let last = documents.end(&key(), Epoch(1), 9).unwrap();
    assert_eq!((last.state, last.epoch), ("ended", Epoch(1)));
    assert_eq!(apply(&mut documents, 1, Extent::Whole, &[]), None, "it comes late");
    assert_eq!(documents.end(&key(), Epoch(1), 9), None, "nothing is left of it");
    // Its renderings go on under the handle that was named before the end.
    assert_eq!(apply(&mut documents, 2, Extent::Changes, &[("M", Some("2"))]), Some(Applied::Kept));
    assert_eq!(documents.adopt(&key(), Epoch(2), Instant::now()), Some(id));
    assert_eq!(markets(&documents), r#"{"L":2,"M":2}"#);
    let saved = documents.next_to_save(Instant::now(), Pace::Last).unwrap();
    assert_eq!((saved.extent, saved.epoch), (Extent::Whole, Epoch(2)), "the store's old parts go");
    assert_eq!(documents.end(&key(), Epoch(1), 9), None, "a higher epoch owns it");
    assert_eq!(documents.count(), 1);
}
