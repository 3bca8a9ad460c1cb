//! Recorded loads and deltas: nothing dropped, nothing misread.

use super::{Log, Single, at, encode, forest, unaddressable};
use crate::payload::Payload;
use crate::payload::TreeError;
use touchline_common::ipc::messages::worker::ListChange;
use touchline_common::model::{Listing, MatchId};

/// Topic and body of a recorded load: a frame byte, the topic, 01, the body.
fn recorded(file: &str) -> Option<(String, Vec<u8>)> {
    let bytes = touchline_harness::data::bytes(file)?;
    assert_eq!(bytes[0], 0x14);
    let end = bytes.iter().position(|&b| b == 1).unwrap();
    Some((String::from_utf8(bytes[1..end].to_vec()).unwrap(), bytes[end + 1..].to_vec()))
}

fn followed(topic: &str, body: &[u8]) -> Vec<ListChange> {
    let mut forest = forest();
    let topics = ["6V{ID}".parse().unwrap(), "S{CL.ID}-{C1}".parse().unwrap()];
    forest.add_list(topic, "{ID}".parse().unwrap(), &topics).unwrap();
    forest.load(topic.as_bytes(), body, at(0), &mut Log::default()).unwrap();
    assert_eq!((forest.nodes(topic), unaddressable(&forest, topic)), (Some(814), 0));
    assert_eq!(encode(&forest, topic), body);
    let mut changes = Vec::new();
    forest.drain_lists(&mut changes);
    changes
}

#[test]
fn an_overview_is_a_list_of_matches() {
    let Some((topic, body)) = recorded("inplay/overview-load.bin") else { return };
    let changes = followed(&topic, &body);
    assert_eq!(changes.first(), Some(&ListChange::LoadBegin));
    assert_eq!(changes.last(), Some(&ListChange::LoadEnd));
    let present: Vec<(&MatchId, &Listing)> = changes
        .iter()
        .filter_map(|change| match change {
            ListChange::Present { id, listing } => Some((id, listing)),
            ListChange::LoadBegin | ListChange::Gone { .. } | ListChange::LoadEnd | ListChange::Lost => None,
        })
        .collect();
    assert_eq!(present.len(), 107);
    assert!(present.iter().all(|(_, listing)| listing.name.is_some() && listing.sport_id.is_some()));
    assert!(present.iter().all(|(_, listing)| listing.attributes.len() == 3));
    let (id, first) = present[0];
    assert_eq!(id.as_str(), "80519695C1A_10_0");
    assert_eq!(
        (first.score.as_deref(), first.sport_id.as_deref(), first.sport.as_deref(), first.in_play),
        (Some("1-3"), Some("1"), Some("soccer"), true)
    );
    let attributes = [("ID", "80519695C1A_10_0"), ("CL.ID", "1"), ("C1", "1")];
    assert_eq!(first.attributes, attributes.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let sports = |wanted: &str| present.iter().filter(|(_, l)| l.sport_id.as_deref() == Some(wanted)).count();
    assert!(sports("13") > 0 && sports("92") > 0 && sports("3") > 0);
}

/// Each event of the overview, alone under its sport and competition, as a match.
#[test]
fn each_event_of_an_overview_is_a_match() {
    let Some((_, body)) = recorded("inplay/overview-load.bin") else { return };
    let body = String::from_utf8(body).unwrap();
    let (mut sport, mut competition, mut events) = ("", "", Vec::<String>::new());
    for node in body.split('|').skip(1).filter(|node| !node.is_empty()) {
        match &node[..2] {
            "CL" => (sport, competition) = (node, ""),
            "CT" => competition = node,
            "EV" => events.push(format!("F|{sport}|{competition}|{node}|")),
            _ => events.last_mut().unwrap().push_str(&format!("{node}|")),
        }
    }
    assert_eq!(events.len(), 107);
    let (mut split, mut scored, mut clocks, mut markets, mut selections) = (0, 0, 0, 0, 0);
    for body in &events {
        let mut single = Single::loaded(body);
        let document = single.document();
        assert!(document["name"].is_string() && document["sport_id"].is_string(), "{document}");
        assert!(document["sport"].is_string(), "{document}");
        split += usize::from(document["home"].is_string() && document["away"].is_string());
        scored += usize::from(document["score"].is_object());
        clocks += usize::from(document["clock"].is_object());
        markets += document["markets"].as_object().unwrap().len();
        selections += document["markets"]
            .as_object()
            .unwrap()
            .values()
            .map(|market| market["selections"].as_object().unwrap().len())
            .sum::<usize>();
        assert_eq!(
            document["market_order"].as_array().unwrap().len(),
            document["markets"].as_object().unwrap().len()
        );
    }
    assert_eq!((split, markets, selections), (82, 105, 524));
    let with_score = body.split('|').filter(|n| n.starts_with("EV;") && !n.contains(";SS=;")).count();
    let with_clock = body.split('|').filter(|n| n.starts_with("EV;") && n.contains(";TM=")).count();
    assert_eq!((scored, clocks), (with_score, with_clock));
}

#[test]
fn scores_of_an_overview_are_read_by_their_sport() {
    let Some((topic, body)) = recorded("inplay/overview-load.bin") else { return };
    let mut single = Single::new(&topic);
    single.load(std::str::from_utf8(&body).unwrap());
    let document = single.document();
    // The first event is the head; the markets are those of all.
    assert_eq!(document["score"]["text"], "1-3");
    assert_eq!((&document["score"]["home"], &document["score"]["away"]), (&1.into(), &3.into()));
    assert_eq!(document["clock"]["at"], "2019-05-17T13:03:07Z");
    assert_eq!(document["clock"]["seconds"], 2_700);
    assert_eq!((&document["period"], &document["status"]), (&"second_half".into(), &"in_play".into()));
    assert_eq!(document["market_order"].as_array().unwrap().len(), 105);
    let market = &document["markets"]["OV80519695C1-1777_10_0"];
    let selection = &market["selections"]["OV80673424-85901187_10_0"];
    assert_eq!((&selection["odds"], &selection["open"]), (&151.into(), &151.into()));
    assert_eq!(single.whole(), document);
}

#[test]
fn a_scoreboard_is_a_match() {
    let Some((topic, body)) = recorded("inplay/scoreboard-load.bin") else { return };
    let mut single = Single::new(&topic);
    single.load(std::str::from_utf8(&body).unwrap());
    assert_eq!(encode(&single.forest, &topic), body);
    let document = single.document();
    assert_eq!(document["sport"], "basketball");
    assert_eq!(document["score"]["text"], "37-52");
    assert_eq!((&document["score"]["home"], &document["score"]["away"]), (&37.into(), &52.into()));
    let periods = serde_json::json!([{"home": 19, "away": 27}, {"home": 18, "away": 25}]);
    assert_eq!(document["score"]["periods"], periods);
    assert_eq!(document["home"], "Instituto");
    // Six labels have values; one of those labels is empty.
    assert_eq!(document["stats"].as_object().unwrap().len(), 5);
    assert_eq!(
        document["clock"],
        serde_json::json!({"seconds": 2, "running": false, "down": true, "at": "2019-05-28T00:37:10Z"})
    );
    assert_eq!(document["market_order"], serde_json::json!([]));
    let nodes = document["extra"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.iter().filter(|node| node["type"] == "TE").count(), 2);
    assert!(nodes.iter().any(|node| node["type"] == "ST" && node["extra"]["ID"] == "53958828"));
    let (_, base) = &single.log.bases[0];
    assert_eq!(base.facts.sport.as_deref(), Some("basketball"));
    assert_eq!(base.clock.map(|clock| clock.seconds), Some(2));
}

#[test]
fn recorded_deltas_apply_or_say_why_not() {
    let Some((topic, body)) = recorded("inplay/overview-load.bin") else { return };
    let Some(text) = touchline_harness::data::bytes("inplay/insert-delete-deltas.txt") else { return };
    let text = String::from_utf8(text).unwrap();
    let mut single = Single::new(&topic);
    single.load(std::str::from_utf8(&body).unwrap());
    single.document();
    let (mut applied, mut missing, mut elsewhere, mut all) = (0, 0, 0, 0);
    for line in text.lines().filter_map(|line| line.split_once(" message=").map(|(_, rest)| rest)) {
        let (body, path) = line.trim_end_matches(']').rsplit_once(" topic=").unwrap();
        all += 1;
        match single.delta(path, body) {
            Ok(_) => applied += 1,
            Err(TreeError::MissingTarget { .. } | TreeError::MissingParent { .. }) => missing += 1,
            Err(TreeError::TopicNotHeld { .. }) => elsewhere += 1,
            Err(other) => panic!("{path}: {other}"),
        }
        let document = single.document();
        assert_eq!(single.whole(), document, "{path}");
    }
    assert_eq!((all, applied, missing, elsewhere), (10, 5, 3, 2));
    let inserted = &single.document()["markets"]["OV202497715418285922C4-40226_10_0"];
    assert_eq!(inserted["selections"].as_object().unwrap().len(), 2);
    let changed = encode(&single.forest, &topic);
    let mut again = Single::new(&topic);
    again.load(std::str::from_utf8(&changed).unwrap());
    assert_eq!(again.document()["market_order"], single.document()["market_order"]);
}
