//! Documents as a client has them after snapshot and patches, and which states are known to whom comes back.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::borrow::Cow;
use touchline_common::model::{Epoch, FeedId};

fn key(id: &str) -> MatchKey {
    MatchKey { feed: FeedId(0), id: id.into() }
}

pub(in crate::serve) fn items() -> Items {
    Items::new(vec![Arc::from("inplay")], 7)
}

/// A message of the feed about match `A`.
pub(in crate::serve) fn message<'a>(
    version: u64,
    whole: bool,
    sections: &[(&'a str, Option<&'a str>)],
) -> FeedDocument<'a> {
    let owned = |(name, text): &(&'a str, Option<&'a str>)| (Cow::Borrowed(*name), text.map(Cow::Borrowed));
    FeedDocument {
        key: key("A"),
        epoch: Epoch(3),
        version,
        source: Cow::Borrowed("match"),
        whole,
        stale: false,
        received_at: 1_558_098_187_000_000,
        updated_at: 1_558_098_187_000_001,
        sections: sections.iter().map(owned).collect(),
    }
}

fn client(birth: u64) -> ClientId {
    ClientId { slot: 0, birth }
}

fn shown(document: &Document) -> Value {
    serde_json::from_str(&document.text()).unwrap()
}

#[test]
fn a_document_is_written_as_the_recorder_writes_it() {
    let mut items = items();
    items.apply(&message(
        1,
        true,
        &[
            ("", Some(r#"{"sport":"soccer","name":"A v B"}"#)),
            ("tail", Some(r#"{"market_order":["2","1"]}"#)),
            ("market:2", Some(r#"{"name":"two"}"#)),
            ("market:1", Some(r#"{"name":"one"}"#)),
        ],
    ));
    let expected = json!({"match": "A", "feed": "inplay", "source": "match", "epoch": 3, "version": 1,
        "received_at": "2019-05-17T13:03:07.000000Z", "updated_at": "2019-05-17T13:03:07.000001Z", "stale": false,
        "sport": "soccer", "name": "A v B", "market_order": ["2", "1"],
        "markets": {"1": {"name": "one"}, "2": {"name": "two"}}});
    assert_eq!(shown(items.newest(&ItemKey::Match(key("A"))).unwrap()), expected);
    assert_eq!(
        serde_json::from_str::<Value>(&items.lines()).unwrap(),
        json!([{"match": "A", "feed": "inplay", "source": "match", "stale": false, "sport": "soccer", "name": "A v B"}])
    );
}

#[test]
fn prices_do_not_change_the_list() {
    let mut items = items();
    items.apply(&message(1, true, &[("", Some(r#"{"name":"A v B"}"#))]));
    items.watch(&ItemKey::List, Watcher::Client(client(1)), None).unwrap();
    items.apply(&message(2, false, &[("market:1", Some("{}"))]));
    assert!(items.publish().is_empty());
    items.apply(&message(3, false, &[("", Some(r#"{"name":"A v C"}"#))]));
    let changes = items.publish();
    let patch = changes[0].1.to.patch_from(&changes[0].1.from);
    assert_eq!(Value::Object(patch)["matches"], json!({"inplay/A": {"name": "A v C"}}));
}

#[test]
fn a_match_is_found_by_its_name() {
    let mut items = Items::new(vec![Arc::from("one"), Arc::from("two")], 7);
    items.apply(&message(1, true, &[("", Some("{}"))]));
    assert_eq!(items.find("A"), Found::One(key("A")));
    assert_eq!(items.find("one/A"), Found::One(key("A")));
    assert_eq!((items.find("two/A"), items.find("B")), (Found::None, Found::None));
    let other = MatchKey { feed: FeedId(1), id: "A".into() };
    items.apply(&FeedDocument { key: other.clone(), ..message(1, true, &[("", Some("{}"))]) });
    assert_eq!((items.find("A"), items.find("two/A")), (Found::Several, Found::One(other)));
    assert_eq!(items.of_event("one", "A"), Some(ItemKey::Match(key("A"))));
    assert_eq!(items.of_event("gone", "A"), None);
}

#[test]
fn who_comes_back_soon_is_known() {
    let (mut items, item, now) = (items(), ItemKey::Match(key("A")), Instant::now());
    items.apply(&message(1, true, &[("", Some(r#"{"n":1}"#))]));
    let Some(Known::Anew { .. }) = items.watch(&item, Watcher::Client(client(1)), None) else { panic!() };
    for version in 2..=5 {
        let head = format!(r#"{{"n":{version}}}"#);
        items.apply(&message(version, false, &[("", Some(&head))]));
        assert_eq!(items.publish().len(), 1);
    }
    items.unwatch(&item, Watcher::Client(client(1)), now);
    let had = |version| Some(Revision { epoch: 3, version });
    let Some(Known::Resumed { had: old, published }) = items.watch(&item, Watcher::Client(client(2)), had(2))
    else {
        panic!()
    };
    assert_eq!((old.revision.version, published.revision.version), (2, 5));
    assert_eq!(Value::Object(published.patch_from(&old))["n"], 5);
    for unknown in [had(9), Some(Revision { epoch: 2, version: 2 })] {
        assert!(matches!(items.watch(&item, Watcher::Client(client(3)), unknown), Some(Known::Anew { .. })));
    }
    items.unwatch(&item, Watcher::Client(client(2)), now);
    items.unwatch(&item, Watcher::Client(client(3)), now);
    items.unwatch(&item, Watcher::Client(client(3)), now);
    items.tick(now + Duration::from_secs(31));
    assert!(
        matches!(items.watch(&item, Watcher::Client(client(4)), had(2)), Some(Known::Anew { .. })),
        "it is forgotten by then"
    );
}

#[test]
fn a_match_that_is_over_stays_a_while_and_then_leaves_the_list() {
    let (mut items, now) = (items(), Instant::now());
    items.apply(&message(4, true, &[("", Some(r#"{"status":"in_play","clock":{"running":true}}"#))]));
    let ended = FeedEnded { key: key("A"), epoch: Epoch(3), version: 5, updated_at: 2 };
    items.ended(&ended, now);
    let document = shown(items.newest(&ItemKey::Match(key("A"))).unwrap());
    assert_eq!((&document["status"], &document["version"]), (&json!("finished"), &json!(5)));
    assert_eq!(document["clock"]["running"], false);
    items.tick(now + Duration::from_secs(59));
    assert_eq!(items.find("A"), Found::One(key("A")));
    items.tick(now + Duration::from_secs(61));
    assert_eq!((items.find("A"), items.lines()), (Found::None, "[]".to_owned()));
}

#[test]
fn what_another_recorder_does_not_send_is_gone() {
    let (mut items, now) = (items(), Instant::now());
    items.apply(&message(1, true, &[("", Some("{}"))]));
    let other = FeedDocument { key: key("B"), ..message(1, true, &[("", Some("{}"))]) };
    items.apply(&other);
    items.taken_up(now);
    items.apply(&other);
    items.tick(now + Duration::from_secs(29));
    assert_eq!(items.count().0, 2);
    items.tick(now + Duration::from_secs(31));
    assert_eq!((items.find("A"), items.find("B")), (Found::None, Found::One(key("B"))));
}

/// JSON without nulls, as documents are.
fn json_without_nulls() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (0..3u8).prop_map(Value::from),
        "[ab]{0,2}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::hash_map("[a-c]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_patch_makes_the_new_of_the_old(old in json_without_nulls(), new in json_without_nulls()) {
        let mut patched = old.clone();
        match merge::difference(&old, &new) {
            Some(patch) => apply(&mut patched, &patch),
            None => prop_assert_eq!(&old, &new),
        }
        prop_assert_eq!(patched, new);
    }

    /// Sections come and go in any order.
    #[test]
    fn patches_follow_the_document(
        steps in proptest::collection::vec((any::<bool>(), proptest::collection::vec((0..5usize, proptest::option::of(json_without_nulls())), 0..4)), 1..12)
    ) {
        let (mut items, item) = (items(), ItemKey::Match(key("A")));
        items.apply(&message(1, true, &[("", Some("{}"))]));
        let Some(Known::Anew { published }) = items.watch(&item, Watcher::Client(client(1)), None) else { panic!() };
        let mut copy = shown(&published);
        for (version, (whole, sections)) in (2..).zip(steps) {
            const NAMES: [&str; 5] = ["", "tail", "market:a", "market:b", "market:c"];
            let texts: Vec<(&str, Option<String>)> = sections
                .iter()
                .map(|(name, value)| (NAMES[*name], value.as_ref().map(|value| json!({ NAMES[*name]: value }).to_string())))
                .collect();
            let borrowed: Vec<(&str, Option<&str>)> = texts.iter().map(|(name, text)| (*name, text.as_deref())).collect();
            items.apply(&message(version, whole, &borrowed));
            for (_, change) in items.publish() {
                apply(&mut copy, &Value::Object(change.to.patch_from(&change.from)));
            }
            prop_assert_eq!(&copy, &shown(items.newest(&item).unwrap()));
        }
    }
}
