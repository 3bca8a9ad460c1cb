//! Topics of a push server: a document each, changed by deltas, and lists that are documents.

use super::lists::lines;
use super::*;
use crate::payload::TreeError;
use crate::payload::json::{DeltaForm, Keyed, ListDocument};

fn pushed(delta: DeltaForm, list: Option<ListDocument>) -> Bed {
    let source = Source { delta, ..source("document", "title = \"/name\"") };
    let docs = JsonDocs::of_topics(source, list, Limits::default()).unwrap();
    Bed { docs, log: Log::default(), sections: std::collections::BTreeMap::new(), now: 0 }
}

#[test]
fn a_book_follows_its_ladders_whatever_its_topic_is_called() {
    let keyed = Keyed { key: "id".to_owned(), amount: "size".to_owned() };
    for topic in ["1.234", "a/b", "document"] {
        let mut bed = pushed(DeltaForm::Keyed(keyed.clone()), None).following(&[topic]);
        let early = bed.delta(topic, r#"{"rc":[]}"#);
        assert!(matches!(early, Err(TreeError::MissingTarget { .. })), "{early:?}");
        bed.load(topic, r#"{"name":"M","rc":[{"id":1,"ltp":1.5,"atb":[[1.5,10],[1.6,5]]}]}"#).unwrap();
        bed.delta(topic, r#"{"rc":[{"id":1,"atb":[[1.5,0],[1.7,2]]},{"id":2,"atb":[[3,1]]}]}"#).unwrap();
        let document = bed.document();
        assert_eq!(document["name"], "M");
        let book = json!([{"id": 1, "ltp": 1.5, "atb": [[1.6, 5], [1.7, 2]]}, {"id": 2, "atb": [[3, 1]]}]);
        assert_eq!(document["extra"]["document"]["rc"], book, "{topic}");
    }
}

#[test]
fn a_delta_that_cannot_be_applied_is_an_error_that_changes_nothing() {
    let mut bed = pushed(DeltaForm::Patch, None).following(&["a"]);
    bed.load("a", r#"{"name":"M"}"#).unwrap();
    let wrong = bed.delta("a", r#"[{"op":"remove","path":"/none"}]"#);
    assert!(matches!(wrong, Err(TreeError::Delta { .. })), "{wrong:?}");
    bed.delta("a", r#"[{"op":"replace","path":"/name","value":"N"}]"#).unwrap();
    assert_eq!(bed.document()["name"], "N");
}

#[test]
fn a_list_may_be_a_document_that_deltas_change() {
    let source = Source { delta: DeltaForm::Merge, ..source("l", "title = \"/n\"") };
    let list = ListDocument { source, items: "/m".parse().unwrap() };
    let mut bed = pushed(DeltaForm::Merge, Some(list));
    bed.docs.add_list("l", "{ID}".parse().unwrap(), &["m.{ID}".parse().unwrap()]).unwrap();
    assert!(bed.delta("l", "{}").is_err(), "before its load");
    bed.load("l", r#"{"m":{"x":{"id":1,"n":"A"},"y":{"id":2,"n":"B"}},"more":1}"#).unwrap();
    assert_eq!(lines(&mut bed), ["begin", "1 A", "2 B", "end"]);
    bed.delta("l", r#"{"m":{"y":null,"x":{"n":"C"}}}"#).unwrap();
    assert_eq!(lines(&mut bed), ["2 gone", "1 C"]);
    assert!(matches!(bed.delta("l", r#"{"m":7}"#), Err(TreeError::NotAList { .. })));
    bed.load("l", r#"{"m":[{"id":3,"n":"D"}]}"#).unwrap();
    assert_eq!(lines(&mut bed), ["begin", "3 D", "end"]);
}
